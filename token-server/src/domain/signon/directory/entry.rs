//! An entry of a directory, as far as it is looked at.
//!
//! *Invariant:* the same entry has the same subject for ever, whatever becomes of its name and its place.

use ldap3::{ResultEntry, SearchEntry};
use uuid::Uuid;

use super::super::profile::Profile;
use super::super::provider::{AttributeNames, Directory};
use super::filters;

/// The attribute of Active Directory that says for ever who somebody is; it is no text.
const OBJECT_GUID: &str = "objectGUID";

/// Somebody, or a group.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where it is.
    pub dn: String,
    /// What is said of it.
    attributes: Vec<(String, Vec<Vec<u8>>)>,
}

impl Entry {
    /// Reads what the directory sent.
    pub fn read(entry: ResultEntry) -> Self {
        let SearchEntry { dn, attrs, bin_attrs } = SearchEntry::construct(entry);
        let texts = attrs
            .into_iter()
            .map(|(name, values)| (name, values.into_iter().map(String::into_bytes).collect()));
        Self { dn, attributes: texts.chain(bin_attrs).collect() }
    }

    fn values(&self, attribute: &str) -> &[Vec<u8>] {
        let found = self.attributes.iter().find(|(name, _)| name.eq_ignore_ascii_case(attribute));
        found.map_or(&[], |(_, values)| values)
    }

    /// The values of an attribute that are texts.
    pub fn texts(&self, attribute: &str) -> impl Iterator<Item = &str> {
        self.values(attribute).iter().filter_map(|value| str::from_utf8(value).ok())
    }

    /// Who it is for ever; nothing if that is not said, or said in several ways.
    fn subject(&self, attribute: &str) -> Option<String> {
        let [value] = self.values(attribute) else { return None };
        if attribute.eq_ignore_ascii_case(OBJECT_GUID) {
            // As Active Directory's own tools write it.
            return Some(Uuid::from_bytes_le(value.as_slice().try_into().ok()?).to_string());
        }
        String::from_utf8(value.clone()).ok()
    }

    /// How it is called.
    pub fn name(&self, names: &AttributeNames) -> Option<&str> {
        self.texts(&names.name).next()
    }

    /// Who that is, with these groups; nothing without a usable subject.
    pub fn profile(&self, directory: &Directory, groups: Vec<String>) -> Option<Profile> {
        let names = &directory.attributes;
        let subject = self.subject(&names.subject)?;
        let name = self.name(names).unwrap_or(&subject);
        let display_name = self.texts(&names.display_name).next();
        Profile::new(&directory.issuer, &subject, name, display_name, Some(groups))
    }
}

/// The filter that finds the entry with this subject; nothing if there can be none.
pub fn of_subject(attribute: &str, subject: &str) -> Option<String> {
    let value = if attribute.eq_ignore_ascii_case(OBJECT_GUID) {
        filters::escaped_bytes(&Uuid::parse_str(subject).ok()?.to_bytes_le())
    } else {
        filters::escaped(subject)
    };
    Some(format!("({attribute}={value})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUID: [u8; 16] =
        [0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];

    fn entry(attributes: &[(&str, &[&[u8]])]) -> Entry {
        let attributes = attributes
            .iter()
            .map(|(name, values)| ((*name).to_owned(), values.iter().map(|value| value.to_vec()).collect()));
        Entry { dn: "uid=a".to_owned(), attributes: attributes.collect() }
    }

    #[test]
    fn a_guid_is_written_as_its_own_tools_write_it_and_found_by_its_bytes() {
        let read = entry(&[("objectGUID", &[&GUID])]).subject("objectguid");
        assert_eq!(read.as_deref(), Some("00112233-4455-6677-8899-aabbccddeeff"));
        assert_eq!(
            of_subject("objectGUID", "00112233-4455-6677-8899-aabbccddeeff").as_deref(),
            Some("(objectGUID=\\33\\22\\11\\00\\55\\44\\77\\66\\88\\99\\aa\\bb\\cc\\dd\\ee\\ff)")
        );
        assert_eq!(of_subject("objectGUID", "alice"), None);
        assert_eq!(entry(&[("objectGUID", &[b"short"])]).subject("objectGUID"), None);
        // One whose bytes are a text all the same.
        let text = entry(&[("objectGUID", &[b"aaaaaaaaaaaaaaaa"])]).subject("objectGUID");
        assert_eq!(text.as_deref(), Some("61616161-6161-6161-6161-616161616161"));
    }

    #[test]
    fn somebody_is_one_text() {
        assert_eq!(entry(&[("entryUUID", &[b"7"])]).subject("entryuuid").as_deref(), Some("7"));
        assert_eq!(entry(&[("entryUUID", &[b"7", b"8"])]).subject("entryUUID"), None);
        assert_eq!(entry(&[("entryUUID", &[b"\xff"])]).subject("entryUUID"), None);
        assert_eq!(entry(&[]).subject("entryUUID"), None);
        assert_eq!(of_subject("uid", "a)(b").as_deref(), Some("(uid=a\\29\\28b)"));
    }
}
