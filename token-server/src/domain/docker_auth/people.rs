//! Everybody whose rights are compared: the users of the file, somebody else who is logged in, and nobody.
//!
//! *Invariant:* somebody else is no user of the file, and no rule names them.

use super::config::Config;
use super::rule::{Labels, Request};
use crate::domain::principal_name::PrincipalName;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The name there; empty for nobody.
    pub account: String,
    /// The name here; nothing for nobody.
    pub user: Option<String>,
    /// Whether the person is in the file.
    pub is_known: bool,
    /// What is known of them.
    pub labels: Labels,
}

/// Names that stand for users who come later, or from elsewhere.
const STRANGERS: &[&str] = &["somebody-else", "x", "zed.9_q-1"];

impl Person {
    /// Nobody, if people without a login are let in or not.
    pub(super) fn nobody(config: &Config) -> Self {
        Self {
            account: String::new(),
            user: None,
            is_known: true,
            labels: config.anonymous.clone().unwrap_or_default(),
        }
    }

    /// A user of the file, by the name here.
    pub(super) fn known(account: &str, name: &PrincipalName, labels: &Labels) -> Self {
        let user = Some(name.as_str().to_owned());
        Self { account: account.to_owned(), user, is_known: true, labels: labels.clone() }
    }

    /// Users who are not in the file; the first of them is asked about.
    pub(super) fn strangers(config: &Config) -> Vec<Self> {
        let of = |name: &&str| Self {
            account: (*name).to_owned(),
            user: Some((*name).to_owned()),
            is_known: false,
            labels: Labels::new(),
        };
        STRANGERS.iter().filter(|name| config.user(name).is_none()).map(of).collect()
    }

    /// A request of theirs.
    pub(super) fn request<'a>(&'a self, kind: &'a str, name: &'a str, service: &'a str) -> Request<'a> {
        Request { account: &self.account, kind, name, service, address: None, labels: &self.labels }
    }

    /// What a list calls them.
    pub fn title(&self) -> &str {
        match (&self.user, self.is_known) {
            (None, _) => "anonymous",
            (Some(_), false) => "any other user",
            (Some(_), true) => &self.account,
        }
    }
}
