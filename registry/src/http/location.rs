//! The URLs in answers.
//!
//! *Invariant:* scheme and host come from the settings or, where those say nothing, from what the client itself
//! used; a forwarded header counts only from a trusted proxy.

use actix_web::HttpRequest;
use shared::server::client_address::Client;

use crate::settings::LocationSettings;

/// The URL of `path` on this registry.
pub(super) fn url(settings: &LocationSettings, request: &HttpRequest, path: &str) -> String {
    if let Some(host) = &settings.host {
        return format!("{host}{path}");
    }
    // Behind a proxy that is not trusted, only the client knows scheme and host.
    if settings.relative || Client::of(request).behind_unknown_proxy {
        return path.to_owned();
    }
    origin(settings, request).map_or_else(|| path.to_owned(), |origin| format!("{origin}{path}"))
}

/// Scheme and host as the client knows this registry; nothing when it sent no usable host.
pub(super) fn origin(settings: &LocationSettings, request: &HttpRequest) -> Option<String> {
    if let Some(host) = &settings.host {
        return Some(host.clone());
    }
    let client = Client::of(request);
    client.host.map(|host| format!("{}://{host}", client.scheme))
}
