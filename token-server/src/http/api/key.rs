//! The public keys for registries that take them from a file: `/api/v1/key`.
//!
//! *Invariant:* only public halves are given.

use actix_web::http::Method;
use futures_util::FutureExt as _;
use futures_util::future::ready;

use super::call::Call;
use super::endpoint::Endpoint;
use super::reply::Reply;

const PEM: &str = "application/x-pem-file";
const JWKS: &str = "application/jwk-set+json";

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Method::GET, "/api/v1/key/certificate", "getCertificate", |call| {
            ready(Ok(certificates(&call))).boxed_local()
        })
        .summary(
            "Gives the certificates of all keys but those for EdDSA, the newest first, for `rootcertbundle`.",
        )
        .text(PEM),
        Endpoint::new(Method::GET, "/api/v1/key/jwks", "getKeySet", |call| {
            ready(Ok(key_set(&call))).boxed_local()
        })
        .summary("Gives the public keys as a JSON web key set, for `jwks`.")
        .text(JWKS),
    ]
}

fn certificates(call: &Call) -> Reply {
    Reply::Text(
        PEM,
        call.services.keys.current().certificates_pem(call.services.administration.now()),
        Vec::new(),
    )
}

fn key_set(call: &Call) -> Reply {
    let keys = call.services.keys.current().key_set(call.services.administration.now());
    let text = serde_json::to_string(&keys).expect("a key set is plain strings");
    Reply::Text(JWKS, text, Vec::new())
}
