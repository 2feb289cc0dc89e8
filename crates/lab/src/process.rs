//! A long-running process on a host: started, watched, signalled, started again.

use std::fs::{self, File, OpenOptions};
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

use crate::command;
use crate::confinement::Confinement;
use crate::error::{Error, Result};
use crate::host::Host;

/// What to start and where.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Its name in the lab, e.g. `speaker-node1`.
    pub name: String,
    /// The host it runs on.
    pub host: Host,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Its whole environment.
    pub environment: Vec<(String, String)>,
    /// Its user, capabilities and root; the lab's own programs have none and run as the lab does.
    pub confinement: Option<Confinement>,
    /// Where its output goes.
    pub log: PathBuf,
}

/// A process of the lab. Dropping it ends it.
#[derive(Debug)]
pub struct Process {
    spec: Spec,
    child: Mutex<Child>,
}

impl Process {
    /// Starts it.
    pub fn start(spec: Spec) -> Result<Self> {
        let child = Mutex::new(spawn(&spec)?);
        Ok(Self { spec, child })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// The host it runs on.
    pub fn host(&self) -> &Host {
        &self.spec.host
    }

    /// Its number in the lab's process namespace.
    pub fn pid(&self) -> u32 {
        self.child.lock().id()
    }

    /// How it ended; `None` while it runs.
    pub fn ended(&self) -> Result<Option<ExitStatus>> {
        self.child.lock().try_wait().map_err(Error::io(self.name()))
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        // The lock keeps the number ours: a child is reaped under it only.
        let mut child = self.child.lock();
        if child.try_wait().map_err(Error::io(self.name()))?.is_some() {
            return Ok(());
        }
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        pid.map_or(Ok(()), |pid| kill_process(pid, signal))
            .map_err(|errno| Error::io(format!("{signal:?} to {}", self.name()))(errno.into()))
    }

    /// Kills it as a crash would.
    pub fn kill(&self) -> Result<()> {
        let mut child = self.child.lock();
        let _ = child.kill();
        child.wait().map(drop).map_err(Error::io(self.name()))
    }

    /// Asks it to end as kubelet does: SIGTERM, and SIGKILL after the grace. Returns how it ended
    /// and how long that took.
    pub fn terminate(&self, grace: Duration) -> Result<(ExitStatus, Duration)> {
        let start = Instant::now();
        self.signal(Signal::TERM)?;
        while start.elapsed() < grace {
            if let Some(status) = self.ended()? {
                return Ok((status, start.elapsed()));
            }
            thread::sleep(Duration::from_millis(1));
        }
        let mut child = self.child.lock();
        let _ = child.kill();
        let status = child.wait().map_err(Error::io(self.name()))?;
        Ok((status, start.elapsed()))
    }

    /// Starts it again after it has ended, or ends it first.
    pub fn restart(&self) -> Result<()> {
        let mut child = self.child.lock();
        let _ = child.kill();
        child.wait().map_err(Error::io(self.name()))?;
        *child = spawn(&self.spec)?;
        Ok(())
    }

    /// Everything it has written.
    pub fn log(&self) -> String {
        fs::read(&self.spec.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// An error if it no longer runs.
    pub fn expect_running(&self) -> Result<()> {
        let Some(status) = self.ended()? else { return Ok(()) };
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(12)..].join("\n");
        Err(Error::Ended { name: self.name().to_owned(), status: status.to_string(), log: tail })
    }

    /// Its resident memory in bytes.
    pub fn resident(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.pid());
        let status = fs::read_to_string(&path).map_err(Error::io(&path))?;
        let kilobytes = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        Ok(kilobytes.unwrap_or_default() * 1024)
    }

    /// Processor time it has used so far, user and system together.
    pub fn cpu(&self) -> Result<Duration> {
        let path = format!("/proc/{}/stat", self.pid());
        let stat = fs::read_to_string(&path).map_err(Error::io(&path))?;
        // Fields 14 and 15 of proc_pid_stat(5), counted behind the name, which may hold spaces.
        let fields = stat.rsplit_once(") ").map(|(_, rest)| rest).unwrap_or_default();
        let ticks: u64 =
            fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        let per_second = rustix::param::clock_ticks_per_second().max(1);
        Ok(Duration::from_millis(ticks * 1000 / per_second))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let child = self.child.get_mut();
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn spawn(spec: &Spec) -> Result<Child> {
    let context = || Error::io(format!("starting {}", spec.name));
    let log = open_log(spec).map_err(context())?;
    let errors = log.try_clone().map_err(context())?;
    let argv = match &spec.confinement {
        Some(confinement) => confinement.wrap(&spec.argv),
        None => spec.argv.clone(),
    };
    spec.host.netns.inside(|| {
        command::program(&argv)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .envs(spec.environment.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(context())
    })?
}

/// Appends, so that a restart does not hide why the process ended before.
fn open_log(spec: &Spec) -> std::io::Result<File> {
    if let Some(folder) = spec.log.parent() {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new().create(true).append(true).open(&spec.log)
}
