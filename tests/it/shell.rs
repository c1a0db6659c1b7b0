//! The files people start with: compose and the shell scripts.
//!
//! *Invariant:* they are valid for the tools that a bare Debian 12 has.

use std::process::Command;

use harness::program;

use crate::tidy::root;

#[test]
fn the_compose_file_is_valid() -> anyhow::Result<()> {
    let output = Command::new(program::find("docker-compose", "docker-compose")?)
        .args(["--file", "compose/compose.yaml", "config"])
        .current_dir(root())
        .output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let resolved = String::from_utf8(output.stdout)?;
    for service in ["postgres:", "token-server:", "registry:", "healthcheck:", "secrets:"] {
        assert!(resolved.contains(service), "{service} is missing in {resolved}");
    }
    Ok(())
}

#[test]
fn the_registry_container_cannot_reach_the_database() -> anyhow::Result<()> {
    let text = std::fs::read_to_string(root().join("compose/compose.yaml"))?;
    let registry = text.split_once("\n  registry:\n").map(|(_, after)| after).unwrap_or_default();
    let registry = registry.split_once("\nvolumes:").map(|(before, _)| before).unwrap_or_default();
    assert!(registry.contains("networks:\n      front:\n"), "{registry}");
    assert!(!registry.contains("database"), "{registry}");
    // The one address that the token server believes is that of the registry.
    let settings = std::fs::read_to_string(root().join("compose/token-server.yml"))?;
    let believed = settings.split_once("trustedproxies: [").and_then(|(_, after)| after.split_once(']'));
    let believed = believed.map(|(address, _)| address).unwrap_or_default();
    assert!(registry.contains(&format!("ipv4_address: {believed}\n")), "{believed}");
    Ok(())
}

#[test]
fn the_shell_scripts_pass_shellcheck() -> anyhow::Result<()> {
    let output = Command::new(program::find("shellcheck", "shellcheck")?)
        .args(["--external-sources", "compose/quickstart", "compose/debian.sh", "tests/run", ".ci/run"])
        .current_dir(root())
        .output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}
