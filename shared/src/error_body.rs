//! The one shape in which both servers say no on `/v2` and on the token endpoint.
//!
//! *Invariant:* below 500 only the fourteen codes of the specification are used, and `detail` is always a string,
//! because clients print objects as noise or drop them.
//!
//! Spec: distribution-spec, "Error codes".

use serde::Serialize;

/// The closed list of codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// code-1
    BlobUnknown,
    /// code-2
    BlobUploadInvalid,
    /// code-3
    BlobUploadUnknown,
    /// code-4
    DigestInvalid,
    /// code-5
    ManifestBlobUnknown,
    /// code-6
    ManifestInvalid,
    /// code-7
    ManifestUnknown,
    /// code-8
    NameInvalid,
    /// code-9
    NameUnknown,
    /// code-10
    SizeInvalid,
    /// code-11
    Unauthorized,
    /// code-12
    Denied,
    /// code-13
    Unsupported,
    /// code-14
    TooManyRequests,
    /// Our side is at fault, without more to say.
    Unknown,
    /// Our side is at fault and may be better soon.
    Unavailable,
}

impl ErrorCode {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Self::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Self::ManifestInvalid => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Denied => "DENIED",
            Self::Unsupported => "UNSUPPORTED",
            Self::TooManyRequests => "TOOMANYREQUESTS",
            Self::Unknown => "UNKNOWN",
            Self::Unavailable => "UNAVAILABLE",
        }
    }

    /// The sentence that users of the distribution registry know this code by.
    pub const fn message(self) -> &'static str {
        match self {
            Self::BlobUnknown | Self::ManifestBlobUnknown => "blob unknown to registry",
            Self::BlobUploadInvalid => "blob upload invalid",
            Self::BlobUploadUnknown => "blob upload unknown to registry",
            Self::DigestInvalid => "provided digest did not match uploaded content",
            Self::ManifestInvalid => "manifest invalid",
            Self::ManifestUnknown => "manifest unknown",
            Self::NameInvalid => "invalid repository name",
            Self::NameUnknown => "repository name not known to registry",
            Self::SizeInvalid => "provided length did not match content length",
            Self::Unauthorized => "authentication required",
            Self::Denied => "requested access to the resource is denied",
            Self::Unsupported => "the operation is unsupported",
            Self::TooManyRequests => "too many requests",
            Self::Unknown => "unknown error",
            Self::Unavailable => "service unavailable",
        }
    }
}

/// One entry of the body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ErrorEntry {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// The JSON body `{"errors":[…]}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ErrorBody {
    errors: Vec<ErrorEntry>,
}

impl ErrorBody {
    /// A body with the usual sentence of the code.
    pub fn new(code: ErrorCode) -> Self {
        Self::with_message(code, code.message())
    }

    /// A body with a sentence of its own.
    pub fn with_message(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { errors: vec![ErrorEntry { code: code.as_str(), message: message.into(), detail: None }] }
    }

    /// The same code once for each detail; `details` must not be empty.
    pub fn repeated(code: ErrorCode, details: impl IntoIterator<Item = String>) -> Self {
        let entry =
            |detail| ErrorEntry { code: code.as_str(), message: code.message().into(), detail: Some(detail) };
        Self { errors: details.into_iter().map(entry).collect() }
    }

    /// Adds the detail to every entry.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        for entry in &mut self.errors {
            entry.detail = Some(detail.clone());
        }
        self
    }

    /// The code of the first entry, which also decides the status.
    pub fn code(&self) -> &'static str {
        self.errors.first().map_or(ErrorCode::Unknown.as_str(), |entry| entry.code)
    }

    /// The text to send.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings always serialise")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_the_shape_of_the_specification() {
        assert_eq!(
            ErrorBody::new(ErrorCode::NameInvalid).to_json(),
            r#"{"errors":[{"code":"NAME_INVALID","message":"invalid repository name"}]}"#
        );
        assert_eq!(
            ErrorBody::repeated(ErrorCode::ManifestBlobUnknown, ["sha256:a".into(), "sha256:b".into()])
                .to_json()
                .matches("MANIFEST_BLOB_UNKNOWN")
                .count(),
            2
        );
    }
}
