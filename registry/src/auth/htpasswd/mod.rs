//! Users and passwords in a file, as `htpasswd -B` writes it.
//!
//! Reading order: `users` (what stands in the file), `failures` (who has to wait), `checker` (from a password to yes
//! or no, behind the gate both servers have).
//!
//! *Invariant:* whoever is not in the file as it was read last is nobody; a file that cannot be read takes nobody
//! away and adds nobody. A check costs the same work whether the user exists or not.

mod checker;

mod failures;

mod users;

pub(crate) use checker::{Htpasswd, HtpasswdSettings, LoginError};
