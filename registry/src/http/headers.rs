//! Names and values of headers that the protocol uses and the framework does not know.
//!
//! *Invariant:* names are lower-case here; header names do not care about case on the wire.

use actix_web::http::header::{HeaderName, HeaderValue};

/// On every answer below `/v2`; old clients refuse a registry without it.
pub(super) const API_VERSION: (HeaderName, HeaderValue) =
    (HeaderName::from_static("docker-distribution-api-version"), HeaderValue::from_static("registry/2.0"));

/// The digest of the content that the answer is or names.
pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// The subject of a manifest that is now among its referrers.
pub(super) const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

/// A tag that was given to a manifest put by digest.
pub(super) const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");

/// Which filters a list of referrers went through.
pub(super) const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// The id of an upload session.
pub(super) const UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// The type under which blobs are served, whatever they hold.
pub(super) const OCTET_STREAM: &str = "application/octet-stream";

/// The Docker engine sends it with a search, and takes no challenge for an answer then.
pub(super) const DOCKER_TOKEN: HeaderName = HeaderName::from_static("x-docker-token");

/// Tells engines to send a user name and a password only where there are any.
pub(super) const NOT_STANDALONE: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-docker-registry-standalone"), HeaderValue::from_static("false"));
