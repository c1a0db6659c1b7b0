//! What becomes of somebody whose password a directory knows.
//!
//! *Invariant:* directories are asked one after the other by name, until one says that the password is right; who that
//! is, is decided as for everybody who comes from elsewhere.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use shared::secret::Secret;

use super::super::actor::Actor;
use super::super::administration::Administration;
use super::super::administration::identities::Admission;
use super::super::error::TokenServerError;
use super::super::login::elsewhere::{Identity, PasswordsElsewhere, Verdict};
use super::directory::{DirectoryClients, Proven};
use crate::db::Pool;
use crate::db::identities;

/// Lets in whose password a directory knows.
struct DirectoryLogins {
    pool: Pool,
    administration: Administration,
    clients: DirectoryClients,
}

/// For these directories, if there are any.
pub fn of(
    pool: &Pool,
    administration: &Administration,
    clients: DirectoryClients,
) -> Option<Arc<dyn PasswordsElsewhere>> {
    if clients.is_empty() {
        return None;
    }
    let administration = administration.on_behalf_of(Actor::Server);
    Some(Arc::new(DirectoryLogins { pool: pool.clone(), administration, clients }))
}

impl DirectoryLogins {
    async fn ask_all(&self, user: &str, password: &Secret) -> Result<Verdict, TokenServerError> {
        let (mut refused, mut was_tried, mut is_away) = ("unknown_user", false, false);
        for client in self.clients.values() {
            match client.prove(user, password).await {
                Ok(Proven::Right(profile)) => {
                    let provider = client.provider();
                    return Ok(match self.administration.admit(provider, &profile, None).await? {
                        Admission::User(row) => {
                            let identity = Identity { issuer: profile.issuer, subject: profile.subject };
                            Verdict::User(row, identity)
                        }
                        Admission::Pending(_) => Verdict::Pending,
                        Admission::Refused(why) => Verdict::Refused(why.as_str()),
                    });
                }
                Ok(Proven::Wrong(reason)) => (refused, was_tried) = (reason, true),
                Ok(Proven::Nobody) => {}
                Err(error) => {
                    tracing::warn!(%error, provider = %client.provider().name, "the directory does not say whether a password is right");
                    is_away = true;
                }
            }
        }
        Ok(if is_away { Verdict::Away { was_tried } } else { Verdict::Refused(refused) })
    }

    async fn list_known(&self, pid: i64) -> Result<Vec<(Identity, String)>, TokenServerError> {
        let rows = identities::list_identities(&self.pool, Some(pid)).await?;
        let of_directories = rows.into_iter().filter(|row| self.clients.contains_key(&row.provider));
        // Whoever was gone, or was not heard of for too long, has no groups and no time at which they were told.
        let counting = of_directories.filter(|row| row.groups_at.is_some());
        let named = counting.map(|row| {
            let since = format!("{} {} {}", row.issuer, row.subject, row.created_at.unix_timestamp_nanos());
            (Identity { issuer: row.issuer, subject: row.subject }, since)
        });
        Ok(named.collect())
    }
}

impl PasswordsElsewhere for DirectoryLogins {
    fn ask<'a>(
        &'a self,
        user: &'a str,
        password: &'a Secret,
    ) -> BoxFuture<'a, Result<Verdict, TokenServerError>> {
        self.ask_all(user, password).boxed()
    }

    fn known(&self, pid: i64) -> BoxFuture<'_, Result<Vec<(Identity, String)>, TokenServerError>> {
        self.list_known(pid).boxed()
    }
}
