//! Who may do what: the one place where a right is decided.
//!
//! Grants add up. No order, no priority, nothing that takes away: whatever one of them allows is allowed.
//!
//! *Invariant:* [`allowed_actions`] is pure, adding a grant never removes a right, and the order of grants does not
//! matter.

use shared::action::{Action, ActionSet};
use shared::scope::Resource;

use super::pattern::RepositoryPattern;
use super::role::Role;

/// A stored right of the subject or of a group the subject is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// On which repositories.
    pub pattern: RepositoryPattern,
    /// In which role.
    pub role: Role,
}

/// Everything these grants allow on a resource.
pub fn allowed_actions(grants: &[Grant], resource: &Resource) -> ActionSet {
    grants.iter().fold(ActionSet::EMPTY, |allowed, grant| allowed.union(allowed_by(grant, resource)))
}

fn allowed_by(grant: &Grant, resource: &Resource) -> ActionSet {
    match resource {
        Resource::Repository(name) if grant.pattern.matches(name) => grant.role.actions(),
        // The list names every repository, so it is for those who own every repository.
        Resource::Catalog if grant.role == Role::Owner && grant.pattern.covers_everything() => {
            ActionSet::of(&[Action::All])
        }
        Resource::Repository(_) | Resource::Catalog => ActionSet::EMPTY,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn grant(pattern: &str, role: Role) -> Grant {
        Grant { pattern: RepositoryPattern::parse(pattern).unwrap(), role }
    }

    fn allowed(grants: &[Grant], name: &str) -> String {
        allowed_actions(grants, &Resource::Repository(name.parse().unwrap())).to_string()
    }

    #[test]
    fn grants_add_up() {
        let grants = [grant("a/**", Role::Viewer), grant("a/b", Role::Writer), grant("*/c", Role::Owner)];
        assert_eq!(allowed(&grants, "a"), "pull");
        assert_eq!(allowed(&grants, "a/b"), "pull,push");
        assert_eq!(allowed(&grants, "a/c"), "pull,push,delete,repository-delete,*");
        assert_eq!(allowed(&grants, "b"), "");
    }

    #[test]
    fn the_catalogue_is_for_owners_of_everything() {
        let catalog = |grants: &[Grant]| allowed_actions(grants, &Resource::Catalog).to_string();
        assert_eq!(catalog(&[grant("**", Role::Owner)]), "*");
        assert_eq!(catalog(&[grant("**", Role::Maintainer), grant("a/**", Role::Owner)]), "");
        assert_eq!(catalog(&[grant("catalog", Role::Owner), grant("*", Role::Owner)]), "");
    }

    fn grants() -> impl Strategy<Value = Vec<Grant>> {
        let pattern = "(a|b|\\*|\\*\\*)(/(a|b|\\*|a\\*))?(/\\*\\*)?";
        let pattern = pattern.prop_filter_map("not a pattern", |text| RepositoryPattern::parse(&text).ok());
        let grant = (pattern, 0usize..4).prop_map(|(pattern, role)| Grant { pattern, role: Role::ALL[role] });
        proptest::collection::vec(grant, 0..6)
    }

    fn resource() -> impl Strategy<Value = Resource> {
        prop_oneof![
            9 => "[ab]{1,2}(/[ab]{1,2}){0,2}".prop_map(|name| Resource::Repository(name.parse().unwrap())),
            1 => Just(Resource::Catalog),
        ]
    }

    proptest! {
        #[test]
        fn adding_a_grant_never_removes_a_right(grants in grants(), more in grants(), resource in resource()) {
            let before = allowed_actions(&grants, &resource);
            let after = allowed_actions(&[grants, more].concat(), &resource);
            prop_assert!(before.difference(after).is_empty());
        }

        #[test]
        fn order_and_repetition_do_not_matter(grants in grants(), resource in resource(), turn in 0usize..6) {
            let expected = allowed_actions(&grants, &resource);
            let mut turned = [grants.clone(), grants].concat();
            turned.reverse();
            let turn = turn.min(turned.len());
            turned.rotate_left(turn);
            prop_assert_eq!(allowed_actions(&turned, &resource), expected);
        }

        #[test]
        fn nothing_is_allowed_by_grants_on_other_anchors(grants in grants(), resource in resource()) {
            let anchors = super::super::pattern::anchors([&resource]);
            let near: Vec<Grant> =
                grants.iter().filter(|grant| anchors.contains(&grant.pattern.anchor())).cloned().collect();
            prop_assert_eq!(allowed_actions(&near, &resource), allowed_actions(&grants, &resource));
        }
    }
}
