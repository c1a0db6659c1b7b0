//! What stored manifest bytes refer to, for those who must not lose any of it.
//!
//! *Invariant:* whatever any registry would fetch because of these bytes is among the [`References`], or they say that
//! they are not complete. So schema 1, artifact manifests and types nobody has thought of yet are read as well: each
//! member called `digest` or `blobSum` counts, wherever it stands, except in annotations, which are anybody's.
//!
//! The bytes are walked over without building a tree of them, since a small manifest can be a very large tree.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::oci::digest::Digest;

/// What a stored manifest refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct References {
    /// Config, layers, children: what it needs, in its own order; a digest can stand there more than once.
    pub content: Vec<Digest>,
    /// What it says something about.
    pub subject: Option<Digest>,
    /// Whether all it refers to is named here; not so if it uses a digest this registry cannot compute.
    pub complete: bool,
}

impl References {
    /// Reads stored bytes; `None` if they are not a JSON object.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let mut found = Self { content: Vec::new(), subject: None, complete: true };
        let mut json = serde_json::Deserializer::from_slice(bytes);
        Walk { found: &mut found, place: Place::Manifest }.deserialize(&mut json).ok()?;
        json.end().ok()?;
        Some(found)
    }

    fn add(&mut self, place: Place, text: &str) {
        match (Digest::parse(text), place) {
            (Ok(digest), Place::Subject) => self.subject = Some(digest),
            (Ok(digest), _) => self.content.push(digest),
            (Err(_), _) => self.complete = false,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The outermost value, which has to be an object.
    Manifest,
    /// The value of the manifest's `subject`, or inside of it.
    Subject,
    /// The value of a member that names content.
    Name { in_subject: bool },
    /// Anywhere else.
    Elsewhere,
}

/// The members that name content, in capitals or not.
const NAMES: [&str; 2] = ["digest", "blobSum"];

struct Walk<'a> {
    found: &'a mut References,
    place: Place,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Walk<'_> {
    /// A value with nothing inside.
    fn leaf<E: serde::de::Error>(self) -> Result<(), E> {
        match self.place {
            Place::Manifest => return Err(E::custom("a manifest is an object")),
            Place::Name { .. } => self.found.complete = false,
            Place::Subject | Place::Elsewhere => {}
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a manifest")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<String>()? {
            let in_subject = self.place == Place::Subject;
            let place = match (name.as_str(), self.place) {
                ("annotations", _) => {
                    members.next_value::<IgnoredAny>()?;
                    continue;
                }
                // Most registries and clients are written in a language that reads `Digest` as well.
                (name, _) if NAMES.iter().any(|one| one.eq_ignore_ascii_case(name)) => {
                    Place::Name { in_subject }
                }
                ("subject", Place::Manifest) | (_, Place::Subject) => Place::Subject,
                _ => Place::Elsewhere,
            };
            members.next_value_seed(Walk { found: self.found, place })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        if self.place == Place::Manifest {
            return Err(A::Error::custom("a manifest is an object"));
        }
        while elements.next_element_seed(Walk { found: self.found, place: self.place })?.is_some() {}
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        match self.place {
            Place::Name { in_subject: true } => self.found.add(Place::Subject, text),
            Place::Name { in_subject: false } => self.found.add(Place::Elsewhere, text),
            Place::Manifest | Place::Subject | Place::Elsewhere => return self.leaf(),
        }
        Ok(())
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<(), E> {
        self.leaf()
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<(), E> {
        self.leaf()
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<(), E> {
        self.leaf()
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<(), E> {
        self.leaf()
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.leaf()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn digest(seed: &str) -> Digest {
        Digest::sha256_of(seed.as_bytes())
    }

    fn of(manifest: &serde_json::Value) -> References {
        References::of(manifest.to_string().as_bytes()).expect("an object")
    }

    fn descriptor(seed: &str) -> serde_json::Value {
        json!({"mediaType": "x/y", "digest": digest(seed).to_string(), "size": 1, "annotations": {"digest": "no"}})
    }

    #[test]
    fn every_kind_of_manifest_names_what_it_needs() {
        let schema_1 = json!({
            "schemaVersion": 1,
            "fsLayers": [{"blobSum": digest("a").to_string()}, {"blobSum": digest("b").to_string()}],
            "history": [{"v1Compatibility": "{\"digest\":\"text, not JSON\"}"}],
            "signatures": [{"signature": "eyJ"}],
        });
        let image = json!({"config": descriptor("a"), "layers": [descriptor("b")]});
        let index = json!({"manifests": [descriptor("a"), descriptor("b")], "annotations": {"digest": "x"}});
        let artifact = json!({"blobs": [descriptor("a"), descriptor("b")]});
        let nested = json!({"future": {"deep": [[descriptor("a")], {"digest": [digest("b").to_string()]}]}});
        let capitals = json!({"Config": {"Digest": digest("a").to_string()}, "fsLayers": [{"blobsum": digest("b").to_string()}]});
        for manifest in [schema_1, image, index, artifact, nested, capitals] {
            let expected =
                References { content: vec![digest("a"), digest("b")], subject: None, complete: true };
            assert_eq!(of(&manifest), expected, "{manifest}");
        }
    }

    #[test]
    fn a_subject_is_not_needed_but_known() {
        let found = of(&json!({"config": descriptor("a"), "layers": [], "subject": descriptor("s")}));
        assert_eq!((found.content, found.subject), (vec![digest("a")], Some(digest("s"))));
        // Only the manifest itself has a subject.
        let found = of(&json!({"layers": [{"subject": descriptor("s")}]}));
        assert_eq!((found.content, found.subject), (vec![digest("s")], None));
    }

    #[test]
    fn what_cannot_be_followed_is_told() {
        let sha384 = format!("sha384:{}", "0".repeat(96));
        for name in [json!(sha384), json!("SHA256:00"), json!(""), json!(7), json!(null), json!(true)] {
            let found = of(&json!({"config": descriptor("a"), "layers": [{"digest": name}]}));
            assert!(!found.complete, "{name}");
            assert_eq!(found.content, [digest("a")]);
        }
    }

    #[test]
    fn what_is_no_object_is_no_manifest() {
        for bytes in ["", "[]", "7", "\"x\"", "null", "{", "{} {}", "{\"a\":1,}", "\u{0}"] {
            assert_eq!(References::of(bytes.as_bytes()), None, "{bytes:?}");
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(References::of(deep.as_bytes()), None, "too deep to be walked over");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = References::of(&bytes);
        }

        #[test]
        fn what_a_pushed_manifest_needs_is_always_found(layers in proptest::collection::vec("[a-z]{1,3}", 0..6)) {
            let layers: Vec<_> = layers.iter().map(|seed| descriptor(seed)).collect();
            let body = json!({"schemaVersion": 2, "config": descriptor("config"), "layers": layers}).to_string();
            let pushed = super::super::Manifest::parse(crate::oci::media_type::OCI_MANIFEST, body.as_bytes());
            let pushed = pushed.expect("well-formed");
            let found = References::of(body.as_bytes()).expect("an object");
            prop_assert!(found.complete);
            prop_assert!(pushed.blobs().iter().all(|digest| found.content.contains(digest)));
        }
    }
}
