//! What to do with the certificates in the Secret: nothing, a new server certificate, or a new CA.
//!
//! ```text
//!   CA unusable, foreign or near its end ──▶ NewCa     bundle = new CA + those still valid
//!                                             │        (the server keeps its certificate)
//!                                             ▼ bundle is at the API server
//!   server certificate not of the first CA, ──▶ ReissueServer
//!   near its end, unusable or for another name
//! ```
//!
//! At each moment what the server shows is covered by the bundle that the API server has: the bundle
//! is spread before the server changes.
//!
//! Pure: the time of day is an argument. Does not make certificates (`authority`).

use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;

/// What is renewed when it would not hold this much longer.
pub(crate) const MARGIN: SignedDuration = SignedDuration::from_hours(90 * 24);

/// The four entries of the Secret, PEM.
#[derive(Clone, Default, Eq, PartialEq)]
pub(crate) struct Contents {
    /// The CAs the API server shall trust; the first one signs.
    pub(crate) ca_crt: String,
    pub(crate) ca_key: String,
    pub(crate) tls_crt: String,
    pub(crate) tls_key: String,
}

/// What to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Plan {
    /// All is well.
    Keep,
    /// The first CA signs a new server certificate.
    ReissueServer,
    /// A new CA goes before `overlap` (PEM), the old ones that still hold.
    NewCa {
        overlap: String,
        /// Nothing that holds is being shown, so the server cannot wait for the bundle to spread.
        and_server: bool,
    },
}

/// Decides what to do at `now` for a server called `name`.
pub(crate) fn plan(contents: &Contents, name: &str, now: Timestamp) -> Plan {
    let authorities: Vec<_> = certificates(&contents.ca_crt).collect();
    let valid: Vec<_> =
        authorities.iter().filter(|(_, der)| holds(der, now, SignedDuration::ZERO)).collect();
    let server = certificates(&contents.tls_crt).next().map(|(_, der)| der);
    let shown_holds = server.as_ref().is_some_and(|server| {
        holds(server, now, SignedDuration::ZERO)
            && is_for(server, name)
            && valid.iter().any(|(_, ca)| is_signed_by(server, ca))
            && is_key_of(&contents.tls_key, server)
    });
    let can_sign = authorities.first().is_some_and(|(_, first)| {
        holds(first, now, MARGIN) && super::authority::can_sign(&contents.ca_key, first)
    });
    if !can_sign {
        let overlap = valid.iter().map(|(pem, _)| *pem).collect();
        return Plan::NewCa { overlap, and_server: !shown_holds };
    }
    let is_current = server.as_ref().is_some_and(|server| {
        holds(server, now, MARGIN)
            && authorities.first().is_some_and(|(_, first)| is_signed_by(server, first))
    });
    if shown_holds && is_current { Plan::Keep } else { Plan::ReissueServer }
}

/// The certificates in `pem`, each with the text it stands in; what cannot be read is left out.
pub(crate) fn certificates(pem: &str) -> impl Iterator<Item = (&str, CertificateDer<'static>)> {
    pem.split_inclusive("-----END CERTIFICATE-----\n").filter_map(|block| {
        let block = &block[block.find("-----BEGIN CERTIFICATE-----")?..];
        Some((block, CertificateDer::from_pem_slice(block.as_bytes()).ok()?))
    })
}

/// Whether `der` is valid now and will be `ahead` of now.
fn holds(der: &CertificateDer<'_>, now: Timestamp, ahead: SignedDuration) -> bool {
    let at = |ahead: SignedDuration| {
        ASN1Time::from_timestamp(now.as_second().saturating_add(ahead.as_secs())).ok()
    };
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return false };
    let validity = certificate.validity();
    [SignedDuration::ZERO, ahead]
        .into_iter()
        .all(|ahead| at(ahead).is_some_and(|time| validity.is_valid_at(time)))
}

fn is_for(der: &CertificateDer<'_>, name: &str) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return false };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return false };
    names.value.general_names.contains(&GeneralName::DNSName(name))
}

fn is_signed_by(der: &CertificateDer<'_>, ca: &CertificateDer<'_>) -> bool {
    let (Ok((_, certificate)), Ok((_, ca))) =
        (X509Certificate::from_der(der), X509Certificate::from_der(ca))
    else {
        return false;
    };
    certificate.issuer() == ca.subject()
        && certificate.verify_signature(Some(ca.public_key())).is_ok()
}

fn is_key_of(key: &str, certificate: &CertificateDer<'static>) -> bool {
    let Ok(key) = PrivateKeyDer::from_pem_slice(key.as_bytes()) else { return false };
    let Ok(key) = rustls::crypto::ring::sign::any_supported_type(&key) else { return false };
    rustls::sign::CertifiedKey::new(vec![certificate.clone()], key).keys_match().is_ok()
}

impl std::fmt::Debug for Contents {
    /// Keys are not for logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = |pem: &str| certificates(pem).count();
        f.debug_struct("Contents")
            .field("authorities", &count(&self.ca_crt))
            .field("certificates", &count(&self.tls_crt))
            .finish_non_exhaustive()
    }
}
