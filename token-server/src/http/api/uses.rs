//! What tokens were issued for, and rights that did not take: `/api/v1/audit/tokens` and `/api/v1/unused-grants`.
//!
//! *Invariant:* looking changes nothing and leaves no record; only a few requests at a time look at all rights.

use actix_web::http::Method;
use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::call::Call;
use super::endpoint::Endpoint;
use super::parameters::{Kind, Parameter};
use super::reply::Reply;
use super::{audit, cursor, questions, roles};
use crate::db::token_uses::{TokenUseFilter, TokenUsePlace, TokenUseRow};
use crate::domain::grant_subject::spelled;
use crate::domain::record::least_privilege::{Finding, Smaller};
use crate::domain::words::moment::written;
use crate::http::error::ApiError;

/// What clients without a login are called.
pub const ANONYMOUS: &str = "anonymous";

/// What somebody was given on a repository within an hour.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenUse {
    /// When the hour began.
    #[schema(format = DateTime)]
    pub hour: String,
    /// Who; `null` for clients without a login.
    #[schema(required = true)]
    pub user: Option<String>,
    /// Their stable id.
    #[schema(required = true, format = "uuid")]
    pub user_uid: Option<String>,
    /// The repository; `null` for all that are not kept apart.
    #[schema(required = true)]
    pub repository: Option<String>,
    /// What was given.
    pub actions: Vec<String>,
    /// With how many tokens.
    pub tokens: i64,
    /// When the last one was issued.
    #[schema(format = DateTime)]
    pub last_at: String,
    /// To which address.
    #[schema(required = true)]
    pub last_address: Option<String>,
}

impl From<&TokenUseRow> for TokenUse {
    fn from(row: &TokenUseRow) -> Self {
        let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Self {
            hour: written(row.hour),
            user: said(&row.subject),
            user_uid: row.subject_uid.map(|uid| uid.to_string()),
            repository: said(&row.repository),
            actions: said(&row.actions).as_deref().map(roles::words).unwrap_or_default(),
            tokens: row.uses,
            last_at: written(row.last_at),
            last_address: row.last_address.clone(),
        }
    }
}

/// A right that nobody used, or not all of.
#[derive(Debug, Serialize, ToSchema)]
pub struct UnusedGrant {
    /// The number of the right.
    pub id: i64,
    /// `user:NAME`, `team:NAME`, `robot:OWNER/NAME`, `workload:NAME`, `everyone` or `authenticated`.
    pub subject: String,
    /// Which role; `null` when actions are listed.
    #[schema(required = true)]
    pub role: Option<String>,
    /// Which actions; `null` when a role is named.
    #[schema(required = true)]
    pub actions: Option<Vec<String>>,
    /// On which repositories.
    pub pattern: String,
    /// On which tags only.
    #[schema(required = true)]
    pub tags: Option<String>,
    /// When it was added.
    #[schema(format = DateTime)]
    pub added_at: String,
    /// The last day on which it gave something; `null` if it never did.
    #[schema(required = true, format = Date)]
    pub last_used: Option<String>,
    /// How often it did in the time that was asked about.
    pub uses: i64,
    /// What would be enough; nothing if it was not used.
    pub enough: Vec<EnoughRight>,
}

/// A part of a right.
#[derive(Debug, Serialize, ToSchema)]
pub struct EnoughRight {
    /// Where.
    pub repository: String,
    /// What; `null` for what the right gives, where it is for tags only.
    #[schema(required = true)]
    pub actions: Option<Vec<String>>,
}

impl From<&Smaller> for EnoughRight {
    fn from(part: &Smaller) -> Self {
        Self { repository: part.repository.to_string(), actions: part.rights.map(questions::words) }
    }
}

impl From<&Finding> for UnusedGrant {
    fn from(finding: &Finding) -> Self {
        let (grant, row) = (&finding.grant, &finding.grant.row);
        Self {
            id: row.id,
            subject: spelled(&grant.subject_kind, &grant.subject_name),
            role: row.role.clone(),
            actions: row.rights.as_deref().map(roles::words),
            pattern: row.pattern.clone(),
            tags: row.tags.clone(),
            added_at: written(grant.created_at),
            last_used: finding.last_used.map(|day| day.to_string()),
            uses: finding.uses,
            enough: finding.enough.iter().map(EnoughRight::from).collect(),
        }
    }
}

const FILTERS: [Parameter; 2] = [
    Parameter::optional("user", Kind::Text, "Only what this user or robot was given, or `anonymous`."),
    Parameter::optional("repository", Kind::Text, "Only repositories with this in their name."),
];

const DAYS: Parameter = Parameter::optional(
    "days",
    Kind::Number { least: 1, most: 3_650, usual: 90 },
    "For so long; only rights that are older are looked at.",
);

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Method::GET, "/api/v1/audit/tokens", "listTokenUses", |call| {
            token_uses(call).boxed_local()
        })
        .summary("Lists what tokens were issued for, hour by hour, the newest first.")
        .query(&audit::PERIOD)
        .query(&FILTERS)
        .page::<TokenUse>(),
        Endpoint::new(Method::GET, "/api/v1/unused-grants", "listUnusedGrants", |call| {
            unused_grants(call).boxed_local()
        })
        .summary("Lists rights that nobody used for a long time, or not all of, by number.")
        .query(&[DAYS])
        .page::<UnusedGrant>(),
    ]
}

/// Where a page of uses ended.
#[derive(Debug, Serialize, Deserialize)]
struct Before {
    hour: i64,
    subject: String,
    repository: String,
    actions: String,
}

impl Before {
    fn write(place: TokenUsePlace) -> String {
        let TokenUsePlace { hour, subject, repository, actions } = place;
        cursor::write("uses", &Self { hour: hour.unix_timestamp(), subject, repository, actions })
    }

    fn place(self) -> Option<TokenUsePlace> {
        let Self { hour, subject, repository, actions } = self;
        let hour = OffsetDateTime::from_unix_timestamp(hour).ok()?;
        Some(TokenUsePlace { hour, subject, repository, actions })
    }
}

async fn token_uses(call: Call) -> Result<Reply, ApiError> {
    let before: Option<Before> = cursor::read("uses", &call.query)?;
    // Names are folded; nobody can be called as clients without a login are here.
    let subject = call.query.get("user").map(str::to_lowercase);
    let filter = TokenUseFilter {
        period: audit::period(&call.query)?,
        subject: subject.map(|name| if name == ANONYMOUS { String::new() } else { name }),
        repository: call.query.get("repository").map(str::to_owned),
    };
    let (before, limit) = (before.and_then(Before::place), call.query.limit()?);
    let page = call.administration()?.page_of_token_uses(&filter, before.as_ref(), limit).await?;
    Ok(Reply::page(page.items.iter().map(TokenUse::from).collect(), page.next.map(Before::write)))
}

async fn unused_grants(call: Call) -> Result<Reply, ApiError> {
    let behind: Option<i64> = cursor::read("unused-grants", &call.query)?;
    let (limit, days) = (call.query.limit()?, call.query.number(&DAYS));
    let _turn = audit::turn(&call)?;
    let mut found = call.administration()?.unused_rights(days).await?.findings;
    found.retain(|finding| behind.is_none_or(|behind| finding.grant.row.id > behind));
    found.sort_by_key(|finding| finding.grant.row.id);
    let items: Vec<_> = found.iter().take(limit).map(UnusedGrant::from).collect();
    let last = items.last().filter(|_| found.len() > limit);
    let next = last.map(|last| cursor::write("unused-grants", &last.id));
    Ok(Reply::page(items, next))
}
