//! Workloads: subjects for build jobs and clusters, whose rights are prepared, explained and planned before any of them
//! can log in.
//!
//! *Invariant:* nothing that a workload holds reaches a token, because nobody can log in as one.

use std::time::Duration;

use harness::actors::Town;
use harness::api::Api;
use harness::client::OciClient;
use harness::stack::{Stack, password_of};

use crate::rights::{done, run};

async fn town() -> anyhow::Result<Town> {
    let town = Town::start().await?;
    done(
        &town.stack,
        &[
            "workload add nightly --description builds",
            "workload add deploy",
            "grant add workload:nightly publisher nightly/**",
            "team add pipelines",
            "team member add pipelines workload:nightly",
        ],
    )
    .await?;
    Ok(town)
}

async fn output(stack: &Stack, line: &str) -> anyhow::Result<String> {
    Ok(run(stack, line).await?.success()?.output)
}

#[tokio::test]
async fn what_a_workload_will_hold_is_explained_before_it_can_log_in() -> anyhow::Result<()> {
    let town = town().await?;
    let stack = &town.stack;
    done(stack, &["grant add team:pipelines writer shared/**", "grant add authenticated viewer all/**"])
        .await?;
    for (question, code) in [
        ("explain workload:nightly push nightly/app:v1", 0),
        ("explain workload:nightly push shared/app", 0),
        ("explain workload:nightly pull all/app", 0),
        ("explain workload:nightly delete nightly/app", 1),
        ("explain workload:deploy pull nightly/app", 1),
        ("explain workload:none pull nightly/app", 3),
    ] {
        let said = run(stack, question).await?;
        assert_eq!(said.code, Some(code), "{question}: {}", said.text);
    }
    let may = output(stack, "who-can push nightly/app").await?;
    assert!(may.contains("workload:nightly") && !may.contains("workload:deploy"), "{may}");
    // No part of a name is a place of its own for a workload, as it is for a user.
    done(stack, &["grant add authenticated writer people/${user}/**"]).await?;
    let said = run(stack, "explain workload:nightly push people/nightly/app").await?;
    assert_eq!(said.code, Some(1), "{}", said.text);
    let said = run(stack, "what-if grant remove workload:nightly publisher nightly/**").await?;
    assert_eq!(said.code, Some(1), "{}", said.text);
    assert!(
        said.output.contains("1 workload loses") && said.output.contains("workload:nightly"),
        "{}",
        said.output
    );
    let said = run(stack, "what-if grant add everyone viewer new/** --days 1").await?;
    assert!(said.output.contains("2 workloads"), "{}", said.output);
    // A denial takes it away, and so does disabling.
    done(stack, &["grant add workload:nightly --deny --actions push shared/**"]).await?;
    assert_eq!(run(stack, "explain workload:nightly push shared/app").await?.code, Some(1));
    done(stack, &["workload disable nightly --yes"]).await?;
    assert_eq!(run(stack, "explain workload:nightly push nightly/app").await?.code, Some(1));
    assert!(!output(stack, "who-can push nightly/app").await?.contains("workload:nightly"));
    done(stack, &["workload enable nightly"]).await?;
    assert_eq!(run(stack, "explain workload:nightly push nightly/app").await?.code, Some(0));
    Ok(())
}

#[tokio::test]
async fn nobody_logs_in_as_a_workload() -> anyhow::Result<()> {
    let town = town().await?;
    let url = town.stack.registry_url();
    for name in ["nightly", "workload:nightly", "workload/nightly", "NIGHTLY"] {
        for password in ["", "nightly", &password_of("admin")] {
            if name.contains(':') && password.is_empty() {
                continue;
            }
            OciClient::new(&url, name, password)?.login().await?.expect(401)?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn rights_that_nobody_can_have_used_are_not_called_unused() -> anyhow::Result<()> {
    let town = town().await?;
    let api = Api::of(&town.stack).await?;
    // Uses of rights are known for a day.
    town.stack.clock.advance(Duration::from_hours(25));
    let unused = api.all("admin", "/unused-grants?days=1", 100).await?;
    let holders: Vec<String> = unused.iter().map(|row| row["subject"].to_string()).collect();
    assert!(holders.iter().any(|holder| holder.contains("team:platform")), "{unused:?}");
    assert!(!holders.iter().any(|holder| holder.contains("workload")), "{unused:?}");
    Ok(())
}

#[tokio::test]
async fn workloads_are_listed_recorded_and_leave_nothing_behind() -> anyhow::Result<()> {
    let town = town().await?;
    let stack = &town.stack;
    let listed = output(stack, "workload list").await?;
    let lines: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    let named: Vec<(&str, &str, &str)> =
        lines.iter().skip(1).map(|row| (row[0], row[1], row[row.len() - 1])).collect();
    assert_eq!(named, [("deploy", "active", "-"), ("nightly", "active", "builds")]);
    assert!(output(stack, "team member list pipelines").await?.contains("workload:nightly"));
    assert!(output(stack, "grant list").await?.contains("workload:nightly"));
    let json: serde_json::Value = serde_json::from_str(&output(stack, "workload list --output json").await?)?;
    assert_eq!(json[1]["name"], "nightly");
    assert!(json[1]["added_by"].is_null() && json[1]["disabled_at"].is_null(), "{json}");
    done(stack, &["workload disable nightly --yes", "workload disable nightly --yes"]).await?;
    done(stack, &["workload remove nightly --yes"]).await?;
    for list in ["workload list", "team member list pipelines", "grant list"] {
        assert!(!output(stack, list).await?.contains("nightly"), "{list}");
    }
    // One of the same name begins with nothing.
    done(stack, &["workload add nightly"]).await?;
    assert_eq!(run(stack, "explain workload:nightly push nightly/app").await?.code, Some(1));
    let audit = output(stack, "audit list --target nightly").await?;
    let count = |event: &str| audit.lines().filter(|line| line.contains(event)).count();
    let counts = ["workload_added", "workload_disabled", "workload_removed"].map(count);
    assert_eq!(counts, [2, 1, 1], "{audit}");
    assert!(audit.contains("1 grant") && !audit.contains("1 grants"), "{audit}");
    Ok(())
}

#[tokio::test]
async fn names_are_shared_with_users_and_teams_and_mistakes_are_told() -> anyhow::Result<()> {
    let town = town().await?;
    let stack = &town.stack;
    for (line, code, part) in [
        ("workload add alice", 3, "already a user, team or workload named alice"),
        ("workload add nightly", 3, "already"),
        ("team add nightly", 3, "already"),
        ("workload add a/b", 2, "a name has"),
        ("workload add everyone", 2, "reserved"),
        ("workload remove alice --yes", 3, "no workload alice"),
        ("workload disable none --yes", 3, "no workload none"),
        ("workload remove nightly", 2, "--yes"),
        ("grant add workload:none viewer a", 3, "no workload none"),
        ("grant add workload:alice viewer a", 3, "no workload alice"),
        ("grant add user:nightly viewer a", 3, "no user nightly"),
        ("namespace add space --owner workload:nightly", 2, "belongs to a user or a team"),
    ] {
        let said = run(stack, line).await?;
        assert_eq!(said.code, Some(code), "{line}: {}", said.text);
        assert!(said.text.contains(part), "{line}: {}", said.text);
    }
    Ok(())
}

#[tokio::test]
async fn a_policy_file_makes_workloads_and_takes_them_away() -> anyhow::Result<()> {
    let town = town().await?;
    let stack = &town.stack;
    let file = r"
version: 1
workloads:
  nightly: {description: the nightly build}
  release: {}
teams:
  releasers: [workload:release]
grants:
  - {subject: workload:release, role: publisher, pattern: 'release/**'}
";
    let policy = async |word: &str, file: &str| {
        let words: &[&str] =
            if word == "apply" { &["policy", "apply", "--yes", "-"] } else { &["policy", word, "-"] };
        stack.operator(words, file).await
    };
    let planned = policy("plan", file).await?.success()?.output;
    for line in [
        "~ workload nightly (builds) → workload nightly (the nightly build)",
        "+ workload release",
        "+ member of team releasers: workload:release",
        "+ grant workload:release publisher release/**",
        "? workload deploy",
    ] {
        assert!(planned.contains(line), "{line}: {planned}");
    }
    policy("apply", file).await?.success()?;
    assert_eq!(
        run(stack, "explain workload:nightly push nightly/app").await?.code,
        Some(0),
        "it is the same"
    );
    assert!(output(stack, "workload list").await?.contains("the nightly build"));
    let again = policy("apply", file).await?.success()?;
    assert!(again.text.contains("nothing was done"), "{}", again.text);
    let exported = output(stack, "policy export").await?;
    assert!(exported.contains("workloads:") && exported.contains("the nightly build"), "{exported}");
    let planned = policy("plan", &exported).await?.success()?.output;
    assert!(planned.lines().all(|line| line.starts_with("= ")), "{planned}");
    let planned = policy("plan", "version: 1\n").await?.success()?.output;
    assert!(planned.contains("- workload release") && planned.contains("1 workload loses"), "{planned}");
    policy("apply", "version: 1\n").await?.success()?;
    let listed = output(stack, "workload list").await?;
    assert!(!listed.contains("release") && listed.contains("deploy"), "{listed}");
    let said = policy("plan", "version: 1\nteams: {a: [workload:none]}\n").await?;
    assert!(said.code == Some(2) && said.text.contains("workload:none"), "{}", said.text);
    Ok(())
}
