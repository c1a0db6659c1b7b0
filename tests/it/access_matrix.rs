//! Who may do what: every operation of the registry against every kind of token.
//!
//! The registry trusts a key that only this test has, so each token is exactly what its row says. Every refusal is
//! compared in status, code and challenge; then the operation is done once with exactly the right it needs and once
//! with `*`.
//!
//! *Invariant:* an operation without a row here fails the test.

use harness::client::{OciClient, Request, uploads, with_digest};
use harness::forge::{Forge, with_broken_signature};
use harness::images::{Blob, Image, noise};
use harness::settings::{ISSUER, SERVICE};
use harness::stack::LoneRegistry;
use registry::http::routes::{Need, Operation};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::{Value, json};
use shared::action::Action;
use shared::challenge::{BearerChallenge, ChallengeError};

const REALM: &str = "http://127.0.0.1:1/token";

/// A registry that trusts the key of a forge.
pub(crate) struct Room {
    registry: LoneRegistry,
    pub(crate) client: OciClient,
    pub(crate) forge: Forge,
    pub(crate) stranger: Forge,
    _folder: tempfile::TempDir,
}

impl Room {
    async fn open() -> anyhow::Result<Self> {
        Self::with_profile("strict").await
    }

    pub(crate) async fn with_profile(profile: &'static str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let forge = Forge::new()?;
        let registry = LoneRegistry::trusting(&forge, profile, folder.path()).await?;
        let client = OciClient::anonymous(&registry.url())?;
        Ok(Self { registry, client, forge, stranger: Forge::new()?, _folder: folder })
    }

    pub(crate) fn now(&self) -> i64 {
        use shared::clock::Clock as _;
        self.registry.clock.unix_now()
    }

    /// Claims that are right in everything and give these actions.
    pub(crate) fn claims(&self, kind: &str, name: &str, actions: &[&str]) -> Value {
        let now = self.now();
        json!({
            "iss": ISSUER, "sub": "alice", "aud": SERVICE, "jti": "1",
            "iat": now, "nbf": now - 10, "exp": now + 300,
            "access": [{"type": kind, "name": name, "actions": actions}],
            "portcullis": {"uid": "00000000-0000-0000-0000-0000000000aa"},
        })
    }

    fn token(&self, kind: &str, name: &str, actions: &[&str]) -> anyhow::Result<String> {
        self.forge.sign(&self.claims(kind, name, actions))
    }

    /// What must be there before an operation can succeed: an image and an open upload session.
    pub(crate) async fn furnish(&self, repository: &str) -> anyhow::Result<Furniture> {
        let token = self.token("repository", repository, &["pull", "push"])?;
        let image = Image::new(1, 1, 100)?;
        for blob in image.blobs() {
            let location = self.start(repository, &token).await?;
            let put = Request::new(Method::PUT, with_digest(&location, &blob.digest));
            self.client.with_token(&put.body(blob.bytes.clone()), &token).await?.expect(201)?;
        }
        let put = Request::new(Method::PUT, format!("/v2/{repository}/manifests/tag"))
            .header(CONTENT_TYPE, image.manifest.media_type)
            .body(image.manifest.bytes.clone());
        self.client.with_token(&put, &token).await?.expect(201)?;
        let upload = self.start(repository, &token).await?;
        Ok(Furniture { repository: repository.to_owned(), image, upload })
    }

    async fn start(&self, repository: &str, token: &str) -> anyhow::Result<String> {
        let post = Request::new(Method::POST, uploads(repository));
        let answer = self.client.with_token(&post, token).await?.expect(202)?;
        Ok(answer.needs_header("location")?.to_owned())
    }
}

/// What an operation can be done with.
pub(crate) struct Furniture {
    repository: String,
    image: Image,
    upload: String,
}

impl Furniture {
    /// The request of an operation, and the status with which it succeeds.
    pub(crate) fn request(&self, operation: Operation) -> (Request, u16) {
        let Self { repository, image, upload } = self;
        let manifest = format!("/v2/{repository}/manifests/{}", image.manifest.digest);
        let blob = format!("/v2/{repository}/blobs/{}", image.layers[0].digest);
        let new = |method, target: &str| Request::new(method, target);
        match operation {
            Operation::Base => (Request::get("/v2/"), 200),
            Operation::ListCatalog => (Request::get("/v2/_catalog"), 200),
            Operation::Search => (Request::get("/v1/search?q=matrix"), 200),
            Operation::DeleteRepository => {
                (new(Method::DELETE, &format!("/v2/_portcullis/repositories/{repository}")), 202)
            }
            Operation::ListTags => (Request::get(format!("/v2/{repository}/tags/list")), 200),
            Operation::GetManifest => (Request::get(manifest).accepting_manifests(), 200),
            Operation::PutManifest => {
                let put = new(Method::PUT, &manifest).header(CONTENT_TYPE, image.manifest.media_type);
                (put.body(image.manifest.bytes.clone()), 201)
            }
            Operation::DeleteManifest => (new(Method::DELETE, &manifest), 202),
            Operation::ListReferrers => {
                (Request::get(format!("/v2/{repository}/referrers/{}", image.manifest.digest)), 200)
            }
            Operation::GetBlob => (Request::get(blob), 200),
            Operation::DeleteBlob => (new(Method::DELETE, &blob), 202),
            Operation::StartUpload => (new(Method::POST, &uploads(repository)), 202),
            Operation::UploadStatus => (Request::get(upload.clone()), 204),
            Operation::AppendUpload => (new(Method::PATCH, upload).body("chunk"), 202),
            Operation::FinishUpload => {
                let blob = Blob::new("application/octet-stream", noise(2, 10));
                (new(Method::PUT, &with_digest(upload, &blob.digest)).body(blob.bytes), 201)
            }
            Operation::CancelUpload => (new(Method::DELETE, upload), 204),
        }
    }

    /// What an operation needs: type, name, action; and the scope its challenge asks for.
    fn need(&self, operation: Operation) -> Option<(&'static str, &str, &'static str, String)> {
        let name = self.repository.as_str();
        match operation.need() {
            Need::Token => None,
            Need::Catalog => Some(("registry", "catalog", "*", "registry:catalog:*".into())),
            Need::Ownership => {
                let scope = format!("repository:{name}:repository-delete");
                Some(("repository", name, "repository-delete", scope))
            }
            Need::Repository(action) => {
                let asks = match action {
                    Action::Pull => "pull",
                    Action::Push => "pull,push",
                    Action::Delete => "delete",
                    Action::RepositoryDelete => "repository-delete",
                    Action::All => "*",
                };
                Some(("repository", name, action.as_str(), format!("repository:{name}:{asks}")))
            }
        }
    }
}

pub(crate) fn challenge(scope: Option<&str>, error: Option<ChallengeError>) -> String {
    BearerChallenge {
        realm: REALM.into(),
        service: SERVICE.into(),
        scope: scope.map(str::to_owned),
        error,
        error_in_words: None,
        error_description: None,
    }
    .to_string()
}

/// Sends every method of the operation and insists on the refusal.
async fn assert_refused(
    room: &Room,
    furniture: &Furniture,
    operation: Operation,
    (row, authorization): (&str, Option<&str>),
    expected_challenge: &str,
) -> anyhow::Result<()> {
    for method in operation.methods() {
        let (mut request, _) = furniture.request(operation);
        request.method = method.parse()?;
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        let answer = room.client.raw(&request).await?;
        assert_eq!(answer.status, 401, "{operation:?} with {row}: {answer}");
        let challenge = answer.header("www-authenticate");
        assert_eq!(challenge, Some(expected_challenge), "{operation:?} with {row}");
        if *method != "HEAD" {
            answer.expect_error(401, "UNAUTHORIZED")?;
        }
    }
    Ok(())
}

/// Sends every method with a token that was refused the right: 403 with a sentence, because no other token would help.
/// An answer to HEAD has no room for a sentence, so there it stands in the challenge.
async fn assert_denied(
    room: &Room,
    furniture: &Furniture,
    operation: Operation,
    authorization: &str,
    scope: &str,
) -> anyhow::Result<()> {
    for method in operation.methods() {
        let (mut request, _) = furniture.request(operation);
        request.method = method.parse()?;
        let answer = room.client.raw(&request.header(AUTHORIZATION, authorization)).await?;
        if *method == "HEAD" {
            let value = answer.expect(401)?.needs_header("www-authenticate")?.to_owned();
            let parsed = BearerChallenge::parse(&value).expect("a challenge");
            assert_eq!(parsed.scope.as_deref(), Some(scope), "{operation:?}: {value}");
            assert_eq!(parsed.error, Some(ChallengeError::InsufficientScope), "{operation:?}: {value}");
            assert!(parsed.error_description.is_some_and(|text| text.contains("alice may not")), "{value}");
        } else {
            let answer = answer.expect_error(403, "DENIED")?;
            assert!(answer.header("www-authenticate").is_none(), "{operation:?}: {answer}");
            assert!(answer.error_message()?.contains("alice may not"), "{operation:?}: {answer}");
        }
    }
    Ok(())
}

/// Tokens nobody may do anything with.
fn worthless(room: &Room, need: (&str, &str, &str)) -> anyhow::Result<Vec<(&'static str, String)>> {
    let (kind, name, action) = need;
    let good = room.claims(kind, name, &[action]);
    let with = |claim: &str, value: Value| {
        let mut claims = good.clone();
        claims[claim] = value;
        claims
    };
    let now = room.now();
    let forge = &room.forge;
    let header = |more: Value| {
        let mut header = json!({"typ": "JWT", "alg": "ES256", "kid": forge.kid()});
        header.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        header
    };
    Ok(vec![
        ("garbage", "garbage".into()),
        ("three dots", "...".into()),
        ("a long expired token", forge.sign(&with("exp", json!(now - 7200)))?),
        ("a token that is not valid yet", forge.sign(&with("nbf", json!(now + 3600)))?),
        ("a token for another audience", forge.sign(&with("aud", json!("another")))?),
        ("a token of another issuer", forge.sign(&with("iss", json!("another")))?),
        ("a token without expiry", forge.sign(&with("exp", Value::Null))?),
        ("a token whose expiry is text", forge.sign(&with("exp", json!("9999999999")))?),
        ("a token of an unknown key", room.stranger.sign(&good)?),
        ("a token of an unknown key under a known id", room.stranger.sign_with(&header(json!({})), &good)?),
        (
            "a token that brings its key",
            room.stranger.sign_with(&header(json!({"jwk": room.stranger.jwk()})), &good)?,
        ),
        (
            "a token that says where its key is",
            forge.sign_with(&header(json!({"jku": "http://127.0.0.1:1/"})), &good)?,
        ),
        ("a token with a critical extension", forge.sign_with(&header(json!({"crit": ["exp"]})), &good)?),
        ("a token without signature", Forge::unsigned(&good)),
        ("a signed token that says alg none", forge.sign_with(&header(json!({"alg": "none"})), &good)?),
        ("HMAC with the public key", forge.sign_with_public_key_as_secret(&good)?),
        ("a broken signature", with_broken_signature(&forge.sign(&good)?)?),
    ])
}

#[tokio::test]
async fn every_operation_refuses_every_wrong_token_and_takes_the_right_one() -> anyhow::Result<()> {
    let room = Room::open().await?;
    let mut rows = 0;
    for (number, operation) in Operation::ALL.into_iter().enumerate() {
        let repository = format!("matrix/operation-{number}");
        let furniture = room.furnish(&repository).await?;
        let need = furniture.need(operation);
        let scope = need.as_ref().map(|(_, _, _, scope)| scope.as_str());

        let expected = challenge(scope, None);
        for (row, value) in [
            ("no token", None),
            ("a password", Some("Basic YTpi")),
            ("an empty token", Some("Bearer ")),
            ("another scheme", Some("Digest x")),
        ] {
            assert_refused(&room, &furniture, operation, (row, value), &expected).await?;
        }

        let expected = challenge(scope, Some(ChallengeError::InvalidToken));
        let (kind, name, action) =
            need.as_ref().map_or(("repository", repository.as_str(), "*"), |(kind, name, action, _)| {
                (*kind, *name, *action)
            });
        for (row, token) in worthless(&room, (kind, name, action))? {
            let value = format!("Bearer {token}");
            assert_refused(&room, &furniture, operation, (row, Some(&value)), &expected).await?;
        }

        if let Some((kind, name, action, scope)) = &need {
            let mut narrow = vec![
                ("a right on another repository", room.token("repository", "matrix/other", &["*"])?),
                (
                    "a right on a name that begins alike",
                    room.token("repository", &format!("{name}x"), &["*"])?,
                ),
                ("a right on the folder above", room.token("repository", "matrix", &["*"])?),
                ("a pattern", room.token("repository", "matrix/**", &["*"])?),
                ("no right", room.token(kind, name, &[])?),
                ("an unknown right", room.token(kind, name, &["admin", "PULL"])?),
                ("a right on another kind of thing", room.token("plugin", name, &["*"])?),
            ];
            for other in
                ["pull", "push", "delete", "repository-delete"].into_iter().filter(|other| other != action)
            {
                narrow.push((other, room.token(kind, name, &[other])?));
            }
            let expected = challenge(Some(scope), Some(ChallengeError::InsufficientScope));
            for (row, token) in narrow {
                let value = format!("Bearer {token}");
                assert_refused(&room, &furniture, operation, (row, Some(&value)), &expected).await?;
            }
            let mut refused = room.claims(kind, name, &[]);
            refused["portcullis"]["refused"] =
                json!([{"type": kind, "name": name, "actions": [action], "reason": "no_grant"}]);
            let value = format!("Bearer {}", room.forge.sign(&refused)?);
            if operation == Operation::Search {
                // Who may see nothing finds nothing.
                let search = furniture.request(operation).0.header(AUTHORIZATION, value);
                assert_eq!(room.client.raw(&search).await?.expect(200)?.json()?["results"], json!([]));
            } else {
                assert_denied(&room, &furniture, operation, &value, scope).await?;
            }
        }

        for action in [action, "*"] {
            let repository = format!("{repository}-{}", if action == "*" { "all" } else { "one" });
            let furniture = room.furnish(&repository).await?;
            let name = if kind == "repository" { repository.as_str() } else { name };
            let (request, status) = furniture.request(operation);
            let answer = room.client.with_token(&request, &room.token(kind, name, &[action])?).await?;
            assert_eq!(answer.status, status, "{operation:?} with {action}: {answer}");
        }
        rows += 1;
    }
    assert_eq!(rows, Operation::ALL.len());
    Ok(())
}

#[tokio::test]
async fn an_upload_session_belongs_to_the_one_who_opened_it() -> anyhow::Result<()> {
    let room = Room::open().await?;
    let furniture = room.furnish("matrix/mine").await?;
    let mut other = room.claims("repository", "matrix/mine", &["*"]);
    other["sub"] = json!("mallory");
    other["portcullis"]["uid"] = json!("00000000-0000-0000-0000-0000000000bb");
    let other = room.forge.sign(&other)?;
    let elsewhere = room.token("repository", "matrix/elsewhere", &["*"])?;
    for operation in
        [Operation::UploadStatus, Operation::AppendUpload, Operation::FinishUpload, Operation::CancelUpload]
    {
        let (request, _) = furniture.request(operation);
        room.client.with_token(&request, &other).await?.expect_error(404, "BLOB_UPLOAD_UNKNOWN")?;
        let mut moved = request.clone();
        moved.target = moved.target.replace("matrix/mine", "matrix/elsewhere");
        let answer = room.client.with_token(&moved, &elsewhere).await?;
        assert_eq!(answer.status, 404, "{answer}");
    }
    Ok(())
}

#[tokio::test]
async fn claims_of_ours_are_ignored_from_other_issuers() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let forge = Forge::new()?;
    let registry = LoneRegistry::trusting(&forge, "standard", folder.path()).await?;
    let client = OciClient::anonymous(&registry.url())?;
    let now = {
        use shared::clock::Clock as _;
        registry.clock.unix_now()
    };
    let claims = json!({
        "iss": ISSUER, "sub": "alice", "aud": SERVICE, "exp": now + 300, "access": [],
        "portcullis": {"refused": [{"type": "repository", "name": "a/b", "actions": ["pull"], "reason": "no_grant"}]},
    });
    let answer = client.with_token(&Request::get("/v2/a/b/tags/list"), &forge.sign(&claims)?).await?;
    answer.expect_error(401, "UNAUTHORIZED")?;
    Ok(())
}
