//! A process on the real library, as upstream's speaker uses it. Tests of the speaker have it too.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// A running peer; it is killed when dropped.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    child: Child,
    input: ChildStdin,
    lines: Arc<Mutex<Vec<String>>>,
}

/// The program, or none if Go is missing where that is allowed.
pub(crate) fn program() -> Option<PathBuf> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/memberlist");
    let built = Command::new(script).stderr(Stdio::piped()).output();
    let why = match built {
        Ok(output) if output.status.success() => {
            let folder = String::from_utf8(output.stdout).unwrap();
            return Some(PathBuf::from(folder.trim()).join("memberlist-peer"));
        }
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    let go = Command::new("go").arg("version").output().is_ok();
    assert!(!go && env::var_os("CI").is_none(), "no peer: {why}");
    eprintln!("skipped: {}", why.trim());
    None
}

impl Peer {
    pub(crate) fn start(name: &str, ip: &str, flags: &[&str]) -> Option<Self> {
        let mut child = Command::new(program()?)
            .args(["serve", "-name", name, "-bind", ip])
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let lines = Arc::new(Mutex::new(Vec::new()));
        let collected = lines.clone();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                collected.lock().unwrap().push(line);
            }
        });
        let address = SocketAddr::from(([0; 4], 0));
        let mut peer = Self { address, child, input, lines };
        let ready = peer.wait("ready ", 10.0);
        peer.address = ready["ready ".len()..].parse().unwrap();
        Some(peer)
    }

    /// Names of its members, as it says now.
    pub(crate) fn names(&mut self) -> Vec<String> {
        let asked = self.lines.lock().unwrap().len();
        self.tell("members");
        let answer = || {
            let lines = self.lines.lock().unwrap();
            lines[asked..].iter().find(|line| line.starts_with("members ")).cloned()
        };
        assert!(within(10.0, || answer().is_some()), "no members");
        let answer = answer().unwrap();
        answer
            .split(' ')
            .skip(1)
            .filter_map(|one| Some(one.split_once('=')?.0.to_owned()))
            .collect()
    }

    /// Whether a line with that text was printed.
    pub(crate) fn said(&self, text: &str) -> Option<String> {
        self.said_all(text).into_iter().next()
    }

    /// Its lines that have this in them.
    pub(crate) fn said_all(&self, text: &str) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        lines.iter().filter(|line| line.contains(text)).cloned().collect()
    }

    pub(crate) fn wait(&self, text: &str, seconds: f64) -> String {
        assert!(
            within(seconds, || self.said(text).is_some()),
            "no {text:?} in {:#?}",
            self.lines.lock().unwrap()
        );
        self.said(text).unwrap()
    }

    pub(crate) fn tell(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }
}

/// Whether `done` within so many seconds.
pub(crate) fn within(seconds: f64, mut done: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    loop {
        if done() {
            return true;
        }
        if Instant::now() > until {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
