//! Passwords: what may be chosen, and the slow hash.
//!
//! One check costs some 20 MiB and tens of milliseconds of a core, so all of them go through the gate that both
//! servers have.
//!
//! *Invariant:* a check takes the same work whether the user exists or not, and memory for hashing is bounded by the
//! number of checks that run at once.

use std::sync::Arc;

use ring::rand::SystemRandom;
use shared::secret::Secret;
pub use shared::server::passwords::MAX_PASSWORD_BYTES;
use shared::server::passwords::gate::{GateError, HashingGate};

use super::super::random::{self, NoRandomness};
pub(super) use super::password_argon2::is_outdated;
use super::password_argon2::{self, Argon2Hashes, CannotBeHashed, SALT_BYTES};
use super::password_bcrypt;

/// Shorter ones cannot be chosen.
pub const MIN_PASSWORD_CHARACTERS: usize = 8;

/// Why a password cannot be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPassword {
    /// Fewer than [`MIN_PASSWORD_CHARACTERS`].
    #[error("a password has at least {MIN_PASSWORD_CHARACTERS} characters")]
    TooShort,
    /// More than [`MAX_PASSWORD_BYTES`].
    #[error("a password has at most {MAX_PASSWORD_BYTES} bytes")]
    TooLong,
    /// Something that cannot be typed at a prompt.
    #[error("a password must not hold control characters such as line ends")]
    ControlCharacter,
}

/// A password that may be chosen.
#[derive(Clone, Debug)]
pub struct NewPassword(Secret);

impl NewPassword {
    /// Checks a choice.
    pub fn parse(password: Secret) -> Result<Self, InvalidPassword> {
        let text = password.expose();
        if text.len() > MAX_PASSWORD_BYTES {
            return Err(InvalidPassword::TooLong);
        }
        if text.chars().count() < MIN_PASSWORD_CHARACTERS {
            return Err(InvalidPassword::TooShort);
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidPassword::ControlCharacter);
        }
        Ok(Self(password))
    }
}

/// Why a password was not hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashingError {
    /// More logins at once than the server wants to queue.
    #[error("too many logins at once")]
    Busy,
    /// The hash could not be computed.
    #[error("password hashing failed")]
    Failed,
    /// No salt could be made.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl From<CannotBeHashed> for HashingError {
    fn from(_: CannotBeHashed) -> Self {
        Self::Failed
    }
}

impl From<GateError> for HashingError {
    fn from(error: GateError) -> Self {
        match error {
            GateError::Busy => Self::Busy,
            GateError::Failed => Self::Failed,
        }
    }
}

/// Hashes and checks passwords, a few at a time.
pub struct PasswordHasher {
    argon2: Arc<Argon2Hashes>,
    decoy: String,
    gate: HashingGate,
    random: SystemRandom,
}

impl std::fmt::Debug for PasswordHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PasswordHasher").field("gate", &self.gate).finish_non_exhaustive()
    }
}

impl PasswordHasher {
    /// Lets `concurrency` checks run at once and `queue` more wait.
    pub fn new(concurrency: usize, queue: usize, random: SystemRandom) -> Result<Self, NoRandomness> {
        Ok(Self {
            argon2: Arc::default(),
            decoy: password_argon2::decoy(&random)?,
            gate: HashingGate::new(concurrency, queue),
            random,
        })
    }

    /// How often the slow hash was computed so far; tests assert on work with it.
    pub fn runs(&self) -> u64 {
        self.gate.runs().get()
    }

    /// Hashes a new password into a PHC string.
    pub async fn hash(&self, password: &NewPassword) -> Result<String, HashingError> {
        self.hash_unchecked(&password.0).await
    }

    /// Hashes a password that was right, whatever today's rules for choosing one say.
    pub async fn hash_unchecked(&self, password: &Secret) -> Result<String, HashingError> {
        let salt: [u8; SALT_BYTES] = random::bytes(&self.random)?;
        let (argon2, password) = (self.argon2.clone(), password.clone());
        let hash = self.gate.run(move |runs| {
            runs.count();
            argon2.hash(&password, &salt)
        });
        Ok(hash.await??)
    }

    /// Checks a password against a stored hash. Without one it does the same work and says no. While there are users
    /// with a bcrypt hash, `slowest_bcrypt` is the highest cost of theirs, and every check does that work too.
    pub async fn verify(
        &self,
        password: &Secret,
        hash: Option<&str>,
        slowest_bcrypt: Option<u32>,
    ) -> Result<bool, HashingError> {
        let bcrypt = hash.and_then(|hash| Some((hash.to_owned(), password_bcrypt::cost(hash)?)));
        let argon = hash.filter(|_| bcrypt.is_none());
        let argon_is_known = argon.is_some();
        let argon = argon.unwrap_or(&self.decoy).to_owned();
        let (argon2, password) = (self.argon2.clone(), password.clone());
        let outcome = self.gate.run(move |runs| {
            let count = || runs.count();
            count();
            let by_argon = argon2.verify(&password, &argon)?;
            let cost = bcrypt.as_ref().map(|(_, cost)| *cost);
            let by_bcrypt = bcrypt.is_some_and(|(hash, _)| password_bcrypt::verify(&password, &hash, count));
            if let Some(slowest) = slowest_bcrypt {
                password_bcrypt::spend(&password, cost, slowest, count);
            }
            Ok((argon_is_known && by_argon) || by_bcrypt)
        });
        outcome.await?.map_err(|CannotBeHashed| HashingError::Failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hasher() -> PasswordHasher {
        PasswordHasher::new(1, 1, SystemRandom::new()).unwrap()
    }

    fn secret(text: &str) -> Secret {
        Secret::new(text)
    }

    #[tokio::test]
    async fn a_password_matches_its_own_hash_only() {
        let hasher = hasher();
        let hash = hasher.hash(&NewPassword::parse(secret("correct horse")).unwrap()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_eq!(hasher.verify(&secret("correct horse"), Some(&hash), None).await, Ok(true));
        assert_eq!(hasher.verify(&secret("correct horsf"), Some(&hash), None).await, Ok(false));
        assert!(!is_outdated(&hash));
    }

    #[tokio::test]
    async fn an_unknown_user_costs_one_check_and_never_matches() {
        let hasher = hasher();
        assert_eq!(hasher.verify(&secret("anything"), None, None).await, Ok(false));
        assert_eq!(hasher.runs(), 1);
    }

    #[tokio::test]
    async fn while_there_are_bcrypt_hashes_every_check_costs_the_slowest_of_them_too() {
        let hasher = hasher();
        let [fast, slow] = [4, 6].map(|cost| bcrypt::hash("correct horse", cost).unwrap());
        let argon = hasher.hash(&NewPassword::parse(secret("correct horse")).unwrap()).await.unwrap();
        let mut before = hasher.runs();
        for (hash, runs) in [(None, 2), (Some(&argon), 2), (Some(&slow), 2), (Some(&fast), 4)] {
            let hash = hash.map(String::as_str);
            assert_eq!(hasher.verify(&secret("wrong"), hash, Some(6)).await, Ok(false), "{hash:?}");
            assert_eq!(hasher.runs() - before, runs, "{hash:?}: one of argon2, and bcrypt up to the slowest");
            assert_eq!(hasher.verify(&secret("correct horse"), hash, Some(6)).await, Ok(hash.is_some()));
            before = hasher.runs();
        }
        assert!(is_outdated(&fast));
    }

    #[test]
    fn choices_are_limited_in_length_and_kind() {
        for (password, expected) in [
            ("1234567".to_owned(), Some(InvalidPassword::TooShort)),
            ("12345678".to_owned(), None),
            ("pässwört".to_owned(), None),
            ("a".repeat(1024), None),
            ("a".repeat(1025), Some(InvalidPassword::TooLong)),
            ("1234567\n8".to_owned(), Some(InvalidPassword::ControlCharacter)),
        ] {
            assert_eq!(NewPassword::parse(secret(&password)).err(), expected, "{password}");
        }
    }
}
