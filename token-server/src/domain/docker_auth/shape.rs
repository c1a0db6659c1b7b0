//! Regular expressions that are no more than letters, alternatives and stars, taken apart.
//!
//! *Invariant:* an expression comes apart only if its pieces cover the same names; otherwise there is no answer.

use regex_syntax::hir::{Class, Hir, HirKind, Look};

use super::patterns::LETTERS;
use super::regular;

/// A part of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// One character, which may be a slash.
    Letter(char),
    /// One of these, none of which is a slash.
    Set(Vec<char>),
    /// Any one character inside a component.
    One,
    /// Any characters inside a component; at least one, if that is said.
    Inside { some: bool },
    /// Any characters, slashes among them; at least one, if that is said.
    Across { some: bool },
    /// The beginning of the name.
    Start,
    /// Its end.
    End,
}

/// Alternatives multiply; more than this are not written.
const MAX_ALTERNATIVES: usize = 64;

/// How often a part may be written out.
const MAX_COPIES: u32 = 8;

/// The ways in which a name can be covered, each from its beginning to its end; nothing if they are too many or
/// something else.
pub(super) fn alternatives(expression: &str) -> Option<Vec<Vec<Piece>>> {
    let parsed = regex_syntax::parse(&regular::translate(expression)?).ok()?;
    let mut whole = Vec::new();
    for pieces in expand(&parsed)? {
        if let Some(pieces) = from_end_to_end(pieces)? {
            whole.push(pieces);
        }
    }
    Some(whole)
}

/// Nothing inside if no name can be covered.
#[expect(clippy::option_option, reason = "outside: cannot be told; inside: covers nothing")]
fn from_end_to_end(mut pieces: Vec<Piece>) -> Option<Option<Vec<Piece>>> {
    let free = Piece::Across { some: false };
    // Anchors beside one another say the same once.
    pieces.dedup_by(|one, two| one == two && matches!(one, Piece::Start | Piece::End));
    if pieces.first() == Some(&Piece::Start) {
        pieces.remove(0);
    } else {
        pieces.insert(0, free.clone());
    }
    if pieces.last() == Some(&Piece::End) {
        pieces.pop();
    } else {
        pieces.push(free);
    }
    if pieces.iter().any(|piece| matches!(piece, Piece::Start | Piece::End)) {
        // An anchor inside covers nothing, unless all before or behind it can be empty.
        let is_plain = |piece: &Piece| {
            matches!(
                piece,
                Piece::Letter(_)
                    | Piece::Set(_)
                    | Piece::One
                    | Piece::Start
                    | Piece::End
                    | Piece::Across { .. }
            )
        };
        let letters = |part: &[Piece]| {
            part.iter().any(|piece| matches!(piece, Piece::Letter(_) | Piece::Set(_) | Piece::One))
        };
        let position = pieces.iter().position(|piece| matches!(piece, Piece::Start | Piece::End))?;
        let contradicts = match pieces[position] {
            Piece::Start => letters(&pieces[..position]),
            _ => letters(&pieces[position..]),
        };
        return (contradicts && pieces.iter().all(is_plain)).then_some(None);
    }
    Some(Some(pieces))
}

fn expand(hir: &Hir) -> Option<Vec<Vec<Piece>>> {
    let all = match hir.kind() {
        HirKind::Empty => vec![Vec::new()],
        HirKind::Literal(literal) => {
            let text = std::str::from_utf8(&literal.0).ok()?;
            vec![text.chars().map(Piece::Letter).collect()]
        }
        HirKind::Class(class) => match one_of(class)? {
            Some(piece) => vec![vec![piece]],
            None => Vec::new(),
        },
        HirKind::Look(Look::Start) => vec![vec![Piece::Start]],
        HirKind::Look(Look::End) => vec![vec![Piece::End]],
        HirKind::Look(_) => return None,
        HirKind::Capture(capture) => expand(&capture.sub)?,
        HirKind::Repetition(repetition) => {
            let (least, most) = (repetition.min, repetition.max);
            match (any_of(&repetition.sub), most) {
                (Some(piece), None) if least <= 1 => vec![vec![piece(least == 1)]],
                (_, Some(most)) if most <= MAX_COPIES => {
                    let one = expand(&repetition.sub)?;
                    let mut all = Vec::new();
                    for copies in least..=most {
                        all.extend(concatenated(std::iter::repeat_n(one.clone(), copies as usize))?);
                    }
                    all
                }
                _ => return None,
            }
        }
        HirKind::Concat(parts) => {
            concatenated(parts.iter().map(expand).collect::<Option<Vec<_>>>()?.into_iter())?
        }
        HirKind::Alternation(parts) => {
            parts.iter().map(expand).collect::<Option<Vec<_>>>()?.into_iter().flatten().collect()
        }
    };
    (all.len() <= MAX_ALTERNATIVES).then_some(all)
}

fn concatenated(parts: impl Iterator<Item = Vec<Vec<Piece>>>) -> Option<Vec<Vec<Piece>>> {
    let mut all = vec![Vec::new()];
    for part in parts {
        if all.len() * part.len() > MAX_ALTERNATIVES {
            return None;
        }
        let longer = all.iter().flat_map(|begun| {
            part.iter().map(move |rest| begun.iter().chain(rest).cloned().collect::<Vec<Piece>>())
        });
        all = longer.collect();
    }
    Some(all)
}

/// What a class stands for among the characters of names.
struct Members {
    letters: Vec<char>,
    slash: bool,
}

fn members(class: &Class) -> Members {
    let is_in = |character: char| match class {
        Class::Unicode(class) => class.iter().any(|range| (range.start()..=range.end()).contains(&character)),
        Class::Bytes(class) => u8::try_from(character)
            .is_ok_and(|byte| class.iter().any(|range| (range.start()..=range.end()).contains(&byte))),
    };
    Members { letters: LETTERS.chars().filter(|letter| is_in(*letter)).collect(), slash: is_in('/') }
}

/// One character of a class; nothing inside if no name has one.
#[expect(clippy::option_option, reason = "outside: cannot be told; inside: covers nothing")]
fn one_of(class: &Class) -> Option<Option<Piece>> {
    let Members { letters, slash } = members(class);
    Some(match (letters.as_slice(), slash) {
        ([], false) => None,
        ([], true) => Some(Piece::Letter('/')),
        ([letter], false) => Some(Piece::Letter(*letter)),
        (all, false) if all.len() == LETTERS.len() => Some(Piece::One),
        (_, false) => Some(Piece::Set(letters)),
        (_, true) => return None,
    })
}

/// What any number of a class is, if it stands for all characters.
fn any_of(hir: &Hir) -> Option<fn(bool) -> Piece> {
    let HirKind::Class(class) = inner(hir).kind() else { return None };
    let Members { letters, slash } = members(class);
    match (letters.len() == LETTERS.len(), slash) {
        (true, true) => Some(|some| Piece::Across { some }),
        (true, false) => Some(|some| Piece::Inside { some }),
        _ => None,
    }
}

fn inner(hir: &Hir) -> &Hir {
    match hir.kind() {
        HirKind::Capture(capture) => inner(&capture.sub),
        _ => hir,
    }
}

/// Patterns that cover what these pieces cover; nothing if there are none.
pub(super) fn write(pieces: &[Piece]) -> Option<Vec<String>> {
    let pieces = merged(pieces)?;
    let mut texts = vec![String::new()];
    for (position, piece) in pieces.iter().enumerate() {
        let next = pieces.get(position + 1);
        let begins_next = next.is_none_or(|next| *next == Piece::Letter('/'));
        let mut longer = Vec::new();
        for text in texts {
            let at_start = text.is_empty() || text.ends_with('/');
            let mut add = |part: &str| {
                // A star beside a star says no more.
                let repeats = text.ends_with('*') && part.starts_with('*') && !part.starts_with("**");
                longer.push(format!("{text}{}", &part[usize::from(repeats)..]));
            };
            match piece {
                Piece::Inside { some } => {
                    // Components are never empty.
                    add(if !some || (at_start && begins_next) { "*" } else { "?*" });
                }
                Piece::Across { some } => {
                    for part in across(*some, text.is_empty(), at_start, next) {
                        add(part);
                    }
                }
                piece => add(&write_piece(piece)?),
            }
        }
        texts = longer;
        if texts.len() > MAX_ALTERNATIVES {
            return None;
        }
    }
    Some(texts)
}

/// The ways to write `.*` and `.+`: inside a component, and over slashes. No component is empty.
fn across(some: bool, is_first: bool, at_start: bool, next: Option<&Piece>) -> &'static [&'static str] {
    match next {
        None if is_first => &["**"],
        None if some && !at_start => &["?*/**", "/*/**"],
        Some(Piece::Letter('/')) if some && !at_start => &["?*", "*/*/**"],
        None | Some(Piece::Letter('/')) => &["*/**"],
        Some(_) if some => &["?*", "*/**/*"],
        Some(_) if at_start => &["**/*"],
        Some(_) => &["*", "*/**/*"],
    }
}

/// Stars beside one another become one; nothing if together they say more than one can.
fn merged(pieces: &[Piece]) -> Option<Vec<Piece>> {
    let mut merged: Vec<Piece> = Vec::new();
    for piece in pieces {
        let Some(last) = merged.last_mut() else {
            merged.push(piece.clone());
            continue;
        };
        match (&mut *last, piece) {
            (Piece::Across { some: true }, Piece::Across { some: true }) => return None,
            (Piece::Inside { some: true }, Piece::Inside { some: true }) => {
                *last = Piece::One;
                merged.push(piece.clone());
            }
            (Piece::Across { some }, Piece::Across { some: more })
            | (Piece::Inside { some }, Piece::Inside { some: more }) => *some |= more,
            (Piece::Across { .. }, Piece::Inside { some: false }) => {}
            (Piece::Inside { some: false }, Piece::Across { .. }) => *last = piece.clone(),
            _ => merged.push(piece.clone()),
        }
    }
    Some(merged)
}

/// A single character as patterns write it; nothing if there is none.
pub(super) fn write_piece(piece: &Piece) -> Option<String> {
    match piece {
        Piece::Letter(letter) => Some(letter.to_string()),
        Piece::One => Some("?".into()),
        Piece::Set(members) => match members.as_slice() {
            [] => None,
            [only] => Some(only.to_string()),
            all if all.len() == LETTERS.len() => Some("?".into()),
            all => Some(format!("[{}]", ranges(all))),
        },
        Piece::Inside { .. } | Piece::Across { .. } | Piece::Start | Piece::End => None,
    }
}

/// Members of a set with neighbours drawn together; a dash stands first, where it means itself.
fn ranges(members: &[char]) -> String {
    let mut text = String::new();
    if members.contains(&'-') {
        text.push('-');
    }
    let mut members: Vec<char> = members.iter().copied().filter(|member| *member != '-').collect();
    members.sort_unstable();
    let mut rest = members.as_slice();
    while let Some(first) = rest.first() {
        let run = rest.iter().zip(*first..).take_while(|(one, two)| *one == two).count();
        match run {
            1 | 2 => text.extend(&rest[..run]),
            _ => {
                text.push(*first);
                text.push('-');
                text.push(rest[run - 1]);
            }
        }
        rest = &rest[run..];
    }
    text
}
