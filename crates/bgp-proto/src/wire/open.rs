//! OPEN: who speaks.

use std::net::Ipv4Addr;

use super::cursor::Cursor;
use super::{Capabilities, MessageKind, Notification, message};
use crate::asn::Asn;
use crate::hold_time::HoldTime;
use crate::router_id::RouterId;

const VERSION: u8 = 4;
const CAPABILITIES: u8 = 2;
/// As parameter type: the parameters have two octets of length (RFC 9072).
const EXTENDED: u8 = 255;

/// An OPEN that is right in itself. Whether its author is the expected one is for the session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Open {
    /// AS number of the author: that of the capability if there is one.
    pub asn: Asn,
    /// Hold time proposed.
    pub hold_time: HoldTime,
    /// BGP Identifier of the author.
    pub router_id: RouterId,
    /// What it can do.
    pub capabilities: Capabilities,
}

impl Open {
    /// Decodes the octets after the header.
    pub fn decode(body: &[u8]) -> Result<Self, Notification> {
        let mut octets = Cursor::new(body);
        let truncated = || Notification::new(1, 2);
        let version = octets.u8().ok_or_else(truncated)?;
        // RFC 4271 6.2: Unsupported Version Number, with the version we would speak as data.
        if version != VERSION {
            return Err(Notification::new(2, 1).with_data(&[0, VERSION]));
        }
        let short_as = octets.u16().ok_or_else(truncated)?;
        let hold_time = octets.u16().ok_or_else(truncated)?;
        let id = octets.array::<4>().ok_or_else(truncated)?;
        // RFC 4271 6.2: Unacceptable Hold Time.
        let hold_time = HoldTime::new(hold_time).ok_or_else(|| Notification::new(2, 6))?;
        // RFC 6286 2.2: Bad BGP Identifier if it is zero.
        let router_id = RouterId::new(Ipv4Addr::from(id)).ok_or_else(|| Notification::new(2, 3))?;
        let capabilities = read_parameters(octets)?;
        // RFC 7607 2: AS 0 is Bad Peer AS, whichever field says it.
        let asn = Asn::new(capabilities.four_octet_as.unwrap_or(short_as.into()))
            .ok_or_else(|| Notification::new(2, 2))?;
        Ok(Self { asn, hold_time, router_id, capabilities })
    }

    /// Appends the message.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut capabilities = Vec::new();
        self.capabilities.write(&mut capabilities);
        message(out, MessageKind::Open, |out| {
            out.push(VERSION);
            out.extend_from_slice(&self.asn.two_octets().to_be_bytes());
            out.extend_from_slice(&self.hold_time.seconds().to_be_bytes());
            out.extend_from_slice(&self.router_id.address().octets());
            match u8::try_from(capabilities.len()) {
                Ok(length @ 1..=253) => {
                    out.extend_from_slice(&[length + 2, CAPABILITIES, length]);
                    out.extend_from_slice(&capabilities);
                }
                _ => out.push(0),
            }
        });
    }
}

/// Reads the length of the optional parameters and what follows it.
fn read_parameters(mut octets: Cursor<'_>) -> Result<Capabilities, Notification> {
    // RFC 4271 6.2: a known parameter that is malformed is Unspecific.
    let malformed = || Notification::new(2, 0);
    let length = octets.u8().ok_or_else(malformed)?;
    // RFC 9072 2: the type decides; the short length means nothing then, except that it is not 0.
    let extended = length != 0 && octets.rest().first() == Some(&EXTENDED);
    let length = if extended {
        octets.u8();
        octets.u16().map(usize::from).ok_or_else(malformed)?
    } else {
        length.into()
    };
    if octets.rest().len() != length {
        return Err(malformed());
    }
    let mut capabilities = Capabilities::default();
    while !octets.is_empty() {
        let kind = octets.u8().ok_or_else(malformed)?;
        let value =
            if extended { octets.field16() } else { octets.field8() }.ok_or_else(malformed)?;
        // RFC 4271 6.2: Unsupported Optional Parameter.
        if kind != CAPABILITIES {
            return Err(Notification::new(2, 4));
        }
        capabilities.read(value)?;
    }
    Ok(capabilities)
}
