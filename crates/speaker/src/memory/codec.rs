//! The file: a line with name, version and checksum, a line that says whose it is, and the facts.
//!
//! ```text
//!  ferrolb-last-known 1 <SHA-256 of all that follows, in hexadecimal>\n
//!  {"boot":…,"node":…,"written":…}\n
//!  {"services":[…],…}
//! ```

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::facts::Facts;

const NAME: &str = "ferrolb-last-known";
const VERSION: &str = "1";

/// Whose facts they are, and of when.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Head {
    /// `/proc/sys/kernel/random/boot_id`.
    pub(super) boot: String,
    pub(super) node: String,
    /// Seconds since the Unix epoch.
    pub(super) written: i64,
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum CodecError {
    /// It does not begin as this file does.
    #[error("this is not a file of last known facts")]
    Foreign,
    /// Another version of this program wrote it.
    #[error("format {0:?} is not the one this version reads, which is {VERSION}")]
    Version(String),
    /// It is not what was written.
    #[error("damaged: its checksum is another one")]
    Damaged,
    /// It is what was written, and cannot be understood.
    #[error("cannot be understood: {0}")]
    Syntax(#[from] serde_json::Error),
}

/// The facts as text, to be sealed if they are news.
pub(super) fn encode(facts: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(facts)
}

/// The file with these facts in it.
pub(super) fn seal(head: &Head, facts: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
    let mut body = serde_json::to_vec(head)?;
    body.push(b'\n');
    body.extend_from_slice(facts);
    let mut bytes = format!("{NAME} {VERSION} {}\n", checksum(&body)).into_bytes();
    bytes.append(&mut body);
    Ok(bytes)
}

pub(super) fn decode(bytes: &[u8]) -> Result<(Head, Facts), CodecError> {
    let (first, body) = line(bytes).ok_or(CodecError::Foreign)?;
    let first = std::str::from_utf8(first).map_err(|_| CodecError::Foreign)?;
    let mut words = first.split(' ');
    if words.next() != Some(NAME) {
        return Err(CodecError::Foreign);
    }
    let version = words.next().unwrap_or_default();
    if version != VERSION {
        return Err(CodecError::Version(version.to_owned()));
    }
    if words.next() != Some(&checksum(body)) || words.next().is_some() {
        return Err(CodecError::Damaged);
    }
    let (head, facts) = line(body).ok_or(CodecError::Damaged)?;
    Ok((serde_json::from_slice(head)?, serde_json::from_slice(facts)?))
}

/// The first line, and what follows it.
fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (line, rest) = bytes.split_at_checked(end)?;
    Some((line, rest.get(1..)?))
}

/// A text that no other content has.
pub(super) fn checksum(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::super::facts::tests::{any_facts, mk_facts};
    use super::*;

    fn mk_head() -> Head {
        Head { boot: "b".into(), node: "node1".into(), written: 7 }
    }

    #[rstest]
    #[case::empty(b"", "not a file of last known facts")]
    #[case::foreign(b"{}\n", "not a file of last known facts")]
    #[case::no_text(b"\xff\xfe\n", "not a file of last known facts")]
    #[case::newer(b"ferrolb-last-known 2 00\n{}\n{}", "format \"2\"")]
    #[case::no_version(b"ferrolb-last-known\n", "format \"\"")]
    #[case::checksum(b"ferrolb-last-known 1 00\n{}\n{}", "damaged")]
    fn what_is_not_ours_is_refused(#[case] bytes: &[u8], #[case] why: &str) {
        let error = decode(bytes).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }

    #[test]
    fn a_right_checksum_of_wrong_content_is_refused() {
        let body = b"{}\n{}";
        let text = format!("{NAME} {VERSION} {}\n{{}}\n{{}}", checksum(body));
        assert!(matches!(decode(text.as_bytes()), Err(CodecError::Syntax(_))));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(facts in any_facts()) {
            let bytes = seal(&mk_head(), &encode(&facts).unwrap()).unwrap();
            let decoded = decode(&bytes).unwrap();
            prop_assert_eq!(decoded, (mk_head(), facts));
        }

        #[test]
        fn any_damage_is_noticed(place in any::<prop::sample::Index>(), bit in 0..8u32) {
            let mut bytes = seal(&mk_head(), &encode(&mk_facts()).unwrap()).unwrap();
            let place = place.index(bytes.len());
            bytes[place] ^= 1 << bit;
            prop_assert!(decode(&bytes).is_err());
            bytes.truncate(place);
            prop_assert!(decode(&bytes).is_err());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }
}
