//! The data set: who there is, which repositories, and who was given what.
//!
//! Namespaces differ in size as they do in life: the first tenth has almost half of the repositories. Of the grants,
//! 60 % are about one repository, 30 % about a namespace (5 of them as globs), 10 % about a folder in one, and some
//! stand at the root; one in a hundred is a denial.
//!
//! *Invariant:* everything depends on scale and seed only.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "sizes are far below what doubles hold exactly"
)]

use std::collections::HashSet;

use harness::chance::Chance;
use shared::repository_pattern::RepositoryPattern;

/// Inner number of the first user.
const FIRST_PID: i64 = 1_000;

/// How much there is, and how it was drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DataSet {
    pub(crate) scale: f64,
    pub(crate) seed: u64,
    pub(crate) users: i64,
    pub(crate) teams: i64,
    pub(crate) namespaces: i64,
    pub(crate) repositories: i64,
    pub(crate) grants: i64,
    pub(crate) barriers: i64,
    pub(crate) elevations: i64,
    pub(crate) uses: i64,
    at_root: i64,
}

/// A row of rights.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct GrantOf {
    pub(crate) holder: i64,
    pub(crate) pattern: String,
    pub(crate) is_denial: bool,
    pub(crate) role: Option<&'static str>,
    pub(crate) rights: Option<&'static str>,
    pub(crate) tags: Option<&'static str>,
    pub(crate) expires_at: Option<&'static str>,
    pub(crate) networks: Option<&'static str>,
}

/// Roles that administrators made.
pub(crate) const ROLES: [(&str, &str); 4] = [
    ("deployer", "list,pull,push-digest,tag-create,tag-update,repository-create"),
    ("auditor", "list,pull,audit-read"),
    ("cleaner", "list,pull,delete"),
    ("robot-keeper", "list,pull,robot-manage"),
];

const FOLDERS: [&str; 6] = ["base", "web", "data", "infra", "ml", "tools"];

impl DataSet {
    pub(crate) fn new(scale: f64, seed: u64) -> anyhow::Result<Self> {
        anyhow::ensure!((0.001..=10.0).contains(&scale), "a scale is between 0.001 and 10");
        // Truncation loses nothing that matters.
        let times = |of: f64| (of * scale).max(10.0) as i64;
        Ok(Self {
            scale,
            seed,
            users: times(100_000.0),
            teams: times(10_000.0),
            namespaces: times(20_000.0),
            repositories: times(300_000.0),
            grants: times(1_000_000.0),
            barriers: times(200.0),
            elevations: times(10_000.0),
            uses: times(500_000.0),
            at_root: times(1_000.0),
        })
    }

    fn chance(&self, of: u64) -> Chance {
        let mut chance = Chance::new(self.seed.wrapping_mul(1_000_003) ^ of);
        chance.next();
        chance
    }

    pub(crate) const fn user_pid(user: i64) -> i64 {
        FIRST_PID + user
    }

    pub(crate) fn user_name(user: i64) -> String {
        format!("user{user:06}")
    }

    pub(crate) const fn team_pid(&self, team: i64) -> i64 {
        FIRST_PID + self.users + team
    }

    /// Robots are those of namespaces, one each.
    pub(crate) const fn robot_pid(&self, namespace: i64) -> i64 {
        FIRST_PID + self.users + self.teams + namespace
    }

    pub(crate) fn namespace_name(namespace: i64) -> String {
        format!("ns{namespace:05}")
    }

    fn namespace(&self, chance: &mut Chance) -> i64 {
        let skewed = chance.fraction().powi(3);
        ((skewed * self.namespaces as f64) as i64).min(self.namespaces - 1)
    }

    /// The name of a repository.
    pub(crate) fn repository(&self, number: i64) -> String {
        let mut chance = self.chance(0x5_0000_0000 + number.unsigned_abs());
        let namespace = self.namespace(&mut chance);
        match chance.below(10) {
            0..=6 => format!("ns{namespace:05}/app-{number:06}"),
            7 => format!("ns{namespace:05}/app-{number:06}-dev"),
            _ => format!("ns{namespace:05}/{}/app-{number:06}", chance.of(&FOLDERS)),
        }
    }

    /// The teams of a user: eight on average.
    pub(crate) fn teams_of(&self, user: i64) -> Vec<i64> {
        let mut chance = self.chance(0x6_0000_0000 + user.unsigned_abs());
        let count = 4 + chance.below(9);
        let mut teams: Vec<i64> = (0..count).map(|_| self.team_pid(chance.below(self.teams))).collect();
        teams.sort_unstable();
        teams.dedup();
        teams
    }

    /// Teams in teams: one in ten is in another one, and some of those in a third.
    pub(crate) fn nested_teams(&self) -> Vec<(i64, i64)> {
        let mut chance = self.chance(0x7_0000_0000);
        let mut nested = Vec::new();
        for team in 0..self.teams {
            let tens = self.teams / 10;
            match team % 10 {
                0 => nested.push((team, chance.below(tens) * 10 + 5)),
                5 if chance.below(3) == 0 => nested.push((team, chance.below(tens) * 10 + 9)),
                _ => {}
            }
        }
        nested.into_iter().map(|(inner, outer)| (self.team_pid(inner), self.team_pid(outer))).collect()
    }

    /// Where barriers stand.
    pub(crate) fn barriers(&self) -> Vec<String> {
        let mut chance = self.chance(0x8_0000_0000);
        let drawn: HashSet<i64> = (0..self.barriers).map(|_| self.namespace(&mut chance)).collect();
        let mut drawn: Vec<i64> = drawn.into_iter().collect();
        drawn.sort_unstable();
        drawn.into_iter().map(|namespace| format!("ns{namespace:05}/**")).collect()
    }

    /// All rows of rights, each once.
    pub(crate) fn grants(&self) -> impl Iterator<Item = GrantOf> + use<> {
        let data = *self;
        let mut chance = self.chance(0x9_0000_0000);
        let mut seen = HashSet::new();
        let mut made = 0;
        std::iter::from_fn(move || {
            while made < data.grants {
                let grant = data.grant(&mut chance, made < data.at_root);
                let key = (grant.holder, grant.pattern.clone(), grant.role, grant.rights, grant.tags);
                if seen.insert(key) {
                    made += 1;
                    return Some(grant);
                }
            }
            None
        })
    }

    fn grant(&self, chance: &mut Chance, is_at_root: bool) -> GrantOf {
        let holder = match chance.below(200) {
            _ if is_at_root => self.team_pid(chance.below(self.teams)),
            0 => 1,
            1 => 2,
            2..=89 => Self::user_pid(chance.below(self.users)),
            _ => self.team_pid(chance.below(self.teams)),
        };
        let pattern = if is_at_root {
            match chance.below(4) {
                0 => "**".to_owned(),
                1 => "*-dev/**".to_owned(),
                2 => format!("**/app-{:06}", chance.below(self.repositories)),
                _ => format!("ns{:04}?/**", chance.below(10_000)),
            }
        } else {
            match chance.below(100) {
                0..=59 => self.repository(chance.below(self.repositories)),
                60..=84 => format!("ns{:05}/**", self.namespace(chance)),
                85..=89 => {
                    let globs = ["*-dev", "{base,web}/**", "app-0*", "*/app-*"];
                    format!("ns{:05}/{}", self.namespace(chance), chance.of(&globs))
                }
                _ => format!("ns{:05}/{}/**", self.namespace(chance), chance.of(&FOLDERS)),
            }
        };
        let is_denial = chance.below(100) == 0;
        let role = match chance.below(100) {
            0..=39 => "viewer",
            40..=69 => "writer",
            70..=79 => "publisher",
            80..=87 => "maintainer",
            88..=89 => "owner",
            _ => chance.of(&ROLES).0,
        };
        let drawn = chance.below(200);
        GrantOf {
            holder,
            pattern,
            is_denial,
            role: (!is_denial).then_some(role),
            rights: is_denial.then_some("push"),
            tags: (drawn < 2).then_some("v*"),
            expires_at: (2..6).contains(&drawn).then_some("2090-01-01 00:00:00Z"),
            networks: (drawn == 6).then_some("{10.0.0.0/8,127.0.0.0/8}"),
        }
    }

    /// Users and repositories that they may pull by a row of their own.
    pub(crate) fn pulls(&self, most: usize) -> Vec<(i64, String)> {
        let users = Self::user_pid(0)..Self::user_pid(self.users);
        let good = self.grants().filter(|grant| {
            users.contains(&grant.holder)
                && !grant.is_denial
                && grant.expires_at.is_none()
                && grant.networks.is_none()
                && !grant.pattern.contains('*')
                && RepositoryPattern::parse(&grant.pattern).is_ok()
        });
        good.take(most).map(|grant| (grant.holder - FIRST_PID, grant.pattern)).collect()
    }

    /// Any user and any repository.
    pub(crate) fn questions(&self, count: usize) -> Vec<(i64, String)> {
        let mut chance = self.chance(0xa_0000_0000);
        let draw = |_| (chance.below(self.users), self.repository(chance.below(self.repositories)));
        (0..count).map(draw).collect()
    }
}
