//! Tests of manifest parsing.
//!
//! *Invariant:* hostile bodies get an error with a reason, never a panic.

use proptest::prelude::*;

use super::super::media_type::{self, DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, OCI_INDEX, OCI_MANIFEST};
use super::*;

const A: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn image(media_type: &str, layers: &str) -> String {
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{media_type}","config":{{"mediaType":"x/y","digest":"{A}","size":2}},"layers":{layers}}}"#
    )
}

fn texts(digests: &[Digest]) -> Vec<String> {
    digests.iter().map(ToString::to_string).collect()
}

fn reason(content_type: &str, body: &str) -> String {
    Manifest::parse(content_type, body.as_bytes()).expect_err(body).to_string()
}

#[test]
fn an_image_manifest_needs_its_config_and_its_layers_once_each() {
    let layers = format!(
        r#"[{{"mediaType":"l","digest":"{B}","size":1}},{{"digest":"{B}","size":1}},{{"digest":"{A}","size":2}}]"#
    );
    for media_type in [OCI_MANIFEST, DOCKER_MANIFEST] {
        let manifest =
            Manifest::parse(media_type, image(media_type, &layers).as_bytes()).expect("a manifest");
        assert_eq!(texts(manifest.blobs()), [A, B]);
        assert!(manifest.manifests().is_empty());
    }
}

#[test]
fn layers_that_stay_at_their_source_are_not_needed() {
    let layers = format!(
        r#"[{{"mediaType":"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip","digest":"{B}","size":1,"urls":["https://example.com/x"]}},
            {{"mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip","digest":"blake3:00","size":1}}]"#
    );
    let manifest =
        Manifest::parse(OCI_MANIFEST, image(OCI_MANIFEST, &layers).as_bytes()).expect("a manifest");
    assert_eq!(texts(manifest.blobs()), [A]);
    assert_eq!(texts(&manifest.foreign_blobs()), [B], "they may be here all the same");
}

#[test]
fn an_index_needs_its_children() {
    let body = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{OCI_MANIFEST}","digest":"{A}","size":5}}]}}"#
    );
    let manifest = Manifest::parse(OCI_INDEX, body.as_bytes()).expect("an index");
    assert_eq!(texts(&manifest.manifests()), [A]);
    assert!(manifest.blobs().is_empty());
    for empty in [r#"{"schemaVersion":2,"manifests":[]}"#, r#"{"schemaVersion":2,"manifests":null}"#] {
        assert!(Manifest::parse(OCI_INDEX, empty.as_bytes()).is_ok(), "{empty}");
    }
}

#[test]
fn empty_layers_and_a_missing_subject_are_legal() {
    let body = format!(
        r#"{{"schemaVersion":2,"config":{{"digest":"{A}","size":2}},"layers":[],"subject":{{"mediaType":"m","digest":"{B}","size":9}},"unknown":{{"deep":[1,2]}}}}"#
    );
    let manifest = Manifest::parse(OCI_MANIFEST, body.as_bytes()).expect("a manifest");
    assert_eq!(manifest.subject().map(|subject| subject.to_string()).as_deref(), Some(B));
    assert_eq!(texts(manifest.blobs()), [A], "a subject is not needed");
}

fn parsed(content_type: &str, body: &serde_json::Value) -> Manifest {
    Manifest::parse(content_type, body.to_string().as_bytes()).expect("a manifest")
}

fn listed(manifest: &Manifest) -> serde_json::Value {
    let digest = Digest::sha256_of(b"bytes");
    let descriptor = manifest.referrer_descriptor(&digest, 5).expect("JSON");
    let artifact_type = artifact_type_of(&descriptor).expect("a descriptor");
    let value: serde_json::Value = serde_json::from_slice(&descriptor).expect("JSON");
    assert_eq!(value["artifactType"].as_str(), artifact_type.as_deref());
    assert_eq!((value["digest"].as_str(), value["size"].as_u64()), (Some(&*digest.to_string()), Some(5)));
    value
}

#[test]
fn a_referrer_is_listed_with_its_own_artifact_type_or_that_of_its_config() {
    let config = serde_json::json!({"mediaType": "application/vnd.example+json", "digest": A, "size": 2});
    let subject = serde_json::json!({"mediaType": OCI_MANIFEST, "digest": B, "size": 9});
    let mut image = serde_json::json!({
        "schemaVersion": 2, "config": config, "layers": [], "subject": subject,
        "annotations": {"b": "2", "a": "1", "empty": ""},
    });
    let value = listed(&parsed(OCI_MANIFEST, &image));
    assert_eq!(value["mediaType"], OCI_MANIFEST);
    assert_eq!(value["artifactType"], "application/vnd.example+json");
    assert_eq!(value["annotations"], image["annotations"]);
    image["artifactType"] = "text/x".into();
    assert_eq!(listed(&parsed(OCI_MANIFEST, &image))["artifactType"], "text/x");
    image["artifactType"] = "".into();
    assert_eq!(listed(&parsed(OCI_MANIFEST, &image))["artifactType"], "application/vnd.example+json");

    let mut index = serde_json::json!({"schemaVersion": 2, "manifests": [], "subject": subject});
    let value = listed(&parsed(OCI_INDEX, &index));
    assert_eq!((value.get("artifactType"), value.get("annotations")), (None, None));
    index["artifactType"] = "text/y".into();
    assert_eq!(listed(&parsed(OCI_INDEX, &index))["artifactType"], "text/y");
}

#[test]
fn only_a_subject_that_can_be_asked_for_counts() {
    let mut index = serde_json::json!({"schemaVersion": 2, "manifests": []});
    assert_eq!(parsed(OCI_INDEX, &index).subject(), None);
    index["subject"] = serde_json::json!({"mediaType": "x/y", "digest": "blake3:00", "size": 1});
    assert_eq!(parsed(OCI_INDEX, &index).subject(), None, "a foreign algorithm is no error");
    for wrong in ["1", "[]", r#"{"digest":"sha256:x","size":1}"#, r#"{"size":1}"#] {
        let body = format!(r#"{{"schemaVersion":2,"manifests":[],"subject":{wrong}}}"#);
        assert!(reason(OCI_INDEX, &body).contains("cannot be read"), "{wrong}");
    }
    let docker = format!(
        r#"{{"schemaVersion":2,"mediaType":"{DOCKER_MANIFEST_LIST}","manifests":[],"subject":7,"annotations":[]}}"#
    );
    let manifest = Manifest::parse(DOCKER_MANIFEST_LIST, docker.as_bytes()).expect("it has no such field");
    assert_eq!(manifest.subject(), None);
}

#[test]
fn a_child_with_a_foreign_digest_is_left_to_the_rules() {
    let body = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"digest":"blake3:00","size":1,"platform":null}},
            {{"digest":"{A}","size":1,"platform":{{"os":"linux","architecture":"amd64","variant":"v8"}}}}]}}"#
    );
    let manifest = Manifest::parse(OCI_INDEX, body.as_bytes()).expect("an index");
    assert_eq!(texts(&manifest.manifests()), [A]);
    assert_eq!(manifest.children().len(), 2);
    let platform = manifest.children()[1].platform.as_ref().expect("named");
    assert_eq!((platform.os.as_str(), platform.architecture.as_str()), ("linux", "amd64"));
    assert!(each_once(manifest.children().iter()).is_err());
}

#[test]
fn a_field_that_some_clients_take_for_another_is_refused() {
    for (content_type, field) in [
        (OCI_MANIFEST, "Layers"),
        (OCI_MANIFEST, "MANIFESTS"),
        (OCI_INDEX, "Config"),
        (OCI_INDEX, "mediatype"),
    ] {
        let body = format!(r#"{{"schemaVersion":2,"{field}":[]}}"#);
        let reason = reason(content_type, &body);
        assert!(reason.contains(&format!("the field `{field}` could be taken for")), "{reason}");
    }
}

#[test]
fn a_body_that_could_be_read_as_both_kinds_is_refused() {
    let config = format!(r#"{{"digest":"{A}","size":2}}"#);
    let both = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[],"manifests":[]}}"#);
    assert!(reason(OCI_MANIFEST, &both).contains("must not have the field `manifests`"));
    assert!(reason(OCI_INDEX, &both).contains("must not have the field `config`"));
    assert!(
        reason(OCI_INDEX, r#"{"schemaVersion":2,"layers":[],"manifests":[]}"#).contains("`layers`"),
        "layers alone are enough"
    );
}

#[test]
fn the_type_in_the_body_and_in_the_request_must_agree() {
    assert!(reason(OCI_MANIFEST, &image(DOCKER_MANIFEST, "[]")).contains("the request says"));
    assert!(reason(DOCKER_MANIFEST, &image(OCI_MANIFEST, "[]")).contains("the request says"));
    let unnamed = r#"{"schemaVersion":2,"manifests":[]}"#;
    assert!(reason(DOCKER_MANIFEST_LIST, unnamed).contains("the request says"), "docker types must be named");
    assert!(Manifest::parse(OCI_INDEX, unnamed.as_bytes()).is_ok());
}

#[test]
fn every_other_defect_has_a_plain_reason() {
    let negative = image(OCI_MANIFEST, &format!(r#"[{{"digest":"{B}","size":-5}}]"#));
    let malformed = image(OCI_MANIFEST, r#"[{"digest":"sha256:nope","size":5}]"#);
    let foreign = image(OCI_MANIFEST, r#"[{"digest":"blake3:00","size":5}]"#);
    let deep = format!(r#"{{"schemaVersion":2,"x":{}{}}}"#, "[".repeat(500_000), "]".repeat(500_000));
    for (content_type, body, expected) in [
        ("application/json", "{}", "unsupported manifest media type"),
        ("", "{}", "unsupported manifest media type"),
        (OCI_MANIFEST, "", "cannot be read"),
        (OCI_MANIFEST, "[]", "cannot be read"),
        (OCI_MANIFEST, "null", "cannot be read"),
        (OCI_MANIFEST, "{}", "schema version 0"),
        (OCI_MANIFEST, r#"{"schemaVersion":1}"#, "schema version 1"),
        (OCI_MANIFEST, r#"{"schemaVersion":"2"}"#, "cannot be read"),
        (OCI_MANIFEST, r#"{"schemaVersion":2,"schemaVersion":2}"#, "duplicate field"),
        (OCI_MANIFEST, r#"{"schemaVersion":2} x"#, "trailing"),
        (OCI_MANIFEST, r#"{"schemaVersion":2,"layers":[]}"#, "must have the field `config`"),
        (OCI_MANIFEST, negative.as_str(), "must not be negative"),
        (OCI_MANIFEST, malformed.as_str(), "invalid checksum digest length"),
        (OCI_MANIFEST, foreign.as_str(), "unsupported digest algorithm"),
        (OCI_MANIFEST, deep.as_str(), "must have the field `config`"),
    ] {
        let reason = reason(content_type, body);
        assert!(reason.contains(expected), "{body:.60}: {reason}");
    }
}

#[test]
fn the_type_of_stored_bytes_is_told_by_the_bytes() {
    for (bytes, expected) in [
        (image(DOCKER_MANIFEST, "[]"), Some(DOCKER_MANIFEST)),
        (r#"{"schemaVersion":2,"manifests":[]}"#.to_owned(), Some(OCI_INDEX)),
        (r#"{"schemaVersion":2,"config":{}}"#.to_owned(), Some(OCI_MANIFEST)),
        (r#"{"schemaVersion":1,"signatures":[]}"#.to_owned(), Some(media_type::DOCKER_SCHEMA_1_SIGNED)),
        (r#"{"schemaVersion":1}"#.to_owned(), Some(media_type::DOCKER_SCHEMA_1)),
        (r#"{"mediaType":"a/b\r\nX: y"}"#.to_owned(), None),
        (String::new(), None),
        ("tar bytes".to_owned(), None),
    ] {
        assert_eq!(stored_media_type(bytes.as_bytes()).as_deref(), expected, "{bytes}");
    }
}

proptest! {
    #[test]
    fn no_body_makes_the_parser_panic(body in proptest::collection::vec(any::<u8>(), 0..200), kind in 0..4usize) {
        let _ = Manifest::parse(ManifestType::ALL[kind].as_str(), &body);
        let _ = stored_media_type(&body);
    }

    #[test]
    fn no_json_makes_the_parser_panic(size in any::<i64>(), digest in "\\PC{0,80}", version in any::<i32>()) {
        let body = serde_json::json!({
            "schemaVersion": if version % 2 == 0 { 2 } else { version },
            "config": { "digest": digest, "size": size },
        });
        let _ = Manifest::parse(OCI_MANIFEST, body.to_string().as_bytes());
    }
}
