//! In which format a body comes, and in which format an answer is wanted.
//!
//! *Invariant:* each format has a media type that a web page cannot make a browser send without being allowed to.
//!
//! Spec: RFC 9512 (YAML), RFC 9110 §12.5.1.

use actix_web::HttpRequest;
use actix_web::http::header::{Accept, CONTENT_TYPE, Header as _};

/// How a document is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// What every address takes that takes a body.
pub const JSON_ONLY: &[Format] = &[Format::Json];

/// What addresses take that people send files to.
pub const JSON_OR_YAML: &[Format] = &[Format::Json, Format::Yaml];

impl Format {
    /// Its media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
        }
    }

    /// The format of a media type without parameters; YAML had other names before it was registered.
    fn of(essence: &str) -> Option<Self> {
        match essence {
            "application/json" => Some(Self::Json),
            "application/yaml" | "application/x-yaml" | "text/yaml" | "text/x-yaml" => Some(Self::Yaml),
            _ => None,
        }
    }

    /// The format of a body, as the request says.
    pub fn of_body(request: &HttpRequest) -> Option<Self> {
        let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok())?;
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        Self::of(&essence.to_ascii_lowercase())
    }

    /// The format that is liked best; JSON where neither is named.
    pub fn wanted(request: &HttpRequest) -> Self {
        let ranked = Accept::parse(request).map(|accept| accept.ranked()).unwrap_or_default();
        ranked.iter().find_map(|mime| Self::of(mime.essence_str())).unwrap_or(Self::Json)
    }
}

/// What is taken, as a sentence goes on.
pub const fn listed(formats: &[Format]) -> &'static str {
    if formats.len() > 1 { "application/json or application/yaml" } else { "application/json" }
}
