//! Hashing a stream, with a SHA-256 state that can be put aside and taken up again.
//!
//! *Invariant:* a saved state is spelled as Go's `crypto/sha256` marshals it, because the distribution registry reads
//! and writes such files next to unfinished uploads: four magic bytes, eight chaining values, a 64-byte block buffer
//! whose unused part is zero, the length; all integers big-endian, 108 bytes together.
//!
//! The hash library has a spelling of its own: chaining values and number of blocks in little-endian, the fill of the
//! buffer, 63 buffer bytes. The two are converted field by field here and nowhere else.

use std::fmt;

use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest as _, Sha256, Sha512};

use super::digest::{Algorithm, Digest};

/// Length of a saved state in bytes.
pub const STATE_BYTES: usize = 108;

const MAGIC: [u8; 4] = *b"sha\x03";
const CHAINING_BYTES: usize = 32;
const BLOCK_BYTES: usize = 64;

/// Computes the digest of bytes that arrive in pieces.
#[derive(Clone)]
pub struct Hasher {
    function: Function,
    length: u64,
}

#[derive(Clone)]
enum Function {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    /// Has seen nothing yet.
    pub fn new(algorithm: Algorithm) -> Self {
        let function = match algorithm {
            Algorithm::Sha256 => Function::Sha256(Sha256::new()),
            Algorithm::Sha512 => Function::Sha512(Sha512::new()),
        };
        Self { function, length: 0 }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.function {
            Function::Sha256(sha256) => sha256.update(bytes),
            Function::Sha512(sha512) => sha512.update(bytes),
        }
        self.length += bytes.len() as u64;
    }

    /// How many bytes it has seen.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The digest of what it has seen.
    pub fn digest(self) -> Digest {
        match self.function {
            Function::Sha256(sha256) => Digest::from_hash(Algorithm::Sha256, &sha256.finalize()),
            Function::Sha512(sha512) => Digest::from_hash(Algorithm::Sha512, &sha512.finalize()),
        }
    }

    /// The state in Go's spelling; `None` for SHA-512, whose states nobody stores.
    pub fn save_state(&self) -> Option<[u8; STATE_BYTES]> {
        let Function::Sha256(sha256) = &self.function else { return None };
        let library = sha256.serialize();
        let (chaining, rest) = library.split_at(CHAINING_BYTES);
        let buffer = &rest[size_of::<u64>() + 1..];
        let mut state = Vec::with_capacity(STATE_BYTES);
        state.extend(MAGIC);
        state.extend(chaining.chunks_exact(4).flat_map(|word| word.iter().rev().copied()));
        state.extend(buffer);
        // The library never keeps a full block, so its buffer lacks the last byte, which in Go's is then unused.
        state.push(0);
        state.extend(self.length.to_be_bytes());
        state.try_into().ok()
    }

    /// Takes up a SHA-256 state in Go's spelling; `None` if `state` is not one.
    pub fn restore_state(state: &[u8]) -> Option<Self> {
        let state: &[u8; STATE_BYTES] = state.try_into().ok()?;
        let rest = state.strip_prefix(&MAGIC)?;
        let (chaining, rest) = rest.split_at(CHAINING_BYTES);
        let (block, length) = rest.split_at(BLOCK_BYTES);
        let length = u64::from_be_bytes(length.try_into().ok()?);
        let fill = u8::try_from(length % BLOCK_BYTES as u64).ok()?;

        let mut library = Vec::with_capacity(STATE_BYTES);
        library.extend(chaining.chunks_exact(4).flat_map(|word| word.iter().rev().copied()));
        library.extend((length / BLOCK_BYTES as u64).to_le_bytes());
        library.push(fill);
        // Go leaves old bytes behind the fill in memory but zeroes them when it marshals; the library insists on it.
        library.extend(&block[..usize::from(fill)]);
        library.resize(CHAINING_BYTES + size_of::<u64>() + BLOCK_BYTES, 0);
        let library = SerializedState::<Sha256>::try_from(library.as_slice()).ok()?;
        let sha256 = Sha256::deserialize(&library).ok()?;
        Some(Self { function: Function::Sha256(sha256), length })
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
        let state = hashed(b"").save_state().expect("sha256 has a state");
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
        let state = hashed(b"abc").save_state().expect("sha256 has a state");
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
        let state = hashed(&block).save_state().expect("sha256 has a state");
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
        let state = hashed(&content).save_state().expect("sha256 has a state");
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
        let state = hashed(b"abc").save_state().expect("sha256 has a state");
        assert!(Hasher::restore_state(&[]).is_none());
        assert!(Hasher::restore_state(&state[..107]).is_none());
        let mut other = state;
        other[3] = 2;
        assert!(Hasher::restore_state(&other).is_none(), "sha224 has the magic byte 2");
    }

    #[test]
    fn hashing_resumes_at_every_offset_of_three_blocks() {
        let content: Vec<u8> = (0..192u8).collect();
        for offset in 0..=content.len() {
            let state = hashed(&content[..offset]).save_state().expect("sha256 has a state");
            let mut resumed = Hasher::restore_state(&state).expect("a state just saved");
            assert_eq!(resumed.length(), offset as u64);
            resumed.update(&content[offset..]);
            assert_eq!(resumed.digest(), Digest::sha256_of(&content), "offset {offset}");
        }
    }

    proptest! {
        #[test]
        fn hashing_resumes_anywhere(content in proptest::collection::vec(any::<u8>(), 0..2000), at in any::<prop::sample::Index>()) {
            let offset = at.index(content.len() + 1);
            let state = hashed(&content[..offset]).save_state().expect("sha256 has a state");
            let mut resumed = Hasher::restore_state(&state).expect("a state just saved");
            prop_assert_eq!(resumed.save_state(), Some(state));
            resumed.update(&content[offset..]);
            prop_assert_eq!(resumed.digest(), Digest::sha256_of(&content));
        }

        #[test]
        fn no_bytes_make_restoring_panic(state in proptest::collection::vec(any::<u8>(), 104..112)) {
            let mut state = state;
            state[..4].copy_from_slice(b"sha\x03");
            let _ = Hasher::restore_state(&state);
        }
    }
}
