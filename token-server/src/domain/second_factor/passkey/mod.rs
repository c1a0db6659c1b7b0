//! Whether an answer of a browser and its device is what was asked for.
//!
//! Where a key comes from is not asked: the statement of its maker is not read, so any device will do.
//!
//! *Invariant:* an answer is believed if it is about this challenge, comes from a page of this server, is for this place,
//! and was signed by the key that is known; and that key was not used elsewhere meanwhile.
//!
//! Spec: Web Authentication Level 2 §7.1 and §7.2.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;
use serde::Deserialize;
use subtle::ConstantTimeEq as _;
use url::Url;

use super::authenticator_data::AuthenticatorData;
use super::cose_key::{CoseKey, read_value};

/// Length of what is to be signed.
pub const CHALLENGE_BYTES: usize = 32;

/// Longest name that a device may give a key (§5.8.3).
const MAX_ID_BYTES: usize = 1_023;

/// The place that keys are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelyingParty {
    /// The name of the host.
    pub id: String,
    /// Where its pages are, as browsers say it.
    origin: String,
}

impl RelyingParty {
    /// That of the pages at this address; nothing if it has no name, because browsers make no keys for numbers.
    pub fn at(url: &Url) -> Option<Self> {
        let id = url.domain()?.to_owned();
        Some(Self { id, origin: url.origin().ascii_serialization() })
    }

    fn is_meant(&self, party: &[u8; 32]) -> bool {
        digest::digest(&digest::SHA256, self.id.as_bytes()).as_ref() == party
    }
}

/// Why an answer is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadAnswer {
    /// It cannot be read.
    Unreadable,
    /// It is for another errand.
    WrongKind,
    /// It answers something else.
    WrongChallenge,
    /// It comes from another page.
    WrongOrigin,
    /// It is for another place.
    WrongParty,
    /// Nobody touched the device, or not its owner where that matters.
    NobodyThere,
    /// The key is unknown, or somebody else's.
    UnknownKey,
    /// The signature is not of that key.
    WrongSignature,
    /// The key was used more often than it says, so there are two of it.
    Copied,
}

impl BadAnswer {
    /// The word in the record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable_passkey",
            Self::WrongKind => "passkey_for_another_errand",
            Self::WrongChallenge => "passkey_for_another_challenge",
            Self::WrongOrigin => "passkey_from_another_page",
            Self::WrongParty => "passkey_for_another_place",
            Self::NobodyThere => "passkey_without_its_owner",
            Self::UnknownKey => "unknown_passkey",
            Self::WrongSignature => "wrong_second_factor",
            Self::Copied => "copied_passkey",
        }
    }
}

/// What a browser sends back, as the script of the pages puts it together.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Answer {
    /// How the device calls the key.
    id: String,
    /// What the browser says of itself.
    #[serde(rename = "clientDataJSON")]
    client_data: String,
    /// What the device says, with a new key.
    attestation_object: Option<String>,
    /// What the device says, with a signature.
    authenticator_data: Option<String>,
    /// The signature.
    signature: Option<String>,
    /// Whose key it is, as it was told when it was made.
    user_handle: Option<String>,
}

/// What a browser says of itself; more than this may come.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientData {
    #[serde(rename = "type")]
    kind: String,
    challenge: String,
    origin: String,
    #[serde(default)]
    cross_origin: bool,
    top_origin: Option<String>,
}

fn decoded(text: &str) -> Result<Vec<u8>, BadAnswer> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| BadAnswer::Unreadable)
}

/// A key that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// How the device calls it.
    pub id: Vec<u8>,
    /// The key, as the device wrote it.
    pub public_key: Vec<u8>,
    /// How often it was used.
    pub count: u32,
}

/// A key that is known.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The key, as the device wrote it.
    pub public_key: &'a [u8],
    /// How often it was used when it was seen last.
    pub count: i64,
    /// Whose it is.
    pub owner: &'a [u8],
}

/// A key that was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// How often it was used.
    pub count: u32,
    /// Whether the device knows that it was its owner who did.
    pub is_verified: bool,
}

impl Answer {
    /// Reads what the script of the pages puts into a form.
    pub fn read(text: &str) -> Result<Self, BadAnswer> {
        serde_json::from_str(text).map_err(|_| BadAnswer::Unreadable)
    }

    /// How the device calls the key.
    pub fn key_id(&self) -> Result<Vec<u8>, BadAnswer> {
        decoded(&self.id)
    }

    /// Checks what the browser says; returns the bytes of that.
    fn client_data(&self, kind: &str, challenge: &[u8], party: &RelyingParty) -> Result<Vec<u8>, BadAnswer> {
        let bytes = decoded(&self.client_data)?;
        let said: ClientData = serde_json::from_slice(&bytes).map_err(|_| BadAnswer::Unreadable)?;
        if said.kind != kind {
            return Err(BadAnswer::WrongKind);
        }
        let answered = decoded(&said.challenge).map_err(|_| BadAnswer::WrongChallenge)?;
        if !bool::from(answered.ct_eq(challenge)) {
            return Err(BadAnswer::WrongChallenge);
        }
        if said.origin != party.origin || said.cross_origin || said.top_origin.is_some() {
            return Err(BadAnswer::WrongOrigin);
        }
        Ok(bytes)
    }

    /// The key that was made for this challenge.
    pub fn registered(&self, challenge: &[u8], party: &RelyingParty) -> Result<Registered, BadAnswer> {
        self.client_data("webauthn.create", challenge, party)?;
        let object = decoded(self.attestation_object.as_deref().ok_or(BadAnswer::Unreadable)?)?;
        let (object, rest) = read_value(&object).ok_or(BadAnswer::Unreadable)?;
        let said = object.as_map().and_then(|map| {
            let mut found = map.iter().filter(|(key, _)| key.as_text() == Some("authData"));
            found.next().filter(|_| rest.is_empty()).and_then(|(_, value)| value.as_bytes())
        });
        let data = said.and_then(|bytes| AuthenticatorData::read(bytes)).ok_or(BadAnswer::Unreadable)?;
        if !party.is_meant(data.party) {
            return Err(BadAnswer::WrongParty);
        }
        if !data.is_present {
            return Err(BadAnswer::NobodyThere);
        }
        let new = data.new.ok_or(BadAnswer::Unreadable)?;
        if new.id.is_empty() || new.id.len() > MAX_ID_BYTES || new.id != self.key_id()? {
            return Err(BadAnswer::Unreadable);
        }
        Ok(Registered { id: new.id.to_vec(), public_key: new.written.to_vec(), count: data.count })
    }

    /// That a key was shown for this challenge; that it is the one that is named was looked up before.
    pub fn shown(&self, challenge: &[u8], party: &RelyingParty, key: Known<'_>) -> Result<Shown, BadAnswer> {
        let client_data = self.client_data("webauthn.get", challenge, party)?;
        let part = |text: &Option<String>| decoded(text.as_deref().ok_or(BadAnswer::Unreadable)?);
        let (said, signature) = (part(&self.authenticator_data)?, part(&self.signature)?);
        let data = AuthenticatorData::read(&said).ok_or(BadAnswer::Unreadable)?;
        if data.new.is_some() {
            return Err(BadAnswer::Unreadable);
        }
        if let Some(handle) = &self.user_handle
            && decoded(handle)? != key.owner
        {
            return Err(BadAnswer::UnknownKey);
        }
        if !party.is_meant(data.party) {
            return Err(BadAnswer::WrongParty);
        }
        if !data.is_present {
            return Err(BadAnswer::NobodyThere);
        }
        let public_key = CoseKey::parse(key.public_key).ok_or(BadAnswer::UnknownKey)?;
        let hash = digest::digest(&digest::SHA256, &client_data);
        if !public_key.has_signed(&[&said, hash.as_ref()].concat(), &signature) {
            return Err(BadAnswer::WrongSignature);
        }
        // A device that does not count says 0 for ever.
        if (data.count != 0 || key.count != 0) && i64::from(data.count) <= key.count {
            return Err(BadAnswer::Copied);
        }
        Ok(Shown { count: data.count, is_verified: data.is_verified })
    }
}

#[cfg(test)]
mod tests;
