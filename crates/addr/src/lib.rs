//! Addresses as values: the two families, ranges of addresses and the rules by which they are
//! written, sets of intervals over them, and link-layer addresses.
//!
//! Everything here is plain arithmetic on text and numbers. It does not know pools, Services or
//! sockets, reads no clock and never blocks.
//!
//! | Module | Noun |
//! |---|---|
//! | [`family`] | [`Family`], and addresses as 128-bit numbers |
//! | [`range`] | [`AddrRange`], an inclusive range of one family |
//! | [`parse`] | how a range is written, and what is wrong when it is not |
//! | [`interval_set`] | [`IntervalSet`], points and intervals with a logarithmic search for gaps |
//! | [`mac`] | [`Mac`], a 48-bit link-layer address |

pub mod family;
pub mod interval_set;
pub mod mac;
pub mod parse;
pub mod range;

pub use family::{Family, from_bits, to_bits};
pub use interval_set::IntervalSet;
pub use mac::{Mac, ParseMacError};
pub use parse::ParseRangeError;
pub use range::AddrRange;
