//! Files that are named on the command line.
//!
//! *Invariant:* a file that cannot be used is named in the message, and no more of one is read than its kind can have.

use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::error::CliError;

/// What stands for standard input where a file is asked for.
const INPUT: &str = "-";

/// Reads a file of at most this many bytes.
pub(super) fn read(file: &Path, max_bytes: u64) -> Result<Vec<u8>, CliError> {
    let opened = File::open(file).map_err(|error| unusable(file, &error))?;
    read_from(opened, file, max_bytes)
}

/// The same for a text.
pub(super) fn read_text(file: &Path, max_bytes: u64) -> Result<String, CliError> {
    text(read(file, max_bytes)?, file)
}

/// The same for a text, or standard input for `-`.
pub(super) fn read_text_or_input(file: &Path, max_bytes: u64) -> Result<String, CliError> {
    if file != Path::new(INPUT) {
        return read_text(file, max_bytes);
    }
    let called = Path::new("standard input");
    text(read_from(std::io::stdin(), called, max_bytes)?, called)
}

fn read_from(source: impl Read, called: &Path, max_bytes: u64) -> Result<Vec<u8>, CliError> {
    let mut content = Vec::new();
    source.take(max_bytes + 1).read_to_end(&mut content).map_err(|error| unusable(called, &error))?;
    if content.len() as u64 > max_bytes {
        return Err(unusable(called, &format!("it is larger than {max_bytes} bytes")));
    }
    Ok(content)
}

fn text(content: Vec<u8>, called: &Path) -> Result<String, CliError> {
    String::from_utf8(content)
        .map_err(|_| CliError::Usage(format!("{} is not text in UTF-8", called.display())))
}

fn unusable(called: &Path, why: &dyn Display) -> CliError {
    CliError::Usage(format!("cannot read {}: {why}", called.display()))
}
