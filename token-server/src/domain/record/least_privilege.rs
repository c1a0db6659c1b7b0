//! Rights that are more than what was used: rows that gave nothing for a long time, and rows that could be smaller.
//!
//! Only what counts for the whole time is judged, and only what is known for the whole time. Where it is not known which
//! repositories were used, no smaller rows are proposed. Rows that give what tokens do not show, because it is done over
//! the API, are not judged; nor is the rest of them, because it is what their holders give to others.
//!
//! *Invariant:* nothing is changed; and whoever replaces a row by what is proposed keeps everything it was used for.

use std::collections::{BTreeMap, BTreeSet};

use shared::action::{Action, ActionSet};
use shared::repository_name::RepositoryName;
use time::{Date, Duration, OffsetDateTime};

use super::super::error::TokenServerError;
use super::super::grant::{Effect, Grant};
use super::super::right::{Right, RightSet};
use super::super::robot_name::RobotName;
use super::audit;
use crate::db::grants::{self, GrantSummary, Source};
use crate::db::principals::{AUTHENTICATED, EVERYONE, WORKLOAD};
use crate::db::teams;
use crate::db::token_uses::{self, SummedUse};
use crate::db::{self, Pool};

/// A row is not replaced by more rows than this.
const MAX_SMALLER: usize = 10;

/// Of more different uses than this, no smaller rows are made up.
const MAX_USES: i64 = 200_000;

/// What could be less.
#[derive(Clone, Debug)]
pub struct Report {
    /// Rows that give something and were looked at, because they count for long enough.
    pub judged: usize,
    /// Rows that would have been, but give what tokens do not show.
    pub not_shown: usize,
    /// What was found, by row.
    pub findings: Vec<Finding>,
    /// Rows about which nothing was found, made by hand as well.
    pub others: Vec<GrantSummary>,
    /// Whether smaller rows were looked for.
    pub looked_for_smaller: bool,
}

/// One row that could be less.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The row.
    pub grant: GrantSummary,
    /// The last day on which it gave something.
    pub last_used: Option<Date>,
    /// How often it did in the time that was asked about.
    pub uses: i64,
    /// What would be enough; nothing if it was not used.
    pub enough: Vec<Smaller>,
}

/// A part of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Smaller {
    /// Where.
    pub repository: RepositoryName,
    /// What; as in the row where it is for tags only.
    pub rights: Option<RightSet>,
}

const MANUAL: &str = Source::Manual.as_str();

/// Looks at all rights.
pub async fn report(pool: &Pool, now: OffsetDateTime, days: u32) -> Result<Report, TokenServerError> {
    let mut snapshot = db::begin_snapshot(pool).await?;
    let since = now - Duration::days(days.into());
    let start = token_uses::find_start(&mut *snapshot).await?.unwrap_or(now);
    if start > since {
        let possible = u32::try_from((now - start).whole_days()).unwrap_or_default();
        return Err(TokenServerError::UsesNotKnown { since: audit::moment(start), asked: days, possible });
    }
    let known: BTreeMap<i64, (Date, i64)> = token_uses::list_grant_uses(&mut *snapshot, since.date())
        .await?
        .into_iter()
        .map(|found| (found.grant_id, (found.last_day, found.uses)))
        .collect();
    let (mut judged, mut others, mut not_shown) = (Vec::new(), Vec::new(), 0);
    for summary in grants::list_grants(&mut *snapshot).await? {
        let grant = Grant::read(summary.row.clone())?;
        let begins = grant.conditions.not_before.unwrap_or(summary.created_at).max(summary.created_at);
        // What belongs to a namespace, to a policy or to a request is changed there.
        // Workloads cannot have logged in, so that nothing was used says nothing.
        let can_be_used = summary.subject_kind != WORKLOAD;
        if grant.effect != Effect::Allow || summary.source != MANUAL || !can_be_used {
            continue;
        }
        if begins > since {
            others.push(summary);
        } else if is_shown(grant.rights()) {
            judged.push((grant, summary));
        } else {
            not_shown += 1;
            others.push(summary);
        }
    }
    let summed = token_uses::list_summed_uses(&mut *snapshot, since, MAX_USES).await?;
    let holders: BTreeSet<i64> = judged.iter().map(|(grant, _)| grant.holder).collect();
    let holders: Vec<i64> = holders.into_iter().collect();
    let mut members: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for found in teams::list_behind(&mut *snapshot, &holders).await? {
        if found.kind != WORKLOAD {
            members.entry(found.name).or_default().push(found.holder_pid);
        }
    }
    let looked_for_smaller = i64::try_from(summed.len()).is_ok_and(|count| count < MAX_USES);
    let mut parts = if looked_for_smaller {
        used_parts(judged.iter().map(|(grant, _)| grant), &members, &summed)
    } else {
        BTreeMap::new()
    };
    let (count, mut findings) = (judged.len(), Vec::new());
    for (grant, summary) in judged {
        let (last_used, uses) = known.get(&grant.id).map_or((None, 0), |(day, uses)| (Some(*day), *uses));
        let part = parts.remove(&grant.id).flatten();
        match if uses == 0 { Some(Vec::new()) } else { smaller(&grant, part) } {
            Some(enough) => findings.push(Finding { grant: summary, last_used, uses, enough }),
            None => others.push(summary),
        }
    }
    Ok(Report { judged: count, not_shown, findings, others, looked_for_smaller })
}

/// Whether tokens show the use of all these rights, besides that of seeing repositories in lists.
fn is_shown(rights: RightSet) -> bool {
    const OVER_THE_API: RightSet = RightSet::ADMINISTER.union(RightSet::of(&[Right::BreakGlass, Right::All]));
    rights.intersection(OVER_THE_API).is_empty() && rights != RightSet::of(&[Right::List])
}

/// Where a row was used, and for what; nothing where that is not known.
type Parts = Option<BTreeMap<RepositoryName, RightSet>>;

/// What each of these rows was used for, as far as it can have been that row.
fn used_parts<'a>(
    grants: impl Iterator<Item = &'a Grant>,
    members: &BTreeMap<String, Vec<i64>>,
    summed: &[SummedUse],
) -> BTreeMap<i64, Parts> {
    let mut by_holder: BTreeMap<i64, Vec<&Grant>> = BTreeMap::new();
    for grant in grants {
        by_holder.entry(grant.holder).or_default().push(grant);
    }
    let mut parts: BTreeMap<i64, Parts> = BTreeMap::new();
    for used in summed {
        let name = (!used.subject.is_empty()).then_some(used.subject.as_str());
        let own = name.and_then(|name| members.get(name)).into_iter().flatten();
        let builtin = [Some(&EVERYONE), name.map(|_| &AUTHENTICATED)].into_iter().flatten();
        let held = own.chain(builtin).filter_map(|holder| by_holder.get(holder)).flatten();
        let repository = RepositoryName::parse(&used.repository).ok();
        let rights = rights_behind(ActionSet::parse_known(&used.actions));
        for grant in held {
            let part = parts.entry(grant.id).or_insert_with(|| Some(BTreeMap::new()));
            let Some(repository) = &repository else {
                *part = None;
                continue;
            };
            let rights = rights.intersection(grant.rights());
            if let Some(part) = part
                && !rights.is_empty()
                && grant.pattern.matches(repository, name.filter(|name| RobotName::parse(name).is_err()))
            {
                let known = part.entry(repository.clone()).or_default();
                *known = known.union(rights);
            }
        }
    }
    parts
}

fn rights_behind(actions: ActionSet) -> RightSet {
    let rights = actions.iter().fold(RightSet::EMPTY, |set, action| set.union(RightSet::behind(action)));
    // Who pulls may have looked for it, and who pushes may have made it.
    let seen = if actions.contains(Action::Pull) { RightSet::of(&[Right::List]) } else { RightSet::EMPTY };
    let made = if actions.contains(Action::Push) { RightSet::PUSH } else { RightSet::EMPTY };
    rights.union(seen).union(made)
}

/// What would be enough instead of a row, if that is less and in few words.
fn smaller(grant: &Grant, used: Parts) -> Option<Vec<Smaller>> {
    let used = used.filter(|used| !used.is_empty() && used.len() <= MAX_SMALLER)?;
    if grant.pattern.is_per_subject() {
        return None;
    }
    // What is for tags only is given with all its rights: which of them were used is not known.
    let is_less = |rights: RightSet| grant.tags.is_none() && rights != grant.rights();
    let is_whole = grant.pattern.is_exact() && !used.values().any(|rights| is_less(*rights));
    let part = |(repository, rights): (RepositoryName, RightSet)| Smaller {
        rights: is_less(rights).then_some(rights),
        repository,
    };
    (!is_whole).then(|| used.into_iter().map(part).collect())
}

#[cfg(test)]
mod tests {
    use shared::limits::TagPattern;
    use shared::repository_pattern::RepositoryPattern;

    use super::super::super::grant::{Conditions, What};
    use super::*;

    fn grant(id: i64, holder: i64, words: &str, pattern: &str) -> Grant {
        Grant {
            id,
            holder,
            effect: Effect::Allow,
            what: What::Rights(RightSet::parse(words).unwrap()),
            pattern: RepositoryPattern::parse(pattern).unwrap(),
            tags: None,
            conditions: Conditions::default(),
        }
    }

    fn used(subject: &str, repository: &str, actions: &str) -> SummedUse {
        SummedUse {
            subject: subject.into(),
            repository: repository.into(),
            actions: actions.into(),
            uses: 1,
            last_address: None,
        }
    }

    /// What would be enough for each of these rows, in words.
    fn enough(grants: &[Grant], uses: &[SummedUse]) -> Vec<Option<String>> {
        let members = BTreeMap::from([("ann".to_owned(), vec![100, 200]), ("ben".to_owned(), vec![200])]);
        let mut parts = used_parts(grants.iter(), &members, uses);
        let words = |part: Smaller| match part.rights {
            Some(rights) => format!("{rights} {}", part.repository),
            None => part.repository.to_string(),
        };
        let of = |grant: &Grant| {
            let smaller = smaller(grant, parts.remove(&grant.id)?)?;
            Some(smaller.into_iter().map(words).collect::<Vec<_>>().join("; "))
        };
        grants.iter().map(of).collect()
    }

    #[test]
    fn what_is_done_over_the_api_is_not_judged() {
        for (words, expected) in [
            ("list,pull", true),
            ("list,pull,push,delete,repository-delete", true),
            ("*", false),
            ("pull,administer", false),
            ("grant-manage", false),
            ("robot-manage,pull", false),
            ("elevation-approve", false),
            ("audit-read", false),
            ("break-glass,pull", false),
            ("list", false),
        ] {
            assert_eq!(is_shown(RightSet::parse(words).unwrap()), expected, "{words}");
        }
    }

    #[test]
    fn what_was_used_is_enough() {
        let grants =
            [grant(1, 200, "pull,push", "**"), grant(2, 100, "pull", "a"), grant(3, EVERYONE, "*", "a")];
        let uses = [used("ann", "a", "pull"), used("ben", "b/c", "pull,push"), used("", "a", "pull")];
        let expected = [Some("pull a; b/c".to_owned()), None, Some("list,pull a".to_owned())];
        assert_eq!(enough(&grants, &uses), expected);
    }

    #[test]
    fn nothing_is_proposed_where_it_is_not_known_or_not_less() {
        let tagged =
            Grant { tags: Some(TagPattern::parse("v*").unwrap()), ..grant(1, 200, "pull,push", "a") };
        assert_eq!(enough(&[tagged], &[used("ann", "a", "pull")]), [None], "which rights were used");
        let wide = [grant(1, 200, "pull", "**")];
        assert_eq!(
            enough(&wide, &[used("ann", "a", "pull"), used("ben", "", "")]),
            [None],
            "which repositories"
        );
        let many: Vec<_> =
            (0..=MAX_SMALLER).map(|number| used("ben", &format!("r{number}"), "pull")).collect();
        assert_eq!(enough(&wide, &many), [None], "too many");
        assert_eq!(enough(&wide, &many[1..]).iter().flatten().count(), 1);
        let own = [grant(1, AUTHENTICATED, "pull,push", "people/${user}/**")];
        assert_eq!(enough(&own, &[used("ann", "people/ann/x", "pull")]), [None], "everybody's own place");
    }
}
