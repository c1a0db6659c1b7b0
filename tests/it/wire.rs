//! Complete answers, byte for byte: changing a status, a header or a sentence is a visible difference.
//!
//! *Invariant:* what differs from run to run is redacted; everything else is in the snapshot.

use harness::actors::Town;
use harness::answer::Answer;
use harness::client::{OciClient, Request, basic, uploads, with_digest};
use harness::images::{Blob, Image, noise};
use harness::settings::{Auth, SERVICE};
use harness::snapshot::redacted;
use harness::stack::{LoneRegistry, StackOptions, basic_of, password_of};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_RANGE, CONTENT_TYPE, IF_NONE_MATCH, RANGE};

use crate::token_endpoint::{encoded, get, post};

/// Compares answers with their snapshots, without what differs from run to run.
fn compare(town: &Town, cases: Vec<(&str, Answer)>) {
    let registry = town.stack.registry_address();
    let token_server = town.stack.token_server.address().to_string();
    let known = [(registry.as_str(), "[registry]"), (token_server.as_str(), "[token server]")];
    for (name, answer) in cases {
        insta::assert_snapshot!(name, redacted(&answer, &known));
    }
}

#[tokio::test]
async fn answers_of_the_registry() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let image = Image::new(1, 1, 100)?;
    town.admin.push_image("a/b", "tag", &image).await?;
    let blob = format!("/v2/a/b/blobs/{}", image.layers[0].digest);
    let cases = vec![
        ("base_without_token", town.anonymous.raw(&Request::get("/v2/")).await?),
        ("base_with_token", town.alice.send(&Request::get("/v2/")).await?),
        ("pull_without_token", town.anonymous.raw(&Request::get("/v2/a/b/manifests/tag")).await?),
        ("pull_with_a_bad_token", {
            let request = Request::get("/v2/a/b/manifests/tag").header(AUTHORIZATION, "Bearer x");
            town.anonymous.raw(&request).await?
        }),
        ("push_without_token", town.anonymous.raw(&Request::new(Method::POST, uploads("a/b"))).await?),
        ("push_refused", town.bob.send(&Request::new(Method::POST, uploads("a/b"))).await?),
        ("pull_refused_anonymous", town.anonymous.send(&Request::get("/v2/a/b/tags/list")).await?),
        ("manifest", town.admin.get_manifest("a/b", "tag").await?),
        ("manifest_head", {
            let head = Request::new(Method::HEAD, "/v2/a/b/manifests/tag").accepting_manifests();
            town.admin.send(&head).await?
        }),
        ("manifest_unknown", town.admin.get_manifest("a/b", "absent").await?),
        ("blob_head", town.admin.send(&Request::new(Method::HEAD, blob)).await?),
        ("upload_started", town.admin.send(&Request::new(Method::POST, uploads("a/b"))).await?),
        ("tags", town.admin.send(&Request::get("/v2/a/b/tags/list?n=1")).await?),
        ("catalogue", town.admin.send(&Request::get("/v2/_catalog?n=1")).await?),
        ("nowhere", town.admin.send(&Request::get("/nowhere")).await?),
        ("pull_refused_head", {
            let head = Request::new(Method::HEAD, "/v2/a/b/manifests/tag").accepting_manifests();
            town.bob.send(&head).await?
        }),
    ];
    compare(&town, cases);
    Ok(())
}

#[tokio::test]
async fn answers_to_uploads() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let blob = Blob::new("application/octet-stream", noise(2, 1000));
    let location = town.admin.start_upload("a/b").await?;
    let patch = |range: &str| {
        let request = Request::new(Method::PATCH, location.as_str()).header(CONTENT_RANGE, range);
        request.body(blob.bytes.slice(0..600))
    };
    let accepted = town.admin.send(&patch("0-599")).await?;
    let out_of_order = town.admin.send(&patch("800-1399")).await?;
    let status = town.admin.send(&Request::get(location.as_str())).await?;
    let wrong = Request::new(Method::PUT, with_digest(&location, &blob.digest)).body(noise(3, 400));
    let other = town.admin.start_upload("a/b").await?;
    let mismatch = town.admin.send(&Request { target: with_digest(&other, &blob.digest), ..wrong }).await?;
    // With the rest of the bytes, at the newest address: an older one might be a repetition.
    let newest = accepted.needs_header("location")?;
    let put = Request::new(Method::PUT, with_digest(newest, &blob.digest));
    let finished = town.admin.send(&put.body(blob.bytes.slice(600..))).await?;
    let cancelled = town.admin.start_upload("a/b").await?;
    let mount = |from: &str| {
        Request::new(Method::POST, format!("{}?mount={}&from={from}", uploads("c/d"), blob.digest))
    };
    let cases = vec![
        ("upload_chunk", accepted),
        ("upload_chunk_out_of_order", out_of_order),
        ("upload_status", status),
        ("upload_of_another_digest", mismatch),
        ("upload_finished", finished),
        ("upload_cancelled", town.admin.send(&Request::new(Method::DELETE, cancelled.as_str())).await?),
        ("upload_unknown", town.admin.send(&Request::get(cancelled)).await?),
        ("mount", town.admin.send(&mount("a/b")).await?),
        ("mount_without_source", town.admin.send(&mount("e/f")).await?),
    ];
    compare(&town, cases);
    Ok(())
}

#[tokio::test]
async fn answers_with_blobs_and_what_deletes_them() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let image = Image::new(4, 1, 100)?;
    town.admin.push_image("a/b", "tag", &image).await?;
    let small = Blob::new("text/plain", "sixteen letters!");
    town.admin.push_blob("a/b", &small).await?;
    let blob = format!("/v2/a/b/blobs/{}", small.digest);
    let manifest = format!("/v2/a/b/manifests/{}", image.manifest.digest);
    let range = |range: &str| Request::get(blob.as_str()).header(RANGE, range);
    let unchanged = Request::get(blob.as_str()).header(IF_NONE_MATCH, format!("\"{}\"", small.digest));
    let cases = vec![
        ("blob", town.admin.send(&Request::get(blob.as_str())).await?),
        ("blob_range", town.admin.send(&range("bytes=8-14")).await?),
        ("blob_range_beyond_the_end", town.admin.send(&range("bytes=16-")).await?),
        ("blob_unchanged", town.admin.send(&unchanged).await?),
        ("manifest_put", town.admin.put_manifest("a/b", "other", &image.manifest).await?),
        ("manifest_delete_refused", town.alice.send(&Request::new(Method::DELETE, manifest.as_str())).await?),
        ("tag_deleted", town.admin.send(&Request::new(Method::DELETE, "/v2/a/b/manifests/other")).await?),
        ("manifest_deleted", town.admin.send(&Request::new(Method::DELETE, manifest.as_str())).await?),
        ("blob_deleted", town.admin.send(&Request::new(Method::DELETE, blob.as_str())).await?),
        ("blob_unknown", town.admin.send(&Request::get(blob.as_str())).await?),
        ("method_not_allowed", town.admin.send(&Request::new(Method::POST, blob.as_str())).await?),
    ];
    compare(&town, cases);
    Ok(())
}

#[tokio::test]
async fn answers_of_the_token_endpoint() -> anyhow::Result<()> {
    let town = Town::with(StackOptions { gated_database: true, ..StackOptions::default() }).await?;
    let query = [("service", SERVICE), ("scope", "repository:platform/app:pull,push,delete")];
    let form = |password: &str| {
        let fields = [("grant_type", "password"), ("username", "alice"), ("password", password)];
        query.into_iter().chain(fields).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    let post_form = async |form: Vec<(String, String)>| {
        let pairs: Vec<_> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        post(&town, &pairs).await
    };
    let address = format!("{}/token?{}", town.stack.token_server_url(), encoded(&query));
    let wrong = Request::get(address).header(AUTHORIZATION, basic("alice", "wrong"));
    let change =
        Request::new(Method::PUT, format!("{}/api/v1/account/password", town.stack.token_server_url()))
            .header(AUTHORIZATION, basic_of("alice"))
            .header(CONTENT_TYPE, "application/json");
    let mut cases = vec![
        ("token_by_query", get(&town, Some("alice"), &query).await?),
        ("token_by_query_refused", town.anonymous.raw(&wrong).await?),
        ("token_by_form", post_form(form(&password_of("alice"))).await?),
        ("token_by_form_refused", post_form(form("wrong")).await?),
        ("token_for_an_unknown_service", get(&town, Some("alice"), &[("service", "unheard-of")]).await?),
        ("password_too_short", town.anonymous.raw(&change.clone().body(r#"{"password":"short"}"#)).await?),
        ("password_changed", {
            let body = format!(r#"{{"password":"{}"}}"#, password_of("alice"));
            town.anonymous.raw(&change.body(body)).await?
        }),
    ];
    town.stack.gate.as_ref().expect("asked for").shut();
    cases.push(("token_by_query_unavailable", get(&town, Some("alice"), &query).await?));
    cases.push(("token_by_form_unavailable", post_form(form(&password_of("alice"))).await?));
    compare(&town, cases);
    Ok(())
}

#[tokio::test]
async fn the_answer_of_a_registry_without_keys() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let auth = Auth::TokenServer { url: "http://127.0.0.1:1".into(), same_origin: false, feed: None };
    let registry = LoneRegistry::start(&folder.path().join("images"), auth).await?;
    // Well-formed, so that only a key could tell whether it is good.
    let token = harness::forge::Forge::new()?.sign(&serde_json::json!({"sub": "alice"}))?;
    let client = OciClient::anonymous(&registry.url())?;
    let answer = client.with_token(&Request::get("/v2/"), &token).await?;
    insta::assert_snapshot!("registry_without_keys", redacted(&answer, &[]));
    Ok(())
}
