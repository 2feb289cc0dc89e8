//! An address that was left to another node, and whether that node still answers for it.

use std::time::Duration;

use crate::port::Interfaces;

/// How often it is asked for.
const PAUSE: Duration = Duration::from_millis(500);
/// After so long without an answer it is vacant: three questions.
const VACANT: Duration = Duration::from_millis(1500);

#[derive(Debug)]
pub(super) struct Yielded {
    pub(super) interfaces: Interfaces,
    pub(super) next: Duration,
    heard: Duration,
}

impl Yielded {
    pub(super) fn new(now: Duration, interfaces: Interfaces) -> Self {
        Self { interfaces, next: now, heard: now }
    }

    /// A node spoke for it.
    pub(super) fn hear(&mut self, now: Duration) {
        self.heard = now;
    }

    pub(super) fn ask(&mut self, now: Duration) {
        self.next = now + PAUSE;
    }

    pub(super) fn is_vacant(&self, now: Duration) -> bool {
        now >= self.heard + VACANT
    }
}
