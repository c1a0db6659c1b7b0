//! Everything that logins and decisions need, in memory: who there is, who is in which team, what everybody was given,
//! and what they log in with instead of a password.
//!
//! Reading order: the maps underneath (`shards`, `by_mac`), what they hold (`stored_grant`, `grants`, [`people`],
//! [`credentials`], [`revocations`]), how all of it is read ([`load`]), and how it follows the database ([`changes`], [`follower`]).
//!
//! *Invariant:* a [`Snapshot`] never changes, and is what the database said at its position. It only finds rows; what
//! they come to is decided where rows of the database are.

mod shards;

mod by_mac;

mod stored_grant;

mod grants;

pub mod people;

pub mod credentials;

pub mod revocations;

pub mod load;

pub mod changes;

pub mod follower;

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use shared::repository_name::RepositoryName;
use shared::repository_pattern;

use super::barrier::Barrier;
use super::grantors::Managers;
use super::login::credential::Mac;
use super::namespace::Namespace;
use super::policy::Rows;
use super::right::Right;
use super::stored_rows::namespace_names;
use crate::db::changes::Position;
use crate::db::error::DbError;
use crate::db::principals::{AUTHENTICATED, EVERYONE};
use by_mac::ByMac;
use credentials::{StoredCredential, StoredLogin};
use grants::Grants;
use people::{People, Person};
use revocations::Revocations;
use stored_grant::{Roles, Unusable};

/// What the database said at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    position: Position,
    contents: Contents,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Contents {
    people: People,
    grants: Grants,
    barriers: Arc<Barriers>,
    roles: Arc<Roles>,
    namespaces: Arc<Namespaces>,
    credentials: ByMac<StoredCredential>,
    logins: ByMac<StoredLogin>,
    revocations: Arc<Revocations>,
}

/// Namespaces that matter, by name.
type Namespaces = HashMap<Arc<str>, Result<Namespace, Unusable>>;

/// Barriers by their anchor.
type Barriers = HashMap<Arc<str>, Vec<Result<Barrier, Unusable>>, RandomState>;

/// So many rows at one place are looked through for somebody who manages rights there.
const MAX_LOOKED_THROUGH: usize = 1_000;

/// Where more people than this manage rights, nobody is looked at closer.
const MAX_MANAGERS: usize = 10;

/// The same for so many rows of theirs and of everybody.
const MAX_ROWS_OF_MANAGERS: usize = 200;

/// How much there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Principals that are alive.
    pub principals: usize,
    /// Grants and denials.
    pub grants: usize,
    /// Places at which they stand.
    pub anchors: usize,
    /// Barriers.
    pub barriers: usize,
    /// Secrets of robots and personal access tokens.
    pub credentials: usize,
    /// Tokens of logins that are kept.
    pub logins: usize,
}

impl Snapshot {
    /// The last change it knows of.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Whether it holds the same as another one, wherever they are in the log.
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.contents == other.contents
    }

    /// Where in which life of the database it is, as tokens say that are decided from it.
    pub fn decided(&self) -> shared::revocations::Position {
        shared::revocations::Position { epoch: self.contents.revocations.epoch(), at: self.position.seq }
    }

    /// Which tokens were taken back lately.
    pub fn revocations(&self) -> &Revocations {
        &self.contents.revocations
    }

    /// How much it holds.
    pub fn size(&self) -> Size {
        let Contents { people, grants, barriers, credentials, logins, .. } = &self.contents;
        Size {
            principals: people.len(),
            grants: grants.len(),
            anchors: grants.anchors(),
            barriers: barriers.values().map(Vec::len).sum(),
            credentials: credentials.len(),
            logins: logins.len(),
        }
    }

    /// Everybody with their numbers, in no order.
    pub fn people(&self) -> impl Iterator<Item = (i64, &Person)> {
        self.contents.people.iter()
    }

    /// Somebody by number, and whether they may log in.
    pub fn person(&self, pid: i64) -> Option<(&Person, bool)> {
        let person = self.contents.people.get(pid)?;
        Some((person, self.contents.people.may_log_in(person)))
    }

    /// The credential with this MAC.
    pub fn credential(&self, mac: &Mac) -> Option<&StoredCredential> {
        self.contents.credentials.get(mac)
    }

    /// The token of a kept login with this MAC.
    pub fn login(&self, mac: &Mac) -> Option<&StoredLogin> {
        self.contents.logins.get(mac)
    }

    /// What a subject, or without one everybody, has on these repositories. Whoever is gone or disabled has nothing.
    pub fn near(&self, pid: Option<i64>, names: &[&RepositoryName]) -> Result<Rows, DbError> {
        let Contents { people, grants, barriers, roles, namespaces, .. } = &self.contents;
        let Some(subjects) = people.subjects(pid) else { return Ok(Rows::default()) };
        let anchors = repository_pattern::anchors(names.iter().copied());
        // All places are looked up before any is looked at, so that waiting for memory overlaps.
        let places: Vec<_> = anchors.iter().map(|anchor| grants.place(anchor)).collect();
        let mut rows = Rows::default();
        for (anchor, place) in anchors.iter().zip(places) {
            let held = place.into_iter().flat_map(|place| place.held_by(&subjects));
            for stored in held.filter(|row| row.is_about(names)) {
                rows.grants.push(stored.read(anchor, roles)?);
            }
            for barrier in barriers.get(anchor.as_str()).into_iter().flatten() {
                rows.barriers.push(barrier.clone().map_err(|unusable| unusable.error())?);
            }
        }
        if !namespaces.is_empty() {
            for namespace in namespace_names(&anchors).filter_map(|name| namespaces.get(name)) {
                rows.namespaces.push(namespace.clone().map_err(|unusable| unusable.error())?);
            }
        }
        Ok(rows)
    }

    /// Who manages rights at these anchors, of the first rows that stand there. Nothing where that takes more than a
    /// few looks, or where something cannot be understood: it is a hint.
    pub fn managers(&self, anchors: &[String]) -> Option<Managers> {
        let Contents { people, grants, barriers, roles, .. } = &self.contents;
        let mut managers = Managers::default();
        let mut holders = vec![EVERYONE, AUTHENTICATED];
        for row in anchors.iter().flat_map(|anchor| grants.at(anchor).iter().take(MAX_LOOKED_THROUGH)) {
            if !row.gives(Right::GrantManage, roles) || holders.contains(&row.holder) {
                continue;
            }
            let person = people.get(row.holder).filter(|person| !person.is_disabled);
            managers.people.extend(person.and_then(|person| person.as_manager(row.holder)));
            holders.push(row.holder);
            if managers.people.len() > MAX_MANAGERS {
                return None;
            }
        }
        holders.sort_unstable();
        for anchor in anchors {
            for stored in grants.held_by(&holders, anchor) {
                managers.rows.grants.push(stored.read(anchor, roles).ok()?);
                if managers.rows.grants.len() > MAX_ROWS_OF_MANAGERS {
                    return None;
                }
            }
            for barrier in barriers.get(anchor.as_str()).into_iter().flatten() {
                managers.rows.barriers.push(barrier.clone().ok()?);
            }
        }
        Some(managers)
    }

    /// All that a subject has anywhere, unless it is more than so many rows, or there are more barriers than that.
    pub fn all(&self, pid: Option<i64>, most: usize) -> Result<Option<Rows>, DbError> {
        let Contents { people, grants, barriers, roles, .. } = &self.contents;
        let Some(subjects) = people.subjects(pid) else { return Ok(Some(Rows::default())) };
        let mut rows = Rows::default();
        for subject in subjects {
            for anchor in grants.anchors_of(subject) {
                for stored in grants.held_by(&[subject], anchor) {
                    if rows.grants.len() == most {
                        return Ok(None);
                    }
                    rows.grants.push(stored.read(anchor, roles)?);
                }
            }
        }
        for barrier in barriers.values().flatten() {
            if rows.barriers.len() == most {
                return Ok(None);
            }
            rows.barriers.push(barrier.clone().map_err(|unusable| unusable.error())?);
        }
        Ok(Some(rows))
    }
}
