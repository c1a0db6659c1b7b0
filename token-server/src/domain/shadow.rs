//! Another token server's rules beside our own: they are asked too, and what they would have answered is only logged.
//!
//! *Invariant:* nothing here changes an answer or fails a request. A file that cannot be used keeps the server from
//! starting; later it is a warning, and the rules from before stay.

use std::io::Read as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use moka::sync::Cache;
use shared::action::{Action, ActionSet};
use shared::scope::{Resource, Scope, ScopeList};

use super::docker_auth::config::{Config, InvalidConfig};
use super::docker_auth::rule::{Labels, Request};
use super::issue::Decision;

/// How often a running server looks at the file.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// The same difference is not told again for this many seconds.
const TOLD_SECONDS: i64 = 3600;

/// Of more differences than this some are told again.
const MAX_TOLD: u64 = 10_000;

/// Far above any settings.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// Why rules cannot be compared with.
#[derive(Debug, thiserror::Error)]
pub enum ShadowError {
    /// No file, or no right to read it.
    #[error("`shadow.dockerauth`: cannot read {}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Something else than settings of docker_auth.
    #[error("`shadow.dockerauth`: {}: {source}", path.display())]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: InvalidConfig,
    },
}

/// What is compared with.
#[derive(Debug)]
pub struct ShadowRules {
    path: PathBuf,
    current: ArcSwap<Loaded>,
    /// What was told → the second from which it is told again.
    told: Cache<String, i64>,
}

#[derive(Debug)]
struct Loaded {
    text: String,
    config: Config,
}

/// A request that was decided.
#[derive(Clone, Copy, Debug)]
pub struct Decided<'a> {
    /// The user, if somebody is logged in.
    pub user: Option<&'a str>,
    /// The registry.
    pub service: &'a str,
    /// Where the client is.
    pub address: Option<IpAddr>,
    /// What was asked for.
    pub requested: &'a ScopeList,
    /// What was decided.
    pub decision: &'a Decision,
    /// Seconds since 1970.
    pub now: i64,
}

/// Two answers to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Disagreement {
    resource: Resource,
    asked: ActionSet,
    theirs: ActionSet,
    ours: ActionSet,
    /// Where the rule stands that decides there.
    line: Option<usize>,
}

impl ShadowRules {
    /// Reads the settings of docker_auth.
    pub fn load(path: &Path) -> Result<Self, ShadowError> {
        let current = ArcSwap::from_pointee(parse(path, read(path)?)?);
        Ok(Self { path: path.to_owned(), current, told: Cache::new(MAX_TOLD) })
    }

    /// Reads the file again whenever it is another one, until it is dropped.
    pub async fn keep_following(self: Arc<Self>) {
        let mut refused = None;
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let this = self.clone();
            let outcome = tokio::task::spawn_blocking(move || this.follow()).await;
            let problem = match outcome {
                Ok(Ok(())) | Err(_) => None,
                Ok(Err(error)) => Some(error.to_string()),
            };
            if let Some(error) = problem.as_deref().filter(|_| problem != refused) {
                tracing::warn!(error, "the rules to compare with stay as they were");
            }
            refused = problem;
        }
    }

    fn follow(&self) -> Result<(), ShadowError> {
        let text = read(&self.path)?;
        if text == self.current.load().text {
            return Ok(());
        }
        let loaded = parse(&self.path, text)?;
        tracing::info!(rules = loaded.config.rules.len(), "the rules to compare with were read again");
        self.current.store(Arc::new(loaded));
        // What was told was about other rules.
        self.told.invalidate_all();
        Ok(())
    }

    /// Tells where docker_auth would have answered otherwise.
    pub fn compare(&self, decided: &Decided<'_>) {
        for difference in disagreements(&self.current.load().config, decided) {
            let user = decided.user.unwrap_or_default();
            let (theirs, ours) = (difference.theirs.to_string(), difference.ours.to_string());
            let scope = Scope { resource: difference.resource, actions: difference.asked }.to_string();
            let key = format!("{user} {scope} {theirs} {ours}");
            if self.told.get(&key).is_some_and(|until| decided.now < until) {
                continue;
            }
            self.told.insert(key, decided.now.saturating_add(TOLD_SECONDS));
            tracing::warn!(
                subject.name = user,
                scope,
                service = decided.service,
                docker_auth.granted = theirs,
                docker_auth.line = difference.line,
                granted = ours,
                "docker_auth would have answered otherwise"
            );
        }
    }
}

fn read(path: &Path) -> Result<String, ShadowError> {
    let unreadable = |source| ShadowError::Unreadable { path: path.to_owned(), source };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(unreadable(std::io::Error::other("it is too large")));
    }
    Ok(text)
}

fn parse(path: &Path, text: String) -> Result<Loaded, ShadowError> {
    match Config::parse(&text) {
        Ok(config) => Ok(Loaded { text, config }),
        Err(source) => Err(ShadowError::Invalid { path: path.to_owned(), source }),
    }
}

fn disagreements(config: &Config, decided: &Decided<'_>) -> Vec<Disagreement> {
    let none = Labels::new();
    // Names are folded here.
    let known =
        decided.user.and_then(|user| config.users.iter().find(|known| known.name.eq_ignore_ascii_case(user)));
    let account = known.map_or(decided.user.unwrap_or_default(), |known| &known.name);
    let labels = match (known, decided.user) {
        (Some(known), _) => &known.labels,
        (None, None) => config.anonymous.as_ref().unwrap_or(&none),
        (None, Some(_)) => &none,
    };
    let compare = |scope: &Scope| {
        let resource = &scope.resource;
        let request = Request {
            account,
            kind: resource.kind(),
            name: resource.name(),
            service: decided.service,
            address: decided.address,
            labels,
        };
        let answer = config.decide(&request, scope.actions);
        let granted = decided.decision.granted.iter().find(|granted| granted.resource == *resource);
        let mut ours =
            granted.map_or(ActionSet::EMPTY, |granted| granted.actions.intersection(scope.actions));
        if *resource == Resource::Catalog {
            // A list of what one may pull is less than the whole list, and no more than none.
            if decided.decision.catalogue.is_some() || !answer.granted.contains(Action::All) {
                ours = ActionSet::EMPTY;
            }
        }
        (answer.granted != ours).then(|| Disagreement {
            resource: resource.clone(),
            asked: scope.actions,
            theirs: answer.granted,
            ours,
            line: answer.rule.map(|rule| config.rules[rule].line),
        })
    };
    decided.requested.iter().filter_map(compare).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(
        rules: &str,
        user: Option<&str>,
        requested: &str,
        granted: &str,
        is_filtered: bool,
    ) -> Vec<String> {
        let config =
            Config::parse(&format!("users: {{Alice: {{labels: {{team: [red]}}}}}}\nacl: [{rules}]")).unwrap();
        let requested = ScopeList::parse([requested]);
        let decision = Decision {
            granted: ScopeList::parse([granted]).iter().cloned().collect(),
            catalogue: is_filtered.then(Vec::new),
            ..Decision::default()
        };
        let decided =
            Decided { user, service: "s", address: None, requested: &requested, decision: &decision, now: 0 };
        let shown =
            |found: Disagreement| format!("{} {} / {}", found.resource.name(), found.theirs, found.ours);
        disagreements(&config, &decided).into_iter().map(shown).collect()
    }

    #[test]
    fn both_answers_to_what_was_asked_are_compared() {
        let (reads, all) = ("{match: {account: Alice}, actions: [pull]}", "{match: {}, actions: [\"*\"]}");
        let alice = Some("alice");
        for (rules, user, requested, granted, expected) in [
            (reads, alice, "repository:a:pull", "repository:a:pull", None),
            (reads, alice, "repository:a:pull,push", "repository:a:pull,push", Some("a pull / pull,push")),
            (reads, alice, "repository:a:pull", "", Some("a pull / ")),
            (reads, Some("bob"), "repository:a:pull", "repository:a:pull", Some("a  / pull")),
            // Nobody is let in without a login.
            (all, None, "repository:a:pull", "repository:a:pull", Some("a  / pull")),
            (all, alice, "repository:a:*", "repository:a:pull,push,delete,repository-delete,*", None),
            (
                "{match: {labels: {team: red}}, actions: [pull]}",
                alice,
                "repository:a:pull",
                "repository:a:pull",
                None,
            ),
            (all, alice, "registry:catalog:*", "registry:catalog:*", None),
            (reads, alice, "registry:catalog:*", "registry:catalog:*", None),
            (all, alice, "registry:catalog:*", "", Some("catalog * / ")),
        ] {
            let found = found(rules, user, requested, granted, false);
            assert_eq!(found.first().map(String::as_str), expected, "{rules} {requested}");
        }
        let filtered = found(all, alice, "registry:catalog:*", "registry:catalog:*", true);
        assert_eq!(filtered, ["catalog * / "]);
    }
}
