//! The command line.
//!
//! *Invariant:* standard output carries what was asked for and nothing else; everything said about it goes to
//! standard error, as one sentence. No command waits for an answer where nobody can give one.

pub mod arguments;

pub mod error;

pub mod terminal;

mod audit;

mod barriers;

mod credential_listings;

mod credentials;

mod command_lines;

mod elevations;

mod files;

mod identities;

mod scim;

mod import;

mod json;

mod keys;

mod listings;

mod namespaces;

mod people;

mod policy;

mod questions;

mod server;

mod rights;

mod robots;

mod roles;

mod times;

mod uses;

mod workloads;

mod trust;

pub mod what_if;

use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory as _, Parser as _};
use ring::rand::SystemRandom;
use shared::clock::SystemClock;
use shared::server::settings::process_environment;
use shared::server::telemetry;

use crate::app;
use crate::domain::administration::{Administration, Parts};
use crate::domain::error::TokenServerError;
use crate::domain::login::credential::Secrets;
use crate::domain::login::password::PasswordHasher;
use crate::settings::{self, TokenServerSettings};
use arguments::{Arguments, Command};
use error::CliError;

/// Reads the arguments of this process, runs the command, and says how it went.
pub async fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help goes to standard output, everything else to standard error; that nobody reads is no failure.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(error::USAGE));
        }
    };
    match Box::pin(run(arguments)).await {
        Ok(code) => code,
        Err(error) => {
            if !error.is_unread() {
                terminal::complain(&error.to_string());
            }
            ExitCode::from(error.exit_code())
        }
    }
}

async fn run(arguments: Arguments) -> Result<ExitCode, CliError> {
    if let Command::Completions { shell } = arguments.command {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Arguments::command(), "token-server", &mut script);
        terminal::print(&String::from_utf8_lossy(&script))?;
        return Ok(ExitCode::SUCCESS);
    }
    let loaded = settings::load(arguments.config.as_deref(), process_environment());
    if let Command::CheckConfig = arguments.command {
        return server::check_config(loaded);
    }
    let loaded = loaded?;
    let settings = TokenServerSettings::validate(&loaded)?;
    let output = arguments.output;
    match arguments.command {
        Command::Serve => Box::pin(server::serve(settings, &loaded)).await?,
        Command::Migrate => server::migrate(&settings).await?,
        Command::CheckConfig | Command::Completions { .. } => {}
        Command::User(command) => people::user(command, &administration(&settings).await?, output).await?,
        Command::Team(command) => people::team(command, &administration(&settings).await?, output).await?,
        Command::Grant(command) => rights::grant(command, &administration(&settings).await?, output).await?,
        Command::Namespace(command) => {
            namespaces::namespace(command, &administration(&settings).await?, output).await?;
        }
        Command::Robot(command) => robots::robot(command, &administration(&settings).await?, output).await?,
        Command::Token(command) => {
            credentials::token(command, &administration(&settings).await?, output).await?;
        }
        Command::Login(command) => {
            credentials::login(command, &administration(&settings).await?, output).await?;
        }
        Command::Workload(command) => {
            workloads::workload(command, &administration(&settings).await?, output).await?;
        }
        Command::Identity(command) => {
            identities::identity(command, &administration(&settings).await?, output).await?;
        }
        Command::Scim(command) => scim::scim(command, &administration(&settings).await?, output).await?,
        Command::Trust(command) => trust::trust(command, &administration(&settings).await?, output).await?,
        Command::Role(command) => roles::role(command, &administration(&settings).await?, output).await?,
        Command::Policy(command) => return policy::policy(command, &settings, output).await,
        Command::Elevation(command) => {
            elevations::elevation(command, &administration(&settings).await?, output).await?;
        }
        Command::Barrier(command) => {
            barriers::barrier(command, &administration(&settings).await?, output).await?;
        }
        Command::Explain { subject, question } => {
            return questions::explain(&subject, &question, &settings, output).await;
        }
        Command::WhoCan { question } => return questions::who_can(&question, &settings, output).await,
        Command::WhatIf(arguments) => return what_if::what_if(arguments, &settings, output).await,
        Command::Audit(command) => return audit::audit(command, &settings, output).await,
        Command::Import(command) => return import::import(command, &settings, output).await,
        Command::Key(command) => Box::pin(keys::key(command, &settings, output)).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Commands are quiet: what they did is their answer.
fn log_quietly() {
    telemetry::start_quietly();
}

async fn administration(settings: &TokenServerSettings) -> Result<Administration, CliError> {
    log_quietly();
    let pool = app::open_database(&settings.database).await?;
    let (clock, random) = (Arc::new(SystemClock), SystemRandom::new());
    let hasher = PasswordHasher::new(1, 0, random.clone()).map_err(TokenServerError::from)?;
    Ok(Administration::new(Parts {
        pool,
        clock,
        random,
        hasher: Arc::new(hasher),
        repeats: Arc::default(),
        secrets: Arc::new(Secrets::new(&settings.secret)),
        policy: settings.credentials,
        master: settings.secret.clone(),
        key_policy: Arc::new(settings.keys.clone()),
        personal_namespaces: settings.personal_namespaces,
        providers: settings.sign_on.providers.clone(),
        second_factor: settings.sign_on.second_factor,
    }))
}
