//! Taking users and rights over from docker_auth.
//!
//! *Invariant:* everything is taken over in one transaction, or nothing; what is there already stays as it is, so that
//! doing it again changes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use shared::repository_name::RepositoryName;
use shared::secret::Secret;

use super::super::background::computed;
use super::super::docker_auth::comparison::{Effort, StoredRights};
use super::super::docker_auth::config::{Config, InvalidConfig};
use super::super::docker_auth::plan::{OwnSettings, Plan, Stored, UserOutcome, Wish};
use super::super::docker_auth::rows::PlannedRow;
use super::super::error::TokenServerError;
use super::super::grant::{Conditions, Effect};
use super::super::principal_name::PrincipalName;
use super::super::record::audit::Event;
use super::super::stored_rows;
use super::grants::{Texts, meant};
use super::namespaces::owners_row;
use super::{Administration, hold_subject};
use crate::db::grants::{self, GrantSummary, Inserted, NewGrant};
use crate::db::principals::PrincipalRow;
use crate::db::{self, Transaction, principals, teams, users};

/// What is refused to who does not hold everything.
pub const TAKING_OVER: &str = "taking over users and rights";

/// What a record says of where something comes from.
const FROM: &str = "from docker_auth";

/// No principal has this number; it stands for a user who has nothing of their own.
const NOBODY_YET: i64 = 0;

/// Reads the settings of docker_auth.
pub async fn read_config(text: Secret) -> Result<Config, InvalidConfig> {
    computed(move || Config::parse(text.expose())).await
}

/// What became of a part of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is here since now.
    New,
    /// It was here before.
    AlreadyThere,
    /// A row that says the same counts on other conditions; it stays.
    OtherConditions,
}

/// What became of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// In the order of the plan's users; nothing for those that are not taken over.
    pub users: Vec<Option<Taken>>,
    /// In the order of the plan's rows.
    pub rows: Vec<Taken>,
}

impl Administration {
    /// Plans taking over users and rights; changes nothing.
    pub async fn plan_import(
        &self,
        config: Arc<Config>,
        own: Arc<OwnSettings>,
        repositories: Option<BTreeSet<RepositoryName>>,
        effort: Effort,
    ) -> Result<Plan, TokenServerError> {
        self.demand_sight_of_all(TAKING_OVER).await?;
        let (stored, now) = (self.stored(&config).await?, self.clock.now());
        let plan = computed(move || {
            let wish = Wish { own: &own, repositories: repositories.as_ref(), effort, now };
            Plan::make(&config, &stored, wish)
        });
        Ok(plan.await?)
    }

    async fn stored(&self, config: &Config) -> Result<Stored, TokenServerError> {
        let mut stored = Stored {
            rows: grants::list_grants(&self.pool).await?.iter().map(words).collect(),
            teams: teams::list_teams(&self.pool).await?.into_iter().map(|team| team.name).collect(),
            users: users::list_users(&self.pool).await?.into_iter().map(|user| user.name).collect(),
            rights: StoredRights {
                everyone: stored_rows::whole(&self.pool, None).await?,
                authenticated: stored_rows::whole(&self.pool, Some(NOBODY_YET)).await?,
                ..StoredRights::default()
            },
        };
        let names = config.users.iter().filter_map(|user| PrincipalName::parse(&user.name).ok());
        let names: Vec<String> = names.map(|name| name.to_string()).collect();
        let users = principals::list_named(&self.pool, principals::USER, &names).await?;
        let pids: Vec<i64> = users.iter().map(|user| user.pid).collect();
        let mut rights = stored_rows::whole_of_each(&self.pool, &pids).await?;
        for PrincipalRow { pid, name, .. } in users {
            stored.rights.users.insert(name, rights.remove(&pid).unwrap_or_default());
        }
        for user in &config.users {
            let Ok(name) = PrincipalName::parse_new(&user.name) else { continue };
            if self.gives_namespace(&name) && !stored.users.contains(name.as_str()) {
                // Not stored yet, but it will be together with the user.
                let mut rights = stored.rights.authenticated.clone();
                rights.grants.push(owners_row(&name)?);
                stored.rights.users.insert(name.to_string(), rights);
            }
        }
        Ok(stored)
    }

    /// Does what was planned.
    pub async fn apply_import(&self, plan: &Plan) -> Result<Applied, TokenServerError> {
        let mut applied = Applied::default();
        let mut tx = self.begin().await?;
        self.demand_everything(&mut tx, TAKING_OVER).await?;
        // Records come last: whoever writes one keeps others from it until the transaction ends.
        let mut done: Vec<(Event, String, Option<String>)> = Vec::new();
        for user in &plan.users {
            applied.users.push(match &user.outcome {
                UserOutcome::New(name, hash) => {
                    let pid = self.insert_user(&mut tx, name, Some(hash.expose())).await?;
                    if let Some(spec) = self.make_personal_namespace(&mut tx, name, pid).await? {
                        done.push((Event::NamespaceAdded, name.to_string(), Some(spec.to_string())));
                    }
                    done.push((Event::UserAdded, name.to_string(), Some(FROM.to_owned())));
                    Some(Taken::New)
                }
                UserOutcome::AlreadyThere(_) => Some(Taken::AlreadyThere),
                UserOutcome::Refused(_) => None,
            });
        }
        for row in &plan.rows {
            let taken = self.insert_row(&mut tx, row).await?;
            if taken == Taken::New {
                done.push((Event::GrantAdded, row.spec.to_string(), Some(FROM.to_owned())));
            }
            applied.rows.push(taken);
        }
        self.record_all(&mut tx, &done).await?;
        db::commit(tx).await?;
        Ok(applied)
    }

    async fn insert_row(&self, tx: &mut Transaction, row: &PlannedRow) -> Result<Taken, TokenServerError> {
        let conditions = Conditions { networks: row.networks.clone(), ..Conditions::default() };
        let grant = meant(tx, &row.spec, &conditions).await?;
        let holder = hold_subject(tx, &row.spec.subject).await?;
        let texts = Texts::of(&grant);
        let reason = Some(FROM);
        let new = NewGrant { reason, created_by: self.actor.pid(), ..texts.new_grant(holder, &grant) };
        Ok(match grants::insert_grant(tx, &new, self.clock.now()).await? {
            Inserted::New(_) => Taken::New,
            Inserted::Same => Taken::AlreadyThere,
            Inserted::OtherConditions => Taken::OtherConditions,
        })
    }
}

/// A stored row as [`super::super::grant_spec::GrantSpec`] prints.
fn words(row: &GrantSummary) -> String {
    let subject = match row.subject_kind.as_str() {
        kind @ (principals::USER | principals::TEAM) => format!("{kind}:{}", row.subject_name),
        _ => row.subject_name.clone(),
    };
    let denies = if row.row.effect == Effect::Deny.as_str() { "deny " } else { "" };
    let what = row.row.role.as_deref().or(row.row.rights.as_deref()).unwrap_or_default();
    let tags = row.row.tags.as_ref().map(|tags| format!(":{tags}")).unwrap_or_default();
    format!("{subject} {denies}{what} {}{tags}", row.row.pattern)
}
