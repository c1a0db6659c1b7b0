//! The `_state` parameter of upload URLs, in the distribution registry's format.
//!
//! Our sessions keep their state on disk, so the parameter carries no truth here. It is written so that a replica
//! running the distribution registry can continue a session, and read so that a forged one is noticed.
//!
//! *Invariant:* absent is fine; a present one that was not made with this secret for this very session is refused.

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
pub(crate) struct StateKey(hmac::Key);

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
    pub(crate) fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
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
        let mut signed = hmac::sign(&self.0, &json).as_ref().to_vec();
        signed.extend_from_slice(&json);
        URL_SAFE.encode(signed)
    }

    /// Whether `text` was made with this key for this session, at whatever offset.
    pub(super) fn accepts(&self, text: &str, name: &RepositoryName, id: UploadId) -> bool {
        #[derive(Deserialize)]
        struct Read {
            #[serde(rename = "Name")]
            name: String,
            #[serde(rename = "UUID")]
            id: String,
        }
        let Ok(signed) = URL_SAFE.decode(text) else { return false };
        let Some((mac, json)) = signed.split_at_checked(MAC_BYTES) else { return false };
        if hmac::verify(&self.0, json, mac).is_err() {
            return false;
        }
        serde_json::from_slice::<Read>(json)
            .is_ok_and(|read| read.name == name.as_str() && read.id == id.to_string())
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_state_is_accepted_for_its_own_session_only() {
        let key = StateKey::new(b"secret");
        let name: RepositoryName = "a/b".parse().expect("a name");
        let other: RepositoryName = "a/c".parse().expect("a name");
        let id = UploadId::parse("00000000-0000-0000-0000-000000000001").expect("an id");
        let text = key.print(&name, id, 7, datetime!(2026-11-20 23:04:12.5 UTC));
        assert!(key.accepts(&text, &name, id));
        assert!(!key.accepts(&text, &other, id));
        assert!(!key.accepts(
            &text,
            &name,
            UploadId::parse("00000000-0000-0000-0000-000000000002").expect("an id")
        ));
        assert!(!StateKey::new(b"other").accepts(&text, &name, id));
        assert!(!key.accepts("", &name, id));
        assert!(!key.accepts("!", &name, id));
    }

    #[test]
    fn the_format_is_the_peers() {
        let key = StateKey::new(b"secret");
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
