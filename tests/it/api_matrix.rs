//! Who may do what on the API: every address against nobody, a wrong password, somebody without rights, somebody who
//! administers a place, and an owner of everything.
//!
//! *Invariant:* an address without a row here fails the test, and a refusal changes nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use harness::actors::Town;
use harness::api::Api;
use harness::client::{OciClient, Request, basic};
use harness::settings::SERVICE;
use harness::stack::{Port, StackOptions, password_of};
use reqwest::Method;
use reqwest::header::AUTHORIZATION;
use serde_json::{Value, json};
use token_server::http::api::endpoint::{Access, Endpoint};
use token_server::http::api::endpoints;

use crate::api_expected::EXPECTED;
use crate::imported_keys::Pair;

const OPEN: [&str; 3] = ["getOpenApi", "getDocs", "reportLeakedSecrets"];

/// What each of them finds to work with, under names of their own.
struct Furniture {
    actor: &'static str,
    identity: String,
    grant: String,
    secret: String,
    /// A personal access token, and a login that is kept.
    token: String,
    login: String,
    /// Requests of somebody else, the first of which is approved, the second denied, the third ended.
    elevations: Vec<String>,
    /// A key pair that was sent already, and one that was not.
    key: String,
    pair: Value,
}

impl Furniture {
    async fn make(api: &Api, actor: &'static str) -> anyhow::Result<Self> {
        let user = json!({"name": format!("ann-{actor}"), "password": "a long enough password"});
        api.post("admin", "/users", &user).await?.expect(201)?;
        let linked = api.post("admin", "/identities", &identity("made", actor)).await?.expect(201)?.json()?;
        let identity = linked["id"].as_str().unwrap_or_default().to_owned();
        for team in ["core", "gone"] {
            api.post("admin", "/teams", &json!({"name": format!("{team}-{actor}")})).await?.expect(201)?;
        }
        let member = format!("/teams/core-{actor}/members/ann-{actor}");
        api.call("admin", Method::PUT, &member, None).await?.expect(201)?;
        for role in ["made", "gone"] {
            let role = json!({"name": format!("{role}-{actor}"), "actions": ["pull"]});
            api.post("admin", "/roles", &role).await?.expect(201)?;
        }
        let barrier = json!({"pattern": format!("platform/{actor}/**"), "actions": ["push"]});
        api.post("admin", "/barriers", &barrier).await?.expect(201)?;
        let right = json!({
            "subject": format!("user:ann-{actor}"), "role": "viewer", "pattern": "platform/app",
        });
        let grant = api.post("admin", "/grants", &right).await?.expect(201)?.json()?["id"].to_string();
        let empty = json!({"name": format!("empty-{actor}"), "owner": "user:admin"});
        api.post("admin", "/namespaces", &empty).await?.expect(201)?;
        for robot in ["made", "gone"] {
            let robot = json!({"name": format!("works/{robot}-{actor}")});
            api.post("admin", "/robots", &robot).await?.expect(201)?;
        }
        for issuer in ["made", "gone"] {
            api.post("admin", "/trust/issuers", &trust_issuer(issuer, actor)).await?.expect(201)?;
        }
        for rule in ["made", "gone"] {
            api.post("admin", "/trust/rules", &trust_rule(rule, actor)).await?.expect(201)?;
        }
        for workload in ["made", "gone"] {
            let workload = json!({"name": format!("{workload}-job-{actor}")});
            api.post("admin", "/workloads", &workload).await?.expect(201)?;
        }
        let secrets = format!("/robots/works/made-{actor}/secrets");
        let made = api.post("admin", &secrets, &json!({})).await?.expect(201)?.json()?;
        let secret = made["id"].as_str().unwrap_or_default().to_owned();
        let (token, login) = keeper(api, actor).await?;
        let mut elevations = Vec::new();
        for _ in 0..3 {
            let request = api.request(None, Method::POST, "/elevations", Some(&elevation()));
            let ann = basic(&format!("ann-{actor}"), "a long enough password");
            let made = api.send(&request.header(AUTHORIZATION, ann)).await?.expect(201)?.json()?;
            elevations.push(made["id"].as_str().unwrap_or_default().to_owned());
        }
        let curve = ["ecparam", "-genkey", "-name", "prime256v1"];
        let sent = Pair::make(&curve, 365).await?.body()?;
        let key = api.post("admin", "/keys", &sent).await?.expect(201)?.json()?;
        let key = key["id"].as_str().unwrap_or_default().to_owned();
        let pair = Pair::make(&curve, 365).await?.body()?;
        Ok(Self { actor, identity, grant, secret, token, login, elevations, key, pair })
    }

    /// The path and body with which an address is tried.
    fn request(&self, id: &str) -> (String, Option<Value>) {
        let Self { actor, identity: linked, grant, secret, token, login, elevations, key, pair } = self;
        let secrets = format!("/robots/works/made-{actor}/secrets");
        let password = |text: &str| Some(json!({"password": text}));
        let bare = |path: String| (path, None);
        match id {
            "getAccount" => bare("/account".into()),
            "setOwnPassword" => ("/account/password".into(), password(&password_of(actor))),
            "listUsers" => bare("/users".into()),
            "addUser" => (
                "/users".into(),
                Some(json!({"name": format!("new-{actor}"), "password": "long enough for this"})),
            ),
            "getUser" => bare(format!("/users/ann-{actor}")),
            "changeUser" => (format!("/users/ann-{actor}"), Some(json!({"disabled": true}))),
            "setUserPassword" => (format!("/users/ann-{actor}/password"), password("long enough for this")),
            "removeSecondFactors" => bare(format!("/users/ann-{actor}/second-factors")),
            "listTeams" => bare("/teams".into()),
            "addTeam" => ("/teams".into(), Some(json!({"name": format!("team-{actor}")}))),
            "getTeam" => bare(format!("/teams/core-{actor}")),
            "removeTeam" => bare(format!("/teams/gone-{actor}")),
            "listMembers" => bare(format!("/teams/core-{actor}/members")),
            "putMember" => bare(format!("/teams/core-{actor}/members/team:gone-nobody")),
            "changeMember" => {
                (format!("/teams/core-{actor}/members/ann-{actor}"), Some(json!({"maintainer": true})))
            }
            "getMember" | "removeMember" => bare(format!("/teams/core-{actor}/members/ann-{actor}")),
            "listRoles" => bare("/roles".into()),
            "addRole" => {
                ("/roles".into(), Some(json!({"name": format!("new-{actor}"), "actions": ["pull"]})))
            }
            "getRole" => bare(format!("/roles/made-{actor}")),
            "changeRole" => (format!("/roles/made-{actor}"), Some(json!({"actions": ["list"]}))),
            "removeRole" => bare(format!("/roles/gone-{actor}")),
            "listIdentities" => bare("/identities".into()),
            "addIdentity" => ("/identities".into(), Some(identity("new", actor))),
            "getIdentity" | "removeIdentity" => bare(format!("/identities/{linked}")),
            "listPendingIdentities" => bare("/pending-identities".into()),
            "acceptIdentity" => {
                let path = "/pending-identities/01900000-0000-7000-8000-000000000000/accept";
                (path.into(), Some(json!({})))
            }
            "listGrants" => bare("/grants".into()),
            "addGrant" => {
                let right = json!({"subject": "everyone", "role": "viewer", "pattern": format!("platform/new-{actor}")});
                ("/grants".into(), Some(right))
            }
            "getGrant" | "removeGrant" => bare(format!("/grants/{grant}")),
            "listBarriers" => bare("/barriers".into()),
            "addBarrier" => {
                let barrier = json!({"pattern": format!("platform/new-{actor}/**"), "actions": ["push"]});
                ("/barriers".into(), Some(barrier))
            }
            "getBarrier" | "removeBarrier" => bare(format!("/barriers/platform/{actor}/**")),
            "listNamespaces" => bare("/namespaces".into()),
            "addNamespace" => {
                ("/namespaces".into(), Some(json!({"name": format!("space-{actor}"), "owner": "user:admin"})))
            }
            "getNamespace" => bare("/namespaces/works".into()),
            "changeNamespace" => ("/namespaces/works".into(), Some(json!({"create": "admins"}))),
            "removeNamespace" => bare(format!("/namespaces/empty-{actor}")),
            "listRobots" => bare("/robots".into()),
            "addRobot" => ("/robots".into(), Some(json!({"name": format!("works/new-{actor}")}))),
            "getRobot" => bare(format!("/robots/works/made-{actor}")),
            "changeRobot" => (format!("/robots/works/made-{actor}"), Some(json!({"disabled": true}))),
            "removeRobot" => bare(format!("/robots/works/gone-{actor}")),
            "listRobotSecrets" => bare(secrets),
            "addRobotSecret" => (secrets, Some(json!({"label": "second"}))),
            "getRobotSecret" | "revokeRobotSecret" => bare(format!("{secrets}/{secret}")),
            "listPersonalTokens" => bare(format!("/users/keeper-{actor}/tokens")),
            "addPersonalToken" => (format!("/users/keeper-{actor}/tokens"), Some(json!({"name": "second"}))),
            "getPersonalToken" | "revokePersonalToken" => {
                bare(format!("/users/keeper-{actor}/tokens/{token}"))
            }
            "listLogins" | "endLogins" => bare(format!("/users/keeper-{actor}/logins")),
            "getLogin" | "endLogin" => bare(format!("/users/keeper-{actor}/logins/{login}")),
            "reportLeakedSecrets" => {
                ("/leaked-secrets".into(), Some(json!({"secrets": [{"secret": "pcp_none"}]})))
            }
            "listWorkloads" => bare("/workloads".into()),
            "addWorkload" => ("/workloads".into(), Some(json!({"name": format!("new-job-{actor}")}))),
            "getWorkload" => bare(format!("/workloads/made-job-{actor}")),
            "changeWorkload" => (format!("/workloads/made-job-{actor}"), Some(json!({"disabled": true}))),
            "removeWorkload" => bare(format!("/workloads/gone-job-{actor}")),
            "listTrustIssuers" => bare("/trust/issuers".into()),
            "addTrustIssuer" => ("/trust/issuers".into(), Some(trust_issuer("new", actor))),
            "getTrustIssuer" => bare(format!("/trust/issuers/made-issuer-{actor}")),
            "removeTrustIssuer" => bare(format!("/trust/issuers/gone-issuer-{actor}")),
            "listTrustRules" => bare("/trust/rules".into()),
            "addTrustRule" => ("/trust/rules".into(), Some(trust_rule("new", actor))),
            "getTrustRule" => bare(format!("/trust/rules/made-rule-{actor}")),
            "removeTrustRule" => bare(format!("/trust/rules/gone-rule-{actor}")),
            "listTrustAttempts" => bare("/trust/attempts".into()),
            "acceptTrustAttempt" => {
                let path = "/trust/attempts/01900000-0000-7000-8000-000000000000/accept";
                (path.into(), Some(json!({"workload": format!("accepted-{actor}")})))
            }
            "listElevations" => bare("/elevations".into()),
            "requestElevation" => ("/elevations".into(), Some(elevation())),
            "breakGlass" => {
                ("/elevations/break-glass".into(), Some(json!({"pattern": "works/**", "reason": "INC-3"})))
            }
            "getElevation" => bare(format!("/elevations/{}", elevations[0])),
            "approveElevation" => (format!("/elevations/{}/approve", elevations[0]), Some(json!({}))),
            "denyElevation" => (format!("/elevations/{}/deny", elevations[1]), Some(json!({}))),
            "endElevation" => bare(format!("/elevations/{}/end", elevations[2])),
            "listTokenUses" => bare("/audit/tokens".into()),
            "listUnusedGrants" => bare("/unused-grants?days=1".into()),
            "listAuditEvents" => bare("/audit/events".into()),
            "exportAuditEvents" => bare("/audit/export".into()),
            "verifyAuditEvents" => bare("/audit/verification".into()),
            "explain" => bare(format!("/explain?subject=user:ann-{actor}&action=pull&place=platform/app")),
            "whoCan" => bare("/who-can?action=pull&place=platform/app".into()),
            "whatIf" => {
                let change = json!({"add_barrier": {"pattern": format!("platform/may-{actor}/**"), "actions": ["push"]}});
                ("/what-if".into(), Some(change))
            }
            "exportPolicy" => bare("/policy".into()),
            "planPolicy" => ("/policy/plan".into(), Some(policy(actor))),
            "comparePolicy" => ("/policy/drift".into(), Some(policy(actor))),
            "applyPolicy" => ("/policy/apply".into(), Some(policy(actor))),
            "importDockerAuth" => {
                let config = format!(
                    "users: {{\"\": {{}}}}\nacl: [{{match: {{name: platform/old-{actor}}}, actions: [pull]}}]"
                );
                ("/imports/docker-auth".into(), Some(json!({"config": config, "apply": true})))
            }
            "listKeys" => bare("/keys".into()),
            "importKey" => ("/keys".into(), Some(pair.clone())),
            "rotateKey" => ("/keys/rotate".into(), Some(json!({"now": true}))),
            "getKey" | "retireKey" => bare(format!("/keys/{key}")),
            "getCertificate" => bare("/key/certificate".into()),
            "getKeySet" => bare("/key/jwks".into()),
            "getOpenApi" => bare("/openapi.json".into()),
            "getDocs" => bare("/docs".into()),
            other => (format!("/{other}-has-no-row"), None),
        }
    }
}

/// Somebody with a personal access token and a login that is kept.
async fn keeper(api: &Api, actor: &str) -> anyhow::Result<(String, String)> {
    let (name, password) = (format!("keeper-{actor}"), "a long enough password");
    let user = json!({"name": name, "password": password});
    api.post("admin", "/users", &user).await?.expect(201)?;
    let tokens = format!("/users/{name}/tokens");
    let request = api.request(None, Method::POST, &tokens, Some(&json!({"name": "first"})));
    let request = request.header(AUTHORIZATION, basic(&name, password));
    let token = api.send(&request).await?.expect(201)?.json()?;
    let target = format!("{}/token?service={SERVICE}&offline_token=true", api.url());
    let request = Request::get(target).header(AUTHORIZATION, basic(&name, password));
    OciClient::anonymous(api.url())?.raw(&request).await?.expect(200)?;
    let logins = api.all("admin", &format!("/users/{name}/logins"), 10).await?;
    let number = |thing: &Value| thing["id"].as_str().unwrap_or_default().to_owned();
    Ok((number(&token), number(&logins[0])))
}

fn identity(which: &str, actor: &str) -> Value {
    json!({"user": format!("ann-{actor}"), "provider": "corp", "subject": format!("{which}-{actor}")})
}

fn trust_issuer(which: &str, actor: &str) -> Value {
    json!({
        "name": format!("{which}-issuer-{actor}"), "issuer": format!("https://{which}-{actor}.example"),
        "audience": "https://registry.example"
    })
}

fn trust_rule(which: &str, actor: &str) -> Value {
    json!({
        "workload": format!("{which}-rule-{actor}"), "issuer": format!("made-issuer-{actor}"),
        "match": {"sub": which}, "grants": [{"role": "viewer", "pattern": "platform/base"}]
    })
}

/// A policy with something new in it.
fn policy(actor: &str) -> Value {
    let right =
        json!({"subject": "everyone", "role": "viewer", "pattern": format!("platform/policy-{actor}")});
    json!({"version": 1, "grants": [right]})
}

/// What is asked for, for a while.
fn elevation() -> Value {
    json!({"role": "writer", "pattern": "works/app", "lasts_seconds": 3600, "reason": "CHG-18"})
}

/// Servers and clients have types of their own for it.
fn method_of(endpoint: &Endpoint) -> anyhow::Result<Method> {
    Ok(Method::from_bytes(endpoint.method.as_str().as_bytes())?)
}

/// Everything that can be changed, as the owner sees it.
async fn everything(api: &Api) -> anyhow::Result<Vec<Vec<Value>>> {
    let mut lists = Vec::new();
    for path in [
        "/users",
        "/identities",
        "/teams",
        "/roles",
        "/grants",
        "/barriers",
        "/namespaces",
        "/robots",
        "/workloads",
        "/trust/issuers",
        "/trust/rules",
        "/elevations?all=true",
    ] {
        lists.push(api.all("admin", path, 100).await?);
    }
    // What keys do changes with the time.
    lists.push(api.all("admin", "/keys", 100).await?.iter().map(|key| key["id"].clone()).collect());
    Ok(lists)
}

#[tokio::test]
async fn every_address_lets_through_whom_it_should() -> anyhow::Result<()> {
    let more = "signon:\n  url: '{url}'\n  providers:\n    corp: {kind: oidc, issuer: 'https://id.acme.example', clientid: x}\n";
    let options =
        StackOptions { port: Port::Known, token_server_more: more.to_owned(), ..StackOptions::default() };
    let town = Town::with(options).await?;
    let api = Api::of(&town.stack).await?;
    // Uses of rights are known for a day.
    town.stack.clock.advance(Duration::from_hours(25));
    api.post("admin", "/namespaces", &json!({"name": "works", "owner": "user:admin"})).await?.expect(201)?;
    for pattern in ["platform/**", "works/**"] {
        let right = json!({"subject": "user:alice", "role": "admin", "pattern": pattern});
        api.post("admin", "/grants", &right).await?.expect(201)?;
    }
    let expected: BTreeMap<&str, [u16; 3]> = EXPECTED.into();
    let all = endpoints();
    assert_eq!(all.len(), expected.len() + OPEN.len(), "an address has no row here");
    let nobody = Furniture::make(&api, "nobody").await?;
    let before = everything(&api).await?;
    for endpoint in &all {
        let (path, body) = nobody.request(endpoint.id);
        let bare = api.request(None, method_of(endpoint)?, &path, body.as_ref());
        let wrong = |user: &str| bare.clone().header(AUTHORIZATION, basic(user, "wrong"));
        let requests: [Request; 3] = [bare.clone(), wrong("admin"), wrong("nobody-at-all")];
        for request in requests {
            let answer = api.send(&request).await?;
            if OPEN.contains(&endpoint.id) {
                assert!(endpoint.access == Access::Everybody && answer.status == 200, "{answer}");
            } else {
                assert_eq!(answer.status, 401, "{}: {answer}", endpoint.id);
                assert!(answer.needs_header("www-authenticate")?.starts_with("Basic "), "{answer}");
            }
        }
    }
    assert_eq!(everything(&api).await?, before, "a refusal changed something");
    for (column, actor) in ["bob", "alice", "admin"].into_iter().enumerate() {
        let furniture = Furniture::make(&api, actor).await?;
        for endpoint in all.iter().filter(|endpoint| !OPEN.contains(&endpoint.id)) {
            let status = expected.get(endpoint.id).map_or(0, |statuses| statuses[column]);
            let (path, body) = furniture.request(endpoint.id);
            let method = method_of(endpoint)?;
            let before = if status >= 400 { Some(everything(&api).await?) } else { None };
            let answer = api.call(actor, method, &path, body.as_ref()).await?;
            assert_eq!(answer.status, status, "{} as {actor}: {answer}", endpoint.id);
            if let Some(before) = before {
                assert_eq!(everything(&api).await?, before, "{} as {actor} changed something", endpoint.id);
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn whoever_administers_one_place_reaches_nothing_in_another() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let api = Api::of(&town.stack).await?;
    for right in [
        json!({"subject": "user:alice", "role": "admin", "pattern": "platform/**"}),
        json!({"subject": "user:bob", "role": "admin", "pattern": "other/**"}),
    ] {
        api.post("admin", "/grants", &right).await?.expect(201)?;
    }
    let barrier = json!({"pattern": "other/prod/**", "actions": ["push"]});
    api.post("bob", "/barriers", &barrier).await?.expect(201)?;
    let right = json!({"subject": "user:admin", "role": "viewer", "pattern": "other/app"});
    let id = api.post("bob", "/grants", &right).await?.expect(201)?.json()?["id"].to_string();
    let before = everything(&api).await?;
    let elsewhere = json!({"subject": "user:alice", "role": "viewer", "pattern": "other/app"});
    let above = json!({"subject": "user:alice", "role": "viewer", "pattern": "**"});
    for (method, path, body, status) in [
        (Method::GET, format!("/grants/{id}"), None, 404),
        (Method::DELETE, format!("/grants/{id}"), None, 404),
        (Method::POST, "/grants".into(), Some(&elsewhere), 403),
        (Method::POST, "/grants".into(), Some(&above), 403),
        (Method::GET, "/grants?within=other/**".into(), None, 403),
        (Method::GET, "/grants?subject=user:bob".into(), None, 403),
        (Method::GET, "/barriers/other/prod/**".into(), None, 404),
        (Method::DELETE, "/barriers/other/prod/**".into(), None, 403),
        (Method::POST, "/barriers".into(), Some(&barrier), 403),
        (Method::GET, "/barriers?within=other/**".into(), None, 403),
        (Method::GET, "/explain?subject=user:bob&action=pull&place=other/app".into(), None, 403),
        (Method::GET, "/who-can?action=pull&place=other/app".into(), None, 403),
    ] {
        let answer = api.call("alice", method, &path, body).await?;
        assert_eq!(answer.status, status, "{answer}");
    }
    assert_eq!(everything(&api).await?, before);
    // Her own row is there for her to see, and not to take away where she administers nothing.
    let own = json!({"subject": "user:alice", "role": "viewer", "pattern": "other/app"});
    let id = api.post("bob", "/grants", &own).await?.expect(201)?.json()?["id"].to_string();
    api.get("alice", &format!("/grants/{id}")).await?.expect(200)?;
    api.call("alice", Method::DELETE, &format!("/grants/{id}"), None).await?.expect(403)?;
    Ok(())
}
