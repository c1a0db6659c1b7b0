//! Where this registry is, as clients see it: every URL in an answer, and the path the protocol is served under.
//!
//! *Invariant:* each `Location`, `Link` and realm is printed here, so none lacks the prefix. Scheme and host come from
//! the settings or, where those say nothing, from what the client itself used; a forwarded header counts only from a
//! trusted proxy.

use actix_web::HttpRequest;
use shared::server::client_address::Client;
use url::Url;

use crate::settings::LocationSettings;

/// Prints URLs.
#[derive(Clone, Debug)]
pub(crate) struct Locations {
    /// The path above `/v2`, without a slash at its end.
    prefix: String,
    public: Option<PublicUrl>,
    relative: bool,
}

/// What the operator says clients use. It replaces the prefix: a proxy may serve this registry under another one.
#[derive(Clone, Debug)]
struct PublicUrl {
    origin: String,
    /// Without a slash at its end.
    path: String,
}

impl Locations {
    pub(crate) fn new(settings: &LocationSettings) -> Self {
        let public = settings.host.as_ref().map(|url| PublicUrl {
            origin: url.origin().ascii_serialization(),
            path: folder(url).to_owned(),
        });
        Self { prefix: settings.prefix.clone(), public, relative: settings.relative }
    }

    /// The path that all routes of the protocol begin with.
    pub(super) fn root(&self) -> String {
        format!("{}/v2", self.prefix)
    }

    /// The URL of `path`, which begins with `/v2/`, for a `Location`.
    pub(super) fn url(&self, request: &HttpRequest, path: &str) -> String {
        let path = self.link(path);
        // Behind a proxy that is not trusted, only the client knows scheme and host.
        let by_path = self.relative || Client::of(request).behind_unknown_proxy;
        if self.public.is_none() && by_path {
            return path;
        }
        match self.origin(request) {
            Some(origin) => origin + &path,
            None => path,
        }
    }

    /// The same without scheme and host, for a `Link`.
    pub(super) fn link(&self, path: &str) -> String {
        let before = self.public.as_ref().map_or(&self.prefix, |public| &public.path);
        format!("{before}{path}")
    }

    /// Scheme and host as the client knows this registry; nothing when it sent no usable host.
    pub(super) fn origin(&self, request: &HttpRequest) -> Option<String> {
        if let Some(public) = &self.public {
            return Some(public.origin.clone());
        }
        let client = Client::of(request);
        client.host.map(|host| format!("{}://{host}", client.scheme))
    }

    /// The same for the address that passwords are sent to. There a proxy that nobody knows is believed when it says
    /// `https`: a realm cannot leave the scheme out, and a lie only harms whoever tells it.
    pub(super) fn realm_origin(&self, request: &HttpRequest) -> Option<String> {
        let origin = self.origin(request)?;
        match origin.strip_prefix("http://") {
            Some(host) if self.public.is_none() && Client::of(request).claims_https => {
                Some(format!("https://{host}"))
            }
            _ => Some(origin),
        }
    }
}

/// The path up to its last slash, which is left out: what comes after it names no folder, as in any relative URL.
fn folder(url: &Url) -> &str {
    url.path().rsplit_once('/').map_or("", |(folder, _)| folder)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn locations(prefix: &str, host: Option<&str>, relative: bool) -> Locations {
        let host = host.map(|host| Url::parse(host).expect("a URL"));
        Locations::new(&LocationSettings { prefix: prefix.into(), host, relative })
    }

    #[test]
    fn every_url_has_the_prefix_unless_a_public_url_replaces_it() {
        let request = TestRequest::default().to_http_request();
        for (prefix, host, relative, url, link) in [
            ("", None, true, "/v2/a", "/v2/a"),
            ("/p", None, true, "/p/v2/a", "/p/v2/a"),
            // No `Host` in the request.
            ("/p", None, false, "/p/v2/a", "/p/v2/a"),
            ("", Some("https://r.example"), true, "https://r.example/v2/a", "/v2/a"),
            ("/p", Some("https://r.example/"), false, "https://r.example/v2/a", "/v2/a"),
            ("", Some("https://r.example:444/x/y/"), false, "https://r.example:444/x/y/v2/a", "/x/y/v2/a"),
            ("/p", Some("https://r.example/x/y"), false, "https://r.example/x/v2/a", "/x/v2/a"),
        ] {
            let locations = locations(prefix, host, relative);
            assert_eq!(locations.url(&request, "/v2/a"), url);
            assert_eq!(locations.link("/v2/a"), link);
            assert_eq!(locations.root(), format!("{prefix}/v2"));
        }
    }

    #[test]
    fn a_realm_is_at_the_root_of_the_public_url() {
        let request = TestRequest::default().to_http_request();
        let locations = locations("/p", Some("https://r.example/x/"), false);
        assert_eq!(locations.origin(&request).as_deref(), Some("https://r.example"));
    }
}
