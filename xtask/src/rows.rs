//! Acceptance rows: which test pins which row of upstream's behaviour, and at which level.
//!
//! The universe of rows is the table [`FAMILIES`]. A test covers a row by carrying its id in its
//! name (`case::a_012_…`, `fn c_33_…`, `l2_row_14`) or, end to end, by naming it as text
//! (`"L2-27"`). Rows that no test covers yet are listed with a reason in `docs/dev/rows-open.txt`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// Flags of the chore.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Fail where a row that is due has neither a test nor a reason
    #[arg(long)]
    check: bool,
}

/// Rows with one prefix, numbered from 1.
struct Family {
    /// As written in reports, `A-012`.
    prefix: &'static str,
    /// As written in names of tests, `a_012`.
    name: &'static str,
    /// Digits of the number.
    width: usize,
    /// Rows `first..=last`.
    first: u16,
    last: u16,
    /// What the rows are about.
    about: &'static str,
    /// The milestone that has to cover them.
    milestone: u8,
}

const FAMILIES: [Family; 14] = [
    family("A-", "a_", 3, 1, 155, "allocator: assign, pools, sharing", 1),
    family("A-", "a_", 3, 156, 208, "allocator: buggy IPs, reload, counters", 3),
    family("C-", "c_", 2, 1, 66, "controller: Service life cycle", 3),
    family("K-", "k_", 3, 1, 87, "reconcilers, class, endpoint conditions", 3),
    family("H-", "h_", 2, 1, 24, "admission webhooks", 3),
    family("F-", "f_", 2, 1, 18, "address families", 1),
    family("E-", "e_", 2, 1, 29, "end to end: allocation and status", 3),
    family("L2 row ", "l2_row_", 2, 1, 84, "Layer 2: election, gates, answers", 1),
    family("X", "x_", 2, 1, 13, "Layer 2: neighbouring upstream tests", 4),
    family("L2-", "L2-", 2, 1, 59, "upstream's Layer 2 end-to-end cases", 4),
    family("WH-", "wh_", 2, 1, 19, "upstream's webhook end-to-end cases", 3),
    family("CS-", "CS-", 2, 1, 10, "upstream's ConfigurationState end-to-end cases", 3),
    family("T", "t_", 3, 1, 331, "BGP: decisions, messages, configuration, back ends", 5),
    family("BGP-", "BGP-", 2, 1, 140, "upstream's BGP end-to-end cases", 5),
];

const fn family(
    prefix: &'static str,
    name: &'static str,
    width: usize,
    first: u16,
    last: u16,
    about: &'static str,
    milestone: u8,
) -> Family {
    Family { prefix, name, width, first, last, about, milestone }
}

/// The milestone this tree is at: its rows must be covered or explained.
const MILESTONE: u8 = 3;

/// Where reasons for uncovered rows stand.
const OPEN: &str = "docs/dev/rows-open.txt";

/// Prints the coverage, or with `--check` fails where a due row has neither a test nor a reason.
pub(crate) fn run(args: &Args, root: &Path) -> anyhow::Result<()> {
    let covered = scan(root)?;
    let reasons = reasons(root)?;
    let mut report = String::new();
    let mut missing = Vec::new();
    for family in &FAMILIES {
        let rows = family.first..=family.last;
        let total = rows.clone().count();
        let with_test = rows.clone().filter(|n| covered.contains_key(&family.id(*n))).count();
        writeln!(
            report,
            "\n{}{:0w$}…{:0w$}  {}  {with_test} of {total} covered (milestone {})",
            family.prefix,
            family.first,
            family.last,
            family.about,
            family.milestone,
            w = family.width,
        )?;
        for number in rows {
            let id = family.id(number);
            match (covered.get(&id), reasons.get(&id)) {
                (Some(tests), _) => {
                    for test in tests {
                        writeln!(report, "  {id}  {test}")?;
                    }
                }
                (None, Some(reason)) => writeln!(report, "  {id}  open: {reason}")?,
                (None, None) if family.milestone <= MILESTONE => missing.push(id),
                (None, None) => {}
            }
        }
    }
    let stale: Vec<&String> = reasons.keys().filter(|id| covered.contains_key(*id)).collect();
    if args.check {
        if !missing.is_empty() {
            bail!("rows without a test or a reason in {OPEN}: {}", missing.join(", "));
        }
        if !stale.is_empty() {
            bail!("rows with a test that {OPEN} still calls open: {stale:?}");
        }
        return Ok(());
    }
    print!("{report}");
    Ok(())
}

impl Family {
    fn id(&self, number: u16) -> String {
        format!("{}{number:0w$}", self.prefix, w = self.width)
    }
}

/// Row id → places (`level crate/file`) whose tests carry it.
fn scan(root: &Path) -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
    let mut files = Vec::new();
    for folder in ["crates", "e2e"] {
        collect(&root.join(folder), &mut files)?;
    }
    let mut covered: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files {
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        let place = file.strip_prefix(root).unwrap_or(&file).display().to_string();
        for family in &FAMILIES {
            for number in numbers(&text, family.name, family.width) {
                if (family.first..=family.last).contains(&number) {
                    covered.entry(family.id(number)).or_default().insert(format!("test {place}"));
                }
            }
        }
    }
    Ok(covered)
}

/// Rust files below `folder` that hold tests.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|n| n != "target" && n != "kubernetes") {
                collect(&path, files)?;
            }
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// Numbers of exactly `width` digits (or more, never fewer) that follow `name` at the start of a
/// word; `a_022_to_040` names a whole range.
fn numbers(text: &str, name: &str, width: usize) -> Vec<u16> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices(name) {
        let boundary =
            text[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '_')
                || text[..at].ends_with('_');
        if !boundary {
            continue;
        }
        let rest = &text[at + name.len()..];
        let Some((first, rest)) = number(rest, width) else { continue };
        let last = rest
            .strip_prefix("_to_")
            .and_then(|rest| number(rest, width))
            .map_or(first, |(last, _)| last);
        found.extend(first..=last);
    }
    found
}

fn number(text: &str, width: usize) -> Option<(u16, &str)> {
    let digits = text.chars().take_while(char::is_ascii_digit).count();
    (digits >= width)
        .then(|| text.split_at(digits))
        .and_then(|(digits, rest)| Some((digits.parse().ok()?, rest)))
}

/// Rows `T101..T146`, or a single one.
fn range(text: &str) -> Option<Vec<String>> {
    let Some((first, last)) = text.split_once("..") else { return Some(vec![text.to_owned()]) };
    let family = FAMILIES.iter().find(|family| first.starts_with(family.prefix))?;
    let number = |id: &str| id.strip_prefix(family.prefix)?.parse::<u16>().ok();
    Some((number(first)?..=number(last)?).map(|number| family.id(number)).collect())
}

/// Reads `ID[..ID][, …]: reason` lines.
fn reasons(root: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let mut reasons = BTreeMap::new();
    let Ok(text) = std::fs::read_to_string(root.join(OPEN)) else { return Ok(reasons) };
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (ids, reason) =
            line.split_once(": ").with_context(|| format!("{OPEN}: no reason in {line:?}"))?;
        for id in ids.split(", ") {
            for id in range(id).with_context(|| format!("{OPEN}: {id:?} is no range of rows"))? {
                reasons.insert(id, reason.to_owned());
            }
        }
    }
    Ok(reasons)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_may_be_about_many_rows() {
        assert_eq!(range("T009..T011").unwrap(), ["T009", "T010", "T011"]);
        assert_eq!(range("BGP-99..BGP-101").unwrap(), ["BGP-99", "BGP-100", "BGP-101"]);
        assert_eq!(range("E-28").unwrap(), ["E-28"]);
        assert_eq!(range("L2-01..BGP-02"), None);
    }

    #[test]
    fn ids_are_found_in_names_of_tests() {
        let text = "#[case::a_012_key]\nfn l2_row_07_x() {} // cafe_a_9\nfn a_022_to_024() {}";
        assert_eq!(numbers(text, "a_", 3), [12, 22, 23, 24]);
        assert_eq!(numbers(text, "l2_row_", 2), [7]);
        assert_eq!(numbers("\"L2-27 reachable\"", "L2-", 2), [27]);
    }
}
