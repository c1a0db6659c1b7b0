//! Over the API: the keys that sign tokens.
//!
//! *Invariant:* a private key that was sent is in no answer and in no record, and only an owner of everything sends one.

use std::time::Duration;

use harness::actors::Town;
use harness::api::Api;
use harness::client::Request;
use harness::forge::header_of;
use harness::program;
use harness::settings::{KEYS_PATH, SERVICE};
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::code;
use crate::imported_keys::{Pair, UNTIL_IT_SIGNS, token, until_both_are_published};
use crate::rights::run;

#[tokio::test]
async fn a_key_that_was_sent_signs_when_it_was_published_and_is_never_given_again() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let (stack, api) = (&town.stack, Api::of(&town.stack).await?);
    let first = api.all("admin", "/keys", 100).await?;
    assert_eq!(first.len(), 1, "{first:?}");
    assert_eq!((&first[0]["state"], &first[0]["origin"]), (&json!("active"), &json!("generated")));
    let pair = Pair::rsa().await?.body()?;
    let made = api.post("admin", "/keys", &pair).await?.expect(201)?;
    let key = made.json()?;
    assert_eq!((&key["algorithm"], &key["origin"]), (&json!("RS256"), &json!("imported")));
    assert_eq!(key["state"], "staged");
    assert_eq!(key["certificate"].as_str().map(str::trim), pair["certificate"].as_str().map(str::trim));
    let address = made.needs_header("location")?["/api/v1".len()..].to_owned();
    assert_eq!(api.get("admin", &address).await?.expect(200)?.body, made.body);
    until_both_are_published(stack).await?;
    let before = header_of(&token(stack, SERVICE).await?)?["kid"].clone();
    assert_eq!(before, first[0]["id"]);
    stack.clock.advance(UNTIL_IT_SIGNS);
    let after = header_of(&token(stack, SERVICE).await?)?["kid"].clone();
    assert_eq!(after, key["id"]);
    for limit in [1, 2] {
        let keys = api.all("admin", "/keys", limit).await?;
        let states: Vec<_> = keys.iter().map(|key| (&key["id"], &key["state"])).collect();
        assert_eq!(states, [(&after, &json!("active")), (&before, &json!("verify-only"))]);
    }
    let answer = api.post("admin", "/keys", &pair).await?.expect(409)?;
    assert_eq!(code(&answer)?, "already_exists");
    let rows = api.all("admin", "/audit/events?event=key_imported", 100).await?;
    assert_eq!(rows.len(), 1);
    assert_eq!((&rows[0]["actor"], &rows[0]["target"]), (&json!("admin"), &key["id"]));
    assert!(rows[0]["address"].is_string(), "{rows:?}");
    let record = stack.database.db_audit_text().await?;
    let everything = format!("{}{}{record}", made.text(), api.get("admin", "/keys").await?.text());
    for line in pair["key"].as_str().unwrap_or_default().lines().filter(|line| line.len() > 40) {
        assert!(!everything.contains(line), "a part of the private key was given");
    }
    assert!(!everything.contains("PRIVATE"));
    Ok(())
}

#[tokio::test]
async fn key_pairs_that_are_no_good_are_refused_and_so_is_who_does_not_hold_everything() -> anyhow::Result<()>
{
    let town = Town::start().await?;
    let (stack, api) = (&town.stack, Api::of(&town.stack).await?);
    run(stack, "grant add user:alice admin platform/**").await?.success()?;
    let (good, other) = (Pair::rsa().await?.body()?, Pair::rsa().await?.body()?);
    let expired = Pair::make(&["genrsa", "2048"], -1).await?.body()?;
    let with = |one: &Value, other: &Value| json!({"certificate": one["certificate"], "key": other["key"]});
    for (body, part) in [
        (with(&good, &other), "do not belong together"),
        (expired.clone(), "allow_expired"),
        (json!({"certificate": good["key"], "key": good["key"]}), "no certificate"),
        (json!({"certificate": good["certificate"], "key": "x"}), "no private key"),
    ] {
        let answer = api.post("admin", "/keys", &body).await?.expect(422)?;
        assert_eq!(code(&answer)?, "invalid_key_pair");
        assert!(answer.text().contains(part), "{part}: {answer}");
    }
    for user in ["alice", "bob"] {
        api.post(user, "/keys", &good).await?.expect(403)?;
        api.get(user, "/keys").await?.expect(403)?;
    }
    assert_eq!(api.all("admin", "/keys", 100).await?.len(), 1, "nothing was imported");
    api.get("admin", "/keys/none").await?.expect(404)?;
    let mut allowed = expired;
    allowed["allow_expired"] = json!(true);
    api.post("admin", "/keys", &allowed).await?.expect(201)?;
    Ok(())
}

#[tokio::test]
async fn a_key_that_is_retired_signs_no_more_and_what_it_signed_counts_no_more() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let (stack, api) = (&town.stack, Api::of(&town.stack).await?);
    let first = api.all("admin", "/keys", 100).await?[0]["id"].clone();
    let first = first.as_str().unwrap_or_default();
    let only = api.call("admin", Method::DELETE, &format!("/keys/{first}"), None).await?.expect(422)?;
    assert!(only.text().contains("nothing would sign"), "{only}");
    let pair = Pair::rsa().await?.body()?;
    let made = api.post("admin", "/keys", &pair).await?.expect(201)?;
    let address = made.needs_header("location")?["/api/v1".len()..].to_owned();
    // One that does not sign yet is no reason to take the other.
    api.call("admin", Method::DELETE, &format!("/keys/{first}"), None).await?.expect(422)?;
    until_both_are_published(stack).await?;
    stack.clock.advance(UNTIL_IT_SIGNS);
    let stolen = header_of(&token(stack, SERVICE).await?)?["kid"].clone();
    assert_eq!(stolen, made.json()?["id"]);
    for user in ["alice", "bob"] {
        api.call(user, Method::DELETE, &address, None).await?.expect(403)?;
    }
    let listed = run(stack, "key list").await?.success()?.output;
    assert!(listed.contains("active") && listed.contains("imported"), "{listed}");
    api.call("admin", Method::DELETE, &address, None).await?.expect(204)?;
    api.call("admin", Method::DELETE, &address, None).await?.expect(409)?;
    let retired = api.get("admin", &address).await?.expect(200)?.json()?;
    assert_eq!(retired["state"], "retired");
    assert_eq!(retired["certificate"], made.json()?["certificate"]);
    program::until("the server signs with the first again", Duration::from_secs(20), || async {
        let token = token(stack, SERVICE).await;
        token.and_then(|token| header_of(&token)).is_ok_and(|header| header["kid"] == first)
    })
    .await?;
    let keys = town.anonymous.raw(&Request::get(format!("{}{KEYS_PATH}", stack.token_server_url()))).await?;
    assert_eq!(keys.json()?["keys"].as_array().map(Vec::len), Some(1), "{keys}");
    let rows = api.all("admin", "/audit/events?event=key_retired", 100).await?;
    assert_eq!((rows.len(), &rows[0]["target"]), (1, &stolen));
    assert_eq!(run(stack, &format!("key retire {first} --yes")).await?.code, Some(2));
    assert_eq!(run(stack, "key retire none --yes").await?.code, Some(3));
    Ok(())
}
