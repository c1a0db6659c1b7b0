//! `serve`, `migrate` and `check-config`.
//!
//! *Invariant:* `check-config` touches neither the database nor the network.

use std::process::ExitCode;
use std::sync::Arc;

use shared::clock::SystemClock;
use shared::server::listener::Listener;
use shared::server::settings::{Loaded, SettingsError};
use shared::server::shutdown::Shutdown;
use shared::server::{causes, descriptors, telemetry};

use super::error::CliError;
use super::{log_quietly, terminal};
use crate::app::TokenServer;
use crate::db;
use crate::domain::shadow::ShadowRules;
use crate::settings::TokenServerSettings;

/// Runs the server.
pub(super) async fn serve(settings: TokenServerSettings, loaded: &Loaded) -> Result<(), CliError> {
    let _logging = telemetry::start(settings.log.clone())?;
    descriptors::raise_limit();
    for warning in loaded.warnings() {
        tracing::warn!("{warning}");
    }
    let shutdown = Shutdown::default();
    shutdown.on_signals()?;
    let server = TokenServer::build(settings, Arc::new(SystemClock)).await?;
    tracing::info!(address = %server.address(), version = env!("CARGO_PKG_VERSION"), "token server listening");
    server.run(shutdown).await?;
    tracing::info!("token server stopped");
    Ok(())
}

/// Brings the schema up to date.
pub(super) async fn migrate(settings: &TokenServerSettings) -> Result<(), CliError> {
    log_quietly();
    let pool = db::connect(&settings.database.url, settings.database.max_connections)?;
    let pending = db::pending_migrations(&pool).await?;
    db::migrate(&pool).await?;
    terminal::remark(&match pending {
        0 => "the database schema was up to date".to_owned(),
        1 => "1 migration applied".to_owned(),
        many => format!("{many} migrations applied"),
    });
    Ok(())
}

/// Shows the settings and says what is wrong with them.
pub(super) fn check_config(loaded: Result<Loaded, SettingsError>) -> Result<ExitCode, CliError> {
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(error) => return Ok(problem(&error)),
    };
    terminal::print(&loaded.report())?;
    for warning in loaded.warnings() {
        terminal::remark(&format!("warning: {warning}"));
    }
    let settings = match TokenServerSettings::validate(&loaded) {
        Ok(settings) => settings,
        Err(error) => return Ok(problem(&error)),
    };
    if let Err(error) = Listener::check(&settings.listener) {
        return Ok(problem(&error));
    }
    if let Some(Err(error)) = settings.shadow.as_deref().map(ShadowRules::load) {
        return Ok(problem(&error));
    }
    Ok(ExitCode::SUCCESS)
}

/// Says what is wrong, which is an answer here.
fn problem(error: &dyn std::error::Error) -> ExitCode {
    terminal::complain(&causes::sentence(error));
    ExitCode::FAILURE
}
