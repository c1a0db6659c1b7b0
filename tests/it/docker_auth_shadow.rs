//! The rules of docker_auth beside ours: the server says in its log where they would have answered otherwise.
//!
//! *Invariant:* no answer depends on them, and no file of theirs ends a server that runs.

use std::path::PathBuf;
use std::time::Duration;

use harness::client::http_client;
use harness::forge::claims_of;
use harness::program;
use harness::settings::SERVICE;
use harness::stack::{Stack, StackOptions, basic_of};
use serde_json::Value;

/// Alice reads, and nothing else is said.
const READS: &str = "users: {alice: {}}\nacl:\n- match: {account: alice}\n  actions: [pull]\n";

/// The same rights as in the other file, for everybody.
const WRITES: &str =
    "users: {alice: {}}\nacl:\n- match: {account: \"/.+/\", name: \"team/*\"}\n  actions: [pull, push]\n";

/// A server that is a process, because its log is looked at, and writes JSON.
struct Shadowed {
    stack: Stack,
    rules: PathBuf,
    _folder: tempfile::TempDir,
}

impl Shadowed {
    async fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let rules = folder.path().join("docker-auth.yml");
        std::fs::write(&rules, READS)?;
        let more = format!("log:\n  formatter: json\nshadow:\n  dockerauth: {}", rules.display());
        let options = StackOptions { processes: true, token_server_more: more, ..StackOptions::default() };
        let stack = Stack::with(options).await?;
        stack.add_user("alice").await?;
        stack.grant("user:alice", "writer", "team/*").await?;
        Ok(Self { stack, rules, _folder: folder })
    }

    /// The lines about differences.
    fn told(&mut self) -> anyhow::Result<Vec<Value>> {
        let log = self.stack.token_server.process()?.log()?;
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        Ok(lines.filter(|line| line.to_string().contains("would have answered otherwise")).collect())
    }

    /// Waits until the log has this many of these words.
    async fn until_logged(&mut self, words: &str) -> anyhow::Result<()> {
        let process = self.stack.token_server.process()?;
        program::until(words, Duration::from_mins(1), || {
            let found = process.log().is_ok_and(|log| log.contains(words));
            async move { found }
        })
        .await
    }

    /// The actions that a token for this scope has.
    async fn actions(&self, scope: &str) -> anyhow::Result<Value> {
        let url = format!("{}/token?service={SERVICE}&scope={scope}", self.stack.token_server_url());
        let answer = http_client()?.get(url).header("authorization", basic_of("alice")).send().await?;
        let body: Value = answer.error_for_status()?.json().await?;
        Ok(claims_of(body["token"].as_str().unwrap_or_default())?["access"].clone())
    }
}

#[tokio::test]
async fn a_difference_is_told_once_with_both_answers_and_changes_no_token() -> anyhow::Result<()> {
    let mut shadowed = Shadowed::start().await?;
    let scope = "repository:team/app:pull,push";
    for _ in 0..3 {
        let access = shadowed.actions(scope).await?;
        assert_eq!(access[0]["actions"], serde_json::json!(["pull", "push"]), "as our rows say");
    }
    // What both answer alike is not told.
    shadowed.actions("repository:team/app:pull").await?;
    shadowed.until_logged("would have answered otherwise").await?;
    let told = shadowed.told()?;
    assert_eq!(told.len(), 1, "{told:#?}");
    let text = told[0].to_string();
    for part in ["alice", scope, "\"pull\"", "\"pull,push\"", "WARN"] {
        assert!(text.to_uppercase().contains(&part.to_uppercase()), "{part} in {text}");
    }
    // Another file counts without a restart.
    std::fs::write(&shadowed.rules, WRITES)?;
    shadowed.until_logged("the rules to compare with were read again").await?;
    shadowed.actions(scope).await?;
    shadowed.actions("repository:other/app:pull").await?;
    assert_eq!(shadowed.told()?.len(), 1, "they agree now");
    // A broken one changes nothing.
    std::fs::write(&shadowed.rules, "acl: [")?;
    shadowed.until_logged("the rules to compare with stay as they were").await?;
    assert_eq!(shadowed.actions(scope).await?[0]["actions"], serde_json::json!(["pull", "push"]));
    assert_eq!(shadowed.told()?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_broken_file_keeps_a_server_from_starting_and_is_found_by_check_config() -> anyhow::Result<()> {
    let shadowed = Shadowed::start().await?;
    std::fs::write(&shadowed.rules, "acl:\n- match: {ip: nowhere}\n  actions: []\n")?;
    for (words, code) in [(&["check-config"][..], 1), (&["serve"], 4)] {
        let said = shadowed.stack.operator(words, "").await?;
        assert_eq!(said.code, Some(code), "{}", said.text);
        assert!(said.text.contains("shadow.dockerauth") && said.text.contains("line 2"), "{}", said.text);
    }
    std::fs::remove_file(&shadowed.rules)?;
    let said = shadowed.stack.operator(&["check-config"], "").await?;
    assert_eq!(said.code, Some(1), "{}", said.text);
    assert!(said.text.contains("cannot read"), "{}", said.text);
    Ok(())
}
