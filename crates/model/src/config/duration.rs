//! Durations as Go prints and reads them, which is how the API writes them: `1h30m`, `1.5s`, `300ms`.

use std::time::Duration;

/// Reads a duration that is not negative.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(end);
        let (unit, tail) = unit(tail)?;
        nanos = nanos.checked_add(scaled(number, unit)?)?;
        rest = tail;
    }
    // Go holds a duration in 63 bits of nanoseconds.
    let nanos = i64::try_from(nanos).ok().and_then(|nanos| u64::try_from(nanos).ok())?;
    (!text.is_empty()).then(|| Duration::from_nanos(nanos))
}

/// The unit that `text` begins with, in nanoseconds, and what follows it.
fn unit(text: &str) -> Option<(u128, &str)> {
    const UNITS: [(&str, u128); 8] = [
        ("ns", 1),
        ("us", 1_000),
        ("\u{b5}s", 1_000),
        ("\u{3bc}s", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    UNITS.iter().find_map(|(name, nanos)| Some((*nanos, text.strip_prefix(name)?)))
}

/// A decimal number of units in nanoseconds; what is less than one is dropped.
fn scaled(number: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanos = whole.checked_mul(unit)?;
    let mut place = unit;
    for digit in fraction.chars() {
        place /= 10;
        nanos = nanos.checked_add(u128::from(digit.to_digit(10)?) * place)?;
    }
    Some(nanos)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("90s", Some(90_000))]
    #[case("1h2m3s", Some(3_723_000))]
    #[case("1.5s", Some(1_500))]
    #[case(".5s", Some(500))]
    #[case("1m0s", Some(60_000))]
    #[case("300ms", Some(300))]
    #[case("+1s", Some(1_000))]
    #[case("0", Some(0))]
    #[case("0s", Some(0))]
    #[case("1000us", Some(1))]
    #[case("1000\u{b5}s", Some(1))]
    #[case::negative("-1s", None)]
    #[case::no_unit("90", None)]
    #[case::no_number("s", None)]
    #[case::a_dot(".s", None)]
    #[case::two_dots("1.2.3s", None)]
    #[case::a_word("soon", None)]
    #[case::empty("", None)]
    #[case::blank(" 1s", None)]
    #[case::beyond_go("300000h0m", Some(1_080_000_000_000))]
    #[case::too_much("3000000h", None)]
    #[case::far_too_much("99999999999999999999999999999999999999999h", None)]
    fn reads(#[case] text: &str, #[case] millis: Option<u64>) {
        assert_eq!(parse(text), millis.map(Duration::from_millis));
    }
}
