//! What waits to be gossiped: one message per node it is about, each sent a limited number of times.

use std::cmp::Reverse;
use std::sync::Arc;

#[derive(Clone, Debug, Default)]
pub(crate) struct Broadcasts {
    queue: Vec<Broadcast>,
    queued: u64,
}

#[derive(Clone, Debug)]
struct Broadcast {
    about: Arc<str>,
    message: Vec<u8>,
    sent: u32,
    order: u64,
}

impl Broadcasts {
    /// Queues a message; an older one about the same node is void.
    pub(crate) fn push(&mut self, about: Arc<str>, message: Vec<u8>) {
        self.queue.retain(|waiting| waiting.about != about);
        self.queued += 1;
        self.queue.push(Broadcast { about, message, sent: 0, order: self.queued });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn contains(&self, about: &str) -> bool {
        self.queue.iter().any(|waiting| &*waiting.about == about)
    }

    /// Messages for one datagram with room for `room` bytes, `overhead` of them for each message:
    /// those sent least first, among them the largest that fit, newest first. What was sent `limit`
    /// times is dropped.
    pub(crate) fn take(&mut self, mut room: usize, overhead: usize, limit: u32) -> Vec<Vec<u8>> {
        if self.queue.is_empty() {
            return Vec::new();
        }
        self.queue.sort_unstable_by_key(|waiting| {
            (waiting.sent, Reverse(waiting.message.len()), Reverse(waiting.order))
        });
        let mut taken = Vec::new();
        self.queue.retain_mut(|waiting| {
            let cost = waiting.message.len() + overhead;
            if cost > room || taken.len() == 254 {
                return true;
            }
            room -= cost;
            taken.push(waiting.message.clone());
            waiting.sent += 1;
            waiting.sent < limit
        });
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::Broadcasts;

    fn mk_queue(messages: &[(&str, &[u8])]) -> Broadcasts {
        let mut queue = Broadcasts::default();
        for (about, message) in messages {
            queue.push((*about).into(), message.to_vec());
        }
        queue
    }

    #[test]
    fn a_newer_message_about_a_node_voids_the_older() {
        let mut queue = mk_queue(&[("a", b"old"), ("b", b"bb"), ("a", b"new")]);
        assert_eq!(queue.take(100, 2, 4), [b"new".to_vec(), b"bb".to_vec()]);
    }

    #[test]
    fn least_sent_then_largest_then_newest() {
        let mut queue = mk_queue(&[("a", b"1"), ("b", b"22"), ("c", b"3")]);
        assert_eq!(queue.take(4, 2, 4), [b"22".to_vec()]);
        assert_eq!(queue.take(6, 2, 4), [b"3".to_vec(), b"1".to_vec()]);
        assert_eq!(queue.take(3, 2, 4), [b"3".to_vec()]);
    }

    #[test]
    fn each_is_sent_up_to_its_limit() {
        let mut queue = mk_queue(&[("a", b"1")]);
        for _ in 0..3 {
            assert!(queue.contains("a"));
            assert_eq!(queue.take(100, 2, 3).len(), 1);
        }
        assert!(queue.is_empty());
    }
}
