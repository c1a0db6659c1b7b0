//! Requests this registry makes itself: for keys and revocations, and to pass token requests on.
//!
//! *Invariant:* a request goes to the configured address and nowhere else: no redirect is followed, and no proxy of
//! the environment is used, which would see passwords on their way to the token server and could exchange keys.

use std::time::Duration;

/// A client that gives up after `timeout`.
pub(crate) fn client(timeout: Duration) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder().timeout(timeout).redirect(reqwest::redirect::Policy::none()).no_proxy().build()
}
