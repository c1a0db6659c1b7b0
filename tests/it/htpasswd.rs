//! A registry with a password file: who is let in, with which clients, and what a file that changes does.
//!
//! *Invariant:* whoever is in the file may do everything, whoever is not may do nothing, and no password is found
//! anywhere but in the file of the client.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::answer::Answer;
use harness::client::{OciClient, Request, basic, uploads};
use harness::containerd::Containerd;
use harness::containers::ContainersPerson;
use harness::docker_engine::DockerEngine;
use harness::images::Image;
use harness::server::{Process, Which};
use harness::settings::{self, Auth, REALM, RegistryOptions};
use harness::stack::{LoneRegistry, basic_of, password_of};
use harness::{layout, passwords, program, raw_http};
use reqwest::Method;
use reqwest::header::AUTHORIZATION;

/// A registry with alice and bob in its file.
struct House {
    registry: LoneRegistry,
    stranger: OciClient,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

impl House {
    async fn open() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("htpasswd");
        passwords::write(&file, &["alice", "bob"])?;
        let auth = Auth::Htpasswd { file: file.clone() };
        let registry = LoneRegistry::start(&folder.path().join("images"), auth).await?;
        let stranger = OciClient::anonymous(&registry.url())?;
        Ok(Self { registry, stranger, file, _folder: folder })
    }

    fn client(&self, user: &str) -> anyhow::Result<OciClient> {
        self.registry.client(user)
    }

    /// Waits until somebody is let in who is new in the file.
    async fn until_let_in(&self, authorization: &str) -> anyhow::Result<()> {
        program::until("the file was read again", Duration::from_secs(20), || async {
            // Asking before the file was read is a failed login like any other.
            self.registry.clock.advance(Duration::from_mins(1));
            self.knock(&[authorization]).await.is_ok_and(|answer| answer.status == 200)
        })
        .await
    }

    async fn knock(&self, authorization: &[&str]) -> anyhow::Result<Answer> {
        let mut request = Request::get("/v2/");
        for value in authorization {
            request = request.header(AUTHORIZATION, *value);
        }
        self.stranger.raw(&request).await
    }
}

fn assert_challenged(answer: Answer, name: &str) -> anyhow::Result<()> {
    let answer = answer.expect_error(401, "UNAUTHORIZED")?;
    let challenges: Vec<_> = answer.headers.get_all("www-authenticate").iter().collect();
    assert_eq!(challenges, [format!("Basic realm=\"{REALM}\"").as_str()], "{name}");
    Ok(())
}

#[tokio::test]
async fn nobody_gets_anything_without_a_password() -> anyhow::Result<()> {
    let house = House::open().await?;
    let digest = format!("sha256:{}", "0".repeat(64));
    for (method, target) in [
        (Method::GET, "/v2/".to_owned()),
        (Method::HEAD, "/v2/".to_owned()),
        (Method::GET, "/v2/_catalog".into()),
        (Method::GET, "/v1/search?q=a".into()),
        (Method::GET, "/v2/a/b/tags/list".into()),
        (Method::GET, "/v2/a/b/manifests/1".into()),
        (Method::PUT, "/v2/a/b/manifests/1".into()),
        (Method::DELETE, "/v2/a/b/manifests/1".into()),
        (Method::GET, format!("/v2/a/b/blobs/{digest}")),
        (Method::DELETE, format!("/v2/a/b/blobs/{digest}")),
        (Method::POST, uploads("a/b")),
        (Method::PATCH, format!("{}{}", uploads("a/b"), uuid::Uuid::nil())),
        (Method::PUT, format!("{}not-an-id", uploads("a/b"))),
    ] {
        let name = format!("{method} {target}");
        let answer = house.stranger.raw(&Request::new(method.clone(), target)).await?;
        if method == Method::HEAD {
            let challenge = answer.needs_header("www-authenticate")?;
            assert_eq!((answer.status, challenge), (401, r#"Basic realm="Registry of a test""#), "{name}");
        } else {
            assert_challenged(answer, &name)?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn whoever_knows_a_password_may_do_everything() -> anyhow::Result<()> {
    let house = House::open().await?;
    let (alice, bob) = (house.client("alice")?, house.client("bob")?);
    alice.login().await?.expect(200)?;
    let image = Image::new(71, 2, 10_000)?;
    alice.push_image("alice/app", "1", &image).await?;
    bob.pull_image("alice/app", "1", &image).await?;
    let mount = format!("{}?mount={}&from=alice/app", uploads("bob/app"), image.layers[0].digest);
    bob.send(&Request::new(Method::POST, mount)).await?.expect(201)?;
    let catalogue = bob.send(&Request::get("/v2/_catalog")).await?.expect(200)?.json()?;
    assert_eq!(catalogue["repositories"], serde_json::json!(["alice/app", "bob/app"]));
    let delete = Request::new(Method::DELETE, "/v2/alice/app/manifests/1");
    bob.send(&delete).await?.expect(202)?;
    Ok(())
}

#[tokio::test]
async fn what_is_not_a_user_and_a_password_is_answered_with_the_challenge() -> anyhow::Result<()> {
    let house = House::open().await?;
    let good = basic_of("alice");
    let encoded = |bytes: &[u8]| format!("Basic {}", STANDARD.encode(bytes));
    for value in [good.clone(), good.replace("Basic", "bAsIc"), good.trim_end_matches('=').to_owned()] {
        house.knock(&[&value]).await?.expect(200)?;
    }
    for value in [
        "",
        "Basic",
        "Basic ",
        "Basic %%%",
        "Bearer abc",
        "Bearer eyJhbGciOiJub25lIn0.e30.",
        "Negotiate x",
        &encoded(b"alice"),
        &encoded(b"alice:\xff\xfe"),
        &encoded(b":"),
        &encoded(b"alice:"),
        &encoded(format!(":{}", password_of("alice")).as_bytes()),
        &encoded(format!("alice:{}\n", password_of("alice")).as_bytes()),
        &basic("Alice", &password_of("alice")),
        &basic("alice", &password_of("bob")),
        &basic("carol", &password_of("carol")),
        &basic("# people of a test", "x"),
        &basic("alice", &"x".repeat(5_000)),
    ] {
        assert_challenged(house.knock(&[value]).await?, value)?;
    }
    assert_challenged(house.knock(&[&good, &good]).await?, "two headers")?;
    let address = house.registry.address();
    let mut bytes = raw_http::request("GET", "/v2/", &[("Authorization", "Basic xxxx")], b"");
    let place = bytes.windows(4).position(|window| window == b"xxxx").expect("it is there");
    bytes[place] = 0xe9;
    assert_challenged(raw_http::send(&address, "bytes that are no text", &bytes).await?, "no text")?;
    Ok(())
}

#[tokio::test]
async fn a_password_may_hold_colons_and_other_letters() -> anyhow::Result<()> {
    let house = House::open().await?;
    let (user, password) = ("zoë", "päss:wörd: ");
    std::fs::write(&house.file, passwords::line(user, password)?)?;
    house.until_let_in(&basic(user, password)).await
}

#[tokio::test]
async fn an_upload_belongs_to_the_user_who_began_it() -> anyhow::Result<()> {
    let house = House::open().await?;
    let (alice, bob) = (house.client("alice")?, house.client("bob")?);
    let location = alice.start_upload("a/b").await?;
    for method in [Method::GET, Method::PATCH, Method::DELETE] {
        let request = Request::new(method, location.clone()).body("stolen");
        bob.send(&request).await?.expect_error(404, "BLOB_UPLOAD_UNKNOWN")?;
    }
    alice.send(&Request::new(Method::PATCH, location).body("mine")).await?.expect(202)?;
    Ok(())
}

#[tokio::test]
async fn a_changed_file_counts_without_a_restart_and_a_broken_one_does_not() -> anyhow::Result<()> {
    let house = House::open().await?;
    let (alice, bob, carol) = (basic_of("alice"), basic_of("bob"), basic_of("carol"));
    house.knock(&[&alice]).await?.expect(200)?;
    let beside = house.file.with_extension("new");
    std::fs::write(&beside, "this is no password file\n")?;
    std::fs::rename(&beside, &house.file)?;
    // Two looks at the file later, a broken one was seen.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    house.knock(&[&alice]).await?.expect(200)?;
    house.knock(&[&bob]).await?.expect(200)?;
    passwords::write(&house.file, &["bob", "carol"])?;
    house.until_let_in(&carol).await?;
    assert_challenged(house.knock(&[&alice]).await?, "alice was removed")?;
    house.knock(&[&bob]).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn whoever_guesses_has_to_wait_and_nobody_else_does() -> anyhow::Result<()> {
    let house = House::open().await?;
    for number in 0..10 {
        let answer = house.knock(&[&basic("alice", &format!("guess {number}"))]).await?;
        let message = answer.expect_error(401, "UNAUTHORIZED")?.error_message()?;
        assert_eq!(message, "wrong user name or password");
    }
    let answer = house.knock(&[&basic_of("alice")]).await?.expect_error(429, "TOOMANYREQUESTS")?;
    let seconds: u64 = answer.needs_header("retry-after")?.parse()?;
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert_eq!(answer.header("www-authenticate"), None, "another password would not help");
    house.knock(&[&basic_of("bob")]).await?.expect(200)?;
    house.registry.clock.advance(Duration::from_secs(seconds));
    house.knock(&[&basic_of("alice")]).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_flood_of_logins_is_answered_and_the_rest_is_told_to_come_back() -> anyhow::Result<()> {
    let house = House::open().await?;
    let values: Vec<_> = (0..300).map(|number| basic(&format!("user-{number}"), "wrong")).collect();
    let all =
        futures_util::future::join_all(values.iter().map(|value| async { house.knock(&[value]).await }));
    for answer in all.await {
        let answer = answer?;
        if answer.status == 401 {
            assert_challenged(answer, "refused")?;
        } else {
            let answer = answer.expect_error(503, "UNAVAILABLE")?;
            answer.needs_header("retry-after")?;
        }
    }
    house.knock(&[&basic_of("alice")]).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_browser_may_ask_without_a_password_what_pages_may_do() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("htpasswd");
    passwords::write(&file, &["alice"])?;
    let headers = "http:\n  headers:\n    Access-Control-Allow-Origin: ['https://ui.test']\n    \
                   Access-Control-Allow-Headers: [Authorization]\n";
    let clock = std::sync::Arc::default();
    let server =
        harness::edited::registry(folder.path(), Auth::Htpasswd { file }, &[("http:\n", headers)], &clock)
            .await?;
    let page = OciClient::anonymous(&format!("http://{}", server.address()))?;
    for target in ["/v2/", "/v2/_catalog", "/v2/a/b/manifests/1", "/v2/a/b/blobs/uploads/"] {
        let preflight = Request::new(Method::OPTIONS, target)
            .header(reqwest::header::ORIGIN, "https://ui.test")
            .header(reqwest::header::ACCESS_CONTROL_REQUEST_METHOD, "GET");
        let answer = page.raw(&preflight).await?.expect(200)?;
        assert_eq!(answer.needs_header("access-control-allow-origin")?, "https://ui.test");
        assert_eq!(answer.needs_header("access-control-allow-headers")?, "Authorization");
        assert!(answer.body.is_empty());
        let refused = page.raw(&Request::new(Method::DELETE, target)).await?;
        assert!([401, 405].contains(&refused.status), "{refused}");
        refused.needs_header("access-control-allow-origin")?;
    }
    Ok(())
}

#[tokio::test]
async fn a_file_that_cannot_be_used_stops_the_start_with_a_sentence() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("htpasswd");
    for (content, sentence) in [
        (None, "htpasswd -Bbn"),
        (Some("# nobody\nalice\n"), "line 2"),
        (Some("alice:$2y$05$x\nbob"), "line 2"),
    ] {
        if let Some(content) = content {
            std::fs::write(&file, content)?;
        }
        let auth = Auth::Htpasswd { file: file.clone() };
        let outcome = LoneRegistry::start(&folder.path().join("images"), auth).await;
        let text = format!("{:#}", outcome.expect_err("it does not start"));
        assert!(text.contains(sentence) && text.contains("htpasswd"), "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn the_log_names_the_user_and_never_a_password() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("htpasswd");
    passwords::write(&file, &["alice"])?;
    std::fs::write(&file, std::fs::read_to_string(&file)? + "dave:{SHA}of-a-canary\n")?;
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], program::free_port()?));
    let options = RegistryOptions {
        address: address.to_string(),
        root: folder.path().join("images"),
        auth: Auth::Htpasswd { file: file.clone() },
        more: "log:\n  level: debug".into(),
    };
    let settings = settings::write_registry(folder.path(), &options)?;
    let server = Process::start(Which::Registry, &settings, address).await?;
    let client = OciClient::new(&format!("http://{address}"), "alice", &password_of("alice"))?;
    client.login().await?.expect(200)?;
    let typed_into_the_wrong_field = basic("my secret password", "alice-canary");
    for value in [typed_into_the_wrong_field, basic("alice", "wrong-canary"), basic("dave", "dave-canary")] {
        client.raw(&Request::get("/v2/").header(AUTHORIZATION, value)).await?.expect(401)?;
    }
    let names_alice = |log: &str| log.contains("subject=\"alice\"") || log.contains("subject=alice");
    let is_logged = || async { server.log().is_ok_and(|log| names_alice(&log)) };
    program::until("alice is in the log", std::time::Duration::from_secs(20), is_logged).await?;
    let log = server.log()?;
    assert!(log.contains("let nobody in") && log.contains("[3]"), "the useless line is named: {log}");
    for secret in ["my secret password", "canary", &password_of("alice"), "$2y$"] {
        assert!(!log.contains(secret), "{secret} is in the log: {log}");
    }
    Ok(())
}

#[tokio::test]
async fn docker_logs_in_pushes_pulls_and_logs_out() -> anyhow::Result<()> {
    let (house, docker) = (House::open().await?, DockerEngine::shared().await?);
    let person = docker.person()?;
    let registry = house.registry.address();
    let text = person.login(&registry, "alice", "wrong").await?.failure()?;
    assert!(text.contains("401") || text.contains("unauthorized"), "{text}");
    let said = person.login(&registry, "alice", &password_of("alice")).await?.success()?;
    assert!(said.text.contains("Login Succeeded"), "{}", said.text);
    let name = format!("{registry}/htpasswd/docker:1");
    let image = Image::new(72, 3, 1_000_000)?;
    person.push_and_pull(&image, &name).await?;
    person.docker(&["logout", &registry]).await?.success()?;
    let text = person.docker(&["push", &name]).await?.failure()?;
    assert!(text.contains("no basic auth credentials") || text.contains("unauthorized"), "{text}");
    Ok(())
}

#[tokio::test]
async fn skopeo_and_podman_log_in_and_copy() -> anyhow::Result<()> {
    let house = House::open().await?;
    let registry = house.registry.address();
    let person = ContainersPerson::new()?;
    let image = Image::new(73, 2, 200_000)?;
    let source = person.folder().join("source");
    layout::write_image(&source, &image, "1")?;
    let from = format!("oci:{}:1", source.display());
    let there = format!("docker://{registry}/htpasswd/skopeo:1");
    person.skopeo(&["copy", "--dest-tls-verify=false", &from, &there]).await?.failure()?;
    let text = person.podman_login(&registry, "alice", "wrong").await?.failure()?;
    assert!(text.contains("invalid username/password"), "{text}");
    person.skopeo_login(&registry, "alice", &password_of("alice")).await?.success()?;
    person
        .skopeo(&["copy", "--preserve-digests", "--dest-tls-verify=false", &from, &there])
        .await?
        .success()?;
    house.client("bob")?.pull_image("htpasswd/skopeo", "1", &image).await?;
    person.skopeo(&["delete", "--tls-verify=false", &there]).await?.success()?;

    let person = ContainersPerson::new()?;
    let said = person.podman_login(&registry, "bob", &password_of("bob")).await?.success()?;
    assert!(said.text.contains("Login Succeeded"), "{}", said.text);
    let id = person.podman(&["pull", "--quiet", &from]).await?.success()?.output.trim().to_owned();
    let name = format!("{registry}/htpasswd/podman:1");
    person.podman(&["push", "--quiet", "--tls-verify=false", &id, &name]).await?.success()?;
    person.podman(&["rmi", "--force", &id]).await?.success()?;
    let pulled = person.podman(&["pull", "--quiet", "--tls-verify=false", &name]).await?.success()?;
    assert_eq!(pulled.output.trim(), id);
    Ok(())
}

#[tokio::test]
async fn containerd_pulls_and_pushes_with_a_password() -> anyhow::Result<()> {
    let house = House::open().await?;
    let image = Image::new(74, 2, 100_000)?;
    house.client("alice")?.push_image("htpasswd/ctr", "1", &image).await?;
    let containerd = Containerd::start().await?;
    let name = format!("{}/htpasswd/ctr:1", house.registry.address());
    containerd.ctr(&["images", "pull", "--plain-http", &name]).await?.failure()?;
    let bob = format!("bob:{}", password_of("bob"));
    containerd.ctr(&["images", "pull", "--plain-http", "--user", &bob, &name]).await?.success()?;
    let pushed = format!("{}/htpasswd/pushed:1", house.registry.address());
    containerd.ctr(&["images", "tag", &name, &pushed]).await?.success()?;
    containerd.ctr(&["images", "push", "--plain-http", "--user", &bob, &pushed]).await?.success()?;
    house.client("alice")?.pull_image("htpasswd/pushed", "1", &image).await?;
    Ok(())
}
