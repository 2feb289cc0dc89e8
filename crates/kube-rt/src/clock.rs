//! The wall clock: what time it is for people and certificates.
//!
//! Intervals are never measured with it. It is passed in wherever it is read, so that a test can
//! step it.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

/// Tells the time of day. Cheap to clone.
#[derive(Clone)]
pub struct WallClock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl WallClock {
    /// The clock of this host.
    pub fn system() -> Self {
        Self::from_fn(Timestamp::now)
    }

    /// A clock that shows what `read` answers.
    pub fn from_fn(read: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// What it shows.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WallClock").field(&self.now()).finish()
    }
}

/// A clock that tests set: what it shows is `start` and what was added to it.
#[cfg(test)]
#[derive(Clone, Default)]
pub(crate) struct SetClock(Arc<std::sync::atomic::AtomicI64>);

#[cfg(test)]
impl SetClock {
    /// The clock that others read.
    pub(crate) fn clock(&self, start: Timestamp) -> WallClock {
        let seconds = Arc::clone(&self.0);
        WallClock::from_fn(move || {
            let seconds = seconds.load(std::sync::atomic::Ordering::Relaxed);
            start + jiff::SignedDuration::from_secs(seconds)
        })
    }

    /// Sets it this many days off.
    pub(crate) fn set_days(&self, days: i64) {
        self.0.store(days * 24 * 60 * 60, std::sync::atomic::Ordering::Relaxed);
    }
}
