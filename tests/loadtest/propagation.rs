//! From a right that was given or taken away to the first token of another server that shows it.
//!
//! Changes are made in a third process, this one, with a statement each.
//!
//! *Invariant:* the clock starts when the change was acknowledged.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sqlx::{Connection as _, PgConnection};

use crate::data::DataSet;
use crate::fill;
use crate::keep_alive::Connection;
use crate::report::Report;
use crate::tokens::{keep_logins, start};
use crate::workload::Arguments;

/// Nobody has anything here.
const REPOSITORY: &str = "loadtest/propagation";

/// A change that nobody sees after this time is lost.
const AT_MOST: Duration = Duration::from_secs(10);

pub(crate) async fn run(url: &str, data: &DataSet, arguments: &Arguments) -> anyhow::Result<Report> {
    let mut report = Report::new("propagation", data, &fill::fingerprint(url).await?);
    let mut connection = PgConnection::connect(url).await?;
    // Whatever else the user holds is not about this repository, apart from rights at the root.
    let user = free_user(&mut connection, data).await?;
    let requests = keep_logins(&mut connection, &[(user, REPOSITORY.to_owned())]).await?;
    let folders = (tempfile::tempdir()?, tempfile::tempdir()?);
    let servers = (
        start(url, folders.0.path(), &arguments.more).await?,
        start(url, folders.1.path(), &arguments.more).await?,
    );
    let mut tellers = [Connection::to(servers.0.1).await?, Connection::to(servers.1.1).await?];
    let (mut given, mut taken) = (Vec::new(), Vec::new());
    for _ in 0..arguments.length * 5 {
        sqlx::query(
            "insert into acl_grant (subject_pid, anchor, pattern, effect, role)
             values ($1, 'r:' || $2, $2, 'allow', 'viewer')",
        )
        .bind(DataSet::user_pid(user))
        .bind(REPOSITORY)
        .execute(&mut connection)
        .await?;
        given.push(wait(&mut tellers, &requests[0], true).await?);
        let taking = sqlx::query("delete from acl_grant where pattern = $1").bind(REPOSITORY);
        taking.execute(&mut connection).await?;
        taken.push(wait(&mut tellers, &requests[0], false).await?);
    }
    report.times("given", given);
    report.times("taken_away", taken);
    Ok(report)
}

/// A user without any right at the root, also by a team.
async fn free_user(connection: &mut PgConnection, data: &DataSet) -> anyhow::Result<i64> {
    let pid: i64 = sqlx::query_scalar(
        "select p.pid from principal p where p.kind = 'user' and not exists (
             with recursive member(pid) as (
                 select p.pid union select m.team_pid from team_member m join member on m.member_pid = member.pid)
             select from acl_grant g join member on member.pid = g.subject_pid where g.anchor = 's:')
         order by p.pid limit 1",
    )
    .fetch_one(connection)
    .await?;
    Ok(pid - DataSet::user_pid(0)).inspect(|user| debug_assert!(*user < data.users))
}

/// How long it takes until the tokens of all servers are as expected.
async fn wait(tellers: &mut [Connection], request: &[u8], is_allowed: bool) -> anyhow::Result<Duration> {
    let began = Instant::now();
    for teller in tellers {
        while allows(teller.ask(request).await?)? != is_allowed {
            anyhow::ensure!(began.elapsed() < AT_MOST, "a change was not seen");
        }
    }
    Ok(began.elapsed())
}

fn allows(answer: &[u8]) -> anyhow::Result<bool> {
    let answer: serde_json::Value = serde_json::from_slice(answer)?;
    let token = answer["token"].as_str().context("a token")?;
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).context("claims")?)?;
    let claims: serde_json::Value = serde_json::from_slice(&claims)?;
    Ok(claims["access"].as_array().is_some_and(|access| !access.is_empty()))
}
