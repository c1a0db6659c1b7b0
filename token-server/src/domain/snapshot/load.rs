//! Reading everything at once.
//!
//! *Invariant:* all tables are read as they were at one moment, the position in the log with them.

use std::pin::pin;
use std::sync::Arc;

use futures_util::StreamExt as _;

use super::super::barrier::Barrier;
use super::super::namespace::Namespace;
use super::super::right::RightSet;
use super::credentials::StoredCredential;
use super::grants::Gathering;
use super::people::People;
use super::revocations::{KEPT, Revocations};
use super::stored_grant::{Interner, Roles, Unusable};
use super::{Contents, Namespaces, Snapshot, by_mac};
use crate::db::barriers::PlacedBarrier;
use crate::db::copied_grants::{self, CopiedGrant};
use crate::db::credentials::{self, CredentialState};
use crate::db::error::DbError;
use crate::db::namespaces::CreatePolicyRow;
use crate::db::refresh_tokens::{self, RefreshTokenState};
use crate::db::roles::RoleRow;
use crate::db::{self, Connection, barriers, changes, namespaces, principals, revocations, roles};

/// After so many rows, others get their turn.
const ROWS_AT_ONCE: usize = 1_000;

impl Snapshot {
    /// Reads the whole database.
    pub async fn load(connection: &mut Connection) -> Result<Self, DbError> {
        let mut tx = db::begin_snapshot_on(connection).await?;
        let position = changes::find_position(&mut *tx).await?;
        let mut people = People::default();
        {
            let mut states = pin!(principals::visit_principals(&mut tx).ready_chunks(ROWS_AT_ONCE));
            while let Some(states) = states.next().await {
                for state in states {
                    people.put(state?);
                }
                tokio::task::yield_now().await;
            }
        }
        let (mut gathering, mut interner) = (Gathering::default(), Interner::default());
        let store = |row: CopiedGrant<'_>| gathering.add(row.anchor, interner.store(row));
        copied_grants::visit_grants(&mut tx, None, store).await?;
        let mut contents = Contents { people, grants: gathering.finish(), ..Contents::default() };
        let barriers = Arc::make_mut(&mut contents.barriers);
        for barrier in barriers::list_placed(&mut *tx, None).await? {
            let read = read_barrier(&barrier);
            barriers.entry(barrier.anchor.into()).or_default().push(read);
        }
        contents.roles = Arc::new(read_roles(roles::list_roles(&mut *tx).await?));
        contents.namespaces = read_namespaces(&mut tx).await?;
        {
            let mut states = pin!(credentials::visit_credentials(&mut tx).ready_chunks(ROWS_AT_ONCE));
            while let Some(states) = states.next().await {
                for state in states {
                    contents.put_credential(&state?)?;
                }
                tokio::task::yield_now().await;
            }
        }
        {
            let mut states = pin!(refresh_tokens::visit_refresh_tokens(&mut tx).ready_chunks(ROWS_AT_ONCE));
            while let Some(states) = states.next().await {
                for state in states {
                    contents.put_login(state?)?;
                }
                tokio::task::yield_now().await;
            }
        }
        let epoch = revocations::find_epoch(&mut *tx).await?;
        let rows = revocations::list_behind(&mut *tx, i64::MIN, KEPT.as_secs_f64()).await?;
        contents.revocations = Arc::new(Revocations::new(epoch).with(epoch, rows));
        db::commit(tx).await?;
        Ok(Self { position, contents })
    }
}

impl Contents {
    pub(super) fn put_credential(&mut self, state: &CredentialState) -> Result<(), DbError> {
        let mac = by_mac::mac("credential", state.id, &state.mac)?;
        self.credentials.add(state.id, mac, StoredCredential::read(state));
        Ok(())
    }

    pub(super) fn put_login(&mut self, state: RefreshTokenState) -> Result<(), DbError> {
        let mac = by_mac::mac("refresh_token", state.family, &state.mac)?;
        self.logins.add(state.family, mac, state.into());
        Ok(())
    }
}

pub(super) fn read_barrier(row: &PlacedBarrier) -> Result<Barrier, Unusable> {
    Barrier::read_texts(&row.pattern, &row.rights).map_err(|error| Unusable::of(error, "acl_barrier"))
}

pub(super) async fn read_namespaces(tx: &mut Connection) -> Result<Arc<Namespaces>, DbError> {
    let read = |row: CreatePolicyRow| {
        let name = row.name.as_str().into();
        (name, Namespace::read(row).map_err(|error| Unusable::of(error, "namespace")))
    };
    Ok(Arc::new(namespaces::list_all_create_policies(tx).await?.into_iter().map(read).collect()))
}

pub(super) fn read_roles(rows: Vec<RoleRow>) -> Roles {
    let read = |row: RoleRow| {
        let rights = RightSet::parse(&row.rights).map_err(|_| Unusable::new("acl_grant", "role", &row.name));
        (row.name.into(), rights)
    };
    rows.into_iter().map(read).collect()
}
