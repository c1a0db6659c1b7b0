//! A client of the token server's API that holds every answer against the API's own description.
//!
//! *Invariant:* an answer that the description does not allow is an error, whatever the test was about.

use anyhow::Context as _;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::client::{OciClient, Request};
use crate::stack::{Stack, basic_of};

/// A client without credentials of its own.
#[derive(Debug)]
pub struct Api {
    client: OciClient,
    url: String,
    document: Value,
}

impl Api {
    /// The API of this token server.
    pub async fn of(stack: &Stack) -> anyhow::Result<Self> {
        let (client, url) = (stack.anonymous()?, stack.token_server_url());
        let answer = client.raw(&Request::get(format!("{url}/api/v1/openapi.json"))).await?.expect(200)?;
        Ok(Self { client, url, document: answer.json()? })
    }

    /// The address of the server.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The description.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// A request to a path below `/api/v1`, with a test user's credentials, or without.
    pub fn request(&self, user: Option<&str>, method: Method, path: &str, body: Option<&Value>) -> Request {
        let mut request = Request::new(method, format!("{}/api/v1{path}", self.url));
        if let Some(user) = user {
            request = request.header(AUTHORIZATION, basic_of(user));
        }
        match body {
            Some(body) => request.header(CONTENT_TYPE, "application/json").body(body.to_string()),
            None => request,
        }
    }

    /// Sends a request and checks the answer.
    pub async fn send(&self, request: &Request) -> anyhow::Result<Answer> {
        let answer = self.client.raw(request).await?;
        self.check(request, &answer).with_context(|| format!("not as described: {answer}"))?;
        Ok(answer)
    }

    /// Gets something.
    pub async fn get(&self, user: &str, path: &str) -> anyhow::Result<Answer> {
        self.send(&self.request(Some(user), Method::GET, path, None)).await
    }

    /// Posts something.
    pub async fn post(&self, user: &str, path: &str, body: &Value) -> anyhow::Result<Answer> {
        self.send(&self.request(Some(user), Method::POST, path, Some(body))).await
    }

    /// Does something else, perhaps with a body.
    pub async fn call(
        &self,
        user: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        self.send(&self.request(Some(user), method, path, body)).await
    }

    /// The same, with another header.
    pub async fn call_with(
        &self,
        user: &str,
        method: Method,
        path: &str,
        header: (HeaderName, &str),
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        self.send(&self.request(Some(user), method, path, body).header(header.0, header.1)).await
    }

    /// Every item of a list, page by page.
    pub async fn all(&self, user: &str, path: &str, limit: usize) -> anyhow::Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        let separator = if path.contains('?') { '&' } else { '?' };
        loop {
            let page =
                self.get(user, &format!("{path}{separator}limit={limit}{cursor}")).await?.expect(200)?;
            let page = page.json()?;
            let found = page["items"].as_array().context("no items")?;
            anyhow::ensure!(found.len() <= limit, "{} items of {limit}", found.len());
            items.extend(found.iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(items),
            }
        }
    }

    fn check(&self, request: &Request, answer: &Answer) -> anyhow::Result<()> {
        let problem = "application/problem+json";
        let media_type = answer.header("content-type").unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default();
        if answer.status >= 400 && request.method != Method::HEAD {
            anyhow::ensure!(media_type == problem, "a refusal is {problem}");
            let body = answer.json()?;
            anyhow::ensure!(body["status"] == answer.status, "the body has another status");
            let code = body["code"].as_str().unwrap_or_default();
            anyhow::ensure!(
                !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
            );
        }
        let Some(operation) = self.operation(request) else {
            anyhow::ensure!(matches!(answer.status, 404 | 405), "no such address is described");
            return Ok(());
        };
        if matches!(answer.status, 304 | 405) || request.method == Method::HEAD {
            return Ok(());
        }
        let responses = &operation["responses"];
        let status = answer.status.to_string();
        let response =
            responses.get(&status).or_else(|| responses.get("default").filter(|_| answer.status >= 400));
        let response = response.with_context(|| format!("status {status} is not described"))?;
        let Some(contents) = response["content"].as_object() else {
            anyhow::ensure!(answer.body.is_empty(), "a body is not described");
            return Ok(());
        };
        let content = contents.get(media_type).with_context(|| format!("{media_type:?} is not described"))?;
        if media_type.ends_with("json") && media_type != "application/x-ndjson" {
            let schema = json!({"components": self.document["components"], "allOf": [content["schema"]]});
            let validator = jsonschema::validator_for(&schema).map_err(|error| anyhow::anyhow!("{error}"))?;
            let body = answer.json()?;
            validator.validate(&body).map_err(|error| anyhow::anyhow!("{error}"))?;
        }
        anyhow::ensure!(answer.header("cache-control") == Some("no-store"), "a cache might keep it");
        Ok(())
    }

    /// The operation that a request is for.
    fn operation(&self, request: &Request) -> Option<&Value> {
        let path = request.target.strip_prefix(&self.url)?.split('?').next()?;
        let method = if request.method == Method::HEAD {
            "get".into()
        } else {
            request.method.as_str().to_lowercase()
        };
        let paths = self.document["paths"].as_object()?;
        let fits = |template: &str| {
            let (mut wanted, mut given) = (template.split('/'), path.split('/'));
            loop {
                match (wanted.next(), given.next()) {
                    // The name of a robot and a pattern may have slashes.
                    (None, None) | (Some("{pattern}" | "{member}"), Some(_)) => return true,
                    (Some(wanted), Some(given)) if wanted.starts_with('{') || wanted == given => {}
                    _ => return false,
                }
            }
        };
        paths.iter().find(|(template, _)| fits(template))?.1.get(&method)
    }
}
