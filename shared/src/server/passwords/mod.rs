//! What both servers need around slow password hashes: few at a time, and not the same one again.
//!
//! Which hash it is, and whose, is for the server to say.
//!
//! *Invariant:* nothing here keeps a password, and memory is bounded whatever is sent.

pub mod gate;

pub mod verified;

/// Longer passwords are refused before they are hashed.
pub const MAX_PASSWORD_BYTES: usize = 1024;
