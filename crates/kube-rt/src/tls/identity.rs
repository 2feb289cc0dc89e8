//! The certificate a server shows, exchangeable while it runs.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_util::sync::CancellationToken;

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(10);

/// A certificate that cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be read.
    #[error("cannot read {path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// No certificate in what should be one.
    #[error("certificate: {0}")]
    Certificate(rustls::pki_types::pem::Error),
    /// No private key in what should be one.
    #[error("private key: {0}")]
    Key(rustls::pki_types::pem::Error),
    /// A key that is of no use, or that does not belong to the certificate.
    #[error("certificate and key: {0}")]
    Pair(#[from] rustls::Error),
    /// None could be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
}

/// Certificate and key of a server. Cheap to clone; all clones show the same. While there is none,
/// handshakes fail.
#[derive(Clone, Default)]
pub struct ServerIdentity {
    pub(super) shown: Arc<RwLock<Option<Arc<CertifiedKey>>>>,
}

impl ServerIdentity {
    /// Nothing to show yet.
    pub fn empty() -> Self {
        Self::default()
    }

    /// A certificate signed by nobody but itself, for `localhost` and 127.0.0.1, in memory.
    pub fn self_signed() -> Result<Self, IdentityError> {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(names)?;
        let identity = Self::empty();
        identity.show(cert.pem().as_bytes(), signing_key.serialize_pem().as_bytes())?;
        Ok(identity)
    }

    /// `tls.crt` and `tls.key` of `directory`, read again when they change until `stop`. What cannot
    /// be read later leaves the last ones in place.
    pub fn from_directory(
        directory: &Path,
        stop: CancellationToken,
    ) -> Result<Self, IdentityError> {
        let (identity, found) = (Self::empty(), read(directory)?);
        identity.show(&found.0, &found.1)?;
        identity.follow(directory, Some(found), stop);
        Ok(identity)
    }

    /// The same, but as long as a file is missing one that is signed by nobody but itself.
    pub fn from_directory_or_self_signed(
        directory: &Path,
        stop: CancellationToken,
    ) -> Result<Self, IdentityError> {
        match Self::from_directory(directory, stop.clone()) {
            Err(IdentityError::File { error, .. }) if error.kind() == ErrorKind::NotFound => {}
            found => return found,
        }
        tracing::warn!(
            op = "certificate",
            ?directory,
            "tls.crt or tls.key is missing: showing a self-signed certificate until both are there"
        );
        let identity = Self::self_signed()?;
        identity.follow(directory, None, stop);
        Ok(identity)
    }

    /// Takes over what the files hold whenever it is something else than what is `shown` of them.
    fn follow(&self, directory: &Path, mut shown: Option<Files>, stop: CancellationToken) {
        let (followed, directory) = (self.clone(), directory.to_owned());
        tokio::spawn(async move {
            let mut said = shown.is_none();
            while !stopped(&stop, LOOK).await {
                // The two files of a mounted Secret are small and change together.
                let found = match read(&directory) {
                    Ok(found) if shown.as_ref() == Some(&found) => continue,
                    found => found,
                };
                let taken = found.and_then(|found| {
                    followed.show(&found.0, &found.1)?;
                    Ok(found)
                });
                match taken {
                    Ok(found) => {
                        shown = Some(found);
                        said = false;
                        tracing::info!(event = "certificate", ?directory, "certificate taken over");
                    }
                    Err(error) if !said => {
                        said = true;
                        tracing::warn!(op = "certificate", %error, "keeping the last certificate");
                    }
                    Err(_) => {}
                }
            }
        });
    }

    /// Shows another certificate (with its chain) and key, both PEM, from the next handshake on.
    pub fn show(&self, certificate: &[u8], key: &[u8]) -> Result<(), IdentityError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<_, _>>()
            .map_err(IdentityError::Certificate)?;
        if chain.is_empty() {
            return Err(IdentityError::Certificate(rustls::pki_types::pem::Error::NoItemsFound));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(IdentityError::Key)?;
        let pair = CertifiedKey::new(chain, any_supported_type(&key)?);
        pair.keys_match()?;
        *self.shown.write() = Some(Arc::new(pair));
        Ok(())
    }

    /// Whether there is something to show.
    pub fn is_ready(&self) -> bool {
        self.shown.read().is_some()
    }
}

impl ResolvesServerCert for ServerIdentity {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.shown.read().clone()
    }
}

impl fmt::Debug for ServerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerIdentity").field("ready", &self.is_ready()).finish()
    }
}

/// Whether `stop` came within `pause`.
async fn stopped(stop: &CancellationToken, pause: Duration) -> bool {
    tokio::time::timeout(pause, stop.cancelled()).await.is_ok()
}

/// What `tls.crt` and `tls.key` hold.
type Files = (Vec<u8>, Vec<u8>);

fn read(directory: &Path) -> Result<Files, IdentityError> {
    let file = |name: &str| {
        let path = directory.join(name);
        std::fs::read(&path).map_err(|error| IdentityError::File { path, error })
    };
    Ok((file("tls.crt")?, file("tls.key")?))
}
