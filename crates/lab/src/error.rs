//! What can go wrong while a lab is built and used, worded for the person who started it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// What the lab's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A lab could not be built, entered or used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Programs the lab drives are not installed.
    #[error("the lab needs {programs}; on Debian and Ubuntu: apt-get install {packages}")]
    Tools {
        /// The programs.
        programs: String,
        /// The packages that bring them.
        packages: String,
    },
    /// The kernel or the machine's policy refuses namespaces to this user.
    #[error("{0}")]
    Namespaces(String),
    /// A system call or a file failed.
    #[error("{context}: {source}")]
    Io {
        /// What was being done, with the name it was done to.
        context: String,
        /// What the system answered.
        source: io::Error,
    },
    /// A program ended with another status than 0.
    #[error("`{command}` failed ({status}): {stderr}")]
    Command {
        /// The program and its arguments.
        command: String,
        /// Its exit status.
        status: String,
        /// What it wrote to standard error.
        stderr: String,
    },
    /// A program ran longer than it was given.
    #[error("`{command}` did not end within {limit:?}")]
    CommandTimeout {
        /// The program and its arguments.
        command: String,
        /// The time it had.
        limit: Duration,
    },
    /// A process of the lab ended although it should still run.
    #[error("{name} ended by itself ({status}); the end of its log:\n{log}")]
    Ended {
        /// The process' name in the lab.
        name: String,
        /// How it ended.
        status: String,
        /// Its last lines.
        log: String,
    },
    /// Something waited for did not come true.
    #[error("{what}: not within {limit:?}; last seen: {last}")]
    Waited {
        /// What was waited for.
        what: String,
        /// How long.
        limit: Duration,
        /// What was there instead.
        last: String,
    },
    /// The API server refused a request.
    #[error("{request}: {message}")]
    Api {
        /// Method and path.
        request: String,
        /// The server's words.
        message: String,
    },
    /// A manifest could not be read.
    #[error("manifest: {0}")]
    Manifest(String),
    /// A name nothing in this lab has.
    #[error("no {kind} is called {name:?}; there are: {known}")]
    Unknown {
        /// Host, process, lab.
        kind: &'static str,
        /// The name asked for.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// The real Kubernetes programs are not where they were said to be.
    #[error(
        "no {program} in {folder}; `scripts/kubernetes` builds the programs and prints their folder, which goes into FERROLB_KUBERNETES"
    )]
    Kubernetes {
        /// The missing program.
        program: &'static str,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// There is a lab of that name already.
    #[error("a lab called {0:?} is running; `ferrolb lab down` ends it, `--name` names another")]
    NameTaken(String),
    /// A certificate could not be made.
    #[error("certificate: {0}")]
    Certificate(String),
    /// A step of a scenario did not show what it should.
    #[error("{0}")]
    Story(String),
}

impl Error {
    /// An [`Error::Io`] that says what was being done.
    pub fn io(context: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let context = context.into();
        move |source| Self::Io { context, source }
    }

    /// An [`Error::Unknown`] that lists the names that do exist.
    pub fn unknown<'a>(
        kind: &'static str,
        name: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let known: Vec<_> = known.into_iter().collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Self::Unknown { kind, name: name.to_owned(), known }
    }
}
