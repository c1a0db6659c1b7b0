//! The last good set of keys from a URL, kept on disk for a start without the token server.
//!
//! *Invariant:* a set is used again only for the URL and the issuer it was fetched for, so that pointing a registry at
//! another token server takes the old one's keys away.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use shared::key_set::KeySet;
use url::Url;

#[derive(Deserialize, Serialize)]
struct Remembered {
    url: String,
    issuer: String,
    #[serde(flatten)]
    set: KeySet,
}

/// The remembered set; nothing if there is none, or if it is another source's.
pub(super) fn read(file: &Path, url: &Url, issuer: &str) -> io::Result<Option<KeySet>> {
    let document = match fs::read(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        outcome => outcome?,
    };
    let remembered: Remembered = serde_json::from_slice(&document)?;
    let is_ours = remembered.url == url.as_str() && remembered.issuer == issuer;
    Ok(is_ours.then_some(remembered.set))
}

/// Replaces the remembered set as a whole. It is only an aid at the next start, so it is not synced.
pub(super) fn write(file: &Path, url: &Url, issuer: &str, set: &KeySet) -> io::Result<()> {
    let remembered = Remembered { url: url.to_string(), issuer: issuer.to_owned(), set: set.clone() };
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let temporary = file.with_extension("tmp");
    let mut opened =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    opened.write_all(&serde_json::to_vec(&remembered)?)?;
    fs::rename(temporary, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_remembered_for_their_own_source_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("portcullis/trusted-keys.json");
        let url = |text: &str| Url::parse(text).expect("a URL");
        let set: KeySet =
            serde_json::from_str(r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA","kid":"1"}]}"#)
                .expect("a set");
        assert!(read(&file, &url("https://a/keys"), "a").expect("absent").is_none());
        write(&file, &url("https://a/keys"), "a", &set).expect("written");
        assert_eq!(read(&file, &url("https://a/keys"), "a").expect("there"), Some(set));
        assert!(read(&file, &url("https://b/keys"), "a").expect("there").is_none());
        assert!(read(&file, &url("https://a/keys"), "b").expect("there").is_none());
    }
}
