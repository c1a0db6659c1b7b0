//! `compose/quickstart` as a person uses it: start, log in, push, pull, Ctrl-C, and start again.
//!
//! *Invariant:* it runs with addresses and state of its own, beside one that is already there.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use harness::client::{OciClient, http_client};
use harness::docker_engine::DockerEngine;
use harness::images::Image;
use harness::watchdog::Guarded;
use harness::{heavy, program};

use crate::tidy::root;

struct Quickstart {
    process: Guarded,
    env: BTreeMap<String, String>,
}

impl Quickstart {
    async fn start(data: &Path, registry: &str, token_server: &str) -> anyhow::Result<Self> {
        let log = std::fs::File::create(data.with_extension("log"))?;
        // A shell cannot catch a Ctrl-C that was ignored when it began, as it is for everything in the background.
        let mut command = Command::new("env");
        command.arg("--default-signal=INT").arg(root().join("compose/quickstart"));
        // What cargo tells a test would make the script's own cargo build everything again.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO") && !["CARGO_HOME", "CARGO_TARGET_DIR"].contains(&text.as_ref()) {
                command.env_remove(&name);
            }
        }
        let mut process = Guarded::spawn(
            command
                .env("PORTCULLIS_DATA", data)
                .env("PORTCULLIS_REGISTRY_ADDR", registry)
                .env("PORTCULLIS_TOKEN_SERVER_ADDR", token_server)
                .stdin(Stdio::null())
                .stdout(log.try_clone()?)
                .stderr(log),
        )?;
        let said = || std::fs::read_to_string(data.with_extension("log")).unwrap_or_default();
        // The release build may be part of it.
        let deadline = std::time::Instant::now() + Duration::from_mins(20);
        while !said().contains("docker login") {
            anyhow::ensure!(process.is_running(), "quickstart ended: {}", said());
            anyhow::ensure!(std::time::Instant::now() < deadline, "quickstart is not ready: {}", said());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let text = std::fs::read_to_string(data.join("quickstart.env"))?;
        let env: BTreeMap<_, _> =
            text.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect();
        let line = format!(
            "docker login {registry} --username {}     # password: {}",
            env["ADMIN_USER"], env["ADMIN_PASSWORD"]
        );
        anyhow::ensure!(said().contains(&line), "no login line in {}", said());
        Ok(Self { process, env })
    }

    fn admin(&self) -> anyhow::Result<OciClient> {
        let registry = format!("http://{}", self.env["REGISTRY"]);
        OciClient::new(&registry, &self.env["ADMIN_USER"], &self.env["ADMIN_PASSWORD"])
    }

    /// Ctrl-C, and everything it started is gone.
    async fn interrupt(mut self, data: &Path) -> anyhow::Result<()> {
        self.process.signal("INT")?;
        let code = tokio::task::block_in_place(|| self.process.wait(Duration::from_mins(1)))?;
        anyhow::ensure!(code == Some(0), "quickstart ended with {code:?}");
        let http = http_client()?;
        for address in [&self.env["REGISTRY"], &self.env["TOKEN_SERVER"]] {
            let answer = http.get(format!("http://{address}/healthz")).send().await;
            anyhow::ensure!(answer.is_err(), "{address} still answers");
        }
        anyhow::ensure!(!data.join("postgres/data/postmaster.pid").exists(), "Postgres still runs");
        Ok(())
    }
}

impl Drop for Quickstart {
    // A failed test must not leave a Postgres behind, which `kill -9` of the script would.
    fn drop(&mut self) {
        if self.process.is_running() && self.process.signal("TERM").is_ok() {
            let _ = self.process.wait(Duration::from_mins(1));
        }
    }
}

fn mode(path: &Path) -> anyhow::Result<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(std::fs::metadata(path)?.permissions().mode() & 0o777)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_quickstart_serves_a_person_and_a_second_start_finds_everything() -> anyhow::Result<()> {
    let _turn = heavy::turn().await?;
    let folder = program::private_folder("quick")?;
    // Reachable for the user postgres, as a home folder usually is not.
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let data = folder.join("data");
    let registry = format!("127.0.0.1:{}", program::free_port()?);
    let token_server = format!("127.0.0.1:{}", program::free_port()?);

    let quickstart = Quickstart::start(&data, &registry, &token_server).await?;
    assert_eq!((&quickstart.env["REGISTRY"], &quickstart.env["TOKEN_SERVER"]), (&registry, &token_server));
    for secret in ["quickstart.env", "secret", "token-server.yml"] {
        assert_eq!(mode(&data.join(secret))?, 0o600, "{secret}");
    }
    let admin = quickstart.admin()?;
    let challenge = admin.challenge().await?;
    assert!(
        challenge.realm.starts_with(&format!("http://{registry}/")),
        "one address is enough: {}",
        challenge.realm
    );
    // So does a browser, at the other one.
    let page = http_client()?.get(format!("http://{token_server}/signin")).send().await?;
    assert_eq!(page.status(), 200);
    let image = Image::new(101, 2, 100_000)?;
    admin.push_image("any/thing", "1", &image).await?;

    let operator = |words: Vec<&'static str>, input: &'static str| {
        let mut command = tokio::process::Command::new(root().join("target/release/token-server"));
        command.arg("--config").arg(data.join("token-server.yml")).args(words);
        async move { program::run(&mut command, input).await?.success() }
    };
    operator(vec!["user", "add", "alice", "--password-stdin"], "a long password\n").await?;
    operator(vec!["team", "add", "platform"], "").await?;
    operator(vec!["team", "member", "add", "platform", "alice"], "").await?;
    operator(vec!["grant", "add", "team:platform", "writer", "platform/**"], "").await?;
    operator(vec!["grant", "add", "everyone", "viewer", "public/**"], "").await?;
    let listed = operator(vec!["grant", "list"], "").await?;
    assert!(
        listed.output.contains("platform/**") && listed.output.contains("public/**"),
        "{}",
        listed.output
    );

    let docker = DockerEngine::shared().await?;
    let person = docker.person()?;
    person.login(&registry, "alice", "a long password").await?.success()?;
    let name = format!("{registry}/platform/app:1");
    person.load(&image, &name).await?;
    person.docker(&["push", &name]).await?.success()?;
    person.forget(&name).await?;
    person.docker(&["pull", &name]).await?.success()?;
    quickstart.interrupt(&data).await?;

    let quickstart = Quickstart::start(&data, &registry, &token_server).await?;
    quickstart.admin()?.pull_image("any/thing", "1", &image).await?;
    person.forget(&name).await?;
    person.docker(&["pull", &name]).await?.success()?;
    quickstart.interrupt(&data).await?;
    Ok(())
}
