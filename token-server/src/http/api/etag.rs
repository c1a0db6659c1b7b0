//! Which version of something somebody has seen.
//!
//! *Invariant:* two representations have the same tag exactly when they are the same bytes.
//!
//! Spec: RFC 9110 §8.8.3, §13.1.

use actix_web::http::header::{HeaderMap, HeaderName, IF_MATCH};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;
use serde::Serialize;

use super::barriers::Barrier;
use super::grants::Grant;
use super::members::Member;
use super::namespaces::Namespace;
use super::robots::Robot;
use super::roles::Role;
use super::teams::Team;
use super::users::User;
use super::workloads::Workload;
use crate::domain::administration::expectation::{Expectation, Present};

/// The tag of these bytes.
pub(super) fn of_bytes(bytes: &[u8]) -> String {
    let hash = digest::digest(&digest::SHA256, bytes);
    format!("\"{}\"", URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16]))
}

/// The tag of what is shown so.
pub(super) fn of(representation: &impl Serialize) -> String {
    of_bytes(&serde_json::to_vec(representation).expect("representations are plain data"))
}

fn of_present(present: Present<'_>) -> String {
    match present {
        Present::User(row) => of(&User::from(row)),
        Present::Team(row) => of(&Team::from(row)),
        Present::Member(row) => of(&Member::from(row)),
        Present::Role(row) => of(&Role::from(row)),
        Present::Grant(row) => of(&Grant::from(row)),
        Present::Barrier(row) => of(&Barrier::from(row)),
        Present::Namespace(row) => of(&Namespace::from(row)),
        Present::Robot(row) => of(&Robot::from(row)),
        Present::Workload(row) => of(&Workload::from(row)),
    }
}

/// The tags in a header, if it is there.
fn tags(headers: &HeaderMap, name: HeaderName) -> Option<Vec<String>> {
    if !headers.contains_key(&name) {
        return None;
    }
    let lists = headers.get_all(name).filter_map(|value| value.to_str().ok());
    Some(lists.flat_map(|list| list.split(',')).map(|tag| tag.trim().to_owned()).collect())
}

fn matches(listed: &[String], tag: &str) -> bool {
    listed.iter().any(|listed| listed == "*" || listed == tag)
}

/// Whether a header with tags is there and has none of this version.
pub(super) fn excludes(headers: &HeaderMap, name: HeaderName, tag: &str) -> bool {
    tags(headers, name).is_some_and(|listed| !matches(&listed, tag))
}

/// Whether a header with tags is there and has this version; `W/` before a tag makes no difference.
pub(super) fn includes(headers: &HeaderMap, name: HeaderName, tag: &str) -> bool {
    let listed = tags(headers, name).unwrap_or_default().into_iter();
    let strong: Vec<String> = listed.map(|tag| tag.trim_start_matches("W/").to_owned()).collect();
    matches(&strong, tag)
}

/// What the sender of a change believes to be there.
pub(super) fn expectation(headers: &HeaderMap) -> Option<Expectation> {
    let listed = tags(headers, IF_MATCH)?;
    Some(Expectation::new(move |present| matches(&listed, &of_present(present))))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderValue, IF_NONE_MATCH};

    use super::*;

    #[test]
    fn headers_list_versions() {
        let headers = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(IF_NONE_MATCH, HeaderValue::from_str(value).unwrap());
            }
            headers
        };
        let tag = of_bytes(b"x");
        for (values, is_listed) in [
            (vec![tag.as_str()], true),
            (vec!["\"a\", \"b\"", &format!("W/{tag}")], true),
            (vec!["*"], true),
            (vec!["\"a\""], false),
            (vec![""], false),
            (vec![], false),
        ] {
            assert_eq!(includes(&headers(&values), IF_NONE_MATCH, &tag), is_listed, "{values:?}");
        }
        assert!(excludes(&headers(&["\"a\""]), IF_NONE_MATCH, &tag));
        assert!(
            excludes(&headers(&[&format!("W/{tag}")]), IF_NONE_MATCH, &tag),
            "a weak tag is never the same"
        );
        assert!(!excludes(&headers(&[]), IF_NONE_MATCH, &tag));
    }
}
