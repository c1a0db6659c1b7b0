//! Passwords that were chosen here: Argon2id, in memory that is kept for the next hash.
//!
//! An allocator may keep what it is given back, once for every thread that ever hashed.
//!
//! *Invariant:* no more memory is kept than was needed at once, and no hash depends on what it held before.
//!
//! Spec: RFC 9106 (Argon2), in the PHC string format.

use std::sync::{Mutex, MutexGuard, PoisonError};

use argon2::password_hash::phc::{Error, Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ring::rand::SystemRandom;
use shared::secret::Secret;

use super::super::random::{self, NoRandomness};

/// Memory, passes and lanes recommended for Argon2id where 64 MiB per login is too much to spend.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Length of what a hash is made unique with.
pub(super) const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// The stored text is no hash, or the hash cannot be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CannotBeHashed;

impl From<argon2::Error> for CannotBeHashed {
    fn from(_: argon2::Error) -> Self {
        Self
    }
}

impl From<argon2::password_hash::Error> for CannotBeHashed {
    fn from(_: argon2::password_hash::Error) -> Self {
        Self
    }
}

impl From<Error> for CannotBeHashed {
    fn from(_: Error) -> Self {
        Self
    }
}

/// Computes hashes.
#[derive(Default)]
pub(super) struct Argon2Hashes {
    memory: Mutex<Vec<Vec<Block>>>,
}

impl Argon2Hashes {
    /// Hashes a password, with today's parameters, into a PHC string.
    pub(super) fn hash(&self, password: &Secret, salt: &[u8; SALT_BYTES]) -> Result<String, CannotBeHashed> {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params());
        let mut hash = [0; HASH_BYTES];
        self.compute(&argon2, password, salt, &mut hash)?;
        let hash = PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(argon2.params())?,
            salt: Some(Salt::new(salt)?),
            hash: Some(Output::new(&hash)?),
        };
        Ok(hash.to_string())
    }

    /// Whether the password is right; the parameters are those of the stored hash.
    pub(super) fn verify(&self, password: &Secret, stored: &str) -> Result<bool, CannotBeHashed> {
        let stored = PasswordHash::new(stored)?;
        let (Some(salt), Some(expected)) = (stored.salt, stored.hash) else { return Err(CannotBeHashed) };
        let algorithm = Algorithm::try_from(stored.algorithm.as_str())?;
        let version = stored.version.map_or(Ok(Version::V0x10), Version::try_from)?;
        let argon2 = Argon2::new(algorithm, version, Params::try_from(&stored)?);
        let mut hash = [0; Output::MAX_LENGTH];
        let hash = &mut hash[..expected.len()];
        self.compute(&argon2, password, &salt, hash)?;
        // In constant time.
        Ok(Output::new(hash)? == expected)
    }

    fn compute(
        &self,
        argon2: &Argon2<'_>,
        password: &Secret,
        salt: &[u8],
        hash: &mut [u8],
    ) -> Result<(), CannotBeHashed> {
        let mut blocks = self.memory().pop().unwrap_or_default();
        let needed = argon2.params().block_count();
        if blocks.len() < needed {
            blocks.resize(needed, Block::new());
        }
        argon2.hash_password_into_with_memory(password.expose().as_bytes(), salt, hash, &mut blocks)?;
        self.memory().push(blocks);
        Ok(())
    }

    fn memory(&self) -> MutexGuard<'_, Vec<Vec<Block>>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn params() -> Params {
    Params::new(MEMORY_KIB, PASSES, LANES, Some(HASH_BYTES)).expect("the parameters are in range")
}

/// Whether a hash was made with other parameters than a new one would be.
pub(super) fn is_outdated(hash: &str) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else { return true };
    let costs = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
    hash.algorithm.as_str() != Algorithm::Argon2id.as_str()
        || hash.version != Some(Version::V0x13.into())
        || Params::try_from(&hash).map_or(true, |of_hash| costs(&of_hash) != costs(&params()))
}

/// A hash that no password has, with today's parameters.
pub(super) fn decoy(random: &SystemRandom) -> Result<String, NoRandomness> {
    let salt = STANDARD_NO_PAD.encode(random::bytes::<SALT_BYTES>(random)?);
    let hash = STANDARD_NO_PAD.encode(random::bytes::<HASH_BYTES>(random)?);
    Ok(format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${salt}${hash}"))
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};

    use super::*;

    #[test]
    fn memory_is_used_again_and_hashes_are_as_with_fresh_memory() {
        let hashes = Argon2Hashes::default();
        let library = Argon2::new(Algorithm::Argon2id, Version::V0x13, params());
        for (number, text) in ["one", "another", "one"].into_iter().enumerate() {
            let (password, salt) = (Secret::new(text), [u8::try_from(number).unwrap(); SALT_BYTES]);
            let ours = hashes.hash(&password, &salt).unwrap();
            assert_eq!(ours, library.hash_password_with_salt(text.as_bytes(), &salt).unwrap().to_string());
            assert_eq!(hashes.verify(&password, &ours), Ok(true));
            assert_eq!(hashes.verify(&Secret::new("wrong"), &ours), Ok(false));
        }
        assert_eq!(hashes.memory().len(), 1, "one at a time needs the memory of one");
        // Weaker, shorter and older ones need less of it.
        for stored in [
            "$argon2id$v=19$m=64,t=1,p=2$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
            "$argon2i$m=64,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g",
        ] {
            assert_eq!(hashes.verify(&Secret::new("wrong"), stored), Ok(false), "{stored}");
        }
        let weak = Argon2::new(Algorithm::Argon2d, Version::V0x10, Params::new(64, 1, 2, Some(20)).unwrap());
        let weak = weak.hash_password_with_salt(b"one", b"saltsalt").unwrap().to_string();
        assert!(library.verify_password(b"one", weak.as_str()).is_ok());
        assert_eq!(hashes.verify(&Secret::new("one"), &weak), Ok(true));
        for stored in
            ["", "nonsense", "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ", "$scrypt$ln=1$c2FsdHNhbHQ$aGFzaA"]
        {
            assert_eq!(hashes.verify(&Secret::new("one"), stored), Err(CannotBeHashed), "{stored}");
        }
        let blocks = hashes.memory().iter().map(Vec::len).sum::<usize>();
        assert_eq!(blocks * Block::SIZE, usize::try_from(MEMORY_KIB).unwrap() * 1024);
    }

    #[test]
    fn weaker_hashes_are_outdated() {
        for hash in [
            "$argon2id$v=19$m=4096,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
            "$argon2i$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
            "nonsense",
        ] {
            assert!(is_outdated(hash), "{hash}");
        }
        assert!(!is_outdated(&decoy(&SystemRandom::new()).unwrap()), "the decoy has today's cost");
    }
}
