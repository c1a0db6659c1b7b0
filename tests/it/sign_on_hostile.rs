//! What must not work at the pages: forged forms, answers that were not asked for, tokens of others, and cookies of before.
//!
//! *Invariant:* only a browser that this server sent to a provider comes back as somebody, and only as whom a token of
//! that provider says that is for this server and this visit.

use harness::actors::Town;
use harness::answer::Answer;
use harness::client::{OciClient, Request, basic};
use harness::forge::{Forge, with_broken_signature};
use harness::key_source::{Document, KeySource};
use harness::settings::SERVICE;
use harness::stack::{Port, StackOptions, password_of};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HeaderName, ORIGIN};
use serde_json::{Value, json};
use shared::clock::Clock as _;
use url::Url;

use crate::rights::{done, run};

const CLIENT: &str = "portcullis";

/// How the provider knows the token server.
pub(crate) const CLIENT_SECRET: &str = "Canary-Client-Secret-83d1";

/// With what a browser comes back from the provider.
pub(crate) const CODE: &str = "Canary-Code-5e1f";

/// A deployment with a provider that says whatever it is told to say.
pub(crate) struct Fair {
    pub(crate) town: Town,
    forge: Forge,
    source: KeySource,
}

/// A browser that was sent to the provider.
struct Sent {
    cookie: String,
    state: String,
    nonce: String,
}

impl Fair {
    pub(crate) async fn start(new_users: &str) -> anyhow::Result<Self> {
        Self::with(new_users, "", StackOptions::default()).await
    }

    /// With more settings of signing in.
    pub(crate) async fn start_with(new_users: &str, settings: &str) -> anyhow::Result<Self> {
        Self::with(new_users, settings, StackOptions::default()).await
    }

    /// With everything chosen.
    pub(crate) async fn with(new_users: &str, settings: &str, options: StackOptions) -> anyhow::Result<Self> {
        let (forge, source) = (Forge::new()?, KeySource::start(Document::away()).await?);
        let more = format!(
            "signon:\n  url: '{{url}}'\n{settings}  providers:\n    corp: {{kind: oidc, issuer: '{}', clientid: {CLIENT}, \
             clientsecret: {CLIENT_SECRET}, newusers: {new_users}, require: {{hd: acme.example}}, secondfactor: [gold]}}\n{}",
            source.url(),
            options.token_server_more
        );
        let options =
            StackOptions { port: Port::Known, same_origin: true, token_server_more: more, ..options };
        let town = Town::with(options).await?;
        let fair = Self { town, forge, source };
        fair.say(None);
        Ok(fair)
    }

    /// One document is what every question is answered with: about the provider, its keys, and the token.
    fn say(&self, id_token: Option<&str>) {
        let url = self.source.url();
        let mut document = json!({
            "issuer": url, "jwks_uri": format!("{url}/keys"), "keys": [self.forge.jwk()],
            "authorization_endpoint": format!("{url}/authorize"), "token_endpoint": format!("{url}/token"),
            "authorization_response_iss_parameter_supported": true
        });
        if let Some(token) = id_token {
            document["id_token"] = token.into();
        }
        self.source.serve(Document::ok(document.to_string()));
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.town.stack.token_server_url())
    }

    pub(crate) async fn get(&self, path: &str, cookie: &str) -> anyhow::Result<Answer> {
        let mut request = Request::get(self.url(path));
        if !cookie.is_empty() {
            request = request.header(COOKIE, cookie);
        }
        self.town.anonymous.raw(&request).await
    }

    pub(crate) async fn post(
        &self,
        path: &str,
        cookie: &str,
        form: &[(&str, &str)],
        more: &[(HeaderName, &str)],
    ) -> anyhow::Result<Answer> {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let mut request = Request::new(Method::POST, self.url(path))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(COOKIE, cookie)
            .body(body);
        for (name, value) in more {
            request = request.header(name.clone(), *value);
        }
        self.town.anonymous.raw(&request).await
    }

    /// The sign-in page: the cookie, and what its form carries.
    async fn page(&self) -> anyhow::Result<(String, String)> {
        let answer = self.get("/signin", "").await?.expect(200)?;
        Ok((cookie(&answer)?, form_token(&answer)?))
    }

    /// Signs in with the password; says which cookie that is.
    pub(crate) async fn sign_in(&self, user: &str) -> anyhow::Result<String> {
        let (before, token) = self.page().await?;
        let form =
            [("form", &*token), ("user", user), ("password", &password_of(user)), ("page", "/account")];
        let answer = self.post("/signin", &before, &form, &[]).await?.expect(303)?;
        let after = cookie(&answer)?;
        anyhow::ensure!(after != before, "the cookie is the one of before");
        Ok(after)
    }

    async fn send(&self) -> anyhow::Result<Sent> {
        let answer = self.get("/signin/corp", "").await?.expect(303)?;
        let to: Url = answer.needs_header("location")?.parse()?;
        let said = |name: &str| {
            let found =
                to.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned());
            found.ok_or_else(|| anyhow::anyhow!("no {name} in {to}"))
        };
        anyhow::ensure!(said("code_challenge_method")? == "S256" && said("response_type")? == "code");
        Ok(Sent { cookie: cookie(&answer)?, state: said("state")?, nonce: said("nonce")? })
    }

    fn claims(&self, sent: &Sent, said: &Value) -> Value {
        let now = self.town.stack.clock.unix_now();
        let mut claims = json!({
            "iss": self.source.url(), "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": sent.nonce, "sub": "u-1",
            "preferred_username": "eve", "email": "alice@acme.example", "email_verified": true, "groups": [],
            "hd": "acme.example"
        });
        for (name, value) in said.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        claims
    }

    async fn come_back(&self, sent: &Sent, more: &str) -> anyhow::Result<Answer> {
        let issuer: String = url::form_urlencoded::byte_serialize(self.source.url().as_bytes()).collect();
        let path = format!("/signin/corp/callback?code={CODE}&iss={issuer}&state={}{more}", sent.state);
        self.get(&path, &sent.cookie).await
    }

    /// The whole way with claims of this kind.
    pub(crate) async fn visit(&self, said: &Value) -> anyhow::Result<Answer> {
        Ok(self.visit_with_token(said).await?.0)
    }

    /// The same, with the token of the provider.
    pub(crate) async fn visit_with_token(&self, said: &Value) -> anyhow::Result<(Answer, String)> {
        let sent = self.send().await?;
        let token = self.forge.sign(&self.claims(&sent, said))?;
        self.say(Some(&token));
        Ok((self.come_back(&sent, "").await?, token))
    }
}

/// The first cookie of an answer, as the browser would show it.
pub(crate) fn cookie(answer: &Answer) -> anyhow::Result<String> {
    let set = answer.needs_header("set-cookie")?;
    for needed in ["__Host-", "HttpOnly", "Secure", "SameSite=Lax", "Path=/"] {
        anyhow::ensure!(set.contains(needed), "{needed} is missing in {set}");
    }
    anyhow::ensure!(!set.contains("Domain"), "{set}");
    Ok(set.split(';').next().unwrap_or_default().to_owned())
}

pub(crate) fn form_token(answer: &Answer) -> anyhow::Result<String> {
    let text = answer.text();
    let token = text.split("name=\"form\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    token.map(str::to_owned).ok_or_else(|| anyhow::anyhow!("no form in {text}"))
}

#[tokio::test]
async fn only_whom_a_token_for_this_visit_names_comes_back() -> anyhow::Result<()> {
    let fair = Fair::start("create").await?;
    let answer = fair.visit(&json!({})).await?.expect(303)?;
    assert_eq!(answer.header("location"), Some("/account"));
    for (said, sentence) in [
        (json!({"nonce": "of another visit"}), "another visit"),
        (json!({"aud": "somebody-else"}), "another audience"),
        (json!({"aud": [CLIENT, "somebody-else"]}), "azp"),
        (json!({"aud": [CLIENT, "somebody-else"], "azp": "somebody-else"}), "another audience"),
        (json!({"iss": "https://elsewhere.example"}), "iss"),
        (json!({"exp": 1}), "expired"),
        (json!({"iat": 9_999_999_999_i64}), "not valid yet"),
        (json!({"sub": ""}), "sub"),
        (json!({"sub": 7}), "sub"),
    ] {
        let answer = fair.visit(&said).await?.expect(401)?;
        assert!(answer.text().contains(sentence), "{said}: {answer}");
    }
    // What the settings require is not said, or something else is.
    for said in [json!({"hd": "evil.example"}), json!({"hd": ["evil.example"]}), json!({"hd": null})] {
        assert!(fair.visit(&said).await?.expect(403)?.text().contains("hd=acme.example"), "{said}");
    }
    fair.visit(&json!({"hd": ["acme.example", "other.example"]})).await?.expect(303)?;
    // Signatures that are none.
    for forged in [0, 1, 2, 3] {
        let sent = fair.send().await?;
        let claims = fair.claims(&sent, &json!({}));
        let token = match forged {
            0 => Forge::unsigned(&claims),
            1 => fair.forge.sign_with_public_key_as_secret(&claims)?,
            2 => with_broken_signature(&fair.forge.sign(&claims)?)?,
            _ => Forge::new()?.sign(&claims)?,
        };
        fair.say(Some(&token));
        fair.come_back(&sent, "").await?.expect(401)?;
    }
    Ok(())
}

#[tokio::test]
async fn who_was_not_sent_does_not_come_back() -> anyhow::Result<()> {
    let fair = Fair::start("create").await?;
    let (one, other) = (fair.send().await?, fair.send().await?);
    fair.say(Some(&fair.forge.sign(&fair.claims(&one, &json!({})))?));
    // The code of one in the browser of another, which is how somebody is signed in as somebody else.
    let mixed = Sent { cookie: other.cookie.clone(), state: one.state.clone(), nonce: String::new() };
    fair.come_back(&mixed, "").await?.expect(400)?;
    fair.get(&format!("/signin/corp/callback?code=c&state={}", one.state), "").await?.expect(400)?;
    fair.get("/signin/corp/callback?code=c", &one.cookie).await?.expect(400)?;
    // Another provider answers, or nobody says who does although the provider would.
    let path = format!("/signin/corp/callback?code=c&iss=https%3A%2F%2Fevil.example&state={}", one.state);
    assert!(fair.get(&path, &one.cookie).await?.expect(401)?.text().contains("another identity provider"));
    let path = format!("/signin/corp/callback?code=c&state={}", one.state);
    fair.get(&path, &one.cookie).await?.expect(401)?;
    let refused = format!("/signin/corp/callback?error=access_denied&state={}", one.state);
    assert!(fair.get(&refused, &one.cookie).await?.expect(401)?.text().contains("access_denied"));
    fair.town.stack.clock.advance(std::time::Duration::from_mins(11));
    fair.come_back(&one, "").await?.expect(400)?;
    fair.get("/signin/nowhere", "").await?.expect(404)?;
    Ok(())
}

#[tokio::test]
async fn mail_and_names_link_nobody_and_newcomers_wait_or_go() -> anyhow::Result<()> {
    let fair = Fair::start("ask").await?;
    let answer = fair.visit(&json!({"preferred_username": "alice"})).await?.expect(403)?;
    assert!(answer.text().contains("not known here yet"), "{answer}");
    let stack = &fair.town.stack;
    let pending = run(stack, "identity pending --output json").await?.success()?.output;
    let pending: Value = serde_json::from_str(&pending)?;
    let id = pending[0]["id"].as_str().unwrap_or_default();
    assert!(answer.text().contains(id), "{answer}");
    // There is an alice; that this is her must be said.
    assert!(run(stack, &format!("identity accept {id}")).await?.failure()?.contains("already"));
    done(stack, &[&format!("identity accept {id} --user eve")]).await?;
    let answer = fair.visit(&json!({"preferred_username": "somebody.else"})).await?.expect(303)?;
    let shown = fair.get("/account", &cookie(&answer)?).await?.expect(200)?;
    assert!(shown.text().contains("<code>eve</code>"), "{shown}");
    done(stack, &["user disable eve --yes"]).await?;
    fair.get("/account", &cookie(&answer)?).await?.expect(303)?;
    assert!(fair.visit(&json!({})).await?.expect(403)?.text().contains("disabled"));
    let fair = Fair::start("refuse").await?;
    fair.visit(&json!({})).await?.expect(403)?;
    assert_eq!(run(&fair.town.stack, "identity pending --output json").await?.success()?.output.trim(), "[]");
    Ok(())
}

#[tokio::test]
async fn forms_of_others_and_cookies_of_before_are_worth_nothing() -> anyhow::Result<()> {
    let fair = Fair::start("create").await?;
    let (before, token) = fair.page().await?;
    let password = password_of("alice");
    let form = [("form", &*token), ("user", "alice"), ("password", &*password)];
    let without = &form[1..];
    fair.post("/signin", &before, without, &[]).await?.expect(403)?;
    fair.post("/signin", "", &form, &[]).await?.expect(403)?;
    let (_, other) = fair.page().await?;
    fair.post("/signin", &before, &[("form", &*other), form[1], form[2]], &[]).await?.expect(403)?;
    fair.post("/signin", &before, &form, &[(ORIGIN, "https://evil.example")]).await?.expect(403)?;
    fair.post("/signin", &before, &form, &[(ORIGIN, "null")]).await?.expect(403)?;
    let cross = (HeaderName::from_static("sec-fetch-site"), "cross-site");
    fair.post("/signin", &before, &form, &[cross]).await?.expect(403)?;
    let answer = fair.post("/signin", &before, &form, &[]).await?.expect(303)?;
    let after = cookie(&answer)?;
    assert_ne!(after, before, "who signs in shows something new");
    fair.get("/account", &before).await?.expect(303)?;
    let account = fair.get("/account", &after).await?.expect(200)?;
    for (name, value) in [
        ("content-security-policy", "default-src 'none'"),
        ("content-security-policy", "frame-ancestors 'none'"),
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
        ("referrer-policy", "same-origin"),
    ] {
        assert!(account.needs_header(name)?.contains(value), "{name}: {account}");
    }
    assert!(!account.text().contains("<script") && !account.text().contains(" style="));
    // A form of before signing in does nothing afterwards, and nothing is done by looking.
    fair.post("/signout", &after, &[("form", &token)], &[]).await?.expect(403)?;
    fair.get("/signout", &after).await?.expect(405)?;
    fair.get("/account/link/corp?form=x", &after).await?.expect(403)?;
    fair.post("/signout", &after, &[("form", &form_token(&account)?)], &[]).await?.expect(200)?;
    fair.get("/account", &after).await?.expect(303)?;
    Ok(())
}

#[tokio::test]
async fn sessions_end_with_time_passwords_and_users() -> anyhow::Result<()> {
    let fair = Fair::start("create").await?;
    let idle = fair.sign_in("alice").await?;
    fair.town.stack.clock.advance(std::time::Duration::from_secs(2 * 3600 + 1));
    fair.get("/account", &idle).await?.expect(303)?;
    let cookie = fair.sign_in("alice").await?;
    for _ in 0..11 {
        fair.town.stack.clock.advance(std::time::Duration::from_hours(1));
        fair.get("/account", &cookie).await?.expect(200)?;
    }
    fair.town.stack.clock.advance(std::time::Duration::from_hours(1));
    fair.get("/account", &cookie).await?.expect(303)?;
    let cookie = fair.sign_in("alice").await?;
    let set = ["user", "password", "alice", "--password-stdin", "--yes"];
    fair.town.stack.operator(&set, &format!("{}\n", password_of("alice"))).await?.success()?;
    fair.get("/account", &cookie).await?.expect(303)?;
    let cookie = fair.sign_in("alice").await?;
    done(&fair.town.stack, &["user disable alice --yes", "user enable alice"]).await?;
    fair.get("/account", &cookie).await?.expect(303)?;
    Ok(())
}

#[tokio::test]
async fn wrong_passwords_at_the_page_count_at_every_other_door() -> anyhow::Result<()> {
    let fair = Fair::start("create").await?;
    let (cookie, token) = fair.page().await?;
    let mut statuses = Vec::new();
    for number in 0..40 {
        let password = format!("wrong {number}");
        let form = [("form", &*token), ("user", "alice"), ("password", &*password)];
        statuses.push(fair.post("/signin", &cookie, &form, &[]).await?.status);
        if statuses.last() == Some(&429) {
            break;
        }
    }
    assert_eq!((statuses.first(), statuses.last()), (Some(&401), Some(&429)), "{statuses:?}");
    let url = format!("{}/token?service={SERVICE}", fair.town.stack.token_server_url());
    let request = Request::get(url).header(AUTHORIZATION, basic("alice", "another wrong one"));
    fair.town.anonymous.raw(&request).await?.expect(429)?;
    Ok(())
}

#[tokio::test]
async fn only_the_provider_says_that_somebody_has_signed_out_there() -> anyhow::Result<()> {
    const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
    let fair = Fair::start("create").await?;
    let answer = fair.visit(&json!({"sid": "s-1"})).await?.expect(303)?;
    let session = cookie(&answer)?;
    let now = fair.town.stack.clock.unix_now();
    let right = json!({
        "iss": fair.source.url(), "aud": CLIENT, "iat": now, "exp": now + 120, "jti": "1", "sub": "u-1", "sid": "s-1",
        "events": {EVENT: {}}
    });
    let with = |name: &str, value: Value| {
        let mut claims = right.clone();
        claims[name] = value;
        claims
    };
    let header = |typ: &str| json!({"typ": typ, "alg": "ES256", "kid": fair.forge.kid()});
    for (typ, claims) in [
        ("logout+jwt", with("nonce", "n".into())),
        ("logout+jwt", with("events", json!({}))),
        ("logout+jwt", with("events", json!({EVENT: "no object"}))),
        ("logout+jwt", with("aud", "somebody-else".into())),
        ("logout+jwt", with("iss", "https://elsewhere.example".into())),
        ("logout+jwt", with("exp", 1.into())),
        ("at+jwt", right.clone()),
    ] {
        let token = fair.forge.sign_with(&header(typ), &claims)?;
        fair.post("/signin/corp/logout", "", &[("logout_token", &token)], &[]).await?.expect(400)?;
    }
    let forged = Forge::new()?.sign_with(&header("logout+jwt"), &right)?;
    fair.post("/signin/corp/logout", "", &[("logout_token", &forged)], &[]).await?.expect(400)?;
    fair.post("/signin/corp/logout", "", &[], &[]).await?.expect(400)?;
    // Somebody else, and another session.
    for other in [with("sub", "u-2".into()), with("sid", "s-2".into())] {
        let token = fair.forge.sign_with(&header("logout+jwt"), &other)?;
        fair.post("/signin/corp/logout", "", &[("logout_token", &token)], &[]).await?.expect(200)?;
    }
    fair.get("/account", &session).await?.expect(200)?;
    let token = fair.forge.sign_with(&header("logout+jwt"), &right)?;
    fair.post("/signin/corp/logout", "", &[("logout_token", &token)], &[]).await?.expect(200)?;
    fair.get("/account", &session).await?.expect(303)?;
    Ok(())
}

#[tokio::test]
async fn without_an_address_there_are_no_pages_and_users_without_a_password_do_not_log_in()
-> anyhow::Result<()> {
    let town = Town::start().await?;
    for path in ["/", "/signin", "/account", "/signin/corp"] {
        let request = Request::get(format!("{}{path}", town.stack.token_server_url()));
        town.anonymous.raw(&request).await?.expect(404)?;
    }
    done(&town.stack, &["user add fred --no-password"]).await?;
    for password in ["", "fred", "null"] {
        let client = OciClient::new(&town.stack.registry_url(), "fred", password)?;
        assert_eq!(client.login().await?.status, 401, "{password:?}");
    }
    Ok(())
}
