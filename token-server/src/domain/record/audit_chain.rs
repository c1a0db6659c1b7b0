//! The chain of the audit record: each row carries a hash of itself and of the row before.
//!
//! The database makes the chain; this is the second opinion, with which it is checked. What goes into a hash is
//! written in the migration that made the chain.
//!
//! *Invariant:* rows that are not those that were written, or not in that order, do not fit; that rows are missing at
//! the end is seen only by somebody who kept a hash.

use std::fmt;

use ring::digest;

use super::super::words::counted::counted;
use super::audit_pages::EventPages;
use crate::db::Pool;
use crate::db::audit::{AnchorRow, EventRow, Period};
use crate::db::error::DbError;

const HASH_BYTES: usize = 32;

/// The hash of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventHash(Vec<u8>);

/// Why a text is not a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a hash has 64 hexadecimal digits")]
pub struct InvalidHash;

impl EventHash {
    /// As it was stored.
    pub fn from_row(row: &EventRow) -> Self {
        Self(row.hash.clone())
    }

    /// Parses hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, InvalidHash> {
        let digits = text.bytes().map(|byte| char::from(byte).to_digit(16)).collect::<Option<Vec<_>>>();
        let digits = digits.filter(|digits| digits.len() == 2 * HASH_BYTES).ok_or(InvalidHash)?;
        let bytes = digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]));
        bytes.collect::<Result<_, _>>().map(Self).map_err(|_| InvalidHash)
    }
}

impl fmt::Display for EventHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The hash that a row has behind another.
fn hash_of(previous: &EventHash, row: &EventRow) -> EventHash {
    let mut bytes = previous.0.clone();
    let microseconds = row.at.unix_timestamp_nanos().div_euclid(1000);
    for field in [
        Some(row.id.to_string().as_str()),
        Some(&microseconds.to_string()),
        Some(&row.event),
        Some(&row.actor),
        row.actor_uid.map(|uid| uid.hyphenated().to_string()).as_deref(),
        Some(&row.target),
        Some(&row.outcome),
        row.reason.as_deref(),
        row.address.as_deref(),
        row.agent.as_deref(),
        row.before.as_deref(),
        row.after.as_deref(),
    ] {
        // No text is so long that its length could be taken for a null.
        let length = field.map_or(u32::MAX, |text| u32::try_from(text.len()).unwrap_or(u32::MAX));
        bytes.extend(length.to_be_bytes());
        bytes.extend(field.unwrap_or_default().as_bytes());
    }
    EventHash(digest::digest(&digest::SHA256, &bytes).as_ref().to_vec())
}

/// A row that does not fit the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// Which row.
    pub id: i64,
    /// Behind which; 0 is the beginning.
    pub previous: i64,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, previous } = *self;
        match previous {
            0 => write!(f, "row {id} does not fit the beginning of the record: ")?,
            _ => write!(f, "row {id} does not fit row {previous} before it: ")?,
        }
        if id - previous > 1 {
            f.write_str("rows between them were removed, or one was changed or moved")
        } else {
            f.write_str("one was changed or moved")
        }
    }
}

/// As much of the chain as was followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// How many rows.
    pub rows: u64,
    /// The last one, or that behind which the chain begins.
    pub last_id: i64,
    /// Its hash.
    pub last: EventHash,
}

impl Chain {
    /// Nothing yet, behind this row.
    fn behind(id: i64, hash: EventHash) -> Self {
        Self { rows: 0, last_id: id, last: hash }
    }

    /// One more row, if it fits.
    fn follow(&mut self, row: &EventRow) -> Result<(), Misfit> {
        let hash = hash_of(&self.last, row);
        if row.id <= self.last_id || hash.0 != row.hash {
            return Err(Misfit { id: row.id, previous: self.last_id });
        }
        *self = Self { rows: self.rows + 1, last_id: row.id, last: hash };
        Ok(())
    }
}

/// What is known from elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownHashes {
    /// Rows up to the one with this hash are believed.
    pub from: Option<EventHash>,
    /// This one must be there.
    pub head: Option<EventHash>,
}

/// What became of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every row fits.
    Whole(Chain),
    /// One does not; those before it do.
    Broken(Misfit),
    /// Rows fit, but none has a hash that is known from elsewhere.
    Missing(EventHash),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(Chain { rows, last, .. }) => {
                write!(
                    f,
                    "the audit record is whole: {}, the last hash is {last}",
                    counted(*rows, "row", "rows")
                )
            }
            Self::Broken(misfit) => write!(f, "the audit record is not whole: {misfit}"),
            Self::Missing(hash) => write!(
                f,
                "no row has the hash {hash}: it was removed, with whatever came after or before it, or was never there"
            ),
        }
    }
}

/// Computes the chain again, as it is at this moment.
pub async fn verify(pool: &Pool, known: &KnownHashes) -> Result<Verdict, DbError> {
    let mut pages = EventPages::open(pool, Period::default()).await?;
    let AnchorRow { id, hash } = pages.anchor().await?;
    let anchor = EventHash(hash);
    let mut missing_head = known.head.clone().filter(|head| *head != anchor);
    // Either the chain, or the hash behind which it is to begin.
    let mut chain = match &known.from {
        Some(from) if *from != anchor => Err(from.clone()),
        _ => Ok(Chain::behind(id, anchor)),
    };
    loop {
        let page = pages.next().await?;
        if page.is_empty() {
            break;
        }
        for row in &page {
            let hash = EventHash::from_row(row);
            match &mut chain {
                Ok(chain) => {
                    if let Err(misfit) = chain.follow(row) {
                        return Ok(Verdict::Broken(misfit));
                    }
                }
                Err(from) if *from == hash => chain = Ok(Chain::behind(row.id, hash.clone())),
                Err(_) => {}
            }
            missing_head = missing_head.filter(|head| *head != hash);
        }
    }
    Ok(match (chain, missing_head) {
        (Ok(chain), None) => Verdict::Whole(chain),
        (Ok(_), Some(missing)) | (Err(missing), _) => Verdict::Missing(missing),
    })
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::*;

    fn row(id: i64) -> EventRow {
        EventRow {
            id,
            at: OffsetDateTime::from_unix_timestamp_nanos(1_796_000_000_123_456_000).unwrap(),
            event: "login".into(),
            actor: "änne".into(),
            actor_uid: Some(Uuid::from_u128(0xAB)),
            target: String::new(),
            outcome: "refused".into(),
            reason: Some("wrong_password".into()),
            address: None,
            agent: Some(String::new()),
            before: None,
            after: None,
            hash: Vec::new(),
        }
    }

    fn beginning() -> Chain {
        Chain::behind(0, EventHash(vec![0; HASH_BYTES]))
    }

    /// Rows 1 to `count` as the database would chain them.
    fn chained(count: i64) -> Vec<EventRow> {
        let mut previous = beginning().last;
        (1..=count)
            .map(|id| {
                let row = row(id);
                previous = hash_of(&previous, &row);
                EventRow { hash: previous.0.clone(), ..row }
            })
            .collect()
    }

    fn follow(rows: &[EventRow]) -> Result<Chain, Misfit> {
        let mut chain = beginning();
        rows.iter().try_for_each(|row| chain.follow(row)).map(|()| chain)
    }

    #[test]
    fn a_hash_is_that_of_the_bytes_that_the_migration_describes() {
        let fields = [
            &b"\0\0\0\x017"[..],
            b"\0\0\0\x101796000000123456",
            b"\0\0\0\x05login",
            b"\0\0\0\x05\xc3\xa4nne",
            b"\0\0\0\x2400000000-0000-0000-0000-0000000000ab",
            b"\0\0\0\0",
            b"\0\0\0\x07refused",
            b"\0\0\0\x0ewrong_password",
            b"\xff\xff\xff\xff",
            b"\0\0\0\0",
            b"\xff\xff\xff\xff\xff\xff\xff\xff",
        ];
        let expected =
            digest::digest(&digest::SHA256, &[&[0; HASH_BYTES], fields.concat().as_slice()].concat());
        assert_eq!(hash_of(&beginning().last, &row(7)).0, expected.as_ref());
    }

    #[test]
    fn what_is_not_as_it_was_written_does_not_fit() {
        let rows = chained(5);
        let whole = follow(&rows).unwrap();
        assert_eq!((whole.rows, whole.last_id, whole.last.0.as_slice()), (5, 5, rows[4].hash.as_slice()));
        let tamper = |change: fn(&mut Vec<EventRow>)| {
            let mut rows = rows.clone();
            change(&mut rows);
            follow(&rows).unwrap_err().to_string()
        };
        let changed = tamper(|rows| rows[2].agent = None);
        assert_eq!(changed, "row 3 does not fit row 2 before it: one was changed or moved");
        let removed = tamper(|rows| drop(rows.remove(1)));
        assert!(removed.starts_with("row 3 does not fit row 1 before it: rows between them"), "{removed}");
        let beheaded = tamper(|rows| drop(rows.remove(0)));
        assert!(beheaded.starts_with("row 2 does not fit the beginning"), "{beheaded}");
        let swapped = tamper(|rows| {
            rows.swap(1, 2);
            (rows[1].id, rows[2].id) = (2, 3);
        });
        assert!(swapped.starts_with("row 2 does not fit row 1"), "{swapped}");
        // A row of the same number that hashes well is still one too many.
        let doubled = tamper(|rows| {
            let again =
                EventRow { hash: hash_of(&EventHash(rows[1].hash.clone()), &rows[1]).0, ..rows[1].clone() };
            rows.insert(2, again);
        });
        assert!(doubled.starts_with("row 2 does not fit row 2"), "{doubled}");
    }

    #[test]
    fn hashes_are_printed_as_they_are_typed() {
        let text = "0123456789abcdef".repeat(4);
        assert_eq!(EventHash::parse(&text).unwrap().to_string(), text);
        assert_eq!(EventHash::parse(&text.to_uppercase()).unwrap().to_string(), text);
        for bad in [&text[1..], &format!("{text}0"), &text.replace('0', "g"), ""] {
            assert_eq!(EventHash::parse(bad), Err(InvalidHash), "{bad}");
        }
    }
}
