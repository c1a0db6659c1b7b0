//! Files that are named on the command line.
//!
//! *Invariant:* a file that cannot be used is named in the message, and no more of one is read than its kind can have.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::error::CliError;

/// Reads a file of at most this many bytes.
pub(super) fn read(file: &Path, max_bytes: u64) -> Result<Vec<u8>, CliError> {
    let unusable =
        |why: &dyn std::fmt::Display| CliError::Usage(format!("cannot read {}: {why}", file.display()));
    let mut content = Vec::new();
    let opened = File::open(file).map_err(|error| unusable(&error))?;
    opened.take(max_bytes + 1).read_to_end(&mut content).map_err(|error| unusable(&error))?;
    if content.len() as u64 > max_bytes {
        return Err(unusable(&format!("it is larger than {max_bytes} bytes")));
    }
    Ok(content)
}

/// The same for a text.
pub(super) fn read_text(file: &Path, max_bytes: u64) -> Result<String, CliError> {
    String::from_utf8(read(file, max_bytes)?)
        .map_err(|_| CliError::Usage(format!("{} is not text in UTF-8", file.display())))
}
