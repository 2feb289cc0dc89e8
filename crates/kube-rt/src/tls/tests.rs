//! Options by table, and real handshakes over loopback.

use std::net::{Ipv4Addr, SocketAddr};

use rstest::rstest;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use super::*;

#[rstest]
#[case::default("", "", "")]
#[case::tls12("VersionTLS12", "", "")]
#[case::suites(
    "VersionTLS12",
    " TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 , TLS_AES_128_GCM_SHA256",
    ""
)]
#[case::curves("", "", "29, 23,24")]
fn options_that_can_be_honoured(#[case] version: &str, #[case] suites: &str, #[case] curves: &str) {
    let options = Options::parse(version, suites, curves).unwrap();
    options.server(ServerIdentity::empty()).unwrap();
}

#[rstest]
#[case::unknown_version("TLS12", "", "", "\"TLS12\"")]
#[case::old_version("VersionTLS11", "", "", "VersionTLS11 is not supported")]
#[case::suites_need_tls12("", "TLS_AES_128_GCM_SHA256", "", "VersionTLS12")]
#[case::unknown_suite("VersionTLS12", "TLS_FOO", "", "\"TLS_FOO\"")]
#[case::old_suite(
    "VersionTLS12",
    "TLS_RSA_WITH_RC4_128_SHA",
    "",
    "TLS_RSA_WITH_RC4_128_SHA is not"
)]
#[case::unknown_curve("", "", "22", "\"22\"")]
#[case::no_number("", "", "P256", "\"P256\"")]
#[case::post_quantum("", "", "29,4588", "4588 (X25519MLKEM768) is not supported")]
#[case::twice("", "", "29,29", "29 is given twice")]
fn what_cannot_be_honoured_is_refused_by_name(
    #[case] version: &str,
    #[case] suites: &str,
    #[case] curves: &str,
    #[case] part: &str,
) {
    let error = Options::parse(version, suites, curves).unwrap_err().to_string();
    assert!(error.contains(part), "{error}");
}

#[test]
fn tables_name_nothing_twice_and_cover_the_whole_library() {
    let names: std::collections::BTreeSet<_> = SUITES.iter().map(|suite| suite.name).collect();
    assert_eq!(names.len(), SUITES.len());
    for suite in rustls::crypto::ring::ALL_CIPHER_SUITES {
        assert!(SUITES.iter().any(|known| known.suite == Some(*suite)), "{suite:?}");
    }
    for group in rustls::crypto::ring::ALL_KX_GROUPS {
        assert!(CURVES.iter().any(|known| known.group.is_some_and(|g| g.name() == group.name())));
    }
}

/// Certificate and key of a server called `localhost`, PEM.
pub(crate) fn mk_pair() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// A client that trusts `ca` (PEM).
pub(crate) fn mk_client(ca: &str, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// Sends `request` over TLS and reads the whole answer.
pub(crate) async fn mk_answer(
    config: ClientConfig,
    address: SocketAddr,
    request: &str,
) -> std::io::Result<String> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer).await {
        Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => Err(error),
        _ => Ok(String::from_utf8(answer).unwrap()),
    }
}

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
const TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
const TLS12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];

async fn mk_server(options: &Options, identity: ServerIdentity) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let listener = TlsListener::new(listener, options.server(identity).unwrap()).unwrap();
    let address = axum::serve::Listener::local_addr(&listener).unwrap();
    let routes = axum::Router::new().route("/", axum::routing::get(|| async { "hello" }));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}

#[tokio::test]
async fn certificate_is_exchanged_between_two_handshakes() {
    let (first, key) = mk_pair();
    let identity = ServerIdentity::empty();
    let address = mk_server(&Options::default(), identity.clone()).await;
    assert!(mk_answer(mk_client(&first, TLS13), address, GET).await.is_err(), "nothing to show");
    identity.show(first.as_bytes(), key.as_bytes()).unwrap();
    assert!(mk_answer(mk_client(&first, TLS13), address, GET).await.unwrap().ends_with("hello"));
    let (second, key) = mk_pair();
    identity.show(second.as_bytes(), key.as_bytes()).unwrap();
    assert!(mk_answer(mk_client(&first, TLS13), address, GET).await.is_err());
    assert!(mk_answer(mk_client(&second, TLS13), address, GET).await.is_ok());
}

#[tokio::test]
async fn minimum_version_is_kept() {
    let (certificate, key) = mk_pair();
    let identity = ServerIdentity::empty();
    identity.show(certificate.as_bytes(), key.as_bytes()).unwrap();
    let strict = mk_server(&Options::default(), identity.clone()).await;
    assert!(mk_answer(mk_client(&certificate, TLS12), strict, GET).await.is_err());
    let suites = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384";
    let lenient = Options::parse("VersionTLS12", suites, "23").unwrap();
    let lenient = mk_server(&lenient, identity).await;
    for versions in [TLS12, TLS13] {
        assert!(mk_answer(mk_client(&certificate, versions), lenient, GET).await.is_ok());
    }
}

#[tokio::test]
async fn client_that_says_nothing_keeps_nobody_waiting() {
    let (certificate, key) = mk_pair();
    let identity = ServerIdentity::empty();
    identity.show(certificate.as_bytes(), key.as_bytes()).unwrap();
    let address = mk_server(&Options::default(), identity).await;
    let _silent = TcpStream::connect(address).await.unwrap();
    assert!(mk_answer(mk_client(&certificate, TLS13), address, GET).await.is_ok());
}

#[test]
fn key_of_another_certificate_is_refused_and_the_last_pair_stays() {
    let (certificate, key) = mk_pair();
    let identity = ServerIdentity::empty();
    identity.show(certificate.as_bytes(), key.as_bytes()).unwrap();
    assert!(identity.show(mk_pair().0.as_bytes(), key.as_bytes()).is_err());
    assert!(identity.show(b"", key.as_bytes()).is_err());
    assert!(identity.is_ready());
}

#[tokio::test(start_paused = true)]
async fn directory_is_read_again_when_it_changes() {
    let directory = tempfile::tempdir().unwrap();
    let write = |certificate: &str, key: &str| {
        std::fs::write(directory.path().join("tls.crt"), certificate).unwrap();
        std::fs::write(directory.path().join("tls.key"), key).unwrap();
    };
    assert!(ServerIdentity::from_directory(directory.path(), CancellationToken::new()).is_err());
    let (first, key) = mk_pair();
    write(&first, &key);
    let identity =
        ServerIdentity::from_directory(directory.path(), CancellationToken::new()).unwrap();
    let shown = || identity.shown.read().clone().unwrap().cert[0].clone();
    let (second, key) = mk_pair();
    write(&second, "half written");
    tokio::time::sleep(std::time::Duration::from_secs(15)).await;
    assert_eq!(shown(), CertificateDer::from_pem_slice(first.as_bytes()).unwrap());
    write(&second, &key);
    tokio::time::sleep(std::time::Duration::from_secs(15)).await;
    assert_eq!(shown(), CertificateDer::from_pem_slice(second.as_bytes()).unwrap());
}

#[tokio::test(start_paused = true)]
async fn missing_files_are_stood_in_for_until_they_come() {
    let directory = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    let identity =
        ServerIdentity::from_directory_or_self_signed(directory.path(), stop.clone()).unwrap();
    assert!(identity.is_ready());
    let (certificate, key) = mk_pair();
    std::fs::write(directory.path().join("tls.crt"), &certificate).unwrap();
    let shown = || identity.shown.read().clone().unwrap().cert.clone();
    let stand_in = shown();
    tokio::time::sleep(std::time::Duration::from_secs(30)).await;
    assert_eq!(shown(), stand_in, "one of two files");
    std::fs::write(directory.path().join("tls.key"), &key).unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(30)).await;
    assert_ne!(shown(), stand_in);

    std::fs::write(directory.path().join("tls.key"), "nonsense").unwrap();
    let broken = ServerIdentity::from_directory_or_self_signed(directory.path(), stop);
    assert!(broken.is_err(), "what is there and wrong is told at start");
}
