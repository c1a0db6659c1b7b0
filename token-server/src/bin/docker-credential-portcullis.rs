//! The credential helper as a program: docker, podman and other clients start it by its name.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::server::jwt_crypto::install();
    token_server::helper::main().await
}
