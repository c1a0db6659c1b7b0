//! Identity providers, as the settings describe them.
//!
//! *Invariant:* which groups are which teams is said by the operator alone; a group that is not named gives nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use shared::secret::Secret;
use url::Url;

use super::super::principal_name::PrincipalName;
use super::super::second_factor::requirement::Requirement;

/// What becomes of somebody who comes for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewUsers {
    /// A user, without any right but those of their groups.
    Create,
    /// Nobody, until an administrator says who they are.
    Ask,
    /// Nobody, and nothing is kept of it.
    Refuse,
}

impl NewUsers {
    /// Every policy.
    pub const ALL: [Self; 3] = [Self::Create, Self::Ask, Self::Refuse];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Ask => "ask",
            Self::Refuse => "refuse",
        }
    }

    /// The policy of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.as_str() == word)
    }
}

/// Which claims say what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimNames {
    /// Who somebody is for ever.
    pub subject: String,
    /// As which user they want to be known.
    pub name: String,
    /// How people call them.
    pub display_name: String,
    /// Which groups they are in.
    pub groups: String,
}

/// A provider that browsers are sent to.
#[derive(Clone, Debug)]
pub struct OpenId {
    /// Its address, as its tokens say it.
    pub issuer: String,
    /// What it calls this server.
    pub client_id: String,
    /// How it knows this server; empty for a client without a secret.
    pub client_secret: Secret,
    /// What it is asked to say.
    pub scopes: Vec<String>,
    /// What else it wants to see when a browser comes.
    pub parameters: BTreeMap<String, String>,
    /// Which of its claims say what.
    pub claims: ClaimNames,
    /// What it must say of somebody.
    pub required: BTreeMap<String, String>,
    /// Which classes of authentication (`acr`) mean that a second factor was shown.
    pub second_factor: Vec<String>,
    /// Certificates of authorities that it is believed by, beside those of the system; PEM.
    pub authorities: Option<Vec<u8>>,
}

/// Which attributes of an entry say what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeNames {
    /// Who somebody is for ever.
    pub subject: String,
    /// As which user they want to be known.
    pub name: String,
    /// How people call them.
    pub display_name: String,
    /// How a group is called.
    pub group: String,
}

/// A directory that is asked whether a password is right.
#[derive(Clone, Debug)]
pub struct Directory {
    /// Who says so, in identities.
    pub issuer: String,
    /// Where it is; those behind the first are asked when the ones before do not answer.
    pub urls: Vec<Url>,
    /// Whether TLS begins on a plain connection.
    pub start_tls: bool,
    /// Which authorities it is believed by; without it, those of the system.
    pub tls: Option<Arc<ClientConfig>>,
    /// Who searches; nobody in particular when it is empty.
    pub bind_dn: String,
    /// With which password.
    pub bind_password: Secret,
    /// Below which entry people are.
    pub base: String,
    /// What finds somebody by the name that was typed.
    pub user_filter: String,
    /// What finds those who may not log in any more.
    pub disabled_filter: Option<String>,
    /// Which attributes say what.
    pub attributes: AttributeNames,
    /// Below which entry groups are.
    pub group_base: String,
    /// What finds the groups of an entry; without it, there are none.
    pub group_filter: Option<String>,
    /// Whether a group in a group counts.
    pub nested_groups: bool,
    /// How long it may take to answer.
    pub timeout: Duration,
    /// How many questions it is asked at a time.
    pub connections: usize,
}

/// What kind of provider it is.
#[derive(Clone, Debug)]
pub enum ProviderKind {
    /// One that browsers are sent to.
    OpenId(Box<OpenId>),
    /// One that is asked whether a password is right.
    Directory(Box<Directory>),
}

/// What a provider says by SCIM that it says of the same people when they sign in, and never otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScimSubject {
    /// The attribute `externalId`.
    ExternalId,
    /// The attribute `userName`.
    UserName,
}

/// A provider.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Under which name it stands in the settings; part of addresses.
    pub name: PrincipalName,
    /// What people read.
    pub title: String,
    /// What becomes of newcomers.
    pub new_users: NewUsers,
    /// Which groups are which teams.
    pub teams: BTreeMap<String, PrincipalName>,
    /// How long groups count of which nothing was heard.
    pub max_group_age: Duration,
    /// Whether it makes users by SCIM, and how it says who they are.
    pub scim: Option<ScimSubject>,
    /// The rest.
    pub kind: ProviderKind,
}

impl Provider {
    /// Who says so, in identities.
    pub fn issuer(&self) -> &str {
        match &self.kind {
            ProviderKind::OpenId(open_id) => &open_id.issuer,
            ProviderKind::Directory(directory) => &directory.issuer,
        }
    }

    /// The provider as one that browsers are sent to.
    pub fn open_id(&self) -> Option<&OpenId> {
        match &self.kind {
            ProviderKind::OpenId(open_id) => Some(open_id),
            ProviderKind::Directory(_) => None,
        }
    }

    /// The provider as one that is asked whether a password is right.
    pub fn directory(&self) -> Option<&Directory> {
        match &self.kind {
            ProviderKind::OpenId(_) => None,
            ProviderKind::Directory(directory) => Some(directory),
        }
    }
}

/// How people sign in.
#[derive(Clone, Debug)]
pub struct SignOnSettings {
    /// Where browsers reach this server; without it, there are no pages.
    pub url: Option<Url>,
    /// A session ends when it was not used for so long.
    pub idle: Duration,
    /// A session ends after so long in any case.
    pub lifetime: Duration,
    /// Who administers only with a second factor.
    pub second_factor: Requirement,
    /// From where people come.
    pub providers: Providers,
}

/// All providers, by name.
#[derive(Clone, Debug, Default)]
pub struct Providers(Arc<BTreeMap<String, Provider>>);

impl Providers {
    /// These.
    pub fn new(providers: impl IntoIterator<Item = Provider>) -> Self {
        let named = providers.into_iter().map(|provider| (provider.name.to_string(), provider));
        Self(Arc::new(named.collect()))
    }

    /// The provider of that name.
    pub fn get(&self, name: &str) -> Option<&Provider> {
        self.0.get(name)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Provider> {
        self.0.values()
    }

    /// All groups that are teams.
    pub fn mapped_groups(&self) -> Vec<String> {
        let all: BTreeSet<&String> = self.iter().flat_map(|provider| provider.teams.keys()).collect();
        all.into_iter().cloned().collect()
    }
}
