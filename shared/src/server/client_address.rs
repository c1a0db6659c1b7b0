//! Who is really asking when proxies stand in between.
//!
//! `X-Forwarded-*` and `Forwarded` are claims of whoever sent them. They are believed only from a peer inside the
//! configured networks, and the address is the last one in the chain that is not itself such a proxy. Where
//! `X-Forwarded-For` is there, its kind counts: nearly every proxy sets it, and few take the other one away.
//!
//! *Invariant:* a client outside the trusted networks cannot choose the address it is known by, provided that the
//! proxy in front of it sets or removes `X-Forwarded-For`.
//!
//! Spec: RFC 7239.

use std::net::{IpAddr, SocketAddr};

use actix_web::dev::ServiceRequest;
use actix_web::http::header::{HOST, HeaderMap};
use actix_web::{HttpMessage as _, HttpRequest};
use ipnet::IpNet;

use super::settings::SettingsError;

/// What proxies say, the standard header first.
const FORWARDED: [&str; 4] = ["forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"];

/// The word for a proxy that connects through a unix socket.
const UNIX: &str = "unix";

/// Where proxies may stand.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    unix: bool,
}

impl TrustedProxies {
    /// Parses addresses, networks such as `10.0.0.0/8`, and the word `unix` for whoever reaches a unix socket.
    pub fn parse(proxies: &[String]) -> Result<Self, SettingsError> {
        let parse = |text: &String| {
            text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).map_err(|_| {
                format!(
                    "`http.trustedproxies`: `{text}` is neither an address nor a network such as 10.0.0.0/8, \
                     nor the word {UNIX}"
                )
            })
        };
        let (unix, networks): (Vec<_>, Vec<_>) = proxies.iter().partition(|text| *text == UNIX);
        let (networks, problems): (Vec<_>, Vec<_>) = networks.into_iter().map(parse).partition(Result::is_ok);
        if problems.is_empty() {
            Ok(Self { networks: networks.into_iter().flatten().collect(), unix: !unix.is_empty() })
        } else {
            Err(SettingsError::Problems(problems.into_iter().filter_map(Result::err).collect()))
        }
    }

    fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// Whether this peer may speak for others; one without an address came through a unix socket.
    fn trusts(&self, peer: Option<IpAddr>) -> bool {
        peer.map_or(self.unix, |address| self.contains(address))
    }
}

/// The client as seen through the trusted proxies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its address; absent on a unix socket, unless a trusted proxy told it.
    pub address: Option<IpAddr>,
    /// `http` or `https`, as the client typed it.
    pub scheme: &'static str,
    /// Host and port as the client typed them.
    pub host: Option<String>,
    /// Whether somebody who is not trusted says that there is a proxy, so that scheme and host may be another's.
    pub behind_unknown_proxy: bool,
    /// Whether that somebody says that the client typed `https`.
    pub claims_https: bool,
}

impl Client {
    /// The client of this request.
    pub fn of(request: &HttpRequest) -> Self {
        let known = request.extensions().get::<Self>().cloned();
        known.unwrap_or(Self {
            address: None,
            scheme: "http",
            host: None,
            behind_unknown_proxy: false,
            claims_https: false,
        })
    }

    pub(super) fn remember(request: &ServiceRequest, proxies: &TrustedProxies, tls: bool) {
        let client = Self::derive(request.peer_addr(), request.headers(), proxies, tls);
        request.extensions_mut().insert(client);
    }

    fn derive(peer: Option<SocketAddr>, headers: &HeaderMap, proxies: &TrustedProxies, tls: bool) -> Self {
        let direct = Self {
            address: peer.map(|peer| peer.ip().to_canonical()),
            scheme: if tls { "https" } else { "http" },
            host: header(headers, HOST.as_str()).filter(|host| is_host(host)).map(str::to_owned),
            behind_unknown_proxy: false,
            claims_https: false,
        };
        if proxies.trusts(direct.address) {
            return direct.forwarded(headers, proxies);
        }
        let behind_unknown_proxy = FORWARDED.iter().any(|name| headers.contains_key(*name));
        let claims_https =
            behind_unknown_proxy && direct.clone().forwarded(headers, proxies).scheme == "https";
        Self { behind_unknown_proxy, claims_https, ..direct }
    }

    fn forwarded(self, headers: &HeaderMap, proxies: &TrustedProxies) -> Self {
        let joined = FORWARDED.map(|name| joined(headers, name));
        let [standard, addresses, schemes, hosts] = &joined;
        let (mut chain, mut scheme, mut host) = (Vec::new(), None, None);
        if addresses.is_empty() && !standard.is_empty() {
            for (position, element) in standard.split(',').enumerate() {
                for (name, value) in element.split(';').filter_map(|pair| pair.trim().split_once('=')) {
                    let value = value.trim_matches('"');
                    match name.to_ascii_lowercase().as_str() {
                        "for" => chain.push(value),
                        "proto" if position == 0 => scheme = Some(value),
                        "host" if position == 0 => host = Some(value),
                        _ => {}
                    }
                }
            }
        } else {
            chain = addresses.split(',').filter(|text| !text.is_empty()).collect();
            scheme = schemes.split(',').next();
            host = hosts.split(',').next();
        }
        let address = chain.into_iter().rev().map_while(|text| parse_address(text.trim()));
        let mut seen = self.address;
        for address in address {
            seen = Some(address);
            if !proxies.contains(address) {
                break;
            }
        }
        let scheme = match scheme.map(str::trim) {
            Some(text) if text.eq_ignore_ascii_case("https") => "https",
            Some(text) if text.eq_ignore_ascii_case("http") => "http",
            _ => self.scheme,
        };
        let host = host.map(str::trim).filter(|host| is_host(host)).map(str::to_owned).or(self.host);
        Self { address: seen, scheme, host, ..self }
    }
}

/// The characters of a host with port; anything else is not worth repeating in a URL.
fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]_".contains(&b))
}

fn parse_address(text: &str) -> Option<IpAddr> {
    let address =
        text.parse::<IpAddr>().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    address.or_else(bracketed).map(|address| address.to_canonical())
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// All lines of a header as one list: a proxy may add a line of its own behind the one that came. What is no text
/// only spoils its own element.
fn joined(headers: &HeaderMap, name: &str) -> String {
    let lines = headers.get_all(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    lines.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn derive(peer: &str, headers: &[(&'static str, &str)]) -> Client {
        let peer = format!("{peer}:1").parse().expect("an address");
        derive_for(&["10.0.0.0/8", "::1"], Some(peer), headers)
    }

    fn derive_for(proxies: &[&str], peer: Option<SocketAddr>, headers: &[(&'static str, &str)]) -> Client {
        let proxies: Vec<String> = proxies.iter().map(|text| (*text).to_owned()).collect();
        let proxies = TrustedProxies::parse(&proxies).expect("networks");
        let mut request = TestRequest::default();
        for (name, value) in headers {
            request = request.append_header((*name, *value));
        }
        Client::derive(peer, request.to_http_request().headers(), &proxies, false)
    }

    #[test]
    fn a_peer_on_a_unix_socket_is_believed_only_if_that_is_configured() {
        let headers = [("x-forwarded-for", "203.0.113.9, 10.0.0.2"), ("x-forwarded-proto", "https")];
        let client = derive_for(&["unix", "10.0.0.0/8"], None, &headers);
        assert_eq!((address(&client).as_str(), client.scheme), ("203.0.113.9", "https"));
        let client = derive_for(&["10.0.0.0/8"], None, &headers);
        assert_eq!((client.address, client.scheme), (None, "http"));
        assert!(client.behind_unknown_proxy);
        // The word trusts nobody who comes through the network.
        let peer = "203.0.113.7:1".parse().expect("an address");
        assert_eq!(address(&derive_for(&["unix"], Some(peer), &headers)), "203.0.113.7");
    }

    #[test]
    fn the_first_proxy_in_a_list_tells_scheme_and_host() {
        let headers = [("x-forwarded-proto", "https,http"), ("x-forwarded-host", "r.example, inner:5000")];
        let client = derive("10.0.0.1", &headers);
        assert_eq!((client.scheme, client.host.as_deref()), ("https", Some("r.example")));
        let standard = [("forwarded", "proto=https;host=r.example, proto=http;host=inner")];
        let client = derive("10.0.0.1", &standard);
        assert_eq!((client.scheme, client.host.as_deref()), ("https", Some("r.example")));
    }

    fn address(client: &Client) -> String {
        client.address.expect("known").to_string()
    }

    #[test]
    fn strangers_cannot_choose_their_address() {
        let client = derive("203.0.113.9", &[("x-forwarded-for", "1.2.3.4"), ("x-forwarded-proto", "https")]);
        assert_eq!((address(&client).as_str(), client.scheme), ("203.0.113.9", "http"));
        assert!(client.behind_unknown_proxy);
        assert!(!derive("203.0.113.9", &[]).behind_unknown_proxy);
    }

    #[test]
    fn the_last_address_that_is_no_proxy_counts() {
        let client = derive(
            "10.0.0.1",
            &[("x-forwarded-for", "6.6.6.6, 203.0.113.9, 10.0.0.2"), ("x-forwarded-proto", "https")],
        );
        assert_eq!((address(&client).as_str(), client.scheme), ("203.0.113.9", "https"));
        let client = derive("10.0.0.1", &[("x-forwarded-for", "6.6.6.6, garbage, 10.0.0.2")]);
        assert_eq!(address(&client), "10.0.0.2");
    }

    #[test]
    fn the_customary_headers_win_over_the_standard_one() {
        let standard = ("forwarded", r#"for="[2001:db8::1]:80";proto=https;host=r.example"#);
        let client = derive("10.0.0.1", &[standard]);
        assert_eq!(address(&client), "2001:db8::1");
        assert_eq!(client.host.as_deref(), Some("r.example"));
        assert_eq!(
            address(&derive("10.0.0.1", &[standard, ("x-forwarded-for", "203.0.113.9")])),
            "203.0.113.9"
        );
    }

    #[test]
    fn a_line_added_by_the_proxy_counts_more_than_the_one_that_came() {
        let client =
            derive("10.0.0.1", &[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "203.0.113.9")]);
        assert_eq!(address(&client), "203.0.113.9");
    }

    #[test]
    fn a_host_that_is_none_is_ignored() {
        assert_eq!(derive("203.0.113.9", &[("host", "evil.example\"/x?y=")]).host, None);
    }

    #[test]
    fn a_claim_of_a_stranger_is_noticed() {
        let client = derive("203.0.113.9", &[("x-forwarded-proto", "https")]);
        assert!(client.behind_unknown_proxy && client.claims_https);
        assert!(derive("203.0.113.9", &[("forwarded", "for=_x;proto=https")]).claims_https);
        let client = derive("203.0.113.9", &[("x-forwarded-for", "1.2.3.4"), ("x-forwarded-proto", "http")]);
        assert!(client.behind_unknown_proxy && !client.claims_https);
        assert!(!derive("203.0.113.9", &[]).behind_unknown_proxy);
        assert!(!derive("10.0.0.1", &[("x-forwarded-proto", "https")]).behind_unknown_proxy);
    }

    #[test]
    fn a_forwarded_host_that_is_none_is_ignored() {
        let client = derive("10.0.0.1", &[("host", "real"), ("x-forwarded-host", "evil/\"path")]);
        assert_eq!(client.host.as_deref(), Some("real"));
    }
}
