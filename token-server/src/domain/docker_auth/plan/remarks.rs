//! What is said of a plan: what is worth knowing, and what is not taken over and why.
//!
//! *Invariant:* whatever is not taken over is in the remainder, whether it made a difference where it was compared or could
//! not be compared.

use std::collections::{BTreeMap, BTreeSet};

use super::super::comparison::{Difference, Listing};
use super::super::config::Config;
use super::super::rows::Outcome;
use super::super::rule::{Allowed, Rule};
use super::draft::Draft;
use super::{Plan, PlannedUser, Remark, UserOutcome, Wish};

impl Plan {
    fn note(&mut self, line: Option<usize>, sentence: impl Into<String>) {
        self.notes.push(Remark { line, sentence: sentence.into() });
    }

    fn leave(&mut self, line: Option<usize>, sentence: impl Into<String>) {
        self.remainder.push(Remark { line, sentence: sentence.into() });
    }

    /// What is not in the file.
    pub(super) fn add_elsewhere(&mut self, config: &Config) {
        for external in &config.externals {
            let key = &external.key;
            let sentence = if external.is_login {
                format!(
                    "the users of `{key}` are not in the file: add those who still log in with `user add`, and give them rows or put them into teams"
                )
            } else {
                format!("the rights of `{key}` are not in the file: give them as rows with `grant add`")
            };
            self.leave(Some(external.line), sentence);
        }
    }

    /// Who is not taken over, or under another name.
    pub(super) fn add_users(&mut self, users: &[PlannedUser]) {
        for user in users {
            let (line, account) = (Some(user.line), &user.account);
            match &user.outcome {
                UserOutcome::Refused(why) => {
                    self.leave(line, format!("user {account} is not taken over: {why}"));
                }
                UserOutcome::New(name, _) | UserOutcome::AlreadyThere(name) if name.as_str() != account => {
                    self.note(line, format!("user {account} is {name} here, and may write the name in either case; tokens say {name}"));
                }
                UserOutcome::New(..) | UserOutcome::AlreadyThere(_) => {}
            }
        }
    }

    /// Rules that are not written matter where something differs because of them.
    pub(super) fn add_rules(&mut self, config: &Config, draft: &Draft, differences: &[Difference]) {
        let mut differing: BTreeMap<Option<usize>, usize> = BTreeMap::new();
        for difference in differences {
            *differing.entry(difference.line).or_default() += 1;
        }
        let has_other_logins = config.has_other_logins();
        for (rule, outcome) in config.rules.iter().zip(&draft.outcomes) {
            let line = Some(rule.line);
            let count = differing.remove(&line).unwrap_or_default();
            match outcome {
                Outcome::Left(why) if count > 0 || !rule.unknown.is_empty() => {
                    self.leave(line, format!("the rule is not written as rows: {why}"));
                }
                Outcome::Left(why) => {
                    self.note(line, format!("the rule is not written as rows ({why}); that makes no difference where it was compared"));
                }
                _ if count > 0 => self.leave(line, why_it_differs(rule)),
                Outcome::Idle(why) => self.note(line, format!("the rule needs no row: {why}")),
                Outcome::Elsewhere(why) => {
                    self.leave(line, format!("the rule is not written as rows: {why}"));
                }
                Outcome::Written(_, Some(note)) => {
                    self.note(line, note.clone());
                    if has_other_logins && rule.is_about_some() {
                        self.leave(line, "whoever it is about and logs in elsewhere is no user here; add users and give them rows");
                    }
                }
                Outcome::Written(_, None) => {}
            }
        }
        if differing.contains_key(&None) {
            self.leave(None, "where no rule says anything, rows do: some were here before the import, or give everybody what is meant for people without a login");
        }
    }

    /// What becomes of the list of repositories.
    pub(super) fn add_listings(&mut self, listings: &[(String, Listing, Option<usize>)]) {
        let mut narrower: BTreeMap<Option<usize>, BTreeSet<&str>> = BTreeMap::new();
        let mut wider = BTreeSet::new();
        for (who, listing, line) in listings {
            match listing {
                Listing::Same => {}
                Listing::Narrower => {
                    narrower.entry(*line).or_default().insert(who);
                }
                Listing::Wider => {
                    wider.insert(who.as_str());
                }
            }
        }
        for (line, who) in narrower {
            let who = who.into_iter().collect::<Vec<_>>().join(", ");
            self.leave(line, format!("registry:catalog: {who} could list all repositories; here the list shows what one may pull (for registries of another kind, whoever may not pull everything gets no list)"));
        }
        if !wider.is_empty() {
            let who = wider.into_iter().collect::<Vec<_>>().join(", ");
            self.note(None, format!("registry:catalog: {who} could not list repositories; here the list shows what one may pull, and nothing else"));
        }
    }

    /// What to write into the settings, so that registries notice nothing.
    pub(super) fn add_settings(&mut self, config: &Config, wish: Wish<'_>) {
        let token = &config.token;
        if let Some(issuer) = token.issuer.as_ref().filter(|issuer| **issuer != wish.own.issuer) {
            self.note(None, format!("registries expect the issuer `{issuer}`: set `token.issuer` to it"));
        }
        let prefix = token.path_prefix.clone().unwrap_or_default();
        for path in ["/auth", "/auth/token"].map(|path| format!("{prefix}{path}")) {
            if !wish.own.token_paths.contains(&path) {
                self.note(None, format!("clients are sent to `{path}`: add it to `token.paths`"));
            }
        }
        if let Some(header) = &token.real_ip_header {
            self.note(
                None,
                format!(
                    "addresses of clients come from `{header}`: name the proxies in `http.trustedproxies`"
                ),
            );
        }
        if token.thumbprints {
            self.note(None, "keys are named as the distribution registry 3.x names them: set `verifier: distribution3` for its audience");
        }
        let seconds = token.expiration.as_ref().and_then(|text| text.parse::<u64>().ok());
        if let Some(seconds) = seconds.filter(|seconds| *seconds > 3600) {
            self.note(None, format!("tokens lived {seconds} seconds; here `token.lifetime` is 3600s at most, and clients ask again by themselves"));
        }
    }
}

fn why_it_differs(rule: &Rule) -> &'static str {
    match &rule.allowed {
        Allowed::Words(words) if words.iter().any(|word| word == "*") => {
            "`*` stands beside other actions, where it counts only for who asks for `*`; rows give it with everything"
        }
        _ => {
            "the order of the rules matters here, and rows have none: they add up, and a denial counts against all of \
             them; where somebody has less than everybody, give what everybody has to a team instead"
        }
    }
}
