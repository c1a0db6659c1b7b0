//! Lists a page at a time, and what is in them one by one, for those who may see it.
//!
//! *Invariant:* a page holds nothing that `super::sight` does not show, and reading leaves no record.

use shared::repository_pattern::RepositoryPattern;

use super::super::barrier::Barrier;
use super::super::error::TokenServerError;
use super::super::grant::Grant;
use super::super::grant_subject::GrantSubject;
use super::super::principal_name::PrincipalName;
use super::super::role::Role;
use super::sight::{Sight, SubjectSight};
use super::{Administration, find_subject, not_found};
use crate::db::barriers::{self, BarrierRow};
use crate::db::error::DbError;
use crate::db::grants::GrantSummary;
use crate::db::places::{AnchorRange, Place};
use crate::db::principals::{TEAM, USER};
use crate::db::roles::{self, RoleRow};
use crate::db::teams::{self, MemberRow, TeamSummary};
use crate::db::users::{self, UserSummary};
use crate::db::{self, grant_pages};

/// A part of a list.
#[derive(Clone, Debug)]
pub struct Page<T, C> {
    /// What is in it; perhaps less than was asked for, although there is more.
    pub items: Vec<T>,
    /// Behind what the next one begins; nothing when this is the last.
    pub next: Option<C>,
}

/// Cuts what was found to a page: one more was asked for, to see whether there is more.
pub(super) fn page<T, C>(mut items: Vec<T>, limit: usize, key: impl Fn(&T) -> C) -> Page<T, C> {
    let is_last = items.len() <= limit;
    items.truncate(limit);
    let next = items.last().filter(|_| !is_last).map(key);
    Page { items, next }
}

/// Rows that are read at once where only some of them are shown.
const READ_AT_ONCE: usize = 1_000;

/// So many times is read for one page: who sees little of a long list keeps the server no longer than others do.
const MAX_READS: usize = 10;

/// Reads a list, so many rows behind a key at a time, and keeps what is shown until that is a page. After [`MAX_READS`]
/// the page holds what was found, and the next one begins behind what was read last, which is perhaps not shown: whoever
/// tells where that is seals it.
pub(super) async fn page_of_shown<R, K>(
    mut behind: K,
    limit: usize,
    mut read: impl AsyncFnMut(&K, i64) -> Result<Vec<R>, DbError>,
    key: impl Fn(&R) -> K,
    is_shown: impl Fn(&R) -> Result<bool, TokenServerError>,
) -> Result<Page<R, K>, TokenServerError> {
    let at_once = i64::try_from(READ_AT_ONCE).unwrap_or(i64::MAX);
    let mut shown = Vec::new();
    for _ in 0..MAX_READS {
        let rows = read(&behind, at_once).await?;
        let is_end = rows.len() < READ_AT_ONCE;
        if let Some(last) = rows.last() {
            behind = key(last);
        }
        for row in rows {
            if is_shown(&row)? {
                shown.push(row);
            }
        }
        if is_end || shown.len() > limit {
            return Ok(page(shown, limit, key));
        }
    }
    Ok(Page { items: shown, next: Some(behind) })
}

/// What is read to see whether there is more.
pub(super) fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX - 1) + 1
}

/// Which rights or barriers are listed.
#[derive(Clone, Debug, Default)]
pub struct PlaceFilter {
    /// Those of this subject.
    pub subject: Option<GrantSubject>,
    /// Those that lie in this place.
    pub within: Option<RepositoryPattern>,
}

impl PlaceFilter {
    /// Where in the order of anchors they lie.
    fn ranges(&self) -> Vec<AnchorRange> {
        let Some(pattern) = &self.within else { return vec![AnchorRange::all()] };
        let anchor = pattern.anchor();
        match anchor.strip_prefix("s:") {
            None => vec![AnchorRange::exactly(anchor)],
            Some("") => vec![AnchorRange::all()],
            Some(folder) => {
                let parent = folder.strip_suffix('/').unwrap_or(folder);
                let inside = |kind: &str| AnchorRange::beginning_with(&format!("{kind}{folder}"));
                vec![AnchorRange::exactly(format!("r:{parent}")), inside("r:"), inside("s:")]
            }
        }
    }

    fn admits(&self, pattern: &RepositoryPattern) -> bool {
        self.within.as_ref().is_none_or(|within| within.covers(pattern))
    }
}

impl Administration {
    /// Users by name, behind one.
    pub async fn page_of_users(
        &self,
        behind: &str,
        limit: usize,
    ) -> Result<Page<UserSummary, String>, TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        let found = match self.sight(&mut tx).await?.narrowed() {
            Some(sight) => match sight.subject.user_name().filter(|name| *name > behind) {
                Some(name) => users::find_user_summary(&mut *tx, name).await?.into_iter().collect(),
                None => Vec::new(),
            },
            None => users::list_users_behind(&mut *tx, behind, one_more(limit)).await?,
        };
        Ok(page(found, limit, |user| user.name.clone()))
    }

    /// One user.
    pub async fn show_user(&self, name: &PrincipalName) -> Result<UserSummary, TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        let is_seen = self.sight(&mut tx).await?.shows_user(name.as_str());
        let found = users::find_user_summary(&mut *tx, name.as_str()).await?;
        found.filter(|_| is_seen).ok_or_else(|| not_found(USER, name))
    }

    /// Teams by name, behind one.
    pub async fn page_of_teams(
        &self,
        behind: &str,
        limit: usize,
    ) -> Result<Page<TeamSummary, String>, TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        let sight = self.sight(&mut tx).await?;
        let own = sight.narrowed().map(SubjectSight::team_numbers);
        let found = teams::list_teams_behind(&mut *tx, behind, own.as_deref(), one_more(limit)).await?;
        Ok(page(found, limit, |team| team.name.clone()))
    }

    /// One team.
    pub async fn show_team(&self, name: &PrincipalName) -> Result<TeamSummary, TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        let is_seen = self.sight(&mut tx).await?.shows_team(name.as_str());
        let found = teams::find_team_summary(&mut *tx, name.as_str()).await?;
        found.filter(|_| is_seen).ok_or_else(|| not_found(TEAM, name))
    }

    /// Members of a team in the order in which they came to be, behind one.
    pub async fn page_of_members(
        &self,
        team: &PrincipalName,
        behind: i64,
        limit: usize,
    ) -> Result<Page<MemberRow, i64>, TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        let is_seen = self.sight(&mut tx).await?.shows_team(team.as_str());
        let found = db::principals::find_principal(&mut *tx, TEAM, team.as_str()).await?;
        let pid = found.filter(|_| is_seen).ok_or_else(|| not_found(TEAM, team))?;
        let found = teams::list_members_behind(&mut *tx, pid, behind, one_more(limit)).await?;
        Ok(page(found, limit, |row| row.pid))
    }

    /// Roles that were made, by name, behind one.
    pub async fn page_of_roles(
        &self,
        behind: &str,
        limit: usize,
    ) -> Result<Page<RoleRow, String>, TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        let sight = self.sight(&mut tx).await?;
        let own = sight.narrowed().map(SubjectSight::role_names);
        let found = roles::list_roles_behind(&mut *tx, behind, own, one_more(limit)).await?;
        Ok(page(found, limit, |role| role.name.clone()))
    }

    /// One role that was made.
    pub async fn show_role(&self, name: &str) -> Result<RoleRow, TokenServerError> {
        let missing = || TokenServerError::NotFound { kind: "role", name: name.to_owned() };
        if !Role::is_name(name) {
            return Err(missing());
        }
        let mut tx = db::begin(&self.pool).await?;
        let is_seen = self.sight(&mut tx).await?.shows_role(name);
        roles::find_role(&mut *tx, name).await?.filter(|_| is_seen).ok_or_else(missing)
    }

    /// Rights by place, behind one. Who does not hold everything asks for a place they administer, or for a subject
    /// whose rights are their own.
    pub async fn page_of_grants(
        &self,
        filter: &PlaceFilter,
        behind: &Place,
        limit: usize,
    ) -> Result<Page<GrantSummary, Place>, TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        let sight = self.sight(&mut tx).await?;
        if !filter.subject.as_ref().is_some_and(|subject| sight.is_own(subject)) {
            let everywhere = RepositoryPattern::all();
            let place = filter.within.as_ref().unwrap_or(&everywhere);
            sight.demand_within("listing the rights of others", place)?;
            demand_whole_place(&sight, place)?;
        }
        let ranges = filter.ranges();
        let found = match &filter.subject {
            None => grant_pages::list_grants_behind(&mut *tx, &ranges, behind, one_more(limit)).await?,
            Some(subject) => {
                let Some(pid) = find_subject(&mut tx, subject).await? else {
                    return Ok(Page { items: Vec::new(), next: None });
                };
                let subjects = [pid];
                let limit = one_more(limit);
                grant_pages::list_grants_of_behind(&mut *tx, &subjects, &ranges, behind, limit).await?
            }
        };
        let read = |found: GrantSummary| Grant::read(found.row.clone()).map(|row| (found, row.pattern));
        let found = found.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let Page { items, next } =
            page(found, limit, |(found, pattern)| Place { anchor: pattern.anchor(), id: found.row.id });
        let admitted = items.into_iter().filter(|(_, pattern)| filter.admits(pattern));
        Ok(Page { items: admitted.map(|(found, _)| found).collect(), next })
    }

    /// The rights that apply to whoever asks, up to a number, first their own; and whether these are all.
    pub async fn own_grants(&self, limit: usize) -> Result<(Vec<GrantSummary>, bool), TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        let Sight::Of(sight) = self.sight(&mut tx).await? else {
            return Ok((Vec::new(), true));
        };
        let (ranges, beginning) = ([AnchorRange::all()], Place::default());
        let mut found = Vec::new();
        for holders in sight.own_numbers() {
            let left = one_more(limit.saturating_sub(found.len()));
            let more = grant_pages::list_grants_of_behind(&mut *tx, &holders, &ranges, &beginning, left);
            found.extend(more.await?);
            if found.len() > limit {
                break;
            }
        }
        let Page { items, next } = page(found, limit, |_| ());
        Ok((items, next.is_none()))
    }

    /// The teams of whoever asks, through however many others, by name.
    pub async fn own_teams(&self) -> Result<Vec<String>, TokenServerError> {
        let Some(pid) = self.actor.pid() else { return Ok(Vec::new()) };
        let found = teams::list_teams_of(&self.pool, pid).await?;
        Ok(found.into_iter().map(|team| team.name).collect())
    }

    /// One right by its number.
    pub async fn show_grant(&self, id: i64) -> Result<GrantSummary, TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        Ok(self.visible_grant(&mut tx, id).await?.0)
    }

    /// Barriers by pattern, behind the one with this anchor. Who does not hold everything asks for a place they
    /// administer.
    pub async fn page_of_barriers(
        &self,
        within: Option<&RepositoryPattern>,
        behind: &str,
        limit: usize,
    ) -> Result<Page<BarrierRow, String>, TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        let everywhere = RepositoryPattern::all();
        let place = within.unwrap_or(&everywhere);
        let sight = self.sight(&mut tx).await?;
        sight.demand_within("listing barriers", place)?;
        demand_whole_place(&sight, place)?;
        // A barrier stands around a subtree, whose anchor says all of its pattern.
        let range = match place.anchor().strip_prefix("s:") {
            Some(folder) => AnchorRange::beginning_with(&format!("s:{folder}")),
            None => return Ok(Page { items: Vec::new(), next: None }),
        };
        let found = barriers::list_barriers_behind(&mut *tx, &range, behind, one_more(limit)).await?;
        let found = found.into_iter().map(|row| {
            let barrier = Barrier::read(&row)?;
            Ok((row, barrier.pattern))
        });
        let found = found.collect::<Result<Vec<_>, DbError>>()?;
        let Page { items, next } = page(found, limit, |(_, pattern)| pattern.anchor());
        let admitted = items.into_iter().filter(|(_, pattern)| place.covers(pattern));
        Ok(Page { items: admitted.map(|(row, _)| row).collect(), next })
    }

    /// One barrier.
    pub async fn show_barrier(&self, pattern: &RepositoryPattern) -> Result<BarrierRow, TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        let is_seen = self.sight(&mut tx).await?.demand_within("seeing a barrier", pattern).is_ok();
        let name = pattern.to_string();
        let found = barriers::find_barrier(&mut *tx, &pattern.anchor(), &name).await?;
        found.filter(|_| is_seen).ok_or(TokenServerError::NotFound { kind: "barrier around", name })
    }
}

/// Refuses a place in which not all that is read may be shown: where a page ends would tell of what is left out.
fn demand_whole_place(sight: &Sight, place: &RepositoryPattern) -> Result<(), TokenServerError> {
    let is_whole = place.is_exact() || place.is_subtree() || *place == RepositoryPattern::all();
    if sight.is_everything() || is_whole {
        return Ok(());
    }
    let sentence =
        format!("{place} is no place to list; ask for a repository, or all below a name as in `a/b/**`");
    Err(TokenServerError::Contradiction(sentence))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_place_is_where_its_rows_are_in_the_order_of_anchors() {
        let lies_in = |within: &str, pattern: &str| {
            let pattern = RepositoryPattern::parse(pattern).unwrap();
            let within = RepositoryPattern::parse(within).unwrap();
            let filter = PlaceFilter { subject: None, within: Some(within) };
            let anchor = pattern.anchor();
            let is_read = filter.ranges().iter().any(|range| range.from <= anchor && anchor < range.to);
            assert!(is_read || !filter.admits(&pattern), "{pattern} is admitted and not read");
            is_read && filter.admits(&pattern)
        };
        for (within, pattern, expected) in [
            ("**", "a", true),
            ("**", "**", true),
            ("a/**", "a", true),
            ("a/**", "a/**", true),
            ("a/**", "a/b/c", true),
            ("a/**", "a/b/*-dev", true),
            ("a/**", "a/${user}/**", true),
            ("a/**", "a-b", false),
            ("a/**", "a0/**", false),
            ("a/**", "**", false),
            ("a/b", "a/b", true),
            ("a/b", "a/b/**", false),
            ("a/*-dev", "a/x-dev", true),
            ("a/*-dev", "a/x", false),
            ("a/*-dev", "a/*-dev", true),
        ] {
            assert_eq!(lies_in(within, pattern), expected, "{within} {pattern}");
        }
    }

    #[test]
    fn the_next_page_begins_behind_the_last_item() {
        let three = page(vec![1, 2, 3], 2, |item| *item);
        assert_eq!((three.items, three.next), (vec![1, 2], Some(2)));
        let two = page(vec![1, 2], 2, |item| *item);
        assert_eq!((two.items, two.next), (vec![1, 2], None));
        assert_eq!(page(Vec::new(), 2, |item: &i32| *item).next, None);
    }

    #[test]
    fn a_page_of_a_list_that_is_mostly_hidden_takes_so_many_reads_and_no_more() {
        let all = 1..=25_000;
        let read_from = |behind: i64, limit: usize, is_shown: &dyn Fn(i64) -> bool| {
            let mut reads = 0;
            let read = async |behind: &i64, at_most: i64| {
                reads += 1;
                Ok(all.clone().filter(|row| row > behind).take(usize::try_from(at_most).unwrap()).collect())
            };
            let found = page_of_shown(behind, limit, read, |row| *row, |row| Ok(is_shown(*row)));
            let Page { items, next } = found.now_or_never().unwrap().unwrap();
            (items, next, reads)
        };
        assert_eq!(read_from(0, 2, &|_| true), (vec![1, 2], Some(2), 1));
        assert_eq!(read_from(24_998, 2, &|_| true), (vec![24_999, 25_000], None, 1));
        assert_eq!(read_from(0, 2, &|row| row % 2_000 == 0), (vec![2_000, 4_000], Some(4_000), 6));
        assert_eq!(read_from(0, 2, &|row| row == 7 || row > 24_998), (vec![7], Some(10_000), 10));
        assert_eq!(read_from(10_000, 2, &|row| row == 7 || row > 24_998), (vec![], Some(20_000), 10));
        assert_eq!(read_from(20_000, 2, &|row| row == 7 || row > 24_998), (vec![24_999, 25_000], None, 6));
    }
}
