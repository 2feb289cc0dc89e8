//! A bounded queue that coalesces by key: the newest value for a key replaces the one still
//! waiting, and keeps its place. It is how facts reach the one task that owns a piece of state.
//!
//! ```text
//!   Post ──send──▶ [ a:1 ][ b:4 ][ c:2 ] ──recv──▶ Inbox
//!                          ▲ send(b, 4) replaced b:3 in place, at any fill level
//! ```
//!
//! It is not a channel of events: a reader sees the newest value per key, not every value.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::Hash;
use std::pin::pin;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Makes a queue for at most `capacity` keys (at least one).
pub fn inbox<K, V>(capacity: usize) -> (Post<K, V>, Inbox<K, V>) {
    let shared = Arc::new(Shared {
        queue: Mutex::new(Queue {
            order: VecDeque::new(),
            values: HashMap::new(),
            posts: 1,
            reader: true,
        }),
        capacity: capacity.max(1),
        arrived: Notify::new(),
        left: Notify::new(),
    });
    (Post { shared: Arc::clone(&shared) }, Inbox { shared })
}

/// The sending half. Cheap to clone; the queue closes when the last clone is gone.
pub struct Post<K, V> {
    shared: Arc<Shared<K, V>>,
}

/// The one receiving half.
pub struct Inbox<K, V> {
    shared: Arc<Shared<K, V>>,
}

/// Why a value was not taken; it comes back to the sender.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum Undelivered<K, V> {
    /// As many keys wait as the queue holds, and this is a new one.
    #[error("the inbox is full")]
    Full(K, V),
    /// The reader is gone.
    #[error("the inbox is closed")]
    Closed(K, V),
}

struct Shared<K, V> {
    queue: Mutex<Queue<K, V>>,
    capacity: usize,
    /// Wakes the reader.
    arrived: Notify,
    /// Wakes senders that wait for a place.
    left: Notify,
}

struct Queue<K, V> {
    order: VecDeque<K>,
    values: HashMap<K, V>,
    posts: usize,
    reader: bool,
}

impl<K: Clone + Eq + Hash, V> Post<K, V> {
    /// Puts `value` in the queue and waits while it is full. Returns `false` when the reader is
    /// gone and nothing was delivered.
    pub async fn send(&self, key: K, value: V) -> bool {
        let (mut key, mut value) = (key, value);
        loop {
            let mut left = pin!(self.shared.left.notified());
            // Registered before looking, so that a place freed in between is not missed.
            left.as_mut().enable();
            match self.try_send(key, value) {
                Ok(()) => return true,
                Err(Undelivered::Closed(..)) => return false,
                Err(Undelivered::Full(k, v)) => (key, value) = (k, v),
            }
            left.await;
        }
    }

    /// Puts `value` in the queue if there is a place for it now. A key that waits already always
    /// has a place.
    pub fn try_send(&self, key: K, value: V) -> Result<(), Undelivered<K, V>> {
        let mut queue = self.shared.queue.lock();
        if !queue.reader {
            return Err(Undelivered::Closed(key, value));
        }
        if let Some(waiting) = queue.values.get_mut(&key) {
            *waiting = value;
            return Ok(());
        }
        if queue.order.len() >= self.shared.capacity {
            return Err(Undelivered::Full(key, value));
        }
        queue.order.push_back(key.clone());
        queue.values.insert(key, value);
        drop(queue);
        self.shared.arrived.notify_one();
        Ok(())
    }
}

impl<K, V> Clone for Post<K, V> {
    fn clone(&self) -> Self {
        self.shared.queue.lock().posts += 1;
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<K, V> Drop for Post<K, V> {
    fn drop(&mut self) {
        let mut queue = self.shared.queue.lock();
        queue.posts -= 1;
        if queue.posts == 0 {
            drop(queue);
            self.shared.arrived.notify_one();
        }
    }
}

impl<K: Eq + Hash, V> Inbox<K, V> {
    /// The oldest key with its newest value; waits for one. `None` when every [`Post`] is gone and
    /// the queue is empty. Cancel safe.
    pub async fn recv(&mut self) -> Option<(K, V)> {
        loop {
            {
                let mut queue = self.shared.queue.lock();
                if let Some(next) = queue.pop() {
                    drop(queue);
                    self.shared.left.notify_waiters();
                    return Some(next);
                }
                if queue.posts == 0 {
                    return None;
                }
            }
            self.shared.arrived.notified().await;
        }
    }

    /// Waits for one entry, then takes whatever else is there, at most `max` in all. Empty when
    /// every [`Post`] is gone and the queue is empty. Cancel safe.
    pub async fn recv_ready(&mut self, max: usize) -> Vec<(K, V)> {
        let Some(first) = self.recv().await else { return Vec::new() };
        let mut batch = vec![first];
        while batch.len() < max {
            let Some(next) = self.try_recv() else { break };
            batch.push(next);
        }
        batch
    }

    /// The oldest key with its newest value, if one is there now.
    pub fn try_recv(&mut self) -> Option<(K, V)> {
        let next = self.shared.queue.lock().pop()?;
        self.shared.left.notify_waiters();
        Some(next)
    }
}

impl<K, V> Drop for Inbox<K, V> {
    fn drop(&mut self) {
        let mut queue = self.shared.queue.lock();
        queue.reader = false;
        let waiting = (std::mem::take(&mut queue.order), std::mem::take(&mut queue.values));
        drop(queue);
        drop(waiting);
        self.shared.left.notify_waiters();
    }
}

impl<K: Eq + Hash, V> Queue<K, V> {
    fn pop(&mut self) -> Option<(K, V)> {
        let key = self.order.pop_front()?;
        self.values.remove_entry(&key)
    }
}

impl<K, V> fmt::Debug for Post<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post").field("capacity", &self.shared.capacity).finish_non_exhaustive()
    }
}

impl<K, V> fmt::Debug for Inbox<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("capacity", &self.shared.capacity).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn newest_value_takes_the_place_of_the_waiting_one() {
        let (post, mut inbox) = inbox(8);
        for (key, value) in [("a", 1), ("b", 1), ("c", 1), ("a", 2), ("b", 2)] {
            assert!(post.send(key, value).await);
        }
        assert_eq!(inbox.recv_ready(10).await, [("a", 2), ("b", 2), ("c", 1)]);
    }

    #[tokio::test]
    async fn key_that_was_taken_queues_again_at_the_end() {
        let (post, mut inbox) = inbox(8);
        post.send("a", 1).await;
        post.send("b", 1).await;
        assert_eq!(inbox.recv().await, Some(("a", 1)));
        post.send("a", 2).await;
        assert_eq!(inbox.recv_ready(10).await, [("b", 1), ("a", 2)]);
    }

    #[tokio::test]
    async fn full_inbox_refuses_new_keys_and_takes_known_ones() {
        let (post, mut inbox) = inbox(2);
        assert_eq!(post.try_send("a", 1), Ok(()));
        assert_eq!(post.try_send("b", 1), Ok(()));
        assert_eq!(post.try_send("c", 1), Err(Undelivered::Full("c", 1)));
        assert_eq!(post.try_send("b", 2), Ok(()));
        assert_eq!(inbox.recv_ready(1).await, [("a", 1)]);
        assert_eq!(inbox.recv_ready(9).await, [("b", 2)]);
    }

    #[tokio::test(start_paused = true)]
    async fn senders_wait_for_a_place_and_none_is_forgotten() {
        let (post, mut inbox) = inbox(1);
        post.send(0, 0).await;
        let senders: Vec<_> = (1..=5)
            .map(|key| {
                let post = post.clone();
                tokio::spawn(async move { post.send(key, key).await })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(senders.iter().all(|sender| !sender.is_finished()));
        drop(post);
        let mut taken = Vec::new();
        while let Some((key, _)) = inbox.recv().await {
            taken.push(key);
        }
        taken.sort_unstable();
        assert_eq!(taken, [0, 1, 2, 3, 4, 5]);
        for sender in senders {
            assert!(sender.await.unwrap());
        }
    }

    #[tokio::test]
    async fn reader_gone_wakes_waiting_senders() {
        let (post, inbox) = inbox(1);
        post.send("a", 1).await;
        let waiting = {
            let post = post.clone();
            tokio::spawn(async move { post.send("b", 1).await })
        };
        tokio::task::yield_now().await;
        drop(inbox);
        assert!(!waiting.await.unwrap());
        assert_eq!(post.try_send("a", 2), Err(Undelivered::Closed("a", 2)));
    }

    #[tokio::test]
    async fn last_post_gone_ends_the_reader_after_what_waits() {
        let (post, mut inbox) = inbox(4);
        let second = post.clone();
        post.send("a", 1).await;
        drop(post);
        assert_eq!(inbox.recv().await, Some(("a", 1)));
        let reader = tokio::spawn(async move { inbox.recv().await });
        tokio::task::yield_now().await;
        assert!(!reader.is_finished());
        drop(second);
        assert_eq!(reader.await.unwrap(), None);
    }
}
