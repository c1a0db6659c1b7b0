//! What a change would mean, without making it.
//!
//! The change is made as it would be, in a transaction that is undone: what is refused there is refused here, and what
//! stands in the database afterwards is what would stand there.
//!
//! *Invariant:* nothing is kept, nothing is recorded, and locks are held no longer than it takes to read what the change
//! has made; what that means is worked out when others may go on.

use std::collections::{BTreeMap, BTreeSet};

use shared::repository_name::RepositoryName;
use shared::repository_pattern::{self, RepositoryPattern};
use time::{Duration, OffsetDateTime};

use super::super::background::computed;
use super::super::barrier::Barrier;
use super::super::effects::replay::Replay;
use super::super::effects::samples::samples;
use super::super::effects::{Comparison, Effects, Names, Person, Situation, person, user_of};
use super::super::error::TokenServerError;
use super::super::grant::{Conditions, Grant};
use super::super::grant_spec::GrantSpec;
use super::super::principal_name::PrincipalName;
use super::super::right::RightSet;
use super::super::stored_rows;
use super::super::team_member::{Standing, TeamMember};
use super::stored_policy::hold_member;
use super::{Administration, hold_subject, hold_team};
use crate::db::principals::{AUTHENTICATED, EVERYONE};
use crate::db::token_uses::SummedUse;
use crate::db::{
    self, Pool, Transaction, barriers as barrier_rows, grants as grant_rows, teams as team_rows, token_uses,
};

/// So many repositories that clients asked for are looked at, the most used first.
const MAX_SEEN: i64 = 2_000;

/// So many patterns below each of those of the change are looked at.
const MAX_PATTERNS: i64 = 200;

/// So many different requests are asked again, the most frequent first.
const MAX_REQUESTS: i64 = 200_000;

/// Where a pattern is another one for each user, so many patterns of single users are looked at.
const MAX_OWN_PATTERNS: usize = 20_000;

/// More rows of a team, or more barriers, than this are not looked at.
const MAX_ROWS: i64 = 10_000;

/// What is refused to who does not hold everything.
pub const ASKING: &str = "asking what a change would mean";

/// A change as it would be made.
#[derive(Clone, Debug)]
pub enum Change {
    /// A right is given or denied.
    AddGrant(GrantSpec, Conditions),
    /// A row is taken away.
    RemoveGrant(GrantSpec),
    /// A barrier is put up.
    AddBarrier(RepositoryPattern, RightSet),
    /// A barrier is taken away.
    RemoveBarrier(RepositoryPattern),
    /// Somebody comes into a team.
    AddMember(PrincipalName, TeamMember),
    /// Somebody leaves a team.
    RemoveMember(PrincipalName, TeamMember),
}

/// What it would mean.
#[derive(Clone, Debug)]
pub struct WhatIf {
    /// For people.
    pub effects: Effects,
    /// For what they did in the last time.
    pub replay: Replay,
    /// Since when that is known, if that is less than was asked about.
    pub known_since: Option<OffsetDateTime>,
    /// Patterns of the change that no name could be made up for: what it means there is not known.
    pub unknown: Vec<RepositoryPattern>,
}

/// Whom a change is about, and where.
#[derive(Default)]
pub(super) struct Reach {
    /// Inner numbers of users, robots, workloads and groups.
    pub(super) holders: BTreeSet<i64>,
    /// On which repositories.
    pub(super) patterns: BTreeSet<RepositoryPattern>,
}

/// What is known before a change is tried out.
pub(super) struct Trial {
    about: About,
    names: Names,
    looked_at: BTreeSet<RepositoryName>,
    since: OffsetDateTime,
    before: Situation,
}

/// Whom a change is about, one by one.
struct About {
    /// Inner numbers of users, robots and workloads.
    people: Vec<i64>,
    /// Also clients without a login.
    anonymous: bool,
    patterns: Vec<RepositoryPattern>,
}

impl Trial {
    /// Reads what is so before the change, for what clients did since a moment.
    pub(super) async fn begin(
        tx: &mut Transaction,
        reach: Reach,
        since: OffsetDateTime,
    ) -> Result<Self, TokenServerError> {
        let about = about(tx, reach).await?;
        let people = holders(tx, &about).await?;
        let names = names(tx, &about, &people, since).await?;
        let looked_at = looked_at(&about, &names);
        let before = situation(tx, people, &looked_at).await?;
        Ok(Self { about, names, looked_at, since, before })
    }

    /// Reads what is so behind the change, undoes it, and compares.
    pub(super) async fn end(
        self,
        pool: &Pool,
        mut tx: Transaction,
        now: OffsetDateTime,
    ) -> Result<WhatIf, TokenServerError> {
        let people = holders(&mut tx, &self.about).await?;
        let subjects: Vec<String> = people.keys().map(|person| person.clone().unwrap_or_default()).collect();
        let after = situation(&mut tx, people, &self.looked_at).await?;
        // Where this fails the connection is gone, and with it the change.
        db::undo(tx).await.ok();
        // A year of uses takes a while to sum up; nobody waits for it.
        let mut tx = db::begin_snapshot(pool).await?;
        let given = token_uses::list_summed_uses_of(&mut *tx, &subjects, self.since, MAX_REQUESTS).await?;
        let start = token_uses::find_start(&mut *tx).await?;
        db::undo(tx).await?;
        let known_since = start.filter(|start| *start > self.since);
        // Up to a million decisions: other requests do not wait for them on this thread.
        Ok(computed(move || self.compare(&after, &given, known_since, now)).await)
    }

    fn compare(
        &self,
        after: &Situation,
        given: &[SummedUse],
        known_since: Option<OffsetDateTime>,
        now: OffsetDateTime,
    ) -> WhatIf {
        let comparison = Comparison::new(&self.before, after);
        let is_unknown =
            |pattern: &&RepositoryPattern| !self.looked_at.iter().any(|name| is_about(pattern, name));
        let patterns = self.about.patterns.iter().filter(|pattern| !pattern.is_per_subject());
        WhatIf {
            effects: comparison.effects(&self.names, now),
            replay: comparison.replay(given, &self.looked_at, now),
            known_since,
            unknown: patterns.filter(is_unknown).cloned().collect(),
        }
    }
}

impl Administration {
    /// What a change would mean, also for what clients did in so many days.
    pub async fn what_if(&self, change: &Change, days: u32) -> Result<WhatIf, TokenServerError> {
        self.demand_sight_of_all(ASKING).await?;
        let now = self.clock.now();
        let mut tx = db::begin_trial(&self.pool).await?;
        let reach = reach(&mut tx, change).await?;
        let trial = Trial::begin(&mut tx, reach, now - Duration::days(days.into())).await?;
        self.try_out(&mut tx, change).await?;
        trial.end(&self.pool, tx, now).await
    }

    /// Makes the change in a transaction, without a record.
    async fn try_out(&self, tx: &mut Transaction, change: &Change) -> Result<(), TokenServerError> {
        match change {
            Change::AddGrant(grant, conditions) => {
                self.insert_grant(tx, grant, conditions, None).await?;
            }
            Change::RemoveGrant(grant) => self.delete_grant(tx, grant).await?,
            Change::AddBarrier(pattern, rights) => self.insert_barrier(tx, pattern, *rights, None).await?,
            Change::RemoveBarrier(pattern) => {
                self.delete_barrier(tx, pattern).await?;
            }
            Change::AddMember(team, member) => {
                self.insert_member(tx, team, member, Standing::Member).await?;
            }
            Change::RemoveMember(team, member) => self.delete_member(tx, team, member).await?,
        }
        Ok(())
    }
}

async fn reach(tx: &mut Transaction, change: &Change) -> Result<Reach, TokenServerError> {
    let (holders, patterns) = match change {
        Change::AddGrant(grant, _) | Change::RemoveGrant(grant) => {
            (vec![hold_subject(tx, &grant.subject).await?], vec![grant.pattern.clone()])
        }
        Change::AddBarrier(pattern, _) | Change::RemoveBarrier(pattern) => {
            (holders_above(tx, pattern).await?, vec![pattern.clone()])
        }
        Change::AddMember(team, member) | Change::RemoveMember(team, member) => {
            let team = hold_team(&mut **tx, team).await?;
            (vec![hold_member(tx, member).await?], patterns_of(tx, team).await?)
        }
    };
    Ok(Reach { holders: holders.into_iter().collect(), patterns: patterns.into_iter().collect() })
}

async fn about(tx: &mut Transaction, reach: Reach) -> Result<About, TokenServerError> {
    let Reach { holders, patterns } = reach;
    let people = if holders.contains(&EVERYONE) || holders.contains(&AUTHENTICATED) {
        team_rows::list_active(&mut **tx).await?
    } else {
        let holders: Vec<i64> = holders.iter().copied().collect();
        let behind = team_rows::list_behind(&mut **tx, &holders).await?;
        behind.into_iter().map(|found| found.pid).collect()
    };
    let anonymous = holders.contains(&EVERYONE);
    Ok(About { people, anonymous, patterns: patterns.into_iter().collect() })
}

/// Whose rows stand above a barrier and give something.
pub(super) async fn holders_above(
    tx: &mut Transaction,
    pattern: &RepositoryPattern,
) -> Result<Vec<i64>, TokenServerError> {
    let barrier = Barrier::new(pattern.clone(), RightSet::EVERYTHING)?;
    // The repository that gives the subtree its name has all anchors above.
    let anchors = repository_pattern::anchors(&samples(pattern, None));
    let found = grant_rows::list_at(&mut **tx, &anchors).await?;
    let found = found.into_iter().map(Grant::read).collect::<Result<Vec<_>, _>>()?;
    let holders: BTreeSet<i64> =
        found.iter().filter(|grant| barrier.is_above(grant)).map(|grant| grant.holder).collect();
    Ok(holders.into_iter().collect())
}

/// Where a team, and the teams it is in, have rows.
pub(super) async fn patterns_of(
    tx: &mut Transaction,
    team: i64,
) -> Result<Vec<RepositoryPattern>, TokenServerError> {
    let found = grant_rows::list_all_applicable(&mut **tx, Some(team), MAX_ROWS).await?;
    let found = found.into_iter().filter(|row| ![EVERYONE, AUTHENTICATED].contains(&row.subject_pid));
    let patterns: BTreeSet<RepositoryPattern> =
        found.map(|row| Ok(Grant::read(row)?.pattern)).collect::<Result<_, TokenServerError>>()?;
    Ok(patterns.into_iter().collect())
}

/// Whose rows each of these people holds.
async fn holders(
    tx: &mut Transaction,
    about: &About,
) -> Result<BTreeMap<Person, BTreeSet<i64>>, TokenServerError> {
    let mut people: BTreeMap<Person, BTreeSet<i64>> = BTreeMap::new();
    for found in team_rows::list_holders_of(&mut **tx, &about.people).await? {
        let own = people
            .entry(person(&found.kind, found.name))
            .or_insert_with(|| BTreeSet::from([EVERYONE, AUTHENTICATED]));
        own.insert(found.holder_pid);
    }
    if about.anonymous {
        people.insert(None, BTreeSet::from([EVERYONE]));
    }
    Ok(people)
}

/// The names and patterns that tell what the change means.
async fn names(
    tx: &mut Transaction,
    about: &About,
    people: &BTreeMap<Person, BTreeSet<i64>>,
    since: OffsetDateTime,
) -> Result<Names, TokenServerError> {
    let folders: Vec<String> = about.patterns.iter().map(folder).collect();
    let seen = token_uses::list_used_repositories(&mut **tx, &folders, since, MAX_SEEN).await?;
    let seen = seen.iter().filter_map(|name| RepositoryName::parse(name).ok());
    let seen = seen.filter(|name| about.patterns.iter().any(|pattern| is_about(pattern, name)));
    let all_holders: BTreeSet<i64> = people.values().flatten().copied().collect();
    let all_holders: Vec<i64> = all_holders.into_iter().collect();
    let mut patterns: BTreeSet<RepositoryPattern> = about.patterns.iter().cloned().collect();
    let below = grant_rows::list_patterns_below(&mut **tx, &folders, &all_holders, MAX_PATTERNS).await?;
    patterns.extend(below.iter().filter_map(|text| RepositoryPattern::parse(text).ok()));
    for barrier in barrier_rows::list_barriers(&mut **tx, MAX_ROWS).await? {
        let pattern = Barrier::read(&barrier)?.pattern;
        if about.patterns.iter().any(|changed| changed.overlaps(&pattern)) {
            patterns.insert(pattern);
        }
    }
    let own = patterns.iter().filter(|pattern| pattern.is_per_subject()).count();
    let users = people.keys().filter_map(user_of).take(MAX_OWN_PATTERNS / own.max(1)).map(str::to_owned);
    let users = if own == 0 { BTreeSet::new() } else { users.collect() };
    Ok(Names { seen: seen.collect(), patterns: patterns.into_iter().collect(), users })
}

/// Whether a pattern can be about a repository, for one user or another.
fn is_about(pattern: &RepositoryPattern, name: &RepositoryName) -> bool {
    pattern.is_per_subject() || pattern.matches(name, None)
}

/// The literal part of a pattern up to its last slash; of a name, all of it.
fn folder(pattern: &RepositoryPattern) -> String {
    let anchor = pattern.anchor();
    anchor.split_once(':').map(|(_, literal)| literal.to_owned()).unwrap_or_default()
}

/// All names for which rows have to be known.
fn looked_at(about: &About, names: &Names) -> BTreeSet<RepositoryName> {
    let patterns = names.patterns.iter().chain(&about.patterns);
    let made_up = patterns.flat_map(|pattern| {
        let users: Vec<Option<&str>> = if pattern.is_per_subject() {
            names.users.iter().map(|user| Some(user.as_str())).collect()
        } else {
            vec![None]
        };
        users.into_iter().flat_map(|user| samples(pattern, user)).collect::<Vec<_>>()
    });
    names.seen.iter().cloned().chain(made_up).collect()
}

/// What is stored for these people on these names.
async fn situation(
    tx: &mut Transaction,
    holders: BTreeMap<Person, BTreeSet<i64>>,
    names: &BTreeSet<RepositoryName>,
) -> Result<Situation, TokenServerError> {
    let anchors = repository_pattern::anchors(names);
    let all: BTreeSet<i64> = holders.values().flatten().copied().collect();
    let all: Vec<i64> = all.into_iter().collect();
    let found = grant_rows::list_held_at(&mut **tx, &anchors, &all).await?;
    let barriers = barrier_rows::list_barriers_at(&mut **tx, &anchors).await?;
    Ok(Situation {
        grants: found.into_iter().map(Grant::read).collect::<Result<_, _>>()?,
        barriers: barriers.iter().map(Barrier::read).collect::<Result<_, _>>()?,
        namespaces: stored_rows::namespaces_at(&mut **tx, &anchors).await?,
        holders,
    })
}
