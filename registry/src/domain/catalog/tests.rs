//! Tests of the list of repositories: its order, its pages, and how little of the tree a page looks into.
//!
//! *Invariant:* work is counted in folders listed, not in seconds.

use std::fs;

use proptest::prelude::*;
use shared::repository_pattern::RepositoryPattern;

use super::*;
use crate::domain::testing::{Tree, name};
use crate::domain::watched::watched;

fn texts(page: &CatalogPage) -> Vec<&str> {
    page.repositories.iter().map(RepositoryName::as_str).collect()
}

fn make(tree: &Tree, repositories: &[&str]) {
    for repository in repositories {
        let folder = tree.path(&layout::repository_folder(repository)).join(layout::MANIFESTS);
        fs::create_dir_all(folder).expect("made");
    }
}

async fn listed(repositories: &Repositories, after: Option<&str>, limit: usize) -> CatalogPage {
    repositories.list_repositories(after, limit, None).await.expect("readable")
}

#[tokio::test]
async fn names_come_in_byte_order_of_the_whole_name() {
    let tree = Tree::new();
    assert_eq!(texts(&listed(&tree.repositories, None, 10).await), Vec::<&str>::new());
    let mut names = ["a/c", "a", "a-b", "a.b", "a/b/c/d", "a0", "a/b", "a-b/x", "b", "a__b"];
    make(&tree, &names);
    names.sort_unstable();
    let all = listed(&tree.repositories, None, 100).await;
    assert_eq!((texts(&all), all.more), (names.to_vec(), false));
    assert_eq!(names[..4], ["a", "a-b", "a-b/x", "a.b"], "dashes and dots sort before slashes");
}

#[tokio::test]
async fn pages_put_together_are_the_whole_list() {
    let tree = Tree::new();
    let names = ["a", "a-b", "a-b/x", "a.b", "a/b", "a/b/c/d", "a/c", "a0", "b"];
    make(&tree, &names);
    for limit in 1..=names.len() + 1 {
        let mut seen: Vec<String> = Vec::new();
        loop {
            let page = listed(&tree.repositories, seen.last().map(String::as_str), limit).await;
            seen.extend(texts(&page).into_iter().map(str::to_owned));
            if !page.more {
                break;
            }
            assert_eq!(page.repositories.len(), limit);
        }
        assert_eq!(seen, names, "pages of {limit}");
    }
    let none = listed(&tree.repositories, None, 0).await;
    assert_eq!((texts(&none), none.more), (vec![], false));
    assert_eq!(texts(&listed(&tree.repositories, Some("a/b/c"), 2).await), ["a/b/c/d", "a/c"]);
    assert_eq!(texts(&listed(&tree.repositories, Some("zz"), 2).await), Vec::<&str>::new());
}

#[tokio::test]
async fn a_repository_is_known_by_its_manifests_or_its_layers() {
    let tree = Tree::new();
    tree.push_blob(&name("only/layers"), b"x").await;
    tree.push_image(&name("whole"), None, "image").await;
    let root = tree.path(&layout::repositories());
    for not_one in ["only/uploads/_uploads/x", "empty", "_manifests/_manifests", "Upper/_manifests"] {
        fs::create_dir_all(root.join(not_one)).expect("made");
    }
    fs::write(root.join("file"), "x").expect("written");
    assert_eq!(texts(&listed(&tree.repositories, None, 10).await), ["only/layers", "whole"]);
}

#[tokio::test]
async fn a_page_looks_only_into_folders_that_can_hold_its_names() {
    let tree = Tree::new();
    let names: Vec<String> =
        (0..20).flat_map(|team| (0..20).map(move |app| format!("team{team:02}/app{app:02}"))).collect();
    make(&tree, &names.iter().map(String::as_str).collect::<Vec<_>>());
    let (repositories, acts) = watched(&tree);
    for after in [None, Some("team10/app15"), Some("team19/app10")] {
        acts.take();
        let page = listed(&repositories, after, 7).await;
        assert_eq!(page.repositories.len(), 7);
        let folders = acts.take();
        let folders = folders.of("list");
        // The root, two teams at most, the one to begin after, which may have others below it, and one folder for
        // each name that is shown or needed to know that there are more.
        assert!(folders.len() <= 1 + 2 + 1 + 8, "{after:?}: {folders:?}");
    }
}

#[tokio::test]
async fn of_a_set_no_folder_that_can_hold_nothing_of_it_is_looked_into() {
    let tree = Tree::new();
    let names: Vec<String> =
        (0..20).flat_map(|team| (0..20).map(move |app| format!("team{team:02}/app{app:02}"))).collect();
    make(&tree, &names.iter().map(String::as_str).collect::<Vec<_>>());
    let (repositories, acts) = watched(&tree);
    let patterns =
        ["team07/**", "team11/app03"].map(|text| RepositoryPattern::parse(text).expect("a pattern"));
    let set = RepositorySet::new(patterns.to_vec(), Vec::new());
    let page =
        repositories.list_repositories(None, 100, Some(std::slice::from_ref(&set))).await.expect("readable");
    assert_eq!((page.repositories.len(), page.more), (21, false));
    let folders = acts.take();
    // The root, two teams, and what is shown.
    assert_eq!(folders.of("list").len(), 1 + 2 + 21, "{folders:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_page_of_a_set_is_a_cut_of_what_is_in_it(
        names in proptest::collection::btree_set("[ab]{1,2}(/[ab]{1,2}){0,2}", 0..12),
        within in proptest::collection::vec("([ab]|\\*)(/([ab]|[ab]\\*|\\*\\*))?", 0..3),
        except in proptest::collection::vec("[ab](/([ab]|\\*\\*))?", 0..2),
        after in "[ab./-]{0,4}",
        limit in 1..6usize,
    ) {
        let tree = Tree::new();
        make(&tree, &names.iter().map(String::as_str).collect::<Vec<_>>());
        let parsed = |texts: Vec<String>| {
            texts.iter().map(|text| RepositoryPattern::parse(text).expect("a pattern")).collect()
        };
        let set = RepositorySet::new(parsed(within), parsed(except));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let page = tree.repositories.list_repositories(Some(&after), limit, Some(std::slice::from_ref(&set)));
        let page = runtime.block_on(page).expect("readable");
        let seen = |text: &&str| **text > *after && set.contains(&name(text));
        let rest: Vec<&str> = names.iter().map(String::as_str).filter(seen).collect();
        prop_assert_eq!(texts(&page), &rest[..limit.min(rest.len())]);
        prop_assert_eq!(page.more, rest.len() > limit);
    }

    #[test]
    fn any_page_is_a_cut_of_the_sorted_list(
        names in proptest::collection::btree_set("[ab](-|\\.|_)?[ab](/[ab](-[ab])?){0,2}", 0..12),
        after in "[ab./-]{0,5}",
        limit in 0..6usize,
    ) {
        let tree = Tree::new();
        make(&tree, &names.iter().map(String::as_str).collect::<Vec<_>>());
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let page = runtime.block_on(listed(&tree.repositories, Some(&after), limit));
        let rest: Vec<&str> = names.iter().map(String::as_str).filter(|name| **name > *after).collect();
        let expected = &rest[..limit.min(rest.len())];
        prop_assert_eq!(texts(&page), expected);
        prop_assert_eq!(page.more, limit > 0 && rest.len() > limit);
    }
}
