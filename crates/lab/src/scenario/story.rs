//! A story as it happens: lines with the time they were said at, and figures for the table at its end.

use std::fmt::Display;
use std::time::{Duration, Instant};

use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use crate::report;

/// What was said and measured.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Lines, in their order.
    pub steps: Vec<Step>,
    /// Measurements, in their order.
    pub figures: Vec<Figure>,
}

/// One line.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// Seconds since the story began.
    pub at: f64,
    /// What happened.
    pub text: String,
}

/// One measurement.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// How much, or what was seen.
    pub value: serde_json::Value,
    /// Of what; empty for words.
    pub unit: &'static str,
}

/// Tells and remembers.
#[derive(Debug)]
pub struct Story {
    started: Instant,
    silent: bool,
    report: Report,
}

impl Story {
    /// A story that begins now; a silent one only remembers.
    pub fn begin(silent: bool) -> Self {
        Self { started: Instant::now(), silent, report: Report::default() }
    }

    /// Says a line.
    pub fn say(&mut self, text: impl Display) {
        let (at, text) = (self.started.elapsed().as_secs_f64(), text.to_string());
        if !self.silent {
            report::line(format_args!("{at:6.2} s  {text}"));
        }
        self.report.steps.push(Step { at, text });
    }

    /// Notes how long something took, in milliseconds.
    pub fn took(&mut self, name: &str, time: Duration) {
        let millis = (time.as_secs_f64() * 10_000.0).round() / 10.0;
        self.note(name, millis.into(), "ms");
    }

    /// Notes a number of things.
    pub fn counted(&mut self, name: &str, count: usize, unit: &'static str) {
        self.note(name, count.into(), unit);
    }

    /// Notes what was seen.
    pub fn saw(&mut self, name: &str, words: impl Display) {
        self.note(name, words.to_string().into(), "");
    }

    /// Prints the table, or everything as JSON, and returns what was remembered.
    pub fn end(self) -> Report {
        if self.silent {
            match serde_json::to_string_pretty(&self.report) {
                Ok(text) => report::line(text),
                Err(error) => report::complain(error),
            }
        } else {
            report::line(table(&self.report.figures));
        }
        self.report
    }

    fn note(&mut self, name: &str, value: serde_json::Value, unit: &'static str) {
        self.report.figures.push(Figure { name: name.to_owned(), value, unit });
    }
}

fn table(figures: &[Figure]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::UTF8_FULL_CONDENSED);
    table.set_header(["what", "seen", ""]);
    for figure in figures {
        let value = match &figure.value {
            serde_json::Value::String(words) => words.clone(),
            number => number.to_string(),
        };
        table.add_row([figure.name.as_str(), &value, figure.unit]);
    }
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_lines_and_figures() {
        let mut story = Story::begin(true);
        story.say("the lab is up");
        story.took("address allocated", Duration::from_micros(12_340));
        story.counted("lost", 3, "probes");
        let report = serde_json::to_value(&story.report).unwrap();
        assert_eq!(report["steps"][0]["text"], "the lab is up");
        assert_eq!(report["figures"][0]["value"], 12.3);
        assert_eq!(report["figures"][1]["unit"], "probes");
    }

    #[test]
    fn the_table_has_every_figure() {
        let mut story = Story::begin(true);
        story.saw("source address, Local", "172.30.1.100");
        let text = table(&story.report.figures).to_string();
        assert!(text.contains("source address, Local") && text.contains("172.30.1.100"), "{text}");
    }
}
