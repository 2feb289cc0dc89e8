//! The keys of a cluster: made from its secret as upstream does, AES-GCM around every message.

use std::fmt;

use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest;
use thiserror::Error;

/// Bytes a sealed message has more than a plain one: version, nonce, tag.
pub(crate) const OVERHEAD: usize = 1 + NONCE_LEN + TAG;
const TAG: usize = 16;
const BLOCK: usize = 16;

/// The key that seals, and further keys that open. Never prints its bytes.
#[derive(Clone)]
pub struct Keyring {
    seal: LessSafeKey,
    open: Vec<LessSafeKey>,
}

/// A key that AES-GCM cannot use here.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("a key has 16 or 32 bytes, not {0}")]
pub struct KeyLength(pub usize);

impl Keyring {
    /// The key upstream's speakers make from the content of the secret: its first 32 bytes, filled
    /// up with the SHA-256 of nothing. A trailing newline is part of the content. An empty secret
    /// is refused: everybody knows that key.
    pub fn derive(secret: &[u8]) -> Result<Self, KeyLength> {
        if secret.is_empty() {
            return Err(KeyLength(0));
        }
        let mut key = secret.to_vec();
        key.extend(digest::digest(&digest::SHA256, &[]).as_ref());
        key.truncate(32);
        Self::from_key(&key)
    }

    /// AES-128 or AES-256 by the length of `key`.
    pub fn from_key(key: &[u8]) -> Result<Self, KeyLength> {
        let seal = aes(key)?;
        Ok(Self { open: vec![seal.clone()], seal })
    }

    /// Opens what `other` seals too, while a cluster changes its secret.
    #[must_use]
    pub fn accepting(mut self, other: &Self) -> Self {
        self.open.extend(other.open.iter().cloned());
        self
    }

    /// Version 1 of the library's encryption. A nonce must never come twice under one key.
    pub(crate) fn seal(&self, nonce: [u8; NONCE_LEN], plain: &[u8], context: &[u8]) -> Vec<u8> {
        let mut text = plain.to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        if self.seal.seal_in_place_append_tag(unique, Aad::from(context), &mut text).is_err() {
            // Only texts of 64 GiB fail.
            return Vec::new();
        }
        let mut out = Vec::with_capacity(1 + NONCE_LEN + text.len());
        out.push(1);
        out.extend(nonce);
        out.extend(text);
        out
    }

    /// The plain text of version 0 (padded) or 1, if one of the keys fits.
    pub(crate) fn open(&self, sealed: &[u8], context: &[u8]) -> Option<Vec<u8>> {
        let (version, rest) = sealed.split_first()?;
        let (nonce, text) = rest.split_first_chunk::<NONCE_LEN>()?;
        if *version > 1 || text.len() < TAG {
            return None;
        }
        let mut plain = self.open.iter().find_map(|key| {
            let mut text = text.to_vec();
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let length = key.open_in_place(nonce, Aad::from(context), &mut text).ok()?.len();
            text.truncate(length);
            Some(text)
        })?;
        if *version == 0 {
            // RFC 5652 6.3: the last byte says how many bytes were added.
            let added = usize::from(*plain.last()?);
            if !(1..=BLOCK).contains(&added) {
                return None;
            }
            plain.truncate(plain.len().checked_sub(added)?);
        }
        Some(plain)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyring(..)")
    }
}

fn aes(key: &[u8]) -> Result<LessSafeKey, KeyLength> {
    let algorithm = match key.len() {
        16 => &AES_128_GCM,
        32 => &AES_256_GCM,
        other => return Err(KeyLength(other)),
    };
    UnboundKey::new(algorithm, key).map(LessSafeKey::new).map_err(|_| KeyLength(key.len()))
}

/// Nonces of one life of a node: 56 bits that name the life, then a count. Two lives share a name
/// with a probability of 1 in 10 million after 100,000 lives; the count lasts for ages.
#[derive(Debug)]
pub(crate) struct Nonces {
    life: [u8; 7],
    count: u64,
}

impl Nonces {
    pub(crate) fn new(name: &str, seed: u64) -> Self {
        let mut text = seed.to_be_bytes().to_vec();
        text.extend(name.as_bytes());
        let sum = digest::digest(&digest::SHA256, &text);
        let mut life = [0; 7];
        life.copy_from_slice(&sum.as_ref()[..7]);
        Self { life, count: 0 }
    }

    pub(crate) fn next(&mut self) -> [u8; NONCE_LEN] {
        self.count += 1;
        let mut nonce = [0; NONCE_LEN];
        nonce[..7].copy_from_slice(&self.life);
        nonce[7..].copy_from_slice(&self.count.to_be_bytes()[3..]);
        nonce
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{Keyring, Nonces};

    #[rstest]
    #[case::as_the_controller_makes_it(b"0123456789abcdefghijkl", "0123456789abcdefghijkl\u{e3}")]
    fn a_short_secret_is_filled_up(#[case] secret: &[u8], #[case] start: &str) {
        let mut key: Vec<u8> = start.chars().map(|c| c as u8).collect();
        key.extend([0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb]);
        let sealed = Keyring::from_key(&key).unwrap().seal([7; 12], b"text", b"context");
        assert_eq!(Keyring::derive(secret).unwrap().open(&sealed, b"context").unwrap(), b"text");
    }

    #[test]
    fn only_the_first_32_bytes_count() {
        let sealed = Keyring::derive(&[b'x'; 40]).unwrap().seal([7; 12], b"text", b"");
        assert!(Keyring::derive(&[b'x'; 32]).unwrap().open(&sealed, b"").is_some());
        assert!(Keyring::derive(&[b'x'; 31]).unwrap().open(&sealed, b"").is_none());
    }

    #[test]
    fn context_key_and_length_are_authenticated() {
        let ring = Keyring::from_key(&[1; 16]).unwrap();
        let sealed = ring.seal([7; 12], b"text", b"blue");
        assert_eq!(ring.open(&sealed, b"blue").unwrap(), b"text");
        assert_eq!(ring.open(&sealed, b""), None);
        for length in 0..sealed.len() {
            assert_eq!(ring.open(&sealed[..length], b"blue"), None);
        }
        assert!(Keyring::from_key(&[1; 24]).is_err() && Keyring::derive(b"").is_err());
    }

    #[test]
    fn a_ring_opens_what_its_former_key_sealed() {
        let (old, new) = (Keyring::derive(b"old").unwrap(), Keyring::derive(b"new").unwrap());
        let both = new.clone().accepting(&old);
        assert!(both.open(&old.seal([7; 12], b"text", b""), b"").is_some());
        assert!(old.open(&both.seal([7; 12], b"text", b""), b"").is_none());
    }

    #[test]
    fn nonces_differ_by_life_and_by_message() {
        let mut a = Nonces::new("a", 1);
        assert_ne!(a.next(), a.next());
        assert_ne!(Nonces::new("a", 1).next(), Nonces::new("a", 2).next());
        assert_ne!(Nonces::new("a", 1).next(), Nonces::new("b", 1).next());
    }
}
