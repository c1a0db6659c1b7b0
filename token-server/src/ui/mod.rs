//! Pages for people: signing in and out, and what they log in with.
//!
//! Reading order: which pages there are ([`page`], [`address`]), who is visiting ([`visit`], with what the browser keeps
//! in [`cookies`]), how a page is sent ([`render`]) and how refusals look ([`error`]); then the pages themselves: signing in with a
//! password ([`sign_in`], and a [`second_factor`]) or at a provider ([`provider`], and what that one says by itself in [`back_channel`]),
//! the account ([`account`]), its second factors ([`factors`], with [`app`] and [`passkeys`], for which one shows anew who
//! one is: [`prove`]), tokens ([`tokens`]) and logins ([`logins`]), programs that wait ([`device`]), and signing out ([`sign_out`]).
//!
//! *Invariant:* pages work without scripts and run none, but for the one that talks to passkeys; a form counts only if this server showed it to this browser;
//! texts of others are never markup.

pub mod page;

pub mod address;

pub mod cookies;

pub mod visit;

pub mod render;

pub mod error;

pub mod sign_in;

pub mod second_factor;

pub mod prove;

pub mod factors;

pub mod app;

pub mod passkeys;

pub mod provider;

pub mod back_channel;

pub mod account;

pub mod tokens;

pub mod logins;

pub mod device;

pub mod sign_out;

use std::sync::Arc;

use ring::rand::SystemRandom;
use shared::clock::Clock;
use url::Url;

use crate::domain::keys::master_secret::MasterSecret;
use crate::domain::second_factor::factors::SecondFactors;
use crate::domain::signon::code_flow::OpenIdClients;
use crate::domain::signon::sessions::BrowserSessions;

/// What pages work with, besides what the rest of the server does.
#[derive(Clone)]
pub struct Pages {
    /// Where browsers reach this server.
    pub url: Url,
    /// Who is signed in where.
    pub sessions: Arc<BrowserSessions>,
    /// What they show besides a password.
    pub factors: Arc<SecondFactors>,
    /// Providers that browsers are sent to.
    pub clients: OpenIdClients,
    /// With what things are sealed that browsers carry.
    pub secret: MasterSecret,
    /// For what cannot be guessed.
    pub random: SystemRandom,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}
