//! Everything the system tests stand on: both servers, a real database, real clients, and images made on the spot.
//!
//! Only time, randomness and other people's bad behaviour are made up here; the database, the sockets, the Docker
//! engine and the distribution registry are the real ones, started privately and stopped with the test run.
//!
//! *Invariant:* a test that cannot run fails with a sentence that says what is missing; nothing is ever skipped.
//!
//! Reading order: what ends with the run ([`watchdog`]), other programs ([`program`]), what looks random ([`chance`]),
//! the database ([`database`], [`audit`], [`gate`]), the two servers ([`settings`], [`passwords`], [`server`], [`stack`], [`edited`]), who speaks to
//! them ([`client`], [`api`], [`actors`], [`forge`], [`forgery`], [`notary`], [`key_source`], [`feed`]), people in a
//! [`browser`], perhaps with an [`authenticator_app`], and where they are known ([`identity_provider`], [`keycloak`], [`directory`]), what is pushed ([`tar`],
//! [`images`], [`layout`]), the real clients and the real peer, the [`trees`] registries leave, and how answers are
//! compared.

pub mod watchdog;

pub mod program;

pub mod chance;

pub mod database;

pub mod audit;

pub mod gate;

pub mod settings;

pub mod passwords;

pub mod server;

pub mod stack;

pub mod client;

pub mod answer;

pub mod api;

pub mod raw_http;

pub mod actors;

pub mod identity_provider;

pub mod keycloak;

pub mod browser;

pub mod credential_helper;

pub mod authenticator_app;

pub mod forge;

pub mod forgery;

pub mod notary;

pub mod key_source;

pub mod feed;

pub mod directory;

pub mod edited;

pub mod tar;

pub mod images;

pub mod layout;

pub mod docker_engine;

pub mod containers;

pub mod containerd;

pub mod peer;

pub mod trees;

pub mod nginx;

pub mod schemathesis;

pub mod scim;

pub mod scim2;

pub mod heavy;

pub mod snapshot;
