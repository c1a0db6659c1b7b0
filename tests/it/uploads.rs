//! Uploading blobs in every style the specification knows, by the numbers of its rules.
//!
//! *Invariant:* what a refused request left behind is looked for in the folder of the images, not only on the wire.
//!
//! Spec: distribution-spec, "Pushing blobs": end-4 to end-6, end-11, end-13, end-14.

use std::path::PathBuf;

use harness::answer::Answer;
use harness::client::{OciClient, Request, uploads, with_digest};
use harness::images::{noise, sha256, sha512};
use harness::settings::Auth;
use harness::stack::LoneRegistry;
use reqwest::Method;
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE};

const REPOSITORY: &str = "team/app";

/// Well-formed and malformed digests that no registry of ours can compute, and the empty one.
const BAD_DIGESTS: [&str; 8] = [
    "sha256:baddigeststring",
    "sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
    "sha512:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "sha384:38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898b95b",
    "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
    "md5:d41d8cd98f00b204e9800998ecf8427e",
    "nothing",
    ":",
];

/// An open registry on a folder of its own.
pub(crate) struct Quay {
    registry: LoneRegistry,
    pub(crate) client: OciClient,
    folder: tempfile::TempDir,
}

impl Quay {
    pub(crate) async fn open() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let registry = LoneRegistry::start(folder.path(), Auth::Open).await?;
        let client = OciClient::anonymous(&registry.url())?;
        Ok(Self { registry, client, folder })
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        target: &str,
        body: impl Into<bytes::Bytes>,
    ) -> anyhow::Result<Answer> {
        self.client.raw(&Request::new(method, target).body(body)).await
    }

    async fn start(&self) -> anyhow::Result<String> {
        self.client.start_upload(REPOSITORY).await
    }

    /// A chunk that says where it belongs.
    async fn chunk(&self, location: &str, range: &str, body: &[u8]) -> anyhow::Result<Answer> {
        let patch = Request::new(Method::PATCH, location).header(CONTENT_RANGE, range);
        self.client.raw(&patch.body(body.to_vec())).await
    }

    /// How much of an upload is there, in the form of the protocol.
    async fn held(&self, location: &str) -> anyhow::Result<String> {
        let answer = self.client.raw(&Request::get(location)).await?.expect(204)?;
        assert!(answer.header("location").is_some(), "{answer}");
        Ok(answer.needs_header("range")?.to_owned())
    }

    fn repository_folder(&self) -> PathBuf {
        self.folder.path().join("docker/registry/v2/repositories").join(REPOSITORY)
    }

    fn sessions(&self) -> usize {
        std::fs::read_dir(self.repository_folder().join("_uploads")).map_or(0, Iterator::count)
    }
}

/// The path and query of an address that may be absolute.
fn session_id(location: &str) -> &str {
    let path = location.split('?').next().unwrap_or_default();
    path.rsplit('/').next().unwrap_or_default()
}

#[tokio::test]
async fn u1_u2_u10_a_session_has_an_unguessable_address_of_its_own() -> anyhow::Result<()> {
    let quay = Quay::open().await?;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let answer = quay.send(Method::POST, &uploads(REPOSITORY), "").await?.expect(202)?;
        let location = answer.needs_header("location")?;
        assert!(location.contains(&uploads(REPOSITORY)), "{location}");
        assert_eq!(answer.needs_header("docker-upload-uuid")?, session_id(location));
        assert_eq!(answer.needs_header("content-length")?, "0");
        // There is no least size of a chunk on a filesystem.
        assert!(answer.header("oci-chunk-min-length").is_none(), "{answer}");
        ids.push(uuid::Uuid::try_parse(session_id(location))?);
    }
    assert_ne!(ids[0], ids[1]);
    assert!(ids.iter().all(|id| id.get_version_num() == 4));
    Ok(())
}

#[tokio::test]
async fn u3_the_query_of_an_address_is_not_needed_and_a_digest_is_found_anywhere_in_it() -> anyhow::Result<()>
{
    let quay = Quay::open().await?;
    for seed in 0..2 {
        let bytes = noise(seed, 100);
        let location = quay.start().await?;
        let bare = location.split('?').next().unwrap_or_default().to_owned();
        let target = if seed == 0 {
            format!("{bare}?digest={}&x=y", sha256(&bytes))
        } else {
            with_digest(&location, &sha256(&bytes))
        };
        quay.send(Method::PUT, &target, bytes).await?.expect(201)?;
    }
    Ok(())
}

#[tokio::test]
async fn u4_a_whole_blob_may_be_in_the_first_request() -> anyhow::Result<()> {
    let quay = Quay::open().await?;
    for (seed, named) in [(1, sha256 as fn(&[u8]) -> String), (2, sha512)] {
        let bytes = noise(seed, 70_000);
        let digest = named(&bytes);
        let target = with_digest(&uploads(REPOSITORY), &digest);
        let answer = quay.send(Method::POST, &target, bytes.clone()).await?.expect(201)?;
        assert_eq!(answer.needs_header("docker-content-digest")?, digest);
        let location = answer.needs_header("location")?;
        assert!(location.ends_with(&format!("/v2/{REPOSITORY}/blobs/{digest}")), "{location}");
        assert_eq!(quay.client.raw(&Request::get(location)).await?.expect(200)?.body, bytes);
    }
    assert_eq!(quay.sessions(), 0);
    Ok(())
}

#[tokio::test]
async fn u5_a_first_request_with_other_bytes_than_it_names_leaves_nothing() -> anyhow::Result<()> {
    let quay = Quay::open().await?;
    let target = with_digest(&uploads(REPOSITORY), &sha256(b"what it says"));
    quay.send(Method::POST, &target, "what it is").await?.expect_error(400, "DIGEST_INVALID")?;
    quay.send(Method::POST, &target, "").await?.expect_error(400, "DIGEST_INVALID")?;
    assert_eq!(quay.sessions(), 0);
    Ok(())
}

#[tokio::test]
async fn u7_a_digest_that_cannot_be_served_is_refused_in_every_style_of_pushing() -> anyhow::Result<()> {
    let quay = Quay::open().await?;
    for digest in BAD_DIGESTS {
        let digest = digest.replace(':', "%3A");
        for parameter in ["digest", "mount", "from=other/app&mount"] {
            let target = format!("{}?{parameter}={digest}", uploads(REPOSITORY));
            quay.send(Method::POST, &target, "body").await?.expect_error(400, "DIGEST_INVALID")?;
            assert_eq!(quay.sessions(), 0, "{target} left a session");
        }
        let location = quay.start().await?;
        quay.chunk(&location, "0-3", b"body").await?.expect(202)?;
        let close = with_digest(&location, &digest);
        quay.send(Method::PUT, &close, "").await?.expect_error(400, "DIGEST_INVALID")?;
        // Together with a last chunk as well, which then is not taken.
        let put = Request::new(Method::PUT, close).header(CONTENT_RANGE, "4-7").body("more");
        quay.client.raw(&put).await?.expect_error(400, "DIGEST_INVALID")?;
        assert_eq!(quay.held(&location).await?, "0-3");
        quay.send(Method::DELETE, &location, "").await?.expect(204)?;
    }
    let location = quay.start().await?;
    quay.send(Method::PUT, &location, "").await?.expect_error(400, "DIGEST_INVALID")?;
    Ok(())
}

#[tokio::test]
async fn u8_an_announced_algorithm_is_taken_and_an_unknown_one_refused() -> anyhow::Result<()> {
    let quay = Quay::open().await?;
    for algorithm in ["sha384", "blake3", "SHA512", "sha-512", "512"] {
        let target = format!("{}?digest-algorithm={algorithm}", uploads(REPOSITORY));
        quay.send(Method::POST, &target, "").await?.expect_error(400, "DIGEST_INVALID")?;
    }
    assert_eq!(quay.sessions(), 0);
    let bytes = noise(3, 300_000);
    let target = format!("{}?digest-algorithm=sha512", uploads(REPOSITORY));
    let location =
        quay.send(Method::POST, &target, "").await?.expect(202)?.needs_header("location")?.to_owned();
    quay.chunk(&location, "0-99999", &bytes[..100_000]).await?.expect(202)?;
    let close = with_digest(&location, &sha512(&bytes));
    let answer = quay
        .send(Method::PUT, &close, bytes.slice(100_000..))
        .await?
        .expect_error(416, "BLOB_UPLOAD_INVALID");
    // The address given first says that nothing is there yet, and the one of now says what is.
    answer?;
    let location =
        quay.client.raw(&Request::get(location)).await?.expect(204)?.needs_header("location")?.to_owned();
    let close = with_digest(&location, &sha512(&bytes));
    let answer = quay.send(Method::PUT, &close, bytes.slice(100_000..)).await?.expect(201)?;
    assert_eq!(answer.needs_header("docker-content-digest")?, sha512(&bytes));
    Ok(())
}

#[tokio::test]
async fn c1_c2_c4_chunks_follow_each_other_and_the_range_is_that_of_the_whole() -> anyhow::Result<()> {
    let quay = Quay::open().await?;
    let bytes = noise(4, 2500);
    let mut location = quay.start().await?;
    for (first, last) in [(0, 999), (1000, 1999), (2000, 2499)] {
        let answer =
            quay.chunk(&location, &format!("{first}-{last}"), &bytes[first..=last]).await?.expect(202)?;
        assert_eq!(answer.needs_header("range")?, format!("0-{last}"));
        location = answer.needs_header("location")?.to_owned();
    }
    let close = with_digest(&location, &sha256(&bytes));
    quay.send(Method::PUT, &close, "").await?.expect(201)?;
    Ok(())
}

#[tokio::test]
async fn c3_t1_every_earlier_address_of_a_session_works() -> anyhow::Result<()> {
    let quay = Quay::open().await?;
    let first = quay.start().await?;
    let second = quay.chunk(&first, "0-4", b"01234").await?.needs_header("location")?.to_owned();
    quay.chunk(&second, "5-9", b"56789").await?.expect(202)?;
    for location in [&first, &second] {
        assert_eq!(quay.held(location).await?, "0-9");
        // A digest that is left over from a closing request means nothing here.
        assert_eq!(quay.held(&with_digest(location, "sha256:x")).await?, "0-9");
    }
    quay.chunk(&first, "10-10", b"x").await?.expect(202)?;
    quay.send(Method::DELETE, &first, "").await?.expect(204)?;
    quay.send(Method::DELETE, &second, "").await?.expect_error(404, "BLOB_UPLOAD_UNKNOWN")?;
    assert_eq!(quay.sessions(), 0);
    Ok(())
}

#[tokio::test]
async fn c5_c6_a_chunk_out_of_order_is_refused_and_changes_nothing() -> anyhow::Result<()> {
    let quay = Quay::open().await?;
    let bytes = noise(5, 20);
    let location = quay.start().await?;
    quay.chunk(&location, "0-9", &bytes[..10]).await?.expect(202)?;
    for range in ["0-9", "9-18", "11-20", "100-109"] {
        let answer = quay.chunk(&location, range, &bytes[10..]).await?;
        let answer = answer.expect_error(416, "BLOB_UPLOAD_INVALID")?;
        assert_eq!(answer.needs_header("range")?, "0-9", "{range}");
        let close = with_digest(&location, &sha256(&bytes));
        let put = Request::new(Method::PUT, close).header(CONTENT_RANGE, range).body(bytes.slice(10..));
        let answer = quay.client.raw(&put).await?.expect_error(416, "BLOB_UPLOAD_INVALID")?;
        assert_eq!(answer.needs_header("range")?, "0-9", "{range}");
        assert_eq!(quay.held(&location).await?, "0-9", "{range}");
    }
    let location = quay.client.raw(&Request::get(location)).await?.needs_header("location")?.to_owned();
    let close = with_digest(&location, &sha256(&bytes));
    let put = Request::new(Method::PUT, close).header(CONTENT_RANGE, "10-19").body(bytes.slice(10..));
    quay.client.raw(&put).await?.expect(201)?;
    Ok(())
}

#[tokio::test]
async fn c7_bytes_without_a_place_are_appended() -> anyhow::Result<()> {
    let quay = Quay::open().await?;
    let location = quay.start().await?;
    for (body, held) in [("abc", "0-2"), ("", "0-2"), ("def", "0-5")] {
        let answer = quay.send(Method::PATCH, &location, body).await?.expect(202)?;
        assert_eq!(answer.needs_header("range")?, held);
    }
    // As a stream, whose length nobody knows before its end.
    let pieces: Vec<Result<&'static str, std::io::Error>> = vec![Ok("gh"), Ok("i")];
    let address = reqwest::Url::parse(&quay.registry.url())?.join(&location)?;
    let streamed = quay.client.http().patch(address);
    let streamed =
        streamed.body(reqwest::Body::wrap_stream(futures_util::stream::iter(pieces))).send().await?;
    assert_eq!(streamed.status(), 202);
    let location = streamed.headers()["location"].to_str()?.to_owned();
    quay.send(Method::PUT, &with_digest(&location, &sha256(b"abcdefghi")), "").await?.expect(201)?;
    Ok(())
}

#[tokio::test]
async fn c8_a_place_that_makes_no_sense_is_refused_and_changes_nothing() -> anyhow::Result<()> {
    let quay = Quay::open().await?;
    let location = quay.start().await?;
    for range in ["", "x", "0", "-3", "0-", "3-0", "0-2", "0-4", "0-3-4", "0x0-0x3", "0-18446744073709551615"]
    {
        quay.chunk(&location, range, b"body").await?.expect_error(400, "SIZE_INVALID")?;
        let put = Request::new(Method::PUT, with_digest(&location, &sha256(b"body")));
        let put = put.header(CONTENT_RANGE, range).body("body");
        quay.client.raw(&put).await?.expect_error(400, "SIZE_INVALID")?;
        assert_eq!(quay.held(&location).await?, "0-0", "{range}");
    }
    // The spelling of RFC 9110 is understood too.
    quay.chunk(&location, "bytes 0-3/*", b"body").await?.expect(202)?;
    Ok(())
}

#[tokio::test]
async fn k1_k2_a_session_is_closed_with_the_whole_the_rest_or_nothing() -> anyhow::Result<()> {
    let quay = Quay::open().await?;
    for (seed, before) in [(6, 0), (7, 600), (8, 1000)] {
        let bytes = noise(seed, 1000);
        let mut location = quay.start().await?;
        if before > 0 {
            let answer = quay.send(Method::PATCH, &location, bytes.slice(..before)).await?.expect(202)?;
            location = answer.needs_header("location")?.to_owned();
        }
        let close = with_digest(&location, &sha256(&bytes));
        let answer = quay.send(Method::PUT, &close, bytes.slice(before..)).await?.expect(201)?;
        let location = answer.needs_header("location")?;
        assert_eq!(quay.client.raw(&Request::get(location)).await?.expect(200)?.body, bytes);
    }
    assert_eq!(quay.sessions(), 0);
    Ok(())
}

#[tokio::test]
async fn k3_a_wrong_digest_is_refused_and_the_right_one_still_closes_the_session() -> anyhow::Result<()> {
    let quay = Quay::open().await?;
    for (wrong, right) in [(sha256(b"x"), sha256(b"body")), (sha512(b"x"), sha512(b"body"))] {
        let location = quay.start().await?;
        quay.send(Method::PATCH, &location, "body").await?.expect(202)?;
        quay.send(Method::PUT, &with_digest(&location, &wrong), "")
            .await?
            .expect_error(400, "DIGEST_INVALID")?;
        quay.client.get_blob(REPOSITORY, &wrong).await?.expect_error(404, "BLOB_UNKNOWN")?;
        quay.send(Method::PUT, &with_digest(&location, &right), "").await?.expect(201)?;
    }
    Ok(())
}

#[tokio::test]
async fn k4_a_blob_of_no_bytes_is_a_blob() -> anyhow::Result<()> {
    let quay = Quay::open().await?;
    for (style, digest) in
        [("put", sha256(b"")), ("post", sha256(b"")), ("put", sha512(b"")), ("post", sha512(b""))]
    {
        if style == "put" {
            let location = quay.start().await?;
            quay.send(Method::PUT, &with_digest(&location, &digest), "").await?.expect(201)?;
        } else {
            quay.send(Method::POST, &with_digest(&uploads(REPOSITORY), &digest), "").await?.expect(201)?;
        }
        let blob = format!("/v2/{REPOSITORY}/blobs/{digest}");
        for method in [Method::GET, Method::HEAD] {
            let answer = quay.send(method, &blob, "").await?.expect(200)?;
            assert_eq!(answer.needs_header("content-length")?, "0");
            assert!(answer.body.is_empty());
        }
        quay.send(Method::DELETE, &blob, "").await?.expect(202)?;
        quay.send(Method::GET, &blob, "").await?.expect_error(404, "BLOB_UNKNOWN")?;
    }
    Ok(())
}

#[tokio::test]
async fn k5_sha512_content_answers_to_both_names_and_each_is_deleted_alone() -> anyhow::Result<()> {
    let quay = Quay::open().await?;
    let bytes = noise(9, 5000);
    let (short, long) = (sha256(&bytes), sha512(&bytes));
    let location = quay.start().await?;
    let answer = quay.send(Method::PUT, &with_digest(&location, &long), bytes.clone()).await?.expect(201)?;
    assert_eq!(answer.needs_header("docker-content-digest")?, long);
    let blob = |digest: &str| format!("/v2/{REPOSITORY}/blobs/{digest}");
    for digest in [&short, &long] {
        for method in [Method::GET, Method::HEAD] {
            let answer = quay.send(method, &blob(digest), "").await?.expect(200)?;
            assert_eq!(answer.needs_header("docker-content-digest")?, digest);
            assert_eq!(answer.needs_header("etag")?, format!("\"{digest}\""));
            assert_eq!(answer.needs_header("content-length")?, "5000");
        }
        let (algorithm, hex) = digest.split_once(':').expect("a digest");
        let link = quay.repository_folder().join("_layers").join(algorithm).join(hex).join("link");
        assert_eq!(std::fs::read_to_string(link)?, short, "both links hold the name the bytes lie under");
    }
    assert!(!quay.folder.path().join("docker/registry/v2/blobs/sha512").exists(), "bytes are stored once");
    quay.send(Method::DELETE, &blob(&short), "").await?.expect(202)?;
    quay.send(Method::GET, &blob(&short), "").await?.expect_error(404, "BLOB_UNKNOWN")?;
    quay.send(Method::GET, &blob(&long), "").await?.expect(200)?;
    quay.send(Method::DELETE, &blob(&long), "").await?.expect(202)?;
    quay.send(Method::GET, &blob(&long), "").await?.expect_error(404, "BLOB_UNKNOWN")?;
    Ok(())
}

#[tokio::test]
async fn t2_t3_t4_an_empty_session_says_so_and_an_unknown_one_is_unknown() -> anyhow::Result<()> {
    let quay = Quay::open().await?;
    let location = quay.start().await?;
    assert_eq!(quay.held(&location).await?, "0-0");
    quay.send(Method::DELETE, &location, "").await?.expect(204)?;
    assert_eq!(quay.sessions(), 0, "session and bytes are gone");
    for method in [Method::GET, Method::PATCH, Method::PUT, Method::DELETE] {
        let target = with_digest(&location, &sha256(b""));
        quay.send(method, &target, "").await?.expect_error(404, "BLOB_UPLOAD_UNKNOWN")?;
    }
    Ok(())
}

#[tokio::test]
async fn whatever_type_a_client_gives_a_body_it_is_content() -> anyhow::Result<()> {
    let quay = Quay::open().await?;
    let body = b"digest=sha256%3Aabc&a=b";
    for kind in ["application/x-www-form-urlencoded", "text/plain; charset=utf-8", "multipart/form-data", "?"]
    {
        let location = quay.start().await?;
        let patch = Request::new(Method::PATCH, location).header(CONTENT_TYPE, kind).body(&body[..10]);
        let location = quay.client.raw(&patch).await?.expect(202)?.needs_header("location")?.to_owned();
        let close = Request::new(Method::PUT, with_digest(&location, &sha256(body)));
        quay.client.raw(&close.header(CONTENT_TYPE, kind).body(&body[10..])).await?.expect(201)?;
        let post = Request::new(Method::POST, with_digest(&uploads(REPOSITORY), &sha256(body)));
        quay.client.raw(&post.header(CONTENT_TYPE, kind).body(&body[..])).await?.expect(201)?;
    }
    Ok(())
}
