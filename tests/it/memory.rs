//! Layers of a gigabyte, eight at a time, and what they cost in memory.
//!
//! *Invariant:* memory is bounded by settings, not by what clients send: anonymous memory of both servers rises by at
//! most 64 MiB.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use harness::actors::Town;
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

async fn push(registry: &str, seed: u64, base: Bytes) -> anyhow::Result<String> {
    let client = OciClient::new(registry, "alice", &password_of("alice"))?;
    let location = client.start_upload("platform/huge").await?;
    let mut digest = Sha256::new();
    for chunk in layer(seed, &base) {
        digest.update(&chunk);
        tokio::task::yield_now().await;
    }
    let digest = format!("sha256:{}", hexadecimal(&digest.finalize()));
    let body = futures_util::stream::iter(layer(seed, &base)).map(Ok::<_, std::io::Error>);
    let put = Url::parse(registry)?.join(&with_digest(&location, &digest))?;
    let response = client
        .http()
        .request(Method::PUT, put)
        .header(AUTHORIZATION, format!("Bearer {}", token(&client).await?))
        .body(reqwest::Body::wrap_stream(body))
        .send()
        .await?;
    anyhow::ensure!(response.status() == 201, "{} {}", response.status(), response.text().await?);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gigabyte_layers_stream_in_bounded_memory() -> anyhow::Result<()> {
    let _turn = heavy::turn().await?;
    let mut town = Town::with(StackOptions { processes: true, ..StackOptions::default() }).await?;
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
        let pushes = (0..AT_ONCE).map(|seed| {
            tokio::spawn({
                let (registry, base) = (registry.clone(), base.clone());
                async move { push(&registry, seed, base).await }
            })
        });
        let digests: Vec<_> = futures_util::future::try_join_all(pushes).await?;
        let digests = digests.into_iter().collect::<Result<Vec<_>, _>>()?;
        let pulls = digests.into_iter().map(|digest| {
            tokio::spawn({
                let registry = registry.clone();
                async move { pull(&registry, &digest).await }
            })
        });
        for outcome in futures_util::future::try_join_all(pulls).await? {
            outcome?;
        }
        stop.store(true, Ordering::Relaxed);
        anyhow::Ok(())
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
        assert!(rise <= MAX_RISE_KIB, "the {name} rose by {rise} KiB, from {before} to {peak}");
    }
    Ok(())
}
