//! Keyless logins: build jobs and pods log in with a token that their own platform has signed.
//!
//! *Invariant:* a token lets in only the workload of whose rule every condition is true, only at the audience it is for,
//! and only where it was seen first; everything else is told with a sentence and lets nobody in.

use std::net::IpAddr;
use std::time::Duration;

use harness::actors::Town;
use harness::answer::Answer;
use harness::client::{OciClient, Request, basic};
use harness::credential_helper::CredentialHelper;
use harness::forge::{Forge, claims_of, with_broken_signature};
use harness::images::Image;
use harness::key_source::{Document, KeySource};
use harness::settings::SERVICE;
use harness::stack::StackOptions;
use reqwest::header::AUTHORIZATION;
use serde_json::{Value, json};
use shared::clock::Clock as _;

use crate::rights::{done, run};

const AUDIENCE: &str = "https://registry.acme.example";

/// A platform that signs tokens, and a deployment.
pub(crate) struct Platform {
    pub(crate) town: Town,
    forge: Forge,
    source: KeySource,
}

impl Platform {
    pub(crate) async fn new(more: &str) -> anyhow::Result<Self> {
        let more = format!("trust:\n  networks: [127.0.0.0/8]\n{more}");
        let town = Town::with(StackOptions { token_server_more: more, ..StackOptions::default() }).await?;
        let (forge, source) = (Forge::new()?, KeySource::start(Document::away()).await?);
        // One document is what both questions are answered with: where the keys are, and which.
        let url = source.url();
        let document =
            json!({"issuer": url, "jwks_uri": format!("{url}/keys"), "keys": [forge.jwk()]}).to_string();
        source.serve(Document::ok(document));
        Ok(Self { town, forge, source })
    }

    /// Trusted under the name `ci`, as this platform.
    pub(crate) async fn trusted(self, kind: &str) -> anyhow::Result<Self> {
        let url = self.source.url();
        let line = format!("trust issuer add ci --issuer {url} --audience {AUDIENCE} --platform {kind}");
        done(&self.town.stack, &[&line]).await?;
        Ok(self)
    }

    /// Claims of a job, besides what every token says.
    fn claims(&self, said: &Value) -> Value {
        let now = self.town.stack.clock.unix_now();
        let mut claims = json!({
            "iss": self.source.url(), "aud": AUDIENCE, "iat": now, "nbf": now, "exp": now + 300,
            "jti": uuid::Uuid::new_v4().to_string(), "sub": "job"
        });
        for (name, value) in said.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        claims
    }

    pub(crate) fn token(&self, said: &Value) -> anyhow::Result<String> {
        self.forge.sign(&self.claims(said))
    }

    /// Asks for a token of ours with a token of the platform.
    async fn ask(&self, token: &str, more: &str) -> anyhow::Result<Answer> {
        let url = format!("{}/token?service={SERVICE}{more}", self.town.stack.token_server_url());
        let request = Request::get(url).header(AUTHORIZATION, basic("oidc", token));
        self.town.anonymous.raw(&request).await
    }

    /// The sentence with which it is refused.
    async fn refused(&self, token: &str) -> anyhow::Result<String> {
        let answer = self.ask(token, "").await?.expect(401)?.json()?;
        Ok(answer["errors"][0]["message"].as_str().unwrap_or_default().to_owned())
    }

    fn client(&self, token: &str) -> anyhow::Result<OciClient> {
        OciClient::new(&self.town.stack.registry_url(), "oidc", token)
    }
}

pub(crate) fn github() -> Value {
    json!({
        "repository": "Acme/App", "repository_id": "7", "repository_owner": "Acme", "repository_owner_id": "1",
        "ref": "refs/heads/main", "event_name": "push", "job_workflow_ref": "Acme/App/.github/workflows/b.yml@refs/heads/main",
        "sub": "repo:Acme/App:ref:refs/heads/main", "run_id": "99"
    })
}

pub(crate) fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

pub(crate) const RULE: &str = "trust rule add app --issuer ci --match repository_id=7";

#[tokio::test]
async fn a_job_pushes_with_the_token_of_its_platform_to_the_place_that_its_token_names() -> anyhow::Result<()>
{
    let platform = Platform::new("").await?.trusted("github").await?;
    let stack = &platform.town.stack;
    done(stack, &[RULE]).await?;
    stack
        .operator(&["grant", "add", "workload:app", "writer", "ci/${claim.repository}/**"], "")
        .await?
        .success()?;
    let token = platform.token(&github())?;
    let issued =
        platform.ask(&token, "&scope=repository:ci/acme/app/web:pull,push").await?.expect(200)?.json()?;
    let claims = claims_of(issued["token"].as_str().unwrap_or_default())?;
    assert_eq!(claims["sub"], "app");
    assert_eq!(claims["access"][0]["name"], "ci/acme/app/web");
    assert_eq!(issued.get("refresh_token"), None, "it was not asked for");
    let client = platform.client(&token)?;
    client.push_image("ci/acme/app/web", "v1", &Image::new(7, 1, 1_000)?).await?;
    // What others build is another place.
    let other =
        platform.ask(&token, "&scope=repository:ci/acme/other:pull,push").await?.expect(200)?.json()?;
    let claims = claims_of(other["token"].as_str().unwrap_or_default())?;
    assert_eq!(claims["access"], json!([]));
    let audit = run(stack, "audit list --event login").await?.success()?.output;
    assert!(audit.contains("identity_token") && !audit.contains(&token), "{audit}");
    Ok(())
}

#[tokio::test]
async fn tokens_that_are_not_in_order_let_nobody_in() -> anyhow::Result<()> {
    let platform = Platform::new("").await?.trusted("github").await?;
    done(&platform.town.stack, &[RULE]).await?;
    platform.ask(&platform.token(&github())?, "").await?.expect(200)?;
    let now = platform.town.stack.clock.unix_now();
    let other = Forge::new()?;
    let claims = platform.claims(&github());
    for (token, part) in [
        (platform.token(&with(github(), "aud", json!("https://other.example")))?, AUDIENCE),
        (platform.token(&with(github(), "aud", json!(["https://other.example"])))?, AUDIENCE),
        (platform.token(&with(github(), "exp", json!(now - 60)))?, "expired"),
        (platform.token(&with(github(), "exp", Value::Null))?, "`exp`"),
        (platform.token(&with(github(), "exp", json!("later")))?, "`exp`"),
        (platform.token(&with(github(), "nbf", json!(now + 600)))?, "not valid yet"),
        (platform.token(&with(github(), "iat", json!(now + 600)))?, "not valid yet"),
        (platform.token(&with(github(), "iss", json!("https://elsewhere.example")))?, "not trusted"),
        (platform.token(&with(github(), "sub", json!("")))?, "`sub`"),
        (other.sign(&claims)?, "not signed by its issuer"),
        (with_broken_signature(&platform.token(&github())?)?, "not signed by its issuer"),
        (platform.forge.sign_with_public_key_as_secret(&claims)?, "not accepted"),
        (Forge::unsigned(&claims), "not accepted"),
        (
            other.sign_with(&json!({"alg": "ES256", "kid": platform.forge.kid()}), &claims)?,
            "not signed by its issuer",
        ),
        (
            platform.forge.sign_with(&json!({"alg": "RS256", "kid": platform.forge.kid()}), &claims)?,
            "not signed by its issuer",
        ),
    ] {
        let sentence = platform.refused(&token).await?;
        assert!(sentence.contains(part), "{part}: {sentence}");
    }
    // A key that comes along, and something to be understood, make it no identity token but a wrong password.
    for header in ["jwk", "jku", "x5u", "crit"] {
        let header = json!({"alg": "ES256", "kid": platform.forge.kid(), header: [platform.forge.jwk()]});
        let token = platform.forge.sign_with(&header, &claims)?;
        assert_eq!(platform.refused(&token).await?, "wrong user name or password");
    }
    let audit = run(&platform.town.stack, "audit list --event login").await?.success()?.output;
    for word in [
        "identity_token_for_another_audience",
        "expired_identity_token",
        "unsigned_identity_token",
        "unknown_issuer",
    ] {
        assert!(audit.contains(word), "{word}: {audit}");
    }
    Ok(())
}

#[tokio::test]
async fn strangers_and_names_that_were_registered_anew_stay_out() -> anyhow::Result<()> {
    let platform = Platform::new("").await?.trusted("github").await?;
    let stack = &platform.town.stack;
    let names = run(stack, "trust rule add app --issuer ci --match repository=Acme/App").await?;
    assert_eq!(names.code, Some(2), "{}", names.text);
    assert!(names.text.contains("repository_id"), "{}", names.text);
    done(stack, &[RULE]).await?;
    // The name is the same, and somebody else has it now.
    let sentence = platform.refused(&platform.token(&with(github(), "repository_id", json!("8")))?).await?;
    assert!(sentence.contains("trust accept"), "{sentence}");
    for event in ["pull_request", "pull_request_target"] {
        let fork = with(github(), "event_name", json!(event));
        let sentence = platform.refused(&platform.token(&fork)?).await?;
        assert!(sentence.contains("event_name"), "{sentence}");
    }
    // Unless that is what a rule is for.
    done(
        stack,
        &["trust rule add pulls --issuer ci --match repository_id=7 --match event_name=pull_request"],
    )
    .await?;
    let token = platform.token(&with(github(), "event_name", json!("pull_request")))?;
    let issued = platform.ask(&token, "").await?.expect(200)?.json()?;
    assert_eq!(claims_of(issued["token"].as_str().unwrap_or_default())?["sub"], "pulls");
    // Of two that fit, the one that says more is meant.
    let issued = platform.ask(&platform.token(&github())?, "").await?.expect(200)?.json()?;
    assert_eq!(claims_of(issued["token"].as_str().unwrap_or_default())?["sub"], "app");
    Ok(())
}

#[tokio::test]
async fn an_attempt_becomes_a_narrow_rule_by_one_command() -> anyhow::Result<()> {
    let platform = Platform::new("").await?.trusted("github").await?;
    let stack = &platform.town.stack;
    let sentence = platform.refused(&platform.token(&github())?).await?;
    platform.refused(&platform.token(&github())?).await?;
    platform.refused(&platform.token(&with(github(), "ref", json!("refs/heads/x")))?).await?;
    let attempts = stack.operator(&["--output", "json", "trust", "attempts"], "").await?.success()?;
    let attempts: Value = serde_json::from_str(&attempts.output)?;
    assert_eq!(attempts.as_array().map(Vec::len), Some(2), "each identity once: {attempts}");
    let first = &attempts[1];
    let id = first["id"].as_str().unwrap_or_default();
    assert!(sentence.contains(id), "{sentence}");
    assert_eq!((&first["tries"], &first["claims"]["repository"]), (&json!(2), &json!("Acme/App")));
    let words = ["trust", "accept", id, "--grant", "writer ci/app/**"];
    let said = stack.operator(&words, "").await?.success()?;
    assert!(said.text.contains("ref=refs/heads/main repository_id=7"), "{}", said.text);
    let issued = platform
        .ask(&platform.token(&github())?, "&scope=repository:ci/app:push")
        .await?
        .expect(200)?
        .json()?;
    let claims = claims_of(issued["token"].as_str().unwrap_or_default())?;
    assert_eq!((&claims["sub"], &claims["access"][0]["name"]), (&json!("ci-acme-app"), &json!("ci/app")));
    for (claim, value) in [("ref", "refs/heads/x"), ("repository_id", "8"), ("event_name", "schedule")] {
        platform.refused(&platform.token(&with(github(), claim, json!(value)))?).await?;
    }
    assert_eq!(stack.operator(&words, "").await?.code, Some(3), "it is gone");
    Ok(())
}

#[tokio::test]
async fn a_long_build_keeps_its_login_and_a_rule_that_goes_ends_it() -> anyhow::Result<()> {
    let platform = Platform::new("").await?.trusted("github").await?;
    let stack = &platform.town.stack;
    done(stack, &[RULE]).await?;
    stack
        .operator(&["grant", "add", "workload:app", "writer", "ci/${claim.repository}/**"], "")
        .await?
        .success()?;
    let token = platform.token(&github())?;
    let issued = platform.ask(&token, "&offline_token=true").await?.expect(200)?.json()?;
    let kept = issued["refresh_token"].as_str().unwrap_or_default().to_owned();
    assert!(kept.starts_with("pcr_") && kept.len() < 100, "short enough for every keyring");
    stack.clock.advance(Duration::from_mins(30));
    platform.refused(&token).await?;
    let again = async |scope: &str| -> anyhow::Result<Answer> {
        let url = format!("{}/token?service={SERVICE}&scope={scope}", stack.token_server_url());
        let request = Request::get(url).header(AUTHORIZATION, basic("<token>", &kept));
        platform.town.anonymous.raw(&request).await
    };
    let issued = again("repository:ci/acme/app:push").await?.expect(200)?.json()?;
    let claims = claims_of(issued["token"].as_str().unwrap_or_default())?;
    assert_eq!((&claims["sub"], &claims["access"][0]["name"]), (&json!("app"), &json!("ci/acme/app")));
    done(stack, &["trust rule remove app --yes"]).await?;
    again("repository:ci/acme/app:push").await?.expect(401)?;
    // A new one begins with a new token, and ends when its time is over.
    done(stack, &[RULE]).await?;
    let issued =
        platform.ask(&platform.token(&github())?, "&offline_token=true").await?.expect(200)?.json()?;
    let kept = issued["refresh_token"].as_str().unwrap_or_default().to_owned();
    stack.clock.advance(Duration::from_mins(61));
    let url = format!("{}/token?service={SERVICE}", stack.token_server_url());
    let request = Request::get(url).header(AUTHORIZATION, basic("<token>", &kept));
    platform.town.anonymous.raw(&request).await?.expect(401)?;
    Ok(())
}

#[tokio::test]
async fn a_token_that_is_seen_elsewhere_is_stolen() -> anyhow::Result<()> {
    let platform = Platform::new("").await?.trusted("github").await?;
    done(&platform.town.stack, &[RULE]).await?;
    let token = platform.token(&github())?;
    // Every address that begins with 127 is this machine.
    let from = async |address: [u8; 4]| -> anyhow::Result<(u16, Value)> {
        let client = reqwest::Client::builder().no_proxy().local_address(IpAddr::from(address)).build()?;
        let url = format!("{}/token?service={SERVICE}", platform.town.stack.token_server_url());
        let answer = client.get(url).header(AUTHORIZATION, basic("oidc", &token)).send().await?;
        Ok((answer.status().as_u16(), answer.json().await?))
    };
    assert_eq!(from([127, 0, 0, 7]).await?.0, 200);
    assert_eq!(from([127, 0, 0, 9]).await?.0, 200, "a neighbour");
    let (status, refused) = from([127, 9, 0, 7]).await?;
    let sentence = refused["errors"][0]["message"].as_str().unwrap_or_default();
    assert_eq!(status, 401);
    assert!(sentence.contains("another network"), "{sentence}");
    assert_eq!(from([127, 0, 0, 7]).await?.0, 200);
    Ok(())
}

#[tokio::test]
async fn with_grace_a_token_that_was_used_is_good_for_the_length_of_a_build_and_others_are_not()
-> anyhow::Result<()> {
    let platform = Platform::new("  grace: true\n").await?.trusted("github").await?;
    done(&platform.town.stack, &[RULE]).await?;
    let (used, unused) = (platform.token(&github())?, platform.token(&github())?);
    platform.ask(&used, "").await?.expect(200)?;
    platform.town.stack.clock.advance(Duration::from_mins(30));
    platform.ask(&used, "").await?.expect(200)?;
    assert!(platform.refused(&unused).await?.contains("expired"));
    platform.town.stack.clock.advance(Duration::from_mins(31));
    assert!(platform.refused(&used).await?.contains("expired"));
    Ok(())
}

#[tokio::test]
async fn keys_are_fetched_when_they_change_and_not_because_somebody_invents_them() -> anyhow::Result<()> {
    let platform = Platform::new("").await?.trusted("github").await?;
    done(&platform.town.stack, &[RULE]).await?;
    platform.ask(&platform.token(&github())?, "").await?.expect(200)?;
    let before = platform.source.requests();
    assert_eq!(before, 2, "one for where the keys are, one for the keys");
    for _ in 0..20 {
        let stranger = Forge::new()?;
        platform.refused(&stranger.sign(&platform.claims(&github()))?).await?;
    }
    assert_eq!(platform.source.requests(), before, "not again within ten seconds");
    // While the issuer is away, what it said before counts on.
    platform.source.serve(Document::away());
    platform.ask(&platform.token(&github())?, "").await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_cluster_without_a_way_out_is_trusted_by_its_keys() -> anyhow::Result<()> {
    let platform = Platform::new("").await?;
    let stack = &platform.town.stack;
    let file = stack.folder().join("keys.json");
    std::fs::write(&file, platform.forge.key_set()?)?;
    let cluster = "https://kubernetes.default.svc.cluster.local";
    let line = format!(
        "trust issuer add cluster --issuer {cluster} --audience {AUDIENCE} --jwks {}",
        file.display()
    );
    done(stack, &[&line]).await?;
    let words = [
        "trust",
        "rule",
        "add",
        "builder",
        "--issuer",
        "cluster",
        "--match",
        "kubernetes.io/namespace=build",
        "--match",
        "kubernetes.io/serviceaccount/name=pusher",
        "--grant",
        "viewer base/**",
    ];
    stack.operator(&words, "").await?.success()?;
    let pod = |namespace: &str| {
        json!({
            "iss": cluster, "sub": format!("system:serviceaccount:{namespace}:pusher"), "aud": [AUDIENCE],
            "kubernetes.io": {
                "namespace": namespace, "serviceaccount": {"name": "pusher", "uid": "u-1"}, "pod": {"name": "p", "uid": "p-1"}
            }
        })
    };
    let issued = platform.ask(&platform.token(&pod("build"))?, "&scope=repository:base/os:pull").await?;
    let issued = issued.expect(200)?.json()?;
    assert_eq!(claims_of(issued["token"].as_str().unwrap_or_default())?["access"][0]["name"], "base/os");
    platform.refused(&platform.token(&pod("other"))?).await?;
    // The kubelet gets the same for a pod without a volume.
    let question = json!({
        "apiVersion": "credentialprovider.kubelet.k8s.io/v1", "kind": "CredentialProviderRequest",
        "image": "registry.acme.example/base/os:1", "serviceAccountToken": platform.token(&pod("build"))?
    });
    let said = CredentialHelper::new()?.run(&["kubelet"], &question.to_string()).await?.success()?;
    let auth = serde_json::from_str::<Value>(&said.output)?["auth"]["registry.acme.example"].take();
    assert_eq!(auth["username"], "oidc");
    platform.ask(auth["password"].as_str().unwrap_or_default(), "").await?.expect(200)?;
    assert_eq!(platform.source.requests(), 0, "nobody was asked");
    Ok(())
}

#[tokio::test]
async fn tokens_of_every_platform_have_a_rule_and_its_other_projects_have_none() -> anyhow::Result<()> {
    for (kind, claims, rule, other) in [
        (
            "gitlab",
            json!({
                "project_path": "acme/app", "project_id": "22", "namespace_id": "72", "ref": "main", "ref_type": "branch",
                "ref_protected": "true", "pipeline_source": "push", "sub": "project_path:acme/app:ref_type:branch:ref:main"
            }),
            "--match project_id=22 --match ref_protected=true",
            ("project_id", "23"),
        ),
        (
            "buildkite",
            json!({
                "organization_slug": "acme", "organization_id": "o-1", "pipeline_slug": "app", "pipeline_id": "p-1",
                "build_branch": "main", "build_number": 9, "step_key": "push", "job_id": "j", "sub": "organization:acme:pipeline:app"
            }),
            "--match pipeline_id=p-1 --match build_branch=main",
            ("pipeline_id", "p-2"),
        ),
        (
            "circleci",
            json!({
                "oidc.circleci.com/project-id": "c-1", "oidc.circleci.com/vcs-ref": "refs/heads/main",
                "oidc.circleci.com/context-ids": ["x", "y"], "sub": "org/o/project/c-1/user/u"
            }),
            "--match oidc.circleci.com/project-id=c-1 --match oidc.circleci.com/context-ids=y",
            ("oidc.circleci.com/project-id", "c-2"),
        ),
        ("generic", json!({"sub": "machine-7"}), "--match sub=machine-7", ("sub", "machine-8")),
    ] {
        let platform = Platform::new("").await?.trusted(kind).await?;
        done(&platform.town.stack, &[&format!("trust rule add job --issuer ci {rule}")]).await?;
        let issued = platform.ask(&platform.token(&claims)?, "").await?.expect(200)?.json()?;
        assert_eq!(claims_of(issued["token"].as_str().unwrap_or_default())?["sub"], "job", "{kind}");
        platform.refused(&platform.token(&with(claims, other.0, json!(other.1)))?).await?;
    }
    Ok(())
}

#[tokio::test]
async fn mistakes_in_trust_are_told() -> anyhow::Result<()> {
    let platform = Platform::new("").await?.trusted("github").await?;
    let stack = &platform.town.stack;
    let url = platform.source.url();
    for (line, code, part) in [
        (format!("trust issuer add ci --issuer https://x.example --audience {AUDIENCE}"), 3, "already"),
        (format!("trust issuer add other --issuer {url} --audience {AUDIENCE}"), 3, "already"),
        (format!("trust issuer add x --issuer nowhere --audience {AUDIENCE}"), 2, "no address"),
        ("trust issuer add x --issuer https://x.example".into(), 2, "--audience"),
        ("trust rule add x --issuer none --match repository_id=7".into(), 3, "no trusted issuer none"),
        ("trust rule add x --issuer ci --match repository_id".into(), 2, "CLAIM=VALUE"),
        ("trust rule add x --issuer ci".into(), 2, "--match"),
        ("trust rule add alice --issuer ci --match repository_id=7".into(), 3, "alice"),
        ("trust rule remove none --yes".into(), 3, "no trust rule none"),
        ("trust accept 7".into(), 2, "number"),
        ("trust accept 01900000-0000-7000-8000-000000000000 --name x".into(), 3, "no attempt"),
    ] {
        let said = run(stack, &line).await?;
        assert_eq!(said.code, Some(code), "{line}: {}", said.text);
        assert!(said.text.contains(part), "{line}: {}", said.text);
    }
    done(stack, &[RULE]).await?;
    let said = run(stack, "trust issuer remove ci --yes").await?;
    assert_eq!(said.code, Some(2), "{}", said.text);
    assert!(said.text.contains("the rule app"), "{}", said.text);
    done(stack, &["trust rule remove app --yes", "trust issuer remove ci --yes"]).await?;
    assert!(platform.refused(&platform.token(&github())?).await?.contains("not trusted"));
    // An address that leads into a network of the operator's is not asked for anybody.
    done(stack, &[&format!("trust issuer add meta --issuer http://169.254.169.254 --audience {AUDIENCE}")])
        .await?;
    let token = platform.token(&with(github(), "iss", json!("http://169.254.169.254")))?;
    let sentence = platform.refused(&token).await?;
    assert!(sentence.contains("must begin with https://"), "{sentence}");
    Ok(())
}
