//! The programs of the machine that the lab drives, and the Debian packages that bring them.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A program and the Debian or Ubuntu package it comes with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Tool {
    /// The program.
    pub(crate) program: &'static str,
    /// The package.
    pub(crate) package: &'static str,
}

const NEEDED: [Tool; 8] = [
    Tool { program: "ip", package: "iproute2" },
    Tool { program: "nft", package: "nftables" },
    Tool { program: "setpriv", package: "util-linux" },
    Tool { program: "unshare", package: "util-linux" },
    Tool { program: "nsenter", package: "util-linux" },
    Tool { program: "mount", package: "mount" },
    Tool { program: "chroot", package: "coreutils" },
    Tool { program: "curl", package: "curl" },
];

/// Looks for every program the lab needs; the error names all that are missing.
pub(crate) fn check() -> Result<()> {
    let missing: Vec<_> = NEEDED.into_iter().filter(|tool| find(tool.program).is_none()).collect();
    if missing.is_empty() { Ok(()) } else { Err(refuse(&missing)) }
}

fn refuse(missing: &[Tool]) -> Error {
    let programs: Vec<_> = missing.iter().map(|tool| tool.program).collect();
    let mut packages: Vec<_> = missing.iter().map(|tool| tool.package).collect();
    packages.sort_unstable();
    packages.dedup();
    Error::Tools { programs: programs.join(", "), packages: packages.join(" ") }
}

/// Where a program is, by `PATH` and the system folders that users' `PATH` often lacks.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| is_program(candidate))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_programs_and_packages_once() {
        let error = refuse(&NEEDED[2..5]);
        assert_eq!(
            error.to_string(),
            "the lab needs setpriv, unshare, nsenter; on Debian and Ubuntu: apt-get install util-linux"
        );
    }

    #[test]
    fn finds_what_every_machine_has() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program-anywhere").is_none());
    }
}
