//! Gives memory back after much was taken in: lists, and the writes that follow from them, leave
//! holes in the heap that nobody will ever fill again.
//!
//! The reader of an inbox says how much it took; it does not matter what.

use std::time::Duration;

use ferrolb_sys::{map_large_pieces, trim_heap};
use tokio::time::Instant;

/// So many entries make it worth the milliseconds that it takes.
const MUCH: usize = 500;
/// Time for what follows from them.
const PAUSE: Duration = Duration::from_secs(1);

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
        self.taken += entries;
        if self.taken >= MUCH && self.due.is_none() {
            self.due = Some(Instant::now() + PAUSE);
        }
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
    async fn it_is_due_a_while_after_much_came_and_then_not_again() {
        let mut tidy = Tidy::begin();
        tidy.took(MUCH - 1);
        assert_eq!(tidy.due(), None);
        tidy.took(1);
        let due = Some(Instant::now() + PAUSE);
        tokio::time::advance(PAUSE / 2).await;
        tidy.took(MUCH);
        assert_eq!(tidy.due(), due);
        tidy.tidy_up();
        tidy.took(MUCH - 1);
        assert_eq!(tidy.due(), None);
    }
}
