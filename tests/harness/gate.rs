//! A gate between a token server and its database, which a test can shut.
//!
//! It listens on a unix socket of its own, because nobody else can take that address while the gate is shut.
//!
//! *Invariant:* a shut gate refuses connections and has broken those it had; a silent one takes and keeps everything
//! and passes nothing on, as a network does that drops packets.

use std::path::PathBuf;

use anyhow::Context as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use url::Url;

use crate::program;

const PORT: u16 = 5432;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    Open,
    Silent,
    Shut,
}

/// Where the database really is.
#[derive(Clone, Debug)]
enum Beyond {
    Socket(PathBuf),
    Tcp(String),
}

/// The gate. It belongs to the runtime in which it was made.
#[derive(Debug)]
pub struct Gate {
    url: String,
    position: watch::Sender<Position>,
    listening: JoinHandle<()>,
}

impl Gate {
    /// Puts an open gate before the database at this address.
    pub fn before(database: &str) -> anyhow::Result<Self> {
        let database = Url::parse(database)?;
        let folder = program::private_folder("gate")?;
        let socket = folder.join(format!(".s.PGSQL.{PORT}"));
        let mut url = database.clone();
        let kept = database.query_pairs().filter(|(name, _)| name != "host").collect::<Vec<_>>();
        url.query_pairs_mut().clear().extend_pairs(kept).append_pair("host", &folder.display().to_string());
        // The port is part of the socket's name.
        url.set_port(Some(PORT)).ok().context("the address of the database has no place for a port")?;
        let (position, seen) = watch::channel(Position::Open);
        let listener = UnixListener::bind(&socket)?;
        let listening = tokio::spawn(listen(listener, socket, beyond(&database)?, seen));
        Ok(Self { url: url.to_string(), position, listening })
    }

    /// The address of the database through this gate.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Lets everything through again, for connections made from now on and for those that were silent.
    pub fn open(&self) {
        self.position.send_replace(Position::Open);
    }

    /// Breaks all connections and refuses new ones.
    pub fn shut(&self) {
        self.position.send_replace(Position::Shut);
    }

    /// Passes nothing on and says nothing about it.
    pub fn fall_silent(&self) {
        self.position.send_replace(Position::Silent);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.shut();
        self.listening.abort();
    }
}

fn beyond(database: &Url) -> anyhow::Result<Beyond> {
    let port = database.port().unwrap_or(PORT);
    let folder = database.query_pairs().find(|(name, value)| name == "host" && value.starts_with('/'));
    if let Some((_, folder)) = folder {
        return Ok(Beyond::Socket(PathBuf::from(folder.into_owned()).join(format!(".s.PGSQL.{port}"))));
    }
    let host = database.host_str().context("the address of the database has no host")?;
    Ok(Beyond::Tcp(format!("{host}:{port}")))
}

/// Listens for as long as the gate is not shut; a shut gate leaves the socket's file without a listener.
async fn listen(
    mut listener: UnixListener,
    socket: PathBuf,
    beyond: Beyond,
    position: watch::Receiver<Position>,
) {
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((client, _)) = accepted {
                    tokio::spawn(serve(client, beyond.clone(), position.clone()));
                }
                continue;
            }
            () = reach(position.clone(), |position| position == Position::Shut) => {}
        }
        drop(listener);
        reach(position.clone(), |position| position != Position::Shut).await;
        // The file of a socket outlives its listener.
        let _ = std::fs::remove_file(&socket);
        let Ok(again) = UnixListener::bind(&socket) else { return };
        listener = again;
    }
}

/// Waits for a position; for ever, once nobody can move the gate any more.
async fn reach(mut position: watch::Receiver<Position>, wanted: impl Fn(Position) -> bool) {
    let gone = position.wait_for(|position| wanted(*position)).await.is_err();
    if gone {
        std::future::pending::<()>().await;
    }
}

async fn serve(client: UnixStream, beyond: Beyond, position: watch::Receiver<Position>) {
    let seen = position.clone();
    let passing = async {
        let client = client.into_split();
        match beyond {
            Beyond::Socket(path) => {
                let server = UnixStream::connect(path).await?.into_split();
                tokio::try_join!(pass(client.0, server.1, seen.clone()), pass(server.0, client.1, seen))
            }
            Beyond::Tcp(address) => {
                let server = TcpStream::connect(address).await?.into_split();
                tokio::try_join!(pass(client.0, server.1, seen.clone()), pass(server.0, client.1, seen))
            }
        }
    };
    tokio::select! {
        // Whoever broke the connection, both ends see it.
        _ = passing => {}
        () = reach(position, |position| position == Position::Shut) => {}
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    position: watch::Receiver<Position>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut buffer).await?;
        reach(position.clone(), |position| position == Position::Open).await;
        if length == 0 {
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        }
        to.write_all(&buffer[..length]).await?;
    }
}
