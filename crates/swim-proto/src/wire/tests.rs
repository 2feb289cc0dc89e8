//! Bytes of the real library (`tests/golden`, written by `memberlist-peer record`) and round trips.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::config::Limits;
use crate::event::Refusal;
use crate::key::Keyring;
use crate::node::Versions;

const LIMITS: Limits = Limits { members: 64, stream_bytes: 1 << 20, ..Limits::DEFAULT };
const SECRET: &[u8] = b"AAAAAAAAAAAAAAAAAAAAAA";

fn mk_envelope(secret: Option<&[u8]>, compress: bool, label: &str) -> Envelope {
    Envelope {
        label: label.into(),
        keys: secret.map(|secret| Keyring::derive(secret).unwrap()),
        compress,
        verify_incoming: true,
        verify_outgoing: true,
        limits: LIMITS,
    }
}

/// Datagrams and stream writes of a recording.
fn recorded(text: &str) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let (datagrams, streams): (Vec<_>, Vec<_>) = lines.partition(|line| line.starts_with("udp"));
    let bytes = |line: &str| hex(line.split(' ').nth(2).unwrap());
    (datagrams.into_iter().map(bytes).collect(), streams.into_iter().map(bytes).collect())
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn kind(message: &Message) -> &'static str {
    match message {
        Message::Ping(_) => "ping",
        Message::IndirectPing(_) => "indirect ping",
        Message::Ack(_) => "ack",
        Message::Nack(_) => "nack",
        Message::Suspect(_) => "suspect",
        Message::Alive(_) => "alive",
        Message::Dead(claim) if claim.from == claim.node => "left",
        Message::Dead(_) => "dead",
        Message::User => "user",
    }
}

const RAW: &str = include_str!("../../tests/golden/raw.txt");
const COMPRESSED: &str = include_str!("../../tests/golden/compressed.txt");
const SEALED: &str = include_str!("../../tests/golden/sealed.txt");
const SEALED_V0: &str = include_str!("../../tests/golden/sealed-v0.txt");
const LABEL: &str = include_str!("../../tests/golden/label.txt");

#[rstest]
#[case::raw(RAW, None, "", &["ack", "alive", "dead", "indirect ping", "left", "nack", "ping", "suspect"])]
#[case::compressed(COMPRESSED, None, "", &["ack", "alive", "indirect ping", "nack", "ping", "suspect"])]
#[case::sealed(SEALED, Some(SECRET), "", &["ack", "alive", "indirect ping", "left", "nack", "ping", "suspect"])]
#[case::sealed_by_version_1(SEALED_V0, Some(SECRET), "", &["alive", "indirect ping", "ping", "suspect"])]
#[case::labelled(LABEL, Some(SECRET), "blue", &["ack", "alive", "ping"])]
fn datagrams_of_the_library_are_read(
    #[case] text: &str,
    #[case] secret: Option<&[u8]>,
    #[case] label: &str,
    #[case] kinds: &[&str],
) {
    let envelope = mk_envelope(secret, true, label);
    let mut seen = BTreeSet::new();
    for datagram in recorded(text).0 {
        let unpacked = envelope.open_datagram(&datagram).unwrap();
        assert_eq!(unpacked.malformed, 0);
        seen.extend(unpacked.messages.iter().map(kind));
    }
    let missing: Vec<_> = kinds.iter().filter(|kind| !seen.contains(*kind)).collect();
    assert!(missing.is_empty(), "{missing:?} not in {seen:?}");
}

#[rstest]
#[case::raw(RAW, None)]
#[case::compressed(COMPRESSED, None)]
#[case::sealed(SEALED, Some(SECRET))]
#[case::sealed_by_version_1(SEALED_V0, Some(SECRET))]
fn streams_of_the_library_are_read(#[case] text: &str, #[case] secret: Option<&[u8]>) {
    let envelope = mk_envelope(secret, true, "");
    let mut records = Vec::new();
    for stream in recorded(text).1 {
        assert_eq!(missing(&stream, &LIMITS), Ok(0));
        if let StreamMessage::PushPull { records: some, .. } =
            envelope.open_stream(Side::Answer, &stream).unwrap()
        {
            records.extend(some);
        }
    }
    let b = records.iter().find(|record| &*record.node.node == "b").unwrap();
    assert_eq!((&*b.node.meta, b.node.incarnation), (&[1, 2, 0xff][..], 1));
    assert_eq!(b.node.address.ip().to_string(), "127.0.12.2");
}

#[test]
fn what_the_library_wrote_is_written_the_same() {
    let plain = mk_envelope(None, false, "");
    let (datagrams, streams) = recorded(RAW);
    for datagram in datagrams {
        let messages = plain.open_datagram(&datagram).unwrap().messages;
        let each: Vec<_> = messages.iter().map(Message::encode).collect();
        let body = if each.len() == 1 { each[0].clone() } else { compound(&each) };
        assert_eq!(plain.seal_datagram([0; 12], &body, datagram[0] == HAS_CRC), datagram);
    }
    for stream in streams {
        if let StreamMessage::PushPull { join, records } =
            plain.open_stream(Side::Request, &stream).unwrap()
        {
            assert_eq!(push_pull(join, records.into_iter()), stream);
        }
    }
}

/// layer2.md 6.3, made with the real library.
#[rstest]
#[case::compressed(
    "0982a4416c676f00a3427566da002200db94a113860d1b3120041234885061c18309073e6c289161c485101d5ad4083120"
)]
fn compression_is_byte_identical(#[case] wanted: &str) {
    let mut out = vec![COMPRESS];
    lzw::compress(&b"metallb ".repeat(8), &mut out).unwrap();
    assert_eq!(out, hex(wanted));
}

#[test]
fn a_ping_sealed_by_the_library() {
    let sealed = hex(
        "01e44fdf6055410448db054230573c523631b6fe89cba74bcfb47c05f385d7d3323cfa7abe737f69f437f3d6f04f854cc795",
    );
    let unpacked = mk_envelope(Some(SECRET), true, "").open_datagram(&sealed).unwrap();
    let ping = Ping { seq: 1, node: "b".into(), source: Source::default() };
    assert_eq!(unpacked.messages, [Message::Ping(ping)]);
}

#[rstest]
#[case::another_secret(Some(&b"another"[..]), "", SEALED, Refusal::Secret)]
#[case::no_secret_here(None, "", SEALED, Refusal::Encrypted)]
#[case::no_secret_there(Some(SECRET), "", RAW, Refusal::Unencrypted)]
#[case::compressed_without_secret(Some(SECRET), "", COMPRESSED, Refusal::Unencrypted)]
#[case::another_label(Some(SECRET), "blue", SEALED, Refusal::Label)]
#[case::label_not_wanted(Some(SECRET), "", LABEL, Refusal::Label)]
fn what_does_not_belong_is_refused_by_its_reason(
    #[case] secret: Option<&[u8]>,
    #[case] label: &str,
    #[case] text: &str,
    #[case] why: Refusal,
) {
    let envelope = mk_envelope(secret, true, label);
    let (datagrams, streams) = recorded(text);
    for datagram in datagrams {
        assert_eq!(envelope.open_datagram(&datagram).err(), Some(why));
    }
    for stream in streams {
        assert_eq!(envelope.open_stream(Side::Request, &stream).err(), Some(why));
    }
}

#[test]
fn a_state_is_whole_only_at_its_end() {
    for text in [RAW, COMPRESSED, SEALED] {
        for stream in recorded(text).1 {
            for length in 0..stream.len() {
                let missing = missing(&stream[..length], &LIMITS).unwrap();
                assert!((1..=stream.len() - length).contains(&missing), "{missing} at {length}");
            }
        }
    }
}

#[rstest]
#[case::too_many_nodes("0683a44a6f696ec2a54e6f646573d100c8ac5573657253746174654c656e00")]
#[case::negative_count("0683a44a6f696ec2a54e6f646573d1ffffac5573657253746174654c656e00")]
#[case::negative_state("0683a44a6f696ec2a54e6f64657300ac5573657253746174654c656ed1ffff")]
#[case::a_sealed_gigabyte("0a40000000")]
#[case::a_compressed_gigabyte("0982a4416c676f00a3427566db40000000")]
fn lies_about_size_are_refused_at_once(#[case] bytes: &str) {
    assert_eq!(missing(&hex(bytes), &LIMITS), Err(Refusal::Malformed));
}

#[test]
fn compounds_in_compounds_are_bounded() {
    let envelope = mk_envelope(None, true, "");
    let mut bytes = Message::Nack(1).encode();
    for _ in 0..MAX_DEPTH - 1 {
        bytes = compound(&[bytes.clone(), bytes]);
    }
    assert_eq!(envelope.open_datagram(&bytes).unwrap().messages.len(), 8);
    let deeper = compound(&[bytes]);
    assert_eq!(envelope.open_datagram(&deeper).err(), Some(Refusal::Malformed));

    let many = compound(&vec![Vec::new(); 255]);
    let unpacked = Message::Nack(1).encode();
    let wide = compound(&[vec![many; 20], vec![unpacked; 2]].concat());
    assert_eq!(envelope.open_datagram(&wide).err(), Some(Refusal::Malformed));
}

fn names() -> impl Strategy<Value = Arc<str>> {
    "[a-z0-9.-]{1,60}".prop_map(Into::into)
}

fn addresses() -> impl Strategy<Value = SocketAddr> {
    (
        prop_oneof![
            any::<[u8; 4]>().prop_map(IpAddr::from),
            any::<[u8; 16]>().prop_map(IpAddr::from)
        ],
        1u16..,
    )
        .prop_map(|(ip, port)| SocketAddr::new(ip.to_canonical(), port))
        .prop_filter("one host's", |address| {
            let ip = address.ip();
            !ip.is_unspecified() && !ip.is_multicast() && ip != IpAddr::from([255; 4])
        })
}

fn alives() -> impl Strategy<Value = Alive> {
    (0..u32::MAX / 2, names(), addresses(), proptest::collection::vec(any::<u8>(), 0..512))
        .prop_map(|(incarnation, node, address, meta)| Alive {
            incarnation,
            node,
            address,
            meta: meta.into(),
            versions: Versions::OWN,
        })
}

fn messages() -> impl Strategy<Value = Message> {
    let source = (proptest::option::of(addresses()), names())
        .prop_map(|(address, node)| Source { address, node })
        .boxed();
    let claim = (0..u32::MAX / 2, names(), names())
        .prop_map(|(incarnation, node, from)| Claim { incarnation, node, from })
        .boxed();
    prop_oneof![
        (any::<u32>(), names(), source.clone())
            .prop_map(|(seq, node, source)| Message::Ping(Ping { seq, node, source })),
        (any::<u32>(), names(), addresses(), any::<bool>(), source).prop_map(
            |(seq, node, target, nack, source)| Message::IndirectPing(IndirectPing {
                seq,
                node,
                target,
                nack,
                source
            })
        ),
        any::<u32>().prop_map(Message::Ack),
        any::<u32>().prop_map(Message::Nack),
        claim.clone().prop_map(Message::Suspect),
        claim.prop_map(Message::Dead),
        alives().prop_map(Message::Alive),
    ]
}

fn envelopes() -> impl Strategy<Value = Envelope> {
    (any::<bool>(), any::<bool>(), "[a-z]{0,9}").prop_map(|(sealed, compress, label)| {
        mk_envelope(sealed.then_some(SECRET), compress, &label)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn messages_come_back(
        envelope in envelopes(),
        messages in proptest::collection::vec(messages(), 1..8),
        crc in any::<bool>(),
    ) {
        let each: Vec<_> = messages.iter().map(Message::encode).collect();
        let body = if each.len() == 1 { each[0].clone() } else { compound(&each) };
        let datagram = envelope.seal_datagram([9; 12], &body, crc);
        let unpacked = envelope.open_datagram(&datagram).unwrap();
        prop_assert_eq!(unpacked.messages, messages);
        prop_assert_eq!(unpacked.malformed, 0);
    }

    #[test]
    fn states_come_back(
        envelope in envelopes(),
        nodes in proptest::collection::vec(alives(), 0..40),
        join in any::<bool>(),
    ) {
        let states = [RecordState::Alive, RecordState::Suspect, RecordState::Dead, RecordState::Left];
        let records: Vec<_> = nodes
            .into_iter()
            .zip(states.into_iter().cycle())
            .map(|(node, state)| Record { node, state })
            .collect();
        let message = push_pull(join, records.clone().into_iter());
        for side in [Side::Request, Side::Answer] {
            let stream = envelope.seal_stream(side, [9; 12], &message);
            prop_assert_eq!(missing(&stream, &LIMITS), Ok(0));
            let opened = envelope.open_stream(side, &stream).unwrap();
            prop_assert_eq!(&opened, &StreamMessage::PushPull { join, records: records.clone() });
        }
    }

    #[test]
    fn nothing_panics(envelope in envelopes(), bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = envelope.open_datagram(&bytes);
        let _ = missing(&bytes, &LIMITS);
        let _ = envelope.open_stream(Side::Request, &bytes);
        let _ = StreamMessage::decode(&bytes, 64);
        // The same behind each wrapper that would stop most noise.
        for first in [COMPOUND, COMPRESS, HAS_CRC, ALIVE, PUSH_PULL] {
            let wrapped = [&[first], bytes.as_slice()].concat();
            let _ = envelope.open_datagram(&envelope.seal_datagram([9; 12], &wrapped, false));
            let _ = envelope.open_stream(Side::Request, &envelope.seal_stream(Side::Request, [9; 12], &wrapped));
        }
    }

    #[test]
    fn damaged_bytes_of_the_library_do_not_panic(
        index in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        value in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let envelope = mk_envelope(None, true, "");
        let (mut datagrams, streams) = recorded([RAW, COMPRESSED][usize::from(value & 1)]);
        datagrams.extend(streams);
        let mut bytes = datagrams[index.index(datagrams.len())].clone();
        let place = place.index(bytes.len());
        bytes[place] = value;
        bytes.truncate(cut.index(bytes.len()) + 1);
        let _ = envelope.open_datagram(&bytes);
        let _ = envelope.open_stream(Side::Request, &bytes);
        let _ = missing(&bytes, &LIMITS);
    }
}
