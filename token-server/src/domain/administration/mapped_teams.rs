//! Groups elsewhere are teams here, as the settings say.
//!
//! *Invariant:* only memberships that came from groups go with them. A group of which a provider tells by SCIM is as it
//! tells; what was said of others at sign-on counts until it is too old.

use std::collections::BTreeSet;

use super::super::error::TokenServerError;
use super::super::record::audit::Event;
use super::Administration;
use crate::db::mapped_teams::{self, MappedRow};
use crate::db::{self, Transaction, scim_groups};

/// Users and teams beside one another, as statements take them.
struct Pairs {
    pids: Vec<i64>,
    teams: Vec<String>,
}

impl Administration {
    /// Puts a user into the teams of their groups, and takes them out of others that they were in because of groups.
    pub async fn update_mapped_teams(&self, pid: i64) -> Result<(), TokenServerError> {
        // Most find nothing to do, and need not wait for whoever changes rights.
        let mut connection = db::begin(&self.pool).await?;
        let wanted = self.wanted_teams(&mut connection, &[pid]).await?;
        let has = mapped_teams::list_mapped(&mut *connection, &[pid]).await?;
        let is_gone = has.iter().any(|(_, team)| !wanted.teams.contains(team));
        let missing = mapped_teams::count_missing(&mut *connection, &wanted.pids, &wanted.teams).await?;
        drop(connection);
        if !is_gone && missing == 0 {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        self.apply_mapped_teams(&mut tx, &[pid]).await?;
        Ok(db::commit(tx).await?)
    }

    /// The same for many users, in a change of which it is a part.
    pub(super) async fn apply_mapped_teams(
        &self,
        tx: &mut Transaction,
        users: &[i64],
    ) -> Result<(), TokenServerError> {
        let Pairs { pids, teams } = self.wanted_teams(tx, users).await?;
        let mut out = mapped_teams::delete_mapped_but(&mut **tx, users, &pids, &teams).await?;
        let mut into = mapped_teams::insert_mapped(&mut **tx, &pids, &teams, self.clock.now()).await?;
        out.sort_unstable();
        into.sort_unstable();
        let told = |event: Event, rows: Vec<MappedRow>| {
            let one =
                move |row: MappedRow| (event, row.team, Some(format!("{}, by a group elsewhere", row.user)));
            rows.into_iter().map(one)
        };
        let records: Vec<_> =
            told(Event::TeamMemberRemoved, out).chain(told(Event::TeamMemberAdded, into)).collect();
        if records.is_empty() {
            return Ok(());
        }
        self.record_all(tx, &records).await
    }

    /// The teams that the groups of all identities of users mean, of those that count now.
    async fn wanted_teams(&self, tx: &mut Transaction, users: &[i64]) -> Result<Pairs, TokenServerError> {
        let names = self.providers.mapped_groups();
        if names.is_empty() {
            return Ok(Pairs { pids: Vec::new(), teams: Vec::new() });
        }
        let now = self.clock.now();
        let telling = self.providers.iter().filter(|provider| provider.scim.is_some());
        let telling: Vec<String> = telling.map(|provider| provider.name.to_string()).collect();
        let belongings = scim_groups::list_belongings(&mut **tx, users, &names, &telling).await?;
        let mut pairs = BTreeSet::new();
        for belonging in belongings {
            let Some(provider) = self.providers.get(&belonging.provider) else { continue };
            let counts = match belonging.said_at {
                Some(at) => now - at < provider.max_group_age,
                None => provider.scim.is_some(),
            };
            if let Some(team) = provider.teams.get(&belonging.name).filter(|_| counts) {
                pairs.insert((belonging.pid, team.to_string()));
            }
        }
        let (pids, teams) = pairs.into_iter().unzip();
        Ok(Pairs { pids, teams })
    }
}
