//! Taking the second factors of somebody away who has lost them.
//!
//! *Invariant:* whoever has none any more is signed in nowhere either: what was lost may be in somebody's hands.

use super::super::error::TokenServerError;
use super::super::principal_name::PrincipalName;
use super::super::record::audit::Event;
use super::super::words::counted::counted;
use super::{Administration, find_user};
use crate::db::{self, browser_sessions, passkeys, second_factors};

impl Administration {
    /// Takes all of them away, the recovery codes too; says how many there were.
    pub async fn remove_second_factors(&self, name: &PrincipalName) -> Result<u64, TokenServerError> {
        let mut tx = self.begin().await?;
        self.demand_everything(&mut tx, "taking second factors of somebody away").await?;
        let pid = find_user(&mut *tx, name).await?;
        let app = second_factors::delete_app(&mut *tx, pid).await?;
        let removed = passkeys::delete_passkeys_of(&mut *tx, pid).await? + u64::from(app);
        second_factors::delete_recovery_codes(&mut *tx, pid).await?;
        if removed > 0 {
            browser_sessions::delete_sessions_of(&mut *tx, pid).await?;
            let remark = format!("all, {}", counted(removed, "factor", "factors"));
            self.record(&mut tx, Event::SecondFactorRemoved, name.as_str(), Some(&remark)).await?;
        }
        db::commit(tx).await?;
        Ok(removed)
    }
}
