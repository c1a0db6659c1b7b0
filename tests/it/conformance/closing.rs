//! Closing an upload.
//!
//! Spec: distribution-spec, "Pushing a blob monolithically", "Pushing a blob in chunks".

use harness::client::{Request, with_digest};
use harness::images::{Blob, sha512};
use reqwest::Method;
use reqwest::header::CONTENT_RANGE;

use super::{in_every_mode, layer, put};

#[tokio::test]
async fn k_1_only_a_put_with_the_digest_of_the_whole_blob_closes_a_session() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, blob) = (case.repository(), layer(601));
        let location = case.start_upload(&name).await?;
        let answer = case.chunk(&location, "0-2999", &blob.bytes).await?.expect(202)?;
        let location = answer.needs_header("location")?.to_owned();
        case.get_blob(&name, &blob.digest).await?.expect(404)?;
        case.send(&put(&location)).await?.expect_error(400, "DIGEST_INVALID")?;
        case.get_blob(&name, &blob.digest).await?.expect(404)?;
        case.close(&location, &blob.digest, &bytes::Bytes::new()).await?.expect(201)?;
        // Nothing of the session is left.
        case.send(&Request::get(&location)).await?.expect_error(404, "BLOB_UPLOAD_UNKNOWN")?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn k_1_the_put_may_carry_nothing_the_last_chunk_or_the_whole_blob() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = case.repository();
        for (seed, sent) in [(602, 3000), (603, 1000), (604, 0)] {
            let blob = layer(seed);
            let mut location = case.start_upload(&name).await?;
            if sent > 0 {
                let range = format!("0-{}", sent - 1);
                let answer = case.chunk(&location, &range, &blob.bytes.slice(..sent)).await?.expect(202)?;
                location = answer.needs_header("location")?.to_owned();
            }
            let mut closing = put(with_digest(&location, &blob.digest)).body(blob.bytes.slice(sent..));
            if sent < 3000 {
                closing = closing.header(CONTENT_RANGE, format!("{sent}-2999"));
            }
            case.send(&closing).await?.expect(201)?;
            assert_eq!(case.get_blob(&name, &blob.digest).await?.expect(200)?.body, blob.bytes);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn k_2_the_answer_leads_to_the_blob() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, blob) = (case.repository(), layer(605));
        let location = case.start_upload(&name).await?;
        let answer = case.close(&location, &blob.digest, &blob.bytes).await?.expect(201)?;
        let pulled = case.send(&Request::get(answer.needs_header("location")?)).await?.expect(200)?;
        assert_eq!(pulled.body, blob.bytes);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn k_3_a_digest_of_other_bytes_is_400_and_nothing_becomes_visible() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, blob, other) = (case.repository(), layer(606), layer(607));
        for wrong in [other.digest.clone(), sha512(&other.bytes)] {
            let location = case.start_upload(&name).await?;
            case.close(&location, &wrong, &blob.bytes).await?.expect_error(400, "DIGEST_INVALID")?;
            case.get_blob(&name, &wrong).await?.expect(404)?;
        }
        // A wrong digest together with the last chunk.
        let location = case.start_upload(&name).await?;
        case.chunk(&location, "0-1999", &blob.bytes.slice(..2000)).await?.expect(202)?;
        let closing = put(with_digest(&location, &other.digest))
            .header(CONTENT_RANGE, "2000-2999")
            .body(blob.bytes.slice(2000..));
        case.send(&closing).await?.expect_error(400, "DIGEST_INVALID")?;
        for digest in [&blob.digest, &other.digest] {
            case.get_blob(&name, digest).await?.expect(404)?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn k_4_nothing_at_all_is_a_blob() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let empty = Blob::new("application/octet-stream", bytes::Bytes::new());
        for with_patch in [false, true] {
            let name = case.repository();
            let mut location = case.start_upload(&name).await?;
            if with_patch {
                let patch = Request::new(Method::PATCH, &location).body(empty.bytes.clone());
                location = case.send(&patch).await?.expect(202)?.needs_header("location")?.to_owned();
            }
            case.close(&location, &empty.digest, &empty.bytes).await?.expect(201)?;
            let answer = case.get_blob(&name, &empty.digest).await?.expect(200)?;
            assert!(answer.body.is_empty(), "{answer}");
            assert_eq!(answer.needs_header("content-length")?, "0");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn k_5_the_answer_repeats_the_digest_that_was_given() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, blob) = (case.repository(), layer(608));
        for digest in [blob.digest.clone(), sha512(&blob.bytes)] {
            let location = case.start_upload(&name).await?;
            let answer = case.close(&location, &digest, &blob.bytes).await?.expect(201)?;
            assert_eq!(answer.needs_header("docker-content-digest")?, digest);
            assert!(answer.needs_header("location")?.ends_with(&digest), "{answer}");
        }
        Ok(())
    })
    .await
}
