//! The login of a workload: an identity token in the place of a password.
//!
//! A token that is in order and fits no rule is kept with what it said, so that an administrator can make a rule of it.
//!
//! *Invariant:* of two rules that fit, the one with more conditions is meant, and of two with as many the first by name;
//! a token that was used in one network is worth nothing in another one.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use ring::digest;
use ring::rand::SystemRandom;
use serde_json::Value;
use shared::clock::Clock;
use shared::secret::Secret;
use shared::server::outgoing::Reach;
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::error::TokenServerError;
use super::super::login::subject::Workload;
use super::super::random;
use super::super::record::audit::Origin;
use super::claims::TokenClaims;
use super::conditions::Conditions;
use super::identity_token::{self, BadToken, IdentityToken};
use super::issuer_keys::{IssuerKeys, Signer};
use super::platform::Platform;
use super::publisher::Publisher;
use crate::db::Pool;
use crate::db::trust::{self, TrustIssuerRow, TrustRuleRow};
use crate::db::trust_attempts::{self, NewTrustAttempt, Redemption};

/// The name under which a workload logs in.
pub const USER: &str = "oidc";

/// So many attempts of one issuer are kept.
const MAX_ATTEMPTS: i64 = 1_000;

/// How workloads log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustSettings {
    /// How long a login is kept that a client asked to keep.
    pub session: Duration,
    /// Whether a token that was used while it was valid is good for as long as a login that is kept, where it was used.
    pub has_grace: bool,
    /// Private networks in which issuers may be asked for their keys.
    pub reach: Reach,
}

/// Why a token lets nobody in.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NoWorkload {
    /// It is worth nothing.
    #[error(transparent)]
    Bad(#[from] BadToken),
    /// Nobody trusts its issuer.
    #[error("the issuer of the identity token is not trusted here; `trust issuer add` trusts it")]
    UnknownIssuer,
    /// No rule fits; the attempt is kept.
    #[error(
        "no rule makes this identity a workload; `trust accept {0} --grant 'ROLE PATTERN'` makes one of it"
    )]
    NoRule(Uuid),
    /// A rule fits, but not for pull requests; the attempt is kept.
    #[error(
        "jobs of pull requests, which strangers can cause, are let in only by a rule that asks for {claim}; this was \
         attempt {attempt}"
    )]
    Strangers {
        /// By which it is seen.
        claim: &'static str,
        /// The number of the attempt.
        attempt: Uuid,
    },
    /// It was used somewhere else.
    #[error("the identity token was used in another network already")]
    Elsewhere,
}

impl NoWorkload {
    /// The word in the record.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Bad(bad) => bad.as_str(),
            Self::UnknownIssuer => "unknown_issuer",
            Self::NoRule(_) => "no_rule",
            Self::Strangers { .. } => "rule_not_for_strangers",
            Self::Elsewhere => "identity_token_from_elsewhere",
        }
    }
}

/// Lets workloads in.
pub struct Workloads {
    pool: Pool,
    clock: Arc<dyn Clock>,
    random: SystemRandom,
    keys: IssuerKeys,
    settings: TrustSettings,
}

impl Workloads {
    /// Puts the parts together.
    pub fn new(
        pool: Pool,
        clock: Arc<dyn Clock>,
        random: SystemRandom,
        settings: TrustSettings,
    ) -> Result<Self, reqwest::Error> {
        let keys = IssuerKeys::new(Publisher::new(settings.reach.clone())?);
        Ok(Self { pool, clock, random, keys, settings })
    }

    /// How long a login is kept that a client asked to keep.
    pub fn session(&self) -> Duration {
        self.settings.session
    }

    /// Says which workload a token is.
    pub async fn authenticate(
        &self,
        token: &Secret,
        origin: &Origin,
    ) -> Result<Result<Workload, NoWorkload>, TokenServerError> {
        let text = token.expose();
        let issuer = match identity_token::issuer_of(text) {
            Ok(issuer) => trust::find_issuer_by_url(&self.pool, &issuer).await?,
            Err(bad) => return Ok(Err(bad.into())),
        };
        let Some(issuer) = issuer else { return Ok(Err(NoWorkload::UnknownIssuer)) };
        let signer = Signer { url: &issuer.url, name: &issuer.name, key_set: issuer.key_set.as_ref() };
        let now = self.clock.unix_now();
        let checked = identity_token::verify(text, signer, &issuer.audience, &self.keys, now).await;
        let token = match checked {
            Ok(token) => token,
            Err(bad) => return Ok(Err(bad.into())),
        };
        if token.is_expired && !self.settings.has_grace {
            return Ok(Err(BadToken::Expired.into()));
        }
        let claims = TokenClaims::new(&token.claims);
        let platform = Platform::parse(&issuer.platform).unwrap_or(Platform::Generic);
        let rule = match self.rule(&issuer, platform, &claims).await? {
            Found::Rule(rule) => rule,
            // Nobody can do anything about one whose time is over.
            Found::Nothing | Found::ForStrangers if token.is_expired => {
                return Ok(Err(BadToken::Expired.into()));
            }
            Found::Nothing => {
                let attempt = self.keep(&issuer, platform, &token, &claims, "no_rule", origin).await?;
                return Ok(Err(NoWorkload::NoRule(attempt)));
            }
            Found::ForStrangers => {
                let why = "rule_not_for_strangers";
                let attempt = self.keep(&issuer, platform, &token, &claims, why, origin).await?;
                let claim = platform.strangers().map_or("", |strangers| strangers.claim);
                return Ok(Err(NoWorkload::Strangers { claim, attempt }));
            }
        };
        if let Err(refused) = self.redeem(&token, &rule, origin).await? {
            return Ok(Err(refused));
        }
        let TrustRuleRow { pid, uid, name, .. } = rule;
        Ok(Ok(Workload { pid, uid, name, claims: Arc::new(claims.names()), session: None }))
    }

    async fn rule(
        &self,
        issuer: &TrustIssuerRow,
        platform: Platform,
        claims: &TokenClaims,
    ) -> Result<Found, TokenServerError> {
        let mut best: Option<(usize, TrustRuleRow)> = None;
        let mut is_for_strangers = false;
        for row in trust::list_rules(&self.pool, Some(issuer.id)).await? {
            // What this release does not understand is no workload.
            let stored: Vec<(String, String)> =
                serde_json::from_value(row.conditions.clone()).unwrap_or_default();
            let Ok(conditions) = Conditions::new(stored, platform) else { continue };
            if row.disabled_at.is_some() || !conditions.are_true(claims) {
                continue;
            }
            if conditions.keep_out(claims, platform) {
                is_for_strangers = true;
            } else if best.as_ref().is_none_or(|(count, _)| conditions.count() > *count) {
                best = Some((conditions.count(), row));
            }
        }
        Ok(match best {
            Some((_, rule)) => Found::Rule(rule),
            None if is_for_strangers => Found::ForStrangers,
            None => Found::Nothing,
        })
    }

    /// Keeps what an unknown identity said; says under which number.
    async fn keep(
        &self,
        issuer: &TrustIssuerRow,
        platform: Platform,
        token: &IdentityToken,
        claims: &TokenClaims,
        reason: &str,
        origin: &Origin,
    ) -> Result<Uuid, TokenServerError> {
        let mut identity = digest::Context::new(&digest::SHA256);
        for claim in platform.identity().iter().chain(&["sub"]) {
            for part in [*claim, claims.one(claim).unwrap_or_default()] {
                identity.update(&(part.len() as u64).to_be_bytes());
                identity.update(part.as_bytes());
            }
        }
        let (said, identity) = (Value::Object(token.claims.clone()), identity.finish());
        let attempt = NewTrustAttempt {
            id: random::dated_id(&self.random, &*self.clock)?,
            issuer: issuer.id,
            identity: identity.as_ref(),
            claims: &said,
            reason,
            address: origin.address.as_deref(),
        };
        let kept = trust_attempts::insert_attempt(&self.pool, &attempt, MAX_ATTEMPTS, self.clock.now());
        Ok(kept.await?.unwrap_or(attempt.id))
    }

    async fn redeem(
        &self,
        token: &IdentityToken,
        rule: &TrustRuleRow,
        origin: &Origin,
    ) -> Result<Result<(), NoWorkload>, TokenServerError> {
        let (now, network) = (self.clock.now(), network(origin.ip()));
        let known = if token.is_expired {
            let Some(known) = trust_attempts::find_redeemed(&self.pool, &token.fingerprint).await? else {
                return Ok(Err(BadToken::Expired.into()));
            };
            known
        } else {
            let expires = OffsetDateTime::from_unix_timestamp(token.expires).unwrap_or(now);
            let redemption = Redemption {
                token: &token.fingerprint,
                network: &network,
                pid: rule.pid,
                ends_at: expires.min(now + Duration::from_hours(24 * 366)) + self.settings.session,
            };
            trust_attempts::redeem(&self.pool, &redemption, now).await?
        };
        if known.network != network {
            return Ok(Err(NoWorkload::Elsewhere));
        }
        let is_over =
            token.is_expired && (known.pid != rule.pid || now >= known.first_at + self.settings.session);
        Ok(if is_over { Err(BadToken::Expired.into()) } else { Ok(()) })
    }
}

enum Found {
    Rule(TrustRuleRow),
    /// A rule that is not for what strangers can cause.
    ForStrangers,
    Nothing,
}

/// The network of an address, which stays the same while a job runs: those who build share few addresses.
fn network(address: Option<IpAddr>) -> String {
    let Some(address) = address else { return String::new() };
    let bits = if address.is_ipv4() { 24 } else { 48 };
    IpNet::new(address, bits).map_or_else(|_| address.to_string(), |network| network.trunc().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_in_one_network() {
        let of = |text: &str| network(Some(text.parse().unwrap()));
        assert_eq!(of("192.0.2.1"), of("192.0.2.250"));
        assert_ne!(of("192.0.2.1"), of("192.0.3.1"));
        assert_eq!(of("2001:db8:1::1"), of("2001:db8:1:2::1"));
        assert_ne!(of("2001:db8:1::1"), of("2001:db8:2::1"));
    }
}
