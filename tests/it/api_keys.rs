//! Over the API: the keys that sign tokens.
//!
//! *Invariant:* a private key that was sent is in no answer and in no record, and only an owner of everything sends one.

use harness::actors::Town;
use harness::api::Api;
use harness::forge::header_of;
use harness::settings::SERVICE;
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
    assert_eq!((&first[0]["state"], &first[0]["origin"]), (&json!("signing"), &json!("generated")));
    let pair = Pair::rsa().await?.body()?;
    let made = api.post("admin", "/keys", &pair).await?.expect(201)?;
    let key = made.json()?;
    assert_eq!((&key["algorithm"], &key["origin"]), (&json!("RS256"), &json!("imported")));
    assert_eq!(key["state"], "waiting");
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
        assert_eq!(states, [(&after, &json!("signing")), (&before, &json!("verifying"))]);
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
