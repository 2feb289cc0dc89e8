//! An entry of `spec.addresses` as anybody may write it: what parses is a range that prints and
//! parses back, and its prefixes cover it exactly; what does not parse is named in the error.
#![no_main]

use ferrolb_addr::{AddrRange, Family};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match text.parse::<AddrRange>() {
        Ok(range) => check(range),
        Err(error) => {
            assert_eq!(error.value(), text);
            assert!(!error.to_string().is_empty());
        }
    }
});

fn check(range: AddrRange) {
    assert_eq!(range.to_string().parse(), Ok(range));
    assert!(range.first() <= range.last());
    assert!(range.contains(range.first()) && range.contains(range.last()));
    let ends = [range.first(), range.last()];
    assert!(ends.iter().all(|&end| Family::of(end) == range.family()));
    // Nothing that is IPv4 throughout stays IPv6 (`::/0` may well hold the mapped block).
    assert!(!ends.iter().all(|&end| end != end.to_canonical()), "mapped, but IPv6: {range}");

    let parts: Vec<AddrRange> = range.prefixes().map(AddrRange::from).collect();
    assert!(parts.len() <= 254, "{} prefixes for {range}", parts.len());
    assert_eq!(parts.first().map(AddrRange::first), Some(range.first()));
    assert_eq!(parts.last().map(AddrRange::last), Some(range.last()));
    for pair in parts.windows(2) {
        assert_eq!(pair[0].last_bits() + 1, pair[1].first_bits(), "gap or overlap in {range}");
    }
}
