//! What the real API server was asked, by its audit log.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use serde_json::Value;

use crate::error::{Error, Result};
use crate::lab::AUDIT_LOG;

/// Reads on in the log of one lab.
#[derive(Debug, Default)]
pub struct AuditLog {
    read: u64,
    /// A line whose end was not written yet.
    rest: String,
}

impl AuditLog {
    /// The events since the last time.
    pub fn read_on(&mut self) -> Result<Vec<Value>> {
        let failed = || Error::io(AUDIT_LOG);
        let mut file = File::open(AUDIT_LOG).map_err(failed())?;
        file.seek(SeekFrom::Start(self.read)).map_err(failed())?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed())?;
        self.read += bytes.len() as u64;
        let text = std::mem::take(&mut self.rest) + &String::from_utf8_lossy(&bytes);
        let (lines, rest) = text.rsplit_once('\n').unwrap_or(("", &text));
        rest.clone_into(&mut self.rest);
        Ok(lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }
}
