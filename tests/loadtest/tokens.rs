//! Tokens over HTTP for kept logins, as fast as a few connections can ask for them.
//!
//! *Invariant:* every login may pull what it asks for, and every answer is a token.

#![expect(clippy::cast_precision_loss, reason = "figures are rounded anyway")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use harness::program;
use harness::server::{Process, Which};
use harness::settings::{self, SERVICE, TokenServerOptions};
use ring::rand::SystemRandom;
use shared::secret::Secret;
use sqlx::{Connection as _, PgConnection};
use token_server::domain::keys::master_secret::MasterSecret;
use token_server::domain::login::opaque_token::{self, TokenKind, TokenMac};

use crate::data::DataSet;
use crate::keep_alive::{Connection, token_request};
use crate::report::Report;
use crate::workload::Arguments;
use crate::{fill, process};

/// So many users ask.
const LOGINS: usize = 1_000;

/// Before anything is measured, every login was used, which is recorded.
const WARM_UP: Duration = Duration::from_secs(3);

/// A server on a free port; its files are in the folder.
pub(crate) async fn start(
    url: &str,
    folder: &std::path::Path,
    more: &str,
) -> anyhow::Result<(Process, std::net::SocketAddr)> {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], program::free_port()?));
    let options = TokenServerOptions {
        address: address.to_string(),
        database_url: url.to_owned(),
        token_lifetime: "300s",
        more: format!("log:\n  level: warn\n{}", more.replace("\\n", "\n")),
    };
    let settings = settings::write_token_server(folder, &options)?;
    Ok((Process::start(Which::TokenServer, &settings, address).await?, address))
}

/// Keeps logins for users and returns what each may pull.
pub(crate) async fn keep_logins(
    connection: &mut PgConnection,
    pulls: &[(i64, String)],
) -> anyhow::Result<Vec<Vec<u8>>> {
    let mac =
        TokenMac::new(TokenKind::Refresh, &MasterSecret::parse(&Secret::new(settings::TOKEN_SERVER_SECRET))?);
    let mut requests = Vec::new();
    for (user, repository) in pulls {
        let login = opaque_token::generate(TokenKind::Refresh, &SystemRandom::new())?;
        sqlx::query(
            "insert into refresh_token (mac, pid, audience, client_id, created_at, last_used_at, expires_at)
             values ($1, $2, $3, 'loadtest', now(), now(), now() + interval '90 days')",
        )
        .bind(mac.of(&login).as_ref())
        .bind(DataSet::user_pid(*user))
        .bind(SERVICE)
        .execute(&mut *connection)
        .await?;
        requests.push(token_request(SERVICE, repository, login.expose()));
    }
    Ok(requests)
}

/// The processor time of everything in the database that works for this data set.
async fn database_time(connection: &mut PgConnection) -> anyhow::Result<Duration> {
    let backends: Vec<i32> =
        sqlx::query_scalar("select pid from pg_stat_activity where datname = current_database()")
            .fetch_all(connection)
            .await?;
    let times = backends.into_iter().map(|pid| process::processor_time_of(u32::try_from(pid)?));
    times.sum()
}

async fn transactions(connection: &mut PgConnection) -> anyhow::Result<i64> {
    // What another session has done is counted when it has been idle for a while.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let count = "select xact_commit from pg_stat_database where datname = current_database()";
    Ok(sqlx::query_scalar(count).fetch_one(connection).await?)
}

pub(crate) async fn run(url: &str, data: &DataSet, arguments: &Arguments) -> anyhow::Result<Report> {
    let mut report = Report::new("tokens", data, &fill::fingerprint(url).await?);
    let mut connection = PgConnection::connect(url).await?;
    let requests = Arc::new(keep_logins(&mut connection, &data.pulls(LOGINS)).await?);
    let folder = tempfile::tempdir()?;
    let (server, address) = start(url, folder.path(), &arguments.more).await?;
    report.megabytes("server_memory_at_start", process::anonymous_kib(server.id())?);
    ask(address, &requests, arguments.connections, WARM_UP).await?;
    let committed = transactions(&mut connection).await?;
    let (processor, in_database) = (server.processor_time()?, database_time(&mut connection).await?);
    let began = Instant::now();
    let length = Duration::from_secs(arguments.length.into());
    let times = ask(address, &requests, arguments.connections, length).await?;
    let took = began.elapsed();
    let processor = server.processor_time()?.saturating_sub(processor);
    let in_database = database_time(&mut connection).await?.saturating_sub(in_database);
    let committed = transactions(&mut connection).await? - committed;
    let count = times.len() as f64;
    report.number("tokens_per_second", count / took.as_secs_f64());
    report.number("transactions_per_token", committed as f64 / count);
    report.seconds("server_processor", processor);
    report.number("server_processor_us_per_token", processor.as_secs_f64() * 1e6 / count);
    report.number("database_processor_us_per_token", in_database.as_secs_f64() * 1e6 / count);
    // What is left for clients, on a machine that does nothing else.
    let per_token = (processor + in_database).as_secs_f64() / count;
    report.number("tokens_per_second_that_two_cores_can_make", 2.0 / per_token);
    report.megabytes("server_memory", process::anonymous_kib(server.id())?);
    report.megabytes("server_memory_peak", process::peak_kib(server.id())?);
    report.times("token", times);
    Ok(report)
}

/// Asks on so many connections for so long; returns how long each answer took.
async fn ask(
    address: std::net::SocketAddr,
    requests: &Arc<Vec<Vec<u8>>>,
    connections: usize,
    length: Duration,
) -> anyhow::Result<Vec<Duration>> {
    let next = Arc::new(AtomicUsize::new(0));
    let until = Instant::now() + length;
    let asking = (0..connections).map(|_| {
        let (requests, next) = (requests.clone(), next.clone());
        tokio::spawn(async move {
            let mut connection = Connection::to(address).await?;
            let mut times = Vec::new();
            while Instant::now() < until {
                let request = &requests[next.fetch_add(1, Ordering::Relaxed) % requests.len()];
                let began = Instant::now();
                let body = connection.ask(request).await?;
                times.push(began.elapsed());
                anyhow::ensure!(body.starts_with(b"{\"token\":\""), "not a token");
            }
            anyhow::Ok(times)
        })
    });
    let mut all = Vec::new();
    for asked in asking.collect::<Vec<_>>() {
        all.extend(asked.await.context("a client stopped")??);
    }
    Ok(all)
}
