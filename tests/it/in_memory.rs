//! A registry that keeps images in memory.
//!
//! *Invariant:* it runs as a process in an empty folder, so that whatever it leaves there is found.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use harness::client::{OciClient, Request, with_digest};
use harness::images::{Blob, Image, noise};
use harness::program;
use harness::server::Which;
use harness::watchdog::Guarded;
use reqwest::Method;

const SOON: Duration = Duration::from_secs(20);

/// The filesystem is what the variable replaces.
fn settings(folder: &Path, address: &str, debug: &str) -> String {
    format!(
        "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}/images\n  delete:\n    enabled: true\nauth: none\n\
         http:\n  addr: {address}\n  debug:\n    addr: {debug}\n    prometheus:\n      enabled: true\n",
        folder.display()
    )
}

async fn deleted(client: &OciClient, path: String) -> anyhow::Result<()> {
    client.raw(&Request::new(Method::DELETE, path)).await?.expect(202)?;
    Ok(())
}

#[tokio::test]
async fn images_in_memory_are_pushed_pulled_and_deleted_and_nothing_is_written() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let [address, debug] =
        [program::free_port()?, program::free_port()?].map(|port| format!("127.0.0.1:{port}"));
    let file = folder.path().join("config.yml");
    let log = tempfile::NamedTempFile::new()?;
    std::fs::write(&file, settings(folder.path(), &address, &debug))?;
    let mut command = Command::new(Which::Registry.binary()?);
    command
        .arg("serve")
        .arg(&file)
        .env("REGISTRY_STORAGE", "inmemory")
        .env("REGISTRY_STORAGE_DELETE_ENABLED", "true");
    command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.reopen()?);
    let _process = Guarded::spawn(&mut command)?;
    let client = OciClient::anonymous(&format!("http://{address}"))?;
    let ready =
        || async { client.raw(&Request::get("/readyz")).await.is_ok_and(|answer| answer.status == 200) };
    program::until("the registry is ready", SOON, ready).await?;

    let image = Image::new(97, 2, 700_000)?;
    client.push_image("a/b", "1", &image).await?;
    client.push_image("a/c", "1", &image).await?;
    client.pull_image("a/b", "1", &image).await?;
    client.pull_image("a/b", &image.manifest.digest, &image).await?;

    // In two steps, which is appending and reading back what was hashed.
    let blob = Blob::new("application/octet-stream", noise(98, 600_000));
    let location = client.start_upload("a/b").await?;
    let (first, second) = blob.bytes.split_at(250_001);
    let patch = Request::new(Method::PATCH, location).body(first.to_vec());
    let location = client.raw(&patch).await?.expect(202)?.needs_header("location")?.to_owned();
    let put = Request::new(Method::PUT, with_digest(&location, &blob.digest)).body(second.to_vec());
    client.raw(&put).await?.expect(201)?;
    assert_eq!(client.get_blob("a/b", &blob.digest).await?.expect(200)?.body, blob.bytes);
    let target = format!("/v2/a/b/blobs/{}", blob.digest);
    let range = Request::get(&target).header(reqwest::header::RANGE, "bytes=262140-262150");
    assert_eq!(client.raw(&range).await?.expect(206)?.body, blob.bytes.slice(262_140..262_151));

    deleted(&client, target.clone()).await?;
    client.raw(&Request::get(target)).await?.expect_error(404, "BLOB_UNKNOWN")?;
    deleted(&client, format!("/v2/a/b/manifests/{}", image.manifest.digest)).await?;
    client.get_manifest("a/b", "1").await?.expect_error(404, "MANIFEST_UNKNOWN")?;
    client.pull_image("a/c", "1", &image).await?;

    let metrics = client.http().get(format!("http://{debug}/metrics")).send().await?.text().await?;
    assert!(metrics.contains("driver=\"inmemory\",action=\"PutContent\""), "{metrics}");
    let log = std::fs::read_to_string(log.path())?;
    assert!(log.contains("all are lost when the registry stops"), "{log}");
    let left: Vec<_> = std::fs::read_dir(folder.path())?.collect::<Result<_, _>>()?;
    assert_eq!(left.iter().map(std::fs::DirEntry::file_name).collect::<Vec<_>>(), ["config.yml"]);
    Ok(())
}

#[tokio::test]
async fn commands_of_another_process_say_that_they_cannot_reach_them() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("config.yml");
    std::fs::write(&file, "version: 0.1\nstorage: inmemory\nauth: none\n")?;
    for word in ["garbage-collect", "reindex"] {
        let mut command = tokio::process::Command::new(Which::Registry.binary()?);
        let said = program::run(command.arg(word).arg(&file), "").await?;
        assert_eq!(said.code, Some(1), "{}", said.text);
        assert!(said.text.contains("out of reach of this command"), "{}", said.text);
    }
    Ok(())
}
