//! The debug listener: what operators and Prometheus ask, on an address of its own, in plain HTTP.
//!
//! It answers while the main listener drains, and whatever the background checks say. Nobody is asked who they are,
//! so the address belongs on the loopback interface or a private network.
//!
//! *Invariant:* nothing here shows a name of a repository or a user, or anything a client sent, and of the settings only
//! what background checks are called: paths and addresses, without the query.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::{Map, Value, json};
use tokio::task::JoinHandle;

use super::fallback::error_response;
use super::health::watch::Watches;
use super::listener::ListenError;
use super::metrics::process::ProcessNumbers;
use super::metrics::{CONTENT_TYPE as METRICS_TYPE, Metrics};
use super::sockets::{self, Endpoint};
use crate::error_body::{ErrorBody, ErrorCode};

/// A peer that takes nothing for this long is cut off.
const STALL: Duration = Duration::from_secs(30);

/// Scrapers and people; more of them wait.
const MAX_CONNECTIONS: usize = 64;

/// Where to listen and what to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebugSettings {
    /// `host:port`; without a host, every address.
    pub address: String,
    /// The path of the metrics, if they are wanted.
    pub metrics_path: Option<String>,
}

/// What is shown.
pub struct Shown {
    /// The background checks.
    pub watches: Arc<Watches>,
    /// What is counted, if anything is.
    pub metrics: Option<Arc<Metrics>>,
    /// What `/debug/vars` says besides the numbers of the process.
    pub vars: Box<dyn Fn() -> Map<String, Value> + Send + Sync>,
}

/// A bound socket that does not serve yet.
#[derive(Debug)]
pub struct DebugListener {
    socket: TcpListener,
    metrics_path: Option<String>,
}

impl DebugListener {
    /// Binds the address.
    pub fn bind(settings: DebugSettings) -> Result<Self, ListenError> {
        let DebugSettings { address, metrics_path } = settings;
        match sockets::bind_tcp(&address, STALL) {
            Ok(socket) => Ok(Self { socket, metrics_path }),
            Err(source) => Err(ListenError::Address { endpoint: Endpoint::Tcp(address), source }),
        }
    }

    /// The address that was bound, with its real port.
    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("a bound socket has an address")
    }

    /// Begins to serve, beside whatever else the process does.
    pub fn start(self, shown: Shown) -> io::Result<DebugServer> {
        let state = web::Data::new(State { shown, metrics_path: self.metrics_path });
        let app = move || App::new().app_data(state.clone()).default_service(web::to(answer));
        let server = HttpServer::new(app)
            .workers(1)
            .max_connections(MAX_CONNECTIONS)
            .client_request_timeout(STALL)
            .disable_signals()
            .listen(self.socket)?
            .run();
        let handle = server.handle();
        Ok(DebugServer { handle, task: tokio::spawn(server) })
    }
}

/// The debug listener at work.
pub struct DebugServer {
    handle: ServerHandle,
    task: JoinHandle<io::Result<()>>,
}

impl DebugServer {
    /// Stops it at once.
    pub async fn stop(self) {
        self.handle.stop(false).await;
        if let Ok(Err(error)) = self.task.await {
            tracing::error!(%error, "the debug listener failed");
        }
    }
}

struct State {
    shown: Shown,
    metrics_path: Option<String>,
}

async fn answer(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    let path = request.path();
    let is_metrics = state.metrics_path.as_deref() == Some(path);
    let known = is_metrics || path == "/debug/health" || path == "/debug/vars";
    if !known {
        let sentence = if path.starts_with("/debug/pprof") {
            "profiles are not available: this server has no runtime that could make them"
        } else {
            "there is nothing at this address"
        };
        let body = ErrorBody::with_message(ErrorCode::Unsupported, sentence);
        return error_response(StatusCode::NOT_FOUND, &body);
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let body = ErrorBody::with_message(ErrorCode::Unsupported, "this address takes GET and HEAD only");
        let mut response = error_response(StatusCode::METHOD_NOT_ALLOWED, &body);
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match &state.shown.metrics {
        Some(metrics) if is_metrics => {
            HttpResponse::Ok().insert_header((CONTENT_TYPE, METRICS_TYPE)).body(metrics.text())
        }
        _ if path == "/debug/vars" => HttpResponse::Ok().json(vars(&state.shown)),
        _ => {
            let failures = state.shown.watches.failures();
            let status = if failures.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            HttpResponse::build(status).json(failures)
        }
    }
}

fn vars(shown: &Shown) -> Map<String, Value> {
    let numbers = ProcessNumbers::read();
    let mut vars = (shown.vars)();
    let process = json!({
        "cpu_seconds": numbers.cpu_seconds,
        "max_files": numbers.max_files,
        "open_files": numbers.open_files,
        "resident_bytes": numbers.resident_bytes,
        "started": numbers.started,
        "virtual_bytes": numbers.virtual_bytes,
    });
    vars.insert("process".into(), process);
    vars
}
