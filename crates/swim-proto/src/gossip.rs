//! How what is new spreads: rounds of gossip, and a ride on every ping and ack.

use std::net::SocketAddr;
use std::time::Duration;

use crate::membership::{Membership, Transmit};
use crate::node::State;
use crate::suspicion::retransmit_limit;
use crate::wire::{COMPOUND_OVERHEAD, compound};

impl Membership {
    /// A round, if one is due and there is something to tell.
    pub(crate) fn gossip(&mut self, now: Duration) {
        if now < self.next_gossip || self.broadcasts.is_empty() {
            return;
        }
        self.next_gossip = now + self.config.timing.gossip_interval;
        let forgotten = self.config.timing.gossip_to_the_dead;
        let listeners: Vec<(SocketAddr, bool)> = self
            .nodes
            .iter()
            .filter(|(name, node)| {
                let listens = match node.state {
                    State::Alive | State::Suspect => true,
                    // It may live and refute.
                    State::Dead => !node.is_forgettable(now, forgotten),
                    State::Left => false,
                };
                listens && **name != self.config.name
            })
            .map(|(_, node)| (node.address, node.versions.checksums()))
            .collect();
        for (to, crc) in self.rng.choose_multiple(listeners, self.config.timing.gossip_nodes) {
            let mut messages = self.broadcasts_for(self.room());
            match messages.len() {
                0 => return,
                1 => self.send_sealed(to, &messages.remove(0), crc),
                _ => self.send_sealed(to, &compound(&messages), crc),
            }
        }
    }

    /// A message with whatever else is to be told and fits.
    pub(crate) fn send(&mut self, to: SocketAddr, message: Vec<u8>) {
        // What is told to strangers is lost, and would make an answer larger than its question.
        let room = self.room().saturating_sub(message.len() + COMPOUND_OVERHEAD);
        let extra = if self.is_member(to) { self.broadcasts_for(room) } else { Vec::new() };
        if extra.is_empty() {
            self.send_sealed(to, &message, false);
        } else {
            let mut messages = vec![message];
            messages.extend(extra);
            self.send_sealed(to, &compound(&messages), false);
        }
    }

    /// Two messages and nothing else.
    pub(crate) fn send_with(&mut self, to: SocketAddr, first: Vec<u8>, second: Vec<u8>, crc: bool) {
        self.send_sealed(to, &compound(&[first, second]), crc);
    }

    /// One message, or several already put together.
    pub(crate) fn send_sealed(&mut self, to: SocketAddr, message: &[u8], crc: bool) {
        let bytes = self.envelope.seal_datagram(self.nonces.next(), message, crc);
        self.transmit(Transmit::Datagram { to, bytes });
    }

    fn broadcasts_for(&mut self, room: usize) -> Vec<Vec<u8>> {
        let limit = retransmit_limit(&self.config.timing, self.nodes.len());
        self.broadcasts.take(room, COMPOUND_OVERHEAD, limit)
    }

    /// Bytes for messages in one datagram.
    fn room(&self) -> usize {
        self.config.timing.udp_buffer_size.saturating_sub(self.envelope.overhead())
    }
}
