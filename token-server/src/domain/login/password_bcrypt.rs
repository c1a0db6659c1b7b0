//! Passwords that were hashed by another server, with bcrypt.
//!
//! Such a hash is good for one login; then it is replaced. Until the last one is gone, every check costs as much as the
//! slowest of them, so that nobody can tell by the time whose hash is of which kind, or that somebody does not exist.
//!
//! *Invariant:* a hash that was parsed can be checked, and no hash costs more than [`MAX_COST`].

use std::ops::Range;

use bcrypt::HashParts;
use shared::secret::Secret;

/// The least that bcrypt knows.
const MIN_COST: u32 = 4;

/// A check of this cost takes about a second; each step doubles that.
pub const MAX_COST: u32 = 14;

/// So much of a password goes into a hash.
const MAX_BYTES: usize = 72;

/// Why a text is no hash that can be imported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidImportedHash {
    /// Something else.
    #[error("it is no bcrypt hash (`$2y$…`, `$2a$…` or `$2b$…`)")]
    NotBcrypt,
    /// It would keep a core busy for seconds.
    #[error("its cost is {0}, and checks that cost more than {MAX_COST} take too long")]
    TooSlow(u32),
}

/// A bcrypt hash that somebody's password can be checked against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedHash(Secret);

impl ImportedHash {
    /// Takes a stored hash.
    pub fn parse(text: &str) -> Result<Self, InvalidImportedHash> {
        let cost = cost(text).ok_or(InvalidImportedHash::NotBcrypt)?;
        if cost > MAX_COST { Err(InvalidImportedHash::TooSlow(cost)) } else { Ok(Self(Secret::new(text))) }
    }

    /// The text that is stored.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// The cost of a bcrypt hash; nothing for other texts.
pub(super) fn cost(hash: &str) -> Option<u32> {
    let is_known_kind = ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| hash.starts_with(prefix));
    let cost = hash.parse::<HashParts>().ok().filter(|_| is_known_kind)?.get_cost();
    (cost >= MIN_COST).then_some(cost)
}

/// Whether the password is right. `count` is called before each hash. One that bcrypt would only read the beginning of is
/// wrong, because any other end would do as well.
pub(super) fn verify(password: &Secret, hash: &str, count: impl Fn()) -> bool {
    count();
    let is_right = bcrypt::verify(password.expose(), hash).unwrap_or(false);
    is_right && password.expose().len() <= MAX_BYTES
}

/// Spends what a check against the slowest hash costs, less what was spent on `hash` already.
pub(super) fn spend(password: &Secret, hash: Option<u32>, slowest: u32, count: impl Fn()) {
    for cost in remaining_costs(hash, slowest.min(MAX_COST)) {
        count();
        let _ = bcrypt::verify(password.expose(), &decoy(cost));
    }
}

/// Costs are powers of two, so one more hash of each cost from the user's up to the slowest adds up to the slowest.
fn remaining_costs(spent: Option<u32>, slowest: u32) -> Range<u32> {
    match spent {
        Some(cost) => cost..slowest,
        None => slowest..slowest + 1,
    }
}

/// A hash of this cost that no password has to match.
fn decoy(cost: u32) -> String {
    format!("$2b${cost:02}$C6UzMDM.H6dfI/f/IKcEe.7uBJBHvyRBtuPIBCBAABwxFqgZfqvSe")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bcrypt_of_a_bearable_cost_is_taken() {
        let made = bcrypt::hash_with_result("secret", 4).unwrap();
        for version in [bcrypt::Version::TwoA, bcrypt::Version::TwoB, bcrypt::Version::TwoY] {
            let hash = made.format_for_version(version);
            assert!(ImportedHash::parse(&hash).is_ok(), "{hash}");
            assert!(verify(&Secret::new("secret"), &hash, || ()));
            assert!(!verify(&Secret::new("secreu"), &hash, || ()));
        }
        assert_eq!(ImportedHash::parse(&decoy(15)), Err(InvalidImportedHash::TooSlow(15)));
        for text in ["", "secret", "$apr1$x$y", "$2y$05$short", "{SHA}x"] {
            assert_eq!(ImportedHash::parse(text), Err(InvalidImportedHash::NotBcrypt), "{text}");
        }
    }

    #[test]
    fn a_password_is_compared_as_a_whole() {
        let longest = "a".repeat(MAX_BYTES);
        let hash = bcrypt::hash(&longest, 4).unwrap();
        let is_right = |password: String| verify(&Secret::new(password), &hash, || ());
        assert!(is_right(longest.clone()));
        for end in ["a", "b", "anything"] {
            assert!(!is_right(format!("{longest}{end}")), "{end}");
        }
        assert!(!is_right(longest[1..].to_owned()));
    }

    #[test]
    fn every_check_costs_the_same_work() {
        let work = |costs: Range<u32>| costs.map(|cost| 1_u32 << cost).sum::<u32>();
        for slowest in MIN_COST..=MAX_COST {
            assert_eq!(work(remaining_costs(None, slowest)), 1 << slowest);
            for own in MIN_COST..=slowest {
                assert_eq!((1 << own) + work(remaining_costs(Some(own), slowest)), 1 << slowest);
            }
        }
        assert_eq!(cost(&decoy(10)), Some(10));
    }
}
