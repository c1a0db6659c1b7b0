//! `check-config` and `example-config` of both servers.
//!
//! *Invariant:* what is in effect is shown with where it comes from, no secret is, and a mistake names its key.

use std::path::Path;

use harness::program::Said;
use harness::server::Which;

use crate::commands::run_alone;
use crate::tidy::root;

/// Runs `check-config` on this YAML.
async fn check_config(which: Which, folder: &Path, yaml: &str) -> anyhow::Result<Said> {
    let file = folder.join("settings.yml");
    std::fs::write(&file, yaml)?;
    let file = file.display().to_string();
    match which {
        Which::Registry => run_alone(which, &["check-config", &file]).await,
        Which::TokenServer => run_alone(which, &["--config", &file, "check-config"]).await,
    }
}

#[tokio::test]
async fn check_config_shows_what_is_in_effect_and_hides_secrets() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let registry = "auth: none\nhttp:\n  addr: 127.0.0.1:5999\n  secret: very-hush-hush\n";
    let token_server = "database:\n  url: postgres://u:very-hush-hush@h/n\n\
                        secret: very-hush-hush-very-hush-hush-very\nhttp:\n  addr: 127.0.0.1:5999\n";
    for (which, yaml) in [(Which::Registry, registry), (Which::TokenServer, token_server)] {
        let said = check_config(which, folder.path(), yaml).await?.success()?;
        let file = folder.path().join("settings.yml");
        let address = said.output.lines().find(|line| line.starts_with("http.addr = ")).unwrap_or_default();
        assert!(address.contains("127.0.0.1:5999"), "{}", said.text);
        assert!(address.contains(&file.display().to_string()), "{}", said.text);
        assert!(said.output.lines().any(|line| line.ends_with("(default)")), "{}", said.text);
        assert!(said.output.contains("[redacted]") && !said.text.contains("hush-hush"), "{}", said.text);
    }
    Ok(())
}

#[tokio::test]
async fn check_config_finds_unknown_keys_and_wrong_values() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let token_server = "database:\n  url: postgres://u@h/n\nsecret: 0123456789abcdef0123456789abcdef\n";
    for (which, base) in [(Which::Registry, "auth: none\n"), (Which::TokenServer, token_server)] {
        for (more, expected) in [
            ("http:\n  adress: x\n", "http.addr"),
            ("log:\n  levle: info\n", "log.level"),
            ("log:\n  level: loud\n", "log.level"),
            ("http:\n  draintimeout: soon\n", "http.draintimeout"),
            ("http:\n  trustedproxies: [nowhere]\n", "http.trustedproxies"),
            ("http:\n  addr: [\n", "settings.yml"),
        ] {
            let said = check_config(which, folder.path(), &format!("{base}{more}")).await?;
            assert_eq!(said.code, Some(1), "{which:?} {more}: {}", said.text);
            let complaint = said.text.strip_prefix(&said.output).unwrap_or_default();
            assert!(complaint.contains(expected), "{which:?} {more}: {complaint}");
        }
    }
    let missing = folder.path().join("absent.yml").display().to_string();
    let said = run_alone(Which::Registry, &["check-config", &missing]).await?;
    assert_eq!(said.code, Some(1), "{}", said.text);
    let said = run_alone(Which::TokenServer, &["--config", &missing, "check-config"]).await?;
    assert_eq!(said.code, Some(1), "{}", said.text);
    Ok(())
}

#[tokio::test]
async fn the_example_files_are_what_the_programs_say() -> anyhow::Result<()> {
    let said = run_alone(Which::Registry, &["example-config"]).await?.success()?;
    assert_eq!(said.output, std::fs::read_to_string(root().join("registry/config.example.yml"))?);
    Ok(())
}
