//! What can be typed about the audit record and the signing key.
//!
//! *Invariant:* nothing secret is printed, so no argument asks for it.

use clap::{Args, Subcommand, ValueEnum};

use super::Confirmation;

/// From when to when.
#[derive(Clone, Debug, Default, Args)]
pub struct PeriodArguments {
    /// From this moment on: a time such as 2027-01-31T12:00:00Z, or how long ago, such as 7d
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Before this moment: a time, or how long ago
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
}

/// How something ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutcomeWord {
    /// As wanted
    Allowed,
    /// Not
    Refused,
}

/// About the audit record.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// List rows, the newest last
    List {
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        period: PeriodArguments,
        /// Only one kind of event, such as login
        #[arg(long, value_name = "WORD")]
        event: Option<String>,
        /// Only what this user did, or cli, or system
        #[arg(long, value_name = "NAME")]
        actor: Option<String>,
        /// Only rows whose target has this in it
        #[arg(long, value_name = "TEXT")]
        target: Option<String>,
        /// Only what ended so
        #[arg(long, value_enum)]
        outcome: Option<OutcomeWord>,
        /// How many of the newest
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
    },
    /// Print rows, the newest last, as JSON with one object a line
    Export {
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        period: PeriodArguments,
    },
    /// List what tokens were issued for, hour by hour, the newest last
    Tokens {
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        period: PeriodArguments,
        /// Only one user, or anonymous
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// Only repositories with this in their name
        #[arg(long, value_name = "TEXT")]
        repository: Option<String>,
        /// How many of the newest
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
    },
    /// Check that no row was changed, removed or moved; exit with 0 if so and 1 if not
    Verify {
        /// Check only what comes after the row with this hash
        #[arg(long, value_name = "HEX")]
        from_hash: Option<String>,
        /// A hash that was printed earlier and must still be there, so that nothing was removed at the end
        #[arg(long, value_name = "HEX")]
        head: Option<String>,
    },
    /// Remove the oldest rows, also of what tokens were issued for
    Prune {
        /// All rows before this moment: a time, or how long ago, such as 365d
        #[arg(long, value_name = "TIME")]
        before: String,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        confirmation: Confirmation,
    },
}

/// About the signing key.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Print the public key for a registry that takes it from a file
    Export {
        /// pem: a certificate for `rootcertbundle`; jwks: a key set for `jwks`
        #[arg(long, value_enum)]
        format: KeyFormat,
    },
}

/// How a public key is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeyFormat {
    /// A certificate
    Pem,
    /// A JSON web key set
    Jwks,
}
