//! `signon`: the pages for people, and the providers at which they prove who they are.
//!
//! *Invariant:* an issuer is one provider only, because it says with which of them an identity was made.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use shared::secret::Secret;
use shared::server::settings::{Duration as DurationText, SettingsError};
use url::{Host, Url};

use super::Problems;
use super::directory::{RawAttributes, directory};
use crate::domain::principal_name::PrincipalName;
use crate::domain::second_factor::requirement::Requirement;
use crate::domain::signon::code_flow;
use crate::domain::signon::provider::{
    ClaimNames, NewUsers, OpenId, Provider, ProviderKind, Providers, ScimSubject, SignOnSettings,
};

#[derive(Debug, Deserialize)]
pub(super) struct RawSignOn {
    url: Option<String>,
    idle: DurationText,
    lifetime: DurationText,
    secondfactor: String,
    #[serde(default)]
    providers: BTreeMap<String, RawProvider>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RawProvider {
    #[serde(default)]
    kind: String,
    title: Option<String>,
    newusers: Option<String>,
    #[serde(default)]
    teams: BTreeMap<String, String>,
    maxgroupage: Option<DurationText>,
    scim: Option<String>,
    #[serde(default)]
    issuer: String,
    #[serde(default)]
    clientid: String,
    #[serde(default)]
    clientsecret: Secret,
    scopes: Option<Vec<String>>,
    #[serde(default)]
    parameters: BTreeMap<String, String>,
    #[serde(default)]
    claims: RawClaims,
    #[serde(default)]
    require: BTreeMap<String, String>,
    #[serde(default)]
    secondfactor: Vec<String>,
    pub(super) cafile: Option<PathBuf>,
    #[serde(default)]
    pub(super) url: Vec<String>,
    #[serde(default)]
    pub(super) starttls: bool,
    #[serde(default)]
    pub(super) allowplaintext: bool,
    #[serde(default)]
    pub(super) binddn: String,
    #[serde(default)]
    pub(super) bindpassword: Secret,
    #[serde(default)]
    pub(super) base: String,
    pub(super) userfilter: Option<String>,
    pub(super) disabledfilter: Option<String>,
    #[serde(default)]
    pub(super) attributes: RawAttributes,
    pub(super) groupbase: Option<String>,
    pub(super) groupfilter: Option<String>,
    pub(super) nestedgroups: Option<bool>,
    pub(super) timeout: Option<DurationText>,
    pub(super) connections: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
struct RawClaims {
    subject: Option<String>,
    name: Option<String>,
    displayname: Option<String>,
    groups: Option<String>,
}

/// Without this, a provider would not say who somebody is.
const OPENID: &str = "openid";

const DEFAULT_SCOPES: [&str; 2] = [OPENID, "profile"];

const DEFAULT_GROUP_AGE: Duration = Duration::from_hours(24);

const MIN_SESSION: Duration = Duration::from_mins(1);

const MAX_SESSION: Duration = Duration::from_hours(24 * 30);

const MAX_GROUP_AGE: Duration = Duration::from_hours(24 * 90);

/// Whether an address is safe to be asked: nobody on the way can read or change what is said.
fn is_private(url: &Url) -> bool {
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || url.scheme() == "http" && is_loopback
}

impl RawProvider {
    /// Whether it is only there as an example: whatever it is, it would have one of these.
    fn is_blank(&self) -> bool {
        let Self { kind, issuer, url, clientid, base, .. } = self;
        kind.is_empty() && issuer.is_empty() && url.is_empty() && clientid.is_empty() && base.is_empty()
    }

    fn read(&self, name: &str, problems: &mut Problems) -> Option<Provider> {
        let key = |rest: &str| format!("signon.providers.{name}.{rest}");
        let mut wrong = |key: String, sentence: &str| problems.add(format!("`{key}` {sentence}"));
        let policy = self.newusers.as_deref().map_or(Some(NewUsers::Ask), NewUsers::parse);
        if policy.is_none() {
            wrong(key("newusers"), "must be create, ask or refuse");
        }
        let mut teams = BTreeMap::new();
        for (group, team) in &self.teams {
            match PrincipalName::parse(team) {
                Ok(team) => {
                    teams.insert(group.clone(), team);
                }
                Err(error) => wrong(key("teams"), &format!("has {team:?}, which is no team: {error}")),
            }
        }
        let parsed = PrincipalName::parse(name);
        if parsed.is_err() {
            wrong(key(""), "is no name; use letters, digits and dashes");
        }
        let scim = match self.scim.as_deref().unwrap_or_default().to_ascii_lowercase().as_str() {
            "" => None,
            "externalid" => Some(ScimSubject::ExternalId),
            "username" => Some(ScimSubject::UserName),
            _ => {
                wrong(key("scim"), "must be externalid or username");
                None
            }
        };
        if scim.is_some() && self.kind == "ldap" {
            wrong(key("scim"), "is for providers of the kind oidc; a directory is asked who is in it");
        }
        let kind = match self.kind.as_str() {
            "oidc" => Some(ProviderKind::OpenId(Box::new(self.open_id(name, problems)))),
            "ldap" => {
                directory(self, name, problems).map(|directory| ProviderKind::Directory(Box::new(directory)))
            }
            _ => {
                problems.add(format!("`signon.providers.{name}.kind` must be oidc or ldap"));
                None
            }
        };
        let age = self.maxgroupage.unwrap_or(DurationText(DEFAULT_GROUP_AGE));
        problems.range(&key("maxgroupage"), age, Duration::from_mins(1), MAX_GROUP_AGE);
        Some(Provider {
            name: parsed.ok()?,
            title: self.title.clone().unwrap_or_else(|| name.to_owned()),
            new_users: policy?,
            teams,
            max_group_age: age.0,
            scim,
            kind: kind?,
        })
    }

    fn open_id(&self, name: &str, problems: &mut Problems) -> OpenId {
        let key = |rest: &str| format!("`signon.providers.{name}.{rest}`");
        let address: Option<Url> = self.issuer.parse().ok();
        if !address.is_some_and(|url| is_private(&url) && url.query().is_none()) {
            problems.add(format!("{} must be an https address", key("issuer")));
        }
        if self.clientid.is_empty() {
            problems.add(format!("{} is not set", key("clientid")));
        }
        let scopes = self.scopes.clone();
        let scopes = scopes.unwrap_or_else(|| DEFAULT_SCOPES.map(str::to_owned).to_vec());
        if !scopes.iter().any(|scope| scope == OPENID) {
            problems.add(format!("{} must have {OPENID} in it", key("scopes")));
        }
        if let Some(own) =
            self.parameters.keys().find(|name| code_flow::OWN_PARAMETERS.contains(&name.as_str()))
        {
            problems.add(format!("{} cannot have {own}, which is different each time", key("parameters")));
        }
        let authorities = self.cafile.as_ref().and_then(|file| match std::fs::read(file) {
            Ok(pem) => Some(pem),
            Err(error) => {
                problems.add(format!("{}: {} cannot be read: {error}", key("cafile"), file.display()));
                None
            }
        });
        let claim = |given: &Option<String>, usual: &str| given.clone().unwrap_or_else(|| usual.to_owned());
        OpenId {
            issuer: self.issuer.clone(),
            client_id: self.clientid.clone(),
            client_secret: self.clientsecret.clone(),
            scopes,
            parameters: self.parameters.clone(),
            claims: ClaimNames {
                subject: claim(&self.claims.subject, "sub"),
                name: claim(&self.claims.name, "preferred_username"),
                display_name: claim(&self.claims.displayname, "name"),
                groups: claim(&self.claims.groups, "groups"),
            },
            required: self.require.clone(),
            second_factor: self.secondfactor.clone(),
            authorities,
        }
    }
}

/// Reads them.
pub(super) fn sign_on(raw: &RawSignOn) -> Result<SignOnSettings, SettingsError> {
    let mut problems = Problems::default();
    let url = raw.url.as_deref().filter(|url| !url.is_empty()).and_then(|text| {
        let url = text.parse().ok().filter(|url: &Url| is_private(url) && url.path() == "/");
        if url.is_none() {
            problems.add(
                "`signon.url` must be an https address without a path; http is for this machine only \
                 (http://127.0.0.1 or http://localhost)",
            );
        }
        url
    });
    problems.range("signon.idle", raw.idle, MIN_SESSION, MAX_SESSION);
    problems.range("signon.lifetime", raw.lifetime, MIN_SESSION, MAX_SESSION);
    let second_factor = Requirement::parse(&raw.secondfactor);
    if second_factor.is_none() {
        problems.add("`signon.secondfactor` must be none, administrators or everybody");
    }
    let given = raw.providers.iter().filter(|(_, provider)| !provider.is_blank());
    let read = given.filter_map(|(name, provider)| provider.read(name, &mut problems));
    let providers: Vec<Provider> = read.collect();
    let mut issuers = BTreeSet::new();
    for provider in &providers {
        if !issuers.insert(provider.issuer()) {
            problems
                .add(format!("`signon.providers` has two providers with the issuer {}", provider.issuer()));
        }
    }
    if url.is_none() && providers.iter().any(|provider| provider.open_id().is_some()) {
        problems.add("`signon.url` is not set, so no browser could come back from a provider");
    }
    if !problems.0.is_empty() {
        return Err(SettingsError::Problems(problems.0));
    }
    Ok(SignOnSettings {
        url,
        idle: raw.idle.0,
        lifetime: raw.lifetime.0,
        second_factor: second_factor.unwrap_or_default(),
        providers: Providers::new(providers),
    })
}
