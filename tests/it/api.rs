//! The API of the token server: what the command line does, over HTTP, for people with rights of their own.
//!
//! Every answer in these tests is held against the API's own description.
//!
//! *Invariant:* the API and the command line say the same and decide alike; what somebody may not see answers like what
//! is not there, byte for byte.

use anyhow::Context as _;
use harness::actors::Town;
use harness::answer::Answer;
use harness::api::Api;
use harness::client::{OciClient, Request};
use harness::stack::{basic_of, password_of};
use reqwest::Method;
use reqwest::header::{
    AUTHORIZATION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH, ORIGIN, REFERRER_POLICY,
};
use serde_json::{Value, json};

/// What a command prints as JSON.
async fn command(town: &Town, line: &str) -> anyhow::Result<Value> {
    let words: Vec<&str> = line.split(' ').chain(["--output", "json"]).collect();
    Ok(serde_json::from_str(&town.stack.operator(&words, "").await?.output)?)
}

/// What a refusal says to programs.
fn code(answer: &Answer) -> anyhow::Result<String> {
    Ok(answer.json()?["code"].as_str().context("no code")?.to_owned())
}

/// A town in which alice administers `platform/**`.
async fn with_an_administrator() -> anyhow::Result<(Town, Api)> {
    let town = Town::start().await?;
    let api = Api::of(&town.stack).await?;
    let right = json!({"subject": "user:alice", "role": "admin", "pattern": "platform/**"});
    api.post("admin", "/grants", &right).await?.expect(201)?;
    Ok((town, api))
}

#[tokio::test]
async fn what_is_made_over_http_is_what_commands_list_and_what_logins_get() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let api = Api::of(&town.stack).await?;
    let user = json!({"name": "Dave", "password": password_of("dave")});
    let made = api.post("admin", "/users", &user).await?.expect(201)?;
    assert_eq!(made.needs_header("location")?, "/api/v1/users/dave");
    assert_eq!(made.json()?["name"], "dave");
    assert!(!made.text().contains(&password_of("dave")), "{made}");
    api.post("admin", "/teams", &json!({"name": "core"})).await?.expect(201)?;
    for (member, status) in [("dave", 201), ("dave", 204), ("team:platform", 201)] {
        let path = format!("/teams/core/members/{member}");
        api.call("admin", Method::PUT, &path, None).await?.expect(status)?;
    }
    let role = json!({"name": "deployer", "actions": ["pull", "tag-update"], "description": "moves tags"});
    api.post("admin", "/roles", &role).await?.expect(201)?;
    let right = json!({
        "subject": "team:core", "role": "deployer", "pattern": "core/**", "tags": "v*", "reason": "CHG-17",
        "expires_at": "2090-01-31T12:00:00+01:00", "networks": ["127.0.0.9/8"],
    });
    let made = api.post("admin", "/grants", &right).await?.expect(201)?;
    let right = made.json()?;
    assert_eq!(right["expires_at"], "2090-01-31T11:00:00Z");
    assert_eq!(right["networks"], json!(["127.0.0.0/8"]));
    let denial =
        json!({"subject": "everyone", "effect": "deny", "actions": ["delete"], "pattern": "core/**"});
    api.post("admin", "/grants", &denial).await?.expect(201)?;
    let barrier = json!({"pattern": "prod/**", "actions": ["push", "delete"], "reason": "CHG-18"});
    let made = api.post("admin", "/barriers", &barrier).await?.expect(201)?;
    let address = made.needs_header("location")?.to_owned();
    assert_eq!(address, "/api/v1/barriers/prod%2F**");
    for path in [&address["/api/v1".len()..], "/barriers/prod/**"] {
        assert_eq!(api.get("admin", path).await?.expect(200)?.body, made.body, "{path}");
    }

    for (list, line) in [
        ("/users", "user list"),
        ("/teams", "team list"),
        ("/roles", "role list"),
        ("/barriers", "barrier list"),
    ] {
        assert_eq!(json!(api.all("admin", list, 2).await?), command(&town, line).await?, "{list}");
    }
    let by_id = |mut rows: Vec<Value>| {
        rows.sort_by_key(|row| row["id"].as_i64());
        rows
    };
    let listed = command(&town, "grant list").await?.as_array().cloned().unwrap_or_default();
    assert_eq!(by_id(api.all("admin", "/grants", 2).await?), by_id(listed));
    // As a member of a team in a team, and from the network of the right.
    let question = "action=tag-update&place=core/app:v1&address=127.0.0.1";
    for (subject, words) in
        [("user:dave", "user:dave"), ("user:alice", "user:alice"), ("user:bob", "user:bob")]
    {
        let answer =
            api.get("admin", &format!("/explain?subject={subject}&{question}")).await?.expect(200)?;
        let line = format!("explain {words} tag-update core/app:v1 --address 127.0.0.1");
        assert_eq!(answer.json()?, command(&town, &line).await?);
    }
    let capable = json!(api.all("admin", &format!("/who-can?{question}"), 1).await?);
    assert_eq!(capable, command(&town, "who-can tag-update core/app:v1 --address 127.0.0.1").await?);

    // A login is over as soon as it is ended.
    let dave = OciClient::new(&town.stack.registry_url(), "dave", &password_of("dave"))?;
    assert_eq!(dave.login().await?.status, 200);
    let off = api.call("admin", Method::PATCH, "/users/dave", Some(&json!({"disabled": true}))).await?;
    assert!(off.expect(200)?.json()?["disabled_at"].is_string());
    api.get("dave", "/account").await?.expect(401)?;
    api.call("admin", Method::PATCH, "/users/dave", Some(&json!({"disabled": false}))).await?.expect(200)?;
    let password = json!({"password": "another long password"});
    api.call("admin", Method::PUT, "/users/dave/password", Some(&password)).await?.expect(204)?;
    api.get("dave", "/account").await?.expect(401)?;
    assert_eq!(
        OciClient::new(&town.stack.registry_url(), "dave", "another long password")?.login().await?.status,
        200
    );

    // And everything goes again.
    let role = json!({"actions": ["pull"], "description": ""});
    let changed =
        api.call("admin", Method::PATCH, "/roles/deployer", Some(&role)).await?.expect(200)?.json()?;
    assert_eq!((&changed["actions"], &changed["description"]), (&json!(["pull"]), &Value::Null));
    assert_eq!(
        code(&api.call("admin", Method::DELETE, "/roles/deployer", None).await?.expect(409)?)?,
        "role_in_use"
    );
    for path in [
        format!("/grants/{}", right["id"]).as_str(),
        "/roles/deployer",
        "/teams/core/members/dave",
        "/teams/core",
        "/barriers/prod/**",
    ] {
        api.call("admin", Method::DELETE, path, None).await?.expect(204)?;
        assert_eq!(code(&api.call("admin", Method::DELETE, path, None).await?.expect(404)?)?, "not_found");
    }
    let done = command(&town, "audit list --actor admin --limit 1000").await?;
    for event in ["user_added", "team_member_added", "role_changed", "grant_removed", "barrier_removed"] {
        let row = done.as_array().into_iter().flatten().find(|row| row["event"] == event);
        assert_eq!(row.context(event)?["address"], "127.0.0.1", "{event}");
    }
    Ok(())
}

#[tokio::test]
async fn who_administers_a_place_does_so_there_and_nowhere_else() -> anyhow::Result<()> {
    let (_town, api) = with_an_administrator().await?;
    let right = |subject: &str, role: &str, pattern: &str| json!({"subject": subject, "role": role, "pattern": pattern});
    api.post("alice", "/grants", &right("user:bob", "writer", "platform/app")).await?.expect(201)?;
    for (right, sentence) in [
        (right("user:bob", "writer", "other/app"), "you do not administer other/app"),
        (right("user:bob", "viewer", "**"), "you do not administer **"),
        (right("user:bob", "owner", "platform/app"), "you do not hold"),
    ] {
        let refused = api.post("alice", "/grants", &right).await?.expect(403)?;
        assert_eq!(code(&refused)?, "not_delegated");
        assert!(refused.text().contains(sentence), "{refused}");
    }
    // Rights of others are seen in that place; one's own are seen wherever they are.
    let within = api.all("alice", "/grants?within=platform/**", 1).await?;
    assert_eq!(within.len(), 3, "{within:?}");
    assert!(
        within.iter().all(|row| row["pattern"].as_str().is_some_and(|text| text.starts_with("platform/")))
    );
    for path in ["/grants", "/grants?within=**", "/grants?subject=user:bob", "/grants?within=public/**"] {
        assert_eq!(code(&api.get("alice", path).await?.expect(403)?)?, "not_delegated", "{path}");
    }
    for (subject, rows) in [("user:alice", 1), ("team:platform", 1), ("everyone", 1), ("authenticated", 0)] {
        assert_eq!(
            api.all("alice", &format!("/grants?subject={subject}"), 1).await?.len(),
            rows,
            "{subject}"
        );
    }
    for (subject, status) in
        [("user:bob", 200), ("team:platform", 403), ("everyone", 200), ("user:nobody", 403)]
    {
        api.get("bob", &format!("/grants?subject={subject}")).await?.expect(status)?;
    }
    let account = api.get("bob", "/account").await?.expect(200)?.json()?;
    assert_eq!((&account["name"], &account["teams"]), (&json!("bob"), &json!([])));
    let patterns: Vec<_> =
        account["rights"].as_array().into_iter().flatten().map(|row| &row["pattern"]).collect();
    assert_eq!(patterns, ["platform/app", "public/**"]);
    // What everybody may ask about themselves, and an administrator about others.
    let question = "action=push&place=platform/app";
    assert_eq!(api.get("bob", &format!("/explain?{question}")).await?.expect(200)?.json()?["allowed"], true);
    api.get("bob", &format!("/explain?subject=user:alice&{question}")).await?.expect(403)?;
    api.get("bob", &format!("/who-can?{question}")).await?.expect(403)?;
    api.get("alice", &format!("/explain?subject=user:bob&{question}")).await?.expect(200)?;
    let capable: Vec<_> = api.all("alice", &format!("/who-can?{question}"), 1).await?;
    let capable: Vec<_> = capable.iter().map(|row| &row["subject"]).collect();
    assert_eq!(capable, ["user:admin", "user:alice", "user:bob"]);
    api.get("alice", "/explain?subject=user:bob&action=push&place=other/app").await?.expect(403)?;
    // Whose lists are cut to themselves.
    let names = |items: Vec<Value>| items.iter().map(|item| item["name"].clone()).collect::<Vec<_>>();
    assert_eq!(names(api.all("alice", "/users", 2).await?), ["admin", "alice", "bob"]);
    assert_eq!(names(api.all("bob", "/users", 2).await?), ["bob"]);
    assert!(api.all("bob", "/teams", 2).await?.is_empty());
    let names = names(api.all("bob", "/roles", 3).await?);
    assert_eq!((names.len(), &names[0]), (8, &json!("puller")));
    // The record is for those who may read it.
    api.get("alice", "/audit/events").await?.expect(403)?;
    let auditor = json!({"subject": "user:bob", "actions": ["audit-read"], "pattern": "**"});
    api.post("admin", "/grants", &auditor).await?.expect(201)?;
    let refused = api.all("bob", "/audit/events?event=change_refused&actor=ALICE&outcome=refused", 2).await?;
    assert_eq!(refused.len(), 3);
    Ok(())
}

#[tokio::test]
async fn what_one_may_not_see_answers_like_what_is_not_there() -> anyhow::Result<()> {
    let (town, api) = with_an_administrator().await?;
    api.post("admin", "/roles", &json!({"name": "keeper", "actions": ["pull"]})).await?.expect(201)?;
    let barrier = json!({"pattern": "secret/**", "actions": ["push"]});
    api.post("admin", "/barriers", &barrier).await?.expect(201)?;
    let right = json!({"subject": "user:admin", "role": "viewer", "pattern": "secret/app"});
    let id = api.post("admin", "/grants", &right).await?.expect(201)?.json()?["id"].to_string();
    let absent = "0".repeat(id.len());
    let pairs = [
        ("bob", Method::GET, "/users/alice", "/users/aliec"),
        ("bob", Method::PATCH, "/users/alice", "/users/aliec"),
        ("bob", Method::GET, "/teams/platform", "/teams/platforn"),
        ("bob", Method::GET, "/teams/platform/members", "/teams/platforn/members"),
        ("bob", Method::DELETE, "/teams/platform", "/teams/platforn"),
        ("bob", Method::DELETE, "/teams/platform/members/alice", "/teams/platforn/members/aliec"),
        ("bob", Method::GET, "/roles/keeper", "/roles/keeqer"),
        ("bob", Method::DELETE, "/roles/keeper", "/roles/keeqer"),
        ("alice", Method::GET, &format!("/grants/{id}"), &format!("/grants/{absent}")),
        ("alice", Method::DELETE, &format!("/grants/{id}"), &format!("/grants/{absent}")),
        ("alice", Method::GET, "/barriers/secret/**", "/barriers/secreu/**"),
        ("alice", Method::DELETE, "/barriers/secret/**", "/barriers/secreu/**"),
        (
            "bob",
            Method::GET,
            "/explain?subject=user:alice&action=pull&place=a",
            "/explain?subject=user:aliec&action=pull&place=a",
        ),
        ("bob", Method::GET, "/grants?subject=user:alice", "/grants?subject=user:aliec"),
        ("bob", Method::GET, "/grants?subject=team:platform", "/grants?subject=team:platforn"),
    ];
    let body = json!({"disabled": true});
    for (user, method, hidden, missing) in pairs {
        let body = (method == Method::PATCH).then_some(&body);
        let hidden_answer = api.call(user, method.clone(), hidden, body).await?;
        let missing_answer = api.call(user, method.clone(), missing, body).await?;
        assert!(matches!(hidden_answer.status, 403 | 404), "{hidden_answer}");
        // What was asked for comes back in the sentence, and nothing else differs.
        let plain = |answer: &Answer| {
            let text = answer.text();
            let swaps =
                [("aliec", "alice"), ("platforn", "platform"), ("keeqer", "keeper"), ("secreu", "secret")];
            swaps
                .iter()
                .fold(text, |text, (missing, hidden)| text.replace(missing, hidden))
                .replace(&absent, &id)
        };
        assert_eq!(
            (hidden_answer.status, plain(&hidden_answer)),
            (missing_answer.status, plain(&missing_answer))
        );
        let names = |answer: &Answer| answer.headers.keys().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(&hidden_answer), names(&missing_answer));
    }
    assert_eq!(
        town.stack.operator(&["user", "list"], "").await?.success()?.output.matches("active").count(),
        3
    );
    Ok(())
}

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
async fn the_record_is_listed_exported_and_verified_as_by_commands() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let api = Api::of(&town.stack).await?;
    api.get("bob", "/account").await?.expect(200)?;
    let exported = api.get("admin", "/audit/export").await?.expect(200)?;
    let lines: Vec<Value> = exported.text().lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let printed = town.stack.operator(&["audit", "export"], "").await?.success()?.output;
    let printed: Vec<Value> = printed.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert_eq!(lines, printed);
    let mut listed = api.all("admin", "/audit/events", 3).await?;
    listed.reverse();
    assert_eq!(listed, printed);
    let logins = api.all("admin", "/audit/events?event=login&actor=bob", 1).await?;
    assert_eq!(logins.len(), 1);
    assert!(api.all("admin", "/audit/events?until=2020-01-01T00:00:00Z", 5).await?.is_empty());
    let verdict = api.get("admin", "/audit/verification").await?.expect(200)?.json()?;
    assert_eq!(verdict, command(&town, "audit verify").await?);
    let head = verdict["last_hash"].as_str().unwrap_or_default();
    let known = api.get("admin", &format!("/audit/verification?head={head}")).await?.json()?;
    assert_eq!(known["whole"], true);
    let unknown = "0f".repeat(32);
    let unknown =
        api.get("admin", &format!("/audit/verification?head={unknown}")).await?.expect(200)?.json()?;
    assert_eq!(unknown["whole"], false);
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
async fn the_public_key_is_the_one_that_commands_export() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let api = Api::of(&town.stack).await?;
    for (path, format) in [("/key/certificate", "pem"), ("/key/jwks", "jwks")] {
        let given = api.get("bob", path).await?.expect(200)?.text();
        let printed =
            town.stack.operator(&["key", "export", "--format", format], "").await?.success()?.output;
        let squeezed = |text: &str| text.split_whitespace().collect::<String>();
        assert_eq!(squeezed(&given), squeezed(&printed), "{format}");
        assert!(!given.contains("PRIVATE"), "{given}");
    }
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
    // Nothing of all this was logged with a secret or left a server error behind.
    let raw = town
        .anonymous
        .raw(
            &Request::get(format!("{}/api/v1/account", town.stack.token_server_url()))
                .header(AUTHORIZATION, basic_of("bob")),
        )
        .await?;
    raw.expect(200)?;
    Ok(())
}
