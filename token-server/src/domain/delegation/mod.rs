//! Who may change which rights.
//!
//! Whoever administers a place (`grant-manage`) may give, deny and take away there what they hold there themselves, for
//! as long and from where they hold it. A denial or a barrier that they could take away themselves does not bind them in
//! this; any other does, and so does one that is about administering the place, unless it is of a smaller place. What
//! stays for good, and what is not about a place (users, teams, roles, the whole record), is for those who hold it for
//! good.
//!
//! *Invariant:* nothing here looks at what other people hold, and whatever cannot be proved is refused; so no sequence
//! of changes by somebody gives, to whomever, more or for longer than that somebody held, or touches anything outside
//! their place.

mod membership;

use shared::limits::TagPattern;
use shared::repository_pattern::RepositoryPattern;

use super::barrier::Barrier;
use super::grant::{Circumstances, Conditions, Effect, Grant, NotNow};
use super::policy::Rows;
use super::right::{Right, RightSet};
pub use membership::Move;

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
    /// A team denies it to its members.
    #[error(
        "whoever is in the team is denied {rights} on {pattern}, so who is in it is for those who administer that place"
    )]
    Denied {
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
    /// It is for those who hold everything for good.
    #[error("{0} takes `*` on `**`, without an end and from everywhere")]
    NotEverything(&'static str),
    /// The secret of the login is not good for everything.
    #[error(
        "the secret of this login is limited, and good for registries only; the API takes one that is not"
    )]
    LimitedCredential,
    /// It is for the user it is about, who has to prove to be there.
    #[error("{0} takes the password of that user: it is made by them, logged in with it")]
    PasswordLogin(&'static str),
    /// What others would come to hold wants more than was shown.
    #[error(
        "a right of this team on {pattern} counts only with a second factor, and this login was made without one"
    )]
    SharedWithoutSecondFactor {
        /// Where.
        pattern: String,
    },
    /// The settings want more than was shown.
    #[error(
        "this server lets people administer only with a second factor; sign in on its pages with one, or use a token or \
         a login that was made there afterwards"
    )]
    SecondFactorFirst,
}

/// A row that is to be added, changed or removed: its pattern, its rights, and when and from where it counts.
#[derive(Clone, Copy, Debug)]
pub struct Touched<'a> {
    /// The row.
    pub grant: &'a Grant,
    /// Whether it is to be there; what is removed need not end before one's own rights.
    pub is_added: bool,
}

/// A denial, or a barrier, against somebody.
#[derive(Clone, Debug)]
struct Stop {
    pattern: RepositoryPattern,
    /// What it takes away, with what goes along.
    rights: RightSet,
    /// On which tags only.
    tags: Option<TagPattern>,
    /// Number of the row, if it is a denial.
    denial: Option<i64>,
    /// Which barrier it is, if it is no denial.
    barrier: Option<Barrier>,
    /// Whether they could not take it away themselves.
    binds: bool,
    /// Whether it counts at this moment and for this request.
    is_now: bool,
}

impl Stop {
    fn denial(row: Grant, is_now: bool) -> Self {
        let rights = row.rights().union(row.rights().takes_along());
        Self {
            rights,
            pattern: row.pattern,
            tags: row.tags,
            denial: Some(row.id),
            barrier: None,
            binds: false,
            is_now,
        }
    }

    fn barrier(barrier: Barrier) -> Self {
        let (pattern, rights) = (barrier.pattern.clone(), barrier.rights);
        Self { pattern, rights, tags: None, denial: None, barrier: Some(barrier), binds: false, is_now: true }
    }

    /// Whether all of it lies in the place of a row, and not all of that in it.
    fn is_smaller_than(&self, row: &Grant) -> bool {
        row.pattern.covers(&self.pattern) && row.pattern != self.pattern
    }

    /// Whether it keeps a row from giving a right somewhere in a pattern.
    fn stops(&self, row: &Grant, right: Right, pattern: &RepositoryPattern) -> bool {
        // Who administers a larger place is not kept from it by whoever administers a smaller one.
        let binds =
            if right == Right::GrantManage { self.is_now && !self.is_smaller_than(row) } else { self.binds };
        binds
            && self.rights.contains(right)
            && self.pattern.overlaps(pattern)
            && self.barrier.as_ref().is_none_or(|barrier| barrier.is_above(row))
    }
}

/// What somebody can do about rights: made of the rows they hold at this moment.
#[derive(Clone, Debug)]
pub struct Authority {
    /// What gives, each for this user.
    given: Vec<Grant>,
    stops: Vec<Stop>,
    /// Whether they showed a second factor.
    has_second_factor: bool,
}

impl Authority {
    /// Reads the rows that somebody holds; `user` is the name that `${user}` in a pattern stands for.
    pub fn of(rows: Rows, user: Option<&str>, circumstances: Circumstances) -> Self {
        let own = rows
            .grants
            .into_iter()
            .filter_map(|row| Some(Grant { pattern: row.pattern.for_user(user)?, ..row }));
        let (mut given, denied): (Vec<_>, Vec<_>) = own.partition(|row| row.effect == Effect::Allow);
        given.retain(|row| row.counts(circumstances).is_ok());
        // What begins to be denied later, or is elsewhere, is not handed on today or here.
        let denied = denied.into_iter().filter_map(|row| match row.counts(circumstances) {
            Ok(()) => Some(Stop::denial(row, true)),
            Err(NotNow::TooEarly | NotNow::Elsewhere | NotNow::NoSecondFactor) => {
                Some(Stop::denial(row, false))
            }
            Err(NotNow::Expired) => None,
        });
        let stops = denied.chain(rows.barriers.into_iter().map(Stop::barrier)).collect();
        let mut authority = Self { given, stops, has_second_factor: circumstances.second_factor };
        authority.find_what_binds();
        authority
    }

    /// What cannot be taken away may keep from taking away something else, and so on.
    fn find_what_binds(&mut self) {
        let manages = |row: &&Grant| row.rights().contains(Right::GrantManage) && is_for_good(row);
        let managing: Vec<&Grant> = self.given.iter().filter(manages).collect();
        let owns = |row: &&&Grant| {
            let is_inside = |stop: &Stop| stop.is_smaller_than(row) || !stop.pattern.overlaps(&row.pattern);
            row.rights() == RightSet::EVERYTHING && self.stops.iter().all(is_inside)
        };
        let owning: Vec<&Grant> = managing.iter().filter(owns).copied().collect();
        let place = |stop: &Stop| {
            let is_theirs = managing.iter().any(|row| row.pattern.covers(&stop.pattern));
            // Whoever owns a place that nothing stops from outside can take away whatever stands in it.
            (!is_theirs, is_theirs && !owning.iter().any(|row| stop.is_smaller_than(row)))
        };
        let (elsewhere, mut open): (Vec<bool>, Vec<bool>) = self.stops.iter().map(place).unzip();
        for (stop, is_elsewhere) in self.stops.iter_mut().zip(elsewhere) {
            stop.binds = is_elsewhere;
        }
        loop {
            let is_kept = |(index, stop): (usize, &Stop)| open[index] && !self.may_take_away(stop);
            let kept: Vec<bool> = self.stops.iter().enumerate().map(is_kept).collect();
            if !kept.contains(&true) {
                return;
            }
            for (index, _) in kept.iter().enumerate().filter(|(_, is_kept)| **is_kept) {
                self.stops[index].binds = true;
                open[index] = false;
            }
        }
    }

    /// Whether they could take a denial or a barrier away by the rows they hold for good.
    fn may_take_away(&self, stop: &Stop) -> bool {
        let suits = |own: &Grant| is_for_good(own) && (own.tags.is_none() || own.tags == stop.tags);
        let all = RightSet::of(&[Right::All]);
        let rights = if stop.barrier.is_some() { stop.rights.difference(all) } else { stop.rights };
        self.demand_rights(rights, &stop.pattern, &suits, &is_for_good).is_ok()
    }

    /// Whether everything is held everywhere at this moment.
    pub fn is_everything(&self) -> bool {
        self.owns_everything(&|_| true)
    }

    /// Whether any place is administered.
    pub fn administers_anything(&self) -> bool {
        let mut places = self.given.iter().filter(|row| row.rights().contains(Right::GrantManage));
        places.any(|row| self.manages(&row.pattern, &|_| true))
    }

    /// Lets through who holds everything everywhere, and for good, because so is what comes of it; `what` says for what,
    /// as in "adding a user".
    pub fn demand_everything(&self, what: &'static str) -> Result<(), NotDelegated> {
        if self.owns_everything(&is_for_good) { Ok(()) } else { Err(NotDelegated::NotEverything(what)) }
    }

    fn owns_everything(&self, suits: &dyn Fn(&Grant) -> bool) -> bool {
        let is_owner = |row: &Grant| row.rights() == RightSet::EVERYTHING && suits(row);
        self.manages(&RepositoryPattern::all(), &is_owner)
    }

    /// Lets through who holds a right on all that a pattern covers at this moment.
    pub fn demand(&self, right: Right, pattern: &RepositoryPattern) -> Result<(), NotDelegated> {
        self.demand_held(RightSet::of(&[right]), pattern, &|_| true)
    }

    /// Lets through who holds a right on all that a pattern covers for as long as something is going to count, and from
    /// where that does.
    pub fn demand_for(
        &self,
        right: Right,
        pattern: &RepositoryPattern,
        conditions: &Conditions,
    ) -> Result<(), NotDelegated> {
        self.demand_held(RightSet::of(&[right]), pattern, &|own| lasts_as_long(own, conditions))
    }

    /// Lets through who administers all that a pattern covers, to whom may be told what stands there.
    pub fn demand_administered(&self, pattern: &RepositoryPattern) -> Result<(), NotDelegated> {
        self.demand_rights(RightSet::EMPTY, pattern, &|_| true, &|_| true)
    }

    /// Lets through who may add or remove a row. What is given may be taken away by those who hold it for a while; that
    /// a denial goes gives something.
    pub fn demand_row(&self, touched: Touched<'_>) -> Result<(), NotDelegated> {
        let Touched { grant, is_added } = touched;
        let (rights, is_brief) = match grant.effect {
            Effect::Allow => (grant.rights(), !is_added),
            Effect::Deny => (grant.rights().union(grant.rights().takes_along()), false),
        };
        let lasts = |own: &Grant| is_brief || lasts_as_long(own, &grant.conditions);
        self.demand_rights(rights, &grant.pattern, &|own| lasts(own) && says_as_much(own, grant), &lasts)
    }

    /// Lets through who holds all that these rows give, as long as they do, so that acting by them would be nothing new.
    pub fn demand_as_much<'a>(&self, rows: impl IntoIterator<Item = &'a Grant>) -> Result<(), NotDelegated> {
        for row in rows.into_iter().filter(|row| row.effect == Effect::Allow) {
            let suits = |own: &Grant| lasts_as_long(own, &row.conditions) && says_as_much(own, row);
            self.demand_held(row.rights(), &row.pattern, &suits)?;
        }
        Ok(())
    }

    /// Lets through who may put up or take away a barrier, which stands for all tags and until somebody takes it away.
    pub fn demand_barrier(&self, barrier: &Barrier) -> Result<(), NotDelegated> {
        // Whoever lacks a part does not hold `*`, whatever the barrier says of it.
        let rights = barrier.rights.difference(RightSet::of(&[Right::All]));
        let suits = |own: &Grant| is_for_good(own) && own.tags.is_none();
        self.demand_rights(rights, &barrier.pattern, &suits, &is_for_good)
    }

    fn demand_rights(
        &self,
        rights: RightSet,
        pattern: &RepositoryPattern,
        suits: &dyn Fn(&Grant) -> bool,
        manages: &dyn Fn(&Grant) -> bool,
    ) -> Result<(), NotDelegated> {
        if !self.manages(pattern, manages) {
            return Err(NotDelegated::NotAdministered(pattern.to_string()));
        }
        self.demand_held(rights, pattern, suits)
    }

    fn demand_held(
        &self,
        rights: RightSet,
        pattern: &RepositoryPattern,
        suits: &dyn Fn(&Grant) -> bool,
    ) -> Result<(), NotDelegated> {
        let missing = rights.iter().filter(|right| !self.holds(*right, pattern, suits));
        let missing = missing.fold(RightSet::EMPTY, |set, right| set.union(RightSet::of(&[right])));
        if missing.is_empty() {
            Ok(())
        } else {
            Err(NotDelegated::Beyond { rights: missing, pattern: pattern.to_string() })
        }
    }

    /// Whether all that a pattern covers is administered by such a row.
    fn manages(&self, pattern: &RepositoryPattern, suits: &dyn Fn(&Grant) -> bool) -> bool {
        self.holds(Right::GrantManage, pattern, suits)
    }

    /// Whether such a row gives a right on all that a pattern covers, and nothing that binds keeps it from that.
    fn holds(&self, right: Right, pattern: &RepositoryPattern, suits: &dyn Fn(&Grant) -> bool) -> bool {
        let mut giving = self
            .given
            .iter()
            .filter(|row| row.rights().contains(right) && row.pattern.covers(pattern) && suits(row));
        giving.any(|row| !self.stops.iter().any(|stop| stop.stops(row, right, pattern)))
    }
}

/// Whether one's own row ends no sooner than something else, and counts wherever and for whichever login that does.
fn lasts_as_long(own: &Grant, other: &Conditions) -> bool {
    let ends = own.conditions.expires_at;
    let reaches = ends.is_none_or(|end| other.expires_at.is_some_and(|its| its <= end));
    // Whoever owns a place decides whether a second factor is needed there; others hand on what they hold as they do.
    let is_strict =
        !own.conditions.second_factor || other.second_factor || own.rights() == RightSet::EVERYTHING;
    let (own, networks) = (&own.conditions.networks, &other.networks);
    let is_within = |network| own.iter().any(|own| own.contains(network));
    let is_near = own.is_empty() || (!networks.is_empty() && networks.iter().all(is_within));
    reaches && is_near && is_strict
}

/// Whether one's own row has no end and counts everywhere.
fn is_for_good(own: &Grant) -> bool {
    lasts_as_long(own, &Conditions::default())
}

/// Whether one's own row is about all tags that another is about.
fn says_as_much(own: &Grant, other: &Grant) -> bool {
    own.tags.is_none() || own.tags == other.tags
}

#[cfg(test)]
mod tests;
