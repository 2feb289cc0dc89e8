//! The namespace FerroLB's own objects live in: flag or environment, else the Pod's own.

use std::io;
use std::path::{Path, PathBuf};

/// Where Kubernetes tells a Pod its namespace.
pub const SERVICE_ACCOUNT_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// No namespace could be found.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// Neither flag nor environment, and no service account.
    #[error(
        "no namespace: set --namespace or METALLB_NAMESPACE, or run in a Pod ({file}: {error})"
    )]
    NoServiceAccount {
        /// The file that was tried.
        file: PathBuf,
        /// Why it could not be read.
        #[source]
        error: io::Error,
    },
    /// The service account file holds no text.
    #[error("no namespace: {file} is empty")]
    Empty {
        /// The file that was read.
        file: PathBuf,
    },
}

/// The namespace to use: `given` (flag `--namespace`, whose default is `METALLB_NAMESPACE`) unless
/// empty, else the content of [`SERVICE_ACCOUNT_FILE`].
pub fn find(given: Option<&str>) -> Result<String, NamespaceError> {
    find_in(given, Path::new(SERVICE_ACCOUNT_FILE))
}

fn find_in(given: Option<&str>, file: &Path) -> Result<String, NamespaceError> {
    if let Some(namespace) = given.map(str::trim).filter(|text| !text.is_empty()) {
        return Ok(namespace.to_owned());
    }
    let text = std::fs::read_to_string(file)
        .map_err(|error| NamespaceError::NoServiceAccount { file: file.to_owned(), error })?;
    match text.trim() {
        "" => Err(NamespaceError::Empty { file: file.to_owned() }),
        namespace => Ok(namespace.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn given_name_wins_over_the_file() {
        let file = mk_file("from-file");
        assert_eq!(find_in(Some("given"), file.path()).unwrap(), "given");
    }

    #[test]
    fn empty_flag_falls_back_to_the_file_without_its_line_end() {
        let file = mk_file("metallb-system\n");
        assert_eq!(find_in(Some(""), file.path()).unwrap(), "metallb-system");
        assert_eq!(find_in(None, file.path()).unwrap(), "metallb-system");
    }

    #[test]
    fn nothing_found_names_flag_environment_and_file() {
        let error = find_in(None, Path::new("/nonexistent/namespace")).unwrap_err().to_string();
        for part in ["--namespace", "METALLB_NAMESPACE", "/nonexistent/namespace"] {
            assert!(error.contains(part), "{error}");
        }
        let file = mk_file(" \n");
        assert!(matches!(find_in(None, file.path()), Err(NamespaceError::Empty { .. })));
    }
}
