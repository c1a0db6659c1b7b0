//! The process: one crypto library, one runtime, one command.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    shared::server::jwt_crypto::install();
    token_server::cli::main().await
}
