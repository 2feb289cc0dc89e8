//! NOTIFICATION: the last word on a connection.

use std::fmt;

use super::text::{MAX_TEXT, cut, shown};
use super::{MAX_MESSAGE, MessageKind, message};

/// Why a connection ends (RFC 4271 4.5). Prints in words, with the text of its author made safe.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Notification {
    code: u8,
    subcode: u8,
    data: Box<[u8]>,
    /// More for people on this side; not sent.
    why: Option<Box<str>>,
}

const OPEN_ERROR: u8 = 2;
const CEASE: u8 = 6;
const ADMINISTRATIVE_SHUTDOWN: u8 = 2;
const ADMINISTRATIVE_RESET: u8 = 4;
const HARD_RESET: u8 = 9;

impl Notification {
    /// Without data.
    pub fn new(code: u8, subcode: u8) -> Self {
        Self { code, subcode, data: Box::default(), why: None }
    }

    /// With `data`, cut to what a message holds.
    #[must_use]
    pub fn with_data(mut self, data: &[u8]) -> Self {
        // Room for the header, the codes, and the codes once more in a hard reset.
        self.data = data.get(..MAX_MESSAGE - 23).unwrap_or(data).into();
        self
    }

    /// With more for people on this side, which is not sent: what was expected, and what came.
    #[must_use]
    pub(crate) fn because(mut self, why: impl Into<Box<str>>) -> Self {
        self.why = Some(why.into());
        self
    }

    /// Cease with `subcode`.
    pub(crate) fn cease(subcode: u8) -> Self {
        Self::new(CEASE, subcode)
    }

    /// Cease with `subcode` and a text for the people at the other end, cut to 255 octets.
    pub(crate) fn cease_with_text(subcode: u8, text: &str) -> Self {
        let text = cut(text, MAX_TEXT);
        // RFC 9003 2: no text is no data at all.
        let mut data = Vec::with_capacity(1 + text.len());
        if !text.is_empty() {
            data.extend(u8::try_from(text.len()));
            data.extend_from_slice(text.as_bytes());
        }
        Self::cease(subcode).with_data(&data)
    }

    /// The same as a hard reset, which ends graceful restart too (RFC 8538 3.1).
    #[must_use]
    pub(crate) fn hard(self) -> Self {
        let mut data = vec![self.code, self.subcode];
        data.extend_from_slice(&self.data);
        Self::cease(HARD_RESET).with_data(&data)
    }

    /// Error code.
    pub const fn code(&self) -> u8 {
        self.code
    }

    /// Error subcode.
    pub const fn subcode(&self) -> u8 {
        self.subcode
    }

    /// Data, as sent.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The shutdown communication (RFC 9003), safe to show; also that within a hard reset. At most
    /// 255 octets were taken from the peer; none if it is empty or its length is wrong.
    pub fn text(&self) -> Option<String> {
        let (_, subcode, data) = self.innermost()?;
        if !matches!(subcode, ADMINISTRATIVE_SHUTDOWN | ADMINISTRATIVE_RESET) {
            return None;
        }
        let (length, text) = data.split_first()?;
        // RFC 9003 2: a length beyond the data is logged and otherwise ignored.
        let text = text.get(..usize::from(*length))?;
        (!text.is_empty()).then(|| shown(text))
    }

    /// Whether the peer objects to our version of BGP.
    pub(crate) fn is_version_error(&self) -> bool {
        (self.code, self.subcode) == (OPEN_ERROR, 1)
    }

    /// Whether the peer objects to optional parameters as such.
    pub(crate) fn is_unsupported_parameter(&self) -> bool {
        (self.code, self.subcode) == (OPEN_ERROR, 4)
    }

    /// Whether the peer objects to a capability.
    pub(crate) fn is_unsupported_capability(&self) -> bool {
        (self.code, self.subcode) == (OPEN_ERROR, 7)
    }

    /// Decodes the octets after the header, which the header check has made at least two.
    pub fn decode(body: &[u8]) -> Option<Self> {
        let (&[code, subcode], data) = body.split_first_chunk::<2>()?;
        Some(Self::new(code, subcode).with_data(data))
    }

    /// Appends the message.
    pub fn encode(&self, out: &mut Vec<u8>) {
        message(out, MessageKind::Notification, |out| {
            out.extend_from_slice(&[self.code, self.subcode]);
            out.extend_from_slice(&self.data);
        });
    }

    /// Code, subcode and data of a Cease, looked up inside a hard reset.
    fn innermost(&self) -> Option<(u8, u8, &[u8])> {
        let whole = (self.code, self.subcode, &*self.data);
        let inner = match whole {
            (CEASE, HARD_RESET, [code, subcode, data @ ..]) => (*code, *subcode, data),
            whole => whole,
        };
        (inner.0 == CEASE).then_some(inner)
    }
}

impl fmt::Display for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_words(f, self.code, self.subcode)?;
        if let (CEASE, HARD_RESET, [code, subcode, ..]) = (self.code, self.subcode, &*self.data) {
            f.write_str(": ")?;
            write_words(f, *code, *subcode)?;
        }
        if let Some(text) = self.text() {
            write!(f, ": \"{text}\"")?;
        }
        match &self.why {
            Some(why) => write!(f, ": {why}"),
            None => Ok(()),
        }
    }
}

fn write_words(f: &mut fmt::Formatter<'_>, code: u8, subcode: u8) -> fmt::Result {
    let (error, detail) = words(code, subcode);
    match detail {
        "" => write!(f, "{error} ({code}/{subcode})"),
        detail => write!(f, "{error}, {detail} ({code}/{subcode})"),
    }
}

/// Names as the registry of BGP error codes spells them.
fn words(code: u8, subcode: u8) -> (&'static str, &'static str) {
    match code {
        1 => (
            "Message Header Error",
            match subcode {
                1 => "Connection Not Synchronized",
                2 => "Bad Message Length",
                3 => "Bad Message Type",
                _ => "",
            },
        ),
        OPEN_ERROR => (
            "OPEN Message Error",
            match subcode {
                1 => "Unsupported Version Number",
                2 => "Bad Peer AS",
                3 => "Bad BGP Identifier",
                4 => "Unsupported Optional Parameter",
                6 => "Unacceptable Hold Time",
                7 => "Unsupported Capability",
                11 => "Role Mismatch",
                _ => "",
            },
        ),
        3 => (
            "UPDATE Message Error",
            match subcode {
                1 => "Malformed Attribute List",
                2 => "Unrecognized Well-known Attribute",
                3 => "Missing Well-known Attribute",
                4 => "Attribute Flags Error",
                5 => "Attribute Length Error",
                6 => "Invalid ORIGIN Attribute",
                8 => "Invalid NEXT_HOP Attribute",
                9 => "Optional Attribute Error",
                10 => "Invalid Network Field",
                11 => "Malformed AS_PATH",
                _ => "",
            },
        ),
        4 => ("Hold Timer Expired", ""),
        5 => (
            "Finite State Machine Error",
            match subcode {
                1 => "Unexpected Message in OpenSent",
                2 => "Unexpected Message in OpenConfirm",
                3 => "Unexpected Message in Established",
                _ => "",
            },
        ),
        CEASE => (
            "Cease",
            match subcode {
                1 => "Maximum Number of Prefixes Reached",
                ADMINISTRATIVE_SHUTDOWN => "Administrative Shutdown",
                3 => "Peer De-configured",
                ADMINISTRATIVE_RESET => "Administrative Reset",
                5 => "Connection Rejected",
                6 => "Other Configuration Change",
                7 => "Connection Collision Resolution",
                8 => "Out of Resources",
                HARD_RESET => "Hard Reset",
                10 => "BFD Down",
                _ => "",
            },
        ),
        7 => (
            "ROUTE-REFRESH Message Error",
            if subcode == 1 { "Invalid Message Length" } else { "" },
        ),
        8 => ("Send Hold Timer Expired", ""),
        _ => ("unknown error", ""),
    }
}
