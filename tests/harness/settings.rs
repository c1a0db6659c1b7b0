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
    let secret = "0123456789abcdef0123456789abcdef0123456789abcdef";
    std::fs::write(
        &file,
        format!(
            "http:\n  addr: {address}\ndatabase:\n  url: {database_url}\nsecret: {secret}\n\
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
    },
    /// Keys in a file; the issuer exists only in the test.
    Keys {
        /// The key set.
        file: PathBuf,
        /// `strict` or `standard`.
        profile: &'static str,
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
    let token = |text: &mut String, realm: &str, jwks: &str, profile: &str| {
        write!(
            text,
            "auth:\n  token:\n    realm: {realm}\n    service: {SERVICE}\n    issuer: {ISSUER}\n    \
             jwks: {jwks}\n    profile: {profile}\n"
        )
    };
    match auth {
        Auth::Open => text.push_str("auth: none\n"),
        Auth::TokenServer { url, same_origin } => {
            token(&mut text, &format!("{url}/token"), &format!("{url}{KEYS_PATH}"), "strict")?;
            if *same_origin {
                write!(text, "    autoredirect: true\n    forward: {url}/token\n")?;
            }
        }
        Auth::Keys { file, profile } => {
            token(&mut text, "http://127.0.0.1:1/token", &file.display().to_string(), profile)?;
        }
    }
    let file = folder.join("registry.yml");
    std::fs::write(&file, format!("{text}{more}\n"))?;
    Ok(file)
}
