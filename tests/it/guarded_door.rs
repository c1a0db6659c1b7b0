//! Wrong passwords in numbers: who has to wait, and who does not.
//!
//! *Invariant:* guesses wait whatever door they come by, and nobody waits for what others guess elsewhere, or for a
//! password that was right.

use std::time::Duration;

use harness::actors::Town;
use harness::answer::Answer;
use harness::client::{OciClient, Request, basic};
use harness::edited::TokenServer;
use harness::settings::SERVICE;
use harness::stack::{Stack, basic_of, password_of};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};

use crate::personal_tokens;
use crate::rights::run;

/// The doors by which a password comes in.
#[derive(Clone, Copy, Debug)]
enum Way {
    Get,
    Post,
    Api,
    OwnPassword,
}

fn request(stack: &Stack, way: Way, password: &str) -> Request {
    let url = stack.token_server_url();
    let with = |request: Request| request.header(AUTHORIZATION, basic("alice", password));
    match way {
        Way::Get => with(Request::get(format!("{url}/token?service={SERVICE}"))),
        Way::Post => Request::new(Method::POST, format!("{url}/token"))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(format!("grant_type=password&service={SERVICE}&username=alice&password={password}")),
        Way::Api => with(Request::get(format!("{url}/api/v1/account"))),
        Way::OwnPassword => with(Request::new(Method::PUT, format!("{url}/api/v1/account/password")))
            .header(CONTENT_TYPE, "application/json")
            .body(r#"{"password":"an entirely new one"}"#),
    }
}

async fn send(stack: &Stack, request: &Request) -> anyhow::Result<Answer> {
    stack.anonymous()?.raw(request).await
}

/// Guesses by all doors until one has to wait for long; says how long.
async fn guess(stack: &Stack) -> anyhow::Result<u64> {
    let ways = [Way::Get, Way::Post, Way::Api, Way::OwnPassword];
    for number in 0.. {
        let way = ways[number % ways.len()];
        let answer = send(stack, &request(stack, way, &format!("guess-{number}"))).await?;
        match answer.status {
            401 => {}
            429 => {
                let wait = answer.needs_header("retry-after")?.parse()?;
                assert!(number > 10, "{number}: {answer}");
                if wait > 60 {
                    return Ok(wait);
                }
                stack.clock.advance(Duration::from_secs(wait));
            }
            _ => anyhow::bail!("{answer}"),
        }
    }
    Ok(0)
}

#[tokio::test]
async fn every_door_counts_the_same_guesses_and_then_all_wait() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    let wait = guess(stack).await?;
    let hashed = stack.token_server.hash_runs();
    for way in [Way::Get, Way::Post, Way::Api, Way::OwnPassword] {
        let answer = send(stack, &request(stack, way, "one-more")).await?.expect(429)?;
        let left: u64 = answer.needs_header("retry-after")?.parse()?;
        assert!(left <= wait && answer.text().contains(&format!("try again in {left} seconds")), "{answer}");
    }
    assert_eq!(stack.token_server.hash_runs(), hashed, "nothing is hashed for those who wait");
    stack.clock.advance(Duration::from_secs(wait));
    send(stack, &request(stack, Way::Get, "one-more")).await?.expect(401)?;
    let audit = run(stack, "audit list --event login --outcome refused").await?.success()?.output;
    assert!(audit.contains("too_many_tries") && audit.contains("wrong_password"), "{audit}");
    Ok(())
}

#[tokio::test]
async fn nobody_locks_a_colleague_out() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    // She logged in from here before, and has a token for her machine.
    town.alice.login().await?.expect(200)?;
    let (token, _) = personal_tokens::made(stack, "user:alice --name laptop").await?;
    stack.clock.advance(Duration::from_hours(12));
    guess(stack).await?;
    send(stack, &request(stack, Way::Get, "another")).await?.expect(429)?;
    // From the same address: with the password that was right there, with a token, and as somebody else.
    town.alice.forget_tokens();
    town.alice.login().await?.expect(200)?;
    OciClient::new(&stack.registry_url(), "alice", &token)?.login().await?.expect(200)?;
    town.bob.login().await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_script_with_an_old_password_and_a_client_that_asks_twice_are_one_guess() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    let hashed = stack.token_server.hash_runs();
    // As clients do that ask by POST and then by GET.
    for _ in 0..20 {
        for way in [Way::Post, Way::Get] {
            send(stack, &request(stack, way, "the-old-one")).await?.expect(401)?;
        }
    }
    assert_eq!(stack.token_server.hash_runs(), hashed + 1, "checked once");
    town.alice.login().await?.expect(200)?;
    // A wrong password that becomes the right one is right at once.
    let words = ["user", "password", "alice", "--password-stdin", "--yes"];
    stack.operator(&words, "the-old-one\n").await?.success()?;
    send(stack, &request(stack, Way::Get, "the-old-one")).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_thousand_wrong_logins_at_once_are_a_few_hashes_and_in_nobodys_way() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    let (token, _) = personal_tokens::made(stack, "user:bob --name laptop").await?;
    let before = stack.token_server.hash_runs();
    let client = stack.anonymous()?;
    let guesses: Vec<Request> =
        (0..1_000).map(|number| request(stack, Way::Get, &format!("guess-{number}"))).collect();
    let storm = futures_util::future::try_join_all(guesses.iter().map(|guess| client.raw(guess)));
    let ask = Request::get(format!("{}/token?service={SERVICE}", stack.token_server_url()))
        .header(AUTHORIZATION, basic("bob", &token));
    let meanwhile = async {
        for _ in 0..50 {
            stack.anonymous()?.raw(&ask).await?.expect(200)?;
        }
        anyhow::Ok(())
    };
    let (answers, meanwhile) = tokio::join!(storm, meanwhile);
    meanwhile?;
    let answers = answers?;
    let count = |status| answers.iter().filter(|answer| answer.status == status).count();
    // Eleven at once, and then one now and then, more and more rarely.
    let checked = count(401);
    assert!((11..30).contains(&checked) && checked + count(429) == 1_000, "{checked}");
    assert_eq!(usize::try_from(stack.token_server.hash_runs() - before)?, checked);
    Ok(())
}

#[tokio::test]
async fn the_password_is_good_elsewhere_and_an_address_is_what_a_trusted_proxy_says() -> anyhow::Result<()> {
    let trusting = ("http:\n", "http:\n  trustedproxies: [127.0.0.1]\n");
    let server = TokenServer::start("", &[trusting]).await?;
    server.add_user("alice").await?;
    let client = OciClient::anonymous(&server.url())?;
    let from = async |address: &str, password: &str| {
        let target = format!("{}/token?service={SERVICE}", server.url());
        let request = Request::get(target).header(AUTHORIZATION, basic("alice", password));
        client.raw(&request.header(HeaderName::from_static("x-forwarded-for"), address)).await
    };
    let mut wait = 0;
    for number in 0.. {
        let answer = from("192.0.2.1", &format!("guess-{number}")).await?;
        if answer.status == 429 {
            wait = answer.needs_header("retry-after")?.parse()?;
            if wait > 60 {
                break;
            }
            server.clock.advance(Duration::from_secs(wait));
        }
    }
    let right = password_of("alice");
    from("192.0.2.1", &right).await?.expect(429)?;
    // What was right elsewhere does not open this place.
    from("192.0.2.2", &right).await?.expect(200)?;
    server.clock.advance(Duration::from_secs(wait));
    from("192.0.2.1", &right).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn successes_have_no_limit_but_the_one_that_the_settings_say() -> anyhow::Result<()> {
    let limiting = ("  lifetime: 300s\n", "  lifetime: 300s\n  requestsperminute: 20\n");
    for (edits, most) in [(&[][..], 200), (&[limiting][..], 20)] {
        let server = TokenServer::start("", edits).await?;
        for user in ["alice", "bob"] {
            server.add_user(user).await?;
        }
        let client = OciClient::anonymous(&server.url())?;
        let ask = async |user: &str| {
            let target = format!("{}/token?service={SERVICE}", server.url());
            client.raw(&Request::get(target).header(AUTHORIZATION, basic_of(user))).await
        };
        for _ in 0..most {
            ask("alice").await?.expect(200)?;
        }
        if most == 20 {
            // The clock goes on by itself, too.
            let mut more = 0;
            let answer = loop {
                let answer = ask("alice").await?;
                if answer.status == 429 {
                    break answer.expect_error(429, "TOOMANYREQUESTS")?;
                }
                more += 1;
                assert!(more < 20, "{answer}");
            };
            let wait: u64 = answer.needs_header("retry-after")?.parse()?;
            assert!((1..=3).contains(&wait), "{answer}");
            ask("bob").await?.expect(200)?;
            server.clock.advance(Duration::from_secs(wait));
            ask("alice").await?.expect(200)?;
        }
    }
    Ok(())
}
