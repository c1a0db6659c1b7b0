//! Liveness and readiness: `/healthz` says that the process answers, `/readyz` that it can do its work.
//!
//! *Invariant:* readiness turns to 503 before the listener closes, so that a load balancer stops sending first.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, web};
use serde::Serialize;

use super::shutdown::Shutdown;

/// A check that takes longer than this has failed.
const CHECK_TIMEOUT: Duration = Duration::from_secs(3);

type CheckFuture = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;
type Check = Arc<dyn Fn() -> CheckFuture + Send + Sync>;

/// The named checks of a server.
#[derive(Clone, Default)]
pub struct Health {
    checks: Vec<(&'static str, Check)>,
}

impl Health {
    /// Adds a check. It answers with a sentence for the operator when the server cannot work.
    #[must_use]
    pub fn with<F, Fut>(mut self, name: &'static str, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.checks.push((name, Arc::new(move || Box::pin(check()))));
        self
    }

    /// Routes for both questions.
    pub(super) fn configure(self, shutdown: Shutdown) -> impl Fn(&mut web::ServiceConfig) + Clone {
        move |config: &mut web::ServiceConfig| {
            let health = self.clone();
            let shutdown = shutdown.clone();
            config.route(
                "/healthz",
                web::get().to(|| async { answer(StatusCode::OK, "ok", &BTreeMap::new()) }),
            );
            config.route(
                "/readyz",
                web::get().to(move || {
                    let (health, shutdown) = (health.clone(), shutdown.clone());
                    async move { health.readiness(&shutdown).await }
                }),
            );
        }
    }

    async fn readiness(&self, shutdown: &Shutdown) -> HttpResponse {
        if shutdown.is_requested() {
            return answer(StatusCode::SERVICE_UNAVAILABLE, "stopping", &BTreeMap::new());
        }
        let outcomes = self.checks.iter().map(|(name, check)| async move {
            let outcome = tokio::time::timeout(CHECK_TIMEOUT, check()).await;
            (*name, outcome.unwrap_or_else(|_| Err("no answer in time".into())))
        });
        let outcomes = futures_util::future::join_all(outcomes).await;
        let ready = outcomes.iter().all(|(_, outcome)| outcome.is_ok());
        let checks = outcomes
            .into_iter()
            .map(|(name, outcome)| (name, outcome.err().unwrap_or_else(|| "ok".into())))
            .collect();
        if ready {
            answer(StatusCode::OK, "ready", &checks)
        } else {
            answer(StatusCode::SERVICE_UNAVAILABLE, "not ready", &checks)
        }
    }
}

fn answer(status: StatusCode, word: &str, checks: &BTreeMap<&str, String>) -> HttpResponse {
    #[derive(Serialize)]
    struct Answer<'a> {
        status: &'a str,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        checks: &'a BTreeMap<&'a str, String>,
    }
    HttpResponse::build(status)
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(Answer { status: word, checks })
}
