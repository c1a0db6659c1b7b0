//! What is taken over from docker_auth, what is not, and what the difference is.
//!
//! Rules become rows as if each stood alone. Where an earlier rule keeps a later one from counting, a denial does that.
//! What is given too much even so is not given at all: nobody gets more than before by an import, except what anybody
//! has without a login anyway.
//!
//! *Invariant:* the differences are what a comparison found, and every one of them is listed.

use std::collections::{BTreeMap, BTreeSet};

use shared::action::{Action, ActionSet};
use shared::repository_name::RepositoryName;
use time::OffsetDateTime;

use super::comparison::{ASKED, Case, Cases, Difference, Listing, StoredRights, is_about_case};
use super::config::{Config, User};
use super::people::Person;
use super::rows::{self, Outcome, PlannedRow, Scene, Written};
use super::rule::{Allowed, Labels, Rule};
use crate::domain::grant::{Effect, What};
use crate::domain::grant_subject::GrantSubject;
use crate::domain::password_bcrypt::ImportedHash;
use crate::domain::principal_name::PrincipalName;
use crate::domain::right::{Right, RightSet};

/// Something to know, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remark {
    /// The line in the file, if it is about one.
    pub line: Option<usize>,
    /// What.
    pub sentence: String,
}

/// What becomes of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserOutcome {
    /// A new user with the old password.
    New(PrincipalName, ImportedHash),
    /// There is a user of that name, who stays as is.
    AlreadyThere(PrincipalName),
    /// The name, the password or both are not taken, because of this.
    Refused(String),
}

/// A user of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedUser {
    /// Where.
    pub line: usize,
    /// The name there.
    pub account: String,
    /// What becomes of them.
    pub outcome: UserOutcome,
}

/// What is stored here already.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// Names of users.
    pub users: BTreeSet<String>,
    /// Names of teams, which users cannot have.
    pub teams: BTreeSet<String>,
    /// Rows, in the words in which they are added.
    pub rows: BTreeSet<String>,
    /// Rights.
    pub rights: StoredRights,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// Names of the registries, as they call themselves.
    pub services: &'a [String],
    /// Repositories to compare; without them, names that the rules tell apart.
    pub repositories: Option<&'a BTreeSet<RepositoryName>>,
    /// The issuer in the settings here.
    pub issuer: &'a str,
    /// Paths of the token endpoint in the settings here.
    pub token_paths: &'a [String],
    /// Now.
    pub now: OffsetDateTime,
}

/// How much was compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Questions that were asked of both.
    pub combinations: usize,
    /// People.
    pub people: usize,
    /// Different repositories.
    pub repositories: usize,
    /// Registries.
    pub services: usize,
    /// Addresses of clients.
    pub addresses: usize,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Users, in the order of the file.
    pub users: Vec<PlannedUser>,
    /// Rows, in the order of the rules they come from.
    pub rows: Vec<PlannedRow>,
    /// Those of the rows that are stored already, in words.
    pub stored_rows: BTreeSet<String>,
    /// What is taken over, and worth knowing.
    pub notes: Vec<Remark>,
    /// What is not.
    pub remainder: Vec<Remark>,
    /// How much was compared.
    pub extent: Extent,
    /// What is answered otherwise.
    pub differences: Vec<Difference>,
}

impl Plan {
    /// Whether everything is as before.
    pub fn is_equal(&self) -> bool {
        self.differences.is_empty() && self.remainder.is_empty()
    }

    /// Plans an import.
    pub fn make(config: &Config, stored: &Stored, wish: Wish<'_>) -> Self {
        let users = users(config, stored);
        let nobody = Person::nobody(config);
        let known: Vec<Person> = users.iter().filter_map(|user| known(config, user)).collect();
        let strangers = Person::strangers(config);
        let scene =
            Scene { config, nobody: &nobody, known: &known, strangers: &strangers, services: wish.services };
        let people: Vec<&Person> = known.iter().chain(strangers.first()).chain([&nobody]).collect();
        let mut draft = Draft::new(&scene);
        let samples = Cases::new(config, people.clone(), wish.services, None);
        draft.settle(&samples, wish.now);
        let given;
        let cases = match wish.repositories {
            None => &samples,
            some => {
                given = Cases::new(config, people, wish.services, some);
                &given
            }
        };
        let answers = cases.answers(&stored.rights, &draft.rows, wish.now);
        let differences: Vec<Difference> =
            cases.differences(config, &answers).into_iter().map(|(_, difference)| difference).collect();
        let mut plan = Self {
            extent: Extent {
                combinations: cases.combinations(),
                people: cases.people.len(),
                repositories: cases.repositories,
                services: cases.services.len(),
                addresses: cases.addresses.len(),
            },
            ..Self::default()
        };
        plan.add_elsewhere(config);
        plan.add_users(&users);
        plan.add_rules(config, &draft, &differences);
        plan.add_listings(&cases.listings(config, &stored.rights, &draft.rows, wish.now));
        plan.add_settings(config, wish);
        for remarks in [&mut plan.notes, &mut plan.remainder] {
            remarks.sort();
            remarks.dedup();
        }
        Self { users, rows: draft.rows, stored_rows: stored.rows.clone(), differences, ..plan }
    }

    fn note(&mut self, line: Option<usize>, sentence: impl Into<String>) {
        self.notes.push(Remark { line, sentence: sentence.into() });
    }

    fn leave(&mut self, line: Option<usize>, sentence: impl Into<String>) {
        self.remainder.push(Remark { line, sentence: sentence.into() });
    }

    /// What is not in the file.
    fn add_elsewhere(&mut self, config: &Config) {
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

    fn add_users(&mut self, users: &[PlannedUser]) {
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
    fn add_rules(&mut self, config: &Config, draft: &Draft, differences: &[Difference]) {
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

    fn add_listings(&mut self, listings: &[(String, Listing, Option<usize>)]) {
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
    fn add_settings(&mut self, config: &Config, wish: Wish<'_>) {
        let token = &config.token;
        if let Some(issuer) = token.issuer.as_ref().filter(|issuer| *issuer != wish.issuer) {
            self.note(None, format!("registries expect the issuer `{issuer}`: set `token.issuer` to it"));
        }
        let prefix = token.path_prefix.clone().unwrap_or_default();
        for path in ["/auth", "/auth/token"].map(|path| format!("{prefix}{path}")) {
            if !wish.token_paths.contains(&path) {
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

fn known(config: &Config, user: &PlannedUser) -> Option<Person> {
    let name = match &user.outcome {
        UserOutcome::New(name, _) | UserOutcome::AlreadyThere(name) => name,
        UserOutcome::Refused(_) => return None,
    };
    let labels = config.user(&user.account).map_or(Labels::new(), |user| user.labels.clone());
    Some(Person::known(&user.account, name, &labels))
}

fn users(config: &Config, stored: &Stored) -> Vec<PlannedUser> {
    let mut taken: BTreeMap<String, String> = BTreeMap::new();
    let of = |user: &User| {
        let outcome = outcome(user, stored, &mut taken).unwrap_or_else(UserOutcome::Refused);
        PlannedUser { line: user.line, account: user.name.clone(), outcome }
    };
    config.users.iter().map(of).collect()
}

fn outcome(
    user: &User,
    stored: &Stored,
    taken: &mut BTreeMap<String, String>,
) -> Result<UserOutcome, String> {
    let name = PrincipalName::parse_new(&user.name).map_err(|error| error.to_string())?;
    if let Some(other) = taken.get(name.as_str()) {
        return Err(format!(
            "upper and lower case are the same here, so it would be the same user as {other}"
        ));
    }
    if stored.teams.contains(name.as_str()) {
        return Err(format!("there is a team named {name}"));
    }
    if stored.users.contains(name.as_str()) {
        taken.insert(name.to_string(), user.name.clone());
        return Ok(UserOutcome::AlreadyThere(name));
    }
    let Some(hash) = &user.password else {
        return Err(
            "there is no password, so anybody could log in with any; add the user with `user add`".into()
        );
    };
    let hash = ImportedHash::parse(hash.expose())
        .map_err(|error| format!("the password cannot be taken: {error}; add the user with `user add`"))?;
    taken.insert(name.to_string(), user.name.clone());
    Ok(UserOutcome::New(name, hash))
}

/// Rows while they are being found.
struct Draft {
    outcomes: Vec<Outcome>,
    rows: Vec<PlannedRow>,
}

impl Draft {
    fn new(scene: &Scene<'_>) -> Self {
        let outcomes: Vec<Outcome> =
            (0..scene.config.rules.len()).map(|position| scene.write(position)).collect();
        let written = scene.config.rules.iter().zip(&outcomes).filter_map(|(rule, outcome)| match outcome {
            Outcome::Written(written, _) => Some(rows::allowing(rule, written)),
            _ => None,
        });
        let rows = rows::merged(written.flatten().collect());
        Self { outcomes, rows }
    }

    /// Adds denials, and takes away what gives too much. What is stored already plays no part, so that the same file
    /// always comes to the same rows.
    fn settle(&mut self, cases: &Cases<'_>, now: OffsetDateTime) {
        let stored = &StoredRights::default();
        let answers = cases.answers(stored, &self.rows, now);
        let denials = self.denials(cases, &answers);
        self.rows = rows::merged(self.rows.drain(..).chain(denials).collect());
        loop {
            let answers = cases.answers(stored, &self.rows, now);
            let excess: Vec<_> = excess(cases, &answers).collect();
            let gives = |row: &PlannedRow| {
                row.spec.effect == Effect::Allow
                    && excess.iter().any(|(case, more)| {
                        let given = row.spec.what.rights();
                        let is_more = !given.intersection(rows::rights_of(*more)).is_empty()
                            || (more.contains(Action::All) && given.contains(Right::All));
                        is_more && is_about_case(row, case, cases.people[case.person])
                    })
            };
            let count = self.rows.len();
            self.rows.retain(|row| !gives(row));
            if self.rows.len() == count {
                break;
            }
        }
    }

    /// Denials that keep later rules from adding to the one that decides.
    fn denials(&self, cases: &Cases<'_>, answers: &[ActionSet]) -> Vec<PlannedRow> {
        // Rule and person → what is too much there.
        let mut more_of: BTreeMap<usize, BTreeMap<usize, ActionSet>> = BTreeMap::new();
        for (case, more) in excess(cases, answers) {
            if let Some(rule) = case.rule {
                let known = more_of.entry(rule).or_default().entry(case.person).or_default();
                *known = known.union(more);
            }
        }
        let mut denials = Vec::new();
        for (rule, of_people) in more_of {
            let Outcome::Written(written, _) = &self.outcomes[rule] else { continue };
            for holder in &written.holders {
                let about: BTreeMap<_, _> = of_people
                    .iter()
                    .filter(|(person, _)| holder.is_about(cases.people[**person]))
                    .map(|(person, more)| (*person, *more))
                    .collect();
                if about.is_empty() {
                    continue;
                }
                let all = about.values().fold(ActionSet::EMPTY, |all, more| all.union(*more));
                let one = Written { holders: vec![holder.clone()], networks: written.networks.clone() };
                let whole = rows::rows(0, &one, Effect::Deny, What::Rights(denied(all)));
                let is_single = matches!(holder.subject, GrantSubject::User(_));
                let everybody_is_known = about.keys().all(|person| {
                    let person = cases.people[*person];
                    person.is_known && person.user.is_some()
                });
                if is_single || !everybody_is_known || !harms(cases, &whole, rule) {
                    denials.extend(whole.into_iter().map(|row| (rule, row)));
                    continue;
                }
                for (person, more) in about {
                    let name =
                        cases.people[person].user.as_deref().and_then(|name| PrincipalName::parse(name).ok());
                    let Some(name) = name else { continue };
                    let holder = rows::Holder { subject: GrantSubject::User(name), ..holder.clone() };
                    let one = Written { holders: vec![holder], networks: written.networks.clone() };
                    let rows = rows::rows(0, &one, Effect::Deny, What::Rights(denied(more)));
                    denials.extend(rows.into_iter().map(|row| (rule, row)));
                }
            }
        }
        let line = |rule: usize| cases.lines[rule];
        denials.into_iter().map(|(rule, row)| PlannedRow { lines: vec![line(rule)], ..row }).collect()
    }
}

/// What is given beyond what docker_auth gives; what anybody has without a login is no more than before.
fn excess<'a>(cases: &'a Cases<'_>, answers: &'a [ActionSet]) -> impl Iterator<Item = (&'a Case, ActionSet)> {
    cases.all.iter().zip(answers).filter_map(|(case, new)| {
        let more = new.difference(case.old).difference(case.open);
        (!more.is_empty()).then_some((case, more))
    })
}

/// Rights that a denial names. `*` falls with any of them, and alone with the right to delete whole repositories.
fn denied(more: ActionSet) -> RightSet {
    if ASKED.difference(more).is_empty() {
        return RightSet::EVERYTHING;
    }
    let rights = rows::rights_of(more);
    if more.contains(Action::All) { rights.union(RightSet::of(&[Right::RepositoryDelete])) } else { rights }
}

/// Whether denials take away what other rules than this one give.
fn harms(cases: &Cases<'_>, denials: &[PlannedRow], rule: usize) -> bool {
    let mut others = cases.all.iter().filter(|case| case.rule != Some(rule) && !case.old.is_empty());
    others.any(|case| {
        denials.iter().any(|row| {
            let taken = row.spec.what.rights();
            let loses = !taken.intersection(rows::rights_of(case.old)).is_empty();
            loses && is_about_case(row, case, cases.people[case.person])
        })
    })
}

#[cfg(test)]
mod tests;
