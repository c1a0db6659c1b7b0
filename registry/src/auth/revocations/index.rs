//! The entries in force, in the form that is asked with every request.
//!
//! They are kept by whom they are about, and within that by place. Of the eight ways to say whom an entry is about only
//! those are looked up that occur, which is usually one or two; then the repository and each folder on the way to it.
//!
//! *Invariant:* the answer is the same as that of comparing the token with every entry.

use std::collections::{HashMap, HashSet};

use shared::repository_name::RepositoryName;
use shared::revocations::NamePrefix;
use shared::scope::Resource;
use uuid::Uuid;

use super::set::Conditions;

/// What a request is about, as far as it matters to revocations.
#[derive(Clone, Copy, Debug)]
pub(crate) enum About<'a> {
    /// No place.
    Nothing,
    /// A list of repositories, which may show something of each.
    Lists,
    /// One repository.
    Repository(&'a RepositoryName),
}

impl<'a> From<&'a Resource> for About<'a> {
    fn from(resource: &'a Resource) -> Self {
        match resource {
            Resource::Repository(name) => Self::Repository(name),
            Resource::Catalog => Self::Lists,
        }
    }
}

/// What can be said of a token when it is brought.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    /// In the epoch of the entries; nothing if it does not say, which is before everything.
    pub(super) decided: Option<i64>,
    pub(super) subject: Option<Uuid>,
    pub(super) credential: Option<Uuid>,
    pub(super) key: Option<&'a str>,
    pub(super) about: About<'a>,
}

/// The entries in force.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Key ids, so that they need not be copied to be looked for.
    keys: HashMap<Box<str>, u32>,
    entries: Table,
    /// Keys that were taken back whatever they sign.
    retired_keys: HashSet<Box<str>>,
    /// Those that name a credential, without it.
    ///
    /// Tokens that do not say when they were decided do not say their credential either, so it may be any.
    of_any_credential: Table,
    /// Everything decided before this is refused.
    floor: Option<i64>,
}

#[derive(Debug, Default)]
struct Table {
    /// Which ways to say whom there are, a bit for each.
    forms: u8,
    places: HashMap<Whom, Places>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Whom {
    subject: Option<Uuid>,
    credential: Option<Uuid>,
    key: Option<u32>,
}

/// The latest position of an entry, by where it holds.
#[derive(Debug, Default)]
struct Places {
    everywhere: Option<i64>,
    some: Option<Box<SomePlaces>>,
}

#[derive(Debug)]
struct SomePlaces {
    /// Of all of them; lists may show any.
    latest: i64,
    repositories: HashMap<RepositoryName, i64>,
    below: HashMap<Box<str>, i64>,
}

impl Index {
    pub(super) fn new(floor: Option<i64>) -> Self {
        Self { floor, ..Self::default() }
    }

    pub(super) fn add(&mut self, conditions: &Conditions, at: i64) {
        let Conditions { subject, credential, key, repository, below } = conditions;
        if let (Some(key), None, None, None, None) = (key, subject, credential, repository, below) {
            self.retired_keys.insert(key.clone());
        }
        let key = key.as_ref().map(|key| {
            let next = u32::try_from(self.keys.len()).unwrap_or(u32::MAX);
            *self.keys.entry(key.clone()).or_insert(next)
        });
        let whom = Whom { subject: *subject, credential: *credential, key };
        let place = (repository.as_ref(), below.as_ref());
        self.entries.add(whom, place, at);
        if credential.is_some() {
            self.of_any_credential.add(Whom { credential: None, ..whom }, place, at);
        }
    }

    /// Whether the key that signed the token was taken back. Whoever has it can write into a token when that was decided.
    pub(super) fn is_of_retired_key(&self, facts: &Facts<'_>) -> bool {
        facts.key.is_some_and(|key| self.retired_keys.contains(key))
    }

    /// Whether an entry is true of the token that it was decided before.
    pub(super) fn refuses(&self, facts: &Facts<'_>) -> bool {
        let key = facts.key.and_then(|key| self.keys.get(key)).copied();
        let whom = Whom { subject: facts.subject, credential: facts.credential, key };
        let latest = self.floor.max(self.entries.latest(whom, facts.about));
        match facts.decided {
            Some(decided) => latest.is_some_and(|latest| decided < latest),
            None => {
                latest.is_some()
                    || (facts.credential.is_none()
                        && self.of_any_credential.latest(whom, facts.about).is_some())
            }
        }
    }
}

impl Table {
    fn add(&mut self, whom: Whom, place: (Option<&RepositoryName>, Option<&NamePrefix>), at: i64) {
        self.forms |= 1 << whom.form();
        self.places.entry(whom).or_default().add(place, at);
    }

    /// The latest entry that is true of somebody here.
    fn latest(&self, whom: Whom, about: About<'_>) -> Option<i64> {
        let all = whom.form();
        // A form that says something that the token does not is true of no such token.
        let forms = (0..8).filter(|form| self.forms & (1 << form) != 0 && form & !all == 0);
        let places = forms.filter_map(|form| self.places.get(&whom.in_form(form)));
        places.filter_map(|places| places.latest(about)).max()
    }
}

impl Whom {
    /// What of it is said, a bit for each.
    fn form(self) -> u8 {
        u8::from(self.subject.is_some())
            | u8::from(self.credential.is_some()) << 1
            | u8::from(self.key.is_some()) << 2
    }

    /// The same, saying no more than a form does.
    fn in_form(self, form: u8) -> Self {
        let says = |bit: u8| form & bit != 0;
        Self {
            subject: self.subject.filter(|_| says(1)),
            credential: self.credential.filter(|_| says(2)),
            key: self.key.filter(|_| says(4)),
        }
    }
}

impl Places {
    fn add(&mut self, place: (Option<&RepositoryName>, Option<&NamePrefix>), at: i64) {
        if place == (None, None) {
            self.everywhere = self.everywhere.max(Some(at));
            return;
        }
        let empty = || SomePlaces { latest: at, repositories: HashMap::new(), below: HashMap::new() };
        let some = self.some.get_or_insert_with(|| Box::new(empty()));
        some.latest = some.latest.max(at);
        let latest = match place {
            (Some(repository), Some(below)) if !below.covers(repository) => return,
            (Some(repository), _) => some.repositories.entry(repository.clone()).or_insert(at),
            (None, Some(below)) => some.below.entry(below.as_str().into()).or_insert(at),
            (None, None) => return,
        };
        *latest = at.max(*latest);
    }

    fn latest(&self, about: About<'_>) -> Option<i64> {
        let here = match (about, &self.some) {
            (About::Nothing, _) | (_, None) => None,
            (About::Lists, Some(some)) => Some(some.latest),
            (About::Repository(name), Some(some)) => some.latest_of(name),
        };
        self.everywhere.max(here)
    }
}

impl SomePlaces {
    fn latest_of(&self, name: &RepositoryName) -> Option<i64> {
        let exactly = self.repositories.get(name).copied();
        if self.below.is_empty() {
            return exactly;
        }
        let text = name.as_str();
        let folders = std::iter::once("").chain(text.match_indices('/').map(|(slash, _)| &text[..=slash]));
        exactly.max(folders.filter_map(|folder| self.below.get(folder).copied()).max())
    }
}
