//! The bytes of one object, in pieces of equal size.
//!
//! *Invariant:* every full piece has [`PIECE_BYTES`] and never changes; what is appended is copied once, into the
//! tail, however long the object is.

use std::ops::Range;

use bytes::Bytes;

use crate::storage::PIECE_BYTES;

/// Bytes in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    full: Vec<Bytes>,
    /// Shorter than a piece.
    tail: Vec<u8>,
}

impl Content {
    /// Copies `bytes`, so that a small object does not keep the large buffer alive that it arrived in.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let pieces = bytes.chunks_exact(PIECE_BYTES);
        let tail = pieces.remainder().to_vec();
        Self { full: pieces.map(Bytes::copy_from_slice).collect(), tail }
    }

    pub(super) fn length(&self) -> u64 {
        (self.full.len() * PIECE_BYTES + self.tail.len()) as u64
    }

    pub(super) fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = PIECE_BYTES - self.tail.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.tail.extend_from_slice(now);
            bytes = later;
            if self.tail.len() == PIECE_BYTES {
                // A boxed slice has no spare capacity to keep.
                self.full.push(std::mem::take(&mut self.tail).into_boxed_slice().into());
            }
        }
    }

    /// The bytes at the beginning of `range` that lie in one piece; `None` if the range is empty or the object ends
    /// before it.
    pub(super) fn first_piece(&self, range: &Range<u64>) -> Option<Bytes> {
        let end = range.end.min(self.length());
        if range.start >= end {
            return None;
        }
        // What is in memory can be counted in a `usize`.
        let start = usize::try_from(range.start).ok()?;
        let length = usize::try_from(end - range.start).ok()?;
        let within = start % PIECE_BYTES;
        let until = PIECE_BYTES.min(within + length);
        Some(match self.full.get(start / PIECE_BYTES) {
            Some(piece) => piece.slice(within..until),
            None => Bytes::copy_from_slice(&self.tail[within..until]),
        })
    }

    /// All of it in one.
    pub(super) fn whole(&self) -> Bytes {
        let mut bytes = self.full.concat();
        bytes.extend_from_slice(&self.tail);
        bytes.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appending_leaves_full_pieces_where_they_are() {
        let mut content = Content::of(&vec![1; PIECE_BYTES + 1]);
        let address = content.full[0].as_ptr();
        for _ in 0..3 {
            content.append(&vec![2; PIECE_BYTES - 1]);
        }
        assert_eq!(content.length(), 4 * PIECE_BYTES as u64 - 2);
        assert_eq!(content.full.len(), 3);
        assert!(content.full.iter().all(|piece| piece.len() == PIECE_BYTES));
        assert_eq!(content.full[0].as_ptr(), address);
        let piece = content.first_piece(&(0..1 << 40)).expect("not empty");
        assert_eq!(piece.as_ptr(), address, "reading copies no full piece");
    }

    #[test]
    fn a_byte_at_a_time_costs_a_byte_at_a_time() {
        let mut content = Content::default();
        for _ in 0..=PIECE_BYTES {
            content.append(b"x");
        }
        assert_eq!((content.full.len(), content.tail.len()), (1, 1));
        assert_eq!(content.whole().len(), PIECE_BYTES + 1);
    }
}
