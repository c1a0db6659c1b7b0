//! Rights: `/api/v1/grants`.
//!
//! *Invariant:* a row is found by its number only by those who may see it; for the others there is no such row.

use actix_web::http::Method;
use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};
use shared::limits::TagPattern;
use shared::repository_pattern::RepositoryPattern;
use utoipa::ToSchema;

use super::call::Call;
use super::endpoint::Endpoint;
use super::parameters::{Kind, Parameter};
use super::reply::Reply;
use super::{cursor, roles};
use crate::db::grants::GrantSummary;
use crate::db::places::Place;
use crate::domain::administration::pages::PlaceFilter;
use crate::domain::error::TokenServerError;
use crate::domain::grant::{Conditions, Effect};
use crate::domain::grant_spec::{GrantSpec, NamedWhat};
use crate::domain::grant_subject::{GrantSubject, spelled};
use crate::domain::words::moment::{self, written};
use crate::http::error::ApiError;

const LIST: &str = "/api/v1/grants";
const ONE: &str = "/api/v1/grants/{grant}";

/// A right: who is given or denied what, where, and when it counts.
#[derive(Debug, Serialize, ToSchema)]
pub struct Grant {
    /// Its number.
    pub id: i64,
    /// `user:NAME`, `team:NAME`, `robot:OWNER/NAME`, `workload:NAME`, `everyone` or `authenticated`.
    pub subject: String,
    /// `allow` or `deny`.
    pub effect: String,
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
    /// When it begins to count.
    #[schema(required = true, format = DateTime)]
    pub not_before: Option<String>,
    /// When it ends.
    #[schema(required = true, format = DateTime)]
    pub expires_at: Option<String>,
    /// Networks from which alone it counts; from everywhere if there is none.
    pub networks: Vec<String>,
    /// Whether it counts only for people who logged in with a second factor.
    pub second_factor: bool,
    /// Where it comes from: `manual`, `policy`, `namespace` or `elevation`.
    pub source: String,
    /// Why, in somebody's words.
    #[schema(required = true)]
    pub reason: Option<String>,
    /// Who added it; `null` when it was on the command line.
    #[schema(required = true)]
    pub added_by: Option<String>,
    /// When it was added.
    #[schema(format = DateTime)]
    pub added_at: String,
}

impl From<&GrantSummary> for Grant {
    fn from(grant: &GrantSummary) -> Self {
        let row = &grant.row;
        Self {
            id: row.id,
            subject: spelled(&grant.subject_kind, &grant.subject_name),
            effect: row.effect.clone(),
            role: row.role.clone(),
            actions: row.rights.as_deref().map(roles::words),
            pattern: row.pattern.clone(),
            tags: row.tags.clone(),
            not_before: row.not_before.map(written),
            expires_at: row.expires_at.map(written),
            networks: row.networks.iter().flatten().map(ToString::to_string).collect(),
            second_factor: row.second_factor,
            source: grant.source.clone(),
            reason: grant.reason.clone(),
            added_by: grant.created_by.clone(),
            added_at: written(grant.created_at),
        }
    }
}

/// Whether a right gives or takes away.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum EffectWord {
    /// It gives.
    #[default]
    Allow,
    /// It takes away, whatever else gives.
    Deny,
}

/// A right to be given or denied: a role, or a list of actions.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"subject": "team:core", "role": "writer", "pattern": "core/**", "reason": "CHG-17"}))]
pub(super) struct NewGrant {
    /// `user:NAME`, `team:NAME`, `robot:OWNER/NAME`, `workload:NAME`, `everyone` or `authenticated`.
    subject: String,
    /// Without it, `allow`. What is denied is listed as actions.
    #[serde(default)]
    effect: EffectWord,
    /// Which role.
    role: Option<String>,
    /// Which actions.
    actions: Option<Vec<String>>,
    /// On which repositories: `a/b`, `a/b/**`, `**`, or a glob.
    pattern: String,
    /// On which tags only.
    tags: Option<String>,
    /// When it begins to count.
    #[schema(format = DateTime)]
    not_before: Option<String>,
    /// When it ends.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// Networks from which alone it counts.
    #[serde(default)]
    networks: Vec<String>,
    /// Whether it counts only for people who log in with a second factor.
    #[serde(default)]
    second_factor: bool,
    /// Why, for whoever reads it later.
    reason: Option<String>,
}

/// A right that is there, in the words with which it was given or denied.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GrantWords {
    /// `user:NAME`, `team:NAME`, `robot:OWNER/NAME`, `everyone` or `authenticated`.
    subject: String,
    /// Without it, `allow`.
    #[serde(default)]
    effect: EffectWord,
    /// Which role.
    role: Option<String>,
    /// Which actions.
    actions: Option<Vec<String>>,
    /// On which repositories.
    pattern: String,
    /// On which tags only.
    tags: Option<String>,
}

const FILTERS: [Parameter; 2] = [
    Parameter::optional(
        "subject",
        Kind::Text,
        "Only rights of `user:NAME`, `team:NAME`, `robot:OWNER/NAME`, `workload:NAME`, `everyone` or `authenticated`.",
    ),
    Parameter::optional("within", Kind::Text, "Only rights that lie in this place, such as `platform/**`."),
];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Method::GET, LIST, "listGrants", |call| list(call).boxed_local())
            .summary(
                "Lists rights by place: all, for who holds everything; those within a place, for who administers it; \
                 those of a subject, when they are one's own.",
            )
            .query(&FILTERS)
            .page::<Grant>(),
        Endpoint::new(Method::POST, LIST, "addGrant", |call| add(call).boxed_local())
            .summary("Gives a right, or denies one.")
            .body::<NewGrant>()
            .made::<Grant>(),
        Endpoint::new(Method::GET, ONE, "getGrant", |call| get(call).boxed_local())
            .summary("Shows a right.")
            .one::<Grant>(),
        Endpoint::new(Method::DELETE, ONE, "removeGrant", |call| remove(call).boxed_local())
            .summary("Takes a right away; tokens that carry it live on for some minutes.")
            .conditional(),
    ]
}

fn number(call: &Call) -> Result<i64, ApiError> {
    let text = call.path("grant");
    text.parse().map_err(|_| TokenServerError::NotFound { kind: "grant", name: text }.into())
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let behind: Option<(String, i64)> = cursor::read("grants", &call.query)?;
    let behind = behind.map_or_else(Place::default, |(anchor, id)| Place { anchor, id });
    let filter = PlaceFilter {
        subject: call.query.read("subject", GrantSubject::parse)?,
        within: call.query.read("within", RepositoryPattern::parse)?,
    };
    let page = call.administration()?.page_of_grants(&filter, &behind, call.query.limit()?).await?;
    let next = page.next.map(|place| cursor::write("grants", &(place.anchor, place.id)));
    Ok(Reply::page(page.items.iter().map(Grant::from).collect(), next))
}

async fn add(call: Call) -> Result<Reply, ApiError> {
    let new: NewGrant = call.body()?;
    let (spec, conditions) = new.understand()?;
    let administration = call.administration()?;
    let id = administration.add_grant(&spec, &conditions, new.reason.as_deref()).await?;
    let grant = administration.show_grant(id).await?;
    Ok(Reply::made(format!("{LIST}/{id}"), &Grant::from(&grant)))
}

/// What is named by a role or listed as actions.
pub(super) fn named(role: Option<&str>, actions: Option<&[String]>) -> Result<NamedWhat, TokenServerError> {
    let contradiction = |sentence: &str| Err(TokenServerError::Contradiction(sentence.to_owned()));
    match (role, actions) {
        (Some(role), None) => Ok(NamedWhat::Role(role.to_owned())),
        (None, Some(words)) => Ok(NamedWhat::Rights(roles::rights(words)?)),
        (None, None) => contradiction("name a role or list actions"),
        (Some(_), Some(_)) => contradiction("name a role or list actions, not both"),
    }
}

impl NewGrant {
    /// What is given or denied, and when and from where it counts.
    pub(super) fn understand(&self) -> Result<(GrantSpec, Conditions), TokenServerError> {
        let Self { subject, effect, role, actions, pattern, tags, .. } = self;
        let (role, actions, tags) = (role.as_deref(), actions.as_deref(), tags.as_deref());
        let spec = spec(subject, *effect, named(role, actions)?, pattern, tags)?;
        let time = |text: &Option<String>| text.as_deref().map(moment::parse).transpose();
        let networks = self.networks.iter().map(|text| Conditions::parse_network(text));
        let conditions = Conditions {
            not_before: time(&self.not_before)?,
            expires_at: time(&self.expires_at)?,
            networks: networks.collect::<Result<_, _>>()?,
            second_factor: self.second_factor,
        };
        Ok((spec, conditions))
    }
}

impl GrantWords {
    /// What is meant.
    pub(super) fn understand(&self) -> Result<GrantSpec, TokenServerError> {
        let Self { subject, effect, role, actions, pattern, tags } = self;
        let what = named(role.as_deref(), actions.as_deref())?;
        spec(subject, *effect, what, pattern, tags.as_deref())
    }
}

fn spec(
    subject: &str,
    effect: EffectWord,
    what: NamedWhat,
    pattern: &str,
    tags: Option<&str>,
) -> Result<GrantSpec, TokenServerError> {
    let effect = match effect {
        EffectWord::Allow => Effect::Allow,
        EffectWord::Deny => Effect::Deny,
    };
    if effect == Effect::Deny && matches!(what, NamedWhat::Role(_)) {
        let sentence = "what is denied is listed as actions, not named as a role";
        return Err(TokenServerError::Contradiction(sentence.to_owned()));
    }
    let tags = tags.map(TagPattern::parse).transpose();
    let tags = tags.map_err(|error| TokenServerError::Contradiction(error.to_string()))?;
    let (subject, pattern) = (GrantSubject::parse(subject)?, RepositoryPattern::parse(pattern)?);
    Ok(GrantSpec { subject, effect, what, pattern, tags })
}

async fn get(call: Call) -> Result<Reply, ApiError> {
    Ok(Reply::one(&Grant::from(&call.administration()?.show_grant(number(&call)?).await?)))
}

async fn remove(call: Call) -> Result<Reply, ApiError> {
    call.administration()?.remove_grant_numbered(number(&call)?).await?;
    Ok(Reply::Done)
}
