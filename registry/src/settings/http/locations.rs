//! How the URLs in answers are made: `http.host`, `http.prefix` and `http.relativeurls`.
//!
//! *Invariant:* what works with the distribution registry means the same here.

use url::Url;

use crate::settings::findings::Findings;

/// Where clients find this registry.
#[derive(Clone, Debug)]
pub(crate) struct LocationSettings {
    /// The path above `/v2`, without a slash at its end; empty at the root.
    pub(crate) prefix: String,
    /// Public URL; wins over everything else.
    pub(crate) host: Option<Url>,
    pub(crate) relative: bool,
}

impl LocationSettings {
    pub(super) fn parse(prefix: &str, host: &str, relative: bool, findings: &mut Findings) -> Self {
        let host = public_url(host, findings);
        let path = prefix.trim_matches('/');
        // What a route cannot hold is refused here, not at the first request.
        let is_plain = |segment: &str| {
            !matches!(segment, "" | "." | "..")
                && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
        };
        if path.is_empty() {
            return Self { prefix: String::new(), host, relative };
        }
        if !prefix.starts_with('/') || !path.split('/').all(is_plain) {
            findings.refuse(format!(
                "`http.prefix` is `{prefix}`; write a path of letters, digits, `-`, `.`, `_` and `~` between slashes, \
                 such as /registry/"
            ));
        }
        Self { prefix: format!("/{path}"), host, relative }
    }

    /// Whether a path belongs to the protocol and can be nothing else.
    pub(crate) fn hold(&self, path: &str) -> bool {
        let below = path.strip_prefix(&self.prefix).and_then(|path| path.strip_prefix("/v2"));
        below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

fn public_url(text: &str, findings: &mut Findings) -> Option<Url> {
    if text.is_empty() {
        return None;
    }
    if !text.starts_with("http://") && !text.starts_with("https://") {
        findings.warn(format!(
            "`http.host` has no effect: `{text}` is not a URL; write it with its scheme, such as \
             https://registry.example"
        ));
        return None;
    }
    let Ok(url) = Url::parse(text) else {
        findings.refuse(format!(
            "`http.host` is `{text}`; write the public URL, such as https://registry.example"
        ));
        return None;
    };
    if !url.path().ends_with('/') {
        findings.warn(format!(
            "`http.host` is `{text}`, whose path does not end with a slash: its last part is left out of URLs, as \
             the distribution registry does"
        ));
    }
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(prefix: &str, host: &str) -> (LocationSettings, Findings) {
        let mut findings = Findings::default();
        (LocationSettings::parse(prefix, host, false, &mut findings), findings)
    }

    #[test]
    fn a_prefix_is_a_plain_path() {
        for (prefix, expected) in [
            ("", ""),
            ("/", ""),
            ("/registry/", "/registry"),
            ("/registry", "/registry"),
            ("/a/b-c/", "/a/b-c"),
        ] {
            let (settings, findings) = parse(prefix, "");
            assert_eq!(settings.prefix, expected);
            assert!(findings.problems.is_empty() && findings.warnings.is_empty(), "{findings:?}");
        }
        for prefix in ["registry/", "/a//b/", "/a/../b/", "/{name}/", "/a b/", "/a?b/", "/%2e/", "/./"] {
            let (_, findings) = parse(prefix, "");
            assert!(findings.problems.len() == 1 && findings.problems[0].contains("http.prefix"), "{prefix}");
        }
    }

    #[test]
    fn the_protocol_has_its_paths_for_itself() {
        let (settings, _) = parse("/auth/", "");
        for (path, held) in [
            ("/auth/v2", true),
            ("/auth/v2/", true),
            ("/auth/v2/token", true),
            ("/auth/v2token", false),
            ("/auth/token", false),
            ("/other/auth/v2", false),
        ] {
            assert_eq!(settings.hold(path), held, "{path}");
        }
    }

    #[test]
    fn a_host_is_a_url_and_what_the_distribution_registry_ignores_is_ignored() {
        let (settings, findings) = parse("", "https://r.example:5000/x/");
        assert_eq!(settings.host.expect("a URL").as_str(), "https://r.example:5000/x/");
        assert!(findings.warnings.is_empty());
        assert!(parse("", "https://r.example").1.warnings.is_empty());
        for host in ["r.example", "r.example:5000", "ftp://r.example"] {
            let (settings, findings) = parse("", host);
            assert!(settings.host.is_none() && findings.problems.is_empty(), "{host}");
            assert!(findings.warnings[0].contains("http.host"), "{findings:?}");
        }
        let (settings, findings) = parse("", "https://r.example/x");
        assert!(settings.host.is_some() && findings.warnings[0].contains("slash"));
        assert_eq!(parse("", "https://").1.problems.len(), 1);
    }
}
