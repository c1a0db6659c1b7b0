//! Filling a database with the data set.
//!
//! *Invariant:* the fingerprint is that of the bytes that went in, so equal fingerprints mean equal data.

use std::fmt::Write as _;
use std::time::Instant;

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};
use shared::repository_pattern::RepositoryPattern;
use shared::secret::Secret;
use sqlx::{Connection as _, Executor as _, PgConnection};
use token_server::db;
use token_server::db::dialer::Dialer;

use crate::data::{DataSet, ROLES};
use crate::report::Report;

/// Bytes that go out at once.
const CHUNK_BYTES: usize = 1 << 20;

/// Makes the tables, where there are none, and puts everything in.
pub(crate) async fn fill(url: &str, data: &DataSet) -> anyhow::Result<Report> {
    db::migrate(&db::connect(&Secret::new(url), 1)?).await?;
    let began = Instant::now();
    let mut connection = PgConnection::connect(url).await.context("the database is away")?;
    // A million rows need not be noted one by one, nor be looked at by what guards single ones.
    connection
        .execute("set session_replication_role = replica")
        .await
        .context("the data set is put in without triggers, which takes a superuser of the database")?;
    let mut copying = Copying { connection, hash: Sha256::new() };
    let users = (0..data.users).map(|user| {
        format!("{}\t{}\tuser\t{}\n", DataSet::user_pid(user), id(1, user), DataSet::user_name(user))
    });
    let teams = (0..data.teams)
        .map(|team| format!("{}\t{}\tteam\tteam{team:05}\n", data.team_pid(team), id(2, team)));
    let robots = (0..data.namespaces).map(|namespace| {
        let name = DataSet::namespace_name(namespace);
        format!("{}\t{}\trobot\t{name}/ci\n", data.robot_pid(namespace), id(3, namespace))
    });
    let principals = users.chain(teams).chain(robots);
    copying.copy("principal (pid, uid, kind, name)", principals).await?;
    copy_namespaces(&mut copying, data).await?;
    copy_uses(&mut copying, data).await?;
    let accounts = (0..data.users).map(|user| format!("{}\t*\t2026-01-01\n", DataSet::user_pid(user)));
    copying.copy("user_account (pid, password_hash, password_changed_at)", accounts).await?;
    let members = (0..data.users).flat_map(|user| {
        data.teams_of(user).into_iter().map(move |team| format!("{}\t{team}\n", DataSet::user_pid(user)))
    });
    let nested = data.nested_teams().into_iter().map(|(inner, outer)| format!("{inner}\t{outer}\n"));
    copying.copy("team_member (member_pid, team_pid)", members.chain(nested)).await?;
    let roles = ROLES.iter().map(|(name, rights)| format!("{name}\t{rights}\n"));
    copying.copy("role (name, rights)", roles).await?;
    let mut wrong = None;
    let grants = data.grants().filter_map(|grant| {
        let Ok(pattern) = RepositoryPattern::parse(&grant.pattern) else {
            wrong = Some(grant.pattern);
            return None;
        };
        let null = |text: Option<&str>| text.unwrap_or("\\N").to_owned();
        Some(format!(
            "{}\t{}\t{pattern}\t{}\t{}\t{}\t{}\t{}\t{}\n",
            grant.holder,
            pattern.anchor(),
            if grant.is_denial { "deny" } else { "allow" },
            null(grant.role),
            null(grant.rights),
            null(grant.tags),
            null(grant.expires_at),
            null(grant.networks),
        ))
    });
    let columns =
        "acl_grant (subject_pid, anchor, pattern, effect, role, rights, tags, expires_at, networks)";
    copying.copy(columns, grants).await?;
    anyhow::ensure!(wrong.is_none(), "the data set has a pattern that is none: {wrong:?}");
    let barriers = data.barriers().into_iter().map(|pattern| {
        let anchor = RepositoryPattern::parse(&pattern).map(|pattern| pattern.anchor()).unwrap_or_default();
        format!("{anchor}\t{pattern}\tdelete\n")
    });
    copying.copy("acl_barrier (anchor, pattern, rights)", barriers).await?;
    let Copying { mut connection, hash } = copying;
    connection.execute("insert into acl_change (kind) values ('everything')").await?;
    connection.execute("vacuum analyze").await?;
    let mut fingerprint = String::new();
    for byte in &hash.finalize()[..8] {
        write!(fingerprint, "{byte:02x}")?;
    }
    // Kept with the data, for whoever measures on it.
    let remark = format!("comment on table acl_change is 'data set {fingerprint}'");
    connection.execute(sqlx::AssertSqlSafe(remark)).await?;
    let size: i64 =
        sqlx::query_scalar("select pg_database_size(current_database())").fetch_one(&mut connection).await?;
    let mut report = Report::new("generate", data, &fingerprint);
    report.count("users", data.users);
    report.count("teams", data.teams);
    report.count("grants", data.grants);
    report.count("repositories", data.repositories);
    report.count("namespaces", data.namespaces);
    report.count("requests_for_rights", data.elevations);
    report.megabytes("database", u64::try_from(size)? / 1024);
    report.seconds("time", began.elapsed());
    Ok(report)
}

/// Namespaces, each of a team, with a robot and its secret.
async fn copy_namespaces(copying: &mut Copying, data: &DataSet) -> anyhow::Result<()> {
    let namespaces = (0..data.namespaces).map(|number| {
        let (name, owner) = (DataSet::namespace_name(number), data.team_pid(number % data.teams));
        format!("{}\t{name}\t{owner}\tprivate\tpushers\n", number + 1)
    });
    copying.copy("namespace (id, name, owner_pid, visibility, create_policy)", namespaces).await?;
    let robots = (0..data.namespaces).map(|number| format!("{}\t{}\n", data.robot_pid(number), number + 1));
    copying.copy("robot (pid, namespace_id)", robots).await?;
    let secrets = (0..data.namespaces).map(|number| {
        format!("{}\t\\\\x{number:064x}\t{}\t2026-01-01\n", id(4, number), data.robot_pid(number))
    });
    copying.copy("credential (id, mac, pid, created_at)", secrets).await
}

/// What users asked for: rights for a while, every tenth request of which waits, and tokens.
async fn copy_uses(copying: &mut Copying, data: &DataSet) -> anyhow::Result<()> {
    let elevations = (0..data.elevations).map(|number| {
        let (pid, pattern) = (DataSet::user_pid(number % data.users), data.repository(number));
        let state = if number % 10 == 0 { "requested" } else { "denied" };
        format!("{}\t{pid}\t{pattern}\twriter\t3600\tCHG-{number}\t2026-01-01\t{state}\n", id(5, number))
    });
    let columns = "elevation (id, pid, pattern, role, lasts_seconds, reason, requested_at, state)";
    copying.copy(columns, elevations).await?;
    let uses = (0..data.uses).map(|number| {
        let (user, repository) =
            (DataSet::user_name(number % data.users), data.repository(number % data.repositories));
        // Each user has one row in an hour.
        let hour = format!("2026-01-01 {:02}:00:00Z", number / data.users);
        format!("{user}\t{repository}\tpull\t{hour}\t{}\t1\t{hour}\n", id(1, number % data.users))
    });
    let columns = "token_use (subject, repository, actions, hour, subject_uid, uses, last_at)";
    copying.copy(columns, uses).await
}

/// The fingerprint of what is in a database.
pub(crate) async fn fingerprint(url: &str) -> anyhow::Result<String> {
    let mut connection = PgConnection::connect(url).await?;
    let remark: Option<String> = sqlx::query_scalar("select obj_description('acl_change'::regclass)")
        .fetch_one(&mut connection)
        .await?;
    let remark = remark.context("there is no data set in this database; `generate` puts one in")?;
    Ok(remark.trim_start_matches("data set ").to_owned())
}

/// A way to reach the database, as the server has it.
pub(crate) fn dialer(url: &str) -> anyhow::Result<Dialer> {
    Ok(Dialer::new(&Secret::new(url))?)
}

fn id(kind: u8, number: i64) -> String {
    format!("{kind:08x}-0000-7000-8000-{number:012x}")
}

struct Copying {
    connection: PgConnection,
    hash: Sha256,
}

impl Copying {
    async fn copy(&mut self, into: &str, rows: impl Iterator<Item = String>) -> anyhow::Result<()> {
        let mut copy = self.connection.copy_in_raw(&format!("copy {into} from stdin")).await?;
        let mut chunk = String::with_capacity(CHUNK_BYTES + 1024);
        for row in rows {
            chunk.push_str(&row);
            if chunk.len() >= CHUNK_BYTES {
                self.hash.update(&chunk);
                copy.send(chunk.as_bytes()).await?;
                chunk.clear();
            }
        }
        self.hash.update(&chunk);
        copy.send(chunk.as_bytes()).await?;
        copy.finish().await.with_context(|| into.to_owned())?;
        Ok(())
    }
}
