//! Requests as bytes, for what no decent client would send.
//!
//! *Invariant:* exactly the given bytes go out; nothing is normalised, added or repaired.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::answer::Answer;

/// Sends bytes to `host:port` and reads the first answer until the server closes; give up after ten seconds.
pub async fn send(address: &str, name: &str, bytes: &[u8]) -> anyhow::Result<Answer> {
    let mut stream = TcpStream::connect(address).await?;
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(bytes).await;
    let mut received = Vec::new();
    let reading = stream.read_to_end(&mut received);
    let outcome = tokio::time::timeout(Duration::from_secs(10), reading).await;
    outcome.with_context(|| format!("{name}: the connection stays open"))?.or_else(|error| {
        // A reset after the answer is how a server refuses the rest of a body.
        if received.is_empty() { Err(error) } else { Ok(received.len()) }
    })?;
    parse(name, &received)
}

/// A request with the usual headers around whatever the test wrote.
pub fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    use std::fmt::Write as _;
    // Writing to a string cannot fail.
    let mut bytes = format!("{method} {target} HTTP/1.1\r\nHost: registry.test\r\nConnection: close\r\n");
    for (name, value) in headers {
        let _ = write!(bytes, "{name}: {value}\r\n");
    }
    let sized = headers.iter().any(|(name, _)| {
        name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding")
    });
    if !sized && (!body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH")) {
        let _ = write!(bytes, "Content-Length: {}\r\n", body.len());
    }
    bytes.push_str("\r\n");
    let mut bytes = bytes.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn parse(name: &str, received: &[u8]) -> anyhow::Result<Answer> {
    let end = received.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.with_context(|| format!("{name}: not an answer: {}", String::from_utf8_lossy(received)))?;
    let head = std::str::from_utf8(&received[..end])?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("a status line")?.parse()?;
    let mut headers = HeaderMap::new();
    for (key, value) in lines.filter_map(|line| line.split_once(':')) {
        headers.append(HeaderName::try_from(key)?, HeaderValue::try_from(value.trim())?);
    }
    let body = received[end + 4..].to_vec().into();
    Ok(Answer { asked: name.to_owned(), status, headers, body })
}
