//! Requests that a server makes itself.
//!
//! *Invariant:* a request goes to the address that was meant and nowhere else: no redirect is followed, and no proxy of
//! the environment is used, which would see secrets and could exchange keys. Where an address was not written by the
//! operator of this machine, it leads into no private network that the operator has not named.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// A client that gives up after `timeout`.
pub fn client(timeout: Duration) -> Result<reqwest::Client, reqwest::Error> {
    builder(timeout).build()
}

/// The same, which believes authorities in PEM beside those of the system.
pub fn client_trusting(timeout: Duration, authorities: &[u8]) -> Result<reqwest::Client, reqwest::Error> {
    let authorities = reqwest::Certificate::from_pem_bundle(authorities)?;
    builder(timeout).tls_certs_merge(authorities).build()
}

fn builder(timeout: Duration) -> reqwest::ClientBuilder {
    reqwest::Client::builder().timeout(timeout).redirect(reqwest::redirect::Policy::none()).no_proxy()
}

/// Why an address is not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// Anybody on the way could answer instead.
    #[error("it must begin with https://")]
    NotHttps,
    /// It leads to this machine or into its networks.
    #[error("it leads into a private network that the settings do not name")]
    PrivateNetwork,
    /// It has a password in it, a query, or no host.
    #[error("it must be a plain address of a host")]
    NotPlain,
}

/// Which private networks may be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach(Vec<IpNet>);

impl Reach {
    /// The whole internet, and of private networks these.
    pub fn new(private: Vec<IpNet>) -> Self {
        Self(private)
    }

    /// All networks, for addresses that the operator of this machine has written.
    pub fn everywhere() -> Self {
        Self(vec![Ipv4Net::default().into(), Ipv6Net::default().into()])
    }

    /// Whether an address may be asked, as far as that can be told before its name is looked up.
    pub fn check(&self, url: &Url) -> Result<(), Forbidden> {
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
            return Err(Forbidden::NotPlain);
        }
        let literal = match url.host() {
            None => return Err(Forbidden::NotPlain),
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) => None,
        };
        // Between a program and itself nobody is on the way.
        let is_own = literal.is_some_and(|address| address.is_loopback());
        if url.scheme() != "https" && !(url.scheme() == "http" && is_own) {
            return Err(Forbidden::NotHttps);
        }
        if literal.is_some_and(|address| !self.admits(address)) {
            return Err(Forbidden::PrivateNetwork);
        }
        Ok(())
    }

    fn admits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        !is_private(address) || self.0.iter().any(|network| network.contains(&address))
    }

    /// A client for addresses that passed [`Self::check`], which looks at what their names stand for.
    pub fn client(&self, timeout: Duration) -> Result<reqwest::Client, reqwest::Error> {
        builder(timeout).dns_resolver(Arc::new(self.clone())).build()
    }
}

impl Resolve for Reach {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let admitted: Vec<SocketAddr> = found.filter(|address| reach.admits(address.ip())).collect();
            if admitted.is_empty() {
                return Err(Forbidden::PrivateNetwork.into());
            }
            Ok(Box::new(admitted.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is one of this machine, of its networks, or of nobody.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            address.is_loopback()
                || address.is_private()
                || address.is_link_local()
                || address.is_unspecified()
                || address.is_multicast()
                || address.is_broadcast()
                || first == 0
                // Shared among the customers of a provider (RFC 6598), and benchmarks (RFC 2544).
                || (first == 100 && (64..128).contains(&second))
                || (first == 198 && (18..20).contains(&second))
                || first >= 240
        }
        IpAddr::V6(address) => {
            let first = address.segments()[0];
            address.is_loopback()
                || address.is_unspecified()
                || address.is_multicast()
                // Unique local and link-local addresses, and translations of older ones.
                || first & 0xfe00 == 0xfc00
                || first & 0xffc0 == 0xfe80
                || first == 0x64
                || first == 0x2002
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(reach: &Reach, url: &str) -> Result<(), Forbidden> {
        reach.check(&url.parse().expect("an address"))
    }

    #[test]
    fn private_networks_are_out_of_reach_unless_they_are_named() {
        let reach = Reach::default();
        for url in [
            "https://127.0.0.1/keys",
            "https://10.1.2.3",
            "https://169.254.169.254/latest/meta-data",
            "https://[::1]",
            "https://[::ffff:10.0.0.1]",
            "https://[fd00::1]",
            "https://[fe80::1]",
            "https://0.0.0.0",
            "https://2130706433",
            "https://0x7f.1",
        ] {
            assert_eq!(check(&reach, url), Err(Forbidden::PrivateNetwork), "{url}");
        }
        assert_eq!(check(&reach, "https://issuer.example/x"), Ok(()));
        assert_eq!(check(&reach, "https://8.8.8.8"), Ok(()));
        let reach = Reach::new(vec!["10.0.0.0/8".parse().expect("a network")]);
        assert_eq!(check(&reach, "https://10.1.2.3"), Ok(()));
        assert_eq!(check(&reach, "https://192.168.0.1"), Err(Forbidden::PrivateNetwork));
    }

    #[test]
    fn only_a_program_on_this_machine_is_asked_in_the_clear() {
        let reach = Reach::new(vec!["127.0.0.0/8".parse().expect("a network")]);
        assert_eq!(check(&reach, "http://127.0.0.1:8080/"), Ok(()));
        for url in ["http://issuer.example", "http://10.0.0.1", "ftp://127.0.0.1", "http://localhost"] {
            assert_eq!(check(&reach, url), Err(Forbidden::NotHttps), "{url}");
        }
        for url in ["https://a:b@issuer.example", "https://issuer.example/?x=1"] {
            assert_eq!(check(&reach, url), Err(Forbidden::NotPlain), "{url}");
        }
    }

    #[tokio::test]
    async fn what_a_name_stands_for_is_looked_at() {
        let reach = Reach::default();
        let refused = reach.resolve("localhost".parse().expect("a name")).await;
        assert!(refused.is_err_and(|error| error.to_string().contains("private network")));
        let reach = Reach::new(vec!["127.0.0.0/8".parse().expect("a network")]);
        assert!(reach.resolve("localhost".parse().expect("a name")).await.is_ok());
    }
}
