//! `cargo loadtest`: how long things take, on a data set of a size and a seed.
//!
//! Reading order: what there is to measure ([`workload`]), on what ([`data`], [`fill`]), how figures look ([`report`],
//! [`process`]), who asks over the network ([`keep_alive`]), and the workloads themselves.
//!
//! *Invariant:* figures are printed and compared by people; no test passes or fails by them. Answers that are wrong
//! do fail.

mod data;

mod fill;

mod report;

mod process;

mod keep_alive;

mod workload;

mod decisions;

mod tokens;

mod propagation;

mod rotation;

mod listings;

use std::process::Command;

use anyhow::Context as _;
use clap::Parser as _;
use harness::database::Database;

use data::DataSet;
use report::Report;
use workload::{Arguments, Workload};

#[tokio::main]
#[expect(clippy::print_stdout, reason = "figures are what this program is for")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let data = DataSet::new(arguments.scale, arguments.seed)?;
    let mut reports = Vec::new();
    if arguments.workload == Workload::Generate {
        let url =
            arguments.database.as_deref().context("`generate` fills the database that --database names")?;
        reports.push(fill::fill(url, &data).await?);
    } else {
        let place = Place::of(&arguments)?.filled(&arguments, &mut reports).await?;
        for workload in arguments.workload.parts() {
            let report = match workload {
                Workload::Decisions => decisions::run(&place.url, &data, &arguments).await?,
                Workload::Tokens => tokens::run(&place.url, &data, &arguments).await?,
                Workload::Propagation => propagation::run(&place.url, &data, &arguments).await?,
                Workload::Rotation => rotation::run(&place.url, &data, &arguments).await?,
                Workload::Listings => listings::run(&place.url, &data).await?,
                Workload::Generate | Workload::All => continue,
            };
            reports.push(report);
        }
    }
    if arguments.json {
        let all: Vec<_> = reports.iter().map(Report::json).collect();
        println!("{}", serde_json::to_string_pretty(&all)?);
    } else {
        for report in &reports {
            println!("{report}");
        }
    }
    Ok(())
}

/// The database that is measured on; a throw-away one is gone with this value.
struct Place {
    url: String,
    throw_away: Option<Database>,
}

impl Place {
    fn of(arguments: &Arguments) -> anyhow::Result<Self> {
        if arguments.workload.needs_server() {
            build("token-server")?;
        }
        if arguments.workload.parts().contains(&Workload::Rotation) {
            build("registry")?;
        }
        Ok(Self { url: arguments.database.clone().unwrap_or_default(), throw_away: None })
    }

    /// Fills a throw-away database, unless one was named.
    async fn filled(mut self, arguments: &Arguments, reports: &mut Vec<Report>) -> anyhow::Result<Self> {
        if self.url.is_empty() {
            let database = Database::create().await?;
            database.url().clone_into(&mut self.url);
            self.throw_away = Some(database);
            // By another process, whose memory is not measured afterwards.
            let mut filling = Command::new(std::env::current_exe()?);
            filling.args(["generate", "--json", "--database", &self.url]);
            filling.args(["--scale", &arguments.scale.to_string(), "--seed", &arguments.seed.to_string()]);
            let output = filling.output()?;
            anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            reports.extend(Report::read(&output.stdout)?);
        }
        Ok(self)
    }
}

/// A server is measured as it is in production, and as the sources are now.
fn build(server: &str) -> anyhow::Result<()> {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--release", "--locked", "--package", server, "--bin", server]);
    // What cargo says to this program about itself would be news to build scripts, and half of everything built again.
    for (name, _) in std::env::vars_os() {
        let is_ours =
            |name: &str| ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|part| name.starts_with(part));
        if name.to_str().is_some_and(is_ours) {
            build.env_remove(name);
        }
    }
    let outcome = build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).status()?;
    anyhow::ensure!(outcome.success(), "{server} does not build");
    Ok(())
}
