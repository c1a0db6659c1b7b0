//! A client that asks again and again on one connection, and costs little itself.
//!
//! *Invariant:* an answer is read to its end before the next request; anything but 200 is an error.

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    pub(crate) async fn to(address: std::net::SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::with_capacity(16 * 1024) })
    }

    /// Sends a request, such as [`token_request`] makes, and returns the body of the answer.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> anyhow::Result<&[u8]> {
        self.stream.write_all(request).await?;
        self.received.clear();
        loop {
            anyhow::ensure!(self.stream.read_buf(&mut self.received).await? > 0, "the server hung up");
            let Some(end) = self.received.windows(4).position(|window| window == b"\r\n\r\n") else {
                continue;
            };
            let head = std::str::from_utf8(&self.received[..end])?;
            let length = head.split("\r\n").find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            let body = end + 4;
            let length = length.with_context(|| format!("no length: {head}"))?;
            while self.received.len() < body + length {
                anyhow::ensure!(self.stream.read_buf(&mut self.received).await? > 0, "the server hung up");
            }
            let is_good = self.received.starts_with(b"HTTP/1.1 200 ");
            anyhow::ensure!(is_good, "{}", String::from_utf8_lossy(&self.received));
            return Ok(&self.received[body..body + length]);
        }
    }
}

/// A request for a token to pull, with a kept login.
pub(crate) fn token_request(service: &str, repository: &str, login: &str) -> Vec<u8> {
    let basic = STANDARD.encode(format!(":{login}"));
    format!(
        "GET /token?service={service}&scope=repository:{repository}:pull HTTP/1.1\r\nHost: tokens.test\r\n\
         Authorization: Basic {basic}\r\n\r\n"
    )
    .into_bytes()
}
