//! The `_state` parameter of upload URLs, in the distribution registry's format.
//!
//! Our sessions keep their state on disk, so the parameter carries no truth here. It is written so that a replica
//! running the distribution registry can continue a session, and read so that a forged or repeated one is noticed.
//!
//! *Invariant:* absent is fine; with a configured secret, a present one that was not made with it for this very
//! session is refused. A secret made up at start judges nothing: it could not know the URLs of before.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use ring::hmac;
use serde::{Deserialize, Serialize};
use shared::repository_name::RepositoryName;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::domain::upload_id::UploadId;

const MAC_BYTES: usize = 32;

/// Signs and checks states.
#[derive(Debug)]
pub(crate) struct StateKey {
    key: hmac::Key,
    is_configured: bool,
}

/// Field order and names are part of the format.
#[derive(Deserialize, Serialize)]
struct State<'a> {
    #[serde(rename = "Name")]
    name: &'a str,
    #[serde(rename = "UUID")]
    id: String,
    #[serde(rename = "Offset")]
    offset: u64,
    #[serde(rename = "StartedAt")]
    started_at: String,
}

impl StateKey {
    /// A key of the operator's, equal on all replicas.
    pub(crate) fn configured(secret: &[u8]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, secret), is_configured: true }
    }

    /// A key of this process only.
    pub(crate) fn made_up(secret: &[u8]) -> Self {
        Self { is_configured: false, ..Self::configured(secret) }
    }

    /// The value for a session that holds `offset` bytes.
    pub(super) fn print(
        &self,
        name: &RepositoryName,
        id: UploadId,
        offset: u64,
        started: OffsetDateTime,
    ) -> String {
        let started_at =
            started.replace_nanosecond(0).unwrap_or(started).format(&Rfc3339).unwrap_or_default();
        let state = State { name: name.as_str(), id: id.to_string(), offset, started_at };
        let json = serde_json::to_vec(&state).expect("texts and numbers always serialise");
        let mut signed = hmac::sign(&self.key, &json).as_ref().to_vec();
        signed.extend_from_slice(&json);
        URL_SAFE.encode(signed)
    }

    /// Reads a state that came with a request to this session.
    pub(super) fn read(
        &self,
        text: &str,
        name: &RepositoryName,
        id: UploadId,
    ) -> Result<StateOffset, ForeignState> {
        #[derive(Deserialize)]
        struct Read {
            #[serde(rename = "Name")]
            name: String,
            #[serde(rename = "UUID")]
            id: String,
            #[serde(rename = "Offset")]
            offset: u64,
        }
        let read = || {
            let signed = URL_SAFE.decode(text).ok()?;
            let (mac, json) = signed.split_at_checked(MAC_BYTES)?;
            hmac::verify(&self.key, json, mac).ok()?;
            serde_json::from_slice::<Read>(json).ok()
        };
        match read() {
            Some(read) if read.name == name.as_str() && read.id == id.to_string() => {
                Ok(StateOffset(Some(read.offset)))
            }
            _ if !self.is_configured => Ok(StateOffset(None)),
            _ => Err(ForeignState),
        }
    }
}

/// How many bytes the session held when the URL was made, if that can be known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct StateOffset(pub(super) Option<u64>);

/// The state was not made by this registry for this upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ForeignState;

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_state_is_accepted_for_its_own_session_only() {
        let key = StateKey::configured(b"secret");
        let name: RepositoryName = "a/b".parse().expect("a name");
        let other: RepositoryName = "a/c".parse().expect("a name");
        let id = UploadId::parse("00000000-0000-0000-0000-000000000001").expect("an id");
        let other_id = UploadId::parse("00000000-0000-0000-0000-000000000002").expect("an id");
        let text = key.print(&name, id, 7, datetime!(2026-11-20 23:04:12.5 UTC));
        assert_eq!(key.read(&text, &name, id), Ok(StateOffset(Some(7))));
        assert_eq!(key.read(&text, &other, id), Err(ForeignState));
        assert_eq!(key.read(&text, &name, other_id), Err(ForeignState));
        assert_eq!(StateKey::configured(b"other").read(&text, &name, id), Err(ForeignState));
        for broken in ["", "!"] {
            assert_eq!(key.read(broken, &name, id), Err(ForeignState), "{broken}");
        }
        let unknowing = StateKey::made_up(b"other");
        assert_eq!(
            unknowing.read(&text, &name, id),
            Ok(StateOffset(None)),
            "it may be from before a restart"
        );
    }

    #[test]
    fn the_format_is_the_peers() {
        let key = StateKey::configured(b"secret");
        let text = key.print(
            &"a/b".parse().expect("a name"),
            UploadId::parse("00000000-0000-0000-0000-000000000001").expect("an id"),
            7,
            datetime!(2026-11-20 23:04:12.5 UTC),
        );
        let decoded = URL_SAFE.decode(text).expect("padded base64url");
        assert_eq!(
            std::str::from_utf8(&decoded[MAC_BYTES..]).expect("JSON"),
            r#"{"Name":"a/b","UUID":"00000000-0000-0000-0000-000000000001","Offset":7,"StartedAt":"2026-11-20T23:04:12Z"}"#
        );
    }
}
