//! Autonomous system numbers.

use std::fmt;
use std::num::NonZeroU32;

/// An autonomous system number. Zero cannot be said (RFC 7607).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Asn(NonZeroU32);

impl Asn {
    /// Stands in two octets for a number that does not fit (RFC 6793).
    pub const TRANS: u16 = 23456;

    /// The number, unless it is 0.
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number.
    pub const fn number(self) -> u32 {
        self.0.get()
    }

    /// What two octets can say: the number, or [`Asn::TRANS`].
    pub fn two_octets(self) -> u16 {
        u16::try_from(self.number()).unwrap_or(Self::TRANS)
    }

    /// Whether two octets say all of it.
    pub fn fits_two_octets(self) -> bool {
        u16::try_from(self.number()).is_ok()
    }
}

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
