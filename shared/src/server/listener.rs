//! The listening socket and the HTTP server on it.
//!
//! *Invariant:* no peer holds a connection for ever: a request head must arrive within seconds, and the kernel cuts
//! a connection whose peer stops taking data for longer than the stall time. (A body that stops arriving is the
//! business of the handler that reads it.)

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use socket2::{Domain, Protocol, Socket, Type};

use super::client_address::TrustedProxies;
use super::fallback;
use super::health::Health;
use super::request_log;
use super::shutdown::Shutdown;
use super::tls::{ReloadingCertificate, TlsError, TlsFiles};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// Clients of the field keep connections open between requests; a proxy in front does so for about a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// The head of a request must arrive within this time.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// After an answer that comes before the end of the body, the client has this long to read it.
const LINGER: Duration = Duration::from_secs(5);

/// Where and how to listen.
#[derive(Clone, Debug)]
pub struct ListenerSettings {
    /// `host:port`; without a host, every address; port 0 takes any free one.
    pub address: String,
    /// Serve TLS with these files.
    pub tls: Option<TlsFiles>,
    /// Proxies whose headers are believed.
    pub trusted_proxies: TrustedProxies,
    /// How long open requests may take after a request to stop.
    pub drain_timeout: Duration,
    /// How long a peer may take no data before it is cut off; zero for ever.
    pub stall_timeout: Duration,
    /// More connections wait until one is closed; bounds the memory of the process.
    pub max_connections: usize,
}

/// Why a server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address is taken, not ours, or not an address.
    #[error("cannot listen on {address}: {source}")]
    Address {
        /// As it stands in the settings.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A bound socket that does not serve yet.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    certificate: Option<Arc<ReloadingCertificate>>,
    settings: ListenerSettings,
}

impl Listener {
    /// Binds the address and loads the certificate.
    pub fn bind(settings: ListenerSettings) -> Result<Self, ListenError> {
        let certificate = settings.tls.clone().map(ReloadingCertificate::load).transpose()?;
        let socket = bind(&settings)
            .map_err(|source| ListenError::Address { address: settings.address.clone(), source })?;
        Ok(Self { socket, certificate, settings })
    }

    /// Says what would keep [`Self::bind`] from working, as far as can be told without taking the address.
    pub fn check(settings: &ListenerSettings) -> Result<(), ListenError> {
        settings.tls.clone().map(ReloadingCertificate::load).transpose()?;
        let address = settings.address.strip_prefix(':').map(|port| format!("[::]:{port}"));
        let resolved = address.as_ref().unwrap_or(&settings.address).to_socket_addrs();
        resolved.map_err(|source| ListenError::Address { address: settings.address.clone(), source })?;
        Ok(())
    }

    /// The address that was bound, with its real port.
    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("a bound socket has an address")
    }

    /// Serves until a stop is requested and open requests are done or out of time.
    pub async fn run<F>(self, health: Health, shutdown: Shutdown, routes: F) -> io::Result<()>
    where
        F: Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
    {
        let proxies = self.settings.trusted_proxies.clone();
        let tls = self.certificate.is_some();
        let health = health.configure(shutdown.clone());
        let app = move || {
            let proxies = proxies.clone();
            App::new()
                .wrap(from_fn(move |request, next| request_log::around(proxies.clone(), tls, request, next)))
                .configure(health.clone())
                .configure(routes.clone())
                .default_service(web::to(fallback::not_found))
        };
        // The limit is for the whole server, the framework's is for each of its workers.
        let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let server = HttpServer::new(app)
            .workers(workers)
            .max_connections(self.settings.max_connections.div_ceil(workers).max(1))
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(HEAD_TIMEOUT)
            .client_disconnect_timeout(LINGER)
            .shutdown_timeout(self.settings.drain_timeout.as_secs())
            .disable_signals();
        let server = match &self.certificate {
            Some(certificate) => server.listen_rustls_0_23(self.socket, certificate.server_config())?,
            None => server.listen(self.socket)?,
        };
        let server = server.run();
        let handle = server.handle();
        let stop = async move {
            shutdown.requested().await;
            tracing::info!("stopping; open requests may finish");
            let gently = handle.stop(true);
            tokio::pin!(gently);
            tokio::select! {
                () = &mut gently => {}
                () = shutdown.requested_twice() => handle.stop(false).await,
            }
        };
        let keep_fresh = self.certificate.map(|certificate| tokio::spawn(certificate.keep_fresh()));
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

fn bind(settings: &ListenerSettings) -> io::Result<TcpListener> {
    if let Some(port) = settings.address.strip_prefix(':') {
        let port = port
            .parse()
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "the port is not a number"))?;
        // One socket for both families, unless the machine has no IPv6.
        return bind_one((Ipv6Addr::UNSPECIFIED, port).into(), settings)
            .or_else(|_| bind_one((Ipv4Addr::UNSPECIFIED, port).into(), settings));
    }
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "expected host:port");
    for address in settings.address.to_socket_addrs()? {
        match bind_one(address, settings) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn bind_one(address: SocketAddr, settings: &ListenerSettings) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    if !settings.stall_timeout.is_zero() {
        // Accepted connections inherit it. It is the only cut that also reaches a response nobody reads: the
        // server is not called again until the peer takes data.
        socket.set_tcp_user_timeout(Some(settings.stall_timeout))?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
