//! The settings files the servers of a test read, the same way an operator writes them.
//!
//! *Invariant:* both files agree on issuer, service and addresses, because they are made from one value.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The issuer in every test.
pub const ISSUER: &str = "portcullis";

/// The service name of our registry in every test.
pub const SERVICE: &str = "portcullis-registry";

/// The service name of a distribution registry behind our token server.
pub const PEER_SERVICE: &str = "peer-registry";

/// Path of the token server's public keys.
pub const KEYS_PATH: &str = "/.well-known/jwks.json";

/// Path of the token server's feed of revocations.
const FEED_PATH: &str = "/feed/revocations";

/// What registries bring there.
pub const FEED_SECRET: &str = "fedcba9876543210fedcba9876543210";

/// What people are told they log in to where there is a password file.
pub const REALM: &str = "Registry of a test";

/// A token endpoint that nobody is expected to ask.
const NOWHERE: &str = "http://127.0.0.1:1/token";

/// What protects the keys of every token server here.
pub const TOKEN_SERVER_SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef";

/// What differs between tests.
#[derive(Clone, Debug)]
pub struct TokenServerOptions {
    /// `host:port`; port 0 for any.
    pub address: String,
    /// The database.
    pub database_url: String,
    /// Lifetime of tokens, such as `300s`.
    pub token_lifetime: &'static str,
    /// More YAML at the top level.
    pub more: String,
}

/// Writes the settings of a token server and returns where.
pub fn write_token_server(folder: &Path, options: &TokenServerOptions) -> anyhow::Result<PathBuf> {
    let TokenServerOptions { address, database_url, token_lifetime, more } = options;
    let file = folder.join("token-server.yml");
    std::fs::write(
        &file,
        format!(
            "http:\n  addr: {address}\ndatabase:\n  url: {database_url}\nsecret: {TOKEN_SERVER_SECRET}\n\
             token:\n  issuer: {ISSUER}\n  lifetime: {token_lifetime}\n\
             audiences:\n  {SERVICE}:\n    verifier: portcullis\n  {PEER_SERVICE}:\n    \
             verifier: distribution2\n{more}\n"
        ),
    )?;
    Ok(file)
}

/// Whose tokens a registry takes.
#[derive(Clone, Debug)]
pub enum Auth {
    /// `auth: none`.
    Open,
    /// Our token server at this URL.
    TokenServer {
        /// Such as `http://127.0.0.1:5001`.
        url: String,
        /// Send clients to the registry's own address and pass their requests on.
        same_origin: bool,
        /// Follow its feed of revocations; what counts without it.
        feed: Option<&'static str>,
    },
    /// Keys in a file; the issuer exists only in the test.
    Keys {
        /// The key set.
        file: PathBuf,
        /// `strict` or `standard`.
        profile: &'static str,
    },
    /// Certificates in a file, and nothing else; the issuer exists only in the test.
    Certificates {
        /// The bundle.
        file: PathBuf,
    },
    /// Users and passwords in a file, such as [`crate::passwords::write`] makes.
    Htpasswd {
        /// The password file.
        file: PathBuf,
    },
}

/// What differs between tests.
#[derive(Clone, Debug)]
pub struct RegistryOptions {
    /// `host:port`; port 0 for any.
    pub address: String,
    /// The folder of the images.
    pub root: PathBuf,
    /// Who may do what.
    pub auth: Auth,
    /// More YAML at the top level.
    pub more: String,
}

/// Writes the settings of a registry and returns where.
pub fn write_registry(folder: &Path, options: &RegistryOptions) -> anyhow::Result<PathBuf> {
    let RegistryOptions { address, root, auth, more } = options;
    let mut text = format!(
        "version: 0.1\nhttp:\n  addr: {address}\n  secret: of-a-test\nstorage:\n  filesystem:\n    \
         rootdirectory: {}\n  delete:\n    enabled: true\n",
        root.display()
    );
    let token = |text: &mut String, realm: &str, keys: &str, profile: &str| {
        write!(
            text,
            "auth:\n  token:\n    realm: {realm}\n    service: {SERVICE}\n    issuer: {ISSUER}\n    \
             {keys}\n    profile: {profile}\n"
        )
    };
    match auth {
        Auth::Open => text.push_str("auth: none\n"),
        Auth::TokenServer { url, same_origin, feed } => {
            token(&mut text, &format!("{url}/token"), &format!("jwks: {url}{KEYS_PATH}"), "strict")?;
            if *same_origin {
                write!(text, "    autoredirect: true\n    forward: {url}/token\n")?;
            }
            if let Some(stale) = feed {
                write!(
                    text,
                    "    revocations:\n      url: {url}{FEED_PATH}\n      secret: {FEED_SECRET}\n      stale: {stale}\n"
                )?;
            }
        }
        Auth::Keys { file, profile } => {
            token(&mut text, NOWHERE, &format!("jwks: {}", file.display()), profile)?;
        }
        Auth::Certificates { file } => {
            token(&mut text, NOWHERE, &format!("rootcertbundle: {}", file.display()), "standard")?;
        }
        Auth::Htpasswd { file } => {
            write!(text, "auth:\n  htpasswd:\n    realm: {REALM}\n    path: {}\n", file.display())?;
        }
    }
    let file = folder.join("registry.yml");
    std::fs::write(&file, format!("{text}{more}\n"))?;
    Ok(file)
}
