//! A process on the real library, as upstream's speaker uses it.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::{env, thread};

/// A running peer; it is killed when dropped.
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    child: Child,
    input: ChildStdin,
    lines: Arc<Mutex<Vec<String>>>,
}

/// The program, or none if Go is missing where that is allowed.
fn program() -> Option<PathBuf> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/memberlist");
    let why = match Command::new(script).stderr(Stdio::piped()).output() {
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
    pub(super) fn start(
        name: &str,
        ip: &str,
        port: u16,
        secret: Option<&str>,
        flags: &[&str],
    ) -> Option<Self> {
        let mut child = Command::new(program()?)
            .args(["serve", "-quick", "-name", name, "-bind", ip, "-port", &port.to_string()])
            .args(["-secret", secret.unwrap_or_default()])
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
        let peer = Self { address: super::mk_address(ip), child, input, lines };
        peer.wait("ready ");
        Some(peer)
    }

    /// Names of its members, as it says now.
    pub(super) fn names(&mut self) -> Vec<String> {
        let asked = self.lines.lock().unwrap().len();
        writeln!(self.input, "members").unwrap();
        let answer = || {
            let lines = self.lines.lock().unwrap();
            lines[asked..].iter().find(|line| line.starts_with("members ")).cloned()
        };
        super::within("members", answer, Option::is_some);
        let answer = answer().unwrap();
        let words = answer.split(' ').skip(1);
        words.filter_map(|one| Some(one.split_once('=')?.0.to_owned())).collect()
    }

    /// Whether a line with that text was printed.
    pub(super) fn said(&self, text: &str) -> bool {
        self.lines.lock().unwrap().iter().any(|line| line.contains(text))
    }

    pub(super) fn wait(&self, text: &str) {
        super::within(text, || self.said(text), |said| *said);
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
