//! The people of the README, with the rights it gives them.
//!
//! | who | may |
//! |---|---|
//! | `admin` | everything, as owner of `**` |
//! | `alice` | push below `platform/`, as a member of the team `platform` |
//! | `bob` | nothing but what everybody may |
//! | nobody in particular | pull below `public/` |
//!
//! *Invariant:* rights come from grants alone; a name means nothing.

use crate::client::OciClient;
use crate::stack::{Stack, StackOptions};

/// A stack with people in it.
#[derive(Debug)]
pub struct Town {
    /// The servers.
    pub stack: Stack,
    /// Owner of everything.
    pub admin: OciClient,
    /// Member of the team `platform`.
    pub alice: OciClient,
    /// A user without rights of his own.
    pub bob: OciClient,
    /// Without credentials.
    pub anonymous: OciClient,
}

impl Town {
    /// The usual stack with its people.
    pub async fn start() -> anyhow::Result<Self> {
        Self::with(StackOptions::default()).await
    }

    /// Any stack with its people.
    pub async fn with(options: StackOptions) -> anyhow::Result<Self> {
        let stack = Stack::with(options).await?;
        for user in ["admin", "alice", "bob"] {
            stack.add_user(user).await?;
        }
        stack.add_team("platform", &["alice"]).await?;
        stack.grant("user:admin", "owner", "**").await?;
        stack.grant("team:platform", "writer", "platform/**").await?;
        stack.grant("everyone", "viewer", "public/**").await?;
        Ok(Self {
            admin: stack.client("admin")?,
            alice: stack.client("alice")?,
            bob: stack.client("bob")?,
            anonymous: stack.anonymous()?,
            stack,
        })
    }
}
