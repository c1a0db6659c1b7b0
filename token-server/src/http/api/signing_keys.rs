//! The keys that sign tokens: `/api/v1/keys`.
//!
//! *Invariant:* a private key is taken and never given.

use actix_web::http::Method;
use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};
use shared::secret::Secret;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::call::Call;
use super::cursor;
use super::endpoint::Endpoint;
use super::reply::Reply;
use crate::domain::error::TokenServerError;
use crate::domain::key_ring::{DatedKey, KeyRing};
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

impl SigningKey {
    fn new(ring: &KeyRing, dated: &DatedKey, now: OffsetDateTime) -> Self {
        let DatedKey { key, signs_since } = dated;
        Self {
            id: key.kid().to_owned(),
            algorithm: key.algorithm().as_str().to_owned(),
            origin: key.origin().as_str().to_owned(),
            state: ring.state_of(dated, now).as_str().to_owned(),
            signs_since: written(*signs_since),
            certificate: key.certificate_pem(),
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
    ]
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let behind: Option<String> = cursor::read("keys", &call.query)?;
    let (administration, limit) = (call.administration()?, call.query.limit()?);
    let (found, now) = (administration.list_keys().await?, administration.now());
    let keys = found.iter().flat_map(|ring| ring.keys().map(|dated| SigningKey::new(ring, dated, now)));
    // Keys are never taken away, so the one that ended the page before is still there.
    let mut keys = keys.skip_while(|key| behind.as_ref().is_some_and(|behind| key.id != *behind));
    let mut keys = keys.by_ref().skip(usize::from(behind.is_some()));
    let items: Vec<_> = keys.by_ref().take(limit).collect();
    let next = keys.next().and(items.last()).map(|last| cursor::write("keys", &last.id));
    Ok(Reply::page(items, next))
}

async fn import(call: Call) -> Result<Reply, ApiError> {
    let new: NewKey = call.body()?;
    let expiry = if new.allow_expired { Expiry::Allowed } else { Expiry::Refused };
    let (certificate, key) = (new.certificate.as_bytes(), new.key.expose().as_bytes());
    let imported = call.administration()?.import_key(certificate, key, expiry).await?;
    let shown = show(&call, &imported.kid).await?;
    Ok(Reply::made(format!("{LIST}/{}", imported.kid), &shown))
}

async fn get(call: Call) -> Result<Reply, ApiError> {
    Ok(Reply::one(&show(&call, &call.path("key")).await?))
}

async fn show(call: &Call, id: &str) -> Result<SigningKey, ApiError> {
    let administration = call.administration()?;
    let (found, now) = (administration.list_keys().await?, administration.now());
    let missing = || TokenServerError::NotFound { kind: "signing key", name: id.to_owned() };
    let ring = found.ok_or_else(missing)?;
    let dated = ring.keys().find(|dated| dated.key.kid() == id).ok_or_else(missing)?;
    Ok(SigningKey::new(&ring, dated, now))
}
