//! A feed of revocations that tells what a test revokes, and gets into every kind of trouble on demand.
//!
//! It stands for a token server, so that the registry meets answers that ours does not give.
//!
//! *Invariant:* a question is counted before it is answered, and without trouble it is answered as the contract says:
//! at once if there is news, otherwise after the wait.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use shared::revocations::Question;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use url::form_urlencoded;
use uuid::Uuid;

/// What a registry has to bring.
pub const SECRET: &str = "Canary-Of-The-Feed-82c1";

/// What can be wrong with it.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// Another status, without a body.
    Status(u16),
    /// Another place to ask, with the status 302.
    Elsewhere(String),
    /// This body, whatever it is, with the status 200.
    Says(String),
    /// It takes questions and does not answer.
    Hangs,
    /// It answers at once, news or not.
    DoesNotWait,
}

/// What it has to tell.
#[derive(Clone, Debug)]
struct Log {
    life: u128,
    at: i64,
    entries: Vec<Value>,
    trouble: Option<Trouble>,
}

impl Log {
    fn epoch(&self) -> Uuid {
        Uuid::from_u128(self.life << 80)
    }
}

#[derive(Debug)]
struct State {
    log: watch::Sender<Log>,
    questions: Mutex<Vec<Question>>,
}

/// The server; it runs in the runtime of the test.
#[derive(Debug)]
pub struct Feed {
    address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

impl Feed {
    /// Starts one in which nothing was ever revoked.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let log = Log { life: 5, at: 100, entries: Vec::new(), trouble: None };
        let state = Arc::new(State { log: watch::Sender::new(log), questions: Mutex::default() });
        let shared = state.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, shared.clone()));
            }
        });
        Ok(Self { address, state, task })
    }

    /// Where it is asked.
    pub fn url(&self) -> String {
        format!("http://{}/revocations", self.address)
    }

    /// Revokes what these conditions say, and returns the position.
    pub fn revoke(&self, conditions: &Value) -> i64 {
        let mut position = 0;
        self.state.log.send_modify(|log| {
            log.at += 1;
            position = log.at;
            let mut entry = conditions.clone();
            entry["at"] = json!(log.at);
            entry["keep"] = json!(7_300);
            log.entries.push(entry);
        });
        position
    }

    /// The `decided` of a token that is made now.
    pub fn decided(&self) -> Value {
        let log = self.state.log.borrow();
        json!({"epoch": log.epoch(), "at": log.at})
    }

    /// Puts the database into another life, later or earlier by so many, in which nothing was revoked.
    pub fn live_again(&self, lives: i128) {
        self.state.log.send_modify(|log| {
            log.life = log.life.saturating_add_signed(lives);
            log.at = 100;
            log.entries.clear();
        });
    }

    /// Gets into trouble, or out of it.
    pub fn trouble(&self, trouble: Option<Trouble>) {
        self.state.log.send_modify(|log| log.trouble = trouble);
    }

    /// How often it was asked with the right secret.
    pub fn questions(&self) -> usize {
        self.asked().len()
    }

    /// What it was asked first.
    pub fn first_question(&self) -> Option<Question> {
        self.asked().first().cloned()
    }

    /// What it was asked last.
    pub fn last_question(&self) -> Option<Question> {
        self.asked().last().cloned()
    }

    fn asked(&self) -> std::sync::MutexGuard<'_, Vec<Question>> {
        self.state.questions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, state: Arc<State>) {
    let mut received = Vec::new();
    let mut buffer = [0; 1024];
    while !received.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(length) if length > 0 => received.extend_from_slice(&buffer[..length]),
            _ => return,
        }
    }
    let (head, body) = answer(&String::from_utf8_lossy(&received), &state).await;
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {head}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    // A registry that stopped listening is not our concern.
    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
}

/// The status with more headers, and the body.
async fn answer(request: &str, state: &State) -> (String, String) {
    let nothing = |status: u16| (format!("{status} x"), String::new());
    if !request.lines().any(|line| line.eq_ignore_ascii_case(&format!("authorization: Bearer {SECRET}"))) {
        return nothing(401);
    }
    let target = request.split(' ').nth(1).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
    let question = Question::parse(pairs.iter().map(|(name, value)| (&**name, &**value)));
    let (Ok(question), "/revocations") = (question, path) else { return nothing(400) };
    state.questions.lock().unwrap_or_else(PoisonError::into_inner).push(question.clone());
    let position = question.known.as_ref().map(|known| known.position);
    let is_news = |log: &Log| position.is_none_or(|it| it.epoch != log.epoch() || it.at < log.at);
    let wait = Duration::from_secs(question.wait_seconds);
    let mut changes = state.log.subscribe();
    let awaited = changes.wait_for(|log| log.trouble.is_some() || is_news(log));
    let _ = tokio::time::timeout(wait, awaited).await;
    let mut log = changes.borrow().clone();
    if matches!(log.trouble, Some(Trouble::Hangs)) {
        let released = changes.wait_for(|log| !matches!(log.trouble, Some(Trouble::Hangs))).await;
        let Ok(released) = released else { return nothing(503) };
        log = released.clone();
    }
    match &log.trouble {
        Some(Trouble::Status(status)) => return nothing(*status),
        Some(Trouble::Elsewhere(url)) => return (format!("302 x\r\nLocation: {url}"), String::new()),
        Some(Trouble::Says(body)) => return ("200 x".into(), body.clone()),
        Some(Trouble::Hangs | Trouble::DoesNotWait) | None => {}
    }
    let known = position.filter(|position| position.epoch == log.epoch());
    let is_new = |entry: &&Value| known.is_none_or(|known| entry["at"].as_i64() > Some(known.at));
    let entries: Vec<&Value> = log.entries.iter().filter(is_new).collect();
    let body = json!({
        "epoch": log.epoch(), "at": log.at, "cursor": format!("cursor/{} &=", log.at),
        "complete": known.is_none(), "entries": entries,
    });
    ("200 x".into(), body.to_string())
}
