//! Whose signatures count, and what it costs to find out: key sets that change, fail, hang or share names.
//!
//! *Invariant:* nobody without a key of the set is let in, nobody with one is locked out by a source in trouble, and
//! strangers cannot make the registry ask its source more often than it wants to.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use harness::answer::Answer;
use harness::client::{OciClient, Request};
use harness::edited;
use harness::forge::Forge;
use harness::forgery::key_set_under;
use harness::key_source::{Document, KeySource};
use harness::program;
use harness::server::Server;
use harness::settings::{Auth, ISSUER, SERVICE};
use serde_json::{Value, json};
use shared::clock::{Clock as _, ManualClock};

/// The registry fetches no more often than this on behalf of unknown keys.
const UNKNOWN_KEY_SECONDS: u64 = 10;

struct Gatehouse {
    client: OciClient,
    clock: Arc<ManualClock>,
    _server: Server,
}

impl Gatehouse {
    /// A registry that asks this source, on the tree in this folder; not necessarily with keys yet.
    async fn open(source: &KeySource, folder: &Path) -> anyhow::Result<Self> {
        Self::edited(source, folder, &[]).await
    }

    async fn edited(source: &KeySource, folder: &Path, edits: &[(&str, &str)]) -> anyhow::Result<Self> {
        let clock = Arc::new(ManualClock::default());
        let auth = Auth::TokenServer { url: source.url(), same_origin: false, feed: None };
        let server = edited::registry(folder, auth, edits, &clock).await?;
        let client = OciClient::anonymous(&format!("http://{}", server.address()))?;
        Ok(Self { client, clock, _server: server })
    }

    /// The same, once it has its keys.
    async fn ready(source: &KeySource, folder: &Path) -> anyhow::Result<Self> {
        let house = Self::open(source, folder).await?;
        program::until("has its keys", Duration::from_secs(20), || async {
            let answer = house.client.raw(&Request::get("/readyz")).await;
            answer.is_ok_and(|answer| answer.status == 200)
        })
        .await?;
        Ok(house)
    }

    /// Claims that are right in everything; the id keeps tokens apart that would otherwise be the same text.
    fn claims(&self, id: usize) -> Value {
        let now = self.clock.unix_now();
        json!({
            "iss": ISSUER, "sub": "alice", "aud": SERVICE, "jti": id.to_string(),
            "iat": now, "nbf": now - 10, "exp": now + 300, "access": [],
        })
    }

    fn token(&self, forge: &Forge, kid: &str, id: usize) -> anyhow::Result<String> {
        forge.sign_with(&json!({"typ": "JWT", "alg": "ES256", "kid": kid}), &self.claims(id))
    }

    async fn ask(&self, token: &str) -> anyhow::Result<Answer> {
        self.client.with_token(&Request::get("/v2/"), token).await
    }
}

/// A single key under its own name.
fn set_of(forge: &Forge) -> anyhow::Result<Document> {
    Ok(Document::ok(forge.key_set()?))
}

#[tokio::test]
async fn two_keys_may_share_a_name_and_vouch_only_for_themselves() -> anyhow::Result<()> {
    let [first, second, stranger] = [Forge::new()?, Forge::new()?, Forge::new()?];
    for (keys, takes) in [
        (vec![("shared", first.jwk()), ("shared", second.jwk())], [true, true, false]),
        (vec![("shared", second.jwk()), ("shared", first.jwk())], [true, true, false]),
        (vec![("shared", first.jwk()), ("other", second.jwk())], [true, false, false]),
        (vec![("other", first.jwk()), ("shared", second.jwk())], [false, true, false]),
    ] {
        let folder = tempfile::tempdir()?;
        let source = KeySource::start(Document::ok(key_set_under(&keys)?)).await?;
        let house = Gatehouse::ready(&source, folder.path()).await?;
        for (forge, takes) in [&first, &second, &stranger].into_iter().zip(takes) {
            let answer = house.ask(&house.token(forge, "shared", 1)?).await?;
            assert_eq!(answer.status, if takes { 200 } else { 401 }, "{answer}");
        }
        // The body of one below the signature of the other.
        let (ours, theirs) = (house.token(&first, "shared", 2)?, house.token(&second, "shared", 3)?);
        let (text, _) = ours.rsplit_once('.').expect("three parts");
        let (_, signature) = theirs.rsplit_once('.').expect("three parts");
        house.ask(&format!("{text}.{signature}")).await?.expect_error(401, "UNAUTHORIZED")?;
    }
    Ok(())
}

#[tokio::test]
async fn a_token_that_is_too_long_is_refused_however_well_it_is_signed() -> anyhow::Result<()> {
    let (folder, forge) = (tempfile::tempdir()?, Forge::new()?);
    let source = KeySource::start(set_of(&forge)?).await?;
    let house = Gatehouse::ready(&source, folder.path()).await?;
    for (padding, status) in [(5_000, 200), (6_500, 401), (60_000, 401)] {
        let mut claims = house.claims(0);
        claims["jti"] = json!("x".repeat(padding));
        let token = forge.sign(&claims)?;
        assert_eq!(token.len() > 8 * 1024, status == 401, "{padding} gives {} bytes", token.len());
        let answer = house.ask(&token).await?;
        assert_eq!(answer.status, status, "{} bytes: {answer}", token.len());
    }
    for text in [
        ".".repeat(100_000),
        ".".repeat(8 * 1024),
        "..".into(),
        format!("{}.", forge.sign(&house.claims(1))?),
    ] {
        house.ask(&text).await?.expect_error(401, "UNAUTHORIZED")?;
    }
    Ok(())
}

#[tokio::test]
async fn a_flood_of_unknown_keys_causes_one_question_in_ten_seconds() -> anyhow::Result<()> {
    let (folder, forge, stranger) = (tempfile::tempdir()?, Forge::new()?, Forge::new()?);
    let source = KeySource::start(set_of(&forge)?).await?;
    let house = Gatehouse::ready(&source, folder.path()).await?;
    for document in [set_of(&forge)?, Document::away()] {
        source.serve(document);
        let (before, start) = (source.requests(), Instant::now());
        let tokens: Vec<_> = (0..400)
            .map(|number| house.token(&stranger, &format!("unknown-{number}"), number))
            .collect::<Result<_, _>>()?;
        for answer in join_all(tokens.iter().map(|token| house.ask(token))).await {
            answer?.expect_error(401, "UNAUTHORIZED")?;
        }
        let asked = source.requests() - before;
        let allowed = 1 + usize::try_from(start.elapsed().as_secs() / UNKNOWN_KEY_SECONDS)?;
        assert!(asked <= allowed, "400 unknown keys made the registry ask {asked} times");
        house.ask(&house.token(&forge, forge.kid(), 1)?).await?.expect(200)?;
    }
    assert!(source.requests() >= 2, "an unknown key is asked for at all");
    Ok(())
}

#[tokio::test]
async fn a_source_in_trouble_takes_no_key_away() -> anyhow::Result<()> {
    let (forge, stranger) = (Forge::new()?, Forge::new()?);
    for (name, trouble) in [
        ("503", Document::away()),
        ("404 with a page", Document { status: 404, body: "<html>".into() }),
        ("a page", Document::ok("<html>no such thing</html>")),
        ("nothing", Document::ok("")),
        ("an empty set", Document::ok(r#"{"keys":[]}"#)),
        ("another object", Document::ok("{}")),
        ("a symmetric key", Document::ok(r#"{"keys":[{"kty":"oct","k":"AAAA","kid":"a"}]}"#)),
        (
            "a key on another curve",
            Document::ok(r#"{"keys":[{"kty":"EC","crv":"P-521","x":"AA","y":"AA","kid":"a"}]}"#),
        ),
        ("two megabytes", Document::ok(format!(r#"{{"keys":[],"x":"{}"}}"#, "x".repeat(2_000_000)))),
        ("a redirect", Document { status: 302, body: String::new() }),
    ] {
        let folder = tempfile::tempdir()?;
        let source = KeySource::start(set_of(&forge)?).await?;
        let house = Gatehouse::ready(&source, folder.path()).await?;
        source.serve(trouble);
        let before = source.requests();
        house.ask(&house.token(&stranger, "unknown", 1)?).await?.expect_error(401, "UNAUTHORIZED")?;
        assert_eq!(source.requests(), before + 1, "{name}: the source was asked");
        let answer = house.ask(&house.token(&forge, forge.kid(), 2)?).await?;
        assert_eq!(answer.status, 200, "{name}: {answer}");
        house.client.raw(&Request::get("/readyz")).await?.expect(200)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_source_that_hangs_keeps_nobody_waiting_whose_key_is_known() -> anyhow::Result<()> {
    let (folder, forge, stranger) = (tempfile::tempdir()?, Forge::new()?, Forge::new()?);
    let source = KeySource::start(set_of(&forge)?).await?;
    let house = Gatehouse::ready(&source, folder.path()).await?;
    source.hang();
    let before = source.requests();
    let unknown = house.token(&stranger, "unknown", 1)?;
    let waiting = house.ask(&unknown);
    tokio::pin!(waiting);
    let asked =
        program::until("asked the source", Duration::from_secs(10), || async { source.requests() > before });
    tokio::select! {
        outcome = asked => outcome?,
        answer = &mut waiting => panic!("answered before the source was asked: {:?}", answer?.status),
    }
    tokio::select! {
        biased;
        answer = &mut waiting => panic!("answered before the source did: {:?}", answer?.status),
        answer = async { house.ask(&house.token(&forge, forge.kid(), 2)?).await } => { answer?.expect(200)?; }
    }
    source.release();
    waiting.await?.expect_error(401, "UNAUTHORIZED")?;
    Ok(())
}

#[tokio::test]
async fn a_rotated_key_is_taken_with_the_first_token_that_names_it() -> anyhow::Result<()> {
    let (folder, old, new) = (tempfile::tempdir()?, Forge::new()?, Forge::new()?);
    let source = KeySource::start(set_of(&old)?).await?;
    let house = Gatehouse::ready(&source, folder.path()).await?;
    let remembered = house.token(&old, old.kid(), 1)?;
    house.ask(&remembered).await?.expect(200)?;
    source.serve(Document::ok(key_set_under(&[(old.kid(), old.jwk()), (new.kid(), new.jwk())])?));
    house.ask(&house.token(&new, new.kid(), 2)?).await?.expect(200)?;
    house.ask(&remembered).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_key_that_left_the_set_is_worth_nothing_also_for_tokens_that_were_remembered() -> anyhow::Result<()>
{
    let (folder, old, new) = (tempfile::tempdir()?, Forge::new()?, Forge::new()?);
    let source = KeySource::start(set_of(&old)?).await?;
    let house = Gatehouse::ready(&source, folder.path()).await?;
    let remembered = house.token(&old, old.kid(), 1)?;
    house.ask(&remembered).await?.expect(200)?;
    source.serve(set_of(&new)?);
    house.ask(&house.token(&new, new.kid(), 2)?).await?.expect(200)?;
    house.ask(&remembered).await?.expect_error(401, "UNAUTHORIZED")?;
    Ok(())
}

#[tokio::test]
async fn a_set_that_did_not_change_is_not_sent_again_and_stays_in_force() -> anyhow::Result<()> {
    let (folder, forge, stranger) = (tempfile::tempdir()?, Forge::new()?, Forge::new()?);
    let source = KeySource::start(set_of(&forge)?).await?;
    let house = Gatehouse::ready(&source, folder.path()).await?;
    let file = folder.path().join("images/portcullis/trusted-keys.json");
    program::until("remembered its keys", Duration::from_secs(10), || async { file.exists() }).await?;
    assert_eq!(source.unchanged(), 0);
    house.ask(&house.token(&stranger, "unknown", 1)?).await?.expect_error(401, "UNAUTHORIZED")?;
    assert_eq!(source.unchanged(), 1, "it said what it has");
    house.ask(&house.token(&forge, forge.kid(), 2)?).await?.expect(200)?;
    house.client.raw(&Request::get("/readyz")).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn keys_that_are_not_on_disk_any_more_are_fetched_whole_and_written_there() -> anyhow::Result<()> {
    let (folder, forge, stranger) = (tempfile::tempdir()?, Forge::new()?, Forge::new()?);
    let source = KeySource::start(set_of(&forge)?).await?;
    let house = Gatehouse::ready(&source, folder.path()).await?;
    let file = folder.path().join("images/portcullis/trusted-keys.json");
    program::until("remembered its keys", Duration::from_secs(10), || async { file.exists() }).await?;
    std::fs::remove_file(&file)?;
    house.ask(&house.token(&stranger, "unknown", 1)?).await?.expect_error(401, "UNAUTHORIZED")?;
    assert_eq!(source.unchanged(), 0);
    assert!(file.exists());
    Ok(())
}

/// Runs a registry until it has written down the keys of this source.
async fn remember(source: &KeySource, folder: &Path) -> anyhow::Result<()> {
    let _house = Gatehouse::ready(source, folder).await?;
    let file = folder.join("images/portcullis/trusted-keys.json");
    program::until("remembered its keys", Duration::from_secs(10), || async { file.exists() }).await
}

#[tokio::test]
async fn remembered_keys_serve_while_the_source_is_away() -> anyhow::Result<()> {
    let (folder, forge) = (tempfile::tempdir()?, Forge::new()?);
    let source = KeySource::start(set_of(&forge)?).await?;
    remember(&source, folder.path()).await?;
    source.serve(Document::away());
    let house = Gatehouse::open(&source, folder.path()).await?;
    house.ask(&house.token(&forge, forge.kid(), 1)?).await?.expect(200)?;
    house.client.raw(&Request::get("/readyz")).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn without_any_keys_nobody_is_let_in_and_told_to_come_back() -> anyhow::Result<()> {
    let (folder, forge) = (tempfile::tempdir()?, Forge::new()?);
    let source = KeySource::start(Document::away()).await?;
    let house = Gatehouse::open(&source, folder.path()).await?;
    let answer = house.ask(&house.token(&forge, forge.kid(), 1)?).await?.expect(503)?;
    answer.needs_header("retry-after")?;
    house.client.raw(&Request::get("/readyz")).await?.expect(503)?;
    Ok(())
}

/// What changed, the source afterwards, and the settings that were replaced.
type Moved<'a> = (&'a str, &'a KeySource, Vec<(&'a str, &'a str)>);

#[tokio::test]
async fn remembered_keys_of_another_source_or_issuer_are_not_used() -> anyhow::Result<()> {
    let (folder, forge) = (tempfile::tempdir()?, Forge::new()?);
    let source = KeySource::start(set_of(&forge)?).await?;
    remember(&source, folder.path()).await?;
    source.serve(Document::away());
    let elsewhere = KeySource::start(Document::away()).await?;
    let (keys_url, other_path) = (source.keys_url(), format!("{}/other.json", source.url()));
    let issuer = format!("issuer: {ISSUER}");
    let moved: [Moved<'_>; 3] = [
        ("another server", &elsewhere, vec![]),
        ("another path", &source, vec![(keys_url.as_str(), other_path.as_str())]),
        ("another issuer", &source, vec![(issuer.as_str(), "issuer: somebody-else")]),
    ];
    for (name, source, edits) in moved {
        let house = Gatehouse::edited(source, folder.path(), &edits).await?;
        let mut claims = house.claims(1);
        if name == "another issuer" {
            claims["iss"] = json!("somebody-else");
        }
        let answer = house.ask(&forge.sign(&claims)?).await?;
        assert_eq!(answer.status, 503, "{name}: {answer}");
    }
    // Neither did they forget them for the one they belong to.
    let house = Gatehouse::open(&source, folder.path()).await?;
    house.ask(&house.token(&forge, forge.kid(), 1)?).await?.expect(200)?;
    Ok(())
}
