//! The audit record as something that can be believed: chained, verified, exported, pruned.
//!
//! Whoever tampers here owns the database and switches its triggers off first.
//!
//! *Invariant:* whatever real changes and logins leave, one after the other or all at once, is whole; a row that was
//! changed, moved or removed afterwards is found and named.

use std::time::Duration;

use futures_util::future::{join, join_all};
use harness::actors::Town;
use harness::client::{Request, basic};
use harness::database::Database;
use harness::program::{self, Said};
use harness::server::Which;
use harness::settings::SERVICE;
use harness::stack::{Stack, StackOptions};
use reqwest::header::AUTHORIZATION;
use serde_json::{Value, json};
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Executor as _, PgConnection};
use tokio::process::Command;

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// The last migration before the chain.
const UNCHAINED: i64 = 6;

/// A row as the release before the chain writes it.
const OLD_ROW: &str = "insert into audit_event (at, event, actor, target, outcome, reason) \
                       values (now(), 'login', '', 'änne', 'refused', 'wrong_password')";

/// Asks whether the record is whole; the answer as JSON agrees with the exit code.
async fn verify(stack: &Stack, more: &[&str]) -> anyhow::Result<Value> {
    let said = stack.operator(&[&["audit", "verify", "--output", "json"], more].concat(), "").await?;
    let verdict: Value = serde_json::from_str(&said.output)?;
    let code = i32::from(verdict["whole"] != true);
    anyhow::ensure!(said.code == Some(code), "{}", said.text);
    Ok(verdict)
}

/// The record must be whole; the last hash.
async fn expect_whole(stack: &Stack) -> anyhow::Result<String> {
    let verdict = verify(stack, &[]).await?;
    anyhow::ensure!(verdict["whole"] == true, "{verdict}");
    Ok(verdict["last_hash"].as_str().unwrap_or_default().to_owned())
}

/// Rows of a listing.
async fn listed(stack: &Stack, more: &[&str]) -> anyhow::Result<Vec<Value>> {
    let said =
        stack.operator(&[&["audit", "list", "--output", "json"], more].concat(), "").await?.success()?;
    Ok(serde_json::from_str(&said.output)?)
}

async fn exported(stack: &Stack, more: &[&str]) -> anyhow::Result<Vec<Value>> {
    let said = stack.operator(&[&["audit", "export"], more].concat(), "").await?.success()?;
    said.output.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

async fn execute(connection: &mut PgConnection, sql: &str) -> anyhow::Result<()> {
    connection.execute(AssertSqlSafe(sql)).await.map_err(|error| anyhow::anyhow!("{error} in {sql}"))?;
    Ok(())
}

/// The end of the log of changes, whatever lies in front of it.
const NEWEST: &str = "select max(seq) from public.acl_change";

/// What an owner of the database can do.
async fn tamper(connection: &mut PgConnection, sql: &str) -> anyhow::Result<()> {
    for statement in
        ["alter table audit_event disable trigger all", sql, "alter table audit_event enable trigger all"]
    {
        execute(connection, statement).await?;
    }
    Ok(())
}

/// A login with a name that nobody has; each name is a record of its own.
async fn wrong_login(town: &Town, name: &str) -> anyhow::Result<()> {
    let request = Request::get(format!("{}/token?service={SERVICE}", town.stack.token_server_url()))
        .header(AUTHORIZATION, basic(name, "wrong"));
    town.anonymous.raw(&request).await?.expect(401)?;
    Ok(())
}

#[tokio::test]
async fn a_thousand_changes_at_once_are_a_thousand_records_in_their_order() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let grants =
        (0..1_000).map(|n| format!("  - {{subject: team:platform, role: viewer, pattern: bulk/{n:04}}}\n"));
    let file = format!("version: 1\ngrants:\n{}", grants.collect::<String>());
    let said = town.stack.operator(&["policy", "apply", "--yes", "-"], &file).await?.success()?;
    let planned: Vec<&str> = said.output.lines().filter_map(|line| line.strip_prefix("+ ")).collect();
    expect_whole(&town.stack).await?;
    let records = exported(&town.stack, &[]).await?;
    let records: Vec<&Value> = records.iter().filter(|row| row["event"] == "policy_applied").collect();
    assert_eq!((planned.len(), records.len()), (1_000, 1_000));
    for (planned, record) in planned.iter().zip(&records) {
        assert_eq!(record["target"], format!("+ {planned}"));
        assert_eq!((&record["actor"], &record["outcome"]), (&json!("cli"), &json!("allowed")));
    }
    Ok(())
}

#[tokio::test]
async fn what_real_changes_leave_is_whole_and_keeps_the_last_hash_that_was_seen() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let head = expect_whole(&town.stack).await?;
    wrong_login(&town, "alice").await?;
    town.alice.login().await?.expect(200)?;
    town.stack.operator(&["user", "disable", "bob", "--yes"], "").await?.success()?;
    let said = town.stack.operator(&["audit", "verify", "--head", &head], "").await?.success()?;
    let rows = town.stack.database.db_audit().await?.len();
    let expected = format!("the audit record is whole: {rows} rows, the last hash is ");
    assert!(said.output.starts_with(&expected), "{}", said.text);
    let since = verify(&town.stack, &["--from-hash", &head]).await?;
    assert_eq!((&since["whole"], &since["rows"]), (&true.into(), &3.into()), "{since}");
    let unknown = "0f".repeat(32);
    for option in ["--head", "--from-hash"] {
        let verdict = verify(&town.stack, &[option, &unknown]).await?;
        assert_eq!((&verdict["whole"], &verdict["missing_hash"]), (&false.into(), &json!(unknown)));
    }
    Ok(())
}

#[tokio::test]
async fn every_kind_of_tampering_is_found_and_named() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let head = expect_whole(&town.stack).await?;
    let mut connection = town.stack.database.db_connect().await?;
    execute(&mut connection, "create table kept as select * from audit_event").await?;
    let last = town.stack.database.db_audit().await?.len();
    assert!(last >= 7, "{last}");
    let rest = "actor, actor_uid, target, outcome, reason, address, agent, before, after, hash";
    let cases = [
        ("update audit_event set target = 'mallory' where id = 3".to_owned(), 3),
        ("update audit_event set at = at + interval '1 microsecond' where id = 1".to_owned(), 1),
        ("update audit_event set reason = '' where id = 4".to_owned(), 4),
        ("update audit_event set hash = sha256('') where id = 5".to_owned(), 5),
        ("delete from audit_event where id = 4".to_owned(), 5),
        ("delete from audit_event where id = 1".to_owned(), 2),
        // Two rows change places.
        (
            "update audit_event set id = -id where id in (3, 4); \
             update audit_event set id = 4 where id = -3; \
             update audit_event set id = 3 where id = -4"
                .to_owned(),
            3,
        ),
        // A copy does not fit behind the row that it was made of.
        (
            format!(
                "update audit_event set id = id + 1000 where id > 4; \
                 update audit_event set id = id - 999 where id > 1000; \
                 insert into audit_event (id, at, event, {rest}) \
                 select 5, at, event, {rest} from audit_event where id = 4"
            ),
            5,
        ),
        // So is one whose change was hashed again.
        (
            "update audit_event set actor = 'mallory' where id = 3; \
             update audit_event e set hash = audit_hash(p.hash, e) from audit_event p where e.id = 3 and p.id = 2"
                .to_owned(),
            4,
        ),
    ];
    for (sql, named) in &cases {
        tamper(&mut connection, sql).await?;
        let verdict = verify(&town.stack, &[]).await?;
        assert_eq!(
            (&verdict["whole"], &verdict["misfit_id"]),
            (&false.into(), &json!(named)),
            "{sql}: {verdict}"
        );
        let said = town.stack.operator(&["audit", "verify"], "").await?;
        assert!(said.output.contains(&format!("row {named} does not fit")), "{}", said.text);
        tamper(&mut connection, "delete from audit_event; insert into audit_event select * from kept")
            .await?;
        expect_whole(&town.stack).await?;
    }
    // Without its end it is whole, but not for somebody who knows the end.
    tamper(&mut connection, &format!("delete from audit_event where id = {last}")).await?;
    expect_whole(&town.stack).await?;
    let verdict = verify(&town.stack, &["--head", &head]).await?;
    assert_eq!(verdict["missing_hash"], json!(head), "{verdict}");
    Ok(())
}

#[tokio::test]
async fn the_database_refuses_what_is_not_adding_or_pruning() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let mut connection = town.stack.database.db_connect().await?;
    for (sql, sentence) in [
        ("update audit_event set actor = 'mallory' where id = 1", "only added to"),
        ("truncate audit_event", "only added to"),
        ("delete from audit_event where id = 1", "only its oldest rows"),
        ("delete from audit_event", "only its oldest rows"),
        ("delete from audit_anchor", "only added to"),
        ("update audit_anchor set id = 2", "begins behind one of its rows"),
        (
            "update audit_anchor set id = e.id, hash = sha256('') from audit_event e where e.id = 2",
            "begins behind",
        ),
    ] {
        let refused = execute(&mut connection, sql).await.expect_err(sql).to_string();
        assert!(refused.contains(sentence), "{refused}");
    }
    // What lies in front of the real tables deceives nobody.
    execute(
        &mut connection,
        "create temporary table audit_anchor as select true as only_one, 1000000::bigint as id, sha256('') as hash;
         create temporary table acl_change (like public.acl_change including all)",
    )
    .await?;
    let sql = "delete from public.audit_event where id = 1";
    let refused = execute(&mut connection, sql).await.expect_err(sql).to_string();
    assert!(refused.contains("only its oldest rows"), "{refused}");
    let before: i64 = sqlx::query_scalar(NEWEST).fetch_one(&mut connection).await?;
    execute(&mut connection, "update principal set disabled_at = now() where name = 'bob'").await?;
    let after: i64 = sqlx::query_scalar(NEWEST).fetch_one(&mut connection).await?;
    assert!(after > before, "the change was noted in a temporary table");
    execute(&mut connection, "discard temporary").await?;
    execute(&mut connection, "begin isolation level repeatable read").await?;
    let refused = execute(&mut connection, OLD_ROW).await.expect_err("an old snapshot").to_string();
    assert!(refused.contains("read committed"), "{refused}");
    execute(&mut connection, "rollback").await?;
    expect_whole(&town.stack).await?;
    Ok(())
}

#[tokio::test]
async fn settings_of_a_session_and_old_releases_do_not_break_the_chain() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let mut connection = stack.database.db_connect().await?;
    for setting in [
        "set timezone = 'Asia/Kathmandu'",
        "set datestyle = 'German, DMY'",
        "set intervalstyle = 'iso_8601'",
        "set extra_float_digits = -15",
        "set bytea_output = 'escape'",
        "set standard_conforming_strings = off",
    ] {
        execute(&mut connection, setting).await?;
        execute(&mut connection, OLD_ROW).await?;
    }
    expect_whole(&stack).await?;
    Ok(())
}

#[tokio::test]
async fn rows_from_before_the_chain_are_chained_by_the_migration() -> anyhow::Result<()> {
    let (database, folder) = (Database::create_empty().await?, tempfile::tempdir()?);
    let mut connection = database.db_connect().await?;
    let old = MIGRATIONS.iter().filter(|migration| migration.version <= UNCHAINED).cloned().collect();
    Migrator::with_migrations(old).run(&mut connection).await?;
    for _ in 0..3 {
        execute(&mut connection, OLD_ROW).await?;
    }
    // Numbers of old rows have gaps.
    execute(&mut connection, "delete from audit_event where id = 2").await?;
    let settings = folder.path().join("settings.yml");
    let secret = "0123456789abcdef0123456789abcdef";
    std::fs::write(&settings, format!("database:\n  url: {}\nsecret: {secret}\n", database.url()))?;
    let command = async |words: &[&str]| -> anyhow::Result<Said> {
        let mut command = Command::new(Which::TokenServer.binary()?);
        program::run(command.arg("--config").arg(&settings).args(words), "").await
    };
    command(&["migrate"]).await?.success()?;
    command(&["team", "add", "crew"]).await?.success()?;
    let said = command(&["audit", "verify"]).await?.success()?;
    assert!(said.output.contains("whole: 3 rows"), "{}", said.text);
    Ok(())
}

#[tokio::test]
async fn many_writers_at_once_leave_one_chain() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let before = town.stack.database.db_audit().await?.len();
    let logins = join_all((0..20).map(|number| {
        let town = &town;
        async move { wrong_login(town, &format!("nobody{number}")).await }
    }));
    let commands: [&[&str]; 8] = [
        &["user", "disable", "bob", "--yes"],
        &["grant", "add", "user:bob", "viewer", "a/**"],
        &["grant", "add", "user:bob", "writer", "a/**"],
        &["team", "add", "crew"],
        &["team", "member", "add", "platform", "bob"],
        &["team", "member", "remove", "platform", "alice", "--yes"],
        &["grant", "remove", "everyone", "viewer", "public/**", "--yes"],
        &["audit", "verify"],
    ];
    let commands = join_all(commands.iter().map(|words| town.stack.operator(words, "")));
    let (logins, commands) = join(logins, commands).await;
    logins.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    for said in commands {
        said?.success()?;
    }
    expect_whole(&town.stack).await?;
    let ids: Vec<_> = listed(&town.stack, &[]).await?.iter().map(|row| row["id"].as_u64()).collect();
    let expected: Vec<_> = (1..=before as u64 + 27).map(Some).collect();
    assert_eq!(ids, expected);
    Ok(())
}

#[tokio::test]
async fn what_is_pruned_is_the_oldest_and_the_rest_still_verifies() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let rows = exported(&town.stack, &[]).await?;
    let (kept, last) = (&rows[4], &rows[rows.len() - 1]);
    let text = |row: &Value, member: &str| row[member].as_str().unwrap_or_default().to_owned();
    let before = text(kept, "at");
    let said = town.stack.operator(&["audit", "prune", "--before", &before], "").await?;
    assert_eq!(said.code, Some(2), "{}", said.text);
    assert!(said.text.contains("--yes"), "{}", said.text);
    let words = ["audit", "prune", "--before", &before, "--yes"];
    let said = town.stack.operator(&words, "").await?.success()?;
    assert!(said.text.contains("4 rows") && said.output.is_empty(), "{}", said.text);
    let left = exported(&town.stack, &[]).await?;
    assert_eq!(left[..left.len() - 1], rows[4..]);
    let own = &left[left.len() - 1];
    assert_eq!(
        (&own["event"], &own["actor"], &own["reason"]),
        (&"audit_pruned".into(), &"cli".into(), &"4 rows".into())
    );
    // What is not so old stays, and nothing done is nothing recorded.
    town.stack.operator(&words, "").await?.success()?;
    assert_eq!(exported(&town.stack, &[]).await?.len(), left.len());
    expect_whole(&town.stack).await?;
    for (row, whole) in [(&rows[0], false), (&rows[3], true), (last, true)] {
        for option in ["--head", "--from-hash"] {
            let verdict = verify(&town.stack, &[option, &text(row, "hash")]).await?;
            assert_eq!(verdict["whole"], whole, "{verdict}");
        }
    }
    // Its first row is as hard to remove as any other.
    let mut connection = town.stack.database.db_connect().await?;
    tamper(&mut connection, "delete from audit_event where id = 5").await?;
    assert_eq!(verify(&town.stack, &[]).await?["misfit_id"], 6);
    // Even if nothing but the record of the pruning is left, the chain goes on.
    town.stack.operator(&["audit", "prune", "--before", "0s", "--yes"], "").await?.success()?;
    town.stack.operator(&["team", "add", "crew"], "").await?.success()?;
    assert_eq!(verify(&town.stack, &[]).await?["rows"], 2);
    Ok(())
}

#[tokio::test]
async fn the_export_is_the_table_a_line_for_each_row() -> anyhow::Result<()> {
    let town = Town::start().await?;
    wrong_login(&town, "alice").await?;
    town.alice.login().await?.expect(200)?;
    town.stack.operator(&["user", "disable", "bob", "--yes"], "").await?.success()?;
    // More than a page.
    let mut connection = town.stack.database.db_connect().await?;
    execute(&mut connection, &format!("{OLD_ROW}; {OLD_ROW}")).await?;
    execute(
        &mut connection,
        "insert into audit_event (at, event, actor, target, outcome) \
         select '2020-01-01Z', 'login', '', number::text, 'refused' from generate_series(1, 2100) number",
    )
    .await?;
    let table = "select to_jsonb(a) - 'at' - 'hash' || jsonb_build_object('hash', encode(hash, 'hex'), 'at', \
                 to_char(at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US')) from audit_event a order by id";
    let table: Vec<Value> = sqlx::query_scalar(table).fetch_all(&mut connection).await?;
    let mut rows = exported(&town.stack, &[]).await?;
    for row in &mut rows {
        // Zeros at the end of a second are not printed.
        let at = row["at"].as_str().unwrap_or_default().trim_end_matches('Z').to_owned();
        let (second, part) = at.split_once('.').unwrap_or((&at, ""));
        row["at"] = format!("{second}.{part:0<6}").into();
    }
    assert!(rows == table, "the first rows are {:?} and {:?}", &rows[..20], &table[..20]);
    let old = exported(&town.stack, &["--until", "2020-01-02T00:00:00Z"]).await?;
    let recent = exported(&town.stack, &["--since", "1d"]).await?;
    assert_eq!((old.len(), recent.len()), (2100, rows.len() - 2100));
    expect_whole(&town.stack).await?;
    Ok(())
}

#[tokio::test]
async fn rows_are_listed_newest_last_and_filtered() -> anyhow::Result<()> {
    let town = Town::start().await?;
    wrong_login(&town, "alice").await?;
    town.alice.login().await?.expect(200)?;
    let targets = async |more: &[&str]| -> anyhow::Result<Vec<String>> {
        let rows = listed(&town.stack, more).await?;
        Ok(rows.iter().map(|row| row["target"].as_str().unwrap_or_default().to_owned()).collect())
    };
    assert_eq!(targets(&["--event", "user_added"]).await?, ["admin", "alice", "bob"]);
    assert_eq!(targets(&["--event", "user_added", "--limit", "2"]).await?, ["alice", "bob"]);
    assert_eq!(targets(&["--outcome", "refused"]).await?, ["alice"]);
    assert_eq!(targets(&["--actor", "Alice"]).await?, ["alice"]);
    assert_eq!(targets(&["--target", "public/"]).await?, ["everyone viewer public/**"]);
    assert_eq!(targets(&["--until", "1h"]).await?, Vec::<String>::new());
    assert_eq!(targets(&["--since", "1h"]).await?.len(), town.stack.database.db_audit().await?.len());
    let said = town.stack.operator(&["audit", "list", "--event", "login"], "").await?.success()?;
    let lines: Vec<_> = said.output.lines().collect();
    assert!(lines[0].starts_with("ID ") && lines.len() == 3, "{}", said.text);
    assert!(lines[1].contains("refused") && lines[2].contains("allowed"), "{}", said.text);
    for words in
        [&["list", "--since", "yesterday"][..], &["list", "--limit", "0"], &["verify", "--head", "abc"]]
    {
        let said = town.stack.operator(&[&["audit"], words].concat(), "").await?;
        assert_eq!((said.code, said.output.as_str()), (Some(2), ""), "{}", said.text);
    }
    Ok(())
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_no_verdict() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let mut connection = stack.database.db_connect().await?;
    execute(&mut connection, "alter table audit_event rename to audit_event_away").await?;
    let said = stack.operator(&["audit", "verify"], "").await?;
    assert_eq!((said.code, said.output.as_str()), (Some(4), ""), "{}", said.text);
    Ok(())
}

#[tokio::test]
async fn changes_say_how_it_was_before() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let password = "an entirely new password\n";
    for (words, input) in [
        (&["user", "disable", "bob", "--yes"][..], ""),
        (&["user", "enable", "bob"], ""),
        (&["user", "password", "bob", "--password-stdin", "--yes"], password),
    ] {
        town.stack.operator(words, input).await?.success()?;
    }
    let rows = listed(&town.stack, &["--limit", "3"]).await?;
    let change = |row: &Value| -> Vec<String> {
        ["event", "before", "after"].map(|member| row[member].as_str().unwrap_or_default().to_owned()).into()
    };
    let changes: Vec<_> = rows.iter().map(change).collect();
    assert_eq!(changes[0], ["user_disabled", "active", "disabled"]);
    assert!(changes[1][1].starts_with("disabled since 20") && changes[1][2] == "active", "{changes:?}");
    assert!(changes[2][1].starts_with("set 20") && changes[2][2].starts_with("set 20"), "{changes:?}");
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_told_how_long_removes_what_is_older() -> anyhow::Result<()> {
    let more = "audit:\n  retention: 24h\n".to_owned();
    let town = Town::with(StackOptions { token_server_more: more, ..StackOptions::default() }).await?;
    let database = &town.stack.database;
    assert_eq!(database.db_audit_of("user_added").await?.len(), 3);
    town.stack.clock.advance(Duration::from_hours(26));
    let pruned = || async { database.db_audit_of("user_added").await.is_ok_and(|rows| rows.is_empty()) };
    program::until("old rows are removed", Duration::from_mins(1), pruned).await?;
    wrong_login(&town, "alice").await?;
    let rows = database.db_audit().await?;
    let summaries: Vec<_> = rows.iter().map(|row| [&row.event, &row.actor, &row.outcome]).collect();
    assert_eq!(summaries, [["audit_pruned", "system", "allowed"], ["login", "", "refused"]]);
    expect_whole(&town.stack).await?;
    Ok(())
}
