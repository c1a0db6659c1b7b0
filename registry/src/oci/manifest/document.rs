//! The fields of a manifest's JSON that a registry looks at.
//!
//! *Invariant:* no name is read in two ways: a field that is there twice is an error, and so is one that differs from
//! a field of ours in its capitals only, because many clients take `Layers` for `layers`.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::oci::descriptor::Descriptor;

/// What every type has or must not have.
#[derive(Default)]
pub(super) struct Document {
    pub(super) schema_version: i64,
    pub(super) media_type: Option<String>,
    pub(super) config: Option<Descriptor>,
    pub(super) layers: Option<Vec<Descriptor>>,
    pub(super) manifests: Option<Vec<Descriptor>>,
}

/// What only the OCI's types have.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct OciFields {
    pub(super) subject: Option<Descriptor>,
    #[serde(rename = "artifactType")]
    pub(super) artifact_type: Option<String>,
    pub(super) annotations: Option<BTreeMap<String, Option<String>>>,
}

const FIELDS: [&str; 5] = ["schemaVersion", "mediaType", "config", "layers", "manifests"];

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(DocumentVisitor)
    }
}

struct DocumentVisitor;

impl<'de> Visitor<'de> for DocumentVisitor {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Document, M::Error> {
        let mut document = Document::default();
        let mut seen = [false; FIELDS.len()];
        while let Some(name) = map.next_key::<String>()? {
            let Some(field) = FIELDS.iter().position(|field| field.eq_ignore_ascii_case(&name)) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if FIELDS[field] != name {
                let message = format!("the field `{name}` could be taken for `{}`", FIELDS[field]);
                return Err(M::Error::custom(message));
            }
            if std::mem::replace(&mut seen[field], true) {
                return Err(M::Error::duplicate_field(FIELDS[field]));
            }
            match field {
                0 => document.schema_version = map.next_value()?,
                1 => document.media_type = map.next_value()?,
                2 => document.config = map.next_value()?,
                3 => document.layers = map.next_value()?,
                _ => document.manifests = map.next_value()?,
            }
        }
        Ok(document)
    }
}
