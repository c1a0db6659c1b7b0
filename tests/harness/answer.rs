//! What a server answered, read completely.
//!
//! *Invariant:* asking for something the answer does not have is an error that shows the whole answer.

use bytes::Bytes;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// A complete answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The method and path it answers, for messages.
    pub asked: String,
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// Reads the answer to its end.
    pub async fn read(asked: String, response: reqwest::Response) -> anyhow::Result<Self> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Self { asked, status, headers, body: response.bytes().await? })
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The value of a header, or nothing.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The value of a header that must be there.
    pub fn needs_header(&self, name: &str) -> anyhow::Result<&str> {
        self.header(name).ok_or_else(|| anyhow::anyhow!("no header {name} in {self}"))
    }

    /// The body as JSON.
    pub fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_slice(&self.body).map_err(|error| anyhow::anyhow!("{error} in {self}"))
    }

    /// The codes of an error body; an error if the body is not of the shape of the OCI specification.
    pub fn error_codes(&self) -> anyhow::Result<Vec<String>> {
        let body = self.json()?;
        let errors = body["errors"].as_array().filter(|errors| !errors.is_empty());
        let errors = errors.ok_or_else(|| anyhow::anyhow!("no list of errors in {self}"))?;
        errors
            .iter()
            .map(|error| {
                anyhow::ensure!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{self}");
                anyhow::ensure!(error["detail"].is_null() || error["detail"].is_string(), "{self}");
                error["code"].as_str().map(str::to_owned).ok_or_else(|| anyhow::anyhow!("no code in {self}"))
            })
            .collect()
    }

    /// The message of the first error.
    pub fn error_message(&self) -> anyhow::Result<String> {
        self.error_codes()?;
        Ok(self.json()?["errors"][0]["message"].as_str().unwrap_or_default().to_owned())
    }

    /// Insists on a status.
    pub fn expect(self, status: u16) -> anyhow::Result<Self> {
        anyhow::ensure!(self.status == status, "expected {status}: {self}");
        Ok(self)
    }

    /// Insists on a status and, in a body of the right shape, on the code of the first error.
    pub fn expect_error(self, status: u16, code: &str) -> anyhow::Result<Self> {
        let answer = self.expect(status)?;
        let codes = answer.error_codes()?;
        anyhow::ensure!(codes[0] == code, "expected {code}: {answer}");
        Ok(answer)
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} -> {}", self.asked, self.status)?;
        for (name, value) in &self.headers {
            writeln!(f, "  {name}: {}", String::from_utf8_lossy(value.as_bytes()))?;
        }
        let text = self.text();
        let shown: String = text.chars().take(600).collect();
        write!(f, "  {shown}")
    }
}
