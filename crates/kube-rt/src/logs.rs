//! Logs as upstream writes them: one JSON object per line on standard output, with upstream's
//! level names.
//!
//! ```text
//! {"caller":"watch.rs:120","level":"info","msg":"…","ts":"2026-11-21T10:00:00.123456Z",…fields}
//! ```
//!
//! Fields follow in the order they were written, under their own names; an event must not use the
//! four names above. Lines of other libraries appear from level `warn` on, those of the Kubernetes
//! client not at all, because this crate reports its troubles itself; level `all` shows everything.

use std::fmt::{self, Write as _};
use std::io;
use std::str::FromStr;

use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::{Interest, Subscriber};
use tracing::{Event, Metadata};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

/// How much is written; upstream's words.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Level {
    /// Everything, other libraries included.
    All,
    /// Our own lines from `debug` on.
    Debug,
    /// Our own lines from `info` on.
    #[default]
    Info,
    /// Lines from `warn` on.
    Warn,
    /// Lines from `error` on.
    Error,
    /// Nothing at all.
    None,
}

/// A text that is no level.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error("log level {0:?} is not one of all, debug, info, warn, error, none")]
pub struct UnknownLevel(String);

/// Logs were set up before.
#[derive(Debug, thiserror::Error)]
#[error("logs are set up already")]
pub struct AlreadySet;

/// Sends all events of this process to standard output. `component` is written into each line that
/// does not name one itself.
pub fn init(component: &'static str, level: Level) -> Result<(), AlreadySet> {
    let subscriber =
        tracing_subscriber::registry().with(JsonLines::new(component, level, io::stdout));
    tracing::subscriber::set_global_default(subscriber).map_err(|_| AlreadySet)
}

impl Level {
    fn of_own(self) -> LevelFilter {
        match self {
            Self::All => LevelFilter::TRACE,
            Self::Debug => LevelFilter::DEBUG,
            Self::Info => LevelFilter::INFO,
            Self::Warn => LevelFilter::WARN,
            Self::Error => LevelFilter::ERROR,
            Self::None => LevelFilter::OFF,
        }
    }

    fn shows(self, metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        let limit = if self == Self::All || target.starts_with("ferrolb") {
            self.of_own()
        } else if target.starts_with("kube") {
            LevelFilter::OFF
        } else {
            self.of_own().min(LevelFilter::WARN)
        };
        *metadata.level() <= limit
    }
}

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, UnknownLevel> {
        Ok(match text {
            "all" => Self::All,
            "debug" => Self::Debug,
            "info" => Self::Info,
            "warn" => Self::Warn,
            "error" => Self::Error,
            "none" => Self::None,
            other => return Err(UnknownLevel(other.to_owned())),
        })
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "all",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::None => "none",
        })
    }
}

/// The layer that turns events into lines.
struct JsonLines<M> {
    component: &'static str,
    level: Level,
    output: M,
}

impl<M> JsonLines<M> {
    fn new(component: &'static str, level: Level, output: M) -> Self {
        Self { component, level, output }
    }
}

impl<S, M, W> Layer<S> for JsonLines<M>
where
    S: Subscriber,
    M: Fn() -> W + 'static,
    W: io::Write,
{
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.is_event() && self.level.shows(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.is_event() && self.level.shows(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level.of_own())
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let line = line(self.component, event, Timestamp::now());
        // Where a line cannot be written, there is nobody left to tell.
        let _ = (self.output)().write_all(line.as_bytes());
    }
}

fn line(component: &str, event: &Event<'_>, now: Timestamp) -> String {
    let metadata = event.metadata();
    let mut fields = Fields::default();
    event.record(&mut fields);

    let mut line = String::with_capacity(160 + fields.rest.len() + fields.message.len());
    line.push_str(r#"{"caller":"#);
    let file = metadata.file().unwrap_or_default();
    let file = file.rsplit_once('/').map_or(file, |(_, name)| name);
    push_text(&mut line, format_args!("{file}:{}", metadata.line().unwrap_or_default()));
    let level = match *metadata.level() {
        tracing::Level::ERROR => "error",
        tracing::Level::WARN => "warn",
        tracing::Level::INFO => "info",
        tracing::Level::DEBUG | tracing::Level::TRACE => "debug",
    };
    push_pair(&mut line, "level", level);
    push_pair(&mut line, "msg", &fields.message);
    push_pair(&mut line, "ts", format_args!("{now:.6}"));
    if !fields.has_component && !component.is_empty() {
        push_pair(&mut line, "component", component);
    }
    line.push_str(&fields.rest);
    line.push_str("}\n");
    line
}

/// Collects the fields of one event, already as JSON.
#[derive(Default)]
struct Fields {
    message: String,
    rest: String,
    has_component: bool,
}

impl Fields {
    fn text(&mut self, field: &Field, value: impl fmt::Display) {
        match field.name() {
            // Writing to a String cannot fail.
            "message" => drop(write!(self.message, "{value}")),
            name => {
                self.has_component |= name == "component";
                push_pair(&mut self.rest, name, value);
            }
        }
    }

    fn bare(&mut self, field: &Field, value: impl fmt::Display) {
        self.rest.push(',');
        push_text(&mut self.rest, field.name());
        let _ = write!(self.rest, ":{value}");
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.text(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.bare(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.bare(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.bare(field, value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.text(field, value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.text(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no word for infinity and NaN.
        if value.is_finite() { self.bare(field, value) } else { self.text(field, value) }
    }
}

fn push_pair(line: &mut String, name: &str, value: impl fmt::Display) {
    line.push(',');
    push_text(line, name);
    line.push(':');
    push_text(line, value);
}

/// Appends `value` as a JSON string.
fn push_text(line: &mut String, value: impl fmt::Display) {
    line.push('"');
    // Writing to a String cannot fail.
    let _ = write!(Escaped(line), "{value}");
    line.push('"');
}

/// Escapes whatever is written through it (RFC 8259 7).
struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character {
                '"' => self.0.push_str("\\\""),
                '\\' => self.0.push_str("\\\\"),
                '\n' => self.0.push_str("\\n"),
                '\r' => self.0.push_str("\\r"),
                '\t' => self.0.push_str("\\t"),
                control if u32::from(control) < 0x20 => {
                    write!(self.0, "\\u{:04x}", u32::from(control))?;
                }
                plain => self.0.push(plain),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;
