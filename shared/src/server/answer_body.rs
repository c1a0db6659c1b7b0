//! The body of an answer, watched to its end: the access log and the metrics want the bytes that were really sent.
//!
//! *Invariant:* the end is seen exactly once, whether the last byte was taken, the client left, or there was no body.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::web::Bytes;

use super::access_log::AccessLine;
use super::metrics::http::Handling;

/// What is told of the end.
#[derive(Default)]
pub(super) struct Watchers {
    pub(super) line: Option<(AccessLine, String)>,
    pub(super) handling: Option<Handling>,
    pub(super) status: u16,
    /// Whether the request was a `HEAD`: the body is then looked at for its length and not sent.
    pub(super) is_head: bool,
}

/// A body that reports its end.
pub(super) struct WatchedBody {
    body: BoxBody,
    sent: u64,
    watchers: Watchers,
}

impl WatchedBody {
    pub(super) fn new(body: BoxBody, watchers: Watchers) -> Self {
        Self { body, sent: 0, watchers }
    }
}

impl MessageBody for WatchedBody {
    type Error = Box<dyn Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        let next = Pin::new(&mut this.body).poll_next(context);
        if let Poll::Ready(Some(Ok(bytes))) = &next {
            this.sent += bytes.len() as u64;
        }
        next
    }
}

impl Drop for WatchedBody {
    fn drop(&mut self) {
        let Watchers { line, handling, status, is_head } = std::mem::take(&mut self.watchers);
        let sent = if is_head { 0 } else { self.sent };
        if let Some((line, subject)) = line {
            line.end(&subject, status, sent);
        }
        if let Some(handling) = handling {
            handling.end(status, sent);
        }
    }
}
