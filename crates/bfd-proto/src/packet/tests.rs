use proptest::prelude::*;
use rstest::rstest;

use super::*;

/// Up at 50 ms and polling, laid out by hand after RFC 5880 4.1.
const BY_HAND: [u8; 24] = [
    0x20, 0xe0, 3, 24, 0x9a, 0x4f, 0x1c, 0x02, 0x00, 0x00, 0x10, 0x01, 0, 0, 0xc3, 0x50, 0, 0,
    0xc3, 0x50, 0, 0, 0, 0,
];

fn mk_packet() -> Packet {
    Packet {
        diagnostic: Diagnostic::None,
        state: State::Up,
        poll: true,
        is_final: false,
        control_plane_independent: false,
        authenticated: false,
        demand: false,
        detect_multiplier: NonZeroU8::new(3).unwrap(),
        my_discriminator: Discriminator::new(0x9a4f_1c02).unwrap(),
        your_discriminator: Discriminator::new(0x1001),
        desired_min_tx: Interval::from_millis(50),
        required_min_rx: Interval::from_millis(50),
        required_min_echo_rx: Interval::ZERO,
    }
}

#[test]
fn layout() {
    assert_eq!(mk_packet().encode(), BY_HAND);
    assert_eq!(Packet::decode(&BY_HAND), Ok(mk_packet()));
}

/// FRR 8.4.4's bfdd with 50 ms, as it comes up; captured with tcpdump.
#[rstest]
#[case::init(
    "2080 0318 8357a95b d3bbc418 000f4240 000f4240 0000c350",
    State::Init,
    false,
    false,
    1_000
)]
#[case::up_poll(
    "20e0 0318 8357a95b d3bbc418 0000c350 0000c350 0000c350",
    State::Up,
    true,
    false,
    50
)]
#[case::up_final(
    "20d0 0318 8357a95b d3bbc418 0000c350 0000c350 0000c350",
    State::Up,
    false,
    true,
    50
)]
fn captured(
    #[case] hex: &str,
    #[case] state: State,
    #[case] poll: bool,
    #[case] is_final: bool,
    #[case] millis: u32,
) {
    let digits = hex.replace(' ', "");
    let bytes: Vec<_> = (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect();
    let interval = Interval::from_millis(millis);
    let packet = Packet {
        state,
        poll,
        is_final,
        my_discriminator: Discriminator::new(0x8357_a95b).unwrap(),
        your_discriminator: Discriminator::new(0xd3bb_c418),
        desired_min_tx: interval,
        required_min_rx: interval,
        required_min_echo_rx: Interval::from_millis(50),
        ..mk_packet()
    };
    assert_eq!(Packet::decode(&bytes), Ok(packet));
    assert_eq!(packet.encode()[..], bytes[..]);
}

#[rstest]
#[case::short(23, &[], Malformed::Short(23))]
#[case::empty(0, &[], Malformed::Short(0))]
#[case::version_0(24, &[(0, 0x00)], Malformed::Version(0))]
#[case::version_2(24, &[(0, 0x40)], Malformed::Version(2))]
#[case::length_23(24, &[(3, 23)], Malformed::LengthTooSmall(23))]
#[case::length_25_with_authentication(25, &[(1, 0xc4), (3, 25)], Malformed::LengthTooSmall(25))]
#[case::length_beyond(24, &[(3, 25)], Malformed::LengthTooLarge { length: 25, received: 24 })]
#[case::authentication_missing(24, &[(1, 0xc4), (3, 26)], Malformed::LengthTooLarge { length: 26, received: 24 })]
#[case::multiplier(24, &[(2, 0)], Malformed::DetectMultiplier)]
#[case::multipoint(24, &[(1, 0xc1)], Malformed::Multipoint)]
#[case::my_discriminator(24, &[(4, 0), (5, 0), (6, 0), (7, 0)], Malformed::MyDiscriminator)]
// The first failing check is the one that is told.
#[case::order_version_length(24, &[(0, 0), (3, 0)], Malformed::Version(0))]
#[case::order_length_multiplier(24, &[(3, 0), (2, 0)], Malformed::LengthTooSmall(0))]
#[case::order_multiplier_multipoint(24, &[(2, 0), (1, 0xc1)], Malformed::DetectMultiplier)]
fn refused(#[case] len: usize, #[case] edits: &[(usize, u8)], #[case] expected: Malformed) {
    let mut bytes = BY_HAND.to_vec();
    bytes.push(0);
    for &(at, value) in edits {
        bytes[at] = value;
    }
    assert_eq!(Packet::decode(&bytes[..len]), Err(expected));
}

#[test]
fn bytes_behind_the_packet_are_ignored() {
    let long = [&BY_HAND[..], &[0xff; 40]].concat();
    assert_eq!(Packet::decode(&long), Ok(mk_packet()));
}

#[test]
fn authentication_is_seen() {
    let mut bytes = [&BY_HAND[..], &[1, 2]].concat();
    (bytes[1], bytes[3]) = (0xc4, 26);
    assert!(Packet::decode(&bytes).unwrap().authenticated);
}

#[test]
fn every_diagnostic_keeps_its_number() {
    for code in 0..32 {
        assert_eq!(Diagnostic::from_wire(code).to_wire(), code);
    }
}

proptest! {
    #[test]
    fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = Packet::decode(&bytes);
    }

    #[test]
    fn what_is_read_is_written(mut bytes in any::<[u8; 24]>()) {
        bytes[0] = bytes[0] & 0x1f | 0x20;
        bytes[1] &= !(AUTHENTICATED | MULTIPOINT);
        bytes[2] = bytes[2].max(1);
        bytes[3] = 24;
        bytes[4] |= 1;
        prop_assert_eq!(Packet::decode(&bytes).unwrap().encode(), bytes);
    }
}
