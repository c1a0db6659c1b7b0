//! How a registry is reached: unix sockets, sockets of systemd, TLS as operators restrict it, a path prefix, and how it
//! takes signals.
//!
//! *Invariant:* every restriction that can be set is seen from outside, by a client that does not share our code.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command as StdCommand, Stdio};
use std::time::Duration;

use harness::answer::Answer;
use harness::images::Image;
use harness::program::{self, Said};
use harness::raw_http;
use harness::server::{Process, Which};
use harness::watchdog::Guarded;
use tokio::process::Command;

/// Writes the settings of an open registry with this in its `http` section.
fn settings(folder: &Path, http: &str, more: &str) -> anyhow::Result<std::path::PathBuf> {
    let file = folder.join("registry.yml");
    let root = folder.join("images");
    let text = format!(
        "version: 0.1\nauth: none\nhttp:\n{http}storage:\n  filesystem:\n    rootdirectory: {}\n{more}",
        root.display()
    );
    std::fs::write(&file, text)?;
    Ok(file)
}

/// Starts a registry that is not asked over TCP whether it is ready.
pub(crate) fn launch(folder: &Path, http: &str, more: &str) -> anyhow::Result<Guarded> {
    let file = settings(folder, http, more)?;
    let mut command = StdCommand::new(Which::Registry.binary()?);
    spawn(command.args(Which::Registry.arguments(&file)), folder)
}

fn spawn(command: &mut StdCommand, folder: &Path) -> anyhow::Result<Guarded> {
    let log = std::fs::File::create(folder.join("registry.log"))?;
    Guarded::spawn(command.stdout(log.try_clone()?).stderr(log))
}

fn log(folder: &Path) -> anyhow::Result<String> {
    Ok(std::fs::read_to_string(folder.join("registry.log"))?)
}

pub(crate) async fn until_there(path: &Path) -> anyhow::Result<()> {
    program::until("the socket file", Duration::from_secs(20), || async { path.exists() }).await
}

/// A registry on TCP with this in its `http` section.
async fn registry(folder: &Path, http: &str) -> anyhow::Result<(SocketAddr, Process)> {
    let address = SocketAddr::from(([127, 0, 0, 1], program::free_port()?));
    let file = settings(folder, &format!("  addr: {address}\n{http}"), "")?;
    let server = Process::start(Which::Registry, &file, address).await?;
    Ok((address, server))
}

async fn curl(words: &[&str], url: &str) -> anyhow::Result<Said> {
    let mut command = Command::new(program::find("curl", "curl")?);
    command.args(["--silent", "--show-error", "--include", "--noproxy", "*"]);
    program::run(command.args(words).arg(url), "").await
}

#[tokio::test]
async fn a_unix_socket_is_served_and_its_file_goes_with_the_server() -> anyhow::Result<()> {
    let folder = program::private_folder("sock")?;
    let socket = folder.join("s");
    let http = format!("  net: unix\n  addr: {}\n", socket.display());
    // What a killed server left does not keep the next one from starting.
    drop(std::os::unix::net::UnixListener::bind(&socket)?);
    let mut server = launch(&folder, &http, "")?;
    let path = socket.display().to_string();
    program::until("the registry answers", Duration::from_secs(20), || async {
        curl(&["--unix-socket", &path], "http://r.example/v2/").await.is_ok_and(|said| said.succeeded())
    })
    .await?;
    let post = ["--unix-socket", &path, "--request", "POST"];
    let url = "http://r.example/v2/a/b/blobs/uploads/";
    let said = curl(&post, url).await?.success()?.output;
    assert!(said.contains(&format!("location: {url}")), "{said}");
    // Whoever can open the file is not trusted for that alone.
    let claim = ["--header", "X-Forwarded-Host: evil.example", "--header", "X-Forwarded-For: 192.0.2.1"];
    let said = curl(&[&post[..], &claim[..]].concat(), url).await?.success()?.output;
    assert!(said.contains("location: /v2/a/b/"), "{said}");
    // A second server must not take the file away from the first.
    let other = tempfile::tempdir()?;
    let mut second = launch(other.path(), &http, "")?;
    assert_eq!(second.wait(Duration::from_secs(20))?, Some(1), "{}", log(other.path())?);
    assert!(log(other.path())?.contains(&path));
    assert!(curl(&["--unix-socket", &path], "http://r.example/").await?.succeeded());
    server.signal("TERM")?;
    assert_eq!(server.wait(Duration::from_secs(20))?, Some(0));
    assert!(!socket.exists());
    assert!(!log(&folder)?.contains("192.0.2.1"));
    Ok(())
}

#[tokio::test]
async fn tls_on_a_unix_socket_is_refused_at_start() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let made = rcgen::generate_simple_self_signed(vec!["r.example".to_owned()])?;
    let tls = write_identity(folder.path(), "server", &made.cert.pem(), &made.signing_key.serialize_pem())?;
    let http = format!("  net: unix\n  addr: {}/s\n{tls}", folder.path().display());
    let mut server = launch(folder.path(), &http, "")?;
    assert_eq!(server.wait(Duration::from_secs(20))?, Some(1));
    assert!(log(folder.path())?.contains("TLS cannot be served on a unix socket"));
    Ok(())
}

/// Starts a registry the way systemd does: the socket is its file number three.
fn activate(folder: &Path, socket: OwnedFd, count: u32) -> anyhow::Result<Guarded> {
    let file = settings(folder, "  addr: 127.0.0.1:1\n", "")?;
    let mut command = StdCommand::new("sh");
    let script = "export LISTEN_FDS=$0 LISTEN_PID=$$; exec \"$@\" 3<&0 4<&0 </dev/null";
    command.arg("-c").arg(script).arg(count.to_string()).arg(Which::Registry.binary()?);
    command.args(Which::Registry.arguments(&file)).stdin(Stdio::from(socket));
    spawn(&mut command, folder)
}

#[tokio::test]
async fn the_socket_of_systemd_is_taken_over() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = socket.local_addr()?;
    let mut server = activate(folder.path(), socket.into(), 1)?;
    // The connection waits in the queue of the socket until the server is there.
    let said = curl(&[], &format!("http://{address}/v2/")).await?.success()?.output;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    server.signal("TERM")?;
    assert_eq!(server.wait(Duration::from_secs(20))?, Some(0));
    let log = log(folder.path())?;
    assert!(log.contains("systemd hands over the socket") && log.contains(&address.to_string()), "{log}");

    let folder = program::private_folder("act")?;
    let path = folder.join("s");
    let mut server = activate(&folder, std::os::unix::net::UnixListener::bind(&path)?.into(), 1)?;
    let file = path.display().to_string();
    let said = curl(&["--unix-socket", &file], "http://r.example/v2/").await?.success()?.output;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    server.signal("TERM")?;
    assert_eq!(server.wait(Duration::from_secs(20))?, Some(0));
    assert!(path.exists(), "the file is systemd's");
    Ok(())
}

#[tokio::test]
async fn what_systemd_cannot_mean_is_refused() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut server = activate(folder.path(), std::net::TcpListener::bind("127.0.0.1:0")?.into(), 2)?;
    assert_eq!(server.wait(Duration::from_secs(20))?, Some(1));
    assert!(log(folder.path())?.contains("exactly one socket"));
    let datagrams = std::net::UdpSocket::bind("127.0.0.1:0")?;
    let mut server = activate(folder.path(), datagrams.into(), 1)?;
    assert_eq!(server.wait(Duration::from_secs(20))?, Some(1));
    assert!(log(folder.path())?.contains("neither a TCP socket nor a unix stream socket"));
    Ok(())
}

/// Writes a certificate and its key; returns the section of the settings that serves them.
fn write_identity(folder: &Path, name: &str, certificate: &str, key: &str) -> anyhow::Result<String> {
    let files = ["certificate", "key"].map(|kind| folder.join(format!("{name}-{kind}.pem")));
    std::fs::write(&files[0], certificate)?;
    std::fs::write(&files[1], key)?;
    Ok(format!("  tls:\n    certificate: {}\n    key: {}\n", files[0].display(), files[1].display()))
}

/// What openssl says about a connection with these options.
async fn shake_hands(address: SocketAddr, words: &[&str]) -> anyhow::Result<Said> {
    let mut command = Command::new(program::find("openssl", "openssl")?);
    command.args(["s_client", "-connect", &address.to_string()]).args(words);
    program::run(&mut command, "").await
}

async fn until_served(address: SocketAddr) -> anyhow::Result<()> {
    program::until("the registry listens", Duration::from_secs(20), || async {
        tokio::net::TcpStream::connect(address).await.is_ok()
    })
    .await
}

#[tokio::test]
async fn openssl_gets_what_the_settings_allow() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let made = rcgen::generate_simple_self_signed(vec!["r.example".to_owned()])?;
    let tls = write_identity(folder.path(), "server", &made.cert.pem(), &made.signing_key.serialize_pem())?;
    let older = ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"];
    let alpn = ["-alpn", "h2,http/1.1"];
    for (more, works, fails) in [
        ("", vec![&older[..], &["-tls1_3"]], vec![&["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"][..]]),
        ("    minimumtls: tls1.3\n", vec![&["-tls1_3"][..]], vec![&older[..]]),
        (
            "    ciphersuites: [TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256]\n",
            vec![&["-tls1_2"][..], &["-tls1_3"]],
            vec![&older[..]],
        ),
    ] {
        let address = SocketAddr::from(([127, 0, 0, 1], program::free_port()?));
        let http = format!("  addr: {address}\n{tls}{more}");
        let _server = launch(folder.path(), &http, "")?;
        until_served(address).await?;
        for words in works {
            let said = shake_hands(address, &[words, &alpn].concat()).await?.success()?.output;
            // The second protocol of the offer: HTTP/2 is not spoken.
            assert!(said.contains("ALPN protocol: http/1.1"), "{more} {words:?}: {said}");
        }
        for words in fails {
            shake_hands(address, words).await?.failure()?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn clients_without_the_right_certificate_get_no_answer() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()])?;
    let tls = write_identity(folder.path(), "server", &made.cert.pem(), &made.signing_key.serialize_pem())?;
    let mut authorities = Vec::new();
    for name in ["first", "second"] {
        let mut params = rcgen::CertificateParams::new(Vec::new())?;
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate()?)?;
        let key = rcgen::KeyPair::generate()?;
        let client = rcgen::CertificateParams::new(vec![name.to_owned()])?.signed_by(&key, &authority)?;
        write_identity(folder.path(), name, &client.pem(), &key.serialize_pem())?;
        authorities.push(authority.pem());
    }
    std::fs::write(path("authority.pem"), &authorities[0])?;
    let address = SocketAddr::from(([127, 0, 0, 1], program::free_port()?));
    let http = format!("  addr: {address}\n{tls}    clientcas: [{}]\n", path("authority.pem"));
    let _server = launch(folder.path(), &http, "")?;
    until_served(address).await?;
    let server = path("server-certificate.pem");
    let url = format!("https://{address}/v2/");
    let ask = async |name: &str| {
        let (certificate, key) = (path(&format!("{name}-certificate.pem")), path(&format!("{name}-key.pem")));
        curl(&["--cacert", &server, "--cert", &certificate, "--key", &key], &url).await
    };
    assert!(ask("first").await?.success()?.output.starts_with("HTTP/1.1 200"));
    ask("second").await?.failure()?;
    curl(&["--cacert", &server], &url).await?.failure()?;
    std::fs::write(path("authority.pem"), &authorities[1])?;
    program::until("the second authority counts", Duration::from_secs(30), || async {
        ask("second").await.is_ok_and(|said| said.succeeded())
    })
    .await?;
    ask("first").await?.failure()?;
    Ok(())
}

async fn send(address: SocketAddr, method: &str, target: &str) -> anyhow::Result<Answer> {
    let request = raw_http::request(method, target, &[], b"");
    raw_http::send(&address.to_string(), target, &request).await
}

#[tokio::test]
async fn a_prefix_is_in_every_url_and_health_stays_where_it_is() -> anyhow::Result<()> {
    for (http, public) in [
        ("  relativeurls: true\n", "/registry".to_owned()),
        ("", "http://registry.test/registry".to_owned()),
        // The public URL replaces the prefix, as with the distribution registry.
        ("  host: https://public.example/other/\n", "https://public.example/other".to_owned()),
    ] {
        let folder = tempfile::tempdir()?;
        let (address, _server) = registry(folder.path(), &format!("  prefix: /registry/\n{http}")).await?;
        let image = Image::new(62, 1, 100)?;
        for repository in ["a/b", "a/c"] {
            push(address, "/registry", repository, &image).await?;
        }
        let answer = send(address, "POST", "/registry/v2/a/b/blobs/uploads/").await?.expect(202)?;
        let location = answer.needs_header("location")?;
        assert!(location.starts_with(&format!("{public}/v2/a/b/blobs/uploads/")), "{http}{location}");
        let path = public
            .split_once("://")
            .map_or(public.as_str(), |(_, rest)| &rest[rest.find('/').unwrap_or(0)..]);
        for list in ["_catalog", "a/b/tags/list"] {
            let answer = send(address, "GET", &format!("/registry/v2/{list}?n=1")).await?.expect(200)?;
            assert!(
                answer.needs_header("link")?.starts_with(&format!("<{path}/v2/{list}?")),
                "{http}{answer}"
            );
        }
        send(address, "GET", "/v2/").await?.expect(404)?;
        for path in ["/", "/healthz", "/readyz"] {
            send(address, "GET", path).await?.expect(200)?;
        }
    }
    Ok(())
}

/// Pushes an image with two tags to a registry below a prefix, one request after the other.
async fn push(address: SocketAddr, prefix: &str, repository: &str, image: &Image) -> anyhow::Result<()> {
    let base = format!("{prefix}/v2/{repository}");
    let put = async |method: &str, target: &str, kind: &str, bytes: &[u8]| {
        let request = raw_http::request(method, target, &[("Content-Type", kind)], bytes);
        raw_http::send(&address.to_string(), target, &request).await?.expect(201)
    };
    for blob in image.blobs() {
        let target = format!("{base}/blobs/uploads/?digest={}", blob.digest);
        put("POST", &target, "application/octet-stream", &blob.bytes).await?;
    }
    let manifest = &image.manifest;
    for tag in ["1", "2"] {
        put("PUT", &format!("{base}/manifests/{tag}"), manifest.media_type, &manifest.bytes).await?;
    }
    Ok(())
}

#[tokio::test]
async fn paths_are_answered_where_they_are_asked() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let headers = "  headers:\n    Access-Control-Allow-Origin: ['*']\n    X-Two: [a, b]\n";
    let (address, _server) = registry(folder.path(), headers).await?;
    for (method, target, status) in [
        ("GET", "/", 200),
        ("HEAD", "/", 200),
        ("OPTIONS", "/v2/a/b/manifests/x", 200),
        ("GET", "/v2", 200),
        ("GET", "/v2/", 200),
        ("GET", "/v2/_catalog/", 200),
        ("POST", "/v2/a/b/blobs/uploads", 202),
        ("POST", "/v2/a/b/blobs/uploads/", 202),
        ("GET", "/v2/a/b/manifests/x/", 404),
        ("GET", "/v2/nothing", 404),
        ("POST", "/v2//a/blobs/uploads/", 400),
        ("POST", "/v2/a/../b/blobs/uploads/", 400),
        ("DELETE", "/v2/", 405),
        ("GET", "/elsewhere", 404),
    ] {
        let answer = send(address, method, target).await?.expect(status)?;
        assert_eq!(answer.needs_header("access-control-allow-origin")?, "*", "{answer}");
        let values: Vec<_> = answer.headers.get_all("x-two").iter().collect();
        assert_eq!(values, ["a", "b"], "{answer}");
        let version = answer.header("docker-distribution-api-version");
        assert_eq!(version.is_some(), target.starts_with("/v2"), "{answer}");
    }
    let answer = send(address, "GET", "/").await?;
    assert_eq!((answer.needs_header("cache-control")?, answer.body.len()), ("no-cache", 0));
    Ok(())
}

#[tokio::test]
async fn sighup_stops_nothing_and_no_time_to_drain_means_at_once() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let address = SocketAddr::from(([127, 0, 0, 1], program::free_port()?));
    let mut server = launch(folder.path(), &format!("  addr: {address}\n  draintimeout: 0s\n"), "")?;
    until_served(address).await?;
    server.signal("HUP")?;
    program::until("a sentence about the signal", Duration::from_secs(20), || async {
        log(folder.path()).is_ok_and(|log| log.contains("SIGHUP has no effect"))
    })
    .await?;
    // Half of a chunk, which would be waited for.
    let answer = send(address, "POST", "/v2/a/b/blobs/uploads/").await?.expect(202)?;
    let location = answer.needs_header("location")?.replace("http://registry.test", "");
    let mut open = std::net::TcpStream::connect(address)?;
    let head = format!(
        "PATCH {location} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 6\r\n\r\nabc"
    );
    open.write_all(head.as_bytes())?;
    let mut begun = [0; 12];
    open.read_exact(&mut begun)?;
    assert_eq!(&begun, b"HTTP/1.1 100", "the server waits for the rest");
    server.signal("TERM")?;
    assert_eq!(server.wait(Duration::from_secs(20))?, Some(0));
    assert!(log(folder.path())?.contains("stopping at once"));
    Ok(())
}
