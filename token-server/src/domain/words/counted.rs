//! How many of something, in words.
//!
//! *Invariant:* one of something is never written as many.

use std::fmt::Display;

/// `1 robot`, `2 robots`, `0 robots`.
pub fn counted<N: Copy + Display + PartialEq + From<u8>>(count: N, one: &str, many: &str) -> String {
    let noun = if count == N::from(1) { one } else { many };
    format!("{count} {noun}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_many() {
        assert_eq!(counted(0_usize, "person", "people"), "0 people");
        assert_eq!(counted(1_i64, "person", "people"), "1 person");
        assert_eq!(counted(21_u64, "person", "people"), "21 people");
    }
}
