//! What may be done to a resource: the closed list of actions a token can carry.
//!
//! *Invariant:* an [`ActionSet`] has no duplicates and always prints in the same order, because scopes and claims
//! made from it are compared as text by clients and in snapshots.
//!
//! Spec: distribution, "Token Scope Documentation".

use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One action on a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Read manifests, blobs and tags.
    Pull,
    /// Upload blobs, write manifests and tags.
    Push,
    /// Delete manifests, tags and blobs.
    Delete,
    /// Delete the repository as a whole.
    RepositoryDelete,
    /// `*`: everything, now and later; only whole-repository owners get it.
    All,
}

impl Action {
    /// Every action, in the order in which sets print.
    pub const ALL: [Self; 5] = [Self::Pull, Self::Push, Self::Delete, Self::RepositoryDelete, Self::All];

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
            Self::RepositoryDelete => "repository-delete",
            Self::All => "*",
        }
    }

    /// The action of that word, if there is one.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == word)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of actions.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionSet(u8);

impl ActionSet {
    /// No action.
    pub const EMPTY: Self = Self(0);

    /// The set of exactly these actions.
    pub const fn of(actions: &[Action]) -> Self {
        let mut bits = 0;
        let mut index = 0;
        while index < actions.len() {
            bits |= actions[index].bit();
            index += 1;
        }
        Self(bits)
    }

    /// Parses comma-separated words and leaves out the ones that are not actions.
    pub fn parse_known(words: &str) -> Self {
        words.split(',').filter_map(Action::parse).collect()
    }

    /// Whether `action` is in the set; `*` contains every action.
    pub const fn allows(self, action: Action) -> bool {
        self.0 & (action.bit() | Action::All.bit()) != 0
    }

    /// Whether the set has no action.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is in either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is literally in both sets; `*` is one member, not a wildcard.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is literally in this set and not in the other.
    #[must_use]
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether the member itself is in the set; unlike [`Self::allows`], `*` stands only for itself.
    pub const fn contains(self, action: Action) -> bool {
        self.0 & action.bit() != 0
    }

    /// The members in printing order.
    pub fn iter(self) -> impl Iterator<Item = Action> {
        Action::ALL.into_iter().filter(move |action| self.contains(*action))
    }
}

impl FromIterator<Action> for ActionSet {
    fn from_iter<I: IntoIterator<Item = Action>>(actions: I) -> Self {
        actions.into_iter().fold(Self::EMPTY, |set, action| Self(set.0 | action.bit()))
    }
}

impl fmt::Display for ActionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, action) in self.iter().enumerate() {
            if position > 0 {
                f.write_str(",")?;
            }
            f.write_str(action.as_str())?;
        }
        Ok(())
    }
}

impl fmt::Debug for ActionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

impl Serialize for ActionSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Action::as_str))
    }
}

impl<'de> Deserialize<'de> for ActionSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;

        impl<'de> Visitor<'de> for Words {
            type Value = ActionSet;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of actions")
            }

            // Words this version does not know are left out: they can only be rights it cannot give.
            fn visit_seq<A: SeqAccess<'de>>(self, mut words: A) -> Result<ActionSet, A::Error> {
                let mut set = ActionSet::EMPTY;
                while let Some(word) = words.next_element::<String>()? {
                    set = set.union(Action::parse(&word).into_iter().collect());
                }
                Ok(set)
            }

            // Some issuers write an empty list as null.
            fn visit_unit<E: serde::de::Error>(self) -> Result<ActionSet, E> {
                Ok(ActionSet::EMPTY)
            }
        }

        deserializer.deserialize_any(Words)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn star_allows_everything_but_intersects_only_with_itself() {
        let star = ActionSet::of(&[Action::All]);
        assert!(star.allows(Action::Delete));
        assert!(star.intersection(ActionSet::of(&[Action::Pull])).is_empty());
    }

    #[test]
    fn unknown_words_are_left_out() {
        let set: ActionSet = serde_json::from_str(r#"["push","scan","pull","push"]"#).expect("a list");
        assert_eq!(set.to_string(), "pull,push");
        assert_eq!(serde_json::to_string(&set).expect("plain words"), r#"["pull","push"]"#);
        assert_eq!(serde_json::from_str::<ActionSet>("null").expect("null is empty"), ActionSet::EMPTY);
    }

    proptest! {
        #[test]
        fn printing_and_parsing_agree(bits in 0u8..32) {
            let set = ActionSet(bits);
            prop_assert_eq!(ActionSet::parse_known(&set.to_string()), set);
        }
    }
}
