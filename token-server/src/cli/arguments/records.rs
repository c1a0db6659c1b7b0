//! What can be typed about the audit record, the signing keys and other token servers.
//!
//! *Invariant:* nothing secret is printed, so no argument asks for it.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand, ValueEnum};

use super::Confirmation;
use crate::domain::record::audit::Event;

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
        /// Only one kind of event
        #[arg(long, value_name = "WORD", value_parser = PossibleValuesParser::new(Event::WORDS))]
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

/// About other token servers.
#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// Say what the users and rights of docker_auth come to here, and where the two would answer differently; exit with
    /// 0 if nowhere and 1 if somewhere, or if something cannot be taken over
    DockerAuth {
        /// The settings of docker_auth
        #[arg(value_name = "CONFIG")]
        file: PathBuf,
        /// Compare these repositories, one a line, instead of names made up from the patterns of the rules
        #[arg(long, value_name = "FILE")]
        repositories: Option<PathBuf>,
        /// Take it over; without this, nothing is changed
        #[arg(long)]
        apply: bool,
    },
}

/// About the keys that sign tokens.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Sign with a key pair that another token server signed with, so that registries which know it go on
    Import {
        /// Its certificate, as registries have it in `rootcertbundle`
        #[arg(long, value_name = "FILE")]
        certificate: PathBuf,
        /// Its private key
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Take it although the certificate has expired
        #[arg(long)]
        allow_expired: bool,
        /// Sign with it only for registries whose `audiences.NAME.algorithm` is the one of this key
        #[arg(long)]
        for_algorithm: bool,
    },
    /// Make a key that takes the place of the one which signs, when registries have had the time to fetch it; print its id
    Rotate {
        /// Sign with it half a minute from now, when every server has published it: for a key that others may have
        #[arg(long)]
        now: bool,
        /// Make it for registries whose `audiences.NAME.algorithm` is this, and not for all
        #[arg(long, value_enum)]
        algorithm: Option<MadeAlgorithm>,
    },
    /// List the keys, the newest first: staged, active, verify-only and retired ones
    List,
    /// Retire a key before its time, with all tokens that it has signed; not the last one that can sign
    Retire {
        /// Its id, as listed
        #[arg(allow_hyphen_values = true)]
        key: String,
        #[command(flatten)]
        confirmation: Confirmation,
    },
    /// Print the public keys for a registry that takes them from a file
    Export {
        /// pem: certificates for `rootcertbundle`; jwks: a key set for `jwks`
        #[arg(long, value_enum)]
        format: KeyFormat,
    },
}

/// What keys can be made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MadeAlgorithm {
    /// ECDSA with P-256
    #[value(name = "ES256")]
    Es256,
    /// Ed25519
    #[value(name = "EdDSA")]
    EdDsa,
}

/// How public keys are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeyFormat {
    /// Certificates
    Pem,
    /// A JSON web key set
    Jwks,
}
