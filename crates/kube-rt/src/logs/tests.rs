//! Lines are read back with a JSON parser; levels are tables.

use std::sync::Arc;

use parking_lot::Mutex;
use rstest::rstest;
use serde_json::Value;
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What `work` logs at `level`, parsed line by line.
fn mk_lines(level: Level, work: impl FnOnce()) -> (String, Vec<Value>) {
    let sink = Sink::default();
    let output = sink.clone();
    let layer = JsonLines::new("speaker", level, move || output.clone());
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
    let text = String::from_utf8(sink.0.lock().clone()).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (text, lines)
}

/// Lines of this thread from level `info` on, until this is dropped.
pub(crate) struct Capture {
    sink: Sink,
    _guard: tracing::subscriber::DefaultGuard,
}

pub(crate) fn mk_capture() -> Capture {
    let sink = Sink::default();
    let output = sink.clone();
    let layer = JsonLines::new("", Level::Info, move || output.clone());
    let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    Capture { sink, _guard: guard }
}

impl Capture {
    /// The `msg` of each line.
    pub(crate) fn messages(&self) -> Vec<String> {
        let text = String::from_utf8(self.sink.0.lock().clone()).unwrap();
        let line = |line: &str| serde_json::from_str::<Value>(line).unwrap()["msg"].clone();
        text.lines().map(|text| line(text).as_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn line_holds_upstreams_keys_then_the_fields_in_order() {
    let (text, lines) = mk_lines(Level::Info, || {
        tracing::info!(event = "serviceAnnounced", port = 80, ok = true, load = 0.5, "announced");
    });
    let line = &lines[0];
    assert_eq!(line["level"], "info");
    assert_eq!(line["msg"], "announced");
    assert_eq!(line["event"], "serviceAnnounced");
    assert_eq!(line["component"], "speaker");
    assert_eq!(line["port"], 80);
    assert_eq!(line["ok"], true);
    assert_eq!(line["load"], 0.5);
    assert!(line["caller"].as_str().unwrap().starts_with("tests.rs:"));
    assert!(line["ts"].as_str().unwrap().parse::<Timestamp>().is_ok());
    assert!(text.starts_with(r#"{"caller":"tests.rs:"#), "{text}");
    assert!(text.find("\"event\"") < text.find("\"port\""), "{text}");
}

#[test]
fn text_is_escaped_whatever_it_holds() {
    let nasty = "quote \" back \\ line\nreturn\r tab\t bell\u{7} ünïcode 🦀";
    let (_, lines) = mk_lines(Level::Info, || {
        tracing::info!(error = nasty, debugged = ?nasty, displayed = %nasty, "{nasty}");
    });
    assert_eq!(lines[0]["error"], nasty);
    assert_eq!(lines[0]["displayed"], nasty);
    assert_eq!(lines[0]["debugged"], format!("{nasty:?}"));
    assert_eq!(lines[0]["msg"], nasty);
}

#[test]
fn values_without_a_json_number_become_text() {
    let (_, lines) = mk_lines(Level::Info, || {
        tracing::info!(worst = f64::NAN, large = u128::MAX, "numbers");
    });
    assert_eq!(lines[0]["worst"], "NaN");
    assert_eq!(lines[0]["large"], u128::MAX.to_string());
}

#[test]
fn event_that_names_its_component_keeps_it() {
    let (text, lines) =
        mk_lines(Level::Info, || tracing::info!(component = "Memberlist", "joined"));
    assert_eq!(lines[0]["component"], "Memberlist");
    assert_eq!(text.matches("component").count(), 1);
}

#[rstest]
#[case::all(Level::All, &["error", "warn", "info", "debug", "debug"])]
#[case::debug(Level::Debug, &["error", "warn", "info", "debug"])]
#[case::info(Level::Info, &["error", "warn", "info"])]
#[case::warn(Level::Warn, &["error", "warn"])]
#[case::error(Level::Error, &["error"])]
#[case::none(Level::None, &[])]
fn own_lines_by_level(#[case] level: Level, #[case] expected: &[&str]) {
    let (_, lines) = mk_lines(level, || {
        tracing::error!("e");
        tracing::warn!("w");
        tracing::info!("i");
        tracing::debug!("d");
        tracing::trace!("t");
    });
    let levels: Vec<_> = lines.iter().map(|line| line["level"].as_str().unwrap()).collect();
    assert_eq!(levels, expected);
}

#[rstest]
#[case::all(Level::All, &["hyper error", "hyper info", "kube error"])]
#[case::debug(Level::Debug, &["hyper error"])]
#[case::info(Level::Info, &["hyper error"])]
#[case::error(Level::Error, &["hyper error"])]
#[case::none(Level::None, &[])]
fn lines_of_other_libraries_by_level(#[case] level: Level, #[case] expected: &[&str]) {
    let (_, lines) = mk_lines(level, || {
        tracing::error!(target: "hyper::proto", "hyper error");
        tracing::info!(target: "hyper::proto", "hyper info");
        tracing::error!(target: "kube_client::client", "kube error");
    });
    let messages: Vec<_> = lines.iter().map(|line| line["msg"].as_str().unwrap()).collect();
    assert_eq!(messages, expected);
}

#[rstest]
#[case("all", Level::All)]
#[case("debug", Level::Debug)]
#[case("info", Level::Info)]
#[case("warn", Level::Warn)]
#[case("error", Level::Error)]
#[case("none", Level::None)]
fn level_names_read_and_print(#[case] text: &str, #[case] level: Level) {
    assert_eq!(text.parse::<Level>(), Ok(level));
    assert_eq!(level.to_string(), text);
}

#[test]
fn unknown_level_is_named() {
    let error = "verbose".parse::<Level>().unwrap_err();
    assert!(error.to_string().contains("\"verbose\""), "{error}");
}
