//! What a member is told once, when it is made.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::event::Refusal;
use crate::key::Keyring;
use crate::wire::{MAX_ACCUSED, MAX_META, MAX_NAME, missing};

/// Identity, protection, timing and limits of one member.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of this node; peers know it by that.
    pub name: Arc<str>,
    /// Where peers reach this node, by datagram and by stream.
    pub address: SocketAddr,
    /// Opaque bytes that peers learn with the name, the same from join to leave; at most 512.
    pub meta: Arc<[u8]>,
    /// The incarnation to begin with: 1 as the library does, or better one that grows from life to
    /// life, such as the seconds since some year. Then a restart is admitted without a doubt, and
    /// recordings of former lives are void.
    pub incarnation: u32,
    /// Sets clusters apart that share a network; upstream's speakers use none (empty).
    pub label: Arc<str>,
    /// Seals and opens messages; none means that everything is in the clear.
    pub keys: Option<Keyring>,
    /// Whether plain text is refused where there are keys.
    pub verify_incoming: bool,
    /// Whether what is sent is sealed where there are keys.
    pub verify_outgoing: bool,
    /// Whether what is sent is compressed where that makes it smaller.
    pub compress: bool,
    /// Intervals and multipliers; the nodes of a cluster should agree on them.
    pub timing: Timing,
    /// What others may cost this node.
    pub limits: Limits,
}

impl Config {
    /// Upstream's defaults for a local network, nothing sealed.
    pub fn new(name: impl Into<Arc<str>>, address: SocketAddr) -> Self {
        Self {
            name: name.into(),
            address,
            meta: [].into(),
            incarnation: 1,
            label: "".into(),
            keys: None,
            verify_incoming: true,
            verify_outgoing: true,
            compress: true,
            timing: Timing::LAN,
            limits: Limits::DEFAULT,
        }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let timing = &self.timing;
        if self.name.is_empty()
            || self.name.len() > MAX_NAME
            || self.name.contains(char::is_control)
        {
            return Err(ConfigError::Name(self.name.clone()));
        }
        if self.address.port() == 0
            || self.address.ip().is_unspecified()
            || self.address.ip().is_multicast()
        {
            return Err(ConfigError::Address(self.address));
        }
        if self.meta.len() > MAX_META {
            return Err(ConfigError::Meta(self.meta.len()));
        }
        if !(1..=MAX_ACCUSED).contains(&self.incarnation) {
            return Err(ConfigError::Incarnation(self.incarnation));
        }
        if self.label.len() > 255 {
            return Err(ConfigError::Label(self.label.len()));
        }
        for (field, interval) in [
            ("probe_interval", timing.probe_interval),
            ("gossip_interval", timing.gossip_interval),
            ("push_pull_interval", timing.push_pull_interval),
        ] {
            if interval < Duration::from_millis(1) {
                return Err(ConfigError::Interval(field, interval));
            }
        }
        // Room for the largest alive message in one datagram.
        if !(1024..=65_507).contains(&timing.udp_buffer_size) {
            return Err(ConfigError::BufferSize(timing.udp_buffer_size));
        }
        Ok(())
    }
}

/// A configuration that cannot work.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum ConfigError {
    /// Empty, too long or with control characters.
    #[error("{0:?} is no node name")]
    Name(Arc<str>),
    /// Peers could not send to it.
    #[error("{0} cannot be advertised")]
    Address(SocketAddr),
    /// More metadata than the protocol carries.
    #[error("{0} bytes of metadata are more than 512")]
    Meta(usize),
    /// Zero, or so high that no accusation of it would be believed.
    #[error("{0} is no incarnation to begin with")]
    Incarnation(u32),
    /// A longer label than the protocol carries.
    #[error("a label of {0} bytes is longer than 255")]
    Label(usize),
    /// Too short to be meant.
    #[error("{0} of {1:?} is below a millisecond")]
    Interval(&'static str, Duration),
    /// Not between 1,024 and 65,507.
    #[error("datagrams of {0} bytes are not possible")]
    BufferSize(usize),
}

/// Intervals and multipliers, as the library names them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timing {
    /// Longest a stream exchange may take.
    pub tcp_timeout: Duration,
    /// Peers asked to ping on this node's behalf.
    pub indirect_checks: usize,
    /// A message is gossiped this many times ⌈log10(n + 1)⌉.
    pub retransmit_mult: u32,
    /// A suspect has at least this many times max(1, log10 n) probe intervals to refute.
    pub suspicion_mult: u32,
    /// The suspicion timer starts at this many times its minimum.
    pub suspicion_max_timeout_mult: u32,
    /// Time between two exchanges of the whole state; longer above 32 nodes.
    pub push_pull_interval: Duration,
    /// Time between two probes.
    pub probe_interval: Duration,
    /// Time until a silent peer is tried by other ways.
    pub probe_timeout: Duration,
    /// No ping by stream for peers that are silent by datagram.
    pub disable_tcp_pings: bool,
    /// The own health score stays below this.
    pub awareness_max_multiplier: u32,
    /// Time between two rounds of gossip.
    pub gossip_interval: Duration,
    /// Peers a round goes to.
    pub gossip_nodes: usize,
    /// How long dead nodes are gossiped to, and remembered as members.
    pub gossip_to_the_dead: Duration,
    /// When a dead node's name may come back with another address; none: once it is forgotten.
    pub dead_node_reclaim: Option<Duration>,
    /// Largest datagram sent.
    pub udp_buffer_size: usize,
    /// Longest a leaving node waits for its message to be spread.
    pub leave_timeout: Duration,
}

impl Timing {
    /// What upstream's speakers use.
    pub const LAN: Self = Self {
        tcp_timeout: Duration::from_secs(10),
        indirect_checks: 3,
        retransmit_mult: 4,
        suspicion_mult: 4,
        suspicion_max_timeout_mult: 6,
        push_pull_interval: Duration::from_secs(30),
        probe_interval: Duration::from_secs(1),
        probe_timeout: Duration::from_millis(500),
        disable_tcp_pings: false,
        awareness_max_multiplier: 8,
        gossip_interval: Duration::from_millis(200),
        gossip_nodes: 3,
        gossip_to_the_dead: Duration::from_secs(30),
        dead_node_reclaim: None,
        udp_buffer_size: 1400,
        leave_timeout: Duration::from_secs(1),
    };

    /// What upstream's speakers use with `--ml-wan-config`.
    pub const WAN: Self = Self {
        tcp_timeout: Duration::from_secs(30),
        suspicion_mult: 6,
        push_pull_interval: Duration::from_mins(1),
        probe_interval: Duration::from_secs(5),
        probe_timeout: Duration::from_secs(3),
        gossip_interval: Duration::from_millis(500),
        gossip_nodes: 4,
        gossip_to_the_dead: Duration::from_mins(1),
        ..Self::LAN
    };
}

/// What others may cost this node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Nodes that are members at a time.
    pub members: usize,
    /// Messages per second from one host; a burst may be twice that. A stream costs one message for
    /// each datagram it would fill.
    pub messages_per_second: u32,
    /// Bytes of one stream message, before and after expansion.
    pub stream_bytes: usize,
}

impl Limits {
    /// Ten times what the largest clusters need.
    pub const DEFAULT: Self =
        Self { members: 4096, messages_per_second: 1000, stream_bytes: 4 * 1024 * 1024 };

    /// How many bytes at least are missing from a stream message of which `received` has arrived; 0
    /// if it is whole. Ask again only when so many more are there. Needs no key, so whoever reads
    /// the stream can ask.
    pub fn stream_missing(&self, received: &[u8]) -> Result<usize, Refusal> {
        missing(received, self)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{Config, ConfigError};

    fn mk_config(change: impl FnOnce(&mut Config)) -> Result<(), ConfigError> {
        let mut config = Config::new("a", "10.0.0.1:7946".parse().unwrap());
        change(&mut config);
        config.check()
    }

    #[rstest]
    #[case::defaults(|_: &mut Config| (), None)]
    #[case::name(|c: &mut Config| c.name = "a\n".into(), Some("\"a\\n\" is no node name"))]
    #[case::port(|c: &mut Config| c.address.set_port(0), Some("10.0.0.1:0 cannot be advertised"))]
    #[case::meta(|c: &mut Config| c.meta = [0; 513].into(), Some("513 bytes of metadata are more than 512"))]
    #[case::incarnation(|c: &mut Config| c.incarnation = 0, Some("0 is no incarnation to begin with"))]
    #[case::interval(
        |c: &mut Config| c.timing.probe_interval = std::time::Duration::ZERO,
        Some("probe_interval of 0ns is below a millisecond")
    )]
    fn checked(#[case] change: fn(&mut Config), #[case] refused: Option<&str>) {
        assert_eq!(mk_config(change).err().map(|error| error.to_string()).as_deref(), refused);
    }
}
