//! Hashing a stream by one or several functions in one pass, with states that can be put aside and taken up again.
//!
//! *Invariant:* a saved state is spelled as Go's `crypto/sha256` and `crypto/sha512` marshal it, because the
//! distribution registry reads and writes such files next to unfinished uploads: four magic bytes, eight chaining
//! values, a block buffer whose unused part is zero, the length in 8 bytes; all integers big-endian.
//!
//! The hash library has a spelling of its own: chaining values and number of blocks in little-endian, the fill of the
//! buffer, a buffer without its last byte. The two are converted field by field here and nowhere else.

use std::fmt;

use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest as _, Sha256, Sha512};

use super::digest::{Algorithm, Digest};

/// No saved state is longer than this.
pub const MAX_STATE_BYTES: usize = Spelling::SHA512.state_bytes();

const LENGTH_BYTES: usize = size_of::<u64>();

/// What differs between the states of the two functions; all else follows from the size of a word.
#[derive(Clone, Copy)]
struct Spelling {
    magic: [u8; 4],
    word_bytes: usize,
}

impl Spelling {
    const SHA256: Self = Self { magic: *b"sha\x03", word_bytes: 4 };
    const SHA512: Self = Self { magic: *b"sha\x07", word_bytes: 8 };

    const fn chaining_bytes(self) -> usize {
        8 * self.word_bytes
    }

    const fn block_bytes(self) -> usize {
        16 * self.word_bytes
    }

    /// How the library counts blocks.
    const fn counter_bytes(self) -> usize {
        2 * self.word_bytes
    }

    const fn state_bytes(self) -> usize {
        self.magic.len() + self.chaining_bytes() + self.block_bytes() + LENGTH_BYTES
    }

    /// From the library's spelling to Go's.
    fn to_go(self, library: &[u8], length: u64) -> Vec<u8> {
        let (chaining, rest) = library.split_at(self.chaining_bytes());
        let buffer = &rest[self.counter_bytes() + 1..];
        let mut state = Vec::with_capacity(self.state_bytes());
        state.extend(self.magic);
        state.extend(chaining.chunks_exact(self.word_bytes).flat_map(|word| word.iter().rev().copied()));
        state.extend(buffer);
        // The library never keeps a full block, so its buffer lacks the last byte, which in Go's is then unused.
        state.push(0);
        state.extend(length.to_be_bytes());
        state
    }

    /// From Go's spelling to the library's, with the length.
    fn to_library(self, state: &[u8]) -> Option<(Vec<u8>, u64)> {
        if state.len() != self.state_bytes() {
            return None;
        }
        let rest = state.strip_prefix(&self.magic)?;
        let (chaining, rest) = rest.split_at(self.chaining_bytes());
        let (block, length) = rest.split_at(self.block_bytes());
        let length = u64::from_be_bytes(length.try_into().ok()?);
        let block_bytes = self.block_bytes() as u64;
        let fill = u8::try_from(length % block_bytes).ok()?;

        let mut library = Vec::with_capacity(self.state_bytes() + self.counter_bytes());
        library.extend(chaining.chunks_exact(self.word_bytes).flat_map(|word| word.iter().rev().copied()));
        let blocks = u128::from(length / block_bytes).to_le_bytes();
        library.extend(&blocks[..self.counter_bytes()]);
        library.push(fill);
        // Go leaves old bytes behind the fill in memory but zeroes them when it marshals; the library insists on it.
        library.extend(&block[..usize::from(fill)]);
        library.resize(self.chaining_bytes() + self.counter_bytes() + self.block_bytes(), 0);
        Some((library, length))
    }
}

/// Computes the digests of bytes that arrive in pieces.
#[derive(Clone)]
pub struct Hasher {
    sha256: Option<Sha256>,
    sha512: Option<Sha512>,
    length: u64,
}

impl Hasher {
    /// Has seen nothing yet.
    pub fn new(algorithm: Algorithm) -> Self {
        let nothing = Self { sha256: None, sha512: None, length: 0 };
        match algorithm {
            Algorithm::Sha256 => Self { sha256: Some(Sha256::new()), ..nothing },
            Algorithm::Sha512 => Self { sha512: Some(Sha512::new()), ..nothing },
        }
    }

    /// Computes what both compute; `None` if they have not seen equally much.
    #[must_use]
    pub fn joined(self, other: Self) -> Option<Self> {
        (self.length == other.length).then(|| Self {
            sha256: self.sha256.or(other.sha256),
            sha512: self.sha512.or(other.sha512),
            length: self.length,
        })
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
        if let Some(sha512) = &mut self.sha512 {
            sha512.update(bytes);
        }
        self.length += bytes.len() as u64;
    }

    /// How many bytes it has seen.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The digest of what it has seen, the canonical one if it computes that.
    pub fn digest(self) -> Digest {
        match (self.sha256, self.sha512) {
            (Some(sha256), _) => Digest::from_hash(Algorithm::Sha256, &sha256.finalize()),
            (None, sha512) => {
                let sha512 = sha512.expect("a hasher is made with at least one function");
                Digest::from_hash(Algorithm::Sha512, &sha512.finalize())
            }
        }
    }

    /// The digest of what it has seen by one function; `None` if it does not compute that.
    pub fn digest_by(&self, algorithm: Algorithm) -> Option<Digest> {
        let one = match algorithm {
            Algorithm::Sha256 => {
                Self { sha256: Some(self.sha256.clone()?), sha512: None, length: self.length }
            }
            Algorithm::Sha512 => {
                Self { sha512: Some(self.sha512.clone()?), sha256: None, length: self.length }
            }
        };
        Some(one.digest())
    }

    /// The state of one function in Go's spelling; `None` if it does not compute that.
    pub fn save_state(&self, algorithm: Algorithm) -> Option<Vec<u8>> {
        Some(match algorithm {
            Algorithm::Sha256 => Spelling::SHA256.to_go(&self.sha256.as_ref()?.serialize(), self.length),
            Algorithm::Sha512 => Spelling::SHA512.to_go(&self.sha512.as_ref()?.serialize(), self.length),
        })
    }

    /// Takes up a state of one function in Go's spelling; `None` if `state` is not one.
    pub fn restore_state(algorithm: Algorithm, state: &[u8]) -> Option<Self> {
        let nothing = Self::new(algorithm);
        match algorithm {
            Algorithm::Sha256 => {
                let (library, length) = Spelling::SHA256.to_library(state)?;
                let library = SerializedState::<Sha256>::try_from(library.as_slice()).ok()?;
                Some(Self { sha256: Some(Sha256::deserialize(&library).ok()?), length, ..nothing })
            }
            Algorithm::Sha512 => {
                let (library, length) = Spelling::SHA512.to_library(state)?;
                let library = SerializedState::<Sha512>::try_from(library.as_slice()).ok()?;
                Some(Self { sha512: Some(Sha512::deserialize(&library).ok()?), length, ..nothing })
            }
        }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").field("length", &self.length).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hashed(content: &[u8]) -> Hasher {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(content);
        hasher
    }

    #[test]
    fn the_state_before_the_first_byte_is_the_initial_value_of_the_standard() {
        let state = hashed(b"").save_state(Algorithm::Sha256).expect("sha256 has a state");
        let mut expected = b"sha\x03".to_vec();
        for word in [
            0x6a09_e667_u32,
            0xbb67_ae85,
            0x3c6e_f372,
            0xa54f_f53a,
            0x510e_527f,
            0x9b05_688c,
            0x1f83_d9ab,
            0x5be0_cd19,
        ] {
            expected.extend(word.to_be_bytes());
        }
        expected.extend([0; 72]);
        assert_eq!(state.as_slice(), expected);
    }

    #[test]
    fn a_state_within_a_block_carries_the_buffered_bytes_and_the_length() {
        let state = hashed(b"abc").save_state(Algorithm::Sha256).expect("sha256 has a state");
        assert_eq!(&state[36..39], b"abc");
        assert!(state[39..100].iter().all(|byte| *byte == 0));
        assert_eq!(state[100..], 3u64.to_be_bytes());
    }

    /// The chaining values after one block are those FIPS 180-4's two-block example prints for its first block.
    #[test]
    fn a_state_after_one_block_has_the_published_chaining_values() {
        // The first block of the example "abcdbcde…nopq": 56 message bytes, the padding bit and zeros.
        let mut block = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".to_vec();
        block.extend([0x80, 0, 0, 0, 0, 0, 0, 0]);
        let state = hashed(&block).save_state(Algorithm::Sha256).expect("sha256 has a state");
        let words: Vec<u32> = state[4..36]
            .chunks_exact(4)
            .map(|word| u32::from_be_bytes(word.try_into().expect("chunks of four")))
            .collect();
        assert_eq!(
            words,
            [
                0x85e6_55d6,
                0x417a_1795,
                0x3363_376a,
                0x624c_de5c,
                0x76e0_9589,
                0xcac5_f811,
                0xcc4b_32c1,
                0xf20e_533a
            ]
        );
    }

    /// What the distribution registry wrote next to an upload of these hundred bytes.
    #[test]
    fn a_state_is_the_one_the_distribution_registry_writes() {
        let content: Vec<u8> = (0..100u8).map(|at| 33 + at % 90).collect();
        let state = hashed(&content).save_state(Algorithm::Sha256).expect("sha256 has a state");
        let mut expected = b"sha\x03".to_vec();
        for word in [
            0x0ff1_5844,
            0x9d25_3082,
            0x879e_e80e,
            0xee91_3c30,
            0x5e6c_e8d2,
            0x48e4_0d79,
            0x30f9_c2cd,
            0xbb44_c3d7,
        ] {
            expected.extend(u32::to_be_bytes(word));
        }
        expected.extend(b"abcdefghijklmnopqrstuvwxyz!\"#$%&'()*");
        expected.resize(100, 0);
        expected.extend(100u64.to_be_bytes());
        assert_eq!(state.as_slice(), expected);
    }

    #[test]
    fn damaged_states_are_refused() {
        let state = hashed(b"abc").save_state(Algorithm::Sha256).expect("sha256 has a state");
        assert!(Hasher::restore_state(Algorithm::Sha256, &[]).is_none());
        assert!(Hasher::restore_state(Algorithm::Sha256, &state[..107]).is_none());
        let mut other = state.clone();
        other[3] = 2;
        assert!(Hasher::restore_state(Algorithm::Sha256, &other).is_none(), "sha224 has the magic byte 2");
    }

    /// FIPS 180-4: the initial values of SHA-512, and the published hash of "abc".
    #[test]
    fn sha512_states_have_the_same_spelling_with_wider_words() {
        let mut hasher = Hasher::new(Algorithm::Sha512);
        let state = hasher.save_state(Algorithm::Sha512).expect("a state");
        assert_eq!(state.len(), 204);
        assert_eq!(&state[..4], b"sha\x07");
        assert_eq!(state[4..12], 0x6a09_e667_f3bc_c908_u64.to_be_bytes());
        hasher.update(b"abc");
        let state = hasher.save_state(Algorithm::Sha512).expect("a state");
        assert_eq!(&state[68..71], b"abc");
        assert_eq!(state[196..], 3u64.to_be_bytes());
        let restored = Hasher::restore_state(Algorithm::Sha512, &state).expect("a state just saved");
        assert!(restored.digest().hex().starts_with("ddaf35a193617abacc417349ae204131"));
        assert!(Hasher::restore_state(Algorithm::Sha256, &state).is_none());
    }

    #[test]
    fn several_functions_hash_in_one_pass() {
        let mut both = Hasher::new(Algorithm::Sha512).joined(hashed(b"")).expect("equally long");
        both.update(b"content");
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            assert_eq!(both.digest_by(algorithm), Some(Digest::of(algorithm, b"content")));
        }
        assert_eq!(both.clone().digest(), Digest::sha256_of(b"content"), "the canonical one");
        assert_eq!(hashed(b"x").digest_by(Algorithm::Sha512), None);
        assert!(both.joined(hashed(b"other")).is_none(), "they have not seen equally much");
    }

    #[test]
    fn hashing_resumes_at_every_offset_of_three_blocks() {
        let content: Vec<u8> = (0..192u8).collect();
        for offset in 0..=content.len() {
            let state = hashed(&content[..offset]).save_state(Algorithm::Sha256).expect("sha256 has a state");
            let mut resumed = Hasher::restore_state(Algorithm::Sha256, &state).expect("a state just saved");
            assert_eq!(resumed.length(), offset as u64);
            resumed.update(&content[offset..]);
            assert_eq!(resumed.digest(), Digest::sha256_of(&content), "offset {offset}");
        }
    }

    proptest! {
        #[test]
        fn hashing_by_sha512_resumes_anywhere(content in proptest::collection::vec(any::<u8>(), 0..2000), at in any::<prop::sample::Index>()) {
            let offset = at.index(content.len() + 1);
            let mut first = Hasher::new(Algorithm::Sha512);
            first.update(&content[..offset]);
            let state = first.save_state(Algorithm::Sha512).expect("a state");
            let mut resumed = Hasher::restore_state(Algorithm::Sha512, &state).expect("a state just saved");
            prop_assert_eq!(resumed.length(), offset as u64);
            resumed.update(&content[offset..]);
            prop_assert_eq!(resumed.digest(), Digest::of(Algorithm::Sha512, &content));
        }

        #[test]
        fn hashing_resumes_anywhere(content in proptest::collection::vec(any::<u8>(), 0..2000), at in any::<prop::sample::Index>()) {
            let offset = at.index(content.len() + 1);
            let state = hashed(&content[..offset]).save_state(Algorithm::Sha256).expect("sha256 has a state");
            let mut resumed = Hasher::restore_state(Algorithm::Sha256, &state).expect("a state just saved");
            prop_assert_eq!(resumed.save_state(Algorithm::Sha256), Some(state));
            resumed.update(&content[offset..]);
            prop_assert_eq!(resumed.digest(), Digest::sha256_of(&content));
        }

        #[test]
        fn no_bytes_make_restoring_panic(state in proptest::collection::vec(any::<u8>(), 104..112)) {
            let mut state = state;
            state[..4].copy_from_slice(b"sha\x03");
            let _ = Hasher::restore_state(Algorithm::Sha256, &state);
            let mut wide = [state.clone(), state].concat();
            wide.resize(MAX_STATE_BYTES, 0xff);
            wide[..4].copy_from_slice(b"sha\x07");
            let _ = Hasher::restore_state(Algorithm::Sha512, &wide);
        }
    }
}
