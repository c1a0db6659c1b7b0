//! Layers of a gigabyte, eight at a time, and what they cost in memory.
//!
//! Four go up in one PUT and four as Docker sends them; then four others go up while four come down.
//!
//! *Invariant:* memory is bounded by settings, not by what clients send: anonymous memory of both servers rises by at
//! most 64 MiB.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::try_join_all;
use futures_util::{StreamExt as _, TryStreamExt as _};
use harness::actors::Town;
use harness::answer::Answer;
use harness::client::{OciClient, with_digest};
use harness::heavy;
use harness::images::{hexadecimal, noise};
use harness::stack::{Stack, StackOptions, password_of};
use reqwest::header::AUTHORIZATION;
use reqwest::{Method, Url};
use sha2::{Digest as _, Sha256};

const LAYER_BYTES: usize = 1 << 30;
const CHUNK_BYTES: usize = 1 << 20;
const AT_ONCE: u64 = 8;
const MAX_RISE_KIB: u64 = 64 * 1024;

/// One gigabyte that differs from every other one in each mebibyte, without a gigabyte of memory.
fn layer(seed: u64, base: &Bytes) -> impl Iterator<Item = Bytes> + use<> {
    let base = base.clone();
    (0..LAYER_BYTES / CHUNK_BYTES).map(move |number| {
        let mut chunk = base.to_vec();
        chunk[..8].copy_from_slice(&seed.to_le_bytes());
        chunk[8..16].copy_from_slice(&(number as u64).to_le_bytes());
        chunk.into()
    })
}

async fn token(client: &OciClient) -> anyhow::Result<String> {
    let mut challenge = client.challenge().await?;
    challenge.scope = Some("repository:platform/huge:pull,push".into());
    client.token_for(&challenge).await?.map_err(|answer| anyhow::anyhow!("{answer}"))
}

/// How a layer goes up.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// In the request that closes the session.
    OnePut,
    /// As Docker does: one PATCH of unannounced length, then an empty PUT.
    PatchThenPut,
}

async fn push(registry: &str, seed: u64, base: Bytes, way: Way) -> anyhow::Result<String> {
    let client = OciClient::new(registry, "alice", &password_of("alice"))?;
    let mut location = client.start_upload("platform/huge").await?;
    let mut digest = Sha256::new();
    for chunk in layer(seed, &base) {
        digest.update(&chunk);
        tokio::task::yield_now().await;
    }
    let digest = format!("sha256:{}", hexadecimal(&digest.finalize()));
    let body = futures_util::stream::iter(layer(seed, &base)).map(Ok::<_, std::io::Error>);
    let mut body = reqwest::Body::wrap_stream(body);
    let authorization = format!("Bearer {}", token(&client).await?);
    let carry = async |method, target: &str, body| {
        let url = Url::parse(registry)?.join(target)?;
        let request = client.http().request(method, url).header(AUTHORIZATION, &authorization);
        let answer = Answer::read(target.to_owned(), request.body(body).send().await?).await?;
        anyhow::Ok(answer)
    };
    if let Way::PatchThenPut = way {
        let answer = carry(Method::PATCH, &location, body).await?.expect(202)?;
        answer.needs_header("location")?.clone_into(&mut location);
        body = reqwest::Body::default();
    }
    carry(Method::PUT, &with_digest(&location, &digest), body).await?.expect(201)?;
    Ok(digest)
}

async fn pull(registry: &str, digest: &str) -> anyhow::Result<()> {
    let client = OciClient::new(registry, "alice", &password_of("alice"))?;
    let url = Url::parse(registry)?.join(&format!("/v2/platform/huge/blobs/{digest}"))?;
    let request = client.http().get(url).header(AUTHORIZATION, format!("Bearer {}", token(&client).await?));
    let response = request.send().await?;
    anyhow::ensure!(response.status() == 200, "{}", response.status());
    let hash = response.bytes_stream().try_fold(Sha256::new(), |mut hash, chunk| async move {
        hash.update(&chunk);
        Ok(hash)
    });
    anyhow::ensure!(digest == format!("sha256:{}", hexadecimal(&hash.await?.finalize())));
    Ok(())
}

/// Looks at both servers until told to stop; remembers the highest anonymous memory of each.
async fn watch(stack: &mut Stack, peaks: &[AtomicU64; 2], stop: &AtomicBool) -> anyhow::Result<()> {
    while !stop.load(Ordering::Relaxed) {
        let servers = [&mut stack.registry, &mut stack.token_server];
        for (server, peak) in servers.into_iter().zip(peaks) {
            peak.fetch_max(server.process()?.anonymous_kib()?, Ordering::Relaxed);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

#[expect(
    clippy::print_stderr,
    reason = "the person reading the run wants the measurement, not only that it passed"
)]
fn report(measured: &str) {
    eprintln!("{measured}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gigabyte_layers_stream_in_bounded_memory() -> anyhow::Result<()> {
    let _turn = heavy::turn().await?;
    let mut town = Town::with(StackOptions {
        processes: true,
        // Each check of a password takes memory that is not what this is about.
        token_server_more: "passwords:\n  concurrency: 1\n".into(),
        ..StackOptions::default()
    })
    .await?;
    let registry = town.stack.registry_url();
    // The first login pays for the password hash, and the first small push for what every process sets up once.
    town.alice.push_image("platform/huge", "warm", &harness::images::Image::new(90, 2, 1_000_000)?).await?;
    let before = [
        town.stack.registry.process()?.anonymous_kib()?,
        town.stack.token_server.process()?.anonymous_kib()?,
    ];
    let base = noise(91, CHUNK_BYTES);
    let peaks = [AtomicU64::new(0), AtomicU64::new(0)];
    let stop = AtomicBool::new(false);
    let work = async {
        let start = |seed, way| {
            let (registry, base) = (registry.clone(), base.clone());
            tokio::spawn(async move { push(&registry, seed, base, way).await })
        };
        let ways = [Way::OnePut, Way::PatchThenPut].into_iter().cycle();
        let pushes: Vec<_> = (0..AT_ONCE).zip(ways.clone()).map(|(seed, way)| start(seed, way)).collect();
        let digests = try_join_all(pushes).await?.into_iter().collect::<Result<Vec<_>, _>>()?;
        // Half of them come down while as many others go up.
        let pushes: Vec<_> =
            (AT_ONCE..AT_ONCE * 3 / 2).zip(ways).map(|(seed, way)| start(seed, way)).collect();
        let half = digests.len() / 2;
        let pulls = digests.into_iter().take(half).map(|digest| {
            let registry = registry.clone();
            tokio::spawn(async move { pull(&registry, &digest).await })
        });
        let (up, down) = tokio::try_join!(try_join_all(pushes), try_join_all(pulls))?;
        up.into_iter().collect::<Result<Vec<_>, _>>()?;
        down.into_iter().collect::<Result<(), _>>()
    };
    let watching = watch(&mut town.stack, &peaks, &stop);
    let (worked, watched) = tokio::join!(
        async {
            let outcome = work.await;
            stop.store(true, Ordering::Relaxed);
            outcome
        },
        watching
    );
    worked?;
    watched?;
    for ((name, before), peak) in ["registry", "token server"].into_iter().zip(before).zip(&peaks) {
        let peak = peak.load(Ordering::Relaxed);
        let rise = peak.saturating_sub(before);
        report(&format!("{AT_ONCE} layers at a time: the {name} rose by {rise} KiB from {before} KiB"));
        assert!(rise <= MAX_RISE_KIB, "the {name} rose by {rise} KiB, from {before} to {peak}");
    }
    Ok(())
}
