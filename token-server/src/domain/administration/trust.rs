//! Whose tokens say which workload somebody is: issuers, rules, and attempts of unknown identities.
//!
//! *Invariant:* all of it is for those who hold everything; a rule names a workload and the rights that it is to have, and
//! is made with them or not at all.

use serde::Deserialize as _;
use serde_json::Value;
use shared::key_set::KeySet;
use uuid::Uuid;

use super::super::error::TokenServerError;
use super::super::grant::Conditions as GrantConditions;
use super::super::grant_spec::GrantSpec;
use super::super::principal_name::PrincipalName;
use super::super::random;
use super::super::record::audit::Event;
use super::super::trust::claims::TokenClaims;
use super::super::trust::conditions::Conditions;
use super::super::trust::issuer_keys;
use super::super::trust::platform::Platform;
use super::super::words::remark;
use super::{Administration, not_found};
use crate::db::trust::{self, NewTrustIssuer, TrustIssuerRow, TrustRuleRow};
use crate::db::trust_attempts::{self, TrustAttemptRow};
use crate::db::{self, Transaction, refresh_tokens, workloads};

/// What an issuer is called in sentences.
const ISSUER: &str = "trusted issuer";

/// What a rule is called in sentences.
const RULE: &str = "trust rule";

/// An issuer that is to be trusted.
#[derive(Clone, Debug)]
pub struct WantedIssuer {
    /// The claim `iss` of its tokens.
    pub url: String,
    /// What their claim `aud` must hold.
    pub audience: String,
    /// Whose claims these are; what the address says, if nothing is said.
    pub platform: Option<Platform>,
    /// The public keys, where they are not to be fetched.
    pub key_set: Option<Value>,
}

/// A rule that is to be made.
#[derive(Clone, Debug, Default)]
pub struct WantedRule {
    /// What tokens must say: claims and their values.
    pub conditions: Vec<(String, String)>,
    /// What the workload is to hold.
    pub grants: Vec<GrantSpec>,
    /// What it is for.
    pub description: Option<String>,
}

impl Administration {
    /// Trusts an issuer to say who workloads are.
    pub async fn add_trust_issuer(
        &self,
        name: &PrincipalName,
        wanted: &WantedIssuer,
    ) -> Result<(), TokenServerError> {
        let WantedIssuer { url, audience, platform, key_set } = wanted;
        check_address(url)?;
        if audience.trim().is_empty() {
            return Err(contradiction(
                "say for which audience tokens must be, such as the address of this server: a token that is for \
                 others as well could be used here by them",
            ));
        }
        if let Some(keys) = key_set {
            let set = KeySet::deserialize(keys).ok().filter(|set| !issuer_keys::usable(set).is_empty());
            set.ok_or_else(|| contradiction("there is no set of public keys with one that can be used"))?;
        }
        let mut tx = self.begin().await?;
        self.demand_everything(&mut tx, "trusting an issuer").await?;
        let there = |name: &str| TokenServerError::AlreadyThere { kind: ISSUER, name: name.to_owned() };
        if trust::find_issuer(&mut *tx, name.as_str()).await?.is_some() {
            return Err(there(name.as_str()));
        }
        if let Some(other) = trust::find_issuer_by_url(&mut *tx, url).await? {
            return Err(there(&format!("{}, for {url}", other.name)));
        }
        let platform = platform.unwrap_or_else(|| Platform::guess(url));
        let row = NewTrustIssuer {
            id: random::dated_id(&self.random, &*self.clock)?,
            name: name.as_str(),
            url,
            audience,
            platform: platform.as_str(),
            key_set: key_set.as_ref(),
            created_by: self.actor.pid(),
        };
        trust::insert_issuer(&mut *tx, &row, self.clock.now()).await?;
        let remark = format!("{url} for {audience}");
        self.record(&mut tx, Event::TrustIssuerAdded, name.as_str(), Some(&remark)).await?;
        Ok(db::commit(tx).await?)
    }

    /// All trusted issuers, by name.
    pub async fn list_trust_issuers(&self) -> Result<Vec<TrustIssuerRow>, TokenServerError> {
        self.demand_sight_of_all("listing trusted issuers").await?;
        Ok(trust::list_issuers(&self.pool).await?)
    }

    /// Trusts an issuer no more; not while a rule names it.
    pub async fn remove_trust_issuer(&self, name: &PrincipalName) -> Result<(), TokenServerError> {
        let mut tx = self.begin().await?;
        self.demand_everything(&mut tx, "trusting an issuer no more").await?;
        let issuer = find_issuer(&mut tx, name.as_str()).await?;
        let rules = trust::list_rules(&mut *tx, Some(issuer.id)).await?;
        if let Some(rule) = rules.first() {
            let sentence = format!(
                "the rule {} is about tokens of {name}; `trust rule remove {}` takes it away",
                rule.name, rule.name
            );
            return Err(TokenServerError::Contradiction(sentence));
        }
        trust::delete_issuer(&mut *tx, issuer.id).await?;
        self.record(&mut tx, Event::TrustIssuerRemoved, name.as_str(), Some(&issuer.url)).await?;
        Ok(db::commit(tx).await?)
    }

    /// Makes tokens a workload, which is made with these rights unless it is there; says which conditions they must fit.
    pub async fn add_trust_rule(
        &self,
        name: &PrincipalName,
        issuer: &str,
        wanted: &WantedRule,
    ) -> Result<Conditions, TokenServerError> {
        let mut tx = self.begin().await?;
        self.demand_everything(&mut tx, "letting a workload log in").await?;
        let issuer = find_issuer(&mut tx, issuer).await?;
        let conditions = Conditions::new(wanted.conditions.iter().cloned(), platform_of(&issuer.platform))?;
        self.insert_rule(&mut tx, name, &issuer, &conditions, wanted).await?;
        db::commit(tx).await?;
        Ok(conditions)
    }

    async fn insert_rule(
        &self,
        tx: &mut Transaction,
        name: &PrincipalName,
        issuer: &TrustIssuerRow,
        conditions: &Conditions,
        wanted: &WantedRule,
    ) -> Result<(), TokenServerError> {
        let description = wanted.description.as_deref();
        remark::check(description)?;
        let pid = if let Some(found) = workloads::find_workload(&mut **tx, name.as_str()).await? {
            let rules = trust::list_rules(&mut **tx, None).await?;
            if rules.iter().any(|rule| rule.pid == found.pid) {
                return Err(TokenServerError::AlreadyThere { kind: RULE, name: name.to_string() });
            }
            found.pid
        } else {
            let pid = self.insert_workload(tx, name, description).await?;
            self.record(tx, Event::WorkloadAdded, name.as_str(), description).await?;
            pid
        };
        for grant in &wanted.grants {
            self.insert_grant(tx, grant, &GrantConditions::default(), None).await?;
            self.record(tx, Event::GrantAdded, &grant.to_string(), None).await?;
        }
        let (stored, now) = (conditions.stored(), self.clock.now());
        trust::insert_rule(&mut **tx, pid, issuer.id, &stored, self.actor.pid(), now).await?;
        let remark = format!("tokens of {} with {conditions}", issuer.name);
        self.record(tx, Event::TrustRuleAdded, name.as_str(), Some(&remark)).await
    }

    /// All rules, by name.
    pub async fn list_trust_rules(&self) -> Result<Vec<TrustRuleRow>, TokenServerError> {
        self.demand_sight_of_all("listing trust rules").await?;
        Ok(trust::list_rules(&self.pool, None).await?)
    }

    /// Lets a workload log in no more; it keeps its rights.
    pub async fn remove_trust_rule(&self, name: &PrincipalName) -> Result<(), TokenServerError> {
        let mut tx = self.begin().await?;
        self.demand_everything(&mut tx, "letting a workload log in no more").await?;
        let found = workloads::find_workload(&mut *tx, name.as_str()).await?;
        let found = found.ok_or_else(|| not_found(RULE, name))?;
        if !trust::delete_rule(&mut *tx, found.pid).await? {
            return Err(not_found(RULE, name));
        }
        refresh_tokens::delete_refresh_tokens_of(&mut *tx, found.pid).await?;
        self.record(&mut tx, Event::TrustRuleRemoved, name.as_str(), None).await?;
        Ok(db::commit(tx).await?)
    }

    /// Tokens that were in order and no workload, the last first.
    pub async fn list_trust_attempts(&self) -> Result<Vec<TrustAttemptRow>, TokenServerError> {
        self.demand_sight_of_all("listing attempts of unknown identities").await?;
        Ok(trust_attempts::list_attempts(&self.pool).await?)
    }

    /// Makes the identity of an attempt a workload, and no other one; says which conditions it has.
    pub async fn accept_trust_attempt(
        &self,
        id: Uuid,
        name: &PrincipalName,
        grants: Vec<GrantSpec>,
    ) -> Result<Conditions, TokenServerError> {
        let mut tx = self.begin().await?;
        self.demand_everything(&mut tx, "letting a workload log in").await?;
        let found = trust_attempts::find_attempt(&mut *tx, id).await?;
        let found =
            found.ok_or_else(|| TokenServerError::NotFound { kind: "attempt", name: id.to_string() })?;
        let issuer = find_issuer(&mut tx, &found.issuer).await?;
        let claims = found.claims.as_object().map(TokenClaims::new).unwrap_or_default();
        let conditions = Conditions::narrow(&claims, platform_of(&issuer.platform))?;
        let wanted = WantedRule { grants, ..WantedRule::default() };
        self.insert_rule(&mut tx, name, &issuer, &conditions, &wanted).await?;
        trust_attempts::delete_attempt(&mut *tx, id).await?;
        db::commit(tx).await?;
        Ok(conditions)
    }
}

async fn find_issuer(tx: &mut Transaction, name: &str) -> Result<TrustIssuerRow, TokenServerError> {
    let found = trust::find_issuer(&mut **tx, name).await?;
    found.ok_or_else(|| TokenServerError::NotFound { kind: ISSUER, name: name.to_owned() })
}

fn platform_of(word: &str) -> Platform {
    Platform::parse(word).unwrap_or(Platform::Generic)
}

fn contradiction(sentence: &str) -> TokenServerError {
    TokenServerError::Contradiction(sentence.to_owned())
}

/// The address is compared with what tokens say letter by letter, so it is kept as it is.
fn check_address(text: &str) -> Result<(), TokenServerError> {
    let wrong = || {
        let sentence = format!("{text:?} is no address of an issuer, such as https://issuer.example/path");
        TokenServerError::Contradiction(sentence)
    };
    let url: url::Url = text.parse().map_err(|_| wrong())?;
    let is_plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && url.has_host();
    if is_plain && matches!(url.scheme(), "https" | "http") { Ok(()) } else { Err(wrong()) }
}
