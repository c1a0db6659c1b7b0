//! Tokens that were taken back, with a feed that a test writes and keys that only the test has.
//!
//! Unless a row says otherwise, tokens are older than what counts without a feed, so each success shows that the feed
//! is followed.
//!
//! *Invariant:* what is revoked is refused with the next answer of the feed, for every kind of request, and nothing
//! else is refused with it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use harness::answer::Answer;
use harness::client::{OciClient, Request, uploads, with_digest};
use harness::edited;
use harness::feed::{Feed, SECRET};
use harness::forge::Forge;
use harness::images::{Blob, noise};
use harness::key_source::{Document, KeySource};
use harness::program;
use harness::server::Server;
use harness::settings::{Auth, ISSUER, SERVICE};
use reqwest::Method;
use serde_json::{Value, json};
use shared::challenge::{BearerChallenge, ChallengeError};
use shared::clock::{Clock as _, ManualClock};
use shared::revocations::Question;

pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Older than what counts without a feed.
pub(crate) const OLD: i64 = 100;

pub(crate) fn uid(number: u32) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// A registry that follows a feed.
pub(crate) struct House {
    pub(crate) client: OciClient,
    pub(crate) forge: Forge,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) server: Server,
}

/// Whose token, and what for.
#[derive(Clone)]
pub(crate) struct Bearer<'a> {
    pub(crate) uid: u32,
    pub(crate) credential: u32,
    pub(crate) access: Value,
    pub(crate) decided: Option<&'a Value>,
    /// In seconds.
    pub(crate) age: i64,
}

impl<'a> Bearer<'a> {
    /// A user who may do everything in these repositories, decided now.
    pub(crate) fn of(uid: u32, repositories: &[&str], decided: &'a Value) -> Self {
        let entry = |name: &&str| json!({"type": "repository", "name": name, "actions": ["pull", "push"]});
        let access = repositories.iter().map(entry).collect();
        Self { uid, credential: 1_000 + uid, access, decided: Some(decided), age: OLD }
    }
}

impl House {
    /// A registry with these lines below `revocations`, and not necessarily an answer yet.
    pub(crate) async fn open(feed: &Feed, folder: &Path, more: &str) -> anyhow::Result<Self> {
        let (forge, file) = (Forge::new()?, folder.join("keys.json"));
        std::fs::write(&file, forge.key_set()?)?;
        Self::with(feed, folder, more, Auth::Keys { file, profile: "strict" }, forge).await
    }

    async fn with(feed: &Feed, folder: &Path, more: &str, auth: Auth, forge: Forge) -> anyhow::Result<Self> {
        let clock = Arc::new(ManualClock::default());
        let section = section(&feed.url(), SECRET, more);
        let edits = [("    profile: strict\n", section.as_str())];
        let server = edited::registry(folder, auth, &edits, &clock).await?;
        Self::around(server, forge, clock)
    }

    /// One that runs already, and takes the tokens of this forge.
    pub(crate) fn around(server: Server, forge: Forge, clock: Arc<ManualClock>) -> anyhow::Result<Self> {
        let client = OciClient::anonymous(&format!("http://{}", server.address()))?;
        Ok(Self { client, forge, clock, server })
    }

    /// The same, once it follows the feed.
    pub(crate) async fn following(feed: &Feed, folder: &Path) -> anyhow::Result<Self> {
        let house = Self::open(feed, folder, "").await?;
        house.until_counts(&house.token(&Bearer::of(1, &["team/app"], &feed.decided()))?).await?;
        Ok(house)
    }

    pub(crate) fn token(&self, bearer: &Bearer<'_>) -> anyhow::Result<String> {
        let issued = self.clock.unix_now() - bearer.age;
        let mut portcullis = json!({"uid": uid(bearer.uid), "credential": uid(bearer.credential)});
        if let Some(decided) = bearer.decided {
            portcullis["decided"] = decided.clone();
        }
        self.forge.sign(&json!({
            "iss": ISSUER, "sub": format!("user-{}", bearer.uid), "aud": SERVICE, "jti": "1",
            "iat": issued, "nbf": issued - 10, "exp": issued + 300,
            "access": bearer.access, "portcullis": portcullis,
        }))
    }

    pub(crate) async fn ask(&self, token: &str, request: &Request) -> anyhow::Result<Answer> {
        self.client.with_token(request, token).await
    }

    /// What becomes of a token at the door, where no repository is named.
    pub(crate) async fn status(&self, token: &str) -> anyhow::Result<u16> {
        Ok(self.ask(token, &Request::get("/v2/")).await?.status)
    }

    pub(crate) async fn until_counts(&self, token: &str) -> anyhow::Result<()> {
        program::until("counts", SOON, || async { self.status(token).await.is_ok_and(|it| it == 200) }).await
    }

    pub(crate) async fn until_refused(&self, token: &str, request: &Request) -> anyhow::Result<()> {
        let refused = || async { self.ask(token, request).await.is_ok_and(|answer| answer.status == 401) };
        program::until("refused", SOON, refused).await
    }

    async fn start(&self, token: &str, repository: &str) -> anyhow::Result<String> {
        let answer = self.ask(token, &Request::new(Method::POST, uploads(repository))).await?.expect(202)?;
        Ok(answer.needs_header("location")?.to_owned())
    }

    async fn push(&self, token: &str, repository: &str, blob: &Blob) -> anyhow::Result<()> {
        let location = self.start(token, repository).await?;
        let put = Request::new(Method::PUT, with_digest(&location, &blob.digest)).body(blob.bytes.clone());
        self.ask(token, &put).await?.expect(201)?;
        Ok(())
    }
}

/// The section of the settings that makes a registry follow this feed.
pub(crate) fn section(url: &str, secret: &str, more: &str) -> String {
    format!("    profile: strict\n    revocations:\n      url: {url}\n      secret: {secret}\n{more}")
}

/// Insists that a client is told to fetch another token.
fn assert_sent_for_another(answer: &Answer, scope: Option<&str>) -> anyhow::Result<()> {
    anyhow::ensure!(answer.status == 401, "{answer}");
    let challenge = BearerChallenge::parse(answer.needs_header("www-authenticate")?).expect("a challenge");
    assert_eq!(challenge.error, Some(ChallengeError::InvalidToken), "{answer}");
    assert_eq!(challenge.scope.as_deref(), scope, "{answer}");
    Ok(())
}

fn tags(repository: &str) -> Request {
    Request::get(format!("/v2/{repository}/tags/list"))
}

#[tokio::test]
async fn what_is_revoked_is_refused_with_the_next_answer_and_nobody_else_notices() -> anyhow::Result<()> {
    let (folder, feed) = (tempfile::tempdir()?, Feed::start().await?);
    let house = House::following(&feed, folder.path()).await?;
    let decided = feed.decided();
    let alice = house.token(&Bearer::of(1, &["team/app"], &decided))?;
    let bob = house.token(&Bearer::of(2, &["team/app"], &decided))?;
    house.push(&alice, "team/app", &Blob::new("application/octet-stream", noise(1, 10))).await?;
    // Both are remembered from now on.
    for token in [&alice, &bob] {
        house.ask(token, &tags("team/app")).await?.expect(200)?;
    }
    feed.revoke(&json!({"subject": uid(1)}));
    program::until("refused", SOON, || async {
        let other = house.ask(&bob, &tags("team/app")).await.is_ok_and(|answer| answer.status == 200);
        assert!(other, "somebody else was refused");
        house.ask(&alice, &tags("team/app")).await.is_ok_and(|answer| answer.status == 401)
    })
    .await?;
    let refusal = house.ask(&alice, &tags("team/app")).await?;
    assert_sent_for_another(&refusal, Some("repository:team/app:pull"))?;
    assert_sent_for_another(&house.ask(&alice, &Request::get("/v2/")).await?, None)?;
    house.ask(&bob, &tags("team/app")).await?.expect(200)?;
    let another = house.token(&Bearer::of(1, &["team/app"], &feed.decided()))?;
    house.ask(&another, &tags("team/app")).await?.expect(200)?;
    // What the first question says, and the others.
    assert_eq!(feed.first_question().map(|question| question.known), Some(None));
    let is_next = |question: Question| {
        let known = question.known?;
        let position = json!({"epoch": known.position.epoch, "at": known.position.at});
        Some(position == feed.decided() && known.cursor == format!("cursor/{} &=", known.position.at))
    };
    let is_asked = || async { feed.last_question().and_then(is_next).is_some_and(|it| it) };
    program::until("asks for what comes after that", SOON, is_asked).await?;
    Ok(())
}

#[tokio::test]
async fn everything_an_entry_names_must_be_true() -> anyhow::Result<()> {
    let (folder, feed) = (tempfile::tempdir()?, Feed::start().await?);
    let house = House::following(&feed, folder.path()).await?;
    let kid = house.forge.kid().to_owned();
    for (name, conditions, others_too) in [
        ("everybody", json!({}), true),
        ("a condition of the future", json!({"weather": "rain"}), true),
        ("the user", json!({"subject": uid(1)}), false),
        ("the credential", json!({"credential": uid(1001)}), false),
        ("both", json!({"subject": uid(1), "credential": uid(1001), "key": kid}), false),
        ("the user there", json!({"subject": uid(1), "repository": "team/app"}), false),
        ("the user below", json!({"subject": uid(1), "below": "team/"}), false),
        ("the place", json!({"below": ""}), true),
    ] {
        let decided = feed.decided();
        let [alice, bob] =
            [1, 2].map(|number| house.token(&Bearer::of(number, &["team/app", "team"], &decided)));
        let (alice, bob) = (alice?, bob?);
        for (miss, condition) in [("subject", uid(9)), ("credential", uid(9)), ("key", "other".into())] {
            let mut elsewhere = conditions.clone();
            elsewhere[miss] = json!(condition);
            feed.revoke(&elsewhere);
        }
        for place in [json!({"repository": "team/other"}), json!({"below": "team/app/"})] {
            feed.revoke(&place);
        }
        let last = feed.revoke(&conditions);
        house.until_refused(&alice, &tags("team/app")).await?;
        let answer = house.ask(&bob, &tags("team/app")).await?;
        assert_eq!(answer.status == 401, others_too, "{name}: {answer}");
        let placed = conditions.get("repository").is_some() || conditions.get("below").is_some();
        assert_eq!(house.status(&alice).await? == 200, placed, "{name}: where no repository is named");
        let just_then = json!({"epoch": decided["epoch"], "at": last});
        let token = house.token(&Bearer::of(1, &["team/app"], &just_then))?;
        assert_ne!(house.ask(&token, &tags("team/app")).await?.status, 401, "{name}: decided with it");
        let just_before = json!({"epoch": decided["epoch"], "at": last - 1});
        let token = house.token(&Bearer::of(1, &["team/app"], &just_before))?;
        assert_eq!(house.ask(&token, &tags("team/app")).await?.status, 401, "{name}: decided before it");
    }
    Ok(())
}

#[tokio::test]
async fn a_key_that_was_taken_back_signs_nothing_that_counts_whatever_the_token_says() -> anyhow::Result<()> {
    let (folder, feed) = (tempfile::tempdir()?, Feed::start().await?);
    let house = House::following(&feed, folder.path()).await?;
    let decided = feed.decided();
    let honest = house.token(&Bearer::of(1, &["team/app"], &decided))?;
    let last = feed.revoke(&json!({"key": house.forge.kid()}));
    house.until_refused(&honest, &tags("team/app")).await?;
    // Whoever has the key can write that it was decided later, or in a later life of the database.
    let later = json!({"epoch": decided["epoch"], "at": last + 1_000});
    let in_another_life = json!({"epoch": "ffffffff-0000-7000-8000-000000000001", "at": 1});
    for claimed in [&later, &in_another_life] {
        let token = house.token(&Bearer { age: 0, ..Bearer::of(1, &["team/app"], claimed) })?;
        assert_eq!(house.ask(&token, &tags("team/app")).await?.status, 401, "{claimed}");
    }
    Ok(())
}

#[tokio::test]
async fn an_entry_for_a_place_refuses_lists_and_searches() -> anyhow::Result<()> {
    let (folder, feed) = (tempfile::tempdir()?, Feed::start().await?);
    let house = House::following(&feed, folder.path()).await?;
    let catalog = json!([{"type": "registry", "name": "catalog", "actions": ["*"]}]);
    for place in [json!({"repository": "team/app"}), json!({"below": "team/"})] {
        let decided = feed.decided();
        let token = house.token(&Bearer { access: catalog.clone(), ..Bearer::of(1, &[], &decided) })?;
        for target in ["/v2/_catalog", "/v1/search?q=a"] {
            house.ask(&token, &Request::get(target)).await?.expect(200)?;
        }
        feed.revoke(&place);
        house.until_refused(&token, &Request::get("/v2/_catalog")).await?;
        for target in ["/v2/_catalog", "/v1/search?q=a"] {
            let answer = house.ask(&token, &Request::get(target)).await?;
            assert_sent_for_another(&answer, Some("registry:catalog:*"))?;
        }
        assert_eq!(house.status(&token).await?, 200, "it is about no place");
    }
    Ok(())
}

#[tokio::test]
async fn a_lease_is_for_tokens_that_expired_and_not_for_those_that_were_revoked() -> anyhow::Result<()> {
    let (folder, feed) = (tempfile::tempdir()?, Feed::start().await?);
    let house = House::following(&feed, folder.path()).await?;
    let decided = feed.decided();
    let [alice, bob] = [1, 2].map(|number| house.token(&Bearer::of(number, &["team/app"], &decided)));
    let (alice, bob) = (alice?, bob?);
    let (hers, his) = (house.start(&alice, "team/app").await?, house.start(&bob, "team/app").await?);
    house.clock.advance(Duration::from_mins(10));
    for (token, location) in [(&alice, &hers), (&bob, &his)] {
        house.ask(token, &Request::get(location.as_str())).await?.expect(204)?;
        house.ask(token, &tags("team/app")).await?.expect(401)?;
    }
    feed.revoke(&json!({"subject": uid(1)}));
    house.until_refused(&alice, &Request::get(hers.as_str())).await?;
    let patch = Request::new(Method::PATCH, hers.as_str()).body("x");
    assert_sent_for_another(&house.ask(&alice, &patch).await?, Some("repository:team/app:pull,push"))?;
    house.ask(&bob, &Request::new(Method::PATCH, his.as_str()).body("x")).await?.expect(202)?;
    // With a new token she goes on.
    let now = feed.decided();
    let another = house.token(&Bearer::of(1, &["team/app"], &now))?;
    house.ask(&another, &Request::new(Method::PATCH, hers.as_str()).body("x")).await?.expect(202)?;
    Ok(())
}

#[tokio::test]
async fn the_source_of_a_mount_is_a_place_as_well() -> anyhow::Result<()> {
    let (folder, feed) = (tempfile::tempdir()?, Feed::start().await?);
    let house = House::following(&feed, folder.path()).await?;
    let blob = Blob::new("application/octet-stream", noise(7, 100));
    let decided = feed.decided();
    let token = house.token(&Bearer::of(1, &["other/target", "team/source"], &decided))?;
    house.push(&token, "team/source", &blob).await?;
    let named = |target| {
        let target = format!("{}?mount={}&from=team/source", uploads(target), blob.digest);
        Request::new(Method::POST, target)
    };
    let unnamed = Request::new(Method::POST, format!("{}?mount={}", uploads("other/target"), blob.digest));
    feed.revoke(&json!({"below": "team/"}));
    house.until_refused(&token, &tags("team/source")).await?;
    let both = "repository:other/target:pull,push repository:team/source:pull";
    assert_sent_for_another(&house.ask(&token, &named("other/target")).await?, Some(both))?;
    house.ask(&token, &unnamed).await?.expect(202)?;
    house.start(&token, "other/target").await?;
    let now = feed.decided();
    let another = house.token(&Bearer::of(1, &["other/target", "team/source"], &now))?;
    house.ask(&another, &named("other/target")).await?.expect(201)?;
    Ok(())
}

#[tokio::test]
async fn a_token_that_does_not_say_when_it_was_decided_was_decided_before_everything() -> anyhow::Result<()> {
    let (folder, feed) = (tempfile::tempdir()?, Feed::start().await?);
    let house = House::following(&feed, folder.path()).await?;
    let decided = feed.decided();
    let [alice, bob] = [1, 2]
        .map(|number| house.token(&Bearer { decided: None, ..Bearer::of(number, &["team/app"], &decided) }));
    let (alice, bob) = (alice?, bob?);
    assert_eq!((house.status(&alice).await?, house.status(&bob).await?), (200, 200));
    feed.revoke(&json!({"subject": uid(1)}));
    house.until_refused(&alice, &Request::get("/v2/")).await?;
    assert_eq!(house.status(&bob).await?, 200);
    Ok(())
}

#[tokio::test]
async fn a_restored_database_ends_every_token_from_before() -> anyhow::Result<()> {
    let (folder, feed) = (tempfile::tempdir()?, Feed::start().await?);
    let house = House::following(&feed, folder.path()).await?;
    let before = feed.decided();
    // Its position is far ahead of those of the next life.
    let ahead = json!({"epoch": before["epoch"], "at": 1_000_000});
    let token = house.token(&Bearer::of(1, &["team/app"], &ahead))?;
    assert_eq!(house.status(&token).await?, 200);
    feed.live_again(1);
    house.until_refused(&token, &Request::get("/v2/")).await?;
    let now = feed.decided();
    let token = house.token(&Bearer { age: 5, ..Bearer::of(1, &["team/app"], &now) })?;
    assert_eq!(house.status(&token).await?, 200);
    // From the life before comes nothing any more.
    feed.live_again(-1);
    feed.revoke(&json!({"subject": uid(1)}));
    let asked = feed.questions();
    program::until("asked again", SOON, || async { feed.questions() > asked + 2 }).await?;
    assert_eq!(house.status(&token).await?, 200);
    // Nor does a token of that life, of somebody whom nothing took anything from.
    assert_eq!(house.status(&house.token(&Bearer::of(2, &["team/app"], &before))?).await?, 401);
    Ok(())
}

#[tokio::test]
async fn tokens_from_before_the_oldest_are_refused_when_there_are_too_many() -> anyhow::Result<()> {
    let (folder, feed) = (tempfile::tempdir()?, Feed::start().await?);
    let house = House::open(&feed, folder.path(), "      maxentries: 8\n").await?;
    let decided = feed.decided();
    let token = house.token(&Bearer::of(1, &["team/app"], &decided))?;
    house.until_counts(&token).await?;
    for number in 100..108 {
        feed.revoke(&json!({"subject": uid(number)}));
    }
    let last = house.token(&Bearer::of(107, &["team/app"], &decided))?;
    house.until_refused(&last, &Request::get("/v2/")).await?;
    assert_eq!(house.status(&token).await?, 200, "just as many as there may be");
    feed.revoke(&json!({"subject": uid(108)}));
    house.until_refused(&token, &Request::get("/v2/")).await?;
    let now = feed.decided();
    assert_eq!(house.status(&house.token(&Bearer::of(1, &["team/app"], &now))?).await?, 200);
    Ok(())
}

#[tokio::test]
async fn a_revoked_key_is_asked_about_at_its_source() -> anyhow::Result<()> {
    let (folder, feed, forge) = (tempfile::tempdir()?, Feed::start().await?, Forge::new()?);
    let source = KeySource::start(Document::ok(forge.key_set()?)).await?;
    let auth = Auth::TokenServer { url: source.url(), same_origin: false, feed: None };
    let house = House::with(&feed, folder.path(), "", auth, forge).await?;
    let decided = feed.decided();
    let token = house.token(&Bearer::of(1, &["team/app"], &decided))?;
    house.until_counts(&token).await?;
    let asked = source.requests();
    feed.revoke(&json!({"key": house.forge.kid()}));
    house.until_refused(&token, &Request::get("/v2/")).await?;
    program::until("asked for the keys", SOON, || async { source.requests() > asked }).await?;
    Ok(())
}
