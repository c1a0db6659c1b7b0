//! Reading large files in pieces, one piece ahead.
//!
//! *Invariant:* besides the piece handed out at most one more is in memory or being read. Positioned reads leave the
//! file without a cursor, so a dropped stream needs no cleaning up.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use tokio::task::JoinHandle;

use super::pool::{self, Pool};
use crate::oci::hasher::Hasher;
use crate::storage::error::StorageError;
use crate::storage::layout::Key;
use crate::storage::{ByteStream, ObjectReader, PIECE_BYTES};

/// An open file and its size.
pub(super) struct FileReader {
    source: Source,
    size: u64,
}

#[derive(Clone)]
struct Source {
    pool: Pool,
    file: Arc<File>,
    key: Key,
}

impl FileReader {
    pub(super) fn new(pool: Pool, file: File, key: Key, size: u64) -> Self {
        Self { source: Source { pool, file: Arc::new(file), key }, size }
    }
}

type Piece = JoinHandle<Result<Bytes, StorageError>>;

/// What is left to hand out, and the piece that was started ahead if a thread was free.
struct Rest {
    source: Source,
    range: Range<u64>,
    ahead: Option<Piece>,
}

impl ObjectReader for FileReader {
    fn size(&self) -> u64 {
        self.size
    }

    fn stream(self: Box<Self>, range: Range<u64>) -> ByteStream {
        let rest = Rest { source: self.source, range, ahead: None };
        Box::pin(stream::unfold(Some(rest), |rest| async move {
            let mut rest = rest?;
            let piece = first_piece(&rest.range)?;
            let read = match rest.ahead.take() {
                Some(started) => pool::finished(started.await),
                None => rest.source.pool.run(rest.source.read(piece.clone())).await,
            };
            if read.is_err() {
                return Some((read, None));
            }
            rest.range.start = piece.end;
            if let Some(next) = first_piece(&rest.range) {
                rest.ahead = rest.source.pool.try_start(rest.source.read(next)).ok();
            }
            Some((read, Some(rest)))
        }))
    }
}

impl Source {
    fn read(&self, piece: Range<u64>) -> impl FnOnce() -> Result<Bytes, StorageError> + Send + 'static {
        let (file, key) = (Arc::clone(&self.file), self.key.clone());
        move || {
            let mut buffer = vec![0; usize::try_from(piece.end - piece.start).unwrap_or(PIECE_BYTES)];
            read_exactly(&file, &key, &mut buffer, piece.start)?;
            Ok(buffer.into())
        }
    }
}

/// Hashes a range of a file on the calling thread.
pub(super) fn hash(
    file: &File,
    key: &Key,
    range: Range<u64>,
    mut hasher: Hasher,
) -> Result<Hasher, StorageError> {
    let mut buffer = vec![0; PIECE_BYTES];
    let mut rest = range;
    while let Some(piece) = first_piece(&rest) {
        let length = usize::try_from(piece.end - piece.start).unwrap_or(PIECE_BYTES);
        read_exactly(file, key, &mut buffer[..length], piece.start)?;
        hasher.update(&buffer[..length]);
        rest.start = piece.end;
    }
    Ok(hasher)
}

/// The object holds fewer bytes than it did when it was opened, or is gone.
pub(super) fn shorter(key: &Key) -> StorageError {
    StorageError::Corrupt { key: key.clone(), reason: "it is shorter than it was a moment ago" }
}

fn first_piece(range: &Range<u64>) -> Option<Range<u64>> {
    (range.start < range.end).then(|| range.start..range.end.min(range.start + PIECE_BYTES as u64))
}

fn read_exactly(file: &File, key: &Key, buffer: &mut [u8], offset: u64) -> Result<(), StorageError> {
    file.read_exact_at(buffer, offset).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => shorter(key),
        _ => StorageError::from_io("read", key, error),
    })
}
