//! The credential helper: clients pull with a login that somebody allowed once, and no password is on disk.
//!
//! *Invariant:* a login is begun once for all clients, is good until it is given back or ended at the server, and is where
//! it is kept and nowhere else.

use std::os::unix::fs::PermissionsExt as _;

use harness::containers::ContainersPerson;
use harness::credential_helper::CredentialHelper;
use harness::docker_engine::DockerEngine;
use harness::images::Image;
use harness::layout;
use harness::stack::password_of;
use serde_json::Value;

use crate::device_logins::decide;
use crate::rights::{done, run};
use crate::sign_on_hostile::Fair;

/// Gets a login, which `alice` allows.
async fn allowed(fair: &Fair, helper: &CredentialHelper, logins: usize) -> anyhow::Result<Value> {
    let alice = fair.sign_in("alice").await?;
    let registry = fair.town.stack.registry_address();
    let allowing = async {
        let code = helper.code(logins).await?;
        decide(fair, &alice, &code, "allow").await?.expect(200)
    };
    let (said, _) = tokio::try_join!(helper.run(&["get"], &registry), allowing)?;
    Ok(serde_json::from_str(&said.success()?.output)?)
}

async fn logins(fair: &Fair) -> anyhow::Result<usize> {
    let listed = run(&fair.town.stack, "login list user:alice").await?.success()?.output;
    Ok(listed.lines().filter(|line| line.contains("docker-credential-portcullis")).count())
}

#[tokio::test]
async fn every_client_pulls_with_a_login_that_was_allowed_once() -> anyhow::Result<()> {
    let fair = Fair::start("create").await?;
    let helper = CredentialHelper::new()?;
    let registry = fair.town.stack.registry_address();
    // One client begins it, in the middle of its push.
    let containers = ContainersPerson::new()?.with_helper(&helper, &registry)?;
    let source = containers.folder().join("source");
    layout::write_image(&source, &Image::new(4_711, 2, 1_000)?, "1")?;
    let name = format!("docker://{registry}/platform/helped:1");
    let from = format!("oci:{}:1", source.display());
    let alice = fair.sign_in("alice").await?;
    let words = ["copy", "--quiet", "--dest-tls-verify=false", &from, &name];
    let allowing = async {
        let code = helper.code(1).await?;
        decide(&fair, &alice, &code, "allow").await?.expect(200)
    };
    let (said, _) = tokio::try_join!(containers.skopeo(&words), allowing)?;
    said.success()?;
    // The others find it.
    let name = format!("{registry}/platform/helped:1");
    containers.podman(&["pull", "--quiet", "--tls-verify=false", &name]).await?.success()?;
    containers.buildah(&["pull", "--quiet", "--tls-verify=false", &name]).await?.success()?;
    let docker = DockerEngine::shared().await?.person()?.with_helper(&helper, &registry)?;
    docker.docker(&["pull", &name]).await?.success()?;
    docker.forget(&name).await?;
    assert_eq!((helper.opened().len(), logins(&fair).await?), (1, 1));
    assert_eq!(docker.stored_credentials()?, CredentialHelper::entry(&registry));
    let mode = std::fs::metadata(helper.file())?.permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Who logs out ends it for all.
    docker.docker(&["logout", &registry]).await?.success()?;
    assert_eq!(logins(&fair).await?, 0);
    assert_eq!(helper.run(&["list"], "").await?.success()?.output, "{}\n");
    Ok(())
}

#[tokio::test]
async fn a_login_that_was_ended_is_begun_again_and_once_for_all_who_wait() -> anyhow::Result<()> {
    let fair = Fair::start("create").await?;
    let helper = CredentialHelper::new()?;
    let registry = fair.town.stack.registry_address();
    let first = allowed(&fair, &helper, 1).await?;
    assert_eq!((&first["ServerURL"], &first["Username"]), (&registry.as_str().into(), &"<token>".into()));
    let again: Value = serde_json::from_str(&helper.run(&["get"], &registry).await?.success()?.output)?;
    assert_eq!(again, first);
    done(&fair.town.stack, &["login revoke --all user:alice --yes"]).await?;
    let (second, third) = tokio::try_join!(allowed(&fair, &helper, 2), async {
        let said = helper.run(&["get"], &registry).await?.success()?;
        Ok(serde_json::from_str::<Value>(&said.output)?)
    })?;
    assert_eq!(second["Secret"], third["Secret"]);
    assert_ne!(second["Secret"], first["Secret"]);
    assert_eq!((helper.opened().len(), logins(&fair).await?), (2, 1));
    Ok(())
}

#[tokio::test]
async fn who_says_no_in_the_browser_is_no_stranger_afterwards() -> anyhow::Result<()> {
    let fair = Fair::start("create").await?;
    let helper = CredentialHelper::new()?;
    let registry = fair.town.stack.registry_address();
    let alice = fair.sign_in("alice").await?;
    let refusing = async {
        let code = helper.code(1).await?;
        decide(&fair, &alice, &code, "refuse").await?.expect(200)
    };
    // Two at once, of which one waits for the other: a person says no once.
    let get = || helper.run(&["get"], &registry);
    let (one, other, _) = tokio::try_join!(get(), get(), refusing)?;
    for said in [one.failure()?, other.failure()?] {
        assert!(said.contains("it was refused in the browser"), "{said}");
    }
    assert_eq!(helper.opened().len(), 1);
    assert!(!helper.file().exists());
    Ok(())
}

#[tokio::test]
async fn clients_hear_what_they_know() -> anyhow::Result<()> {
    let fair = Fair::start("create").await?;
    let helper = CredentialHelper::new()?;
    let registry = fair.town.stack.registry_address();
    let nothing = "credentials not found in native keychain\n";
    let said = helper.run(&["--login", "never", "get"], &registry).await?;
    assert_eq!((said.code, said.output.as_str()), (Some(1), nothing));
    // Nobody could allow a login there, so clients go on without one.
    for elsewhere in ["https://index.example/v1/", "127.0.0.1:1"] {
        let said = helper.run(&["get"], elsewhere).await?;
        assert_eq!((said.code, said.output.as_str()), (Some(1), nothing), "{elsewhere}");
    }
    // A password that somebody wants to keep is kept; it is nothing that could be given back.
    let login = format!(
        r#"{{"ServerURL":"https://{registry}/","Username":"alice","Secret":"{}"}}"#,
        password_of("alice")
    );
    helper.run(&["store"], &login).await?.success()?;
    let listed: Value = serde_json::from_str(&helper.run(&["list"], "").await?.success()?.output)?;
    assert_eq!(listed, serde_json::json!({&registry: "alice"}));
    let kept: Value = serde_json::from_str(&helper.run(&["get"], &registry).await?.success()?.output)?;
    assert_eq!(kept["Secret"], password_of("alice"));
    helper.run(&["erase"], &registry).await?.success()?;
    helper.run(&["erase"], &registry).await?.success()?;
    for (words, input, sentence) in [
        (["store"], "no JSON", "it is not JSON"),
        (["store"], r#"{"ServerURL":"a","Secret":"b"}"#, "no credentials username"),
        (["get"], "\n", "no credentials server URL"),
        (["kubelet"], "{}", "is not a CredentialProviderRequest"),
    ] {
        let said = helper.run(&words, input).await?.failure()?;
        assert!(said.contains(sentence), "{words:?}: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_keyring_keeps_logins_in_the_place_of_the_file() -> anyhow::Result<()> {
    let fair = Fair::start("create").await?;
    let helper = CredentialHelper::in_pass().await?;
    let registry = fair.town.stack.registry_address();
    let first = allowed(&fair, &helper, 1).await?;
    assert!(!helper.file().exists(), "it is in the file as well");
    let second: Value = serde_json::from_str(&helper.run(&["get"], &registry).await?.success()?.output)?;
    assert_eq!(first, second);
    let listed: Value = serde_json::from_str(&helper.run(&["list"], "").await?.success()?.output)?;
    assert_eq!(listed, serde_json::json!({&registry: "<token>"}));
    helper.run(&["erase"], &registry).await?.success()?;
    assert_eq!(logins(&fair).await?, 0);
    let said = helper.run(&["--login", "never", "get"], &registry).await?.failure()?;
    assert!(said.contains("credentials not found"), "{said}");
    Ok(())
}
