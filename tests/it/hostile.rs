//! What nobody should send: each hostile request gets its status and a body in the one shape, and never a 5xx.
//!
//! Requests go out as bytes, so that no client repairs them.
//!
//! *Invariant:* the tables together have at least one hundred rows, and after each table the server still works.

use harness::actors::Town;
use harness::client::{OciClient, basic};
use harness::images::{DOCKER_LIST, Image, OCI_INDEX, OCI_MANIFEST, sha256};
use harness::raw_http;
use harness::settings::{Auth, SERVICE};
use harness::stack::{LoneRegistry, basic_of};

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A request and the refusal it must get. An empty code means that the answer has no body.
struct Row {
    method: &'static str,
    target: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    expected: (u16, &'static str),
}

fn row(method: &'static str, target: impl Into<String>, expected: (u16, &'static str)) -> Row {
    Row { method, target: target.into(), headers: Vec::new(), body: Vec::new(), expected }
}

impl Row {
    fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

async fn check(address: &str, rows: Vec<Row>) -> anyhow::Result<usize> {
    let count = rows.len();
    let mut wrong = Vec::new();
    for Row { method, target, headers, body, expected: (status, code) } in rows {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let shown: String = format!("{method} {target} {headers:?}").chars().take(200).collect();
        let bytes = raw_http::request(method, &target, &headers, &body);
        let answer = raw_http::send(address, &shown, &bytes).await?;
        let codes = answer.error_codes().unwrap_or_default();
        let right_code =
            if code.is_empty() { answer.body.is_empty() } else { codes.first().is_some_and(|c| c == code) };
        if answer.status != status || !right_code {
            wrong.push(format!("expected {status} {code}: {answer}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {count} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    Ok(count)
}

fn names() -> Vec<Row> {
    let long = "a".repeat(256);
    let bad = [
        "UPPER",
        "a/B",
        "-a",
        "a-",
        ".a",
        "a.",
        "_a",
        "a__",
        "a..b",
        "a___b",
        "a/.b",
        "a/-b",
        "a%20b",
        "%00",
        "a%00b",
        "a%2F",
        "a%2F%2Fb",
        "a%252Fb",
        "..%2f..%2fetc",
        "%2e%2e/%2e%2e",
        "a/%2e%2e/b",
        "a/../b",
        "a//b",
        "/a",
        "a%0d%0aX:y",
        "%ff%fe",
        "%c3%a9",
        "a:5000/b",
        "a@b",
        "a+b",
        "a*",
        "**",
        "a;b",
        "a%5Cb",
        "_catalog",
        "a/_uploads",
        &long,
    ];
    bad.iter().map(|name| row("GET", format!("/v2/{name}/tags/list"), (400, "NAME_INVALID"))).collect()
}

fn digests() -> Vec<Row> {
    let hex64 = "g".repeat(64);
    let upper = DIGEST.to_uppercase().replace("SHA256", "sha256");
    let bad = [
        "sha256:",
        "sha256:11",
        ":",
        "x",
        "sha256",
        "md5:d41d8cd98f00b204e9800998ecf8427e",
        &upper,
        &format!("sha256:{hex64}"),
        &format!("{DIGEST}0"),
        &format!("SHA256:{}", &DIGEST[7..]),
        "sha256%3A..%2F..",
        "sha256:%00",
        &format!("sha512:{}", &DIGEST[7..]),
        &format!("{DIGEST}%0a"),
        "latest",
    ];
    bad.iter().map(|digest| row("GET", format!("/v2/a/b/blobs/{digest}"), (400, "DIGEST_INVALID"))).collect()
}

fn references() -> Vec<Row> {
    let long = "t".repeat(129);
    let mut rows: Vec<_> = [".tag", "-tag", "ta%20g", "t%2Fg", "tag!", "t%00", "t%c3%a9", &long]
        .iter()
        .map(|tag| row("GET", format!("/v2/a/b/manifests/{tag}"), (404, "MANIFEST_UNKNOWN")))
        .collect();
    rows.push(row("GET", "/v2/a/b/manifests/sha256:11", (400, "DIGEST_INVALID")));
    rows.push(row("GET", "/v2/a/b/manifests/absent", (404, "MANIFEST_UNKNOWN")));
    rows.push(row("DELETE", "/v2/a/b/manifests/absent", (404, "MANIFEST_UNKNOWN")));
    rows.push(row("DELETE", format!("/v2/a/b/manifests/{DIGEST}"), (404, "MANIFEST_UNKNOWN")));
    rows.push(row("DELETE", format!("/v2/a/b/blobs/{DIGEST}"), (404, "BLOB_UNKNOWN")));
    rows.push(row("GET", format!("/v2/a/b/blobs/{DIGEST}"), (404, "BLOB_UNKNOWN")));
    rows.push(row("GET", "/v2/no/such/tags/list", (404, "NAME_UNKNOWN")));
    rows
}

fn paths_and_methods() -> Vec<Row> {
    vec![
        row("GET", "/v3/", (404, "UNSUPPORTED")),
        row("GET", "/v2/a", (404, "UNSUPPORTED")),
        row("GET", "/v2/a/b/blobs", (404, "UNSUPPORTED")),
        row("GET", "/%2e%2e/etc/passwd", (404, "UNSUPPORTED")),
        row("GET", "/etc/passwd", (404, "UNSUPPORTED")),
        row("DELETE", "/v2/", (405, "UNSUPPORTED")),
        row("POST", "/v2/_catalog", (405, "UNSUPPORTED")),
        row("HEAD", "/v2/_catalog", (405, "")),
        row("PUT", "/v2/a/b/tags/list", (405, "UNSUPPORTED")),
        row("POST", "/v2/a/b/manifests/x", (405, "UNSUPPORTED")),
        row("PATCH", "/v2/a/b/manifests/x", (405, "UNSUPPORTED")),
        row("TRACE", "/v2/a/b/manifests/x", (405, "UNSUPPORTED")),
        row("MKCOL", "/v2/a/b/manifests/x", (405, "UNSUPPORTED")),
        row("PUT", format!("/v2/a/b/blobs/{DIGEST}"), (405, "UNSUPPORTED")),
        row("GET", "/v2/a/b/blobs/uploads/", (405, "UNSUPPORTED")),
        row("PUT", "/v2/a/b/blobs/uploads/", (405, "UNSUPPORTED")),
        row("POST", "/v2/a/b/blobs/uploads/00000000-0000-4000-8000-000000000000", (405, "UNSUPPORTED")),
        row("GET", "/v2/_catalog?n=-1", (400, "SIZE_INVALID")),
        row("GET", "/v2/_catalog?n=x", (400, "SIZE_INVALID")),
        row("GET", "/v2/_catalog?n=99999999999999999999", (400, "SIZE_INVALID")),
        row("GET", "/v2/_catalog?n=1001", (400, "SIZE_INVALID")),
        row("GET", "/v2/a/b/tags/list?n=1e3", (400, "SIZE_INVALID")),
        row("GET", "/v2/a/b/tags/list?n=%00", (400, "SIZE_INVALID")),
    ]
}

fn uploads() -> Vec<Row> {
    let unknown = (404, "BLOB_UPLOAD_UNKNOWN");
    let mut rows: Vec<_> = [
        "x",
        "..",
        "%2e%2e",
        "%2e%2e%2f%2e%2e%2fetc",
        "00000000-0000-4000-8000-000000000000",
        "%00",
        "a=b",
        "00000000000040008000000000000000",
        "urn:uuid:00000000-0000-4000-8000-000000000000",
    ]
    .iter()
    .map(|id| row("GET", format!("/v2/a/b/blobs/uploads/{id}"), unknown))
    .collect();
    let session = "/v2/a/b/blobs/uploads/00000000-0000-4000-8000-000000000000";
    rows.push(row("PATCH", session, unknown).body("x"));
    rows.push(row("DELETE", session, unknown));
    rows.push(row("PUT", session, (400, "DIGEST_INVALID")));
    rows.push(row("PUT", format!("{session}?digest={DIGEST}"), unknown));
    rows.push(row("PUT", format!("{session}?digest=sha256:zz"), (400, "DIGEST_INVALID")));
    rows.push(row("GET", format!("{session}?_state=%00"), (404, "BLOB_UPLOAD_INVALID")));
    rows.push(row("GET", format!("{session}?_state=AAAA"), (404, "BLOB_UPLOAD_INVALID")));
    rows.push(row("POST", "/v2/a/b/blobs/uploads/?digest=sha256:zz", (400, "DIGEST_INVALID")));
    rows.push(
        row("POST", format!("/v2/a/b/blobs/uploads/?digest={DIGEST}"), (400, "DIGEST_INVALID"))
            .body("not that"),
    );
    rows
}

/// Requests on the session at `location`, which stays usable.
fn chunks(location: &str) -> Vec<Row> {
    let patch =
        |range: &str, expected| row("PATCH", location, expected).header("Content-Range", range).body("12345");
    vec![
        patch("5-9", (416, "BLOB_UPLOAD_INVALID")),
        patch("0-99", (400, "SIZE_INVALID")),
        patch("4-0", (400, "SIZE_INVALID")),
        patch("x", (400, "SIZE_INVALID")),
        patch("-", (400, "SIZE_INVALID")),
        patch("0-", (400, "SIZE_INVALID")),
        patch("18446744073709551615-18446744073709551615", (400, "SIZE_INVALID")),
        patch("18446744073709551616-0", (400, "SIZE_INVALID")),
        patch("-1-4", (400, "SIZE_INVALID")),
        patch("bytes */5", (400, "SIZE_INVALID")),
        row("PUT", format!("{location}&digest={DIGEST}"), (400, "DIGEST_INVALID")).body("not the empty blob"),
    ]
}

fn manifests(image: &Image) -> Vec<Row> {
    let invalid = (400, "MANIFEST_INVALID");
    let put = |kind: &str, body: &str| {
        row("PUT", "/v2/a/b/manifests/hostile", invalid).header("Content-Type", kind).body(body.to_owned())
    };
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let other = image.config.digest.clone();
    let descriptor = |digest: &str, size: &str| {
        format!(r#"{{"mediaType":"application/octet-stream","digest":"{digest}","size":{size}}}"#)
    };
    let manifest = |config: &str, layers: &str| {
        format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{config},"layers":{layers}}}"#)
    };
    let config = descriptor(&other, &image.config.bytes.len().to_string());
    vec![
        put(OCI_MANIFEST, ""),
        put(OCI_MANIFEST, "{"),
        put(OCI_MANIFEST, "null"),
        put(OCI_MANIFEST, "[]"),
        put(OCI_MANIFEST, "\u{0}"),
        put(OCI_MANIFEST, &deep),
        put(OCI_MANIFEST, "{}"),
        put(OCI_MANIFEST, r#"{"schemaVersion":1}"#),
        put(OCI_MANIFEST, r#"{"schemaVersion":"2"}"#),
        put(OCI_MANIFEST, &manifest("null", "[]")),
        put(OCI_MANIFEST, &manifest(&config, "{}")),
        put(OCI_MANIFEST, &manifest(&descriptor("sha256:../../x", "1"), "[]")),
        put(OCI_MANIFEST, &manifest(&descriptor(&other, "-1"), "[]")),
        put(OCI_MANIFEST, &manifest(&descriptor(&other, "1e400"), "[]")),
        put(OCI_MANIFEST, &manifest(&descriptor(&other, "\"1\""), "[]")),
        put(OCI_MANIFEST, &manifest(&config, "[]").replace(OCI_MANIFEST, OCI_INDEX)),
        put(OCI_INDEX, &manifest(&config, "[]")),
        put(DOCKER_LIST, r#"{"schemaVersion":2,"manifests":[]}"#),
        put("application/json", &manifest(&config, "[]")),
        put("text/html", "<html>"),
        put("", &manifest(&config, "[]")),
        put("application/vnd.docker.distribution.manifest.v1+prettyjws", "{}"),
        row("PUT", format!("/v2/a/b/manifests/{DIGEST}"), (400, "DIGEST_INVALID"))
            .header("Content-Type", OCI_MANIFEST)
            .body(manifest(&config, "[]")),
        row("PUT", "/v2/a/b/manifests/.hostile", invalid)
            .header("Content-Type", OCI_MANIFEST)
            .body(manifest(&config, "[]")),
        row("PUT", "/v2/a/b/manifests/hostile", (413, "MANIFEST_INVALID"))
            .header("Content-Type", OCI_MANIFEST)
            .body(vec![b' '; 4 * 1024 * 1024 + 1]),
        row("PUT", "/v2/a/b/manifests/hostile", (400, "MANIFEST_BLOB_UNKNOWN"))
            .header("Content-Type", OCI_MANIFEST)
            .body(manifest(&config, &format!("[{}]", descriptor(&sha256(b"absent"), "6")))),
    ]
}

#[tokio::test]
async fn hostile_requests_to_the_registry_get_their_refusal() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let registry = LoneRegistry::start(folder.path(), Auth::Open).await?;
    let address = registry.server.address().to_string();
    let client = OciClient::anonymous(&registry.url())?;
    let image = Image::new(1, 1, 1000)?;
    client.push_image("a/b", "tag", &image).await?;
    let location = client.start_upload("a/b").await?;
    let location = reqwest::Url::parse(&location)
        .map_or(location, |url| format!("{}?{}", url.path(), url.query().unwrap_or_default()));
    let tables = [
        names(),
        digests(),
        references(),
        paths_and_methods(),
        uploads(),
        manifests(&image),
        chunks(&location),
    ];
    let count = check(&address, tables.into_iter().flatten().collect()).await?;
    assert!(count >= 100, "only {count} rows");
    client.pull_image("a/b", "tag", &image).await?;
    client.get_manifest("a/b", "hostile").await?.expect(404)?;
    Ok(())
}

#[tokio::test]
async fn odd_ranges_get_the_whole_blob_or_a_refusal() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let registry = LoneRegistry::start(folder.path(), Auth::Open).await?;
    let client = OciClient::anonymous(&registry.url())?;
    let image = Image::new(2, 1, 1000)?;
    client.push_image("a/b", "tag", &image).await?;
    let target = format!("/v2/a/b/blobs/{}", image.layers[0].digest);
    let address = registry.server.address().to_string();
    let mut wrong = Vec::new();
    for (range, status) in [
        ("bytes=0-0", 206),
        ("bytes=-1", 206),
        ("bytes=0-99999999999999", 206),
        ("bytes=-0", 416),
        ("bytes=99999999-", 416),
        ("bytes=18446744073709551615-", 416),
        ("bytes=5-2", 416),
        ("bytes=x-y", 200),
        ("lines=0-1", 200),
        ("bytes", 200),
        ("bytes=0-1,3-4", 200),
        ("bytes=184467440737095516160-", 200),
    ] {
        let bytes = raw_http::request("GET", &target, &[("Range", range)], b"");
        let answer = raw_http::send(&address, range, &bytes).await?;
        if answer.status != status {
            wrong.push(format!("{range}: expected {status}, got {}", answer.status));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

#[tokio::test]
async fn bytes_that_are_not_http_are_cut_off() -> anyhow::Result<()> {
    let town = Town::start().await?;
    for address in [town.stack.registry_address(), town.stack.token_server.address().to_string()] {
        let long = format!("GET /v2/ HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(1_000_000));
        for (bytes, statuses) in [
            (&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..], &[400][..]),
            (b"GET /v2/ HTTP/9.9\r\nHost: x\r\n\r\n", &[400, 505]),
            (b"GET  HTTP/1.1\r\n\r\n", &[400]),
            (b"GET /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", &[400]),
            (b"POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", &[400]),
            (b"GET /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", &[400]),
            (b"GET /v2/ HTTP/1.1\r\nHo st: x\r\n\r\n", &[400]),
            (b"GET /v2/\x00 HTTP/1.1\r\nHost: x\r\n\r\n", &[400]),
            (long.as_bytes(), &[400, 431]),
        ] {
            let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
            let answer = raw_http::send(&address, &shown, bytes).await?;
            assert!(statuses.contains(&answer.status), "{shown}: {answer}");
            assert!(!String::from_utf8_lossy(&answer.body).contains("panic"), "{answer}");
        }
    }
    town.alice.login().await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn hostile_requests_to_the_token_server_get_their_refusal() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let address = town.stack.token_server.address().to_string();
    let denied = (401, "UNAUTHORIZED");
    let service = format!("service={SERVICE}");
    let get = |query: String, expected| row("GET", format!("/token?{query}"), expected);
    let post = |body: String, expected| {
        row("POST", "/token", expected).header("Content-Type", "application/x-www-form-urlencoded").body(body)
    };
    let alice = basic_of("alice");
    let rows = vec![
        get("service=another".into(), denied).header("Authorization", alice.clone()),
        get("service=%00".into(), denied).header("Authorization", alice.clone()),
        get(format!("service={}", "x".repeat(2000)), denied).header("Authorization", alice.clone()),
        get(service.clone(), denied),
        get(service.clone(), denied).header("Authorization", basic("alice", "wrong")),
        get(service.clone(), denied).header("Authorization", basic("", "")),
        get(service.clone(), denied).header("Authorization", basic("alice", "")),
        get(service.clone(), denied).header("Authorization", basic("al\0ice", "x")),
        get(service.clone(), denied).header("Authorization", basic("alice", &"x".repeat(5000))),
        get(service.clone(), denied).header("Authorization", basic("' or 1=1 --", "x")),
        get(service.clone(), denied).header("Authorization", "Basic"),
        get(service.clone(), denied).header("Authorization", "Basic !!!"),
        get(service.clone(), denied).header("Authorization", "Basic YQ=="),
        get(service.clone(), denied).header("Authorization", "Basic /////w=="),
        get(service.clone(), denied).header("Authorization", "Bearer x"),
        get(service.clone(), denied).header("Authorization", "Negotiate x"),
        get(service.clone(), denied)
            .header("Authorization", alice.clone())
            .header("Authorization", alice.clone()),
        get(format!("{service}&account=bob"), denied).header("Authorization", alice.clone()),
        post(format!("grant_type=password&{service}&client_id=x&username=alice&password=wrong"), denied),
        post(format!("grant_type=password&{service}&client_id=x&username=alice"), denied),
        post(format!("grant_type=password&{service}&client_id=x&password=x"), denied),
        post(format!("grant_type=refresh_token&{service}&client_id=x&refresh_token=x"), denied),
        post(format!("grant_type=refresh_token&{service}&client_id=x&refresh_token=%00%ff"), denied),
        post(format!("grant_type=refresh_token&{service}&client_id=x"), denied),
        post(format!("grant_type=password&{service}&client_id=x&username=bob&password=x"), denied)
            .header("Authorization", alice.clone()),
        post("x".repeat(17 * 1024), (413, "UNSUPPORTED")),
        row("HEAD", format!("/token?{service}"), (405, "")),
        row("OPTIONS", "/token", (405, "UNSUPPORTED")),
        row("PUT", "/token", (405, "UNSUPPORTED")),
        row("DELETE", "/token", (405, "UNSUPPORTED")),
        row("GET", "/nowhere", (404, "UNSUPPORTED")),
        row("GET", "/token/../etc/passwd", (404, "UNSUPPORTED")),
    ];
    check(&address, rows).await?;
    town.alice.login().await?.expect(200)?;
    Ok(())
}
