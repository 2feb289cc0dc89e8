//! A network namespace by name, and running code inside it.

use std::fs::File;
use std::os::fd::AsFd;
use std::panic;
use std::path::PathBuf;
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::command::{Output, Run};
use crate::error::{Error, Result};

/// A network namespace that `ip netns` knows by this name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Netns(String);

impl Netns {
    /// The namespace of that name; it need not exist yet.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Runs a closure on a thread inside the namespace and waits for it. Sockets opened and
    /// processes started there belong to the namespace for all their life.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let handle = self.open()?;
        thread::scope(|scope| {
            let thread = scope.spawn(|| enter(&handle, &self.0).map(|()| work()));
            thread.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked))
        })
    }

    /// Starts a thread of that name inside the namespace.
    pub fn spawn<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<thread::JoinHandle<Result<T>>> {
        let handle = self.open()?;
        let namespace = self.0.clone();
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || enter(&handle, &namespace).map(|()| work()))
            .map_err(Error::io(format!("thread {name}")))
    }

    /// Runs a program in the namespace; any exit status is an answer.
    pub fn output(&self, run: &Run) -> Result<Output> {
        self.inside(|| run.output())?
    }

    /// Runs a program in the namespace and wants status 0.
    pub fn success(&self, run: &Run) -> Result<String> {
        self.inside(|| run.success())?
    }

    /// Writes kernel parameters of the namespace, given below `/proc/sys/net`.
    pub fn sysctl(&self, settings: &[(&str, &str)]) -> Result<()> {
        self.inside(|| {
            for (key, value) in settings {
                let path = PathBuf::from("/proc/sys/net").join(key);
                std::fs::write(&path, value).map_err(Error::io(format!(
                    "{} = {value} in {}",
                    path.display(),
                    self.0
                )))?;
            }
            Ok(())
        })?
    }

    fn open(&self) -> Result<File> {
        File::open(PathBuf::from("/run/netns").join(&self.0))
            .map_err(Error::io(format!("network namespace {}", self.0)))
    }
}

fn enter(handle: &File, name: &str) -> Result<()> {
    move_into_link_name_space(handle.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(|errno| Error::io(format!("entering network namespace {name}"))(errno.into()))
}
