//! Who may be put into a team, or taken out, by those who maintain it.
//!
//! Whoever maintains a team is in it, so that they hold the same rows as everybody else there, for as long as those
//! count and from where. What they can be short of is what they alone are denied, and places that are each member's own.
//! What the team denies is no gift: that somebody comes to be denied it, or no longer is, is a change of that place.
//!
//! *Invariant:* nobody comes to hold more by it than the maintainer does, and nobody comes to be denied anything that
//! the maintainer could not deny them.

use std::collections::BTreeSet;

use time::OffsetDateTime;

use super::{Authority, Effect, Grant, NotDelegated, RightSet, Stop, Touched};
use crate::db::principals::{AUTHENTICATED, EVERYONE};

/// Whether somebody comes into a team or leaves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// Comes into it.
    In,
    /// Leaves it.
    Out,
}

impl Authority {
    /// Lets through a member who puts somebody into the same team or takes somebody out. `joined` is all that everybody
    /// in the team holds: its rows, those of the teams it is in, and those of everybody.
    pub fn demand_membership(
        &self,
        joined: &[Grant],
        direction: Move,
        now: OffsetDateTime,
    ) -> Result<(), NotDelegated> {
        // What is each member's own is denied elsewhere to each.
        let is_common = |row: &&Grant| !row.pattern.is_per_subject();
        let common: BTreeSet<i64> = joined.iter().filter(is_common).map(|row| row.id).collect();
        let is_over = |row: &Grant| row.conditions.expires_at.is_some_and(|end| end <= now);
        let is_everybodys = |row: &Grant| [EVERYONE, AUTHENTICATED].contains(&row.holder);
        for row in joined.iter().filter(|row| !is_over(row) && !is_everybodys(row)) {
            match row.effect {
                Effect::Deny => self.demand_denial(row, direction)?,
                Effect::Allow if direction == Move::In => self.demand_shared(row, &common)?,
                Effect::Allow => {}
            }
        }
        Ok(())
    }

    fn demand_denial(&self, row: &Grant, direction: Move) -> Result<(), NotDelegated> {
        let denied = |_| NotDelegated::Denied { rights: row.rights(), pattern: row.pattern.to_string() };
        self.demand_row(Touched { grant: row, is_added: direction == Move::In }).map_err(denied)
    }

    /// Lets through who holds by a row what others would hold by it.
    fn demand_shared(&self, row: &Grant, common: &BTreeSet<i64>) -> Result<(), NotDelegated> {
        if row.pattern.is_per_subject() {
            // It is about another place for each of them.
            return self.demand_as_much([row]);
        }
        if row.conditions.second_factor && !self.has_second_factor {
            return Err(NotDelegated::SharedWithoutSecondFactor { pattern: row.pattern.to_string() });
        }
        let is_own = |stop: &&Stop| stop.denial.is_some_and(|id| !common.contains(&id));
        let own: Vec<&Stop> = self.stops.iter().filter(is_own).collect();
        let missing =
            row.rights().iter().filter(|right| own.iter().any(|stop| stop.stops(row, *right, &row.pattern)));
        let missing = missing.fold(RightSet::EMPTY, |set, right| set.union(RightSet::of(&[right])));
        if missing.is_empty() {
            Ok(())
        } else {
            Err(NotDelegated::Beyond { rights: missing, pattern: row.pattern.to_string() })
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shared::repository_pattern::RepositoryPattern;

    use super::super::super::grant::{Circumstances, Conditions, What};
    use super::super::super::policy::{Held, Rows};
    use super::super::super::right::Right;
    use super::super::super::role::Role;
    use super::super::Barrier;
    use super::*;

    const ANN: i64 = 100;
    const TEAM: i64 = 200;
    const OTHER_TEAM: i64 = 201;

    /// Rows such as `writer a/**` or `-push a/b`, of these holders.
    fn rows(texts: &[(i64, &str)]) -> Vec<Grant> {
        let row = |(id, (holder, text)): (i64, &(i64, &str))| {
            let (what, pattern) = text.split_once(' ').unwrap();
            let (effect, what) = match what.strip_prefix('-') {
                Some(rights) => (Effect::Deny, What::Rights(RightSet::parse(rights).unwrap())),
                None => (Effect::Allow, What::Role(Role::find_built_in(what).unwrap())),
            };
            let pattern = RepositoryPattern::parse(pattern).unwrap();
            Grant {
                id,
                holder: *holder,
                effect,
                what,
                pattern,
                tags: None,
                conditions: Conditions::default(),
            }
        };
        (1..).zip(texts).map(row).collect()
    }

    fn now() -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1000).unwrap()
    }

    /// What ann is told, who maintains the team, when she adds somebody and when she takes somebody out.
    fn told(rows: &[Grant]) -> [Result<(), NotDelegated>; 2] {
        let own = Rows { grants: rows.to_vec(), ..Rows::default() };
        let own = Authority::of(
            own,
            Some("ann"),
            Circumstances { now: now(), address: None, second_factor: false },
        );
        let joined: Vec<Grant> = rows
            .iter()
            .filter(|row| [TEAM, EVERYONE, AUTHENTICATED].contains(&row.holder))
            .cloned()
            .collect();
        [Move::In, Move::Out].map(|direction| own.demand_membership(&joined, direction, now()))
    }

    fn may(texts: &[(i64, &str)]) -> [bool; 2] {
        told(&rows(texts)).map(|told| told.is_ok())
    }

    #[test]
    fn a_maintainer_shares_what_everybody_in_the_team_holds() {
        for (own, expected) in [
            (&[][..], [true, true]),
            (&[(TEAM, "writer a/**")], [true, true]),
            // What everybody is denied, others are too.
            (&[(TEAM, "writer a/**"), (EVERYONE, "-push a/b/**")], [true, true]),
            (&[(TEAM, "writer a/**"), (AUTHENTICATED, "-push a/**")], [true, true]),
            (&[(TEAM, "writer a/**"), (EVERYONE, "-push a/${user}/**")], [false, true]),
            // What only she is denied, she does not hold, and others would.
            (&[(TEAM, "writer a/**"), (ANN, "-push a/b/**")], [false, true]),
            (&[(TEAM, "writer a/**"), (OTHER_TEAM, "-push a/**")], [false, true]),
            (&[(TEAM, "writer a/**"), (ANN, "-delete a/**")], [true, true]),
            (&[(TEAM, "writer a/**"), (ANN, "-push b/**")], [true, true]),
            (&[(TEAM, "writer a/**"), (ANN, "-push a/b/**"), (ANN, "owner a/**")], [true, true]),
        ] {
            assert_eq!(may(own), expected, "{own:?}");
        }
    }

    #[test]
    fn places_of_each_member_are_for_those_who_hold_them_all() {
        assert_eq!(may(&[(TEAM, "maintainer people/${user}/**")]), [false, true]);
        assert_eq!(may(&[(TEAM, "maintainer people/${user}/**"), (ANN, "owner people/**")]), [true, true]);
    }

    #[test]
    fn what_a_team_denies_is_for_those_who_administer_the_place() {
        let denied = &[(TEAM, "writer a/**"), (TEAM, "-push a/b/**")][..];
        assert_eq!(may(denied), [false, false]);
        let sentence = "whoever is in the team is denied push on a/b/**, so who is in it is for those who administer that place";
        assert_eq!(told(&rows(denied))[0].clone().unwrap_err().to_string(), sentence);
        assert_eq!(may(&[denied, &[(ANN, "owner a/**")]].concat()), [true, true]);
        // What is over says nothing.
        let mut over = rows(denied);
        over[1].conditions.expires_at = Some(now());
        assert!(told(&over).iter().all(Result::is_ok));
    }

    fn any_rows() -> impl Strategy<Value = Vec<(i64, String)>> {
        let holder = prop_oneof![Just(ANN), Just(TEAM), Just(TEAM), Just(OTHER_TEAM), Just(EVERYONE)];
        let what = prop_oneof![
            4 => prop::sample::select(vec!["viewer", "publisher", "writer", "maintainer"]),
            2 => prop::sample::select(vec!["-push", "-pull", "-tag-delete", "-manifest-delete"]),
        ];
        let places = vec!["a", "a/b", "a/**", "**", "a/*", "b/**", "b/${user}/**", "*/c"];
        let row = (holder, what, prop::sample::select(places));
        let row = row.prop_map(|(holder, what, pattern)| (holder, format!("{what} {pattern}")));
        proptest::collection::vec(row, 0..6)
    }

    fn any_barriers() -> impl Strategy<Value = Vec<Barrier>> {
        let barrier = (prop::sample::select(vec!["a/**", "a/b/**", "b/**"]), any::<bool>());
        let barrier = barrier.prop_map(|(pattern, is_push)| {
            let rights = if is_push { RightSet::PUSH } else { RightSet::DELETE };
            Barrier::new(RepositoryPattern::parse(pattern).unwrap(), rights).unwrap()
        });
        proptest::collection::vec(barrier, 0..3)
    }

    proptest! {
        #[test]
        fn a_newcomer_holds_no_more_than_the_maintainer(texts in any_rows(), barriers in any_barriers()) {
            let texts: Vec<(i64, &str)> = texts.iter().map(|(holder, text)| (*holder, text.as_str())).collect();
            let mut all = rows(&texts);
            let circumstances = Circumstances { now: now(), address: None, second_factor: false };
            let of = |grants: &[Grant], holders: &[i64]| Rows {
                grants: grants.iter().filter(|row| holders.contains(&row.holder)).cloned().collect(),
                barriers: barriers.clone(),
                ..Rows::default()
            };
            let own = of(&all, &[ANN, TEAM, OTHER_TEAM, EVERYONE]);
            let joined = of(&all, &[TEAM, EVERYONE]);
            let authority = Authority::of(own.clone(), Some("ann"), circumstances);
            let is_let_in = authority.demand_membership(&joined.grants, Move::In, now()).is_ok();
            let is_let_out = authority.demand_membership(&joined.grants, Move::Out, now()).is_ok();
            prop_assert!(!is_let_in || is_let_out, "who may put in may take out");
            // Ben is in no team, and holds everything as long as nobody denies it.
            let [ben, rich] = [300, 301];
            all.extend(rows(&[(rich, "owner **")]));
            for name in ["a", "a/b", "a/b/c", "a/c", "b", "b/ann/x", "b/ben/x", "c/c"] {
                let name = name.parse().unwrap();
                let held = |rows: &Rows, user| Held::of(rows, &name, Some(user), circumstances);
                let (alone, inside) = (of(&all, &[ben, EVERYONE]), of(&all, &[ben, TEAM, EVERYONE]));
                let (before, after) = (of(&all, &[rich, EVERYONE]), of(&all, &[rich, TEAM, EVERYONE]));
                for (right, tag) in Right::ALL.iter().flat_map(|right| [(*right, Some("v1")), (*right, None)]) {
                    let may = |rows: &Rows| held(rows, "ben").allows(right, tag);
                    let gains = !may(&alone) && may(&inside);
                    prop_assert!(!is_let_in || !gains || held(&own, "ann").allows(right, tag), "{right} on {name}");
                    prop_assert!(!is_let_out || !may(&before) || may(&after), "{right} on {name} is denied");
                }
            }
        }
    }
}
