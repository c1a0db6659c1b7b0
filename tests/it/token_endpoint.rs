//! The token endpoint as clients of all kinds use it: GET with Basic, POST with a password, many scopes, aliases.
//!
//! *Invariant:* a well-meant request gets 200 with what the caller holds of what was asked, never 400.

use harness::actors::Town;
use harness::answer::Answer;
use harness::client::Request;
use harness::forge::claims_of;
use harness::settings::{PEER_SERVICE, SERVICE};
use harness::stack::{basic_of, password_of};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::{Value, json};
use url::form_urlencoded;

/// A query or a form.
pub(crate) fn encoded(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// A token request as a query, by a test user or by nobody.
pub(crate) async fn get(town: &Town, user: Option<&str>, pairs: &[(&str, &str)]) -> anyhow::Result<Answer> {
    let mut request = Request::get(format!("{}/token?{}", town.stack.token_server_url(), encoded(pairs)));
    if let Some(user) = user {
        request = request.header(AUTHORIZATION, basic_of(user));
    }
    town.anonymous.raw(&request).await
}

/// A token request as a form.
pub(crate) async fn post(town: &Town, pairs: &[(&str, &str)]) -> anyhow::Result<Answer> {
    let request = Request::new(Method::POST, format!("{}/token", town.stack.token_server_url()))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(encoded(pairs));
    town.anonymous.raw(&request).await
}

/// The access claim of the token in an answer.
fn access(answer: &Answer) -> anyhow::Result<Value> {
    let body = answer.json()?;
    let token = body["token"].as_str().or(body["access_token"].as_str()).unwrap_or_default();
    Ok(claims_of(token)?["access"].clone())
}

fn entry(name: &str, actions: &[&str]) -> Value {
    json!({"type": "repository", "name": name, "actions": actions})
}

#[tokio::test]
async fn the_answer_has_the_fields_that_clients_need_and_no_others() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let pairs = [("service", SERVICE), ("scope", "repository:platform/app:pull")];
    let answer = get(&town, Some("alice"), &pairs).await?.expect(200)?;
    assert!(answer.needs_header("content-type")?.starts_with("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let body = answer.json()?;
    assert_eq!(body["token"], body["access_token"]);
    assert_eq!(body["expires_in"], 300);
    // A clock that differs from the client's would break its cache; a refresh token changes the mode of some.
    assert!(body.get("issued_at").is_none() && body.get("refresh_token").is_none(), "{body}");
    Ok(())
}

#[tokio::test]
async fn get_and_post_give_the_same_rights() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let scope = "repository:platform/app:pull,push";
    let by_get = get(&town, Some("alice"), &[("service", SERVICE), ("scope", scope)]).await?.expect(200)?;
    let by_post = post(
        &town,
        &[
            ("grant_type", "password"),
            ("service", SERVICE),
            ("client_id", "containerd-client"),
            ("username", "alice"),
            ("password", &password_of("alice")),
            ("scope", scope),
        ],
    )
    .await?
    .expect(200)?;
    assert_eq!(access(&by_get)?, access(&by_post)?);
    let body = by_post.json()?;
    assert!(body["access_token"].is_string(), "{body}");
    assert_eq!(body["scope"], scope);
    Ok(())
}

#[tokio::test]
async fn wrong_credentials_by_post_are_401_in_both_dialects() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let answer = post(
        &town,
        &[
            ("grant_type", "password"),
            ("service", SERVICE),
            ("client_id", "buildkit-client"),
            ("username", "alice"),
            ("password", "wrong"),
        ],
    )
    .await?
    .expect_error(401, "UNAUTHORIZED")?;
    let body = answer.json()?;
    assert!(body["error"].is_string() && body["error_description"].is_string(), "{body}");
    Ok(())
}

#[tokio::test]
async fn scopes_may_be_repeated_mixed_doubled_and_malformed() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let pairs = [
        ("service", SERVICE),
        ("scope", "repository:platform/b:pull  repository:platform/a:push"),
        ("scope", "repository:platform/a:pull"),
        ("scope", ""),
        ("scope", " repository(plugin):platform/c:pull "),
        ("scope", "nonsense"),
        ("scope", "repository:UPPER:pull"),
        ("scope", "repository:platform/d:fly"),
        ("scope", "plugin:platform/e:pull"),
    ];
    let answer = get(&town, Some("alice"), &pairs).await?.expect(200)?;
    let expected = json!([
        entry("platform/a", &["pull", "push"]),
        entry("platform/b", &["pull"]),
        entry("platform/c", &["pull"]),
    ]);
    assert_eq!(access(&answer)?, expected);
    Ok(())
}

#[tokio::test]
async fn fewer_rights_than_asked_is_no_error_and_the_token_and_the_record_say_what_is_missing()
-> anyhow::Result<()> {
    let town = Town::start().await?;
    let pairs = [
        ("service", SERVICE),
        ("scope", "repository:platform/app:pull,push,delete"),
        ("scope", "repository:other/app:pull,push"),
        ("scope", "repository:public/tool:pull,push"),
    ];
    let answer = get(&town, Some("alice"), &pairs).await?.expect(200)?;
    let body = answer.json()?;
    assert_eq!(
        access(&answer)?,
        json!([entry("platform/app", &["pull", "push"]), entry("public/tool", &["pull"])])
    );
    // A right that is given in the meantime works within a minute, even in clients that cache by scope.
    assert_eq!(body["expires_in"], 60);
    let refused = claims_of(body["token"].as_str().unwrap_or_default())?["portcullis"]["refused"].clone();
    assert_eq!(
        refused,
        json!([
            {"type": "repository", "name": "other/app", "actions": ["pull", "push"], "reason": "no_grant", "ask": ["admin"]},
            {"type": "repository", "name": "platform/app", "actions": ["delete"], "reason": "no_grant", "ask": ["admin"]},
            {"type": "repository", "name": "public/tool", "actions": ["push"], "reason": "no_grant", "ask": ["admin"]},
        ])
    );
    let recorded = town.stack.database.db_audit_of("scopes_refused").await?;
    let targets: Vec<_> = recorded.iter().map(|row| row.target.as_str()).collect();
    let missing = "repository:other/app:pull,push repository:platform/app:delete repository:public/tool:push";
    assert_eq!(targets, [missing]);
    Ok(())
}

#[tokio::test]
async fn a_star_is_all_the_caller_holds_and_a_star_only_for_owners() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let pairs = [("service", SERVICE), ("scope", "repository:platform/app:*")];
    let answer = get(&town, Some("alice"), &pairs).await?.expect(200)?;
    assert_eq!(access(&answer)?, json!([entry("platform/app", &["pull", "push"])]));
    let answer = get(&town, Some("admin"), &pairs).await?.expect(200)?;
    assert_eq!(
        access(&answer)?,
        json!([entry("platform/app", &["pull", "push", "delete", "repository-delete", "*"])])
    );
    Ok(())
}

#[tokio::test]
async fn anonymous_requests_get_what_everybody_may() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let pairs = [
        ("service", SERVICE),
        ("scope", "repository:public/tool:pull"),
        ("scope", "repository:platform/app:pull"),
    ];
    let answer = get(&town, None, &pairs).await?.expect(200)?;
    assert_eq!(access(&answer)?, json!([entry("public/tool", &["pull"])]));
    let token = answer.json()?["token"].as_str().unwrap_or_default().to_owned();
    let claims = claims_of(&token)?;
    assert_eq!(claims["sub"], "");
    assert_eq!(claims["portcullis"]["refused"][0]["reason"], "anonymous");
    // Without a scope this is the probe of a login, which must not succeed without credentials.
    get(&town, None, &[("service", SERVICE)]).await?.expect_error(401, "UNAUTHORIZED")?;
    Ok(())
}

#[tokio::test]
async fn wrong_credentials_never_become_an_anonymous_token() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let query = encoded(&[("service", SERVICE), ("scope", "repository:public/tool:pull")]);
    let request = Request::get(format!("{}/token?{query}", town.stack.token_server_url()))
        .header(AUTHORIZATION, harness::client::basic("alice", "wrong"));
    town.anonymous.raw(&request).await?.expect_error(401, "UNAUTHORIZED")?;
    Ok(())
}

#[tokio::test]
async fn the_service_must_be_known_and_the_sentence_names_it() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let answer = get(&town, Some("alice"), &[("service", "unheard-of")]).await?;
    let message = answer.expect_error(401, "UNAUTHORIZED")?.error_message()?;
    assert!(message.contains("unheard-of"), "{message}");
    Ok(())
}

#[tokio::test]
async fn a_token_for_one_registry_is_worth_nothing_at_another() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let pairs = [("service", PEER_SERVICE), ("scope", "repository:platform/app:pull")];
    let answer = get(&town, Some("alice"), &pairs).await?.expect(200)?;
    let token = answer.json()?["token"].as_str().unwrap_or_default().to_owned();
    let answer = town.anonymous.with_token(&Request::get("/v2/"), &token).await?;
    answer.expect_error(401, "UNAUTHORIZED")?;
    Ok(())
}

#[tokio::test]
async fn the_account_is_compared_and_never_used() -> anyhow::Result<()> {
    let town = Town::start().await?;
    get(&town, Some("alice"), &[("service", SERVICE), ("account", "ALICE")]).await?.expect(200)?;
    let answer = get(&town, Some("alice"), &[("service", SERVICE), ("account", "admin")]).await?;
    answer.expect_error(401, "UNAUTHORIZED")?;
    Ok(())
}

#[tokio::test]
async fn many_scopes_make_a_token_that_still_fits_a_header() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let scopes: Vec<_> =
        (0..200).map(|number| format!("repository:platform/app-{number}:pull,push")).collect();
    let mut pairs = vec![("service", SERVICE)];
    pairs.extend(scopes.iter().map(|scope| ("scope", scope.as_str())));
    let answer = get(&town, Some("alice"), &pairs).await?.expect(200)?;
    let body = answer.json()?;
    let token = body["token"].as_str().unwrap_or_default();
    assert!(token.len() <= 6 * 1024, "{} bytes", token.len());
    assert!(answer.body.len() <= 16 * 1024, "{} bytes", answer.body.len());
    assert!(access(&answer)?.as_array().is_some_and(|entries| !entries.is_empty()));
    town.anonymous.with_token(&Request::get("/v2/"), token).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn the_customary_paths_lead_to_the_same_endpoint() -> anyhow::Result<()> {
    let town = Town::start().await?;
    for path in ["/token", "/auth", "/auth/token"] {
        let target = format!("{}{path}?service={SERVICE}", town.stack.token_server_url());
        let request = Request::get(target).header(AUTHORIZATION, basic_of("alice"));
        town.anonymous.raw(&request).await?.expect(200)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_token_request_creates_nothing() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let pairs = [("service", SERVICE), ("scope", "repository:platform/never:pull,push")];
    get(&town, Some("alice"), &pairs).await?.expect(200)?;
    let answer = town.admin.send(&Request::get("/v2/_catalog")).await?.expect(200)?;
    assert_eq!(answer.json()?["repositories"], json!([]));
    Ok(())
}

#[tokio::test]
async fn the_key_set_is_public_and_holds_no_private_half() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let target = format!("{}{}", town.stack.token_server_url(), harness::settings::KEYS_PATH);
    let body = town.anonymous.raw(&Request::get(target)).await?.expect(200)?.json()?;
    let keys = body["keys"].as_array().cloned().unwrap_or_default();
    assert_eq!(keys.len(), 1, "{body}");
    for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
        assert!(keys[0].get(private).is_none(), "{body}");
    }
    Ok(())
}
