//! Getting a login, which may have to be begun, and ending one.
//!
//! *Invariant:* helpers that need a login at the same server at the same time begin one, not many. A login that the server
//! has ended is forgotten; one about which it could not be asked stays.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::Stdio;

use shared::server::causes;
use tokio::process::Command;

use super::protocol::{HelperError, Login, Server, TOKEN};
use super::remote::{RemoteError, TokenServer, Waiting};
use super::store::Store;
use super::{Settings, WhenToAsk};

/// What is needed to answer a client.
pub(super) struct Desk {
    /// Where logins are.
    pub(super) store: Store,
    /// What the person set.
    pub(super) settings: Settings,
}

impl Desk {
    /// The login at a server, which is begun now if there is none and somebody is there.
    pub(super) async fn get(&self, server: &Server) -> Result<Login, HelperError> {
        if let Some(login) = self.kept(server).await? {
            return Ok(login);
        }
        if !self.somebody_is_there() {
            return Err(HelperError::NotFound);
        }
        let mut held = self.store.hold(server).await?;
        // Whoever held it before may have been asked for the same.
        if let Some(login) = self.kept(server).await? {
            return Ok(login);
        }
        // What somebody said to that one is said to all who waited for it.
        if let Some(sentence) = held.said_meanwhile() {
            return Err(RemoteError::Refused { server: server.clone(), sentence }.into());
        }
        match self.begin(server).await {
            // Somebody said no; to go on as a stranger is not what was meant by that.
            Err(HelperError::Remote(RemoteError::Refused { server, sentence })) => {
                held.say(&sentence);
                Err(RemoteError::Refused { server, sentence }.into())
            }
            // Nobody can log in there with a browser, or it is away; the client goes on and says so itself.
            Err(HelperError::Remote(error)) => {
                tell(&causes::sentence(&error));
                Err(HelperError::NotFound)
            }
            begun => begun,
        }
    }

    /// What is in the store, unless the server has ended it.
    async fn kept(&self, server: &Server) -> Result<Option<Login>, HelperError> {
        let Some(login) = self.store.find(server).await? else { return Ok(None) };
        if login.is_token()
            && let Ok(token_server) = TokenServer::of(server, self.settings.ca.as_deref()).await
            && let Ok(false) = token_server.is_good(&login.secret).await
        {
            // Another helper may have put a new one there in the meantime.
            let now = self.store.find(server).await?;
            if now.as_ref() != Some(&login) {
                return Ok(now);
            }
            self.store.remove(server).await?;
            return Ok(None);
        }
        Ok(Some(login))
    }

    /// Begins a login, which is kept, or given back where that does not work.
    async fn begin(&self, server: &Server) -> Result<Login, HelperError> {
        let token_server = TokenServer::of(server, self.settings.ca.as_deref()).await?;
        let waiting = token_server.begin().await?;
        let Waiting { address, user_code, .. } = &waiting;
        tell(&format!("to log in at {server}, open {address} and compare the code {user_code}"));
        self.open(address.as_str());
        let secret = token_server.wait(waiting).await?;
        let login = Login { server: server.clone(), username: TOKEN.to_owned(), secret };
        if let Err(error) = self.store.put(&login).await {
            // Nobody could use it, or end it later.
            let _ = token_server.give_back(&login.secret).await;
            return Err(error.into());
        }
        Ok(login)
    }

    /// Forgets a login, and ends it where it came from.
    pub(super) async fn erase(&self, server: &Server) -> Result<(), HelperError> {
        let Some(login) = self.store.find(server).await? else { return Ok(()) };
        if login.is_token() {
            let ended = async {
                TokenServer::of(server, self.settings.ca.as_deref()).await?.give_back(&login.secret).await
            };
            if let Err(error) = ended.await {
                let sentence = causes::sentence(&error);
                tell(&format!(
                    "the login was forgotten here, but may still be good at the server: {sentence}"
                ));
            }
        }
        Ok(self.store.remove(server).await?)
    }

    fn somebody_is_there(&self) -> bool {
        match self.settings.login {
            WhenToAsk::Always => true,
            WhenToAsk::Never => false,
            WhenToAsk::Auto => io::stderr().is_terminal(),
        }
    }

    /// Opens the address if there is a screen; it was printed in any case.
    fn open(&self, address: &str) {
        let has_screen = [&self.settings.display, &self.settings.wayland_display];
        let has_screen =
            has_screen.iter().any(|screen| screen.as_ref().is_some_and(|screen| !screen.is_empty()));
        let usual = if cfg!(target_os = "macos") { Some("open") } else { has_screen.then_some("xdg-open") };
        let Some(program) = self.settings.browser.as_deref().or(usual).filter(|name| !name.is_empty()) else {
            return;
        };
        let mut command = Command::new(program);
        command.arg(address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Err(error) = command.spawn() {
            tell(&format!("{program} cannot be started: {error}"));
        }
    }
}

/// Tells the person something; standard output belongs to the client.
fn tell(sentence: &str) {
    // Where nobody listens, nothing is lost.
    let _ = writeln!(io::stderr().lock(), "docker-credential-portcullis: {sentence}");
}
