//! docker_auth: its settings, its answers, and what they come to here.
//!
//! Its rules are a list of which the first that matches decides; rows here add up in any order. So what rules come to is
//! written as rows, and both are asked the same questions: what differs is listed, never assumed away.
//!
//! Reading order: the text (`document`), patterns (`glob`, `regular`), rules and their answers ([`rule`],
//! [`config`], `reader`, [`decision`]), what is not as it reads (`traps`); names as patterns of ours (`shape`, [`patterns`],
//! `complement`),
//! what to ask about (`samples`, [`people`]), what a rule comes to ([`rows`]), whether that is the same
//! ([`comparison`]), and all of it together ([`plan`]).
//!
//! *Invariant:* nothing here touches the database or the network; docker_auth itself is never asked.

mod document;

mod glob;

mod regular;

pub mod rule;

pub mod config;

mod reader;

pub mod decision;

mod traps;

mod shape;

pub mod patterns;

mod complement;

mod samples;

pub mod people;

pub mod rows;

pub mod comparison;

pub mod plan;
