//! Frame in, answer out: the rules by which one interface speaks for the addresses of a [`Table`].
//!
//! The checks come in upstream's order (`layer2.md` 2.4 and 3.2), so a dropped frame has upstream's
//! reason. A frame that is no question for us may still show another station that claims one of our
//! addresses; that is reported as [`DropReason::ForeignClaim`] and not acted on here.

use std::net::IpAddr;

use ferrolb_addr::Mac;

use crate::frame::{FrameBuf, Invalid};
use crate::ndp::{Advertisement, Message, Solicitation};
use crate::port::Port;
use crate::table::Table;
use crate::{arp, eth, ipv6, ndp};

/// Answers the questions that arrive on one interface. Holds no state besides the interface.
#[derive(Debug, Clone, Copy)]
pub struct Responder {
    port: Port,
}

/// What a received frame led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The output buffer holds a reply to send on the interface the frame came from.
    Reply(Reply),
    /// Nothing is to be sent.
    Ignore(DropReason),
}

/// A reply that was written, for logs and counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// The address it is about.
    pub ip: IpAddr,
    /// Who asked; unspecified when it was checking that the address is free.
    pub asker_ip: IpAddr,
    /// The station that asked.
    pub asker_mac: Mac,
}

/// Why a frame is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DropReason {
    /// ARP, but no request.
    #[error("ARP, but no request")]
    ArpReply,
    /// Sent to a station that is not this one.
    #[error("sent to another station")]
    EthernetDestination,
    /// The address asked for is none of ours.
    #[error("the address is not announced here")]
    AnnounceIp,
    /// The address asked for is ours, but not on this interface.
    #[error("the address is not announced on this interface")]
    NotMatchInterface,
    /// ICMPv6, but no solicitation.
    #[error("ICMPv6, but no neighbor solicitation")]
    MessageType,
    /// A solicitation to a group that does not say where to answer.
    #[error("solicitation without a source link-layer address")]
    NoSourceLl,
    /// The station to answer to cannot be one: a group, or all zeros.
    #[error("{0} is not the address of a station")]
    SenderMac(Mac),
    /// The frame came from this interface itself.
    #[error("the frame is our own")]
    OwnFrame,
    /// The frame belongs to a VLAN, the interface to the untagged network. A driver that learns of
    /// a stripped tag from the socket drops the frame with this reason too.
    #[error("the frame carries a VLAN tag")]
    VlanTag,
    /// Another station speaks as if it had an address that is answered on this interface. It may
    /// be a second interface of this node on the same network: only the driver knows all of them.
    #[error("{mac} claims {ip}")]
    ForeignClaim {
        /// The address.
        ip: IpAddr,
        /// Who claims it.
        mac: Mac,
    },
    /// The frame is not a message that may be acted on.
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

impl DropReason {
    /// A short, stable word for logs and counters; upstream's where upstream has one.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ArpReply => "ARPReply",
            Self::EthernetDestination => "EthernetDestination",
            Self::AnnounceIp => "AnnounceIP",
            Self::NotMatchInterface => "NotMatchInterface",
            Self::MessageType => "MessageType",
            Self::NoSourceLl => "NoSourceLL",
            Self::SenderMac(_) => "SenderMAC",
            Self::OwnFrame => "OwnFrame",
            Self::VlanTag => "VLANTag",
            Self::ForeignClaim { .. } => "ForeignClaim",
            Self::Invalid(invalid) => invalid.name(),
        }
    }
}

impl Responder {
    /// A responder that speaks as `port`.
    pub const fn new(port: Port) -> Self {
        Self { port }
    }

    /// The interface it speaks as.
    pub const fn port(&self) -> Port {
        self.port
    }

    /// Decides on one received frame. `out` is written only when a reply is due.
    pub fn answer(&self, table: &Table, frame: &[u8], out: &mut FrameBuf) -> Answer {
        match self.reply(table, frame, out) {
            Ok(reply) => Answer::Reply(reply),
            Err(reason) => Answer::Ignore(reason),
        }
    }

    fn reply(&self, table: &Table, frame: &[u8], out: &mut FrameBuf) -> Result<Reply, DropReason> {
        let (header, payload) = eth::Header::decode(frame)?;
        if header.source == self.port.mac {
            return Err(DropReason::OwnFrame);
        }
        match header.ether_type {
            eth::ARP => self.arp(table, header, arp::Packet::decode(payload)?, out),
            eth::IPV6 => match ndp::decode(payload)? {
                Message::Solicitation(question) => self.ndp(table, header, &question, out),
                Message::Advertisement(advertisement) => {
                    Err(self.advertised(table, header, &advertisement))
                }
                Message::Other(_) => Err(DropReason::MessageType),
            },
            tag if eth::VLAN_TAGS.contains(&tag) => Err(DropReason::VlanTag),
            other => Err(Invalid::EtherType(other).into()),
        }
    }

    fn arp(
        &self,
        table: &Table,
        header: eth::Header,
        packet: arp::Packet,
        out: &mut FrameBuf,
    ) -> Result<Reply, DropReason> {
        let claim = self.claim(table, packet.sender_ip.into(), packet.sender_mac);
        match claim {
            Some(claim) if packet.is_announcement() => Err(claim),
            _ => self
                .arp_question(table, header, packet, out)
                .map_err(|reason| claim.unwrap_or(reason)),
        }
    }

    fn arp_question(
        &self,
        table: &Table,
        header: eth::Header,
        packet: arp::Packet,
        out: &mut FrameBuf,
    ) -> Result<Reply, DropReason> {
        if packet.operation != arp::REQUEST {
            return Err(DropReason::ArpReply);
        }
        if ![self.port.mac, Mac::BROADCAST].contains(&header.destination) {
            return Err(DropReason::EthernetDestination);
        }
        let asker = self.asker(packet.sender_mac)?;
        let ip = IpAddr::V4(packet.target_ip);
        table.check(ip, self.port.index)?;

        // RFC 826, Packet Reception: the answer goes to the hardware address inside the question.
        // RFC 5227 2.1.1: a probe, whose sender address is zero, is answered like any question.
        packet.reply_from(self.port.mac).write(asker, out);
        Ok(Reply { ip, asker_ip: packet.sender_ip.into(), asker_mac: asker })
    }

    fn ndp(
        &self,
        table: &Table,
        header: eth::Header,
        question: &Solicitation,
        out: &mut FrameBuf,
    ) -> Result<Reply, DropReason> {
        let asker_mac = question.source_mac.unwrap_or(header.source);
        let claim = self.claim(table, question.source.into(), asker_mac);
        match claim {
            Some(claim) if question.source == question.target => Err(claim),
            _ => self
                .ndp_question(table, header, question, out)
                .map_err(|reason| claim.unwrap_or(reason)),
        }
    }

    fn ndp_question(
        &self,
        table: &Table,
        header: eth::Header,
        question: &Solicitation,
        out: &mut FrameBuf,
    ) -> Result<Reply, DropReason> {
        let group = ndp::station_of_group(question.destination);
        if header.destination != self.port.mac && Some(header.destination) != group {
            return Err(DropReason::EthernetDestination);
        }
        let asker = match question.source_mac {
            // RFC 4861 7.2.4: nobody to answer to, so everybody is told.
            _ if question.is_duplicate_detection() => None,
            Some(mac) => Some(self.asker(mac)?),
            // RFC 4861 4.3: only a question to the address itself may leave the option out.
            None if group.is_none() => Some(self.asker(header.source)?),
            None => return Err(DropReason::NoSourceLl),
        };
        let ip = IpAddr::V6(question.target);
        table.check(ip, self.port.index)?;

        let source = self.port.source_for(question.target);
        let destination = asker.unwrap_or(ipv6::group_mac(ipv6::ALL_NODES));
        Advertisement::answer(question, source, self.port.mac).write(
            self.port.mac,
            destination,
            out,
        );
        Ok(Reply {
            ip,
            asker_ip: question.source.into(),
            asker_mac: asker.unwrap_or(header.source),
        })
    }

    fn advertised(
        &self,
        table: &Table,
        header: eth::Header,
        advertisement: &Advertisement,
    ) -> DropReason {
        let mac = advertisement.target_mac.unwrap_or(header.source);
        self.claim(table, advertisement.target.into(), mac).unwrap_or(DropReason::MessageType)
    }

    /// The station to answer to, if it can be one and is not ourselves.
    fn asker(&self, mac: Mac) -> Result<Mac, DropReason> {
        if mac == self.port.mac {
            return Err(DropReason::OwnFrame);
        }
        if mac.is_group() || mac == Mac::ZERO {
            return Err(DropReason::SenderMac(mac));
        }
        Ok(mac)
    }

    /// `mac` speaks as `ip`: a claim if that is ours here and `mac` is not.
    fn claim(&self, table: &Table, ip: IpAddr, mac: Mac) -> Option<DropReason> {
        let foreign = mac != self.port.mac && table.check(ip, self.port.index).is_ok();
        foreign.then_some(DropReason::ForeignClaim { ip, mac })
    }
}

#[cfg(test)]
mod tests;
