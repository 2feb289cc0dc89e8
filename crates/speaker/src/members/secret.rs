//! The secret that speakers share: file `secretkey` in the folder that manifests mount.
//!
//! ```text
//!                 secretkey (signs)   secretkey-next (is accepted too)
//!  ordinarily     old
//!  first step     old                 new
//!  second step    new                 old
//!  third step     new
//! ```
//!
//! Files of different nodes change at different times. Whatever two neighbouring lines two nodes are at,
//! each accepts what the other signs, so a cluster changes its secret without parting. A change that
//! leaves no such way is not followed while the speaker runs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ferrolb_heartbeat::Key;
use ferrolb_swim_proto::Keyring;

/// Name of the file.
const FILE: &str = "secretkey";
/// Name of the file with a secret that is accepted only.
const NEXT: &str = "secretkey-next";
/// Time between two looks at the files; kubelet brings a change within about a minute.
const LOOK: Duration = Duration::from_secs(5);

/// What the secret gives. Never prints it.
#[derive(Clone, Debug)]
pub(crate) struct Secret {
    /// Authenticates heartbeats.
    pub(super) key: Key,
    /// Seals what membership says, as upstream does.
    pub(super) ring: Keyring,
    /// Sees it change.
    pub(super) follow: Option<Follow>,
}

/// The files, and what they said.
#[derive(Clone)]
pub(super) struct Follow {
    folder: PathBuf,
    contents: Contents,
    /// Time between two looks.
    pub(super) every: Duration,
}

/// What the two files say.
#[derive(Clone, Eq, PartialEq)]
struct Contents {
    current: Vec<u8>,
    next: Option<Vec<u8>>,
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
    /// Following it would part the cluster until all nodes have it.
    #[error("{0} was replaced without secretkey-next: it counts when the speaker starts again")]
    Abrupt(PathBuf),
}

impl SecretError {
    /// Whether the speaker can do without: there is no secret, which is a choice. A secret that
    /// exists and cannot be read is a fault.
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::NoFolder | Self::Missing(_))
    }
}

/// Reads the files in `folder`.
pub(crate) fn load(folder: Option<&Path>) -> Result<Secret, SecretError> {
    let folder = folder.ok_or(SecretError::NoFolder)?;
    let contents = Contents::read(folder)?;
    let mut secret = contents.secret().ok_or_else(|| SecretError::Empty(folder.join(FILE)))?;
    secret.follow = Some(Follow { folder: folder.to_owned(), contents, every: LOOK });
    Ok(secret)
}

impl Secret {
    /// The keys of a content; none if it is empty. Every byte counts, a newline at the end too, as
    /// it does upstream.
    pub(super) fn derive(content: &[u8]) -> Option<Self> {
        let (key, ring) = (Key::derive(content).ok()?, Keyring::derive(content).ok()?);
        Some(Self { key, ring, follow: None })
    }
}

impl Follow {
    /// The secret, if it is another one now.
    pub(super) fn look(&self) -> Result<Option<Secret>, SecretError> {
        let mut now = load(Some(&self.folder))?;
        let Some(follow) = &mut now.follow else { return Ok(None) };
        if follow.contents == self.contents {
            return Ok(None);
        }
        if !follow.contents.follows(&self.contents) {
            return Err(SecretError::Abrupt(self.folder.join(FILE)));
        }
        follow.every = self.every;
        Ok(Some(now))
    }

    /// How many secrets are accepted.
    pub(super) fn accepted(&self) -> usize {
        1 + usize::from(self.contents.next.is_some())
    }
}

impl fmt::Debug for Follow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follow").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Contents {
    /// Both files of one moment: they are replaced together, and maybe between two readings.
    fn read(folder: &Path) -> Result<Self, SecretError> {
        let mut current = read(folder.join(FILE))?;
        loop {
            let next = match read(folder.join(NEXT)) {
                Ok(next) => Some(next).filter(|next| !next.is_empty()),
                Err(SecretError::Missing(_)) => None,
                Err(error) => return Err(error),
            };
            let again = read(folder.join(FILE))?;
            if again == current {
                return Ok(Self { current, next });
            }
            current = again;
        }
    }

    fn secret(&self) -> Option<Secret> {
        let Secret { mut key, mut ring, follow } = Secret::derive(&self.current)?;
        if let Some(next) = self.next.as_deref().and_then(Secret::derive) {
            (key, ring) = (key.accepting(&next.key), ring.accepting(&next.ring));
        }
        Some(Secret { key, ring, follow })
    }

    /// Whether of a node that goes by this and one that goes by `before` at least one hears the other.
    fn follows(&self, before: &Self) -> bool {
        self.accepts(&before.current) || before.accepts(&self.current)
    }

    fn accepts(&self, content: &[u8]) -> bool {
        self.current == content || self.next.as_deref() == Some(content)
    }
}

fn read(path: PathBuf) -> Result<Vec<u8>, SecretError> {
    std::fs::read(&path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => SecretError::Missing(path),
        _ => SecretError::Read { path, source },
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

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

    /// What a running speaker makes of the next contents: `Some` number it accepts, or its error.
    #[rstest]
    #[case::nothing(("old", ""), ("old", ""), Ok(None))]
    #[case::first_step(("old", ""), ("old", "new"), Ok(Some(2)))]
    #[case::second_step(("old", "new"), ("new", "old"), Ok(Some(2)))]
    #[case::third_step(("new", "old"), ("new", ""), Ok(Some(1)))]
    #[case::second_step_where_the_first_never_came(("old", ""), ("new", "old"), Ok(Some(2)))]
    #[case::third_step_where_the_second_never_came(("old", "new"), ("new", ""), Ok(Some(1)))]
    #[case::back_again(("old", "new"), ("old", ""), Ok(Some(1)))]
    #[case::without_steps(("old", ""), ("new", ""), Err("replaced without secretkey-next"))]
    #[case::another_than_announced(("old", "new"), ("x", "y"), Err("replaced without"))]
    #[case::taken_away(("old", ""), ("", ""), Err("is empty"))]
    fn a_running_speaker_follows_what_parts_nobody(
        #[case] before: (&str, &str),
        #[case] after: (&str, &str),
        #[case] wanted: Result<Option<usize>, &str>,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let write = |(current, next): (&str, &str)| {
            std::fs::write(folder.path().join(FILE), current).unwrap();
            std::fs::write(folder.path().join(NEXT), next).unwrap();
        };
        write(before);
        let follow = load(Some(folder.path())).unwrap().follow.unwrap();
        write(after);
        let seen = match follow.look() {
            Ok(secret) => Ok(secret.map(|secret| secret.follow.unwrap().accepted())),
            Err(error) => Err(error.to_string()),
        };
        match wanted {
            Ok(wanted) => assert_eq!(seen, Ok(wanted)),
            Err(words) => {
                assert!(seen.as_ref().is_err_and(|error| error.contains(words)), "{seen:?}");
            }
        }
    }

    #[test]
    fn nothing_prints_the_secret() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "hush").unwrap();
        let shown = format!("{:?}", load(Some(folder.path())).unwrap());
        assert!(!shown.contains("hush") && !shown.contains("104"), "{shown}");
    }
}
