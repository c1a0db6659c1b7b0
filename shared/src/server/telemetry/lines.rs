//! How one event becomes one line.
//!
//! *Invariant:* a line has each name once, and a fixed field of the settings never hides one of the event.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use serde::ser::{SerializeMap, Serializer as _};
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{DefaultFields, Format, Full, Writer};
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent};
use tracing_subscriber::registry::LookupSpan;

/// Names that lines have by themselves; a fixed field of such a name is written as `fields.<name>`.
const OWN_NAMES: [&str; 6] = ["timestamp", "@timestamp", "@version", "level", "message", "file"];

/// Readable lines, the fixed fields at their end.
pub(super) struct TextLines {
    format: Format<Full, SystemTime>,
    suffix: String,
}

impl TextLines {
    pub(super) fn new(fields: &BTreeMap<String, Value>, report_caller: bool, ansi: bool) -> Self {
        let format = Format::default().with_target(false).with_ansi(ansi);
        let mut suffix = String::new();
        for (name, value) in fields {
            let _ = write!(suffix, " {name}={value}");
        }
        Self { format: format.with_file(report_caller).with_line_number(report_caller), suffix }
    }
}

impl<S> FormatEvent<S, DefaultFields> for TextLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, DefaultFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if self.suffix.is_empty() {
            return self.format.format_event(context, writer, event);
        }
        let mut line = String::new();
        self.format.format_event(context, Writer::new(&mut line), event)?;
        writeln!(writer, "{}{}", line.trim_end_matches('\n'), self.suffix)
    }
}

/// Which names a JSON line uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// `timestamp`, `level`, `message`.
    Plain,
    /// `@timestamp`, `@version`, `level` in small letters, `message`.
    Logstash,
}

/// JSON objects, one on each line.
pub(super) struct JsonLines {
    layout: Layout,
    fields: Vec<(String, Value)>,
    report_caller: bool,
}

impl JsonLines {
    pub(super) fn new(layout: Layout, fields: BTreeMap<String, Value>, report_caller: bool) -> Self {
        let renamed = fields.into_iter().map(|(name, value)| {
            let name = if OWN_NAMES.contains(&name.as_str()) { format!("fields.{name}") } else { name };
            (name, value)
        });
        Self { layout, fields: renamed.collect(), report_caller }
    }

    fn line(&self, timestamp: &str, event: &Event<'_>) -> Result<Vec<u8>, serde_json::Error> {
        let metadata = event.metadata();
        let mut line = Vec::with_capacity(512);
        let mut serializer = serde_json::Serializer::new(&mut line);
        let mut map = serializer.serialize_map(None)?;
        match self.layout {
            Layout::Plain => {
                map.serialize_entry("timestamp", timestamp)?;
                map.serialize_entry("level", metadata.level().as_str())?;
            }
            Layout::Logstash => {
                map.serialize_entry("@timestamp", timestamp)?;
                map.serialize_entry("@version", "1")?;
                map.serialize_entry("level", small_level(*metadata.level()))?;
            }
        }
        let mut fields = Fields { map, outcome: Ok(()) };
        event.record(&mut fields);
        let Fields { mut map, outcome } = fields;
        outcome?;
        if let (true, Some(file), Some(line)) = (self.report_caller, metadata.file(), metadata.line()) {
            map.serialize_entry("file", &format_args!("{file}:{line}"))?;
        }
        for (name, value) in &self.fields {
            if metadata.fields().field(name.as_str()).is_none() {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()?;
        line.push(b'\n');
        Ok(line)
    }
}

/// As the distribution registry spells them.
fn small_level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

impl<S> FormatEvent<S, DefaultFields> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, DefaultFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut timestamp = String::with_capacity(32);
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        let line = self.line(&timestamp, event).map_err(|_| fmt::Error)?;
        writer.write_str(std::str::from_utf8(&line).map_err(|_| fmt::Error)?)
    }
}

/// Writes the fields of an event into a map; the first failure is kept.
struct Fields<M: SerializeMap> {
    map: M,
    outcome: Result<(), M::Error>,
}

impl<M: SerializeMap> Fields<M> {
    fn entry<T: serde::Serialize + ?Sized>(&mut self, field: &Field, value: &T) {
        if self.outcome.is_ok() {
            self.outcome = self.map.serialize_entry(field.name(), value);
        }
    }
}

impl<M: SerializeMap> Visit for Fields<M> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.entry(field, &format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.entry(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.entry(field, &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.entry(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.entry(field, &value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.entry(field, &value);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::json;
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("nobody panicked").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Paper {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    fn written(
        lines: impl FormatEvent<tracing_subscriber::Registry, DefaultFields> + Send + Sync + 'static,
        log: impl FnOnce(),
    ) -> String {
        use tracing_subscriber::layer::SubscriberExt as _;
        let paper = Paper::default();
        let layer =
            tracing_subscriber::fmt::layer().with_ansi(false).with_writer(paper.clone()).event_format(lines);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        let bytes = paper.0.lock().expect("nobody panicked").clone();
        String::from_utf8(bytes).expect("text")
    }

    fn log() {
        tracing::warn!(http.status = 404_u16, subject = "al\"ice", error = %"gone", ok = true, "request");
    }

    fn fields() -> BTreeMap<String, Value> {
        let Value::Object(map) =
            json!({"environment": "staging", "replica": 2, "level": "mine", "subject": "me"})
        else {
            return BTreeMap::new();
        };
        map.into_iter().collect()
    }

    #[test]
    fn a_json_line_has_the_fields_of_the_event_and_the_fixed_ones() {
        let text = written(JsonLines::new(Layout::Plain, fields(), false), log);
        assert_eq!(text.matches('\n').count(), 1);
        assert!(text.starts_with("{\"timestamp\":\"20"), "{text}");
        let mut line: Value = serde_json::from_str(&text).expect("JSON");
        line.as_object_mut().and_then(|line| line.remove("timestamp")).expect("a timestamp");
        assert_eq!(
            line,
            json!({
                "level": "WARN", "message": "request", "http.status": 404, "subject": "al\"ice", "error": "gone",
                "ok": true, "environment": "staging", "replica": 2, "fields.level": "mine",
            })
        );
        assert_eq!(text.matches("\"subject\"").count(), 1, "a fixed field does not hide one of the event");
    }

    #[test]
    fn a_logstash_line_has_the_names_of_logstash() {
        let text = written(JsonLines::new(Layout::Logstash, BTreeMap::new(), true), log);
        let line: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(line["@version"], "1");
        assert_eq!((&line["level"], &line["message"]), (&json!("warning"), &json!("request")));
        let timestamp = line["@timestamp"].as_str().expect("a timestamp");
        assert!(timestamp.ends_with('Z') && timestamp.contains('T'), "{timestamp}");
        let file = line["file"].as_str().expect("the caller");
        let (path, number) = file.split_once(':').expect("a line number");
        assert!(path.ends_with("telemetry/lines.rs") && number.parse::<u32>().is_ok(), "{file}");
    }

    #[test]
    fn a_text_line_ends_with_the_fixed_fields() {
        let text = written(TextLines::new(&fields(), false, false), log);
        assert!(
            text.contains(" WARN request http.status=404 subject=\"al\\\"ice\" error=gone ok=true"),
            "{text}"
        );
        let end = " environment=\"staging\" level=\"mine\" replica=2 subject=\"me\"\n";
        assert!(text.ends_with(end), "{text}");
        let text = written(TextLines::new(&BTreeMap::new(), true, false), log);
        assert!(text.contains("telemetry/lines.rs:"), "{text}");
    }
}
