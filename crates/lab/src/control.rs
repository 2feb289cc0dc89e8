//! The control plane: an API server, and whatever turns Services into endpoints and packets.

mod certificates;
mod embedded;
mod real;

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::api::Api;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::process::Process;

pub(crate) use self::embedded::serve;

/// Which API server a lab has.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Control {
    /// The one in this program: starts in milliseconds, needs nothing installed.
    Embedded,
    /// kube-apiserver, etcd, kube-controller-manager and kube-proxy from this folder.
    Real(PathBuf),
}

impl Control {
    /// The real programs in the folder that `FERROLB_KUBERNETES` or `KUBEBUILDER_ASSETS` names.
    pub fn real() -> Result<Self> {
        let folder = ["FERROLB_KUBERNETES", "KUBEBUILDER_ASSETS"]
            .iter()
            .find_map(std::env::var_os)
            .map(PathBuf::from)
            .unwrap_or_default();
        for program in ["etcd", "kube-apiserver", "kube-controller-manager", "kube-proxy"] {
            if !folder.join(program).is_file() {
                return Err(Error::Kubernetes { program, folder });
            }
        }
        Ok(Self::Real(folder))
    }
}

/// How to reach an API server.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Its address.
    pub url: String,
    /// PEM of the authority its certificate is from, if it has one.
    pub authority: String,
    /// DER of the same.
    authority_der: Vec<u8>,
    /// Token of an administrator; none where nobody is asked.
    pub admin_token: Option<String>,
}

impl Endpoint {
    pub(crate) fn client(&self) -> Result<Api> {
        Api::new(&self.url, self.admin_token.as_deref(), &self.authority_der)
    }

    /// Whether it encrypts, and asks who comes.
    pub(crate) fn is_secure(&self) -> bool {
        self.url.starts_with("https:")
    }

    /// A kubeconfig with this token, as JSON (which is YAML too).
    pub fn kubeconfig(&self, token: Option<&str>) -> String {
        let cluster = json!({
            "server": self.url,
            "certificate-authority-data": base64(self.authority.as_bytes()),
        });
        let user = token.map_or(json!({}), |token| json!({ "token": token }));
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "lab",
            "clusters": [{ "name": "lab", "cluster": cluster }],
            "users": [{ "name": "lab", "user": user }],
            "contexts": [{ "name": "lab", "context": { "cluster": "lab", "user": "lab" } }],
        })
        .to_string()
    }
}

/// A control plane that has answered, and its processes.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) endpoint: Endpoint,
    pub(crate) processes: Vec<Process>,
}

impl Control {
    pub(crate) fn start(&self, ctl: &Host, folder: &Path, program: &Path) -> Result<Running> {
        match self {
            Self::Embedded => embedded::start(ctl, folder, program),
            Self::Real(kubernetes) => real::start(ctl, folder, kubernetes),
        }
    }

    pub(crate) fn start_proxies(&self, nodes: &[&Host], folder: &Path) -> Result<Vec<Process>> {
        match self {
            Self::Embedded => Ok(Vec::new()),
            Self::Real(kubernetes) => real::start_proxies(nodes, folder, kubernetes),
        }
    }
}

/// RFC 4648 4, with padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for position in 0..4 {
            let index = (word >> (18 - 6 * position)) & 0x3f;
            let symbol = if position <= chunk.len() { ALPHABET[index as usize] } else { b'=' };
            text.push(char::from(symbol));
        }
    }
    text
}

/// The opposite; what does not belong to the alphabet is passed over.
pub(crate) fn from_base64(text: &[u8]) -> Vec<u8> {
    let value = |symbol: u8| match symbol {
        b'A'..=b'Z' => Some(symbol - b'A'),
        b'a'..=b'z' => Some(symbol - b'a' + 26),
        b'0'..=b'9' => Some(symbol - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let values: Vec<u8> = text.iter().copied().filter_map(value).collect();
    let mut bytes = Vec::with_capacity(values.len() * 3 / 4);
    for chunk in values.chunks(4) {
        let word = chunk.iter().fold(0u32, |word, value| word << 6 | u32::from(*value))
            << (6 * (4 - chunk.len()));
        bytes.extend_from_slice(&word.to_be_bytes()[1..chunk.len()]);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_follows_the_test_vectors() {
        // RFC 4648 10.
        for (plain, encoded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), encoded);
            assert_eq!(from_base64(encoded.as_bytes()), plain.as_bytes());
        }
    }
}
