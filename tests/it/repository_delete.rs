//! Deleting a whole repository: what goes, what stays, and whose permissions end with it.
//!
//! *Invariant:* after the answer, no request with a permission from before finds or makes anything under that name.

use std::sync::Arc;
use std::time::Duration;

use harness::actors::Town;
use harness::answer::Answer;
use harness::client::{OciClient, Request, uploads, with_digest};
use harness::edited;
use harness::forge::Forge;
use harness::images::{Image, noise, sha256};
use harness::peer::Peer;
use harness::settings::{Auth, ISSUER, SERVICE};
use harness::stack::LoneRegistry;
use reqwest::Method;
use serde_json::{Value, json};

fn delete(repository: &str) -> Request {
    Request::new(Method::DELETE, format!("/v2/_portcullis/repositories/{repository}"))
}

async fn tags(client: &OciClient, repository: &str) -> anyhow::Result<Answer> {
    client.send(&Request::get(format!("/v2/{repository}/tags/list"))).await
}

async fn catalogue(client: &OciClient) -> anyhow::Result<Value> {
    let answer = client.send(&Request::get("/v2/_catalog")).await?.expect(200)?;
    Ok(answer.json()?["repositories"].clone())
}

#[tokio::test]
async fn an_owner_deletes_a_repository_and_what_lies_below_it_stays() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let image = Image::new(91, 2, 3000)?;
    for repository in ["platform/app", "platform/app/nested", "platform/app-other"] {
        town.admin.push_image(repository, "1", &image).await?;
    }
    town.admin.send(&delete("platform/app")).await?.expect(202)?;
    // The tokens it still holds are from before, and are exchanged when they are refused.
    town.admin.forget_tokens();
    assert_eq!(catalogue(&town.admin).await?, json!(["platform/app-other", "platform/app/nested"]));
    tags(&town.admin, "platform/app").await?.expect_error(404, "NAME_UNKNOWN")?;
    town.admin.get_manifest("platform/app", "1").await?.expect_error(404, "MANIFEST_UNKNOWN")?;
    town.admin.get_blob("platform/app", &image.config.digest).await?.expect_error(404, "BLOB_UNKNOWN")?;
    // With and without a slash behind it.
    for name in ["platform/app", "platform/app/"] {
        town.admin.send(&delete(name)).await?.expect_error(404, "NAME_UNKNOWN")?;
    }
    for repository in ["platform/app/nested", "platform/app-other"] {
        town.admin.pull_image(repository, "1", &image).await?;
    }
    town.alice.push_image("platform/app", "2", &image).await?;
    town.alice.pull_image("platform/app", "2", &image).await?;
    let fresh = tags(&town.alice, "platform/app").await?.expect(200)?.json()?;
    assert_eq!(fresh["tags"], json!(["2"]));
    Ok(())
}

#[tokio::test]
async fn whoever_does_not_own_it_is_told_so() -> anyhow::Result<()> {
    let town = Town::start().await?;
    town.admin.push_image("platform/app", "1", &Image::new(92, 1, 300)?).await?;
    town.stack.grant("user:bob", "maintainer", "platform/app").await?;
    for client in [&town.alice, &town.bob, &town.anonymous] {
        let answer = client.send(&delete("platform/app")).await?.expect_error(403, "DENIED")?;
        assert!(answer.error_message()?.contains("delete the repository platform/app"), "{answer}");
        // It makes no difference whether there is one.
        client.send(&delete("platform/none")).await?.expect_error(403, "DENIED")?;
    }
    town.stack.grant("user:bob", "owner", "platform/**").await?;
    town.bob.forget_tokens();
    town.bob.send(&delete("platform/app")).await?.expect(202)?;
    Ok(())
}

#[tokio::test]
async fn what_was_permitted_before_is_refused_afterwards() -> anyhow::Result<()> {
    let room = Room::open("strict").await?;
    let before = room.token(&["pull", "push", "repository-delete"], &|_| ())?;
    let bytes = noise(93, 300);
    room.push(&before, &bytes).await?.expect(201)?;
    let post = Request::new(Method::POST, uploads(REPOSITORY));
    let session = room.client.with_token(&post, &before).await?.expect(202)?;
    let session = session.needs_header("location")?.to_owned();
    room.client.with_token(&delete(REPOSITORY), &before).await?.expect(202)?;

    let scope = format!("repository:{REPOSITORY}:pull,push");
    let refused = room.push(&before, &bytes).await?.expect_error(401, "UNAUTHORIZED")?;
    let challenge = refused.needs_header("www-authenticate")?;
    assert!(challenge.contains(&scope) && challenge.contains("error=\"invalid_token\""), "{challenge}");
    for request in [
        Request::get(format!("/v2/{REPOSITORY}/tags/list")),
        Request::get(format!("/v2/{REPOSITORY}/manifests/1")),
        Request::get(format!("/v2/{REPOSITORY}/blobs/{}", sha256(&bytes))),
        Request::new(Method::PATCH, session.clone()).body("x"),
        Request::get(session.clone()),
        delete(REPOSITORY),
    ] {
        room.client.with_token(&request, &before).await?.expect_error(401, "UNAUTHORIZED")?;
    }
    let after = room.token(&["pull", "push"], &|_| ())?;
    let close = Request::new(Method::PUT, with_digest(&session, &sha256(b""))).body("");
    room.client.with_token(&close, &after).await?.expect_error(404, "BLOB_UPLOAD_UNKNOWN")?;
    room.push(&after, &bytes).await?.expect(201)?;

    // A mount out of the new repository needs a new permission too.
    let mut claims = room.claims(&["pull"]);
    claims["iat"] = json!(room.now() - 100);
    claims["access"] = json!([
        {"type": "repository", "name": REPOSITORY, "actions": ["pull"]},
        {"type": "repository", "name": "else/where", "actions": ["pull", "push"]},
    ]);
    for from in [format!("&from={REPOSITORY}"), String::new()] {
        let mount = format!("{}?mount={}{from}", uploads("else/where"), sha256(&bytes));
        let mount = Request::new(Method::POST, mount);
        room.client.with_token(&mount, &room.forge.sign(&claims)?).await?.expect(202)?;
    }
    claims["iat"] = json!(room.now());
    let mount = Request::new(Method::POST, format!("{}?mount={}", uploads("else/where"), sha256(&bytes)));
    room.client.with_token(&mount, &room.forge.sign(&claims)?).await?.expect(201)?;
    Ok(())
}

#[tokio::test]
async fn another_issuers_token_must_allow_everything() -> anyhow::Result<()> {
    let room = Room::open("standard").await?;
    room.push(&room.token(&["push"], &|_| ())?, b"content").await?.expect(201)?;
    let narrow = room.token(&["pull", "push", "delete", "repository-delete"], &|_| ())?;
    let refused = room.client.with_token(&delete(REPOSITORY), &narrow).await?.expect(401)?;
    let challenge = refused.needs_header("www-authenticate")?;
    assert!(challenge.contains(&format!("repository:{REPOSITORY}:*")), "{challenge}");
    room.client.with_token(&delete(REPOSITORY), &room.token(&["*"], &|_| ())?).await?.expect(202)?;
    Ok(())
}

#[tokio::test]
async fn a_token_that_does_not_tell_its_age_is_refused_for_an_hour() -> anyhow::Result<()> {
    let room = Room::open("standard").await?;
    room.push(&room.token(&["push"], &|_| ())?, b"content").await?.expect(201)?;
    let dated = |nbf: i64| {
        move |claims: &mut Value| {
            claims["iat"].take();
            claims["nbf"] = json!(nbf);
        }
    };
    let undated = |claims: &mut Value| {
        claims["iat"].take();
        claims["nbf"].take();
        claims["exp"] = json!(claims["exp"].as_i64().unwrap_or_default() + 7200);
    };
    room.client.with_token(&delete(REPOSITORY), &room.token(&["*"], &undated)?).await?.expect(202)?;
    let deleted = room.now() - 1;
    let undated = room.token(&["push"], &undated)?;
    for (token, status) in [
        (room.token(&["push"], &dated(deleted - 5))?, 401),
        (room.token(&["push"], &dated(deleted + 5))?, 201),
        (undated.clone(), 401),
    ] {
        assert_eq!(room.push(&token, b"content").await?.status, status);
    }
    room.registry.clock.advance(Duration::from_mins(61));
    room.push(&undated, b"content").await?.expect(201)?;
    Ok(())
}

#[tokio::test]
async fn without_tokens_the_switch_for_deleting_decides() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let image = Image::new(94, 1, 300)?;
    let registry = LoneRegistry::start(&folder.path().join("images"), Auth::Open).await?;
    let client = OciClient::anonymous(&registry.url())?;
    for repository in ["a/b", "a/manifests/b", "a/blobs/uploads"] {
        client.push_image(repository, "1", &image).await?;
        client.send(&delete(repository)).await?.expect(202)?;
        tags(&client, repository).await?.expect_error(404, "NAME_UNKNOWN")?;
        // What was there may come back at once.
        client.push_image(repository, "1", &image).await?;
        client.pull_image(repository, "1", &image).await?;
    }
    client.send(&delete("A/B")).await?.expect_error(400, "NAME_INVALID")?;
    client.send(&delete("no/such")).await?.expect_error(404, "NAME_UNKNOWN")?;
    let get = Request::get("/v2/_portcullis/repositories/a/b");
    let answer = client.send(&get).await?.expect_error(405, "UNSUPPORTED")?;
    assert_eq!(answer.needs_header("allow")?, "DELETE");
    drop(registry);

    let edits = [("    enabled: true\n", "    enabled: false\n")];
    let registry = edited::registry(folder.path(), Auth::Open, &edits, &Arc::default()).await?;
    let client = OciClient::anonymous(&format!("http://{}", registry.address()))?;
    client.send(&delete("a/b")).await?.expect_error(405, "UNSUPPORTED")?;
    client.pull_image("a/b", "1", &image).await?;
    Ok(())
}

#[tokio::test]
async fn distribution_does_not_list_what_was_deleted_and_takes_a_new_push() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let image = Image::new(95, 1, 300)?;
    let ours = LoneRegistry::start(folder.path(), Auth::Open).await?;
    let client = OciClient::anonymous(&ours.url())?;
    for repository in ["a/a", "a/b", "a/b/c", "a/c"] {
        client.push_image(repository, "1", &image).await?;
    }
    client.send(&delete("a/b")).await?.expect(202)?;
    drop(ours);
    let peer = Peer::start(folder.path(), "").await?;
    let client = OciClient::anonymous(&peer.url())?;
    assert_eq!(catalogue(&client).await?, json!(["a/a", "a/b/c", "a/c"]));
    tags(&client, "a/b").await?.expect(404)?;
    client.push_image("a/b", "1", &image).await?;
    assert_eq!(catalogue(&client).await?, json!(["a/a", "a/b", "a/b/c", "a/c"]));
    Ok(())
}

const REPOSITORY: &str = "team/app";

/// A registry whose tokens are exactly what a test says.
struct Room {
    registry: LoneRegistry,
    client: OciClient,
    forge: Forge,
    _folder: tempfile::TempDir,
}

impl Room {
    async fn open(profile: &'static str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let forge = Forge::new()?;
        let registry = LoneRegistry::trusting(&forge, profile, folder.path()).await?;
        let client = OciClient::anonymous(&registry.url())?;
        Ok(Self { registry, client, forge, _folder: folder })
    }

    fn now(&self) -> i64 {
        use shared::clock::Clock as _;
        self.registry.clock.unix_now()
    }

    fn claims(&self, actions: &[&str]) -> Value {
        let now = self.now();
        json!({
            "iss": ISSUER, "sub": "alice", "aud": SERVICE, "jti": "1",
            "iat": now, "nbf": now - 10, "exp": now + 300,
            "access": [{"type": "repository", "name": REPOSITORY, "actions": actions}],
        })
    }

    fn token(&self, actions: &[&str], change: &dyn Fn(&mut Value)) -> anyhow::Result<String> {
        let mut claims = self.claims(actions);
        change(&mut claims);
        if let Some(claims) = claims.as_object_mut() {
            claims.retain(|_, value| !value.is_null());
        }
        self.forge.sign(&claims)
    }

    async fn push(&self, token: &str, bytes: &[u8]) -> anyhow::Result<Answer> {
        let target = with_digest(&uploads(REPOSITORY), &sha256(bytes));
        self.client.with_token(&Request::new(Method::POST, target).body(bytes.to_vec()), token).await
    }
}
