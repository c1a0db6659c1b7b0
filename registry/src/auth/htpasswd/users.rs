//! The password file: a user name, a colon and a hash on each line, and comments.
//!
//! *Invariant:* only bcrypt hashes of a bearable cost let anybody in; nothing here prints a hash.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A hash of this cost takes some ten seconds; each step doubles that.
const MAX_COST: u32 = 17;

/// The least that bcrypt knows.
const MIN_COST: u32 = 4;

/// Far above a hundred thousand users.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// Why there are no users.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UsersError {
    #[error("cannot read the password file {}: {source}; {HOW_TO_MAKE}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("the password file {} is larger than {MAX_FILE_BYTES} bytes", path.display())]
    TooLarge { path: PathBuf },
    #[error("line {line} of the password file {} has no colon; {HOW_TO_MAKE}", path.display())]
    NoColon { path: PathBuf, line: usize },
}

const HOW_TO_MAKE: &str = "`htpasswd -Bbn <user> <password>` writes a line for it";

/// A usable hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredHash {
    pub(super) text: Box<str>,
    pub(super) cost: u32,
}

impl StoredHash {
    fn parse(text: &str) -> Option<Self> {
        let is_known_kind = ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| text.starts_with(prefix));
        let cost = text.parse::<bcrypt::HashParts>().ok().filter(|_| is_known_kind)?.get_cost();
        (MIN_COST..=MAX_COST).contains(&cost).then(|| Self { text: text.into(), cost })
    }
}

/// Everybody in the file.
#[derive(Debug, Default)]
pub(super) struct Users {
    /// Nothing for a user whose hash cannot be used.
    by_name: BTreeMap<Box<str>, Option<StoredHash>>,
    /// What a check costs, whoever is asked for.
    pub(super) highest_cost: u32,
    /// Lines whose user cannot log in, counted from one.
    pub(super) useless_lines: Vec<usize>,
}

impl Users {
    pub(super) fn read(path: &Path) -> Result<Self, UsersError> {
        let unreadable = |source| UsersError::Unreadable { path: path.to_owned(), source };
        if std::fs::metadata(path).map_err(unreadable)?.len() > MAX_FILE_BYTES {
            return Err(UsersError::TooLarge { path: path.to_owned() });
        }
        let bytes = std::fs::read(path).map_err(unreadable)?;
        // A comment in an old encoding must not lock everybody out.
        Self::parse(&String::from_utf8_lossy(&bytes))
            .map_err(|line| UsersError::NoColon { path: path.to_owned(), line })
    }

    /// Reads the text of a file; the error is the number of a line without a colon. Of two lines for the same user
    /// the last one counts.
    pub(super) fn parse(text: &str) -> Result<Self, usize> {
        let mut users = Self { highest_cost: MIN_COST, ..Self::default() };
        let mut lines = BTreeMap::new();
        for (line, content) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
            let content = content.trim();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            let (name, hash) = content.split_once(':').ok_or(line)?;
            // Further fields are comments.
            let hash = hash.split(':').next().unwrap_or_default();
            let hash = StoredHash::parse(hash).filter(|_| !name.is_empty());
            if hash.is_none() {
                users.useless_lines.push(line);
            }
            users.by_name.insert(name.into(), hash);
            users.useless_lines.extend(lines.insert(name, line));
        }
        users.useless_lines.sort_unstable();
        users.useless_lines.dedup();
        let costs = users.by_name.values().flatten().map(|hash| hash.cost);
        users.highest_cost = costs.max().unwrap_or(MIN_COST);
        Ok(users)
    }

    pub(super) fn hash_of(&self, name: &str) -> Option<&StoredHash> {
        self.by_name.get(name)?.as_ref()
    }

    /// How many can log in.
    pub(super) fn count(&self) -> usize {
        self.by_name.values().flatten().count()
    }
}

/// A hash of this cost that no password has to match.
pub(super) fn decoy(cost: u32) -> String {
    format!("$2b${cost:02}$C6UzMDM.H6dfI/f/IKcEe.7uBJBHvyRBtuPIBCBAABwxFqgZfqvSe")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HASH: &str = "$2y$05$4.a1gPrXQyMyvfqXkAPUIeRvqJjzYVr8.xkYQlUPc4VzVYCFuZ6Sm";

    #[test]
    fn only_bcrypt_hashes_of_a_bearable_cost_count() {
        for (hash, counts) in [
            (HASH.to_owned(), true),
            (HASH.replace("$2y$", "$2a$"), true),
            (HASH.replace("$2y$", "$2b$"), true),
            (HASH.replace("$2y$", "$2x$"), false),
            (HASH.replace("$05$", "$04$"), true),
            (HASH.replace("$05$", "$03$"), false),
            (HASH.replace("$05$", "$17$"), true),
            (HASH.replace("$05$", "$18$"), false),
            (HASH.replace("$05$", "$99$"), false),
            (format!("{HASH}:comment"), true),
            (HASH[..59].to_owned(), false),
            ("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=".into(), false),
            ("$apr1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00".into(), false),
            ("plain".into(), false),
            (String::new(), false),
        ] {
            let users = Users::parse(&format!("# people\n\nalice:{hash}\n")).expect("a file");
            assert_eq!(users.hash_of("alice").is_some(), counts, "{hash}");
            assert_eq!(users.useless_lines.is_empty(), counts, "{hash}");
            assert!(users.useless_lines.iter().all(|line| *line == 3));
        }
    }

    #[test]
    fn lines_are_read_as_the_distribution_registry_reads_them() {
        let text = format!("\u{feff}  a:{HASH}\r\n\t# b:{HASH}\n\n c d:{HASH}\n:{HASH}\nu\u{fc}:{HASH}");
        let users = Users::parse(&text).expect("a file");
        assert!(users.hash_of("a").is_some() && users.hash_of("c d").is_some());
        assert!(users.hash_of("u\u{fc}").is_some());
        assert!(users.hash_of("b").is_none() && users.hash_of("# b").is_none());
        assert!(users.hash_of("").is_none(), "nobody is not a user");
        assert_eq!((users.count(), users.useless_lines.as_slice()), (3, &[5][..]));
        assert_eq!(Users::parse("a:x\nb\n").err(), Some(2));
    }

    #[test]
    fn the_last_of_two_lines_counts_and_the_first_is_named() {
        let later = HASH.replace("$05$", "$06$");
        let users = Users::parse(&format!("a:{HASH}\nb:{HASH}\na:{later}\n")).expect("a file");
        assert_eq!(users.hash_of("a").map(|hash| hash.cost), Some(6));
        assert_eq!(users.useless_lines, [1]);
        assert_eq!(users.highest_cost, 6);
    }

    #[test]
    fn decoys_are_hashes_of_their_cost() {
        for cost in [MIN_COST, 10, MAX_COST] {
            assert_eq!(StoredHash::parse(&decoy(cost)).map(|hash| hash.cost), Some(cost));
        }
    }

    proptest! {
        #[test]
        fn any_file_is_survived(text in "(?s).{0,200}") {
            let _ = Users::parse(&text);
        }
    }
}
