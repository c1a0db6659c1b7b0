//! Chunks of an upload.
//!
//! Spec: distribution-spec, "Pushing a blob in chunks".

use harness::client::{Request, with_digest};
use harness::images::{Blob, noise};
use reqwest::Method;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE};

use super::{Case, in_every_mode, layer, put};

/// A session that holds the first thousand bytes of this blob.
async fn begun(case: &Case, name: &str, blob: &Blob) -> anyhow::Result<String> {
    let location = case.start_upload(name).await?;
    let answer = case.chunk(&location, "0-999", &blob.bytes.slice(..1000)).await?.expect(202)?;
    Ok(answer.needs_header("location")?.to_owned())
}

/// Goes on with a session that holds a thousand bytes, and proves that these were the right ones.
async fn ends_well(case: &Case, name: &str, location: &str, blob: &Blob) -> anyhow::Result<()> {
    let answer = case.send(&Request::get(location)).await?.expect(204)?;
    assert_eq!(answer.needs_header("range")?, "0-999");
    let location = answer.needs_header("location")?;
    case.close(location, &blob.digest, &blob.bytes.slice(1000..)).await?.expect(201)?;
    assert_eq!(case.get_blob(name, &blob.digest).await?.expect(200)?.body, blob.bytes);
    Ok(())
}

#[tokio::test]
async fn c_1_every_chunk_is_answered_with_202_the_address_and_the_range() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, blob) = (case.repository(), layer(501));
        let mut location = case.start_upload(&name).await?;
        for first in [0, 1000, 2000] {
            let (last, bytes) = (first + 999, blob.bytes.slice(first..first + 1000));
            let answer = case.chunk(&location, &format!("{first}-{last}"), &bytes).await?.expect(202)?;
            assert!(answer.needs_header("range")?.starts_with("0-"), "{answer}");
            assert!(answer.body.is_empty(), "{answer}");
            location = answer.needs_header("location")?.to_owned();
        }
        case.close(&location, &blob.digest, &bytes::Bytes::new()).await?.expect(201)?;
        assert_eq!(case.get_blob(&name, &blob.digest).await?.expect(200)?.body, blob.bytes);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn c_2_the_range_ends_with_the_last_byte_of_the_whole_upload() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, blob) = (case.repository(), layer(502));
        let mut location = case.start_upload(&name).await?;
        for (first, last) in [(0, 0), (1, 499), (500, 2998), (2999, 2999)] {
            let range = format!("{first}-{last}");
            let answer = case.chunk(&location, &range, &blob.bytes.slice(first..=last)).await?.expect(202)?;
            assert_eq!(answer.needs_header("range")?, format!("0-{last}"));
            location = answer.needs_header("location")?.to_owned();
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn c_3_an_older_address_of_the_session_goes_on_as_well() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, blob) = (case.repository(), layer(503));
        let first = case.start_upload(&name).await?;
        case.chunk(&first, "0-999", &blob.bytes.slice(..1000)).await?.expect(202)?;
        case.chunk(&first, "1000-1999", &blob.bytes.slice(1000..2000)).await?.expect(202)?;
        let last = put(with_digest(&first, &blob.digest))
            .header(CONTENT_RANGE, "2000-2999")
            .body(blob.bytes.slice(2000..));
        case.send(&last).await?.expect(201)?;
        assert_eq!(case.get_blob(&name, &blob.digest).await?.expect(200)?.body, blob.bytes);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn c_4_the_first_chunk_begins_at_zero() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, blob) = (case.repository(), layer(504));
        let location = case.start_upload(&name).await?;
        let answer = case.chunk(&location, "1000-1999", &blob.bytes.slice(1000..2000)).await?;
        answer.expect_error(416, "BLOB_UPLOAD_INVALID")?;
        case.chunk(&location, "0-999", &blob.bytes.slice(..1000)).await?.expect(202)?;
        ends_well(case, &name, &location, &blob).await
    })
    .await
}

#[tokio::test]
async fn c_5_a_chunk_out_of_order_is_416_and_changes_nothing() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, blob) = (case.repository(), layer(505));
        let location = begun(case, &name, &blob).await?;
        // A gap, a repetition, an overlap.
        for (first, last) in [(1001, 1999), (2000, 2999), (0, 999), (500, 1499), (999, 999)] {
            let bytes = blob.bytes.slice(first..=last);
            let answer = case.chunk(&location, &format!("{first}-{last}"), &bytes).await?;
            let answer = answer.expect_error(416, "BLOB_UPLOAD_INVALID")?;
            assert_eq!(answer.needs_header("range")?, "0-999", "the answer tells where to go on");
        }
        ends_well(case, &name, &location, &blob).await
    })
    .await
}

#[tokio::test]
async fn c_6_an_out_of_order_closing_chunk_is_416_and_changes_nothing() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, blob) = (case.repository(), layer(506));
        let location = begun(case, &name, &blob).await?;
        for (first, last) in [(1001, 2999), (2000, 2999), (0, 2999), (500, 2999)] {
            let closing = put(with_digest(&location, &blob.digest))
                .header(CONTENT_RANGE, format!("{first}-{last}"))
                .body(blob.bytes.slice(first..=last));
            case.send(&closing).await?.expect_error(416, "BLOB_UPLOAD_INVALID")?;
        }
        case.get_blob(&name, &blob.digest).await?.expect(404)?;
        ends_well(case, &name, &location, &blob).await
    })
    .await
}

#[tokio::test]
async fn c_7_bytes_without_a_range_are_appended() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, blob) = (case.repository(), layer(507));
        let location = begun(case, &name, &blob).await?;
        let patch = Request::new(Method::PATCH, &location).body(blob.bytes.slice(1000..2000));
        let answer = case.send(&patch).await?.expect(202)?;
        assert_eq!(answer.needs_header("range")?, "0-1999");
        let location = answer.needs_header("location")?.to_owned();
        case.close(&location, &blob.digest, &blob.bytes.slice(2000..)).await?.expect(201)?;
        assert_eq!(case.get_blob(&name, &blob.digest).await?.expect(200)?.body, blob.bytes);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn c_7_a_stream_of_unknown_length_is_one_chunk() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, blob) = (case.repository(), Blob::new("application/octet-stream", noise(508, 400_000)));
        let location = case.start_upload(&name).await?;
        // Asked for before, so that the stream is not sent twice.
        case.upload_range(&location).await?;
        let pieces: Vec<_> = blob.bytes.chunks(33_333).map(bytes::Bytes::copy_from_slice).collect();
        let pieces = futures_util::stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>));
        let answer = case.stream(Method::PATCH, &location, reqwest::Body::wrap_stream(pieces)).await?;
        let answer = answer.expect(202)?;
        assert_eq!(answer.needs_header("range")?, "0-399999");
        let location = answer.needs_header("location")?.to_owned();
        case.close(&location, &blob.digest, &bytes::Bytes::new()).await?.expect(201)?;
        assert_eq!(case.get_blob(&name, &blob.digest).await?.expect(200)?.body, blob.bytes);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn c_8_a_range_that_is_none_or_not_of_this_length_is_400_and_changes_nothing() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, blob) = (case.repository(), layer(509));
        let location = begun(case, &name, &blob).await?;
        for range in ["bytes=1000-1999", "1000-", "-999", "x", "1999-1000", "1000-2000", "1000-1998", ""] {
            let answer = case.chunk(&location, range, &blob.bytes.slice(1000..2000)).await?;
            answer.expect_error(400, "SIZE_INVALID")?;
        }
        ends_well(case, &name, &location, &blob).await
    })
    .await
}

#[tokio::test]
async fn c_8_an_empty_chunk_is_nothing() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, blob) = (case.repository(), layer(510));
        let location = begun(case, &name, &blob).await?;
        let patch = Request::new(Method::PATCH, &location).header(CONTENT_LENGTH, "0");
        let answer = case.send(&patch).await?.expect(202)?;
        assert_eq!(answer.needs_header("range")?, "0-999");
        ends_well(case, &name, &location, &blob).await
    })
    .await
}
