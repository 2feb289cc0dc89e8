//! What is known of one node.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Protocol minimum, maximum, current, then the same of the application's protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Versions(pub(crate) [u8; 6]);

impl Versions {
    /// What this node speaks: 2 of 1 to 5, no application protocol.
    pub(crate) const OWN: Self = Self([1, 5, 2, 0, 0, 0]);

    /// Whether a node of these versions and this one understand each other.
    pub(crate) fn fit(self) -> bool {
        let Self([min, max, current, app_min, _, app_current]) = self;
        let Self([own_min, own_max, own, ..]) = Self::OWN;
        let speaks = (1..=own).contains(&min) && max >= own;
        speaks && (own_min..=own_max).contains(&current) && app_min == 0 && app_current == 0
    }

    /// Whether the node sends a nack for a target that is silent (protocol 4).
    pub(crate) fn nacks(self) -> bool {
        self.0[1] >= 4
    }

    /// Whether the node answers a ping by stream (protocol 3).
    pub(crate) fn pings_by_stream(self) -> bool {
        self.0[1] >= 3
    }

    /// Whether the node expects a checksum (protocol 5).
    pub(crate) fn checksums(self) -> bool {
        self.0[1] >= 5
    }
}

/// What this node believes of another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// It answers, or nobody found otherwise.
    Alive,
    /// Somebody got no answer; it may still refute.
    Suspect,
    /// It did not refute in time.
    Dead,
    /// It took leave.
    Left,
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    pub(crate) meta: Arc<[u8]>,
    pub(crate) versions: Versions,
    pub(crate) incarnation: u32,
    pub(crate) state: State,
    /// When the state began.
    pub(crate) since: Duration,
    /// It answers by stream only, which was told.
    pub(crate) datagrams_blocked: bool,
}

impl Node {
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self.state, State::Dead | State::Left)
    }

    /// Whether it is gone for so long that gossip passes it by.
    pub(crate) fn is_forgettable(&self, now: Duration, after: Duration) -> bool {
        self.is_gone() && now.saturating_sub(self.since) > after
    }

    pub(crate) fn view(&self, name: &Arc<str>) -> Member {
        Member {
            name: name.clone(),
            address: self.address,
            meta: self.meta.clone(),
            state: self.state,
            incarnation: self.incarnation,
            since: self.since,
        }
    }
}

/// A node as others see it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    /// Its name, in our use that of the Kubernetes node.
    pub name: Arc<str>,
    /// Where it is reached.
    pub address: SocketAddr,
    /// What it said of itself when it joined.
    pub meta: Arc<[u8]>,
    /// What is believed of it.
    pub state: State,
    /// How often it had to say that it lives.
    pub incarnation: u32,
    /// When the state began.
    pub since: Duration,
}

impl Member {
    /// Whether it counts: neither dead nor left. Suspects do.
    pub fn is_usable(&self) -> bool {
        matches!(self.state, State::Alive | State::Suspect)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::Versions;

    #[rstest]
    #[case::upstream([1, 5, 2, 0, 0, 0], true)]
    #[case::old([1, 5, 1, 0, 0, 0], true)]
    #[case::later([2, 7, 5, 0, 0, 0], true)]
    #[case::too_old([1, 1, 1, 0, 0, 0], false)]
    #[case::too_new([3, 7, 5, 0, 0, 0], false)]
    #[case::none([0, 0, 0, 0, 0, 0], false)]
    #[case::current_unknown([1, 7, 6, 0, 0, 0], false)]
    #[case::another_application([1, 5, 2, 1, 1, 1], false)]
    fn versions_must_fit(#[case] versions: [u8; 6], #[case] fit: bool) {
        assert_eq!(Versions(versions).fit(), fit);
    }
}
