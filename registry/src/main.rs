//! The `registry` binary; see the library for everything it does.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    registry::cli::run().await
}
