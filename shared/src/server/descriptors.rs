//! How many files and sockets this process may have open.
//!
//! *Invariant:* the limit is as high as the system lets it be: each transfer needs a few, and the usual limit of 1024
//! is meant for programs that still use `select`.

/// Raises the limit to what the system allows. Call it first in every main that serves.
pub fn raise_limit() {
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}
