//! Taking a body into a session: collected to large pieces here, written and hashed by a task of its own.
//!
//! *Invariant:* at most three pieces are in memory per upload: one that fills, one that waits, one that is written.
//! Whatever reached the task is synced and its hash state saved even if the request is dropped in the middle; until
//! then the task holds the session's lock.

use std::pin::pin;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;

use super::error::{BodyError, RegistryError};
use super::{Repositories, to_the_end};
use crate::oci::hasher::Hasher;
use crate::storage::layout::SessionKeys;
use crate::storage::{Appender, Lock, PIECE_BYTES};

/// What a body left behind in a session.
pub(super) struct Received {
    /// Has seen all bytes of the session, which are durable.
    pub(super) hasher: Hasher,
    /// Still held.
    pub(super) lock: Lock,
    /// Whether the body was what it should be.
    pub(super) outcome: Result<(), RegistryError>,
}

enum Message {
    Piece(Bytes),
    /// The body ended as it should; the caller goes on with the hasher at once and needs no saved state.
    Complete,
}

/// What the caller is going to do when the body has ended well.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// Leave the session open, so its hash state is worth saving.
    Pause,
    /// Close it.
    Finish,
}

impl Repositories {
    /// Appends `body` to a locked session whose bytes `hasher` has seen. Fails only if storage does; how the body
    /// ended is in [`Received::outcome`].
    pub(super) async fn receive<B>(
        &self,
        keys: &SessionKeys,
        hasher: Hasher,
        lock: Lock,
        announced: Option<u64>,
        body: B,
        then: Then,
    ) -> Result<Received, RegistryError>
    where
        B: Stream<Item = Result<Bytes, BodyError>>,
    {
        let appender = self.storage.append(&keys.data, hasher).await?;
        let (sender, pieces) = mpsc::channel(1);
        let task = to_the_end(write(self.clone(), keys.clone(), appender, lock, pieces));
        let outcome = forward(body, announced, &sender).await;
        if outcome.is_ok() && then == Then::Finish {
            // If the task has gone it tells why below.
            let _ = sender.send(Message::Complete).await;
        }
        drop(sender);
        let (hasher, lock) = task.await?;
        Ok(Received { hasher, lock, outcome })
    }
}

/// Passes the body on in pieces, until its end, its breaking, or the end of whoever writes it.
async fn forward<B>(
    body: B,
    announced: Option<u64>,
    sender: &mpsc::Sender<Message>,
) -> Result<(), RegistryError>
where
    B: Stream<Item = Result<Bytes, BodyError>>,
{
    let mut body = pin!(body);
    // A config of a few hundred bytes need not cost a whole piece.
    let room = announced.and_then(|announced| usize::try_from(announced).ok()).unwrap_or(PIECE_BYTES);
    let room = room.min(PIECE_BYTES);
    let mut piece = BytesMut::new();
    let mut received: u64 = 0;
    let ended = loop {
        let mut chunk = match body.next().await {
            Some(Ok(chunk)) => chunk,
            Some(Err(error)) => break Err(error.into()),
            None => break Ok(()),
        };
        let before = received;
        received += chunk.len() as u64;
        let excess = announced.filter(|announced| received > *announced);
        if let Some(announced) = excess {
            // Never more than the chunk has, since all before it was within what was announced.
            chunk.truncate(usize::try_from(announced - before).unwrap_or(usize::MAX));
        }
        while !chunk.is_empty() {
            if piece.capacity() == 0 {
                piece.reserve(room);
            }
            let fits = chunk.split_to(chunk.len().min(PIECE_BYTES - piece.len()));
            piece.extend_from_slice(&fits);
            if piece.len() == PIECE_BYTES
                && sender.send(Message::Piece(std::mem::take(&mut piece).freeze())).await.is_err()
            {
                return Ok(());
            }
        }
        if let Some(announced) = excess {
            break Err(RegistryError::SizeMismatch { announced, received });
        }
    };
    if !piece.is_empty() && sender.send(Message::Piece(piece.freeze())).await.is_err() {
        return Ok(());
    }
    ended?;
    match announced {
        Some(announced) if announced != received => Err(RegistryError::SizeMismatch { announced, received }),
        _ => Ok(()),
    }
}

async fn write(
    repositories: Repositories,
    keys: SessionKeys,
    mut appender: Box<dyn Appender>,
    lock: Lock,
    mut pieces: mpsc::Receiver<Message>,
) -> Result<(Hasher, Lock), RegistryError> {
    let mut complete = false;
    while let Some(message) = pieces.recv().await {
        match message {
            Message::Piece(piece) => appender.write(piece).await?,
            Message::Complete => complete = true,
        }
    }
    let hasher = appender.finish().await?;
    if !complete {
        repositories.save_hasher(&keys, &hasher).await?;
    }
    Ok((hasher, lock))
}
