//! A feed of revocations in trouble: what counts meanwhile, what is known, and what it is spared.
//!
//! *Invariant:* trouble gives nothing back that was taken, and ends by itself when the feed is well again.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::client::Request;
use harness::feed::{Feed, SECRET, Trouble};
use harness::forge::Forge;
use harness::program;
use harness::server::{Process, Server, Which};
use harness::settings::{self, Auth, RegistryOptions};
use serde_json::{Value, json};
use shared::clock::ManualClock;
use shared::revocations::{MAX_ANSWER_BYTES, MAX_ENTRIES};

use crate::revocations::{Bearer, House, OLD, SOON, section, uid};

/// Longer than it takes to notice that a feed is silent.
const LATER: Duration = Duration::from_mins(1);

/// A registry in a process that follows a feed, and shows its metrics.
async fn process(
    feed: &Feed,
    folder: &Path,
    secret: &str,
    forge: Forge,
) -> anyhow::Result<(House, SocketAddr)> {
    let address = SocketAddr::from(([127, 0, 0, 1], program::free_port()?));
    let debug = SocketAddr::from(([127, 0, 0, 1], program::free_port()?));
    let keys = folder.join("keys.json");
    std::fs::write(&keys, forge.key_set()?)?;
    let options = RegistryOptions {
        address: address.to_string(),
        root: folder.join("images"),
        auth: Auth::Keys { file: keys, profile: "strict" },
        more: String::new(),
    };
    let file = settings::write_registry(folder, &options)?;
    let text = std::fs::read_to_string(&file)?;
    let text = text.replacen("    profile: strict\n", &section(&feed.url(), secret, ""), 1).replacen(
        "storage:\n",
        &format!("  debug:\n    addr: {debug}\n    prometheus:\n      enabled: true\nstorage:\n"),
        1,
    );
    std::fs::write(&file, text)?;
    let server = Server::Process(Process::start(Which::Registry, &file, address).await?);
    Ok((House::around(server, forge, Arc::new(ManualClock::default()))?, debug))
}

/// The metric with these words before its number.
async fn metric(debug: SocketAddr, series: &str) -> anyhow::Result<u64> {
    let url = format!("http://{debug}/metrics");
    let text = harness::client::http_client()?.get(url).send().await?.text().await?;
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok());
    value.ok_or_else(|| anyhow::anyhow!("no {series} in {text}"))
}

fn lines(log: &str, words: &str) -> usize {
    log.lines().filter(|line| line.contains(words)).count()
}

/// One token that counts without a feed that degrades, and one that is too old for that.
fn young_and_old(house: &House, decided: &Value) -> anyhow::Result<(String, String)> {
    let young = Bearer { age: 5, ..Bearer::of(1, &["team/app"], decided) };
    Ok((house.token(&young)?, house.token(&Bearer { age: OLD, ..young })?))
}

#[tokio::test]
async fn before_the_first_answer_young_tokens_count_or_all_or_none() -> anyhow::Result<()> {
    let feed = Feed::start().await?;
    let decided = feed.decided();
    for (stale, young_status, old_status, ready) in
        [("degrade", 200, 401, 200), ("open", 200, 200, 200), ("strict", 503, 503, 503)]
    {
        feed.trouble(Some(Trouble::Status(503)));
        let folder = tempfile::tempdir()?;
        let house = House::open(&feed, folder.path(), &format!("      stale: {stale}\n")).await?;
        let (young, old) = young_and_old(&house, &decided)?;
        assert_eq!(house.status(&young).await?, young_status, "{stale}");
        assert_eq!(house.status(&old).await?, old_status, "{stale}");
        let readiness = house.client.raw(&Request::get("/readyz")).await?;
        assert_eq!(readiness.status, ready, "{stale}: {readiness}");
        if stale == "strict" {
            let answer = house.ask(&young, &Request::get("/v2/")).await?.expect_error(503, "UNAVAILABLE")?;
            answer.needs_header("retry-after")?;
            // Who brings nothing, or nothing that is a token, is told what to bring.
            house.client.raw(&Request::get("/v2/")).await?.expect(401)?;
            house.ask("nonsense", &Request::get("/v2/")).await?.expect(401)?;
        }
        feed.trouble(None);
        house.until_counts(&old).await?;
        house.client.raw(&Request::get("/readyz")).await?.expect(200)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_token_from_a_life_that_is_not_known_yet_counts_as_far_as_with_a_silent_feed() -> anyhow::Result<()>
{
    let feed = Feed::start().await?;
    for (stale, young_status, old_status) in [("degrade", 200, 401), ("open", 200, 200), ("strict", 503, 503)]
    {
        let folder = tempfile::tempdir()?;
        let house = House::open(&feed, folder.path(), &format!("      stale: {stale}\n")).await?;
        let known = house.token(&Bearer::of(1, &["team/app"], &feed.decided()))?;
        house.until_counts(&known).await?;
        feed.trouble(Some(Trouble::Status(503)));
        feed.live_again(1);
        let (young, old) = young_and_old(&house, &feed.decided())?;
        assert_eq!(house.status(&young).await?, young_status, "{stale}");
        assert_eq!(house.status(&old).await?, old_status, "{stale}");
        feed.trouble(None);
        house.until_counts(&old).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_feed_that_falls_silent_is_told_once_and_so_is_its_return() -> anyhow::Result<()> {
    let (folder, feed) = (tempfile::tempdir()?, Feed::start().await?);
    let (mut house, debug) = process(&feed, folder.path(), SECRET, Forge::new()?).await?;
    let decided = feed.decided();
    let (_, old) = young_and_old(&house, &decided)?;
    house.until_counts(&old).await?;
    let revoked = house.token(&Bearer { age: 5, ..Bearer::of(2, &["team/app"], &decided) })?;
    feed.revoke(&json!({"subject": uid(2)}));
    house.until_refused(&revoked, &Request::get("/v2/")).await?;
    let is_stale = |expected: u64| async move {
        metric(debug, "registry_revocations_stale").await.is_ok_and(|value| value == expected)
    };
    program::until("is fresh in the metrics", SOON, || is_stale(0)).await?;
    assert_eq!(metric(debug, "registry_revocations_entries").await?, 1);
    let before = house.server.process()?.log()?;
    feed.trouble(Some(Trouble::Status(503)));
    let refused = || async { house.status(&old).await.is_ok_and(|status| status == 401) };
    program::until("stale", LATER, refused).await?;
    let (young, _) = young_and_old(&house, &decided)?;
    assert_eq!(house.status(&young).await?, 200);
    assert_eq!(house.status(&revoked).await?, 401);
    house.client.raw(&Request::get("/readyz")).await?.expect(200)?;
    program::until("is stale in the metrics", SOON, || is_stale(1)).await?;
    assert!(metric(debug, "registry_revocations_age_seconds").await? >= 15);
    feed.trouble(None);
    house.until_counts(&old).await?;
    program::until("is fresh in the metrics", SOON, || is_stale(0)).await?;
    assert!(metric(debug, r#"registry_token_verifications_total{outcome="revoked"}"#).await? >= 1);
    assert!(metric(debug, r#"registry_token_verifications_total{outcome="feed_stale"}"#).await? >= 1);
    let log = house.server.process()?.log()?;
    for words in ["revocations is stale", "revocations is followed", "is not followed at the moment"] {
        assert_eq!(lines(&log, words), lines(&before, words) + 1, "{words}: {log}");
    }
    assert!(lines(&log, "the token was revoked") >= 1 && !log.contains(SECRET), "{log}");
    Ok(())
}

#[tokio::test]
async fn a_wrong_secret_is_told_with_the_name_of_its_setting_and_without_the_secret() -> anyhow::Result<()> {
    let (folder, feed, wrong) =
        (tempfile::tempdir()?, Feed::start().await?, "Canary-Wrong-For-The-Feed-1d0e");
    let (mut house, _) = process(&feed, folder.path(), wrong, Forge::new()?).await?;
    let process = house.server.process()?;
    let said = || async { process.log().is_ok_and(|log| log.contains("auth.token.revocations.secret")) };
    program::until("said why", SOON, said).await?;
    let log = process.log()?;
    assert!(!log.contains(wrong), "{log}");
    assert_eq!(feed.questions(), 0);
    Ok(())
}

#[tokio::test]
async fn a_restart_gives_nothing_back() -> anyhow::Result<()> {
    let (folder, feed) = (tempfile::tempdir()?, Feed::start().await?);
    let (mut house, _) = process(&feed, folder.path(), SECRET, Forge::new()?).await?;
    let decided = feed.decided();
    let (_, alice) = young_and_old(&house, &decided)?;
    let bob = house.token(&Bearer::of(2, &["team/app"], &decided))?;
    house.until_counts(&alice).await?;
    feed.revoke(&json!({"subject": uid(1)}));
    house.until_refused(&alice, &Request::get("/v2/")).await?;
    feed.trouble(Some(Trouble::Status(503)));
    house.server.process()?.restart().await?;
    assert_eq!((house.status(&alice).await?, house.status(&bob).await?), (401, 401));
    feed.trouble(None);
    house.until_counts(&bob).await?;
    assert_eq!(house.status(&alice).await?, 401);
    Ok(())
}

#[tokio::test]
async fn an_answer_that_is_none_changes_nothing_and_is_asked_for_again() -> anyhow::Result<()> {
    let (folder, feed, elsewhere) = (tempfile::tempdir()?, Feed::start().await?, Feed::start().await?);
    let house = House::following(&feed, folder.path()).await?;
    let epoch = feed.decided()["epoch"].clone();
    let says = |body: Value| Trouble::Says(body.to_string());
    let complete = |entries: Value| json!({"epoch": epoch, "at": 1_000_000, "cursor": "", "complete": true, "entries": entries});
    let without = |member: &str| {
        let mut answer = complete(json!([]));
        answer.as_object_mut().expect("an object").remove(member);
        answer
    };
    let with = |member: &str, value: Value| {
        let mut answer = complete(json!([]));
        answer[member] = value;
        answer
    };
    let bad_entry = |entry: Value| says(complete(json!([{"at": 1, "keep": 60}, entry])));
    let troubles = [
        ("503", Trouble::Status(503)),
        ("404", Trouble::Status(404)),
        ("204", Trouble::Status(204)),
        ("403", Trouble::Status(403)),
        ("a redirect", Trouble::Elsewhere(elsewhere.url())),
        ("nothing", Trouble::Says(String::new())),
        ("a page", Trouble::Says("<html>hello</html>".into())),
        ("another object", says(json!({"keys": []}))),
        ("half an answer", Trouble::Says(complete(json!([])).to_string()[..60].into())),
        ("no list", says(without("entries"))),
        ("no word on being complete", says(without("complete"))),
        ("no position", says(without("at"))),
        ("a strange epoch", says(with("epoch", json!("now")))),
        ("a long cursor", says(with("cursor", json!("x".repeat(2_000))))),
        ("an entry without a position", bad_entry(json!({"keep": 60}))),
        ("an entry for a strange user", bad_entry(json!({"at": 1, "keep": 60, "subject": "alice"}))),
        ("an entry for a strange place", bad_entry(json!({"at": 1, "keep": 60, "below": "team"}))),
        ("an older position", says(with("at", json!(1)))),
        ("an older epoch", says(with("epoch", json!("00000000-0000-0000-0000-000000000001")))),
        (
            "a new epoch and not everything",
            says(
                json!({"epoch": "ffffffff-0000-0000-0000-000000000001", "at": 1, "cursor": "", "complete": false,
                        "entries": [{"at": 1, "keep": 60}]}),
            ),
        ),
        ("too many entries", says(complete(json!(vec![json!({"at": 1, "keep": 1}); MAX_ENTRIES + 1])))),
        ("too many bytes", Trouble::Says(" ".repeat(MAX_ANSWER_BYTES + 1))),
    ];
    let mut users = 10..;
    for (name, trouble) in troubles {
        let decided = feed.decided();
        let [first, second, third] = [(); 3]
            .map(|()| users.next().unwrap_or_default())
            .map(|user| (user, Bearer { age: 5, ..Bearer::of(user, &[], &decided) }));
        let token = |(_, bearer): &(u32, Bearer<'_>)| house.token(bearer);
        let (revoked, next, other) = (token(&first)?, token(&second)?, token(&third)?);
        feed.revoke(&json!({"subject": uid(first.0)}));
        house.until_refused(&revoked, &Request::get("/v2/")).await?;
        feed.trouble(Some(trouble));
        let asked = feed.questions();
        program::until(name, SOON, || async { feed.questions() > asked + 1 }).await?;
        assert_eq!(house.status(&revoked).await?, 401, "{name}");
        assert_eq!(house.status(&other).await?, 200, "{name}");
        // What was revoked in the meantime is told afterwards.
        feed.revoke(&json!({"subject": uid(second.0)}));
        feed.trouble(None);
        house.until_refused(&next, &Request::get("/v2/")).await?;
        assert_eq!(house.status(&other).await?, 200, "{name}");
    }
    assert_eq!(elsewhere.questions(), 0, "the secret went elsewhere");
    Ok(())
}

#[tokio::test]
async fn a_server_that_hangs_is_cut_off_and_asked_again() -> anyhow::Result<()> {
    let (folder, feed) = (tempfile::tempdir()?, Feed::start().await?);
    let house = House::following(&feed, folder.path()).await?;
    let decided = feed.decided();
    let token = house.token(&Bearer::of(1, &["team/app"], &decided))?;
    feed.trouble(Some(Trouble::Hangs));
    feed.revoke(&json!({"subject": uid(1)}));
    let asked = feed.questions();
    program::until("asked again", LATER, || async { feed.questions() > asked }).await?;
    feed.trouble(None);
    house.until_refused(&token, &Request::get("/v2/")).await?;
    Ok(())
}

#[tokio::test]
async fn a_server_that_does_not_wait_is_asked_once_a_second() -> anyhow::Result<()> {
    let (folder, feed) = (tempfile::tempdir()?, Feed::start().await?);
    let house = House::following(&feed, folder.path()).await?;
    feed.trouble(Some(Trouble::DoesNotWait));
    let (start, before) = (Instant::now(), feed.questions());
    program::until("asked a few times", SOON, || async { feed.questions() >= before + 5 }).await?;
    // The one that was open, and one that is not yet taken for haste, besides one a second.
    let allowed = 3 + usize::try_from(start.elapsed().as_secs())?;
    assert!(feed.questions() - before <= allowed, "asked {} times", feed.questions() - before);
    let token = house.token(&Bearer::of(1, &["team/app"], &feed.decided()))?;
    feed.revoke(&json!({"subject": uid(1)}));
    house.until_refused(&token, &Request::get("/v2/")).await?;
    Ok(())
}
