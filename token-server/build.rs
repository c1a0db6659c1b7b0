//! Rebuilds when a migration is added; the macro that embeds them only sees the files that were there.

#[expect(clippy::print_stdout, reason = "this is how a build script speaks to cargo")]
fn main() {
    println!("cargo::rerun-if-changed=../migrations");
}
