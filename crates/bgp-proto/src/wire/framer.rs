//! Cuts a stream of octets into messages, however the octets arrive.

use super::{HEADER, Header, MessageKind, Notification};

/// Holds the part of a message that arrived so far, and nothing else: a message that arrives whole
/// is not copied.
#[derive(Clone, Debug, Default)]
pub struct Framer {
    partial: Vec<u8>,
    /// `partial` was handed out as a frame.
    done: bool,
}

/// One whole message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Frame<'a> {
    /// What it is.
    pub kind: MessageKind,
    /// What follows the header.
    pub body: &'a [u8],
}

impl Framer {
    /// The next message from the front of `input`, which is consumed as far as it is used; `None`
    /// if all of it is used and no message is complete. A header is judged as soon as it is there,
    /// with `limit` as the longest message. After an error the stream cannot be read any further.
    pub fn next<'a, 'input: 'a>(
        &'a mut self,
        input: &mut &'input [u8],
        limit: usize,
    ) -> Result<Option<Frame<'a>>, Notification> {
        if std::mem::take(&mut self.done) {
            self.partial.clear();
        }
        if self.partial.is_empty()
            && let Some(octets) = input.first_chunk::<HEADER>()
        {
            let header = Header::decode(octets, limit)?;
            if let Some((message, rest)) = input.split_at_checked(header.length) {
                *input = rest;
                return Ok(Some(frame(header, message)));
            }
        }
        self.fill(HEADER, input);
        let Some(octets) = self.partial.first_chunk::<HEADER>() else { return Ok(None) };
        let header = Header::decode(octets, limit)?;
        self.fill(header.length, input);
        if self.partial.len() < header.length {
            return Ok(None);
        }
        self.done = true;
        Ok(Some(frame(header, &self.partial)))
    }

    /// Moves octets from `input` until `partial` has `length` of them.
    fn fill(&mut self, length: usize, input: &mut &[u8]) {
        let missing = length.saturating_sub(self.partial.len()).min(input.len());
        let (taken, rest) = input.split_at(missing);
        self.partial.extend_from_slice(taken);
        *input = rest;
    }
}

fn frame(header: Header, message: &[u8]) -> Frame<'_> {
    Frame { kind: header.kind, body: message.get(HEADER..).unwrap_or_default() }
}
