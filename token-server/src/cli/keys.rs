//! `key`.
//!
//! *Invariant:* only public halves are printed.

use std::path::Path;

use ring::rand::SystemRandom;
use shared::clock::SystemClock;
use zeroize::Zeroizing;

use super::arguments::Output;
use super::arguments::records::{KeyCommand, KeyFormat};
use super::error::CliError;
use super::terminal::{confirm, remark, show};
use super::{administration, json, listings, log_quietly, terminal};
use crate::app;
use crate::domain::audit::{COMMAND_LINE, moment};
use crate::domain::key_store;
use crate::domain::signing_import::Expiry;
use crate::settings::TokenServerSettings;

/// Far above any file with a certificate or a key.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Runs a command about the signing keys.
pub(super) async fn key(
    command: KeyCommand,
    settings: &TokenServerSettings,
    output: Output,
) -> Result<(), CliError> {
    match command {
        KeyCommand::List => {
            let found = administration(settings).await?.list_keys().await?;
            Ok(show(output, || listings::keys(&found), || json::keys(&found))?)
        }
        KeyCommand::Remove { key, confirmation } => {
            let administration = administration(settings).await?;
            let key = administration.show_key(&key).await?.kid;
            confirm(&format!("Remove key {key}, so that no token counts that it has signed?"), confirmation)?;
            administration.remove_key(&key).await?;
            remark(&format!("key {key} removed; running servers notice within seconds"));
            Ok(())
        }
        KeyCommand::Import { certificate, key, allow_expired } => {
            let expiry = if allow_expired { Expiry::Allowed } else { Expiry::Refused };
            import(&certificate, &key, expiry, settings).await
        }
        KeyCommand::Export { format } => export(format, settings).await,
    }
}

async fn import(
    certificate: &Path,
    key: &Path,
    expiry: Expiry,
    settings: &TokenServerSettings,
) -> Result<(), CliError> {
    let (certificate, key) = (read(certificate)?, read(key)?);
    let imported = administration(settings).await?.import_key(&certificate, &key, expiry).await?;
    terminal::remark(&format!(
        "key {} imported; it signs with {} from {} on, also in running servers; keys from before stay published",
        imported.kid,
        imported.algorithm.as_str(),
        moment(imported.signs_since)
    ));
    Ok(())
}

/// A key is made if there is none, so that registries can be set up before the first start.
async fn export(format: KeyFormat, settings: &TokenServerSettings) -> Result<(), CliError> {
    log_quietly();
    let pool = app::open_database(&settings.database).await?;
    let random = SystemRandom::new();
    let secret = &settings.secret;
    let ring = key_store::load_or_create_keys(&pool, secret, &random, &SystemClock, COMMAND_LINE).await?;
    let text = match format {
        KeyFormat::Pem => ring.certificates_pem(),
        KeyFormat::Jwks => serde_json::to_string_pretty(&ring.key_set()).map_err(std::io::Error::from)?,
    };
    Ok(terminal::print(&text)?)
}

fn read(file: &Path) -> Result<Zeroizing<Vec<u8>>, CliError> {
    super::files::read(file, MAX_FILE_BYTES).map(Zeroizing::new)
}
