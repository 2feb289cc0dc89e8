//! Interfaces that never answer: upstream's exclusion file.
//!
//! The file is read once at start. A missing file excludes nothing; a file that cannot be used
//! stops the speaker, because answering on a bridge of the container runtime is worse than not
//! starting.

use std::path::{Path, PathBuf};

use regex_lite::Regex;
use serde::Deserialize;

/// Names that are left alone, as unanchored regular expressions.
#[derive(Debug, Default)]
pub struct Exclusion {
    patterns: Vec<Regex>,
}

/// Why the exclusion file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ExclusionError {
    /// The file exists but cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The text is not YAML with a list `announcedInterfacesToExclude`.
    #[error("{path}: {message}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        message: String,
    },
    /// An entry is no regular expression.
    #[error("{path}: announcedInterfacesToExclude: {pattern:?} is no regular expression: {source}")]
    Pattern {
        /// The file.
        path: PathBuf,
        /// The entry.
        pattern: String,
        /// What is wrong with it.
        source: regex_lite::Error,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(default)]
    announced_interfaces_to_exclude: Vec<String>,
}

impl Exclusion {
    /// Reads the file at `path`.
    pub fn load(path: &Path) -> Result<Self, ExclusionError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(path, &text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(ExclusionError::Read { path: path.to_owned(), source }),
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ExclusionError> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let file: File = serde_saphyr::from_str(text).map_err(|error| ExclusionError::Syntax {
            path: path.to_owned(),
            message: error.to_string(),
        })?;
        let patterns = file.announced_interfaces_to_exclude.into_iter().map(|pattern| {
            Regex::new(&pattern).map_err(|source| ExclusionError::Pattern {
                path: path.to_owned(),
                pattern,
                source,
            })
        });
        Ok(Self { patterns: patterns.collect::<Result<_, _>>()? })
    }

    /// Whether interface `name` is left alone.
    pub fn matches(&self, name: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.is_match(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Exclusion, ExclusionError> {
        Exclusion::parse(Path::new("excludel2.yaml"), text)
    }

    #[test]
    fn patterns_are_unanchored_alternatives() {
        let shipped = "announcedInterfacesToExclude: ['^docker.*', '^veth.*', '^lo$', 'cali']";
        let exclusion = parse(shipped).unwrap();
        assert!(exclusion.matches("docker0"));
        assert!(exclusion.matches("lo"));
        assert!(exclusion.matches("xcali1"));
        assert!(!exclusion.matches("lo0"));
        assert!(!exclusion.matches("eth0"));
    }

    #[test]
    fn an_empty_or_missing_file_excludes_nothing() {
        assert!(!parse("").unwrap().matches("lo"));
        assert!(!parse("{}").unwrap().matches("lo"));
        assert!(!Exclusion::load(Path::new("/nonexistent/excludel2.yaml")).unwrap().matches("lo"));
    }

    #[test]
    fn a_bad_file_names_what_is_wrong() {
        let error = parse("announcedInterfacesToExclude: ['eth[']").unwrap_err().to_string();
        assert!(error.contains("\"eth[\""), "{error}");
        assert!(matches!(
            parse("announcedInterfacesToExclude: 7"),
            Err(ExclusionError::Syntax { .. })
        ));
    }
}
