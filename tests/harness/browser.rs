//! A real browser without a window: Chromium from Debian, driven by its own driver.
//!
//! The driver speaks JSON over HTTP; what libraries for it add is more than the tests need.
//!
//! *Invariant:* each browser is a new one that knows nothing of others, and is gone with its driver.
//!
//! Spec: the `WebDriver` protocol of the W3C.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::client::http_client;
use crate::program;
use crate::watchdog::{self, Guarded};

/// A page may take so long to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Under which the protocol names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser.
#[derive(Debug)]
pub struct Browser {
    http: reqwest::Client,
    session: String,
    _driver: Guarded,
}

impl Browser {
    /// A new one; with or without scripts.
    pub async fn start(has_scripts: bool) -> anyhow::Result<Self> {
        let driver = program::find("chromedriver", "chromium-driver")?;
        let binary = program::find("chromium", "chromium")?;
        let folder = program::private_folder("browser")?;
        let port = program::free_port()?;
        let log = std::fs::File::create(folder.join("log"))?;
        let mut command = Command::new(driver);
        command
            .arg(format!("--port={port}"))
            .env("TMPDIR", &folder)
            .env("HOME", &folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let driver = Guarded::spawn(&mut command)?;
        // A browser outlives a driver that was killed, as after a test that failed.
        let mark = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        watchdog::at_end(&format!("pkill -KILL -f -- '{mark}'"))?;
        let (http, address) = (http_client()?, format!("http://127.0.0.1:{port}"));
        program::until("the driver of the browser answers", PATIENCE, || async {
            let answer = http.get(format!("{address}/status")).send().await;
            answer.is_ok_and(|answer| answer.status().is_success())
        })
        .await?;
        let scripts = if has_scripts { 1 } else { 2 };
        let wanted = json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": {
            "binary": binary,
            "args": ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--no-proxy-server"],
            "prefs": {"profile.managed_default_content_settings.javascript": scripts}
        }}}});
        let made = ask(&http, Method::POST, &format!("{address}/session"), Some(&wanted)).await?;
        let id = made["sessionId"].as_str().with_context(|| format!("no browser: {made}"))?;
        Ok(Self { session: format!("{address}/session/{id}"), http, _driver: driver })
    }

    async fn get(&self, what: &str) -> anyhow::Result<Value> {
        ask(&self.http, Method::GET, &format!("{}/{what}", self.session), None).await
    }

    async fn post(&self, what: &str, said: Value) -> anyhow::Result<Value> {
        ask(&self.http, Method::POST, &format!("{}/{what}", self.session), Some(&said)).await
    }

    /// Opens a page.
    pub async fn open(&self, address: &str) -> anyhow::Result<()> {
        self.post("url", json!({"url": address})).await.map(drop)
    }

    /// Where it is.
    pub async fn address(&self) -> anyhow::Result<String> {
        Ok(self.get("url").await?.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until there is such an element.
    async fn element(&self, using: &str, value: &str) -> anyhow::Result<String> {
        let until = Instant::now() + PATIENCE;
        loop {
            let found = self.post("element", json!({"using": using, "value": value})).await;
            match found {
                Ok(found) => return Ok(found[ELEMENT].as_str().unwrap_or_default().to_owned()),
                Err(_) if Instant::now() < until => tokio::time::sleep(Duration::from_millis(50)).await,
                Err(error) => {
                    let (address, seen) = (self.address().await?, self.text().await.unwrap_or_default());
                    return Err(error.context(format!("no {value:?} at {address}, but:\n{seen}")));
                }
            }
        }
    }

    /// What can be read on the page; between two pages there is none.
    pub async fn text(&self) -> anyhow::Result<String> {
        let body = self.post("element", json!({"using": "css selector", "value": "body"})).await?;
        let id = body[ELEMENT].as_str().unwrap_or_default();
        Ok(self.get(&format!("element/{id}/text")).await?.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until this can be read.
    pub async fn reads(&self, text: &str) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            let seen = self.text().await.unwrap_or_default();
            if seen.contains(text) {
                return Ok(());
            }
            let address = self.address().await.unwrap_or_default();
            anyhow::ensure!(Instant::now() < until, "no {text:?} at {address}, but:\n{seen}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Fills a field in, by its name.
    pub async fn fill(&self, field: &str, text: &str) -> anyhow::Result<()> {
        let id = self.element("css selector", &format!("[name={field}]")).await?;
        self.post(&format!("element/{id}/clear"), json!({})).await?;
        self.post(&format!("element/{id}/value"), json!({"text": text})).await.map(drop)
    }

    /// Presses a button or a link with this text.
    pub async fn press(&self, text: &str) -> anyhow::Result<()> {
        let path = format!(
            "//*[self::button or self::a][contains(normalize-space(.), {text:?})] | \
             //input[@type='submit'][contains(@value, {text:?})]"
        );
        let id = self.element("xpath", &path).await?;
        self.post(&format!("element/{id}/click"), json!({})).await.map(drop)
    }

    /// The text of what a selector finds.
    pub async fn find(&self, selector: &str) -> anyhow::Result<String> {
        let id = self.element("css selector", selector).await?;
        Ok(self.get(&format!("element/{id}/text")).await?.as_str().unwrap_or_default().to_owned())
    }

    /// Gives the browser a device that makes keys and is touched at once, which knows its owner or does not; says how to
    /// call it.
    pub async fn add_authenticator(&self, knows_owner: bool) -> anyhow::Result<String> {
        let device = json!({
            "protocol": "ctap2", "transport": "internal", "hasResidentKey": true, "isUserConsenting": true,
            "hasUserVerification": knows_owner, "isUserVerified": knows_owner
        });
        let made = self.post("webauthn/authenticator", device).await?;
        made.as_str().map(str::to_owned).with_context(|| format!("no device: {made}"))
    }

    /// The keys on a device.
    pub async fn keys(&self, device: &str) -> anyhow::Result<Vec<Value>> {
        let keys = self.get(&format!("webauthn/authenticator/{device}/credentials")).await?;
        Ok(keys.as_array().cloned().unwrap_or_default())
    }

    /// Puts a key on a device.
    pub async fn put_key(&self, device: &str, key: Value) -> anyhow::Result<()> {
        self.post(&format!("webauthn/authenticator/{device}/credential"), key).await.map(drop)
    }

    /// Runs a script in the page, as somebody with the tools of the browser does.
    pub async fn run(&self, script: &str) -> anyhow::Result<Value> {
        self.post("execute/sync", json!({"script": script, "args": []})).await
    }

    /// Ends it.
    pub async fn close(self) -> anyhow::Result<()> {
        ask(&self.http, Method::DELETE, &self.session, None).await.map(drop)
    }
}

async fn ask(
    http: &reqwest::Client,
    method: Method,
    url: &str,
    said: Option<&Value>,
) -> anyhow::Result<Value> {
    let mut request = http.request(method, url).timeout(Duration::from_mins(2));
    if let Some(said) = said {
        request = request.json(said);
    }
    let answer = request.send().await?;
    let is_done = answer.status().is_success();
    let mut said: Value = answer.json().await?;
    anyhow::ensure!(is_done, "the browser says {}", said["value"]["message"]);
    Ok(said["value"].take())
}
