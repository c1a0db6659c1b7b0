//! Users of an LDAP directory log in with their password there.
//!
//! *Invariant:* nobody is let in whose password the directory did not find right for the one entry of that name, and
//! nobody who has a password here is touched by what the directory has or says.

use std::io::Write as _;
use std::time::Duration;

use harness::answer::Answer;
use harness::client::{OciClient, Request, basic};
use harness::directory::{Directory, dn_of, password_of, provider};
use harness::forge::claims_of;
use harness::program;
use harness::settings::SERVICE;
use harness::stack::{self, Stack, StackOptions};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use tokio::process::Command;

/// The doors by which a password comes in.
#[derive(Clone, Copy, Debug)]
enum Way {
    Get,
    Post,
    Api,
    OwnPassword,
}

const WAYS: [Way; 4] = [Way::Get, Way::Post, Way::Api, Way::OwnPassword];

/// A stack with the team `platform` that may write below `platform/`, and these settings of providers.
pub(crate) async fn stack_with(settings: String) -> anyhow::Result<Stack> {
    let stack = Stack::with(StackOptions { token_server_more: settings, ..StackOptions::default() }).await?;
    stack.add_team("platform", &[]).await?;
    stack.grant("team:platform", "writer", "platform/**").await?;
    Ok(stack)
}

/// The same beside a directory, with more keys of it.
pub(crate) async fn start(more: &str) -> anyhow::Result<(Directory, Stack)> {
    let directory = Directory::start().await?;
    let stack = stack_with(directory.settings(more)).await?;
    Ok((directory, stack))
}

async fn send(stack: &Stack, way: Way, user: &str, password: &str) -> anyhow::Result<Answer> {
    let url = stack.token_server_url();
    let with = |request: Request| request.header(AUTHORIZATION, basic(user, password));
    let form = [("grant_type", "password"), ("service", SERVICE), ("username", user), ("password", password)];
    let request = match way {
        Way::Get => with(Request::get(format!("{url}/token?service={SERVICE}"))),
        Way::Post => Request::new(Method::POST, format!("{url}/token"))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish()),
        Way::Api => with(Request::get(format!("{url}/api/v1/account"))),
        Way::OwnPassword => with(Request::new(Method::PUT, format!("{url}/api/v1/account/password")))
            .header(CONTENT_TYPE, "application/json")
            .body(r#"{"password":"an entirely new one"}"#),
    };
    stack.anonymous()?.raw(&request).await
}

/// Asks for a token with a password.
pub(crate) async fn log_in(stack: &Stack, user: &str, password: &str) -> anyhow::Result<Answer> {
    send(stack, Way::Get, user, password).await
}

/// Why the last login was refused, as it was recorded.
async fn last_refusal(stack: &Stack) -> anyhow::Result<String> {
    let rows = stack.database.db_audit_of("login").await?;
    let refused = rows.iter().rev().find(|row| row.outcome == "refused");
    Ok(refused.and_then(|row| row.reason.clone()).unwrap_or_default())
}

#[tokio::test]
async fn somebody_of_the_directory_logs_in_by_every_door_and_becomes_a_user() -> anyhow::Result<()> {
    let (_directory, stack) = start("").await?;
    let body = log_in(&stack, "Alice", &password_of("alice")).await?.expect(200)?.json()?;
    assert_eq!(claims_of(body["token"].as_str().unwrap_or_default())?["sub"], "alice");
    for (way, status) in [(Way::Post, 200), (Way::Api, 200), (Way::OwnPassword, 409)] {
        let answer = send(&stack, way, "alice", &password_of("alice")).await?.expect(status)?;
        assert!(status == 200 || answer.text().contains("kept in a directory; change it there"), "{answer}");
    }
    let rows = stack.database.db_audit().await?;
    let told: Vec<_> = rows.iter().map(harness::audit::AuditRow::summary).collect();
    assert!(told.contains(&["user_added", "system", "alice", "allowed", "from corp"]), "{told:?}");
    assert!(told.contains(&["login", "alice", "alice", "allowed", "directory_password"]), "{told:?}");
    let client = OciClient::new(&stack.registry_url(), "alice", &password_of("alice"))?;
    client.login().await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn who_may_not_log_in_learns_nothing_and_is_recorded_with_the_reason() -> anyhow::Result<()> {
    let (_directory, stack) = start("").await?;
    log_in(&stack, "carol", &password_of("carol")).await?.expect(200)?;
    stack.operator(&["user", "disable", "carol", "--yes"], "").await?.success()?;
    let mut answers = Vec::new();
    for (user, password, reason) in [
        ("alice", "wrong".to_owned(), "wrong_password"),
        ("nobody-of-that-name", "wrong".to_owned(), "unknown_user"),
        ("carol", password_of("carol"), "disabled_user"),
    ] {
        let before = stack.token_server.hash_runs();
        let answer = log_in(&stack, user, &password).await?.expect_error(401, "UNAUTHORIZED")?;
        assert_eq!(stack.token_server.hash_runs() - before, 1, "{user}: the work for nobody is done too");
        assert_eq!(last_refusal(&stack).await?, reason, "{user}");
        answers.push(answer.text());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    Ok(())
}

#[tokio::test]
async fn with_tls_a_directory_is_believed_by_its_own_authority_alone() -> anyhow::Result<()> {
    let directory = Directory::start().await?;
    let (authority, other) = (directory.authority(), directory.other_authority());
    let ca = |file: &std::path::Path| format!("      cafile: {}\n", file.display());
    let start_tls = "      starttls: true\n";
    for (url, more, status) in [
        (directory.tls_url(), ca(&authority), 200),
        (directory.url(), ca(&authority) + start_tls, 200),
        (directory.tls_url(), ca(&other), 503),
        (directory.url(), ca(&other) + start_tls, 503),
        (directory.tls_url(), String::new(), 503),
        // The certificate is for an address and not for this name.
        (directory.tls_url().replace("127.0.0.1", "localhost"), ca(&authority), 503),
    ] {
        let stack = stack_with(provider("corp", &url, &more)).await?;
        let answer = log_in(&stack, "alice", &password_of("alice")).await?;
        assert_eq!(answer.status, status, "{url} {more}: {answer}");
    }
    Ok(())
}

#[tokio::test]
async fn without_a_password_nobody_is_asked_for_one() -> anyhow::Result<()> {
    let (directory, stack) = start("").await?;
    // The directory itself says yes.
    let mut whoami = Command::new(program::find("ldapwhoami", "ldap-utils")?);
    whoami.args(["-x", "-H", &directory.url(), "-D", &dn_of("alice"), "-w", ""]);
    program::run(&mut whoami, "").await?.success()?;
    for password in ["", "\0", "\0anything"] {
        for way in [Way::Get, Way::Post, Way::Api] {
            let answer = send(&stack, way, "alice", password).await?;
            assert_eq!(answer.status, 401, "{way:?} {password:?}: {answer}");
        }
    }
    let users = stack.operator(&["user", "list"], "").await?.success()?;
    assert!(!users.text.contains("alice"), "{}", users.text);
    Ok(())
}

#[tokio::test]
async fn what_is_typed_as_a_name_is_a_name_and_no_filter() -> anyhow::Result<()> {
    let (_directory, stack) = start("").await?;
    let right = password_of("alice");
    for name in [
        "*",
        "al*",
        "alice)(uid=*",
        "alice)(|(uid=*)",
        "*)(uid=alice",
        "alice\0",
        "alice\\",
        "\\61lice",
        "älice",
        "ａlice",
        "al\u{ad}ice",
        " alice",
        "alice ",
    ] {
        let answer = send(&stack, Way::Post, name, &right).await?;
        assert_eq!(answer.status, 401, "{name:?}: {answer}");
        assert_eq!(last_refusal(&stack).await?, "unknown_user", "{name:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_name_of_two_entries_is_nobodys() -> anyhow::Result<()> {
    let (directory, stack) = start("      userfilter: (|(uid={user})(sn={user}))\n").await?;
    log_in(&stack, "alice", &password_of("alice")).await?.expect(200)?;
    directory.modify(&format!("dn: {}\nchangetype: modify\nreplace: sn\nsn: bob\n", dn_of("alice"))).await?;
    log_in(&stack, "bob", &password_of("bob")).await?.expect_error(401, "UNAUTHORIZED")?;
    assert_eq!(last_refusal(&stack).await?, "several_in_directory");
    Ok(())
}

#[tokio::test]
async fn guesses_are_counted_by_every_door_also_of_names_that_nobody_has() -> anyhow::Result<()> {
    let (_directory, stack) = start("").await?;
    for user in ["alice", "nobody-of-that-name"] {
        let mut checked = 0;
        for number in 0..16 {
            let answer = send(&stack, WAYS[number % WAYS.len()], user, &format!("guess-{number}")).await?;
            checked += usize::from(answer.status == 401);
        }
        assert_eq!(checked, 11, "{user}: ten are free, and one may be tried before it is waited for");
        for way in WAYS {
            // The right one has to wait as well where somebody guesses.
            send(&stack, way, user, &password_of("alice")).await?.expect(429)?;
        }
    }
    stack.clock.advance(Duration::from_mins(15));
    log_in(&stack, "alice", &password_of("alice")).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn who_has_a_password_here_logs_in_with_that_one_whatever_the_directory_has() -> anyhow::Result<()> {
    let (mut directory, stack) = start("").await?;
    stack.add_user("alice").await?;
    log_in(&stack, "alice", &stack::password_of("alice")).await?.expect(200)?;
    log_in(&stack, "alice", &password_of("alice")).await?.expect_error(401, "UNAUTHORIZED")?;
    directory.stop();
    stack.clock.advance(Duration::from_mins(2));
    log_in(&stack, "alice", &stack::password_of("alice")).await?.expect(200)?;
    log_in(&stack, "alice", "wrong").await?.expect_error(401, "UNAUTHORIZED")?;
    let linked = stack.database.db_audit_of("identity_linked").await?;
    assert!(linked.is_empty(), "{linked:?}");
    Ok(())
}

#[tokio::test]
async fn newcomers_wait_or_are_refused_as_the_settings_say() -> anyhow::Result<()> {
    let directory = Directory::start().await?;
    let settings = |policy: &str| directory.settings("").replace("newusers: create", policy);
    let stack = stack_with(settings("newusers: ask")).await?;
    let answer = log_in(&stack, "alice", &password_of("alice")).await?.expect_error(401, "UNAUTHORIZED")?;
    assert!(answer.text().contains("an administrator has to let you in"), "{answer}");
    let answer = log_in(&stack, "alice", "wrong").await?.expect_error(401, "UNAUTHORIZED")?;
    assert!(answer.text().contains("wrong user name or password"), "{answer}");
    let stack = stack_with(settings("newusers: refuse")).await?;
    let answer = log_in(&stack, "alice", &password_of("alice")).await?.expect_error(401, "UNAUTHORIZED")?;
    assert!(answer.text().contains("wrong user name or password"), "{answer}");
    assert_eq!(last_refusal(&stack).await?, "unknown_identity");
    Ok(())
}

#[tokio::test]
async fn a_directory_that_is_away_stops_only_those_whom_it_alone_knows() -> anyhow::Result<()> {
    let (mut directory, stack) = start("").await?;
    stack.add_user("dora").await?;
    log_in(&stack, "alice", &password_of("alice")).await?.expect(200)?;
    directory.stop();
    for number in 0..20 {
        // However often somebody tries meanwhile, it was no guess.
        let answer = log_in(&stack, "bob", &format!("try {number}")).await?.expect(503)?;
        assert!(answer.text().contains("the directory that knows your password does not answer"), "{answer}");
        assert!(answer.header("retry-after").is_some(), "{answer}");
    }
    log_in(&stack, "dora", &stack::password_of("dora")).await?.expect(200)?;
    log_in(&stack, "alice", &password_of("alice")).await?.expect(200)?;
    log_in(&stack, "alice", "wrong").await?.expect(503)?;
    stack.clock.advance(Duration::from_mins(2));
    log_in(&stack, "alice", &password_of("alice")).await?.expect(503)?;
    directory.restart().await?;
    log_in(&stack, "alice", &password_of("alice")).await?.expect(200)?;
    log_in(&stack, "bob", &password_of("bob")).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_right_password_is_not_asked_about_again_for_a_minute() -> anyhow::Result<()> {
    let (directory, stack) = start("").await?;
    log_in(&stack, "alice", &password_of("alice")).await?.expect(200)?;
    let change =
        format!("dn: {}\nchangetype: modify\nreplace: userPassword\nuserPassword: new\n", dn_of("alice"));
    directory.modify(&change).await?;
    log_in(&stack, "alice", &password_of("alice")).await?.expect(200)?;
    log_in(&stack, "alice", "new").await?.expect(200)?;
    stack.clock.advance(Duration::from_mins(1));
    log_in(&stack, "alice", &password_of("alice")).await?.expect_error(401, "UNAUTHORIZED")?;
    Ok(())
}

#[tokio::test]
async fn a_connection_that_was_closed_is_made_again_and_the_next_address_is_asked() -> anyhow::Result<()> {
    let mut directory = Directory::start().await?;
    let nowhere = format!("ldap://127.0.0.1:{}", program::free_port()?);
    let stack = stack_with(provider("corp", &format!("{nowhere}, {}", directory.url()), "")).await?;
    log_in(&stack, "alice", &password_of("alice")).await?.expect(200)?;
    directory.restart().await?;
    log_in(&stack, "bob", &password_of("bob")).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn one_that_says_nothing_is_given_up_and_nonsense_is_no_answer() -> anyhow::Result<()> {
    let directory = Directory::start().await?;
    // It takes connections and never says anything on them.
    let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    let silent = format!("ldap://{}", silent.local_addr()?);
    let timeout = "      timeout: 300ms\n";
    let stack = stack_with(provider("corp", &silent, timeout)).await?;
    log_in(&stack, "alice", &password_of("alice")).await?.expect(503)?;
    let stack = stack_with(provider("corp", &format!("{silent}, {}", directory.url()), timeout)).await?;
    log_in(&stack, "alice", &password_of("alice")).await?.expect(200)?;
    let babbling = std::net::TcpListener::bind("127.0.0.1:0")?;
    let url = format!("ldap://{}", babbling.local_addr()?);
    std::thread::spawn(move || {
        for connection in babbling.incoming() {
            // An answer to the first question that has nothing in it.
            let _ =
                connection.and_then(|mut connection| connection.write_all(b"\x30\x05\x02\x01\x01\x61\x00"));
        }
    });
    let stack = stack_with(provider("corp", &url, "")).await?;
    stack.add_user("dora").await?;
    log_in(&stack, "alice", &password_of("alice")).await?.expect(503)?;
    log_in(&stack, "dora", &stack::password_of("dora")).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn many_first_logins_at_once_are_one_user() -> anyhow::Result<()> {
    let (_directory, stack) = start("").await?;
    let password = password_of("alice");
    let logins = (0..30).map(|_| log_in(&stack, "alice", &password));
    for answer in futures_util::future::try_join_all(logins).await? {
        answer.expect(200)?;
    }
    assert_eq!(stack.database.db_audit_of("user_added").await?.len(), 1);
    assert_eq!(stack.database.db_audit_of("identity_linked").await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn directories_are_asked_in_the_order_of_their_names_until_one_says_yes() -> anyhow::Result<()> {
    let (one, mut other) = (Directory::start().await?, Directory::start().await?);
    other.add_person("dora").await?;
    one.add_person("dora").await?;
    let change =
        format!("dn: {}\nchangetype: modify\nreplace: userPassword\nuserPassword: first\n", dn_of("dora"));
    one.modify(&change).await?;
    let second = provider("zeta", &other.url(), "").replacen("signon:\n  providers:\n", "", 1);
    let stack = stack_with(one.settings("") + &second).await?;
    log_in(&stack, "dora", &password_of("dora")).await?.expect(200)?;
    // The name is that of somebody else now, who is nobody until an administrator says so.
    let answer = log_in(&stack, "dora", "first").await?.expect_error(401, "UNAUTHORIZED")?;
    assert!(answer.text().contains("an administrator has to let you in"), "{answer}");
    other.stop();
    // Whose it is cannot be said while one of them is away, and what the other one says is a guess all the same.
    for number in 0..11 {
        log_in(&stack, "alice", &format!("guess {number}")).await?.expect(503)?;
    }
    log_in(&stack, "alice", "another guess").await?.expect(429)?;
    Ok(())
}

#[tokio::test]
async fn no_password_is_in_a_log_or_a_record() -> anyhow::Result<()> {
    let mut directory = Directory::start().await?;
    let options = StackOptions {
        processes: true,
        token_server_more: directory.settings("") + "log:\n  level: debug\n",
        ..StackOptions::default()
    };
    let mut stack = Stack::with(options).await?;
    log_in(&stack, "alice", &password_of("alice")).await?.expect(200)?;
    log_in(&stack, "alice", "a canary that is wrong").await?.expect(401)?;
    log_in(&stack, "a-canary-as-a-name", &password_of("bob")).await?.expect(401)?;
    directory.stop();
    log_in(&stack, "bob", &password_of("bob")).await?.expect(503)?;
    let log = stack.token_server.process()?.log()?;
    assert!(log.contains("the directory does not say whether a password is right"), "{log}");
    let record = stack.database.db_audit_text().await?;
    for (what, text) in [("log", log), ("record", record)] {
        assert!(!text.contains("canary"), "the {what} has it: {text}");
    }
    Ok(())
}
