//! What a client says it accepts, as far as that makes a difference.
//!
//! Manifests are served as they are stored to everybody, with one exception that the distribution registry makes too:
//! a client that asks for a tag, names manifest types, and neither the manifest list among them nor a wildcard, is
//! old and can only run a single image, so it gets the one for linux/amd64.
//!
//! *Invariant:* a client that says nothing of manifests is taken to accept everything.
//!
//! Spec: RFC 9110 §12.5.1.

use actix_web::HttpRequest;
use actix_web::http::header::ACCEPT;

use crate::oci::media_type::{DOCKER_MANIFEST_LIST, DOCKER_SCHEMA_1, DOCKER_SCHEMA_1_SIGNED, ManifestType};

/// Whether the client can read single images only.
pub(super) fn rejects_lists(request: &HttpRequest) -> bool {
    let values = request.headers().get_all(ACCEPT).filter_map(|value| value.to_str().ok());
    let mut names_manifests = false;
    for range in values.flat_map(|value| value.split(',')) {
        let (essence, parameters) = range.split_once(';').unwrap_or((range, ""));
        if is_refused(parameters) {
            continue;
        }
        let essence = essence.trim().to_ascii_lowercase();
        if matches!(essence.as_str(), "*/*" | "application/*" | DOCKER_MANIFEST_LIST) {
            return false;
        }
        names_manifests |= ManifestType::parse(&essence).is_some()
            || matches!(essence.as_str(), DOCKER_SCHEMA_1 | DOCKER_SCHEMA_1_SIGNED);
    }
    names_manifests
}

/// Whether the parameters of a media range say that it is not wanted at all: `q=0`.
fn is_refused(parameters: &str) -> bool {
    let mut weights = parameters.split(';').filter_map(|parameter| parameter.trim().strip_prefix("q="));
    weights.next().and_then(|weight| weight.trim().parse::<f32>().ok()).is_some_and(|weight| weight <= 0.0)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    const V2: &str = "application/vnd.docker.distribution.manifest.v2+json";
    const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    const V1: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
    const INDEX: &str = "application/vnd.oci.image.index.v1+json";

    fn rejected_by(values: &[&str]) -> bool {
        let request =
            values.iter().fold(TestRequest::get(), |request, value| request.append_header((ACCEPT, *value)));
        rejects_lists(&request.to_http_request())
    }

    #[test]
    fn only_clients_that_name_manifests_and_no_list_reject_lists() {
        for (values, expected) in [
            (vec![], false),
            (vec![""], false),
            (vec!["*/*"], false),
            (vec!["application/*"], false),
            (vec!["text/html"], false),
            (vec!["application/json"], false),
            (vec![V2], true),
            (vec![V2, "*/*"], false),
            (vec![OCI, INDEX], true),
            (vec![V1], true),
            (vec![V2, LIST], false),
            (vec!["application/vnd.docker.distribution.manifest.LIST.v2+json", V2], false),
            (vec![&format!("{V2}, {LIST};q=0.5") as &str], false),
            (vec![&format!("{V2}, {LIST};q=0") as &str], true),
            (vec![&format!("{V2}, */*;q=0.000") as &str], true),
        ] {
            assert_eq!(rejected_by(&values), expected, "{values:?}");
        }
    }

    /// As the clients send them.
    #[test]
    fn no_client_of_today_rejects_lists() {
        let all = [V2, LIST, OCI, INDEX];
        let joined = all.join(", ");
        let clients: [(&str, Vec<&str>); 9] = [
            ("docker classic", vec![V2, LIST, INDEX, OCI, V1, "application/json"]),
            ("containerd, buildx", vec![&joined, "*/*"]),
            (
                "podman, skopeo",
                vec![OCI, INDEX, V1, "application/vnd.docker.distribution.manifest.v1+json", V2, LIST],
            ),
            ("crane, cosign", vec![&joined]),
            ("helm, oras", vec![V2, LIST, OCI, INDEX, "application/vnd.oci.artifact.manifest.v1+json"]),
            ("oras of a digest", vec![OCI, "*/*"]),
            ("regctl", vec![INDEX, LIST, OCI, V2, "application/vnd.oci.artifact.manifest.v1+json"]),
            ("curl", vec!["*/*"]),
            ("a bare client", vec![]),
        ];
        for (client, values) in clients {
            assert!(!rejected_by(&values), "{client}");
        }
    }
}
