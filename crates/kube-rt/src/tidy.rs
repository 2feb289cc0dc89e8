//! Gives memory back after much was taken in: lists, and the writes that follow from them, leave
//! holes in the heap that nobody will ever fill again.
//!
//! The reader of an inbox says how much it took; it does not matter what.

use std::time::Duration;

use ferrolb_sys::{map_large_pieces, trim_heap};
use tokio::time::Instant;

/// So many entries make it worth the milliseconds that it takes at once.
const MUCH: usize = 500;
/// Time for what follows from them.
const PAUSE: Duration = Duration::from_secs(1);
/// Time for more to come after fewer.
const LONG_PAUSE: Duration = Duration::from_secs(5);

/// When the heap is to be tidied up.
#[derive(Debug)]
pub struct Tidy {
    taken: usize,
    due: Option<Instant>,
}

impl Tidy {
    /// Nothing was taken in yet. From now on large pieces of memory go back as soon as they are free.
    pub fn begin() -> Self {
        map_large_pieces();
        Self { taken: 0, due: None }
    }

    /// So many entries were taken in.
    pub fn took(&mut self, entries: usize) {
        if entries == 0 {
            return;
        }
        self.taken += entries;
        let due = Instant::now() + if self.taken >= MUCH { PAUSE } else { LONG_PAUSE };
        self.due = Some(self.due.map_or(due, |known| known.min(due)));
    }

    /// When [`Self::tidy_up`] has something to do.
    pub const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Gives free memory back.
    pub fn tidy_up(&mut self) {
        (self.taken, self.due) = (0, None);
        trim_heap();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_due_a_while_after_much_came_and_later_after_little() {
        let mut tidy = Tidy::begin();
        tidy.took(0);
        assert_eq!(tidy.due(), None);
        let later = Some(Instant::now() + LONG_PAUSE);
        tidy.took(MUCH - 1);
        assert_eq!(tidy.due(), later);
        let soon = Some(Instant::now() + PAUSE);
        tidy.took(1);
        assert_eq!(tidy.due(), soon);
        tokio::time::advance(PAUSE / 2).await;
        tidy.took(MUCH);
        assert_eq!(tidy.due(), soon);
        tidy.tidy_up();
        assert_eq!(tidy.due(), None);
    }
}
