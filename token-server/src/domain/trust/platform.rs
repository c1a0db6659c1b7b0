//! Build platforms and clusters, as far as their claims differ.
//!
//! *Invariant:* a claim that is said to be immutable is never given to somebody else by its platform: names are, when
//! a project is deleted or renamed and somebody registers the name anew.

/// Whose claims these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// Any issuer that follows OpenID Connect, for which `sub` is never reassigned.
    Generic,
    /// GitHub Actions.
    Github,
    /// GitLab CI.
    Gitlab,
    /// Service accounts of a Kubernetes cluster.
    Kubernetes,
    /// Buildkite.
    Buildkite,
    /// CircleCI.
    Circleci,
}

/// What says that a job runs for somebody who may be a stranger, such as a pull request from a fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strangers {
    /// The claim.
    pub claim: &'static str,
    /// What its value begins with then.
    pub beginnings: &'static [&'static str],
}

impl Platform {
    /// Every platform.
    pub const ALL: [Self; 6] =
        [Self::Generic, Self::Github, Self::Gitlab, Self::Kubernetes, Self::Buildkite, Self::Circleci];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::Github => "github",
            Self::Gitlab => "gitlab",
            Self::Kubernetes => "kubernetes",
            Self::Buildkite => "buildkite",
            Self::Circleci => "circleci",
        }
    }

    /// The platform of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|platform| platform.as_str() == word)
    }

    /// Which one it is by the address of the issuer, as far as addresses say that.
    pub fn guess(issuer: &str) -> Self {
        let host = issuer.trim_start_matches("https://").split('/').next().unwrap_or_default();
        match host {
            "token.actions.githubusercontent.com" => Self::Github,
            "gitlab.com" => Self::Gitlab,
            "agent.buildkite.com" => Self::Buildkite,
            "oidc.circleci.com" => Self::Circleci,
            // GitHub Enterprise Server.
            _ if issuer.ends_with("/_services/token") => Self::Github,
            _ if host.starts_with("kubernetes.default.svc") => Self::Kubernetes,
            _ => Self::Generic,
        }
    }

    /// Claims of which at least one must be a condition of every rule.
    pub const fn immutable(self) -> &'static [&'static str] {
        match self {
            Self::Generic => &["sub"],
            Self::Github => &["repository_id", "repository_owner_id", "enterprise_id"],
            Self::Gitlab => &["project_id", "namespace_id"],
            // Names are given by whoever runs the cluster, which is whom the issuer is.
            Self::Kubernetes => &["kubernetes.io/serviceaccount/uid", "kubernetes.io/namespace"],
            Self::Buildkite => &["pipeline_id", "organization_id", "cluster_id"],
            Self::Circleci => &["oidc.circleci.com/project-id", "oidc.circleci.com/org-id"],
        }
    }

    /// Claims that tell who somebody is, of which a narrow rule is made; those that are missing are left out.
    pub const fn identity(self) -> &'static [&'static str] {
        match self {
            Self::Generic => &["sub"],
            Self::Github => &[
                "repository_owner_id",
                "repository_id",
                "job_workflow_ref",
                "environment",
                "ref",
                "event_name",
            ],
            Self::Gitlab => {
                &["namespace_id", "project_id", "environment", "ref", "ref_type", "pipeline_source"]
            }
            Self::Kubernetes => &[
                "kubernetes.io/namespace",
                "kubernetes.io/serviceaccount/name",
                "kubernetes.io/serviceaccount/uid",
            ],
            Self::Buildkite => &[
                "organization_id",
                "organization_slug",
                "pipeline_id",
                "pipeline_slug",
                "build_branch",
                "build_tag",
                "step_key",
            ],
            Self::Circleci => &["oidc.circleci.com/project-id", "oidc.circleci.com/vcs-ref"],
        }
    }

    /// What is refused unless a rule asks for it.
    pub const fn strangers(self) -> Option<Strangers> {
        match self {
            Self::Generic | Self::Kubernetes => None,
            Self::Github => Some(Strangers { claim: "event_name", beginnings: &["pull_request"] }),
            Self::Gitlab => Some(Strangers {
                claim: "pipeline_source",
                beginnings: &["merge_request", "external_pull_request"],
            }),
            Self::Buildkite => {
                Some(Strangers { claim: "build_branch", beginnings: &["refs/pull/", "pull/"] })
            }
            Self::Circleci => Some(Strangers {
                claim: "oidc.circleci.com/vcs-ref",
                beginnings: &["refs/heads/pull/", "refs/pull/", "pull/"],
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_say_which_platform_it_is() {
        for (issuer, platform) in [
            ("https://token.actions.githubusercontent.com", Platform::Github),
            ("https://token.actions.githubusercontent.com/acme", Platform::Github),
            ("https://github.acme.example/_services/token", Platform::Github),
            ("https://gitlab.com", Platform::Gitlab),
            ("https://oidc.circleci.com/org/0f1", Platform::Circleci),
            ("https://kubernetes.default.svc.cluster.local", Platform::Kubernetes),
            ("https://gitlab.com.evil.example", Platform::Generic),
        ] {
            assert_eq!(Platform::guess(issuer), platform, "{issuer}");
        }
        for platform in Platform::ALL {
            assert_eq!(Platform::parse(platform.as_str()), Some(platform));
            let identity = platform.identity();
            assert!(platform.immutable().iter().any(|claim| identity.contains(claim)), "{platform:?}");
        }
    }
}
