//! What holds for every endpoint: presence, HTTP semantics, error bodies, warnings; the support check; extensions.
//!
//! Spec: distribution-spec, "Conformance", "Error Codes", "Warnings", "Determining Support", "Extensions".

use futures_util::future::join_all;
use harness::client::{OciClient, Request, uploads};
use harness::images::{Image, OCI_INDEX};
use harness::stack::{Stack, StackOptions};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH};
use serde_json::json;

use super::{Case, Mode, artifact_of, as_manifest, delete, empty_config, head, in_every_mode, post, put};

/// The closed list of codes.
const CODES: [&str; 14] = [
    "BLOB_UNKNOWN",
    "BLOB_UPLOAD_INVALID",
    "BLOB_UPLOAD_UNKNOWN",
    "DIGEST_INVALID",
    "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID",
    "MANIFEST_UNKNOWN",
    "NAME_INVALID",
    "NAME_UNKNOWN",
    "SIZE_INVALID",
    "UNAUTHORIZED",
    "DENIED",
    "UNSUPPORTED",
    "TOOMANYREQUESTS",
];

const ABSENT: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

#[tokio::test]
async fn g_1_every_pull_endpoint_is_there() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, image) = (case.repository(), Image::new(101, 1, 500)?);
        case.push_image(&name, "tag", &image).await?;
        let blob = format!("/v2/{name}/blobs/{}", image.layers[0].digest);
        for target in ["/v2/", &format!("/v2/{name}/manifests/tag"), &blob] {
            case.send(&Request::get(target).accepting_manifests()).await?.expect(200)?;
        }
        for target in [&format!("/v2/{name}/manifests/tag"), &blob] {
            case.send(&head(target).accepting_manifests()).await?.expect(200)?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn g_2_push_discovery_and_management_are_there_too() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, image) = (case.repository(), Image::new(102, 1, 500)?);
        case.push_image(&name, "tag", &image).await?;
        case.send(&Request::get(format!("/v2/{name}/tags/list"))).await?.expect(200)?;
        let referrers = format!("/v2/{name}/referrers/{}", image.manifest.digest);
        case.send(&Request::get(referrers)).await?.expect(200)?;
        case.send(&delete(format!("/v2/{name}/manifests/tag"))).await?.expect(202)?;
        case.send(&delete(format!("/v2/{name}/manifests/{}", image.manifest.digest))).await?.expect(202)?;
        case.send(&delete(format!("/v2/{name}/blobs/{}", image.layers[0].digest))).await?.expect(202)?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn g_3_where_the_specification_is_silent_http_decides() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, image) = (case.repository(), Image::new(103, 1, 500)?);
        case.push_image(&name, "tag", &image).await?;
        // A method that exists nowhere else tells which ones do.
        let answer = case.send(&post(format!("/v2/{name}/manifests/tag"))).await?;
        let answer = answer.expect_error(405, "UNSUPPORTED")?;
        assert_eq!(answer.needs_header("allow")?, "DELETE, GET, HEAD, PUT");
        // What the client has already is not sent again.
        let get = || Request::get(format!("/v2/{name}/manifests/tag")).accepting_manifests();
        let answer = case.send(&get()).await?.expect(200)?;
        let tag = answer.needs_header("etag")?.to_owned();
        let known =
            case.send(&get().header(IF_NONE_MATCH, format!("\"other\", {tag}"))).await?.expect(304)?;
        assert!(known.body.is_empty() && known.needs_header("etag")? == tag, "{known}");
        case.send(&get().header(IF_NONE_MATCH, "\"other\"")).await?.expect(200)?;
        // And what the client does not want is not sent.
        let blob = || Request::get(format!("/v2/{name}/blobs/{}", image.config.digest));
        for (wanted, status) in [(format!("\"{}\"", image.config.digest), 200), ("\"other\"".into(), 412)] {
            case.send(&blob().header(IF_MATCH, wanted)).await?.expect(status)?;
        }
        case.send(&get().header(IF_MATCH, "\"other\"")).await?.expect(412)?;
        // An answer to HEAD is that to GET without its body.
        let answer = case.send(&head(format!("/v2/{name}/manifests/absent"))).await?.expect(404)?;
        assert!(answer.body.is_empty(), "{answer}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn g_4_nothing_is_redirected_where_the_bytes_are_here() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, image) = (case.repository(), Image::new(104, 1, 500)?);
        case.push_image(&name, "tag", &image).await?;
        // The form without the slash is served as well: a redirected POST would arrive as a GET.
        case.send(&Request::get("/v2")).await?.expect(200)?;
        case.send(&post(format!("/v2/{name}/blobs/uploads"))).await?.expect(202)?;
        case.send(&Request::get(format!("/v2/{name}/blobs/{}", image.config.digest))).await?.expect(200)?;
        Ok(())
    })
    .await
}

/// One request for each way of being wrong, with its status.
async fn refusals(case: &Case) -> anyhow::Result<Vec<(Request, u16)>> {
    let name = case.repository();
    let image = Image::new(105, 1, 500)?;
    case.push_image(&name, "tag", &image).await?;
    let location = case.start_upload(&name).await?;
    let missing = as_manifest(
        OCI_INDEX,
        &json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [
        {"mediaType": image.manifest.media_type, "digest": ABSENT, "size": 2}]}),
    );
    let manifest = |body: bytes::Bytes| {
        put(format!("/v2/{name}/manifests/new")).header(CONTENT_TYPE, OCI_INDEX).body(body)
    };
    Ok(vec![
        (Request::get(format!("/v2/{name}/blobs/{ABSENT}")), 404),
        (Request::get(format!("/v2/{name}/blobs/sha256:short")), 400),
        (Request::get(format!("/v2/{name}/manifests/absent")), 404),
        (Request::get(format!("/v2/{name}/manifests/{ABSENT}")), 404),
        (Request::get(format!("/v2/{name}/manifests/sha256:short")), 400),
        (Request::get(format!("/v2/{name}-never/tags/list")), 404),
        (Request::get("/v2/UPPER/tags/list"), 400),
        (Request::get(format!("/v2/{name}/tags/list?n=-1")), 400),
        (Request::get("/v2/_nowhere/at/all"), 404),
        (manifest("not json".into()), 400),
        (manifest(missing.bytes), 400),
        (put(format!("/v2/{name}/manifests/-bad")).header(CONTENT_TYPE, OCI_INDEX).body("{}"), 400),
        (delete(format!("/v2/{name}/manifests/absent")), 404),
        (delete(format!("/v2/{name}/blobs/{ABSENT}")), 404),
        (post(format!("{}?digest={ABSENT}", uploads(&name))).body("other"), 400),
        (put(format!("{}?digest=x", uploads(&name))), 405),
        (put(location.clone()), 400),
        (
            Request::new(Method::PATCH, location.clone())
                .header(reqwest::header::CONTENT_RANGE, "x")
                .body("y"),
            400,
        ),
        (delete(format!("{}00000000-0000-4000-8000-000000000000", uploads(&name))), 404),
    ])
}

#[tokio::test]
async fn g_5_refusals_are_json_of_the_one_shape() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        for (request, status) in refusals(case).await? {
            let answer = case.send(&request).await?.expect(status)?;
            assert!(answer.needs_header("content-type")?.starts_with("application/json"), "{answer}");
            answer.error_codes()?;
            let body = answer.json()?;
            let keys: Vec<_> = body.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
            assert_eq!(keys, ["errors"], "{answer}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn g_6_every_code_is_one_of_the_list() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        for (request, _) in refusals(case).await? {
            let answer = case.send(&request).await?;
            for code in answer.error_codes()? {
                assert!(CODES.contains(&code.as_str()), "{answer}");
            }
        }
        Ok(())
    })
    .await
}

/// The warnings about a manifest with a layer that stays at its source.
async fn warnings(case: &Case) -> anyhow::Result<Vec<String>> {
    let (name, config) = (case.repository(), empty_config());
    case.push_blob(&name, &config).await?;
    let foreign = json!({"mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar", "digest": ABSENT,
        "size": 5, "urls": ["https://example.com/layer"]});
    let manifest = artifact_of(&config, &[], &json!({"layers": vec![foreign; 500]}));
    let answer = case.stored(&name, "tag", &manifest).await?;
    let values = answer.headers.get_all("warning").iter();
    Ok(values.map(|value| value.to_str().map(str::to_owned)).collect::<Result<_, _>>()?)
}

#[tokio::test]
async fn g_8_who_pushes_what_others_may_miss_is_warned() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        assert!(!warnings(case).await?.is_empty(), "a layer is not here");
        let name = case.repository();
        let whole = case.artifact(&name, 108).await?;
        let answer = case.stored(&name, "tag", &whole).await?;
        assert!(answer.header("warning").is_none(), "{answer}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn g_9_a_warning_has_code_299_no_agent_and_no_date() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        for warning in warnings(case).await? {
            let text = warning.strip_prefix("299 - \"").and_then(|rest| rest.strip_suffix('"'));
            let text = text.ok_or_else(|| anyhow::anyhow!("another form: {warning}"))?;
            assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{warning}");
            assert!(!text.replace("\\\\", "").replace("\\\"", "").contains('"'), "{warning}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn g_10_all_warnings_of_an_answer_have_at_most_4096_bytes() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let length: usize = warnings(case).await?.iter().map(String::len).sum();
        assert!((1..=4096).contains(&length), "{length} bytes");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn p_1_the_support_check_answers_200() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let answer = case.send(&Request::get("/v2/")).await?.expect(200)?;
        assert_eq!(answer.json()?, json!({}));
        assert_eq!(answer.needs_header("docker-distribution-api-version")?, "registry/2.0");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn p_2_without_credentials_the_support_check_tells_where_to_get_them() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let answer = case.raw(&Request::get("/v2/")).await?;
        match case.mode {
            Mode::Open => {
                answer.expect(200)?;
            }
            Mode::Token => {
                let answer = answer.expect_error(401, "UNAUTHORIZED")?;
                let challenge = answer.needs_header("www-authenticate")?;
                assert!(challenge.starts_with("Bearer realm=\"http"), "{answer}");
                assert!(challenge.contains("service=\""), "{answer}");
            }
            Mode::Htpasswd => {
                let answer = answer.expect_error(401, "UNAUTHORIZED")?;
                assert!(answer.needs_header("www-authenticate")?.starts_with("Basic realm=\""), "{answer}");
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn n_3_a_source_host_in_a_pull_is_not_used_and_so_not_confirmed() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, image) = (case.repository(), Image::new(106, 1, 500)?);
        case.push_image(&name, "tag", &image).await?;
        for target in ["manifests/tag".to_owned(), format!("blobs/{}", image.layers[0].digest)] {
            let get = Request::get(format!("/v2/{name}/{target}?ns=docker.io")).accepting_manifests();
            let answer = case.send(&get).await?.expect(200)?;
            assert!(answer.header("oci-namespace").is_none(), "{answer}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn e_1_extensions_live_behind_an_underscore_where_no_repository_can_be() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        for name in ["_catalog", "_portcullis/x", "conformance/_oci"] {
            let answer = case.send(&post(uploads(name))).await?;
            answer.expect_error(400, "NAME_INVALID")?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn e_5_the_catalogue_is_paged_as_tags_are() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let image = Image::new(107, 1, 500)?;
        let mut names = [case.repository(), case.repository()];
        names.sort_unstable();
        for name in &names {
            case.push_image(name, "tag", &image).await?;
        }
        // Others push at the same time, so the page begins right before ours and is read until ours are through.
        let mut next = Some(format!("/v2/_catalog?n=1&last={}", &names[0][..names[0].len() - 1]));
        let mut seen = Vec::new();
        while let Some(target) = next.take() {
            let answer = case.send(&Request::get(target)).await?.expect(200)?;
            let page = answer.json()?["repositories"].clone();
            let page: Vec<String> = serde_json::from_value(page)?;
            assert!(page.len() <= 1, "{answer}");
            seen.extend(page);
            let through = seen.last().is_some_and(|last| *last >= names[1]);
            next = super::next_page(&answer)?.filter(|_| !through);
        }
        assert!(seen.is_sorted() && names.iter().all(|name| seen.contains(name)), "{seen:?}");
        let none = case.send(&Request::get("/v2/_catalog?n=0")).await?.expect(200)?;
        assert_eq!(none.json()?, json!({"repositories": []}));
        assert!(none.header("link").is_none(), "{none}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn e_6_an_unknown_extension_is_unsupported() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        for target in ["/v2/_oci/ext/discover", "/v2/_nobody/knows"] {
            case.send(&Request::get(target)).await?.expect_error(404, "UNSUPPORTED")?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn g_7_who_is_turned_away_for_now_is_told_when_to_come_back() -> anyhow::Result<()> {
    // A stack of its own, in which one password is checked at a time and one waits: nobody else is slowed down.
    let stack = Stack::with(StackOptions {
        same_origin: true,
        token_server_more: "passwords:\n  concurrency: 1\n  queue: 1\n".into(),
        ..StackOptions::default()
    })
    .await?;
    let stranger = OciClient::new(&stack.registry_url(), "nobody", "wrong")?;
    let challenge = stranger.challenge().await?;
    let mut turned_away = 0;
    for answer in join_all((0..60).map(|_| stranger.ask_token(&challenge, &[]))).await {
        let answer = answer?;
        let code = match answer.status {
            401 => continue,
            429 => "TOOMANYREQUESTS",
            _ => "UNAVAILABLE",
        };
        let status = if code == "UNAVAILABLE" { 503 } else { 429 };
        let answer = answer.expect_error(status, code)?;
        assert!(answer.needs_header("retry-after")?.parse::<u32>()? > 0, "{answer}");
        turned_away += 1;
    }
    assert!(turned_away > 0, "sixty logins at once are more than two places");
    Ok(())
}
