//! From bearer text to a verified token.
//!
//! The library checks signatures; everything else is decided here, by our own clock. A verified token is remembered
//! by the digest of its text until it expires, so that a pull of many layers checks one signature.
//!
//! *Invariant:* a [`VerifiedToken`] exists only for a text whose signature was made by a trusted key with that key's
//! own algorithm, for this issuer and this audience. `jwk`, `jku`, `x5u` and `crit` make a token invalid; `x5c` is
//! looked at only where certificates are trusted, in the standard profile, and for a token whose `kid` leads nowhere.
//!
//! Spec: RFC 7515 §4.1, RFC 7519 §4.1, RFC 8725.

use std::sync::Arc;

use jsonwebtoken::Algorithm;
use moka::sync::Cache;
use ring::digest;
use shared::access::Access;
use shared::claims::{Claims, PortcullisClaim};
use shared::clock::Clock;
use shared::server::signed_token::keys::{VerificationKey, parse_algorithm};
use shared::server::signed_token::{Header, SignedToken};
use uuid::Uuid;

use super::certificates::ChainKey;
use super::error::TokenError;
use super::trusted_keys::TrustedKeys;

/// A longer text is refused before it is parsed; a header of this size passes common proxies.
pub(crate) const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// Verified tokens are remembered up to this many bytes of their texts; in memory each is a few times as large.
const REMEMBERED_BYTES: u64 = 8 * 1024 * 1024;

/// No token of our own issuer lives longer than an hour.
const MAX_STRICT_LIFETIME_SECONDS: i64 = 3600;

/// Issuers that date nothing are trusted to issue nothing that lives longer.
const UNDATED_SECONDS: i64 = 3600;

/// How much is demanded of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// For our own token server: every registered claim, 30 s leeway, bounded lifetime; its own claim is read.
    Strict,
    /// For any other issuer: `exp`, `iss` and `aud`, 60 s leeway, as the distribution registry has it.
    Standard,
}

impl Profile {
    const fn leeway_seconds(self) -> i64 {
        match self {
            Self::Strict => 30,
            Self::Standard => 60,
        }
    }
}

/// Whose tokens count.
#[derive(Clone, Debug)]
pub(crate) struct Expectations {
    pub(crate) issuer: String,
    pub(crate) service: String,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) profile: Profile,
}

/// A token that was verified.
#[derive(Clone, Debug)]
pub(crate) struct VerifiedToken {
    pub(crate) issuer: String,
    /// User name, empty for anonymous.
    pub(crate) subject: String,
    pub(crate) uid: Option<Uuid>,
    pub(crate) access: Access,
    /// Present only from our own issuer.
    pub(crate) portcullis: Option<PortcullisClaim>,
    /// The key id in its header.
    pub(crate) key_id: Option<Box<str>>,
    pub(crate) expires: i64,
    /// When it was issued, or from when on it is valid if it does not say.
    pub(crate) issued: Option<i64>,
    not_before: Option<i64>,
    provenance: Provenance,
}

/// What a remembered token was verified with.
#[derive(Clone, Copy, Debug)]
struct Provenance {
    generation: u64,
    text_bytes: u32,
    /// The second after which a certificate that vouched for it is no longer valid.
    until: Option<i64>,
}

impl VerifiedToken {
    /// The stable identity of the subject: its id where the issuer gives one, its name otherwise.
    pub(crate) fn identity(&self) -> String {
        self.uid.map_or_else(|| self.subject.clone(), |uid| uid.to_string())
    }

    /// Whether it was issued after `moment`. One that does not tell is taken for new once everything issued before
    /// must have expired.
    pub(crate) fn is_issued_after(&self, moment: i64, now: i64) -> bool {
        match self.issued {
            Some(issued) => issued > moment,
            None => now.saturating_sub(moment) >= UNDATED_SECONDS,
        }
    }
}

/// Verifies tokens.
pub(crate) struct Verifier {
    expectations: Expectations,
    keys: Arc<TrustedKeys>,
    clock: Arc<dyn Clock>,
    remembered: Cache<[u8; 32], Arc<VerifiedToken>>,
}

/// The keys a signature is tried with.
struct Candidates {
    keys: Vec<VerificationKey>,
    /// As in [`Provenance`].
    until: Option<i64>,
}

impl Verifier {
    pub(crate) fn new(expectations: Expectations, keys: Arc<TrustedKeys>, clock: Arc<dyn Clock>) -> Self {
        let remembered = Cache::builder()
            .max_capacity(REMEMBERED_BYTES)
            .weigher(|_, token: &Arc<VerifiedToken>| token.provenance.text_bytes)
            .build();
        Self { expectations, keys, clock, remembered }
    }

    pub(crate) fn expectations(&self) -> &Expectations {
        &self.expectations
    }

    /// Checks everything that can be checked without asking anybody.
    pub(crate) fn verify(&self, text: &str) -> Result<Arc<VerifiedToken>, TokenError> {
        if text.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLong);
        }
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
        let generation = self.keys.generation();
        let now = self.clock.unix_now();
        let known = self.remembered.get(&fingerprint).filter(|token| {
            let Provenance { generation: verified_under, until, .. } = token.provenance;
            verified_under == generation && until.is_none_or(|until| now <= until)
        });
        let token = if let Some(token) = known {
            token
        } else {
            let token = Arc::new(self.verify_anew(text, generation)?);
            self.remembered.insert(fingerprint, token.clone());
            token
        };
        self.check_times(token)
    }

    fn check_times(&self, token: Arc<VerifiedToken>) -> Result<Arc<VerifiedToken>, TokenError> {
        let now = self.clock.unix_now();
        let leeway = self.expectations.profile.leeway_seconds();
        if token.not_before.is_some_and(|not_before| not_before > now.saturating_add(leeway)) {
            return Err(TokenError::NotYetValid);
        }
        if token.expires <= now.saturating_sub(leeway) {
            return Err(TokenError::Expired(token));
        }
        Ok(token)
    }

    fn verify_anew(&self, text: &str, generation: u64) -> Result<VerifiedToken, TokenError> {
        let token = SignedToken::parse(text)?;
        let algorithm = self.check_header(&token.header)?;
        if self.keys.is_empty() {
            return Err(TokenError::NoKeys);
        }
        let Candidates { keys, until } = self.candidates(&token.header, algorithm)?;
        if !token.is_signed_by(&keys, algorithm) {
            return Err(TokenError::BadSignature);
        }
        let claims: Claims = token.claims()?;
        let text_bytes = u32::try_from(text.len()).unwrap_or(u32::MAX);
        self.check_claims(claims, token.header.kid, Provenance { generation, text_bytes, until })
    }

    fn candidates(&self, header: &Header, algorithm: Algorithm) -> Result<Candidates, TokenError> {
        let kid = header.kid.as_deref();
        let named = self.keys.candidates(kid, algorithm);
        let chain = header.x5c.as_ref().filter(|_| {
            self.expectations.profile == Profile::Standard && (kid.is_none() || named.is_empty())
        });
        if let Some(outcome) = chain.and_then(|x5c| self.keys.chain_key(x5c, self.clock.unix_now())) {
            let ChainKey { key, until } = outcome.map_err(TokenError::Chain)?;
            let keys = Some(key).filter(|key| key.is_for(algorithm)).ok_or(TokenError::Algorithm)?;
            return Ok(Candidates { keys: vec![keys], until: Some(until) });
        }
        if named.is_empty() {
            return Err(TokenError::UnknownKey);
        }
        Ok(Candidates { keys: named, until: None })
    }

    fn check_header(&self, header: &Header) -> Result<Algorithm, TokenError> {
        if self.expectations.profile == Profile::Strict && header.kid.is_none() {
            return Err(TokenError::UnknownKey);
        }
        parse_algorithm(&header.alg)
            .filter(|algorithm| self.expectations.algorithms.contains(algorithm))
            .ok_or(TokenError::Algorithm)
    }

    fn check_claims(
        &self,
        claims: Claims,
        kid: Option<String>,
        provenance: Provenance,
    ) -> Result<VerifiedToken, TokenError> {
        let Expectations { issuer, service, profile, .. } = &self.expectations;
        if claims.iss != *issuer {
            return Err(TokenError::WrongIssuer);
        }
        if !claims.aud.contains(service) {
            return Err(TokenError::WrongAudience);
        }
        let times = [("exp", Some(claims.exp)), ("nbf", claims.nbf), ("iat", claims.iat)];
        if let Some((name, _)) = times.into_iter().find(|(_, time)| time.is_some_and(|time| time < 0)) {
            return Err(TokenError::Claim(name));
        }
        if *profile == Profile::Strict {
            let issued = claims.iat.ok_or(TokenError::Claim("iat"))?;
            claims.nbf.ok_or(TokenError::Claim("nbf"))?;
            claims.jti.as_ref().ok_or(TokenError::Claim("jti"))?;
            if claims.exp.saturating_sub(issued) > MAX_STRICT_LIFETIME_SECONDS {
                return Err(TokenError::LivesTooLong);
            }
        }
        let portcullis = claims.portcullis.filter(|_| *profile == Profile::Strict);
        Ok(VerifiedToken {
            issuer: claims.iss,
            subject: claims.sub,
            uid: portcullis.as_ref().and_then(|claim| claim.uid),
            access: claims.access.with(portcullis.iter().flat_map(PortcullisClaim::more_access)),
            portcullis,
            key_id: kid.map(String::into_boxed_str),
            expires: claims.exp,
            issued: claims.iat.or(claims.nbf),
            not_before: claims.nbf,
            provenance,
        })
    }
}

#[cfg(test)]
impl VerifiedToken {
    /// One of our own token server's, as if it had been checked.
    pub(super) fn for_test(portcullis: PortcullisClaim, key_id: &str, issued: i64) -> Self {
        Self {
            issuer: "portcullis".into(),
            subject: "alice".into(),
            uid: portcullis.uid,
            access: Access::default(),
            portcullis: Some(portcullis),
            key_id: Some(key_id.into()),
            expires: issued + 300,
            issued: Some(issued),
            not_before: None,
            provenance: Provenance { generation: 0, text_bytes: 0, until: None },
        }
    }
}
