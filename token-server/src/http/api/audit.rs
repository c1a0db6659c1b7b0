//! The audit record: `/api/v1/audit`.
//!
//! *Invariant:* however long the record is, no more than a page of it is in memory, and only a few requests at a time
//! read all of it.

use actix_web::http::Method;
use actix_web::web::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;

use super::call::Call;
use super::cursor;
use super::endpoint::Endpoint;
use super::parameters::{Kind, Parameter, Query};
use super::reply::Reply;
use crate::db::audit::{EventFilter, EventRow, Period};
use crate::domain::record::audit::Event;
use crate::domain::record::audit_chain::{self, EventHash, InvalidHash, KnownHashes};
use crate::domain::record::audit_pages::EventPages;
use crate::domain::words::moment::written;
use crate::http::error::ApiError;

/// One row of the audit record.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditEvent {
    /// Its place in the chain.
    pub id: i64,
    /// When it happened.
    #[schema(format = DateTime)]
    pub at: String,
    /// What happened.
    pub event: String,
    /// Who did it: a user, `cli`, `system`, or nobody.
    pub actor: String,
    /// The stable id of the actor.
    #[schema(required = true, format = "uuid")]
    pub actor_uid: Option<String>,
    /// On whom or what.
    pub target: String,
    /// `allowed` or `refused`.
    pub outcome: String,
    /// Why.
    #[schema(required = true)]
    pub reason: Option<String>,
    /// From which address.
    #[schema(required = true)]
    pub address: Option<String>,
    /// With which program.
    #[schema(required = true)]
    pub agent: Option<String>,
    /// What was in effect before.
    #[schema(required = true)]
    pub before: Option<String>,
    /// What is in effect since.
    #[schema(required = true)]
    pub after: Option<String>,
    /// Hash of the row before and of all this.
    pub hash: String,
}

impl From<&EventRow> for AuditEvent {
    fn from(row: &EventRow) -> Self {
        Self {
            id: row.id,
            at: written(row.at),
            event: row.event.clone(),
            actor: row.actor.clone(),
            actor_uid: row.actor_uid.map(|uid| uid.to_string()),
            target: row.target.clone(),
            outcome: row.outcome.clone(),
            reason: row.reason.clone(),
            address: row.address.clone(),
            agent: row.agent.clone(),
            before: row.before.clone(),
            after: row.after.clone(),
            hash: EventHash::from_row(row).to_string(),
        }
    }
}

/// Whether the audit record is as it was written.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditVerdict {
    /// Whether it is.
    pub whole: bool,
    /// How many rows were followed.
    #[schema(required = true)]
    pub rows: Option<u64>,
    /// The place of the last one.
    #[schema(required = true)]
    pub last_id: Option<i64>,
    /// The hash of the last one.
    #[schema(required = true)]
    pub last_hash: Option<String>,
    /// The first row that does not fit.
    #[schema(required = true)]
    pub misfit_id: Option<i64>,
    /// A hash that was to be there and is not.
    #[schema(required = true)]
    pub missing_hash: Option<String>,
    /// The verdict in words.
    pub sentence: String,
}

impl From<&audit_chain::Verdict> for AuditVerdict {
    fn from(verdict: &audit_chain::Verdict) -> Self {
        let (whole, misfit, missing) = match verdict {
            audit_chain::Verdict::Whole(chain) => (Some(chain), None, None),
            audit_chain::Verdict::Broken(misfit) => (None, Some(misfit), None),
            audit_chain::Verdict::Missing(hash) => (None, None, Some(hash)),
        };
        Self {
            whole: whole.is_some(),
            rows: whole.map(|chain| chain.rows),
            last_id: whole.map(|chain| chain.last_id),
            last_hash: whole.map(|chain| chain.last.to_string()),
            misfit_id: misfit.map(|misfit| misfit.id),
            missing_hash: missing.map(ToString::to_string),
            sentence: verdict.to_string(),
        }
    }
}

pub(super) const PERIOD: [Parameter; 2] = [
    Parameter::optional("since", Kind::Time, "From this moment on."),
    Parameter::optional("until", Kind::Time, "Before this moment."),
];

const FILTERS: [Parameter; 4] = [
    Parameter::optional("event", Kind::Word(&Event::WORDS), "Only one kind of event."),
    Parameter::optional("actor", Kind::Text, "Only what this user did, or `cli`, or `system`."),
    Parameter::optional("target", Kind::Text, "Only rows whose target has this in it."),
    Parameter::optional("outcome", Kind::Word(&["allowed", "refused"]), "Only what ended so."),
];

const HASHES: [Parameter; 2] = [
    Parameter::optional("from_hash", Kind::Text, "Check only what comes after the row with this hash."),
    Parameter::optional("head", Kind::Text, "A hash that was given earlier and must still be there."),
];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Method::GET, "/api/v1/audit/events", "listAuditEvents", |call| {
            list(call).boxed_local()
        })
        .summary("Lists rows of the audit record, the newest first: all, for who holds `audit-read` on `**`; otherwise those about oneself.")
        .query(&PERIOD)
        .query(&FILTERS)
        .page::<AuditEvent>(),
        Endpoint::new(Method::GET, "/api/v1/audit/export", "exportAuditEvents", |call| {
            export(call).boxed_local()
        })
        .summary("Sends the audit record, the newest row last, with one object a line.")
        .query(&PERIOD)
        .lines::<AuditEvent>(),
        Endpoint::new(Method::GET, "/api/v1/audit/verification", "verifyAuditEvents", |call| {
            verify(call).boxed_local()
        })
        .summary("Checks that no row of the audit record was changed, removed or moved.")
        .query(&HASHES)
        .one::<AuditVerdict>(),
    ]
}

pub(super) fn period(query: &Query) -> Result<Period, ApiError> {
    Ok(Period { since: query.time("since")?, until: query.time("until")? })
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let before: Option<i64> = cursor::read("events", &call.query)?;
    let text = |name| call.query.get(name).map(str::to_owned);
    let filter = EventFilter {
        period: period(&call.query)?,
        event: text("event"),
        // Names are folded.
        actor: call.query.get("actor").map(str::to_lowercase),
        target: text("target"),
        outcome: text("outcome"),
        about: None,
    };
    let page = call.administration()?.page_of_events(filter, before, call.query.limit()?).await?;
    let next = page.next.map(|id| cursor::write("events", &id));
    Ok(Reply::page(page.items.iter().map(AuditEvent::from).collect(), next))
}

/// A turn among those that read the whole record.
pub(super) fn turn(call: &Call) -> Result<OwnedSemaphorePermit, ApiError> {
    call.services.whole_reads.clone().try_acquire_owned().map_err(|_| ApiError::ManyReadersOfAll)
}

async fn export(call: Call) -> Result<Reply, ApiError> {
    let period = period(&call.query)?;
    let turn = turn(&call)?;
    let pages = call.administration()?.open_events(period).await?;
    let lines = stream::try_unfold((pages, turn), |(mut pages, turn)| async move {
        let lines = next_lines(&mut pages).await?;
        Ok(lines.map(|lines| (lines, (pages, turn))))
    });
    Ok(Reply::Lines(lines.boxed_local()))
}

async fn next_lines(pages: &mut EventPages) -> Result<Option<Bytes>, ApiError> {
    let page = pages.next().await.map_err(crate::domain::error::TokenServerError::from)?;
    if page.is_empty() {
        return Ok(None);
    }
    let mut lines = Vec::new();
    for row in &page {
        serde_json::to_writer(&mut lines, &AuditEvent::from(row)).expect("representations are plain data");
        lines.push(b'\n');
    }
    Ok(Some(lines.into()))
}

async fn verify(call: Call) -> Result<Reply, ApiError> {
    let hash = |name: &'static str| {
        let parsed = call.query.get(name).map(EventHash::parse).transpose();
        parsed.map_err(|InvalidHash| ApiError::BadParameter { name, sentence: InvalidHash.to_string() })
    };
    let known = KnownHashes { from: hash("from_hash")?, head: hash("head")? };
    let _turn = turn(&call)?;
    let verdict = call.administration()?.verify_events(&known).await?;
    Ok(Reply::answer(&AuditVerdict::from(&verdict)))
}
