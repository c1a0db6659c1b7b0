//! Where logins are kept: in the keyring of the platform, through the helper that speaks to it, or in a file.
//!
//! *Invariant:* the file and what becomes it are readable by their owner alone, and a file that others can read is not
//! used; two helpers at the same time lose nothing of each other.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use shared::secret::Secret;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::protocol::{HelperError, Login, Server};

/// Logins are not kept, or cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    /// There is no place for a file.
    #[error("there is no home folder for logins; say with PORTCULLIS_CREDENTIALS which file keeps them")]
    NoHome,
    /// The file cannot be used.
    #[error("{0} cannot be used")]
    File(PathBuf, #[source] io::Error),
    /// Others can read it.
    #[error("others can read {0}, so it is not used: chmod 600 {0}")]
    Open(PathBuf),
    /// It is not a file of logins.
    #[error("{0} is not a file of logins; move it away to begin anew")]
    Malformed(PathBuf),
    /// The program of the keyring cannot be started.
    #[error(
        "docker-credential-{0} cannot be started; it speaks to the keyring that PORTCULLIS_KEYRING names"
    )]
    NoProgram(String, #[source] io::Error),
    /// It failed.
    #[error("docker-credential-{0}: {1}")]
    Keyring(String, String),
}

/// Where logins are kept.
#[derive(Debug)]
pub(super) struct Store {
    keeper: Keeper,
    /// Begins the names of locks beside the file, also where a keyring keeps the logins.
    lock: PathBuf,
}

#[derive(Debug)]
enum Keeper {
    Keyring(String),
    File(PathBuf),
}

/// Held while a login is begun or the file is changed; let go of when it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    file: File,
    before: String,
}

impl Held {
    /// What those who held it while one waited for it said at last.
    pub(super) fn said_meanwhile(&mut self) -> Option<String> {
        let now = said(&mut self.file);
        let sentence = now.split_once(' ').map(|(_, sentence)| sentence.to_owned());
        sentence.filter(|_| now != self.before)
    }

    /// Says something to all who wait for it.
    pub(super) fn say(&mut self, sentence: &str) {
        // Each says it with a number of its own; where it cannot be said, the others ask themselves.
        let text = format!("{} {sentence}", std::process::id());
        let _ = self
            .file
            .set_len(0)
            .and_then(|()| self.file.rewind())
            .and_then(|()| self.file.write_all(text.as_bytes()));
    }
}

fn said(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
    read.map(|_| text).unwrap_or_default()
}

#[derive(Serialize)]
struct Written<'a> {
    username: &'a str,
    secret: &'a str,
}

#[derive(Deserialize)]
struct Kept {
    username: String,
    secret: Secret,
}

impl Store {
    /// The keyring, or the file, or the file at its usual place.
    pub(super) fn open(keyring: Option<&str>, file: Option<&Path>) -> Result<Self, StoreError> {
        let usual = || {
            let home = std::env::home_dir().filter(|home| home.is_absolute()).ok_or(StoreError::NoHome)?;
            Ok(home.join(".config/portcullis/credentials.json"))
        };
        let file = file.map_or_else(usual, |file| Ok(file.to_owned()))?;
        let mut lock = file.clone().into_os_string();
        lock.push(".lock-");
        let keeper = keyring.map_or(Keeper::File(file), |name| Keeper::Keyring(name.to_owned()));
        Ok(Self { keeper, lock: lock.into() })
    }

    /// The login at a server.
    pub(super) async fn find(&self, server: &Server) -> Result<Option<Login>, HelperError> {
        match &self.keeper {
            Keeper::Keyring(name) => {
                let Some(said) = ask_keyring(name, "get", server.as_str()).await? else { return Ok(None) };
                match Login::parse(&said) {
                    Ok(login) => Ok(Some(login)),
                    // So some say that they have none.
                    Err(HelperError::NoUser) => Ok(None),
                    Err(error) => Err(error),
                }
            }
            Keeper::File(file) => Ok(read(file)?.remove(server.as_str()).map(|kept| Login {
                server: server.clone(),
                username: kept.username,
                secret: kept.secret,
            })),
        }
    }

    /// Keeps a login in place of the one before.
    pub(super) async fn put(&self, login: &Login) -> Result<(), StoreError> {
        match &self.keeper {
            Keeper::Keyring(name) => ask_keyring(name, "store", &login.render()).await.map(drop),
            Keeper::File(file) => {
                let kept = Kept { username: login.username.clone(), secret: login.secret.clone() };
                let _held = hold(&beside(file))?;
                let mut all = read(file)?;
                all.insert(login.server.to_string(), kept);
                write(file, &all)
            }
        }
    }

    /// Forgets the login at a server.
    pub(super) async fn remove(&self, server: &Server) -> Result<(), StoreError> {
        match &self.keeper {
            Keeper::Keyring(name) => ask_keyring(name, "erase", server.as_str()).await.map(drop),
            Keeper::File(file) => {
                let _held = hold(&beside(file))?;
                let mut all = read(file)?;
                if all.remove(server.as_str()).is_some() {
                    write(file, &all)?;
                }
                Ok(())
            }
        }
    }

    /// Servers, and as whom somebody is logged in there.
    pub(super) async fn list(&self) -> Result<BTreeMap<String, String>, StoreError> {
        match &self.keeper {
            Keeper::Keyring(name) => {
                let said = ask_keyring(name, "list", "").await?.unwrap_or_else(|| "{}".to_owned());
                let unreadable = |_| StoreError::Keyring(name.clone(), "it does not list logins".to_owned());
                serde_json::from_str(&said).map_err(unreadable)
            }
            Keeper::File(file) => {
                Ok(read(file)?.into_iter().map(|(server, kept)| (server, kept.username)).collect())
            }
        }
    }

    /// Waits until no other helper begins a login at the same server: a client starts one for each image that it pulls.
    pub(super) async fn hold(&self, server: &Server) -> Result<Held, StoreError> {
        let digest = digest(&SHA256, server.as_str().as_bytes());
        let mut lock = self.lock.clone().into_os_string();
        lock.push(URL_SAFE_NO_PAD.encode(digest));
        let lock = PathBuf::from(lock);
        tokio::task::spawn_blocking(move || hold(&lock)).await.expect("waiting for a lock does not panic")
    }
}

/// The lock of the file itself, which is held for a moment only.
fn beside(file: &Path) -> PathBuf {
    let mut lock = file.as_os_str().to_owned();
    lock.push(".write");
    lock.into()
}

fn hold(lock: &Path) -> Result<Held, StoreError> {
    let unusable = |error| StoreError::File(lock.to_owned(), error);
    if let Some(folder) = lock.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unusable)?;
    }
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(lock);
    let mut file = file.map_err(unusable)?;
    let before = said(&mut file);
    file.lock().map_err(unusable)?;
    Ok(Held { file, before })
}

fn read(file: &Path) -> Result<BTreeMap<String, Kept>, StoreError> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(StoreError::File(file.to_owned(), error)),
    };
    let mode =
        fs::metadata(file).map_err(|error| StoreError::File(file.to_owned(), error))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(StoreError::Open(file.to_owned()));
    }
    serde_json::from_str(&text).map_err(|_| StoreError::Malformed(file.to_owned()))
}

/// Writes beside the file first: whoever reads meanwhile sees the whole of before or of afterwards.
fn write(file: &Path, all: &BTreeMap<String, Kept>) -> Result<(), StoreError> {
    let written: BTreeMap<&str, Written<'_>> = all
        .iter()
        .map(|(server, Kept { username, secret })| {
            (server.as_str(), Written { username, secret: secret.expose() })
        })
        .collect();
    let mut new = file.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let finish = || {
        // One that was left behind, or put there for us to write through.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        opened.write_all(super::protocol::json(&written).as_bytes())?;
        opened.sync_all()?;
        fs::rename(&new, file)
    };
    finish().map_err(|error| StoreError::File(file.to_owned(), error))
}

/// Lets the helper of a keyring do something; nothing, if it does not have it.
async fn ask_keyring(name: &str, command: &str, input: &str) -> Result<Option<String>, StoreError> {
    let no_program = |error| StoreError::NoProgram(name.to_owned(), error);
    let mut child = Command::new(format!("docker-credential-{name}"))
        .arg(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(no_program)?;
    if let Some(mut stdin) = child.stdin.take() {
        // Whoever does not read is judged by what it says.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    let output = child.wait_with_output().await.map_err(no_program)?;
    let said = String::from_utf8_lossy(&output.stdout);
    if output.status.success() {
        return Ok(Some(said.into_owned()));
    }
    // Each has its own words for it, and all of them these.
    if said.contains("credentials not found") || said.contains("could not be found in the keychain") {
        return Ok(None);
    }
    let sentence: String = said.trim().chars().take(300).collect();
    Err(StoreError::Keyring(name.to_owned(), sentence))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(server: &str, secret: &str) -> Login {
        let server = Server::parse(server).unwrap();
        Login { server, username: "<token>".to_owned(), secret: Secret::new(secret) }
    }

    #[tokio::test]
    async fn a_file_keeps_logins_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("below/credentials.json");
        let store = Store::open(None, Some(&file)).unwrap();
        assert!(store.find(&login("a", "").server).await.unwrap().is_none());
        store.put(&login("a", "one")).await.unwrap();
        store.put(&login("b", "two")).await.unwrap();
        store.put(&login("a", "three")).await.unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
        assert_eq!(store.find(&login("a", "").server).await.unwrap(), Some(login("a", "three")));
        assert_eq!(store.list().await.unwrap().len(), 2);
        store.remove(&login("a", "").server).await.unwrap();
        store.remove(&login("a", "").server).await.unwrap();
        assert!(store.find(&login("a", "").server).await.unwrap().is_none());
        assert!(store.find(&login("b", "").server).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_file_that_others_can_read_or_that_is_none_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("credentials.json");
        let store = Store::open(None, Some(&file)).unwrap();
        store.put(&login("a", "one")).await.unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let error = store.put(&login("b", "two")).await.unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&file, "{\"a\": s3cret").unwrap();
        let error = store.list().await.unwrap_err().to_string();
        assert!(error.contains("is not a file of logins") && !error.contains("s3cret"), "{error}");
    }

    #[tokio::test]
    async fn many_at_once_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("credentials.json");
        let writers: Vec<_> = (0..16)
            .map(|n| {
                let store = Store::open(None, Some(&file)).unwrap();
                std::thread::spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                    runtime.block_on(store.put(&login(&format!("server-{n}"), "secret"))).unwrap();
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        assert_eq!(Store::open(None, Some(&file)).unwrap().list().await.unwrap().len(), 16);
    }
}
