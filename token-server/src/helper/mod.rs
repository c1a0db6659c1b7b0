//! `docker-credential-portcullis`: logins for docker, podman, crane, helm and the kubelet without a password on disk.
//!
//! It runs where the client runs and knows nothing of the server but its addresses. `protocol` is what clients say to
//! helpers, `remote` what is asked of the token server, `store` where logins are kept; `login` begins one, and
//! `kubelet` answers for the token of a pod.
//!
//! *Invariant:* standard output carries the answer or one sentence about a failure, as clients expect; a secret goes there
//! and into the store, nowhere else. A login is begun only where somebody can see the address.

mod protocol;

mod remote;

mod store;

mod login;

mod kubelet;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use shared::clock::{Clock as _, SystemClock};
use shared::server::causes;

use login::Desk;
use protocol::{HelperError, Login};
use store::Store;

/// Keeps logins at container registries for docker, podman, crane, helm and the kubelet.
#[derive(Debug, Parser)]
#[command(name = "docker-credential-portcullis", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
struct Settings {
    /// Whether a login may be begun in a browser: where there is a terminal, never, or always
    #[arg(long, global = true, env = "PORTCULLIS_LOGIN", value_enum, default_value = "auto")]
    login: WhenToAsk,
    /// The program `docker-credential-KEYRING` keeps the logins: secretservice, pass, osxkeychain …
    #[arg(long, global = true, env = "PORTCULLIS_KEYRING", value_name = "KEYRING", value_parser = keyring)]
    keyring: Option<String>,
    /// The file that keeps them otherwise [default: ~/.config/portcullis/credentials.json]
    #[arg(long, global = true, env = "PORTCULLIS_CREDENTIALS", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Authorities in PEM to believe, beside those of the system and of docker's certs.d
    #[arg(long, global = true, env = "PORTCULLIS_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The program that opens the address [default: xdg-open or open, where there is a screen]
    #[arg(long, global = true, env = "PORTCULLIS_BROWSER", value_name = "PROGRAM")]
    browser: Option<String>,
    #[arg(long, hide = true, global = true, env = "DISPLAY")]
    display: Option<String>,
    #[arg(long, hide = true, global = true, env = "WAYLAND_DISPLAY")]
    wayland_display: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum WhenToAsk {
    Auto,
    Never,
    Always,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints the login at the server whose address is on standard input, after beginning one if there is none
    Get,
    /// Keeps the login on standard input
    Store,
    /// Forgets the login at the server whose address is on standard input, and ends it there
    Erase,
    /// Lists servers and users
    List,
    /// Prints the version
    Version,
    /// Answers the kubelet: a pod pulls with the token of its service account
    Kubelet,
}

/// A word that names a program and no path to one; nothing, as for a variable that is empty, is the file.
fn keyring(word: &str) -> Result<String, String> {
    let is_word = word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    let is_own = word == "portcullis";
    match (is_word, is_own) {
        (true, false) => Ok(word.to_owned()),
        (_, true) => Err("a keyring of others is meant".to_owned()),
        (false, _) => Err("what comes after docker-credential- is meant".to_owned()),
    }
}

/// Does what the arguments say.
pub async fn main() -> ExitCode {
    let Arguments { command, settings } = Arguments::parse();
    match run(&command, settings).await {
        Ok(answer) => match io::stdout().lock().write_all(answer.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(error) => {
            // Clients show what they find on standard output; the kubelet shows the other.
            let sentence = format!("{}\n", causes::sentence(&error));
            let _ = if matches!(command, Command::Kubelet) {
                io::stderr().lock().write_all(sentence.as_bytes())
            } else {
                io::stdout().lock().write_all(sentence.as_bytes())
            };
            ExitCode::FAILURE
        }
    }
}

async fn run(command: &Command, settings: Settings) -> Result<String, HelperError> {
    match command {
        Command::Version => {
            return Ok(format!("docker-credential-portcullis {}\n", env!("CARGO_PKG_VERSION")));
        }
        Command::Kubelet => return kubelet::answer(&protocol::read_input()?, SystemClock.unix_now()),
        _ => {}
    }
    let store =
        Store::open(settings.keyring.as_deref().filter(|name| !name.is_empty()), settings.file.as_deref())?;
    match command {
        Command::List => Ok(protocol::listing(&store.list().await?)),
        Command::Store => {
            let login = Login::parse(&protocol::read_input()?)?;
            store.put(&login).await?;
            Ok(String::new())
        }
        Command::Get => {
            let server = protocol::server(&protocol::read_input()?)?;
            Ok(Desk { store, settings }.get(&server).await?.render())
        }
        _ => {
            let server = protocol::server(&protocol::read_input()?)?;
            Desk { store, settings }.erase(&server).await?;
            Ok(String::new())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyring_is_a_word() {
        assert_eq!(keyring("secretservice"), Ok("secretservice".to_owned()));
        for word in ["../evil", "a b", "portcullis"] {
            assert!(keyring(word).is_err(), "{word}");
        }
    }
}
