//! The socket and what stands around it: certificates, stalled peers, proxies, stopping.
//!
//! *Invariant:* what an operator changes on disk takes effect without a restart, and no peer can hold a connection
//! by doing nothing.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use harness::database::Database;
use harness::images::noise;
use harness::program;
use harness::server::{Process, Which};
use harness::settings::KEYS_PATH;
use harness::watchdog::Guarded;

/// A registry in a process, with this YAML in its `http` section.
async fn registry(folder: &Path, http: &str) -> anyhow::Result<(SocketAddr, PathBuf)> {
    let address = SocketAddr::from(([127, 0, 0, 1], program::free_port()?));
    let settings = folder.join("registry.yml");
    let root = folder.join("images");
    let text = format!(
        "version: 0.1\nauth: none\nhttp:\n  addr: {address}\n{http}storage:\n  filesystem:\n    rootdirectory: {}\n",
        root.display()
    );
    tokio::fs::write(&settings, text).await?;
    Ok((address, settings))
}

/// A token server in a process, with this YAML in its `http` section.
async fn token_server(folder: &Path, http: &str, database: &str) -> anyhow::Result<(SocketAddr, PathBuf)> {
    let address = SocketAddr::from(([127, 0, 0, 1], program::free_port()?));
    let settings = folder.join("token-server.yml");
    let secret = "0123456789abcdef0123456789abcdef";
    let text = format!("http:\n  addr: {address}\n{http}database:\n  url: {database}\nsecret: {secret}\n");
    tokio::fs::write(&settings, text).await?;
    Ok((address, settings))
}

/// A server in a process, for tests that watch it from outside.
fn launch(which: Which, settings: &Path) -> anyhow::Result<Guarded> {
    let log = std::fs::File::create(settings.with_extension("log"))?;
    let mut command = std::process::Command::new(which.binary()?);
    Guarded::spawn(command.args(which.arguments(settings)).stdout(log.try_clone()?).stderr(log))
}

async fn reachable(address: SocketAddr) -> bool {
    tokio::net::TcpStream::connect(address).await.is_ok()
}

fn write_certificate(folder: &Path) -> anyhow::Result<reqwest::Certificate> {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()])?;
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem())?;
    std::fs::write(folder.join("certificate.pem"), made.cert.pem())?;
    Ok(reqwest::Certificate::from_pem(made.cert.pem().as_bytes())?)
}

fn https(root: reqwest::Certificate) -> anyhow::Result<reqwest::Client> {
    shared::server::jwt_crypto::install();
    Ok(reqwest::Client::builder().tls_certs_only([root]).pool_max_idle_per_host(0).build()?)
}

/// Exchanges the certificate of a running server; `settings` makes its file from the section `http.tls`.
async fn exchange_certificate(
    which: Which,
    path: &str,
    settings: impl AsyncFnOnce(&Path, &str) -> anyhow::Result<(SocketAddr, PathBuf)>,
) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let first_root = write_certificate(folder.path())?;
    let first = https(first_root.clone())?;
    let tls = format!(
        "  tls:\n    certificate: {0}/certificate.pem\n    key: {0}/key.pem\n",
        folder.path().display()
    );
    let (address, settings) = settings(folder.path(), &tls).await?;
    let _server = launch(which, &settings)?;
    let url = format!("https://{address}{path}");
    let answers = |client: reqwest::Client| {
        let url = url.clone();
        move || {
            let (client, url) = (client.clone(), url.clone());
            async move { client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) }
        }
    };
    program::until("served with the first certificate", Duration::from_secs(20), answers(first.clone()))
        .await?;
    // A half-written pair must not take the working one away.
    std::fs::write(folder.path().join("certificate.pem"), "broken")?;
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(answers(first)().await, "the previous certificate stays in use");
    let second = https(write_certificate(folder.path())?)?;
    program::until("served with the second certificate", Duration::from_secs(30), answers(second)).await?;
    // A client of its own: the other one could resume its session without seeing a certificate.
    assert!(!answers(https(first_root)?)().await, "the first certificate is gone");
    Ok(())
}

#[tokio::test]
async fn a_new_certificate_of_the_registry_is_served_without_a_restart() -> anyhow::Result<()> {
    exchange_certificate(Which::Registry, "/v2/", registry).await
}

#[tokio::test]
async fn a_new_certificate_of_the_token_server_is_served_without_a_restart() -> anyhow::Result<()> {
    let database = Database::create().await?;
    let url = database.url().to_owned();
    let settings = async |folder: &Path, http: &str| token_server(folder, http, &url).await;
    exchange_certificate(Which::TokenServer, KEYS_PATH, settings).await
}

#[tokio::test]
async fn a_reader_that_stops_is_cut_off() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (address, settings) = registry(folder.path(), "  stalltimeout: 2s\n").await?;
    let _server = Process::start(Which::Registry, &settings, address).await?;
    let client = harness::client::OciClient::anonymous(&format!("http://{address}"))?;
    let blob = harness::images::Blob::new("application/octet-stream", noise(91, 32 * 1024 * 1024));
    client.push_blob("a/b", &blob).await?;
    let digest = blob.digest.clone();
    let read = tokio::task::spawn_blocking(move || -> anyhow::Result<usize> {
        let mut stream = TcpStream::connect(address)?;
        write!(stream, "GET /v2/a/b/blobs/{digest} HTTP/1.1\r\nHost: x\r\n\r\n")?;
        stream.read_exact(&mut [0; 100])?;
        std::thread::sleep(Duration::from_secs(8));
        let mut rest = Vec::new();
        // What is left in the buffers can still be read; then the connection is gone.
        let _ = stream.read_to_end(&mut rest);
        Ok(rest.len())
    });
    assert!(read.await?? < blob.bytes.len(), "the server gave up in the middle");
    Ok(())
}

#[tokio::test]
async fn a_writer_that_stops_is_told_and_can_go_on_later() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (address, settings) = registry(folder.path(), "  stalltimeout: 1s\n  relativeurls: true\n").await?;
    let _server = Process::start(Which::Registry, &settings, address).await?;
    let client = harness::client::OciClient::anonymous(&format!("http://{address}"))?;
    let location = client.start_upload("a/b").await?;
    let target = location.clone();
    let answer = tokio::task::spawn_blocking(move || -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        write!(stream, "PATCH {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    });
    let answer = answer.await??;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let status = client.raw(&harness::client::Request::get(location)).await?.expect(204)?;
    assert_eq!(status.needs_header("range")?, "0-2");
    Ok(())
}

#[tokio::test]
async fn a_request_that_began_before_sigterm_may_finish() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (address, settings) = registry(folder.path(), "  relativeurls: true\n").await?;
    let mut server = launch(Which::Registry, &settings)?;
    program::until("listening", Duration::from_secs(20), || reachable(address)).await?;
    let client = harness::client::OciClient::anonymous(&format!("http://{address}"))?;
    let location = client.start_upload("a/b").await?;
    let (started, began) = tokio::sync::oneshot::channel();
    let (go, may_go) = std::sync::mpsc::channel();
    let upload = tokio::task::spawn_blocking(move || -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        write!(
            stream,
            "PATCH {location} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\n\
             Content-Length: 6\r\n\r\nabc"
        )?;
        let mut line = *b"HTTP/1.1 100 Continue\r\n\r\n";
        stream.read_exact(&mut line)?;
        anyhow::ensure!(line.starts_with(b"HTTP/1.1 100 "), "the server waits for the rest");
        let _ = started.send(());
        may_go.recv()?;
        stream.write_all(b"def")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    });
    // The upload must have reached the server before it is told to stop.
    began.await?;
    server.signal("TERM")?;
    program::until("no longer listening", Duration::from_secs(10), || async { !reachable(address).await })
        .await?;
    go.send(())?;
    let answer = upload.await??;
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    assert_eq!(server.wait(Duration::from_secs(20))?, Some(0), "a drained server ends well");
    Ok(())
}

#[tokio::test]
async fn urls_follow_what_a_trusted_proxy_says() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    for (http, expected) in [
        ("  trustedproxies: [127.0.0.1]\n", "https://registry.example/v2/"),
        // Whoever is not trusted may still be a proxy, and a path is right behind any.
        ("", "/v2/"),
        ("  host: https://always.example\n", "https://always.example/v2/"),
        ("  relativeurls: true\n", "/v2/"),
    ] {
        let (address, settings) = registry(folder.path(), http).await?;
        let _server = Process::start(Which::Registry, &settings, address).await?;
        let request = harness::raw_http::request(
            "POST",
            "/v2/a/b/blobs/uploads/",
            &[
                ("X-Forwarded-Proto", "https"),
                ("X-Forwarded-Host", "registry.example"),
                ("Content-Length", "0"),
            ],
            b"",
        );
        let answer =
            harness::raw_http::send(&address.to_string(), "forwarded", &request).await?.expect(202)?;
        let location = answer.needs_header("location")?;
        assert!(location.starts_with(expected), "{http}: {location}");
    }
    Ok(())
}
