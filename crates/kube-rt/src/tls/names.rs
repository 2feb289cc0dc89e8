//! What TLS settings can be called, and which of them the TLS library has.
//!
//! The tables hold every name and number that upstream's flags accept, as data, so that the
//! documentation can print them.

use rustls::crypto::SupportedKxGroup;
use rustls::crypto::ring::{cipher_suite, kx_group};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion, version};

/// A value of `--tls-min-version`.
#[derive(Clone, Copy, Debug)]
pub struct Version {
    /// As the flag has it.
    pub name: &'static str,
    /// All versions from this one on; `None` if the library does not have it.
    pub from_here: Option<&'static [&'static SupportedProtocolVersion]>,
}

/// A value of `--tls-cipher-suites`.
#[derive(Clone, Copy, Debug)]
pub struct Suite {
    /// As the flag has it.
    pub name: &'static str,
    /// `None` if the library does not have it.
    pub suite: Option<SupportedCipherSuite>,
}

/// A value of `--tls-curve-preferences`.
#[derive(Clone, Copy, Debug)]
pub struct Curve {
    /// As the flag has it: the number that IANA gave it.
    pub id: u16,
    /// What people call it.
    pub name: &'static str,
    /// `None` if the library does not have it.
    pub group: Option<&'static dyn SupportedKxGroup>,
}

const fn version(
    name: &'static str,
    from_here: Option<&'static [&'static SupportedProtocolVersion]>,
) -> Version {
    Version { name, from_here }
}

const fn have(name: &'static str, suite: SupportedCipherSuite) -> Suite {
    Suite { name, suite: Some(suite) }
}

const fn lack(name: &'static str) -> Suite {
    Suite { name, suite: None }
}

const fn curve(id: u16, name: &'static str, group: Option<&'static dyn SupportedKxGroup>) -> Curve {
    Curve { id, name, group }
}

/// TLS 1.2 and later.
static FROM_TLS12: [&SupportedProtocolVersion; 2] = [&version::TLS12, &version::TLS13];
/// TLS 1.3 and later.
pub(super) static FROM_TLS13: [&SupportedProtocolVersion; 1] = [&version::TLS13];

/// The default is the last one.
pub static VERSIONS: &[Version] = &[
    version("VersionTLS10", None),
    version("VersionTLS11", None),
    version("VersionTLS12", Some(&FROM_TLS12)),
    version("VersionTLS13", Some(&FROM_TLS13)),
];

/// Suites of TLS 1.3 may be named and change nothing: they are always on.
pub static SUITES: &[Suite] = &[
    have("TLS_AES_128_GCM_SHA256", cipher_suite::TLS13_AES_128_GCM_SHA256),
    have("TLS_AES_256_GCM_SHA384", cipher_suite::TLS13_AES_256_GCM_SHA384),
    have("TLS_CHACHA20_POLY1305_SHA256", cipher_suite::TLS13_CHACHA20_POLY1305_SHA256),
    have(
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ),
    have(
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ),
    have(
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
        cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    have(
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    have(
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ),
    have(
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    ),
    have(
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
        cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    have(
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    lack("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"),
    lack("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"),
    lack("TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA"),
    lack("TLS_ECDHE_ECDSA_WITH_RC4_128_SHA"),
    lack("TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA"),
    lack("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"),
    lack("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256"),
    lack("TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"),
    lack("TLS_ECDHE_RSA_WITH_RC4_128_SHA"),
    lack("TLS_RSA_WITH_3DES_EDE_CBC_SHA"),
    lack("TLS_RSA_WITH_AES_128_CBC_SHA"),
    lack("TLS_RSA_WITH_AES_128_CBC_SHA256"),
    lack("TLS_RSA_WITH_AES_128_GCM_SHA256"),
    lack("TLS_RSA_WITH_AES_256_CBC_SHA"),
    lack("TLS_RSA_WITH_AES_256_GCM_SHA384"),
    lack("TLS_RSA_WITH_RC4_128_SHA"),
];

/// Key exchange groups.
pub static CURVES: &[Curve] = &[
    curve(23, "P-256", Some(kx_group::SECP256R1)),
    curve(24, "P-384", Some(kx_group::SECP384R1)),
    curve(25, "P-521", None),
    curve(29, "X25519", Some(kx_group::X25519)),
    curve(4587, "SecP256r1MLKEM768", None),
    curve(4588, "X25519MLKEM768", None),
    curve(4589, "SecP384r1MLKEM1024", None),
];
