//! The end of a log that a process of the lab is writing.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use ferrolb_lab::{Error, FOLDER, Result};

use crate::cluster::broken;

/// How often it is looked at: the error of every moment taken here.
const PERIOD: Duration = Duration::from_micros(500);

/// Reads on from where it began.
#[derive(Debug)]
pub(crate) struct Tail {
    file: File,
    /// What is read and not yet looked at.
    text: String,
}

impl Tail {
    /// Begins behind what the process of that name has written so far.
    pub(crate) fn of(process: &str) -> Result<Self> {
        let path = Path::new(FOLDER).join("logs").join(process);
        let name = path.display().to_string();
        let mut file = File::open(path).map_err(Error::io(&name))?;
        file.read_to_string(&mut String::new()).map_err(Error::io(name))?;
        Ok(Self { file, text: String::new() })
    }

    /// The moment a line with all of these words was there.
    pub(crate) fn wait(&mut self, words: &[&str], limit: Duration) -> Result<Instant> {
        let begun = Instant::now();
        loop {
            let now = Instant::now();
            if self.lines()?.any(|line| words.iter().all(|word| line.contains(word))) {
                return Ok(now);
            }
            if begun.elapsed() > limit {
                return Err(broken(format!("nobody wrote {words:?} for {limit:?}")));
            }
            thread::sleep(PERIOD);
        }
    }

    /// The whole lines that were added.
    pub(crate) fn lines(&mut self) -> Result<impl Iterator<Item = String>> {
        self.file.read_to_string(&mut self.text).map_err(Error::io("a log"))?;
        let end = self.text.rfind('\n').map_or(0, |end| end + 1);
        let rest = self.text.split_off(end);
        let whole = std::mem::replace(&mut self.text, rest);
        Ok(whole.lines().map(str::to_owned).collect::<Vec<_>>().into_iter())
    }
}
