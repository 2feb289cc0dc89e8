//! Samples and what is said about them.

use std::time::Duration;

/// Values of one quantity in the order they were measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    pub(crate) fn push_millis(&mut self, time: Duration) {
        self.push(time.as_secs_f64() * 1e3);
    }

    pub(crate) fn push_micros(&mut self, time: Duration) {
        self.push(time.as_secs_f64() * 1e6);
    }

    /// The latest; not a number when there is none.
    pub(crate) fn last(&self) -> f64 {
        self.0.last().copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn raw(&self) -> &[f64] {
        &self.0
    }

    /// The smallest value that this share of the samples does not exceed (nearest rank); not a number
    /// when there are none.
    pub(crate) fn quantile(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::median_of_odd(&[3.0, 1.0, 2.0], 50, 2.0)]
    #[case::median_of_even_is_the_lower(&[4.0, 1.0, 2.0, 3.0], 50, 2.0)]
    #[case::p99_of_few_is_the_largest(&[1.0, 9.0, 2.0], 99, 9.0)]
    #[case::p100(&[1.0, 9.0, 2.0], 100, 9.0)]
    #[case::p0(&[5.0, 9.0, 2.0], 0, 2.0)]
    fn quantiles_are_nearest_ranks(
        #[case] values: &[f64],
        #[case] percent: usize,
        #[case] expected: f64,
    ) {
        let found = Samples(values.to_vec()).quantile(percent);
        assert!((found - expected).abs() < f64::EPSILON, "{found}");
    }

    #[test]
    fn nothing_measured_is_not_a_number() {
        assert!(Samples::default().quantile(50).is_nan());
    }
}
