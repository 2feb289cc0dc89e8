//! What was measured: one table for people, one file with every sample for machines.

use std::fs;
use std::path::Path;

use comfy_table::{CellAlignment, Table};
use ferrolb_lab::{Error, Result};
use jiff::Timestamp;
use serde::Serialize;

use crate::sample::Samples;

/// One quantity, measured for one implementation.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Measure {
    pub(crate) figure: String,
    pub(crate) unit: &'static str,
    pub(crate) value: f64,
    pub(crate) raw: Vec<f64>,
    pub(crate) beside: Option<Beside>,
    pub(crate) targets: Vec<Target>,
    /// What to give `bench` to measure it again.
    pub(crate) command: &'static str,
}

/// What the same run measured for comparison.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Beside {
    pub(crate) what: &'static str,
    pub(crate) value: f64,
    pub(crate) raw: Vec<f64>,
}

/// What it is to be.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) enum Target {
    AtMost(Limit),
    AtLeast(Limit),
}

/// A number, or where it follows from.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) enum Limit {
    /// This much.
    Value(f64),
    /// So many times what stands beside it.
    TimesBeside(f64),
    /// So many times the peer's.
    TimesPeer(f64),
    /// So many times the peer's; without a peer, so many times what stands beside it.
    TimesPeerOrBeside(f64, f64),
}

/// A measure of ours, and a peer's.
#[derive(Clone, Debug, Serialize)]
struct Row {
    ours: Measure,
    peer: Option<Measure>,
    /// What became of each target, in words.
    verdicts: Vec<String>,
}

/// All rows of a run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    date: String,
    machine: String,
    command: Vec<String>,
    rows: Vec<Row>,
}

impl Measure {
    pub(crate) fn new(
        command: &'static str,
        figure: impl Into<String>,
        unit: &'static str,
        value: f64,
    ) -> Self {
        let figure = figure.into();
        Self { figure, unit, value, raw: vec![value], beside: None, targets: Vec::new(), command }
    }

    /// A quantile of samples.
    pub(crate) fn of(
        command: &'static str,
        figure: &str,
        unit: &'static str,
        samples: &Samples,
        percent: usize,
    ) -> Self {
        let name = if percent == 100 { "max".to_owned() } else { format!("p{percent}") };
        let value = samples.quantile(percent);
        let raw = samples.raw().to_vec();
        Self { raw, ..Self::new(command, format!("{figure}, {name}"), unit, value) }
    }

    pub(crate) fn at_most(mut self, limit: Limit) -> Self {
        self.targets.push(Target::AtMost(limit));
        self
    }

    pub(crate) fn at_least(mut self, limit: Limit) -> Self {
        self.targets.push(Target::AtLeast(limit));
        self
    }

    /// The same quantile of what was measured beside it.
    pub(crate) fn beside(self, what: &'static str, samples: &Samples, percent: usize) -> Self {
        let value = samples.quantile(percent);
        Self { beside: Some(Beside { what, value, raw: samples.raw().to_vec() }), ..self }
    }
}

impl Report {
    pub(crate) fn begin() -> Self {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            date: Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            machine: format!("{cores} cores, Linux {}", kernel.trim()),
            command: std::env::args().collect(),
            rows: Vec::new(),
        }
    }

    /// Takes what was measured for us, with what was measured for a peer.
    pub(crate) fn add(&mut self, ours: Vec<Measure>, peer: Vec<Measure>) {
        let mut peer = peer;
        self.rows.extend(ours.into_iter().map(|ours| {
            let place = peer.iter().position(|peer| peer.figure == ours.figure);
            Row::new(ours, place.map(|place| peer.swap_remove(place)))
        }));
    }

    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::UTF8_FULL_CONDENSED);
        table.set_header([
            "figure",
            "ours",
            "beside it, same run",
            "ratio",
            "peer",
            "ratio",
            "target",
            "samples",
            "command",
        ]);
        for row in &self.rows {
            table.add_row(row.cells());
        }
        for column in [1, 2, 3, 4, 5, 6, 7] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let context = || Error::io(path.display().to_string());
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(context())?;
        }
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| context()(std::io::Error::other(error)))?;
        fs::write(path, text).map_err(context())
    }
}

impl Row {
    fn new(ours: Measure, peer: Option<Measure>) -> Self {
        let verdicts = ours.targets.iter();
        let verdicts = verdicts.filter_map(|target| Self::verdict(&ours, peer.as_ref(), *target));
        Self { verdicts: verdicts.collect(), ours, peer }
    }

    fn cells(&self) -> [String; 9] {
        let ours = &self.ours;
        let number = |value: f64| format!("{} {}", short(value), ours.unit);
        let ratio = |other: Option<f64>| {
            other.filter(|other| *other > 0.0).map(|other| format!("{:.2}", ours.value / other))
        };
        let beside = ours.beside.as_ref();
        let peer = self.peer.as_ref().map(|peer| peer.value);
        [
            ours.figure.clone(),
            number(ours.value),
            beside.map(|it| format!("{}: {}", it.what, number(it.value))).unwrap_or_default(),
            ratio(beside.map(|beside| beside.value)).unwrap_or_default(),
            self.peer.as_ref().map(Self::peer_cell).unwrap_or_default(),
            ratio(peer).unwrap_or_default(),
            self.verdicts.join("\n"),
            ours.raw.len().to_string(),
            format!("bench {}", ours.command),
        ]
    }

    /// A peer's value, with what was measured beside it: its lab may have had a busier machine.
    fn peer_cell(peer: &Measure) -> String {
        let value = format!("{} {}", short(peer.value), peer.unit);
        match &peer.beside {
            Some(beside) => format!("{value} ({}: {})", beside.what, short(beside.value)),
            None => value,
        }
    }

    fn verdict(ours: &Measure, peer: Option<&Measure>, target: Target) -> Option<String> {
        let (words, limit) = match target {
            Target::AtMost(limit) => ("≤", limit),
            Target::AtLeast(limit) => ("≥", limit),
        };
        let beside = ours.beside.as_ref().map(|beside| beside.value);
        let peer = peer.map(|peer| peer.value);
        let limit = match limit {
            Limit::Value(value) => value,
            Limit::TimesBeside(times) => times * beside?,
            Limit::TimesPeer(times) => times * peer?,
            Limit::TimesPeerOrBeside(times, or) => {
                peer.map(|peer| times * peer).or(beside.map(|beside| or * beside))?
            }
        };
        // Not a number is no success.
        let kept = match target {
            Target::AtMost(_) => ours.value <= limit,
            Target::AtLeast(_) => ours.value >= limit,
        };
        Some(format!("{words} {} {}", short(limit), if kept { "kept" } else { "MISSED" }))
    }
}

fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 1.0 || size == 0.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn mk_samples(values: &[f64]) -> Samples {
        let mut samples = Samples::default();
        for value in values {
            samples.push(*value);
        }
        samples
    }

    fn mk_row(value: f64, target: Target, peer: Option<f64>) -> Row {
        let measure = |value| Measure::new("arp", "answer", "µs", value);
        let ours = measure(value).beside("kernel", &mk_samples(&[20.0]), 50);
        Row::new(Measure { targets: vec![target], ..ours }, peer.map(measure))
    }

    use Limit::{TimesBeside, TimesPeer, TimesPeerOrBeside, Value};
    use Target::{AtLeast, AtMost};

    #[rstest]
    #[case::value_kept(14.0, AtMost(Value(15.0)), None, "≤ 15.0 kept")]
    #[case::value_missed(16.0, AtMost(Value(15.0)), None, "≤ 15.0 MISSED")]
    #[case::times_beside(51.0, AtMost(TimesBeside(2.5)), None, "≤ 50.0 MISSED")]
    #[case::times_peer(48.0, AtMost(TimesPeerOrBeside(0.5, 2.0)), Some(96.0), "≤ 48.0 kept")]
    #[case::no_peer(41.0, AtMost(TimesPeerOrBeside(0.5, 2.0)), None, "≤ 40.0 MISSED")]
    #[case::no_peer_nothing_to_say(41.0, AtLeast(TimesPeer(4.0)), None, "")]
    #[case::at_least(41.0, AtLeast(TimesPeer(4.0)), Some(10.0), "≥ 40.0 kept")]
    #[case::too_little(13.0, AtLeast(TimesBeside(0.7)), None, "≥ 14.0 MISSED")]
    #[case::nothing_measured(f64::NAN, AtMost(Value(15.0)), None, "≤ 15.0 MISSED")]
    fn targets_are_judged(
        #[case] value: f64,
        #[case] target: Target,
        #[case] peer: Option<f64>,
        #[case] expected: &str,
    ) {
        assert_eq!(mk_row(value, target, peer).verdicts.join(" "), expected);
    }

    #[test]
    fn a_peers_measure_stands_beside_ours_of_the_same_figure() {
        let mut report = Report::begin();
        let measure = |figure: &str, value| Measure::new("memory", figure, "MB", value);
        report.add(
            vec![measure("controller", 10.0), measure("speaker", 12.0)],
            vec![measure("speaker", 60.0)],
        );
        let cells: Vec<_> = report.rows.iter().map(Row::cells).collect();
        assert_eq!(cells[0][4], "");
        assert_eq!((cells[1][4].as_str(), cells[1][5].as_str()), ("60.0 MB", "0.20"));
    }
}
