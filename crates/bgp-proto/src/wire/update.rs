//! Received UPDATEs: checked to the last octet, counted, dropped. Nothing is kept and nothing
//! allocated, however many routes a peer has.
//!
//! All attributes are cut out by their lengths first, each is judged in its own octets, and the
//! strongest outcome wins: a broken attribute can never shift the reading of the next one.

use ferrolb_addr::Family;

use super::attribute::{
    AS_PATH, EXTENDED_LENGTH, MP_REACH_NLRI, MP_UNREACH_NLRI, Malformed, NEXT_HOP, OPTIONAL,
    ORIGIN, Outcome, flags_of, judge,
};
use super::cursor::Cursor;
use super::{Notification, family_of};
use crate::per_family::{Families, PerFamily};

/// What was negotiated, as far as reading an UPDATE depends on it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reception {
    /// The peer is of our own AS.
    pub internal: bool,
    /// Paths have four octets for an AS number.
    pub four_octet_as: bool,
    /// Families agreed on. Routes of another family are ignored (RFC 4760 6).
    pub families: Families,
}

impl Reception {
    pub(super) const fn as_octets(self) -> usize {
        if self.four_octet_as { 4 } else { 2 }
    }
}

/// What an UPDATE said.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Inspection {
    /// Prefixes announced, unless the message is treated as withdraw.
    pub announced: PerFamily<u32>,
    /// Prefixes withdrawn, or treated so.
    pub withdrawn: PerFamily<u32>,
    /// The family whose initial table ends here.
    pub end_of_rib: Option<Family>,
    /// The strongest fault that does not end the session.
    pub malformed: Option<Malformed>,
}

/// Checks and counts the octets after the header of an UPDATE. An error ends the session.
pub fn inspect(body: &[u8], rx: Reception) -> Result<Inspection, Notification> {
    let mut octets = Cursor::new(body);
    // RFC 7606 3 (b): lengths that do not fit the message are a Malformed Attribute List.
    let malformed_list = || Notification::new(3, 1);
    let withdrawn = octets.field16().ok_or_else(malformed_list)?;
    let attributes = octets.field16().ok_or_else(malformed_list)?;
    let classic = octets.rest();

    let mut reader = Attributes::new(rx);
    reader.found.withdrawn.v4 = walk(withdrawn, Family::V4)?;
    reader.found.announced.v4 = walk(classic, Family::V4)?;
    reader.read(attributes)?;
    reader.check_mandatory(!classic.is_empty());
    if withdrawn.is_empty() && attributes.is_empty() && classic.is_empty() {
        // RFC 4724 2: the empty UPDATE.
        reader.found.end_of_rib = Some(Family::V4);
    }
    Ok(reader.conclude())
}

/// State while the attributes of one message are read.
struct Attributes {
    rx: Reception,
    seen: [bool; 256],
    found: Inspection,
    /// MP_REACH_NLRI was there and was for us.
    reach: bool,
}

impl Attributes {
    fn new(rx: Reception) -> Self {
        Self { rx, seen: [false; 256], found: Inspection::default(), reach: false }
    }

    fn read(&mut self, attributes: &[u8]) -> Result<(), Notification> {
        let mut rest = Cursor::new(attributes);
        while !rest.is_empty() {
            let whole = rest.rest();
            let Some((flags, kind, value)) = next(&mut rest) else {
                // RFC 7606 4: what is left is no attribute, though the total length is right.
                self.fault(0, Outcome::Withdraw);
                break;
            };
            let whole = whole.get(..whole.len() - rest.rest().len()).unwrap_or_default();
            self.attribute(flags, kind, value, whole)?;
        }
        Ok(())
    }

    fn attribute(
        &mut self,
        flags: u8,
        kind: u8,
        value: &[u8],
        whole: &[u8],
    ) -> Result<(), Notification> {
        if std::mem::replace(&mut self.seen[usize::from(kind)], true) {
            // RFC 7606 3 (g): twice the routes is a Malformed Attribute List; else the first counts.
            return match kind {
                MP_REACH_NLRI | MP_UNREACH_NLRI => Err(Notification::new(3, 1)),
                _ => {
                    self.fault(kind, Outcome::Discard);
                    Ok(())
                }
            };
        }
        // RFC 4271 6.3: a well-known attribute that we do not know, with the attribute as data.
        if flags_of(kind).is_none() && flags & OPTIONAL == 0 {
            return Err(Notification::new(3, 2).with_data(whole));
        }
        if let Some(outcome) = judge(kind, flags, value, self.rx) {
            self.fault(kind, outcome);
        }
        match kind {
            MP_REACH_NLRI => self.mp_reach(value),
            MP_UNREACH_NLRI => self.mp_unreach(value),
            _ => Ok(()),
        }
    }

    fn mp_reach(&mut self, value: &[u8]) -> Result<(), Notification> {
        let mut octets = Cursor::new(value);
        // RFC 4760 7: an MP_REACH_NLRI that cannot be read is an Optional Attribute Error.
        let malformed = || Notification::new(3, 9);
        let (afi, safi) = family(&mut octets).ok_or_else(malformed)?;
        let next_hop = octets.field8().ok_or_else(malformed)?;
        octets.u8().ok_or_else(malformed)?;
        let Some(family) = self.agreed(afi, safi) else { return Ok(()) };
        // RFC 7606 7.11: a next hop of impossible length. RFC 8950 3: both forms serve IPv4.
        if !matches!((family, next_hop.len()), (Family::V4, 4) | (_, 16 | 32)) {
            return Err(malformed());
        }
        self.reach = true;
        self.found.announced[family] += walk(octets.rest(), family)?;
        Ok(())
    }

    fn mp_unreach(&mut self, value: &[u8]) -> Result<(), Notification> {
        let mut octets = Cursor::new(value);
        let (afi, safi) = family(&mut octets).ok_or_else(|| Notification::new(3, 9))?;
        let Some(family) = self.agreed(afi, safi) else { return Ok(()) };
        // RFC 4724 2: End-of-RIB is an MP_UNREACH_NLRI without routes.
        if octets.is_empty() {
            self.found.end_of_rib = Some(family);
        }
        self.found.withdrawn[family] += walk(octets.rest(), family)?;
        Ok(())
    }

    /// RFC 4760 6: another family than those agreed on is ignored.
    fn agreed(&self, afi: u16, safi: u8) -> Option<Family> {
        family_of(afi, safi).filter(|family| self.rx.families[*family])
    }

    /// RFC 7606 3 (d): routes without a mandatory attribute are treated as withdrawn.
    fn check_mandatory(&mut self, classic: bool) {
        if !classic && !self.reach {
            return;
        }
        for (kind, due) in [(ORIGIN, true), (AS_PATH, true), (NEXT_HOP, classic)] {
            if due && !self.seen[usize::from(kind)] {
                self.fault(kind, Outcome::Withdraw);
            }
        }
    }

    /// RFC 7606 3 (h): the strongest outcome wins.
    fn fault(&mut self, attribute: u8, outcome: Outcome) {
        if self.found.malformed.is_none_or(|malformed| malformed.outcome < outcome) {
            self.found.malformed = Some(Malformed { attribute, outcome });
        }
    }

    fn conclude(self) -> Inspection {
        let mut found = self.found;
        // A table of IPv4 that nobody agreed on is read, but does not count.
        if !self.rx.families.v4 {
            found.announced.v4 = 0;
            found.withdrawn.v4 = 0;
            found.end_of_rib = found.end_of_rib.filter(|family| *family != Family::V4);
        }
        if found.malformed.is_some_and(|malformed| malformed.outcome == Outcome::Withdraw) {
            for family in Family::BOTH {
                found.withdrawn[family] += std::mem::take(&mut found.announced[family]);
            }
        }
        found
    }
}

/// Cuts out one attribute: flags, type, value.
fn next<'a>(octets: &mut Cursor<'a>) -> Option<(u8, u8, &'a [u8])> {
    let (flags, kind) = (octets.u8()?, octets.u8()?);
    let value = if flags & EXTENDED_LENGTH == 0 { octets.field8() } else { octets.field16() }?;
    Some((flags, kind, value))
}

/// Reads the identifiers of a family.
fn family(octets: &mut Cursor<'_>) -> Option<(u16, u8)> {
    Some((octets.u16()?, octets.u8()?))
}

/// Walks over prefixes and counts them.
fn walk(nlri: &[u8], family: Family) -> Result<u32, Notification> {
    let mut prefixes = Cursor::new(nlri);
    let mut count = 0;
    while let Some(bits) = prefixes.u8() {
        // RFC 7606 5.3: prefixes that cannot be told apart are an Invalid Network Field.
        if bits > family.width() || prefixes.take(usize::from(bits).div_ceil(8)).is_none() {
            return Err(Notification::new(3, 10));
        }
        count += 1;
    }
    Ok(count)
}
