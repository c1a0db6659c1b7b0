//! Rights in memory and rights in the database: the same rows, the same decisions, whatever was changed meanwhile.
//!
//! Changes are made with plain SQL, which is more than commands do, in transactions of several changes.
//!
//! *Invariant:* what is random here comes from seeds that stand here, so a failure comes again.

use std::collections::BTreeSet;

use harness::chance::Chance;
use harness::database::Database;
use shared::repository_name::RepositoryName;
use shared::repository_pattern::RepositoryPattern;
use shared::secret::Secret;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use time::macros::datetime;
use token_server::db::dialer::Dialer;
use token_server::db::{self, Pool};
use token_server::domain::grant::Circumstances;
use token_server::domain::policy::{Held, Rows};
use token_server::domain::snapshot::Snapshot;
use token_server::domain::stored_rows;

/// The first of them are workloads.
const USERS: i64 = 12;
const WORKLOADS: i64 = 3;
const TEAMS: i64 = 8;

/// Numbers of users begin here, those of teams above.
const FIRST: i64 = 1000;

const NAMES: [&str; 9] = ["a", "a/b", "a/b/c", "a/c", "b/a", "b/u3/x", "u3", "a-dev", "a/b-dev/c"];

const PATTERNS: [&str; 14] = [
    "**",
    "a",
    "a/b",
    "a/**",
    "a/b/**",
    "a/b/c",
    "b/**",
    "*-dev",
    "a/*-dev/**",
    "a/{b,c}",
    "${user}/**",
    "b/${user}/*",
    "**/c",
    "u3",
];

/// A database and what is known to be in it.
struct Place {
    database: Database,
    connection: PgConnection,
    chance: Chance,
}

impl Place {
    async fn new(seed: u64) -> anyhow::Result<Self> {
        let database = Database::create().await?;
        let connection = database.db_connect().await?;
        let mut place = Self { database, connection, chance: Chance::new(seed) };
        let people = format!(
            "insert into principal (pid, uid, kind, name) overriding system value
             select {FIRST} + n, gen_random_uuid(), case when n < {WORKLOADS} then 'workload' when n < {USERS} then 'user' else 'team' end,
                    'u' || n
               from generate_series(0, {}) n;
             insert into role (name, rights) values ('deployer', 'pull,push'), ('reader', 'pull')",
            USERS + TEAMS - 1
        );
        place.connection.execute(AssertSqlSafe(people)).await?;
        Ok(place)
    }

    fn user(&mut self) -> i64 {
        FIRST + self.chance.below(USERS)
    }

    fn team(&mut self) -> i64 {
        FIRST + USERS + self.chance.below(TEAMS)
    }

    fn anybody(&mut self) -> i64 {
        match self.chance.below(8) {
            0 => db::principals::EVERYONE,
            1 => db::principals::AUTHENTICATED,
            2..=4 => self.team(),
            _ => self.user(),
        }
    }

    /// One change, or the attempt to make one that changes nothing.
    fn change(&mut self) -> anyhow::Result<String> {
        Ok(match self.chance.below(22) {
            0..=8 => {
                let pattern = RepositoryPattern::parse(self.chance.of(&PATTERNS))?;
                let what = ["viewer", "writer", "owner", "deployer", "reader"];
                let what = format!("'allow', '{}', null", self.chance.of(&what));
                let rights = format!("'allow', null, '{}'", self.chance.of(&["list,pull", "push", "tag-delete"]));
                let denial = format!("'deny', null, '{}'", self.chance.of(&["pull", "push", "tag-create"]));
                let conditions = [
                    "null, null, null", "null, null, null", "null, '2020-01-01', null",
                    "'2090-01-01', '2091-01-01', null", "null, '2090-01-01', '{192.0.2.0/24}'",
                ];
                // Of a role that reads, a second factor is needed.
                format!(
                    "insert into acl_grant (subject_pid, anchor, pattern, effect, role, rights, tags, not_before,
                                            expires_at, networks, second_factor)
                     select pid, '{1}', '{pattern}', effect, role, rights, tags, {4}, coalesce(role = 'reader', false)
                       from (values ({0}, {2}, {3})) row(pid, effect, role, rights, tags) on conflict do nothing",
                    self.anybody(),
                    pattern.anchor(),
                    self.chance.of(&[what.as_str(), &rights, &denial]),
                    self.chance.of(&["null", "null", "'v*'"]),
                    self.chance.of(&conditions)
                )
            }
            9..=11 => format!(
                "delete from acl_grant where id = (select id from acl_grant order by id offset {} limit 1)",
                self.chance.below(40)
            ),
            12 => format!(
                "update acl_grant set expires_at = '2030-01-01', subject_pid = subject_pid
                  where id = (select id from acl_grant order by id offset {} limit 1) and not_before is null",
                self.chance.below(40)
            ),
            13 | 14 => {
                let (team, user) = (self.team(), self.user());
                // A team is only put into teams with bigger numbers, so there are no cycles.
                let (inner, outer) = (self.team(), self.team());
                let member = if self.chance.below(2) == 0 { user } else { inner };
                let team = if member < FIRST + USERS { team } else { inner.max(outer) };
                format!(
                    "insert into team_member (member_pid, team_pid) select {member}, {team} where {member} <> {team}
                         on conflict do nothing"
                )
            }
            15 => format!(
                "delete from team_member where ctid = (select ctid from team_member offset {} limit 1)",
                self.chance.below(10)
            ),
            16 => format!(
                "update principal set disabled_at = case when disabled_at is null then now() end where pid = {}",
                self.user()
            ),
            17 => {
                let pattern = RepositoryPattern::parse(self.chance.of(&["a/**", "a/b/**", "b/**"]))?;
                let rights = self.chance.of(&["push", "pull,delete"]);
                format!(
                    "insert into acl_barrier (anchor, pattern, rights) values ('{}', '{pattern}', '{rights}')
                         on conflict (anchor, pattern) do update set rights = excluded.rights",
                    pattern.anchor()
                )
            }
            18 => "delete from acl_barrier where ctid = (select ctid from acl_barrier limit 1)".to_owned(),
            19 => format!(
                "insert into namespace (name, owner_pid, visibility, create_policy) values ('{}', {}, 'private', '{}')
                     on conflict (name) do update set create_policy = excluded.create_policy",
                self.chance.of(&["a", "b"]),
                self.user(),
                self.chance.of(&["pushers", "admins", "nobody"])
            ),
            20 => format!("delete from namespace where name = '{}'", self.chance.of(&["a", "b"])),
            _ => format!(
                "update role set rights = '{}' where name = '{}'",
                self.chance.of(&["pull", "list,pull,push", "delete"]),
                self.chance.of(&["deployer", "reader"])
            ),
        })
    }

    /// Makes some changes, in transactions, one of which is now and then given up.
    async fn changes(&mut self, count: usize) -> anyhow::Result<()> {
        let mut left = count;
        while left > 0 {
            let together = left.min(usize::try_from(1 + self.chance.below(4))?);
            left -= together;
            let changes = (0..together).map(|_| self.change()).collect::<anyhow::Result<Vec<_>>>()?;
            let is_kept = self.chance.below(10) > 0;
            let mut tx = self.connection.begin().await?;
            for change in changes {
                tx.execute(AssertSqlSafe(change)).await?;
            }
            if is_kept {
                tx.commit().await?;
            } else {
                tx.rollback().await?;
            }
        }
        Ok(())
    }

    fn dialer(&self) -> anyhow::Result<Dialer> {
        Ok(Dialer::new(&Secret::new(self.database.url()))?)
    }

    fn pool(&self) -> anyhow::Result<Pool> {
        Ok(db::connect(&Secret::new(self.database.url()), 2)?)
    }

    /// Those who may log in, and nobody in particular.
    async fn askers(&mut self) -> anyhow::Result<Vec<(Option<i64>, Option<String>)>> {
        // A workload has no place of its own, and so no name that matters.
        let found: Vec<(i64, Option<String>)> = sqlx::query_as(
            "select pid, case kind when 'user' then name end from principal
              where kind in ('user', 'workload') and disabled_at is null",
        )
        .fetch_all(&mut self.connection)
        .await?;
        Ok(found.into_iter().map(|(pid, name)| (Some(pid), name)).chain([(None, None)]).collect())
    }
}

/// Rows in an order, because theirs means nothing.
fn sorted(mut rows: Rows) -> Rows {
    rows.grants.sort_by_key(|row| row.id);
    rows.barriers.sort_by_key(|barrier| barrier.pattern.to_string());
    rows.namespaces.sort_by(|one, two| one.name.cmp(&two.name));
    rows
}

/// Compares everything that anybody could ask.
async fn compare(place: &mut Place, pool: &Pool, snapshot: &Snapshot) -> anyhow::Result<BTreeSet<String>> {
    let address = Some("192.0.2.1".parse()?);
    let with = |second_factor| Circumstances { now: datetime!(2026-12-01 0:00 UTC), address, second_factor };
    let mut seen = BTreeSet::new();
    for (pid, user) in place.askers().await? {
        for name in NAMES {
            let name = RepositoryName::parse(name)?;
            let stored = sorted(stored_rows::near(pool, pid, &[&name]).await?);
            let kept = sorted(snapshot.near(pid, &[&name])?);
            assert_eq!(kept, stored, "{pid:?} {name}");
            for circumstances in [with(false), with(true)] {
                let held = |rows| Held::of(rows, &name, user.as_deref(), circumstances);
                assert_eq!(held(&kept), held(&stored), "{pid:?} {name}");
                seen.insert(held(&kept).actions().to_string());
            }
        }
        let stored = stored_rows::all(pool, pid).await?.map(sorted);
        assert_eq!(snapshot.all(pid, stored_rows::MAX_ROWS)?.map(sorted), stored, "{pid:?}");
    }
    Ok(seen)
}

#[tokio::test]
async fn memory_and_database_give_the_same_rows() -> anyhow::Result<()> {
    for seed in 0..4 {
        let mut place = Place::new(seed).await?;
        place.changes(150).await?;
        let pool = place.pool()?;
        let mut connection = place.dialer()?.dial().await?;
        let mut snapshot = Snapshot::load(&mut connection).await?;
        let seen = compare(&mut place, &pool, &snapshot).await?;
        assert!(seen.len() > 3, "the data makes no difference: {seen:?}");
        for _ in 0..8 {
            place.changes(15).await?;
            snapshot = snapshot.next(&mut connection).await?.expect("the log leads on");
            compare(&mut place, &pool, &snapshot).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_thousand_changes_lead_where_reading_everything_does() -> anyhow::Result<()> {
    let mut place = Place::new(99).await?;
    let mut connection = place.dialer()?.dial().await?;
    let mut snapshot = Snapshot::load(&mut connection).await?;
    let first = snapshot.clone();
    let mut made = 0;
    while made < 1_000 {
        let count = usize::try_from(1 + place.chance.below(40))?;
        place.changes(count).await?;
        made += count;
        snapshot = snapshot.next(&mut connection).await?.expect("the log leads on");
    }
    let fresh = Snapshot::load(&mut connection).await?;
    assert_eq!(snapshot.position(), fresh.position());
    assert!(snapshot.says_the_same(&fresh));
    assert!(!snapshot.says_the_same(&first), "what is changed is a copy");
    // Whether they follow one by one or all at once.
    let at_once = first.next(&mut connection).await?.expect("the log leads on");
    assert!(at_once.says_the_same(&fresh));
    Ok(())
}

#[tokio::test]
async fn where_the_log_does_not_lead_on_everything_is_read_again() -> anyhow::Result<()> {
    let mut place = Place::new(7).await?;
    let mut connection = place.dialer()?.dial().await?;
    for change in [
        // Pruned beyond what was read.
        "update role set rights = 'push' where name = 'reader'; delete from acl_change \
         where seq < (select max(seq) from acl_change)",
        // Another history of the same length, as in a restored database.
        "update acl_change set mark = gen_random_uuid()",
        // Too much to note.
        "truncate acl_barrier",
        // A release to come.
        "alter table acl_change drop constraint acl_change_kind_check; insert into acl_change (kind) values ('x')",
    ] {
        let snapshot = Snapshot::load(&mut connection).await?;
        assert!(snapshot.next(&mut connection).await?.is_some());
        place.connection.execute(sqlx::raw_sql(change)).await?;
        assert!(snapshot.next(&mut connection).await?.is_none(), "{change}");
    }
    Ok(())
}

#[tokio::test]
async fn a_row_that_cannot_be_understood_stops_only_what_needs_it() -> anyhow::Result<()> {
    let mut place = Place::new(8).await?;
    let insert = format!(
        "insert into acl_grant (subject_pid, anchor, pattern, effect, rights) values
             ({FIRST}, 'r:a', 'a', 'allow', 'fly'), ({FIRST}, 'r:u3', 'u3', 'allow', 'pull')"
    );
    place.connection.execute(AssertSqlSafe(insert)).await?;
    let mut connection = place.dialer()?.dial().await?;
    let snapshot = Snapshot::load(&mut connection).await?;
    let near = |pid, name: &str| snapshot.near(pid, &[&name.parse().unwrap()]);
    assert!(near(Some(FIRST), "a").is_err());
    assert_eq!(near(Some(FIRST + 1), "a")?, Rows::default());
    assert_eq!(near(Some(FIRST), "u3")?.grants.len(), 1);
    Ok(())
}
