//! The secret that speakers share: file `secretkey` in the folder that manifests mount.

use std::path::{Path, PathBuf};

use ferrolb_heartbeat::Key;

/// Name of the file.
const FILE: &str = "secretkey";

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

/// Derives the key from the file in `folder`. Every byte counts, a newline at the end too, as it
/// does upstream.
pub(crate) fn load(folder: Option<&Path>) -> Result<Key, SecretError> {
    let path = folder.ok_or(SecretError::NoFolder)?.join(FILE);
    let secret = std::fs::read(&path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => SecretError::Missing(path.clone()),
        _ => SecretError::Read { path: path.clone(), source },
    })?;
    Key::derive(&secret).map_err(|_| SecretError::Empty(path))
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
