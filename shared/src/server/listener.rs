//! The HTTP server on a listening socket.
//!
//! *Invariant:* no peer holds a connection for ever: a request head must arrive within seconds, and the kernel cuts
//! a connection whose peer stops taking data for longer than the stall time. (A body that stops arriving is the
//! business of the handler that reads it.)

use std::io;
use std::sync::Arc;
use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};

use super::access_log::AccessLog;
use super::client_address::TrustedProxies;
use super::fallback;
use super::health::Health;
use super::request_log::{self, Surroundings};
use super::response_headers::ResponseHeaders;
use super::shutdown::Shutdown;
use super::sockets::{BoundAddress, BoundSocket, Endpoint};
use super::tls::{Tls, TlsError, TlsSettings};

/// Clients of the field keep connections open between requests; a proxy in front does so for about a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// The head of a request must arrive within this time.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// After an answer that comes before the end of the body, the client has this long to read it.
const LINGER: Duration = Duration::from_secs(5);

/// Where and how to listen.
#[derive(Clone, Debug)]
pub struct ListenerSettings {
    /// The socket.
    pub endpoint: Endpoint,
    /// Serve TLS like this.
    pub tls: Option<TlsSettings>,
    /// What every answer gets, whoever gives it.
    pub headers: ResponseHeaders,
    /// Proxies whose headers are believed.
    pub trusted_proxies: TrustedProxies,
    /// How long open requests may take after a request to stop; zero cuts them off.
    pub drain_timeout: Duration,
    /// How long a peer may take no data before it is cut off; zero for ever. On a unix socket that is the business of
    /// the proxy in front.
    pub stall_timeout: Duration,
    /// More connections wait until one is closed; bounds the memory of the process.
    pub max_connections: usize,
}

/// Why a server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address is taken, not ours, or not an address.
    #[error("cannot listen on {endpoint}: {source}")]
    Address {
        /// As it stands in the settings.
        endpoint: Endpoint,
        /// What the system said.
        source: io::Error,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The framework has no such listener.
    #[error("TLS cannot be served on a unix socket; let the proxy in front of it serve TLS")]
    TlsOnUnixSocket,
}

/// A bound socket that does not serve yet.
pub struct Listener {
    socket: BoundSocket,
    tls: Option<Tls>,
    settings: ListenerSettings,
    access_log: Option<AccessLog>,
}

impl Listener {
    /// Binds the address and loads the certificate.
    pub fn bind(settings: ListenerSettings) -> Result<Self, ListenError> {
        let tls = settings.tls.clone().map(Tls::load).transpose()?;
        let socket = BoundSocket::bind(&settings.endpoint, settings.stall_timeout)
            .map_err(|source| ListenError::Address { endpoint: settings.endpoint.clone(), source })?;
        if tls.is_some() && matches!(socket, BoundSocket::Unix(..)) {
            return Err(ListenError::TlsOnUnixSocket);
        }
        Ok(Self { socket, tls, settings, access_log: None })
    }

    /// Writes a line to the access log for each request.
    #[must_use]
    pub fn with_access_log(self, access_log: AccessLog) -> Self {
        Self { access_log: Some(access_log), ..self }
    }

    /// Says what would keep [`Self::bind`] from working, as far as can be told without taking the address.
    pub fn check(settings: &ListenerSettings) -> Result<(), ListenError> {
        settings.tls.clone().map(Tls::load).transpose()?;
        if settings.tls.is_some() && matches!(settings.endpoint, Endpoint::Unix(_)) {
            return Err(ListenError::TlsOnUnixSocket);
        }
        BoundSocket::check(&settings.endpoint)
            .map_err(|source| ListenError::Address { endpoint: settings.endpoint.clone(), source })
    }

    /// Where it was bound, with the real port.
    pub fn address(&self) -> BoundAddress {
        self.socket.address()
    }

    /// Serves until a stop is requested and open requests are done or out of time.
    pub async fn run<F>(self, health: Health, shutdown: Shutdown, routes: F) -> io::Result<()>
    where
        F: Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
    {
        let surroundings = Arc::new(Surroundings {
            proxies: self.settings.trusted_proxies.clone(),
            tls: self.tls.is_some(),
            access_log: self.access_log,
        });
        let headers = self.settings.headers.clone();
        let gate = health.clone();
        let health = health.configure(shutdown.clone());
        let app = move || {
            let (gate, headers, surroundings) = (gate.clone(), headers.clone(), surroundings.clone());
            App::new()
                .wrap(from_fn(move |request, next| gate.clone().pass(request, next)))
                .wrap(from_fn(move |request, next| headers.clone().around(request, next)))
                .wrap(from_fn(move |request, next| request_log::around(surroundings.clone(), request, next)))
                .configure(health.clone())
                .configure(routes.clone())
                .default_service(web::to(fallback::not_found))
        };
        // The framework counts in whole seconds.
        let drain_timeout = self.settings.drain_timeout + Duration::from_millis(999);
        let gently = !self.settings.drain_timeout.is_zero();
        // The limit is for the whole server, the framework's is for each of its workers.
        let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let server = HttpServer::new(app)
            .workers(workers)
            .max_connections(self.settings.max_connections.div_ceil(workers).max(1))
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(HEAD_TIMEOUT)
            .client_disconnect_timeout(LINGER)
            .shutdown_timeout(drain_timeout.as_secs())
            .disable_signals();
        let (server, _file) = match (self.socket, &self.tls) {
            (BoundSocket::Tcp(socket), Some(tls)) => {
                (server.listen_rustls_0_23(socket, tls.server_config())?, None)
            }
            (BoundSocket::Tcp(socket), None) => (server.listen(socket)?, None),
            (BoundSocket::Unix(socket, file), _) => (server.listen_uds(socket)?, file),
        };
        let server = server.run();
        let handle = server.handle();
        let stop = async move {
            shutdown.requested().await;
            if !gently {
                tracing::info!("stopping at once");
                return handle.stop(false).await;
            }
            tracing::info!("stopping; open requests may finish");
            tokio::select! {
                () = handle.stop(true) => {}
                () = shutdown.requested_twice() => handle.stop(false).await,
            }
        };
        let keep_fresh = self.tls.map(|tls| tokio::spawn(tls.keep_fresh()));
        tokio::pin!(server);
        let outcome = tokio::select! {
            outcome = &mut server => outcome,
            () = stop => server.await,
        };
        if let Some(task) = keep_fresh {
            task.abort();
        }
        outcome
    }
}
