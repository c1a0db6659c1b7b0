//! One request for a token, from credentials to signature.
//!
//! *Invariant:* presented credentials that fail end in an error, never in an anonymous token; nothing is created on
//! a request but records and the refresh token that was asked for.
//!
//! Spec: distribution, "Token Authentication Specification".

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ring::rand::SystemRandom;
use shared::clock::Clock;
use shared::repository_name::RepositoryName;
use shared::scope::{Resource, Scope, ScopeList};
use shared::secret::Secret;

use super::audience::{AudienceRef, Audiences, Verifier};
use super::credential_limits::CredentialLimits;
use super::error::TokenServerError;
use super::grant::Circumstances;
use super::grantors::grantors;
use super::issue::{self, Asker, Decision, Relevant, TokenFrame};
use super::keys::key_ring::SigningKeys;
use super::login::authenticate::{Authenticator, Credentials};
use super::login::device::Begun;
use super::login::refresh::{Brought, Holder, Login};
use super::login::request_limit::RequestLimit;
use super::login::subject::Subject;
use super::policy::{Held, Rows};
use super::random;
use super::record::audit::{Event, Origin, Outcome, Record};
use super::record::audit_repeats::AuditRepeats;
use super::record::token_uses::TokenUses;
use super::row_source::View;
use super::shadow::{Decided, ShadowRules};
use super::trust::workloads;
use crate::db::Pool;

/// Whether the client wants to keep the login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It will ask again with the same credentials.
    Online,
    /// It wants a refresh token.
    Offline,
}

/// What a client asks for.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    /// Who it says it is.
    pub credentials: Option<Credentials>,
    /// The user name it expects to be; only compared.
    pub account: Option<String>,
    /// The registry it wants to talk to.
    pub service: Option<String>,
    /// The rights it wants.
    pub scopes: ScopeList,
    /// Whether it asked for any rights, understandable or not.
    pub asked_for_scopes: bool,
    /// What it calls itself.
    pub client_id: String,
    /// Whether it wants to keep the login.
    pub access: Access,
}

/// What it gets.
#[derive(Clone, Debug)]
pub struct IssuedToken {
    /// The signed token.
    pub token: String,
    /// Its lifetime in whole seconds. Clients take less than 60 for 60, and ask again when the token is refused.
    pub expires_in: u64,
    /// What it allows.
    pub granted: ScopeList,
    /// The refresh token, when one was asked for and may be had.
    pub refresh_token: Option<Secret>,
    /// User name, empty for anonymous.
    pub subject: String,
}

/// What an issuer is configured with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerSettings {
    /// The claim `iss`.
    pub issuer: String,
    /// How long tokens live.
    pub lifetime: Duration,
    /// Who they can be for.
    pub audiences: Audiences,
}

/// Where it is remembered what an issuer did.
pub struct IssuerRecords {
    /// What it refused.
    pub repeats: Arc<AuditRepeats>,
    /// What it issued tokens for.
    pub uses: Arc<TokenUses>,
    /// How many somebody may ask for.
    pub limit: RequestLimit,
}

/// Of so many refused repositories it is said who can give them; clients ask for two at most.
const MAX_ASKED_ABOUT: usize = 4;

/// Issues tokens.
pub struct TokenIssuer {
    settings: IssuerSettings,
    pool: Pool,
    clock: Arc<dyn Clock>,
    random: SystemRandom,
    authenticator: Arc<Authenticator>,
    keys: Arc<SigningKeys>,
    records: IssuerRecords,
    shadow: Option<Arc<ShadowRules>>,
}

impl TokenIssuer {
    /// Puts the parts together.
    pub fn new(
        settings: IssuerSettings,
        pool: Pool,
        clock: Arc<dyn Clock>,
        random: SystemRandom,
        authenticator: Arc<Authenticator>,
        keys: Arc<SigningKeys>,
        records: IssuerRecords,
    ) -> Self {
        Self { settings, pool, clock, random, authenticator, keys, records, shadow: None }
    }

    /// Compares each answer with those of these rules, if there are any.
    #[must_use]
    pub fn beside(self, shadow: Option<Arc<ShadowRules>>) -> Self {
        Self { shadow, ..self }
    }

    /// Lets a program wait for somebody to allow it to log in at a registry.
    pub async fn begin_device(
        &self,
        service: Option<&str>,
        client_id: &str,
        origin: &Origin,
    ) -> Result<Begun, TokenServerError> {
        let audience = self.settings.audiences.resolve(service)?;
        let begun = self.authenticator.devices().begin(audience.name, client_id, origin).await?;
        begun.ok_or(TokenServerError::TooManyDevices)
    }

    /// Answers a request.
    pub async fn issue_token(
        &self,
        request: &TokenRequest,
        origin: &Origin,
    ) -> Result<IssuedToken, TokenServerError> {
        let audience = self.settings.audiences.resolve(request.service.as_deref())?;
        let rows = self.authenticator.rows();
        let before = rows.view().await;
        // From before the login is checked: what takes it back meanwhile takes back what comes of it.
        let decided = before.decided().await?;
        let subject = self.authenticate(request, audience, origin, &before).await?;
        let limit = &self.records.limit;
        limit
            .take(&subject, origin, &*self.clock)
            .map_err(|wait| TokenServerError::TooManyTokenRequests { seconds: wait.as_secs() })?;
        // Checking a password takes its time.
        let has_password = subject.pid().is_some() && subject.credential().is_none();
        let view = if has_password { rows.view().await } else { before };
        let decision = self.decide(&subject, &view, &request.scopes, audience.verifier, origin).await?;
        if let Some(shadow) = &self.shadow {
            shadow.compare(&Decided {
                user: subject.user_name(),
                service: audience.name,
                address: origin.ip(),
                requested: &request.scopes,
                decision: &decision,
                now: self.clock.unix_now(),
            });
        }
        self.record_refusals(&subject, &decision, origin).await?;
        let refresh_token = self.refresh_token(request, &subject, audience, origin).await?;
        let frame = TokenFrame {
            issuer: &self.settings.issuer,
            audience,
            now: self.clock.unix_now(),
            lifetime: audience.lifetime.unwrap_or(self.settings.lifetime),
            decided: Some(decided),
            id: random::random_id(&self.random)?,
        };
        let (claims, lifetime) = issue::claims(&decision, &subject, &frame);
        let keys = self.keys.current();
        let token =
            keys.signing_key(audience.algorithm, self.clock.now()).sign(&claims, audience.verifier)?;
        self.records.uses.note(&*self.clock, &subject, &decision, origin);
        Ok(IssuedToken {
            token,
            expires_in: lifetime.as_secs(),
            granted: decision.granted.into_iter().collect(),
            refresh_token,
            subject: subject.name().to_owned(),
        })
    }

    async fn authenticate(
        &self,
        request: &TokenRequest,
        audience: AudienceRef<'_>,
        origin: &Origin,
        view: &View,
    ) -> Result<Subject, TokenServerError> {
        let account = request.account.as_deref();
        let subject = match &request.credentials {
            // A login without credentials must not look as if it had succeeded.
            None if !request.asked_for_scopes || account.is_some() => {
                return Err(TokenServerError::CredentialsRequired);
            }
            None => return Ok(Subject::Anonymous),
            Some(Credentials::Password { user, password }) => {
                if account.is_some_and(|account| !account.eq_ignore_ascii_case(user)) {
                    return Err(ACCOUNT_MISMATCH);
                }
                self.authenticator.authenticate(user, password, origin, view).await?
            }
            Some(Credentials::RefreshToken(token)) => {
                let brought = brought(token, request, audience);
                self.authenticator.authenticate_refresh_token(&brought, origin, view).await?
            }
            Some(Credentials::Device(code)) => {
                let brought = brought(code, request, audience);
                Subject::User(self.authenticator.authenticate_device(&brought, origin).await?)
            }
        };
        let is_named = |account: &str| {
            // Workloads are called what they are only by us.
            let is_workload = matches!(subject, Subject::Workload(_));
            account.eq_ignore_ascii_case(subject.name()) || (is_workload && account == workloads::USER)
        };
        if account.is_some_and(|account| !is_named(account)) {
            return Err(ACCOUNT_MISMATCH);
        }
        Ok(subject)
    }

    async fn decide(
        &self,
        subject: &Subject,
        view: &View,
        requested: &ScopeList,
        verifier: Verifier,
        origin: &Origin,
    ) -> Result<Decision, TokenServerError> {
        if requested.is_empty() {
            return Ok(Decision::default());
        }
        let names: Vec<_> = requested.iter().filter_map(|scope| scope.resource.repository()).collect();
        let mut near = view.near(subject.pid(), &names).await?;
        let mut all = if requested.iter().any(|scope| scope.resource == Resource::Catalog) {
            view.all(subject.pid()).await?
        } else {
            None
        };
        for rows in all.iter_mut().chain([&mut near]) {
            rows.limits = subject.limits().cloned();
            if let Subject::Workload(workload) = subject {
                rows.fill_in(&workload.claims);
            }
        }
        let circumstances = Circumstances {
            now: self.clock.now(),
            address: origin.ip(),
            second_factor: subject.has_second_factor(),
        };
        let relevant = Relevant { near, all };
        let asker = Asker { user: subject.user_name(), circumstances, verifier };
        let mut decision = issue::decide(requested, &relevant, asker);
        if subject.pid().is_some() && verifier == Verifier::Portcullis {
            decision.ask = self.whom_to_ask(&decision.refused, &relevant.near, asker);
        }
        Ok(decision)
    }

    /// Who can give what was refused, by repository.
    fn whom_to_ask(
        &self,
        refused: &[Scope],
        near: &Rows,
        asker: Asker<'_>,
    ) -> BTreeMap<RepositoryName, Vec<String>> {
        let mut ask = BTreeMap::new();
        for scope in refused.iter().take(MAX_ASKED_ABOUT) {
            let Resource::Repository(name) = &scope.resource else { continue };
            let held = Held::of(near, name, asker.user, asker.circumstances);
            let is_seen = !held.rights().is_empty();
            // Where nothing is seen, nothing that stands there makes a difference, not even in time.
            let Some(managers) = self.authenticator.rows().managers(is_seen.then_some(name)) else {
                continue;
            };
            // Where whoever is asked comes from is not known, and they can show a second factor.
            let circumstances = Circumstances { address: None, second_factor: true, ..asker.circumstances };
            let names = grantors(&managers, name, scope.actions, is_seen, circumstances);
            if !names.is_empty() {
                ask.insert(name.clone(), names);
            }
        }
        ask
    }

    async fn record_refusals(
        &self,
        subject: &Subject,
        decision: &Decision,
        origin: &Origin,
    ) -> Result<(), TokenServerError> {
        let refused = decision.refused.iter().map(|scope| (refused_because(subject, scope), scope));
        let withheld = decision.withheld.iter().map(|(scope, why)| (why.as_str(), scope));
        let mut by_reason: BTreeMap<&str, Vec<&Scope>> = BTreeMap::new();
        for (reason, scope) in refused.chain(withheld) {
            by_reason.entry(reason).or_default().push(scope);
        }
        for (reason, scopes) in by_reason {
            let target = printed(&scopes);
            let refusal = Record {
                event: Event::ScopesRefused,
                actor: subject.name(),
                actor_uid: subject.uid(),
                target: &target,
                outcome: Outcome::Refused(reason),
            };
            self.records.repeats.record(&self.pool, &*self.clock, origin, refusal).await?;
        }
        Ok(())
    }

    /// Only a login with the password of a user, or with the token of a platform, makes a new refresh token; using one gives the same again, because most
    /// clients that keep it cannot replace it. Secrets of robots and personal access tokens can be revoked by themselves.
    async fn refresh_token(
        &self,
        request: &TokenRequest,
        subject: &Subject,
        audience: AudienceRef<'_>,
        origin: &Origin,
    ) -> Result<Option<Secret>, TokenServerError> {
        let (tokens, offline) = (self.authenticator.refresh_tokens(), request.access == Access::Offline);
        match (&request.credentials, subject) {
            (Some(Credentials::RefreshToken(token)), Subject::User(_) | Subject::Workload(_))
                if offline || tokens.rotates(&request.client_id) =>
            {
                let brought = brought(token, request, audience);
                let next = tokens.next(&self.pool, &*self.clock, &self.random, &brought, origin);
                next.await.map(Some)
            }
            // A program that people allow keeps the login, which is what it was allowed for.
            (Some(Credentials::Device(_)), Subject::User(user)) => {
                let (audience, client_id) = (audience.name, request.client_id.as_str());
                let login = Login { holder: Holder::User(user), audience, client_id, origin };
                tokens.issue(&self.pool, &*self.clock, &self.random, &login).await
            }
            (Some(Credentials::Password { .. }), _) if offline => {
                let holder = match subject {
                    Subject::User(user) => Holder::User(user),
                    Subject::Workload(workload) => {
                        Holder::Workload(workload, self.authenticator.workload_session())
                    }
                    Subject::Anonymous | Subject::Robot(_) => return Ok(None),
                };
                let login = Login { holder, audience: audience.name, client_id: &request.client_id, origin };
                tokens.issue(&self.pool, &*self.clock, &self.random, &login).await
            }
            _ => Ok(None),
        }
    }
}

fn brought<'a>(token: &'a Secret, request: &'a TokenRequest, audience: AudienceRef<'a>) -> Brought<'a> {
    Brought { token, audience: audience.name, client_id: &request.client_id }
}

const ACCOUNT_MISMATCH: TokenServerError =
    TokenServerError::UnusableCredentials("the parameter `account` names another user than the credentials");

/// The word in the record for a right that was not given.
fn refused_because(subject: &Subject, scope: &Scope) -> &'static str {
    let is_outside = |limits: &CredentialLimits| {
        scope.resource.repository().is_some_and(|repository| !limits.covers(repository))
    };
    match subject {
        Subject::Anonymous => "anonymous",
        _ if subject.limits().is_some_and(|limits| is_outside(limits)) => "outside_of_credential",
        Subject::User(_) | Subject::Robot(_) | Subject::Workload(_) => "no_grant",
    }
}

fn printed(scopes: &[&Scope]) -> String {
    scopes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
