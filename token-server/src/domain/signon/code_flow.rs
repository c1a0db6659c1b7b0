//! A browser is sent to an OpenID Connect provider and comes back with a code, which is worth an ID token here.
//!
//! *Invariant:* somebody is believed to be who a token says only if this server sent that browser there, for this errand
//! (state, nonce and PKCE are new each time), and the provider that answers is the one that was asked (RFC 9207).
//!
//! Spec: OpenID Connect Core 1.0 §3.1; RFC 7636; RFC 9207.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use ring::digest;
use serde::Deserialize;
use serde_json::{Map, Value};
use shared::secret::Secret;
use url::Url;

use super::super::record::audit;
use super::super::trust::claims::TokenClaims;
use super::super::trust::identity_token::{self, BadToken};
use super::super::trust::issuer_keys::{IssuerKeys, Signer};
use super::super::trust::publisher::{self, NoKeys, Publisher};
use super::flow::Flow;
use super::metadata::{Known, Metadata};
use super::profile::{self, Profile};
use super::provider::{OpenId, Provider, Providers};
use super::strength;

/// Why somebody who came back from a provider is nobody.
#[derive(Debug, thiserror::Error)]
pub enum NotSignedIn {
    /// It does not answer, or with nonsense.
    #[error(transparent)]
    Provider(#[from] NoKeys),
    /// Its token is worth nothing.
    #[error(transparent)]
    Token(#[from] BadToken),
    /// It says no, in its own words.
    #[error("the identity provider says {error:?}{}", described(description.as_deref()))]
    Refused {
        /// The word of RFC 6749 §4.1.2.1 or §5.2, or one of its own.
        error: String,
        /// More about it.
        description: Option<String>,
    },
    /// Somebody else has answered.
    #[error("the answer comes from another identity provider than the one that was asked")]
    AnotherIssuer,
    /// The token is for another visit.
    #[error("the token of the identity provider is for another visit")]
    AnotherVisit,
    /// It does not say what the settings require.
    #[error("only those are let in of whom the identity provider says {0}")]
    Required(String),
    /// It does not say who somebody is.
    #[error("the identity provider does not say who you are: the claim {0:?} is missing")]
    Nobody(String),
}

fn described(description: Option<&str>) -> String {
    description.map(|description| format!(" ({description})")).unwrap_or_default()
}

impl NotSignedIn {
    /// A provider that says no; what it says is cut and printable.
    pub fn refused(error: &str, description: Option<&str>) -> Self {
        Self::Refused { error: audit::printable(error), description: description.map(audit::printable) }
    }
}

/// Parameters that browsers are sent with and that nobody else decides about.
pub const OWN_PARAMETERS: [&str; 8] = [
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
];

/// Somebody who came back.
#[derive(Debug)]
pub struct Returned {
    /// Who they are there.
    pub profile: Profile,
    /// What the provider calls its session.
    pub session: Option<String>,
    /// Whether it says that they showed a second factor.
    pub second_factor: bool,
    /// The token that says so.
    pub id_token: Secret,
    /// What the provider gave to ask about them later.
    pub refresh: Option<Secret>,
}

/// This server as a client of a provider.
pub struct OpenIdClient {
    provider: Provider,
    settings: OpenId,
    publisher: Publisher,
    keys: IssuerKeys,
    known: Known,
    /// Where the provider sends browsers back.
    redirect: String,
}

/// All providers that browsers are sent to, by name.
pub type OpenIdClients = BTreeMap<String, Arc<OpenIdClient>>;

/// A client for each of them, at the address where browsers reach this server.
pub fn clients(providers: &Providers, url: &Url) -> Result<OpenIdClients, reqwest::Error> {
    let open = providers.iter().filter_map(|provider| Some((provider, provider.open_id()?)));
    open.map(|(provider, settings)| {
        let publisher = Publisher::of_operator(settings.authorities.as_deref())?;
        let client = OpenIdClient {
            provider: provider.clone(),
            settings: settings.clone(),
            keys: IssuerKeys::new(publisher.clone()),
            publisher,
            known: Known::default(),
            redirect: format!("{url}signin/{}/callback", provider.name),
        };
        Ok((provider.name.to_string(), Arc::new(client)))
    })
    .collect()
}

#[derive(Deserialize)]
struct TokenAnswer {
    id_token: Option<String>,
    access_token: Option<Secret>,
    refresh_token: Option<Secret>,
    error: Option<String>,
    error_description: Option<String>,
}

impl OpenIdClient {
    /// The provider.
    pub fn provider(&self) -> &Provider {
        &self.provider
    }

    async fn metadata(&self) -> Result<Arc<Metadata>, NoKeys> {
        self.known.get(&self.publisher, &self.settings.issuer).await
    }

    /// Where a browser is sent.
    pub async fn address(&self, flow: &Flow) -> Result<Url, NotSignedIn> {
        let metadata = self.metadata().await?;
        let nonsense =
            || NoKeys::Nonsense { url: self.settings.issuer.clone(), what: "an address to send browsers to" };
        let mut url: Url = metadata.authorization_endpoint.parse().map_err(|_| nonsense())?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(nonsense().into());
        }
        let challenge = digest::digest(&digest::SHA256, flow.verifier.as_bytes());
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", &self.redirect)
            .append_pair("scope", &self.settings.scopes.join(" "))
            .append_pair("state", &flow.state)
            .append_pair("nonce", &flow.nonce)
            .append_pair("code_challenge", &URL_SAFE_NO_PAD.encode(challenge))
            .append_pair("code_challenge_method", "S256")
            .extend_pairs(&self.settings.parameters);
        Ok(url)
    }

    /// Takes in the answer that a browser brings: the code, and who the provider says that it is.
    pub async fn take_in(
        &self,
        flow: &Flow,
        code: &Secret,
        issuer: Option<&str>,
        now: i64,
    ) -> Result<Returned, NotSignedIn> {
        let metadata = self.metadata().await?;
        let is_asked = match issuer {
            Some(issuer) => issuer == self.settings.issuer,
            None => !metadata.authorization_response_iss_parameter_supported,
        };
        if !is_asked {
            return Err(NotSignedIn::AnotherIssuer);
        }
        let answer = self
            .ask(
                &metadata,
                &[
                    ("grant_type", "authorization_code"),
                    ("code", code.expose()),
                    ("redirect_uri", &self.redirect),
                    ("code_verifier", &flow.verifier),
                ],
            )
            .await?;
        let id_token = answer.id_token.as_deref().ok_or(BadToken::Claim("id_token"))?;
        let claims = self.verify(id_token, now).await?;
        if claims.get("nonce").and_then(Value::as_str) != Some(&flow.nonce) {
            return Err(NotSignedIn::AnotherVisit);
        }
        let second_factor = strength::has_second_factor(&claims, &self.settings.second_factor);
        let session = claims.get("sid").and_then(Value::as_str).map(str::to_owned);
        let profile = self.profile(claims, answer.access_token.as_ref(), &metadata).await?;
        let (id_token, refresh) = (Secret::new(id_token), answer.refresh_token);
        Ok(Returned { profile, session, second_factor, id_token, refresh })
    }

    /// Who somebody is now, who was here before; nothing if the provider does not say it any more. Says also what to ask
    /// with the next time, if that is something new.
    pub async fn ask_again(
        &self,
        refresh: &Secret,
        now: i64,
    ) -> Result<Option<(Profile, Option<Secret>)>, NotSignedIn> {
        let metadata = self.metadata().await?;
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh.expose())];
        let answer = match self.ask(&metadata, &form).await {
            Err(NotSignedIn::Refused { error, .. }) if error == "invalid_grant" => return Ok(None),
            answer => answer?,
        };
        let claims = match &answer.id_token {
            Some(token) => self.verify(token, now).await?,
            // Without one, the provider is asked for everything.
            None => Map::new(),
        };
        let profile = self.profile(claims, answer.access_token.as_ref(), &metadata).await?;
        Ok(Some((profile, answer.refresh_token)))
    }

    /// Checks a token of the provider that is for this server.
    async fn verify(&self, token: &str, now: i64) -> Result<Map<String, Value>, BadToken> {
        let checked =
            identity_token::verify(token, self.signer(), &self.settings.client_id, &self.keys, now).await?;
        if checked.is_expired {
            return Err(BadToken::Expired);
        }
        // Of a token that is for others as well, this server must be the one that asked for it.
        let asked_by = checked.claims.get("azp").and_then(Value::as_str);
        let is_for_several =
            checked.claims.get("aud").and_then(Value::as_array).is_some_and(|several| several.len() > 1);
        match asked_by {
            Some(asked_by) if asked_by != self.settings.client_id => {
                Err(BadToken::Audience(self.settings.client_id.clone()))
            }
            None if is_for_several => Err(BadToken::Claim("azp")),
            _ => Ok(checked.claims),
        }
    }

    pub(super) fn signer(&self) -> Signer<'_> {
        Signer { url: &self.settings.issuer, name: self.provider.name.as_str(), key_set: None }
    }

    pub(super) fn subject_claim(&self) -> &str {
        &self.settings.claims.subject
    }

    pub(super) fn keys(&self) -> (&IssuerKeys, &str) {
        (&self.keys, &self.settings.client_id)
    }

    /// Puts together what a token says and, where it says nothing about groups or the name, what else the provider does.
    async fn profile(
        &self,
        mut claims: Map<String, Value>,
        access_token: Option<&Secret>,
        metadata: &Metadata,
    ) -> Result<Profile, NotSignedIn> {
        let names = &self.settings.claims;
        let is_whole = profile::says_groups(&claims, names)
            && claims.contains_key(&names.name)
            && self.settings.required.keys().all(|claim| claims.contains_key(claim));
        if let (false, Some(address), Some(token)) = (is_whole, &metadata.userinfo_endpoint, access_token) {
            let request = self.publisher.request(Method::GET, address)?.bearer_auth(token.expose());
            let answer = request.send().await.map_err(|error| NoKeys::silent(address, error))?;
            if !answer.status().is_success() {
                return Err(NoKeys::Silent { url: address.clone(), why: answer.status().to_string() }.into());
            }
            let said = publisher::read(address, answer).await?;
            let more: Map<String, Value> = serde_json::from_slice(&said)
                .map_err(|_| NoKeys::Nonsense { url: address.clone(), what: "claims" })?;
            // Of somebody else nothing is taken over (OpenID Connect Core §5.3.2).
            if claims.is_empty() || more.get("sub") == claims.get("sub") {
                for (name, value) in more {
                    claims.entry(name).or_insert(value);
                }
            }
        }
        let said = TokenClaims::new(&claims);
        let is_said = |(claim, value): &(&String, &String)| said.values(claim).contains(value);
        if let Some((claim, value)) = self.settings.required.iter().find(|wanted| !is_said(wanted)) {
            return Err(NotSignedIn::Required(format!("{claim}={value}")));
        }
        Profile::from_claims(&self.settings.issuer, &claims, names)
            .ok_or_else(|| NotSignedIn::Nobody(names.subject.clone()))
    }

    async fn ask(&self, metadata: &Metadata, form: &[(&str, &str)]) -> Result<TokenAnswer, NotSignedIn> {
        let OpenId { client_id, client_secret, .. } = &self.settings;
        let address = &metadata.token_endpoint;
        let mut form = form.to_vec();
        let mut request = self.publisher.request(Method::POST, address)?;
        let methods = &metadata.token_endpoint_auth_methods_supported;
        let takes_basic = methods.is_empty() || methods.iter().any(|method| method == "client_secret_basic");
        if client_secret.is_empty() {
            form.push(("client_id", client_id));
        } else if takes_basic {
            // Both are encoded as in a form first (RFC 6749 §2.3.1).
            let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
            request = request.basic_auth(encoded(client_id), Some(encoded(client_secret.expose())));
        } else {
            form.extend([("client_id", client_id.as_str()), ("client_secret", client_secret.expose())]);
        }
        let answer = request.form(&form).send().await.map_err(|error| NoKeys::silent(address, error))?;
        let status = answer.status();
        let said = publisher::read(address, answer).await?;
        let answer: TokenAnswer = serde_json::from_slice(&said)
            .map_err(|_| NoKeys::Silent { url: address.clone(), why: status.to_string() })?;
        match answer.error {
            Some(error) => Err(NotSignedIn::refused(&error, answer.error_description.as_deref())),
            None if status.is_success() => Ok(answer),
            None => Err(NoKeys::Silent { url: address.clone(), why: status.to_string() }.into()),
        }
    }

    /// Where a browser is sent to sign out at the provider too, if that is offered, and then back to this address.
    pub async fn sign_out_address(&self, id_token: &Secret, back: &str) -> Option<Url> {
        let metadata = self.metadata().await.ok()?;
        let mut url: Url = metadata.end_session_endpoint.as_ref()?.parse().ok()?;
        url.query_pairs_mut()
            .append_pair("id_token_hint", id_token.expose())
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("post_logout_redirect_uri", back);
        Some(url)
    }
}
