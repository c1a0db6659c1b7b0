//! The rights that operators give and deny on the command line, as tokens and both kinds of registries see them.
//!
//! *Invariant:* what `explain` says is what a client meets.

use std::time::Duration;

use harness::actors::Town;
use harness::client::{OciClient, Request};
use harness::images::Image;
use harness::program::Said;
use harness::settings::{PEER_SERVICE, SERVICE};
use harness::stack::{Stack, basic_of};
use reqwest::Method;
use shared::action::ActionSet;
use shared::claims::Claims;

/// What a token for these scopes says.
pub(crate) async fn claims(stack: &Stack, user: &str, service: &str, scope: &str) -> anyhow::Result<Claims> {
    let client = stack.anonymous()?;
    let url = format!("{}/token?service={service}&scope={scope}", stack.token_server_url());
    let answer = client.http().get(url).header("authorization", basic_of(user)).send().await?;
    let body: serde_json::Value = answer.error_for_status()?.json().await?;
    let token = body["token"].as_str().unwrap_or_default();
    Ok(serde_json::from_value(harness::forge::claims_of(token)?)?)
}

/// The actions on a repository that a token for everything carries, in either of its claims, and its limits as JSON.
pub(crate) async fn actions(stack: &Stack, user: &str, repository: &str) -> anyhow::Result<(String, String)> {
    let claims = claims(stack, user, SERVICE, &format!("repository:{repository}:pull,push,delete")).await?;
    let ours = claims.portcullis.unwrap_or_default();
    let both = claims.access.with(ours.more_access());
    let actions = both.iter().fold(ActionSet::EMPTY, |set, scope| set.union(scope.actions));
    let limits = ours.limits.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
    Ok((actions.to_string(), limits.join(" ")))
}

pub(crate) async fn run(stack: &Stack, line: &str) -> anyhow::Result<Said> {
    stack.operator(&line.split(' ').collect::<Vec<_>>(), "").await
}

pub(crate) async fn done(stack: &Stack, lines: &[&str]) -> anyhow::Result<()> {
    for line in lines {
        run(stack, line).await?.success()?;
    }
    Ok(())
}

#[tokio::test]
async fn a_denial_beats_every_grant_and_goes_again() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    let all = ("pull,push".to_owned(), String::new());
    assert_eq!(actions(stack, "alice", "platform/frozen/app").await?, all);
    done(stack, &["grant add user:alice --deny --actions push platform/frozen/**"]).await?;
    assert_eq!(actions(stack, "alice", "platform/frozen/app").await?.0, "pull");
    assert_eq!(actions(stack, "alice", "platform/app").await?, all);
    assert_eq!(actions(stack, "admin", "platform/frozen/app").await?.0, "pull,push,delete");
    // Also of those who own everything, and of nobody's share more than was said.
    done(stack, &["grant add everyone --deny --actions tag-update,delete platform/frozen/**"]).await?;
    let (held, limits) = actions(stack, "admin", "platform/frozen/app").await?;
    assert_eq!(held, "pull,push");
    assert!(limits.contains(r#""create":{"in":["*"]},"update":{"not":["*"]}"#), "{limits}");
    done(stack, &["grant remove user:alice --deny --actions push platform/frozen/** --yes"]).await?;
    assert_eq!(actions(stack, "alice", "platform/frozen/app").await?.0, "pull,push");
    Ok(())
}

#[tokio::test]
async fn rights_end_begin_and_depend_on_the_network() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    done(
        stack,
        &[
            "grant add user:bob viewer for-a-while --expires 30d --reason holiday",
            "grant add user:bob viewer later --from 2100-01-01T00:00:00Z",
            "grant add user:bob viewer near --network 127.0.0.0/8 --network ::1",
            "grant add user:bob viewer far --network 192.0.2.0/24",
        ],
    )
    .await?;
    for (repository, held) in [("for-a-while", "pull"), ("later", ""), ("near", "pull"), ("far", "")] {
        assert_eq!(actions(stack, "bob", repository).await?.0, held, "{repository}");
    }
    let listed = run(stack, "grant list").await?.success()?.output;
    for part in ["holiday", "until 20", "from 2100-01-01", "in 192.0.2.0/24"] {
        assert!(listed.contains(part), "{part}: {listed}");
    }
    stack.clock.advance(Duration::from_hours(24 * 31));
    assert_eq!(actions(stack, "bob", "for-a-while").await?.0, "");
    // The same words again are the same right; with another end they would be another one.
    let same = run(stack, "grant add user:bob viewer later --from 2100-01-01T00:00:00Z").await?;
    assert_eq!(same.code, Some(3), "{}", same.text);
    let said = run(stack, "grant add user:bob viewer later --expires 5d").await?;
    assert_eq!(said.code, Some(4), "{}", said.text);
    assert!(said.text.contains("remove it first"), "{}", said.text);
    // One that has ended is out of the way.
    let mut connection = stack.database.db_connect().await?;
    sqlx::query(
        "update acl_grant set expires_at = now() - interval '1 minute' where pattern = 'for-a-while'",
    )
    .execute(&mut connection)
    .await?;
    done(stack, &["grant add user:bob viewer for-a-while"]).await?;
    Ok(())
}

#[tokio::test]
async fn members_of_teams_in_teams_are_members_and_no_team_is_in_itself() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    for number in 1..=6 {
        done(stack, &[&format!("team add t{number}")]).await?;
    }
    done(
        stack,
        &[
            "team member add t1 bob",
            "team member add t2 team:t1",
            "team member add t3 team:t2",
            "team member add t4 team:t3",
            "team member add t5 team:t4",
            "grant add team:t5 writer nested/**",
        ],
    )
    .await?;
    assert_eq!(actions(stack, "bob", "nested/app").await?.0, "pull,push");
    for (line, part) in [
        ("team member add t1 team:t5", "because"),
        ("team member add t3 team:t3", "because"),
        ("team member add t6 team:t5", "5 deep"),
        ("team member add t1 team:t6", "5 deep"),
    ] {
        let said = run(stack, line).await?;
        assert_eq!(said.code, Some(4), "{line}: {}", said.text);
        assert!(said.text.contains(part), "{line}: {}", said.text);
    }
    let listed = run(stack, "team member list t5").await?.success()?.output;
    assert!(listed.contains("team:t4"), "{listed}");
    done(stack, &["team member remove t3 team:t2 --yes"]).await?;
    assert_eq!(actions(stack, "bob", "nested/app").await?.0, "");
    done(stack, &["team member add t3 team:t2", "team remove t2 --yes"]).await?;
    assert_eq!(actions(stack, "bob", "nested/app").await?.0, "", "the chain went with its link");
    Ok(())
}

#[tokio::test]
async fn everybody_has_a_place_of_their_own() -> anyhow::Result<()> {
    let town = Town::start().await?;
    done(&town.stack, &["grant add authenticated maintainer people/${user}/**"]).await?;
    let held = ("pull,push,delete".to_owned(), String::new());
    assert_eq!(actions(&town.stack, "bob", "people/bob/app").await?, held);
    assert_eq!(actions(&town.stack, "alice", "people/bob/app").await?.0, "");
    Ok(())
}

#[tokio::test]
async fn a_publisher_makes_tags_and_moves_none() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    done(
        stack,
        &[
            "grant add user:bob publisher shop/app",
            "grant add user:bob writer shop/app --tags pr-*",
            "grant add everyone --deny --actions push shop/app --tags v0.*",
        ],
    )
    .await?;
    let bob = stack.client("bob")?;
    let (first, second) = (Image::new(811, 1, 1000)?, Image::new(812, 1, 1000)?);
    bob.push_image("shop/app", "v1", &first).await?;
    bob.push_image("shop/app", "pr-1", &first).await?;
    bob.push_image("shop/app", "pr-1", &second).await?;
    let refusal = async |tag: &str, image: &Image| {
        for blob in image.layers.iter().chain([&image.config]) {
            bob.push_blob("shop/app", blob).await?;
        }
        let answer = bob.put_manifest("shop/app", tag, &image.manifest).await?;
        answer.expect_error(403, "DENIED")?.error_message()
    };
    let message = refusal("v1", &second).await?;
    assert!(message.contains("bob") && message.contains("v1") && message.contains("pr-*"), "{message}");
    let message = refusal("v0.9", &second).await?;
    assert!(message.contains("v0.9"), "{message}");
    bob.pull_image("shop/app", "v1", &first).await?;
    Ok(())
}

#[tokio::test]
async fn who_may_not_delete_a_tag_may_delete_nothing_that_it_needs() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let image = Image::new(815, 1, 1000)?;
    for tag in ["v1", "x"] {
        town.admin.push_image("prod/app", tag, &image).await?;
    }
    done(&town.stack, &["grant add everyone --deny --actions tag-update,delete prod/** --tags v*"]).await?;
    town.admin.forget_tokens();
    for target in [
        "/v2/prod/app/manifests/v1".to_owned(),
        format!("/v2/prod/app/manifests/{}", image.manifest.digest),
        format!("/v2/prod/app/blobs/{}", image.config.digest),
        "/v2/_portcullis/repositories/prod/app".to_owned(),
    ] {
        let answer = town.admin.send(&Request::new(Method::DELETE, target)).await?;
        answer.expect_error(403, "DENIED")?;
    }
    let tag = Request::new(Method::DELETE, "/v2/prod/app/manifests/x");
    town.admin.send(&tag).await?.expect(202)?;
    town.admin.pull_image("prod/app", "v1", &image).await
}

#[tokio::test]
async fn what_the_distribution_registry_cannot_enforce_is_withheld_from_it() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    done(stack, &["grant add user:bob publisher shop/app", "grant add user:bob writer shop/other"]).await?;
    let scope = "repository:shop/app:pull,push&scope=repository:shop/other:pull,push";
    let ours = claims(stack, "bob", SERVICE, scope).await?;
    let words = |claims: &Claims| claims.access.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    // What is limited stands in our own claim only, so that whoever does not read that gives less.
    assert_eq!(words(&ours), "repository:shop/app:pull repository:shop/other:pull,push");
    let limits = ours.portcullis.map(|claim| claim.limits).unwrap_or_default();
    assert_eq!(limits.first().map(|limits| limits.actions.to_string()).as_deref(), Some("push"));
    let theirs = claims(stack, "bob", PEER_SERVICE, scope).await?;
    assert_eq!(words(&theirs), "repository:shop/app:pull repository:shop/other:pull,push");
    assert_eq!(theirs.portcullis, None);
    let records = stack.database.db_audit_of("scopes_refused").await?;
    let record = records.iter().find(|row| row.reason.as_deref() == Some("unenforceable"));
    assert_eq!(record.map(|row| row.target.as_str()), Some("repository:shop/app:push"));
    Ok(())
}

#[tokio::test]
async fn explain_names_the_rows_and_answers_with_its_exit_code() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    done(
        stack,
        &[
            "grant add team:platform publisher shop/**",
            "grant add user:alice --deny --actions tag-create shop/app --tags v*",
            "grant add user:alice writer shop/app --expires 30d",
            "grant add user:bob signer shop/signed",
            "grant add user:bob maintainer shop/kept",
            "grant add user:bob --deny --actions tag-delete shop/kept --tags v*",
            "grant add user:bob writer tagged --tags pr-*",
            "grant add user:bob --actions list,pull,push-digest,attach,tag-create,tag-update deployed",
        ],
    )
    .await?;
    let signature = format!("explain user:bob push shop/signed:sha256-{}.sig", "0".repeat(64));
    for (line, code, parts) in [
        (
            "explain user:alice push shop/app:v1",
            0,
            &["yes, in part: tag-update; not tag-create", "deny tag-create", "team:platform"][..],
        ),
        ("explain user:alice tag-create shop/app:v1", 1, &["no", "v*"]),
        ("explain user:alice push shop/app:x", 0, &["yes: tag-create,tag-update", "writer"]),
        ("explain user:alice delete shop/app", 1, &["no row is about it"]),
        (
            "explain team:platform push shop/app",
            0,
            &["yes, in part: attach,push-digest,tag-create,repository-create; not tag-update"],
        ),
        (
            "explain user:alice push shop/app",
            0,
            &[
                "yes, in part: push; tag-create not for the tags v*\n",
                "another kind leaves push out: it is limited",
            ],
        ),
        ("explain user:alice push shop/other/app", 0, &["not tag-update"]),
        ("explain user:bob push tagged", 0, &["tag-create,tag-update only for the tags pr-*; not attach"]),
        ("explain user:bob push tagged:pr-1", 0, &["yes: tag-create,tag-update\n"]),
        (
            "explain user:bob push deployed:v1",
            0,
            &[
                "yes: tag-create,tag-update; only in a repository that is there already\na token for registries of \
                 another kind leaves push out",
            ],
        ),
        (
            "explain user:bob push deployed",
            0,
            &["yes, in part", "not repository-create; only in a repository that is there already\n"],
        ),
        ("explain user:bob * deployed", 0, &["yes, in part: list,pull,", "; not "]),
        ("explain user:bob pull shop/app", 1, &["no"]),
        (&signature, 0, &["yes: tag-create,tag-update", "signer"]),
        ("explain user:bob push shop/signed:v1", 1, &["no row is about it"]),
        ("explain user:bob manifest-delete shop/kept", 1, &["no", "maintainer", "deny tag-delete"]),
        ("explain everyone pull public/tool", 0, &["yes: pull", "everyone", "viewer"]),
        ("explain authenticated pull public/tool", 0, &["yes: pull"]),
        ("explain user:admin * shop/app", 0, &["owner"]),
    ] {
        let said = run(stack, line).await?;
        assert_eq!(said.code, Some(code), "{line}: {}", said.text);
        for part in parts {
            assert!(said.output.contains(part), "{line}: {part} is not in {}", said.output);
        }
    }
    for (line, code) in [
        ("explain user:nobody pull shop/app", 3),
        ("explain user:alice fly shop/app", 2),
        ("explain user:alice pull Shop", 2),
        ("explain user:alice pull shop/app:", 2),
        ("explain alice pull shop/app", 2),
        ("who-can attach shop/app:v1", 2),
    ] {
        let said = run(stack, line).await?;
        assert_eq!(said.code, Some(code), "{line}: {}", said.text);
        assert!(said.output.is_empty(), "{line}: {}", said.output);
    }
    done(stack, &["user disable alice --yes"]).await?;
    let said = run(stack, "explain user:alice push shop/app:x").await?;
    assert_eq!(said.code, Some(1));
    assert!(said.output.contains("disabled"), "{}", said.output);
    Ok(())
}

#[tokio::test]
async fn who_can_lists_everybody_who_may_and_nobody_else() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    done(stack, &["grant add authenticated maintainer people/${user}/**"]).await?;
    done(
        stack,
        &[
            "team add core",
            "team member add core bob",
            "team member add platform team:core",
            "grant add user:alice --deny --actions push platform/secret",
        ],
    )
    .await?;
    let subjects = async |line: &str| -> anyhow::Result<(Vec<String>, Option<i32>)> {
        let said = run(stack, line).await?;
        let rows = said.output.lines().skip(1).filter_map(|row| row.split_whitespace().next());
        Ok((rows.map(str::to_owned).collect(), said.code))
    };
    let expected = |names: &[&str], code| (names.iter().map(|name| (*name).to_owned()).collect(), Some(code));
    let everybody = ["user:admin", "user:alice", "user:bob"];
    assert_eq!(subjects("who-can push platform/app").await?, expected(&everybody, 0));
    assert_eq!(subjects("who-can push platform/secret").await?, expected(&["user:admin", "user:bob"], 0));
    assert_eq!(subjects("who-can push people/bob/app").await?, expected(&["user:admin", "user:bob"], 0));
    let all = ["everyone", "authenticated", "user:admin"];
    assert_eq!(subjects("who-can pull public/tool").await?, expected(&all, 0));
    done(stack, &["grant add everyone --deny --actions * nobody/**"]).await?;
    assert_eq!(subjects("who-can pull nobody/x").await?, expected(&[], 1));
    // Each of them gets a token for it, and those who are not listed do not.
    for user in ["admin", "alice", "bob"] {
        let held = actions(stack, user, "platform/secret").await?.0.contains("push");
        assert_eq!(held, user != "alice", "{user}");
    }
    Ok(())
}

#[tokio::test]
async fn the_list_of_repositories_shows_what_may_be_pulled() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    let image = Image::new(831, 1, 1000)?;
    for repository in ["platform/app", "platform/secret", "public/tool", "other/app", "people/bob/app"] {
        town.admin.push_image(repository, "1", &image).await?;
    }
    done(
        stack,
        &[
            "grant add user:alice --deny --actions pull platform/secret",
            "grant add authenticated maintainer people/${user}/**",
        ],
    )
    .await?;
    let seen = async |client: &OciClient, query: &str| -> anyhow::Result<(String, bool)> {
        let answer = client.send(&Request::get(format!("/v2/_catalog{query}"))).await?.expect(200)?;
        let names = answer.json()?["repositories"].as_array().cloned().unwrap_or_default();
        let names: Vec<_> = names.iter().filter_map(|name| name.as_str()).collect();
        Ok((names.join(" "), answer.header("link").is_some()))
    };
    let all = "other/app people/bob/app platform/app platform/secret public/tool";
    for (client, names) in [
        (&town.admin, all),
        (&town.alice, "platform/app public/tool"),
        (&town.bob, "people/bob/app public/tool"),
        (&town.anonymous, "public/tool"),
    ] {
        assert_eq!(seen(client, "").await?, (names.to_owned(), false));
    }
    assert_eq!(seen(&town.alice, "?n=1").await?, ("platform/app".to_owned(), true));
    assert_eq!(seen(&town.alice, "?n=1&last=platform/app").await?, ("public/tool".to_owned(), false));
    // Whoever may pull nothing is told so, and what another kind of registry cannot cut is not given to it.
    done(stack, &["grant add everyone --deny --actions pull public/**"]).await?;
    town.anonymous.forget_tokens();
    town.anonymous.send(&Request::get("/v2/_catalog")).await?.expect_error(403, "DENIED")?;
    let theirs = claims(stack, "alice", PEER_SERVICE, "registry:catalog:*").await?;
    assert!(theirs.access.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_barrier_stops_what_comes_from_above() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    done(
        stack,
        &[
            "grant add team:platform writer prod/app",
            "barrier add prod/** --actions push,delete --reason releases-only",
        ],
    )
    .await?;
    assert_eq!(actions(stack, "admin", "prod/app").await?.0, "pull");
    assert_eq!(actions(stack, "admin", "other").await?.0, "pull,push,delete");
    assert_eq!(actions(stack, "alice", "prod/app").await?.0, "pull,push");
    let said = run(stack, "explain user:admin push prod/app").await?;
    assert_eq!(said.code, Some(1), "{}", said.text);
    assert!(said.output.contains("kept out by the barrier at prod/**"), "{}", said.output);
    let said = run(stack, "explain user:admin * prod/app").await?;
    assert!(said.output.contains("yes, less push,delete,"), "{}", said.output);
    let said = run(stack, "who-can push prod/app").await?.success()?;
    assert!(said.output.contains("user:alice") && !said.output.contains("admin"), "{}", said.output);
    for (line, code) in [
        ("barrier add prod/** --actions pull", 3),
        ("barrier add prod/* --actions pull", 2),
        ("barrier add prod/** --actions fly", 2),
        ("barrier remove other/** --yes", 3),
        ("barrier remove prod/**", 2),
    ] {
        let said = run(stack, line).await?;
        assert_eq!(said.code, Some(code), "{line}: {}", said.text);
    }
    let listed = run(stack, "barrier list").await?.success()?.output;
    assert!(listed.contains("push,delete") && listed.contains("releases-only"), "{listed}");
    done(stack, &["barrier remove prod/** --yes"]).await?;
    assert_eq!(actions(stack, "admin", "prod/app").await?.0, "pull,push,delete");
    Ok(())
}

#[tokio::test]
async fn a_signer_attaches_and_changes_nothing_else() -> anyhow::Result<()> {
    let town = Town::start().await?;
    done(&town.stack, &["grant add user:bob signer platform/app"]).await?;
    let (image, bob) = (Image::new(821, 1, 1000)?, town.stack.client("bob")?);
    town.alice.push_image("platform/app", "v1", &image).await?;
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": harness::images::OCI_MANIFEST, "config": image.config.descriptor(),
        "layers": [], "subject": image.manifest.descriptor(),
    });
    let bytes = manifest.to_string().into_bytes();
    let signature = harness::images::Blob::new(harness::images::OCI_MANIFEST, bytes);
    bob.put_manifest("platform/app", &signature.digest, &signature).await?.expect(201)?;
    let tag = format!("{}.sig", image.manifest.digest.replace(':', "-"));
    bob.put_manifest("platform/app", &tag, &signature).await?.expect(201)?;
    let refused = async |client: &OciClient, tag: &str| {
        client.put_manifest("platform/app", tag, &signature).await?.expect_error(403, "DENIED")
    };
    for tag in ["v1", "v2"] {
        refused(&bob, tag).await?;
    }
    Ok(())
}
