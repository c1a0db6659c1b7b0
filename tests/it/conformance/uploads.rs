//! Opening an upload session, looking at it, giving it up; and the upload in one request.
//!
//! Spec: distribution-spec, "Pushing blobs".

use std::sync::Arc;
use std::time::Duration;

use harness::client::{OciClient, Request, uploads, with_digest};
use harness::edited;
use harness::images::{Blob, noise, sha256, sha512};
use harness::program::until;
use harness::settings::Auth;
use reqwest::Method;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE};
use shared::clock::ManualClock;

use super::{Case, delete, in_every_mode, layer, post, put};

/// The bytes that the three refused digests are told to be of.
async fn refused_in_every_style(case: &Case, digest: &str) -> anyhow::Result<()> {
    let (name, blob) = (case.repository(), layer(401));
    let half = blob.bytes.len() / 2;
    // In one request.
    let single = post(with_digest(&uploads(&name), digest)).body(blob.bytes.clone());
    case.send(&single).await?.expect_error(400, "DIGEST_INVALID")?;
    // POST, then everything in the PUT.
    let location = case.start_upload(&name).await?;
    case.close(&location, digest, &blob.bytes).await?.expect_error(400, "DIGEST_INVALID")?;
    // As a stream, then an empty PUT.
    let location = case.start_upload(&name).await?;
    let patch = Request::new(Method::PATCH, location).body(blob.bytes.clone());
    let answer = case.send(&patch).await?.expect(202)?;
    let location = answer.needs_header("location")?.to_owned();
    case.close(&location, digest, &bytes::Bytes::new()).await?.expect_error(400, "DIGEST_INVALID")?;
    // In chunks, the last of them in the PUT.
    let location = case.start_upload(&name).await?;
    let answer = case.chunk(&location, &format!("0-{}", half - 1), &blob.bytes.slice(..half)).await?;
    let location = answer.expect(202)?.needs_header("location")?.to_owned();
    let last = put(with_digest(&location, digest))
        .header(CONTENT_RANGE, format!("{half}-{}", blob.bytes.len() - 1))
        .body(blob.bytes.slice(half..));
    case.send(&last).await?.expect_error(400, "DIGEST_INVALID")?;
    case.get_blob(&name, &blob.digest).await?.expect(404)?;
    Ok(())
}

#[tokio::test]
async fn u_1_a_session_opens_with_202_and_its_address() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = case.repository();
        let answer = case.send(&post(uploads(&name))).await?.expect(202)?;
        let location = answer.needs_header("location")?;
        assert!(answer.body.is_empty(), "{answer}");
        assert_eq!(case.upload_range(location).await?, "0-0");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn u_2_every_session_has_an_id_of_its_own() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = case.repository();
        let mut ids = Vec::new();
        for _ in 0..3 {
            let answer = case.send(&post(uploads(&name))).await?.expect(202)?;
            let location = answer.needs_header("location")?;
            let (_, id) = location.split_once(&uploads(&name)).expect("a location below the uploads");
            let id = uuid::Uuid::parse_str(id.split('?').next().unwrap_or_default())?;
            assert_eq!(answer.needs_header("docker-upload-uuid")?, id.to_string());
            ids.push(id);
        }
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 3);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn u_3_the_location_is_used_as_it_is_with_the_digest_appended() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, blob) = (case.repository(), layer(402));
        let location = case.start_upload(&name).await?;
        case.close(&location, &blob.digest, &blob.bytes).await?.expect(201)?;
        // Without the parameters the registry had put there, and with the digest first.
        let other = layer(403);
        let location = case.start_upload(&name).await?;
        let bare = location.split('?').next().unwrap_or_default();
        case.close(bare, &other.digest, &other.bytes).await?.expect(201)?;
        case.get_blob(&name, &other.digest).await?.expect(200)?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn u_4_one_post_uploads_a_blob_that_can_be_pulled() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, blob) = (case.repository(), layer(404));
        let answer =
            case.send(&post(with_digest(&uploads(&name), &blob.digest)).body(blob.bytes.clone())).await?;
        let answer = answer.expect(201)?;
        let pulled = case.send(&Request::get(answer.needs_header("location")?)).await?.expect(200)?;
        assert_eq!(pulled.body, blob.bytes);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn u_5_in_one_post_length_and_digest_must_be_those_of_the_body() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, blob) = (case.repository(), layer(405));
        let target = with_digest(&uploads(&name), &blob.digest);
        let other = post(&target).body(noise(406, 3000));
        case.send(&other).await?.expect_error(400, "DIGEST_INVALID")?;
        let shorter = post(&target).body(blob.bytes.slice(1..));
        case.send(&shorter).await?.expect_error(400, "DIGEST_INVALID")?;
        case.send(&post(&target).header(CONTENT_LENGTH, "0")).await?.expect_error(400, "DIGEST_INVALID")?;
        case.get_blob(&name, &blob.digest).await?.expect(404)?;
        // A body that ends before its announced length is never a blob. Only an open registry hears it unasked.
        if case.mode == super::Mode::Open {
            let length = blob.bytes.len().to_string();
            let bytes =
                harness::raw_http::request("POST", &target, &[("Content-Length", &length)], &blob.bytes[1..]);
            let mut stream = tokio::net::TcpStream::connect(&case.address).await?;
            tokio::io::AsyncWriteExt::write_all(&mut stream, &bytes).await?;
            tokio::io::AsyncWriteExt::shutdown(&mut stream).await?;
            let mut said = Vec::new();
            let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut said).await;
            assert!(!said.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&said));
            case.get_blob(&name, &blob.digest).await?.expect(404)?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn u_6_a_single_post_leads_to_a_blob_or_to_a_session() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, blob) = (case.repository(), Blob::new("application/octet-stream", noise(407, 700_000)));
        let target = with_digest(&uploads(&name), &blob.digest);
        let answer = case.send(&post(target).body(blob.bytes.clone())).await?;
        if answer.status == 202 {
            let location = answer.needs_header("location")?.to_owned();
            case.close(&location, &blob.digest, &blob.bytes).await?.expect(201)?;
        } else {
            answer.expect(201)?;
        }
        assert_eq!(case.get_blob(&name, &blob.digest).await?.expect(200)?.body, blob.bytes);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn u_7_an_invalid_digest_is_400_in_every_style_of_push() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let upper = format!("sha256:{}", "A".repeat(64));
        for digest in ["sha256:tooshort", "nonsense", &upper] {
            refused_in_every_style(case, digest).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn u_7_a_digest_of_an_algorithm_nobody_here_computes_is_400_in_every_style_of_push()
-> anyhow::Result<()> {
    in_every_mode(async |case| {
        for digest in ["md5:d41d8cd98f00b204e9800998ecf8427e", &format!("sha384:{}", "0".repeat(96))] {
            refused_in_every_style(case, digest).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn u_8_the_algorithm_may_be_announced_when_the_session_opens() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, blob) = (case.repository(), layer(408));
        for (algorithm, digest) in [("sha256", sha256(&blob.bytes)), ("sha512", sha512(&blob.bytes))] {
            let target = format!("{}?digest-algorithm={algorithm}", uploads(&name));
            let answer = case.send(&post(target)).await?.expect(202)?;
            let location = answer.needs_header("location")?.to_owned();
            let half = blob.bytes.len() / 2;
            let answer = case.chunk(&location, &format!("0-{}", half - 1), &blob.bytes.slice(..half)).await?;
            let location = answer.expect(202)?.needs_header("location")?.to_owned();
            let answer = case.close(&location, &digest, &blob.bytes.slice(half..)).await?.expect(201)?;
            assert_eq!(answer.needs_header("docker-content-digest")?, digest);
            assert_eq!(case.get_blob(&name, &digest).await?.expect(200)?.body, blob.bytes);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn u_8_an_algorithm_that_was_not_announced_may_close_a_session() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, blob) = (case.repository(), layer(409));
        let location = case.start_upload(&name).await?;
        let patch = Request::new(Method::PATCH, location).body(blob.bytes.clone());
        let answer = case.send(&patch).await?.expect(202)?;
        let location = answer.needs_header("location")?.to_owned();
        let long = sha512(&blob.bytes);
        case.close(&location, &long, &bytes::Bytes::new()).await?.expect(201)?;
        assert_eq!(case.get_blob(&name, &long).await?.expect(200)?.body, blob.bytes);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn u_9_there_is_no_smallest_chunk_and_so_none_is_announced() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, blob) = (case.repository(), Blob::new("application/octet-stream", &b"abc"[..]));
        let answer = case.send(&post(uploads(&name))).await?.expect(202)?;
        assert!(answer.header("oci-chunk-min-length").is_none(), "{answer}");
        let mut location = answer.needs_header("location")?.to_owned();
        for at in 0..3 {
            let answer = case.chunk(&location, &format!("{at}-{at}"), &blob.bytes.slice(at..=at)).await?;
            location = answer.expect(202)?.needs_header("location")?.to_owned();
        }
        case.close(&location, &blob.digest, &bytes::Bytes::new()).await?.expect(201)?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn u_10_a_session_opens_whether_or_not_the_length_of_nothing_is_told() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = case.repository();
        case.send(&post(uploads(&name)).header(CONTENT_LENGTH, "0")).await?.expect(202)?;
        case.send(&post(uploads(&name))).await?.expect(202)?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn t_1_a_session_tells_where_it_is_and_how_much_it_has() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, blob) = (case.repository(), layer(410));
        let location = case.start_upload(&name).await?;
        case.chunk(&location, "0-999", &blob.bytes.slice(..1000)).await?.expect(202)?;
        // The first address of the session is as good as the newest.
        let answer = case.send(&Request::get(location)).await?.expect(204)?;
        assert_eq!(answer.needs_header("range")?, "0-999");
        let location = answer.needs_header("location")?.to_owned();
        case.chunk(&location, "1000-1999", &blob.bytes.slice(1000..2000)).await?.expect(202)?;
        assert_eq!(case.upload_range(&location).await?, "0-1999");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn t_2_before_any_byte_the_range_is_that_of_docker_and_a_left_over_digest_is_no_harm()
-> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, blob) = (case.repository(), layer(411));
        let location = case.start_upload(&name).await?;
        assert_eq!(case.upload_range(&location).await?, "0-0");
        assert_eq!(case.upload_range(&with_digest(&location, &blob.digest)).await?, "0-0");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn t_3_a_session_nobody_opened_is_404() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, blob) = (case.repository(), layer(412));
        let session = format!("{}00000000-0000-4000-8000-000000000000", uploads(&name));
        let requests = [
            Request::get(&session),
            Request::new(Method::PATCH, &session).body("x"),
            put(with_digest(&session, &blob.digest)).body(blob.bytes.clone()),
            delete(&session),
        ];
        for request in requests {
            case.send(&request).await?.expect_error(404, "BLOB_UPLOAD_UNKNOWN")?;
        }
        // A session belongs to its repository.
        let location = case.start_upload(&name).await?;
        let elsewhere = location.replace(&name, &case.repository());
        let elsewhere = elsewhere.split('?').next().unwrap_or_default();
        case.send(&Request::get(elsewhere)).await?.expect_error(404, "BLOB_UPLOAD_UNKNOWN")?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn t_4_a_cancelled_session_is_gone_with_its_bytes() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, blob) = (case.repository(), layer(413));
        let first = case.start_upload(&name).await?;
        let answer = case.chunk(&first, "0-2999", &blob.bytes).await?.expect(202)?;
        let newest = answer.needs_header("location")?.to_owned();
        // Any address the session ever had will do.
        let answer = case.send(&delete(&first)).await?.expect(204)?;
        assert!(answer.body.is_empty(), "{answer}");
        for location in [&first, &newest] {
            case.send(&Request::get(location)).await?.expect_error(404, "BLOB_UPLOAD_UNKNOWN")?;
            let closed = case.close(location, &blob.digest, &bytes::Bytes::new()).await?;
            closed.expect_error(404, "BLOB_UPLOAD_UNKNOWN")?;
        }
        case.get_blob(&name, &blob.digest).await?.expect(404)?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn t_5_cancelling_twice_is_404() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let location = case.start_upload(&case.repository()).await?;
        case.send(&delete(&location)).await?.expect(204)?;
        case.send(&delete(&location)).await?.expect_error(404, "BLOB_UPLOAD_UNKNOWN")?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn u_8_an_algorithm_nobody_here_computes_is_refused_before_any_byte() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = case.repository();
        for algorithm in ["md5", "sha384", "SHA256", "no%20name"] {
            let target = format!("{}?digest-algorithm={algorithm}", uploads(&name));
            case.send(&post(target)).await?.expect_error(400, "DIGEST_INVALID")?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn t_6_a_session_that_nobody_finishes_goes_after_its_time() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let clock = Arc::new(ManualClock::default());
    let delete = "  delete:\n    enabled: true\n";
    let purging = format!("{delete}  maintenance:\n    uploadpurging:\n      age: 2h\n      interval: 1s\n");
    let edits = [(delete, purging.as_str())];
    let registry = edited::registry(folder.path(), Auth::Open, &edits, &clock).await?;
    let client = OciClient::anonymous(&format!("http://{}", registry.address()))?;
    let abandoned = client.start_upload("a/b").await?;
    clock.advance(Duration::from_mins(110));
    let young = client.start_upload("a/b").await?;
    clock.advance(Duration::from_mins(11));
    let status = async |location: &str| {
        client.raw(&Request::get(location)).await.map(|answer| answer.status).unwrap_or_default()
    };
    until("the abandoned upload goes", Duration::from_mins(1), || async { status(&abandoned).await == 404 })
        .await?;
    assert_eq!(status(&young).await, 204);
    let sessions = folder.path().join("images/docker/registry/v2/repositories/a/b/_uploads");
    until("its bytes go, too", Duration::from_mins(1), || async {
        std::fs::read_dir(&sessions).is_ok_and(|left| left.count() == 1)
    })
    .await?;
    Ok(())
}
