//! The key that authenticates heartbeats, derived from the secret that membership uses.

use std::fmt;

use ring::{hkdf, hmac};
use thiserror::Error;

/// Bytes of the tag that a datagram carries: HMAC-SHA-256 cut to 128 bits (RFC 2104 5).
pub(crate) const TAG: usize = 16;

const SIGN: &[u8] = b"ferrolb heartbeat 1";
const COMPARE: &[u8] = b"ferrolb heartbeat 1 compare";

/// Signs datagrams, and verifies what it or a key it accepts has signed. Cheap to clone; never prints
/// its bytes.
#[derive(Clone)]
pub struct Key {
    sign: hmac::Key,
    compare: hmac::Key,
    accepted: Vec<Key>,
}

/// An empty secret authenticates nobody.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("the secret is empty, so heartbeats cannot be authenticated")]
pub struct NoSecret;

impl Key {
    /// Derives the key from the secret by HKDF-SHA256 (RFC 5869) with no salt and a label of its
    /// own, so that the secret's other uses learn nothing from heartbeats and the reverse.
    pub fn derive(secret: &[u8]) -> Result<Self, NoSecret> {
        if secret.is_empty() {
            return Err(NoSecret);
        }
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(secret);
        let (sign, compare) = (expand(&root, SIGN)?, expand(&root, COMPARE)?);
        Ok(Self { sign, compare, accepted: Vec::new() })
    }

    /// Verifies what `other` signs too, while a cluster changes its secret.
    #[must_use]
    pub fn accepting(mut self, other: &Self) -> Self {
        self.accepted.push(other.clone());
        self
    }

    pub(crate) fn tag(&self, text: &[u8]) -> [u8; TAG] {
        cut(&hmac::sign(&self.sign, text))
    }

    /// Whether `tag` belongs to `text`, in constant time. `ring` compares only whole tags, so both
    /// cut tags are hashed once more under a second key and those are compared.
    pub(crate) fn verify(&self, text: &[u8], tag: &[u8]) -> bool {
        let wanted = hmac::sign(&self.compare, &self.tag(text));
        hmac::verify(&self.compare, tag, wanted.as_ref()).is_ok()
            || self.accepted.iter().any(|other| other.verify(text, tag))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

// `expand` fails only for outputs above 255 hashes; an HMAC key is one.
fn expand(root: &hkdf::Prk, label: &[u8]) -> Result<hmac::Key, NoSecret> {
    root.expand(&[label], hmac::HMAC_SHA256).map(hmac::Key::from).map_err(|_| NoSecret)
}

fn cut(tag: &hmac::Tag) -> [u8; TAG] {
    let mut short = [0; TAG];
    short.copy_from_slice(&tag.as_ref()[..TAG]);
    short
}

#[cfg(test)]
mod tests {
    use super::{Key, NoSecret};

    #[test]
    fn an_empty_secret_is_refused() {
        assert_eq!(Key::derive(b"").err(), Some(NoSecret));
    }

    #[test]
    fn a_tag_verifies_only_its_own_text_and_whole() {
        let key = Key::derive(b"secret").unwrap();
        let tag = key.tag(b"text");
        assert!(key.verify(b"text", &tag));
        assert!(!key.verify(b"next", &tag));
        assert!(!key.verify(b"text", &tag[..15]));
        assert!(!Key::derive(b"Secret").unwrap().verify(b"text", &tag));
    }

    #[test]
    fn a_key_verifies_what_it_accepts_and_signs_as_itself() {
        let (old, new) = (Key::derive(b"old").unwrap(), Key::derive(b"new").unwrap());
        let both = new.clone().accepting(&old);
        assert!(both.verify(b"text", &old.tag(b"text")));
        assert!(!both.verify(b"next", &old.tag(b"text")));
        assert!(new.verify(b"text", &both.tag(b"text")));
        assert!(!old.verify(b"text", &both.tag(b"text")));
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", Key::derive(b"secret").unwrap()), "Key(..)");
    }
}
