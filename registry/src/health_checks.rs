//! The checks that an operator sets up in `health`, and what they are called.
//!
//! *Invariant:* a check ends in time and asks nobody but whom the settings name: no redirect is followed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use shared::server::causes;
use shared::server::health::watch::{Watch, Watches};
use tokio::net::TcpStream;
use url::Url;

use crate::settings::{CheckSettings, Subject};
use crate::storage::{Storage, layout};
use shared::server::outgoing;

/// Makes the checks; `driver` names the storage.
pub(crate) fn watches(
    checks: Vec<CheckSettings>,
    storage: &Arc<dyn Storage>,
    driver: &str,
) -> Result<Watches, reqwest::Error> {
    let made = checks.into_iter().map(|CheckSettings { subject, interval, threshold }| {
        Ok(match subject {
            Subject::Storage => {
                let storage = Arc::clone(storage);
                Watch::new(format!("storagedriver_{driver}"), interval, threshold, move || {
                    answers(Arc::clone(&storage))
                })
            }
            Subject::NoFile(path) => {
                let name = path.display().to_string();
                Watch::new(name, interval, threshold, move || absent(path.clone()))
            }
            Subject::Http { url, status, headers, timeout } => {
                let client = outgoing::client(timeout)?;
                // The name is shown and logged, and a query may hold a secret.
                let mut name = url.clone();
                name.set_query(None);
                Watch::new(name.to_string(), interval, threshold, move || {
                    head(client.clone(), url.clone(), headers.clone(), status)
                })
            }
            Subject::Tcp { address, timeout } => {
                let name = address.clone();
                Watch::new(name, interval, threshold, move || connect(address.clone(), timeout))
            }
        })
    });
    Ok(Watches::new(made.collect::<Result<_, reqwest::Error>>()?))
}

/// That there is nothing yet is fine; that the answer is an error is not.
async fn answers(storage: Arc<dyn Storage>) -> Result<(), String> {
    storage.list(&layout::root()).await.map(|_| ()).map_err(|error| causes::sentence(&error))
}

async fn absent(path: PathBuf) -> Result<(), String> {
    match tokio::fs::symlink_metadata(&path).await {
        Ok(_) => Err("file exists".into()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

async fn head(
    client: reqwest::Client,
    url: Url,
    headers: HeaderMap,
    wanted: StatusCode,
) -> Result<(), String> {
    let answer = client.head(url).headers(headers).send().await;
    let status = answer.map_err(|error| causes::sentence(&error.without_url()))?.status();
    if status == wanted {
        Ok(())
    } else if status.is_redirection() {
        Err(format!("it answered {}, and redirects are not followed", status.as_u16()))
    } else {
        Err(format!("it answered {} instead of {}", status.as_u16(), wanted.as_u16()))
    }
}

async fn connect(address: String, timeout: Duration) -> Result<(), String> {
    match tokio::time::timeout(timeout, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no connection in time".into()),
    }
}
