//! What can be typed about who users are elsewhere.
//!
//! *Invariant:* somebody is named by what a provider says never changes, not by a name.

use clap::Subcommand;

use super::Confirmation;

/// What can be done with identities.
#[derive(Debug, Subcommand)]
pub enum IdentityCommand {
    /// List who users are at identity providers and in directories
    List {
        /// Of this user only
        user: Option<String>,
    },
    /// List people who proved who they are elsewhere and are nobody here
    Pending,
    /// Make one of them a user
    Accept {
        /// Its number, as listed and in the refusal
        identity: String,
        /// Which user they are, who is added unless there; without it, a new one who is called as they are elsewhere
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
    },
    /// Link a user to who they are elsewhere
    Link {
        /// Which user
        user: String,
        /// Under which name the provider stands in the settings
        #[arg(long, value_name = "NAME")]
        provider: String,
        /// What never changes there: the claim or attribute that the settings name
        #[arg(long)]
        subject: String,
    },
    /// Unlink a user, who cannot sign in from there any more
    Unlink {
        /// Its number, as listed
        identity: String,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        confirmation: Confirmation,
    },
}
