//! What takes tokens back that are out already: every change by which somebody may do less, told by our token server to
//! our registry.
//!
//! *Invariant:* whoever may no longer is refused with the token they have, and nobody else is disturbed.

use std::time::Duration;

use harness::actors::Town;
use harness::answer::Answer;
use harness::client::{OciClient, Request, basic};
use harness::database::Database;
use harness::images::Image;
use harness::program;
use harness::settings::{FEED_SECRET, SERVICE};
use harness::stack::{StackOptions, password_of};
use reqwest::header::AUTHORIZATION;
use sqlx::{AssertSqlSafe, Executor as _};

use crate::rights::{done, run};
use crate::{personal_tokens, refresh_tokens};

const SOON: Duration = Duration::from_secs(20);

/// A registry that counts no token without the feed, so each success shows that it follows.
async fn town() -> anyhow::Result<Town> {
    let town = Town::with(StackOptions { feed: Some("strict"), ..StackOptions::default() }).await?;
    ready(&town).await?;
    done(
        &town.stack,
        &[
            "grant add user:bob writer platform/**",
            "grant add user:alice writer other/**",
            "role add deployer --actions list,pull,push",
            "grant add user:bob deployer deployed/**",
        ],
    )
    .await?;
    let image = Image::new(890, 1, 1_000)?;
    for name in ["platform/app", "other/app", "deployed/app"] {
        town.admin.push_image(name, "v1", &image).await?;
    }
    Ok(town)
}

async fn ready(town: &Town) -> anyhow::Result<()> {
    program::until("the registry follows the feed", SOON, || async {
        let ready = format!("{}/readyz", town.stack.registry_url());
        town.anonymous.raw(&Request::get(ready)).await.is_ok_and(|answer| answer.status == 200)
    })
    .await
}

/// A token for pulling from a repository.
async fn token(town: &Town, user: &str, password: &str, repository: &str) -> anyhow::Result<String> {
    let url = town.stack.token_server_url();
    let target = format!("{url}/token?service={SERVICE}&scope=repository:{repository}:pull");
    let request = Request::get(target).header(AUTHORIZATION, basic(user, password));
    let body = town.anonymous.raw(&request).await?.expect(200)?.json()?;
    Ok(body["token"].as_str().unwrap_or_default().to_owned())
}

async fn pull(client: &OciClient, repository: &str, token: &str) -> anyhow::Result<Answer> {
    let request = Request::get(format!("/v2/{repository}/manifests/v1")).accepting_manifests();
    client.raw(&request.header(AUTHORIZATION, format!("Bearer {token}"))).await
}

/// A token that somebody has, and where it is used.
struct Held {
    repository: &'static str,
    token: String,
}

impl Held {
    async fn by(town: &Town, user: &str, password: &str, repository: &'static str) -> anyhow::Result<Self> {
        let token = token(town, user, password, repository).await?;
        pull(&town.anonymous, repository, &token).await?.expect(200)?;
        Ok(Self { repository, token })
    }

    async fn of(town: &Town, user: &str, repository: &'static str) -> anyhow::Result<Self> {
        Self::by(town, user, &password_of(user), repository).await
    }

    async fn counts(&self, town: &Town) -> anyhow::Result<bool> {
        let answer = pull(&town.anonymous, self.repository, &self.token).await?;
        if answer.status == 401 {
            assert!(answer.needs_header("www-authenticate")?.contains("invalid_token"), "{answer}");
        }
        Ok(answer.status == 200)
    }
}

/// Makes a change, and insists on who is refused after it and who is not.
async fn expect(town: &Town, line: &str, refused: &[&Held], undisturbed: &[&Held]) -> anyhow::Result<()> {
    for held in refused.iter().chain(undisturbed) {
        assert!(held.counts(town).await?, "before `{line}`: {}", held.repository);
    }
    run(&town.stack, line).await?.success()?;
    for held in refused {
        program::until(&format!("`{line}` takes it back"), SOON, || async {
            held.counts(town).await.is_ok_and(|counts| !counts)
        })
        .await?;
    }
    for held in undisturbed {
        assert!(held.counts(town).await?, "after `{line}`: {}", held.repository);
    }
    Ok(())
}

#[tokio::test]
async fn whoever_may_no_longer_is_refused_with_the_token_they_have() -> anyhow::Result<()> {
    let town = town().await?;
    let of = async |user: &str, repository| Held::of(&town, user, repository).await;
    let (bob, bobs_other) = (of("bob", "platform/app").await?, of("bob", "deployed/app").await?);
    let alices = of("alice", "platform/app").await?;
    let elsewhere = of("alice", "other/app").await?;
    let admin = of("admin", "platform/app").await?;
    expect(&town, "grant remove user:bob writer platform/** --yes", &[&bob], &[&alices, &admin, &bobs_other])
        .await?;
    // Of a team its members, and only in that place.
    expect(&town, "grant remove team:platform writer platform/** --yes", &[&alices], &[&elsewhere, &admin])
        .await?;
    done(&town.stack, &["grant add team:platform writer platform/**"]).await?;
    let alices = of("alice", "platform/app").await?;
    expect(
        &town,
        "grant add user:alice --deny --actions pull platform/app",
        &[&alices],
        &[&elsewhere, &admin],
    )
    .await?;
    done(&town.stack, &["grant remove user:alice --deny --actions pull platform/app --yes"]).await?;
    let alices = of("alice", "platform/app").await?;
    expect(&town, "team member remove platform alice --yes", &[&alices], &[&admin, &bobs_other]).await?;
    let elsewhere = of("alice", "other/app").await?;
    expect(&town, "role change deployer --actions list --yes", &[&bobs_other], &[&elsewhere, &admin]).await?;
    // Whoever it is, where a barrier comes; those who keep their rights get another token.
    expect(&town, "barrier add platform/** --actions delete", &[&admin], &[&elsewhere]).await?;
    of("admin", "platform/app").await?;
    expect(&town, "user disable alice --yes", &[&elsewhere], &[]).await?;
    Ok(())
}

#[tokio::test]
async fn a_credential_takes_along_what_was_got_with_it_and_nothing_else() -> anyhow::Result<()> {
    let town = town().await?;
    let stack = &town.stack;
    done(
        stack,
        &[
            "namespace add robots --owner user:admin",
            "robot add robots/ci",
            "grant add robot:robots/ci viewer platform/**",
        ],
    )
    .await?;
    let secret = run(stack, "robot secret add robots/ci").await?.success()?;
    let number =
        secret.text.split("secret ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    let robot = Held::by(&town, "robots/ci", secret.output.trim(), "platform/app").await?;
    let (first, id) = personal_tokens::made(stack, "user:alice --name first").await?;
    let (second, _) = personal_tokens::made(stack, "user:alice --name second").await?;
    let by_first = Held::by(&town, "alice", &first, "platform/app").await?;
    let by_second = Held::by(&town, "alice", &second, "platform/app").await?;
    let kept = refresh_tokens::refresh_token(&town).await?;
    let body = refresh_tokens::redeem(&town, &kept, SERVICE).await?.expect(200)?.json()?;
    let kept = body["access_token"].as_str().unwrap_or_default().to_owned();
    let by_login = Held { repository: "platform/app", token: kept };
    let by_password = Held::of(&town, "alice", "platform/app").await?;
    let lines = [
        (format!("token revoke {id} --yes"), &by_first, vec![&by_second, &by_login, &by_password, &robot]),
        ("login revoke --all user:alice --yes".into(), &by_login, vec![&by_second, &by_password, &robot]),
        (format!("robot secret revoke {number} --yes"), &robot, vec![&by_second, &by_password]),
    ];
    for (line, refused, undisturbed) in lines {
        expect(&town, &line, &[refused], &undisturbed).await?;
    }
    // A new password takes back everything of that user.
    let words = ["user", "password", "alice", "--password-stdin", "--yes"];
    stack.operator(&words, "another long password\n").await?.success()?;
    for held in [&by_second, &by_password] {
        program::until("it is taken back", SOON, || async {
            held.counts(&town).await.is_ok_and(|counts| !counts)
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_thousand_clients_pull_and_those_who_may_no_longer_are_refused_and_nobody_else()
-> anyhow::Result<()> {
    const EACH: usize = 500;
    let town = town().await?;
    let stack = &town.stack;
    let (mut leavers, mut others) = (Vec::new(), Vec::new());
    let (leaving, _) = personal_tokens::made(stack, "user:alice --name storm").await?;
    let (staying, _) = personal_tokens::made(stack, "user:bob --name storm").await?;
    for _ in 0..EACH {
        leavers.push(token(&town, "alice", &leaving, "platform/app").await?);
        others.push(token(&town, "bob", &staying, "platform/app").await?);
    }
    let client = stack.anonymous()?;
    let all = async |tokens: &[String]| -> anyhow::Result<usize> {
        let pulls = tokens.iter().map(|token| pull(&client, "platform/app", token));
        let answers = futures_util::future::try_join_all(pulls).await?;
        Ok(answers.iter().filter(|answer| answer.status == 200).count())
    };
    assert_eq!((all(&leavers).await?, all(&others).await?), (EACH, EACH));
    done(stack, &["user disable alice --yes"]).await?;
    // While it spreads, the others go on.
    let first = Held { repository: "platform/app", token: leavers[0].clone() };
    while first.counts(&town).await? {
        assert_eq!(all(&others[..50]).await?, 50);
    }
    assert_eq!((all(&leavers).await?, all(&others).await?), (0, EACH));
    Ok(())
}

#[tokio::test]
async fn only_registries_are_told_and_only_what_they_can_understand() -> anyhow::Result<()> {
    let town = town().await?;
    let url = format!("{}/feed/revocations", town.stack.token_server_url());
    let ask = async |query: &str, secret: Option<&str>| {
        let mut request = Request::get(format!("{url}?{query}"));
        if let Some(secret) = secret {
            request = request.header(AUTHORIZATION, secret);
        }
        town.anonymous.raw(&request).await
    };
    let right = format!("Bearer {FEED_SECRET}");
    for secret in [None, Some("Bearer x"), Some(FEED_SECRET), Some(&*basic("admin", &password_of("admin")))] {
        ask("wait=0", secret).await?.expect_error(403, "DENIED")?;
    }
    let news = ask("wait=0", Some(&right)).await?.expect(200)?;
    assert_eq!(news.header("cache-control"), Some("no-store"));
    let news = news.json()?;
    assert_eq!(news["complete"], true);
    for query in ["", "wait=x", "wait=0&after=1", "wait=0&epoch=x&after=1&cursor=x"] {
        ask(query, Some(&right)).await?.expect(400)?;
    }
    // Who knows everything is told nothing, who knows less the rest.
    let (epoch, at, cursor) = (&news["epoch"], &news["at"], &news["cursor"]);
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let known = format!("wait=0&epoch={}&after={at}&cursor={}", text(epoch), text(cursor));
    let nothing = ask(&known, Some(&right)).await?.expect(200)?.json()?;
    assert_eq!(
        (nothing["complete"].as_bool(), nothing["entries"].as_array().map(Vec::len)),
        (Some(false), Some(0))
    );
    done(&town.stack, &["user disable bob --yes"]).await?;
    let rest = ask(&known, Some(&right)).await?.expect(200)?.json()?;
    let entries = rest["entries"].as_array().cloned().unwrap_or_default();
    assert!(rest["complete"] == false && entries.len() == 1 && entries[0]["subject"].is_string(), "{rest}");
    let another = format!("wait=0&epoch=00000000-0000-7000-8000-000000000000&after={at}&cursor=x");
    assert_eq!(ask(&another, Some(&right)).await?.expect(200)?.json()?["complete"], true);
    Ok(())
}

/// Puts the log of changes back to where it was, as a backup does.
async fn put_back(database: &Database, seq: i64) -> anyhow::Result<()> {
    let mut connection = database.db_connect().await?;
    let statements = format!(
        "delete from revocation where at > {seq};
         delete from acl_change where seq > {seq};
         select setval(pg_get_serial_sequence('acl_change', 'seq'), {seq})"
    );
    connection.execute(AssertSqlSafe(statements)).await?;
    Ok(())
}

#[tokio::test]
async fn after_a_backup_was_put_back_no_token_of_before_counts_and_new_ones_do() -> anyhow::Result<()> {
    let town = town().await?;
    let mut connection = town.stack.database.db_connect().await?;
    let newest = "select max(seq) from acl_change";
    let backup: i64 = sqlx::query_scalar(newest).fetch_one(&mut connection).await?;
    // What the registry hears of, and the backup does not have.
    done(&town.stack, &["user disable bob --yes", "user enable bob"]).await?;
    let held = Held::of(&town, "admin", "platform/app").await?;
    put_back(&town.stack.database, backup).await?;
    program::until("a token of before is refused", SOON, || async {
        held.counts(&town).await.is_ok_and(|counts| !counts)
    })
    .await?;
    program::until("a new one counts", SOON, || async {
        let Ok(token) = token(&town, "admin", &password_of("admin"), "platform/app").await else {
            return false;
        };
        pull(&town.anonymous, "platform/app", &token).await.is_ok_and(|answer| answer.status == 200)
    })
    .await?;
    Ok(())
}
