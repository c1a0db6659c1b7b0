//! The command lines of both servers: what each command of the manuals does, prints and exits with.
//!
//! *Invariant:* 0 done or yes, 1 the answer is no, 2 wrong usage or nobody to ask, 3 not there or there already,
//! 4 refused or failed; and a command that did not end with 0 has changed nothing.

use harness::actors::Town;
use harness::client::Request;
use harness::database::Database;
use harness::program::{self, Said};
use harness::server::Which;
use harness::settings::KEYS_PATH;
use harness::stack::{Stack, password_of};
use tokio::process::Command;

use crate::rights::done;

/// Runs a command without a server or settings around it.
pub(crate) async fn run_alone(which: Which, words: &[&str]) -> anyhow::Result<Said> {
    program::run(Command::new(which.binary()?).args(words), "").await
}

/// Runs a command at a terminal, with somebody who types this.
async fn at_a_terminal(stack: &Stack, words: &[&str], typed: &str) -> anyhow::Result<Said> {
    let (binary, settings) = (Which::TokenServer.binary()?, stack.token_server_settings());
    let words: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
    let line = format!("'{}' --config '{}' {}", binary.display(), settings.display(), words.join(" "));
    let mut command = Command::new(program::find("script", "bsdutils")?);
    program::run(command.args(["--quiet", "--return", "--command", &line, "/dev/null"]), typed).await
}

/// The rows of a listing without its header, each as its words.
fn rows(said: &Said) -> Vec<Vec<&str>> {
    said.output.lines().skip(1).map(|line| line.split_whitespace().collect()).collect()
}

async fn expect_code(stack: &Stack, words: &[&str], code: i32) -> anyhow::Result<String> {
    let said = stack.operator(words, "").await?;
    anyhow::ensure!(said.code == Some(code), "{words:?} ended with {:?}: {}", said.code, said.text);
    // Standard output is for answers; what went wrong is a sentence on standard error.
    anyhow::ensure!(code == 0 || (said.output.is_empty() && !said.text.is_empty()), "{words:?}: {said:?}");
    Ok(said.text)
}

/// Everything an operator can list.
async fn listings(stack: &Stack) -> anyhow::Result<String> {
    let mut text = String::new();
    for what in ["user", "team", "grant"] {
        text.push_str(&stack.operator(&[what, "list"], "").await?.success()?.output);
    }
    Ok(text)
}

#[tokio::test]
async fn users_teams_and_grants_are_listed_a_line_each() -> anyhow::Result<()> {
    let town = Town::start().await?;
    town.stack.operator(&["user", "disable", "bob", "--yes"], "").await?.success()?;
    let users = town.stack.operator(&["user", "list"], "").await?.success()?;
    let users: Vec<_> = rows(&users).iter().map(|row| (row[0], row[1], row[row.len() - 1])).collect();
    assert_eq!(users, [("admin", "active", "-"), ("alice", "active", "platform"), ("bob", "disabled", "-")]);
    let teams = town.stack.operator(&["team", "list"], "").await?.success()?;
    let teams: Vec<_> =
        rows(&teams).iter().map(|row| (row[0], row[row.len() - 2], row[row.len() - 1])).collect();
    assert_eq!(teams, [("platform", "1", "-")]);
    let members = town.stack.operator(&["team", "member", "list", "platform"], "").await?.success()?;
    let members: Vec<_> = rows(&members).iter().map(|row| row[..3].join(" ")).collect();
    assert_eq!(members, ["alice member manual"]);
    let grants = town.stack.operator(&["grant", "list"], "").await?.success()?;
    let mut grants: Vec<_> = rows(&grants).iter().map(|row| row[1..5].join(" ")).collect();
    grants.sort();
    assert_eq!(
        grants,
        [
            "everyone allow viewer public/**",
            "team:platform allow writer platform/**",
            "user:admin allow owner **"
        ]
    );
    Ok(())
}

#[tokio::test]
async fn a_right_that_is_taken_away_is_gone_with_the_next_token() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let may_push = async |client: &harness::client::OciClient| -> anyhow::Result<bool> {
        client.forget_tokens();
        let request = Request::new(reqwest::Method::POST, harness::client::uploads("platform/app"));
        Ok(client.send(&request).await?.status == 202)
    };
    let operator = async |words: &[&str]| expect_code(&town.stack, words, 0).await;
    for (take, give) in [
        (
            &["grant", "remove", "team:platform", "writer", "platform/**", "--yes"][..],
            &["grant", "add", "team:platform", "writer", "platform/**"][..],
        ),
        (
            &["team", "member", "remove", "platform", "alice", "--yes"],
            &["team", "member", "add", "platform", "alice"],
        ),
        (&["team", "remove", "platform", "--yes"], &["team", "add", "platform"]),
    ] {
        assert!(may_push(&town.alice).await?, "before {take:?}");
        operator(take).await?;
        assert!(!may_push(&town.alice).await?, "after {take:?}");
        operator(give).await?;
    }
    // A team of the same name begins with nothing.
    assert!(!may_push(&town.alice).await?);
    operator(&["team", "member", "add", "platform", "alice"]).await?;
    assert!(!may_push(&town.alice).await?);
    operator(&["grant", "add", "user:alice", "writer", "platform/app"]).await?;
    assert!(may_push(&town.alice).await?);
    Ok(())
}

#[tokio::test]
async fn what_takes_away_asks_first_and_without_a_terminal_needs_to_be_told() -> anyhow::Result<()> {
    let town = Town::start().await?;
    done(
        &town.stack,
        &[
            "namespace add shop --owner team:platform --visibility public",
            "team member change platform alice --maintainer",
        ],
    )
    .await?;
    let before = listings(&town.stack).await?;
    // Another password is typed twice, behind the answer.
    let commands: [(&[&str], &str); 8] = [
        (&["user", "disable", "alice"], ""),
        (&["user", "password", "bob"], "another password\nanother password\n"),
        (&["team", "member", "change", "platform", "alice", "--no-maintainer"], ""),
        (&["team", "member", "remove", "platform", "alice"], ""),
        (&["grant", "remove", "team:platform", "writer", "platform/**"], ""),
        (&["namespace", "change", "shop", "--visibility", "internal"], ""),
        (&["namespace", "change", "shop", "--owner", "user:bob", "--visibility", "public"], ""),
        (&["team", "remove", "platform"], ""),
    ];
    for (words, _) in commands {
        let text = expect_code(&town.stack, words, 2).await?;
        assert!(text.contains("--yes"), "{text}");
        // A script that pipes something in is not a person.
        let said = town.stack.operator(words, "y\n").await?;
        assert_eq!(said.code, Some(2), "{}", said.text);
        let said = at_a_terminal(&town.stack, words, "n\n").await?;
        assert_eq!(said.code, Some(1), "{}", said.text);
        assert!(said.text.contains("[y/N]") && said.text.contains("nothing was done"), "{}", said.text);
    }
    assert_eq!(listings(&town.stack).await?, before);
    let bob = town.stack.client("bob")?;
    bob.login().await?.expect(200)?;
    for (words, more) in commands {
        at_a_terminal(&town.stack, words, &format!("y\n{more}")).await?.success()?;
    }
    let after = listings(&town.stack).await?;
    assert!(!after.contains("platform") && after.contains("disabled"), "{after}");
    bob.forget_tokens();
    assert_eq!(bob.login().await?.status, 401);
    // What gives more asks nobody.
    done(&town.stack, &["namespace change shop --visibility private --yes"]).await?;
    done(&town.stack, &["namespace change shop --visibility internal --owner user:bob"]).await?;
    Ok(())
}

#[tokio::test]
async fn wrong_usage_is_2_and_changes_nothing() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let before = listings(&town.stack).await?;
    let cases: [(&[&str], &str); 14] = [
        (&[], "Usage"),
        (&["fly"], "fly"),
        (&["user", "add"], "NAME"),
        (&["user", "add", "carol", "--password", "secret-on-the-line"], "--password"),
        (&["user", "add", "carol"], "--password-stdin"),
        (&["user", "password", "alice", "--yes"], "--password-stdin"),
        (&["user", "add", "-carol-", "--password-stdin"], "-"),
        (&["user", "add", "carol smith", "--password-stdin"], "letter"),
        (&["user", "add", "everyone", "--password-stdin"], "reserved"),
        (&["user", "add", "carol", "--password-stdin"], "at least"),
        (&["team", "add", "a/b"], "letter"),
        (&["grant", "add", "platform", "writer", "a/**"], "team:"),
        (&["grant", "add", "team:platform", "writer", "a/[b"], "["),
        (&["key", "export", "--format", "der"], "jwks"),
    ];
    for (words, expected) in cases {
        let text = expect_code(&town.stack, words, 2).await?;
        assert!(text.contains(expected), "{words:?}: {text}");
    }
    assert_eq!(listings(&town.stack).await?, before);
    Ok(())
}

#[tokio::test]
async fn what_is_not_there_or_there_already_is_3() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let before = listings(&town.stack).await?;
    let cases: [&[&str]; 15] = [
        &["grant", "add", "team:platform", "king", "a/**"],
        &["user", "disable", "carol", "--yes"],
        &["user", "enable", "carol"],
        &["team", "add", "platform"],
        // Users and teams share one list of names.
        &["team", "add", "alice"],
        &["team", "remove", "crew", "--yes"],
        &["team", "remove", "alice", "--yes"],
        &["team", "member", "add", "platform", "alice"],
        &["team", "member", "add", "platform", "carol"],
        &["team", "member", "add", "crew", "alice"],
        &["team", "member", "remove", "platform", "bob", "--yes"],
        &["grant", "add", "team:platform", "writer", "platform/**"],
        &["grant", "add", "user:carol", "writer", "platform/**"],
        &["grant", "remove", "team:platform", "viewer", "platform/**", "--yes"],
        &["grant", "remove", "team:crew", "writer", "platform/**", "--yes"],
    ];
    for words in cases {
        expect_code(&town.stack, words, 3).await?;
    }
    for words in
        [&["user", "add", "ALICE"][..], &["user", "add", "platform"], &["user", "password", "carol", "--yes"]]
    {
        let words: Vec<_> = words.iter().copied().chain(["--password-stdin"]).collect();
        let said = town.stack.operator(&words, "a good password\n").await?;
        assert_eq!(said.code, Some(3), "{words:?}: {}", said.text);
    }
    assert_eq!(listings(&town.stack).await?, before);
    town.alice.login().await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_password_is_asked_for_twice_at_a_terminal_and_never_shown() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let password = password_of("carol");
    let words = ["user", "add", "carol"];
    let said = at_a_terminal(&stack, &words, &format!("{password}\nsomething else\n")).await?;
    assert_eq!(said.code, Some(2), "{}", said.text);
    let said = at_a_terminal(&stack, &words, &format!("{password}\n{password}\n")).await?.success()?;
    assert!(said.text.contains("Password: ") && said.text.contains("Again: "), "{}", said.text);
    stack.client("carol")?.login().await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn the_exported_key_is_the_one_that_signs() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let exported = stack.operator(&["key", "export", "--format", "jwks"], "").await?.success()?;
    let exported: serde_json::Value = serde_json::from_str(&exported.output)?;
    let url = format!("{}{KEYS_PATH}", stack.token_server_url());
    let published = stack.anonymous()?.raw(&Request::get(url)).await?.expect(200)?.json()?;
    assert_eq!(exported, published);
    let pem = stack.operator(&["key", "export", "--format", "pem"], "").await?.success()?.output;
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----\n"), "{pem}");
    assert!(pem.ends_with("-----END CERTIFICATE-----\n"), "{pem}");
    assert!(!pem.contains("PRIVATE") && pem.matches("BEGIN").count() == 1, "{pem}");
    Ok(())
}

#[tokio::test]
async fn where_commands_may_not_migrate_they_say_so_and_migrate_does() -> anyhow::Result<()> {
    let (database, folder) = (Database::create_empty().await?, tempfile::tempdir()?);
    let settings = folder.path().join("settings.yml");
    let secret = "0123456789abcdef0123456789abcdef";
    let yaml = format!("database:\n  url: {}\n  migrate: false\nsecret: {secret}\n", database.url());
    std::fs::write(&settings, yaml)?;
    let settings = settings.display().to_string();
    let command = async |words: &[&str]| {
        run_alone(Which::TokenServer, &[&["--config", &settings], words].concat()).await
    };
    for words in [&["user", "list"][..], &["serve"], &["key", "export", "--format", "pem"]] {
        let said = command(words).await?;
        assert_eq!(said.code, Some(4), "{words:?}: {}", said.text);
        assert!(said.text.contains("token-server migrate"), "{}", said.text);
    }
    let said = command(&["migrate"]).await?.success()?;
    assert!(said.text.contains("migrations applied"), "{}", said.text);
    let said = command(&["migrate"]).await?.success()?;
    assert!(said.text.contains("up to date"), "{}", said.text);
    assert_eq!(rows(&command(&["user", "list"]).await?.success()?).len(), 0);
    Ok(())
}

#[tokio::test]
async fn a_database_that_is_not_there_is_4_with_the_reason_and_without_the_password() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let settings = folder.path().join("settings.yml");
    let yaml = format!(
        "database:\n  url: postgres://someone:hush-hush@localhost/x?host={}\nsecret: {}\n",
        folder.path().display(),
        "0123456789abcdef0123456789abcdef"
    );
    std::fs::write(&settings, yaml)?;
    let settings = settings.display().to_string();
    for words in [&["user", "list"][..], &["serve"], &["migrate"]] {
        let said = run_alone(Which::TokenServer, &[&["--config", &settings], words].concat()).await?;
        assert_eq!(said.code, Some(4), "{words:?}: {}", said.text);
        assert!(said.text.contains("database is not reachable"), "{}", said.text);
        assert!(!said.text.contains("hush-hush"), "{}", said.text);
    }
    Ok(())
}

#[tokio::test]
async fn help_and_version_are_answers_and_not_errors() -> anyhow::Result<()> {
    for which in [Which::Registry, Which::TokenServer] {
        for word in ["--help", "--version"] {
            let said = run_alone(which, &[word]).await?.success()?;
            assert!(said.output.contains(which.name()), "{}", said.text);
        }
        let said = run_alone(which, &["--help"]).await?.success()?;
        assert!(said.output.to_lowercase().contains("exit codes"), "{}", said.output);
        if which == Which::TokenServer {
            assert!(said.output.contains("  4  it was refused or failed"), "{}", said.output);
        }
        let said = run_alone(which, &["--no-such-option"]).await?;
        assert_eq!((said.code, said.output.as_str()), (Some(2), ""), "{}", said.text);
    }
    Ok(())
}

#[tokio::test]
async fn the_registry_answers_to_the_words_of_the_distribution_registry() -> anyhow::Result<()> {
    let binary = Which::Registry.binary()?.display().to_string();
    for word in ["--version", "-v"] {
        let said = run_alone(Which::Registry, &[word]).await?.success()?;
        let words: Vec<_> = said.output.split(' ').collect();
        let version = concat!(env!("CARGO_PKG_VERSION"), "\n");
        assert_eq!(words, [binary.as_str(), "portcullis/registry", version]);
    }
    let help = run_alone(Which::Registry, &["help"]).await?.success()?;
    for command in ["serve", "garbage-collect", "reindex", "check-config", "example-config"] {
        assert!(help.output.contains(&format!("\n  {command} ")), "{}", help.output);
        let long = run_alone(Which::Registry, &["help", command]).await?.success()?;
        assert!(long.output.contains(&format!("Usage: registry {command}")), "{}", long.output);
        let short = run_alone(Which::Registry, &[command, "-h"]).await?.success()?;
        assert!(short.output.contains(&format!("Usage: registry {command}")), "{}", short.output);
    }
    for words in [&[][..], &["--nope"], &["nope"], &["help", "nope"], &["garbage-collect", "--nope"]] {
        let said = run_alone(Which::Registry, words).await?;
        assert_eq!((said.code, said.output.as_str()), (Some(2), ""), "{words:?}: {}", said.text);
        assert!(
            said.text.contains("Usage: registry") || words == ["help", "nope"],
            "{words:?}: {}",
            said.text
        );
    }
    Ok(())
}

#[tokio::test]
async fn programs_get_the_same_lists_and_answers_as_json() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let json = async |words: &[&str]| -> anyhow::Result<(serde_json::Value, Option<i32>)> {
        let said = town.stack.operator(&[words, &["--output", "json"]].concat(), "").await?;
        Ok((serde_json::from_str(&said.output)?, said.code))
    };
    town.stack
        .operator(
            &["grant", "add", "user:bob", "writer", "a", "--tags", "pr-*", "--network", "192.0.2.0/24"],
            "",
        )
        .await?
        .success()?;
    let (users, _) = json(&["user", "list"]).await?;
    assert_eq!(users[1]["name"], "alice");
    assert_eq!(
        (&users[1]["teams"], &users[1]["disabled_at"]),
        (&serde_json::json!(["platform"]), &serde_json::Value::Null)
    );
    let (teams, _) = json(&["team", "list"]).await?;
    assert_eq!((&teams[0]["name"], &teams[0]["member_count"]), (&"platform".into(), &1.into()));
    let (members, _) = json(&["team", "member", "list", "platform"]).await?;
    assert_eq!((&members[0]["member"], &members[0]["maintainer"]), (&"alice".into(), &false.into()));
    let (grants, _) = json(&["grant", "list"]).await?;
    let of_bob = grants.as_array().into_iter().flatten().find(|grant| grant["subject"] == "user:bob");
    let of_bob = of_bob.ok_or_else(|| anyhow::anyhow!("no grant of bob in {grants}"))?;
    assert_eq!((&of_bob["role"], &of_bob["tags"]), (&"writer".into(), &"pr-*".into()));
    assert_eq!(of_bob["networks"], serde_json::json!(["192.0.2.0/24"]));
    let (answer, code) = json(&["explain", "user:bob", "push", "a:pr-1"]).await?;
    assert_eq!((code, &answer["allowed"]), (Some(1), &false.into()));
    assert_eq!(answer["rows"][0]["why_not"], "elsewhere");
    let (answer, code) = json(&["explain", "user:bob", "push", "a:pr-1", "--address", "192.0.2.9"]).await?;
    assert_eq!((code, &answer["actions"]), (Some(0), &serde_json::json!(["tag-create", "tag-update"])));
    let others = ["distribution2", "distribution3"];
    let withheld = serde_json::json!([{"actions": ["push"], "reason": "unenforceable", "verifiers": others}]);
    assert_eq!(answer["withheld"], withheld);
    let (answer, code) = json(&["who-can", "push", "platform/app"]).await?;
    assert_eq!((code, &answer[1]["subject"]), (Some(0), &"user:alice".into()));
    let said = town.stack.operator(&["completions", "bash"], "").await?.success()?;
    assert!(said.output.contains("who-can"), "{}", said.output);
    Ok(())
}

#[tokio::test]
async fn whoever_stops_reading_hears_no_complaint() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let (binary, settings) = (Which::TokenServer.binary()?, town.stack.token_server_settings());
    for words in ["user list", "audit export", "explain user:alice push platform/app", "completions bash"] {
        // A pipe that nobody reads from: the reader has ended before the command begins.
        let line = format!(
            "(sleep 0.2; '{}' --config '{}' {words}; echo $? >&2) | true",
            binary.display(),
            settings.display()
        );
        let said = program::run(Command::new("sh").args(["-c", &line]), "").await?.success()?;
        assert_eq!(said.text.trim(), "141", "{words}");
    }
    Ok(())
}

#[tokio::test]
async fn what_postgres_says_is_told_without_where_in_its_source_it_stands() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let database = Database::create().await?;
    let settings = harness::settings::write_token_server(
        folder.path(),
        &harness::settings::TokenServerOptions {
            address: "127.0.0.1:0".into(),
            database_url: database.url().replace("/test_", "/absent_"),
            token_lifetime: "300s",
            more: String::new(),
        },
    )?;
    let said =
        run_alone(Which::TokenServer, &["--config", &settings.display().to_string(), "user", "list"]).await?;
    assert_eq!(said.code, Some(4), "{}", said.text);
    assert!(said.text.trim_end().ends_with("does not exist"), "{}", said.text);
    Ok(())
}

#[tokio::test]
async fn only_events_that_there_are_can_be_asked_for() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let text = expect_code(&town.stack, &["audit", "list", "--event", "logins"], 2).await?;
    assert!(text.contains("scopes_refused") && text.contains("glass_broken"), "{text}");
    let said = town.stack.operator(&["audit", "list", "--event", "user_added"], "").await?.success()?;
    assert!(said.output.lines().count() > 1, "{}", said.output);
    assert!(said.output.lines().all(|line| line.chars().count() <= 120), "{}", said.output);
    Ok(())
}
