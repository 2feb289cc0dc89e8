//! Goldens, computed with Python's hmac and hashlib from the layout above.

use std::time::Duration;

use proptest::prelude::*;
use rstest::rstest;

use super::{
    Bits, ENTRY, Entry, HEADER, Header, Kind, MAX_DATAGRAM, MAX_ENTRIES, MIN_DATAGRAM, Mark,
    Reject, open, seal,
};
use crate::key::Key;
use crate::node::NodeHash;

fn mk_key() -> Key {
    Key::derive(b"memberlist secret").unwrap()
}

fn mk_header() -> Header {
    Header {
        kind: Kind::Beat,
        sender: NodeHash::of("node-a"),
        receiver: NodeHash::of("node-b"),
        epoch: 0x0102_0304_0506_0708,
        sequence: 9,
        token: 0xAABB,
        lateness: Duration::from_millis(258),
        bits: Bits { eligible: true, draining: false },
    }
}

fn mk_entry() -> Entry {
    Entry {
        subject: NodeHash::of("node-c"),
        epoch: 7,
        age: Duration::from_millis(500),
        mark: Mark::Silent,
        bits: Bits { eligible: true, draining: true },
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// A datagram with any header bytes changed and signed again.
fn mk_altered(at: usize, value: u8) -> Vec<u8> {
    let mut bytes = seal(&mk_key(), &mk_header(), &[mk_entry()]);
    bytes.truncate(HEADER + ENTRY);
    bytes[at] = value;
    let tag = mk_key().tag(&bytes);
    bytes.extend(tag);
    bytes
}

#[test]
fn golden_beat_with_an_entry() {
    let bytes = seal(&mk_key(), &mk_header(), &[mk_entry()]);
    assert_eq!(hex(&bytes), GOLDEN_BEAT);
}

#[test]
fn golden_probe_without_entries() {
    let header = Header { kind: Kind::Probe, lateness: Duration::from_secs(90), ..mk_header() };
    assert_eq!(hex(&seal(&mk_key(), &header, &[])), GOLDEN_PROBE);
}

#[test]
fn what_is_sealed_opens() {
    let entries = [mk_entry(), Entry { mark: Mark::Taken, ..mk_entry() }];
    let bytes = seal(&mk_key(), &mk_header(), &entries);
    let (header, found) = open(&mk_key(), &bytes).ok().unwrap();
    assert_eq!(header, mk_header());
    assert_eq!(found.collect::<Vec<_>>(), entries);
}

#[test]
fn entries_beyond_the_bound_are_left_out() {
    let bytes = seal(&mk_key(), &mk_header(), &[mk_entry(); MAX_ENTRIES + 9]);
    assert_eq!(bytes.len(), MAX_DATAGRAM);
    assert!(bytes.len() < 1200);
    assert_eq!(open(&mk_key(), &bytes).ok().unwrap().1.count(), MAX_ENTRIES);
}

#[rstest]
#[case::memberlist(0, 0x0C, Reject::FirstByte)]
#[case::next_version(1, 2, Reject::Version)]
#[case::unknown_kind(2, 3, Reject::Kind)]
#[case::one_entry_more(3, 2, Reject::Length)]
#[case::one_entry_less(3, 0, Reject::Length)]
fn altered_and_signed_again(#[case] at: usize, #[case] value: u8, #[case] reject: Reject) {
    assert_eq!(open(&mk_key(), &mk_altered(at, value)).err(), Some(reject));
}

#[test]
fn a_mark_of_a_later_version_says_nothing() {
    let bytes = mk_altered(HEADER + ENTRY - 2, 200);
    let found = open(&mk_key(), &bytes).ok().unwrap().1.next().unwrap();
    assert_eq!(found.mark, Mark::Unknown);
}

#[test]
fn every_flipped_bit_and_every_cut_is_refused() {
    let bytes = seal(&mk_key(), &mk_header(), &[mk_entry()]);
    for bit in 0..bytes.len() * 8 {
        let mut forged = bytes.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        assert!(open(&mk_key(), &forged).is_err(), "bit {bit}");
    }
    for length in 0..bytes.len() {
        assert_eq!(open(&mk_key(), &bytes[..length]).err(), Some(Reject::Length), "{length}");
    }
}

#[test]
fn another_secret_is_refused() {
    let bytes = seal(&Key::derive(b"another").unwrap(), &mk_header(), &[]);
    assert_eq!(bytes.len(), MIN_DATAGRAM);
    assert_eq!(open(&mk_key(), &bytes).err(), Some(Reject::Tag));
}

fn any_mark() -> impl Strategy<Value = Mark> {
    prop_oneof![
        Just(Mark::Unknown),
        Just(Mark::Heard),
        Just(Mark::Silent),
        Just(Mark::Dead),
        Just(Mark::Back),
        Just(Mark::Taken)
    ]
}

prop_compose! {
    fn any_bits()(eligible: bool, draining: bool) -> Bits {
        Bits { eligible, draining }
    }
}

prop_compose! {
    fn any_entry()(subject: u64, epoch: u64, age: u16, mark in any_mark(), bits in any_bits())
        -> Entry
    {
        let age = Duration::from_millis(u64::from(age));
        Entry { subject: NodeHash(subject), epoch, age, mark, bits }
    }
}

prop_compose! {
    fn any_header()(
        probe: bool,
        numbers: [u64; 5],
        lateness: u16,
        bits in any_bits(),
    ) -> Header {
        let [sender, receiver, epoch, sequence, token] = numbers;
        Header {
            kind: if probe { Kind::Probe } else { Kind::Beat },
            sender: NodeHash(sender),
            receiver: NodeHash(receiver),
            epoch,
            sequence,
            token,
            lateness: Duration::from_millis(u64::from(lateness)),
            bits,
        }
    }
}

proptest! {
    #[test]
    fn round_trip(
        header in any_header(),
        entries in prop::collection::vec(any_entry(), 0..=MAX_ENTRIES),
    ) {
        let bytes = seal(&mk_key(), &header, &entries);
        let (found, rest) = open(&mk_key(), &bytes).ok().unwrap();
        prop_assert_eq!(found, header);
        prop_assert_eq!(rest.collect::<Vec<_>>(), entries);
    }

    #[test]
    fn arbitrary_text_with_a_right_tag_never_panics(text in prop::collection::vec(any::<u8>(), 0..1300)) {
        let mut bytes = text;
        if let [first, version, ..] = bytes.as_mut_slice() {
            (*first, *version) = (super::FIRST_BYTE, super::VERSION);
        }
        let tag = mk_key().tag(&bytes);
        bytes.extend(tag);
        if let Ok((_, entries)) = open(&mk_key(), &bytes) {
            prop_assert!(entries.count() <= MAX_ENTRIES);
        }
    }
}

const GOLDEN_BEAT: &str = concat!(
    "f701010166570ff05a20740493ef37c6157138220102030405060708000000000000000900000000",
    "0000aabb01020001092cd5e29db96478000000000000000701f40203238181c42a05073e05935826",
    "4a594d78",
);

const GOLDEN_PROBE: &str = concat!(
    "f701020066570ff05a20740493ef37c6157138220102030405060708000000000000000900000000",
    "0000aabbffff0001861e846c1779c79b46d49723df00b234",
);
