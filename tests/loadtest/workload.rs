//! What can be measured, as it is written on the command line.
//!
//! *Invariant:* each workload has one name, and `all` is all that measure something.

use clap::{Parser, ValueEnum};

/// One workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// Fills the database that --database names with the data set.
    Generate,
    /// Decisions in process: from memory and from the database.
    Decisions,
    /// Tokens over HTTP, for kept logins.
    Tokens,
    /// From a change on one server to the tokens of another.
    Propagation,
    /// Tokens of two servers used at a registry, a thousand requests a second, while the signing key is exchanged.
    Rotation,
    /// What lists and questions cost in the database.
    Listings,
    /// All that measure something, one after the other.
    All,
}

impl Workload {
    /// The workloads it stands for.
    pub(crate) fn parts(self) -> Vec<Self> {
        match self {
            Self::All => {
                vec![Self::Decisions, Self::Listings, Self::Tokens, Self::Propagation, Self::Rotation]
            }
            one => vec![one],
        }
    }

    /// Whether it needs a token server that runs.
    pub(crate) fn needs_server(self) -> bool {
        self.parts().iter().any(|part| matches!(part, Self::Tokens | Self::Propagation | Self::Rotation))
    }
}

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "loadtest", about = "Measures the token server on a data set of a size and a seed")]
pub(crate) struct Arguments {
    /// What to measure
    pub(crate) workload: Workload,
    /// Size of the data set: 1 is 100,000 users, 10,000 teams, 1,000,000 grants, 300,000 repositories
    #[arg(long, default_value_t = 0.1)]
    pub(crate) scale: f64,
    /// What is random in the data set is the same for the same seed
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// A database that holds the data set, or for `generate` an empty one; without it, a throw-away one is made
    #[arg(long)]
    pub(crate) database: Option<String>,
    /// Connections at once
    #[arg(long, default_value_t = 16)]
    pub(crate) connections: usize,
    /// Seconds of asking, or rounds of changing
    #[arg(long, default_value_t = 10)]
    pub(crate) length: u32,
    /// Settings of the server under test, as YAML, besides the usual ones
    #[arg(long, default_value = "")]
    pub(crate) more: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
