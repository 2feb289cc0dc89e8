//! Running a program to its end: bounded in time, with its words in the error.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::tools;

/// What a program left behind.
#[derive(Clone, Debug)]
pub struct Output {
    /// Exit status; `None` after a signal.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

/// A program to run to its end.
#[derive(Clone, Debug)]
pub struct Run {
    argv: Vec<String>,
    input: Option<String>,
    limit: Duration,
}

impl Run {
    /// A run of the program with arguments; ten seconds unless said otherwise.
    pub fn new<S: AsRef<str>>(argv: impl IntoIterator<Item = S>) -> Self {
        let argv = argv.into_iter().map(|word| word.as_ref().to_owned()).collect();
        Self { argv, input: None, limit: Duration::from_secs(10) }
    }

    /// Text for its standard input.
    #[must_use]
    pub fn input(mut self, text: impl Into<String>) -> Self {
        self.input = Some(text.into());
        self
    }

    /// The time it may take.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs in the network namespace of the calling thread; any exit status is an answer.
    pub fn output(&self) -> Result<Output> {
        let mut child = program(&self.argv)
            .stdin(if self.input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(Error::io(self.line()))?;
        if let (Some(mut pipe), Some(input)) = (child.stdin.take(), self.input.clone()) {
            // A program that does not read its input says so by its status.
            thread::spawn(move || pipe.write_all(input.as_bytes()));
        }
        let stdout = drain(child.stdout.take());
        let stderr = drain(child.stderr.take());
        let status = self.wait(&mut child)?;
        Ok(Output {
            code: status.code(),
            stdout: stdout.join().unwrap_or_default(),
            stderr: stderr.join().unwrap_or_default(),
        })
    }

    /// Runs as [`Self::output`] and wants status 0; returns what was written to standard output.
    pub fn success(&self) -> Result<String> {
        let output = self.output()?;
        if output.code == Some(0) {
            return Ok(output.stdout);
        }
        Err(Error::Command {
            command: self.line(),
            status: output
                .code
                .map_or_else(|| "signal".to_owned(), |code| format!("status {code}")),
            stderr: output.stderr.trim().to_owned(),
        })
    }

    fn wait(&self, child: &mut Child) -> Result<std::process::ExitStatus> {
        let deadline = Instant::now() + self.limit;
        let mut pause = Duration::from_micros(500);
        loop {
            if let Some(status) = child.try_wait().map_err(Error::io(self.line()))? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                let _ = child.kill();
                let _ = child.wait();
                return Err(Error::CommandTimeout { command: self.line(), limit: self.limit });
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
        }
    }

    fn line(&self) -> String {
        self.argv.join(" ")
    }
}

/// A command whose program is found also where users' `PATH` does not look.
pub(crate) fn program<S: AsRef<OsStr>>(argv: &[S]) -> Command {
    let name = argv.first().map(|word| word.as_ref().to_os_string()).unwrap_or_default();
    let found = name.to_str().filter(|name| !name.contains('/')).and_then(tools::find);
    let mut command = Command::new(found.map_or(name, Into::into));
    command.args(argv.iter().skip(1));
    command
}

fn drain<R: Read + Send + 'static>(pipe: Option<R>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_returns_the_output() {
        assert_eq!(Run::new(["cat"]).input("a word").success().unwrap(), "a word");
    }

    #[test]
    fn an_error_has_the_command_and_its_words() {
        let error = Run::new(["sh", "-c", "echo no luck >&2; exit 3"]).success().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`sh -c echo no luck >&2; exit 3` failed (status 3): no luck"
        );
    }

    #[test]
    fn a_run_that_takes_too_long_is_ended() {
        let run = Run::new(["sleep", "60"]).limit(Duration::from_millis(50));
        assert!(matches!(run.output(), Err(Error::CommandTimeout { .. })));
    }
}
