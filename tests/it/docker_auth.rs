//! Coming from docker_auth: users log in with their old passwords, rules become rows, and what differs is said.
//!
//! The settings in `corpus/docker_auth` are made up after what its users write and ask about.
//!
//! *Invariant:* without `--apply` nothing changes, with it everything or nothing, and a second time nothing.

use std::path::Path;
use std::time::Duration;

use harness::client::{OciClient, Request, http_client};
use harness::database::Database;
use harness::edited::TokenServer;
use harness::images::Image;
use harness::peer::Peer;
use harness::program;
use harness::settings::{ISSUER, KEYS_PATH, PEER_SERVICE};
use harness::stack::{Stack, password_of};
use serde_json::Value;

use crate::imported_keys::{Pair, UNTIL_IT_SIGNS};

/// A file of the corpus.
pub(crate) fn corpus(name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/docker_auth").join(format!("{name}.yml"));
    file.display().to_string()
}

/// The report on a file as JSON, and the exit code.
pub(crate) async fn report(stack: &Stack, file: &str, more: &[&str]) -> anyhow::Result<(Value, Option<i32>)> {
    let words: Vec<_> =
        ["import", "docker-auth", file, "--output", "json"].iter().chain(more).copied().collect();
    let said = stack.operator(&words, "").await?;
    let report =
        serde_json::from_str(&said.output).map_err(|error| anyhow::anyhow!("{error} in {}", said.text))?;
    Ok((report, said.code))
}

fn list<'a>(report: &'a Value, part: &str) -> &'a [Value] {
    report[part].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The rows of a report as they would be added.
fn rows(report: &Value) -> Vec<String> {
    let row = |row: &Value| {
        let word = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let effect = if word("effect") == "deny" { " deny" } else { "" };
        let networks: Vec<_> = list(row, "networks").iter().filter_map(Value::as_str).collect();
        let text = format!(
            "{}{effect} {} {} {}",
            word("subject"),
            word("what"),
            word("pattern"),
            networks.join(",")
        );
        text.trim_end().to_owned()
    };
    list(report, "rows").iter().map(row).collect()
}

/// Everything that a report could have changed.
async fn state(stack: &Stack) -> anyhow::Result<String> {
    let mut text = stack.database.db_audit_text().await?;
    for what in ["user", "team", "grant"] {
        text.push_str(&stack.operator(&[what, "list"], "").await?.success()?.output);
    }
    Ok(text)
}

/// What is to be said of a file.
struct Expected {
    name: &'static str,
    rows: &'static [&'static str],
    /// What is not taken over: the line, and a part of the sentence.
    left: &'static [(u64, &'static str)],
    traps: &'static [(u64, &'static str)],
    differences: usize,
}

const CORPUS: [Expected; 17] = [
    Expected {
        name: "two-people",
        rows: &["user:admin owner **", "user:bob viewer **"],
        left: &[],
        traps: &[],
        differences: 0,
    },
    Expected {
        name: "small-office",
        rows: &[
            "user:admin owner **",
            "authenticated owner ${user}/*",
            "authenticated viewer **",
            "everyone viewer public/*",
            "everyone viewer hello",
        ],
        left: &[],
        traps: &[],
        differences: 0,
    },
    Expected {
        name: "own-place-only",
        rows: &[
            "user:admin owner **",
            "user:bob owner test-*",
            "authenticated viewer **",
            "user:bob deny pull {[-.0-9_a-su-z],t[-.0-9_a-df-z],te[-.0-9_a-rt-z],tes[-.0-9_a-su-z],test[.0-9_a-z]}*/**",
            "user:bob deny pull {t,te,tes,test}/**",
            "user:bob deny pull test-*/*/**",
        ],
        left: &[],
        traps: &[(21, "denial")],
        differences: 0,
    },
    Expected {
        name: "own-suffix-only",
        rows: &[
            "user:admin owner **",
            "user:bob owner *-test",
            "authenticated viewer **",
            "user:bob deny pull **",
        ],
        left: &[(19, "order")],
        traps: &[(21, "denial")],
        differences: 8,
    },
    Expected {
        name: "labels",
        rows: &[
            "user:alice owner **",
            "user:alice writer shop/*",
            "user:alice writer site/*",
            "user:bob writer web-front/*",
            "user:alice viewer web/*",
            "user:bob viewer web/*",
        ],
        left: &[],
        traps: &[],
        differences: 0,
    },
    Expected {
        name: "team-that-is-no-condition",
        rows: &["user:admin owner **"],
        left: &[(17, "`team`")],
        traps: &[(17, "empty_match"), (17, "unknown_condition")],
        differences: 52,
    },
    Expected {
        name: "networks",
        rows: &[
            "user:ci-build writer ** 10.20.0.0/16",
            "everyone viewer ** 192.0.2.7/32,2001:db8:7::/48",
            "user:admin owner **",
            "everyone deny push,delete,repository-delete ** 192.0.2.7/32,2001:db8:7::/48",
        ],
        left: &[],
        traps: &[],
        differences: 0,
    },
    Expected {
        name: "mail-addresses",
        rows: &["user:alice viewer shop/*/**", "user:alice viewer site/*/**"],
        left: &[(10, "letters, digits"), (12, "letters, digits")],
        traps: &[],
        differences: 0,
    },
    Expected {
        name: "directory",
        rows: &["user:admin owner **", "authenticated viewer **"],
        left: &[(12, "ldap_auth"), (22, "elsewhere")],
        traps: &[],
        differences: 0,
    },
    Expected {
        name: "two-registries",
        rows: &["user:alice viewer **"],
        left: &[(15, "catalog"), (15, "some registries"), (19, "`audiences`")],
        traps: &[(17, "not_anchored")],
        differences: 13,
    },
    Expected {
        name: "robots",
        rows: &[
            "user:ci-build writer build/*",
            "user:ci-deploy writer build/*",
            "user:ci-deploy viewer **",
            "user:admin maintainer **",
            "user:alice viewer build/[a-f]*",
        ],
        left: &[],
        traps: &[],
        differences: 0,
    },
    Expected {
        name: "careless",
        rows: &[
            "everyone viewer team/*",
            "user:admin owner **",
            "everyone viewer *",
            "everyone deny push,delete,repository-delete team/*",
        ],
        left: &[
            (12, "any"),
            (13, "no bcrypt"),
            (21, "beside other actions"),
            (21, "catalog"),
            (27, "`accounts`"),
        ],
        traps: &[
            (9, "unknown_key"),
            (12, "no_password"),
            (13, "unusable_password"),
            (14, "empty_user"),
            (17, "double_star"),
            (17, "null_condition"),
            (19, "not_anchored"),
            (21, "anonymous_included"),
            (21, "single_star"),
            (21, "star_among_actions"),
            (23, "unknown_action"),
            (23, "upper_case"),
            (25, "never_reached"),
            (25, "upper_case"),
            (27, "denial"),
            (27, "empty_match"),
            (27, "unknown_condition"),
            (29, "empty_match"),
            (29, "never_reached"),
            (31, "never_reached"),
        ],
        differences: 36,
    },
    Expected {
        name: "locked-first",
        rows: &[
            "authenticated viewer release/*",
            "authenticated writer **",
            "authenticated deny push release/*",
            "user:bob deny push,pull secret/*",
        ],
        left: &[],
        traps: &[(17, "denial")],
        differences: 0,
    },
    Expected {
        name: "mirror",
        rows: &["user:ci-build writer **", "everyone viewer **"],
        left: &[],
        traps: &[(16, "empty_match")],
        differences: 0,
    },
    Expected {
        name: "written-once",
        rows: &["user:alice owner shop/*", "user:bob owner shop/*", "user:carol viewer shop/*"],
        left: &[],
        traps: &[],
        differences: 0,
    },
    Expected {
        name: "odd-names",
        rows: &["user:dave writer **", "user:alice viewer **"],
        left: &[(14, "letters, digits"), (16, "reserved"), (17, "same user as alice")],
        traps: &[(23, "not_anchored")],
        differences: 0,
    },
    Expected {
        name: "behind-a-proxy",
        rows: &["user:admin owner **"],
        left: &[],
        traps: &[],
        differences: 0,
    },
];

#[tokio::test]
async fn every_file_of_the_corpus_gets_the_report_it_should() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let before = state(&stack).await?;
    for Expected { name, rows: expected, left, traps, differences } in CORPUS {
        let (report, code) = report(&stack, &corpus(name), &[]).await?;
        assert_eq!(rows(&report), expected, "{name}");
        let found = list(&report, "remainder");
        let lines: Vec<_> = found.iter().map(|remark| remark["line"].as_u64().unwrap_or_default()).collect();
        assert_eq!(lines, left.iter().map(|(line, _)| *line).collect::<Vec<_>>(), "{name}: {found:#?}");
        for (remark, (_, part)) in found.iter().zip(left) {
            assert!(remark["sentence"].as_str().is_some_and(|text| text.contains(part)), "{name}: {remark}");
        }
        let found: Vec<_> = list(&report, "traps")
            .iter()
            .map(|trap| {
                (trap["line"].as_u64().unwrap_or_default(), trap["kind"].as_str().unwrap_or_default())
            })
            .collect();
        assert_eq!(found, traps, "{name}");
        assert_eq!(list(&report, "differences").len(), differences, "{name}");
        assert!(report["compared"]["combinations"].as_u64().is_some_and(|count| count > 200), "{name}");
        let equal = left.is_empty() && differences == 0;
        assert_eq!((report["equal"].as_bool(), code), (Some(equal), Some(i32::from(!equal))), "{name}");
    }
    assert_eq!(state(&stack).await?, before, "a report changes nothing");
    Ok(())
}

#[tokio::test]
async fn a_report_for_people_names_lines_and_counts_what_was_compared() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let said = stack.operator(&["import", "docker-auth", &corpus("own-suffix-only")], "").await?;
    assert_eq!(said.code, Some(1));
    for part in [
        "Not as it reads:",
        "line 21  denial",
        "line 12  bob    new",
        "line 19  user:bob owner *-test",
        "Not taken over:",
        "bob at peer-registry",
        "pull,push,delete,* → push,delete  line 19",
        "Compared 1210 combinations of 5 people, 30 repositories, 2 registries, 1 address and every action",
        "nothing was changed",
    ] {
        assert!(said.text.contains(part), "{part} in {}", said.text);
    }
    assert!(!said.text.contains("$2a$"), "no hash is shown");
    Ok(())
}

#[tokio::test]
async fn what_is_compared_can_be_named_and_rows_added_by_hand_count() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let names = stack.folder().join("names.txt");
    std::fs::write(&names, "# what there is\nteam/app\n\nteam/web  # the shop\n")?;
    let more = ["--repositories", names.to_str().unwrap_or_default()];
    // Where there is no image of Bob's, nothing differs.
    let (report_of_names, code) = report(&stack, &corpus("own-suffix-only"), &more).await?;
    assert_eq!((code, &report_of_names["compared"]["repositories"]), (Some(0), &Value::from(2)));
    std::fs::write(&names, "Team/App\n")?;
    let said =
        stack.operator(&["import", "docker-auth", &corpus("two-people"), more[0], more[1]], "").await?;
    assert_eq!(said.code, Some(2), "{}", said.text);
    assert!(said.text.contains("line 1 of") && said.text.contains("Team/App"), "{}", said.text);
    // What an operator gave is part of the answer here.
    let (before, _) = report(&stack, &corpus("two-people"), &[]).await?;
    assert_eq!(before["equal"], true);
    stack.operator(&["grant", "add", "authenticated", "viewer", "wiki"], "").await?.success()?;
    std::fs::write(&names, "wiki\n")?;
    let (after, code) = report(&stack, &corpus("two-people"), &more).await?;
    assert_eq!(code, Some(1));
    let who: Vec<_> = list(&after, "differences").iter().filter_map(|found| found["who"].as_str()).collect();
    assert_eq!(who, ["any other user"; 2], "{after:#}");
    Ok(())
}

#[tokio::test]
async fn taking_over_is_one_change_and_the_second_time_none() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let (first, code) = report(&stack, &corpus("small-office"), &["--apply"]).await?;
    assert_eq!((code, &first["applied"]), (Some(0), &Value::from(true)), "{first:#}");
    let states = |report: &Value, part: &str| -> Vec<String> {
        list(report, part).iter().map(|item| item["state"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(states(&first, "users"), ["added"; 3]);
    assert_eq!(states(&first, "rows"), ["added"; 5]);
    let grants = stack.operator(&["grant", "list"], "").await?.success()?.output;
    assert_eq!(grants.matches("from docker_auth").count(), 5, "{grants}");
    for (event, count) in [("user_added", 3), ("grant_added", 5)] {
        let found = stack.database.db_audit_of(event).await?;
        assert_eq!(found.len(), count);
        assert!(
            found.iter().all(|row| row.summary()[1] == "cli" && row.summary()[4] == "from docker_auth"),
            "{found:?}"
        );
    }
    let before = state(&stack).await?;
    let (second, code) = report(&stack, &corpus("small-office"), &["--apply"]).await?;
    assert_eq!(code, Some(0), "{second:#}");
    assert_eq!(states(&second, "users"), ["already there"; 3]);
    assert_eq!(states(&second, "rows"), ["already there"; 5]);
    let (third, _) = report(&stack, &corpus("small-office"), &[]).await?;
    assert_eq!(states(&third, "rows"), ["already there"; 5], "a report knows it too");
    assert_eq!(state(&stack).await?, before);
    Ok(())
}

#[tokio::test]
async fn a_file_that_docker_auth_could_not_use_is_refused_with_its_lines() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let before = state(&stack).await?;
    let said = stack.operator(&["import", "docker-auth", &corpus("broken"), "--apply"], "").await?;
    assert_eq!(said.code, Some(2), "{}", said.text);
    for part in [
        "line 9: `users` must have keys",
        "line 11: `/ad*+in/` is no regular expression",
        "line 13: `192.168.*` is neither",
        "line 15: the rule has no `actions`",
        "line 16: the rule has no `match`",
        "line 17: `account` must be a text",
        "line 18: `actions` must be a list",
    ] {
        assert!(said.text.contains(part), "{part} in {}", said.text);
    }
    let said = stack.operator(&["import", "docker-auth", "/does/not/exist.yml"], "").await?;
    assert_eq!(said.code, Some(2), "{}", said.text);
    assert_eq!(state(&stack).await?, before);
    Ok(())
}

/// The kind of hash that a user's password is stored as.
pub(crate) async fn kind_of_hash(database: &Database, user: &str) -> anyhow::Result<String> {
    let mut connection = database.db_connect().await?;
    let query =
        "select a.password_hash from user_account a join principal p on p.pid = a.pid where p.name = $1";
    let hash: String = sqlx::query_scalar(query).bind(user).fetch_one(&mut connection).await?;
    Ok(hash.split('$').nth(1).unwrap_or_default().to_owned())
}

#[tokio::test]
async fn the_distribution_registry_and_its_users_notice_nothing() -> anyhow::Result<()> {
    let pair = Pair::rsa().await?;
    // As docker_auth's own example has them: issuer, service and path.
    let (issuer, service) = ("Acme auth server", "Docker registry");
    let edits = [
        (format!("issuer: {ISSUER}\n"), format!("issuer: {issuer}\n")),
        (format!("  {PEER_SERVICE}:\n"), format!("  {service}:\n")),
    ];
    let edits: Vec<_> = edits.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect();
    let server = TokenServer::start("", &edits).await?;
    let auth = format!(
        "auth:\n  token:\n    realm: {}/auth\n    service: {service}\n    issuer: {issuer}\n    \
         rootcertbundle: {}",
        server.url(),
        pair.certificate.display()
    );
    let (tree, folder) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let peer = Peer::start(tree.path(), &auth).await?;
    server.operator(&pair.words()?, "").await?;
    let config = folder.path().join("auth_config.yml");
    let written = std::fs::read_to_string(corpus("small-office"))?;
    std::fs::write(&config, written.replace(&format!("issuer: {ISSUER}\n"), &format!("issuer: {issuer}\n")))?;
    // Ends with 0: everything is as it was there.
    server.operator(&["import", "docker-auth", &config.display().to_string(), "--apply"], "").await?;
    program::until("the key is published", Duration::from_mins(1), || async {
        published_keys(&server.url()).await.is_ok_and(|keys| keys == 3)
    })
    .await?;
    server.clock.advance(UNTIL_IT_SIGNS);
    let database = server.database();
    assert_eq!(kind_of_hash(database, "alice").await?, "2a");
    let wrong = OciClient::new(&peer.url(), "alice", "wrong horse of alice")?;
    assert_eq!(wrong.login().await?.status, 401);
    assert_eq!(kind_of_hash(database, "alice").await?, "2a", "a wrong password changes nothing");
    let alice = OciClient::new(&peer.url(), "alice", &password_of("alice"))?;
    alice.login().await?.expect(200)?;
    assert_eq!(kind_of_hash(database, "alice").await?, "argon2id");
    let image = Image::new(311, 1, 10_000)?;
    alice.push_image("alice/app", "1", &image).await?;
    alice.pull_image("alice/app", "1", &image).await?;
    let bob = OciClient::new(&peer.url(), "bob", &password_of("bob"))?;
    bob.pull_image("alice/app", "1", &image).await?;
    let push = Request::new(reqwest::Method::POST, harness::client::uploads("alice/app"));
    assert_eq!(bob.send(&push).await?.status, 401);
    let admin = OciClient::new(&peer.url(), "admin", &password_of("admin"))?;
    admin.push_image("public/tool", "1", &image).await?;
    let anonymous = OciClient::anonymous(&peer.url())?;
    anonymous.pull_image("public/tool", "1", &image).await?;
    assert_eq!(anonymous.get_manifest("alice/app", "1").await?.status, 401);
    // The new hash is as good as the old one.
    alice.forget_tokens();
    alice.login().await?.expect(200)?;
    Ok(())
}

async fn published_keys(url: &str) -> anyhow::Result<usize> {
    let answer = http_client()?.get(format!("{url}{KEYS_PATH}")).send().await?;
    let body: Value = answer.json().await?;
    Ok(list(&body, "keys").len())
}

#[tokio::test]
async fn while_there_are_old_hashes_every_failed_login_costs_the_same_work() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    report(&stack, &corpus("small-office"), &["--apply"]).await?;
    stack.add_user("carol").await?;
    let mut costs = Vec::new();
    for user in ["alice", "carol", "nobody-at-all"] {
        let before = stack.token_server.hash_runs();
        let client = OciClient::new(&stack.registry_url(), user, "wrong horse")?;
        assert_eq!(client.login().await?.status, 401);
        costs.push(stack.token_server.hash_runs() - before);
    }
    // Argon2 once, and bcrypt of the one cost there is.
    assert_eq!(costs, [2, 2, 2]);
    Ok(())
}
