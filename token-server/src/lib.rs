//! The token server: who may do what in a container registry, and the short tokens that say so.
//!
//! Layers, each of which knows only the ones below it: [`cli`] reads commands, [`app`] puts the server together,
//! [`ui`] shows pages and [`http`] does the rest of parsing and rendering, [`domain`] decides, [`db`] remembers.
//! [`settings`] is read by the first two. [`helper`] runs elsewhere, at the side of a client, and uses none of them.
//!
//! *Invariant:* this server never sees a blob, and a token and a public key are all that passes from it to a
//! registry.
//!
//! # Operator's manual
//!
#![doc = include_str!("../README.md")]

pub mod cli;

pub mod settings;

pub mod app;

pub mod http;

pub mod ui;

pub mod domain;

pub mod db;

pub mod helper;
