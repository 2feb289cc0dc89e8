//! Received UPDATEs: RFC 7606, row by row.

use rstest::rstest;

use super::super::*;
use crate::{Families, PerFamily};

const EXTERNAL: Reception =
    Reception { internal: false, four_octet_as: true, families: Families::BOTH };
const INTERNAL: Reception = Reception { internal: true, ..EXTERNAL };
const OLD: Reception = Reception { four_octet_as: false, ..EXTERNAL };

const ORIGIN: &[u8] = &[0x40, 1, 1, 0];
const AS_PATH: &[u8] = &[0x40, 2, 6, 2, 1, 0, 0, 0xFD, 0xE9];
const NEXT_HOP: &[u8] = &[0x40, 3, 4, 192, 0, 2, 1];
/// 198.51.100.0/24
const PREFIX: &[u8] = &[24, 198, 51, 100];
const REACH_V6: &[u8] = &[
    0x80, 14, 26, 0, 2, 1, 16, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 32, 0x20,
    1, 0xd, 0xb8,
];

fn mk_update(withdrawn: &[u8], attributes: &[&[u8]], nlri: &[u8]) -> Vec<u8> {
    let attributes = attributes.concat();
    let length = |field: &[u8]| u16::try_from(field.len()).unwrap().to_be_bytes();
    [&length(withdrawn), withdrawn, &length(&attributes), &attributes, nlri].concat()
}

/// An announcement of one prefix with all mandatory attributes, and `more` behind them.
fn mk_announcement(more: &[u8]) -> Vec<u8> {
    mk_update(&[], &[ORIGIN, AS_PATH, NEXT_HOP, more], PREFIX)
}

fn outcome(body: &[u8], rx: Reception) -> Option<Outcome> {
    let found = inspect(body, rx).expect("no reset");
    let routes = found.announced.v4 + found.announced.v6;
    match found.malformed.map(|malformed| malformed.outcome) {
        Some(Outcome::Withdraw) => assert_eq!(routes, 0),
        _ => assert!(routes > 0),
    }
    found.malformed.map(|malformed| malformed.outcome)
}

#[test]
fn routes_are_counted() {
    let body = mk_update(
        &[8, 10, 0],
        &[REACH_V6, ORIGIN, AS_PATH, NEXT_HOP, &[0x80, 15, 4, 0, 2, 1, 0]],
        &[PREFIX, PREFIX].concat(),
    );
    let found = inspect(&body, EXTERNAL).unwrap();
    assert_eq!(found.announced, PerFamily { v4: 2, v6: 1 });
    assert_eq!(found.withdrawn, PerFamily { v4: 2, v6: 1 });
    assert_eq!((found.end_of_rib, found.malformed), (None, None));
}

#[rstest]
#[case::v4(mk_update(&[], &[], &[]), Some(Family::V4))]
#[case::v6(mk_update(&[], &[&[0x80, 15, 3, 0, 2, 1]], &[]), Some(Family::V6))]
#[case::withdrawal(mk_update(&[0], &[], &[]), None)]
fn rfc_4724_end_of_rib(#[case] body: Vec<u8>, #[case] family: Option<Family>) {
    assert_eq!(inspect(&body, EXTERNAL).unwrap().end_of_rib, family);
    assert_eq!(inspect(&body, EXTERNAL).unwrap().malformed, None);
}

#[rstest]
#[case::withdrawn_overruns(vec![0, 1, 0, 0], (3, 1))]
#[case::attributes_overrun(vec![0, 0, 0, 9, 0], (3, 1))]
#[case::attributes_length_missing(vec![0, 1, 0, 0], (3, 1))]
#[case::mp_reach_twice(mk_update(&[], &[REACH_V6, REACH_V6, ORIGIN, AS_PATH], &[]), (3, 1))]
#[case::mp_unreach_twice(mk_update(&[], &[&[0x80, 15, 3, 0, 2, 1, 0x80, 15, 3, 0, 2, 1]], &[]), (3, 1))]
#[case::mp_reach_truncated(mk_update(&[], &[&[0x80, 14, 2, 0, 2]], &[]), (3, 9))]
#[case::mp_reach_next_hop_overruns(mk_update(&[], &[&[0x80, 14, 5, 0, 2, 1, 16, 1]], &[]), (3, 9))]
#[case::mp_reach_next_hop_of_five(mk_update(&[], &[&[0x80, 14, 10, 0, 2, 1, 5, 1, 2, 3, 4, 5, 0]], &[]), (3, 9))]
#[case::mp_unreach_truncated(mk_update(&[], &[&[0x80, 15, 2, 0, 2]], &[]), (3, 9))]
#[case::prefix_of_33_bits(mk_update(&[], &[ORIGIN, AS_PATH, NEXT_HOP], &[33, 1, 2, 3, 4, 5]), (3, 10))]
#[case::prefix_truncated(mk_update(&[], &[ORIGIN, AS_PATH, NEXT_HOP], &[24, 1]), (3, 10))]
#[case::withdrawn_prefix_truncated(mk_update(&[24], &[], &[]), (3, 10))]
#[case::v6_prefix_of_129_bits(mk_update(&[], &[&[0x80, 15, 4, 0, 2, 1, 129]], &[]), (3, 10))]
#[case::unknown_well_known(mk_announcement(&[0x40, 99, 1, 0]), (3, 2))]
fn bgp_7_4_row_reset(#[case] body: Vec<u8>, #[case] expected: (u8, u8)) {
    let notification = inspect(&body, EXTERNAL).unwrap_err();
    assert_eq!((notification.code(), notification.subcode()), expected);
}

#[test]
fn unknown_well_known_is_sent_back() {
    let body = mk_announcement(&[0x40, 99, 1, 7]);
    assert_eq!(inspect(&body, EXTERNAL).unwrap_err().data(), [0x40, 99, 1, 7]);
}

#[rstest]
#[case::overruns_a_consistent_total(&[0x80, 4, 9, 0])]
#[case::header_of_two_octets(&[0x80, 4])]
#[case::wrong_flags_of_med(&[0xC0, 4, 4, 0, 0, 0, 1])]
#[case::wrong_flags_of_communities(&[0x80, 8, 4, 0, 0, 0, 1])]
#[case::wrong_flags_of_atomic_aggregate(&[0xC0, 6, 0])]
#[case::med_of_three(&[0x80, 4, 3, 0, 0, 0])]
#[case::communities_of_five(&[0xC0, 8, 5, 0, 0, 0, 1, 0])]
#[case::communities_of_none(&[0xC0, 8, 0])]
#[case::extended_communities_of_seven(&[0xC0, 16, 7, 0, 0, 0, 0, 0, 0, 0])]
#[case::ipv6_extended_communities_of_one(&[0xC0, 25, 1, 0])]
#[case::large_communities_of_eleven(&[0xC0, 32, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])]
fn bgp_7_4_row_withdraw(#[case] attribute: &[u8]) {
    assert_eq!(outcome(&mk_announcement(attribute), EXTERNAL), Some(Outcome::Withdraw));
}

#[rstest]
#[case::origin_of_two_octets(&[0x40, 1, 2, 0, 0], AS_PATH, NEXT_HOP)]
#[case::origin_of_3(&[0x40, 1, 1, 3], AS_PATH, NEXT_HOP)]
#[case::origin_with_wrong_flags(&[0xC0, 1, 1, 0], AS_PATH, NEXT_HOP)]
#[case::as_path_segment_of_unknown_type(ORIGIN, &[0x40, 2, 6, 5, 1, 0, 0, 0, 1], NEXT_HOP)]
#[case::as_path_segment_of_a_confederation(ORIGIN, &[0x40, 2, 6, 3, 1, 0, 0, 0, 1], NEXT_HOP)]
#[case::as_path_segment_of_none(ORIGIN, &[0x40, 2, 2, 2, 0], NEXT_HOP)]
#[case::as_path_segment_overruns(ORIGIN, &[0x40, 2, 6, 2, 2, 0, 0, 0, 1], NEXT_HOP)]
#[case::as_path_of_one_octet(ORIGIN, &[0x40, 2, 1, 2], NEXT_HOP)]
#[case::rfc_7607_as_zero(ORIGIN, &[0x40, 2, 6, 2, 1, 0, 0, 0, 0], NEXT_HOP)]
#[case::next_hop_of_three(ORIGIN, AS_PATH, &[0x40, 3, 3, 192, 0, 2])]
#[case::next_hop_unspecified(ORIGIN, AS_PATH, &[0x40, 3, 4, 0, 0, 0, 0])]
#[case::next_hop_with_wrong_flags(ORIGIN, AS_PATH, &[0xC0, 3, 4, 192, 0, 2, 1])]
#[case::origin_missing(&[], AS_PATH, NEXT_HOP)]
#[case::as_path_missing(ORIGIN, &[], NEXT_HOP)]
#[case::next_hop_missing(ORIGIN, AS_PATH, &[])]
fn bgp_7_4_row_withdraw_mandatory(
    #[case] origin: &[u8],
    #[case] as_path: &[u8],
    #[case] next_hop: &[u8],
) {
    let body = mk_update(&[], &[origin, as_path, next_hop], PREFIX);
    assert_eq!(outcome(&body, EXTERNAL), Some(Outcome::Withdraw));
    // Framing holds: the strongest fault is told, and the same attributes with MP_REACH_NLRI behind
    // them are read to the end.
    let body = mk_update(&[], &[origin, as_path, next_hop, REACH_V6], PREFIX);
    assert_eq!(inspect(&body, EXTERNAL).unwrap().withdrawn, PerFamily { v4: 1, v6: 1 });
}

#[rstest]
#[case::local_pref_of_three(&[0x40, 5, 3, 0, 0, 0])]
#[case::originator_id_of_three(&[0x80, 9, 3, 0, 0, 0])]
#[case::cluster_list_of_five(&[0x80, 10, 5, 0, 0, 0, 0, 0])]
#[case::cluster_list_of_none(&[0x80, 10, 0])]
fn bgp_7_4_row_internal_only(#[case] attribute: &[u8]) {
    assert_eq!(outcome(&mk_announcement(attribute), INTERNAL), Some(Outcome::Withdraw));
    assert_eq!(outcome(&mk_announcement(attribute), EXTERNAL), Some(Outcome::Discard));
}

#[rstest]
#[case::local_pref_from_outside(&[0x40, 5, 4, 0, 0, 0, 1], EXTERNAL)]
#[case::atomic_aggregate_with_a_value(&[0x40, 6, 1, 0], EXTERNAL)]
#[case::aggregator_of_two_octets(&[0xC0, 7, 6, 0, 1, 1, 1, 1, 1], EXTERNAL)]
#[case::aggregator_of_four_octets(&[0xC0, 7, 8, 0, 0, 0, 1, 1, 1, 1, 1], OLD)]
#[case::as4_path_from_a_new_speaker(&[0xC0, 17, 6, 2, 1, 0, 0, 0, 1], EXTERNAL)]
#[case::as4_aggregator_from_a_new_speaker(&[0xC0, 18, 8, 0, 0, 0, 1, 1, 1, 1, 1], EXTERNAL)]
#[case::origin_again(&[0x40, 1, 1, 9], EXTERNAL)]
fn bgp_7_4_row_discard(#[case] attribute: &[u8], #[case] rx: Reception) {
    let path: &[u8] = if rx == OLD { &[0x40, 2, 4, 2, 1, 0xFD, 0xE9] } else { AS_PATH };
    let body = mk_update(&[], &[ORIGIN, path, NEXT_HOP, attribute], PREFIX);
    assert_eq!(outcome(&body, rx), Some(Outcome::Discard));
}

#[test]
fn bgp_7_4_row_discard_malformed_as4_path() {
    let path: &[u8] = &[0x40, 2, 4, 2, 1, 0x5B, 0xA0];
    for (as4_path, expected) in [
        (&[0xC0, 17, 6, 2, 1, 0, 1, 0, 1][..], None),
        (&[0xC0, 17, 5, 2, 1, 0, 1, 0][..], Some(Outcome::Discard)),
    ] {
        let body = mk_update(&[], &[ORIGIN, path, NEXT_HOP, as4_path], PREFIX);
        assert_eq!(outcome(&body, OLD), expected);
    }
}

#[test]
fn bgp_7_4_row_strongest_wins() {
    let discard: &[u8] = &[0x40, 6, 1, 0];
    let withdraw: &[u8] = &[0x80, 4, 1, 0];
    for more in [[discard, withdraw], [withdraw, discard]] {
        let body = mk_update(&[], &[ORIGIN, AS_PATH, NEXT_HOP, more[0], more[1]], PREFIX);
        assert_eq!(
            inspect(&body, EXTERNAL).unwrap().malformed,
            Some(Malformed { attribute: 4, outcome: Outcome::Withdraw })
        );
    }
}

#[rstest]
#[case::unknown_optional(&[0xC0, 99, 2, 1, 2])]
#[case::otc_rfc_9234(&[0xC0, 35, 4, 0, 0, 0, 1])]
#[case::extended_length(&[0xD0, 8, 0, 4, 0, 0, 0, 1])]
#[case::another_family(&[0x80, 14, 9, 0, 25, 70, 4, 1, 2, 3, 4, 200])]
#[case::another_family_withdrawn(&[0x80, 15, 4, 0, 1, 128, 200])]
fn bgp_7_4_row_ignored(#[case] attribute: &[u8]) {
    assert_eq!(outcome(&mk_announcement(attribute), EXTERNAL), None);
}

#[test]
fn rfc_4760_6_a_family_not_agreed_on_does_not_count() {
    let rx = Reception { families: Families::V4, ..EXTERNAL };
    let body = mk_update(&[], &[REACH_V6, ORIGIN, AS_PATH, NEXT_HOP], PREFIX);
    assert_eq!(inspect(&body, rx).unwrap().announced, PerFamily { v4: 1, v6: 0 });
    let rx = Reception { families: Families::V6, ..EXTERNAL };
    assert_eq!(inspect(&body, rx).unwrap().announced, PerFamily { v4: 0, v6: 1 });
}
