//! OPEN: goldens, and the checks of RFC 4271 6.2 in their order.

use std::net::Ipv4Addr;

use rstest::rstest;

use super::super::*;
use super::{mk_message, only};
use crate::{Asn, Families, HoldTime, PerFamily, RouterId};

fn mk_open(asn: u32, hold_time: u16, capabilities: Capabilities) -> Open {
    Open {
        asn: Asn::new(asn).unwrap(),
        hold_time: HoldTime::new(hold_time).unwrap(),
        router_id: RouterId::new(Ipv4Addr::new(10, 0, 0, 1)).unwrap(),
        capabilities,
    }
}

/// Body of an OPEN: version 4, this AS and hold time, ID 10.0.0.1, and these parameters behind
/// their length.
fn mk_body(asn: u16, hold_time: u16, parameters: &[u8]) -> Vec<u8> {
    let mut body = vec![4];
    body.extend_from_slice(&asn.to_be_bytes());
    body.extend_from_slice(&hold_time.to_be_bytes());
    body.extend_from_slice(&[10, 0, 0, 1]);
    body.extend_from_slice(parameters);
    body
}

fn mk_full(asn: u32) -> Capabilities {
    Capabilities {
        multiprotocol: Some(Families::BOTH),
        route_refresh: true,
        enhanced_refresh: true,
        extended_next_hop: true,
        extended_message: true,
        graceful_restart: Some(RestartCapability {
            restarting: true,
            notification: true,
            restart_time: 120,
            families: PerFamily { v4: Some(true), v6: Some(false) },
        }),
        four_octet_as: Some(asn),
        host_name: Some("node-1".to_owned()),
    }
}

#[test]
fn golden_everything_offered() {
    let open = mk_open(4_200_000_000, 90, mk_full(4_200_000_000));
    let mut out = Vec::new();
    open.encode(&mut out);
    #[rustfmt::skip]
    let parameters = [
        62, 2, 60,
        1, 4, 0, 1, 0, 1,
        1, 4, 0, 2, 0, 1,
        2, 0,
        5, 6, 0, 1, 0, 1, 0, 2,
        6, 0,
        64, 10, 0xC0, 120, 0, 1, 1, 0x80, 0, 2, 1, 0,
        65, 4, 0xFA, 0x56, 0xEA, 0x00,
        70, 0,
        73, 8, 6, b'n', b'o', b'd', b'e', b'-', b'1', 0,
    ];
    // RFC 6793 4.2.1: AS_TRANS in two octets.
    let mut expected = mk_body(23456, 90, &parameters);
    // The lengths above, once counted by hand, once by the slice.
    let counted = u8::try_from(parameters.len() - 1).unwrap();
    (expected[9], expected[11]) = (counted, counted - 2);
    assert_eq!(out, mk_message(1, &expected));
    assert_eq!(Open::decode(&only(&out).unwrap().1), Ok(open));
}

#[test]
fn t_094_encode_then_decode() {
    let open = mk_open(12345, 4, Capabilities::default());
    let mut out = Vec::new();
    open.encode(&mut out);
    assert_eq!(out.len(), 29);
    assert_eq!(Open::decode(&only(&out).unwrap().1), Ok(open));
}

#[rstest]
#[case::t_095_one_parameter_each(
    mk_body(1, 180, &[22, 2, 6, 1, 4, 0, 1, 0, 1, 2, 2, 128, 0, 2, 2, 2, 0, 2, 4, 64, 2, 0x80, 120]),
    1, 180, false, Families::V4
)]
#[case::t_095_four_octets_alone(
    mk_body(64543, 40, &[8, 2, 6, 65, 4, 0, 0, 0xFC, 0x1F]),
    64543, 40, true, Families::V4
)]
#[case::t_095_all_in_one_parameter(
    mk_body(64543, 40, &[18, 2, 16, 1, 4, 0, 1, 0, 1, 2, 0, 65, 4, 0, 0, 0xFC, 0x1F, 70, 0]),
    64543, 40, true, Families::V4
)]
#[case::t_095_unknown_128_and_others(
    mk_body(64543, 180, &[24, 2, 6, 1, 4, 0, 1, 0, 1, 2, 2, 128, 0, 2, 2, 2, 0, 2, 6, 65, 4, 0, 0, 0xFC, 0x1F]),
    64543, 180, true, Families::V4
)]
#[case::t_096_upstreams_own(
    mk_body(65002, 90, &[20, 2, 18, 1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1, 65, 4, 0, 0, 0xFD, 0xEA]),
    65002, 90, true, Families::BOTH
)]
#[case::t_097_without_four_octets_quirk_q11(
    mk_body(65001, 180, &[14, 2, 12, 1, 4, 0, 1, 0, 1, 128, 0, 2, 0, 69, 0]),
    65001, 180, false, Families::V4
)]
#[case::rfc_4760_8_no_capability_at_all(mk_body(65001, 0, &[0]), 65001, 0, false, Families::V4)]
#[case::families_of_others_only(
    mk_body(65001, 90, &[8, 2, 6, 1, 4, 0, 25, 0, 70]),
    65001, 90, false, Families::NONE
)]
#[case::rfc_9072_long_parameters(
    mk_body(65001, 90, &[255, 255, 0, 11, 2, 0, 8, 65, 4, 0, 1, 0, 0, 2, 0]),
    65536, 90, true, Families::V4
)]
#[case::rfc_9072_any_short_length(
    mk_body(65001, 90, &[3, 255, 0, 0]),
    65001, 90, false, Families::V4
)]
#[case::bgp_7_2_row_o8_capabilities_twice(
    mk_body(1, 90, &[26, 2, 24, 1, 4, 0, 2, 0, 1, 65, 4, 0, 0, 0, 9, 1, 4, 0, 1, 0, 1, 65, 4, 0, 0, 0, 7]),
    7, 90, true, Families::BOTH
)]
#[case::quirk_q5_addpath_software_version_paths_limit(
    mk_body(7, 90, &[22, 2, 20, 69, 4, 0, 1, 1, 1, 75, 5, 4, b'F', b'R', b'R', b'!', 76, 5, 0, 1, 1, 0, 9]),
    7, 90, false, Families::V4
)]
fn captured_forms(
    #[case] body: Vec<u8>,
    #[case] asn: u32,
    #[case] hold_time: u16,
    #[case] four_octets: bool,
    #[case] families: Families,
) {
    let open = Open::decode(&body).unwrap();
    assert_eq!(open.asn.number(), asn);
    assert_eq!(open.hold_time.seconds(), hold_time);
    assert_eq!(open.capabilities.four_octet_as.is_some(), four_octets);
    assert_eq!(open.capabilities.families(), families);
}

/// A fault of the row stands together with faults of all later rows, and is the one that is told.
#[rstest]
#[case::bgp_7_2_row_o3_version([3, 0, 0, 0, 1, 0, 0, 0, 0], &[9], 2, 1, &[0, 4])]
#[case::bgp_7_2_row_o4_hold_time_1([4, 0, 0, 0, 1, 0, 0, 0, 0], &[9], 2, 6, &[])]
#[case::bgp_7_2_row_o4_hold_time_2([4, 0, 0, 0, 2, 0, 0, 0, 0], &[9], 2, 6, &[])]
#[case::bgp_7_2_row_o5_id_zero([4, 0, 0, 0, 3, 0, 0, 0, 0], &[9], 2, 3, &[])]
#[case::bgp_7_2_row_o6_parameters_overrun([4, 0, 0, 0, 3, 1, 1, 1, 1], &[9], 2, 0, &[])]
#[case::bgp_7_2_row_o6_parameter_overruns([4, 0, 0, 0, 3, 1, 1, 1, 1], &[2, 2, 9], 2, 0, &[])]
#[case::bgp_7_2_row_o6_capability_overruns([4, 0, 0, 0, 3, 1, 1, 1, 1], &[4, 2, 2, 65, 4], 2, 0, &[])]
#[case::bgp_7_2_row_o6_four_octets_of_three([4, 0, 0, 0, 3, 1, 1, 1, 1], &[7, 2, 5, 65, 3, 0, 0, 1], 2, 0, &[])]
#[case::bgp_7_2_row_o6_family_of_five([4, 0, 0, 0, 3, 1, 1, 1, 1], &[9, 2, 7, 1, 5, 0, 1, 0, 1, 0], 2, 0, &[])]
#[case::bgp_7_2_row_o6_trailing_octets([4, 0, 0, 0, 3, 1, 1, 1, 1], &[0, 0], 2, 0, &[])]
#[case::bgp_7_2_row_o6_unknown_parameter([4, 0, 0, 0, 3, 1, 1, 1, 1], &[2, 1, 0], 2, 4, &[])]
#[case::rfc_9072_length_overruns([4, 0, 0, 0, 3, 1, 1, 1, 1], &[255, 255, 0, 9], 2, 0, &[])]
#[case::bgp_7_2_row_o7_as_zero([4, 0, 0, 0, 3, 1, 1, 1, 1], &[0], 2, 2, &[])]
#[case::rfc_7607_as_zero_in_four_octets([4, 0, 1, 0, 3, 1, 1, 1, 1], &[8, 2, 6, 65, 4, 0, 0, 0, 0], 2, 2, &[])]
fn open_checks_in_order(
    #[case] fixed: [u8; 9],
    #[case] parameters: &[u8],
    #[case] code: u8,
    #[case] subcode: u8,
    #[case] data: &[u8],
) {
    let body = [&fixed, parameters].concat();
    assert_eq!(Open::decode(&body), Err(Notification::new(code, subcode).with_data(data)));
}

#[test]
fn a_host_name_is_cut_and_made_safe() {
    let mut capabilities = mk_full(1);
    capabilities.host_name = Some("ü".repeat(200));
    let mut out = Vec::new();
    mk_open(1, 90, capabilities).encode(&mut out);
    let open = Open::decode(&only(&out).unwrap().1).unwrap();
    assert_eq!(open.capabilities.host_name, Some("ü".repeat(32)));

    let body = mk_body(7, 90, &[8, 2, 6, 73, 4, 2, 7, b'x', 0]);
    let name = Open::decode(&body).unwrap().capabilities.host_name;
    assert_eq!(name.as_deref(), Some("\u{FFFD}x"));
}

#[rstest]
#[case::rfc_8538_n_bit(&[0x40, 0x78], true, 120)]
#[case::rfc_4724_twelve_bits(&[0x0F, 0xFF], false, 4095)]
fn restart_flags(#[case] value: &[u8], #[case] notification: bool, #[case] restart_time: u16) {
    let parameters = [&[6, 2, 4, 64, 2], value].concat();
    let restart =
        Open::decode(&mk_body(7, 90, &parameters)).unwrap().capabilities.graceful_restart.unwrap();
    assert_eq!((restart.notification, restart.restart_time), (notification, restart_time));
    assert!(!restart.restarting);
}
