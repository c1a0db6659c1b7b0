//! What clients notice while the signing key is exchanged: tokens of two servers, each used at once at a registry that
//! fetches the key set of the first.
//!
//! Half of a thousand requests a second are for tokens and half use them. Requests have their times beforehand, and how
//! long they take counts from then, so that a server that stops for a moment is not asked less.
//!
//! *Invariant:* what is refused or fails is counted, and the run goes on.

#![expect(clippy::cast_precision_loss, reason = "figures are rounded anyway")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use harness::forge::header_of;
use harness::program;
use harness::server::{Process, Which};
use harness::settings::{self, Auth, RegistryOptions};
use sqlx::{Connection as _, PgConnection};
use tokio::process::Command;

use crate::data::DataSet;
use crate::fill;
use crate::keep_alive::Connection;
use crate::report::Report;
use crate::tokens::{keep_logins, start};
use crate::workload::Arguments;

/// So many users ask.
const LOGINS: usize = 1_000;

/// So many tokens a second, each of which is used once.
const TOKENS_PER_SECOND: u32 = 500;

/// Longer than a key waits before it signs when it has to be quick.
const UNTIL_IT_SIGNS: Duration = Duration::from_secs(31);

/// What one connection saw.
#[derive(Debug, Default)]
struct Seen {
    tokens: Vec<Duration>,
    uses: Vec<Duration>,
    by_key: BTreeMap<String, usize>,
    failures: Vec<String>,
}

/// Whom a connection talks to.
#[derive(Clone)]
struct Places {
    token_servers: [SocketAddr; 2],
    registry: SocketAddr,
    requests: Arc<Vec<Vec<u8>>>,
    connections: u32,
    began: Instant,
    is_over: Arc<AtomicBool>,
}

pub(crate) async fn run(url: &str, data: &DataSet, arguments: &Arguments) -> anyhow::Result<Report> {
    let mut report = Report::new("rotation", data, &fill::fingerprint(url).await?);
    let mut connection = PgConnection::connect(url).await?;
    let requests = Arc::new(keep_logins(&mut connection, &data.pulls(LOGINS)).await?);
    let folders = [tempfile::tempdir()?, tempfile::tempdir()?, tempfile::tempdir()?];
    let one = start(url, folders[0].path(), &arguments.more).await?;
    let two = start(url, folders[1].path(), &arguments.more).await?;
    let (_registry, registry) = start_registry(folders[2].path(), one.1).await?;
    let places = Places {
        token_servers: [one.1, two.1],
        registry,
        requests,
        connections: u32::try_from(arguments.connections)?,
        began: Instant::now(),
        is_over: Arc::default(),
    };
    let asking: Vec<_> =
        (0..places.connections).map(|number| tokio::spawn(keep_asking(places.clone(), number))).collect();
    let length = Duration::from_secs(arguments.length.into());
    tokio::time::sleep(length).await;
    rotate(folders[0].path()).await?;
    tokio::time::sleep(UNTIL_IT_SIGNS + length).await;
    places.is_over.store(true, Ordering::SeqCst);
    let took = places.began.elapsed();
    let mut all = Seen::default();
    for asked in asking {
        let seen = asked.await.context("a client stopped")??;
        all.tokens.extend(seen.tokens);
        all.uses.extend(seen.uses);
        all.failures.extend(seen.failures);
        for (kid, count) in seen.by_key {
            *all.by_key.entry(kid).or_default() += count;
        }
    }
    anyhow::ensure!(all.by_key.len() == 2, "tokens of two keys were used, not of {}", all.by_key.len());
    let count = all.tokens.len() + all.uses.len();
    report.number("requests_per_second", count as f64 / took.as_secs_f64());
    report.count("failures", i64::try_from(all.failures.len())?);
    report.count("fewest_tokens_of_a_key", i64::try_from(*all.by_key.values().min().unwrap_or(&0))?);
    report.times("token", all.tokens);
    report.times("use", all.uses);
    if let Some(first) = all.failures.first() {
        report.text("first_failure", first);
    }
    Ok(report)
}

async fn start_registry(folder: &Path, token_server: SocketAddr) -> anyhow::Result<(Process, SocketAddr)> {
    let address = SocketAddr::from(([127, 0, 0, 1], program::free_port()?));
    let options = RegistryOptions {
        address: address.to_string(),
        root: folder.join("images"),
        auth: Auth::TokenServer { url: format!("http://{token_server}"), same_origin: false, feed: None },
        more: "log:\n  level: warn\n  accesslog:\n    disabled: true".to_owned(),
    };
    let settings = settings::write_registry(folder, &options)?;
    Ok((Process::start(Which::Registry, &settings, address).await?, address))
}

/// As an operator does in an emergency.
async fn rotate(folder: &Path) -> anyhow::Result<()> {
    let mut command = Command::new(Which::TokenServer.binary()?);
    command.arg("--config").arg(folder.join("token-server.yml")).args(["key", "rotate", "--now"]);
    program::run(&mut command, "").await?.success()?;
    Ok(())
}

async fn keep_asking(places: Places, number: u32) -> anyhow::Result<Seen> {
    let mut seen = Seen::default();
    let index = usize::try_from(number)?;
    let token_server = places.token_servers[index % places.token_servers.len()];
    let mut connections = (Connection::to(token_server).await?, Connection::to(places.registry).await?);
    let (step, first) =
        (Duration::from_secs(1) * places.connections / TOKENS_PER_SECOND, Duration::from_secs(1) * number);
    let mut due = places.began + first / TOKENS_PER_SECOND;
    let mut next = index;
    while !places.is_over.load(Ordering::SeqCst) {
        tokio::time::sleep_until(due.into()).await;
        let request = &places.requests[next % places.requests.len()];
        match get_and_use(&mut connections, request, due, &mut seen).await {
            Ok(kid) => *seen.by_key.entry(kid).or_default() += 1,
            Err(error) => {
                seen.failures.push(format!("{error:#}"));
                connections = (Connection::to(token_server).await?, Connection::to(places.registry).await?);
            }
        }
        next += usize::try_from(places.connections)?;
        due += step;
    }
    Ok(seen)
}

/// Returns the name of the key.
async fn get_and_use(
    (token_server, registry): &mut (Connection, Connection),
    request: &[u8],
    due: Instant,
    seen: &mut Seen,
) -> anyhow::Result<String> {
    let body: serde_json::Value = serde_json::from_slice(token_server.ask(request).await?)?;
    seen.tokens.push(due.elapsed());
    let token = body["token"].as_str().context("a token")?;
    let using = format!("GET /v2/ HTTP/1.1\r\nHost: registry.test\r\nAuthorization: Bearer {token}\r\n\r\n");
    let began = Instant::now();
    registry.ask(using.as_bytes()).await?;
    seen.uses.push(began.elapsed());
    Ok(header_of(token)?["kid"].as_str().context("a key id")?.to_owned())
}
