//! SCIM: who may come, what becomes of users and groups, and what nobody should send.
//!
//! *Invariant:* a provider touches whom it made and nobody else; every refusal is one of SCIM.

use harness::actors::Town;
use harness::client::Request;
use harness::scim::{ISSUER, Scim, town};
use harness::scim2;
use harness::stack::StackOptions;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use serde_json::{Value, json};

use crate::rights::{done, run};

fn person(name: &str) -> Value {
    json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": format!("{name}@acme.example"),
           "externalId": format!("00u-{name}"), "displayName": name.to_uppercase(), "active": true,
           "emails": [{"value": format!("{name}@acme.example"), "type": "work", "primary": true}]})
}

async fn members(town: &Town) -> anyhow::Result<String> {
    Ok(run(&town.stack, "team member list platform").await?.success()?.output)
}

#[tokio::test]
async fn a_client_that_others_wrote_finds_nothing_wrong_but_what_is_said_to_be_missing() -> anyhow::Result<()>
{
    let (_town, scim) = town(StackOptions::default()).await?;
    let said = scim2::run(scim.base(), scim.secret()).await?;
    anyhow::ensure!(said.succeeded(), "{}", said.text);
    Ok(())
}

#[tokio::test]
async fn who_is_made_by_scim_is_who_signs_in_later() -> anyhow::Result<()> {
    let (town, scim) = town(StackOptions::default()).await?;
    let id = scim.make("/Users", &person("carol")).await?;
    let linked = run(&town.stack, "identity list carol").await?.success()?.output;
    assert!(linked.contains("00u-carol") && linked.contains("corp"), "{linked}");
    let told = town.stack.database.db_audit_of("identity_linked").await?;
    assert_eq!(told[0].reason.as_deref(), Some(format!("00u-carol of {ISSUER}").as_str()));
    assert_eq!(told[0].actor, "scim:corp");
    // Who that is does not change by what SCIM says, unless an administrator has said so first.
    let other = json!({"Operations": [{"op": "replace", "path": "externalId", "value": "00u-mallory"}]});
    let refused = scim.call(Method::PATCH, &format!("/Users/{id}"), &other).await?.expect(400)?.json()?;
    assert_eq!(refused["scimType"], "mutability");
    done(&town.stack, &["identity link carol --provider corp --subject 00u-mallory"]).await?;
    scim.call(Method::PATCH, &format!("/Users/{id}"), &other).await?.expect(200)?;
    // Renaming changes no name here.
    let renamed = json!({"Operations": [{"op": "replace", "value": {"userName": "carola@acme.example"}}]});
    scim.call(Method::PATCH, &format!("/Users/{id}"), &renamed).await?.expect(200)?;
    assert!(run(&town.stack, "user list").await?.success()?.output.contains("carol"));
    Ok(())
}

#[tokio::test]
async fn whom_scim_did_not_make_is_not_there() -> anyhow::Result<()> {
    let (town, scim) = town(StackOptions::default()).await?;
    assert_eq!(scim.get("/Users").await?.expect(200)?.json()?["totalResults"], 0);
    assert_eq!(scim.find("/Users", r#"userName eq "admin""#).await?["totalResults"], 0);
    for name in ["admin", "alice"] {
        let taken = scim.call(Method::POST, "/Users", &person(name)).await?.expect(409)?.json()?;
        assert_eq!(taken["scimType"], "uniqueness");
    }
    // Who has a password is nobody's but ours, linked or not.
    done(&town.stack, &["identity link alice --provider corp --subject 00u-alice"]).await?;
    scim.call(Method::POST, "/Users", &person("alice")).await?.expect(409)?;
    // Who came from the provider alone is taken over by it.
    done(
        &town.stack,
        &["user add dave --no-password", "identity link dave --provider corp --subject 00u-dave"],
    )
    .await?;
    scim.make("/Users", &person("dave")).await?;
    Ok(())
}

#[tokio::test]
async fn who_leaves_comes_back_as_the_same_and_not_as_somebody_else() -> anyhow::Result<()> {
    let (town, scim) = town(StackOptions::default()).await?;
    let id = scim.make("/Users", &person("carol")).await?;
    let address = format!("/Users/{id}");
    scim.send(scim.request(Method::DELETE, &address, None)).await?.expect(204)?;
    for method in [Method::GET, Method::DELETE] {
        scim.send(scim.request(method, &address, None)).await?.expect(404)?;
    }
    let listed = run(&town.stack, "user list --output json").await?.success()?.output;
    let users: Value = serde_json::from_str(&listed)?;
    let carol = users.as_array().and_then(|users| users.iter().find(|user| user["name"] == "carol"));
    assert!(carol.is_some_and(|carol| !carol["disabled_at"].is_null()), "{listed}");
    assert!(!run(&town.stack, "identity list").await?.success()?.output.contains("00u-carol"));
    let mut other = person("carol");
    other["externalId"] = json!("00u-another-carol");
    scim.call(Method::POST, "/Users", &other).await?.expect(409)?;
    let again = scim.make("/Users", &person("carol")).await?;
    assert_eq!(again, id);
    assert_eq!(scim.get(&address).await?.expect(200)?.json()?["active"], true);
    Ok(())
}

#[tokio::test]
async fn whom_an_administrator_disabled_a_provider_does_not_enable() -> anyhow::Result<()> {
    let (town, scim) = town(StackOptions::default()).await?;
    let address = format!("/Users/{}", scim.make("/Users", &person("carol")).await?);
    done(&town.stack, &["user disable carol --yes"]).await?;
    for body in [json!({"active": true}), json!({"displayName": "C"}), json!({"active": "True"})] {
        let patch = json!({"Operations": [{"op": "replace", "value": body}]});
        let after = scim.call(Method::PATCH, &address, &patch).await?.expect(200)?.json()?;
        assert_eq!(after["active"], false, "{body}");
    }
    done(&town.stack, &["user enable carol"]).await?;
    assert_eq!(scim.get(&address).await?.json()?["active"], true);
    // Also not if the provider had disabled them once before.
    let say = async |active: bool| {
        let patch = json!({"Operations": [{"op": "replace", "path": "active", "value": active}]});
        let after = scim.call(Method::PATCH, &address, &patch).await?.expect(200)?.json()?;
        anyhow::Ok(after["active"] == true)
    };
    assert!(!say(false).await?);
    done(&town.stack, &["user enable carol", "user disable carol --yes"]).await?;
    assert!(!say(true).await?);
    // Whom an administrator lets in is kept out again when the provider says so again, and nobody is let in by saying nothing.
    done(&town.stack, &["user enable carol"]).await?;
    assert!(!say(false).await?);
    done(&town.stack, &["user enable carol"]).await?;
    assert!(!say(false).await?);
    let nothing = json!({"Operations": [{"op": "replace", "path": "active", "value": null}]});
    let after = scim.call(Method::PATCH, &address, &nothing).await?.expect(200)?.json()?;
    assert_eq!(after["active"], false);
    // And whom the provider alone disabled, it lets in again.
    done(&town.stack, &["user enable carol"]).await?;
    assert!(!say(false).await?);
    assert!(say(true).await?);
    Ok(())
}

#[tokio::test]
async fn groups_are_teams_at_once() -> anyhow::Result<()> {
    let (town, scim) = town(StackOptions::default()).await?;
    let carol = scim.make("/Users", &person("carol")).await?;
    let erin = scim.make("/Users", &person("erin")).await?;
    let group = json!({"displayName": "devs", "members": [{"value": carol}]});
    let group = format!("/Groups/{}", scim.make("/Groups", &group).await?);
    assert!(members(&town).await?.contains("carol"));
    let add = json!({"Operations": [{"op": "add", "path": "members", "value": [{"value": erin}]}]});
    scim.call(Method::PATCH, &group, &add).await?.expect(204)?;
    assert!(members(&town).await?.contains("erin"));
    let remove = json!({"Operations": [{"op": "remove", "path": format!("members[value eq \"{carol}\"]")}]});
    scim.call(Method::PATCH, &group, &remove).await?.expect(204)?;
    let now = members(&town).await?;
    assert!(!now.contains("carol") && now.contains("erin"), "{now}");
    let rename = json!({"Operations": [{"op": "replace", "path": "displayName", "value": "ops"}]});
    scim.call(Method::PATCH, &group, &rename).await?.expect(204)?;
    assert!(!members(&town).await?.contains("erin"), "no team is called so");
    scim.call(Method::PUT, &group, &json!({"displayName": "devs", "members": [{"value": erin}]}))
        .await?
        .expect(200)?;
    assert!(members(&town).await?.contains("erin"));
    let shown = scim.get(&format!("/Users/{erin}")).await?.json()?;
    assert_eq!(shown["groups"][0]["display"], "devs");
    let bare = scim.get(&format!("{group}?excludedAttributes=members")).await?.json()?;
    assert!(bare["members"].is_null() && bare["displayName"] == "devs");
    scim.send(scim.request(Method::DELETE, &group, None)).await?.expect(204)?;
    assert!(!members(&town).await?.contains("erin"));
    // Who is gone is in no group.
    let group = json!({"displayName": "devs", "members": [{"value": carol}]});
    scim.make("/Groups", &group).await?;
    scim.send(scim.request(Method::DELETE, &format!("/Users/{carol}"), None)).await?.expect(204)?;
    assert!(!members(&town).await?.contains("carol"));
    Ok(())
}

#[tokio::test]
async fn filters_and_pages_find_what_they_should() -> anyhow::Result<()> {
    let (_town, scim) = town(StackOptions::default()).await?;
    for name in ["ann-x", "ben-x", "cy-x"] {
        scim.make("/Users", &person(name)).await?;
    }
    for (filter, many) in [
        (r#"userName eq "ANN-X@acme.example""#, 1),
        (r#"externalId eq "00u-ben-x""#, 1),
        (r#"externalId eq "00U-BEN-X""#, 0),
        (r#"emails[type eq "work" and value co "@ACME."]"#, 3),
        (r#"emails.value sw "cy""#, 1),
        (r#"userName ew "x@acme.example" and not (displayName eq "cy-x")"#, 2),
        (r#"displayName co ".*""#, 0),
        ("active eq true", 3),
        (r#"active eq "False""#, 0),
        ("name.givenName pr", 0),
        (r#"meta.lastModified gt "2020-01-01T00:00:00Z""#, 3),
        (r#"meta.lastModified lt "2020-01-01T00:00:00Z""#, 0),
        (r#"id eq "nonsense""#, 0),
    ] {
        assert_eq!(scim.find("/Users", filter).await?["totalResults"], many, "{filter}");
    }
    let page = scim.get("/Users?startIndex=2&count=1").await?.expect(200)?.json()?;
    assert_eq!(
        [&page["totalResults"], &page["startIndex"], &page["itemsPerPage"]],
        [&json!(3), &json!(2), &json!(1)]
    );
    assert_eq!(page["Resources"][0]["userName"], "ben-x@acme.example");
    assert_eq!(scim.get("/Users?count=0").await?.json()?["totalResults"], 3);
    assert_eq!(scim.get("/Users?startIndex=-5&count=1000000").await?.json()?["itemsPerPage"], 3);
    let wrong = scim.get("/Users?filter=password+eq+%22x%22").await?.expect(400)?.json()?;
    assert_eq!(wrong["scimType"], "invalidFilter");
    Ok(())
}

#[tokio::test]
async fn a_version_that_is_gone_is_not_overwritten() -> anyhow::Result<()> {
    let (_town, scim) = town(StackOptions::default()).await?;
    let address = format!("/Users/{}", scim.make("/Users", &person("carol")).await?);
    let version = scim.get(&address).await?.needs_header("etag")?.to_owned();
    let patch = json!({"Operations": [{"op": "replace", "value": {"displayName": "C"}}]});
    let conditional = || {
        scim.request(Method::PATCH, &address, Some(&patch))
            .header(HeaderName::from_static("if-match"), &version)
    };
    scim.send(conditional()).await?.expect(200)?;
    scim.send(conditional()).await?.expect(412)?;
    Ok(())
}

#[tokio::test]
async fn only_a_living_secret_lets_in_and_it_is_good_for_nothing_else() -> anyhow::Result<()> {
    let (town, scim) = town(StackOptions::default()).await?;
    let users = scim.request(Method::GET, "/Users", None);
    let challenge = scim.raw(&users).await?.expect(401)?;
    assert!(challenge.needs_header("www-authenticate")?.starts_with("Bearer"));
    for header in [harness::stack::basic_of("admin"), "Bearer ".into(), "Bearer pcs_x".into()] {
        scim.raw(&users.clone().header(AUTHORIZATION, header)).await?.expect(401)?;
    }
    // Two at a time, so that one can take the place of the other.
    let second = run(&town.stack, "scim secret add corp").await?.success()?.output;
    run(&town.stack, "scim secret add corp").await?.failure()?;
    run(&town.stack, "scim secret add nowhere").await?.failure()?;
    let listed = run(&town.stack, "scim secret list --output json").await?.success()?.output;
    assert!(!listed.contains(scim.secret()));
    let listed: Value = serde_json::from_str(&listed)?;
    let first = listed[0]["id"].as_str().unwrap_or_default();
    done(&town.stack, &[&format!("scim secret revoke {first} --yes")]).await?;
    scim.get("/Users").await?.expect(401)?;
    let scim = Scim::with(&town, second.trim())?;
    scim.get("/Users").await?.expect(200)?;
    // Neither the API nor the token endpoint take it.
    for user in ["corp", "scim:corp", "admin"] {
        let basic = harness::client::basic(user, scim.secret());
        let url = format!("{}/token?service=registry.test", town.stack.token_server_url());
        let answer = town.anonymous.raw(&Request::get(url).header(AUTHORIZATION, basic)).await?;
        assert_eq!(answer.status, 401, "{user}");
    }
    // Whoever finds one ends it.
    let leaked = json!({"secrets": [{"secret": scim.secret()}]});
    let url = format!("{}/api/v1/leaked-secrets", town.stack.token_server_url());
    let request =
        Request::new(Method::POST, url).header(CONTENT_TYPE, "application/json").body(leaked.to_string());
    town.anonymous.raw(&request).await?.expect(200)?;
    scim.get("/Users").await?.expect(401)?;
    Ok(())
}

#[tokio::test]
async fn what_nobody_should_send_is_refused_in_the_words_of_scim() -> anyhow::Result<()> {
    let (_town, scim) = town(StackOptions::default()).await?;
    let address = format!("/Users/{}", scim.make("/Users", &person("carol")).await?);
    let with = |method: Method, path: &str, kind: &str, body: Vec<u8>| {
        let kind = kind.to_owned();
        scim.request(method, path, None).header(CONTENT_TYPE, kind).body(body)
    };
    let kind = "application/scim+json";
    let deep = "[".repeat(10_000).into_bytes();
    for (request, status) in [
        (with(Method::POST, "/Users", kind, b"{".to_vec()), 400),
        (with(Method::POST, "/Users", kind, b"[]".to_vec()), 400),
        (with(Method::POST, "/Users", kind, deep), 400),
        (with(Method::POST, "/Users", kind, vec![b' '; 3 * 1024 * 1024]), 413),
        (with(Method::POST, "/Users", "text/plain", b"{}".to_vec()), 415),
        (with(Method::POST, "/Users", kind, b"{}".to_vec()), 400),
        (with(Method::POST, "/Users", kind, br#"{"userName": 7}"#.to_vec()), 400),
        (with(Method::POST, "/Users", kind, br#"{"userName": "a\u0000b"}"#.to_vec()), 400),
        (with(Method::POST, "/Users", kind, br#"{"userName": "@@"}"#.to_vec()), 400),
        (with(Method::POST, "/Users", kind, br#"{"userName": "everyone"}"#.to_vec()), 400),
        (with(Method::PATCH, &address, kind, b"{}".to_vec()), 400),
        (with(Method::PUT, &address, kind, br#"{"userName": ""}"#.to_vec()), 400),
        (
            with(
                Method::POST,
                "/Groups",
                kind,
                br#"{"displayName": "g", "members": [{"value": "x"}]}"#.to_vec(),
            ),
            400,
        ),
        (with(Method::POST, "/Bulk", kind, b"{}".to_vec()), 501),
        (scim.request(Method::DELETE, "/Users", None), 405),
        (scim.request(Method::GET, "/Users/%00", None), 404),
        (scim.request(Method::GET, "/Users/../../nowhere", None), 404),
        (scim.request(Method::GET, "/Nothing", None), 404),
        (scim.request(Method::GET, "/Users?startIndex=x", None), 400),
        (scim.request(Method::GET, &format!("/Users?filter={}", "(".repeat(900)), None), 400),
    ] {
        let asked = format!("{} {}", request.method, request.target);
        let answer = scim.send(request).await?;
        assert_eq!(answer.status, status, "{asked}: {answer}");
    }
    Ok(())
}
