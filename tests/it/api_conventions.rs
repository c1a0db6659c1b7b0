//! What all addresses of the API have in common: versions, pages, filters, bodies, refusals.
//!
//! *Invariant:* what is not known is refused by its name, whatever else is right.

use harness::actors::Town;
use harness::api::Api;
use reqwest::Method;
use reqwest::header::{
    AUTHORIZATION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH, ORIGIN, REFERRER_POLICY,
};
use serde_json::{Value, json};

use crate::api::code;

#[tokio::test]
async fn a_change_can_insist_on_what_was_seen() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let api = Api::of(&town.stack).await?;
    api.post("admin", "/roles", &json!({"name": "deployer", "actions": ["pull"]})).await?.expect(201)?;
    let barrier = json!({"pattern": "prod/**", "actions": ["push"]});
    api.post("admin", "/barriers", &barrier).await?.expect(201)?;
    let right = json!({"subject": "user:bob", "role": "viewer", "pattern": "app"});
    let right = api.post("admin", "/grants", &right).await?.expect(201)?;
    let right = right.needs_header("location")?["/api/v1".len()..].to_owned();
    for path in [
        "/users/bob",
        "/teams/platform",
        "/roles/deployer",
        "/roles/owner",
        "/barriers/prod/**",
        &right,
        "/account",
    ] {
        let seen = api.get("admin", path).await?.expect(200)?;
        let tag = seen.needs_header("etag")?;
        assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag} is a strong tag");
        let known =
            api.call_with("admin", Method::GET, path, (IF_NONE_MATCH, tag), None).await?.expect(304)?;
        assert!(known.body.is_empty() && known.header("etag") == Some(tag), "{known}");
        api.call_with("admin", Method::GET, path, (IF_NONE_MATCH, "\"other\""), None).await?.expect(200)?;
        api.call_with("admin", Method::GET, path, (IF_MATCH, "\"other\""), None).await?.expect(412)?;
        let head = api.call("admin", Method::HEAD, path, None).await?.expect(200)?;
        assert!(head.body.is_empty() && head.header("etag") == Some(tag), "{head}");
    }
    let seen = api.get("admin", "/users/bob").await?;
    let old = seen.needs_header("etag")?;
    let (off, on) = (json!({"disabled": true}), json!({"disabled": false}));
    let change = |tag, body| api.call_with("admin", Method::PATCH, "/users/bob", (IF_MATCH, tag), Some(body));
    let changed = change(old, &off).await?.expect(200)?;
    let refused = change(old, &on).await?.expect(412)?;
    assert_eq!(code(&refused)?, "precondition_failed");
    assert!(api.get("admin", "/users/bob").await?.json()?["disabled_at"].is_string());
    change(changed.needs_header("etag")?, &on).await?.expect(200)?;
    change("*", &on).await?.expect(200)?;
    change(&format!("W/{old}"), &off).await?.expect(412)?;
    for path in ["/teams/platform", "/roles/deployer", "/barriers/prod/**", &right] {
        api.call_with("admin", Method::DELETE, path, (IF_MATCH, old), None).await?.expect(412)?;
        let seen = api.get("admin", path).await?.expect(200)?;
        let tags = format!("\"x\", {}", seen.needs_header("etag")?);
        api.call_with("admin", Method::DELETE, path, (IF_MATCH, &tags), None).await?.expect(204)?;
    }
    // Of several who saw the same, one makes the change.
    api.post("admin", "/roles", &json!({"name": "raced", "actions": ["pull"]})).await?.expect(201)?;
    let seen = api.get("admin", "/roles/raced").await?;
    let tag = seen.needs_header("etag")?;
    let at_once =
        (0..8).map(|number| {
            let body = json!({"description": format!("number {number}")});
            let api = &api;
            async move {
                api.call_with("admin", Method::PATCH, "/roles/raced", (IF_MATCH, tag), Some(&body)).await
            }
        });
    let answers = futures_util::future::try_join_all(at_once).await?;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 412).count(), 7, "{statuses:?}");
    // Where there is no version, none is compared.
    let team = json!({"name": "core"});
    api.call_with("admin", Method::POST, "/teams", (IF_MATCH, "*"), Some(&team)).await?.expect(412)?;
    Ok(())
}

#[tokio::test]
async fn lists_are_turned_page_by_page_and_filters_are_closed() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let api = Api::of(&town.stack).await?;
    for number in 0..5 {
        api.post("admin", "/teams", &json!({"name": format!("t{number}")})).await?.expect(201)?;
        api.call("admin", Method::PUT, &format!("/teams/t0/members/team:t{number}"), None).await?;
        let pattern = format!("place/{number}/**");
        let right = json!({"subject": "everyone", "role": "viewer", "pattern": pattern});
        api.post("admin", "/grants", &right).await?.expect(201)?;
        let barrier = json!({"pattern": pattern, "actions": ["push"]});
        api.post("admin", "/barriers", &barrier).await?.expect(201)?;
    }
    for (path, count) in [
        ("/users", 3),
        ("/teams", 6),
        ("/teams/t0/members", 4),
        ("/roles", 8),
        ("/grants", 8),
        ("/grants?within=place/**", 5),
        ("/grants?within=place/3/**", 1),
        ("/grants?within=place/*/**", 0),
        ("/grants?subject=everyone", 6),
        ("/grants?subject=everyone&within=place/2/**", 1),
        ("/grants?subject=user:nobody", 0),
        ("/barriers", 5),
        ("/barriers?within=place/1/**", 1),
        ("/barriers?within=place/1", 0),
    ] {
        let whole = api.all("admin", path, 1000).await?;
        assert_eq!(whole.len(), count, "{path}: {whole:?}");
        for limit in [1, 2, 3] {
            assert_eq!(api.all("admin", path, limit).await?, whole, "{path} by {limit}");
        }
    }
    let next = api.get("admin", "/teams?limit=1").await?.json()?["next_cursor"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    for (path, status, part) in [
        (format!("/users?cursor={next}"), 422, "`cursor`"),
        ("/users?cursor=x".into(), 422, "`cursor`"),
        ("/users?limit=0".into(), 422, "from 1 to 1000"),
        ("/users?limit=1001".into(), 422, "from 1 to 1000"),
        ("/users?limit=5&limit=6".into(), 422, "came twice"),
        ("/users?name=alice".into(), 400, "it takes limit, cursor"),
        ("/users/alice?verbose=1".into(), 400, "it takes none"),
        ("/grants?subject=alice".into(), 422, "user:NAME"),
        ("/grants?within=A".into(), 422, "repository"),
        ("/grants?within=%00".into(), 422, "control character"),
        ("/audit/events?since=yesterday".into(), 422, "2027-01-31T12:00:00Z"),
        ("/audit/events?outcome=maybe".into(), 422, "allowed, refused"),
        ("/audit/verification?head=abc".into(), 422, "64 hexadecimal digits"),
        ("/explain?action=pull".into(), 422, "`place` must be there"),
        ("/explain?action=write&place=a".into(), 422, "`write` is not an action"),
        ("/explain?action=pull&place=a&address=here".into(), 422, "192.0.2.7"),
    ] {
        let answer = api.get("admin", &path).await?.expect(status)?;
        let sentence = answer.json()?["detail"].as_str().unwrap_or_default().to_owned();
        assert!(sentence.contains(part), "{path}: {sentence}");
    }
    Ok(())
}

#[tokio::test]
async fn no_column_of_a_user_can_be_sent_along() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let api = Api::of(&town.stack).await?;
    let mut connection = town.stack.database.db_connect().await?;
    let mut members: Vec<String> = sqlx::query_scalar(
        "select column_name::text from information_schema.columns
          where table_schema = 'public' and table_name in ('principal', 'user_account') and column_name <> 'name'",
    )
    .fetch_all(&mut connection)
    .await?;
    assert!(members.len() >= 8, "{members:?}");
    members.extend(
        ["is_admin", "admin", "role", "roles", "teams", "rights", "grants", "Name"].map(str::to_owned),
    );
    for member in members {
        for value in [json!(true), json!(1), json!("x"), Value::Null, json!({}), json!([])] {
            let mut user = json!({"name": "mallory", "password": "a long enough password"});
            user[&member] = value.clone();
            let answer = api.post("admin", "/users", &user).await?.expect(400)?;
            assert_eq!(code(&answer)?, "bad_body");
            assert!(answer.text().contains(&format!("unknown member `{member}`")), "{answer}");
            let mut change = json!({"disabled": false});
            change[&member] = value;
            api.call("admin", Method::PATCH, "/users/bob", Some(&change)).await?.expect(400)?;
        }
    }
    api.get("admin", "/users/mallory").await?.expect(404)?;
    Ok(())
}

#[tokio::test]
async fn only_json_is_taken_and_nothing_is_given_to_other_sites() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let api = Api::of(&town.stack).await?;
    let team = json!({"name": "core"});
    let post = |kind: Option<&str>, body: String| {
        let bare = api.request(Some("admin"), Method::POST, "/teams", None).body(body);
        kind.map_or(bare.clone(), |kind| bare.header(CONTENT_TYPE, kind))
    };
    for kind in
        [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("application/jsonx")]
    {
        let answer = api.send(&post(kind, team.to_string())).await?.expect(415)?;
        assert_eq!(code(&answer)?, "unsupported_media_type");
    }
    let json_type = Some("application/json; charset=utf-8");
    for (body, status) in [
        (String::new(), 400),
        ("{".into(), 400),
        ("[\"core\"]".into(), 400),
        ("{}".into(), 400),
        ("{\"name\":7}".into(), 400),
        ("{\"name\":\"core\",\"name\":\"core\"}".into(), 400),
        ("{\"name\":\"\"}".into(), 422),
        ("{\"name\":\"everyone\"}".into(), 422),
        (format!("{{\"name\":\"core\"{}}}", " ".repeat(64 * 1024)), 413),
    ] {
        api.send(&post(json_type, body)).await?.expect(status)?;
    }
    let made = post(json_type, team.to_string()).header(ORIGIN, "https://elsewhere.example");
    let made = api.send(&made).await?.expect(201)?;
    for header in ["access-control-allow-origin", "set-cookie"] {
        assert!(made.header(header).is_none(), "{made}");
    }
    assert_eq!(made.needs_header("x-content-type-options")?, "nosniff");
    for (method, path, allow) in [
        (Method::OPTIONS, "/users", "GET, HEAD, POST"),
        (Method::DELETE, "/users/bob", "GET, HEAD, PATCH"),
        (Method::POST, "/barriers/a/**", "GET, HEAD, DELETE"),
        (Method::GET, "/account/password", "PUT"),
    ] {
        // Without looking at credentials.
        let answer = api.send(&api.request(None, method, path, None)).await?.expect(405)?;
        assert_eq!(answer.needs_header("allow")?, allow, "{path}");
    }
    let wrong = api.request(None, Method::GET, "/users", None);
    for (request, code_of) in [
        (wrong.clone(), "credentials_required"),
        (wrong.clone().header(AUTHORIZATION, harness::client::basic("bob", "wrong")), "wrong_credentials"),
        (wrong.clone().header(AUTHORIZATION, harness::client::basic("nobody", "wrong")), "wrong_credentials"),
        (wrong.clone().header(AUTHORIZATION, "Bearer x"), "unusable_credentials"),
        (wrong.clone().header(AUTHORIZATION, harness::client::basic("", "pcr_x")), "unusable_credentials"),
    ] {
        let answer = api.send(&request).await?.expect(401)?;
        assert_eq!(
            (code(&answer)?.as_str(), answer.needs_header("www-authenticate")?),
            (code_of, "Basic realm=\"token server\"")
        );
    }
    let page = api.send(&api.request(None, Method::GET, "/docs", None)).await?.expect(200)?;
    let policy = page.needs_header(CONTENT_SECURITY_POLICY.as_str())?;
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert_eq!(page.needs_header(REFERRER_POLICY.as_str())?, "no-referrer");
    let text = page.text();
    assert!(text.contains("GET /api/v1/users/{user}") && !text.contains("<script") && !text.contains("src="));
    Ok(())
}

#[tokio::test]
async fn values_that_cannot_be_are_refused_with_a_sentence() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let api = Api::of(&town.stack).await?;
    let long = "x".repeat(501);
    let right = |more: Value| {
        let mut right = json!({"subject": "user:bob", "role": "viewer", "pattern": "app"});
        for (member, value) in more.as_object().into_iter().flatten() {
            right[member] = value.clone();
        }
        right
    };
    for (body, status, code_of) in [
        (right(json!({"actions": ["pull"]})), 422, "contradiction"),
        (right(json!({"role": null})), 422, "contradiction"),
        (right(json!({"role": null, "actions": []})), 422, "contradiction"),
        (right(json!({"role": null, "actions": ["write"]})), 422, "unknown_action"),
        (right(json!({"effect": "deny"})), 422, "contradiction"),
        (right(json!({"effect": "perhaps"})), 400, "bad_body"),
        (right(json!({"subject": "bob"})), 422, "invalid_subject"),
        (right(json!({"subject": "user:nobody"})), 404, "not_found"),
        (right(json!({"role": "nothing"})), 404, "not_found"),
        (right(json!({"role": "\u{0}"})), 404, "not_found"),
        (right(json!({"pattern": "A/B"})), 422, "invalid_pattern"),
        (right(json!({"tags": "a/b"})), 422, "contradiction"),
        (right(json!({"expires_at": "2020-01-01T00:00:00Z"})), 422, "invalid_conditions"),
        (right(json!({"expires_at": "9999-12-31T23:59:59-23:59"})), 422, "invalid_time"),
        (right(json!({"not_before": "tomorrow"})), 422, "invalid_time"),
        (right(json!({"networks": ["here"]})), 422, "invalid_conditions"),
        (right(json!({"reason": "a\u{0}b"})), 422, "invalid_remark"),
        (right(json!({"reason": long})), 422, "invalid_remark"),
    ] {
        let answer = api.post("admin", "/grants", &body).await?.expect(status)?;
        assert_eq!(code(&answer)?, code_of, "{body}: {answer}");
    }
    for (body, status, code_of) in [
        (json!({"pattern": "prod", "actions": ["push"]}), 422, "not_a_subtree"),
        (json!({"pattern": "prod/**", "actions": []}), 422, "contradiction"),
    ] {
        assert_eq!(code(&api.post("admin", "/barriers", &body).await?.expect(status)?)?, code_of);
    }
    for (body, status, code_of) in [
        (json!({"name": "owner", "actions": ["pull"]}), 422, "invalid_role"),
        (json!({"name": "Owner", "actions": ["pull"]}), 422, "invalid_role"),
    ] {
        assert_eq!(code(&api.post("admin", "/roles", &body).await?.expect(status)?)?, code_of);
    }
    let built_in =
        api.call("admin", Method::PATCH, "/roles/owner", Some(&json!({"actions": ["pull"]}))).await?;
    assert!(built_in.expect(422)?.text().contains("built in"));
    for (user, status) in [
        (json!({"name": "everyone", "password": "a long enough password"}), 422),
        (json!({"name": "short", "password": "1234567"}), 422),
        (json!({"name": "bob", "password": "a long enough password"}), 409),
        (json!({"name": "platform", "password": "a long enough password"}), 409),
    ] {
        api.post("admin", "/users", &user).await?.expect(status)?;
    }
    let cycle = json!({"name": "inner"});
    api.post("admin", "/teams", &cycle).await?.expect(201)?;
    api.call("admin", Method::PUT, "/teams/platform/members/team:inner", None).await?.expect(201)?;
    let answer =
        api.call("admin", Method::PUT, "/teams/inner/members/team:platform", None).await?.expect(409)?;
    assert_eq!(code(&answer)?, "team_cycle");
    Ok(())
}
