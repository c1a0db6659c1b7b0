//! What can be typed about identity providers that make users.
//!
//! *Invariant:* a secret is printed, and is never an argument.

use clap::Subcommand;
use uuid::Uuid;

use super::Confirmation;

/// What can be done about SCIM.
#[derive(Debug, Subcommand)]
pub enum ScimCommand {
    /// Secrets that identity providers show: add, list, revoke
    #[command(subcommand)]
    Secret(ScimSecretCommand),
}

/// What can be done with secrets.
#[derive(Debug, Subcommand)]
pub enum ScimSecretCommand {
    /// Make a secret and print it, once; a provider has at most two, so that one can replace the other
    Add {
        /// Under which name the provider stands in the settings
        provider: String,
        /// What to call it
        #[arg(long, value_name = "TEXT")]
        label: Option<String>,
        /// When it ends: a time, or how long from now, such as 365d
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
    },
    /// List secrets, without what is secret of them
    List {
        /// Of this provider only
        provider: Option<String>,
    },
    /// Revoke a secret
    Revoke {
        /// Its number, as listed
        id: Uuid,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        confirmation: Confirmation,
    },
}
