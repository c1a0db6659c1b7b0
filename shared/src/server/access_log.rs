//! The access log: one line in Apache's *combined* format for each request, written when its answer has ended.
//!
//! The bytes are those of the distribution registry, so that whatever reads its lines reads ours; only the user's
//! name stands where that one always has `-`.
//!
//! *Invariant:* a line holds no credential: no header but `Referer` and `User-Agent`, and of the query only the
//! parameters of the protocol that hold none, so neither `_state` nor a token that somebody put there.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use actix_web::body::{BodySize, MessageBody as _};
use actix_web::dev::ServiceRequest;
use actix_web::http::header::{HeaderName, REFERER, USER_AGENT};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::metrics::http::CLIENT_LEFT;
use super::telemetry::sink::Sink;
use crate::clock::Clock;

/// `02/Jan/2006:15:04:05 -0700`
const TIME: &[BorrowedFormatItem<'_>] = format_description!(
    "[day]/[month repr:short]/[year]:[hour]:[minute]:[second] [offset_hour sign:mandatory][offset_minute]"
);

/// Query parameters of the protocol; the values of all others are not ours to write down.
const PARAMETERS: [&str; 8] =
    ["artifactType", "digest", "digest-algorithm", "from", "last", "mount", "n", "tag"];

/// Writes the lines.
#[derive(Clone)]
pub struct AccessLog {
    sink: Sink,
    clock: Arc<dyn Clock>,
}

impl AccessLog {
    /// Lines go to `sink`, dated by `clock`.
    pub fn new(sink: Sink, clock: Arc<dyn Clock>) -> Self {
        Self { sink, clock }
    }

    /// Notes what the line will say of the request.
    pub(super) fn begin(&self, request: &ServiceRequest, client: Option<IpAddr>) -> AccessLine {
        let mut target = String::with_capacity(128);
        let _ = write!(target, "{} ", request.method());
        let uri = request.uri();
        append_quoted(&mut target, uri.path().as_bytes());
        let mut separator = '?';
        for pair in uri.query().unwrap_or_default().split('&') {
            let name = pair.split('=').next().unwrap_or_default();
            if PARAMETERS.contains(&name) {
                target.push(separator);
                append_quoted(&mut target, pair.as_bytes());
                separator = '&';
            }
        }
        let _ = write!(target, " {:?}", request.version());
        let mut agent = String::with_capacity(64);
        agent.push('"');
        append_quoted(&mut agent, header(request, &REFERER));
        agent.push_str("\" \"");
        append_quoted(&mut agent, header(request, &USER_AGENT));
        agent.push('"');
        AccessLine { log: self.clone(), client, began: self.clock.now(), target, agent, ended: false }
    }
}

/// A line that waits for the end of its answer; one that never gets an answer says so with the status 499.
pub(super) struct AccessLine {
    log: AccessLog,
    client: Option<IpAddr>,
    began: OffsetDateTime,
    target: String,
    agent: String,
    ended: bool,
}

impl AccessLine {
    /// Writes the line; `subject` is the user's name, empty if nobody is known.
    pub(super) fn end(mut self, subject: &str, status: u16, bytes: u64) {
        self.write(subject, status, bytes);
    }

    /// Writes the line of an answer that the framework makes from an error.
    pub(super) fn end_with_error(self, error: &actix_web::Error) {
        let response = error.error_response();
        let bytes = match response.body().size() {
            BodySize::Sized(bytes) => bytes,
            BodySize::None | BodySize::Stream => 0,
        };
        self.end("", response.status().as_u16(), bytes);
    }

    fn write(&mut self, subject: &str, status: u16, bytes: u64) {
        self.ended = true;
        let mut line = String::with_capacity(self.target.len() + self.agent.len() + 96);
        match self.client {
            Some(address) => {
                let _ = write!(line, "{address}");
            }
            None => line.push('-'),
        }
        line.push_str(" - ");
        append_user(&mut line, subject);
        line.push_str(" [");
        line.push_str(&self.began.format(TIME).unwrap_or_default());
        let _ = writeln!(line, "] \"{}\" {status} {bytes} {}", self.target, self.agent);
        self.log.sink.write(line.as_bytes());
    }
}

impl Drop for AccessLine {
    fn drop(&mut self) {
        if !self.ended {
            self.write("", CLIENT_LEFT, 0);
        }
    }
}

fn header<'a>(request: &'a ServiceRequest, name: &HeaderName) -> &'a [u8] {
    request.headers().get(name).map_or(&[], |value| value.as_bytes())
}

/// A name without a space, so that it stays one column.
fn append_user(line: &mut String, name: &str) {
    if name.is_empty() {
        line.push('-');
        return;
    }
    let start = line.len();
    append_quoted(line, name.as_bytes());
    if line[start..].contains(' ') {
        let name = line.split_off(start).replace(' ', "\\x20");
        line.push_str(&name);
    }
}

/// Appends text as it may stand between double quotes: quotes, backslashes and what cannot be printed are escaped.
fn append_quoted(line: &mut String, text: &[u8]) {
    for chunk in text.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '"' | '\\' => line.extend(['\\', letter]),
                '\u{7}' => line.push_str("\\a"),
                '\u{8}' => line.push_str("\\b"),
                '\u{c}' => line.push_str("\\f"),
                '\n' => line.push_str("\\n"),
                '\r' => line.push_str("\\r"),
                '\t' => line.push_str("\\t"),
                '\u{b}' => line.push_str("\\v"),
                '\0'..' ' => {
                    let _ = write!(line, "\\x{:02x}", u32::from(letter));
                }
                '\u{7f}'..='\u{9f}' => {
                    let _ = write!(line, "\\u{:04x}", u32::from(letter));
                }
                _ => line.push(letter),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(line, "\\x{byte:02x}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::mpsc::{Sender, channel};
    use std::time::Duration;

    use actix_web::test::TestRequest;
    use time::macros::datetime;

    use super::*;

    struct Noon;

    impl Clock for Noon {
        fn now(&self) -> OffsetDateTime {
            datetime!(2026-01-02 12:00:05 UTC)
        }
    }

    struct Paper(Sender<Vec<u8>>);

    impl io::Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn line(request: TestRequest, subject: &str) -> String {
        let (paper, written) = channel();
        let sink = Sink::start("test", Paper(paper)).expect("a thread");
        let log = AccessLog::new(sink.clone(), Arc::new(Noon));
        let line = log.begin(&request.to_srv_request(), Some(IpAddr::from([192, 0, 2, 1])));
        line.end(subject, 200, 20);
        sink.flush(Duration::from_mins(1));
        String::from_utf8(written.try_iter().flatten().collect()).expect("text")
    }

    #[test]
    fn a_line_is_the_one_of_the_distribution_registry() {
        // Written by it for the same request.
        let expected = "192.0.2.1 - - [02/Jan/2026:12:00:05 +0000] \"POST /v2/a/b/blobs/uploads/ HTTP/1.1\" 200 20 \
                        \"http://ref/\\\"x\" \"odd \\\"agent\\\" ü\\tx\"\n";
        let request = TestRequest::post()
            .uri("/v2/a/b/blobs/uploads/")
            .insert_header(("referer", "http://ref/\"x"))
            .insert_header(("user-agent", "odd \"agent\" ü\tx".as_bytes()));
        assert_eq!(line(request, ""), expected);
    }

    #[test]
    fn a_user_is_one_column_whatever_the_name() {
        let text = line(TestRequest::get().uri("/v2/"), "al ice\" [x]\n");
        assert!(text.starts_with("192.0.2.1 - al\\x20ice\\\"\\x20[x]\\n [02/Jan/2026"), "{text}");
        assert!(text.ends_with("\"GET /v2/ HTTP/1.1\" 200 20 \"\" \"\"\n"), "{text}");
    }

    #[test]
    fn of_the_query_only_what_holds_no_secret_is_written() {
        let uri =
            "/v2/a/blobs/uploads/1?_state=SECRET&digest=sha256:ab&%5Fstate=SECRET&access_token=SECRET&n=5";
        let text = line(TestRequest::put().uri(uri), "");
        assert!(text.contains("\"PUT /v2/a/blobs/uploads/1?digest=sha256:ab&n=5 HTTP/1.1\""), "{text}");
        assert!(!text.contains("SECRET"), "{text}");
    }

    #[test]
    fn bytes_that_are_no_text_are_written_as_numbers() {
        let mut line = String::new();
        append_quoted(&mut line, b"a\xff\x01\x7f\\");
        assert_eq!(line, "a\\xff\\x01\\u007f\\\\");
    }
}
