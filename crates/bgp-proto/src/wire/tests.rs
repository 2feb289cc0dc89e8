//! Messages against their octets, and the faults that a message can have.

mod open;
mod outgoing;
mod update;

use rstest::rstest;

use super::*;

/// A message with a right header around `body`.
fn mk_message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(HEADER + body.len()).unwrap();
    let mut octets = vec![0xFF; 16];
    octets.extend_from_slice(&length.to_be_bytes());
    octets.push(kind);
    octets.extend_from_slice(body);
    octets
}

/// The only message in `octets`.
fn only(octets: &[u8]) -> Result<(MessageKind, Vec<u8>), Notification> {
    let mut framer = Framer::default();
    let mut input = octets;
    let frame = framer.next(&mut input, MAX_MESSAGE)?.expect("a whole message");
    let found = (frame.kind, frame.body.to_vec());
    assert!(input.is_empty());
    Ok(found)
}

#[test]
fn golden_keepalive() {
    let mut out = Vec::new();
    keepalive(&mut out);
    assert_eq!(out, mk_message(4, &[]));
    assert_eq!(only(&out), Ok((MessageKind::Keepalive, vec![])));
}

#[rstest]
#[case::bgp_7_2_row_o1_marker([0xFE; 16], 19, 4, Notification::new(1, 1))]
#[case::bgp_7_2_row_o2_length_below_the_header([0xFF; 16], 18, 4, Notification::new(1, 2).with_data(&[0, 18]))]
#[case::bgp_7_2_row_o2_length_beyond_4096([0xFF; 16], 4097, 2, Notification::new(1, 2).with_data(&[16, 1]))]
#[case::bgp_7_2_row_o2_open_below_29([0xFF; 16], 28, 1, Notification::new(1, 2).with_data(&[0, 28]))]
#[case::update_below_23([0xFF; 16], 22, 2, Notification::new(1, 2).with_data(&[0, 22]))]
#[case::notification_below_21([0xFF; 16], 20, 3, Notification::new(1, 2).with_data(&[0, 20]))]
#[case::keepalive_with_a_body([0xFF; 16], 20, 4, Notification::new(1, 2).with_data(&[0, 20]))]
#[case::bgp_7_3_row_1_unknown_type([0xFF; 16], 19, 6, Notification::new(1, 3).with_data(&[6]))]
#[case::marker_before_length_before_type([0; 16], 0, 0, Notification::new(1, 1))]
#[case::length_before_type([0xFF; 16], 0, 0, Notification::new(1, 2).with_data(&[0, 0]))]
fn header_faults(
    #[case] marker: [u8; 16],
    #[case] length: u16,
    #[case] kind: u8,
    #[case] expected: Notification,
) {
    let mut octets = [0; HEADER];
    octets[..16].copy_from_slice(&marker);
    octets[16..18].copy_from_slice(&length.to_be_bytes());
    octets[18] = kind;
    assert_eq!(Header::decode(&octets, MAX_MESSAGE), Err(expected));
}

#[test]
fn rfc_8654_only_open_and_keepalive_stay_short() {
    let header = |kind: u8| {
        let mut octets = [0xFF; HEADER];
        octets[16..18].copy_from_slice(&5000_u16.to_be_bytes());
        octets[18] = kind;
        Header::decode(&octets, MAX_EXTENDED_MESSAGE).map(|header| header.length)
    };
    assert_eq!(header(2), Ok(5000));
    assert_eq!(header(3), Ok(5000));
    assert!(header(1).is_err() && header(4).is_err());
}

#[test]
fn bgp_7_1_row_f28_one_octet_at_a_time() {
    let mut stream = mk_message(4, &[]);
    stream.extend(mk_message(3, &[6, 2, 2, b'h', b'i']));
    stream.extend(mk_message(2, &[0, 0, 0, 0]));
    let mut framer = Framer::default();
    let mut found = Vec::new();
    for octet in &stream {
        let mut input = std::slice::from_ref(octet);
        if let Some(frame) = framer.next(&mut input, MAX_MESSAGE).unwrap() {
            found.push((frame.kind, frame.body.len()));
        }
    }
    let kinds = [MessageKind::Keepalive, MessageKind::Notification, MessageKind::Update];
    assert_eq!(found, kinds.into_iter().zip([0, 5, 4]).collect::<Vec<_>>());
}

#[test]
fn a_bad_header_is_judged_before_its_body_arrives() {
    let mut framer = Framer::default();
    let message = mk_message(9, &[0; 100]);
    let mut input = &message[..HEADER];
    assert_eq!(framer.next(&mut input, MAX_MESSAGE), Err(Notification::new(1, 3).with_data(&[9])));
}

#[rstest]
#[case::request(&[0, 1, 0, 1], Ok(Some(Refresh::Request(Family::V4))))]
#[case::request_with_filters_never_agreed_on(&[0, 2, 0, 1, 1, 128, 0, 0], Ok(Some(Refresh::Request(Family::V6))))]
#[case::rfc_7313_begin(&[0, 2, 1, 1], Ok(Some(Refresh::Begin(Family::V6))))]
#[case::rfc_7313_end(&[0, 1, 2, 1], Ok(Some(Refresh::End(Family::V4))))]
#[case::rfc_7313_unknown_subtype(&[0, 1, 3, 1], Ok(None))]
#[case::rfc_2918_unknown_family(&[0, 1, 0, 128], Ok(None))]
#[case::bgp_7_3_row_7_too_short(&[0, 1, 0], Err((7, 1)))]
#[case::bgp_7_3_row_7_mark_too_long(&[0, 1, 1, 1, 0], Err((7, 1)))]
fn route_refresh(#[case] body: &[u8], #[case] expected: Result<Option<Refresh>, (u8, u8)>) {
    let found = Refresh::decode(body);
    if let Ok(Some(refresh)) = found
        && body.len() == 4
    {
        let mut out = Vec::new();
        refresh.encode(&mut out);
        assert_eq!(out, mk_message(5, body));
    }
    let code = |notification: Notification| {
        assert_eq!(notification.data(), mk_message(5, body));
        (notification.code(), notification.subcode())
    };
    assert_eq!(found.map_err(code), expected);
}

#[rstest]
#[case::plain(Notification::new(4, 0), "Hold Timer Expired (4/0)")]
#[case::rfc_9003_text(
    Notification::cease_with_text(2, "node drains"),
    "Cease, Administrative Shutdown (6/2): \"node drains\""
)]
#[case::rfc_8538_hard_reset(Notification::cease_with_text(4, "x").hard(), "Cease, Hard Reset (6/9): Cease, Administrative Reset (6/4): \"x\"")]
#[case::rfc_9384_bfd_down(Notification::cease(10), "Cease, BFD Down (6/10)")]
#[case::control_and_direction(
    Notification::cease_with_text(2, "a\u{1b}[2Jb\n\u{202E}c"),
    "Cease, Administrative Shutdown (6/2): \"a\u{FFFD}[2Jb\u{FFFD}\u{FFFD}c\""
)]
#[case::not_utf8(Notification::cease(2).with_data(&[2, 0xC3, 0x28]), "Cease, Administrative Shutdown (6/2): \"\u{FFFD}(\"")]
#[case::rfc_9003_length_beyond_the_data(Notification::cease(2).with_data(&[9, b'a']), "Cease, Administrative Shutdown (6/2)")]
#[case::rfc_9003_no_text(
    Notification::cease_with_text(2, ""),
    "Cease, Administrative Shutdown (6/2)"
)]
#[case::text_where_none_belongs(Notification::cease(3).with_data(&[1, b'a']), "Cease, Peer De-configured (6/3)")]
#[case::hard_reset_of_nothing(Notification::cease(9), "Cease, Hard Reset (6/9)")]
#[case::unknown(Notification::new(200, 7), "unknown error (200/7)")]
fn a_notification_in_words(#[case] notification: Notification, #[case] expected: &str) {
    assert_eq!(notification.to_string(), expected);
    let mut out = Vec::new();
    notification.encode(&mut out);
    let (kind, body) = only(&out).unwrap();
    assert_eq!(kind, MessageKind::Notification);
    assert_eq!(Notification::decode(&body), Some(notification));
}

#[test]
fn rfc_9003_a_text_is_cut_between_characters() {
    let notification = Notification::cease_with_text(2, &"ä".repeat(200));
    assert_eq!(notification.data().len(), 255);
    assert_eq!(notification.text(), Some("ä".repeat(127)));
}

#[test]
fn a_notification_never_exceeds_a_message() {
    let mut out = Vec::new();
    Notification::new(3, 2).with_data(&vec![7; 60_000]).hard().encode(&mut out);
    assert!(out.len() <= MAX_MESSAGE);
    only(&out).unwrap();
}
