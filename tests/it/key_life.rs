//! The life of a signing key, and which registry gets tokens of which.
//!
//! *Invariant:* what signs is published, what is retired is not, and a key for some registries signs for no other.

use std::time::Duration;

use harness::actors::Town;
use harness::answer::Answer;
use harness::api::Api;
use harness::client::{OciClient, Request};
use harness::forge::header_of;
use harness::program;
use harness::server::{Server, Threaded, Which};
use harness::settings::{KEYS_PATH, PEER_SERVICE, SERVICE};
use harness::stack::{Stack, basic_of};
use reqwest::header::{AUTHORIZATION, ETAG, IF_NONE_MATCH};
use serde_json::{Value, json};

use crate::imported_keys::{Pair, UNTIL_IT_SIGNS};
use crate::rights::run;

/// Longer than a key is published before it signs when nothing hurries.
pub(crate) const UNTIL_ALL_HAVE_FETCHED_IT: Duration = Duration::from_secs(2 * 300 + 31);

/// The published keys of a server, by the name under which they are kept.
pub(crate) async fn published(url: &str) -> anyhow::Result<Vec<String>> {
    let client = OciClient::anonymous(url)?;
    let body = client.raw(&Request::get(KEYS_PATH)).await?.expect(200)?.json()?;
    let keys = body["keys"].as_array().cloned().unwrap_or_default();
    Ok(keys.iter().filter_map(|key| key["kid"].as_str()).map(str::to_owned).collect())
}

pub(crate) async fn until_published(urls: &[String], kid: &str) -> anyhow::Result<()> {
    program::until("the key is published", Duration::from_mins(1), || async {
        for url in urls {
            if !published(url).await.is_ok_and(|keys| keys.iter().any(|key| key == kid)) {
                return false;
            }
        }
        true
    })
    .await
}

async fn ask(url: &str, service: &str) -> anyhow::Result<Value> {
    let target = format!("/token?service={service}&scope=repository:platform/app:pull");
    let request = Request::get(target).header(AUTHORIZATION, basic_of("alice"));
    OciClient::anonymous(url)?.raw(&request).await?.expect(200)?.json()
}

/// The header of a token for this registry.
async fn header(url: &str, service: &str) -> anyhow::Result<Value> {
    header_of(ask(url, service).await?["token"].as_str().unwrap_or_default())
}

async fn states(stack: &Stack) -> anyhow::Result<Vec<(String, String)>> {
    let said = stack.operator(&["--output", "json", "key", "list"], "").await?.success()?;
    let keys: Vec<Value> = serde_json::from_str(&said.output)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(keys.iter().map(|key| (text(&key["id"]), text(&key["state"]))).collect())
}

/// Changes the settings, for commands and for servers that are started from now on.
fn edit(stack: &Stack, from: &str, to: &str) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(stack.token_server_settings())?;
    anyhow::ensure!(text.contains(from), "{from}: {text}");
    Ok(std::fs::write(stack.token_server_settings(), text.replacen(from, to, 1))?)
}

async fn another_server(stack: &Stack) -> anyhow::Result<Server> {
    let settings = stack.token_server_settings();
    Ok(Server::Thread(Threaded::start(Which::TokenServer, settings, stack.clock.clone()).await?))
}

fn url_of(server: &Server) -> String {
    format!("http://{}", server.address())
}

#[tokio::test]
async fn a_key_is_staged_active_verify_only_and_retired_in_turn_and_then_has_no_private_half()
-> anyhow::Result<()> {
    let town = Town::start().await?;
    let (stack, api) = (&town.stack, Api::of(&town.stack).await?);
    let url = stack.token_server_url();
    let old = published(&url).await?.remove(0);
    let rotated = stack.operator(&["key", "rotate"], "").await?.success()?;
    let new = rotated.output.trim().to_owned();
    assert_eq!((new.len(), rotated.output.lines().count()), (43, 1), "only the id: {}", rotated.output);
    assert!(rotated.text.contains("keys from a file"), "{}", rotated.text);
    let state = |kid: &str, word: &str| (kid.to_owned(), word.to_owned());
    assert_eq!(states(stack).await?, [state(&new, "staged"), state(&old, "active")]);
    until_published(std::slice::from_ref(&url), &new).await?;
    stack.clock.advance(UNTIL_IT_SIGNS);
    assert_eq!(header(&url, SERVICE).await?["kid"], old.as_str(), "registries have not fetched it yet");
    stack.clock.advance(UNTIL_ALL_HAVE_FETCHED_IT);
    assert_eq!(header(&url, SERVICE).await?["kid"], new.as_str());
    let shown = async |kid: &str| api.get("admin", &format!("/keys/{kid}")).await?.expect(200)?.json();
    assert_eq!(shown(&new).await?["state"], "active");
    assert_eq!(shown(&new).await?["retires_at"], Value::Null);
    assert_eq!(shown(&old).await?["state"], "verify-only");
    assert!(shown(&old).await?["retires_at"].is_string());
    stack.clock.advance(Duration::from_hours(48));
    // At once, by time; what is stored follows.
    assert_eq!(published(&url).await?, std::slice::from_ref(&new));
    program::until("it is put away", Duration::from_mins(1), || async {
        stack.database.db_audit_of("key_retired").await.is_ok_and(|rows| rows.len() == 1)
    })
    .await?;
    assert!(states(stack).await?.contains(&state(&old, "retired")));
    assert_eq!(shown(&old).await?["state"], "retired");
    let rows = stack.database.db_audit_of("key_retired").await?;
    assert_eq!(rows[0].summary()[..3], ["key_retired", "system", old.as_str()]);
    let mut connection = stack.database.db_connect().await?;
    let kept: i64 = sqlx::query_scalar("select count(*) from signing_key").fetch_one(&mut connection).await?;
    assert_eq!(kept, 1, "the sealed private half is gone");
    Ok(())
}

#[tokio::test]
async fn the_last_key_is_not_retired_and_the_one_before_signs_again_for_good() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let (stack, api) = (&town.stack, Api::of(&town.stack).await?);
    let url = stack.token_server_url();
    let old = published(&url).await?.remove(0);
    let refused = run(stack, &format!("key retire {old} --yes")).await?;
    assert_eq!(refused.code, Some(2), "{}", refused.text);
    assert!(refused.text.contains("nothing would sign tokens"), "{}", refused.text);
    let made = api.post("admin", "/keys/rotate", &json!({"now": true})).await?.expect(201)?;
    let new = made.json()?["id"].as_str().unwrap_or_default().to_owned();
    until_published(std::slice::from_ref(&url), &new).await?;
    stack.clock.advance(UNTIL_IT_SIGNS);
    assert_eq!(header(&url, SERVICE).await?["kid"], new.as_str());
    let address = made.needs_header("location")?["/api/v1".len()..].to_owned();
    api.call("admin", reqwest::Method::DELETE, &address, None).await?.expect(204)?;
    program::until("the first signs again", Duration::from_mins(1), || async {
        header(&url, SERVICE).await.is_ok_and(|header| header["kid"] == old.as_str())
    })
    .await?;
    let shown = api.get("admin", &format!("/keys/{old}")).await?.expect(200)?.json()?;
    assert_eq!((&shown["state"], &shown["retires_at"]), (&json!("active"), &Value::Null));
    stack.clock.advance(Duration::from_hours(100));
    assert_eq!(header(&url, SERVICE).await?["kid"], old.as_str());
    // What is retired can come back only from outside.
    let again = run(stack, &format!("key retire {new} --yes")).await?;
    assert_eq!(again.code, Some(3), "{}", again.text);
    let rows = api.all("admin", "/audit/events?event=key_created", 100).await?;
    let actors: Vec<_> = rows.iter().map(|row| &row["actor"]).collect();
    assert_eq!(actors, ["admin", "system"]);
    for body in [json!({"algorithm": "RS256"}), json!({"algorithm": "none"})] {
        api.post("admin", "/keys/rotate", &body).await?.expect(422)?;
    }
    Ok(())
}

#[tokio::test]
async fn what_retiring_means_is_said_and_what_is_printed_is_for_programs() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    let made = stack.operator(&["--output", "json", "key", "rotate", "--now"], "").await?.success()?;
    let key: Value = serde_json::from_str(&made.output)?;
    assert_eq!(
        (&key["state"], &key["signs_for"], &key["origin"]),
        (&json!("staged"), &json!("all"), &json!("generated"))
    );
    assert!(made.text.contains("`key retire`"), "{}", made.text);
    let kid = key["id"].as_str().unwrap_or_default();
    let asked = stack.operator(&["key", "retire", kid], "").await?;
    assert_eq!(asked.code, Some(2), "it takes something away: {}", asked.text);
    let said = stack.operator(&["key", "retire", kid, "--yes"], "").await?.success()?;
    assert_eq!(said.output, "");
    assert!(
        said.text.contains("refuse tokens that it signed when they next fetch the keys"),
        "{}",
        said.text
    );
    let wrong = stack.operator(&["key", "rotate", "--algorithm", "RS256"], "").await?;
    assert_eq!(wrong.code, Some(2), "{}", wrong.text);
    Ok(())
}

#[tokio::test]
async fn a_registry_gets_its_algorithm_and_lifetime_and_others_do_not() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    let first = published(&stack.token_server_url()).await?.remove(0);
    let audience = "verifier: portcullis";
    edit(stack, audience, &format!("{audience}\n    algorithm: EdDSA\n    lifetime: 900s"))?;
    // Two servers that start together make one key.
    let (one, two) = tokio::try_join!(another_server(stack), another_server(stack))?;
    let urls = [stack.token_server_url(), url_of(&one), url_of(&two)];
    let edwards = published(&urls[1]).await?.into_iter().find(|kid| *kid != first).unwrap_or_default();
    assert_eq!(header(&urls[1], SERVICE).await?["alg"], "ES256", "the key is not published everywhere yet");
    until_published(&urls, &edwards).await?;
    stack.clock.advance(UNTIL_IT_SIGNS);
    for url in &urls[1..] {
        let ours = header(url, SERVICE).await?;
        assert_eq!(ours, json!({"typ": "JWT", "alg": "EdDSA", "kid": edwards}));
        assert_eq!(ask(url, SERVICE).await?["expires_in"], 900);
        let theirs = header(url, PEER_SERVICE).await?;
        assert_eq!((&theirs["alg"], &theirs["kid"]), (&json!("ES256"), &json!(first)));
        assert_eq!(ask(url, PEER_SERVICE).await?["expires_in"], 300);
    }
    // Our registry takes it; it knows the key from the server with the other settings.
    let token = ask(&urls[1], SERVICE).await?;
    let token = token["token"].as_str().unwrap_or_default();
    town.anonymous.with_token(&Request::get("/v2/"), token).await?.expect(200)?;
    assert_eq!(published(&urls[2]).await?.len(), 2, "one for both");
    // What servers of the release before read is what they can sign for everybody with.
    let mut connection = stack.database.db_connect().await?;
    let rows: Vec<(String, String, Vec<u8>)> =
        sqlx::query_as("select kid, algorithm, sealed_private_key from signing_key")
            .fetch_all(&mut connection)
            .await?;
    let rows: Vec<_> = rows.iter().map(|(kid, algorithm, _)| (kid.as_str(), algorithm.as_str())).collect();
    assert_eq!(rows, [(first.as_str(), "ES256")]);
    // It has a life of its own.
    let rotated = stack.operator(&["key", "rotate", "--now", "--algorithm", "EdDSA"], "").await?.success()?;
    let next = rotated.output.trim().to_owned();
    until_published(&urls, &next).await?;
    stack.clock.advance(UNTIL_IT_SIGNS);
    assert_eq!(header(&urls[1], SERVICE).await?["kid"], next.as_str());
    assert_eq!(header(&urls[1], PEER_SERVICE).await?["kid"], first.as_str());
    let last = run(stack, &format!("key retire {first} --yes")).await?;
    assert_eq!(last.code, Some(2), "{}", last.text);
    Ok(())
}

#[tokio::test]
async fn a_server_says_how_to_make_the_rsa_key_that_a_registry_asks_for() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    let first = published(&stack.token_server_url()).await?.remove(0);
    edit(stack, "verifier: distribution2", "verifier: distribution2\n    algorithm: RS256")?;
    let error = another_server(stack).await.err().map(|error| format!("{error:#}")).unwrap_or_default();
    for part in [PEER_SERVICE, "openssl req", "key import --for-algorithm"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let pair = Pair::rsa().await?;
    let words: Vec<_> = pair.words()?.into_iter().chain(["--for-algorithm"]).collect();
    stack.operator(&words, "").await?.success()?;
    let server = another_server(stack).await?;
    stack.clock.advance(UNTIL_IT_SIGNS);
    let url = url_of(&server);
    assert_eq!(header(&url, PEER_SERVICE).await?["alg"], "RS256");
    assert_eq!(header(&url, SERVICE).await?["kid"], first.as_str(), "it signs for nobody else");
    assert_eq!(header(&stack.token_server_url(), PEER_SERVICE).await?["kid"], first.as_str());
    Ok(())
}

#[tokio::test]
async fn the_key_set_may_be_kept_for_five_minutes_and_is_not_sent_twice() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let client = OciClient::anonymous(&town.stack.token_server_url())?;
    let get = async |tag: Option<&str>| -> anyhow::Result<Answer> {
        let request = Request::get(KEYS_PATH);
        let request = match tag {
            Some(tag) => request.header(IF_NONE_MATCH, tag),
            None => request,
        };
        client.raw(&request).await
    };
    let answer = get(None).await?.expect(200)?;
    assert_eq!(answer.needs_header("cache-control")?, "public, max-age=300");
    let tag = answer.needs_header(ETAG.as_str())?.to_owned();
    let unchanged = get(Some(&tag)).await?.expect(304)?;
    assert_eq!((unchanged.text().as_str(), unchanged.needs_header(ETAG.as_str())?), ("", tag.as_str()));
    // A staged key is in the file for registries as well as in what is published.
    let staged = run(&town.stack, "key rotate").await?.success()?.output.trim().to_owned();
    let file = run(&town.stack, "key export --format jwks").await?.success()?.output;
    assert!(file.contains(&staged), "{file}");
    until_published(&[town.stack.token_server_url()], &staged).await?;
    get(Some(&tag)).await?.expect(200)?;
    run(&town.stack, &format!("key retire {staged} --yes")).await?.success()?;
    let file = run(&town.stack, "key export --format jwks").await?.success()?.output;
    assert!(!file.contains(&staged), "{file}");
    Ok(())
}
