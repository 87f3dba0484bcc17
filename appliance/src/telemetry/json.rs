//! Log lines as flat JSON objects.
//!
//! `{"time":"2026-11-23T21:04:05.123456Z","level":"INFO","target":"ca::issue",
//! "message":"…","request_id":"…","cert.serial":"…"}`: an event's fields and,
//! where it has none of the same name, those of the spans around it. Fields of
//! a span are rendered once, when it opens.

use std::fmt::{self, Write as _};
use std::io::Write as _;

use model::Clock;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::SystemClock;

/// Writes each event as one line of JSON by one write.
pub(super) struct JsonLines<W> {
    /// Where lines go.
    writer: W,
}

impl<W> JsonLines<W> {
    /// Writes to what `writer` makes.
    pub(super) fn new(writer: W) -> Self {
        Self { writer }
    }
}

/// Fields rendered as members of a JSON object, with their names.
#[derive(Default)]
struct Members {
    /// Each member's name and its rendered value.
    members: Vec<(&'static str, String)>,
}

impl Members {
    /// Keeps a member; a later value takes the place of an earlier one.
    fn put(&mut self, field: &Field, value: String) {
        match self
            .members
            .iter_mut()
            .find(|(name, _)| *name == field.name())
        {
            Some((_, old)) => *old = value,
            None => self.members.push((field.name(), value)),
        }
    }

    /// Tells whether a member of this name is there.
    fn has(&self, name: &str) -> bool {
        self.members.iter().any(|(known, _)| *known == name)
    }
}

impl Visit for Members {
    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no NaN and no infinities.
        let value = if value.is_finite() {
            // Millionths are finer than anything measured here.
            ((value * 1e6).round() / 1e6).to_string()
        } else {
            quoted(&value.to_string())
        };
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.to_string());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.to_string());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.to_string());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, quoted(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(error) = source {
            // Infallible: a String takes any text.
            let _ = write!(text, ": {error}");
            source = error.source();
        }
        self.put(field, quoted(&text));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, quoted(&format!("{value:?}")));
    }
}

/// Renders a JSON string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl<S, W> Layer<S> for JsonLines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut members = Members::default();
            attributes.record(&mut members);
            span.extensions_mut().insert(members);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(members) = span.extensions_mut().get_mut::<Members>()
        {
            values.record(members);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut own = Members::default();
        event.record(&mut own);
        let metadata = event.metadata();
        let mut line = format!(
            r#"{{"time":"{:.6}","level":"{}","target":{}"#,
            SystemClock.now(),
            metadata.level(),
            quoted(metadata.target()),
        );
        let mut append = |name: &str, value: &str| {
            line.push(',');
            line.push_str(&quoted(name));
            line.push(':');
            line.push_str(value);
        };
        for (name, value) in &own.members {
            append(name, value);
        }
        // Innermost first: the nearest span wins where two carry the same name.
        let mut inherited: Vec<&'static str> = Vec::new();
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(members) = span.extensions().get::<Members>() {
                for (name, value) in &members.members {
                    if !own.has(name) && !inherited.contains(name) {
                        inherited.push(name);
                        append(name, value);
                    }
                }
            }
        }
        line.push_str("}\n");
        // Nowhere is left to report that standard error is closed.
        let _ = self
            .writer
            .make_writer_for(metadata)
            .write_all(line.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing::{info, info_span};
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// Collects lines.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Logs what `log` logs and parses the lines.
    fn lines_of(log: impl FnOnce()) -> Vec<serde_json::Value> {
        let lines = Lines::default();
        let made = lines.clone();
        let subscriber = tracing_subscriber::registry().with(JsonLines::new(move || made.clone()));
        tracing::subscriber::with_default(subscriber, log);
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn a_line_carries_its_own_fields_and_those_of_the_spans_around_it() {
        let lines = lines_of(|| {
            let request = info_span!("request", request_id = "r-1", peer = tracing::field::Empty);
            request.record("peer", "operator/ada");
            request.in_scope(|| info!(cert.serial = "40ff", count = 3_u64, "issued a \"thing\""));
        });
        assert_eq!(lines.len(), 1);
        let line = &lines[0];
        assert_eq!(line["message"], "issued a \"thing\"");
        assert_eq!(line["cert.serial"], "40ff");
        assert_eq!(line["count"], 3);
        assert_eq!(line["request_id"], "r-1");
        assert_eq!(line["peer"], "operator/ada");
        assert_eq!(line["level"], "INFO");
        assert!(line["time"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn the_nearest_of_equal_names_is_written_once() {
        let lines = lines_of(|| {
            let outer = info_span!("outer", step = "outer").entered();
            let inner = info_span!("inner", step = "inner").entered();
            info!("from the span");
            info!(step = "event", "from the event");
            drop((inner, outer));
        });
        assert_eq!(lines[0]["step"], "inner");
        assert_eq!(lines[1]["step"], "event");
    }

    #[test]
    fn control_characters_cannot_forge_a_line() {
        let lines = lines_of(|| info!(subject = "x\n{\"level\":\"ERROR\"}", "tried"));
        assert_eq!(lines.len(), 1);
    }
}
