//! The login door under pressure: floods, races, and what they leave behind.
//!
//! Work is counted and not timed.
//!
//! *Invariant:* strangers can neither make the server hash more than it admitted, nor fill its database, nor get in
//! through a change that happened while they waited.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use harness::answer::Answer;
use harness::client::{OciClient, Request, basic};
use harness::edited::TokenServer;
use harness::settings::{PEER_SERVICE, SERVICE};
use harness::stack::password_of;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use shared::secret::Secret;
use token_server::domain::login::password::HashingError;
use url::form_urlencoded;

/// One check at a time, and this many in all.
const FEW: &str = "passwords:\n  concurrency: 1\n  queue: 8\n";
/// One check at a time, and one that waits.
const ONE_WAITS: &str = "passwords:\n  concurrency: 1\n  queue: 1\n";
/// The work of two hundred checks in one: many seconds, in which an operator gets something done.
const SLOW_HASH: &str =
    "$argon2id$v=19$m=19456,t=400,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

struct Door {
    server: TokenServer,
    client: OciClient,
}

impl Door {
    async fn open(more: &str) -> anyhow::Result<Self> {
        let server = TokenServer::start(more, &[]).await?;
        for user in ["alice", "bob"] {
            server.add_user(user).await?;
        }
        let client = OciClient::anonymous(&server.url())?;
        Ok(Self { server, client })
    }

    async fn get(&self, user: &str, password: &str, more: &[(&str, &str)]) -> anyhow::Result<Answer> {
        let target = format!("/token?{}", encoded(&[&[("service", SERVICE)], more].concat()));
        self.client.raw(&Request::get(target).header(AUTHORIZATION, basic(user, password))).await
    }

    async fn post(&self, pairs: &[(&str, &str)]) -> anyhow::Result<Answer> {
        let request = Request::new(Method::POST, "/token")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(encoded(pairs));
        self.client.raw(&request).await
    }

    async fn login(&self, user: &str) -> anyhow::Result<Answer> {
        self.get(user, &password_of(user), &[]).await
    }

    /// Rows of the audit record with this event and outcome.
    async fn rows(&self, event: &str, outcome: &str) -> anyhow::Result<usize> {
        let rows = self.server.database().db_audit_of(event).await?;
        Ok(rows.iter().filter(|row| row.outcome == outcome).count())
    }
}

fn encoded(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

#[tokio::test]
async fn a_flood_of_wrong_logins_costs_what_was_admitted_and_keeps_nobody_out() -> anyhow::Result<()> {
    let door = Door::open(FEW).await?;
    let before = door.server.hasher.runs();
    // So few of each that nobody has to wait for that.
    let user = |number| match number {
        0..5 => "alice".to_owned(),
        5..10 => "bob".to_owned(),
        _ => format!("nobody-{number}"),
    };
    let tries = (0..200).map(|number| {
        let door = &door;
        async move {
            let (user, password) = (user(number), format!("wrong password {number}"));
            if number % 2 == 0 {
                return door.get(&user, &password, &[]).await;
            }
            let grant = ("grant_type", "password");
            door.post(&[grant, ("service", SERVICE), ("username", &user), ("password", &password)]).await
        }
    });
    let (mut refused, mut postponed) = (0, 0);
    for answer in join_all(tries).await {
        let answer = answer?;
        if answer.status == 503 {
            answer.needs_header("retry-after")?.parse::<u32>()?;
            postponed += 1;
        } else {
            answer.expect_error(401, "UNAUTHORIZED")?;
            refused += 1;
        }
    }
    assert_eq!(
        door.server.hasher.runs() - before,
        refused,
        "every refusal was one check, and nothing else was"
    );
    assert!(postponed > 0, "two hundred logins at once are more than nine places");
    door.login("alice").await?.expect(200)?;
    door.login("bob").await?.expect(200)?;
    Ok(())
}

/// Logs alice in with her right password, and changes her while that waits for its check. Returns the answer.
async fn login_during(change: &[&str], input: &str) -> anyhow::Result<()> {
    let door = Door::open(ONE_WAITS).await?;
    let hasher = door.server.hasher.clone();
    // Somebody else's check takes the one place there is, for seconds.
    let slow = tokio::spawn(async move { hasher.verify(&Secret::new("wrong"), Some(SLOW_HASH), None).await });
    let hasher = &door.server.hasher;
    harness::program::until("the slow check runs", Duration::from_secs(20), || async { hasher.runs() == 1 })
        .await?;
    let answer = async {
        loop {
            let answer = door.login("alice").await?;
            // The one place may have been taken by the look below.
            if answer.status != 503 {
                return anyhow::Ok(answer);
            }
        }
    };
    let during = async {
        // A check that finds no place answers at once; one that finds a place is given up before it begins.
        let full = || async {
            let secret = Secret::new("wrong");
            let look = hasher.verify(&secret, None, None).now_or_never();
            look == Some(Err(HashingError::Busy))
        };
        harness::program::until("alice waits", Duration::from_secs(20), full).await?;
        door.server.operator(change, input).await?;
        anyhow::ensure!(hasher.runs() == 1, "alice's check began before the change was made");
        anyhow::Ok(())
    };
    let (answer, during) = tokio::join!(answer, during);
    during?;
    let answer = answer?.expect_error(401, "UNAUTHORIZED")?;
    assert!(!answer.text().contains("eyJ"), "{answer}");
    assert_eq!(slow.await?, Ok(false));
    assert_eq!(hasher.runs(), 2, "her password was checked, and was right when it was read");
    assert_eq!(door.rows("login", "allowed").await?, 0);
    // Neither is she remembered.
    door.login("alice").await?.expect_error(401, "UNAUTHORIZED")?;
    Ok(())
}

#[tokio::test]
async fn a_user_who_is_disabled_while_the_password_waits_gets_no_token() -> anyhow::Result<()> {
    login_during(&["user", "disable", "alice", "--yes"], "").await
}

#[tokio::test]
async fn a_user_whose_password_changes_while_the_old_one_waits_gets_no_token() -> anyhow::Result<()> {
    login_during(&["user", "password", "alice", "--password-stdin", "--yes"], "another long password\n").await
}

#[tokio::test]
async fn parallel_wrong_tries_leave_one_row_a_minute() -> anyhow::Result<()> {
    let door = Door::open("").await?;
    for minute in 1..=2 {
        // Few enough that nobody has to wait, and each many times.
        let passwords: Vec<_> = (0..60).map(|number| format!("wrong password {}", number % 4)).collect();
        for answer in join_all(passwords.iter().map(|password| door.get("alice", password, &[]))).await {
            answer?.expect_error(401, "UNAUTHORIZED")?;
        }
        assert_eq!(door.rows("login", "refused").await?, minute, "one row for each minute");
        door.server.clock.advance(Duration::from_mins(1));
    }
    // Another name is another matter, and so is success.
    door.get("bob", "wrong password", &[]).await?.expect(401)?;
    door.login("alice").await?.expect(200)?;
    let rows = door.server.database().db_audit_of("login").await?;
    let told: Vec<_> = rows.iter().map(|row| (row.target.as_str(), row.outcome.as_str())).collect();
    assert_eq!(told, [("alice", "refused"), ("alice", "refused"), ("bob", "refused"), ("alice", "allowed")]);
    Ok(())
}

#[tokio::test]
async fn wrong_tries_with_ever_new_names_leave_a_bounded_number_of_rows() -> anyhow::Result<()> {
    // The limit of a minute, of which the tries can touch two.
    const LIMIT: usize = 2 * 600;
    let door = Door::open("").await?;
    // Too long to be hashed, and therefore as quick as anybody can send it.
    let password = "x".repeat(1025);
    let names: Vec<_> = (0..2 * LIMIT).map(|number| format!("nobody-{number}")).collect();
    for chunk in names.chunks(100) {
        for answer in join_all(chunk.iter().map(|name| door.get(name, &password, &[]))).await {
            answer?.expect_error(401, "UNAUTHORIZED")?;
        }
    }
    assert_eq!(door.server.hasher.runs(), 0);
    let rows = door.rows("login", "refused").await?;
    assert!((1..=LIMIT).contains(&rows), "{rows} rows");
    // Who really logs in is recorded all the same.
    door.login("alice").await?.expect(200)?;
    assert_eq!(door.rows("login", "allowed").await?, 1);
    Ok(())
}

#[tokio::test]
async fn parallel_tries_with_what_is_no_refresh_token_leave_one_row() -> anyhow::Result<()> {
    let door = Door::open("").await?;
    let tries = (0..100).map(|number| {
        let (door, token) = (&door, format!("wrong-{number}"));
        async move {
            door.post(&[("grant_type", "refresh_token"), ("service", SERVICE), ("refresh_token", &token)])
                .await
        }
    });
    for answer in join_all(tries).await {
        answer?.expect_error(401, "UNAUTHORIZED")?;
    }
    assert_eq!(door.rows("login", "refused").await?, 1);
    Ok(())
}

#[tokio::test]
async fn anonymous_refusals_leave_one_row_for_each_address_and_minute() -> anyhow::Result<()> {
    let door = Door::open("").await?;
    let door = Arc::new(door);
    for minute in 1..=2_usize {
        for hundred in 0..10 {
            let asked = (0..100).map(|number| {
                let (door, name) = (door.clone(), uuid::Uuid::new_v4().simple().to_string());
                async move {
                    let scope = format!("repository:private/{name}-{hundred}-{number}:pull");
                    let query = encoded(&[("service", SERVICE), ("scope", &scope)]);
                    door.client.raw(&Request::get(format!("/token?{query}"))).await
                }
            });
            for answer in join_all(asked).await {
                answer?.expect(200)?;
            }
        }
        assert_eq!(door.rows("scopes_refused", "refused").await?, minute, "one row for each minute");
        door.server.clock.advance(Duration::from_mins(1));
    }
    Ok(())
}

#[tokio::test]
async fn a_user_keeps_a_bounded_number_of_logins_and_the_newest_work() -> anyhow::Result<()> {
    const KEPT: i64 = 100;
    let door = Door::open("").await?;
    let offline = [("offline_token", "true"), ("client_id", "docker")];
    let token_of = |answer: &Answer| -> anyhow::Result<String> {
        let body = answer.json()?;
        Ok(body["refresh_token"].as_str().unwrap_or_default().to_owned())
    };
    let bobs = token_of(&door.get("bob", &password_of("bob"), &offline).await?.expect(200)?)?;
    let mut tokens = Vec::new();
    for _ in 0..KEPT + 5 {
        let answer = door.get("alice", &password_of("alice"), &offline).await?.expect(200)?;
        tokens.push(token_of(&answer)?);
        door.server.clock.advance(Duration::from_secs(1));
    }
    let other = [("service", PEER_SERVICE), ("offline_token", "true"), ("client_id", "docker")];
    let query = encoded(&other);
    let request =
        Request::get(format!("/token?{query}")).header(AUTHORIZATION, basic("alice", &password_of("alice")));
    door.client.raw(&request).await?.expect(200)?;

    let mut connection = door.server.database().db_connect().await?;
    let count = "select count(*) from refresh_token r join principal p using (pid) \
                 where p.name = 'alice' and r.audience = $1";
    for (audience, expected) in [(SERVICE, KEPT), (PEER_SERVICE, 1)] {
        let kept: i64 = sqlx::query_scalar(count).bind(audience).fetch_one(&mut connection).await?;
        assert_eq!(kept, expected, "logins at {audience}");
    }
    for (token, status) in
        [(&tokens[0], 401), (&tokens[4], 401), (&tokens[5], 200), (&tokens[104], 200), (&bobs, 200)]
    {
        let pairs = [("grant_type", "refresh_token"), ("service", SERVICE), ("refresh_token", token)];
        door.post(&pairs).await?.expect(status)?;
    }
    let issued = door.server.database().db_audit_of("refresh_token_issued").await?;
    assert_eq!(issued.len(), tokens.len() + 2);
    assert!(issued.iter().all(|row| row.outcome == "allowed" && row.actor_is_known), "{issued:?}");
    Ok(())
}

#[tokio::test]
async fn the_password_of_one_is_no_key_to_another() -> anyhow::Result<()> {
    let door = Door::open("").await?;
    let alices = password_of("alice");
    let offline = [("offline_token", "true"), ("client_id", "docker")];
    let body = door.get("alice", &alices, &offline).await?.expect(200)?.json()?;
    let refresh = body["refresh_token"].as_str().unwrap_or_default().to_owned();
    let form = |more: &[(&'static str, &'static str)]| -> Vec<(&'static str, &'static str)> {
        [&[("service", SERVICE), ("client_id", "docker")], more].concat()
    };
    door.get("alice", &alices, &[("account", "bob")]).await?.expect_error(401, "UNAUTHORIZED")?;
    door.get("bob", &alices, &[]).await?.expect_error(401, "UNAUTHORIZED")?;
    door.get("bob", &alices, &[("account", "alice")]).await?.expect_error(401, "UNAUTHORIZED")?;
    door.get("", &refresh, &[("account", "bob")]).await?.expect_error(401, "UNAUTHORIZED")?;
    door.get("bob", &refresh, &[]).await?.expect_error(401, "UNAUTHORIZED")?;
    for pairs in [
        form(&[("grant_type", "password"), ("username", "alice"), ("account", "bob")]),
        form(&[("grant_type", "password"), ("username", "bob")]),
    ] {
        let pairs = [pairs.as_slice(), &[("password", alices.as_str())]].concat();
        door.post(&pairs).await?.expect_error(401, "UNAUTHORIZED")?;
    }
    let pairs = [
        form(&[("grant_type", "refresh_token"), ("account", "bob")]).as_slice(),
        &[("refresh_token", refresh.as_str())],
    ]
    .concat();
    door.post(&pairs).await?.expect_error(401, "UNAUTHORIZED")?;
    // What was refused was the name.
    door.get("alice", &alices, &[("account", "alice")]).await?.expect(200)?;
    door.get("", &refresh, &[("account", "alice")]).await?.expect(200)?;
    Ok(())
}
