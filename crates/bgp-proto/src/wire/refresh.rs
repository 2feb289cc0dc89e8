//! ROUTE-REFRESH: the routes of a family, please, once more (RFC 2918), and the marks around the
//! answer (RFC 7313).

use ferrolb_addr::Family;

use super::{MessageKind, Notification, UNICAST, afi, family_of, message};

/// What a ROUTE-REFRESH says about a family.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refresh {
    /// Send the routes again.
    Request(Family),
    /// Here begins the answer.
    Begin(Family),
    /// Here it ends.
    End(Family),
}

impl Refresh {
    /// Decodes the octets after the header. `None` is to be ignored: a family or a subtype that we
    /// do not know.
    pub fn decode(body: &[u8]) -> Result<Option<Self>, Notification> {
        // RFC 7313 5: Invalid Message Length, with the message as data. A request may be longer,
        // since it may carry filters (RFC 5291) that were never agreed on.
        let wrong_length = || Notification::new(7, 1).with_data(&whole(body));
        let Some((&[high, low, subtype, safi], more)) = body.split_first_chunk::<4>() else {
            return Err(wrong_length());
        };
        if matches!(subtype, 1 | 2) && !more.is_empty() {
            return Err(wrong_length());
        }
        let family = family_of(u16::from_be_bytes([high, low]), safi);
        Ok(family.and_then(|family| match subtype {
            0 => Some(Self::Request(family)),
            1 => Some(Self::Begin(family)),
            2 => Some(Self::End(family)),
            _ => None,
        }))
    }

    /// Appends the message.
    pub fn encode(self, out: &mut Vec<u8>) {
        let (family, subtype) = match self {
            Self::Request(family) => (family, 0),
            Self::Begin(family) => (family, 1),
            Self::End(family) => (family, 2),
        };
        message(out, MessageKind::RouteRefresh, |out| {
            out.extend_from_slice(&afi(family).to_be_bytes());
            out.extend_from_slice(&[subtype, UNICAST]);
        });
    }
}

fn whole(body: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(super::HEADER + body.len());
    message(&mut octets, MessageKind::RouteRefresh, |out| out.extend_from_slice(body));
    octets
}
