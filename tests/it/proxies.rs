//! Who is asking when proxies stand in between: what reaches the audit record, and the URLs in answers.
//!
//! Proxies and clients are told apart by their loopback addresses: `127.0.0.1` is the proxy, others are strangers.
//!
//! *Invariant:* nobody chooses the address under which the record knows him.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use harness::answer::Answer;
use harness::client::basic;
use harness::edited::{self, TokenServer};
use harness::raw_http;
use harness::settings::{Auth, SERVICE};
use shared::clock::ManualClock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

const PROXY: &str = "127.0.0.1";
const STRANGER: &str = "127.0.0.77";
/// Where the client really is, as an honest proxy says.
const CLIENT: &str = "203.0.113.9";
/// What a liar says.
const LIE: &str = "198.51.100.6";

const TRUSTING: (&str, &str) = ("http:\n", "http:\n  trustedproxies: [127.0.0.1]\n");

/// Sends a request from an address of our choice.
async fn send(from: &str, to: SocketAddr, bytes: &[u8]) -> anyhow::Result<String> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from.parse::<IpAddr>()?, 0).into())?;
    let mut stream = socket.connect(to).await?;
    stream.write_all(bytes).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Fails to log in as `user`, which leaves a row with the address.
async fn fail_login(
    from: &str,
    to: SocketAddr,
    path: &str,
    user: &str,
    headers: &[(&str, &str)],
) -> anyhow::Result<()> {
    let authorization = basic(user, "wrong password");
    // The record does not keep names that are nobody's, so the program's name tells the rows apart.
    let mut all = vec![("Authorization", authorization.as_str()), ("User-Agent", user)];
    all.extend_from_slice(headers);
    let request = raw_http::request("GET", &format!("{path}?service={SERVICE}"), &all, b"");
    let answer = send(from, to, &request).await?;
    anyhow::ensure!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    Ok(())
}

/// The address in the row that this case left.
async fn address_of(server: &TokenServer, user: &str) -> anyhow::Result<String> {
    let rows = server.database().db_audit().await?;
    let mut rows = rows.into_iter().filter(|row| row.agent.as_deref() == Some(user));
    let (row, more) = (rows.next(), rows.next());
    let row = row.ok_or_else(|| anyhow::anyhow!("no row about {user}"))?;
    anyhow::ensure!(more.is_none(), "two rows about {user}");
    Ok(row.address.unwrap_or_default())
}

type Case = (&'static str, &'static str, Vec<(&'static str, String)>, &'static str);

fn cases() -> Vec<Case> {
    let forwarded_for = "X-Forwarded-For";
    vec![
        ("plain", PROXY, vec![], PROXY),
        ("one-line", PROXY, vec![(forwarded_for, CLIENT.into())], CLIENT),
        ("list", PROXY, vec![(forwarded_for, format!("{LIE}, {CLIENT}"))], CLIENT),
        ("proxy-in-list", PROXY, vec![(forwarded_for, format!("{LIE}, {CLIENT}, {PROXY}"))], CLIENT),
        // A proxy that adds a line of its own below that of its client.
        ("two-lines", PROXY, vec![(forwarded_for, LIE.into()), (forwarded_for, CLIENT.into())], CLIENT),
        (
            "two-lines-with-lists",
            PROXY,
            vec![(forwarded_for, format!("{LIE}, {LIE}")), (forwarded_for, format!("{CLIENT}, {PROXY}"))],
            CLIENT,
        ),
        // A proxy that knows only the customary header lets the standard one of its client pass.
        (
            "both-headers",
            PROXY,
            vec![("Forwarded", format!("for={LIE};proto=https")), (forwarded_for, CLIENT.into())],
            CLIENT,
        ),
        (
            "both-headers-turned",
            PROXY,
            vec![(forwarded_for, CLIENT.into()), ("Forwarded", format!("for={LIE}, for={PROXY}"))],
            CLIENT,
        ),
        ("standard-header", PROXY, vec![("Forwarded", format!("for={LIE}, for={CLIENT}"))], CLIENT),
        (
            "standard-header-twice",
            PROXY,
            vec![("Forwarded", format!("for={LIE}")), ("Forwarded", format!("for={CLIENT}"))],
            CLIENT,
        ),
        ("garbage", PROXY, vec![(forwarded_for, format!("{LIE}, no address"))], PROXY),
        ("version-six", PROXY, vec![(forwarded_for, "2001:db8::1".into())], "2001:db8::1"),
        ("mapped", PROXY, vec![(forwarded_for, format!("::ffff:{CLIENT}"))], CLIENT),
        ("with-port", PROXY, vec![(forwarded_for, format!("{CLIENT}:4711"))], CLIENT),
        // What the client wrote before what the proxy added must not take that away.
        ("no-ascii", PROXY, vec![(forwarded_for, format!("\u{e4}, {CLIENT}"))], CLIENT),
        (
            "no-ascii-line",
            PROXY,
            vec![(forwarded_for, "\u{e4}".into()), (forwarded_for, CLIENT.into())],
            CLIENT,
        ),
        ("many", PROXY, vec![(forwarded_for, format!("{}{CLIENT}", format!("{LIE},").repeat(500)))], CLIENT),
        // The proxy speaks the standard, and its client adds a header about something else.
        (
            "standard-and-host",
            PROXY,
            vec![("X-Forwarded-Host", "evil.example".into()), ("Forwarded", format!("for={CLIENT}"))],
            CLIENT,
        ),
        ("stranger", STRANGER, vec![], STRANGER),
        ("stranger-lies", STRANGER, vec![(forwarded_for, LIE.into())], STRANGER),
        ("stranger-lies-in-standard", STRANGER, vec![("Forwarded", format!("for={LIE}"))], STRANGER),
    ]
}

fn borrowed<'a>(headers: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    headers.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

#[tokio::test]
async fn the_record_has_the_address_the_trusted_proxy_saw() -> anyhow::Result<()> {
    let server = TokenServer::start("", &[TRUSTING]).await?;
    let mut wrong = Vec::new();
    for (case, from, headers, expected) in cases() {
        fail_login(from, server.address(), "/token", case, &borrowed(&headers)).await?;
        let seen = address_of(&server, case).await?;
        if seen != expected {
            wrong.push(format!("{case}: {seen} and not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

#[tokio::test]
async fn without_trusted_proxies_nobody_is_believed() -> anyhow::Result<()> {
    let server = TokenServer::start("", &[]).await?;
    for (case, from, headers, _) in cases() {
        fail_login(from, server.address(), "/token", case, &borrowed(&headers)).await?;
        assert_eq!(address_of(&server, case).await?, from, "{case}");
    }
    Ok(())
}

/// A registry that passes token requests on to this token server, with this in its settings.
async fn registry(
    server: &TokenServer,
    folder: &tempfile::TempDir,
    edits: &[(&str, &str)],
) -> anyhow::Result<harness::server::Server> {
    let auth = Auth::TokenServer { url: server.url(), same_origin: true, feed: None };
    edited::registry(folder.path(), auth, edits, &Arc::new(ManualClock::default())).await
}

#[tokio::test]
async fn a_client_cannot_lie_through_the_registry() -> anyhow::Result<()> {
    let (server, folder) = (TokenServer::start("", &[TRUSTING]).await?, tempfile::tempdir()?);
    let registry = registry(&server, &folder, &[]).await?;
    for (case, _, headers, _) in cases() {
        fail_login(STRANGER, registry.address(), "/auth/token", case, &borrowed(&headers)).await?;
        assert_eq!(address_of(&server, case).await?, STRANGER, "{case}");
    }
    Ok(())
}

#[tokio::test]
async fn a_proxy_before_the_registry_is_believed_when_both_trust() -> anyhow::Result<()> {
    let (server, folder) = (TokenServer::start("", &[TRUSTING]).await?, tempfile::tempdir()?);
    let registry = registry(&server, &folder, &[TRUSTING]).await?;
    let mut wrong = Vec::new();
    for (case, from, headers, expected) in cases() {
        fail_login(from, registry.address(), "/auth/token", case, &borrowed(&headers)).await?;
        let seen = address_of(&server, case).await?;
        if seen != expected {
            wrong.push(format!("{case}: {seen} and not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

/// Starts an upload from an address and returns the `Location` of the answer.
async fn location(from: &str, to: SocketAddr, headers: &[(&str, &str)]) -> anyhow::Result<String> {
    let request = raw_http::request("POST", "/v2/a/b/blobs/uploads/", headers, b"");
    let answer = send(from, to, &request).await?;
    let line = answer.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("location").then(|| value.trim().to_owned())
    });
    line.ok_or_else(|| anyhow::anyhow!("no location in {answer}"))
}

#[tokio::test]
async fn urls_are_absolute_only_where_the_registry_knows_its_address() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let clock = Arc::new(ManualClock::default());
    let trusting = edited::registry(folder.path(), Auth::Open, &[TRUSTING], &clock).await?;
    let other = tempfile::tempdir()?;
    let alone = edited::registry(other.path(), Auth::Open, &[], &clock).await?;
    let claims = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "public.example")];
    for (name, server, from, headers, expected) in [
        ("direct", &alone, STRANGER, &[][..], "http://registry.test/v2/"),
        // Somebody stands in between, and we do not know whom to believe: the client's own address is right.
        ("unknown proxy", &alone, STRANGER, &claims[..], "/v2/"),
        ("unknown proxy, scheme only", &alone, STRANGER, &claims[..1], "/v2/"),
        ("unknown proxy, address only", &alone, STRANGER, &[("X-Forwarded-For", LIE)], "/v2/"),
        ("stranger", &trusting, STRANGER, &claims[..], "/v2/"),
        ("proxy", &trusting, PROXY, &claims[..], "https://public.example/v2/"),
        (
            "proxy with nonsense",
            &trusting,
            PROXY,
            &[("X-Forwarded-Host", "evil/\"x")],
            "http://registry.test/v2/",
        ),
    ] {
        let location = location(from, server.address(), headers).await?;
        assert!(location.starts_with(expected), "{name}: {location}");
    }
    Ok(())
}

/// The challenge a request without token gets, with this `Host`.
async fn challenge(to: SocketAddr, host: &str) -> anyhow::Result<Answer> {
    let request = format!("GET /v2/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    raw_http::send(&to.to_string(), host, request.as_bytes()).await
}

#[tokio::test]
async fn passwords_are_not_sent_in_the_clear_because_a_proxy_is_not_known() -> anyhow::Result<()> {
    let (server, folder) = (TokenServer::start("", &[TRUSTING]).await?, tempfile::tempdir()?);
    let registry = registry(&server, &folder, &[]).await?;
    for (headers, scheme) in [
        (&[][..], "http"),
        (&[("X-Forwarded-Proto", "https")], "https"),
        (&[("Forwarded", "for=_hidden;proto=https")], "https"),
        (&[("X-Forwarded-Proto", "http")], "http"),
        (&[("X-Forwarded-Proto", "gopher"), ("X-Forwarded-Host", "evil.example")], "http"),
    ] {
        let answer =
            send(STRANGER, registry.address(), &raw_http::request("GET", "/v2/", headers, b"")).await?;
        assert!(
            answer.contains(&format!("realm=\"{scheme}://registry.test/auth/token\"")),
            "{headers:?}: {answer}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_host_that_is_none_reaches_no_header() -> anyhow::Result<()> {
    let (server, folder) = (TokenServer::start("", &[TRUSTING]).await?, tempfile::tempdir()?);
    let registry = registry(&server, &folder, &[]).await?;
    let answer = challenge(registry.address(), "r.example:5000").await?.expect(401)?;
    assert!(answer.needs_header("www-authenticate")?.contains("realm=\"http://r.example:5000/auth/token\""));
    for host in ["a\"b", "evil/path", "user@evil.example", "a b", "a,b", "a\\b", "<script>", "", "x?y", "x#y"]
    {
        let answer = challenge(registry.address(), host).await?;
        // Either the request is refused as malformed, or the host is not repeated.
        let repeated =
            answer.header("www-authenticate").is_some_and(|value| !host.is_empty() && value.contains(host));
        assert!(!repeated && answer.status < 500, "{host}: {answer}");
    }
    Ok(())
}
