//! What a helper asks of a registry and of the token server behind it: where tokens come from, a login that somebody
//! allows in a browser, whether a login is still good, and its end.
//!
//! *Invariant:* a secret is sent over TLS, or to this machine; no redirect is followed. What servers say is shown without
//! characters that could mean something to a terminal.
//!
//! Spec: RFC 8628 §3, RFC 7009 §2.1; distribution, "Token OAuth 2 Specification".

use std::path::Path;
use std::time::Duration;

use reqwest::header::WWW_AUTHENTICATE;
use reqwest::{Certificate, Client, Response, StatusCode};
use serde::Deserialize;
use shared::challenge::BearerChallenge;
use shared::secret::Secret;
use url::{Host, Url};

use super::protocol::Server;

/// What the helper calls itself; people see it where they allow a login.
const CLIENT_ID: &str = "docker-credential-portcullis";

const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A server that does not answer holds a client up for so long.
const TIMEOUT: Duration = Duration::from_secs(15);

/// No answer is longer.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Where docker and podman look for authorities of one registry.
const CERTS_FOLDERS: [&str; 2] = ["/etc/docker/certs.d", "/etc/containers/certs.d"];

/// There was no answer, or not the one that was needed.
#[derive(Debug, thiserror::Error)]
pub(super) enum RemoteError {
    /// Not a name and a port.
    #[error("{0} is not the address of a registry")]
    NotAnAddress(Server),
    /// Authorities that are none.
    #[error("{0} has no certificates in PEM")]
    NoAuthorities(String),
    /// Nothing came back.
    #[error("{0} cannot be reached")]
    Unreachable(Server, #[source] reqwest::Error),
    /// It lets everybody in, or asks for something else than tokens.
    #[error("{0} does not ask for a token of a token server")]
    NoChallenge(Server),
    /// It would send secrets over the network for all to read.
    #[error("{0} sends clients to a token server without TLS")]
    NoTls(Server),
    /// It knows no such logins, or has no pages.
    #[error("the token server of {0} lets nobody log in with a browser")]
    NoDeviceLogin(Server),
    /// It said no.
    #[error("the login at {server} came to nothing: {sentence}")]
    Refused {
        /// Where.
        server: Server,
        /// Why, in its words.
        sentence: String,
    },
}

/// Where tokens for a registry come from.
#[derive(Debug)]
pub(super) struct TokenServer {
    client: Client,
    server: Server,
    realm: Url,
    service: String,
}

/// A login that somebody can allow now.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Where, with the code already there.
    pub(super) address: Url,
    /// What they compare with the page.
    pub(super) user_code: String,
    device_code: Secret,
    interval: Duration,
    lasts: Duration,
}

#[derive(Deserialize)]
struct Begun {
    device_code: Secret,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: Option<String>,
    expires_in: u64,
    interval: Option<u64>,
}

#[derive(Deserialize)]
struct Issued {
    refresh_token: Secret,
}

#[derive(Default, Deserialize)]
struct Failure {
    #[serde(default)]
    error: String,
    #[serde(default)]
    error_description: String,
}

impl TokenServer {
    /// Asks a registry where its tokens come from.
    pub(super) async fn of(server: &Server, authorities: Option<&Path>) -> Result<Self, RemoteError> {
        let client = client(server, authorities)?;
        let mut tried = None;
        for address in addresses(server).ok_or_else(|| RemoteError::NotAnAddress(server.clone()))? {
            let answer = match client.get(address.clone()).send().await {
                Ok(answer) => answer,
                Err(error) => {
                    tried.get_or_insert(error);
                    continue;
                }
            };
            let challenges = answer.headers().get_all(WWW_AUTHENTICATE);
            let challenge =
                challenges.into_iter().find_map(|value| BearerChallenge::parse(value.to_str().ok()?));
            let challenge = challenge.ok_or_else(|| RemoteError::NoChallenge(server.clone()))?;
            let realm = Url::parse(&challenge.realm).map_err(|_| RemoteError::NoChallenge(server.clone()))?;
            let is_meant = address.scheme() == "http" && (is_own(&realm) || server.is_plain());
            if realm.scheme() != "https" && !(realm.scheme() == "http" && is_meant) {
                return Err(RemoteError::NoTls(server.clone()));
            }
            return Ok(Self { client, server: server.clone(), realm, service: challenge.service });
        }
        let error = tried.expect("at least one address was tried");
        Err(RemoteError::Unreachable(server.clone(), error))
    }

    /// Begins a login.
    pub(super) async fn begin(&self) -> Result<Waiting, RemoteError> {
        let none = || RemoteError::NoDeviceLogin(self.server.clone());
        let fields = [("client_id", CLIENT_ID), ("service", &self.service)];
        let (status, body) = self.post(self.below("device"), &fields).await?;
        if !status.is_success() {
            return Err(none());
        }
        let begun: Begun = serde_json::from_slice(&body).map_err(|_| none())?;
        let address = Url::parse(&begun.verification_uri_complete.unwrap_or(begun.verification_uri));
        let address = address.map_err(|_| none())?;
        if !["http", "https"].contains(&address.scheme()) {
            return Err(none());
        }
        Ok(Waiting {
            address,
            user_code: plain(&begun.user_code),
            device_code: begun.device_code,
            interval: Duration::from_secs(begun.interval.unwrap_or(5).clamp(1, 60)),
            lasts: Duration::from_secs(begun.expires_in.min(3_600)),
        })
    }

    /// Waits until somebody has said yes, which gives a refresh token, or no.
    pub(super) async fn wait(&self, waiting: Waiting) -> Result<Secret, RemoteError> {
        let refused =
            |sentence: &str| RemoteError::Refused { server: self.server.clone(), sentence: plain(sentence) };
        let asking = async {
            let mut interval = waiting.interval;
            loop {
                tokio::time::sleep(interval).await;
                let fields = [
                    ("grant_type", DEVICE_GRANT),
                    ("device_code", waiting.device_code.expose()),
                    ("client_id", CLIENT_ID),
                    ("service", &self.service),
                ];
                // RFC 8628 §3.5: who cannot get through asks less often.
                let Ok((status, body)) = self.post(self.realm.clone(), &fields).await else {
                    interval += Duration::from_secs(5);
                    continue;
                };
                if status.is_success() {
                    let issued: Result<Issued, _> = serde_json::from_slice(&body);
                    return issued
                        .map(|issued| issued.refresh_token)
                        .map_err(|_| refused("no login was given"));
                }
                let failure: Failure = serde_json::from_slice(&body).unwrap_or_default();
                match failure.error.as_str() {
                    "authorization_pending" => {}
                    "slow_down" => interval += Duration::from_secs(5),
                    _ if status.is_server_error() => interval += Duration::from_secs(5),
                    "access_denied" => return Err(refused("it was refused in the browser")),
                    "expired_token" => return Err(refused("nobody allowed it in time")),
                    _ => return Err(refused(&failure.error_description)),
                }
            }
        };
        let late = || refused("nobody allowed it in time");
        tokio::time::timeout(waiting.lasts, asking).await.unwrap_or_else(|_| Err(late()))
    }

    /// Whether a refresh token is good for another token.
    pub(super) async fn is_good(&self, token: &Secret) -> Result<bool, RemoteError> {
        let fields = [
            ("grant_type", "refresh_token"),
            ("refresh_token", token.expose()),
            ("client_id", CLIENT_ID),
            ("service", &self.service),
        ];
        let (status, body) = self.post(self.realm.clone(), &fields).await?;
        // RFC 6749 §5.2: everything else is about the question, or somebody on the way.
        let failure: Failure = serde_json::from_slice(&body).unwrap_or_default();
        Ok(status.is_success() || failure.error != "invalid_grant")
    }

    /// Ends a login.
    pub(super) async fn give_back(&self, token: &Secret) -> Result<(), RemoteError> {
        let (status, body) = self.post(self.below("revoke"), &[("token", token.expose())]).await?;
        if status.is_success() {
            return Ok(());
        }
        let failure: Failure = serde_json::from_slice(&body).unwrap_or_default();
        let sentence = format!("the token server did not end it ({status}) {}", failure.error_description);
        Err(RemoteError::Refused { server: self.server.clone(), sentence: plain(sentence.trim_end()) })
    }

    fn below(&self, word: &str) -> Url {
        let mut url = self.realm.clone();
        url.set_query(None);
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(word);
        }
        url
    }

    async fn post(&self, url: Url, fields: &[(&str, &str)]) -> Result<(StatusCode, Vec<u8>), RemoteError> {
        let unreachable = |error| RemoteError::Unreachable(self.server.clone(), error);
        let mut answer = self.client.post(url).form(fields).send().await.map_err(unreachable)?;
        let body = body(&mut answer).await.map_err(unreachable)?;
        Ok((answer.status(), body))
    }
}

/// As much of an answer as one can have.
async fn body(answer: &mut Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER_BYTES {
            body.clear();
            break;
        }
    }
    Ok(body)
}

/// Where a registry can be, the first first: without TLS only on this machine, or where that was said.
fn addresses(server: &Server) -> Option<Vec<Url>> {
    let text = server.as_str();
    let (schemes, rest): (&[&str], _) = match text.strip_prefix("http://") {
        Some(rest) => (&["http"], rest),
        None => (&["https", "http"], text),
    };
    // A path is the address of a registry of before, which is none of ours.
    if rest.contains(['/', '@', '?', '#', '\\']) {
        return None;
    }
    let mut found: Vec<Url> = schemes
        .iter()
        .map(|scheme| Url::parse(&format!("{scheme}://{rest}/v2/")))
        .collect::<Result<_, _>>()
        .ok()?;
    if schemes.len() > 1 && !found.iter().all(is_own) {
        found.truncate(1);
    }
    Some(found)
}

/// Whether an address is of this machine.
fn is_own(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// A client that believes the authorities of the system, of docker's folders for this registry, and of a file.
fn client(server: &Server, authorities: Option<&Path>) -> Result<Client, RemoteError> {
    let none = |file: &Path| RemoteError::NoAuthorities(file.display().to_string());
    let mut more = Vec::new();
    let name = server.as_str().trim_start_matches("http://");
    for folder in CERTS_FOLDERS {
        let Ok(files) = std::fs::read_dir(Path::new(folder).join(name.replace('/', "_"))) else { continue };
        for file in files.flatten().map(|file| file.path()) {
            if file.extension().is_some_and(|extension| extension == "crt") {
                let pem = std::fs::read(&file).map_err(|_| none(&file))?;
                more.extend(Certificate::from_pem_bundle(&pem).map_err(|_| none(&file))?);
            }
        }
    }
    if let Some(file) = authorities {
        let pem = std::fs::read(file).map_err(|_| none(file))?;
        let found = Certificate::from_pem_bundle(&pem).ok().filter(|found| !found.is_empty());
        more.extend(found.ok_or_else(|| none(file))?);
    }
    let builder = Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none());
    let agent = format!("{CLIENT_ID}/{}", env!("CARGO_PKG_VERSION"));
    let built = builder.user_agent(agent).tls_certs_merge(more).build();
    built.map_err(|error| RemoteError::Unreachable(server.clone(), error))
}

/// A text of a server, without what terminals would obey, and not endless.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<Vec<String>> {
        let found = addresses(&Server::parse(text).unwrap())?;
        Some(found.iter().map(Url::to_string).collect())
    }

    #[test]
    fn tls_is_left_out_on_this_machine_only_or_where_that_is_said() {
        assert_eq!(of("registry.example").unwrap(), ["https://registry.example/v2/"]);
        assert_eq!(of("http://registry.example").unwrap(), ["http://registry.example/v2/"]);
        for own in ["127.0.0.1:5000", "localhost:5000", "[::1]:5000"] {
            assert_eq!(of(own).unwrap(), [format!("https://{own}/v2/"), format!("http://{own}/v2/")]);
        }
    }

    #[test]
    fn other_things_are_no_registries() {
        for text in
            ["https://index.example/v1/", "user@registry.example", "a?b", "a#b", "a\\b", "[::1", "a:port"]
        {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn what_servers_say_does_nothing_to_a_terminal() {
        assert_eq!(plain("AB\u{1b}[2J\r\nCD"), "AB[2JCD");
        assert_eq!(plain(&"x".repeat(1_000)).len(), 300);
    }
}
