//! What a browser carries while it is at a provider: sealed, so that it cannot be made up, read or changed.
//!
//! *Invariant:* a browser that comes back is the one that was sent, within [`LASTS`], for what it was sent.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::keys::master_secret::{MasterSecret, Purpose};
use super::super::keys::sealing;
use super::super::random::{self, NoRandomness};

/// So long somebody may take at the provider.
pub const LASTS: Duration = Duration::from_mins(10);

const CONTEXT: &[u8] = b"flow";

/// What somebody was sent for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Errand {
    /// To sign in, and then see this page.
    SignIn {
        /// A path of this server.
        page: String,
    },
    /// To say that they are this user at the provider as well.
    Link {
        /// Stable id of the user.
        uid: Uuid,
    },
}

/// A browser that is at a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// At which, by its name in the settings.
    pub provider: String,
    /// What it comes back with.
    pub state: String,
    /// What the token of the provider says.
    pub nonce: String,
    /// What the code is worth something with.
    pub verifier: String,
    /// What for.
    pub errand: Errand,
    /// Until when, in seconds since 1970.
    pub ends: i64,
}

/// A text that cannot be guessed, of 43 letters.
fn unguessable(random: &SystemRandom) -> Result<String, NoRandomness> {
    Ok(URL_SAFE_NO_PAD.encode(random::bytes::<32>(random)?))
}

impl Flow {
    /// A browser that is about to be sent.
    pub fn new(
        provider: &str,
        errand: Errand,
        now: i64,
        random: &SystemRandom,
    ) -> Result<Self, NoRandomness> {
        Ok(Self {
            provider: provider.to_owned(),
            state: unguessable(random)?,
            nonce: unguessable(random)?,
            verifier: unguessable(random)?,
            errand,
            ends: now.saturating_add_unsigned(LASTS.as_secs()),
        })
    }

    /// What the browser carries.
    pub fn seal(&self, secret: &MasterSecret, random: &SystemRandom) -> Result<String, NoRandomness> {
        let plain = serde_json::to_vec(self).expect("texts and numbers are always JSON");
        Ok(URL_SAFE_NO_PAD.encode(sealing::seal(secret, Purpose::SignOn, CONTEXT, &plain, random)?))
    }

    /// What a browser brings back to a provider's address with a state, if that is what it was given and not too late.
    pub fn open(sealed: &str, provider: &str, state: &str, secret: &MasterSecret, now: i64) -> Option<Self> {
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let plain = sealing::open(secret, Purpose::SignOn, CONTEXT, &sealed).ok()?;
        let flow: Self = serde_json::from_slice(&plain).ok()?;
        (flow.provider == provider && flow.state == state && now < flow.ends).then_some(flow)
    }
}

#[cfg(test)]
mod tests {
    use shared::secret::Secret;

    use super::*;

    #[test]
    fn only_what_was_given_is_taken_back() {
        let random = SystemRandom::new();
        let secret = MasterSecret::parse(&Secret::new("a".repeat(32))).unwrap();
        let other = MasterSecret::parse(&Secret::new("b".repeat(32))).unwrap();
        let flow = Flow::new("corp", Errand::SignIn { page: "/account".into() }, 100, &random).unwrap();
        let sealed = flow.seal(&secret, &random).unwrap();
        let state = flow.state.clone();
        assert_eq!(Flow::open(&sealed, "corp", &state, &secret, 100), Some(flow));
        assert_eq!(Flow::open(&sealed, "corp", "another state", &secret, 100), None);
        assert_eq!(Flow::open(&sealed, "another", &state, &secret, 100), None);
        assert_eq!(Flow::open(&sealed, "corp", &state, &other, 100), None);
        assert_eq!(Flow::open(&sealed, "corp", &state, &secret, 100 + 600), None, "too late");
        assert_eq!(Flow::open("", "corp", "", &secret, 100), None);
    }
}
