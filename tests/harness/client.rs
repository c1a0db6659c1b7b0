//! A registry client that does the token dance the way the Docker engine does.
//!
//! It asks without a token, reads the realm and the scope from the challenge, fetches a token with Basic
//! credentials and asks again; a challenge for a password is answered with the password. [`OciClient::raw`] does none of this and sends exactly what a test wrote.
//!
//! *Invariant:* it never guesses: realm, service, scope and upload addresses come from what the registry said.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, WWW_AUTHENTICATE};
use reqwest::{Method, Url};
use shared::challenge::BearerChallenge;

use crate::answer::Answer;
use crate::images::{self, Blob, Image, Index};

/// What pulling clients say they understand.
pub const ACCEPTED: [&str; 4] =
    [images::OCI_MANIFEST, images::OCI_INDEX, images::DOCKER_MANIFEST, images::DOCKER_LIST];

/// One request, complete before it is sent.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// A path with query, or a whole address.
    pub target: String,
    /// Headers in order.
    pub headers: Vec<(HeaderName, String)>,
    /// The body, if there is one.
    pub body: Option<Bytes>,
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: Method, target: impl Into<String>) -> Self {
        Self { method, target: target.into(), headers: Vec::new(), body: None }
    }

    /// A GET.
    pub fn get(target: impl Into<String>) -> Self {
        Self::new(Method::GET, target)
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Accepts every kind of manifest.
    #[must_use]
    pub fn accepting_manifests(self) -> Self {
        ACCEPTED.iter().fold(self, |request, kind| request.header(ACCEPT, *kind))
    }
}

/// A client of one registry, with or without credentials.
#[derive(Debug)]
pub struct OciClient {
    http: reqwest::Client,
    registry: Url,
    credentials: Option<(String, String)>,
    tokens: Mutex<BTreeMap<String, String>>,
}

/// An HTTP client that follows nothing and waits for nobody longer than ten minutes.
pub fn http_client() -> anyhow::Result<reqwest::Client> {
    shared::server::jwt_crypto::install();
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
    Ok(client.timeout(std::time::Duration::from_mins(10)).build()?)
}

/// The value of an `Authorization: Basic` header.
pub fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

impl OciClient {
    /// A client without credentials; `registry` is an address such as `http://127.0.0.1:5000`.
    pub fn anonymous(registry: &str) -> anyhow::Result<Self> {
        Ok(Self {
            http: http_client()?,
            registry: Url::parse(registry)?,
            credentials: None,
            tokens: Mutex::default(),
        })
    }

    /// A client with a user's credentials.
    pub fn new(registry: &str, user: &str, password: &str) -> anyhow::Result<Self> {
        let credentials = Some((user.to_owned(), password.to_owned()));
        Ok(Self { credentials, ..Self::anonymous(registry)? })
    }

    /// Forgets the tokens it holds.
    pub fn forget_tokens(&self) {
        self.held().clear();
    }

    fn held(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn address(&self, target: &str) -> anyhow::Result<Url> {
        self.registry.join(target).with_context(|| format!("{target} is not an address"))
    }

    /// Sends a request as it is.
    pub async fn raw(&self, request: &Request) -> anyhow::Result<Answer> {
        let asked = format!("{} {}", request.method, request.target);
        let mut builder = self.http.request(request.method.clone(), self.address(&request.target)?);
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        if let Some(body) = &request.body {
            builder = builder.body(body.clone());
        }
        let response = builder.send().await.with_context(|| asked.clone())?;
        Answer::read(asked, response).await
    }

    /// Sends a request with a token of the tests' choice.
    pub async fn with_token(&self, request: &Request, token: &str) -> anyhow::Result<Answer> {
        self.raw(&request.clone().header(AUTHORIZATION, format!("Bearer {token}"))).await
    }

    /// Sends a request, fetches a token when it is challenged, and sends it again; once more when the registry then
    /// asks for a wider token. Where a password is asked for, it is sent.
    pub async fn send(&self, request: &Request) -> anyhow::Result<Answer> {
        let mut answer = self.raw(request).await?;
        let asks_for_password = |answer: &Answer| {
            answer.header(WWW_AUTHENTICATE.as_str()).is_some_and(|challenge| challenge.starts_with("Basic "))
        };
        if answer.status == 401
            && asks_for_password(&answer)
            && let Some((user, password)) = &self.credentials
        {
            return self.raw(&request.clone().header(AUTHORIZATION, basic(user, password))).await;
        }
        let mut last = None;
        while answer.status == 401 {
            let challenge = answer.header(WWW_AUTHENTICATE.as_str()).and_then(BearerChallenge::parse);
            let Some(challenge) = challenge.filter(|challenge| last.as_ref() != Some(&challenge.scope))
            else {
                break;
            };
            answer = match self.token_for(&challenge).await? {
                Ok(token) => self.with_token(request, &token).await?,
                Err(refusal) => return Ok(refusal),
            };
            last = Some(challenge.scope);
        }
        Ok(answer)
    }

    /// The token a challenge asks for, or the answer with which the token server refused one.
    pub async fn token_for(&self, challenge: &BearerChallenge) -> anyhow::Result<Result<String, Answer>> {
        let scope = challenge.scope.clone().unwrap_or_default();
        if let Some(token) = self.held().get(&scope) {
            return Ok(Ok(token.clone()));
        }
        let answer = self.ask_token(challenge, &[]).await?;
        if answer.status != 200 {
            return Ok(Err(answer));
        }
        let body = answer.json()?;
        let token = body["token"].as_str().with_context(|| format!("no token in {answer}"))?.to_owned();
        self.held().insert(scope, token.clone());
        Ok(Ok(token))
    }

    /// Asks the realm of a challenge with more query parameters, as `docker login` does.
    pub async fn ask_token(
        &self,
        challenge: &BearerChallenge,
        more: &[(&str, &str)],
    ) -> anyhow::Result<Answer> {
        let mut realm = Url::parse(&challenge.realm).context("the realm is not an address")?;
        {
            let mut query = realm.query_pairs_mut();
            query.append_pair("service", &challenge.service);
            for scope in challenge.scope.iter().flat_map(|scopes| scopes.split(' ')) {
                query.append_pair("scope", scope);
            }
            if let Some((user, _)) = &self.credentials {
                query.append_pair("account", user);
            }
            query.extend_pairs(more);
        }
        let mut request = Request::get(realm);
        if let Some((user, password)) = &self.credentials {
            request = request.header(AUTHORIZATION, basic(user, password));
        }
        self.raw(&request).await
    }

    /// The challenge of the base route, from which Docker learns the realm.
    pub async fn challenge(&self) -> anyhow::Result<BearerChallenge> {
        let answer = self.raw(&Request::get("/v2/")).await?.expect(401)?;
        BearerChallenge::parse(answer.needs_header("www-authenticate")?).context("not a bearer challenge")
    }

    /// What `docker login` does: the challenge, a token without scope, the base route with it.
    pub async fn login(&self) -> anyhow::Result<Answer> {
        self.send(&Request::get("/v2/")).await
    }

    /// Opens an upload session and returns its address.
    pub async fn start_upload(&self, repository: &str) -> anyhow::Result<String> {
        let answer = self.send(&Request::new(Method::POST, uploads(repository))).await?.expect(202)?;
        Ok(answer.needs_header("location")?.to_owned())
    }

    /// Uploads a blob the way Docker does: HEAD, POST, one PATCH, PUT.
    pub async fn push_blob(&self, repository: &str, blob: &Blob) -> anyhow::Result<()> {
        let known = Request::new(Method::HEAD, format!("/v2/{repository}/blobs/{}", blob.digest));
        if self.send(&known).await?.status == 200 {
            return Ok(());
        }
        let location = self.start_upload(repository).await?;
        let patch = Request::new(Method::PATCH, location)
            .header(CONTENT_TYPE, "application/octet-stream")
            .body(blob.bytes.clone());
        let answer = self.send(&patch).await?.expect(202)?;
        let location = answer.needs_header("location")?;
        let put = Request::new(Method::PUT, with_digest(location, &blob.digest));
        self.send(&put).await?.expect(201)?;
        Ok(())
    }

    /// Puts a manifest under a tag or digest.
    pub async fn put_manifest(
        &self,
        repository: &str,
        reference: &str,
        manifest: &Blob,
    ) -> anyhow::Result<Answer> {
        let put = Request::new(Method::PUT, format!("/v2/{repository}/manifests/{reference}"))
            .header(CONTENT_TYPE, manifest.media_type)
            .body(manifest.bytes.clone());
        self.send(&put).await
    }

    /// Pushes an image: its blobs, then its manifest under a tag.
    pub async fn push_image(&self, repository: &str, tag: &str, image: &Image) -> anyhow::Result<()> {
        for blob in image.blobs() {
            self.push_blob(repository, blob).await?;
        }
        let answer = self.put_manifest(repository, tag, &image.manifest).await?.expect(201)?;
        anyhow::ensure!(answer.needs_header("docker-content-digest")? == image.manifest.digest);
        Ok(())
    }

    /// Pushes every image of an index by digest, then the index under a tag.
    pub async fn push_index(&self, repository: &str, tag: &str, index: &Index) -> anyhow::Result<()> {
        for image in &index.images {
            self.push_image(repository, &image.manifest.digest, image).await?;
        }
        self.put_manifest(repository, tag, &index.index).await?.expect(201)?;
        Ok(())
    }

    /// Gets a manifest.
    pub async fn get_manifest(&self, repository: &str, reference: &str) -> anyhow::Result<Answer> {
        let target = format!("/v2/{repository}/manifests/{reference}");
        self.send(&Request::get(target).accepting_manifests()).await
    }

    /// Gets a blob.
    pub async fn get_blob(&self, repository: &str, digest: &str) -> anyhow::Result<Answer> {
        self.send(&Request::get(format!("/v2/{repository}/blobs/{digest}"))).await
    }

    /// Pulls an image and insists on every byte.
    pub async fn pull_image(&self, repository: &str, reference: &str, image: &Image) -> anyhow::Result<()> {
        let answer = self.get_manifest(repository, reference).await?.expect(200)?;
        anyhow::ensure!(answer.body == image.manifest.bytes, "another manifest: {answer}");
        anyhow::ensure!(answer.needs_header("content-type")? == image.manifest.media_type, "{answer}");
        for blob in image.blobs() {
            let answer = self.get_blob(repository, &blob.digest).await?.expect(200)?;
            anyhow::ensure!(answer.body == blob.bytes, "blob {} came back different", blob.digest);
        }
        Ok(())
    }

    /// The HTTP client underneath, for bodies that stream.
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }
}

/// The address at which upload sessions of a repository are opened.
pub fn uploads(repository: &str) -> String {
    format!("/v2/{repository}/blobs/uploads/")
}

/// An upload address with the digest that closes it.
pub fn with_digest(location: &str, digest: &str) -> String {
    let separator = if location.contains('?') { '&' } else { '?' };
    format!("{location}{separator}digest={digest}")
}
