//! Personal access tokens: what they are good for, for how long, and who may make and end them.
//!
//! *Invariant:* a token gives nothing that its user does not hold at that moment, and leads to no other credential.

use std::time::Duration;

use harness::actors::Town;
use harness::answer::Answer;
use harness::api::Api;
use harness::client::{OciClient, Request, basic};
use harness::forge::claims_of;
use harness::images::Image;
use harness::server::{Server, Threaded, Which};
use harness::settings::SERVICE;
use harness::stack::{Stack, StackOptions};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::{Value, json};

use crate::rights::{done, run};

const TOKENS: &str = "/users/alice/tokens";

/// A token and its number, as the command prints them.
pub(crate) async fn made(stack: &Stack, words: &str) -> anyhow::Result<(String, String)> {
    let said = run(stack, &format!("token create {words}")).await?.success()?;
    let number = said.text.split("token ").nth(1).and_then(|rest| rest.split(' ').next());
    Ok((said.output.trim().to_owned(), number.unwrap_or_default().to_owned()))
}

fn alice(stack: &Stack, token: &str) -> anyhow::Result<OciClient> {
    OciClient::new(&stack.registry_url(), "alice", token)
}

/// What a token of alice is answered at the token endpoint.
async fn asked(stack: &Stack, token: &str, query: &str) -> anyhow::Result<Answer> {
    let target = format!("{}/token?service={SERVICE}&{query}", stack.token_server_url());
    stack.anonymous()?.raw(&Request::get(target).header(AUTHORIZATION, basic("alice", token))).await
}

#[tokio::test]
async fn a_token_stands_for_its_user_and_for_no_more_than_it_says() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    let (token, _) = made(
        stack,
        "user:alice --name laptop --repository platform/app/** --actions pull,push --expires 30d",
    )
    .await?;
    assert!(token.starts_with("pcp_") && token.len() == 53, "one secret, alone on standard output");
    let (limited, image) = (alice(stack, &token)?, Image::new(881, 1, 1000)?);
    limited.login().await?.expect(200)?;
    limited.push_image("platform/app", "v1", &image).await?;
    limited.pull_image("platform/app", "v1", &image).await?;
    town.alice.push_image("platform/other", "v1", &image).await?;
    let refused = limited.push_image("platform/other", "v1", &image).await.unwrap_err().to_string();
    assert!(refused.contains("alice may not push to platform/other"), "{refused}");
    // What the user no longer holds, the token is no longer good for.
    done(stack, &["team member remove platform alice --yes"]).await?;
    limited.forget_tokens();
    assert!(limited.push_image("platform/app", "v2", &image).await.is_err());
    let (audit, listed) = (run(stack, "audit list").await?, run(stack, "token list user:alice").await?);
    for text in [audit.success()?.output, listed.success()?.output] {
        assert!(text.contains("laptop") && !text.contains(&token), "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn no_exchange_with_a_token_yields_more_than_the_token() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    let api = Api::of(stack).await?;
    let (limited, _) =
        made(stack, "user:alice --name narrow --repository platform/app --expires 30d").await?;
    let (whole, _) = made(stack, "user:alice --name whole --expires 30d").await?;
    for token in [&limited, &whole] {
        let body = asked(stack, token, "offline_token=true&client_id=docker").await?.expect(200)?.json()?;
        assert!(body.get("refresh_token").is_none(), "a token is kept by whoever has it: {body}");
    }
    let call = async |token: &str, method: Method, path: &str, body: Option<&Value>| {
        let mut request = api.request(None, method, path, body);
        request = request.header(AUTHORIZATION, basic("alice", token));
        api.send(&request).await
    };
    call(&limited, Method::GET, "/account", None).await?.expect(403)?;
    call(&whole, Method::GET, "/account", None).await?.expect(200)?;
    // Neither another token nor another password comes of one.
    let new = json!({"name": "more"});
    let refused = call(&whole, Method::POST, TOKENS, Some(&new)).await?.expect(403)?;
    assert!(refused.text().contains("logged in with it"), "{refused}");
    let password = json!({"password": "another long password"});
    call(&whole, Method::PUT, "/account/password", Some(&password)).await?.expect(401)?;
    town.alice.login().await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn users_look_after_their_own_tokens_and_administrators_end_those_of_others() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    let api = Api::of(stack).await?;
    let new =
        json!({"name": "laptop", "limits": {"repositories": ["platform/**"], "actions": ["list", "pull"]}});
    let made = api.post("alice", TOKENS, &new).await?.expect(201)?;
    let body = made.json()?;
    let (secret, id) = (body["secret"].as_str().unwrap_or_default(), body["id"].as_str().unwrap_or_default());
    asked(stack, secret, "scope=repository:platform/app:pull").await?.expect(200)?;
    assert_eq!(made.header("location"), Some(&*format!("/api/v1{TOKENS}/{id}")));
    api.post("alice", TOKENS, &new).await?.expect(409)?;
    let shown = api.get("alice", &format!("{TOKENS}/{id}")).await?.expect(200)?;
    assert!(!shown.text().contains(secret) && shown.json()?["limits"]["repositories"][0] == "platform/**");
    // For others there is no such user, and its number is like any other.
    for path in [TOKENS.to_owned(), format!("{TOKENS}/{id}")] {
        api.get("bob", &path).await?.expect(404)?;
    }
    api.call("bob", Method::DELETE, &format!("/users/bob/tokens/{id}"), None).await?.expect(404)?;
    api.post("bob", TOKENS, &new).await?.expect(404)?;
    // Nobody acts as somebody else, whatever they hold.
    api.post("admin", TOKENS, &json!({"name": "borrowed"})).await?.expect(403)?;
    assert_eq!(api.all("admin", TOKENS, 1).await?.len(), 1);
    api.call("admin", Method::DELETE, &format!("{TOKENS}/{id}"), None).await?.expect(204)?;
    asked(stack, secret, "").await?.expect_error(401, "UNAUTHORIZED")?;
    for (line, code) in [
        ("token create user:alice --name ".to_owned(), 2),
        ("token create robot:a/b --name x".to_owned(), 2),
        ("token create user:nobody --name x".to_owned(), 3),
        (format!("token revoke {id} --yes"), 3),
    ] {
        let said = run(stack, &line).await?;
        assert_eq!(said.code, Some(code), "{line}: {}", said.text);
    }
    Ok(())
}

#[tokio::test]
async fn a_token_ends_when_it_says_or_when_the_policy_of_this_day_says() -> anyhow::Result<()> {
    let more = "personaltokens: {maxlifetime: 720h}\n".to_owned();
    let town = Town::with(StackOptions { token_server_more: more, ..StackOptions::default() }).await?;
    let stack = &town.stack;
    let day = Duration::from_hours(24);
    let (short, _) = made(stack, "user:alice --name short --expires 1d").await?;
    // Without a word about it, as late as the policy allows.
    let (long, _) = made(stack, "user:alice --name long").await?;
    let said = run(stack, "token create user:alice --name longer --expires 31d").await?;
    assert!(said.code == Some(2) && said.text.contains("at the latest"), "{}", said.text);
    let left = Duration::from_mins(2);
    stack.clock.advance(Duration::from_hours(24).saturating_sub(left));
    let body = asked(stack, &short, "scope=repository:platform/app:pull").await?.expect(200)?.json()?;
    let claims = claims_of(body["token"].as_str().unwrap_or_default())?;
    let lives = claims["exp"].as_i64().unwrap_or_default() - claims["iat"].as_i64().unwrap_or_default();
    assert!((1..=120).contains(&lives), "no token outlives what it rests on: {claims}");
    stack.clock.advance(left);
    asked(stack, &short, "").await?.expect_error(401, "UNAUTHORIZED")?;
    asked(stack, &long, "").await?.expect(200)?;
    stack.clock.advance(day * 30);
    asked(stack, &long, "").await?.expect_error(401, "UNAUTHORIZED")?;
    let audit = run(stack, "audit list").await?.success()?.output;
    assert!(audit.contains("expired_personal_token"), "{audit}");
    Ok(())
}

#[tokio::test]
async fn a_leavers_tokens_end_for_good_and_it_is_said_which_secrets_they_may_know() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    let api = Api::of(stack).await?;
    done(
        stack,
        &[
            "namespace add platform --owner team:platform",
            "robot add platform/ci",
            "grant add robot:platform/ci viewer platform/**",
        ],
    )
    .await?;
    let body = api.post("alice", "/robots/platform/ci/secrets", &json!({})).await?.expect(201)?.json()?;
    let ci =
        OciClient::new(&stack.registry_url(), "platform/ci", body["secret"].as_str().unwrap_or_default())?;
    let (token, _) = made(stack, "user:alice --name laptop").await?;
    let said = run(stack, "user disable alice --yes").await?.success()?;
    assert!(said.text.contains("1 personal access token revoked"), "{}", said.text);
    assert!(said.text.contains("alice made secrets of platform/ci"), "{}", said.text);
    asked(stack, &token, "").await?.expect_error(401, "UNAUTHORIZED")?;
    // The robot is the namespace's, whoever made its secret; its administrators see whose that was.
    ci.login().await?.expect(200)?;
    let listed = run(stack, "robot secret list platform/ci").await?.success()?.output;
    assert!(listed.contains("alice (gone)"), "{listed}");
    done(stack, &["user enable alice"]).await?;
    asked(stack, &token, "").await?.expect_error(401, "UNAUTHORIZED")?;
    // A new password ends logins and no tokens, and that is said.
    let (token, _) = made(stack, "user:alice --name laptop").await?;
    let words = ["user", "password", "alice", "--password-stdin", "--yes"];
    let said = stack.operator(&words, "another long password\n").await?.success()?;
    assert!(said.text.contains("1 personal access token stays good"), "{}", said.text);
    asked(stack, &token, "").await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn what_is_no_token_of_that_user_is_refused() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    let (token, _) = made(stack, "user:alice --name laptop").await?;
    for (user, password) in
        [("bob", &*token), ("nobody", &token), ("alice", &token[..52]), ("platform/ci", &token), ("", &token)]
    {
        OciClient::new(&stack.registry_url(), user, password)?.login().await?.expect(401)?;
    }
    let before = stack.token_server.hash_runs();
    OciClient::new(&stack.registry_url(), "Alice", &token)?.login().await?.expect(200)?;
    assert_eq!(stack.token_server.hash_runs(), before, "a token costs no hash");
    // The password goes on working, and the other door takes tokens too.
    town.alice.login().await?.expect(200)?;
    let form = format!("grant_type=password&service={SERVICE}&username=alice&password={token}");
    let request = Request::new(Method::POST, format!("{}/token", stack.token_server_url()))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form);
    stack.anonymous()?.raw(&request).await?.expect(200)?;
    let said = run(stack, "token create user:alice --name far --network 192.0.2.0/24").await?.success()?;
    asked(stack, said.output.trim(), "").await?.expect_error(401, "UNAUTHORIZED")?;
    let audit = run(stack, "audit list").await?.success()?.output;
    for word in ["unknown_personal_token", "personal_token_from_elsewhere"] {
        assert!(audit.contains(word), "{word}: {audit}");
    }
    Ok(())
}

#[tokio::test]
async fn servers_on_one_database_know_the_same_at_once_wherever_they_look() -> anyhow::Result<()> {
    for source in ["snapshot", "database"] {
        let more = format!("decisions:\n  source: {source}");
        let town = Town::with(StackOptions { token_server_more: more, ..StackOptions::default() }).await?;
        let stack = &town.stack;
        let settings = stack.token_server_settings();
        let other = Server::Thread(Threaded::start(Which::TokenServer, settings, stack.clock.clone()).await?);
        let urls = [stack.token_server_url(), format!("http://{}", other.address())];
        let expect = async |user: &str, secret: &str, status: u16, when: &str| -> anyhow::Result<()> {
            for url in &urls {
                let request = Request::get(format!("{url}/token?service={SERVICE}"));
                let answer =
                    stack.anonymous()?.raw(&request.header(AUTHORIZATION, basic(user, secret))).await?;
                assert_eq!(answer.status, status, "{source} {url} {when}: {answer}");
            }
            Ok(())
        };
        done(stack, &["robot add bob/ci"]).await?;
        for round in 0..3 {
            let (token, id) = made(stack, &format!("user:alice --name round-{round}")).await?;
            expect("alice", &token, 200, "made").await?;
            done(stack, &[&format!("token revoke {id} --yes")]).await?;
            expect("alice", &token, 401, "revoked").await?;
            let kept = crate::refresh_tokens::refresh_token(&town).await?;
            expect("<token>", &kept, 200, "kept").await?;
            done(stack, &["login revoke --all user:alice --yes"]).await?;
            expect("<token>", &kept, 401, "ended").await?;
        }
        // A robot of a user goes quiet with the user, and comes back.
        let secret = run(stack, "robot secret add bob/ci").await?.success()?.output;
        for (line, status) in
            [("user disable bob --yes", 401), ("user enable bob", 200), ("robot disable bob/ci --yes", 401)]
        {
            expect("bob/ci", secret.trim(), if status == 401 { 200 } else { 401 }, "before").await?;
            done(stack, &[line]).await?;
            expect("bob/ci", secret.trim(), status, line).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn many_uses_are_written_once_and_after_the_answer() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    let (token, id) = made(stack, "user:alice --name laptop").await?;
    for _ in 0..50 {
        asked(stack, &token, "scope=repository:platform/app:pull").await?.expect(200)?;
    }
    let mut connection = stack.database.db_connect().await?;
    let row = async |connection: &mut sqlx::PgConnection| {
        let query = "select last_used_from, xmin::text from credential where id = $1::uuid";
        sqlx::query_as::<_, (Option<String>, String)>(query).bind(&id).fetch_one(connection).await
    };
    // It is written in the background within seconds.
    let written = loop {
        let (from, version) = row(&mut connection).await?;
        if from.is_some() {
            break (from, version);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(written.0.as_deref(), Some("127.0.0.1"));
    for _ in 0..50 {
        asked(stack, &token, "").await?.expect(200)?;
    }
    // What is used after that is written in a later round, and this is not.
    let (other, other_id) = made(stack, "user:alice --name other").await?;
    asked(stack, &other, "").await?.expect(200)?;
    let is_written = "select last_used_at is not null from credential where id = $1::uuid";
    while !sqlx::query_scalar::<_, bool>(is_written).bind(&other_id).fetch_one(&mut connection).await? {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(row(&mut connection).await?, written, "not again within a minute");
    Ok(())
}

#[tokio::test]
async fn whoever_finds_a_secret_ends_it_and_its_owner_can_read_that() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    let api = Api::of(stack).await?;
    done(stack, &["namespace add platform --owner team:platform", "robot add platform/ci"]).await?;
    let robot = run(stack, "robot secret add platform/ci").await?.success()?.output;
    let (token, _) = made(stack, "user:alice --name laptop").await?;
    let refresh = crate::refresh_tokens::refresh_token(&town).await?;
    let place = "https://git.example/commit/1";
    let found = |text: &str| json!({"secret": text, "place": place});
    let report = json!({"secrets": [found(&token), found(robot.trim()), found(&refresh), found("pcp_nothing"), found(&token)]});
    let request = api.request(None, Method::POST, "/leaked-secrets", Some(&report));
    let answer = api.send(&request).await?.expect(200)?;
    assert_eq!(answer.json()?, json!({"revoked": [true, true, true, false, false]}));
    asked(stack, &token, "").await?.expect_error(401, "UNAUTHORIZED")?;
    OciClient::new(&stack.registry_url(), "platform/ci", robot.trim())?.login().await?.expect(401)?;
    crate::refresh_tokens::redeem(&town, &refresh, SERVICE).await?.expect_error(401, "UNAUTHORIZED")?;
    let audit = run(stack, "audit list --event leaked_secret_revoked").await?.success()?.output;
    for part in ["user:alice", "(laptop)", "robot:platform/ci", "login with docker", place] {
        assert!(audit.contains(part), "{part}: {audit}");
    }
    assert!(![&token, robot.trim(), &refresh].iter().any(|secret| audit.contains(*secret)), "{audit}");
    // Users read about themselves, and about nobody else.
    let own = api.all("alice", "/audit/events?event=leaked_secret_revoked", 10).await?;
    assert_eq!(own.len(), 2, "{own:?}");
    assert!(api.all("bob", "/audit/events?event=leaked_secret_revoked", 10).await?.is_empty());
    // Operators with a list of a scanner do the same.
    let (token, _) = made(stack, "user:alice --name other").await?;
    let said =
        stack.operator(&["token", "leaked", "--place", "a paste"], &format!("{token}\nnothing\n")).await?;
    assert!(said.success()?.text.contains("2 lines read; 1 living secret revoked"));
    asked(stack, &token, "").await?.expect_error(401, "UNAUTHORIZED")?;
    // What has ended lives no more, though it is still listed.
    let (token, id) = made(stack, "user:alice --name short --expires 1h").await?;
    stack.clock.advance(Duration::from_hours(2));
    let request =
        api.request(None, Method::POST, "/leaked-secrets", Some(&json!({"secrets": [found(&token)]})));
    assert_eq!(api.send(&request).await?.expect(200)?.json()?, json!({"revoked": [false]}));
    assert!(run(stack, "token list user:alice").await?.success()?.output.contains(&id));
    Ok(())
}

#[tokio::test]
async fn a_copy_of_the_database_logs_nobody_in() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    let (token, id) = made(stack, "user:alice --name laptop").await?;
    let mut connection = stack.database.db_connect().await?;
    let query = sqlx::query_as::<_, (String, String)>(
        "select c::text, encode(mac, 'hex') from credential c where id = $1::uuid",
    );
    let (row, mac) = query.bind(&id).fetch_one(&mut connection).await?;
    assert!(!row.contains(&token) && !row.contains(&token[4..20]), "{row}");
    for stolen in [&mac, &*format!("pcp_{mac}"), &id] {
        asked(stack, stolen, "").await?.expect_error(401, "UNAUTHORIZED")?;
    }
    Ok(())
}
