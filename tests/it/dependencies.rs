//! What comes in from outside: one crypto library, permissive licences.
//!
//! *Invariant:* the lists are those of `deny.toml`, so that this test and `cargo deny` cannot disagree.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::tidy::root;

/// The quoted words of a list in `deny.toml`.
fn listed(section: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join("deny.toml")).expect("deny.toml");
    let after = text.split_once(section).expect("the section is there").1;
    let list = after.split_once(']').expect("the list ends").0;
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_lock_file_has_one_crypto_library() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("the lock file is checked in");
    let banned = listed("\ndeny = [");
    assert!(banned.len() >= 4);
    for name in banned {
        assert!(!lock.contains(&format!("name = \"{name}\"")), "{name} is in the lock file");
    }
    assert!(lock.contains("name = \"ring\""));
}

#[test]
fn every_dependency_has_a_permissive_licence() {
    let allowed = listed("\nallow = [");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform"])
        .arg(format!("{}-unknown-linux-gnu", std::env::consts::ARCH))
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    assert!(packages.len() > 100);
    for package in packages {
        let licence = package["license"].as_str().unwrap_or("none").replace('/', " OR ");
        // One of the alternatives must be allowed with all of its parts.
        let acceptable = |alternative: &str| {
            let parts = alternative.trim_matches(['(', ')', ' ']).split(" AND ");
            parts
                .map(|part| part.trim_matches(['(', ')', ' ']))
                .all(|part| allowed.iter().any(|one| one == part))
        };
        let conjunctions: Vec<_> = licence.split(") AND (").collect();
        let fine = conjunctions.iter().all(|clause| {
            // `A AND (B OR C)`: every factor needs one acceptable alternative.
            match clause.split_once(" AND (") {
                Some((first, rest)) => acceptable(first) && rest.split(" OR ").any(acceptable),
                None => clause.split(" OR ").any(acceptable),
            }
        });
        assert!(fine, "{} is under {licence}", package["name"]);
    }
}
