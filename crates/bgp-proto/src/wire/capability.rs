//! Capabilities (RFC 5492): what a speaker can do, told in OPEN.

use ferrolb_addr::Family;

use super::cursor::Cursor;
use super::text::{cut, shown};
use super::{Notification, UNICAST, afi, family_of};
use crate::per_family::{Families, PerFamily};

const MULTIPROTOCOL: u8 = 1;
const ROUTE_REFRESH: u8 = 2;
const EXTENDED_NEXT_HOP: u8 = 5;
const EXTENDED_MESSAGE: u8 = 6;
const GRACEFUL_RESTART: u8 = 64;
const FOUR_OCTET_AS: u8 = 65;
const ENHANCED_REFRESH: u8 = 70;
const FQDN: u8 = 73;

/// Octets of a host name on the wire.
const MAX_HOST_NAME: usize = 64;

/// Everything a speaker says it can do, as far as we know it. Unknown capabilities leave no trace.
#[expect(clippy::struct_excessive_bools, reason = "what was offered is a list of yes and no")]
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Capabilities {
    /// Multiprotocol (RFC 4760): the families of ours among those named; `None` if the capability
    /// is absent, which means IPv4 unicast.
    pub multiprotocol: Option<Families>,
    /// Route refresh (RFC 2918).
    pub route_refresh: bool,
    /// Enhanced route refresh (RFC 7313).
    pub enhanced_refresh: bool,
    /// IPv4 unicast with an IPv6 next hop (RFC 8950).
    pub extended_next_hop: bool,
    /// Messages of up to 65,535 octets (RFC 8654).
    pub extended_message: bool,
    /// Graceful restart (RFC 4724).
    pub graceful_restart: Option<RestartCapability>,
    /// AS numbers of four octets (RFC 6793), with that of the speaker; not yet known to be valid.
    pub four_octet_as: Option<u32>,
    /// Host name of the speaker, safe to show (draft-walton-bgp-hostname-capability).
    pub host_name: Option<String>,
}

/// The graceful restart capability (RFC 4724 3, RFC 8538 2).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RestartCapability {
    /// R: the speaker has restarted.
    pub restarting: bool,
    /// N: a NOTIFICATION does not end graceful restart, except a hard reset.
    pub notification: bool,
    /// Seconds until the session is back at the latest; 12 bits.
    pub restart_time: u16,
    /// Families for which routes survive, and F: whether forwarding did.
    pub families: PerFamily<Option<bool>>,
}

impl RestartCapability {
    /// The longest restart time that can be told, in seconds.
    pub const MAX_RESTART_TIME: u16 = 0x0FFF;
}

impl Capabilities {
    /// Families that the speaker exchanges.
    pub fn families(&self) -> Families {
        // RFC 4760 8: without the capability there is IPv4 unicast only.
        self.multiprotocol.unwrap_or(Families::V4)
    }

    /// Reads the capabilities of one optional parameter into `self`. The same capability again adds
    /// families, or is the one that counts.
    pub(super) fn read(&mut self, parameter: &[u8]) -> Result<(), Notification> {
        let mut capabilities = Cursor::new(parameter);
        while !capabilities.is_empty() {
            // RFC 5492 5 and RFC 4271 6.2: a malformed parameter is Unspecific.
            let malformed = || Notification::new(2, 0);
            let code = capabilities.u8().ok_or_else(malformed)?;
            let value = capabilities.field8().ok_or_else(malformed)?;
            self.read_one(code, value).ok_or_else(malformed)?;
        }
        Ok(())
    }

    /// `None` if what we rely on cannot be read.
    fn read_one(&mut self, code: u8, value: &[u8]) -> Option<()> {
        match code {
            MULTIPROTOCOL => {
                let &[high, low, _reserved, safi] = value else { return None };
                let known = self.multiprotocol.get_or_insert_default();
                if let Some(family) = family_of(u16::from_be_bytes([high, low]), safi) {
                    known[family] = true;
                }
            }
            FOUR_OCTET_AS => {
                self.four_octet_as = Some(u32::from_be_bytes(value.try_into().ok()?));
            }
            ROUTE_REFRESH => self.route_refresh = true,
            ENHANCED_REFRESH => self.enhanced_refresh = true,
            EXTENDED_MESSAGE => self.extended_message = true,
            EXTENDED_NEXT_HOP => {
                self.extended_next_hop |=
                    value.chunks_exact(6).any(|tuple| tuple == [0, 1, 0, UNICAST, 0, 2]);
            }
            GRACEFUL_RESTART => self.graceful_restart = read_restart(value),
            FQDN => {
                let name = Cursor::new(value).field8().filter(|name| !name.is_empty());
                self.host_name = name.map(shown);
            }
            _ => {}
        }
        Some(())
    }

    /// Appends all of them. Their sum stays below the 255 octets of one parameter.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for family in self.multiprotocol.unwrap_or_default().iter() {
            out.extend_from_slice(&[MULTIPROTOCOL, 4]);
            out.extend_from_slice(&afi(family).to_be_bytes());
            out.extend_from_slice(&[0, UNICAST]);
        }
        if self.route_refresh {
            out.extend_from_slice(&[ROUTE_REFRESH, 0]);
        }
        if self.extended_next_hop {
            out.extend_from_slice(&[EXTENDED_NEXT_HOP, 6, 0, 1, 0, UNICAST, 0, 2]);
        }
        if self.extended_message {
            out.extend_from_slice(&[EXTENDED_MESSAGE, 0]);
        }
        if let Some(restart) = self.graceful_restart {
            write_restart(restart, out);
        }
        if let Some(asn) = self.four_octet_as {
            out.extend_from_slice(&[FOUR_OCTET_AS, 4]);
            out.extend_from_slice(&asn.to_be_bytes());
        }
        if self.enhanced_refresh {
            out.extend_from_slice(&[ENHANCED_REFRESH, 0]);
        }
        if let Some(name) = &self.host_name {
            let name = cut(name, MAX_HOST_NAME);
            if let Ok(length) = u8::try_from(name.len()) {
                out.extend_from_slice(&[FQDN, length + 2, length]);
                out.extend_from_slice(name.as_bytes());
                // No domain.
                out.push(0);
            }
        }
    }

    /// The multiprotocol capability alone, as data of Unsupported Capability (RFC 5492 5).
    pub(crate) fn required(families: Families) -> Vec<u8> {
        let mut octets = Vec::new();
        Self { multiprotocol: Some(families), ..Self::default() }.write(&mut octets);
        octets
    }
}

fn read_restart(value: &[u8]) -> Option<RestartCapability> {
    let (&[high, low], tuples) = value.split_first_chunk::<2>()?;
    let mut restart = RestartCapability {
        restarting: high & 0x80 != 0,
        notification: high & 0x40 != 0,
        restart_time: u16::from_be_bytes([high & 0x0F, low]),
        families: PerFamily::default(),
    };
    for tuple in tuples.chunks_exact(4) {
        let &[high, low, safi, flags] = tuple else { continue };
        if let Some(family) = family_of(u16::from_be_bytes([high, low]), safi) {
            restart.families[family] = Some(flags & 0x80 != 0);
        }
    }
    Some(restart)
}

fn write_restart(restart: RestartCapability, out: &mut Vec<u8>) {
    let families = Family::BOTH
        .into_iter()
        .filter_map(|family| restart.families[family].map(|preserved| (family, preserved)));
    let length = families.clone().fold(2, |length: u8, _| length + 4);
    let [high, low] = restart.restart_time.min(RestartCapability::MAX_RESTART_TIME).to_be_bytes();
    let flags = (u8::from(restart.restarting) << 7) | (u8::from(restart.notification) << 6);
    out.extend_from_slice(&[GRACEFUL_RESTART, length, high | flags, low]);
    for (family, preserved) in families {
        out.extend_from_slice(&afi(family).to_be_bytes());
        out.extend_from_slice(&[UNICAST, u8::from(preserved) << 7]);
    }
}
