//! The keys that sign tokens: `/api/v1/keys`.
//!
//! *Invariant:* a private key is taken and never given.

use actix_web::http::Method;
use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};
use shared::secret::Secret;
use utoipa::ToSchema;

use super::call::Call;
use super::cursor;
use super::endpoint::Endpoint;
use super::reply::Reply;
use crate::domain::administration::Administration;
use crate::domain::administration::keys::{KeyPlace, KeySummary};
use crate::domain::error::TokenServerError;
use crate::domain::keys::key_life::Urgency;
use crate::domain::keys::signing::{KeyAlgorithm, SignsFor};
use crate::domain::keys::signing_import::Expiry;
use crate::domain::words::moment::written;
use crate::http::error::ApiError;

const LIST: &str = "/api/v1/keys";
const ROTATE: &str = "/api/v1/keys/rotate";
const ONE: &str = "/api/v1/keys/{key}";

/// The public half of a key that signs tokens.
#[derive(Debug, Serialize, ToSchema)]
pub struct SigningKey {
    /// Its id, which is its thumbprint.
    pub id: String,
    /// `ES256`, `RS256` or `EdDSA`.
    pub algorithm: String,
    /// `all` registries, or only those that ask for its `algorithm`.
    pub signs_for: String,
    /// `generated`, or `imported` from another token server.
    pub origin: String,
    /// `staged` (it is published and does not sign yet), `active` (it signs), `verify-only` (it is published for what it
    /// signed), or `retired`.
    pub state: String,
    /// Since when it signs, or from when on.
    #[schema(format = DateTime)]
    pub signs_since: String,
    /// Since when it is retired, or from when on, if that is known.
    #[schema(required = true, format = DateTime)]
    pub retires_at: Option<String>,
    /// Its certificate, PEM.
    pub certificate: String,
}

impl From<&KeySummary> for SigningKey {
    fn from(key: &KeySummary) -> Self {
        Self {
            id: key.kid.clone(),
            algorithm: key.algorithm.as_str().to_owned(),
            signs_for: key.signs_for.as_str().to_owned(),
            origin: key.origin.as_str().to_owned(),
            state: key.state.as_str().to_owned(),
            signs_since: written(key.signs_since),
            retires_at: key.retires_at.map(written),
            certificate: key.certificate.clone(),
        }
    }
}

/// A key pair that another token server signed with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewKey {
    /// Its certificate, PEM, as registries have it in `rootcertbundle`.
    certificate: String,
    /// Its private key, PEM: RSA with 2048 to 4096 bits, or P-256.
    #[schema(value_type = String, format = Password)]
    key: Secret,
    /// Take it although the certificate has expired.
    #[serde(default)]
    allow_expired: bool,
    /// Sign with it only for registries whose settings ask for its algorithm.
    #[serde(default)]
    for_algorithm: bool,
}

/// Which key is to be made, and how soon it signs.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"now": false}))]
struct Rotation {
    /// Sign with it as soon as every server has published it, without waiting for registries to fetch it.
    #[serde(default)]
    now: bool,
    /// `ES256` or `EdDSA`: make it for registries that ask for this algorithm, and not for all.
    algorithm: Option<String>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Method::GET, LIST, "listKeys", |call| list(call).boxed_local())
            .summary("Lists the keys that sign tokens, the newest first; for who holds everything.")
            .page::<SigningKey>(),
        Endpoint::new(Method::POST, LIST, "importKey", |call| import(call).boxed_local())
            .summary(
                "Signs with a key pair that another token server signed with, from half a minute later on, when every \
                 server has published it.",
            )
            .body::<NewKey>()
            .made::<SigningKey>(),
        // Before what takes any id, because the router goes by the order.
        Endpoint::new(Method::POST, ROTATE, "rotateKey", |call| rotate(call).boxed_local())
            .summary(
                "Makes a key that takes the place of the one which signs, when registries have fetched it, or at once.",
            )
            .body::<Rotation>()
            .made::<SigningKey>(),
        Endpoint::new(Method::GET, ONE, "getKey", |call| get(call).boxed_local())
            .summary("Shows the public half of a key.")
            .one::<SigningKey>(),
        Endpoint::new(Method::DELETE, ONE, "retireKey", |call| retire(call).boxed_local())
            .summary("Retires a key, so that no token counts that it has signed; not the last one that can sign."),
    ]
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let behind: Option<KeyPlace> = cursor::read("keys", &call.query)?;
    let page = call.administration()?.page_of_keys(behind.as_ref(), call.query.limit()?).await?;
    let next = page.next.map(|id| cursor::write("keys", &id));
    Ok(Reply::page(page.items.iter().map(SigningKey::from).collect(), next))
}

async fn import(call: Call) -> Result<Reply, ApiError> {
    let new: NewKey = call.body()?;
    let expiry = if new.allow_expired { Expiry::Allowed } else { Expiry::Refused };
    let (certificate, key) = (new.certificate.as_bytes(), new.key.expose().as_bytes());
    let signs_for = if new.for_algorithm { SignsFor::Algorithm } else { SignsFor::All };
    let administration = call.administration()?;
    let imported = administration.import_key(certificate, key, signs_for, expiry).await?;
    made(administration, &imported.kid).await
}

async fn rotate(call: Call) -> Result<Reply, ApiError> {
    let Rotation { now, algorithm } = call.body()?;
    let urgency = if now { Urgency::Emergency } else { Urgency::Ordinary };
    let read = |word: String| {
        let sentence = || format!("{word:?} is no algorithm of keys; use ES256 or EdDSA");
        KeyAlgorithm::parse(&word).ok_or_else(|| TokenServerError::Contradiction(sentence()))
    };
    let algorithm = algorithm.map(read).transpose()?;
    let administration = call.administration()?;
    let added = administration.rotate_key(algorithm, urgency).await?;
    made(administration, &added.kid).await
}

async fn made(administration: &Administration, kid: &str) -> Result<Reply, ApiError> {
    let key = administration.show_key(kid).await?;
    Ok(Reply::made(format!("{LIST}/{kid}"), &SigningKey::from(&key)))
}

async fn retire(call: Call) -> Result<Reply, ApiError> {
    call.administration()?.retire_key(&call.path("key")).await?;
    Ok(Reply::Done)
}

async fn get(call: Call) -> Result<Reply, ApiError> {
    Ok(Reply::one(&SigningKey::from(&call.administration()?.show_key(&call.path("key")).await?)))
}
