//! The walls around a lab: namespaces of its own for mounts, network and processes.
//!
//! The program starts itself a second time as the first process of those namespaces. Nothing the
//! lab makes exists outside of them, so there is nothing to clean up: when that process is gone,
//! however it went, the kernel kills what it started and removes links, rules, mounts and files.
//!
//! ```text
//! ferrolb lab demo ──▶ setpriv --pdeathsig KILL ──▶ unshare --kill-child ──▶ ferrolb lab demo
//!   waits, gives on      dies with its parent          dies with setpriv       process 1 inside,
//!   the exit status                                    and kills its child     a fresh /run
//! ```

use std::fs;
use std::process::ExitCode;

use crate::command::{self, Run};
use crate::error::{Error, Result};
use crate::tools;

/// Names the lab to its first process, and that process to whoever looks for the lab.
pub(crate) const NAME_VARIABLE: &str = "FERROLB_LAB";

/// On which side of the walls the caller is.
#[derive(Debug)]
pub enum Side {
    /// Inside: build the lab.
    Inside,
    /// Outside, and the inside has ended with this status: there is nothing left to do.
    Ended(ExitCode),
}

/// Starts this program again inside a sandbox of that name and waits for it; inside, prepares the
/// sandbox and returns at once. Call it first thing, before any thread is started.
pub fn enter(name: &str) -> Result<Side> {
    if is_inside() {
        return prepare().map(|()| Side::Inside);
    }
    tools::check()?;
    let user = if rustix::process::geteuid().is_root() { User::Root } else { User::Mapped };
    user.probe()?;
    let program = std::env::current_exe().map_err(Error::io("own program"))?;
    let mut argv: Vec<_> = ["setpriv", "--pdeathsig", "KILL", "--"].map(Into::into).into();
    argv.extend(user.unshare().into_iter().map(Into::into));
    argv.push("--".into());
    argv.push(program.into_os_string());
    argv.extend(std::env::args_os().skip(1));
    let status = command::program(&argv)
        .env(NAME_VARIABLE, name)
        .status()
        .map_err(Error::io("starting the sandbox"))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(Side::Ended(ExitCode::from(code)))
}

/// Whether this is the first process of a sandbox.
pub fn is_inside() -> bool {
    std::env::var_os(NAME_VARIABLE).is_some() && std::process::id() == 1
}

fn prepare() -> Result<()> {
    Run::new(["mount", "-t", "tmpfs", "-o", "mode=755", "ferrolb-lab", "/run"]).success()?;
    Run::new(["ip", "link", "set", "lo", "up"]).success()?;
    Ok(())
}

/// Who starts the lab.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum User {
    /// Root of the machine (or of a container that may make namespaces).
    Root,
    /// Anybody else: root only inside a user namespace of its own.
    Mapped,
}

impl User {
    fn unshare(self) -> Vec<&'static str> {
        let mut argv = vec!["unshare"];
        if self == Self::Mapped {
            argv.extend(["--user", "--map-root-user"]);
            if has_subordinate_ids() {
                argv.push("--map-auto");
            }
        }
        argv.extend([
            "--mount",
            "--net",
            "--pid",
            "--fork",
            "--kill-child=SIGKILL",
            "--mount-proc",
        ]);
        argv
    }

    /// Tries the namespaces with a program that does nothing, so that a refusal gets an explanation
    /// and not a stranger's error message.
    fn probe(self) -> Result<()> {
        let mut argv = self.unshare();
        argv.extend(["--", "true"]);
        let output = Run::new(&argv).output()?;
        if output.code == Some(0) {
            return Ok(());
        }
        let words = output.stderr.trim().to_owned();
        let restricted =
            fs::read_to_string("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
                .is_ok_and(|value| value.trim() == "1");
        Err(Error::Namespaces(match self {
            Self::Root => format!(
                "this root may not make namespaces ({words}); a container needs CAP_SYS_ADMIN and CAP_NET_ADMIN for the lab"
            ),
            Self::Mapped if restricted => format!(
                "AppArmor keeps users from making namespaces here ({words}): run the lab with sudo, or allow it with `sysctl kernel.apparmor_restrict_unprivileged_userns=0`"
            ),
            Self::Mapped => {
                format!(
                    "the kernel refuses namespaces to users here ({words}): run the lab with sudo"
                )
            }
        }))
    }
}

/// Whether more than one user id can be had inside, so that the controller runs as the user its
/// manifest names.
fn has_subordinate_ids() -> bool {
    let user = std::env::var("USER").unwrap_or_default();
    let uid = rustix::process::getuid().as_raw().to_string();
    tools::find("newuidmap").is_some()
        && fs::read_to_string("/etc/subuid").is_ok_and(|text| {
            text.lines()
                .filter_map(|line| line.split(':').next())
                .any(|who| who == user || who == uid)
        })
}
