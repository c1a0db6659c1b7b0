//! A real browser without a window: Chromium from Debian, driven by its own driver.
//!
//! *Invariant:* each browser is a new one that knows nothing of others, and is gone with its driver.
//!
//! Spec: the `WebDriver` protocol of the W3C.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Map, Value, json};

use crate::program;
use crate::watchdog::Guarded;

/// A page may take so long to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A browser.
#[derive(Debug)]
pub struct Browser {
    client: Client,
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
        let address = format!("http://127.0.0.1:{port}");
        let status = format!("{address}/status");
        program::until("the driver of the browser answers", PATIENCE, || async {
            reqwest::get(&status).await.is_ok_and(|answer| answer.status().is_success())
        })
        .await?;
        let scripts = i32::from(!has_scripts) + 1;
        let wanted = json!({
            "goog:chromeOptions": {
                "binary": binary,
                "args": ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--no-proxy-server"],
                "prefs": {"profile.managed_default_content_settings.javascript": scripts}
            },
            "goog:loggingPrefs": {"browser": "ALL"}
        });
        let wanted: Map<String, Value> = wanted.as_object().cloned().unwrap_or_default();
        let client = ClientBuilder::new(HttpConnector::new()).capabilities(wanted).connect(&address).await;
        Ok(Self { client: client.context("the browser does not start")?, _driver: driver })
    }

    /// Opens a page.
    pub async fn open(&self, address: &str) -> anyhow::Result<()> {
        Ok(self.client.goto(address).await?)
    }

    /// Where it is.
    pub async fn address(&self) -> anyhow::Result<String> {
        Ok(self.client.current_url().await?.into())
    }

    /// What can be read on the page.
    pub async fn text(&self) -> anyhow::Result<String> {
        Ok(self.client.find(Locator::Css("body")).await?.text().await?)
    }

    /// Waits until this can be read.
    pub async fn reads(&self, text: &str) -> anyhow::Result<()> {
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            // Between two pages there is none.
            let seen = self.text().await.unwrap_or_default();
            if seen.contains(text) {
                return Ok(());
            }
            let address = self.address().await.unwrap_or_default();
            anyhow::ensure!(tokio::time::Instant::now() < until, "no {text:?} at {address}, but:\n{seen}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Fills a field in, by its name.
    pub async fn fill(&self, field: &str, text: &str) -> anyhow::Result<()> {
        let field = self.client.wait().for_element(Locator::Css(&format!("[name={field}]"))).await?;
        field.clear().await?;
        Ok(field.send_keys(text).await?)
    }

    /// Presses a button or a link with this text.
    pub async fn press(&self, text: &str) -> anyhow::Result<()> {
        let path = format!("//*[self::button or self::a][contains(normalize-space(.), {text:?})]");
        let found = self.client.wait().at_most(PATIENCE).for_element(Locator::XPath(&path)).await;
        let found = found.with_context(|| format!("no button {text:?}"))?;
        Ok(found.click().await?)
    }

    /// The text of what a selector finds.
    pub async fn find(&self, selector: &str) -> anyhow::Result<String> {
        Ok(self.client.wait().for_element(Locator::Css(selector)).await?.text().await?)
    }

    /// The cookies of where it is: names and values.
    pub async fn cookies(&self) -> anyhow::Result<Vec<(String, String)>> {
        let cookies = self.client.get_all_cookies().await?;
        Ok(cookies.iter().map(|cookie| (cookie.name().to_owned(), cookie.value().to_owned())).collect())
    }

    /// Ends it.
    pub async fn close(self) -> anyhow::Result<()> {
        Ok(self.client.close().await?)
    }
}
