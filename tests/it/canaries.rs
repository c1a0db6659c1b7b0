//! Secrets are told apart from everything else by looking for them: in logs, records, tables and refusals.
//!
//! The servers run as processes at their most talkative, and everything that can hold a secret is done right once
//! and wrong in every usual way.
//!
//! *Invariant:* no password, token or setting that is secret is found anywhere, and the search is known to find.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::answer::Answer;
use harness::client::{OciClient, Request, basic};
use harness::forge::with_broken_signature;
use harness::images::Image;
use harness::settings::SERVICE;
use harness::stack::{Stack, StackOptions};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use shared::challenge::BearerChallenge;

/// Things that must not be found, and the places in which they must not be found.
#[derive(Default)]
struct Canaries {
    secrets: Vec<(&'static str, String)>,
    places: Vec<(String, String)>,
}

impl Canaries {
    fn secret(&mut self, name: &'static str, value: &str) {
        assert!(value.len() >= 9, "{name} is too short to be looked for: {value}");
        self.secrets.push((name, value.to_owned()));
    }

    /// A signed token, and its signature alone.
    fn token(&mut self, name: &'static str, token: &str) {
        self.secret(name, token);
        let signature = token.rsplit('.').next().unwrap_or_default();
        self.secret(name, signature);
    }

    /// A password, and how it looks in a header.
    fn password(&mut self, name: &'static str, user: &str, password: &str) {
        self.secret(name, password);
        self.secret(name, &STANDARD.encode(format!("{user}:{password}")));
    }

    /// Keeps a refusal for the search.
    fn refused(&mut self, answer: &Answer) -> anyhow::Result<()> {
        anyhow::ensure!(answer.status >= 400, "expected a refusal: {answer}");
        self.places.push((
            answer.asked.chars().take(60).collect(),
            format!("{:?}\n{}", answer.headers, answer.text()),
        ));
        Ok(())
    }

    fn found(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (place, text) in &self.places {
            for (name, secret) in &self.secrets {
                if let Some(start) = text.find(secret.as_str()) {
                    let line = text[..start].rfind('\n').map_or(0, |end| end + 1);
                    found.push(format!(
                        "{name} in {place}: {}",
                        text[line..].lines().next().unwrap_or_default()
                    ));
                }
            }
        }
        found
    }
}

/// Asks the token server.
struct Teller {
    client: OciClient,
    url: String,
}

impl Teller {
    async fn get(&self, query: &str, credentials: Option<(&str, &str)>) -> anyhow::Result<Answer> {
        let mut request = Request::get(format!("{}/token?service={SERVICE}&{query}", self.url));
        if let Some((user, password)) = credentials {
            request = request.header(AUTHORIZATION, basic(user, password));
        }
        self.client.raw(&request).await
    }

    async fn post(&self, form: &str) -> anyhow::Result<Answer> {
        let request = Request::new(Method::POST, format!("{}/token", self.url))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(format!("service={SERVICE}&client_id=canary&{form}"));
        self.client.raw(&request).await
    }

    async fn change(&self, user: &str, current: &str, kind: &str, body: &str) -> anyhow::Result<Answer> {
        let request = Request::new(Method::PUT, format!("{}/api/v1/account/password", self.url))
            .header(AUTHORIZATION, basic(user, current))
            .header(CONTENT_TYPE, kind)
            .body(body.to_owned());
        self.client.raw(&request).await
    }
}

fn text_of(answer: &Answer, member: &str) -> anyhow::Result<String> {
    let body = answer.json()?;
    body[member].as_str().map(str::to_owned).ok_or_else(|| anyhow::anyhow!("no {member} in {answer}"))
}

/// The same text with another character at its end.
fn mistyped(text: &str) -> String {
    let (rest, last) = text.split_at(text.len() - 1);
    format!("{rest}{}", if last == "x" { "y" } else { "x" })
}

const FIRST: &str = "Canary-Password-One-9f2c";
const SECOND: &str = "Canary-Password-Two-71ab";
const WRONG: &str = "Canary-Wrong-Password-c04d";
const IN_NAME: &str = "Canary-In-The-Name-Field-55e0";
const IN_TOKEN: &str = "Canary-In-The-Token-Field-b3a9";
const IN_QUERY: &str = "Canary-In-The-Query-0d77";
const IN_BODY: &str = "Canary-In-A-Body-e1f8";

#[tokio::test]
async fn no_secret_reaches_a_log_a_record_or_a_refusal() -> anyhow::Result<()> {
    let debug = "log:\n  level: debug\n".to_owned();
    let mut stack = Stack::with(StackOptions {
        processes: true,
        same_origin: true,
        token_server_more: debug.clone(),
        registry_more: debug,
        ..StackOptions::default()
    })
    .await?;
    let mut canaries = Canaries::default();
    for (name, password) in
        [("the first password", FIRST), ("the second password", SECOND), ("a wrong password", WRONG)]
    {
        canaries.password(name, "carol", password);
    }
    for secret in [IN_NAME, IN_TOKEN, IN_QUERY, IN_BODY] {
        canaries.secret("a secret in the wrong place", secret);
    }
    let database = url::Url::parse(stack.database.url())?;
    if let Some(password) = database.password() {
        canaries.secret("the password of the database", password);
    }
    canaries.secret("the setting `secret`", "0123456789abcdef0123456789abcdef");
    canaries.secret("the secret of the registry", "of-a-test");

    let said = stack
        .operator(&["user", "add", "carol", "--password-stdin"], &format!("{FIRST}\n"))
        .await?
        .success()?;
    canaries.places.push(("the command line".into(), said.text));
    stack.grant("user:carol", "owner", "canary/**").await?;

    // Logins that work, a push, a pull.
    let carol = OciClient::new(&stack.registry_url(), "carol", FIRST)?;
    let image = Image::new(3, 1, 1000)?;
    carol.push_image("canary/app", "latest", &image).await?;
    carol.pull_image("canary/app", "latest", &image).await?;
    let challenge = carol.challenge().await?;
    for scope in ["repository:canary/app:pull,push", "repository:canary/app:pull"] {
        let wanted = BearerChallenge { scope: Some(scope.into()), ..challenge.clone() };
        let token = carol.token_for(&wanted).await?.map_err(|answer| anyhow::anyhow!("{answer}"))?;
        canaries.token("a token of a push", &token);
    }
    let teller = Teller { client: stack.anonymous()?, url: stack.token_server_url() };
    let answer =
        teller.get("offline_token=true&client_id=canary", Some(("carol", FIRST))).await?.expect(200)?;
    let refresh = text_of(&answer, "refresh_token")?;
    let token = text_of(&answer, "token")?;
    canaries.token("a token of a login", &token);
    canaries.password("a refresh token", "", &refresh);
    canaries.password("a refresh token", "<token>", &refresh);
    let form = format!("grant_type=refresh_token&refresh_token={refresh}&scope=repository:canary/app:pull");
    canaries
        .token("a token of a refresh", &text_of(&teller.post(&form).await?.expect(200)?, "access_token")?);
    let answer = teller.get("scope=repository:canary/app:pull", Some(("", &refresh))).await?.expect(200)?;
    canaries.token("a token of a refresh by GET", &text_of(&answer, "token")?);

    // A personal access token, which is good, mistyped, and reported as leaked.
    let personal =
        stack.operator(&["token", "create", "user:carol", "--name", "canary"], "").await?.success()?;
    let personal = personal.output.trim();
    canaries.password("a personal access token", "carol", personal);
    let answer = teller.get("", Some(("carol", personal))).await?.expect(200)?;
    canaries.token("a token of a personal access token", &text_of(&answer, "token")?);
    let almost = mistyped(personal);
    canaries.password("a mistyped personal access token", "carol", &almost);
    canaries.refused(&teller.get("", Some(("carol", almost.as_str()))).await?)?;
    canaries.refused(&teller.get("", Some(("dave", personal))).await?)?;
    let report = Request::new(Method::POST, format!("{}/api/v1/leaked-secrets", stack.token_server_url()))
        .header(CONTENT_TYPE, "application/json")
        .body(format!(r#"{{"secrets":[{{"secret":"{personal}"}},{{"secret":"{almost}"}}]}}"#));
    let answer = teller.client.raw(&report).await?.expect(200)?;
    assert_eq!(answer.text(), r#"{"revoked":[true,false]}"#);
    canaries.refused(&teller.get("", Some(("carol", personal))).await?)?;

    // Logins that fail, in every way in which people and programs get them wrong.
    let broken = mistyped(&refresh);
    canaries.secret("a mistyped refresh token", &broken);
    for (query, credentials) in [
        ("", Some(("carol", WRONG))),
        ("", Some((IN_NAME, WRONG))),
        ("", Some((FIRST, ""))),
        ("", Some(("", IN_TOKEN))),
        ("", Some(("<token>", broken.as_str()))),
        ("", Some(("carol", refresh.as_str()))),
        (&format!("account={IN_QUERY}"), Some(("carol", FIRST))),
        (&format!("password={IN_QUERY}&access_token={IN_QUERY}"), None),
        (&format!("service={IN_QUERY}"), Some(("carol", FIRST))),
    ] {
        canaries.refused(&teller.get(query, credentials).await?)?;
    }
    for form in [
        format!("grant_type=password&username=carol&password={WRONG}"),
        format!("grant_type=password&username={IN_NAME}&password={WRONG}"),
        format!("grant_type=refresh_token&refresh_token={IN_TOKEN}"),
        format!("grant_type=refresh_token&refresh_token={broken}"),
        format!("grant_type=refresh_token&refresh_token={refresh}&refresh_token={IN_TOKEN}"),
        format!("grant_type={IN_BODY}&username=carol&password={FIRST}"),
        format!("grant_type=password&username=carol&username=dave&password={FIRST}"),
    ] {
        canaries.refused(&teller.post(&form).await?)?;
    }
    // The same through the registry, which passes it on.
    let forward = Teller { client: stack.anonymous()?, url: format!("{}/auth", stack.registry_url()) };
    canaries.refused(&forward.get(&format!("x={IN_QUERY}"), Some(("carol", WRONG))).await?)?;
    canaries
        .refused(&forward.post(&format!("grant_type=password&username=carol&password={WRONG}")).await?)?;

    // At the registry: secrets where none belong, and a token that is almost right.
    let crooked = with_broken_signature(&token)?;
    canaries.token("a token that is almost right", &crooked);
    for request in [
        Request::get("/v2/").header(AUTHORIZATION, basic("carol", FIRST)),
        Request::get("/v2/").header(AUTHORIZATION, format!("Bearer {crooked}")),
        Request::get("/v2/").header(AUTHORIZATION, format!("Bearer {refresh}")),
        Request::get("/v2/").header(AUTHORIZATION, FIRST),
        Request::get(format!("/v2/?access_token={token}&x={IN_QUERY}")),
        Request::get(format!("/v2/canary/app/tags/list?token={token}"))
            .header(AUTHORIZATION, format!("Bearer {token}")),
        Request::new(Method::PUT, "/v2/canary/app/manifests/latest")
            .header(
                AUTHORIZATION,
                format!(
                    "Bearer {}",
                    canaries
                        .secrets
                        .iter()
                        .find(|(name, _)| *name == "a token of a push")
                        .expect("a token")
                        .1
                ),
            )
            .header(CONTENT_TYPE, "application/json")
            .body(IN_BODY),
    ] {
        canaries.refused(&teller.client.raw(&request).await?)?;
    }

    // Changes of the password that fail, and one that works.
    let json = "application/json";
    for (current, kind, body) in [
        (WRONG, json, format!(r#"{{"password":"{SECOND}"}}"#)),
        (FIRST, "text/plain", format!(r#"{{"password":"{SECOND}"}}"#)),
        (FIRST, json, format!(r#"{{"password":"{SECOND}","more":"{IN_BODY}"}}"#)),
        (FIRST, json, format!(r#"{{"{IN_BODY}":1}}"#)),
        (FIRST, json, IN_BODY.to_owned()),
        (FIRST, json, format!(r#"{{"password":"{SECOND}\n"}}"#)),
        (FIRST, json, format!(r#"{{"password":["{SECOND}"]}}"#)),
    ] {
        canaries.refused(&teller.change("carol", current, kind, &body).await?)?;
    }
    teller.change("carol", FIRST, json, &format!(r#"{{"password":"{SECOND}"}}"#)).await?.expect(204)?;
    canaries.refused(&teller.get("", Some(("carol", FIRST))).await?)?;
    canaries.refused(&teller.post(&form).await?)?;
    let answer = teller.get("", Some(("carol", SECOND))).await?.expect(200)?;
    canaries.token("a token after the change", &text_of(&answer, "token")?);

    // Trouble of our own, whose causes are logged.
    let mut connection = stack.database.db_connect().await?;
    for change in ["alter table user_account rename to user_account_away"] {
        sqlx::query(sqlx::AssertSqlSafe(change)).execute(&mut connection).await?;
    }
    for answer in [
        teller.get("", Some(("carol", SECOND))).await?,
        teller.change("carol", SECOND, json, &format!(r#"{{"password":"{FIRST}"}}"#)).await?,
    ] {
        assert!(answer.status >= 500, "{answer}");
        canaries.refused(&answer)?;
    }
    for change in ["alter table user_account_away rename to user_account"] {
        sqlx::query(sqlx::AssertSqlSafe(change)).execute(&mut connection).await?;
    }

    for (name, server) in [
        ("the log of the token server", &mut stack.token_server),
        ("the log of the registry", &mut stack.registry),
    ] {
        let log = server.process()?.log()?;
        assert!(log.lines().count() > 20, "{name} has too little in it: {log}");
        canaries.places.push((name.into(), log));
    }
    let audit = stack.database.db_audit_text().await?;
    assert!(audit.lines().count() > 5, "{audit}");
    canaries.places.push(("the audit record".into(), audit));
    for (table, text) in stack.database.db_tables().await? {
        canaries.places.push((format!("the table {table}"), text));
    }
    // The search is in the right places: what may be there is found in them.
    for (place, word) in [
        ("the log of the token server", "/api/v1/account/password"),
        ("the log of the registry", "canary/app"),
        ("the audit record", "carol"),
        ("the table user_account", "$argon2id$"),
    ] {
        let text = canaries.places.iter().find(|(name, _)| name == place).map(|(_, text)| text.as_str());
        assert!(text.is_some_and(|text| text.contains(word)), "no {word} in {place}");
    }
    let found = canaries.found();
    assert!(found.is_empty(), "{} secrets were found:\n{}", found.len(), found.join("\n"));
    Ok(())
}
