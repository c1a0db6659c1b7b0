//! The command line.
//!
//! *Invariant:* `serve` starts exactly what `check-config` has shown.

mod garbage_collect;

mod reindex;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use shared::clock::SystemClock;
use shared::server::settings::process_environment;
use shared::server::shutdown::Shutdown;
use shared::server::sockets::Endpoint;
use shared::server::telemetry::{self, sink::Sink};
use shared::server::{causes, descriptors};

use crate::app::{self, Registry};
use crate::domain::Repositories;
use crate::settings::{self, RegistrySettings, SCHEMA};

/// The variable that names the settings file when the command line does not.
const CONFIG_VARIABLE: &str = "REGISTRY_CONFIGURATION_PATH";

/// A container registry: stores images and verifies tokens.
///
/// Settings come from a YAML file with the keys of the distribution registry, and from REGISTRY_* variables over it.
///
/// Exit codes: 0 done; 1 the settings or the start failed, or check-config found something to mend; 2 the command
/// line was not understood.
#[derive(Debug, Parser)]
#[command(name = "registry", about, long_about, arg_required_else_help = true)]
struct Arguments {
    /// Print the name of the program, of the package and the version, as the distribution registry does.
    #[arg(short, long)]
    version: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve images until SIGTERM or Ctrl-C; a second signal does not wait for open requests.
    Serve {
        /// Settings file; without one, `REGISTRY_CONFIGURATION_PATH` names it; without that, the file of the
        /// distribution registry's image is read if it exists.
        config: Option<PathBuf>,
    },
    /// Remove what no manifest needs. Stop the registry first, or start it read-only.
    GarbageCollect(garbage_collect::GarbageCollect),
    /// Look at all manifests for what refers to what and mend the lists of referrers; the registry may go on serving.
    Reindex {
        /// Settings file, as for serve.
        config: Option<PathBuf>,
    },
    /// Show the settings in effect and where each came from; exit with 1 if serve would refuse them or a key in the
    /// file is unknown.
    CheckConfig {
        /// Settings file, as for serve.
        config: Option<PathBuf>,
    },
    /// Print a settings file with every key, its default and what it does.
    ExampleConfig {
        /// Print a table in Markdown instead, with the variable and the state of every key.
        #[arg(long)]
        table: bool,
    },
}

/// Runs the command line of this process.
pub async fn run() -> ExitCode {
    let arguments = Arguments::parse_from(with_command(std::env::args_os().collect()));
    let Some(command) = arguments.command.filter(|_| !arguments.version) else { return version() };
    let outcome = match command {
        Command::Serve { config } => serve(config).await,
        Command::GarbageCollect(command) => garbage_collect::run(command).await,
        Command::Reindex { config } => reindex::run(config).await,
        Command::CheckConfig { config } => check_config(config),
        Command::ExampleConfig { table: false } => Ok(print(&SCHEMA.example())),
        Command::ExampleConfig { table: true } => Ok(print(&settings::manual())),
    };
    outcome.unwrap_or_else(|error| {
        complain(&format!("registry: {}", causes::sentence(error.as_ref())));
        ExitCode::FAILURE
    })
}

/// A settings file alone means to serve it, as with the images of the distribution registry.
fn with_command(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let first = arguments.get(1).map(Path::new).and_then(Path::extension);
    if first.is_some_and(|extension| extension == "yml" || extension == "yaml") {
        arguments.insert(1, "serve".into());
    }
    arguments
}

/// Where the images of the distribution registry have their settings, newest line first.
const DEFAULT_FILES: [&str; 2] = ["/etc/distribution/config.yml", "/etc/docker/registry/config.yml"];

/// Which file to read, and whether somebody named it.
struct ConfigFile {
    path: Option<PathBuf>,
    named: bool,
}

impl ConfigFile {
    fn find(argument: Option<PathBuf>, environment: &mut Vec<(String, String)>) -> Self {
        let named = environment.iter().position(|(name, _)| name == CONFIG_VARIABLE);
        let named = named.map(|position| PathBuf::from(environment.swap_remove(position).1));
        match argument.or(named) {
            Some(path) => Self { path: Some(path), named: true },
            None => Self {
                path: DEFAULT_FILES.map(PathBuf::from).into_iter().find(|path| path.exists()),
                named: false,
            },
        }
    }

    fn describe(&self) -> String {
        match (&self.path, self.named) {
            (Some(path), true) => format!("settings are read from {}", path.display()),
            (Some(path), false) => format!("no settings file was named, so {} is read", path.display()),
            (None, _) => "there is no settings file, so defaults and the environment count".to_owned(),
        }
    }
}

/// The images that the settings name, for a command that works on them beside or without a server.
fn images(config: Option<PathBuf>) -> anyhow::Result<Repositories> {
    let mut environment = process_environment();
    let file = ConfigFile::find(config, &mut environment);
    if !file.named {
        complain(&file.describe());
    }
    let (settings, warnings) = settings::load(file.path.as_deref(), environment)?;
    for warning in warnings {
        complain(&format!("warning: {warning}"));
    }
    app::images(&settings, Arc::new(SystemClock))
}

fn version() -> ExitCode {
    let program = std::env::args().next().unwrap_or_else(|| env!("CARGO_PKG_NAME").to_owned());
    print(&format!("{program} portcullis/{} {}\n", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")))
}

async fn serve(config: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let mut environment = process_environment();
    let file = ConfigFile::find(config, &mut environment);
    let inherited = Endpoint::is_inherited(&environment);
    let (mut settings, warnings) = settings::load(file.path.as_deref(), environment)?;
    let logging = telemetry::start(settings.log()).context("logging cannot be started")?;
    descriptors::raise_limit();
    tracing::info!("{}", file.describe());
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    if inherited {
        tracing::info!("systemd hands over the socket; `http.net` and `http.addr` are not used");
        settings.listen_on_inherited_socket();
    }
    let access = settings.has_access_log().then(|| Sink::start("stdout", io::stdout())).transpose();
    let access = access.context("the access log cannot be started")?;
    start(settings, logging.sink().clone(), access.clone()).await?;
    if let Some(sink) = access {
        sink.flush(telemetry::LAST_LINES);
    }
    Ok(ExitCode::SUCCESS)
}

async fn start(settings: RegistrySettings, log: Sink, access_log: Option<Sink>) -> anyhow::Result<()> {
    // Before anybody can connect, so that whoever sees the registry can also stop it.
    let shutdown = Shutdown::default();
    shutdown.on_signals().context("signals cannot be caught")?;
    let registry = Registry::build(settings, Arc::new(SystemClock))?.with_logs(log, access_log);
    tracing::info!(address = %registry.address(), version = env!("CARGO_PKG_VERSION"), "registry is listening");
    if let Some(address) = registry.debug_address() {
        tracing::info!(%address, "operators are answered here");
    }
    registry.run(shutdown).await?;
    tracing::info!("registry stopped");
    Ok(())
}

fn check_config(config: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let mut environment = process_environment();
    let file = ConfigFile::find(config, &mut environment);
    if !file.named {
        complain(&file.describe());
    }
    let examined = settings::examine(file.path.as_deref(), environment)?;
    print(&examined.loaded.report());
    for warning in &examined.warnings {
        complain(&format!("warning: {warning}"));
    }
    examined.outcome?.check()?;
    Ok(if examined.loaded.has_unknown_keys() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

#[expect(clippy::print_stdout, reason = "the answer of a command belongs on standard output")]
fn print(text: &str) -> ExitCode {
    print!("{text}");
    ExitCode::SUCCESS
}

#[expect(clippy::print_stderr, reason = "what went wrong with a command belongs on standard error")]
fn complain(text: &str) {
    eprintln!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_settings_file_alone_is_served() {
        let parse = |words: &[&str]| {
            let words = words.iter().map(OsString::from).collect();
            Arguments::try_parse_from(with_command(words)).map(|arguments| arguments.command)
        };
        for file in ["config.yml", "/etc/docker/registry/config.yaml"] {
            let served = parse(&["registry", file]).expect("understood");
            assert!(matches!(served, Some(Command::Serve { config: Some(path) }) if path == Path::new(file)));
        }
        assert!(matches!(parse(&["registry", "serve"]), Ok(Some(Command::Serve { config: None }))));
        assert!(parse(&["registry", "config.json"]).is_err());
    }
}
