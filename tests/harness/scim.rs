//! A deployment with an identity provider that makes users by SCIM, and what it sends.
//!
//! *Invariant:* every answer with a body is checked to be of the media type of SCIM, and a refusal to be one of SCIM.

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::Value;

use crate::actors::Town;
use crate::answer::Answer;
use crate::client::{OciClient, Request};
use crate::stack::{Port, StackOptions};

/// Who says who somebody is. Nobody answers there.
pub const ISSUER: &str = "https://id.example";

/// A provider called `corp`, with its secret.
#[derive(Debug)]
pub struct Scim {
    http: OciClient,
    base: String,
    secret: String,
}

/// The settings of a provider for which SCIM is on.
pub fn settings(more: &str) -> String {
    format!(
        "signon:\n  url: '{{url}}'\n  providers:\n    corp:\n      kind: oidc\n      issuer: {ISSUER}\n      clientid: x\n      \
         scim: externalid\n      teams: {{devs: platform}}\n{more}"
    )
}

/// A town with such a provider.
pub async fn town(options: StackOptions) -> anyhow::Result<(Town, Scim)> {
    let more = options.token_server_more.clone() + &settings("");
    let town = Town::with(StackOptions { port: Port::Known, token_server_more: more, ..options }).await?;
    let said = town.stack.operator(&["scim", "secret", "add", "corp"], "").await?.success()?;
    let scim = Scim::with(&town, said.output.trim())?;
    Ok((town, scim))
}

impl Scim {
    /// Whoever shows this secret.
    pub fn with(town: &Town, secret: &str) -> anyhow::Result<Self> {
        let url = town.stack.token_server_url();
        Ok(Self {
            http: OciClient::anonymous(&url)?,
            base: format!("{url}/scim/v2"),
            secret: secret.to_owned(),
        })
    }

    /// Where it is.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The secret.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// Sends a request and insists that the answer is one of SCIM.
    pub async fn send(&self, request: Request) -> anyhow::Result<Answer> {
        let request = request.header(AUTHORIZATION, format!("Bearer {}", self.secret));
        self.raw(&request).await
    }

    /// The same without the secret.
    pub async fn raw(&self, request: &Request) -> anyhow::Result<Answer> {
        let answer = self.http.raw(request).await?;
        if !answer.body.is_empty() {
            anyhow::ensure!(answer.needs_header("content-type")? == "application/scim+json", "{answer}");
        }
        if answer.status >= 400 {
            let body = answer.json()?;
            anyhow::ensure!(body["schemas"][0] == "urn:ietf:params:scim:api:messages:2.0:Error", "{answer}");
            let status = answer.status.to_string();
            anyhow::ensure!(body["status"] == status.as_str(), "{answer}");
            anyhow::ensure!(body["detail"].as_str().is_some_and(|text| !text.is_empty()), "{answer}");
        }
        Ok(answer)
    }

    /// A request to a path below the base.
    pub fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Request {
        let request = Request::new(method, format!("{}{path}", self.base));
        match body {
            Some(body) => request.header(CONTENT_TYPE, "application/scim+json").body(body.to_string()),
            None => request,
        }
    }

    /// Sends a body.
    pub async fn call(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<Answer> {
        self.send(self.request(method, path, Some(body))).await
    }

    /// Reads.
    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.send(self.request(Method::GET, path, None)).await
    }

    /// What a filter finds.
    pub async fn find(&self, path: &str, filter: &str) -> anyhow::Result<Value> {
        let query: String = url::form_urlencoded::byte_serialize(filter.as_bytes()).collect();
        self.get(&format!("{path}?filter={query}")).await?.expect(200)?.json()
    }

    /// Makes something; says its number.
    pub async fn make(&self, path: &str, body: &Value) -> anyhow::Result<String> {
        let made = self.call(Method::POST, path, body).await?.expect(201)?.json()?;
        Ok(made["id"].as_str().unwrap_or_default().to_owned())
    }
}
