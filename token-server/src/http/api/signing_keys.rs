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
use crate::domain::administration::keys::{KeyPlace, KeySummary};
use crate::domain::moment::written;
use crate::domain::signing_import::Expiry;
use crate::http::error::ApiError;

const LIST: &str = "/api/v1/keys";
const ONE: &str = "/api/v1/keys/{key}";

/// The public half of a key that signs tokens.
#[derive(Debug, Serialize, ToSchema)]
pub struct SigningKey {
    /// Its id, which is its thumbprint.
    pub id: String,
    /// `ES256` or `RS256`.
    pub algorithm: String,
    /// `generated`, or `imported` from another token server.
    pub origin: String,
    /// `waiting` (it is published and does not sign yet), `signing`, or `verifying` (it verifies what it signed).
    pub state: String,
    /// Since when it signs, or from when on.
    #[schema(format = DateTime)]
    pub signs_since: String,
    /// Its certificate, PEM.
    pub certificate: String,
}

impl From<&KeySummary> for SigningKey {
    fn from(key: &KeySummary) -> Self {
        Self {
            id: key.kid.clone(),
            algorithm: key.algorithm.as_str().to_owned(),
            origin: key.origin.as_str().to_owned(),
            state: key.state.as_str().to_owned(),
            signs_since: written(key.signs_since),
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
        Endpoint::new(Method::GET, ONE, "getKey", |call| get(call).boxed_local())
            .summary("Shows the public half of a key.")
            .one::<SigningKey>(),
        Endpoint::new(Method::DELETE, ONE, "removeKey", |call| remove(call).boxed_local())
            .summary("Removes a key, so that no token counts that it has signed; not the last one that can sign."),
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
    let administration = call.administration()?;
    let imported = administration.import_key(certificate, key, expiry).await?;
    let key = administration.show_key(&imported.kid).await?;
    Ok(Reply::made(format!("{LIST}/{}", imported.kid), &SigningKey::from(&key)))
}

async fn remove(call: Call) -> Result<Reply, ApiError> {
    call.administration()?.remove_key(&call.path("key")).await?;
    Ok(Reply::Done)
}

async fn get(call: Call) -> Result<Reply, ApiError> {
    Ok(Reply::one(&SigningKey::from(&call.administration()?.show_key(&call.path("key")).await?)))
}
