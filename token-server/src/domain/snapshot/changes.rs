//! Following the log: from one snapshot to the next.
//!
//! The log says which rows changed; what they say now is read together with the log, at one moment.
//!
//! *Invariant:* the next snapshot is what reading everything at its position would give, or there is none.

use std::collections::BTreeSet;
use std::sync::Arc;

use uuid::Uuid;

use super::load::{read_barrier, read_namespaces, read_roles};
use super::revocations::KEPT;
use super::stored_grant::Interner;
use super::{Contents, Snapshot};
use crate::db::changes::{self, ChangeRow, Position};
use crate::db::copied_grants::{self, CopiedGrant};
use crate::db::error::DbError;
use crate::db::{
    self, Connection, barriers, credentials, principals, refresh_tokens, revocations, robots, roles,
};

/// After more changes than this, reading everything is as fast.
const MAX_CHANGES: i64 = 5_000;

/// What was changed since a snapshot.
#[derive(Debug, Default)]
struct Changed {
    principals: BTreeSet<i64>,
    /// Where they stood or stand, and their numbers.
    grants: BTreeSet<(i64, String)>,
    barriers: BTreeSet<String>,
    roles: bool,
    namespaces: BTreeSet<String>,
    credentials: BTreeSet<Uuid>,
    logins: BTreeSet<Uuid>,
    revocations: bool,
}

impl Changed {
    /// Understands rows of the log; not if they say that everything changed, or something of another release.
    fn read(rows: &[ChangeRow]) -> Option<Self> {
        let mut changed = Self::default();
        for row in rows {
            match (row.kind.as_str(), row.id, &row.name) {
                ("principal" | "member", Some(pid), _) => {
                    changed.principals.insert(pid);
                }
                ("grant", Some(id), Some(anchor)) => {
                    changed.grants.insert((id, anchor.clone()));
                }
                ("barrier", _, Some(anchor)) => {
                    changed.barriers.insert(anchor.clone());
                }
                ("role", ..) => changed.roles = true,
                ("namespace", _, Some(name)) => {
                    changed.namespaces.insert(name.clone());
                }
                ("credential", _, Some(id)) => {
                    changed.credentials.insert(id.parse().ok()?);
                }
                ("login", _, Some(family)) => {
                    changed.logins.insert(family.parse().ok()?);
                }
                ("revocation", ..) => changed.revocations = true,
                _ => return None,
            }
        }
        Some(changed)
    }
}

impl Snapshot {
    /// The snapshot at the end of the log; nothing if the log does not lead there from here.
    pub async fn next(&self, connection: &mut Connection) -> Result<Option<Self>, DbError> {
        let mut tx = db::begin_snapshot_on(connection).await?;
        let rows = changes::list_changes_from(&mut *tx, self.position.seq, MAX_CHANGES + 1).await?;
        let reaches = i64::try_from(rows.len()).is_ok_and(|rows| rows <= MAX_CHANGES);
        let Some((known, new)) =
            rows.split_first().filter(|(known, _)| at(known) == self.position && reaches)
        else {
            return Ok(None);
        };
        let Some(changed) = Changed::read(new) else { return Ok(None) };
        let position = at(new.last().unwrap_or(known));
        let mut contents = self.contents.clone();
        contents.follow(changed, self.position.seq, &mut tx).await?;
        db::commit(tx).await?;
        Ok(Some(Self { position, contents }))
    }
}

fn at(row: &ChangeRow) -> Position {
    Position { seq: row.seq, mark: row.mark }
}

impl Contents {
    async fn follow(
        &mut self,
        mut changed: Changed,
        behind: i64,
        tx: &mut Connection,
    ) -> Result<(), DbError> {
        if !changed.namespaces.is_empty() {
            // Whose a namespace is decides with whom its robots go quiet.
            let names: Vec<String> = changed.namespaces.iter().cloned().collect();
            changed.principals.extend(robots::list_pids_of_namespaces(&mut *tx, &names).await?);
            self.namespaces = read_namespaces(tx).await?;
        }
        if !changed.principals.is_empty() {
            let pids: Vec<i64> = changed.principals.into_iter().collect();
            let states = principals::list_states(&mut *tx, &pids).await?;
            let alive: BTreeSet<i64> = states.iter().map(|state| state.pid).collect();
            for gone in pids.iter().filter(|pid| !alive.contains(pid)) {
                self.people.remove(*gone);
            }
            for state in states {
                self.people.put(state);
            }
        }
        if !changed.grants.is_empty() {
            let ids: BTreeSet<i64> = changed.grants.iter().map(|(id, _)| *id).collect();
            let ids: Vec<i64> = ids.into_iter().collect();
            for (id, anchor) in &changed.grants {
                self.grants.remove(anchor, *id);
            }
            let mut interner = Interner::default();
            let grants = &mut self.grants;
            let store = |row: CopiedGrant<'_>| grants.insert(row.anchor, interner.store(row));
            copied_grants::visit_grants(tx, Some(&ids), store).await?;
        }
        if !changed.barriers.is_empty() {
            let anchors: Vec<String> = changed.barriers.into_iter().collect();
            let known = Arc::make_mut(&mut self.barriers);
            for anchor in &anchors {
                known.remove(anchor.as_str());
            }
            for barrier in barriers::list_placed(&mut *tx, Some(&anchors)).await? {
                let read = read_barrier(&barrier);
                known.entry(barrier.anchor.into()).or_default().push(read);
            }
        }
        if changed.roles {
            self.roles = Arc::new(read_roles(roles::list_roles(&mut *tx).await?));
        }
        if !changed.credentials.is_empty() {
            let ids: Vec<Uuid> = changed.credentials.into_iter().collect();
            for id in &ids {
                self.credentials.remove(*id);
            }
            for state in credentials::list_states(&mut *tx, &ids).await? {
                self.put_credential(&state)?;
            }
        }
        if !changed.logins.is_empty() {
            let families: Vec<Uuid> = changed.logins.into_iter().collect();
            for family in &families {
                self.logins.remove(*family);
            }
            for state in refresh_tokens::list_states(&mut *tx, &families).await? {
                self.put_login(state)?;
            }
        }
        if changed.revocations {
            let epoch = revocations::find_epoch(&mut *tx).await?;
            let rows = revocations::list_behind(&mut *tx, behind, KEPT.as_secs_f64()).await?;
            self.revocations = Arc::new(self.revocations.with(epoch, rows));
        }
        Ok(())
    }
}
