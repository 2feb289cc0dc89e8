//! How upstream's messages spell things.

use std::fmt;

use ferrolb_ipam::ServiceKey;

/// A key in quotation marks.
pub(super) struct Quoted<'a>(pub(super) &'a ServiceKey);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

/// A list of texts as upstream prints them: `["1.2.3.4" "2001:db8::1"]`.
pub(super) struct List<'a>(pub(super) &'a [String]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (place, text) in self.0.iter().enumerate() {
            let blank = if place == 0 { "" } else { " " };
            write!(f, "{blank}{text:?}")?;
        }
        f.write_str("]")
    }
}
