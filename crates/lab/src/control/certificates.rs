//! The certificates of one lab: an authority, the API server's certificate, and the key pair that
//! signs `ServiceAccount` tokens. They live as long as the lab does.

use std::net::IpAddr;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    SanType,
};

use crate::error::{Error, Result};

/// PEM texts, named after the flags they are for.
pub(super) struct Certificates {
    pub(super) authority: String,
    pub(super) authority_der: Vec<u8>,
    pub(super) server_certificate: String,
    pub(super) server_key: String,
    pub(super) service_account_key: String,
    pub(super) service_account_public_key: String,
}

/// An authority that vouches for nobody: clients want one even where nothing is encrypted, and look
/// for the machine's otherwise.
pub(super) fn idle_authority() -> Result<(String, Vec<u8>)> {
    let authority = authority().map_err(|error| Error::Certificate(error.to_string()))?;
    Ok((authority.pem(), authority.der().to_vec()))
}

impl Certificates {
    pub(super) fn generate(addresses: &[IpAddr]) -> Result<Self> {
        generate(addresses).map_err(|error| Error::Certificate(error.to_string()))
    }
}

fn generate(addresses: &[IpAddr]) -> Result<Certificates, rcgen::Error> {
    let authority = authority()?;
    let mut server = CertificateParams::new(
        ["kubernetes", "kubernetes.default.svc", "localhost"].map(str::to_owned),
    )?;
    server.distinguished_name.push(DnType::CommonName, "kube-apiserver");
    server.subject_alt_names.extend(addresses.iter().copied().map(SanType::IpAddress));
    let server_key = KeyPair::generate()?;
    let server_certificate = server.signed_by(&server_key, &authority)?;

    let service_account_key = KeyPair::generate()?;
    Ok(Certificates {
        authority: authority.pem(),
        authority_der: authority.der().to_vec(),
        server_certificate: server_certificate.pem(),
        server_key: server_key.serialize_pem(),
        service_account_public_key: service_account_key.public_key_pem(),
        service_account_key: service_account_key.serialize_pem(),
    })
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    authority.distinguished_name.push(DnType::CommonName, "ferrolb-lab");
    CertifiedIssuer::self_signed(authority, KeyPair::generate()?)
}
