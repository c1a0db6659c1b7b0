//! The sockets a server listens on: TCP, a unix socket, or one that systemd opened before it started the process.
//!
//! *Invariant:* a socket file is removed only if it is ours or if nobody listens on it.
//!
//! Spec: `sd_listen_fds(3)`.

use std::fmt;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use listenfd::ListenFd;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `host:port`; without a host, every address; port 0 takes any free one.
    Tcp(String),
    /// A socket file.
    Unix(PathBuf),
    /// The socket that systemd handed over.
    Inherited,
}

impl Endpoint {
    /// Whether systemd hands over a socket to this process, as its environment says.
    pub fn is_inherited(environment: &[(String, String)]) -> bool {
        let value = |name| environment.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let count = value("LISTEN_FDS").and_then(|count| count.parse::<u32>().ok()).unwrap_or(0);
        let mine = |id: &str| id.is_empty() || id.parse() == Ok(std::process::id());
        count > 0 && value("LISTEN_PID").is_none_or(mine)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Unix(path) => write!(f, "the unix socket {}", path.display()),
            Self::Inherited => f.write_str("the socket of systemd"),
        }
    }
}

/// Where a socket was bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BoundAddress {
    /// With its real port.
    Tcp(SocketAddr),
    /// A socket file; empty for a socket without a file.
    Unix(PathBuf),
}

impl BoundAddress {
    /// Address and port; nothing for a unix socket.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for BoundAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A socket that accepts connections.
#[derive(Debug)]
pub(super) enum BoundSocket {
    Tcp(TcpListener),
    /// The file is ours to remove, unless systemd made it.
    Unix(UnixListener, Option<SocketFile>),
}

impl BoundSocket {
    pub(super) fn bind(endpoint: &Endpoint, stall_timeout: Duration) -> io::Result<Self> {
        match endpoint {
            Endpoint::Tcp(address) => bind_tcp(address, stall_timeout).map(Self::Tcp),
            Endpoint::Unix(path) => {
                let socket = bind_unix(path)?;
                Ok(Self::Unix(socket, Some(SocketFile::of(path)?)))
            }
            Endpoint::Inherited => inherited(stall_timeout),
        }
    }

    /// Says what would keep [`Self::bind`] from working, as far as can be told without taking the address.
    pub(super) fn check(endpoint: &Endpoint) -> io::Result<()> {
        match endpoint {
            Endpoint::Tcp(address) => addresses(address).map(drop),
            Endpoint::Unix(path) => {
                SockAddr::unix(path)?;
                fs::metadata(path.parent().unwrap_or(Path::new("."))).map(drop)
            }
            Endpoint::Inherited => Ok(()),
        }
    }

    pub(super) fn address(&self) -> BoundAddress {
        match self {
            Self::Tcp(socket) => {
                BoundAddress::Tcp(socket.local_addr().expect("a bound socket has an address"))
            }
            Self::Unix(socket, _) => {
                let address = socket.local_addr().ok();
                let path = address.as_ref().and_then(|address| address.as_pathname());
                BoundAddress::Unix(path.unwrap_or(Path::new("")).to_owned())
            }
        }
    }
}

fn addresses(text: &str) -> io::Result<Vec<SocketAddr>> {
    if let Some(port) = text.strip_prefix(':') {
        let port = port
            .parse()
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "the port is not a number"))?;
        // One socket for both families, unless the machine has no IPv6.
        return Ok(vec![(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()]);
    }
    Ok(text.to_socket_addrs()?.collect())
}

/// Binds `host:port`, or `:port` for every address.
pub(super) fn bind_tcp(text: &str, stall_timeout: Duration) -> io::Result<TcpListener> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "expected host:port");
    for address in addresses(text)? {
        match bind_one(address) {
            Ok(listener) => return cut_stalled_peers(listener, stall_timeout),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Accepted connections inherit this. It is the only cut that also reaches a response nobody reads: the server is not
/// called again until the peer takes data.
fn cut_stalled_peers(listener: TcpListener, stall_timeout: Duration) -> io::Result<TcpListener> {
    if !stall_timeout.is_zero() {
        SockRef::from(&listener).set_tcp_user_timeout(Some(stall_timeout))?;
    }
    Ok(listener)
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_left_over(path)? => {
            fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        outcome => outcome,
    }
}

/// Whether this is the socket file of a server that is gone.
fn is_left_over(path: &Path) -> io::Result<bool> {
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return Ok(false);
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A server whose queue is full must not make us wait.
    socket.set_nonblocking(true)?;
    let outcome = socket.connect(&SockAddr::unix(path)?);
    Ok(outcome.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused))
}

fn inherited(stall_timeout: Duration) -> io::Result<BoundSocket> {
    let refuse = |sentence| Err(io::Error::new(io::ErrorKind::InvalidInput, sentence));
    let mut sockets = ListenFd::from_env();
    if sockets.len() != 1 {
        return refuse(format!("exactly one socket can be used, and there are {}", sockets.len()));
    }
    if let Ok(Some(socket)) = sockets.take_tcp_listener(0) {
        return cut_stalled_peers(socket, stall_timeout).map(BoundSocket::Tcp);
    }
    match sockets.take_unix_listener(0) {
        Ok(Some(socket)) => Ok(BoundSocket::Unix(socket, None)),
        _ => refuse("it is neither a TCP socket nor a unix stream socket".to_owned()),
    }
}

/// A socket file that is removed with this value, unless another server has put its own there since.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), identity: identity(path)? })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            // Nobody is hurt by a file that stays: the next start finds out that nobody listens on it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(path: &Path) -> io::Result<BoundSocket> {
        BoundSocket::bind(&Endpoint::Unix(path.to_owned()), Duration::from_secs(1))
    }

    #[test]
    fn a_socket_file_goes_with_its_server_and_comes_back_with_the_next() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s");
        let socket = bind(&path).expect("free");
        assert_eq!(socket.address().to_string(), format!("unix:{}", path.display()));
        assert!(bind(&path).is_err(), "somebody listens");
        drop(socket);
        assert!(!path.exists());
        // As after a crash.
        drop(UnixListener::bind(&path).expect("free"));
        assert!(path.exists());
        drop(bind(&path).expect("nobody listens"));
        assert!(!path.exists());
    }

    #[test]
    fn a_file_that_is_no_socket_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s");
        fs::write(&path, "precious").expect("written");
        assert!(bind(&path).is_err());
        assert_eq!(fs::read_to_string(&path).expect("there"), "precious");
    }

    #[test]
    fn the_file_of_a_successor_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s");
        let first = bind(&path).expect("free");
        fs::rename(&path, folder.path().join("away")).expect("moved");
        let second = bind(&path).expect("free");
        drop(first);
        assert!(path.exists());
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn what_cannot_be_bound_is_known_before() {
        for (endpoint, works) in [
            (Endpoint::Tcp(":5000".into()), true),
            (Endpoint::Tcp("127.0.0.1:0".into()), true),
            (Endpoint::Tcp(":http".into()), false),
            (Endpoint::Tcp("5000".into()), false),
            (Endpoint::Unix("/tmp/s".into()), true),
            (Endpoint::Unix("/nowhere/at/all/s".into()), false),
            (Endpoint::Unix(format!("/tmp/{}", "x".repeat(200)).into()), false),
        ] {
            assert_eq!(BoundSocket::check(&endpoint).is_ok(), works, "{endpoint}");
        }
    }

    #[test]
    fn a_socket_is_taken_over_only_by_the_process_it_is_for() {
        let own = std::process::id().to_string();
        for (variables, inherited) in [
            (vec![], false),
            (vec![("LISTEN_FDS", "1")], true),
            (vec![("LISTEN_FDS", "0")], false),
            (vec![("LISTEN_FDS", "1"), ("LISTEN_PID", own.as_str())], true),
            (vec![("LISTEN_FDS", "1"), ("LISTEN_PID", "1")], false),
            (vec![("LISTEN_PID", own.as_str())], false),
        ] {
            let environment: Vec<_> =
                variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            assert_eq!(Endpoint::is_inherited(&environment), inherited, "{variables:?}");
        }
    }
}
