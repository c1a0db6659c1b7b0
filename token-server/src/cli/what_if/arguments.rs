//! What can be typed after `what-if`.
//!
//! *Invariant:* a change is typed with the words with which it would be made.

use clap::{Args, Subcommand};

use super::super::arguments::rights::{ConditionArguments, GrantArguments};

/// A change, and how far to look back.
#[derive(Debug, Args)]
pub struct WhatIfArguments {
    /// Ask again for what clients asked for in so many days
    #[arg(long, value_name = "N", global = true, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub days: u32,
    #[command(subcommand)]
    #[expect(missing_docs, reason = "a doc comment here would become the text of --help")]
    pub change: ProposedChange,
}

/// Something that can be changed.
#[derive(Debug, Subcommand)]
pub enum ProposedChange {
    /// If a right were added or removed
    #[command(subcommand)]
    Grant(ProposedGrant),
    /// If a barrier were added or removed
    #[command(subcommand)]
    Barrier(ProposedBarrier),
    /// If a team had other members
    #[command(subcommand)]
    Team(ProposedTeam),
}

/// About a right.
#[derive(Debug, Subcommand)]
pub enum ProposedGrant {
    /// If it were added
    Add {
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        grant: GrantArguments,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        conditions: ConditionArguments,
    },
    /// If it were removed
    Remove {
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        grant: GrantArguments,
    },
}

/// About a barrier.
#[derive(Debug, Subcommand)]
pub enum ProposedBarrier {
    /// If it were put up
    Add {
        /// 'a/b/**'
        pattern: String,
        /// What does not come in: pull, push, delete, repository-delete, *, or parts of push and delete
        #[arg(long, value_name = "LIST")]
        actions: String,
        /// As in `barrier add`; it makes no difference
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// If it were taken away
    Remove {
        /// 'a/b/**'
        pattern: String,
    },
}

/// About a team.
#[derive(Debug, Subcommand)]
pub enum ProposedTeam {
    /// If somebody came or left
    #[command(subcommand)]
    Member(ProposedMember),
}

/// About a member.
#[derive(Debug, Subcommand)]
pub enum ProposedMember {
    /// If a user or a team were added to a team
    Add {
        /// Which team
        team: String,
        /// A user, team:NAME, robot:OWNER/NAME or workload:NAME
        member: String,
        /// As in `team member add`; it makes no difference
        #[arg(long)]
        maintainer: bool,
    },
    /// If a user or a team were removed from a team
    Remove {
        /// Which team
        team: String,
        /// A user, team:NAME, robot:OWNER/NAME or workload:NAME
        member: String,
    },
}
