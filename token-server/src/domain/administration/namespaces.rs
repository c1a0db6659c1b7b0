//! Namespaces: make, list, change, remove.
//!
//! *Invariant:* a namespace has one owner, and nobody else has its name; the grants that say what its owner holds and
//! who sees it change with it, in the same transaction.

use super::super::delegation::Touched;
use super::super::error::TokenServerError;
use super::super::grant::{Conditions, Effect, Grant, What};
use super::super::grant_subject::GrantSubject;
use super::super::namespace::{self, CreatePolicy, NamespaceSpec, OWNER_ROLE, VISITOR_ROLE, Visibility};
use super::super::principal_name::PrincipalName;
use super::super::record::audit::{Change, Event};
use super::super::words::counted::counted;
use super::expectation::Present;
use super::pages::{Page, page_of_shown};
use super::{Administration, hold_team, hold_user};
use crate::db::namespaces::{self, NamespaceRow, NewNamespace};
use crate::db::principals::{AUTHENTICATED, EVERYONE, TEAM, USER, WORKLOAD};
use crate::db::{self, Transaction, grants, principals, robots};

const NAMESPACE: &str = "namespace";

/// What is to change of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamespaceChange {
    /// Whose it is from now on.
    pub owner: Option<GrantSubject>,
    /// Who sees it.
    pub visibility: Option<Visibility>,
    /// Who makes repositories in it.
    pub create: Option<CreatePolicy>,
}

/// What went with a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemovedNamespace {
    /// Robots.
    pub robots: usize,
    /// Rights: its own, and those of its robots.
    pub grants: u64,
}

impl Administration {
    /// Makes a namespace; its owner holds everything in it.
    pub async fn add_namespace(
        &self,
        name: &PrincipalName,
        spec: &NamespaceSpec,
    ) -> Result<(), TokenServerError> {
        namespace::all_of(name)?;
        let mut tx = self.begin().await?;
        self.demand_everything(&mut tx, "making a namespace").await?;
        let owner = hold_owner(&mut tx, &spec.owner).await?;
        self.make_namespace(&mut tx, name, owner, spec).await?;
        self.record_namespace(&mut tx, name, spec).await?;
        Ok(db::commit(tx).await?)
    }

    /// Records that there is a new namespace.
    pub(super) async fn record_namespace(
        &self,
        tx: &mut Transaction,
        name: &PrincipalName,
        spec: &NamespaceSpec,
    ) -> Result<(), TokenServerError> {
        self.record(tx, Event::NamespaceAdded, name.as_str(), Some(&spec.to_string())).await
    }

    /// Whether a new user of that name gets a namespace of the same name.
    pub(super) fn gives_namespace(&self, name: &PrincipalName) -> bool {
        // Not every name of a user can begin the name of a repository.
        self.personal_namespaces && namespace::all_of(name).is_ok()
    }

    /// Gives a new user a namespace of the same name, where that is wanted; says how it is.
    pub(super) async fn make_personal_namespace(
        &self,
        tx: &mut Transaction,
        name: &PrincipalName,
        pid: i64,
    ) -> Result<Option<NamespaceSpec>, TokenServerError> {
        if !self.gives_namespace(name) {
            return Ok(None);
        }
        let spec = NamespaceSpec {
            owner: GrantSubject::User(name.clone()),
            visibility: Visibility::Private,
            create: CreatePolicy::Pushers,
        };
        self.make_namespace(tx, name, pid, &spec).await?;
        Ok(Some(spec))
    }

    /// Adds the rows of a namespace.
    pub(super) async fn make_namespace(
        &self,
        tx: &mut Transaction,
        name: &PrincipalName,
        owner: i64,
        spec: &NamespaceSpec,
    ) -> Result<(), TokenServerError> {
        for kind in [USER, TEAM, WORKLOAD] {
            let named = principals::find_principal(&mut **tx, kind, name.as_str()).await?;
            if named.is_some_and(|pid| pid != owner) {
                let owner = format!("{kind}:{name}");
                return Err(TokenServerError::NamespaceTaken { namespace: name.to_string(), owner });
            }
        }
        let row = self.new_namespace(name, owner, spec);
        let id = namespaces::insert_namespace(&mut **tx, &row, self.clock.now()).await.map_err(|error| {
            if error.is_conflict_with(namespaces::NAMESPACE_KEY) {
                TokenServerError::AlreadyThere { kind: NAMESPACE, name: name.to_string() }
            } else {
                error.into()
            }
        })?;
        self.insert_own_grants(tx, id, name, owner, spec).await
    }

    /// Lets a namespace be otherwise.
    pub(super) async fn remake_namespace(
        &self,
        tx: &mut Transaction,
        id: i64,
        name: &PrincipalName,
        owner: i64,
        spec: &NamespaceSpec,
    ) -> Result<(), TokenServerError> {
        namespaces::update_namespace(&mut **tx, id, &self.new_namespace(name, owner, spec)).await?;
        namespaces::delete_own_grants(&mut **tx, id).await?;
        self.insert_own_grants(tx, id, name, owner, spec).await
    }

    fn new_namespace<'a>(
        &self,
        name: &'a PrincipalName,
        owner_pid: i64,
        spec: &NamespaceSpec,
    ) -> NewNamespace<'a> {
        NewNamespace {
            name: name.as_str(),
            owner_pid,
            visibility: spec.visibility.as_str(),
            create_policy: spec.create.as_str(),
            created_by: self.actor.pid(),
        }
    }

    async fn insert_own_grants(
        &self,
        tx: &mut Transaction,
        id: i64,
        name: &PrincipalName,
        owner: i64,
        spec: &NamespaceSpec,
    ) -> Result<(), TokenServerError> {
        let (name, now) = (name.as_str(), self.clock.now());
        namespaces::insert_own_grant(&mut **tx, id, owner, name, OWNER_ROLE.name(), now).await?;
        let visitor = match spec.visibility {
            Visibility::Private => return Ok(()),
            Visibility::Internal => AUTHENTICATED,
            Visibility::Public => EVERYONE,
        };
        Ok(namespaces::insert_own_grant(&mut **tx, id, visitor, name, VISITOR_ROLE.name(), now).await?)
    }

    /// All namespaces, by name.
    pub async fn list_namespaces(&self) -> Result<Vec<NamespaceRow>, TokenServerError> {
        self.demand_sight_of_all("listing all namespaces").await?;
        Ok(namespaces::list_namespaces(&self.pool).await?)
    }

    /// Namespaces by name, behind one.
    pub async fn page_of_namespaces(
        &self,
        behind: &str,
        limit: usize,
    ) -> Result<Page<NamespaceRow, String>, TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        let sight = self.sight(&mut tx).await?;
        let read = async |behind: &String, at_most| {
            namespaces::list_namespaces_behind(&mut *tx, behind, at_most).await
        };
        let is_shown = |row: &NamespaceRow| sight.shows_namespace(row);
        page_of_shown(behind.to_owned(), limit, read, |row| row.name.clone(), is_shown).await
    }

    /// One namespace.
    pub async fn show_namespace(&self, name: &PrincipalName) -> Result<NamespaceRow, TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        let sight = self.sight(&mut tx).await?;
        match namespaces::find_namespace(&mut *tx, name.as_str()).await? {
            Some(row) if sight.shows_namespace(&row)? => Ok(row),
            Some(_) | None => Err(missing(name)),
        }
    }

    /// Changes a namespace; returns it as it is now, and whether it was otherwise before.
    pub async fn change_namespace(
        &self,
        name: &PrincipalName,
        change: &NamespaceChange,
    ) -> Result<(NamespaceRow, bool), TokenServerError> {
        let mut tx = self.begin().await?;
        // What comes of it stays, so whoever holds everything there for a while only cannot do it.
        let everything = owners_row(name)?;
        let touched = Touched { grant: &everything, is_added: true };
        self.demand(&mut tx, |own| own.demand_row(touched)).await?;
        let found =
            namespaces::find_namespace(&mut *tx, name.as_str()).await?.ok_or_else(|| missing(name))?;
        self.compare(Present::Namespace(&found))?;
        let before = read(&found)?;
        let after = NamespaceSpec {
            owner: change.owner.clone().unwrap_or_else(|| before.owner.clone()),
            visibility: change.visibility.unwrap_or(before.visibility),
            create: change.create.unwrap_or(before.create),
        };
        if before == after {
            return Ok((found, false));
        }
        let owner = hold_owner(&mut tx, &after.owner).await?;
        self.remake_namespace(&mut tx, found.id, name, owner, &after).await?;
        let said = Change { before: &before.to_string(), after: &after.to_string() };
        let changed = namespaces::find_namespace(&mut *tx, name.as_str()).await?;
        let changed = changed.ok_or_else(|| missing(name))?;
        self.record_change(&mut tx, Event::NamespaceChanged, name.as_str(), said).await?;
        db::commit(tx).await?;
        Ok((changed, true))
    }

    /// Removes a namespace with its robots and the grants that belong to it; other grants on its repositories stay.
    pub async fn remove_namespace(&self, name: &PrincipalName) -> Result<RemovedNamespace, TokenServerError> {
        let mut tx = self.begin().await?;
        self.demand_everything(&mut tx, "removing a namespace").await?;
        let removed = self.delete_namespace(&mut tx, name).await?;
        let remark = format!(
            "{}, {}",
            counted(removed.robots, "robot", "robots"),
            counted(removed.grants, "grant", "grants")
        );
        self.record(&mut tx, Event::NamespaceRemoved, name.as_str(), Some(&remark)).await?;
        db::commit(tx).await?;
        Ok(removed)
    }

    /// Deletes a namespace with its robots and what belongs to them and to it.
    pub(super) async fn delete_namespace(
        &self,
        tx: &mut Transaction,
        name: &PrincipalName,
    ) -> Result<RemovedNamespace, TokenServerError> {
        let found =
            namespaces::find_namespace(&mut **tx, name.as_str()).await?.ok_or_else(|| missing(name))?;
        self.compare(Present::Namespace(&found))?;
        let pids = robots::list_pids_of_namespace(&mut **tx, found.id).await?;
        let mut removed = RemovedNamespace { robots: pids.len(), grants: 0 };
        for pid in pids {
            removed.grants += self.delete_robot(tx, pid).await?;
        }
        robots::delete_robots_of_namespace(&mut **tx, found.id).await?;
        removed.grants += namespaces::delete_own_grants(&mut **tx, found.id).await?;
        namespaces::delete_namespace(&mut **tx, found.id).await?;
        Ok(removed)
    }

    /// Refuses a new user or team the name of a namespace, which belongs to somebody already.
    pub(super) async fn leave_namespace(
        &self,
        tx: &mut Transaction,
        name: &PrincipalName,
    ) -> Result<(), TokenServerError> {
        match namespaces::find_namespace(&mut **tx, name.as_str()).await? {
            None => Ok(()),
            Some(found) => Err(TokenServerError::NamespaceTaken {
                owner: format!("{}:{}", found.owner_kind, found.owner_name),
                namespace: found.name,
            }),
        }
    }

    /// Removes a robot with whatever belongs to it; says how many grants that were.
    pub(super) async fn delete_robot(&self, tx: &mut Transaction, pid: i64) -> Result<u64, TokenServerError> {
        principals::update_deleted_by_pid(&mut **tx, pid, self.clock.now()).await?;
        db::teams::delete_members(&mut **tx, pid).await?;
        db::credentials::delete_credentials_of(&mut **tx, &[pid]).await?;
        Ok(grants::delete_grants_of(&mut **tx, pid).await?)
    }
}

/// How a stored namespace is.
pub fn read(row: &NamespaceRow) -> Result<NamespaceSpec, TokenServerError> {
    let wrong = |column, value: &str| db::error::DbError::Inconsistent {
        table: NAMESPACE,
        column,
        value: value.to_owned(),
    };
    let owner = format!("{}:{}", row.owner_kind, row.owner_name);
    Ok(NamespaceSpec {
        owner: GrantSubject::parse(&owner).map_err(|_| wrong("owner_pid", &owner))?,
        visibility: Visibility::parse(&row.visibility).ok_or_else(|| wrong("visibility", &row.visibility))?,
        create: CreatePolicy::parse(&row.create_policy)
            .ok_or_else(|| wrong("create_policy", &row.create_policy))?,
    })
}

/// What whoever owns a namespace holds.
pub(super) fn owners_row(name: &PrincipalName) -> Result<Grant, TokenServerError> {
    Ok(Grant {
        id: 0,
        holder: 0,
        effect: Effect::Allow,
        what: What::Role(OWNER_ROLE),
        pattern: namespace::all_of(name)?,
        tags: None,
        conditions: Conditions::default(),
    })
}

async fn hold_owner(tx: &mut Transaction, owner: &GrantSubject) -> Result<i64, TokenServerError> {
    match owner {
        GrantSubject::User(name) => hold_user(&mut **tx, name).await,
        GrantSubject::Team(name) => hold_team(&mut **tx, name).await,
        other => {
            let sentence = format!("a namespace belongs to a user or a team, and not to {other}");
            Err(TokenServerError::Contradiction(sentence))
        }
    }
}

fn missing(name: &PrincipalName) -> TokenServerError {
    TokenServerError::NotFound { kind: NAMESPACE, name: name.to_string() }
}
