//! Password files, as `htpasswd -B` writes them.
//!
//! *Invariant:* hashes are of the lowest cost there is, because no test is about how slow they are.

use std::fmt::Write as _;
use std::path::Path;

use crate::stack::password_of;

/// The lowest cost of bcrypt.
const COST: u32 = 4;

/// A line for a user with this password.
pub fn line(user: &str, password: &str) -> anyhow::Result<String> {
    let hash = bcrypt::hash_with_result(password, COST)?.format_for_version(bcrypt::Version::TwoY);
    Ok(format!("{user}:{hash}\n"))
}

/// Replaces the file as a whole, with these users and their usual passwords.
pub fn write(file: &Path, users: &[&str]) -> anyhow::Result<()> {
    let mut text = String::from("# people of a test\n");
    for user in users {
        text.write_str(&line(user, &password_of(user))?)?;
    }
    let fresh = file.with_extension("new");
    std::fs::write(&fresh, text)?;
    Ok(std::fs::rename(fresh, file)?)
}
