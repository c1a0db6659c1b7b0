//! What the API shows to whom.
//!
//! *Invariant:* who administers a place sees and changes rights there and nowhere else; what somebody may not see
//! answers like what is not there, byte for byte.

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use harness::actors::Town;
use harness::answer::Answer;
use harness::api::Api;
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::code;

/// A town in which alice administers `platform/**`.
async fn with_an_administrator() -> anyhow::Result<(Town, Api)> {
    let town = Town::start().await?;
    let api = Api::of(&town.stack).await?;
    let right = json!({"subject": "user:alice", "role": "admin", "pattern": "platform/**"});
    api.post("admin", "/grants", &right).await?.expect(201)?;
    Ok((town, api))
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
    let auditor = json!({"subject": "user:bob", "actions": ["audit-read"], "pattern": "**"});
    api.post("admin", "/grants", &auditor).await?.expect(201)?;
    let refused = api.all("bob", "/audit/events?event=change_refused&actor=ALICE&outcome=refused", 2).await?;
    assert_eq!(refused.len(), 3);
    Ok(())
}

#[tokio::test]
async fn many_who_are_refused_at_once_do_not_take_each_others_connections() -> anyhow::Result<()> {
    let (_town, api) = with_an_administrator().await?;
    // Several times as many as there are connections; each is recorded.
    let patterns: Vec<String> = (0..40).map(|number| format!("other/{number}")).collect();
    let refused = patterns.iter().map(|pattern| {
        let right = json!({"subject": "user:bob", "role": "viewer", "pattern": pattern});
        let api = &api;
        async move { api.post("alice", "/grants", &right).await?.expect(403).map(drop) }
    });
    futures_util::future::try_join_all(refused).await?;
    let auditor = json!({"subject": "user:bob", "actions": ["audit-read"], "pattern": "**"});
    api.post("admin", "/grants", &auditor).await?.expect(201)?;
    assert_eq!(api.all("bob", "/audit/events?event=change_refused", 100).await?.len(), patterns.len());
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
async fn a_long_list_of_what_is_hidden_goes_on_without_a_name_of_what_is_hidden() -> anyhow::Result<()> {
    let (town, api) = with_an_administrator().await?;
    let mut connection = town.stack.database.db_connect().await?;
    // More than are read for one page.
    let hidden = "insert into namespace (name, owner_pid, visibility, create_policy)
                  select 'hidden-' || lpad(number::text, 5, '0'), pid, 'private', 'pushers'
                    from generate_series(1, 10500) number, principal where kind = 'user' and name = 'alice'";
    sqlx::query(hidden).execute(&mut connection).await?;
    let shop = json!({"name": "shop", "owner": "user:bob"});
    api.post("admin", "/namespaces", &shop).await?.expect(201)?;
    let first = api.get("bob", "/namespaces").await?.expect(200)?.json()?;
    assert_eq!(first["items"], json!([]));
    let cursor = first["next_cursor"].as_str().context("there is more")?;
    let plain = URL_SAFE_NO_PAD.decode(cursor)?;
    assert!(!plain.windows(6).any(|part| part == b"hidden"), "{}", String::from_utf8_lossy(&plain));
    let second = api.get("bob", &format!("/namespaces?cursor={cursor}")).await?.expect(200)?.json()?;
    assert_eq!((&second["items"][0]["name"], &second["next_cursor"]), (&json!("shop"), &Value::Null));
    // It is for this list, and nobody can make one.
    let made = URL_SAFE_NO_PAD.encode(r#"["namespaces","hidden-00001"]"#);
    for path in [format!("/robots?cursor={cursor}"), format!("/namespaces?cursor={made}")] {
        api.get("bob", &path).await?.expect(422)?;
    }
    assert_eq!(api.all("alice", "/namespaces", 1000).await?.len(), 10_500);
    Ok(())
}
