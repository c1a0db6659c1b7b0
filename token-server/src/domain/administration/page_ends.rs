//! Where a page of a list ended, hidden from whoever asks: that is perhaps at something that is not shown to them.
//!
//! *Invariant:* only servers with the same `secret` can read it, whichever of them gave it.

use super::super::error::TokenServerError;
use super::super::keys::master_secret::Purpose;
use super::super::keys::sealing::{self, CannotOpen};
use super::Administration;

impl Administration {
    /// Hides where a page ended.
    pub fn seal_page_end(&self, end: &[u8]) -> Result<Vec<u8>, TokenServerError> {
        Ok(sealing::seal(&self.master, Purpose::Cursors, b"", end, &self.random)?)
    }

    /// Reads it again.
    pub fn open_page_end(&self, sealed: &[u8]) -> Result<Vec<u8>, CannotOpen> {
        sealing::open(&self.master, Purpose::Cursors, b"", sealed)
    }
}
