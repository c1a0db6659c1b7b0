//! `registry reindex`: what refers to what, found anew.
//!
//! *Invariant:* a repository that cannot be looked at does not keep the others from it, and the exit code tells.

use std::path::PathBuf;
use std::process::ExitCode;

use shared::server::causes;

use super::{complain, images, print};
use crate::domain::referrers::Reindexed;

/// Repositories asked for at a time.
const PAGE: usize = 1000;

/// Looks at all manifests of all repositories.
pub(super) async fn run(config: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let images = images(config)?;
    let mut outcome = ExitCode::SUCCESS;
    let mut after: Option<String> = None;
    loop {
        let page = images.list_repositories(after.as_deref(), PAGE, None).await?;
        for repository in &page.repositories {
            match images.reindex_referrers(repository).await {
                Ok(Reindexed { referrers, unreadable, removed }) => {
                    print(&format!(
                        "{repository}: {referrers} manifests refer to another, {removed} entries were left over, \
                         {unreadable} manifests were passed over\n"
                    ));
                }
                Err(error) => {
                    complain(&format!("{repository}: {}", causes::sentence(&error)));
                    outcome = ExitCode::FAILURE;
                }
            }
        }
        match page.repositories.last().filter(|_| page.more) {
            Some(last) => after = Some(last.to_string()),
            None => return Ok(outcome),
        }
    }
}
