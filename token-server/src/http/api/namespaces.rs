//! Namespaces: `/api/v1/namespaces`.
//!
//! *Invariant:* a namespace that somebody may not see answers like one that does not exist.

use actix_web::http::Method;
use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::call::Call;
use super::cursor;
use super::endpoint::Endpoint;
use super::reply::Reply;
use crate::db::namespaces::NamespaceRow;
use crate::domain::administration::namespaces::NamespaceChange;
use crate::domain::error::TokenServerError;
use crate::domain::grant_subject::{GrantSubject, spelled};
use crate::domain::namespace;
use crate::domain::namespace::NamespaceSpec;
use crate::domain::principal_name::PrincipalName;
use crate::domain::words::moment::written;
use crate::http::error::ApiError;

const LIST: &str = "/api/v1/namespaces";
const ONE: &str = "/api/v1/namespaces/{namespace}";

/// A namespace: the first component of repository names in somebody's hands.
#[derive(Debug, Serialize, ToSchema)]
pub struct Namespace {
    /// The first component of its repositories' names.
    pub name: String,
    /// Whose it is: `user:NAME` or `team:NAME`.
    pub owner: String,
    /// Who sees and pulls all of it: `private`, `internal` or `public`.
    pub visibility: String,
    /// Who makes repositories in it by pushing: `pushers`, `admins` or `nobody`.
    pub create: String,
    /// When it was made.
    #[schema(format = DateTime)]
    pub added_at: String,
}

impl From<&NamespaceRow> for Namespace {
    fn from(row: &NamespaceRow) -> Self {
        Self {
            name: row.name.clone(),
            owner: spelled(&row.owner_kind, &row.owner_name),
            visibility: row.visibility.clone(),
            create: row.create_policy.clone(),
            added_at: written(row.created_at),
        }
    }
}

/// Who sees and pulls all of a namespace.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Visibility {
    /// Those who were given a right.
    #[default]
    Private,
    /// And everybody who logged in.
    Internal,
    /// Everybody, also without a login.
    Public,
}

impl From<Visibility> for namespace::Visibility {
    fn from(word: Visibility) -> Self {
        match word {
            Visibility::Private => Self::Private,
            Visibility::Internal => Self::Internal,
            Visibility::Public => Self::Public,
        }
    }
}

/// Who makes repositories in a namespace by pushing to them.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum CreatePolicy {
    /// Whoever may push there.
    #[default]
    Pushers,
    /// Whoever administers rights there.
    Admins,
    /// Nobody.
    Nobody,
}

impl From<CreatePolicy> for namespace::CreatePolicy {
    fn from(word: CreatePolicy) -> Self {
        match word {
            CreatePolicy::Pushers => Self::Pushers,
            CreatePolicy::Admins => Self::Admins,
            CreatePolicy::Nobody => Self::Nobody,
        }
    }
}

/// A namespace to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "core", "owner": "team:core", "visibility": "internal"}))]
struct NewNamespace {
    /// The first component of its repositories' names.
    #[schema(min_length = 1, max_length = 63)]
    name: String,
    /// Whose it is, who then may do everything there: `user:NAME` or `team:NAME`.
    owner: String,
    /// Without it, `private`.
    #[serde(default)]
    visibility: Visibility,
    /// Without it, `pushers`.
    #[serde(default)]
    create: CreatePolicy,
}

/// What a namespace is to become; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"create": "admins"}))]
struct NamespaceBody {
    /// Whose it is from now on.
    owner: Option<String>,
    /// Who sees and pulls all of it.
    visibility: Option<Visibility>,
    /// Who makes repositories in it.
    create: Option<CreatePolicy>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Method::GET, LIST, "listNamespaces", |call| list(call).boxed_local())
            .summary("Lists namespaces by name: those one owns, administers, or may pull all of.")
            .page::<Namespace>(),
        Endpoint::new(Method::POST, LIST, "addNamespace", |call| add(call).boxed_local())
            .summary("Gives a name and everything below it to a user or a team, who may do everything there.")
            .body::<NewNamespace>()
            .made::<Namespace>(),
        Endpoint::new(Method::GET, ONE, "getNamespace", |call| get(call).boxed_local())
            .summary("Shows a namespace.")
            .one::<Namespace>(),
        Endpoint::new(Method::PATCH, ONE, "changeNamespace", |call| change(call).boxed_local())
            .summary("Changes whose a namespace is, who sees it, or who makes repositories in it.")
            .body::<NamespaceBody>()
            .one::<Namespace>()
            .conditional(),
        Endpoint::new(Method::DELETE, ONE, "removeNamespace", |call| remove(call).boxed_local())
            .summary("Removes a namespace with its robots and its owner's rights; repositories and other rights stay.")
            .conditional(),
    ]
}

/// The name in the path; one that no namespace can have is not there.
fn name(call: &Call) -> Result<PrincipalName, ApiError> {
    let text = call.path("namespace");
    let parsed = PrincipalName::parse(&text).ok().filter(|name| namespace::all_of(name).is_ok());
    parsed.ok_or_else(|| TokenServerError::NotFound { kind: "namespace", name: text }.into())
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let behind: Option<String> = cursor::read_sealed(&call, "namespaces")?;
    let behind = behind.unwrap_or_default();
    let page = call.administration()?.page_of_namespaces(&behind, call.query.limit()?).await?;
    let next = page.next.map(|name| cursor::write_sealed(&call, "namespaces", &name)).transpose()?;
    Ok(Reply::page(page.items.iter().map(Namespace::from).collect(), next))
}

fn owner(text: &str) -> Result<GrantSubject, TokenServerError> {
    namespace::parse_owner(text).map_err(|error| TokenServerError::Contradiction(error.to_string()))
}

async fn add(call: Call) -> Result<Reply, ApiError> {
    let new: NewNamespace = call.body()?;
    let name = PrincipalName::parse_new(&new.name).map_err(TokenServerError::from)?;
    let spec = NamespaceSpec {
        owner: owner(&new.owner)?,
        visibility: new.visibility.into(),
        create: new.create.into(),
    };
    let administration = call.administration()?;
    administration.add_namespace(&name, &spec).await?;
    let namespace = administration.show_namespace(&name).await?;
    Ok(Reply::made(format!("{LIST}/{name}"), &Namespace::from(&namespace)))
}

async fn get(call: Call) -> Result<Reply, ApiError> {
    let namespace = call.administration()?.show_namespace(&name(&call)?).await?;
    Ok(Reply::one(&Namespace::from(&namespace)))
}

async fn change(call: Call) -> Result<Reply, ApiError> {
    let (name, wanted): (_, NamespaceBody) = (name(&call)?, call.body()?);
    let owner = wanted.owner.as_deref().map(self::owner).transpose()?;
    let change = NamespaceChange {
        owner,
        visibility: wanted.visibility.map(Into::into),
        create: wanted.create.map(Into::into),
    };
    let (changed, _) = call.administration()?.change_namespace(&name, &change).await?;
    Ok(Reply::one(&Namespace::from(&changed)))
}

async fn remove(call: Call) -> Result<Reply, ApiError> {
    call.administration()?.remove_namespace(&name(&call)?).await?;
    Ok(Reply::Done)
}
