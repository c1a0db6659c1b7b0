//! schemathesis: a fuzzer that makes requests out of the description of an API.
//!
//! *Invariant:* the same version with the same seed and the same number of requests each time, and nothing is written
//! outside a private folder.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::process::Command;

use crate::program::{self, Said};

/// Any will do, as long as it stays.
const SEED: &str = "20261130";

/// Requests for each operation, besides those at the limits of each schema.
const EXAMPLES: &str = "8";

/// What is looked for in every answer.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance,negative_data_rejection,unsupported_method,ignored_auth";

fn binary() -> anyhow::Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let list = std::fs::read(root.join("tests/schemathesis.txt"))?;
    let folder = root.join("target/schemathesis");
    let is_there = std::fs::read(folder.join("installed.txt")).is_ok_and(|installed| installed == list);
    is_there
        .then(|| folder.join("bin/schemathesis"))
        .with_context(|| format!("schemathesis is missing in {}: run tests/run", folder.display()))
}

/// Tries the API of a token server with these credentials, and whatever else is said.
pub async fn run(url: &str, (user, password): (&str, &str), more: &[&str]) -> anyhow::Result<Said> {
    let folder = program::private_folder("fuzz")?;
    let mut command = Command::new(binary()?);
    command
        .current_dir(&folder)
        .env("NO_COLOR", "1")
        .env("NO_PROXY", "*")
        .args(["run", &format!("{url}/api/v1/openapi.json"), "--auth", &format!("{user}:{password}")])
        .args(["--checks", CHECKS, "--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES])
        .args(["--seed", SEED, "--workers", "1", "--no-shrink", "--generation-database", "none"])
        // How fast the machine is says nothing about the API.
        .args(["--suppress-health-check", "all", "--request-timeout", "60", "--warnings", "off"])
        .args(more);
    program::run(&mut command, "").await
}
