//! Secrets that are good for less than their robot holds.
//!
//! *Invariant:* a limited secret gives nothing that the robot does not hold, and leads to nothing that is not limited.

use harness::actors::Town;
use harness::api::Api;
use harness::client::{OciClient, Request, basic};
use harness::images::Image;
use harness::stack::Stack;
use reqwest::Method;
use reqwest::header::AUTHORIZATION;
use serde_json::json;
use sqlx::Executor as _;

use crate::rights::{done, run};

const SECRETS: &str = "/robots/platform/ci/secrets";

async fn town() -> anyhow::Result<Town> {
    let town = Town::start().await?;
    done(
        &town.stack,
        &[
            "namespace add platform --owner team:platform",
            "robot add platform/ci",
            "grant add robot:platform/ci maintainer platform/**",
            "grant add robot:platform/ci viewer other/**",
        ],
    )
    .await?;
    Ok(town)
}

async fn robot(stack: &Stack, limits: &str) -> anyhow::Result<OciClient> {
    let secret =
        run(stack, format!("robot secret add platform/ci {limits}").trim_end()).await?.success()?.output;
    OciClient::new(&stack.registry_url(), "platform/ci", secret.trim())
}

#[tokio::test]
async fn a_secret_is_good_for_its_repositories_and_actions_only() -> anyhow::Result<()> {
    let town = town().await?;
    let stack = &town.stack;
    let whole = robot(stack, "").await?;
    let reading = robot(stack, "--repository platform/app/** --actions list,pull").await?;
    let (image, next) = (Image::new(871, 1, 1000)?, Image::new(872, 1, 1000)?);
    for name in ["platform/app", "platform/secret"] {
        whole.push_image(name, "v1", &image).await?;
    }
    reading.pull_image("platform/app", "v1", &image).await?;
    let refused = reading.push_image("platform/app", "v2", &next).await.unwrap_err().to_string();
    assert!(refused.contains("platform/ci may push to platform/app, but not with the secret"), "{refused}");
    // Beyond its places it is told what whoever holds nothing is told.
    for name in ["platform/secret", "platform/none", "other/app"] {
        let answer = reading.get_manifest(name, "v1").await?.expect_error(403, "DENIED")?;
        let text = answer.text().replace(name, "NAME");
        assert!(text.contains("platform/ci may not pull from NAME: no grant allows it; ask admin"), "{text}");
    }
    let seen = reading.send(&Request::get("/v2/_catalog")).await?.expect(200)?.json()?;
    assert_eq!(seen["repositories"], json!(["platform/app"]));
    let seen = whole.send(&Request::get("/v2/_catalog")).await?.expect(200)?.json()?;
    assert_eq!(seen["repositories"], json!(["platform/app", "platform/secret"]));
    let audit = run(stack, "audit list").await?.success()?.output;
    assert!(audit.contains("good for list,pull on platform/app/**"), "{audit}");
    assert!(audit.contains("(limited_credential)") && audit.contains("(outside_of_credential)"), "{audit}");
    assert!(!audit.contains("(no_grant)"), "{audit}");
    let listed = run(stack, "robot secret list platform/ci").await?.success()?.output;
    let good_for: Vec<&str> = listed.lines().skip(1).filter_map(|line| line.rsplit("  ").next()).collect();
    assert_eq!(
        good_for.iter().map(|text| text.trim()).collect::<Vec<_>>(),
        ["everything", "list,pull on platform/app/**"]
    );
    // What needs no login at all is not refused to whoever has one.
    done(stack, &["grant add everyone viewer open/**", "grant add robot:platform/ci maintainer open/**"])
        .await?;
    whole.forget_tokens();
    whole.push_image("open/app", "v1", &image).await?;
    reading.forget_tokens();
    reading.pull_image("open/app", "v1", &image).await?;
    // What the robot loses, all its secrets lose.
    done(stack, &["grant remove robot:platform/ci maintainer platform/** --yes"]).await?;
    reading.forget_tokens();
    reading.get_manifest("platform/app", "v1").await?.expect_error(403, "DENIED")?;
    Ok(())
}

#[tokio::test]
async fn a_secret_is_good_for_its_tags_only() -> anyhow::Result<()> {
    let town = town().await?;
    let stack = &town.stack;
    let ci = robot(stack, "--tags pr-*").await?;
    let (image, next) = (Image::new(873, 1, 1000)?, Image::new(874, 1, 1000)?);
    ci.push_image("platform/app", "pr-1", &image).await?;
    ci.push_image("platform/app", "pr-1", &next).await?;
    ci.pull_image("platform/app", "pr-1", &next).await?;
    let refused = ci.push_image("platform/app", "v1", &image).await.unwrap_err().to_string();
    assert!(refused.contains("platform/ci may not create the tag v1"), "{refused}");
    // Nor is there a way around tags.
    let by_digest = format!("/v2/platform/app/manifests/{}", image.manifest.digest);
    ci.send(&Request::new(Method::DELETE, by_digest)).await?.expect_error(403, "DENIED")?;
    // Where the robot itself is limited, what both patterns cover is left.
    done(
        stack,
        &[
            "grant remove robot:platform/ci maintainer platform/** --yes",
            "grant add robot:platform/ci writer platform/** --tags pr-1*",
        ],
    )
    .await?;
    ci.forget_tokens();
    ci.push_image("platform/app", "pr-11", &image).await?;
    assert!(ci.push_image("platform/app", "pr-2", &image).await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_secret_is_good_in_its_networks_only() -> anyhow::Result<()> {
    let town = town().await?;
    let stack = &town.stack;
    robot(stack, "--network 127.0.0.0/8 --network ::1").await?.login().await?.expect(200)?;
    robot(stack, "--network 192.0.2.0/24").await?.login().await?.expect(401)?;
    let audit = run(stack, "audit list").await?.success()?.output;
    assert!(audit.contains("robot_secret_from_elsewhere"), "{audit}");
    Ok(())
}

#[tokio::test]
async fn a_limited_secret_is_made_and_shown_over_the_api_and_good_for_registries_only() -> anyhow::Result<()>
{
    let town = town().await?;
    let api = Api::of(&town.stack).await?;
    let limits = json!({"repositories": ["platform/app"], "actions": ["pull"], "networks": ["127.0.0.1"]});
    let made = api.post("admin", SECRETS, &json!({"limits": limits})).await?.expect(201)?.json()?;
    let shown = json!({
        "repositories": ["platform/app"], "actions": ["pull"], "tags": null, "networks": ["127.0.0.1/32"]
    });
    assert_eq!(made["limits"], shown);
    let whole = api.post("admin", SECRETS, &json!({})).await?.expect(201)?.json()?;
    assert_eq!(whole["limits"], json!(null));
    let one = api.get("admin", &format!("{SECRETS}/{}", made["id"].as_str().unwrap_or_default())).await?;
    assert_eq!(one.expect(200)?.json()?["limits"], shown);
    let call = |secret: &serde_json::Value, method, path, body: Option<&serde_json::Value>| {
        let login = basic("platform/ci", secret.as_str().unwrap_or_default());
        api.request(None, method, path, body).header(AUTHORIZATION, login)
    };
    api.send(&call(&whole["secret"], Method::GET, "/account", None)).await?.expect(200)?;
    // With it, nothing is made that is not limited, and nothing is asked.
    for (method, path, body) in [
        (Method::GET, "/account", None),
        (Method::POST, SECRETS, Some(json!({}))),
        (Method::GET, SECRETS, None),
        (Method::GET, "/explain?subject=robot:platform/ci&action=pull&repository=platform/app", None),
        (
            Method::POST,
            "/grants",
            Some(json!({"subject": "everyone", "role": "viewer", "pattern": "platform/**"})),
        ),
    ] {
        let refused =
            api.send(&call(&made["secret"], method, path, body.as_ref())).await?.expect(403)?.text();
        assert!(refused.contains("limited, and good for registries only"), "{path}: {refused}");
    }
    let audit = run(&town.stack, "audit list --event change_refused").await?.success()?.output;
    assert!(
        audit.contains("platform/ci") && audit.contains("limited, and good for registries only"),
        "{audit}"
    );
    for (limits, status, code) in [
        (json!({"repositories": ["A"]}), 422, "invalid_limits"),
        (json!({"repositories": ["${user}/**"]}), 422, "invalid_limits"),
        (json!({"actions": ["fly"]}), 422, "unknown_action"),
        (json!({"actions": []}), 422, "contradiction"),
        (json!({}), 422, "contradiction"),
        (json!({"actions": ["list", "pull"], "tags": "v*"}), 422, "invalid_limits"),
        (json!({"tags": "["}), 422, "invalid_limits"),
        (json!({"networks": ["here"]}), 422, "invalid_limits"),
        (json!({"hours": "9-17"}), 400, "bad_body"),
    ] {
        let answer = api.post("admin", SECRETS, &json!({"limits": limits})).await?.expect(status)?.json()?;
        assert_eq!(answer["code"], code, "{limits}: {answer}");
    }
    Ok(())
}

#[tokio::test]
async fn limits_that_are_not_understood_let_nobody_in() -> anyhow::Result<()> {
    let town = town().await?;
    let stack = &town.stack;
    let ci = robot(stack, "--actions pull").await?;
    ci.login().await?.expect(200)?;
    let mut connection = stack.database.db_connect().await?;
    for limits in [r#"{"actions":"pull","hours":"9-17"}"#, r#"{"actions":"fly"}"#, "{}", "[]"] {
        let update = sqlx::query("update credential set limits = $1::text::jsonb").bind(limits);
        connection.execute(update).await?;
        ci.forget_tokens();
        ci.login().await?.expect(500)?;
        // It is seen, another can be made, and it can be revoked.
        let listed = run(stack, "robot secret list platform/ci").await?.success()?.output;
        assert!(listed.contains("nothing: not understood"), "{listed}");
        let listed = run(stack, "robot secret list platform/ci --output json").await?.success()?.output;
        assert_eq!(serde_json::from_str::<serde_json::Value>(&listed)?[0]["limits"]["actions"], json!([]));
    }
    robot(stack, "").await?.login().await?.expect(200)?;
    let listed = run(stack, "robot secret list platform/ci --output json").await?.success()?.output;
    let listed: serde_json::Value = serde_json::from_str(&listed)?;
    let number = listed[0]["id"].as_str().unwrap_or_default().to_owned();
    done(stack, &[&format!("robot secret revoke {number} --yes")]).await?;
    ci.login().await?.expect(401)?;
    for (line, part) in [
        ("robot secret add platform/ci --repository A", "`A` is no pattern"),
        ("robot secret add platform/ci --actions fly", "`fly` is not an action"),
        ("robot secret add platform/ci --network here", "`here` is neither"),
    ] {
        let said = run(stack, line).await?;
        assert_eq!(said.code, Some(2), "{line}: {}", said.text);
        assert!(said.text.contains(part), "{line}: {}", said.text);
    }
    Ok(())
}
