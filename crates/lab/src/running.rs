//! Labs that run on this machine, found and entered from outside.
//!
//! There is no register to go stale: a running lab is a process that is number 1 of its own process
//! namespace and carries the lab's name in its environment.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use crate::command;
use crate::error::{Error, Result};
use crate::lab::{FOLDER, KUBECONFIG, PROGRAMS};
use crate::sandbox::NAME_VARIABLE;

/// A lab somebody else's process holds open.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Running {
    /// Its name.
    pub(crate) name: String,
    /// The first process inside, as numbered outside.
    pid: i32,
}

impl Running {
    /// Every lab this user may look into, by name.
    pub(crate) fn all() -> Result<Vec<Self>> {
        let mut labs = Vec::new();
        for entry in fs::read_dir("/proc").map_err(Error::io("/proc"))?.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let Some(name) = lab_name(pid) else { continue };
            labs.push(Self { name, pid });
        }
        labs.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(labs)
    }

    /// The lab of that name.
    pub(crate) fn find(name: &str) -> Result<Self> {
        let labs = Self::all()?;
        let known: Vec<_> = labs.iter().map(|lab| lab.name.clone()).collect();
        labs.into_iter()
            .find(|lab| lab.name == name)
            .ok_or_else(|| Error::unknown("running lab", name, known.iter().map(String::as_str)))
    }

    /// Becomes a program that runs on one of the lab's hosts, in the caller's folder and with
    /// `KUBECONFIG` set for kubectl; returns only when that fails.
    pub(crate) fn exec(&self, host: &str, argv: &[String]) -> Error {
        let mut words = self.nsenter();
        words.extend(["ip", "netns", "exec", host].map(str::to_owned));
        if let Some(programs) = self.programs() {
            let path = std::env::var("PATH").unwrap_or_default();
            words.extend(["env".to_owned(), format!("PATH={programs}:{path}")]);
        }
        // Below /run the lab has a file system of its own.
        if let Ok(folder) = std::env::current_dir()
            && !folder.starts_with("/run")
        {
            words.extend(["env".to_owned(), format!("--chdir={}", folder.display())]);
        }
        words.extend_from_slice(argv);
        let mut program = command::program(&words);
        Error::io(format!("entering {host}"))(program.env("KUBECONFIG", KUBECONFIG).exec())
    }

    /// The names of its hosts and switches.
    pub(crate) fn hosts(&self) -> Result<Vec<String>> {
        self.names("/run/netns")
    }

    /// The names of the processes that have a log.
    pub(crate) fn logs(&self) -> Result<Vec<String>> {
        self.names(&format!("{FOLDER}/logs"))
    }

    /// What a process has written so far.
    pub(crate) fn log(&self, process: &str) -> Result<String> {
        let known = self.logs()?;
        if !known.iter().any(|name| name == process) {
            return Err(Error::unknown("process", process, known.iter().map(String::as_str)));
        }
        let path = self.path(&format!("{FOLDER}/logs/{process}"));
        fs::read_to_string(&path).map_err(Error::io(path.display().to_string()))
    }

    /// The folder of the real control plane's programs, kubectl among them, if the lab has them.
    fn programs(&self) -> Option<String> {
        fs::read_to_string(self.path(PROGRAMS)).ok()
    }

    fn names(&self, folder: &str) -> Result<Vec<String>> {
        let path = self.path(folder);
        let entries = fs::read_dir(&path).map_err(Error::io(path.display().to_string()))?;
        let mut names: Vec<_> =
            entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        Ok(names)
    }

    /// A file inside, as seen from outside.
    fn path(&self, inside: &str) -> PathBuf {
        format!("/proc/{}/root{inside}", self.pid).into()
    }

    /// Ends the lab; the kernel takes everything in it away.
    pub(crate) fn end(&self) -> Result<()> {
        let context = || Error::io(format!("ending lab {}", self.name));
        let signal = |signal| match Pid::from_raw(self.pid).map(|pid| kill_process(pid, signal)) {
            Some(Err(errno)) if errno != Errno::SRCH => Err(context()(errno.into())),
            _ => Ok(()),
        };
        signal(Signal::TERM)?;
        let patience = Instant::now() + Duration::from_secs(2);
        while lab_name(self.pid).is_some() {
            if Instant::now() >= patience {
                return signal(Signal::KILL);
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn nsenter(&self) -> Vec<String> {
        let mut words = vec!["nsenter".to_owned(), "--target".to_owned(), self.pid.to_string()];
        if !rustix::process::geteuid().is_root() {
            words.push("--user".to_owned());
            words.push("--preserve-credentials".to_owned());
        }
        words.extend(["--mount", "--net", "--pid", "--"].map(str::to_owned));
        words
    }
}

/// The lab a process is the first process of.
fn lab_name(pid: i32) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    let mut numbers = numbers.split_whitespace().rev();
    if numbers.next() != Some("1") || numbers.next().is_none() {
        return None;
    }
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let prefix = format!("{NAME_VARIABLE}=");
    environment
        .split(|byte| *byte == 0)
        .filter_map(|entry| std::str::from_utf8(entry).ok())
        .find_map(|entry| entry.strip_prefix(&prefix).map(str::to_owned))
}
