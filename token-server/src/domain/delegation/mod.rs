//! Who may change which rights.
//!
//! Whoever administers a place (`grant-manage`) may give, deny and take away there what they hold there themselves, for
//! as long and from where they hold it. A denial or a barrier inside the place they administer does not bind them in
//! this, because they could take it away first; one that comes from outside does. What is not about a place (users,
//! teams, roles, the whole record) is for those who hold everything everywhere.
//!
//! *Invariant:* nothing here looks at what other people hold, and whatever cannot be proved is refused; so no sequence
//! of changes by somebody gives, to whomever, more than that somebody held, or touches anything outside their place.

use shared::repository_pattern::RepositoryPattern;

use super::barrier::Barrier;
use super::grant::{Circumstances, Effect, Grant};
use super::policy::Rows;
use super::right::{Right, RightSet};

/// Why somebody may not change a row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDelegated {
    /// They administer no place that the row lies in.
    #[error("you do not administer {0}; that takes grant-manage on all of it")]
    NotAdministered(String),
    /// It is about rights they do not hold there.
    #[error("you do not hold {rights} on all of {pattern}, so you can neither give nor take it")]
    Beyond {
        /// Which.
        rights: RightSet,
        /// Where.
        pattern: String,
    },
    /// It is shown only to those who hold a right.
    #[error("{what} takes {right} on all of {pattern}, which you do not hold")]
    NotHeld {
        /// For what, as in "listing barriers".
        what: &'static str,
        /// Which.
        right: Right,
        /// Where.
        pattern: String,
    },
    /// It is for those who hold everything.
    #[error("{0} takes `*` on `**`")]
    NotEverything(&'static str),
}

/// A row that is to be added, changed or removed: its pattern, its rights, and when and from where it counts.
#[derive(Clone, Copy, Debug)]
pub struct Touched<'a> {
    /// The row.
    pub grant: &'a Grant,
    /// Whether it is to be there; what is removed need not end before one's own rights.
    pub is_added: bool,
}

/// What somebody can do about rights: made of the rows they hold at this moment.
#[derive(Clone, Debug)]
pub struct Authority {
    /// What gives, each for this user.
    given: Vec<Grant>,
    denied: Vec<Grant>,
    barriers: Vec<Barrier>,
}

impl Authority {
    /// Reads the rows that somebody holds; `user` is the name that `${user}` in a pattern stands for.
    pub fn of(rows: Rows, user: Option<&str>, circumstances: Circumstances) -> Self {
        let counting = rows.grants.into_iter().filter(|row| row.counts(circumstances).is_ok());
        let own = counting.filter_map(|row| Some(Grant { pattern: row.pattern.for_user(user)?, ..row }));
        let (given, denied) = own.partition(|row| row.effect == Effect::Allow);
        Self { given, denied, barriers: rows.barriers }
    }

    /// Whether everything is held everywhere.
    pub fn is_everything(&self) -> bool {
        self.demand_everything("").is_ok()
    }

    /// Whether any place is administered.
    pub fn administers_anything(&self) -> bool {
        let places = self.given.iter().filter(|row| row.rights().contains(Right::GrantManage));
        places.into_iter().any(|row| !self.managing(&row.pattern).is_empty())
    }

    /// Lets through who holds everything everywhere; `what` says for what, as in "adding a user".
    pub fn demand_everything(&self, what: &'static str) -> Result<(), NotDelegated> {
        let all = RepositoryPattern::all();
        let managing = self.managing(&all);
        let is_root =
            managing.iter().any(|row| row.what.rights() == RightSet::EVERYTHING && row.tags.is_none());
        if is_root { Ok(()) } else { Err(NotDelegated::NotEverything(what)) }
    }

    /// Lets through who holds a right on all that a pattern covers, whatever is denied inside the place they
    /// administer.
    pub fn demand(&self, right: Right, pattern: &RepositoryPattern) -> Result<(), NotDelegated> {
        let managing = self.managing(pattern);
        if self.holds(right, pattern, &managing, &|_| true) {
            Ok(())
        } else {
            Err(NotDelegated::Beyond { rights: RightSet::of(&[right]), pattern: pattern.to_string() })
        }
    }

    /// Lets through who may add or remove a row.
    pub fn demand_row(&self, touched: Touched<'_>) -> Result<(), NotDelegated> {
        let Touched { grant, is_added } = touched;
        let rights = match grant.effect {
            Effect::Allow => grant.rights(),
            Effect::Deny => grant.rights().union(grant.rights().takes_along()),
        };
        let lasts = |own: &Grant| !is_added || lasts_as_long(own, grant);
        self.demand_rights(rights, &grant.pattern, &|own| lasts(own) && says_as_much(own, grant), &lasts)
    }

    /// Lets through who holds all that these rows give, as long as they do, so that acting by them would be nothing new.
    pub fn demand_as_much<'a>(&self, rows: impl IntoIterator<Item = &'a Grant>) -> Result<(), NotDelegated> {
        for row in rows.into_iter().filter(|row| row.effect == Effect::Allow) {
            let managing = self.managing(&row.pattern);
            let suits = |own: &Grant| lasts_as_long(own, row) && says_as_much(own, row);
            self.demand_held(row.rights(), &row.pattern, &managing, &suits)?;
        }
        Ok(())
    }

    /// Lets through who may put up or take away a barrier.
    pub fn demand_barrier(&self, barrier: &Barrier) -> Result<(), NotDelegated> {
        // Whoever lacks a part does not hold `*`, whatever the barrier says of it.
        let rights = barrier.rights.difference(RightSet::of(&[Right::All]));
        self.demand_rights(rights, &barrier.pattern, &|_| true, &|_| true)
    }

    fn demand_rights(
        &self,
        rights: RightSet,
        pattern: &RepositoryPattern,
        suits: &dyn Fn(&Grant) -> bool,
        manages: &dyn Fn(&Grant) -> bool,
    ) -> Result<(), NotDelegated> {
        let managing = self.managing(pattern);
        if !managing.iter().any(|row| manages(row)) {
            return Err(NotDelegated::NotAdministered(pattern.to_string()));
        }
        self.demand_held(rights, pattern, &managing, suits)
    }

    fn demand_held(
        &self,
        rights: RightSet,
        pattern: &RepositoryPattern,
        managing: &[&Grant],
        suits: &dyn Fn(&Grant) -> bool,
    ) -> Result<(), NotDelegated> {
        let missing = rights.iter().filter(|right| !self.holds(*right, pattern, managing, suits));
        let missing = missing.fold(RightSet::EMPTY, |set, right| set.union(RightSet::of(&[right])));
        if missing.is_empty() {
            Ok(())
        } else {
            Err(NotDelegated::Beyond { rights: missing, pattern: pattern.to_string() })
        }
    }

    /// The rows by which somebody administers all that a pattern covers.
    fn managing<'a>(&'a self, pattern: &'a RepositoryPattern) -> Vec<&'a Grant> {
        let candidates: Vec<&Grant> = self.giving(Right::GrantManage, pattern).collect();
        let are_stopped = |row: &&&Grant| self.is_stopped(row, Right::GrantManage, pattern, &candidates);
        candidates.iter().filter(|row| !are_stopped(row)).copied().collect()
    }

    fn holds(
        &self,
        right: Right,
        pattern: &RepositoryPattern,
        managing: &[&Grant],
        suits: &dyn Fn(&Grant) -> bool,
    ) -> bool {
        self.giving(right, pattern).any(|row| suits(row) && !self.is_stopped(row, right, pattern, managing))
    }

    /// The rows that give a right on all that a pattern covers.
    fn giving<'a>(
        &'a self,
        right: Right,
        pattern: &'a RepositoryPattern,
    ) -> impl Iterator<Item = &'a Grant> + 'a {
        self.given.iter().filter(move |row| row.rights().contains(right) && row.pattern.covers(pattern))
    }

    /// Whether a denial or a barrier that is not theirs to take away stops a right somewhere in a pattern.
    fn is_stopped(
        &self,
        row: &Grant,
        right: Right,
        pattern: &RepositoryPattern,
        managing: &[&Grant],
    ) -> bool {
        let is_theirs = |place: &RepositoryPattern| managing.iter().any(|own| own.pattern.covers(place));
        let denied = self.denied.iter().any(|denial| {
            let rights = denial.rights().union(denial.rights().takes_along());
            rights.contains(right) && denial.pattern.overlaps(pattern) && !is_theirs(&denial.pattern)
        });
        denied
            || self.barriers.iter().any(|barrier| {
                barrier.rights.contains(right)
                    && barrier.is_above(row)
                    && barrier.pattern.overlaps(pattern)
                    && !is_theirs(&barrier.pattern)
            })
    }
}

/// Whether one's own row ends no sooner than another, and counts wherever that does.
fn lasts_as_long(own: &Grant, other: &Grant) -> bool {
    let ends = own.conditions.expires_at;
    let reaches = ends.is_none_or(|end| other.conditions.expires_at.is_some_and(|its| its <= end));
    let (own, networks) = (&own.conditions.networks, &other.conditions.networks);
    let is_within = |network| own.iter().any(|own| own.contains(network));
    reaches && (own.is_empty() || (!networks.is_empty() && networks.iter().all(is_within)))
}

/// Whether one's own row is about all tags that another is about.
fn says_as_much(own: &Grant, other: &Grant) -> bool {
    own.tags.is_none() || own.tags == other.tags
}

#[cfg(test)]
mod tests;
