//! Lines on their way to standard error or standard output: collected in one buffer, written by one thread.
//!
//! *Invariant:* nobody who logs waits for whoever reads. A reader that has stopped costs at most
//! [`MAX_WAITING_BYTES`] twice, and the lines that find no room, which are counted and reported when it goes on.

use std::fmt;
use std::io::{self, Write};
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::MakeWriter;

/// So much may wait while the thread is busy writing.
pub const MAX_WAITING_BYTES: usize = 1024 * 1024;

/// Takes lines. Clones share one buffer.
#[derive(Clone)]
pub struct Sink(Arc<Shared>);

struct Shared {
    name: &'static str,
    queue: Mutex<Queue>,
    changed: Condvar,
    lost: AtomicU64,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<u8>,
    writing: bool,
}

impl Sink {
    /// Starts the thread that writes to `out`; `name` is what messages and metrics call it.
    pub fn start(name: &'static str, out: impl Write + Send + 'static) -> io::Result<Self> {
        let sink = Self(Arc::new(Shared {
            name,
            queue: Mutex::default(),
            changed: Condvar::new(),
            lost: AtomicU64::new(0),
        }));
        let shared = Arc::clone(&sink.0);
        std::thread::Builder::new().name(format!("log-{name}")).spawn(move || shared.write_for_ever(out))?;
        Ok(sink)
    }

    /// Takes one or more whole lines, or counts them as lost.
    pub fn write(&self, lines: &[u8]) {
        let mut queue = self.0.queue();
        if queue.waiting.len() + lines.len() > MAX_WAITING_BYTES {
            self.0.lose(lines);
            return;
        }
        queue.waiting.extend_from_slice(lines);
        if !queue.writing {
            self.0.changed.notify_all();
        }
    }

    /// Waits until everything is written, but no longer than `patience`.
    pub fn flush(&self, patience: Duration) {
        let until = Instant::now() + patience;
        let mut queue = self.0.queue();
        while queue.writing || !queue.waiting.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.0.changed.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What messages and metrics call it.
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// How many lines found no room or could not be written.
    pub fn lost_lines(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lose(&self, lines: &[u8]) {
        let count = lines.split_inclusive(|byte| *byte == b'\n').count();
        self.lost.fetch_add(count as u64, Ordering::Relaxed);
    }

    fn write_for_ever(&self, mut out: impl Write) {
        let mut batch = Vec::new();
        let mut reported = 0;
        loop {
            let mut queue = self.queue();
            queue.writing = false;
            while queue.waiting.is_empty() {
                self.changed.notify_all();
                queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
            queue.writing = true;
            batch.clear();
            mem::swap(&mut batch, &mut queue.waiting);
            drop(queue);
            if out.write_all(&batch).and_then(|()| out.flush()).is_err() {
                self.lose(&batch);
                continue;
            }
            let lost = self.lost.load(Ordering::Relaxed);
            if lost > reported {
                tracing::warn!(
                    stream = self.name,
                    lines = lost - reported,
                    "log lines were lost because nobody took them"
                );
                reported = lost;
            }
        }
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sink").field(&self.0.name).finish()
    }
}

/// One event at a time.
pub struct SinkWriter<'a>(&'a Sink);

impl Write for SinkWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = SinkWriter<'a>;

    fn make_writer(&'a self) -> SinkWriter<'a> {
        SinkWriter(self)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A reader that takes a write only when it is told to.
    struct Reluctant {
        may_take: Receiver<()>,
        taken: Sender<Vec<u8>>,
    }

    impl Write for Reluctant {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.may_take.recv().map_err(io::Error::other)?;
            self.taken.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const LONG: Duration = Duration::from_mins(1);

    #[test]
    fn lines_arrive_whole_and_in_order() {
        let (allow, may_take) = channel();
        let (taken, arrived) = channel();
        let sink = Sink::start("test", Reluctant { may_take, taken }).expect("a thread");
        for number in 0..100 {
            sink.write(format!("{number}\n").as_bytes());
        }
        for _ in 0..100 {
            allow.send(()).expect("the thread waits");
        }
        sink.flush(LONG);
        let text: Vec<u8> = arrived.try_iter().flatten().collect();
        let text = String::from_utf8(text).expect("text");
        let numbers: Vec<usize> = text.lines().map(|line| line.parse().expect("a number")).collect();
        assert_eq!(numbers, (0..100).collect::<Vec<_>>());
        assert_eq!(sink.lost_lines(), 0);
    }

    #[test]
    fn a_reader_that_stops_costs_lines_and_not_memory() {
        let (allow, may_take) = channel();
        let (taken, arrived) = channel();
        let sink = Sink::start("test", Reluctant { may_take, taken }).expect("a thread");
        let line = [[b'x'; 1023].as_slice(), b"\n"].concat();
        let sent = 5 * MAX_WAITING_BYTES / line.len();
        for _ in 0..sent {
            sink.write(&line);
        }
        let lost = usize::try_from(sink.lost_lines()).expect("a small number");
        assert!(lost >= 3 * MAX_WAITING_BYTES / line.len(), "{lost} lines were lost");
        sink.flush(Duration::from_millis(10));
        for _ in 0..1000 {
            allow.send(()).expect("the thread waits");
        }
        sink.flush(LONG);
        let bytes: usize = arrived.try_iter().map(|batch| batch.len()).sum();
        assert_eq!(bytes / line.len() + lost, sent, "every line arrived or was counted");
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted() {
        let (allow, may_take) = channel();
        let (taken, _) = channel();
        drop(allow);
        let sink = Sink::start("test", Reluctant { may_take, taken }).expect("a thread");
        sink.write(b"one\ntwo\n");
        sink.flush(LONG);
        assert_eq!(sink.lost_lines(), 2);
    }
}
