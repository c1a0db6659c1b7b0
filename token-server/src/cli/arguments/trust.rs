//! What can be typed about build platforms and clusters whose tokens let workloads in.
//!
//! *Invariant:* a claim and its value are one word, as a token has them.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Confirmation;
use crate::domain::trust::platform::Platform;

/// What can be done with trust.
#[derive(Debug, Subcommand)]
pub enum TrustCommand {
    /// Whose tokens count
    #[command(subcommand)]
    Issuer(TrustIssuerCommand),
    /// Which of their tokens are a workload
    #[command(subcommand)]
    Rule(TrustRuleCommand),
    /// List tokens that were in order and no workload, with what tells them from others
    Attempts,
    /// Make the identity of an attempt a workload, and no other one
    Accept {
        /// Its number, as listed and in the refusal
        attempt: String,
        /// What the workload is to be called; without it, after what its token says
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        grants: TrustGrants,
    },
}

/// What can be done with issuers.
#[derive(Debug, Subcommand)]
pub enum TrustIssuerCommand {
    /// Trust an issuer to say who workloads are
    Add {
        /// What it is to be called
        name: String,
        /// What its tokens say in `iss`
        #[arg(long, value_name = "URL")]
        issuer: String,
        /// What they must say in `aud`, such as the address of this server; jobs ask their platform for it
        #[arg(long)]
        audience: String,
        /// Whose claims these are; without it, what the address says
        #[arg(long, value_enum)]
        platform: Option<PlatformWord>,
        /// File with its public keys, a JSON Web Key Set, for issuers that cannot be asked
        #[arg(long, value_name = "FILE")]
        jwks: Option<PathBuf>,
    },
    /// List all issuers
    List,
    /// Trust an issuer no more
    Remove {
        /// Which issuer
        name: String,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        confirmation: Confirmation,
    },
}

/// What can be done with rules.
#[derive(Debug, Subcommand)]
pub enum TrustRuleCommand {
    /// Make tokens a workload; it is made unless it is there
    Add {
        /// The workload
        name: String,
        /// The issuer of the tokens
        #[arg(long)]
        issuer: String,
        /// What they must say; all of it. A star stands for any text between two slashes
        #[arg(long = "match", value_name = "CLAIM=VALUE", required = true)]
        conditions: Vec<String>,
        /// What the workload is for
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        grants: TrustGrants,
    },
    /// List all rules
    List,
    /// Let a workload log in no more; it keeps its rights
    Remove {
        /// Which workload
        name: String,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        confirmation: Confirmation,
    },
}

/// What a workload is to hold.
#[derive(Clone, Debug, Args)]
pub struct TrustGrants {
    /// A right, in one word: role, pattern and, if it is for some tags only, their pattern. '${claim.NAME}' in the pattern
    /// of repositories stands for what the token says: 'publisher ci/${claim.repository}/** pr-*'
    #[arg(long = "grant", value_name = "'ROLE PATTERN [TAGS]'")]
    pub grants: Vec<String>,
}

/// A platform as it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PlatformWord {
    /// Any issuer that follows OpenID Connect
    Generic,
    /// GitHub Actions
    Github,
    /// GitLab CI
    Gitlab,
    /// Service accounts of a cluster
    Kubernetes,
    /// Buildkite
    Buildkite,
    /// CircleCI
    Circleci,
}

impl From<PlatformWord> for Platform {
    fn from(word: PlatformWord) -> Self {
        match word {
            PlatformWord::Generic => Self::Generic,
            PlatformWord::Github => Self::Github,
            PlatformWord::Gitlab => Self::Gitlab,
            PlatformWord::Kubernetes => Self::Kubernetes,
            PlatformWord::Buildkite => Self::Buildkite,
            PlatformWord::Circleci => Self::Circleci,
        }
    }
}
