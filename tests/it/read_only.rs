//! A registry that its operator made read-only.
//!
//! *Invariant:* what is refused is looked for in the folder of the images.

use std::path::Path;
use std::sync::Arc;

use harness::client::{OciClient, Request};
use harness::edited;
use harness::images::Image;
use harness::settings::Auth;
use harness::stack::LoneRegistry;
use registry::http::routes::Operation;
use reqwest::Method;

use crate::collection::collect;

const DELETE: &str = "  delete:\n    enabled: true\n";

fn files(folder: &Path) -> anyhow::Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path.clone());
            }
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[tokio::test]
async fn a_read_only_registry_serves_and_refuses_whatever_writes() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let images = folder.path().join("images");
    let image = Image::new(111, 1, 300)?;
    let registry = LoneRegistry::start(&images, Auth::Open).await?;
    let client = OciClient::anonymous(&registry.url())?;
    client.push_image("a/b", "1", &image).await?;
    let upload = client.start_upload("a/b").await?;
    // It may be absolute, and the next registry has another port.
    let upload = upload.find("/v2/").map(|path| upload[path..].to_owned()).expect("below /v2/");
    drop(registry);

    let read_only = format!("{DELETE}  maintenance:\n    readonly:\n      enabled: true\n");
    let edits = [(DELETE, read_only.as_str())];
    let registry = edited::registry(folder.path(), Auth::Open, &edits, &Arc::default()).await?;
    let client = OciClient::anonymous(&format!("http://{}", registry.address()))?;
    let content = images.join("docker");
    let before = files(&content)?;
    client.pull_image("a/b", "1", &image).await?;
    let digest = &image.manifest.digest;
    let mut refused = 0;
    for operation in Operation::ALL.into_iter().filter(|operation| operation.writes()) {
        let target = operation
            .path()
            .replace("{name:.+}", "a/b")
            .replace("{reference:[^/]+}", digest)
            .replace("{digest:[^/]+}", digest)
            .replace("/blobs/uploads/{id:[^/]+}", upload.split_once("a/b").map_or("", |(_, rest)| rest));
        for method in operation.methods() {
            let request = Request::new(method.parse::<Method>()?, format!("/v2{target}")).body("body");
            let answer = client.raw(&request).await?.expect_error(405, "UNSUPPORTED")?;
            assert_eq!(answer.needs_header("allow")?, "GET, HEAD", "{operation:?}");
            assert!(answer.error_message()?.contains("read-only"), "{answer}");
            refused += 1;
        }
    }
    assert!(refused >= 8, "{refused}");
    client.raw(&Request::get(upload)).await?.expect(204)?;
    for path in ["/", "/healthz", "/readyz"] {
        client.raw(&Request::get(path)).await?.expect(200)?;
    }
    assert_eq!(files(&content)?, before, "nothing was written");
    // Nothing of it can be pushed, so what nobody needs may go while it serves.
    let said = collect(&images, &["-m"]).await?.success()?;
    assert!(said.output.contains("0 blobs and 0 manifests eligible for deletion"), "{}", said.text);
    client.pull_image("a/b", "1", &image).await?;
    Ok(())
}
