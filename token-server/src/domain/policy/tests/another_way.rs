//! The decision once more, written another way: each question is put to each row by itself, in the words of the manual.
//!
//! Patterns are matched by trying everything, networks are compared as texts, and times as numbers; no code of the
//! decision is used.
//!
//! *Invariant:* what is random here comes from a seed that stands here, so a failure comes again.

use std::collections::BTreeMap;

use super::*;

const NOW: i64 = 1_000;

/// Who asks: the user whose name patterns can hold, or nobody.
const USERS: [Option<&str>; 3] = [Some("b"), Some("b"), None];

const NAMES: [&str; 9] = ["a", "b", "a/b", "a/c", "a/b/c", "c/b", "ab", "a/b-dev", "a/b/c/d"];

const PATTERNS: [&str; 22] = [
    "a",
    "b",
    "a/b",
    "a/**",
    "**",
    "**",
    "a/*",
    "*/b",
    "a/b/**",
    "${user}/**",
    "a/${user}",
    "a/?",
    "?/b",
    "[ab]/**",
    "a/[b-c]",
    "{a,c}/b",
    "a/b{,-dev}",
    "a/{b,x*}/**",
    "**/c",
    "a/**/c",
    "*-dev/**",
    "a/*-dev",
];

const TAG_PATTERNS: [&str; 10] =
    ["v*", "pr-*", "v1", "*", "v?", "[pv]*", "{v1,x}", "[v-x][0-9]", "sha256-*", "*.sig"];

const SIGNATURE: &str = "sha256-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.sig";

/// Too short for the signature of anything.
const NO_SIGNATURE: &str = "sha256-0123456789abcdef.sig";

const TAGS: [&str; 6] = ["v1", "v22", "pr-1", "x", SIGNATURE, NO_SIGNATURE];

/// A network, and how all addresses in it begin.
const NETWORKS: [(&str, &str); 3] =
    [("192.0.2.0/24", "192.0.2."), ("203.0.113.7/32", "203.0.113.7"), ("2001:db8::/32", "2001:db8:")];

const ADDRESSES: [Option<&str>; 5] =
    [None, Some("192.0.2.9"), Some("203.0.113.7"), Some("198.51.100.1"), Some("2001:db8::7")];

/// A generator that needs no state but a number.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())].clone()
    }

    fn rights(&mut self) -> RightSet {
        let rights: Vec<Right> = Right::ALL.into_iter().filter(|_| self.roll(3) == 0).collect();
        RightSet::of(&rights)
    }

    /// A moment around now, or none.
    fn moment(&mut self) -> Option<i64> {
        self.pick(&[None, None, None, None, Some(NOW - 1), Some(NOW), Some(NOW + 1)])
    }
}

/// A row as somebody would write it down.
#[derive(Clone, Debug)]
struct Written {
    denies: bool,
    rights: RightSet,
    pattern: &'static str,
    tags: Option<&'static str>,
    from: Option<i64>,
    until: Option<i64>,
    networks: Vec<(&'static str, &'static str)>,
    needs_second_factor: bool,
}

/// What a credential is good for, as somebody would write it down.
#[derive(Clone, Debug)]
struct Limited {
    places: Vec<&'static str>,
    rights: Option<RightSet>,
    tags: Option<&'static str>,
}

impl Limited {
    fn draw(dice: &mut Dice) -> Self {
        Self {
            places: (0..dice.roll(3)).map(|_| dice.pick(&["a", "a/**", "**", "?/b", "a/*"])).collect(),
            rights: (dice.roll(2) == 0).then(|| dice.rights()),
            tags: (dice.roll(3) == 0).then(|| dice.pick(&["*", "v*", "v1"])),
        }
    }

    fn as_limits(&self) -> CredentialLimits {
        CredentialLimits {
            repositories: self.places.iter().map(|text| RepositoryPattern::parse(text).unwrap()).collect(),
            rights: self.rights,
            tags: self.tags.map(|tags| TagPattern::parse(tags).unwrap()),
            networks: Vec::new(),
        }
    }

    /// Whether it is good for a right, on this tag if the right is about tags.
    fn permits(&self, name: &str, right: Right, tag: &str) -> bool {
        let is_there = self.places.is_empty()
            || self.places.iter().any(|place| covers(&components(place), &components(name)));
        let on_tag = match self.tags {
            None => true,
            Some(pattern) if is_of_tags(right) => fits(pattern, tag),
            Some(_) => is_needed_around_tags(right),
        };
        is_there && on_tag && self.rights.is_none_or(|rights| rights.contains(right))
    }
}

/// Everything that decides, and about which repository.
#[derive(Clone, Debug)]
struct Case {
    rows: Vec<Written>,
    /// Folder, and what it keeps out.
    barriers: Vec<(&'static str, RightSet)>,
    namespaces: Vec<(&'static str, CreatePolicy)>,
    limits: Option<Limited>,
    name: &'static str,
    user: Option<&'static str>,
    address: Option<&'static str>,
    has_second_factor: bool,
}

impl Case {
    fn draw(dice: &mut Dice) -> Self {
        let rows = (0..dice.roll(6)).map(|_| (dice.roll(4) == 0, dice.roll(4) == 0));
        let rows: Vec<_> = rows.collect();
        let rows = rows.into_iter().map(|(denies, is_strict)| Written {
            denies,
            needs_second_factor: is_strict && !denies,
            rights: if dice.roll(3) > 0 { dice.pick(&Role::BUILT_IN).rights() } else { dice.rights() },
            pattern: dice.pick(&PATTERNS),
            tags: (dice.roll(3) == 0).then(|| dice.pick(&TAG_PATTERNS)),
            from: dice.moment(),
            until: dice.moment(),
            networks: if dice.roll(5) == 0 {
                (0..=dice.roll(2)).map(|_| dice.pick(&NETWORKS)).collect()
            } else {
                Vec::new()
            },
        });
        let rows = rows.collect();
        let barriers =
            (0..dice.roll(8).saturating_sub(5)).map(|_| (dice.pick(&["a", "a/b", "b"]), dice.rights()));
        let barriers = barriers.collect();
        let namespaces = ["a", "b"].into_iter().filter_map(|name| {
            let create = dice.pick(&[None, None, Some(0), Some(1), Some(2)])?;
            Some((name, CreatePolicy::ALL[create]))
        });
        let namespaces = namespaces.collect();
        let limits = (dice.roll(3) == 0).then(|| Limited::draw(dice));
        let (name, user, address) = (dice.pick(&NAMES), dice.pick(&USERS), dice.pick(&ADDRESSES));
        let has_second_factor = dice.roll(2) == 0;
        Self { rows, barriers, namespaces, limits, name, user, address, has_second_factor }
    }

    /// As the decision wants it.
    fn rows(&self) -> Rows {
        let at = |second| OffsetDateTime::from_unix_timestamp(second).unwrap();
        let grants = self.rows.iter().map(|written| Grant {
            conditions: Conditions {
                not_before: written.from.map(at),
                expires_at: written.until.map(at),
                networks: written.networks.iter().map(|(network, _)| network.parse().unwrap()).collect(),
                second_factor: written.needs_second_factor,
            },
            ..row(
                if written.denies { Effect::Deny } else { Effect::Allow },
                What::Rights(written.rights),
                written.pattern,
                written.tags,
            )
        });
        let namespaces = self
            .namespaces
            .iter()
            .map(|(name, create)| Namespace { name: (*name).to_owned(), create: *create });
        let barriers = self.barriers.iter().map(|(folder, rights)| {
            Barrier::new(RepositoryPattern::parse(&format!("{folder}/**")).unwrap(), *rights).unwrap()
        });
        Rows {
            grants: grants.collect(),
            barriers: barriers.collect(),
            namespaces: namespaces.collect(),
            limits: self.limits.as_ref().map(|limits| Arc::new(limits.as_limits())),
        }
    }

    fn circumstances(&self) -> Circumstances {
        Circumstances {
            now: OffsetDateTime::from_unix_timestamp(NOW).unwrap(),
            address: self.address.map(|address| address.parse().unwrap()),
            second_factor: self.has_second_factor,
        }
    }

    /// Whether a row is about this repository, now, and from here.
    fn is_about(&self, row: &Written) -> bool {
        let pattern = match self.user {
            Some(user) => row.pattern.replace("${user}", user),
            None if row.pattern.contains("${user}") => return false,
            None => row.pattern.to_owned(),
        };
        let is_near = match self.address {
            _ if row.networks.is_empty() => true,
            Some(address) => row.networks.iter().any(|(_, beginning)| address.starts_with(beginning)),
            None => row.denies,
        };
        is_near
            && (self.has_second_factor || !row.needs_second_factor)
            && row.from.is_none_or(|from| from <= NOW)
            && row.until.is_none_or(|until| NOW < until)
            && covers(&components(&pattern), &components(self.name))
    }

    /// Whether a barrier or a namespace keeps a right of a row out.
    fn keeps_out(&self, row: &Written, right: Right) -> bool {
        let literal: Vec<&str> = components(row.pattern)
            .into_iter()
            .take_while(|part| !part.contains(['*', '?', '[', '{', '$']))
            .collect();
        let barred = self.barriers.iter().any(|(folder, rights)| {
            // Whoever lacks a part does not have `*`, and nobody deletes more than they may.
            let is_about_it = right == Right::All || rights.contains(right) || goes_along(right, *rights);
            let folder = components(folder);
            is_about_it && components(self.name).starts_with(&folder) && !literal.starts_with(&folder)
        });
        let is_not_made = right == Right::RepositoryCreate
            && self.namespaces.iter().any(|(name, create)| {
                let administers = row.tags.is_none() && row.rights.contains(Right::GrantManage);
                let may = match create {
                    CreatePolicy::Pushers => true,
                    CreatePolicy::Admins => administers,
                    CreatePolicy::Nobody => false,
                };
                components(self.name)[0] == *name && !may
            });
        barred || is_not_made
    }

    /// Whether a row gives a right that nothing keeps out.
    fn gives(&self, row: &Written, right: Right, tag: &str) -> bool {
        !row.denies
            && row.says(right, tag)
            && !self.keeps_out(row, right)
            && self.limits.as_ref().is_none_or(|limits| limits.permits(self.name, right, tag))
    }

    /// Whether what a row and the credential have in common can be less than both say: of two patterns of tags only
    /// the narrower is looked at.
    fn is_approximate(&self) -> bool {
        let tags = self.limits.as_ref().and_then(|limits| limits.tags);
        tags.is_some_and(|tags| {
            self.rows.iter().any(|row| row.tags.is_some_and(|of_row| of_row != tags && tags != "*"))
        })
    }

    /// The answer, of those rows that are about it.
    fn allows(&self, rows: &[&Written], right: Right, tag: &str) -> bool {
        let denied = rows.iter().any(|row| row.denies && row.says(right, tag));
        if right == Right::All {
            // Everything, without any limit.
            return !denied
                && rows.iter().any(|row| self.gives(row, right, tag))
                && Right::ALL.iter().filter(|other| **other != Right::All).all(|other| {
                    let whole =
                        |row: &&&Written| row.tags.is_none() || (is_of_tags(*other) && row.tags == Some("*"));
                    rows.iter()
                        .filter(whole)
                        .any(|row| row.rights.contains(*other) && self.gives(row, *other, ""))
                        && !rows.iter().any(|row| row.denies && row.is_about_part_of(*other))
                });
        }
        let given = rows.iter().any(|row| self.gives(row, right, tag));
        let attached = matches!(right, Right::TagCreate | Right::TagUpdate)
            && tag == SIGNATURE
            && self.allows(rows, Right::Attach, tag);
        (given || attached) && !denied
    }
}

impl Written {
    /// Whether it gives or denies a right, for this tag if the right is about tags.
    fn says(&self, right: Right, tag: &str) -> bool {
        let goes_along = self.denies
            && match self.tags {
                None => goes_along(right, self.rights),
                // What is protected is only tags.
                Some(_) => {
                    matches!(right, Right::ManifestDelete | Right::RepositoryDelete)
                        && self.rights.contains(Right::TagDelete)
                }
            };
        let itself = self.rights.contains(right)
            && match self.tags {
                None => true,
                Some(pattern) if is_of_tags(right) => alternatives(pattern).iter().any(|one| fits(one, tag)),
                // What is needed to push under a tag is given with it; only tags are denied with a tag.
                Some(_) => !self.denies && is_needed_around_tags(right),
            };
        goes_along || itself
    }

    /// Whether it denies a right, if only for some tags.
    fn is_about_part_of(&self, right: Right) -> bool {
        self.says(right, "") || (is_of_tags(right) && self.rights.contains(right))
    }
}

fn is_needed_around_tags(right: Right) -> bool {
    matches!(right, Right::List | Right::Pull | Right::PushDigest | Right::RepositoryCreate)
}

fn is_of_tags(right: Right) -> bool {
    matches!(right, Right::TagCreate | Right::TagUpdate | Right::TagDelete)
}

/// Whether a right goes when these do, because it would take along what they protect.
fn goes_along(right: Right, rights: RightSet) -> bool {
    match right {
        Right::List => rights.contains(Right::Pull),
        Right::ManifestDelete => rights.contains(Right::TagDelete),
        Right::RepositoryDelete => {
            rights.contains(Right::TagDelete) || rights.contains(Right::ManifestDelete)
        }
        _ => false,
    }
}

fn components(text: &str) -> Vec<&str> {
    text.split('/').collect()
}

/// Components against components, as the manual explains them.
fn covers(pattern: &[&str], name: &[&str]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        (["**", rest @ ..], []) => covers(rest, name),
        (["**", rest @ ..], [_, others @ ..]) => covers(rest, name) || covers(pattern, others),
        ([one, rest @ ..], [first, others @ ..]) => {
            alternatives(one).iter().any(|one| fits(one, first)) && covers(rest, others)
        }
        _ => false,
    }
}

/// What a component with braces stands for, one by one.
fn alternatives(component: &str) -> Vec<String> {
    let Some((before, rest)) = component.split_once('{') else { return vec![component.to_owned()] };
    let (within, after) = rest.split_once('}').unwrap();
    within.split(',').flat_map(|one| alternatives(&format!("{before}{one}{after}"))).collect()
}

/// Whether a component without braces covers a text, character by character.
fn fits(pattern: &str, text: &str) -> bool {
    let Some(first) = pattern.chars().next() else { return text.is_empty() };
    let rest = &pattern[1..];
    match (first, text.chars().next()) {
        ('*', None) => fits(rest, text),
        ('*', Some(_)) => fits(rest, text) || fits(pattern, &text[1..]),
        ('?', Some(_)) => fits(rest, &text[1..]),
        ('[', Some(letter)) => {
            let (set, rest) = rest.split_once(']').unwrap();
            let is_in_it = match set.split_once('-') {
                Some((low, high)) => low <= &text[..1] && &text[..1] <= high,
                None => set.contains(letter),
            };
            is_in_it && fits(rest, &text[1..])
        }
        (literal, Some(letter)) => literal == letter && fits(rest, &text[1..]),
        (_, None) => false,
    }
}

/// A case is one answer: a right, with a tag if it is one of tags, of one asker at one repository under rows, barriers
/// and namespaces that were drawn. Rights that do not depend on a tag are asked once.
#[test]
fn another_way_of_deciding_agrees_on_a_million_cases() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut cases = 0_u32;
    let mut answers: BTreeMap<(Right, &str), [u32; 2]> = BTreeMap::new();
    while cases < 1_000_000 {
        let case = Case::draw(&mut dice);
        let held = Held::of(&case.rows(), &repository(case.name), case.user, case.circumstances());
        let about: Vec<&Written> = case.rows.iter().filter(|row| case.is_about(row)).collect();
        for right in Right::ALL {
            for tag in if is_of_tags(right) { &TAGS[..] } else { &[""] } {
                let expected = case.allows(&about, right, tag);
                let found = held.allows(right, Some(tag));
                let agrees = found == expected || (expected && case.is_approximate());
                assert!(agrees, "{right} {tag}: {found}, not {expected}: {case:#?}");
                cases += 1;
                answers.entry((right, tag)).or_default()[usize::from(expected)] += 1;
            }
        }
    }
    for (asked, [no, yes]) in answers {
        assert!(no > 200 && yes > 200, "both answers are common for {asked:?}: {no} no, {yes} yes");
    }
}
