//! What this speaker knew last, on a volume that outlives its container: so that one that restarts
//! while the API server is away goes on where it was.
//!
//! ```text
//!  owner ── facts, when they changed ──► Keeper ──(thread)──► last-known.new ── rename ──► last-known
//!  start ◄── facts, once ── recall ◄─────────────────────────────────────────────────────┘
//! ```
//!
//! Only what Layer 2 is decided by. Whether this node owns anything is not in it: membership says so.
//!
//! All is written anew when something of it changed, as seldom as that costs next to nothing
//! ([`crate::owner::Recall`]).
//!
//! Nothing is synced to the disk: the file is worth something for as long as this kernel runs, because
//! after a reboot kube-proxy has no rules yet. The checksum finds what was cut short all the same.

mod codec;
mod facts;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ferrolb_ipam::NodeName;
use jiff::Timestamp;
use serde::Serialize;
use tracing::{debug, error, info};

use self::codec::{CodecError, Head};
pub(crate) use self::facts::{Facts, Known};

/// Name of the file.
const FILE: &str = "last-known";
/// Name of the file that becomes it.
const NEW: &str = "last-known.new";
/// Where Linux says which boot this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What was known, and when.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Memory {
    pub(crate) written: Timestamp,
    pub(crate) facts: Facts,
}

/// Why nothing is remembered.
#[derive(Debug, thiserror::Error)]
enum MemoryError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    /// It is not what this version writes, or not whole.
    #[error("{path}: {source}")]
    Content { path: PathBuf, source: CodecError },
    /// It is of another node.
    #[error("{path} is of node {node}")]
    OtherNode { path: PathBuf, node: String },
    /// It is of another boot.
    #[error("{path} is from before this machine started")]
    OtherBoot { path: PathBuf },
}

/// The place in a folder, for one life of a node.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    folder: PathBuf,
    head: Head,
}

/// Writes what is known; the thread ends with it.
pub(crate) struct Keeper {
    orders: Option<mpsc::Sender<Vec<u8>>>,
    /// How long the last of it took, in microseconds.
    took: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Place {
    /// The place in `folder`; none if there is no such folder, or nobody knows which boot this is.
    pub(crate) fn find(folder: &Path, node: &NodeName) -> Option<Self> {
        let boot = fs::read_to_string(BOOT_ID).unwrap_or_default().trim().to_owned();
        if boot.is_empty() || !folder.is_dir() {
            info!(
                folder = %folder.display(),
                "nothing is remembered over a restart of the container: there is no such folder, or \
                 no {BOOT_ID}"
            );
            return None;
        }
        Some(Self {
            folder: folder.to_owned(),
            head: Head { boot, node: node.as_str().to_owned(), written: 0 },
        })
    }

    /// What was known when this speaker ended last, if that is of any use.
    pub(crate) fn recall(&self) -> Option<Memory> {
        match self.load() {
            Ok(memory) => memory,
            Err(error @ MemoryError::OtherBoot { .. }) => {
                info!(op = "recall", "what was known last is not used: {error}");
                None
            }
            Err(error) => {
                error!(op = "recall", %error, "what was known last is not used");
                None
            }
        }
    }

    fn load(&self) -> Result<Option<Memory>, MemoryError> {
        let path = self.folder.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(MemoryError::Read { path, source }),
        };
        let (head, facts) = match codec::decode(&bytes) {
            Ok(decoded) => decoded,
            Err(source) => return Err(MemoryError::Content { path, source }),
        };
        if head.node != self.head.node {
            return Err(MemoryError::OtherNode { path, node: head.node });
        }
        if head.boot != self.head.boot {
            return Err(MemoryError::OtherBoot { path });
        }
        let written = Timestamp::from_second(head.written).unwrap_or_default();
        Ok(Some(Memory { written, facts }))
    }

    /// Stores encoded facts unless `stored`, the checksum of what is there, is theirs.
    fn keep(&self, facts: &[u8], stored: &mut String) -> io::Result<()> {
        let checksum = codec::checksum(facts);
        if *stored != checksum {
            self.store(Timestamp::now(), facts)?;
            *stored = checksum;
            debug!(op = "remember", bytes = facts.len(), "what is known is kept");
        }
        Ok(())
    }

    fn store(&self, written: Timestamp, facts: &[u8]) -> io::Result<()> {
        let bytes =
            codec::seal(&Head { written: written.as_second(), ..self.head.clone() }, facts)?;
        let new = self.folder.join(NEW);
        fs::write(&new, bytes)?;
        fs::rename(new, self.folder.join(FILE))
    }
}

impl Keeper {
    /// Keeps what it is given in `place`.
    pub(crate) fn start(place: Place) -> io::Result<Self> {
        let (orders, inbox) = mpsc::channel::<Vec<u8>>();
        let took = Arc::<AtomicU64>::default();
        let thread = std::thread::Builder::new()
            .name("memory".to_owned())
            .stack_size(256 * 1024)
            .spawn({
            let took = Arc::clone(&took);
            move || keep(&place, &inbox, &took)
        })?;
        Ok(Self { orders: Some(orders), took, thread: Some(thread) })
    }

    /// How long it took to write down what was given last, as far as is known.
    pub(crate) fn took(&self) -> Duration {
        Duration::from_micros(self.took.load(Ordering::Relaxed))
    }

    /// This is what is known now. Does not wait for the disk.
    pub(crate) fn keep(&self, facts: &impl Serialize) {
        match (&self.orders, codec::encode(facts)) {
            (Some(orders), Ok(facts)) => {
                // A thread that is gone has said why.
                let _ = orders.send(facts);
            }
            (None, _) => {}
            (_, Err(error)) => error!(op = "remember", %error, "what is known cannot be kept"),
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported already.
            let _ = thread.join();
        }
    }
}

fn keep(place: &Place, inbox: &mpsc::Receiver<Vec<u8>>, took: &AtomicU64) {
    let mut stored = String::new();
    let mut failed = false;
    while let Ok(facts) = inbox.recv() {
        // Only the newest counts.
        let facts = inbox.try_iter().last().unwrap_or(facts);
        let begun = Instant::now();
        let kept = place.keep(&facts, &mut stored);
        let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        took.store(micros, Ordering::Relaxed);
        match kept {
            Ok(()) => failed = false,
            Err(error) if failed => debug!(op = "remember", %error),
            Err(error) => {
                let folder = place.folder.display();
                error!(op = "remember", %folder, %error, "what is known cannot be kept");
                failed = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::facts::tests::mk_facts;
    use super::*;

    fn mk_place(folder: &Path, boot: &str, node: &str) -> Place {
        let head = Head { boot: boot.to_owned(), node: node.to_owned(), written: 0 };
        Place { folder: folder.to_owned(), head }
    }

    #[test]
    fn what_is_kept_is_recalled_by_the_same_node_in_the_same_boot_only() {
        let folder = tempfile::tempdir().unwrap();
        let place = mk_place(folder.path(), "boot-1", "node1");
        assert_eq!(place.recall(), None);
        let keeper = Keeper::start(place.clone()).unwrap();
        keeper.keep(&Facts::default());
        keeper.keep(&mk_facts());
        drop(keeper);
        assert_eq!(place.recall().map(|memory| memory.facts), Some(mk_facts()));
        assert!(!folder.path().join(NEW).exists());
        let other_boot = mk_place(folder.path(), "boot-2", "node1").load().unwrap_err();
        assert!(matches!(other_boot, MemoryError::OtherBoot { .. }), "{other_boot}");
        let other_node = mk_place(folder.path(), "boot-1", "node2").load().unwrap_err();
        assert!(other_node.to_string().ends_with("last-known is of node node1"), "{other_node}");
    }

    #[test]
    fn what_is_cut_short_is_named_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let place = mk_place(folder.path(), "boot-1", "node1");
        let facts = codec::encode(&mk_facts()).unwrap();
        place.keep(&facts, &mut String::new()).unwrap();
        let path = folder.path().join(FILE);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        let error = place.load().unwrap_err().to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
        assert_eq!(place.recall(), None);
    }
}
