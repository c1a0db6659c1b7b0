//! Mounting and reading blobs, by the numbers of the specification's rules.
//!
//! *Invariant:* a mount gives nothing that the caller could not have read.
//!
//! Spec: distribution-spec, end-2, end-11; RFC 9110 §14.

use harness::actors::Town;
use harness::client::{OciClient, Request, uploads, with_digest};
use harness::forge::Forge;
use harness::images::{noise, sha256, sha512};
use harness::settings::{ISSUER, SERVICE};
use harness::stack::LoneRegistry;
use reqwest::Method;
use reqwest::header::HeaderName;
use serde_json::json;

use crate::uploads::Quay;

const REPOSITORY: &str = "team/app";

#[tokio::test]
async fn x1_x4_a_mount_by_either_name_makes_the_blob_the_targets_own() -> anyhow::Result<()> {
    let quay = Quay::open().await?;
    let bytes = noise(10, 3000);
    let long = sha512(&bytes);
    quay.send(Method::POST, &with_digest(&uploads("base/image"), &long), bytes.clone()).await?.expect(201)?;
    for (target, digest) in [("one/app", &sha256(&bytes)), ("two/app", &long)] {
        let mount = format!("{}?mount={digest}&from=base/image", uploads(target));
        let answer = quay.send(Method::POST, &mount, "").await?.expect(201)?;
        assert_eq!(answer.needs_header("docker-content-digest")?, digest);
        let location = answer.needs_header("location")?;
        assert!(location.ends_with(&format!("/v2/{target}/blobs/{digest}")), "{location}");
        assert_eq!(quay.client.raw(&Request::get(location)).await?.expect(200)?.body, bytes);
        quay.client.get_blob(target, &sha256(&bytes)).await?.expect(200)?;
    }
    Ok(())
}

#[tokio::test]
async fn x2_x3_without_a_source_only_the_target_itself_is_looked_at_in_an_open_registry() -> anyhow::Result<()>
{
    let quay = Quay::open().await?;
    let bytes = noise(11, 3000);
    let digest = sha256(&bytes);
    quay.send(Method::POST, &with_digest(&uploads("base/image"), &digest), bytes).await?.expect(201)?;
    for from in ["", "&from=", "&from=other/app", "&from=NO/NAME"] {
        let mount = format!("{}?mount={digest}{from}", uploads(REPOSITORY));
        let answer = quay.send(Method::POST, &mount, "").await?.expect(202)?;
        assert!(answer.header("docker-upload-uuid").is_some(), "{answer}");
    }
    quay.client.get_blob(REPOSITORY, &digest).await?.expect_error(404, "BLOB_UNKNOWN")?;
    let mount = format!("{}?mount={digest}", uploads("base/image"));
    quay.send(Method::POST, &mount, "").await?.expect(201)?;
    Ok(())
}

#[tokio::test]
async fn x2_x5_without_a_source_a_mount_looks_where_the_token_may_pull_and_nowhere_else() -> anyhow::Result<()>
{
    let folder = tempfile::tempdir()?;
    let forge = Forge::new()?;
    let registry = LoneRegistry::trusting(&forge, "standard", folder.path()).await?;
    let client = OciClient::anonymous(&registry.url())?;
    let now = shared::clock::Clock::unix_now(&*registry.clock);
    let token = |access: &[(&str, &str)]| {
        let access: Vec<_> = access
            .iter()
            .map(|(name, actions)| json!({"type": "repository", "name": name, "actions": actions.split(',').collect::<Vec<_>>()}))
            .collect();
        forge.sign(&json!({"iss": ISSUER, "sub": "a", "aud": SERVICE, "exp": now + 300, "access": access}))
    };
    let bytes = noise(12, 300);
    let digest = sha256(&bytes);
    let push = Request::new(Method::POST, with_digest(&uploads("base/image"), &digest)).body(bytes);
    client.with_token(&push, &token(&[("base/image", "pull,push")])?).await?.expect(201)?;

    let mount = Request::new(Method::POST, format!("{}?mount={digest}", uploads("my/app")));
    for access in [
        vec![("my/app", "pull,push")],
        vec![("my/app", "pull,push"), ("base/image", "push")],
        vec![("my/app", "pull,push"), ("base/image", "delete")],
        vec![("my/app", "pull,push"), ("base", "pull"), ("base/image/x", "*")],
        vec![("my/app", "push")],
    ] {
        client.with_token(&mount, &token(&access)?).await?.expect(202)?;
    }
    let both = token(&[("another/app", "pull"), ("base/image", "pull"), ("my/app", "pull,push")])?;
    client.with_token(&mount, &both).await?.expect(201)?;
    Ok(())
}

#[tokio::test]
async fn x5_a_token_that_was_not_asked_for_the_source_is_challenged_for_both() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let bytes = noise(13, 300);
    let digest = sha256(&bytes);
    let push = Request::new(Method::POST, with_digest(&uploads("public/base"), &digest)).body(bytes);
    town.admin.send(&push).await?.expect(201)?;
    let challenge =
        town.alice.raw(&Request::new(Method::POST, uploads("platform/app"))).await?.expect(401)?;
    let challenge = shared::challenge::BearerChallenge::parse(challenge.needs_header("www-authenticate")?);
    let narrow = town.alice.token_for(&challenge.expect("a challenge")).await?.expect("a token");
    let mount =
        Request::new(Method::POST, format!("{}?mount={digest}&from=public/base", uploads("platform/app")));
    let answer = town.alice.with_token(&mount, &narrow).await?.expect_error(401, "UNAUTHORIZED")?;
    let challenge = answer.needs_header("www-authenticate")?;
    assert!(
        challenge.contains("repository:platform/app:pull,push repository:public/base:pull"),
        "{challenge}"
    );
    town.alice.send(&mount).await?.expect(201)?;
    Ok(())
}

#[tokio::test]
async fn b5_every_form_of_a_range_is_answered_as_the_standard_says() -> anyhow::Result<()> {
    let quay = Quay::open().await?;
    let bytes = noise(14, 2048);
    let digest = sha256(&bytes);
    quay.send(Method::POST, &with_digest(&uploads(REPOSITORY), &digest), bytes.clone()).await?.expect(201)?;
    let get = |range: &str| {
        Request::get(format!("/v2/{REPOSITORY}/blobs/{digest}")).header(reqwest::header::RANGE, range)
    };
    for (range, first, last) in [
        ("bytes=500-1499", 500, 1499),
        ("bytes=500-", 500, 2047),
        ("bytes=-500", 1548, 2047),
        ("bytes=2000-5000", 2000, 2047),
        ("bytes=-9999", 0, 2047),
        ("bytes=0-0", 0, 0),
    ] {
        let answer = quay.client.raw(&get(range)).await?.expect(206)?;
        assert_eq!(answer.needs_header("content-range")?, format!("bytes {first}-{last}/2048"), "{range}");
        assert_eq!(answer.needs_header("content-length")?, (last - first + 1).to_string(), "{range}");
        assert_eq!(answer.needs_header("docker-content-digest")?, digest);
        assert!(answer.body == bytes.slice(first..=last), "{range}");
    }
    for range in ["bytes=500-0", "bytes=2048-", "bytes=5000-10000", "bytes=-0"] {
        let answer = quay.client.raw(&get(range)).await?.expect_error(416, "SIZE_INVALID")?;
        assert_eq!(answer.needs_header("content-range")?, "bytes */2048", "{range}");
        assert_eq!(answer.needs_header("content-length")?, answer.body.len().to_string());
        assert!(answer.header("etag").is_none() && answer.header("cache-control").is_none(), "{answer}");
    }
    for range in ["bytes=0-1,5-6", "bytes=x-y", "items=0-1", "bytes", ""] {
        let answer = quay.client.raw(&get(range)).await?.expect(200)?;
        assert_eq!(answer.body.len(), 2048, "{range}");
        assert_eq!(answer.needs_header("accept-ranges")?, "bytes");
        assert_eq!(answer.needs_header("cache-control")?, "max-age=31536000");
        assert_eq!(answer.needs_header("content-type")?, "application/octet-stream");
    }
    let if_range = |tag: &str| get("bytes=0-9").header(HeaderName::from_static("if-range"), tag);
    quay.client.raw(&if_range(&format!("\"{digest}\""))).await?.expect(206)?;
    for other in
        [format!("\"{}\"", sha256(b"x")), format!("W/\"{digest}\""), "Sat, 21 Nov 2026 00:00:00 GMT".into()]
    {
        quay.client.raw(&if_range(&other)).await?.expect(200)?;
    }
    let head = Request { method: Method::HEAD, ..get("bytes=0-9") };
    let answer = quay.client.raw(&head).await?.expect(200)?;
    assert_eq!(answer.needs_header("content-length")?, "2048", "a range means nothing to a HEAD");
    Ok(())
}

#[tokio::test]
async fn fifty_clients_push_the_same_blob_at_a_time() -> anyhow::Result<()> {
    let quay = Quay::open().await?;
    let bytes = noise(15, 200_000);
    let digest = sha256(&bytes);
    let pushes = (0..50).map(|number| {
        let (bytes, digest, client) = (bytes.clone(), digest.clone(), &quay.client);
        async move {
            let repository = format!("team/app-{}", number % 5);
            let location = client.start_upload(&repository).await?;
            let put = Request::new(Method::PUT, with_digest(&location, &digest)).body(bytes);
            client.raw(&put).await?.expect(201)
        }
    });
    futures_util::future::try_join_all(pushes).await?;
    for number in 0..5 {
        let answer = quay.client.get_blob(&format!("team/app-{number}"), &digest).await?.expect(200)?;
        assert!(answer.body == bytes);
    }
    Ok(())
}
