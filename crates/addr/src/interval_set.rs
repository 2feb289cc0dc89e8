//! A set of numbers kept as intervals, for sets with long runs.
//!
//! ```text
//!   0 1 2 3 4 5 6 7 8 9
//!   . # # # . . # . . .     {1: 3, 6: 6}: first point of a run -> its last point
//! ```
//!
//! Runs never touch: two that would are one. So the first point behind a run is a gap, and the
//! lowest gap from any point on is found with one search of the tree. Not a map, and not meant for
//! scattered points: those cost one entry each.

use std::collections::BTreeMap;
use std::fmt;

/// A set of `u128`.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct IntervalSet {
    /// First point of a run -> last point of it. Between two runs there is at least one gap.
    runs: BTreeMap<u128, u128>,
}

impl IntervalSet {
    /// The empty set.
    pub const fn new() -> Self {
        Self { runs: BTreeMap::new() }
    }

    /// Whether the set has no point.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Number of points, saturating. Walks the runs.
    pub fn len(&self) -> u128 {
        self.runs
            .iter()
            .fold(0_u128, |sum, (first, last)| sum.saturating_add((last - first).saturating_add(1)))
    }

    /// The runs as `(first, last)`, ascending, with a gap between any two.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (u128, u128)> + ExactSizeIterator + '_ {
        self.runs.iter().map(|(&first, &last)| (first, last))
    }

    /// Whether `point` is in the set. O(log n).
    pub fn contains(&self, point: u128) -> bool {
        self.run_at(point).is_some()
    }

    /// Adds `point`; says whether it was missing. O(log n).
    pub fn insert(&mut self, point: u128) -> bool {
        let missing = !self.contains(point);
        if missing {
            self.insert_range(point, point);
        }
        missing
    }

    /// Adds all points from `first` to `last`; nothing when `last` is lower. O(log n) for each run
    /// that is swallowed.
    pub fn insert_range(&mut self, first: u128, last: u128) {
        if last < first {
            return;
        }
        let (mut start, mut end) = (first, last);
        if let Some((run_start, run_end)) = self.run_before(first)
            && run_end.saturating_add(1) >= first
        {
            start = run_start;
            end = end.max(run_end);
        }
        while let Some((&run_start, &run_end)) = self.runs.range(start..).next()
            && run_start <= end.saturating_add(1)
        {
            self.runs.remove(&run_start);
            end = end.max(run_end);
        }
        self.runs.insert(start, end);
    }

    /// Takes `point` out; says whether it was there. O(log n).
    pub fn remove(&mut self, point: u128) -> bool {
        let present = self.contains(point);
        if present {
            self.remove_range(point, point);
        }
        present
    }

    /// Takes out all points from `first` to `last`; nothing when `last` is lower. O(log n) for each
    /// run that is touched.
    pub fn remove_range(&mut self, first: u128, last: u128) {
        if last < first {
            return;
        }
        if let Some((run_start, run_end)) = self.run_before(first)
            && run_start < first
            && run_end >= first
        {
            self.runs.insert(run_start, first - 1);
            if run_end > last {
                self.runs.insert(last + 1, run_end);
                return;
            }
        }
        while let Some((&run_start, &run_end)) = self.runs.range(first..=last).next() {
            self.runs.remove(&run_start);
            if run_end > last {
                self.runs.insert(last + 1, run_end);
            }
        }
    }

    /// The lowest number from `from` to `to`, both included, that is not in the set. O(log n).
    pub fn next_gap(&self, from: u128, to: u128) -> Option<u128> {
        let gap = match self.run_at(from) {
            Some((_, last)) => last.checked_add(1)?,
            None => from,
        };
        (gap <= to).then_some(gap)
    }

    /// The run that `point` lies in.
    fn run_at(&self, point: u128) -> Option<(u128, u128)> {
        self.run_before(point).filter(|&(_, last)| last >= point)
    }

    /// The last run that starts at or before `point`.
    fn run_before(&self, point: u128) -> Option<(u128, u128)> {
        self.runs.range(..=point).next_back().map(|(&first, &last)| (first, last))
    }
}

impl fmt::Debug for IntervalSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|(first, last)| first..=last)).finish()
    }
}

impl FromIterator<u128> for IntervalSet {
    fn from_iter<I: IntoIterator<Item = u128>>(points: I) -> Self {
        let mut set = Self::new();
        for point in points {
            set.insert(point);
        }
        set
    }
}
