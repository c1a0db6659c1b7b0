//! Reading blobs.
//!
//! Spec: distribution-spec, "Pulling blobs"; RFC 9110 §14.

use harness::client::{OciClient, Request};
use harness::images::{Blob, noise, sha512};
use reqwest::header::{IF_RANGE, RANGE};

use super::{Case, head, in_every_mode, layer};

const ABSENT: &str = "sha256:2222222222222222222222222222222222222222222222222222222222222222";

/// A blob of 2048 bytes and the request for a part of it.
async fn two_kibibytes(case: &Case) -> anyhow::Result<(Blob, impl Fn(&str) -> Request + use<>)> {
    let (name, blob) = (case.repository(), Blob::new("application/octet-stream", noise(301, 2048)));
    case.push_blob(&name, &blob).await?;
    let target = format!("/v2/{name}/blobs/{}", blob.digest);
    Ok((blob, move |range: &str| Request::get(target.clone()).header(RANGE, range)))
}

#[tokio::test]
async fn b_1_a_blob_comes_back_byte_for_byte() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        // Around the size of the pieces in which blobs are read, and well above.
        for size in [1, 262_143, 262_144, 262_145, 1_500_000] {
            let (name, blob) = (case.repository(), Blob::new("application/octet-stream", noise(302, size)));
            case.push_blob(&name, &blob).await?;
            let answer = case.get_blob(&name, &blob.digest).await?.expect(200)?;
            assert!(answer.body == blob.bytes, "{size} bytes came back as {}", answer.body.len());
            assert_eq!(answer.needs_header("content-length")?, size.to_string());
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn b_2_a_blob_comes_with_its_digest() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, blob) = (case.repository(), layer(303));
        case.push_blob(&name, &blob).await?;
        let answer = case.get_blob(&name, &blob.digest).await?.expect(200)?;
        assert_eq!(answer.needs_header("docker-content-digest")?, blob.digest);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn b_3_the_digest_is_that_of_the_body_whichever_was_asked_for() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, blob) = (case.repository(), layer(304));
        let long = sha512(&blob.bytes);
        let location = case.start_upload(&name).await?;
        case.close(&location, &long, &blob.bytes).await?.expect(201)?;
        for digest in [&blob.digest, &long] {
            let answer = case.get_blob(&name, digest).await?.expect(200)?;
            assert_eq!(answer.needs_header("docker-content-digest")?, digest);
            assert_eq!(answer.body, blob.bytes);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn b_4_what_is_not_in_this_repository_is_404() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, other) = (case.repository(), case.repository());
        let (here, there) = (layer(305), layer(306));
        case.push_blob(&name, &here).await?;
        case.push_blob(&other, &there).await?;
        for digest in [&*there.digest, ABSENT] {
            case.get_blob(&name, digest).await?.expect_error(404, "BLOB_UNKNOWN")?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn b_5_parts_of_a_blob_are_sent_with_their_place_and_length() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (blob, part) = two_kibibytes(case).await?;
        for (range, first, last) in [
            ("bytes=500-1499", 500, 1499),
            ("bytes=500-", 500, 2047),
            ("bytes=-500", 1548, 2047),
            ("bytes=2000-5000", 2000, 2047),
            ("bytes=-5000", 0, 2047),
            ("bytes=0-0", 0, 0),
            ("bytes=0-", 0, 2047),
        ] {
            let answer = case.send(&part(range)).await?.expect(206)?;
            assert_eq!(answer.needs_header("content-range")?, format!("bytes {first}-{last}/2048"));
            assert_eq!(answer.needs_header("content-length")?, (last - first + 1).to_string());
            assert_eq!(answer.body, blob.bytes.slice(first..=last), "{range}");
            assert_eq!(answer.needs_header("docker-content-digest")?, blob.digest);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn b_5_a_part_that_is_not_there_is_416_with_a_body_of_the_announced_length() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (blob, part) = two_kibibytes(case).await?;
        for range in ["bytes=500-0", "bytes=5000-10000", "bytes=2048-", "bytes=-0"] {
            let answer = case.send(&part(range)).await?.expect_error(416, "SIZE_INVALID")?;
            assert_eq!(answer.needs_header("content-range")?, "bytes */2048", "{range}");
            assert_eq!(answer.needs_header("content-length")?, answer.body.len().to_string(), "{range}");
        }
        let whole = case.send(&part("bytes=0-1").header(IF_RANGE, "\"another\"")).await?.expect(200)?;
        assert_eq!(whole.body, blob.bytes);
        let same = case.send(&part("bytes=0-1").header(IF_RANGE, format!("\"{}\"", blob.digest))).await?;
        assert_eq!(same.expect(206)?.body.len(), 2);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn b_6_head_of_a_blob_tells_digest_and_length() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        for size in [0, 3000, 1_500_000] {
            let (name, blob) = (case.repository(), Blob::new("application/octet-stream", noise(307, size)));
            case.push_blob(&name, &blob).await?;
            let answer = case.send(&head(format!("/v2/{name}/blobs/{}", blob.digest))).await?.expect(200)?;
            assert_eq!(answer.needs_header("docker-content-digest")?, blob.digest);
            assert_eq!(answer.needs_header("content-length")?, size.to_string());
            assert!(answer.body.is_empty(), "{answer}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn b_7_head_of_a_missing_blob_is_404() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, other) = (case.repository(), case.repository());
        let blob = layer(308);
        case.push_blob(&other, &blob).await?;
        for digest in [ABSENT, &blob.digest] {
            let answer = case.send(&head(format!("/v2/{name}/blobs/{digest}"))).await?.expect(404)?;
            assert!(answer.body.is_empty(), "{answer}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_reader_that_leaves_in_the_middle_hurts_nobody() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, blob) = (case.repository(), Blob::new("application/octet-stream", noise(309, 4_000_000)));
        case.push_blob(&name, &blob).await?;
        let open = OciClient::anonymous(&format!("http://{}", case.address))?;
        let response = open.http().get(format!("http://{}/v2/{name}/blobs/{}", case.address, blob.digest));
        drop(response.send().await?);
        assert_eq!(case.get_blob(&name, &blob.digest).await?.expect(200)?.body, blob.bytes);
        Ok(())
    })
    .await
}
