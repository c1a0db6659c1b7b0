//! The checks of `health`: while one fails, every address but two answers 503 and operators learn which.
//!
//! *Invariant:* a check takes the registry out of service and back into it without a restart.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use harness::answer::Answer;
use harness::client::{OciClient, Request, http_client};
use harness::program;
use harness::server::Which;
use harness::watchdog::Guarded;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const SOON: Duration = Duration::from_secs(20);

struct Checked {
    client: OciClient,
    debug: SocketAddr,
    _process: Guarded,
}

impl Checked {
    /// A registry with these checks.
    async fn start(folder: &Path, health: &str) -> anyhow::Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], program::free_port()?));
        let debug = SocketAddr::from(([127, 0, 0, 1], program::free_port()?));
        let settings = folder.join("config.yml");
        let text = format!(
            "auth: none\nhttp:\n  addr: {address}\n  debug:\n    addr: {debug}\nstorage:\n  filesystem:\n    \
             rootdirectory: {}/images\nhealth:\n{health}",
            folder.display()
        );
        std::fs::write(&settings, text)?;
        let log = std::fs::File::create(folder.join("log"))?;
        let mut command = std::process::Command::new(Which::Registry.binary()?);
        command.args(Which::Registry.arguments(&settings)).stdout(log.try_clone()?).stderr(log);
        let process = Guarded::spawn(&mut command)?;
        let client = OciClient::anonymous(&format!("http://{address}"))?;
        let answers = || async { client.raw(&Request::get("/healthz")).await.is_ok() };
        program::until("the registry answers", SOON, answers).await?;
        Ok(Self { client, debug, _process: process })
    }

    async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.client.raw(&Request::get(path)).await
    }

    async fn until_status(&self, status: u16) -> anyhow::Result<()> {
        let reached = || async { self.get("/").await.is_ok_and(|answer| answer.status == status) };
        program::until(&format!("/ answers {status}"), SOON, reached).await
    }

    /// Status and failing checks, as operators see them.
    async fn health(&self) -> anyhow::Result<(u16, serde_json::Value)> {
        let answer = http_client()?.get(format!("http://{}/debug/health", self.debug)).send().await?;
        Ok((answer.status().as_u16(), answer.json().await?))
    }
}

#[tokio::test]
async fn while_a_file_exists_every_request_is_refused() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("maintenance");
    let health = format!("  file:\n  - file: {}\n    interval: 500ms\n", file.display());
    let registry = Checked::start(folder.path(), &health).await?;
    registry.until_status(200).await?;
    assert_eq!(registry.health().await?, (200, serde_json::json!({})));

    std::fs::write(&file, "")?;
    registry.until_status(503).await?;
    for path in ["/", "/v2/", "/v2/_catalog", "/nowhere"] {
        let answer = registry.get(path).await?.expect(503)?;
        let body = r#"{"errors":[{"code":"UNAVAILABLE","message":"service unavailable","detail":"health check failed: please see /debug/health"}]}"#;
        assert_eq!(answer.text(), body, "{path}");
        assert_eq!(answer.needs_header("retry-after")?, "5", "{path}");
        assert_eq!(answer.needs_header("content-type")?, "application/json", "{path}");
    }
    let name = file.display().to_string();
    assert_eq!(registry.health().await?, (503, serde_json::json!({ &name: "file exists" })));
    registry.get("/healthz").await?.expect(200)?;
    let readiness = registry.get("/readyz").await?.expect(503)?.json()?;
    assert_eq!(readiness["checks"][&name], "file exists", "{readiness}");

    std::fs::remove_file(&file)?;
    registry.until_status(200).await?;
    registry.get("/readyz").await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_storage_that_fails_often_enough_takes_the_registry_out_of_service() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let health = "  storagedriver:\n    enabled: true\n    interval: 500ms\n    threshold: 3\n";
    let registry = Checked::start(folder.path(), health).await?;
    // That nothing has been pushed yet is no failure.
    tokio::time::sleep(Duration::from_secs(2)).await;
    registry.get("/").await?.expect(200)?;
    let images = folder.path().join("images");
    let aside = folder.path().join("aside");
    if images.exists() {
        std::fs::rename(&images, &aside)?;
    }
    // A link to itself cannot be followed.
    std::os::unix::fs::symlink(&images, &images)?;
    registry.until_status(503).await?;
    let (status, failing) = registry.health().await?;
    assert_eq!(status, 503);
    assert!(failing["storagedriver_filesystem"].is_string(), "{failing}");
    std::fs::remove_file(&images)?;
    registry.until_status(200).await?;
    Ok(())
}

/// Answers every request with these bytes.
async fn upstream(answer: &'static str) -> anyhow::Result<(SocketAddr, tokio::task::JoinHandle<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 4096];
            let read = stream.read(&mut head).await.unwrap_or_default();
            if [&b"HEAD /x HTTP/1.1\r\n"[..], b"HEAD /x?key=secret HTTP/1.1\r\n"]
                .iter()
                .any(|line| head[..read].starts_with(line))
            {
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        }
    });
    Ok((address, task))
}

#[tokio::test]
async fn what_the_registry_depends_on_is_asked_over_the_network() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (good, serving) = upstream("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await?;
    let health = format!(
        "  http:\n  - uri: http://{good}/x?key=secret\n    statuscode: 204\n    interval: 500ms\n    threshold: 2\n  tcp:\n  \
         - addr: {good}\n    interval: 500ms\n"
    );
    let registry = Checked::start(folder.path(), &health).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    registry.get("/").await?.expect(200)?;
    serving.abort();
    registry.until_status(503).await?;
    let both = || async {
        registry.health().await.is_ok_and(|(_, failing)| {
            failing[format!("http://{good}/x")].is_string() && failing[good.to_string()].is_string()
        })
    };
    program::until("both checks are named", SOON, both).await?;
    let readiness = registry.get("/readyz").await?.expect(503)?.text();
    assert!(readiness.contains("/x") && !readiness.contains("secret"), "{readiness}");
    Ok(())
}

#[tokio::test]
async fn a_redirect_is_not_the_expected_answer() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (address, _serving) =
        upstream("HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nConnection: close\r\n\r\n").await?;
    let health = format!("  http:\n  - uri: http://{address}/x\n    interval: 500ms\n");
    let registry = Checked::start(folder.path(), &health).await?;
    registry.until_status(503).await?;
    let (_, failing) = registry.health().await?;
    let said = &failing[format!("http://{address}/x")];
    assert_eq!(said, "it answered 302, and redirects are not followed", "{failing}");
    Ok(())
}
