//! What a change of rights would mean, asked before it is made.
//!
//! *Invariant:* what is said is compared with the tokens that people get before and after the change was made for real.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use harness::actors::Town;
use harness::program::{self, Said};
use harness::settings::SERVICE;
use harness::stack::{Stack, StackOptions, basic_of};
use serde_json::{Value, json};
use shared::claims::Claims;
use shared::repository_pattern::RepositoryPattern;

const PEOPLE: [Option<&str>; 5] = [None, Some("admin"), Some("alice"), Some("bob"), Some("carol")];

const REPOSITORIES: [&str; 7] =
    ["platform", "platform/app", "platform/secret/key", "people/bob/x", "public/tool", "other", "other/app"];

/// Who may do what where, as tokens say it.
type Held = BTreeMap<(Option<&'static str>, &'static str), BTreeSet<String>>;

async fn ask(stack: &Stack, user: Option<&str>, scope: &str) -> anyhow::Result<Claims> {
    let url = format!("{}/token?service={SERVICE}&scope=repository:{scope}", stack.token_server_url());
    let client = stack.anonymous()?;
    let mut request = client.http().get(url);
    if let Some(user) = user {
        request = request.header("authorization", basic_of(user));
    }
    let body: Value = request.send().await?.error_for_status()?.json().await?;
    let token = body["token"].as_str().unwrap_or_default();
    Ok(serde_json::from_value(harness::forge::claims_of(token)?)?)
}

async fn held(stack: &Stack) -> anyhow::Result<Held> {
    let mut held = Held::new();
    for person in PEOPLE {
        for repository in REPOSITORIES {
            let claims = ask(stack, person, &format!("{repository}:*")).await?;
            let ours = claims.portcullis.unwrap_or_default();
            let all = claims.access.with(ours.more_access());
            let actions = all.iter().flat_map(|scope| scope.actions.iter().collect::<Vec<_>>());
            held.insert((person, repository), actions.map(|action| action.to_string()).collect());
        }
    }
    Ok(held)
}

async fn run(stack: &Stack, line: &str) -> anyhow::Result<Said> {
    stack.operator(&line.split(' ').collect::<Vec<_>>(), "").await
}

/// Runs commands that work; those that take something away are not asked for.
async fn done(stack: &Stack, lines: &[&str]) -> anyhow::Result<()> {
    for line in lines {
        let yes = if line.contains(" remove ") { " --yes" } else { "" };
        run(stack, &format!("{line}{yes}")).await?.success()?;
    }
    Ok(())
}

/// What is said of a change, and whether somebody loses something.
async fn what_if(stack: &Stack, line: &str) -> anyhow::Result<(String, bool)> {
    let said = run(stack, &format!("what-if {line}")).await?;
    anyhow::ensure!(matches!(said.code, Some(0 | 1)), "{}", said.text);
    Ok((said.output, said.code == Some(1)))
}

/// The action of the token specification that a right belongs to.
fn action(right: &str) -> &str {
    match right {
        "attach" | "push-digest" | "tag-create" | "tag-update" => "push",
        "tag-delete" | "manifest-delete" => "delete",
        other => other,
    }
}

/// What somebody would lose or gain on a repository, as it was said.
fn foretold(
    said: &Value,
    change: &str,
    person: Option<&str>,
    repository: &str,
) -> anyhow::Result<BTreeSet<String>> {
    let name = repository.parse()?;
    let covers = |pattern: &Value| {
        let pattern = RepositoryPattern::parse(pattern.as_str().unwrap_or_default());
        pattern.is_ok_and(|pattern| pattern.matches(&name, person))
    };
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let is_there = |place: &Value| covers(&place["pattern"]) && !list(&place["except"]).iter().any(covers);
    let effects = list(&said["effects"]).into_iter().filter(|effect| {
        effect["change"] == change
            && effect["for_some_tags"] == false
            && list(&effect["users"]).contains(&json!(person))
            && list(&effect["places"]).iter().any(is_there)
    });
    let rights = effects.flat_map(|effect| list(&effect["actions"]));
    let actions = rights.filter_map(|right| Some(action(right.as_str()?).to_owned()));
    // Some rights are not about tokens, and `*` comes and goes with the others.
    Ok(actions
        .filter(|action| ["pull", "push", "delete", "repository-delete"].contains(&&**action))
        .collect())
}

/// People and rights of many kinds.
async fn town() -> anyhow::Result<Town> {
    let town = Town::start().await?;
    town.stack.add_user("carol").await?;
    town.stack.add_team("core", &["bob"]).await?;
    let lines = [
        "team member add platform team:core",
        "grant add authenticated viewer other/**",
        "grant add user:carol maintainer platform/secret/**",
        "grant add user:bob --deny --actions push platform/app",
    ];
    done(&town.stack, &lines).await?;
    Ok(town)
}

#[tokio::test]
async fn what_is_said_of_a_change_is_what_tokens_say_afterwards() -> anyhow::Result<()> {
    let town = town().await?;
    let stack = &town.stack;
    let before = held(stack).await?;
    for change in [
        "grant remove team:platform writer platform/**",
        "grant add everyone viewer platform/**",
        "grant remove user:bob --deny --actions push platform/app",
        "grant add authenticated --deny --actions pull **",
        "grant add authenticated maintainer people/${user}/**",
        "grant add team:core owner other",
        "barrier add platform/secret/** --actions push",
        "barrier add other/** --actions pull",
        "team member remove platform team:core",
        "team member add platform carol",
        "grant remove everyone viewer public/**",
    ] {
        let said = run(stack, &format!("what-if {change} --output json")).await?;
        let (code, said): (_, Value) = (said.code, serde_json::from_str(&said.output)?);
        done(stack, &[change]).await?;
        let after = held(stack).await?;
        let mut is_loss = false;
        for ((person, repository), old) in &before {
            let new = &after[&(*person, *repository)];
            let [mut lost, mut gained]: [BTreeSet<_>; 2] =
                [old.difference(new).cloned().collect(), new.difference(old).cloned().collect()];
            is_loss |= !lost.is_empty();
            // It comes and goes with the others, and is said only where it does so alone.
            for actions in [&mut lost, &mut gained] {
                actions.remove("*");
            }
            for (word, expected) in [("lose", lost), ("gain", gained)] {
                let told = foretold(&said, word, *person, repository)?;
                assert_eq!(told, expected, "{person:?} {word} {repository} by {change}: {said:#}");
            }
        }
        let effects = said["effects"].as_array().cloned().unwrap_or_default();
        let is_foretold = effects.iter().any(|effect| effect["change"] == "lose");
        assert_eq!(code, Some(i32::from(is_foretold)), "{change}");
        assert!(is_foretold || !is_loss, "{change}");
        let undo = if change.contains(" add ") {
            let words: Vec<_> =
                change.replacen(" add ", " remove ", 1).split(' ').map(str::to_owned).collect();
            // A barrier is removed by its pattern alone.
            let count = if words[0] == "barrier" { 3 } else { words.len() };
            words[..count].join(" ")
        } else {
            change.replacen(" remove ", " add ", 1)
        };
        done(stack, &[&undo]).await?;
        assert_eq!(held(stack).await?, before, "{undo}");
    }
    Ok(())
}

#[tokio::test]
async fn an_effect_is_a_sentence_with_names() -> anyhow::Result<()> {
    let town = town().await?;
    let stack = &town.stack;
    for (change, expected, is_loss) in [
        (
            "grant remove team:platform writer platform/**",
            "2 people lose list,pull on platform/**: alice, bob\n1 person loses push on platform/**: alice\n\
             1 person loses push on platform/** (not platform/app): bob\n",
            true,
        ),
        ("grant add user:carol writer new/app", "1 person gains push,list,pull on new/app: carol\n", false),
        (
            "grant add everyone viewer new/**",
            "clients without a login and 3 people gain list,pull on new/**: alice, bob, carol\n",
            false,
        ),
        (
            "barrier add platform/secret/** --actions push",
            "3 people lose push on platform/secret/**: admin, alice, bob\n",
            true,
        ),
        (
            "grant add user:alice --deny --actions tag-update platform/** --tags v*",
            "1 person loses tag-update for some tags on platform/**: alice\n",
            true,
        ),
        ("grant add user:alice viewer platform/app", "nobody gains or loses anything\n", false),
        (
            "grant add user:carol viewer net/app --network 192.0.2.0/24",
            "1 person gains list,pull on net/app: carol\n",
            false,
        ),
    ] {
        let (text, lost) = what_if(stack, change).await?;
        assert!(text.contains(expected), "{change}: {text}");
        assert_eq!(lost, is_loss, "{change}: {text}");
    }
    Ok(())
}

#[tokio::test]
async fn requests_of_the_last_days_are_asked_again() -> anyhow::Result<()> {
    let town = town().await?;
    let stack = &town.stack;
    for (user, scope, times) in [
        (Some("alice"), "platform/app:pull,push", 12),
        (Some("alice"), "platform/web:push", 5),
        (Some("alice"), "platform/web:pull", 3),
        (Some("alice"), "public/tool:pull", 1),
        (Some("carol"), "other/app:pull", 7),
    ] {
        for _ in 0..times {
            ask(stack, user, scope).await?;
        }
    }
    let is_there = || async {
        let said = run(stack, "what-if grant remove authenticated viewer other/** --output json").await;
        let said = said.ok().and_then(|said| serde_json::from_str::<Value>(&said.output).ok());
        said.is_some_and(|said| said["requests"] == 28)
    };
    program::until("uses are written", Duration::from_mins(1), is_there).await?;
    let (text, _) = what_if(stack, "grant add team:platform --deny --actions push platform/**").await?;
    let refused = "17 would have been refused: alice push platform/app (12), alice push platform/web (5)";
    assert!(text.contains(&format!("of 21 requests in 30 days, {refused}")), "{text}");
    let (text, _) = what_if(stack, "grant remove authenticated viewer other/** --days 7").await?;
    let refused = "7 would have been refused: carol pull other/app (7)";
    assert!(text.contains(&format!("of 28 requests in 7 days, {refused}")), "{text}");
    assert!(text.contains("they are counted since"), "{text}");
    let (text, _) = what_if(stack, "grant remove user:carol maintainer platform/secret/**").await?;
    assert!(text.contains("of 7 requests in 30 days, none would have been refused"), "{text}");
    let (text, _) = what_if(stack, "grant add user:bob viewer any/thing").await?;
    assert!(text.contains("no requests of theirs are known"), "{text}");
    Ok(())
}

#[tokio::test]
async fn asking_changes_nothing_and_fails_as_the_change_would() -> anyhow::Result<()> {
    let options = StackOptions { gated_database: true, ..StackOptions::default() };
    let town = Town::with(options).await?;
    let stack = &town.stack;
    let state = async || -> anyhow::Result<String> {
        let mut text = stack.database.db_audit_text().await?;
        for list in ["user list", "team list", "grant list", "barrier list"] {
            text.push_str(&run(stack, list).await?.success()?.output);
        }
        Ok(text)
    };
    let before = state().await?;
    for (change, code) in [
        ("grant add user:alice owner **", 0),
        ("grant remove team:platform writer platform/**", 1),
        ("barrier add platform/** --actions pull --reason x", 1),
        ("team member add platform bob", 0),
        ("team member remove platform alice", 1),
        ("grant add user:nobody viewer a", 3),
        ("grant add user:admin owner **", 3),
        ("grant remove user:bob viewer a", 3),
        ("barrier remove platform/**", 3),
        ("team member add platform alice", 3),
        ("team member add platform team:platform", 4),
        ("grant add alice viewer a", 2),
        ("barrier add platform --actions pull", 2),
        ("grant add user:alice --actions fly a", 2),
    ] {
        let said = run(stack, &format!("what-if {change}")).await?;
        assert_eq!(said.code, Some(code), "{change}: {}", said.text);
        assert_eq!(state().await?, before, "{change}");
    }
    stack.gate.as_ref().expect("the town was built with a gate").shut();
    let said = run(stack, "what-if grant add user:alice owner **").await?;
    assert_eq!(said.code, Some(4), "{}", said.text);
    assert!(said.text.contains("the database is not reachable"), "{}", said.text);
    Ok(())
}
