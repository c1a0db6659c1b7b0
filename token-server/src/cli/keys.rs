//! `key`.
//!
//! *Invariant:* only public halves are printed.

use std::path::Path;

use shared::clock::{Clock as _, SystemClock};
use zeroize::Zeroizing;

use super::arguments::Output;
use super::arguments::records::{KeyCommand, KeyFormat, MadeAlgorithm};
use super::error::CliError;
use super::terminal::{confirm, remark, show};
use super::{administration, json, listings, log_quietly, terminal};
use crate::app;
use crate::domain::keys::key_life::{AddedKey, Urgency};
use crate::domain::keys::key_policy::KEY_SET_MAX_AGE;
use crate::domain::keys::key_store;
use crate::domain::keys::signing::{KeyAlgorithm, SignsFor};
use crate::domain::keys::signing_import::Expiry;
use crate::domain::record::audit::{COMMAND_LINE, moment};
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
        KeyCommand::Retire { key, confirmation } => {
            let administration = administration(settings).await?;
            let key = administration.show_key(&key).await?.kid;
            confirm(&format!("Retire key {key}, so that no token counts that it has signed?"), confirmation)?;
            administration.retire_key(&key).await?;
            remark(&format!(
                "key {key} retired; servers publish it no more within seconds, and registries refuse tokens that it \
                 signed when they next fetch the keys, within {} minutes; those with keys in a file do when they get a \
                 new one",
                KEY_SET_MAX_AGE.as_secs() / 60
            ));
            Ok(())
        }
        KeyCommand::Rotate { now, algorithm } => {
            let urgency = if now { Urgency::Emergency } else { Urgency::Ordinary };
            rotate(algorithm, urgency, settings, output).await
        }
        KeyCommand::Import { certificate, key, allow_expired, for_algorithm } => {
            let expiry = if allow_expired { Expiry::Allowed } else { Expiry::Refused };
            let signs_for = if for_algorithm { SignsFor::Algorithm } else { SignsFor::All };
            import((&certificate, &key), signs_for, expiry, settings).await
        }
        KeyCommand::Export { format } => export(format, settings).await,
    }
}

async fn import(
    (certificate, key): (&Path, &Path),
    signs_for: SignsFor,
    expiry: Expiry,
    settings: &TokenServerSettings,
) -> Result<(), CliError> {
    let (certificate, key) = (read(certificate)?, read(key)?);
    let administration = administration(settings).await?;
    let imported = administration.import_key(&certificate, &key, signs_for, expiry).await?;
    remark(&format!("key {} imported; {}", imported.kid, outlook(&imported, settings)));
    Ok(())
}

async fn rotate(
    algorithm: Option<MadeAlgorithm>,
    urgency: Urgency,
    settings: &TokenServerSettings,
    output: Output,
) -> Result<(), CliError> {
    let algorithm = algorithm.map(|algorithm| match algorithm {
        MadeAlgorithm::Es256 => KeyAlgorithm::Es256,
        MadeAlgorithm::EdDsa => KeyAlgorithm::EdDsa,
    });
    let administration = administration(settings).await?;
    let added = administration.rotate_key(algorithm, urgency).await?;
    remark(&format!(
        "key {} made; {}; registries that take keys from a file need a new one before that (`key export`)",
        added.kid,
        outlook(&added, settings)
    ));
    if urgency == Urgency::Emergency {
        remark(
            "when it signs, `key retire` ends the key that others may have, with all tokens that it has signed",
        );
    }
    let key = administration.show_key(&added.kid).await?;
    Ok(show(output, || key.kid.clone(), || json::key(&key))?)
}

/// What is going to happen.
fn outlook(added: &AddedKey, settings: &TokenServerSettings) -> String {
    let whom = match added.signs_for {
        SignsFor::All => "",
        SignsFor::Algorithm => " for registries that ask for it",
    };
    format!(
        "it signs with {}{whom} from {} on, also in running servers; a key whose place it takes is published until {}",
        added.algorithm.as_str(),
        moment(added.signs_since),
        moment(added.signs_since + settings.keys.verification)
    )
}

/// Keys are made if they are missing, so that registries can be set up before the first start.
async fn export(format: KeyFormat, settings: &TokenServerSettings) -> Result<(), CliError> {
    log_quietly();
    let pool = app::open_database(&settings.database).await?;
    let tools = app::key_tools(settings);
    let ring = key_store::load_or_create_keys(&pool, &tools, &SystemClock, COMMAND_LINE).await?;
    let now = SystemClock.now();
    let text = match format {
        KeyFormat::Pem => ring.certificates_pem(now),
        KeyFormat::Jwks => serde_json::to_string_pretty(&ring.key_set(now)).map_err(std::io::Error::from)?,
    };
    Ok(terminal::print(&text)?)
}

fn read(file: &Path) -> Result<Zeroizing<Vec<u8>>, CliError> {
    super::files::read(file, MAX_FILE_BYTES).map(Zeroizing::new)
}
