//! What can be typed about secrets that are made here: of robots, personal access tokens, and logins that are kept.
//!
//! *Invariant:* a secret is printed, and is never an argument.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use uuid::Uuid;

use super::Confirmation;

/// About secrets of robots.
#[derive(Debug, Subcommand)]
pub enum RobotSecretCommand {
    /// Make a secret and print it, once; a robot has at most two, so that one can replace the other
    Add {
        /// OWNER/NAME
        name: String,
        /// What to call it
        #[arg(long, value_name = "TEXT")]
        label: Option<String>,
        /// When it ends: a time, or how long from now, such as 90d
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        limits: LimitArguments,
    },
    /// List the secrets of a robot, without what is secret of them
    List {
        /// OWNER/NAME
        name: String,
    },
    /// Revoke a secret
    Revoke {
        /// Its number, as `robot secret list` shows it
        id: Uuid,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        confirmation: Confirmation,
    },
}

/// What a secret is good for, of what its owner holds.
#[derive(Debug, Args)]
pub struct LimitArguments {
    /// Good only for repositories that this pattern covers; may be repeated
    #[arg(long, value_name = "PATTERN")]
    pub repository: Vec<String>,
    /// Good only for these actions, as for `grant add --actions`
    #[arg(long, value_name = "LIST")]
    pub actions: Option<String>,
    /// Good only for tags that this pattern covers, and what is needed around that
    #[arg(long, value_name = "PATTERN")]
    pub tags: Option<String>,
    /// Good only for clients with an address in this network; may be repeated
    #[arg(long, value_name = "NETWORK")]
    pub network: Vec<String>,
}

/// About personal access tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a personal access token and print it, once
    Create {
        /// user:NAME
        user: String,
        /// What to call it
        #[arg(long, value_name = "TEXT")]
        name: String,
        /// When it ends: a time, or how long from now, such as 30d; as late as the settings allow if not given
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        limits: LimitArguments,
    },
    /// List the personal access tokens of a user, without what is secret of them
    List {
        /// user:NAME
        user: String,
    },
    /// Revoke a personal access token
    Revoke {
        /// Its number, as `token list` shows it
        id: Uuid,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        confirmation: Confirmation,
    },
    /// Revoke secrets of any kind that were found where they should not be: one a line, from a file or standard input
    Leaked {
        /// The file; standard input if not given
        file: Option<PathBuf>,
        /// Where they were found, for the record
        #[arg(long, value_name = "TEXT")]
        place: Option<String>,
    },
}

/// About logins that devices keep.
#[derive(Debug, Subcommand)]
pub enum LoginCommand {
    /// List the logins of a user that devices keep, such as those of `docker login`
    List {
        /// user:NAME
        user: String,
    },
    /// End a login, or all of a user
    Revoke {
        /// Its number, as `login list` shows it
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        id: Option<Uuid>,
        /// All of this user: user:NAME
        #[arg(long, value_name = "USER")]
        all: Option<String>,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        confirmation: Confirmation,
    },
}
