//! Groups of an LDAP directory are teams here, and what becomes of people there reaches them here.
//!
//! *Invariant:* whoever is out of a group, gone or disabled there has nothing of it here after the next look at the
//! directory; a directory that does not answer changes nothing until its groups are too old.

use std::time::Duration;

use harness::client::{OciClient, Request};
use harness::directory::{Directory, db_update_groups, dn_of, group_dn, password_of};
use harness::forge::claims_of;
use harness::program;
use harness::server::{Server, Threaded, Which};
use harness::settings::SERVICE;
use harness::stack::Stack;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;

use crate::directory::{log_in, stack_with, start};

const AN_HOUR_AND_MORE: Duration = Duration::from_mins(61);

/// What somebody may do in the repository of the team, by a new token.
async fn rights(stack: &Stack, user: &str, password: &str) -> anyhow::Result<String> {
    let url = format!(
        "{}/token?service={SERVICE}&scope=repository:platform/app:pull,push",
        stack.token_server_url()
    );
    let request =
        Request::get(url).header(reqwest::header::AUTHORIZATION, harness::client::basic(user, password));
    let body = stack.anonymous()?.raw(&request).await?.expect(200)?.json()?;
    actions(body["token"].as_str().unwrap_or_default())
}

fn actions(token: &str) -> anyhow::Result<String> {
    Ok(claims_of(token)?["access"][0]["actions"].to_string())
}

const WRITER: &str = r#"["pull","push"]"#;

const NOTHING: &str = "null";

/// What `docker login` keeps.
async fn keep_login(stack: &Stack, user: &str) -> anyhow::Result<String> {
    let client = OciClient::new(&stack.registry_url(), user, &password_of(user))?;
    let challenge = client.challenge().await?;
    let asked = client.ask_token(&challenge, &[("offline_token", "true"), ("client_id", "docker")]).await?;
    Ok(asked.expect(200)?.json()?["refresh_token"].as_str().unwrap_or_default().to_owned())
}

/// What a kept login may do in the repository of the team; an error where it has ended.
async fn redeem(stack: &Stack, refresh: &str) -> anyhow::Result<Result<String, u16>> {
    let pairs = [
        ("grant_type", "refresh_token"),
        ("service", SERVICE),
        ("client_id", "docker"),
        ("scope", "repository:platform/app:pull,push"),
        ("refresh_token", refresh),
    ];
    let request = Request::new(Method::POST, format!("{}/token", stack.token_server_url()))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish());
    let answer = stack.anonymous()?.raw(&request).await?;
    if answer.status != 200 {
        return Ok(Err(answer.status));
    }
    Ok(Ok(actions(answer.json()?["access_token"].as_str().unwrap_or_default())?))
}

#[tokio::test]
async fn groups_are_teams_also_in_one_another_and_in_circles() -> anyhow::Result<()> {
    let (directory, stack) = start("").await?;
    directory.add_group("engineers", &[&dn_of("alice")]).await?;
    directory.add_group("circle", &[&group_dn("engineers"), &group_dn("platform-people")]).await?;
    directory.add_group("platform-people", &[&group_dn("circle")]).await?;
    directory.add_group("odd (group)*\\", &[&dn_of("bob")]).await?;
    assert_eq!(rights(&stack, "alice", &password_of("alice")).await?, WRITER);
    assert_eq!(rights(&stack, "bob", &password_of("bob")).await?, NOTHING);
    let flat = stack_with(directory.settings("      nestedgroups: false\n")).await?;
    assert_eq!(rights(&flat, "alice", &password_of("alice")).await?, NOTHING);
    let added = stack.database.db_audit_of("team_member_added").await?;
    assert_eq!(added[0].reason.as_deref(), Some("alice, by a group elsewhere"));
    Ok(())
}

#[tokio::test]
async fn a_group_may_list_names_instead_of_entries() -> anyhow::Result<()> {
    let filter = "      groupfilter: (&(objectClass=posixGroup)(memberUid={user}))\n";
    let (directory, stack) = start(filter).await?;
    let group = format!(
        "dn: {}\nobjectClass: posixGroup\ncn: platform-people\ngidNumber: 1\nmemberUid: alice\n",
        group_dn("platform-people")
    );
    directory.add(&group).await?;
    assert_eq!(rights(&stack, "alice", &password_of("alice")).await?, WRITER);
    assert_eq!(rights(&stack, "bob", &password_of("bob")).await?, NOTHING);
    Ok(())
}

#[tokio::test]
async fn a_group_that_is_gone_is_gone_from_kept_logins_too() -> anyhow::Result<()> {
    let (directory, stack) = start("").await?;
    directory.add_group("platform-people", &[&dn_of("alice"), &dn_of("bob")]).await?;
    let refresh = keep_login(&stack, "alice").await?;
    assert_eq!(redeem(&stack, &refresh).await?, Ok(WRITER.into()));
    directory.remove_group("platform-people").await?;
    // What was told a moment ago is not asked about again.
    db_update_groups(&stack).await?;
    assert_eq!(redeem(&stack, &refresh).await?, Ok(WRITER.into()));
    stack.clock.advance(AN_HOUR_AND_MORE);
    db_update_groups(&stack).await?;
    assert_eq!(redeem(&stack, &refresh).await?, Ok(NOTHING.into()));
    directory.add_group("platform-people", &[&dn_of("alice")]).await?;
    stack.clock.advance(AN_HOUR_AND_MORE);
    db_update_groups(&stack).await?;
    assert_eq!(redeem(&stack, &refresh).await?, Ok(WRITER.into()));
    Ok(())
}

#[tokio::test]
async fn a_group_that_means_no_team_any_more_is_taken_back_by_the_next_start() -> anyhow::Result<()> {
    let (directory, mut stack) = start("").await?;
    directory.add_group("platform-people", &[&dn_of("alice")]).await?;
    let refresh = keep_login(&stack, "alice").await?;
    assert_eq!(redeem(&stack, &refresh).await?, Ok(WRITER.into()));
    let settings = stack.token_server_settings().to_owned();
    let other = std::fs::read_to_string(&settings)?.replace("platform-people", "other-people");
    std::fs::write(&settings, other)?;
    let clock = stack.clock.clone();
    stack.token_server = Server::Thread(Threaded::start(Which::TokenServer, &settings, clock).await?);
    let removed = || async {
        stack.database.db_audit_of("team_member_removed").await.is_ok_and(|rows| rows.len() == 1)
    };
    program::until("the member is out of the team", Duration::from_mins(1), removed).await?;
    assert_eq!(redeem(&stack, &refresh).await?, Ok(NOTHING.into()));
    Ok(())
}

#[tokio::test]
async fn who_is_gone_from_the_directory_is_logged_out_and_in_no_group() -> anyhow::Result<()> {
    let (directory, stack) = start("").await?;
    directory.add_group("platform-people", &[&dn_of("alice"), &dn_of("bob")]).await?;
    let (alice, bob) = (keep_login(&stack, "alice").await?, keep_login(&stack, "bob").await?);
    directory.remove_person("alice").await?;
    stack.clock.advance(AN_HOUR_AND_MORE);
    db_update_groups(&stack).await?;
    assert_eq!(redeem(&stack, &alice).await?, Err(401));
    assert_eq!(redeem(&stack, &bob).await?, Ok(WRITER.into()));
    log_in(&stack, "alice", &password_of("alice")).await?.expect_error(401, "UNAUTHORIZED")?;
    let ended = stack.database.db_audit_of("login_ended").await?;
    let told: Vec<_> = ended.iter().map(harness::audit::AuditRow::summary).collect();
    assert_eq!(told, [["login_ended", "system", "user:alice", "allowed", "all, gone from corp"]]);
    // Once is enough.
    stack.clock.advance(AN_HOUR_AND_MORE);
    db_update_groups(&stack).await?;
    assert_eq!(stack.database.db_audit_of("login_ended").await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_password_that_was_right_a_moment_ago_is_not_when_its_owner_is_gone() -> anyhow::Result<()> {
    let directory = Directory::start().await?;
    // Groups are asked about again after half of the age at which they do not count any more.
    let settings = directory.settings("      maxgroupage: 1h\n") + "passwords:\n  cache: 1h\n";
    let stack = stack_with(settings).await?;
    log_in(&stack, "alice", &password_of("alice")).await?.expect(200)?;
    directory.remove_person("alice").await?;
    stack.clock.advance(Duration::from_mins(31));
    log_in(&stack, "alice", &password_of("alice")).await?.expect(200)?;
    db_update_groups(&stack).await?;
    log_in(&stack, "alice", &password_of("alice")).await?.expect_error(401, "UNAUTHORIZED")?;
    Ok(())
}

#[tokio::test]
async fn a_directory_that_does_not_answer_changes_nothing_until_groups_are_too_old() -> anyhow::Result<()> {
    let (mut directory, stack) = start("      maxgroupage: 6h\n").await?;
    directory.add_group("platform-people", &[&dn_of("alice")]).await?;
    let refresh = keep_login(&stack, "alice").await?;
    directory.stop();
    for _ in 0..5 {
        stack.clock.advance(AN_HOUR_AND_MORE);
        db_update_groups(&stack).await?;
        assert_eq!(redeem(&stack, &refresh).await?, Ok(WRITER.into()));
    }
    stack.clock.advance(AN_HOUR_AND_MORE);
    db_update_groups(&stack).await?;
    assert_eq!(redeem(&stack, &refresh).await?, Ok(NOTHING.into()), "the login itself stays");
    directory.restart().await?;
    db_update_groups(&stack).await?;
    stack.clock.advance(AN_HOUR_AND_MORE);
    db_update_groups(&stack).await?;
    assert_eq!(redeem(&stack, &refresh).await?, Ok(WRITER.into()));
    directory.stop();
    stack.clock.advance(Duration::from_hours(7));
    db_update_groups(&stack).await?;
    directory.restart().await?;
    directory.remove_person("alice").await?;
    stack.clock.advance(AN_HOUR_AND_MORE);
    db_update_groups(&stack).await?;
    assert_eq!(redeem(&stack, &refresh).await?, Err(401), "gone while nothing was heard for long");
    Ok(())
}

/// Settings as for Active Directory: who somebody is are bytes, and a bit says who is disabled.
const ACTIVE: &str = "      userfilter: (&(objectClass=person)(uid={user}))\n      \
                      disabledfilter: (userAccountControl:1.2.840.113556.1.4.803:=2)\n      \
                      attributes:\n        subject: objectGUID\n";

#[tokio::test]
async fn who_is_disabled_there_is_out_and_who_is_renamed_there_is_the_same_user() -> anyhow::Result<()> {
    let (directory, stack) = start(ACTIVE).await?;
    let become_account = |guid: &str| {
        format!(
            "changetype: modify\nadd: objectClass\nobjectClass: accountOfActiveDirectory\n-\nadd: objectGUID\n\
             objectGUID:: {guid}\n-\nadd: userAccountControl\nuserAccountControl: 512\n"
        )
    };
    // The bytes 33 22 11 00 55 44 77 66 88 99 aa bb cc dd ee ff.
    directory
        .modify(&format!("dn: {}\n{}", dn_of("alice"), become_account("MyIRAFVEd2aImaq7zN3u/w==")))
        .await?;
    directory.add_group("platform-people", &[&dn_of("alice")]).await?;
    log_in(&stack, "bob", &password_of("bob")).await?.expect_error(401, "UNAUTHORIZED")?;
    let refresh = keep_login(&stack, "alice").await?;
    let linked = stack.database.db_audit_of("identity_linked").await?;
    assert_eq!(linked[0].reason.as_deref(), Some("00112233-4455-6677-8899-aabbccddeeff of ldap:corp"));

    let rename =
        format!("dn: {}\nchangetype: modrdn\nnewrdn: uid=alice-married\ndeleteoldrdn: 1\n", dn_of("alice"));
    directory.modify(&rename).await?;
    let body = log_in(&stack, "alice-married", &password_of("alice")).await?.expect(200)?.json()?;
    assert_eq!(claims_of(body["token"].as_str().unwrap_or_default())?["sub"], "alice");
    stack.clock.advance(AN_HOUR_AND_MORE);
    db_update_groups(&stack).await?;
    // slapd does not follow a new name into its groups, so only the login is looked at.
    assert!(redeem(&stack, &refresh).await?.is_ok());

    let disable = format!(
        "dn: {}\nchangetype: modify\nreplace: userAccountControl\nuserAccountControl: 514\n",
        dn_of("alice-married")
    );
    directory.modify(&disable).await?;
    log_in(&stack, "alice-married", &password_of("alice")).await?.expect_error(401, "UNAUTHORIZED")?;
    stack.clock.advance(AN_HOUR_AND_MORE);
    db_update_groups(&stack).await?;
    assert_eq!(redeem(&stack, &refresh).await?, Err(401));
    Ok(())
}
