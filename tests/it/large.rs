//! A layer above four gigabytes, and many people pushing the same thing at once.
//!
//! *Invariant:* however large and however many, there is exactly one content under a digest, and never a 5xx.

use bytes::Bytes;
use futures_util::future::try_join_all;
use futures_util::{StreamExt as _, TryStreamExt as _};
use harness::answer::Answer;
use harness::client::{OciClient, with_digest};
use harness::heavy;
use harness::images::{Blob, Image, hexadecimal, noise};
use harness::settings::Auth;
use harness::stack::{LoneRegistry, Stack, StackOptions};
use reqwest::header::CONTENT_RANGE;
use reqwest::{Method, Url};
use sha2::{Digest as _, Sha256};

/// One byte more than fits in 32 bits.
const LARGE: u64 = (1 << 32) + 1;
const PIECE: usize = 1 << 20;
/// How many push at once.
const CROWD: usize = 50;

/// The bytes from `first` to the end of a layer of zeros, or as many as are asked for.
fn zeros(length: u64) -> impl Iterator<Item = Bytes> {
    let piece = Bytes::from(vec![0; PIECE]);
    let whole = length / PIECE as u64;
    let rest = usize::try_from(length % PIECE as u64).expect("less than a piece");
    let last = piece.slice(..rest);
    (0..whole).map(move |_| piece.clone()).chain((rest > 0).then_some(last))
}

/// Sends zeros with a known length.
async fn send_zeros(
    client: &OciClient,
    method: Method,
    url: Url,
    length: u64,
    headers: &[(reqwest::header::HeaderName, String)],
) -> anyhow::Result<Answer> {
    let body = futures_util::stream::iter(zeros(length)).map(Ok::<_, std::io::Error>);
    let mut request = client.http().request(method, url.clone());
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.header(reqwest::header::CONTENT_LENGTH, length.to_string());
    Answer::read(url.to_string(), request.body(reqwest::Body::wrap_stream(body)).send().await?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_layer_of_four_gibibytes_and_one_byte_streams_in_chunks_and_back() -> anyhow::Result<()> {
    let _turn = heavy::turn().await?;
    let folder = tempfile::tempdir()?;
    let registry = LoneRegistry::start(folder.path(), Auth::Open).await?;
    let client = OciClient::anonymous(&registry.url())?;
    let base = Url::parse(&registry.url())?;
    let mut location = client.start_upload("a/large").await?;
    // The second chunk crosses the border of 32 bits.
    let border = (1 << 32) - 10;
    for (first, last) in [(0, border - 1), (border, LARGE - 2)] {
        let range = [(CONTENT_RANGE, format!("{first}-{last}"))];
        let url = base.join(&location)?;
        let answer = send_zeros(&client, Method::PATCH, url, last - first + 1, &range).await?.expect(202)?;
        assert_eq!(answer.needs_header("range")?, format!("0-{last}"));
        location = answer.needs_header("location")?.to_owned();
    }
    let digest = tokio::task::spawn_blocking(|| {
        let hash = zeros(LARGE).fold(Sha256::new(), |hash, piece| hash.chain_update(&piece));
        format!("sha256:{}", hexadecimal(&hash.finalize()))
    })
    .await?;
    let range = [(CONTENT_RANGE, format!("{0}-{0}", LARGE - 1))];
    let url = base.join(&with_digest(&location, &digest))?;
    send_zeros(&client, Method::PUT, url, 1, &range).await?.expect(201)?;

    let url = base.join(&format!("/v2/a/large/blobs/{digest}"))?;
    let head = client.http().head(url.clone()).send().await?;
    assert_eq!(head.headers()["content-length"], LARGE.to_string());
    let tail = client.http().get(url.clone()).header("range", "bytes=4294967290-").send().await?;
    assert_eq!(tail.headers()["content-range"], format!("bytes 4294967290-{}/{LARGE}", LARGE - 1));
    assert_eq!(tail.bytes().await?.len(), 7);
    let whole = client.http().get(url).send().await?.bytes_stream();
    let (length, hash) = whole
        .try_fold((0, Sha256::new()), |(length, hash), piece| async move {
            Ok((length + piece.len() as u64, hash.chain_update(&piece)))
        })
        .await?;
    assert_eq!((length, format!("sha256:{}", hexadecimal(&hash.finalize()))), (LARGE, digest));
    Ok(())
}

/// Every file below a folder.
fn files(folder: &std::path::Path) -> anyhow::Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    Ok(found)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_pushes_of_the_same_blob_at_once_leave_one() -> anyhow::Result<()> {
    let stack = Stack::with(StackOptions { processes: true, ..StackOptions::default() }).await?;
    stack.add_user("crowd").await?;
    stack.grant("user:crowd", "owner", "**").await?;
    let client = stack.client("crowd")?;
    client.login().await?.expect(200)?;
    let blob = Blob::new("application/octet-stream", noise(1401, 600_000));
    let pushes = (0..CROWD).map(|number| {
        let (client, blob) = (&client, &blob);
        async move {
            // Some into one repository, some into their own; nobody looks first whether it is there.
            let name = if number % 2 == 0 { "crowd/same".to_owned() } else { format!("crowd/own-{number}") };
            let location = client.start_upload(&name).await?;
            let put = harness::client::Request::new(Method::PUT, with_digest(&location, &blob.digest));
            let answer = client.send(&put.body(blob.bytes.clone())).await?.expect(201)?;
            let pulled = client.get_blob(&name, &blob.digest).await?.expect(200)?;
            anyhow::ensure!(pulled.body == blob.bytes, "another content after {answer}");
            anyhow::Ok(())
        }
    });
    try_join_all(pushes).await?;
    let hex = blob.digest.trim_start_matches("sha256:");
    let stored = stack.images().join("docker/registry/v2/blobs/sha256").join(&hex[..2]).join(hex);
    assert_eq!(files(&stored)?, [stored.join("data")]);
    assert_eq!(std::fs::read(stored.join("data"))?, blob.bytes);
    let left = files(&stack.images())?;
    let left: Vec<_> =
        left.iter().filter(|file| file.components().any(|part| part.as_os_str() == "_uploads")).collect();
    assert!(left.is_empty(), "{left:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_pushes_of_the_same_tag_at_once_leave_it_on_one_of_them() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let registry = LoneRegistry::start(folder.path(), Auth::Open).await?;
    let client = OciClient::anonymous(&registry.url())?;
    let images =
        (0..10).map(|number| Image::new(1410 + number, 1, 300)).collect::<anyhow::Result<Vec<_>>>()?;
    for image in &images {
        for blob in image.blobs() {
            client.push_blob("a/b", blob).await?;
        }
    }
    let pushes = (0..CROWD).map(|number| {
        let (client, image) = (&client, &images[number % images.len()]);
        async move {
            client.put_manifest("a/b", "tag", &image.manifest).await?.expect(201)?;
            // Somebody's, whole, at every moment.
            client.get_manifest("a/b", "tag").await?.expect(200)
        }
    });
    let known: Vec<_> = images.iter().map(|image| &image.manifest.bytes).collect();
    for answer in try_join_all(pushes).await? {
        assert!(known.contains(&&answer.body), "{answer}");
    }
    for image in &images {
        client.pull_image("a/b", &image.manifest.digest, image).await?;
    }
    let list = client.send(&harness::client::Request::get("/v2/a/b/tags/list")).await?.expect(200)?;
    assert_eq!(list.json()?["tags"], serde_json::json!(["tag"]));
    Ok(())
}
