//! The order of resource versions: which of two views of one object is the newer one.
//!
//! Versions of Kubernetes API servers are numbers that grow (KEP-5504 makes that a promise). Of any
//! other text nothing is known but whether it is the same.

/// Whether version `one` is not older than `other`, as far as can be told.
pub fn is_at_least(one: &str, other: &str) -> bool {
    match (one.parse::<u64>(), other.parse::<u64>()) {
        (Ok(one), Ok(other)) => one >= other,
        _ => one == other,
    }
}

/// Whether version `one` is newer than `other`, as far as can be told.
pub fn is_newer(one: &str, other: &str) -> bool {
    one != other && is_at_least(one, other)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::same("7", "7", true, false)]
    #[case::newer_by_value_and_not_by_text("10", "9", true, true)]
    #[case::older("9", "10", false, false)]
    #[case::opaque_and_same("x", "x", true, false)]
    #[case::opaque_and_another("x", "y", false, false)]
    #[case::half_opaque("7", "y", false, false)]
    fn order(#[case] one: &str, #[case] other: &str, #[case] least: bool, #[case] newer: bool) {
        assert_eq!((is_at_least(one, other), is_newer(one, other)), (least, newer));
    }
}
