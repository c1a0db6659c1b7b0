//! `cargo dev`: both servers with a throw-away database and people in it, until Ctrl-C.
//!
//! *Invariant:* nothing is left behind; for state that stays there is `compose/quickstart`.

use harness::actors::Town;
use harness::images::Image;
use harness::stack::{StackOptions, password_of};

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the person at the terminal has to learn addresses and passwords")]
async fn main() -> anyhow::Result<()> {
    let town =
        Town::with(StackOptions { processes: true, same_origin: true, ..StackOptions::default() }).await?;
    let image = Image::new(1, 2, 100_000)?;
    town.admin.push_image("public/demo", "1", &image).await?;
    town.admin.push_image("platform/demo", "1", &image).await?;
    let registry = town.stack.registry_address();
    println!("registry      {registry}");
    println!("token server  {}", town.stack.token_server.address());
    println!("database      {}", town.stack.database.url());
    for user in ["admin", "alice", "bob"] {
        println!("docker login {registry} --username {user} --password '{}'", password_of(user));
    }
    println!("docker pull {registry}/public/demo:1");
    println!("Ctrl-C stops everything.");
    tokio::signal::ctrl_c().await?;
    Ok(())
}
