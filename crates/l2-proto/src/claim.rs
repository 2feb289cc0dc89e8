//! Who speaks for which address in a received frame.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ferrolb_addr::Mac;

use crate::frame::FrameBuf;
use crate::ndp::{Message, Solicitation};
use crate::{arp, eth, ipv6, ndp, solicited_node};

/// A station that speaks as if it had an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The address.
    pub ip: IpAddr,
    /// The station.
    pub mac: Mac,
    /// In which way.
    pub form: Form,
}

/// How an address is claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// In an answer. Routers also answer for addresses of others (proxy ARP, RFC 1027).
    Answer,
    /// Unasked, to everybody, or as the sender of a question.
    Announcement,
    /// The station is about to take the address and asks whether it is free (RFC 5227 2.1.1,
    /// RFC 4862 5.4.3).
    Probe,
}

impl Claim {
    /// What `frame` claims, if anything. Malformed frames claim nothing.
    pub fn decode(frame: &[u8]) -> Option<Self> {
        let (header, body) = eth::Header::decode(frame).ok()?;
        match header.ether_type {
            eth::ARP => Self::arp(arp::Packet::decode(body).ok()?),
            eth::IPV6 => Self::ndp(header, &ndp::decode(body).ok()?),
            _ => None,
        }
    }

    fn arp(packet: arp::Packet) -> Option<Self> {
        let claim = |ip: Ipv4Addr, form| Some(Self { ip: ip.into(), mac: packet.sender_mac, form });
        match packet.operation {
            arp::REQUEST if packet.sender_ip.is_unspecified() => {
                claim(packet.target_ip, Form::Probe)
            }
            arp::REQUEST => claim(packet.sender_ip, Form::Announcement),
            arp::REPLY if packet.is_announcement() => claim(packet.sender_ip, Form::Announcement),
            arp::REPLY => claim(packet.sender_ip, Form::Answer),
            _ => None,
        }
    }

    fn ndp(header: eth::Header, message: &Message) -> Option<Self> {
        match message {
            Message::Advertisement(said) => Some(Self {
                ip: said.target.into(),
                mac: said.target_mac.unwrap_or(header.source),
                form: if said.solicited { Form::Answer } else { Form::Announcement },
            }),
            Message::Solicitation(asked) if asked.is_duplicate_detection() => {
                Some(Self { ip: asked.target.into(), mac: header.source, form: Form::Probe })
            }
            _ => None,
        }
    }
}

/// The question for `ip` as the station `mac` asks it without taking part: an ARP probe (RFC 5227
/// 2.1.1) or the form of duplicate address detection (RFC 4862 5.4.2), which nobody's cache learns.
pub fn probe(ip: IpAddr, mac: Mac) -> FrameBuf {
    let mut frame = FrameBuf::new();
    match ip {
        IpAddr::V4(ip) => arp::Packet {
            operation: arp::REQUEST,
            sender_mac: mac,
            sender_ip: Ipv4Addr::UNSPECIFIED,
            target_mac: Mac::ZERO,
            target_ip: ip,
        }
        .write(Mac::BROADCAST, &mut frame),
        IpAddr::V6(ip) => {
            let group = solicited_node(ip);
            let solicitation = Solicitation {
                source: Ipv6Addr::UNSPECIFIED,
                destination: group,
                target: ip,
                source_mac: None,
            };
            solicitation.write(mac, ipv6::group_mac(group), &mut frame);
        }
    }
    frame
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::ndp::Advertisement;
    use crate::{Answer, IfIndex, Interfaces, Port, Responder, Table};

    const OTHER: Mac = Mac([2, 0, 0, 0, 0, 2]);

    #[rstest]
    #[case("192.0.2.1")]
    #[case("2001:db8::1")]
    fn a_probe_and_its_answer(#[case] ip: &str) {
        let ip = ip.parse().unwrap();
        let question = probe(ip, Mac([2, 0, 0, 0, 0, 1]));
        let claim = Claim::decode(question.as_bytes()).unwrap();
        assert_eq!(claim, Claim { ip, mac: Mac([2, 0, 0, 0, 0, 1]), form: Form::Probe });

        let mut table = Table::new();
        table.set(ip, Interfaces::All);
        let port = Port { index: IfIndex(1), mac: OTHER, link_local: None };
        let mut out = FrameBuf::new();
        let answer = Responder::new(port).answer(&table, question.as_bytes(), &mut out);
        assert!(matches!(answer, Answer::Reply(_)), "{answer:?}");
        let claim = Claim::decode(out.as_bytes()).unwrap();
        assert_eq!((claim.ip, claim.mac), (ip, OTHER));
        // RFC 4861 7.2.4: who detects duplicates is told by an advertisement to everybody.
        let form = if ip.is_ipv4() { Form::Answer } else { Form::Announcement };
        assert_eq!(claim.form, form);
    }

    #[rstest]
    #[case(arp::REQUEST)]
    #[case(arp::REPLY)]
    fn both_forms_of_gratuitous_arp(#[case] operation: u16) {
        let ip = Ipv4Addr::new(192, 0, 2, 1);
        let mut frame = FrameBuf::new();
        arp::Packet::gratuitous(operation, OTHER, ip).write(Mac::BROADCAST, &mut frame);
        let claim = Claim::decode(frame.as_bytes()).unwrap();
        assert_eq!(claim, Claim { ip: ip.into(), mac: OTHER, form: Form::Announcement });
    }

    #[test]
    fn an_answer_to_somebody() {
        let ip: Ipv6Addr = "2001:db8::1".parse().unwrap();
        let asker = "fe80::9".parse().unwrap();
        let question = Solicitation {
            source: asker,
            destination: solicited_node(ip),
            target: ip,
            source_mac: Some(Mac([2, 0, 0, 0, 0, 9])),
        };
        let mut frame = FrameBuf::new();
        Advertisement::answer(&question, ip, OTHER).write(
            OTHER,
            Mac([2, 0, 0, 0, 0, 9]),
            &mut frame,
        );
        let claim = Claim::decode(frame.as_bytes()).unwrap();
        assert_eq!(claim, Claim { ip: ip.into(), mac: OTHER, form: Form::Answer });
        let mut frame = FrameBuf::new();
        question.write(Mac([2, 0, 0, 0, 0, 9]), OTHER, &mut frame);
        assert_eq!(Claim::decode(frame.as_bytes()), None);
    }
}
