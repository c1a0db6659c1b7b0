//! Finding repositories by a part of their name.
//!
//! *Invariant:* a search walks as the list of repositories does, sees no more than that shows, and looks at no more
//! than [`MAX_STEPS`] places, so that a term which is nowhere costs no more than one that is everywhere. What was not
//! reached is said to be missing.

use shared::repository_name::RepositoryName;
use shared::repository_set::RepositorySet;

use super::super::Repositories;
use super::super::error::RegistryError;
use super::{Step, Walk};

/// Places that one search looks at.
pub const MAX_STEPS: usize = 20_000;

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// A part of the name; capital letters count as small ones.
    pub term: &'a str,
    /// How many of the first that fit were shown before.
    pub skip: usize,
    /// How many to show.
    pub limit: usize,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// In byte order.
    pub repositories: Vec<RepositoryName>,
    /// How many fit, as far as that was looked for: those skipped, those here, and one if there are more.
    pub known: usize,
    /// Whether the search ended before it had seen everything that may be shown.
    pub is_cut_short: bool,
}

impl Repositories {
    /// Finds repositories in any of these sets, or in all.
    pub async fn search_repositories(
        &self,
        wanted: Wanted<'_>,
        visible: Option<&[RepositorySet]>,
    ) -> Result<Found, RegistryError> {
        self.search_within(wanted, visible, MAX_STEPS).await
    }

    async fn search_within(
        &self,
        wanted: Wanted<'_>,
        visible: Option<&[RepositorySet]>,
        steps: usize,
    ) -> Result<Found, RegistryError> {
        // Names have no capital letters.
        let term = wanted.term.to_ascii_lowercase();
        let mut found = Found { repositories: Vec::new(), known: 0, is_cut_short: false };
        let mut walk = Walk::begin(self, "", visible).await?;
        for _ in 0..steps {
            let name = match walk.step().await? {
                Step::Repository(name) => name,
                Step::Nothing => continue,
                Step::End => return Ok(found),
            };
            if !name.as_str().contains(&term) {
                continue;
            }
            found.known += 1;
            if found.known > wanted.skip.saturating_add(wanted.limit) {
                return Ok(found);
            }
            if found.known > wanted.skip {
                found.repositories.push(name);
            }
        }
        found.is_cut_short = true;
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use shared::repository_pattern::RepositoryPattern;

    use super::*;
    use crate::domain::testing::Tree;
    use crate::storage::layout;

    fn tree(repositories: &[&str]) -> Tree {
        let tree = Tree::new();
        for repository in repositories {
            let folder = tree.path(&layout::repository_folder(repository)).join(layout::MANIFESTS);
            std::fs::create_dir_all(folder).expect("made");
        }
        tree
    }

    fn texts(found: &Found) -> Vec<&str> {
        found.repositories.iter().map(RepositoryName::as_str).collect()
    }

    #[tokio::test]
    async fn a_term_is_any_part_of_a_name_in_any_case() {
        let tree = tree(&["web/app", "app", "web/api", "x/y/web", "other"]);
        for (term, expected) in [
            ("APP", vec!["app", "web/app"]),
            ("web", vec!["web/api", "web/app", "x/y/web"]),
            ("b/ap", vec!["web/api", "web/app"]),
            ("", vec!["app", "other", "web/api", "web/app", "x/y/web"]),
            ("none", vec![]),
            ("_manifests", vec![]),
        ] {
            let wanted = Wanted { term, skip: 0, limit: 10 };
            let found = tree.repositories.search_repositories(wanted, None).await.expect("readable");
            assert_eq!((texts(&found), found.is_cut_short), (expected, false), "{term}");
        }
    }

    #[tokio::test]
    async fn pages_put_together_are_everything_that_fits() {
        let names = ["a/1", "a/2", "a/3", "b/1", "c/1"];
        let tree = tree(&names);
        for limit in 1..=names.len() + 1 {
            let mut seen = Vec::new();
            loop {
                let wanted = Wanted { term: "", skip: seen.len(), limit };
                let found = tree.repositories.search_repositories(wanted, None).await.expect("readable");
                seen.extend(texts(&found).into_iter().map(str::to_owned));
                if found.known <= seen.len() {
                    break;
                }
            }
            assert_eq!(seen, names, "pages of {limit}");
        }
    }

    #[tokio::test]
    async fn a_search_shows_what_may_be_seen_and_ends_in_time() {
        let tree = tree(&["a/app", "b/app", "c/app"]);
        let pattern = |text: &str| RepositoryPattern::parse(text).expect("a pattern");
        let visible = [RepositorySet::new(vec![pattern("a/**"), pattern("c/**")], vec![pattern("c/app")])];
        let wanted = Wanted { term: "app", skip: 0, limit: 10 };
        let found = tree.repositories.search_repositories(wanted, Some(&visible)).await.expect("readable");
        assert_eq!((texts(&found), found.known), (vec!["a/app"], 1));
        // `a`, what is below it, `a/app`, `b`.
        let found = tree.repositories.search_within(wanted, None, 4).await.expect("readable");
        assert_eq!((texts(&found), found.is_cut_short), (vec!["a/app"], true));
    }
}
