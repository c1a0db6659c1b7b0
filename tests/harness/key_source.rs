//! A key-set server that counts, fails, hangs and changes its keys on demand.
//!
//! It tags documents, and answers 304 to whoever has the one it has.
//!
//! *Invariant:* a request is counted before it is answered, so that whoever saw its effect sees it counted.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::settings::KEYS_PATH;

/// What it answers.
#[derive(Clone, Debug)]
pub struct Document {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: String,
}

impl Document {
    /// A set of keys, or whatever is to be taken for one.
    pub fn ok(body: impl Into<String>) -> Self {
        Self { status: 200, body: body.into() }
    }

    /// A source in trouble.
    pub fn away() -> Self {
        Self { status: 503, body: String::new() }
    }
}

#[derive(Debug)]
struct State {
    document: Mutex<Document>,
    requests: AtomicUsize,
    unchanged: AtomicUsize,
    open: watch::Sender<bool>,
}

/// The server; it runs in the runtime of the test.
#[derive(Debug)]
pub struct KeySource {
    address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

impl KeySource {
    /// Starts one with this answer.
    pub async fn start(document: Document) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            document: Mutex::new(document),
            requests: AtomicUsize::new(0),
            unchanged: AtomicUsize::new(0),
            open: watch::Sender::new(true),
        });
        let shared = state.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, shared.clone()));
            }
        });
        Ok(Self { address, state, task })
    }

    /// `http://127.0.0.1:…`, as a token server would be named.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address of the key set.
    pub fn keys_url(&self) -> String {
        format!("{}{KEYS_PATH}", self.url())
    }

    /// How often it was asked.
    pub fn requests(&self) -> usize {
        self.state.requests.load(Ordering::SeqCst)
    }

    /// How many of these were told that they have the document already.
    pub fn unchanged(&self) -> usize {
        self.state.unchanged.load(Ordering::SeqCst)
    }

    /// Answers this from now on.
    pub fn serve(&self, document: Document) {
        *self.state.document.lock().unwrap_or_else(PoisonError::into_inner) = document;
    }

    /// Keeps whoever asks waiting from now on.
    pub fn hang(&self) {
        self.state.open.send_replace(false);
    }

    /// Lets go of whoever waits.
    pub fn release(&self) {
        self.state.open.send_replace(true);
    }
}

impl Drop for KeySource {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(mut stream: TcpStream, state: Arc<State>) {
    let mut received = Vec::new();
    let mut buffer = [0; 1024];
    while !received.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(length) if length > 0 => received.extend_from_slice(&buffer[..length]),
            _ => return,
        }
    }
    state.requests.fetch_add(1, Ordering::SeqCst);
    // The sender lives as long as the state this task holds.
    let _ = state.open.subscribe().wait_for(|open| *open).await;
    let Document { status, body } = state.document.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let tag = format!("\"{}\"", crate::images::sha256(body.as_bytes()));
    let is_known = status == 200 && String::from_utf8_lossy(&received).contains(&tag);
    if is_known {
        state.unchanged.fetch_add(1, Ordering::SeqCst);
    }
    let (status, body) = if is_known { (304, String::new()) } else { (status, body) };
    let head = format!(
        "HTTP/1.1 {status} x\r\nETag: {tag}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    // A registry that stopped listening is not our concern.
    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
}
