//! Authenticator apps: shown besides the password on the pages, and what follows for programs, rights and administrators.
//!
//! *Invariant:* whoever has one is nobody with the password alone, and no code counts twice.

use std::time::Duration;

use harness::answer::Answer;
use harness::authenticator_app::AuthenticatorApp;
use harness::browser::Browser;
use harness::client::{OciClient, Request, basic};
use harness::settings::SERVICE;
use harness::stack::{Stack, basic_of, password_of};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::{Value, json};
use shared::clock::Clock as _;

use crate::rights::{done, run};
use crate::sign_on_hostile::{Fair, cookie, form_token};

const STEP: Duration = Duration::from_secs(30);

/// What stands in an element of a page.
fn element(page: &Answer, begin: &str) -> anyhow::Result<String> {
    let text = page.text();
    let found = text.split(begin).nth(1).and_then(|rest| rest.split('<').next());
    found.map(str::to_owned).ok_or_else(|| anyhow::anyhow!("no {begin} in {text}"))
}

/// Somebody with an app.
struct Person {
    name: &'static str,
    cookie: String,
    app: AuthenticatorApp,
    codes: Vec<String>,
}

fn shown(app: &AuthenticatorApp, stack: &Stack) -> String {
    app.code(stack.clock.unix_now())
}

/// Sends a form of a page.
async fn send(
    fair: &Fair,
    cookie: &str,
    page: &str,
    to: &str,
    fields: &[(&str, &str)],
) -> anyhow::Result<Answer> {
    let token = form_token(&fair.get(page, cookie).await?.expect(200)?)?;
    let fields: Vec<(&str, &str)> = [("form", &*token)].into_iter().chain(fields.iter().copied()).collect();
    fair.post(to, cookie, &fields, &[]).await
}

/// Signs somebody in and sets an app up.
async fn enrol(fair: &Fair, name: &'static str) -> anyhow::Result<Person> {
    let before = fair.sign_in(name).await?;
    let page = send(fair, &before, "/account/factors", "/account/factors/app", &[]).await?.expect(200)?;
    let app = AuthenticatorApp::with(&element(&page, "id=\"secret\">")?)?;
    let code = shown(&app, &fair.town.stack);
    let fields =
        [("form", &*form_token(&page)?), ("code", &code)].map(|(name, value)| (name, value.to_owned()));
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let done = fair.post("/account/factors/app/confirm", &before, &fields, &[]).await?.expect(200)?;
    let cookie = cookie(&done)?;
    anyhow::ensure!(cookie != before, "the cookie is the one of before");
    fair.get("/account", &before).await?.expect(303)?;
    let text = done.text();
    let codes = text.split("<li><output>").skip(1).filter_map(|rest| rest.split('<').next());
    let codes: Vec<String> = codes.map(str::to_owned).collect();
    Ok(Person { name, cookie, app, codes })
}

/// Types the password; says what the browser shows then.
async fn begin(fair: &Fair, name: &str) -> anyhow::Result<String> {
    let asked = fair.get("/signin", "").await?.expect(200)?;
    let (before, token) = (cookie(&asked)?, form_token(&asked)?);
    let form = [("form", &*token), ("user", name), ("password", &password_of(name)), ("page", "/account")];
    let answer = fair.post("/signin", &before, &form, &[]).await?.expect(303)?;
    assert_eq!(answer.header("location"), Some("/factor?page=/account"));
    cookie(&answer)
}

async fn show(fair: &Fair, pending: &str, code: &str) -> anyhow::Result<Answer> {
    send(fair, pending, "/factor?page=/account", "/factor", &[("code", code), ("page", "/account")]).await
}

/// Makes a personal access token on the pages.
async fn token(fair: &Fair, cookie: &str, name: &str) -> anyhow::Result<String> {
    let made =
        send(fair, cookie, "/account/tokens", "/account/tokens", &[("name", name)]).await?.expect(200)?;
    element(&made, "id=\"secret\">")
}

async fn may_pull(fair: &Fair, user: &str, secret: &str) -> anyhow::Result<bool> {
    let url = format!(
        "{}/token?service={SERVICE}&scope=repository:strict/app:pull",
        fair.town.stack.token_server_url()
    );
    let request = Request::get(url).header(AUTHORIZATION, basic(user, secret));
    let said: Value = fair.town.anonymous.raw(&request).await?.expect(200)?.json()?;
    let token = said["token"].as_str().unwrap_or_default();
    let claims = harness::forge::claims_of(token)?;
    Ok(claims["access"].as_array().is_some_and(|access| !access.is_empty()))
}

#[tokio::test]
async fn an_app_is_set_up_and_asked_for_without_any_script() -> anyhow::Result<()> {
    let fair = Fair::start("create").await?;
    let stack = &fair.town.stack;
    let url = |path: &str| format!("{}{path}", stack.token_server_url());
    let browser = Browser::start(false).await?;
    let sign_in = async |browser: &Browser| {
        browser.open(&url("/account")).await?;
        browser.fill("user", "alice").await?;
        browser.fill("password", &password_of("alice")).await?;
        browser.press("Sign in").await
    };
    sign_in(&browser).await?;
    browser.press("Second factors").await?;
    browser.press("Set up an app").await?;
    let app = AuthenticatorApp::with(&browser.find("#secret").await?)?;
    browser.find("svg.code path").await?;
    browser.fill("code", "000000").await?;
    browser.press("Use the app").await?;
    browser.reads("that is not right").await?;
    assert_eq!(run(stack, "explain user:alice pull platform/app").await?.code, Some(0));
    // Until one was shown, it does not count.
    assert_eq!(fair.town.alice.login().await?.status, 200);
    browser.fill("code", &shown(&app, stack)).await?;
    browser.press("Use the app").await?;
    browser.reads("Your recovery codes").await?;
    let recovery = browser.find("li output").await?;
    browser.press("Sign out alice").await?;
    browser.reads("You are signed out").await?;
    sign_in(&browser).await?;
    browser.reads("Your second factor").await?;
    browser.open(&url("/account/tokens")).await?;
    browser.reads("User name").await?;
    browser.open(&url("/factor")).await?;
    // The code from before was used.
    browser.fill("code", &shown(&app, stack)).await?;
    browser.press("Go on").await?;
    browser.reads("or was used already").await?;
    stack.clock.advance(STEP);
    browser.fill("code", &shown(&app, stack)).await?;
    browser.press("Go on").await?;
    browser.reads("Where else you sign in").await?;
    browser.press("Sign out alice").await?;
    browser.reads("You are signed out").await?;
    sign_in(&browser).await?;
    browser.fill("code", &recovery.to_uppercase()).await?;
    browser.press("Go on").await?;
    browser.press("Second factors").await?;
    browser.reads("You have 9 left").await?;
    browser.press("Remove the app").await?;
    browser.press("Set up an app").await?;
    let logins = stack.database.db_audit_of("login").await?;
    let reasons: Vec<_> = logins.iter().filter_map(|row| row.reason.as_deref()).collect();
    for reason in ["browser, password and authenticator app", "browser, password and recovery code"] {
        assert!(reasons.contains(&reason), "{reasons:?}");
    }
    assert!(reasons.contains(&"used_second_factor"), "{reasons:?}");
    for event in ["second_factor_added", "second_factor_removed"] {
        assert_eq!(stack.database.db_audit_of(event).await?.len(), 1, "{event}");
    }
    browser.close().await
}

#[tokio::test]
async fn the_password_alone_is_not_enough_for_programs_and_nobody_else_learns_it() -> anyhow::Result<()> {
    let fair = Fair::start("create").await?;
    let stack = &fair.town.stack;
    let alice = enrol(&fair, "alice").await?;
    assert_eq!(alice.codes.len(), 10);
    let sentence = "your password is not enough here";
    let refused = fair.town.alice.login().await?.expect(401)?;
    assert!(refused.text().contains(sentence), "{refused}");
    let url = stack.token_server_url();
    let ask = async |method: Method, path: &str, password: &str, body: &str| {
        let request = Request::new(method, format!("{url}{path}"))
            .header(AUTHORIZATION, basic("alice", password))
            .header(CONTENT_TYPE, "application/json")
            .body(body.to_owned());
        fair.town.anonymous.raw(&request).await
    };
    let password = password_of("alice");
    let refused = ask(Method::GET, "/api/v1/account", &password, "").await?.expect(401)?;
    assert_eq!(refused.json()?["code"], "password_not_enough");
    let new = r#"{"password":"another password"}"#;
    ask(Method::PUT, "/api/v1/account/password", &password, new).await?.expect(401)?;
    // Who does not know the password is told what everybody is.
    let refused = ask(Method::GET, "/api/v1/account", "wrong password", "").await?.expect(401)?;
    assert_eq!(refused.json()?["code"], "wrong_credentials");
    let reasons = stack.database.db_audit_of("login").await?;
    assert!(reasons.iter().any(|row| row.reason.as_deref() == Some("second_factor_missing")));
    // What was made on the pages goes on, and the password is changed there.
    let secret = token(&fair, &alice.cookie, "laptop").await?;
    assert_eq!(OciClient::new(&stack.registry_url(), "alice", &secret)?.login().await?.status, 200);
    let fields = [("current", &*password), ("new", "another password")];
    send(&fair, &alice.cookie, "/account", "/account/password", &fields).await?.expect(303)?;
    fair.get("/account", &alice.cookie).await?.expect(303)?;
    let refused = ask(Method::GET, "/api/v1/account", "another password", "").await?.expect(401)?;
    assert_eq!(refused.json()?["code"], "password_not_enough");
    assert_eq!(alice.name, "alice");
    Ok(())
}

#[tokio::test]
async fn a_right_that_needs_a_second_factor_counts_for_what_was_made_with_one() -> anyhow::Result<()> {
    let fair = Fair::start("create").await?;
    let stack = &fair.town.stack;
    done(stack, &["grant add user:alice viewer strict/** --second-factor"]).await?;
    let before = fair.sign_in("alice").await?;
    let without = token(&fair, &before, "before").await?;
    assert!(!may_pull(&fair, "alice", &without).await?);
    assert!(!may_pull(&fair, "alice", &password_of("alice")).await?);
    let explained = run(stack, "explain user:alice pull strict/app").await?;
    assert_eq!(explained.code, Some(1));
    assert!(explained.output.contains("not without a second factor"), "{}", explained.output);
    let explained = run(stack, "explain user:alice pull strict/app --second-factor").await?;
    assert_eq!(explained.code, Some(0));
    assert!(!run(stack, "who-can pull strict/app").await?.output.contains("alice"));
    assert!(run(stack, "who-can pull strict/app --second-factor").await?.output.contains("alice"));
    let alice = enrol(&fair, "alice").await?;
    let with = token(&fair, &alice.cookie, "after").await?;
    assert!(may_pull(&fair, "alice", &with).await?);
    assert!(!may_pull(&fair, "alice", &without).await?, "it was made without");
    // Oneself is told of the login that asks.
    let url = format!("{}/api/v1/explain?action=pull&place=strict/app", stack.token_server_url());
    for (secret, allowed) in [(&with, true), (&without, false)] {
        let request = Request::get(url.clone()).header(AUTHORIZATION, basic("alice", secret));
        let said = fair.town.anonymous.raw(&request).await?.expect(200)?.json()?;
        assert_eq!(said["allowed"], allowed, "{said}");
        if !allowed {
            assert_eq!(said["rows"][0]["why_not"], "no_second_factor");
        }
    }
    // A login code, and the login that docker keeps with it.
    let page = send(&fair, &alice.cookie, "/device", "/device/code", &[]).await?.expect(200)?;
    let code = element(&page, "id=\"secret\">")?;
    let docker = OciClient::new(&stack.registry_url(), "alice", &code)?;
    let asked =
        docker.ask_token(&docker.challenge().await?, &[("offline_token", "true")]).await?.expect(200)?;
    let kept = asked.json()?["refresh_token"].as_str().unwrap_or_default().to_owned();
    assert!(may_pull(&fair, "<token>", &kept).await?);
    // It is in lists, files and plans as it was given.
    let exported = run(stack, "policy export").await?.success()?.output;
    assert!(exported.contains("second_factor: true"), "{exported}");
    assert!(run(stack, "grant list").await?.success()?.output.contains("with a second factor"));
    let denied = run(stack, "grant add user:alice --deny --actions pull strict/** --second-factor").await?;
    assert_ne!(denied.code, Some(0));
    done(stack, &["grant remove user:alice viewer strict/** --yes"]).await?;
    assert!(!may_pull(&fair, "alice", &with).await?);
    Ok(())
}

#[tokio::test]
async fn a_code_counts_once_and_only_near_its_time() -> anyhow::Result<()> {
    let fair = Fair::start("create").await?;
    let clock = &fair.town.stack.clock;
    let alice = enrol(&fair, "alice").await?;
    clock.advance(4 * STEP);
    let (one, two) = (begin(&fair, "alice").await?, begin(&fair, "alice").await?);
    let now = clock.unix_now();
    for late in [alice.app.code(now - 60), alice.app.code(now + 60)] {
        show(&fair, &one, &late).await?.expect(401)?;
    }
    // At the same time, of two one.
    let code = alice.app.code(now);
    let (first, second) = tokio::join!(show(&fair, &one, &code), show(&fair, &two, &code));
    let mut statuses = [first?.status, second?.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 401]);
    // Nor one of before, of which the time has not passed.
    let three = begin(&fair, "alice").await?;
    show(&fair, &three, &alice.app.code(now - 30)).await?.expect(401)?;
    let signed_in = show(&fair, &three, &alice.app.code(now + 30)).await?.expect(303)?;
    fair.get("/account", &cookie(&signed_in)?).await?.expect(200)?;
    // One password is one session, and what was shown before is none.
    fair.get("/factor", &three).await?.expect(401)?;
    fair.get("/account", &three).await?.expect(303)?;
    for code in &alice.codes[..2] {
        let pending = begin(&fair, "alice").await?;
        show(&fair, &pending, code).await?.expect(303)?;
        let pending = begin(&fair, "alice").await?;
        show(&fair, &pending, code).await?.expect(401)?;
    }
    // Of somebody else it is worth nothing, and after five minutes nobody is asked any more.
    let bob = enrol(&fair, "bob").await?;
    clock.advance(2 * STEP);
    let pending = begin(&fair, "alice").await?;
    show(&fair, &pending, &shown(&bob.app, &fair.town.stack)).await?.expect(401)?;
    clock.advance(Duration::from_mins(6));
    fair.get("/factor", &pending).await?.expect(401)?;
    Ok(())
}

#[tokio::test]
async fn wrong_codes_wait_and_the_password_buys_no_more_of_them() -> anyhow::Result<()> {
    let fair = Fair::start("create").await?;
    let alice = enrol(&fair, "alice").await?;
    fair.town.stack.clock.advance(4 * STEP);
    let right = shown(&alice.app, &fair.town.stack);
    let mut waits = 0;
    for number in 0..14 {
        let guess = (right.parse::<u32>()? + 1 + number) % 1_000_000;
        let pending = begin(&fair, "alice").await?;
        let answer = show(&fair, &pending, &format!("{guess:06}")).await?;
        match answer.status {
            401 => assert_eq!(waits, 0, "after a wait there are no free tries"),
            429 => waits += 1,
            other => anyhow::bail!("{other}"),
        }
    }
    assert!(waits >= 3, "{waits}");
    // The right one waits as well.
    let pending = begin(&fair, "alice").await?;
    show(&fair, &pending, &right).await?.expect(429)?;
    fair.town.stack.clock.advance(Duration::from_mins(16));
    let pending = begin(&fair, "alice").await?;
    show(&fair, &pending, &shown(&alice.app, &fair.town.stack)).await?.expect(303)?;
    let rows = fair.town.stack.database.db_audit_of("login").await?;
    assert!(rows.iter().any(|row| row.reason.as_deref() == Some("wrong_second_factor")));
    Ok(())
}

#[tokio::test]
async fn changing_factors_takes_who_has_just_shown_who_they_are() -> anyhow::Result<()> {
    let fair = Fair::start("create").await?;
    let clock = &fair.town.stack.clock;
    let before = fair.sign_in("alice").await?;
    clock.advance(Duration::from_mins(11));
    let asked = send(&fair, &before, "/account/factors", "/account/factors/app", &[]).await?.expect(303)?;
    assert_eq!(asked.header("location"), Some("/account/prove?page=/account/factors"));
    let prove = async |cookie: &str, field: (&str, &str)| {
        let fields = [field, ("page", "/account/factors")];
        send(&fair, cookie, "/account/prove", "/account/prove", &fields).await
    };
    prove(&before, ("password", "wrong password")).await?.expect(401)?;
    let proven = prove(&before, ("password", &password_of("alice"))).await?.expect(303)?;
    let after = cookie(&proven)?;
    fair.get("/account", &before).await?.expect(303)?;
    send(&fair, &after, "/account/factors", "/account/factors/app", &[]).await?.expect(200)?;
    // With a factor the password is not what is asked for.
    let alice = enrol(&fair, "alice").await?;
    clock.advance(Duration::from_mins(11));
    for to in ["/account/factors/app/remove", "/account/factors/codes", "/account/factors/passkeys/remove"] {
        send(&fair, &alice.cookie, "/account/factors", to, &[]).await?.expect(303)?;
    }
    assert_eq!(fair.town.stack.database.db_audit_of("second_factor_removed").await?.len(), 0);
    prove(&alice.cookie, ("password", &password_of("alice"))).await?.expect(401)?;
    let code = shown(&alice.app, &fair.town.stack);
    let fresh = cookie(&prove(&alice.cookie, ("code", &code)).await?.expect(303)?)?;
    let page = send(&fair, &fresh, "/account/factors", "/account/factors/codes", &[]).await?.expect(200)?;
    assert!(!page.text().contains(&alice.codes[0]), "those of before are gone");
    send(&fair, &fresh, "/account/factors", "/account/factors/app/remove", &[]).await?.expect(303)?;
    assert_eq!(fair.town.alice.login().await?.status, 200);
    let events = fair.town.stack.database.db_audit_of("proven_again").await?;
    // With the password, with the code, and each time an app was set up.
    assert_eq!(events.len(), 3);
    Ok(())
}

#[tokio::test]
async fn who_shows_none_makes_no_way_round_it_for_others() -> anyhow::Result<()> {
    let fair = Fair::start("create").await?;
    let stack = &fair.town.stack;
    done(
        stack,
        &[
            "team add core",
            "team member add core alice --maintainer",
            "grant add team:core viewer strict/** --second-factor",
        ],
    )
    .await?;
    let before = fair.sign_in("alice").await?;
    let without = token(&fair, &before, "before").await?;
    let alice = enrol(&fair, "alice").await?;
    let with = token(&fair, &alice.cookie, "after").await?;
    let url = format!("{}/api/v1/teams/core/members/bob", stack.token_server_url());
    for (secret, status) in [(&without, 403), (&with, 201)] {
        let request = Request::new(Method::PUT, url.clone())
            .header(AUTHORIZATION, basic("alice", secret))
            .header(CONTENT_TYPE, "application/json")
            .body("{}");
        let answer = fair.town.anonymous.raw(&request).await?.expect(status)?;
        assert_eq!(status == 403, answer.text().contains("second_factor_first"), "{answer}");
    }
    // Who is linked comes back as alice, perhaps with a second factor of their own.
    fair.town.stack.clock.advance(Duration::from_mins(11));
    let form = form_token(&fair.get("/account", &alice.cookie).await?.expect(200)?)?;
    let asked = fair.get(&format!("/account/link/corp?form={form}"), &alice.cookie).await?.expect(303)?;
    assert_eq!(asked.header("location"), Some("/account/prove?page=/account"));
    Ok(())
}

#[tokio::test]
async fn administrators_need_one_where_the_settings_say_so_and_are_not_locked_out() -> anyhow::Result<()> {
    for (who, place_too) in [("administrators", false), ("everybody", true)] {
        let fair = Fair::start_with("create", &format!("  secondfactor: {who}\n")).await?;
        let stack = &fair.town.stack;
        done(stack, &["grant add user:bob admin works/**"]).await?;
        let url = stack.token_server_url();
        let ask = async |authorization: String, method: Method, path: &str, body: Value| {
            let request = Request::new(method, format!("{url}/api/v1{path}"))
                .header(AUTHORIZATION, authorization)
                .header(CONTENT_TYPE, "application/json")
                .body(body.to_string());
            fair.town.anonymous.raw(&request).await
        };
        let eve = || json!({"name": "eve"});
        for (method, path) in [(Method::POST, "/users"), (Method::GET, "/grants"), (Method::GET, "/barriers")]
        {
            let refused = ask(basic_of("admin"), method, path, eve()).await?.expect(403)?;
            assert_eq!(refused.json()?["code"], "second_factor_first", "{path}");
        }
        assert!(
            stack.database.db_audit_of("change_refused").await?[0].reason.as_deref()
                == Some("no_second_factor")
        );
        let given = json!({"subject": "user:alice", "role": "viewer", "pattern": "works/**"});
        let status = ask(basic_of("bob"), Method::POST, "/grants", given).await?.status;
        assert_eq!(status, if place_too { 403 } else { 201 }, "{who}");
        // Pushing is not administering, and commands ask nobody.
        assert_eq!(fair.town.admin.login().await?.status, 200);
        done(stack, &["grant add user:alice viewer commands/**"]).await?;
        // One's own pages stay, and are the way out.
        ask(basic_of("admin"), Method::GET, "/account", json!(null)).await?.expect(200)?;
        let admin = enrol(&fair, "admin").await?;
        let secret = token(&fair, &admin.cookie, "desk").await?;
        ask(basic("admin", &secret), Method::POST, "/users", eve()).await?.expect(201)?;
    }
    Ok(())
}

#[tokio::test]
async fn an_administrator_takes_the_factors_of_somebody_away_who_lost_them() -> anyhow::Result<()> {
    let fair = Fair::start("create").await?;
    let stack = &fair.town.stack;
    let alice = enrol(&fair, "alice").await?;
    let removed = run(stack, "user remove-second-factors alice --yes").await?.success()?;
    assert!(removed.text.contains("1 second factor"), "{}", removed.text);
    fair.get("/account", &alice.cookie).await?.expect(303)?;
    assert_eq!(fair.town.alice.login().await?.status, 200);
    let bob = enrol(&fair, "bob").await?;
    let url = format!("{}/api/v1/users/bob/second-factors", stack.token_server_url());
    for (who, status) in [("alice", 403), ("admin", 204)] {
        let request = Request::new(Method::DELETE, url.clone()).header(AUTHORIZATION, basic_of(who));
        fair.town.anonymous.raw(&request).await?.expect(status)?;
    }
    assert_eq!(fair.town.bob.login().await?.status, 200);
    fair.get("/account", &bob.cookie).await?.expect(303)?;
    assert_eq!(stack.database.db_audit_of("second_factor_removed").await?.len(), 2);
    // The recovery codes go as well.
    let mut connection = stack.database.db_connect().await?;
    let stored: i64 =
        sqlx::query_scalar("select count(*) from recovery_code").fetch_one(&mut connection).await?;
    assert_eq!(stored, 0);
    Ok(())
}

#[tokio::test]
async fn a_provider_says_whether_a_second_factor_was_shown_there() -> anyhow::Result<()> {
    let fair = Fair::start("create").await?;
    for (said, counts) in [
        (json!({}), false),
        (json!({"amr": ["pwd"]}), false),
        (json!({"amr": ["pwd", "mfa"]}), true),
        (json!({"acr": "gold"}), true),
        (json!({"acr": "silver"}), false),
    ] {
        let cookie = cookie(&fair.visit(&said).await?.expect(303)?)?;
        if counts {
            done(&fair.town.stack, &["grant add user:eve viewer strict/** --second-factor"]).await?;
        }
        let secret = token(&fair, &cookie, &format!("a token of {said}")).await?;
        assert_eq!(may_pull(&fair, "eve", &secret).await?, counts, "{said}");
        if counts {
            done(&fair.town.stack, &["grant remove user:eve viewer strict/** --yes"]).await?;
        }
    }
    Ok(())
}
