//! The secret that speakers share: file `secretkey` in the folder that manifests mount.

use std::path::{Path, PathBuf};

use ferrolb_heartbeat::Key;
use ferrolb_swim_proto::Keyring;

/// Name of the file.
const FILE: &str = "secretkey";

/// What the secret gives.
#[derive(Clone, Debug)]
pub(crate) struct Secret {
    /// Authenticates heartbeats.
    pub(super) key: Key,
    /// Seals what membership says, as upstream does.
    pub(super) ring: Keyring,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// No folder was named.
    #[error("no folder with the secret is named (--ml-secret-key-path)")]
    NoFolder,
    /// The folder has no such file.
    #[error("{0} does not exist")]
    Missing(PathBuf),
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The file is empty.
    #[error("{0} is empty")]
    Empty(PathBuf),
}

impl SecretError {
    /// Whether the speaker can do without: there is no secret, which is a choice. A secret that
    /// exists and cannot be read is a fault.
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::NoFolder | Self::Missing(_))
    }
}

impl Secret {
    /// The keys of a content; none if it is empty. Every byte counts, a newline at the end too, as
    /// it does upstream.
    pub(super) fn derive(content: &[u8]) -> Option<Self> {
        Some(Self { key: Key::derive(content).ok()?, ring: Keyring::derive(content).ok()? })
    }
}

/// Reads the file in `folder`.
pub(crate) fn load(folder: Option<&Path>) -> Result<Secret, SecretError> {
    let path = folder.ok_or(SecretError::NoFolder)?.join(FILE);
    let content = std::fs::read(&path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => SecretError::Missing(path.clone()),
        _ => SecretError::Read { path: path.clone(), source },
    })?;
    Secret::derive(&content).ok_or(SecretError::Empty(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_a_choice_an_unusable_one_a_fault() {
        assert!(load(None).unwrap_err().is_absence());
        assert!(load(Some(Path::new("/nonexistent"))).unwrap_err().is_absence());
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "").unwrap();
        let error = load(Some(folder.path())).unwrap_err();
        assert!(!error.is_absence());
        assert!(error.to_string().ends_with("secretkey is empty"));
        std::fs::write(folder.path().join(FILE), "secret").unwrap();
        assert!(load(Some(folder.path())).is_ok());
    }
}
