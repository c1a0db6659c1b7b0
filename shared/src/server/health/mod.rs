//! Liveness and readiness: `/healthz` says that the process answers, `/readyz` that it can do its work.
//!
//! Checks of two kinds: those that readiness runs when it is asked, and those of [`watch`] that an operator set up.
//! While one of the latter fails, everything but these two addresses is refused.
//!
//! *Invariant:* readiness turns to 503 before the listener closes, so that a load balancer stops sending first.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, RETRY_AFTER};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse, web};
use serde::Serialize;

use self::watch::Watches;
use super::fallback::{RETRY_AFTER_SECONDS, error_response};
use super::shutdown::Shutdown;
use crate::error_body::{ErrorBody, ErrorCode};

pub mod watch;

/// Addresses that answer whatever the background checks say.
const LIVENESS: &str = "/healthz";
const READINESS: &str = "/readyz";

/// A check that takes longer than this has failed.
const CHECK_TIMEOUT: Duration = Duration::from_secs(3);

type CheckFuture = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;
type Check = Arc<dyn Fn() -> CheckFuture + Send + Sync>;

/// The named checks of a server.
#[derive(Clone, Default)]
pub struct Health {
    checks: Vec<(&'static str, Check)>,
    watches: Arc<Watches>,
}

impl Health {
    /// Adds a check. It answers with a sentence for the operator when the server cannot work.
    #[must_use]
    pub fn with<F, Fut>(self, name: &'static str, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        let check = Arc::new(check);
        self.telling(name, move || {
            let check = check.clone();
            async move { check().await.map(|()| "ok".to_owned()) }
        })
    }

    /// Adds a check that says how things are also when the server can work.
    #[must_use]
    pub fn telling<F, Fut>(mut self, name: &'static str, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, String>> + Send + 'static,
    {
        self.checks.push((name, Arc::new(move || Box::pin(check()))));
        self
    }

    /// Refuses requests while one of these checks fails; somebody has to run them.
    #[must_use]
    pub fn watching(self, watches: Arc<Watches>) -> Self {
        Self { watches, ..self }
    }

    /// Runs a request, or refuses it because a background check fails.
    pub(super) async fn pass(
        self,
        request: ServiceRequest,
        next: Next<impl MessageBody + 'static>,
    ) -> Result<ServiceResponse<BoxBody>, Error> {
        if !self.watches.is_failing() || [LIVENESS, READINESS].contains(&request.path()) {
            return Ok(next.call(request).await?.map_into_boxed_body());
        }
        let body = ErrorBody::with_message(ErrorCode::Unavailable, "service unavailable")
            .detail("health check failed: please see /debug/health");
        let response = error_response(StatusCode::SERVICE_UNAVAILABLE, &body);
        Ok(request.into_response(response))
    }

    /// Routes for both questions.
    pub(super) fn configure(self, shutdown: Shutdown) -> impl Fn(&mut web::ServiceConfig) + Clone {
        move |config: &mut web::ServiceConfig| {
            let health = self.clone();
            let shutdown = shutdown.clone();
            config
                .route(LIVENESS, web::get().to(|| async { answer(StatusCode::OK, "ok", &BTreeMap::new()) }));
            config.route(
                READINESS,
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
        let failures = self.watches.failures();
        let ready = failures.is_empty() && outcomes.iter().all(|(_, outcome)| outcome.is_ok());
        let mut checks: BTreeMap<&str, String> = outcomes
            .into_iter()
            .map(|(name, outcome)| (name, outcome.unwrap_or_else(|error| error)))
            .collect();
        checks.extend(failures.iter().map(|(name, error)| (name.as_str(), error.clone())));
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
    let mut response = HttpResponse::build(status);
    response.insert_header((CACHE_CONTROL, "no-store"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.insert_header((RETRY_AFTER, RETRY_AFTER_SECONDS));
    }
    response.json(Answer { status: word, checks })
}
