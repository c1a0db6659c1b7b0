//! Tokens that allow less than everything of pushing and deleting: which tags, and what by digest.
//!
//! The registry trusts a key that only this test has, so the limits in each token are exactly what its row says.
//!
//! *Invariant:* a refusal is a sentence a person understands, and has changed nothing on disk.

use futures_util::future::join_all;
use harness::answer::Answer;
use harness::client::{OciClient, Request, uploads, with_digest};
use harness::forge::Forge;
use harness::images::{Blob, Image, OCI_MANIFEST};
use harness::settings::{ISSUER, SERVICE};
use harness::stack::LoneRegistry;
use harness::trees;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, IF_NONE_MATCH};
use serde_json::{Value, json};

const SIGNATURE_TAG: &str = "sha256-e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855.sig";

/// A registry that trusts the key of a forge.
struct Room {
    registry: LoneRegistry,
    client: OciClient,
    forge: Forge,
    image: Image,
    folder: tempfile::TempDir,
}

impl Room {
    async fn open(profile: &'static str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let forge = Forge::new()?;
        let registry = LoneRegistry::trusting(&forge, profile, folder.path()).await?;
        let client = OciClient::anonymous(&registry.url())?;
        Ok(Self { registry, client, forge, image: Image::new(1, 1, 100)?, folder })
    }

    fn token(&self, user: &str, repository: &str, limits: &[Value]) -> anyhow::Result<String> {
        use shared::clock::Clock as _;
        let now = self.registry.clock.unix_now();
        let actions = ["pull", "push", "delete", "repository-delete"];
        self.forge.sign(&json!({
            "iss": ISSUER, "sub": user, "aud": SERVICE, "jti": "1",
            "iat": now, "nbf": now - 10, "exp": now + 300,
            "access": [
                {"type": "repository", "name": repository, "actions": actions},
                {"type": "repository", "name": "team/source", "actions": actions},
            ],
            "portcullis": {"limits": limits},
        }))
    }

    /// A token of ben with one row.
    fn limited(&self, repository: &str, row: &Value) -> anyhow::Result<String> {
        let mut row = row.clone();
        row["name"] = json!(repository);
        self.token("ben", repository, &[row])
    }

    /// The image under `v1` and `pr-1`, and another manifest without a tag.
    async fn furnish(&self, repository: &str) -> anyhow::Result<()> {
        let token = self.token("admin", repository, &[])?;
        for blob in self.image.blobs() {
            let post = Request::new(Method::POST, with_digest(&uploads(repository), &blob.digest));
            self.client.with_token(&post.body(blob.bytes.clone()), &token).await?.expect(201)?;
        }
        for reference in ["v1", "pr-1"] {
            let put = put(repository, reference, &self.image.manifest);
            self.client.with_token(&put, &token).await?.expect(201)?;
        }
        let untagged = self.variant("untagged", None);
        self.client.with_token(&put(repository, &untagged.digest, &untagged), &token).await?.expect(201)?;
        Ok(())
    }

    /// Another manifest with the same content.
    fn variant(&self, text: &str, subject: Option<&Blob>) -> Blob {
        let mut manifest = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": self.image.config.descriptor(),
            "layers": [self.image.layers[0].descriptor()], "annotations": {"variant": text},
        });
        if let Some(subject) = subject {
            manifest["subject"] = subject.descriptor();
        }
        Blob::new(OCI_MANIFEST, manifest.to_string())
    }

    fn files(&self) -> anyhow::Result<std::collections::BTreeMap<String, String>> {
        trees::files(&self.folder.path().join("images"))
    }

    /// Insists on this sentence and on a tree that is as it was.
    async fn refused(&self, request: &Request, token: &str, sentence: &str) -> anyhow::Result<()> {
        let before = self.files()?;
        let answer = self.client.with_token(request, token).await?.expect_error(403, "DENIED")?;
        assert_eq!(answer.error_message()?, sentence);
        assert!(answer.header("www-authenticate").is_none(), "another token would not help: {answer}");
        assert_eq!(self.files()?, before, "{answer}");
        Ok(())
    }

    async fn digest_of(&self, repository: &str, tag: &str) -> anyhow::Result<Option<String>> {
        let head = Request::new(Method::HEAD, format!("/v2/{repository}/manifests/{tag}"));
        let token = self.token("admin", repository, &[])?;
        let answer = self.client.with_token(&head.accepting_manifests(), &token).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        Ok(Some(answer.expect(200)?.needs_header("docker-content-digest")?.to_owned()))
    }
}

fn put(repository: &str, reference: &str, manifest: &Blob) -> Request {
    Request::new(Method::PUT, format!("/v2/{repository}/manifests/{reference}"))
        .header(CONTENT_TYPE, manifest.media_type)
        .body(manifest.bytes.clone())
}

fn delete(repository: &str, below: &str) -> Request {
    Request::new(Method::DELETE, format!("/v2/{repository}/{below}"))
}

/// Does each row in a repository of its own: the limits, the request, and what of it `ben may not`, with `@` for the
/// repository; nothing where it is done.
async fn do_rows(
    room: &Room,
    name: &str,
    rows: impl IntoIterator<Item = (Value, impl FnOnce(&str) -> Request, &str)>,
) -> anyhow::Result<()> {
    for (number, (row, request, refused)) in rows.into_iter().enumerate() {
        let repository = format!("team/{name}-{number}");
        room.furnish(&repository).await?;
        let (request, token) = (request(&repository), room.limited(&repository, &row)?);
        if refused.is_empty() {
            let answer = room.client.with_token(&request, &token).await?;
            assert!((200..300).contains(&answer.status), "{row}: {answer}");
        } else {
            let sentence = format!("ben may not {}", refused.replace('@', &repository));
            room.refused(&request, &token, &sentence).await?;
        }
    }
    Ok(())
}

type MakeRequest<'a> = Box<dyn FnOnce(&str) -> Request + 'a>;

/// A push of a manifest, in whichever repository.
fn pushing<'a>(reference: &'a str, manifest: &'a Blob) -> MakeRequest<'a> {
    Box::new(move |repository| put(repository, reference, manifest))
}

/// A deletion below whichever repository.
fn deleting<'a>(below: impl Into<String>) -> MakeRequest<'a> {
    let below = below.into();
    Box::new(move |repository| delete(repository, &below))
}

#[tokio::test]
async fn a_tag_is_made_or_moved_only_where_the_limits_name_it() -> anyhow::Result<()> {
    let room = Room::open("strict").await?;
    let (same, other) = (&room.image.manifest, &room.variant("other", None));
    let create = json!({"create": {"in": ["v*"]}});
    let update = json!({"update": {"in": ["pr-*"]}});
    let immutable = json!({"create": {"in": ["*"]}, "update": {"in": ["*"], "not": ["v*"]}});
    let rest = json!({"delete": {"in": ["*"]}, "digests": true, "manifests": true});
    let rows = [
        (json!({}), pushing("v2", other), "create the tag v2 of @, nor any other"),
        (rest, pushing("v2", other), "create the tag v2 of @, nor any other"),
        (create.clone(), pushing("v2", other), ""),
        (create.clone(), pushing("w2", other), "create the tag w2 of @; allowed are v*"),
        (
            create.clone(),
            pushing("v1", other),
            "move the tag v1 of @: tags that exist stay as they are; new ones may be v*",
        ),
        (create.clone(), pushing("v1", same), ""),
        (
            create,
            pushing("pr-1", same),
            "move the tag pr-1 of @: tags that exist stay as they are; new ones may be v*",
        ),
        (update.clone(), pushing("pr-1", other), ""),
        (update.clone(), pushing("pr-1", same), ""),
        (update.clone(), pushing("v1", other), "move the tag v1 of @; allowed are pr-*"),
        (update, pushing("pr-2", other), "create the tag pr-2 of @, nor any other"),
        (immutable.clone(), pushing("v1", other), "move the tag v1 of @; allowed are * but not v*"),
        (immutable.clone(), pushing("v2", other), ""),
        (immutable, pushing("pr-1", other), ""),
    ];
    do_rows(&room, "tags", rows).await
}

#[tokio::test]
async fn by_digest_a_push_needs_a_right_of_its_own_and_one_to_each_tag() -> anyhow::Result<()> {
    let room = Room::open("strict").await?;
    let manifest = &room.variant("other", None);
    let digest = manifest.digest.as_str();
    let with = |tags: &str| format!("{digest}?{tags}");
    let (made, moved, both) = (with("tag=w1&tag=w2"), with("tag=w1&tag=v1"), with("tag=w1&tag=pr-1&tag=w2"));
    let tags = json!({"create": {"in": ["*"]}, "update": {"in": ["*"]}});
    let create = json!({"create": {"in": ["w*"]}, "digests": true});
    let update = json!({"create": {"in": ["w*"]}, "update": {"in": ["pr-*"]}, "digests": true});
    let rows = [
        (tags.clone(), pushing(digest, manifest), "push a manifest of @ by its digest"),
        (tags, pushing(&made, manifest), "push a manifest of @ by its digest"),
        (json!({"digests": true}), pushing(digest, manifest), ""),
        (json!({"digests": true}), pushing(&made, manifest), "create the tag w1 of @, nor any other"),
        (create.clone(), pushing(&made, manifest), ""),
        (
            create,
            pushing(&moved, manifest),
            "move the tag v1 of @: tags that exist stay as they are; new ones may be w*",
        ),
        (update.clone(), pushing(&moved, manifest), "move the tag v1 of @; allowed are pr-*"),
        (update, pushing(&both, manifest), ""),
    ];
    do_rows(&room, "digests", rows).await?;
    // None of the tags was set where one was refused, and all where none was.
    assert_eq!(room.digest_of("team/digests-5", "w1").await?, None);
    for tag in ["w1", "pr-1", "w2"] {
        assert_eq!(room.digest_of("team/digests-7", tag).await?.as_deref(), Some(digest), "{tag}");
    }
    Ok(())
}

#[tokio::test]
async fn who_may_attach_pushes_signatures_and_no_images() -> anyhow::Result<()> {
    let room = Room::open("strict").await?;
    let plain = &room.variant("plain", None);
    let signature = &room.variant("signature", Some(&room.image.manifest));
    let attach = json!({"attach": true});
    let tagged = format!("{}?tag=v2", signature.digest);
    let by_digest = "push a manifest of @ by its digest unless it refers to another";
    let no_tag = "create the tag v2 of @; allowed are those of signatures and other attachments";
    let rows = [
        (attach.clone(), pushing(&signature.digest, signature), ""),
        (attach.clone(), pushing(SIGNATURE_TAG, plain), ""),
        (attach.clone(), pushing(&SIGNATURE_TAG[..71], plain), ""),
        (attach.clone(), pushing(&plain.digest, plain), by_digest),
        (attach.clone(), pushing("v2", signature), no_tag),
        (attach.clone(), pushing(&tagged, signature), no_tag),
        (attach, deleting(format!("manifests/{}", signature.digest)), "delete manifests or blobs of @"),
        (json!({"create": {"in": ["v*"]}}), pushing(SIGNATURE_TAG, plain), {
            &format!("create the tag {SIGNATURE_TAG} of @; allowed are v*")
        }),
    ];
    do_rows(&room, "attached", rows).await?;
    // A signer adds to the tag of an image that is signed already.
    let token = room.limited("team/attached-1", &json!({"attach": true}))?;
    room.client.with_token(&put("team/attached-1", SIGNATURE_TAG, signature), &token).await?.expect(201)?;
    let digest = room.digest_of("team/attached-1", SIGNATURE_TAG).await?;
    assert_eq!(digest.as_ref(), Some(&signature.digest));
    Ok(())
}

#[tokio::test]
async fn what_is_deleted_must_be_named_with_all_its_tags() -> anyhow::Result<()> {
    let room = Room::open("strict").await?;
    let tagged = format!("manifests/{}", room.image.manifest.digest);
    let untagged = format!("manifests/{}", room.variant("untagged", None).digest);
    let nowhere = format!("manifests/{}", room.variant("nowhere", None).digest);
    let blob = format!("blobs/{}", room.image.layers[0].digest);
    let tags = json!({"delete": {"in": ["*"]}});
    let some = json!({"delete": {"in": ["pr-*"]}, "manifests": true});
    let all = json!({"delete": {"in": ["pr-*", "v*"]}, "manifests": true});
    let not_by_digest = "delete manifests or blobs of @";
    let rows = [
        (json!({}), deleting("manifests/v1"), "delete the tag v1 of @, nor any other"),
        (some.clone(), deleting("manifests/v1"), "delete the tag v1 of @; allowed are pr-*"),
        (some.clone(), deleting("manifests/v9"), "delete the tag v9 of @; allowed are pr-*"),
        (some.clone(), deleting("manifests/pr-1"), ""),
        (tags.clone(), deleting("manifests/v1"), ""),
        (tags.clone(), deleting(&tagged), not_by_digest),
        (tags.clone(), deleting(&untagged), not_by_digest),
        (tags.clone(), deleting(&nowhere), not_by_digest),
        (tags, deleting(&blob), not_by_digest),
        (json!({"manifests": true}), deleting(&tagged), "delete a manifest of @ with tags"),
        (json!({"manifests": true}), deleting(&untagged), ""),
        (some.clone(), deleting(&tagged), "delete a manifest of @ with other tags than pr-*"),
        (some.clone(), deleting(&untagged), ""),
        (some, deleting(&blob), ""),
        (all, deleting(&tagged), ""),
    ];
    do_rows(&room, "deleted", rows).await?;
    assert!(room.digest_of("team/deleted-11", "pr-1").await?.is_some(), "none of its tags is gone");
    Ok(())
}

#[tokio::test]
async fn uploads_mounts_pulls_and_whole_repositories_are_not_limited() -> anyhow::Result<()> {
    let room = Room::open("strict").await?;
    room.furnish("team/source").await?;
    let blob = &room.image.layers[0];
    let rows: [MakeRequest<'_>; 6] = [
        Box::new(|repository| Request::new(Method::POST, uploads(repository))),
        Box::new(|repository| {
            let post = Request::new(Method::POST, with_digest(&uploads(repository), &blob.digest));
            post.body(blob.bytes.clone())
        }),
        Box::new(|repository| {
            let mount = format!("{}?mount={}&from=team/source", uploads(repository), blob.digest);
            Request::new(Method::POST, mount)
        }),
        Box::new(|repository| Request::get(format!("/v2/{repository}/tags/list"))),
        Box::new(|repository| Request::get(format!("/v2/{repository}/manifests/v1")).accepting_manifests()),
        Box::new(|repository| {
            Request::new(Method::DELETE, format!("/v2/_portcullis/repositories/{repository}"))
        }),
    ];
    do_rows(&room, "free", rows.map(|request| (json!({}), request, ""))).await
}

#[tokio::test]
async fn limits_are_those_of_one_repository_and_of_our_own_issuer() -> anyhow::Result<()> {
    let strict = Room::open("strict").await?;
    let other = strict.variant("other", None);
    strict.furnish("team/app").await?;
    strict.furnish("team/source").await?;
    let token =
        strict.token("ben", "team/app", &[json!({"name": "team/source"}), json!({"name": "team"})])?;
    let answer = strict.client.with_token(&put("team/app", "v1", &other), &token).await?;
    answer.expect(201)?;
    let sentence = "ben may not move the tag v1 of team/source, nor any other";
    strict.refused(&put("team/source", "v1", &other), &token, sentence).await?;
    // Whoever is not logged in has no name to be called by.
    let token = strict.token("", "team/source", &[json!({"name": "team/source"})])?;
    let sentence = "you may not move the tag v1 of team/source, nor any other";
    strict.refused(&put("team/source", "v1", &other), &token, sentence).await?;

    let standard = Room::open("standard").await?;
    standard.furnish("team/app").await?;
    let token = standard.limited("team/app", &json!({}))?;
    standard.client.with_token(&put("team/app", "v1", &other), &token).await?.expect(201)?;
    Ok(())
}

#[tokio::test]
async fn a_limit_that_cannot_be_read_makes_the_token_worthless() -> anyhow::Result<()> {
    let room = Room::open("strict").await?;
    room.furnish("team/app").await?;
    let before = room.files()?;
    for row in [
        json!({"name": "team/app", "create": {"in": ["*"]}, "newer": true}),
        json!({"name": "team/app", "create": {"in": ["*"], "unless": ["v*"]}}),
        json!({"name": "team/app", "create": {"in": ["["]}}),
        json!({"name": "team/app", "create": ["*"]}),
        json!({"name": "team/app", "digests": "yes"}),
        json!({"name": "Team/App"}),
        json!({"create": {"in": ["*"]}}),
        json!("team/app"),
    ] {
        let token = room.token("ben", "team/app", &[row])?;
        for request in [
            put("team/app", "v2", &room.variant("other", None)),
            delete("team/app", "manifests/v1"),
            Request::get("/v2/team/app/tags/list"),
        ] {
            let answer = room.client.with_token(&request, &token).await?.expect_error(401, "UNAUTHORIZED")?;
            assert!(answer.needs_header("www-authenticate")?.contains("invalid_token"), "{answer}");
        }
    }
    assert_eq!(room.files()?, before);
    Ok(())
}

#[tokio::test]
async fn rights_come_before_conditions() -> anyhow::Result<()> {
    let room = Room::open("strict").await?;
    room.furnish("team/app").await?;
    let other = room.variant("other", None);
    let token = room.limited("team/app", &json!({"create": {"in": ["*"]}, "manifests": true}))?;
    let digest = &room.image.manifest.digest;
    for (request, refused) in [
        (
            put("team/app", "v1", &other),
            "move the tag v1 of team/app: tags that exist stay as they are; push under a new one",
        ),
        (delete("team/app", "manifests/v1"), "delete the tag v1 of team/app, nor any other"),
        (delete("team/app", &format!("manifests/{digest}")), "delete a manifest of team/app with tags"),
    ] {
        let request = request.header(IF_NONE_MATCH, "*");
        room.refused(&request, &token, &format!("ben may not {refused}")).await?;
    }
    let again = put("team/app", "v1", &room.image.manifest).header(IF_NONE_MATCH, "*");
    room.client.with_token(&again, &token).await?.expect_error(412, "MANIFEST_INVALID")?;
    Ok(())
}

#[tokio::test]
async fn of_a_hundred_who_may_only_create_a_tag_one_does() -> anyhow::Result<()> {
    let room = Room::open("strict").await?;
    let repository = "team/app";
    room.furnish(repository).await?;
    let token = room.limited(repository, &json!({"create": {"in": ["release"]}}))?;
    let theirs = |files: std::collections::BTreeMap<String, String>| {
        files.into_keys().filter(|path| !trees::is_ours(path)).collect::<Vec<_>>()
    };
    let before = theirs(room.files()?).len();
    let manifests: Vec<_> = (0..100).map(|number| room.variant(&number.to_string(), None)).collect();
    let tries = manifests.iter().map(|manifest| {
        let request = put(repository, "release", manifest);
        let (client, token) = (&room.client, &token);
        async move { client.with_token(&request, token).await }
    });
    let answers: Vec<Answer> = join_all(tries).await.into_iter().collect::<Result<_, _>>()?;
    let mut winner = None;
    for (answer, manifest) in answers.into_iter().zip(&manifests) {
        if answer.status == 201 {
            assert!(winner.replace(manifest).is_none(), "a second one: {answer}");
        } else {
            let answer = answer.expect_error(403, "DENIED")?;
            let sentence = "ben may not move the tag release of team/app: tags that exist stay as they are; new ones may be release";
            assert_eq!(answer.error_message()?, sentence);
        }
    }
    let winner = winner.expect("somebody was first");
    assert_eq!(room.digest_of(repository, "release").await?.as_ref(), Some(&winner.digest));
    // The bytes, the revision, and the two links of the tag.
    assert_eq!(theirs(room.files()?).len(), before + 4, "the others have left nothing");
    // Who did not hear the answer asks again, a hundred times.
    let request = put(repository, "release", winner);
    let again = (0..100).map(|_| room.client.with_token(&request, &token));
    for answer in join_all(again).await {
        answer?.expect(201)?;
    }
    Ok(())
}
