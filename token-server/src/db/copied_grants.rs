//! Grants in Postgres' binary copy format: a million of them in a second, where ordinary rows take several.
//!
//! Spec: the manual of Postgres, "COPY", binary format.
//!
//! *Invariant:* a row is shown whole or not at all, and equal bytes of terms mean equal terms.

use std::fmt::Write as _;

use futures_util::TryStreamExt as _;
use ipnet::IpNet;
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};

use super::error::DbError;
use super::grants::GrantRow;

/// After so many rows, others get their turn.
const ROWS_AT_ONCE: usize = 1_000;

/// What every copy begins with, before two numbers of four bytes: flags, and the length of what follows them.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// Times are microseconds since then.
const EPOCH: OffsetDateTime = time::macros::datetime!(2000-01-01 0:00 UTC);

/// A row.
#[derive(Clone, Copy, Debug)]
pub struct CopiedGrant<'a> {
    /// Its number.
    pub id: i64,
    /// Inner number of who holds it.
    pub subject_pid: i64,
    /// The indexable part of the pattern.
    pub anchor: &'a str,
    /// On which repositories.
    pub pattern: &'a str,
    /// Everything else: what it gives or takes away, and when.
    pub terms: &'a [u8],
}

/// Shows all rows, or those of these numbers, in no order.
pub async fn visit_grants(
    db: &mut PgConnection,
    only: Option<&[i64]>,
    mut visit: impl FnMut(CopiedGrant<'_>),
) -> Result<(), DbError> {
    let mut copy = String::from(
        "copy (select id, subject_pid, anchor, pattern, effect, role, rights, tags, not_before, expires_at,
                      array_to_string(networks, ','), second_factor from acl_grant",
    );
    if let Some(ids) = only {
        let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
        // Writing to a string cannot fail.
        let _ = write!(copy, " where id = any('{{{}}}')", ids.join(","));
    }
    copy.push_str(") to stdout (format binary)");
    let mut chunks = db.copy_out_raw(&copy).await?;
    let mut reader = Reader::default();
    let mut shown = 0;
    while let Some(chunk) = chunks.try_next().await? {
        reader.take(&chunk);
        while let Some(row) = reader.row()? {
            visit(row);
            shown += 1;
        }
        reader.forget();
        if shown >= ROWS_AT_ONCE {
            shown = 0;
            tokio::task::yield_now().await;
        }
    }
    if reader.ended { Ok(()) } else { Err(broken()) }
}

fn broken() -> DbError {
    DbError::Inconsistent { table: "acl_grant", column: "", value: "a copy that is none".to_owned() }
}

/// Cuts a stream of bytes into rows.
#[derive(Debug, Default)]
struct Reader {
    held: Vec<u8>,
    read: usize,
    begun: bool,
    ended: bool,
}

impl Reader {
    fn take(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// Lets go of what was read.
    fn forget(&mut self) {
        self.held.drain(..self.read);
        self.read = 0;
    }

    /// The next row, if all of it is there.
    fn row(&mut self) -> Result<Option<CopiedGrant<'_>>, DbError> {
        let mut cursor = Cursor(&self.held[self.read..]);
        if !self.begun {
            let Some(signature) = cursor.bytes(SIGNATURE.len()) else { return Ok(None) };
            let (Some(_flags), Some(more)) = (cursor.number::<4>(), cursor.number::<4>()) else {
                return Ok(None);
            };
            if signature != SIGNATURE || more != 0 {
                return Err(broken());
            }
            self.begun = true;
            self.read = self.held.len() - cursor.0.len();
        }
        let before = cursor;
        let is_whole = cursor.number::<2>().map(|fields| {
            self.ended = fields == -1;
            (0..fields).try_for_each(|_| cursor.field().map(|_| ()))
        });
        let Some(Ok(())) = is_whole else { return Ok(None) };
        self.read = self.held.len() - cursor.0.len();
        if self.ended {
            return Ok(None);
        }
        CopiedGrant::read(before, cursor.0.len()).map(Some).ok_or_else(broken)
    }
}

impl<'a> CopiedGrant<'a> {
    /// Understands a row behind which so many bytes follow.
    fn read(mut row: Cursor<'a>, behind: usize) -> Option<Self> {
        row.number::<2>()?;
        let number = |field: Option<&[u8]>| Some(i64::from_be_bytes(field?.try_into().ok()?));
        let text = |field: Option<&'a [u8]>| std::str::from_utf8(field?).ok();
        let (id, subject_pid) = (number(row.field().ok()?)?, number(row.field().ok()?)?);
        let (anchor, pattern) = (text(row.field().ok()?)?, text(row.field().ok()?)?);
        let terms = &row.0[..row.0.len() - behind];
        Some(Self { id, subject_pid, anchor, pattern, terms })
    }

    /// The row as decisions read it, without what the role that it names allows.
    pub fn read_terms(&self) -> Result<GrantRow, DbError> {
        self.try_read_terms().ok_or_else(broken)
    }

    fn try_read_terms(&self) -> Option<GrantRow> {
        let mut fields = Cursor(self.terms);
        let mut text = || match fields.field().ok()? {
            None => Some(None),
            Some(field) => Some(Some(std::str::from_utf8(field).ok()?.to_owned())),
        };
        let (effect, role, rights, tags) = (text()??, text()?, text()?, text()?);
        let mut moment = || match fields.field().ok()? {
            None => Some(None),
            Some(field) => {
                let microseconds = i64::from_be_bytes(field.try_into().ok()?);
                EPOCH.checked_add(Duration::microseconds(microseconds)).map(Some)
            }
        };
        let (not_before, expires_at) = (moment()?, moment()?);
        let networks = match fields.field().ok()? {
            None => None,
            Some(field) => {
                let networks = std::str::from_utf8(field).ok()?.split(',').map(str::parse);
                Some(networks.collect::<Result<Vec<IpNet>, _>>().ok()?)
            }
        };
        let second_factor = fields.field().ok()?? == [1];
        Some(GrantRow {
            id: self.id,
            subject_pid: self.subject_pid,
            effect,
            role,
            role_rights: None,
            rights,
            pattern: self.pattern.to_owned(),
            tags,
            not_before,
            expires_at,
            networks,
            second_factor,
        })
    }
}

/// A place in bytes.
#[derive(Clone, Copy, Debug)]
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    /// A number with a sign, most significant byte first.
    fn number<const BYTES: usize>(&mut self) -> Option<i64> {
        let bytes = self.bytes(BYTES)?;
        let sign = if bytes[0] & 0x80 == 0 { 0 } else { -1 };
        Some(bytes.iter().fold(sign, |number, byte| (number << 8) | i64::from(*byte)))
    }

    /// A field, which may be null.
    fn field(&mut self) -> Result<Option<&'a [u8]>, Incomplete> {
        match self.number::<4>().ok_or(Incomplete)? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length).map_err(|_| Incomplete)?;
                self.bytes(length).map(Some).ok_or(Incomplete)
            }
        }
    }
}

/// The rest has not come yet.
#[derive(Debug)]
struct Incomplete;

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(rows: &[[Option<&[u8]>; 12]]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([0; 8]);
        for row in rows {
            bytes.extend(12_i16.to_be_bytes());
            for field in row {
                let length = field.map_or(-1, |field| i32::try_from(field.len()).unwrap());
                bytes.extend(length.to_be_bytes());
                bytes.extend(field.unwrap_or_default());
            }
        }
        bytes.extend((-1_i16).to_be_bytes());
        bytes
    }

    #[test]
    fn rows_are_whole_wherever_the_stream_is_cut() {
        let (id, pid, moment) = (7_i64.to_be_bytes(), 100_i64.to_be_bytes(), 1_000_000_i64.to_be_bytes());
        let row = [
            Some(&id[..]),
            Some(&pid),
            Some(b"r:a"),
            Some(b"a"),
            Some(b"allow"),
            None,
            Some(b"pull"),
            None,
            None,
            Some(&moment),
            Some(b"10.0.0.0/8,::1/128"),
            Some(&[1]),
        ];
        let bytes = copy(&[row, row]);
        for size in [1, 2, 7, bytes.len()] {
            let (mut reader, mut rows) = (Reader::default(), Vec::new());
            for chunk in bytes.chunks(size) {
                reader.take(chunk);
                while let Some(row) = reader.row().unwrap() {
                    assert_eq!((row.id, row.subject_pid, row.anchor), (7, 100, "r:a"));
                    rows.push(row.read_terms().unwrap());
                }
                reader.forget();
            }
            assert!(reader.ended && reader.held.is_empty());
            assert_eq!(rows.len(), 2);
            assert_eq!(rows[0], rows[1]);
            assert_eq!((rows[0].effect.as_str(), rows[0].rights.as_deref()), ("allow", Some("pull")));
            assert_eq!(rows[0].expires_at, Some(EPOCH + Duration::SECOND));
            assert_eq!(rows[0].networks.as_ref().map(Vec::len), Some(2));
            assert!(rows[0].second_factor);
        }
    }

    #[test]
    fn what_is_no_copy_is_an_error() {
        let mut reader = Reader::default();
        reader.take(&[b'x'; 64]);
        assert!(reader.row().is_err());
        let mut reader = Reader::default();
        reader.take(&copy(&[[Some(b"1".as_slice()); 12]]));
        assert!(reader.row().is_err());
    }
}
