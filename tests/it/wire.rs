//! Complete answers, byte for byte: changing a status, a header or a sentence is a visible difference.
//!
//! *Invariant:* what differs from run to run is redacted; everything else is in the snapshot.

use harness::actors::Town;
use harness::client::{Request, uploads};
use harness::images::Image;
use harness::snapshot::redacted;
use reqwest::Method;
use reqwest::header::AUTHORIZATION;

#[tokio::test]
async fn answers_of_the_registry() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let image = Image::new(1, 1, 100)?;
    town.admin.push_image("a/b", "tag", &image).await?;
    let registry = town.stack.registry_address();
    let token_server = town.stack.token_server.address().to_string();
    let known = [(registry.as_str(), "[registry]"), (token_server.as_str(), "[token server]")];
    let blob = format!("/v2/a/b/blobs/{}", image.layers[0].digest);
    let cases = [
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
    ];
    for (name, answer) in cases {
        insta::assert_snapshot!(name, redacted(&answer, &known));
    }
    Ok(())
}
