//! What nobody may learn: whether something private exists.
//!
//! *Invariant:* two things a caller may not tell apart give the same answer, in status, headers and body.

use harness::actors::Town;
use harness::answer::Answer;
use harness::client::{OciClient, Request, uploads};
use harness::images::{Blob, Image, noise, sha256};
use harness::snapshot::redacted;
use registry::http::routes::Operation;
use reqwest::Method;
use shared::challenge::BearerChallenge;

// Of one length, so that not even a `Content-Length` differs.
const PRIVATE: &str = "platform/secret";
const MISSING: &str = "platform/absent";

const OCTETS: &str = "application/octet-stream";

/// A town in which bob may pull below `shared/` and push below `bobs/`, and a private image is in it.
async fn town() -> anyhow::Result<(Town, Image)> {
    let town = Town::start().await?;
    town.stack.grant("user:bob", "viewer", "shared/**").await?;
    town.stack.grant("user:bob", "writer", "bobs/**").await?;
    let image = Image::new(1, 1, 1000)?;
    town.alice.push_image(PRIVATE, "latest", &image).await?;
    town.admin.push_image("shared/tool", "latest", &Image::new(2, 1, 1000)?).await?;
    Ok((town, image))
}

/// The answer without what differs from request to request, and without these words.
fn normal(answer: &Answer, words: &[&str]) -> String {
    let known: Vec<_> = words.iter().map(|word| (*word, "[word]")).collect();
    redacted(answer, &known)
}

/// The requests of an operation on this repository, one for each method and each way to name something.
fn requests(
    operation: Operation,
    repository: &str,
    image: &Image,
    upload: &str,
) -> anyhow::Result<Vec<Request>> {
    let manifests = |reference: &str| format!("/v2/{repository}/manifests/{reference}");
    let blob = format!("/v2/{repository}/blobs/{}", image.layers[0].digest);
    let targets = match operation {
        Operation::Base | Operation::ListCatalog | Operation::Search => vec![],
        Operation::DeleteRepository => vec![format!("/v2/_portcullis/repositories/{repository}")],
        Operation::ListTags => {
            ["", "?n=1", "?n=1&last=a"].map(|query| format!("/v2/{repository}/tags/list{query}")).into()
        }
        Operation::GetManifest => {
            ["latest", "none", &image.manifest.digest, &image.layers[0].digest].map(manifests).into()
        }
        Operation::PutManifest | Operation::DeleteManifest => {
            ["latest", &image.manifest.digest].map(manifests).into()
        }
        Operation::ListReferrers => ["", "?artifactType=text/x", "?n=1"]
            .map(|query| format!("/v2/{repository}/referrers/{}{query}", image.manifest.digest))
            .into(),
        Operation::GetBlob | Operation::DeleteBlob => vec![blob],
        Operation::StartUpload => vec![
            uploads(repository),
            format!("{}?mount={}&from={repository}", uploads(repository), image.layers[0].digest),
        ],
        Operation::UploadStatus
        | Operation::AppendUpload
        | Operation::FinishUpload
        | Operation::CancelUpload => {
            vec![upload.replace(PRIVATE, repository)]
        }
    };
    let mut requests = Vec::new();
    for target in targets {
        for method in operation.methods() {
            requests.push(Request::new(method.parse()?, target.clone()));
        }
    }
    Ok(requests)
}

#[tokio::test]
async fn a_private_repository_looks_like_a_missing_one_on_every_route() -> anyhow::Result<()> {
    let (town, image) = town().await?;
    let upload = town.alice.start_upload(PRIVATE).await?;
    let challenge = town.bob.challenge().await?;
    let elsewhere = BearerChallenge { scope: Some("repository:shared/tool:pull".into()), ..challenge };
    let elsewhere = town.bob.token_for(&elsewhere).await?.map_err(|answer| anyhow::anyhow!("{answer}"))?;
    let mut compared = 0;
    for operation in Operation::ALL {
        let private = requests(operation, PRIVATE, &image, &upload)?;
        let missing = requests(operation, MISSING, &image, &upload)?;
        for (private, missing) in private.iter().zip(&missing) {
            for caller in ["nobody", "anonymous", "bob", "bob with a token for another repository"] {
                let mut answers = Vec::new();
                for request in [private, missing] {
                    let answer = match caller {
                        "nobody" => town.anonymous.raw(request).await?,
                        "anonymous" => town.anonymous.send(request).await?,
                        "bob" => town.bob.send(request).await?,
                        _ => town.bob.with_token(request, &elsewhere).await?,
                    };
                    assert!(matches!(answer.status, 401 | 403), "{caller}: {answer}");
                    answers.push(normal(&answer, &[PRIVATE, MISSING]));
                }
                assert_eq!(answers[0], answers[1], "{caller}: {} {}", private.method, private.target);
                compared += 1;
            }
        }
    }
    assert!(compared > 80, "{compared} pairs");
    Ok(())
}

#[tokio::test]
async fn a_private_place_looks_like_no_place_whoever_runs_it() -> anyhow::Result<()> {
    let (town, image) = town().await?;
    let stack = &town.stack;
    stack.operator(&["robot", "add", "bob/ci"], "").await?.success()?;
    let secret = stack.operator(&["robot", "secret", "add", "bob/ci"], "").await?.success()?.output;
    stack.grant("robot:bob/ci", "writer", "bobs/**").await?;
    let robot = OciClient::new(&stack.registry_url(), "bob/ci", secret.trim())?;
    robot.login().await?.expect(200)?;
    let (private, nowhere) = ("hidden/app", "absent/app");
    town.admin.push_image(private, "latest", &image).await?;
    let requests = |repository: &str| {
        let manifest = |reference: &str| format!("/v2/{repository}/manifests/{reference}");
        [
            Request::new(Method::POST, uploads(repository)),
            Request::new(Method::PUT, manifest("latest")).body(image.manifest.bytes.clone()),
            Request::get(manifest("latest")).accepting_manifests(),
            Request::new(Method::HEAD, manifest("latest")).accepting_manifests(),
            Request::get(format!("/v2/{repository}/tags/list")),
            Request::get(format!("/v2/{repository}/blobs/{}", image.layers[0].digest)),
            Request::new(Method::DELETE, manifest("latest")),
            Request::new(Method::DELETE, manifest(&image.manifest.digest)),
            Request::new(Method::DELETE, format!("/v2/_portcullis/repositories/{repository}")),
        ]
    };
    for (state, command) in [
        ("nobody in particular", &[][..]),
        ("an administrator of its own", &["grant", "add", "team:platform", "admin", "hidden/**"]),
        ("a namespace", &["namespace", "add", "hidden", "--owner", "user:alice"]),
        ("a namespace where nobody makes any", &["namespace", "change", "hidden", "--create", "nobody"]),
        ("a barrier", &["barrier", "add", "hidden/**", "--actions", "*"]),
    ] {
        if !command.is_empty() {
            stack.operator(command, "").await?.success()?;
        }
        for (caller, client) in [("anonymous", &town.anonymous), ("bob", &town.bob), ("a robot", &robot)] {
            client.forget_tokens();
            for (there, absent) in requests(private).iter().zip(&requests(nowhere)) {
                let mut answers = Vec::new();
                for request in [there, absent] {
                    let answer = client.send(request).await?;
                    assert!(matches!(answer.status, 401 | 403), "{state}, {caller}: {answer}");
                    answers.push(normal(&answer, &[private, nowhere]));
                }
                let asked = format!("{state}, {caller}: {} {}", there.method, there.target);
                assert_eq!(answers[0], answers[1], "{asked}");
                for name in ["alice", "platform,", "team:"] {
                    assert!(!answers[0].contains(name), "{asked}: {}", answers[0]);
                }
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_only_others_have_looks_like_what_nobody_has() -> anyhow::Result<()> {
    let (town, image) = town().await?;
    let mut hidden = vec![image.manifest.digest.clone(), image.config.digest.clone()];
    for (seed, length) in [(10, 1_000), (11, 5_000_000)] {
        let blob = Blob::new(OCTETS, noise(seed, length));
        town.alice.push_blob(PRIVATE, &blob).await?;
        hidden.push(blob.digest);
    }
    let unknown = sha256(b"nobody has this");
    for digest in &hidden {
        for kind in ["blobs", "manifests"] {
            for method in [Method::GET, Method::HEAD] {
                let mut answers = Vec::new();
                for digest in [digest, &unknown] {
                    let target = format!("/v2/shared/tool/{kind}/{digest}");
                    let request = Request::new(method.clone(), target).accepting_manifests();
                    let answer = town.bob.send(&request).await?.expect(404)?;
                    answers.push(normal(&answer, &[digest]));
                }
                assert_eq!(answers[0], answers[1], "{method} {kind} {digest}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_mount_does_not_tell_what_a_private_repository_holds() -> anyhow::Result<()> {
    let (town, image) = town().await?;
    let (held, unknown) = (&image.layers[0].digest, sha256(b"nobody has this"));
    let mut answers = Vec::new();
    for (from, digest) in [
        (Some("shared/tool"), held),
        (Some("shared/tool"), &unknown),
        (Some("shared/absent"), held),
        (Some(PRIVATE), held),
        (Some(PRIVATE), &unknown),
        (Some(MISSING), held),
        (None, held),
        (None, &unknown),
    ] {
        let from = from.map(|from| format!("&from={from}")).unwrap_or_default();
        let target = format!("{}?mount={digest}{from}", uploads("bobs/box"));
        let answer = town.bob.send(&Request::new(Method::POST, target)).await?.expect(202)?;
        answers.push(normal(&answer, &[held, &unknown]));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:#?}");
    // The mount works where it may, so that it was no accident.
    let target = format!("{}?mount={held}&from={PRIVATE}", uploads("platform/other"));
    town.alice.send(&Request::new(Method::POST, target)).await?.expect(201)?;
    Ok(())
}

#[tokio::test]
async fn a_blob_that_was_deleted_here_is_gone_here_and_stays_there() -> anyhow::Result<()> {
    let (town, image) = town().await?;
    let (here, there) = ("team/here", "team/there");
    for repository in [here, there] {
        town.admin.push_image(repository, "latest", &image).await?;
    }
    let digest = &image.layers[0].digest;
    let blob = |repository: &str| format!("/v2/{repository}/blobs/{digest}");
    town.admin.get_blob(here, digest).await?.expect(200)?;
    town.admin.send(&Request::new(Method::DELETE, blob(here))).await?.expect(202)?;
    for _ in 0..2 {
        for method in [Method::GET, Method::HEAD] {
            let answer = town.admin.send(&Request::new(method, blob(here))).await?.expect(404)?;
            assert!(answer.header("docker-content-digest").is_none(), "{answer}");
        }
        // Reading it elsewhere does not bring it back.
        let answer = town.admin.get_blob(there, digest).await?.expect(200)?;
        assert_eq!(answer.body, image.layers[0].bytes);
    }
    let target = format!("{}?mount={digest}&from={here}", uploads("team/third"));
    town.admin.send(&Request::new(Method::POST, target)).await?.expect(202)?;
    // The same for manifests.
    let manifest = format!("/v2/{here}/manifests/{}", image.manifest.digest);
    town.admin.send(&Request::new(Method::DELETE, manifest)).await?.expect(202)?;
    for reference in ["latest", &image.manifest.digest] {
        town.admin.get_manifest(here, reference).await?.expect_error(404, "MANIFEST_UNKNOWN")?;
        town.admin.get_manifest(there, reference).await?.expect(200)?;
    }
    Ok(())
}
