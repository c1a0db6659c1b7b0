//! `registry garbage-collect`: the flags, the lines and the exit codes of the distribution registry.
//!
//! *Invariant:* standard output has its lines and nothing else; what is kept because it was not understood is told on
//! standard error, also when quiet.

use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgAction, Args};
use shared::server::causes;

use super::{complain, images};
use crate::domain::collection::CollectionOptions;
use crate::domain::collection::report::{Event, Observer};

#[derive(Debug, Args)]
pub(super) struct GarbageCollect {
    /// Tell what would be removed, and change nothing.
    #[arg(short = 'd', long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value = "false", default_missing_value = "true", hide_default_value = true,
          value_parser = go_bool, action = ArgAction::Set)]
    dry_run: bool,
    /// Also remove manifests that no tag leads to. What a tagged image consists of and what refers to it stays.
    #[arg(short = 'm', long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value = "false", default_missing_value = "true", hide_default_value = true,
          value_parser = go_bool, action = ArgAction::Set)]
    delete_untagged: bool,
    /// Print nothing but what goes wrong.
    #[arg(short, long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value = "false", default_missing_value = "true", hide_default_value = true,
          value_parser = go_bool, action = ArgAction::Set)]
    quiet: bool,
    /// Settings file, as for serve.
    config: Option<PathBuf>,
}

/// The words that flags of the distribution registry take, as in `--dry-run=false`.
fn go_bool(word: &str) -> Result<bool, &'static str> {
    match word {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("use true or false"),
    }
}

/// Removes what no manifest needs.
pub(super) async fn run(command: GarbageCollect) -> anyhow::Result<ExitCode> {
    let images = images(command.config)?;
    if !command.quiet && !command.dry_run {
        complain("no registry may write to these images until this is done; one that only reads may go on");
    }
    let options = CollectionOptions { dry_run: command.dry_run, delete_untagged: command.delete_untagged };
    let mut lines = Lines { output: BufWriter::new(std::io::stdout()), quiet: command.quiet };
    let outcome = images.collect_garbage(options, &mut lines).await;
    // A reader that has gone away is no reason to leave garbage.
    let _ = lines.output.flush();
    Ok(match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("failed to garbage collect: {}", causes::sentence(&error)));
            ExitCode::FAILURE
        }
    })
}

struct Lines<W: Write> {
    output: BufWriter<W>,
    quiet: bool,
}

impl<W: Write + Send> Observer for Lines<W> {
    fn tell(&mut self, event: Event<'_>) {
        match event {
            Event::Kept { .. } => {
                let _ = self.output.flush();
                complain(&format!("warning: {event}"));
            }
            _ if self.quiet => {}
            _ => drop(writeln!(self.output, "{event}")),
        }
    }
}
