//! How ranges and link-layer addresses are written: the table of api.md 3.3, with its fixes.

use ferrolb_addr::{AddrRange, Family, Mac, ParseRangeError};
use rstest::rstest;

#[rstest]
#[case::f_15_prefix("1.2.3.4/30", Family::V4)]
#[case::f_16_prefix_v6("100::/96", Family::V6)]
#[case::f_17_address("1.2.3.4/32", Family::V4)]
#[case::f_18_address_v6("100::/128", Family::V6)]
fn a_range_has_the_family_of_its_ends(#[case] text: &str, #[case] family: Family) {
    let range: AddrRange = text.parse().unwrap();
    assert_eq!((range.family(), Family::of(range.first())), (family, family));
}

#[rstest]
#[case::prefix("192.0.2.0/24", "192.0.2.0", "192.0.2.255", "192.0.2.0/24")]
#[case::single_v4("192.0.2.9/32", "192.0.2.9", "192.0.2.9", "192.0.2.9/32")]
#[case::single_v6("fd00::9/128", "fd00::9", "fd00::9", "fd00::9/128")]
#[case::host_bits_are_cleared("1.2.3.77/24", "1.2.3.0", "1.2.3.255", "1.2.3.0/24")]
#[case::host_bits_v6("fd00::77/120", "fd00::", "fd00::ff", "fd00::/120")]
#[case::leading_zero_in_length("1.2.3.0/024", "1.2.3.0", "1.2.3.255", "1.2.3.0/24")]
#[case::everything_v4("0.0.0.0/0", "0.0.0.0", "255.255.255.255", "0.0.0.0/0")]
#[case::everything_v6("::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::/0")]
#[case::range("1.2.3.4-1.2.3.9", "1.2.3.4", "1.2.3.9", "1.2.3.4-1.2.3.9")]
#[case::blanks_around_the_ends(" 1.2.3.4 \t-  1.2.3.9 ", "1.2.3.4", "1.2.3.9", "1.2.3.4-1.2.3.9")]
#[case::one_address_range("1.2.3.4-1.2.3.4", "1.2.3.4", "1.2.3.4", "1.2.3.4/32")]
#[case::aligned_range_is_a_prefix("1.2.3.0-1.2.3.127", "1.2.3.0", "1.2.3.127", "1.2.3.0/25")]
#[case::range_v6("fd00::1-fd00::ffff", "fd00::1", "fd00::ffff", "fd00::1-fd00::ffff")]
#[case::mapped_range("::ffff:1.2.3.4-::ffff:1.2.3.9", "1.2.3.4", "1.2.3.9", "1.2.3.4-1.2.3.9")]
#[case::half_mapped_range("::ffff:1.2.3.4-1.2.3.9", "1.2.3.4", "1.2.3.9", "1.2.3.4-1.2.3.9")]
#[case::mapped_prefix("::ffff:1.2.3.0/120", "1.2.3.0", "1.2.3.255", "1.2.3.0/24")]
#[case::mapped_everything("::ffff:0.0.0.0/96", "0.0.0.0", "255.255.255.255", "0.0.0.0/0")]
#[case::mapped_in_hex("::ffff:102:300/120", "1.2.3.0", "1.2.3.255", "1.2.3.0/24")]
fn ranges_parse(
    #[case] text: &str,
    #[case] first: &str,
    #[case] last: &str,
    #[case] printed: &str,
) {
    let range: AddrRange = text.parse().unwrap();
    assert_eq!(range.first(), first.parse::<std::net::IpAddr>().unwrap());
    assert_eq!(range.last(), last.parse::<std::net::IpAddr>().unwrap());
    assert_eq!(range.to_string(), printed);
}

#[rstest]
#[case::bare_v4("1.2.3.4", "write \"1.2.3.4/32\"")]
#[case::bare_v6("fd00::1", "write \"fd00::1/128\"")]
#[case::bare_mapped("::ffff:1.2.3.4", "write \"1.2.3.4/32\"")]
#[case::bare_with_blank(" 1.2.3.4", "write \"1.2.3.4/32\"")]
#[case::free_text("none", "neither a prefix")]
#[case::empty("", "neither a prefix")]
#[case::leading_zero_in_octet("01.2.3.0/24", "\"01.2.3.0\" is not an IP address")]
#[case::leading_blank(" 1.2.3.0/24", "\" 1.2.3.0\" is not an IP address")]
#[case::trailing_blank("1.2.3.0/24 ", "prefix length \"24 \"")]
#[case::blank_before_length("1.2.3.0/ 24", "prefix length \" 24\"")]
#[case::signed_length("1.2.3.0/+24", "prefix length \"+24\"")]
#[case::empty_length("1.2.3.0/", "prefix length \"\"")]
#[case::length_v4("1.2.3.0/33", "prefix length \"33\" is not a number from 0 to 32")]
#[case::length_v6("fd00::/129", "prefix length \"129\" is not a number from 0 to 128")]
#[case::huge_length("1.2.3.0/4294967320", "prefix length \"4294967320\"")]
#[case::netmask("1.2.3.0/255.255.255.0", "prefix length \"255.255.255.0\"")]
#[case::two_lengths("1.2.3.0/24/8", "prefix length \"24/8\"")]
#[case::two_dashes("1.2.3.4-1.2.3.5-1.2.3.6", "\"1.2.3.5-1.2.3.6\" is not an IP address")]
#[case::open_range("1.2.3.4-", "\"\" is not an IP address")]
#[case::range_of_prefixes("1.2.3.0/24-1.2.4.0/24", "\"1.2.3.0/24\" is not an IP address")]
#[case::zone_in_prefix("fe80::1%eth0/64", "zone")]
#[case::zone_in_range("fe80::1%eth0-fe80::9%eth0", "zone")]
#[case::zone_bare("fe80::1%eth0", "zone")]
#[case::reversed("1.2.3.9-1.2.3.4", "above the last")]
#[case::reversed_v6("fd00::9-fd00::4", "above the last")]
#[case::mixed("1.2.3.4-2001:db8::1", "one end")]
#[case::mixed_that_sorts("::1-1.2.3.4", "one end")]
#[case::mixed_reversed("2001:db8::1-1.2.3.4", "one end")]
#[case::mapped_prefix_too_short("::ffff:1.2.3.0/90", "/96 or longer")]
fn other_texts_are_refused_by_name(#[case] text: &str, #[case] says: &str) {
    let error = text.parse::<AddrRange>().unwrap_err();
    let sentence = error.to_string();
    assert!(sentence.contains(says), "{sentence}");
    assert!(sentence.starts_with(&format!("{text:?}")), "{sentence}");
    assert_eq!(error.value(), text);
}

#[test]
fn a_bare_address_comes_with_the_prefix_that_was_meant() {
    let error = "fd00::1".parse::<AddrRange>().unwrap_err();
    let hint = "fd00::1/128".parse().unwrap();
    assert_eq!(error, ParseRangeError::BareAddress { value: "fd00::1".into(), hint });
}

#[rstest]
#[case::upstream_example("1.2.3.1-1.2.3.254", 14)]
#[case::prefix("1.2.3.0/24", 1)]
#[case::two_halves("1.2.3.0-1.2.4.255", 2)]
#[case::everything_v6("::/0", 1)]
#[case::everything_but_the_ends_v6("::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", 254)]
fn ranges_decompose_into_the_fewest_prefixes(#[case] text: &str, #[case] count: usize) {
    let range: AddrRange = text.parse().unwrap();
    assert_eq!(range.prefixes().count(), count);
}

#[rstest]
#[case::same("10.0.0.0/24", "10.0.0.0/24", true)]
#[case::inside("10.0.0.0/24", "10.0.0.9-10.0.0.10", true)]
#[case::at_the_edge("10.0.0.0/24", "10.0.0.255-10.0.1.0", true)]
#[case::beside("10.0.0.0/24", "10.0.1.0/24", false)]
#[case::other_family_same_bits("0.0.0.1/32", "::1/128", false)]
fn overlap_is_symmetric(#[case] a: &str, #[case] b: &str, #[case] expected: bool) {
    let (a, b): (AddrRange, AddrRange) = (a.parse().unwrap(), b.parse().unwrap());
    assert_eq!((a.overlaps(&b), b.overlaps(&a)), (expected, expected));
}

#[test]
fn lengths_saturate() {
    let len = |text: &str| text.parse::<AddrRange>().unwrap().len();
    assert_eq!(len("10.0.0.0/24"), 256);
    assert_eq!(len("::/1"), 1 << 127);
    assert_eq!(len("::/0"), u128::MAX);
}

#[rstest]
#[case::v4(Family::V4, "IPv4", Family::V6, 32)]
#[case::v6(Family::V6, "IPv6", Family::V4, 128)]
fn families(#[case] family: Family, #[case] name: &str, #[case] other: Family, #[case] width: u8) {
    assert_eq!(family.to_string(), name);
    assert_eq!(family.other(), other);
    assert_eq!(family.width(), width);
}

#[rstest]
#[case::lower("02:00:5e:10:00:0a", [2, 0, 0x5e, 0x10, 0, 10])]
#[case::upper("02:00:5E:10:00:0A", [2, 0, 0x5e, 0x10, 0, 10])]
#[case::broadcast("ff:ff:ff:ff:ff:ff", [0xff; 6])]
fn macs_parse(#[case] text: &str, #[case] octets: [u8; 6]) {
    let mac: Mac = text.parse().unwrap();
    assert_eq!(mac, Mac(octets));
    assert_eq!(mac.to_string(), text.to_lowercase());
}

#[rstest]
#[case::short("02:00:5e:10:00")]
#[case::long("02:00:5e:10:00:0a:0b")]
#[case::one_digit("2:0:5e:10:0:a")]
#[case::sign("+2:00:5e:10:00:0a")]
#[case::no_hex("02:00:5e:10:00:0g")]
#[case::dashes("02-00-5e-10-00-0a")]
#[case::empty("")]
fn other_texts_are_no_macs(#[case] text: &str) {
    let error = text.parse::<Mac>().unwrap_err();
    assert!(error.to_string().starts_with(&format!("{text:?}")));
}

#[test]
fn group_addresses_are_told_from_hosts() {
    assert!(Mac::BROADCAST.is_group());
    assert!(Mac([0x33, 0x33, 0, 0, 0, 1]).is_group());
    assert!(!Mac([0x02, 0, 0, 0, 0, 1]).is_group());
}
