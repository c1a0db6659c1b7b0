//! The whole policy in one file: teams, workloads, namespaces, roles, grants and barriers, as people keep it beside
//! their code.
//!
//! Reading order: how the file looks ([`document`]), what it says thing by thing ([`thing`], [`reading`]), and what that
//! would change ([`plan`]).
//!
//! What was applied from a file carries that as its source. What the file no longer says is taken away again; what
//! somebody did by hand stays, and is told.
//!
//! *Invariant:* the same file says the same things, whatever is stored; and a plan is a pure comparison.

pub mod document;

pub mod thing;

pub mod reading;

pub mod plan;
