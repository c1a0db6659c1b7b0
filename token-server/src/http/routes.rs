//! Every address of this server.
//!
//! *Invariant:* an address answers 405 with `Allow` to every method it does not take, without looking at
//! credentials.

use actix_web::web;
use shared::server::fallback::method_not_allowed;

use super::{Services, api, device, key_set, revocations, scim, token};

/// What the server does for clients, besides the API, whose addresses [`api::Resource`] has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A token for a query; on each configured path.
    GetToken,
    /// A token for a form; on each configured path.
    PostToken,
    /// Lets a program wait for somebody to allow it; below each configured path.
    PostDevice,
    /// Takes a login back; below each configured path.
    PostRevoke,
    /// The public keys.
    GetKeySet,
    /// The same without a body.
    HeadKeySet,
    /// Which tokens were taken back.
    GetRevocations,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 7] = [
        Self::GetToken,
        Self::PostToken,
        Self::PostDevice,
        Self::PostRevoke,
        Self::GetKeySet,
        Self::HeadKeySet,
        Self::GetRevocations,
    ];

    /// Its method.
    pub const fn method(self) -> &'static str {
        match self {
            Self::GetToken | Self::GetKeySet | Self::GetRevocations => "GET",
            Self::PostToken | Self::PostDevice | Self::PostRevoke => "POST",
            Self::HeadKeySet => "HEAD",
        }
    }

    /// Its path; for the token endpoint the first of the default ones.
    pub const fn path(self) -> &'static str {
        match self {
            Self::GetToken | Self::PostToken => "/token",
            Self::PostDevice => "/token/device",
            Self::PostRevoke => "/token/revoke",
            Self::GetKeySet | Self::HeadKeySet => "/.well-known/jwks.json",
            Self::GetRevocations => "/feed/revocations",
        }
    }
}

/// Routes for all operations; the token endpoint is on each of `token_paths`. What else there is comes last.
pub fn configure(
    services: Services,
    token_paths: Vec<String>,
    others: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
) -> impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static {
    move |config: &mut web::ServiceConfig| {
        config.app_data(web::Data::new(services.clone()));
        for path in &token_paths {
            config.service(
                web::resource(path.as_str())
                    .route(web::get().to(token::get_token))
                    .route(web::post().to(token::post_token))
                    .default_service(method_not_allowed("GET, POST")),
            );
            config.service(
                web::resource(format!("{path}/device"))
                    .route(web::post().to(device::begin))
                    .default_service(method_not_allowed("POST")),
            );
            config.service(
                web::resource(format!("{path}/revoke"))
                    .route(web::post().to(device::revoke))
                    .default_service(method_not_allowed("POST")),
            );
        }
        config.service(
            web::resource(Operation::GetKeySet.path())
                .route(web::get().to(key_set::get_key_set))
                .route(web::head().to(key_set::get_key_set))
                .default_service(method_not_allowed("GET, HEAD")),
        );
        config.service(
            web::resource(Operation::GetRevocations.path())
                .route(web::get().to(revocations::get_revocations))
                .default_service(method_not_allowed("GET")),
        );
        api::configure(config);
        scim::configure(config);
        others(config);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_lists_every_operation() {
        let manual = include_str!("../../README.md");
        for operation in Operation::ALL {
            let row = format!("| `{} {}` |", operation.method(), operation.path());
            assert!(manual.contains(&row), "{row}");
        }
    }
}
