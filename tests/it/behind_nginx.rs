//! nginx in front, set up as the manual says: it speaks HTTP/2 and TLS, the registry hears about the client from it.
//!
//! *Invariant:* a client cannot tell the proxy from the registry, and the record knows the client and not the proxy.

use std::sync::Arc;

use harness::docker_engine::DockerEngine;
use harness::edited::{self, TokenServer};
use harness::images::Image;
use harness::nginx::Nginx;
use harness::program::{self, Said};
use harness::server::Server;
use harness::settings::{Auth, SERVICE};
use harness::stack::password_of;
use shared::clock::ManualClock;
use tokio::process::Command;

const TRUSTING: (&str, &str) = ("http:\n", "http:\n  trustedproxies: [127.0.0.1]\n");

/// A client that is not where the proxy is.
const CLIENT: &str = "127.0.0.77";

/// Both servers behind one nginx; clients need no other address.
struct Site {
    token_server: TokenServer,
    nginx: Nginx,
    // After the proxy, which is connected to it.
    _registry: Server,
    _folder: tempfile::TempDir,
}

impl Site {
    async fn start() -> anyhow::Result<Self> {
        let (token_server, folder) = (TokenServer::start("", &[TRUSTING]).await?, tempfile::tempdir()?);
        token_server.add_user("alice").await?;
        token_server.operator(&["grant", "add", "user:alice", "writer", "platform/**"], "").await?;
        let auth = Auth::TokenServer { url: token_server.url(), same_origin: true, feed: None };
        let clock = token_server.clock.clone();
        let registry = edited::registry(folder.path(), auth, &[TRUSTING], &clock).await?;
        let nginx = Nginx::before(&format!("http://{}", registry.address())).await?;
        Ok(Self { token_server, nginx, _registry: registry, _folder: folder })
    }
}

async fn curl(words: &[&str], url: &str) -> anyhow::Result<Said> {
    let mut command = Command::new(program::find("curl", "curl")?);
    command.args(["--silent", "--show-error", "--insecure", "--include", "--noproxy", "*"]);
    program::run(command.args(["--interface", CLIENT]).args(words).arg(url), "").await?.success()
}

#[tokio::test]
async fn docker_logs_in_pushes_and_pulls_through_it() -> anyhow::Result<()> {
    let (site, docker) = (Site::start().await?, DockerEngine::shared().await?);
    let person = docker.person()?;
    let registry = site.nginx.address();
    person.login(registry, "alice", &password_of("alice")).await?.success()?;
    let name = format!("{registry}/platform/proxied:1");
    // A layer that is larger than what nginx takes by default.
    let image = Image::new(61, 2, 3_000_000)?;
    person.push_and_pull(&image, &name).await?;
    Ok(())
}

#[tokio::test]
async fn http2_is_spoken_by_the_proxy_and_the_challenge_names_it() -> anyhow::Result<()> {
    let site = Site::start().await?;
    let registry = site.nginx.address();
    for (version, word) in [("HTTP/2 ", "--http2"), ("HTTP/1.1 ", "--http1.1")] {
        let said = curl(&[word], &format!("https://{registry}/v2/")).await?.output;
        assert!(said.starts_with(&format!("{version}401")), "{said}");
        assert!(said.contains(&format!("realm=\"https://{registry}/auth/token\"")), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn the_record_and_the_urls_know_the_client_and_not_the_proxy() -> anyhow::Result<()> {
    let site = Site::start().await?;
    let registry = site.nginx.address();
    let lies = ["--header", "X-Forwarded-For: 198.51.100.6", "--header", "Forwarded: for=198.51.100.6"];
    let words = ["--http2", "--user", "alice:wrong", "--user-agent", "the-liar"];
    let url = format!("https://{registry}/auth/token?service={SERVICE}");
    let said = curl(&[&words[..], &lies[..]].concat(), &url).await?.output;
    assert!(said.starts_with("HTTP/2 401"), "{said}");
    let rows = site.token_server.database().db_audit().await?;
    let row = rows.into_iter().find(|row| row.agent.as_deref() == Some("the-liar"));
    assert_eq!(row.and_then(|row| row.address).as_deref(), Some(CLIENT));
    Ok(())
}

#[tokio::test]
async fn a_registry_on_a_unix_socket_is_reached_through_it() -> anyhow::Result<()> {
    let folder = program::private_folder("unix")?;
    let socket = folder.join("s");
    let listen = format!("  net: unix\n  addr: {}\n  trustedproxies: [unix]\n", socket.display());
    let mut server = crate::sockets::launch(&folder, &listen, "")?;
    crate::sockets::until_there(&socket).await?;
    let nginx = Nginx::before(&format!("http://unix:{}:", socket.display())).await?;
    let url = format!("https://{}/v2/a/b/blobs/uploads/", nginx.address());
    let said = curl(&["--http2", "--request", "POST"], &url).await?.output;
    assert!(said.contains(&format!("location: {url}")), "{said}");
    server.signal("TERM")?;
    server.wait(std::time::Duration::from_secs(20))?;
    let log = std::fs::read_to_string(folder.join("registry.log"))?;
    assert!(log.contains(&format!("client.address=\"{CLIENT}\"")), "{log}");
    Ok(())
}

#[tokio::test]
async fn urls_have_the_scheme_and_host_of_the_proxy() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let clock = Arc::new(ManualClock::default());
    let registry = edited::registry(folder.path(), Auth::Open, &[TRUSTING], &clock).await?;
    let nginx = Nginx::before(&format!("http://{}", registry.address())).await?;
    let url = format!("https://{}/v2/a/b/blobs/uploads/", nginx.address());
    let said = curl(&["--http2", "--request", "POST"], &url).await?.output;
    assert!(said.starts_with("HTTP/2 202") && said.contains(&format!("location: {url}")), "{said}");
    Ok(())
}
