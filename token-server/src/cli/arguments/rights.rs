//! What can be typed about roles, grants and barriers, and asked about rights.
//!
//! *Invariant:* what adds a row and what removes it take the same words.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Confirmation;

/// A right as it is typed: `SUBJECT ROLE PATTERN`, or `SUBJECT --actions … PATTERN`.
#[derive(Clone, Debug, Args)]
pub struct GrantArguments {
    /// user:NAME, team:NAME, robot:OWNER/NAME, workload:NAME, everyone (with or without a login) or authenticated
    pub subject: String,
    /// A role (not with --actions): puller (pull), viewer (and see in lists), signer (and attach signatures), publisher
    /// (and push new tags), writer (and move tags), maintainer (and delete), admin (and give rights), owner
    /// (everything) or one that was made; then a pattern: 'a/b' one repository, 'a/b/**' it and all below, '**' all, a
    /// glob such as 'a/*-dev', '${user}/**' for everybody's own
    #[arg(required = true, num_args = 1..=2, value_names = ["ROLE", "PATTERN"])]
    pub what: Vec<String>,
    /// Instead of a role, with commas between them: list, pull, push, delete, repository-delete, administer, *, or parts
    /// of these such as tag-create
    #[arg(long, value_name = "LIST")]
    pub actions: Option<String>,
    /// Take the actions away, whatever else gives them
    #[arg(long, requires = "actions")]
    pub deny: bool,
    /// Only for tags that fit, such as 'pr-*'
    #[arg(long, value_name = "PATTERN")]
    pub tags: Option<String>,
}

/// What is asked about.
#[derive(Clone, Debug, Args)]
pub struct QuestionArguments {
    /// pull, push, delete, repository-delete, *, or a part of push or delete such as tag-update
    pub action: String,
    /// A repository, or one of its tags: platform/app:v1
    pub place: String,
    /// As for a client with this address; without it rights in a network do not count, and denials in one do
    #[arg(long)]
    pub address: Option<IpAddr>,
    /// As for a login with a second factor; without it rights that need one do not count
    #[arg(long)]
    pub second_factor: bool,
}

/// When and from where a right counts, and why it was given.
#[derive(Clone, Debug, Default, Args)]
pub struct ConditionArguments {
    /// When it begins: a time such as 2027-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// When it ends: a time, or how long from now, such as 30d
    #[arg(long, value_name = "TIME")]
    pub expires: Option<String>,
    /// Only for clients with an address in this network; may be repeated
    #[arg(long, value_name = "NETWORK")]
    pub network: Vec<String>,
    /// Only for people who log in with a second factor
    #[arg(long)]
    pub second_factor: bool,
    /// Why, for whoever reads the list later
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// About rights.
#[derive(Debug, Subcommand)]
pub enum GrantCommand {
    /// Give a right, or deny one
    Add {
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        grant: GrantArguments,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        conditions: ConditionArguments,
    },
    /// List all rights
    List,
    /// List rights that nobody used for a long time or not all of, with the commands that make them fewer
    Unused {
        /// For so long; only rights that are older are looked at
        #[arg(long, value_name = "N", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3650))]
        days: u32,
    },
    /// Take away what was added with the same words; tokens that carry it live on for some minutes
    Remove {
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        grant: GrantArguments,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        confirmation: Confirmation,
    },
}

/// About roles.
#[derive(Debug, Subcommand)]
pub enum RoleCommand {
    /// Make a role
    Add {
        /// Lower-case letters, digits and dashes
        name: String,
        /// What it allows, as for `grant add --actions`
        #[arg(long, value_name = "LIST")]
        actions: String,
        /// What it is for
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// List all roles, built in or made
    List,
    /// Let a role allow something else, for everybody who holds it
    Change {
        /// Which role
        name: String,
        /// What it allows from now on
        #[arg(long, value_name = "LIST")]
        actions: String,
        /// What it is for
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        confirmation: Confirmation,
    },
    /// Remove a role that no grant names
    Remove {
        /// Which role
        name: String,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        confirmation: Confirmation,
    },
}

/// About the whole policy in one file.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Say what a file would change and what that would mean for people, and do nothing
    Plan {
        /// The file, or - for standard input
        file: PathBuf,
        /// Look also at the requests of so many days
        #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3650))]
        days: u32,
    },
    /// Carry a file out, as a whole or not at all
    Apply {
        /// The file, or - for standard input
        file: PathBuf,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        confirmation: Confirmation,
    },
    /// Print the file that says what is stored
    Export,
    /// Say what is stored otherwise than a file says, and what it does not speak of; exit with 0 if nothing and 1 if so
    Drift {
        /// The file, or - for standard input
        file: PathBuf,
    },
}

/// About rights for a while.
#[derive(Debug, Subcommand)]
pub enum ElevationCommand {
    /// Ask for a right for a user; somebody else decides
    Request {
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        grant: GrantArguments,
        /// For how long, from when it is approved: such as 2h
        #[arg(long = "for", value_name = "LENGTH")]
        length: humantime::Duration,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// List requests that wait and rights that last
    List {
        /// And what is over
        #[arg(long)]
        all: bool,
    },
    /// Give what was asked for
    Approve {
        /// The number of the request
        id: uuid::Uuid,
        /// What to say about it
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Refuse what was asked for
    Deny {
        /// The number of the request
        id: uuid::Uuid,
        /// What to say about it
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Take a request back, or end before its time what came of it
    End {
        /// The number of the request
        id: uuid::Uuid,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        confirmation: Confirmation,
    },
    /// Take everything on a place for an hour, in an emergency; the log and the audit record tell
    BreakGlass {
        /// user:NAME
        subject: String,
        /// 'a/b/**'
        pattern: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        confirmation: Confirmation,
    },
}

/// About barriers.
#[derive(Debug, Subcommand)]
pub enum BarrierCommand {
    /// Stop rights that stand above a subtree, whoever holds them; what is given below counts
    Add {
        /// 'a/b/**'
        pattern: String,
        /// What does not come in: pull, push, delete, repository-delete, *, or parts of push and delete
        #[arg(long, value_name = "LIST")]
        actions: String,
        /// Why, for whoever reads the list later
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// List all barriers
    List,
    /// Let rights from above in again
    Remove {
        /// 'a/b/**'
        pattern: String,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        confirmation: Confirmation,
    },
}
