//! Makes keys, CAs and server certificates.
//!
//! Keys are ECDSA P-256. A CA with another kind of key (upstream makes RSA ones in PKCS#1) is
//! trusted as long as it holds, and does not sign any more.

use jiff::Timestamp;
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData as _, SanType,
};
use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;

use super::plan::{Contents, Plan, certificates};

const DAY: i64 = 24 * 60 * 60;
/// Clocks of others may be behind by this much.
const SKEW: i64 = DAY;
const CA_DAYS: i64 = 10 * 365;
const SERVER_DAYS: i64 = 365;

/// What the Secret shall hold once `plan` is carried out.
pub(crate) fn carry_out(
    plan: &Plan,
    contents: &Contents,
    name: &str,
    now: Timestamp,
) -> Result<Contents, rcgen::Error> {
    match plan {
        Plan::Keep => Ok(contents.clone()),
        Plan::ReissueServer => issue(contents, name, now),
        Plan::NewCa { overlap, and_server } => {
            let key = KeyPair::generate()?;
            let ca = ca_params(now)?.self_signed(&key)?;
            let contents = Contents {
                ca_crt: format!("{}{overlap}", ca.pem()),
                ca_key: key.serialize_pem(),
                ..contents.clone()
            };
            if *and_server { issue(&contents, name, now) } else { Ok(contents) }
        }
    }
}

/// Whether `key` (PEM) is one that we sign with, and the key of `ca`.
pub(crate) fn can_sign(key: &str, ca: &CertificateDer<'_>) -> bool {
    let Ok(key) = KeyPair::from_pem(key) else { return false };
    let Ok((_, ca)) = X509Certificate::from_der(ca) else { return false };
    key.is_compatible(&rcgen::PKCS_ECDSA_P256_SHA256)
        && ca.public_key().subject_public_key.data.as_ref() == key.der_bytes()
}

/// A new server certificate by the first CA of `contents`.
fn issue(contents: &Contents, name: &str, now: Timestamp) -> Result<Contents, rcgen::Error> {
    let ca = certificates(&contents.ca_crt).next();
    let (_, ca) = ca.ok_or(rcgen::Error::CouldNotParseCertificate)?;
    let issuer = Issuer::from_ca_cert_der(&ca, KeyPair::from_pem(&contents.ca_key)?)?;
    let key = KeyPair::generate()?;
    let certificate = server_params(name, now)?.signed_by(&key, &issuer)?;
    Ok(Contents { tls_crt: certificate.pem(), tls_key: key.serialize_pem(), ..contents.clone() })
}

fn ca_params(now: Timestamp) -> Result<CertificateParams, rcgen::Error> {
    let mut params = valid(CertificateParams::default(), now, CA_DAYS)?;
    params.distinguished_name.push(DnType::CommonName, "cert");
    params.distinguished_name.push(DnType::OrganizationName, "metallb");
    // Two CAs in one bundle are told apart by their names.
    params
        .distinguished_name
        .push(DnType::OrganizationalUnitName, format!("made {}", now.as_microsecond()));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    Ok(params)
}

fn server_params(name: &str, now: Timestamp) -> Result<CertificateParams, rcgen::Error> {
    let mut params = valid(CertificateParams::default(), now, SERVER_DAYS)?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.subject_alt_names = vec![SanType::DnsName(Ia5String::try_from(name)?)];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn valid(
    mut params: CertificateParams,
    now: Timestamp,
    days: i64,
) -> Result<CertificateParams, rcgen::Error> {
    let time = |seconds: i64| {
        ASN1Time::from_timestamp(seconds).map(|t| t.to_datetime()).map_err(|_| rcgen::Error::Time)
    };
    params.not_before = time(now.as_second() - SKEW)?;
    params.not_after = time(now.as_second() + days * DAY)?;
    Ok(params)
}
