//! How a storage driver fails.
//!
//! *Invariant:* every variant names the key it is about, so that an operator knows where to look; nothing here knows
//! how a failure is shown to a client.

use std::io;

use super::layout::Key;

/// A failure below the registry's own rules.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The backend cannot take or give it at the moment, but may later: full, read-only, not reachable.
    #[error("storage cannot {operation} {key} at the moment")]
    Unavailable {
        /// What was tried, as a verb.
        operation: &'static str,
        /// Where.
        key: Key,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Any other refusal of the backend, such as a missing permission.
    #[error("storage failed to {operation} {key}")]
    Io {
        /// What was tried, as a verb.
        operation: &'static str,
        /// Where.
        key: Key,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// What is stored is not what must be there.
    #[error("storage is damaged at {key}: {reason}")]
    Corrupt {
        /// Where.
        key: Key,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An object that should be small is not.
    #[error("{key} is larger than {limit_bytes} bytes")]
    TooLarge {
        /// Where.
        key: Key,
        /// The most that is read.
        limit_bytes: u64,
    },
    /// The process is ending and takes no more work.
    #[error("storage is shutting down")]
    Stopped,
}

impl StorageError {
    /// Sorts a refusal of the system into what may pass and what will not.
    pub(super) fn from_io(operation: &'static str, key: &Key, source: io::Error) -> Self {
        use io::ErrorKind;

        /// Too many open files, in this process or on this machine; the standard library has no kind for them.
        const NO_DESCRIPTOR: [i32; 2] = [24, 23];

        let key = key.clone();
        if source.raw_os_error().is_some_and(|code| NO_DESCRIPTOR.contains(&code)) {
            return Self::Unavailable { operation, key, source };
        }
        match source.kind() {
            ErrorKind::StorageFull
            | ErrorKind::QuotaExceeded
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::StaleNetworkFileHandle
            | ErrorKind::ResourceBusy
            | ErrorKind::OutOfMemory
            | ErrorKind::TimedOut => Self::Unavailable { operation, key, source },
            _ => Self::Io { operation, key, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::layout;

    #[test]
    fn a_full_disk_may_pass_and_a_missing_permission_will_not() {
        let error = |kind| StorageError::from_io("write", &layout::root(), io::Error::from(kind));
        assert!(matches!(error(io::ErrorKind::StorageFull), StorageError::Unavailable { .. }));
        let denied = error(io::ErrorKind::PermissionDenied);
        assert!(matches!(denied, StorageError::Io { .. }));
        assert_eq!(denied.to_string(), "storage failed to write docker/registry/v2");
    }
}
