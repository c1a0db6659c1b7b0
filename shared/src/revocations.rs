//! The feed of revocations: which tokens a token server takes back, as it tells its registries.
//!
//! A registry asks with a [`Question`], the server replies with [`News`] as soon as there are any, or when the wait is
//! over. The README of this crate says what both owe each other.
//!
//! *Invariant:* what is read of an [`Entry`] is never about fewer tokens than what was written: a member that this
//! version does not know is passed over, which takes a condition away; one that it knows and cannot read makes the
//! whole answer unreadable. Positions are compared, never clocks.

use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use crate::repository_name::{MAX_NAME_BYTES, RepositoryName};

/// Most entries in an answer; a server that has more sends one that is about more tokens.
pub const MAX_ENTRIES: usize = 100_000;

/// Most bytes of an answer.
pub const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// Most bytes of a cursor.
pub const MAX_CURSOR_BYTES: usize = 1024;

/// A place in the log of changes of a database. Places are compared only within an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The life of the database: a `UUIDv7`, made anew when it is restored. A later one is greater, byte by byte.
    pub epoch: Uuid,
    /// The number of the change.
    pub at: i64,
}

/// What a registry asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What it was told last; nothing in its first question.
    pub known: Option<Known>,
    /// For how many seconds the answer may be held back while there is nothing new.
    pub wait_seconds: u64,
}

/// Up to where a registry knows everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The position of the last answer.
    pub position: Position,
    /// The cursor of the last answer.
    pub cursor: String,
}

/// Why parameters are not a question.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidQuestion {
    /// A value that is none, or a parameter that comes twice.
    #[error("the parameter `{0}` is missing, cannot be read or comes twice")]
    Parameter(&'static str),
}

impl Question {
    /// The parameters of the query, in order.
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut parameters = Vec::new();
        if let Some(Known { position, cursor }) = &self.known {
            parameters.push(("epoch", position.epoch.to_string()));
            parameters.push(("after", position.at.to_string()));
            parameters.push(("cursor", cursor.clone()));
        }
        parameters.push(("wait", self.wait_seconds.to_string()));
        parameters
    }

    /// Reads the parameters of a query. Others are passed over; of `epoch`, `after` and `cursor` all are there or none.
    pub fn parse<'a>(
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, InvalidQuestion> {
        let [mut epoch, mut after, mut cursor, mut wait] = [None; 4];
        for (name, value) in parameters {
            let (name, place) = match name {
                "epoch" => ("epoch", &mut epoch),
                "after" => ("after", &mut after),
                "cursor" => ("cursor", &mut cursor),
                "wait" => ("wait", &mut wait),
                _ => continue,
            };
            if place.replace(value).is_some() {
                return Err(InvalidQuestion::Parameter(name));
            }
        }
        let needs = |name| InvalidQuestion::Parameter(name);
        let known = if epoch.is_some() || after.is_some() || cursor.is_some() {
            let epoch = epoch.and_then(|text| Uuid::try_parse(text).ok()).ok_or(needs("epoch"))?;
            let at = after.and_then(|text| text.parse().ok()).ok_or(needs("after"))?;
            let cursor = cursor.filter(|text| text.len() <= MAX_CURSOR_BYTES).ok_or(needs("cursor"))?;
            Some(Known { position: Position { epoch, at }, cursor: cursor.to_owned() })
        } else {
            None
        };
        let wait_seconds = wait.and_then(|text| text.parse().ok()).ok_or(needs("wait"))?;
        Ok(Self { known, wait_seconds })
    }
}

/// What a token server answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// The life of the database that the answer was taken from.
    pub epoch: Uuid,
    /// Up to where the answer tells everything; never less than the question said, in the same epoch.
    pub at: i64,
    /// What to ask with next; its meaning is the server's own.
    pub cursor: String,
    /// Whether these are all entries in force, which replace what the registry has. If not, they are added to it.
    pub complete: bool,
    /// The entries, in any order.
    #[serde(deserialize_with = "bounded")]
    pub entries: Vec<Entry>,
}

impl News {
    /// Up to where a registry that takes the answer knows everything.
    pub fn known(&self) -> Known {
        Known { position: Position { epoch: self.epoch, at: self.at }, cursor: self.cursor.clone() }
    }
}

/// Takes tokens back: those of which every condition is true, and which were decided before it. One without conditions
/// is about every token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its position, in the epoch of the answer.
    pub at: i64,
    /// For how many seconds from now on it must be kept: until nothing that was decided before it can be used any more.
    pub keep: u64,
    /// Tokens of this user, by the stable id (`portcullis.uid`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Uuid>,
    /// Tokens that were got with this credential (`portcullis.credential`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Uuid>,
    /// Tokens that were signed with this key (`kid` in the header).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Requests about this repository, and for lists of repositories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepositoryName>,
    /// Requests about a repository whose name begins so, and for lists of repositories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<NamePrefix>,
}

/// The beginning of repository names: a name with a slash behind it, or nothing, with which all names begin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NamePrefix(Box<str>);

/// Why a text is not the beginning of names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a place is empty, for everything, or a repository name with a slash behind it")]
pub struct InvalidNamePrefix;

impl NamePrefix {
    /// Checks a text.
    pub fn parse(text: &str) -> Result<Self, InvalidNamePrefix> {
        let is_place = text.is_empty()
            || (text.len() <= MAX_NAME_BYTES
                && text.strip_suffix('/').is_some_and(|name| RepositoryName::parse(name).is_ok()));
        if is_place { Ok(Self(text.into())) } else { Err(InvalidNamePrefix) }
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a name begins so. A name is not below itself.
    pub fn covers(&self, name: &RepositoryName) -> bool {
        name.as_str().starts_with(&*self.0)
    }
}

impl TryFrom<String> for NamePrefix {
    type Error = InvalidNamePrefix;

    fn try_from(text: String) -> Result<Self, InvalidNamePrefix> {
        Self::parse(&text)
    }
}

impl From<NamePrefix> for String {
    fn from(prefix: NamePrefix) -> Self {
        prefix.0.into()
    }
}

/// Stops reading at the entry that is one too many.
fn bounded<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Entry>, D::Error> {
    struct Entries;

    impl<'de> Visitor<'de> for Entries {
        type Value = Vec<Entry>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(formatter, "at most {MAX_ENTRIES} entries")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<Entry>, A::Error> {
            let mut entries = Vec::new();
            while let Some(entry) = items.next_element()? {
                if entries.len() == MAX_ENTRIES {
                    return Err(serde::de::Error::invalid_length(MAX_ENTRIES + 1, &self));
                }
                entries.push(entry);
            }
            Ok(entries)
        }
    }

    deserializer.deserialize_seq(Entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: &str = "0198f000-0000-7000-8000-000000000001";
    const ALICE: &str = "00000000-0000-4000-8000-0000000000aa";

    fn news(entries: &str) -> Result<News, serde_json::Error> {
        serde_json::from_str(&format!(
            r#"{{"epoch":"{EPOCH}","at":7,"cursor":"c","complete":false,"entries":[{entries}]}}"#
        ))
    }

    #[test]
    fn an_answer_reads_back_as_written() {
        let json = format!(
            concat!(
                r#"{{"epoch":"{epoch}","at":7,"cursor":"c","complete":true,"entries":["#,
                r#"{{"at":3,"keep":60}},"#,
                r#"{{"at":5,"keep":60,"subject":"{alice}","credential":"{alice}","key":"k"}},"#,
                r#"{{"at":6,"keep":60,"repository":"a/b"}},{{"at":7,"keep":60,"below":"a/"}},"#,
                r#"{{"at":7,"keep":60,"below":""}}]}}"#
            ),
            epoch = EPOCH,
            alice = ALICE
        );
        let news: News = serde_json::from_str(&json).expect("an answer");
        assert_eq!(serde_json::to_string(&news).expect("plain data"), json);
        assert_eq!(news.known().position.at, 7);
    }

    #[test]
    fn an_unknown_condition_leaves_an_entry_that_is_about_more() {
        let news = news(&format!(
            r#"{{"at":1,"keep":1,"subject":"{ALICE}","network":"10.0.0.0/8"}},{{"at":2,"keep":1,"device":{{"a":[1]}}}}"#
        ))
        .expect("an answer");
        let alice = Uuid::try_parse(ALICE).ok();
        assert_eq!(news.entries[0], Entry { at: 1, keep: 1, subject: alice, ..Entry::default() });
        assert_eq!(news.entries[1], Entry { at: 2, keep: 1, ..Entry::default() });
    }

    #[test]
    fn a_known_condition_that_cannot_be_read_spoils_the_answer() {
        for entry in [
            r#"{"keep":1}"#,
            r#"{"at":1}"#,
            r#"{"at":"1","keep":1}"#,
            r#"{"at":1,"keep":-1}"#,
            r#"{"at":1.5,"keep":1}"#,
            r#"{"at":1,"keep":1,"subject":"alice"}"#,
            r#"{"at":1,"keep":1,"credential":7}"#,
            r#"{"at":1,"keep":1,"key":["k"]}"#,
            r#"{"at":1,"keep":1,"repository":"A"}"#,
            r#"{"at":1,"keep":1,"repository":""}"#,
            r#"{"at":1,"keep":1,"below":"a"}"#,
            r#"{"at":1,"keep":1,"below":"/"}"#,
            r#"{"at":1,"keep":1,"below":"a//"}"#,
            r#"{"at":1,"keep":1,"key":"a","key":"b"}"#,
            "null",
            "[]",
        ] {
            assert!(news(entry).is_err(), "{entry}");
        }
        for json in ["{}", "[]", "null", r#"{"epoch":"x","at":1,"cursor":"","complete":true,"entries":[]}"#] {
            assert!(serde_json::from_str::<News>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn an_answer_has_only_so_many_entries() {
        let many = |count: usize| vec![r#"{"at":1,"keep":1}"#; count].join(",");
        assert_eq!(news(&many(MAX_ENTRIES)).expect("just as many").entries.len(), MAX_ENTRIES);
        assert!(news(&many(MAX_ENTRIES + 1)).is_err());
    }

    #[test]
    fn a_question_reads_back_as_it_was_asked() {
        let position = Position { epoch: Uuid::try_parse(EPOCH).expect("an id"), at: -3 };
        let known = Some(Known { position, cursor: "a&b=c".into() });
        for question in
            [Question { known: None, wait_seconds: 5 }, Question { known: known.clone(), wait_seconds: 0 }]
        {
            let parameters = question.parameters();
            let parameters = parameters.iter().map(|(name, value)| (*name, value.as_str()));
            assert_eq!(Question::parse(parameters), Ok(question));
        }
        for (parameters, wrong) in [
            (vec![], "wait"),
            (vec![("wait", "soon")], "wait"),
            (vec![("wait", "5"), ("wait", "5")], "wait"),
            (vec![("wait", "5"), ("after", "1"), ("cursor", "")], "epoch"),
            (vec![("wait", "5"), ("epoch", EPOCH), ("cursor", "")], "after"),
            (vec![("wait", "5"), ("epoch", EPOCH), ("after", "1")], "cursor"),
            (vec![("wait", "5"), ("epoch", "1"), ("after", "1"), ("cursor", "")], "epoch"),
        ] {
            assert_eq!(Question::parse(parameters), Err(InvalidQuestion::Parameter(wrong)));
        }
        assert!(Question::parse([("wait", "5"), ("more", "1"), ("more", "2")]).is_ok());
    }

    #[test]
    fn what_is_below_a_place_begins_with_it_and_is_not_it() {
        let covers = |place: &str, name: &str| {
            NamePrefix::parse(place).expect(place).covers(&name.parse().expect("a name"))
        };
        assert!(covers("", "a") && covers("a/", "a/b") && covers("a/b/", "a/b/c/d"));
        assert!(!covers("a/", "a") && !covers("a/", "ab/c") && !covers("a/b/", "a/c"));
    }
}
