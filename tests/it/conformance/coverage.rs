//! The list of requirements and the names of the tests, compared.
//!
//! *Invariant:* every requirement has a test of its number or a sentence why not, and no test has a number that is
//! not in the list.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::tidy::root;

/// What stands in a row that has no test, before the reason.
const UNTESTED: &str = "*No test:";

struct Requirement {
    level: String,
    has_test: bool,
}

/// The rows of the list by their numbers, as `m_11`.
fn requirements() -> BTreeMap<String, Requirement> {
    let list = include_str!("README.md");
    let rows = list.lines().filter_map(|line| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [_, number, level, requirement, _] = cells[..] else { return None };
        let (section, row) = number.split_once('-')?;
        let is_number =
            section.len() == 1 && row.bytes().all(|byte| byte.is_ascii_digit()) && !row.is_empty();
        let is_row = is_number && requirement.len() > 10;
        is_row.then(|| {
            let has_test = !requirement.contains(UNTESTED);
            (
                format!("{}_{row}", section.to_ascii_lowercase()),
                Requirement { level: level.to_owned(), has_test },
            )
        })
    });
    rows.collect()
}

/// The numbers that begin the names of tests.
fn tested() -> BTreeSet<String> {
    let folder = root().join("tests/it/conformance");
    let files = fs::read_dir(folder).expect("this folder").flatten();
    let mut numbers = BTreeSet::new();
    for file in files.filter(|file| file.path().extension().is_some_and(|extension| extension == "rs")) {
        let text = fs::read_to_string(file.path()).expect("a source file");
        for test in text.split("#[tokio::test]\nasync fn ").skip(1) {
            let mut words = test.split('_');
            let (Some(section), Some(row)) = (words.next(), words.next()) else { continue };
            if section.len() == 1 && !row.is_empty() && row.bytes().all(|byte| byte.is_ascii_digit()) {
                numbers.insert(format!("{section}_{row}"));
            }
        }
    }
    numbers
}

#[test]
fn every_requirement_has_a_test_of_its_number_and_every_number_a_requirement() {
    let (requirements, tested) = (requirements(), tested());
    assert!(requirements.len() > 100, "the list has {} rows", requirements.len());
    for (number, requirement) in &requirements {
        let is_tested = tested.contains(number);
        assert_eq!(requirement.has_test, is_tested, "{number}: does the list say what the tests do?");
    }
    let unlisted: Vec<_> = tested.iter().filter(|number| !requirements.contains_key(*number)).collect();
    assert!(unlisted.is_empty(), "the list does not have {unlisted:?}");
}

#[test]
fn every_level_of_the_list_is_one_of_the_four() {
    for (number, Requirement { level, .. }) in requirements() {
        assert!(["M", "S", "O", "–"].contains(&level.as_str()), "{number}: {level}");
    }
}
