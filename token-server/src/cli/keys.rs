//! `key`.
//!
//! *Invariant:* only public halves are printed.

use ring::rand::SystemRandom;
use shared::clock::SystemClock;

use super::arguments::records::{KeyCommand, KeyFormat};
use super::error::CliError;
use super::{log_quietly, terminal};
use crate::app;
use crate::domain::key_store;
use crate::settings::TokenServerSettings;

/// Runs a command about the signing key. The key is made if there is none, so that registries can be set up before
/// the first start.
pub(super) async fn key(command: KeyCommand, settings: &TokenServerSettings) -> Result<(), CliError> {
    let KeyCommand::Export { format } = command;
    log_quietly();
    let pool = app::open_database(&settings.database).await?;
    let random = SystemRandom::new();
    let key = key_store::load_or_create_signing_key(&pool, &settings.secret, &random, &SystemClock).await?;
    let text = match format {
        KeyFormat::Pem => key.certificate_pem(),
        KeyFormat::Jwks => serde_json::to_string_pretty(&key.key_set()).map_err(std::io::Error::from)?,
    };
    Ok(terminal::print(&text)?)
}
