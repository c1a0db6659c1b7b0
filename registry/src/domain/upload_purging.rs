//! Removing upload sessions that nobody will finish.
//!
//! A session goes when it was opened longer ago than the settings say; what sessions left behind that have no
//! `startedat` any more, or never had one, goes when nothing in it was written for as long. Several replicas may do this
//! at a time: whoever comes second finds nothing.
//!
//! *Invariant:* a session is removed only under its lock, so never while somebody writes to it, and its existence
//! first. The walk holds the names of one path of folders and their neighbours, not of the whole tree.

use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use shared::repository_name::RepositoryName;
use time::OffsetDateTime;

use super::error::RegistryError;
use super::upload_id::UploadId;
use super::{Repositories, to_the_end};
use crate::storage::layout::{self, SessionKeys};
use crate::storage::{Durability, EntryKind, TryLock};

/// Replicas that start together should not all look at the tree together.
const LONGEST_FIRST_DELAY: Duration = Duration::from_hours(1);

/// When uploads count as abandoned, and what to do then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadPurging {
    /// Sessions opened longer ago than this go.
    pub age: Duration,
    /// Time between two looks.
    pub interval: Duration,
    /// Only say what would go.
    pub dry_run: bool,
}

/// What a look at all uploads found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PurgedUploads {
    /// Sessions that went.
    pub sessions: usize,
    /// Leftovers of sessions that went.
    pub leftovers: usize,
    /// Old sessions somebody is writing to.
    pub in_use: usize,
    /// Folders that could not be looked at or removed.
    pub failed: usize,
}

/// What became of one session.
enum Fate {
    Young,
    InUse,
    Session,
    Leftover,
}

impl Repositories {
    /// Purges now and then, until it is dropped. The first time comes after a random part of the interval.
    pub async fn keep_purging(self, rules: UploadPurging) {
        let mut delay = random_part(rules.interval.min(LONGEST_FIRST_DELAY), &self.random);
        loop {
            tokio::time::sleep(delay).await;
            let PurgedUploads { sessions, leftovers, in_use, failed } =
                self.purge_uploads(rules.age, rules.dry_run).await;
            tracing::info!(
                sessions,
                leftovers,
                in_use,
                failed,
                dry_run = rules.dry_run,
                "abandoned uploads were removed"
            );
            delay = rules.interval;
        }
    }

    /// Removes all sessions older than `age`, and what is left of others; with `dry_run` it only counts and logs them.
    pub async fn purge_uploads(&self, age: Duration, dry_run: bool) -> PurgedUploads {
        let before = self.clock.now() - age;
        let mut purged = PurgedUploads::default();
        let mut folders = vec![String::new()];
        while let Some(path) = folders.pop() {
            let key = if path.is_empty() { layout::repositories() } else { layout::repository_folder(&path) };
            let entries = match self.storage.list(&key).await {
                Ok(entries) => entries.unwrap_or_default(),
                Err(error) => {
                    tracing::warn!(%error, "a folder could not be searched for abandoned uploads");
                    purged.failed += 1;
                    continue;
                }
            };
            for entry in entries.into_iter().filter(|entry| entry.kind == EntryKind::Folder) {
                if entry.name == layout::UPLOADS {
                    // A folder made by hand can have a name that no repository has.
                    if let Ok(repository) = RepositoryName::parse(&path) {
                        self.purge_repository(&repository, before, dry_run, &mut purged).await;
                    }
                } else if !entry.name.starts_with('_') {
                    let separator = if path.is_empty() { "" } else { "/" };
                    folders.push(format!("{path}{separator}{}", entry.name));
                }
            }
        }
        purged
    }

    async fn purge_repository(
        &self,
        repository: &RepositoryName,
        before: OffsetDateTime,
        dry_run: bool,
        purged: &mut PurgedUploads,
    ) {
        let entries = match self.storage.list(&layout::uploads(repository)).await {
            Ok(entries) => entries.unwrap_or_default(),
            Err(error) => {
                tracing::warn!(repository.name = %repository, %error, "uploads cannot be listed");
                purged.failed += 1;
                return;
            }
        };
        for id in entries.iter().filter_map(|entry| UploadId::parse(&entry.name)) {
            let what = match self.purge_session(repository, id, before, dry_run).await {
                Ok(Fate::Young) => continue,
                Ok(Fate::InUse) => {
                    purged.in_use += 1;
                    continue;
                }
                Ok(Fate::Session) => {
                    purged.sessions += 1;
                    "session"
                }
                Ok(Fate::Leftover) => {
                    purged.leftovers += 1;
                    "leftover"
                }
                Err(error) => {
                    tracing::warn!(repository.name = %repository, upload.id = %id, %error, "an abandoned upload stays");
                    purged.failed += 1;
                    continue;
                }
            };
            tracing::debug!(repository.name = %repository, upload.id = %id, what, dry_run, "an abandoned upload");
        }
    }

    async fn purge_session(
        &self,
        repository: &RepositoryName,
        id: UploadId,
        before: OffsetDateTime,
        dry_run: bool,
    ) -> Result<Fate, RegistryError> {
        let keys = SessionKeys::new(repository, id.uuid());
        let began = self.session_began(&keys).await?;
        if let Some(began) = began {
            // Looked at before locking, so that nobody is kept from writing to a session that stays.
            if began >= before {
                return Ok(Fate::Young);
            }
        } else if self.storage.newest(&keys.folder).await?.is_none_or(|newest| newest >= before) {
            return Ok(Fate::Young);
        }
        let lock = match self.storage.try_lock(&keys.started_at).await? {
            TryLock::Busy => return Ok(Fate::InUse),
            TryLock::Held(lock) => Some(lock),
            TryLock::Absent => None,
        };
        if !dry_run {
            let registry = self.clone();
            to_the_end(async move {
                let _lock = lock;
                registry.storage.remove(&keys.started_at, Durability::Relaxed).await?;
                Ok(registry.storage.remove_tree(&keys.folder, Durability::Relaxed).await?)
            })
            .await?;
        }
        Ok(if began.is_some() { Fate::Session } else { Fate::Leftover })
    }
}

/// A time between nothing and all of `most`.
fn random_part(most: Duration, random: &SystemRandom) -> Duration {
    let mut bytes = [0; 4];
    // Without randomness the first look comes at once, which harms nobody.
    let _ = random.fill(&mut bytes);
    most.mul_f64(f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use shared::clock::Clock as _;

    use super::*;
    use crate::domain::testing::{Tree, broken_body, name};
    use crate::domain::upload_session::UploadOwner;
    use crate::domain::uploads::Announced;
    use crate::oci::digest::Algorithm;

    const WEEK: Duration = Duration::from_hours(168);

    async fn opened(tree: &Tree, repository: &str) -> (UploadId, SessionKeys) {
        let (repository, owner) = (name(repository), UploadOwner::anonymous());
        let status = tree.repositories.start_upload(&repository, &owner, Algorithm::Sha256).await;
        let id = status.expect("started").id;
        let body = broken_body(&[b"some bytes"]);
        let appended =
            tree.repositories.append_upload(&repository, id, &owner, Announced::default(), body).await;
        appended.expect_err("the client went away");
        (id, SessionKeys::new(&repository, id.uuid()))
    }

    #[tokio::test]
    async fn old_sessions_go_wherever_they_are_and_young_ones_stay() {
        let tree = Tree::new();
        let mut old = Vec::new();
        // One repository has only uploads, one lies below another.
        for repository in ["first-push", "a", "a/b/c"] {
            old.push(opened(&tree, repository).await.1);
        }
        tree.push_image(&name("a"), None, "x").await;
        tree.clock.advance(WEEK);
        let (_, young) = opened(&tree, "a").await;
        tree.clock.advance(Duration::from_mins(1));
        let found = tree.repositories.purge_uploads(WEEK, true).await;
        assert_eq!(found, PurgedUploads { sessions: 3, ..PurgedUploads::default() });
        assert!(old.iter().all(|keys| tree.storage_exists(&keys.folder)), "a dry run removes nothing");
        assert_eq!(tree.repositories.purge_uploads(WEEK, false).await, found);
        assert!(!old.iter().any(|keys| tree.storage_exists(&keys.folder)));
        assert!(tree.storage_exists(&young.started_at));
        assert_eq!(tree.repositories.purge_uploads(WEEK, false).await, PurgedUploads::default());
        assert_eq!(
            tree.repositories.list_repositories(None, 9, None).await.expect("listed").repositories,
            [name("a")]
        );
    }

    #[tokio::test]
    async fn what_somebody_writes_to_stays() {
        let tree = Tree::new();
        let (_, keys) = opened(&tree, "a").await;
        tree.clock.advance(2 * WEEK);
        let TryLock::Held(lock) = tree.reopened().storage().try_lock(&keys.started_at).await.expect("free")
        else {
            panic!("nobody writes")
        };
        let found = tree.repositories.purge_uploads(WEEK, false).await;
        assert_eq!(found, PurgedUploads { in_use: 1, ..PurgedUploads::default() });
        assert!(tree.storage_exists(&keys.data));
        drop(lock);
        assert_eq!(tree.repositories.purge_uploads(WEEK, false).await.sessions, 1);
    }

    #[tokio::test]
    async fn leftovers_go_by_their_newest_file() {
        let tree = Tree::new();
        let (_, cancelled) = opened(&tree, "a").await;
        tree.storage_remove(&cancelled.started_at);
        // Loss of power left it empty; a crash left only a temporary file of another.
        let (_, damaged) = opened(&tree, "a").await;
        tree.storage_write(&damaged.started_at, "");
        let unborn = SessionKeys::new(&name("a"), uuid::Uuid::from_u128(7));
        let temporary = tree.path(&unborn.folder).join("startedat.0123.tmp");
        std::fs::create_dir_all(tree.path(&unborn.folder)).expect("made");
        std::fs::write(&temporary, "2026").expect("written");
        let strange = tree.path(&layout::uploads(&name("a"))).join("not-an-id");
        std::fs::create_dir_all(&strange).expect("made");

        assert_eq!(tree.repositories.purge_uploads(WEEK, false).await, PurgedUploads::default());
        tree.clock.advance(WEEK + Duration::from_mins(1));
        // Somebody still works on one of them.
        std::fs::File::open(&temporary)
            .and_then(|file| file.set_modified(tree.clock.now().into()))
            .expect("dated");
        let found = tree.repositories.purge_uploads(WEEK, false).await;
        assert_eq!(found, PurgedUploads { leftovers: 2, ..PurgedUploads::default() });
        assert!(!tree.storage_exists(&cancelled.folder) && !tree.storage_exists(&damaged.folder));
        assert!(temporary.exists() && strange.exists());
    }

    #[tokio::test]
    async fn two_replicas_may_purge_at_a_time() {
        let tree = Tree::new();
        for _ in 0..20 {
            opened(&tree, "a").await;
        }
        tree.clock.advance(2 * WEEK);
        let other = tree.repositories.clone();
        let (one, two) =
            tokio::join!(tree.repositories.purge_uploads(WEEK, false), other.purge_uploads(WEEK, false));
        assert_eq!(one.failed + two.failed, 0);
        assert_eq!(tree.repositories.purge_uploads(WEEK, false).await, PurgedUploads::default());
    }

    #[test]
    fn the_first_delay_is_a_part_of_the_most() {
        let random = SystemRandom::new();
        let delays: Vec<_> = (0..20).map(|_| random_part(Duration::from_hours(1), &random)).collect();
        assert!(delays.iter().all(|delay| *delay <= Duration::from_hours(1)));
        assert!(delays.iter().any(|delay| *delay != delays[0]));
    }
}
