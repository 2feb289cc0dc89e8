//! TLS of our own servers (webhooks, metrics): options from flags, the certificate that is shown,
//! and a listener that does handshakes.
//!
//! Not here: who may connect (`admin`), and where certificates come from (`certs`).

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion};

use self::names::{CURVES, FROM_TLS13, SUITES, VERSIONS};

mod identity;
mod listener;
pub mod names;

pub use identity::{IdentityError, ServerIdentity};
pub use listener::{Connection, TlsListener};

/// HTTP/1.1 is what is offered. HTTP/2 has nothing to give to a server that answers single
/// requests, and every client that knows it knows HTTP/1.1 too.
const ALPN: &[u8] = b"http/1.1";

/// A flag asks for something that cannot be done.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OptionsError {
    /// No such version.
    #[error("--tls-min-version: {0:?} is no version of TLS (known: VersionTLS10 to VersionTLS13)")]
    UnknownVersion(String),
    /// A version that the library lacks.
    #[error("--tls-min-version: {0} is not supported: the oldest is VersionTLS12")]
    UnsupportedVersion(&'static str),
    /// Suites cannot be chosen in TLS 1.3.
    #[error(
        "--tls-cipher-suites has no effect on TLS 1.3: it needs --tls-min-version=VersionTLS12"
    )]
    SuitesOfTls13,
    /// No such suite.
    #[error("--tls-cipher-suites: {0:?} is no cipher suite")]
    UnknownSuite(String),
    /// A suite that the library lacks.
    #[error(
        "--tls-cipher-suites: {0} is not supported (no forward secrecy, or no authenticated encryption)"
    )]
    UnsupportedSuite(&'static str),
    /// No such curve.
    #[error("--tls-curve-preferences: {0:?} is no number of a curve")]
    UnknownCurve(String),
    /// A curve that the library lacks.
    #[error("--tls-curve-preferences: {id} ({name}) is not supported")]
    UnsupportedCurve {
        /// Its number.
        id: u16,
        /// Its name.
        name: &'static str,
    },
    /// A curve twice.
    #[error("--tls-curve-preferences: {0} is given twice")]
    RepeatedCurve(u16),
}

/// What the TLS flags ask for; the default is TLS 1.3 with everything the library has.
#[derive(Clone, Debug)]
pub struct Options {
    versions: &'static [&'static SupportedProtocolVersion],
    /// Empty: all.
    suites: Vec<SupportedCipherSuite>,
    /// Empty: all.
    curves: Vec<&'static dyn SupportedKxGroup>,
}

impl Default for Options {
    fn default() -> Self {
        Self { versions: &FROM_TLS13, suites: Vec::new(), curves: Vec::new() }
    }
}

impl Options {
    /// Reads the values of `--tls-min-version`, `--tls-cipher-suites` and `--tls-curve-preferences`;
    /// empty means the default.
    pub fn parse(min_version: &str, suites: &str, curves: &str) -> Result<Self, OptionsError> {
        let versions = parse_version(min_version.trim())?;
        let suites: Vec<_> = items(suites).map(parse_suite).collect::<Result<_, _>>()?;
        if !suites.is_empty() && versions == Self::default().versions {
            return Err(OptionsError::SuitesOfTls13);
        }
        let mut groups: Vec<&'static dyn SupportedKxGroup> = Vec::new();
        for text in items(curves) {
            let (id, group) = parse_curve(text)?;
            if groups.iter().any(|known| known.name() == group.name()) {
                return Err(OptionsError::RepeatedCurve(id));
            }
            groups.push(group);
        }
        Ok(Self { versions, suites, curves: groups })
    }

    /// A configuration for a server that shows `identity`.
    pub fn server(&self, identity: ServerIdentity) -> Result<ServerConfig, rustls::Error> {
        let mut provider = rustls::crypto::ring::default_provider();
        if !self.suites.is_empty() {
            provider.cipher_suites.retain(|suite| {
                matches!(suite, SupportedCipherSuite::Tls13(_)) || self.suites.contains(suite)
            });
        }
        if !self.curves.is_empty() {
            provider.kx_groups.clone_from(&self.curves);
        }
        let provider: Arc<CryptoProvider> = Arc::new(provider);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(self.versions)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(identity));
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(config)
    }
}

fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn parse_version(text: &str) -> Result<&'static [&'static SupportedProtocolVersion], OptionsError> {
    if text.is_empty() {
        return Ok(Options::default().versions);
    }
    let known = VERSIONS.iter().find(|version| version.name == text);
    let known = known.ok_or_else(|| OptionsError::UnknownVersion(text.to_owned()))?;
    known.from_here.ok_or(OptionsError::UnsupportedVersion(known.name))
}

fn parse_suite(text: &str) -> Result<SupportedCipherSuite, OptionsError> {
    let known = SUITES.iter().find(|suite| suite.name == text);
    let known = known.ok_or_else(|| OptionsError::UnknownSuite(text.to_owned()))?;
    known.suite.ok_or(OptionsError::UnsupportedSuite(known.name))
}

fn parse_curve(text: &str) -> Result<(u16, &'static dyn SupportedKxGroup), OptionsError> {
    let id = text.parse::<u16>().ok();
    let known = CURVES.iter().find(|curve| Some(curve.id) == id);
    let known = known.ok_or_else(|| OptionsError::UnknownCurve(text.to_owned()))?;
    let group =
        known.group.ok_or(OptionsError::UnsupportedCurve { id: known.id, name: known.name })?;
    Ok((known.id, group))
}

#[cfg(test)]
pub(crate) mod tests;
