//! Metrics of BGP and BFD sessions: upstream's names of both its back ends, and ours beside them.
//!
//! All series of a session appear with it and go with it.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::{Bare, Names};

/// Name and help of a family.
type Named = (&'static str, &'static str);

/// A gauge of a BGP session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(usize)]
pub enum BgpGauge {
    /// 1 while the session is established.
    SessionUp,
    /// Prefixes the peer was told of and that hold.
    AnnouncedPrefixes,
    /// Prefixes the peer shall be told of.
    PendingPrefixes,
    /// Prefixes the peer told us of.
    ReceivedPrefixes,
    /// The state of RFC 4271 8.2.2, Idle 1 to Established 6.
    State,
    /// Messages that wait for the socket.
    QueuedMessages,
}

const BGP_GAUGES: [Named; 6] = [
    ("session_up", "1 while the BGP session is established"),
    ("announced_prefixes_total", "Prefixes announced to the peer"),
    ("pending_prefixes_total", "Prefixes that shall be announced to the peer"),
    ("received_prefixes_total", "Prefixes the peer announces; none is installed"),
    ("session_state", "State of the session, from 1 (Idle) to 6 (Established)"),
    ("queued_messages", "Messages that wait to be sent to the peer"),
];

/// A counter of a BGP session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(usize)]
pub enum BgpCounter {
    /// OPEN sent.
    OpensSent,
    /// OPEN received.
    OpensReceived,
    /// NOTIFICATION sent.
    NotificationsSent,
    /// UPDATE sent.
    UpdatesSent,
    /// UPDATE received.
    UpdatesReceived,
    /// KEEPALIVE sent.
    KeepalivesSent,
    /// KEEPALIVE received.
    KeepalivesReceived,
    /// ROUTE-REFRESH sent.
    RouteRefreshSent,
    /// ROUTE-REFRESH received.
    RouteRefreshReceived,
    /// Messages of any type sent.
    TotalSent,
    /// Messages of any type received.
    TotalReceived,
    /// The session left Established.
    Flaps,
    /// The hold timer ran out.
    HoldExpiries,
    /// End-of-RIB received.
    EndOfRibReceived,
    /// An UPDATE was taken as a withdrawal (RFC 7606).
    TreatedAsWithdraw,
}

const BGP_COUNTERS: [Named; 15] = [
    ("opens_sent", "BGP OPEN messages sent"),
    ("opens_received", "BGP OPEN messages received"),
    ("notifications_sent", "BGP NOTIFICATION messages sent"),
    ("updates_total", "BGP UPDATE messages sent"),
    ("updates_total_received", "BGP UPDATE messages received"),
    ("keepalives_sent", "BGP KEEPALIVE messages sent"),
    ("keepalives_received", "BGP KEEPALIVE messages received"),
    ("route_refresh_sent", "BGP ROUTE-REFRESH messages sent"),
    ("route_refresh_received", "BGP ROUTE-REFRESH messages received"),
    ("total_sent", "BGP messages sent"),
    ("total_received", "BGP messages received"),
    ("session_flaps", "Times an established session went down"),
    ("hold_timer_expiries", "Times the hold timer of the session ran out"),
    ("end_of_rib_received", "End-of-RIB markers received"),
    ("treat_as_withdraw", "Malformed UPDATE messages that were taken as withdrawals"),
];

/// A counter of a BFD session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(usize)]
pub enum BfdCounter {
    /// Control packets received.
    ControlInput,
    /// Control packets sent.
    ControlOutput,
    /// Echo packets received.
    EchoInput,
    /// Echo packets sent.
    EchoOutput,
    /// The session came up.
    UpEvents,
    /// The session went down.
    DownEvents,
    /// BGP was told of a change.
    Notifications,
}

const BFD_GAUGES: [Named; 1] = [("session_up", "1 while the BFD session is up")];

const BFD_COUNTERS: [Named; 7] = [
    ("control_packet_input", "BFD control packets received"),
    ("control_packet_output", "BFD control packets sent"),
    ("echo_packet_input", "BFD echo packets received"),
    ("echo_packet_output", "BFD echo packets sent"),
    ("session_up_events", "Times the BFD session came up"),
    ("session_down_events", "Times the BFD session went down"),
    ("zebra_notifications", "Changes of the BFD session that BGP was told of"),
];

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Peer {
    peer: String,
    vrf: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct PeerReason {
    peer: String,
    vrf: String,
    reason: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct PeerCode {
    peer: String,
    vrf: String,
    code: String,
}

/// The families of one protocol.
#[derive(Clone, Debug)]
struct Sessions {
    gauges: Vec<Family<Peer, Gauge>>,
    counters: Vec<Family<Peer, Bare>>,
}

impl Sessions {
    fn register(names: &mut Names<'_>, gauges: &[Named], counters: &[Named]) -> Self {
        let gauge = |(name, help): &Named, names: &mut Names<'_>| {
            let family = Family::default();
            names.add(name, help, &family);
            family
        };
        let counter = |(name, help): &Named, names: &mut Names<'_>| {
            let family = Family::default();
            names.add(name, help, &family);
            family
        };
        Self {
            gauges: gauges.iter().map(|named| gauge(named, names)).collect(),
            counters: counters.iter().map(|named| counter(named, names)).collect(),
        }
    }

    fn series(&self, peer: &Peer) -> (Vec<Gauge>, Vec<Bare>) {
        (
            self.gauges.iter().map(|family| family.get_or_create_owned(peer)).collect(),
            self.counters.iter().map(|family| family.get_or_create_owned(peer)).collect(),
        )
    }

    fn remove(&self, peer: &Peer) {
        for family in &self.gauges {
            family.remove(peer);
        }
        for family in &self.counters {
            family.remove(peer);
        }
    }
}

/// The metrics of all BGP sessions. Cheap to clone.
#[derive(Clone, Debug)]
pub struct BgpMetrics {
    families: Arc<BgpFamilies>,
}

#[derive(Debug)]
struct BgpFamilies {
    sessions: Sessions,
    notifications_received: Family<PeerCode, Bare>,
    last_down: Family<PeerReason, Gauge>,
}

/// The metrics of one BGP session; its series go when this is dropped.
#[derive(Debug)]
pub struct BgpSessionMetrics {
    families: Arc<BgpFamilies>,
    peer: Peer,
    gauges: Vec<Gauge>,
    counters: Vec<Bare>,
    codes: Vec<PeerCode>,
    down: Option<PeerReason>,
}

impl BgpMetrics {
    /// New metrics, registered under upstream's names.
    pub fn register(registry: &mut Registry) -> Self {
        let mut names = Names { registry, prefix: "metallb_bgp" };
        let sessions = Sessions::register(&mut names, &BGP_GAUGES, &BGP_COUNTERS);
        let notifications_received = Family::default();
        names.add(
            "notifications_received",
            "BGP NOTIFICATION messages received, by code and subcode",
            &notifications_received,
        );
        let last_down = Family::default();
        names.add("last_down", "1 for why the session was last down", &last_down);
        Self { families: Arc::new(BgpFamilies { sessions, notifications_received, last_down }) }
    }

    /// The metrics of the session with `peer` (`address:port`, or the interface if unnumbered).
    pub fn session(&self, peer: &str, vrf: &str) -> BgpSessionMetrics {
        let peer = label_of(peer, vrf);
        let (gauges, counters) = self.families.sessions.series(&peer);
        let families = Arc::clone(&self.families);
        BgpSessionMetrics { families, peer, gauges, counters, codes: Vec::new(), down: None }
    }
}

impl BgpSessionMetrics {
    /// Sets a gauge.
    pub fn set(&self, gauge: BgpGauge, value: i64) {
        self.gauges[gauge as usize].set(value);
    }

    /// Counts `n`.
    pub fn count(&self, counter: BgpCounter, n: u64) {
        self.counters[counter as usize].inc_by(n);
    }

    /// A NOTIFICATION came.
    pub fn notification_received(&mut self, code: u8, subcode: u8) {
        let Peer { peer, vrf } = self.peer.clone();
        let label = PeerCode { peer, vrf, code: format!("{code}/{subcode}") };
        self.families.notifications_received.get_or_create(&label).inc();
        if !self.codes.contains(&label) {
            self.codes.push(label);
        }
    }

    /// The session went down for `reason`, one of a closed list.
    pub fn went_down(&mut self, reason: &str) {
        self.forget_reason();
        let Peer { peer, vrf } = self.peer.clone();
        let label = PeerReason { peer, vrf, reason: reason.to_owned() };
        self.families.last_down.get_or_create(&label).set(1);
        self.down = Some(label);
    }

    fn forget_reason(&mut self) {
        if let Some(label) = self.down.take() {
            self.families.last_down.remove(&label);
        }
    }
}

impl Drop for BgpSessionMetrics {
    fn drop(&mut self) {
        self.families.sessions.remove(&self.peer);
        for label in &self.codes {
            self.families.notifications_received.remove(label);
        }
        self.forget_reason();
    }
}

/// The metrics of all BFD sessions. Cheap to clone.
#[derive(Clone, Debug)]
pub struct BfdMetrics {
    sessions: Arc<Sessions>,
}

/// The metrics of one BFD session; its series go when this is dropped.
#[derive(Debug)]
pub struct BfdSessionMetrics {
    sessions: Arc<Sessions>,
    peer: Peer,
    gauges: Vec<Gauge>,
    counters: Vec<Bare>,
}

impl BfdMetrics {
    /// New metrics, registered under upstream's names.
    pub fn register(registry: &mut Registry) -> Self {
        let mut names = Names { registry, prefix: "metallb_bfd" };
        let sessions = Sessions::register(&mut names, &BFD_GAUGES, &BFD_COUNTERS);
        Self { sessions: Arc::new(sessions) }
    }

    /// The metrics of the session with `peer` (an address without a port).
    pub fn session(&self, peer: &str, vrf: &str) -> BfdSessionMetrics {
        let peer = label_of(peer, vrf);
        let (gauges, counters) = self.sessions.series(&peer);
        BfdSessionMetrics { sessions: Arc::clone(&self.sessions), peer, gauges, counters }
    }
}

impl BfdSessionMetrics {
    /// Whether the session is up.
    pub fn set_up(&self, is_up: bool) {
        self.gauges[0].set(i64::from(is_up));
    }

    /// Counts `n`.
    pub fn count(&self, counter: BfdCounter, n: u64) {
        self.counters[counter as usize].inc_by(n);
    }
}

impl Drop for BfdSessionMetrics {
    fn drop(&mut self) {
        self.sessions.remove(&self.peer);
    }
}

/// The default VRF has a name, as in upstream's metrics.
fn label_of(peer: &str, vrf: &str) -> Peer {
    let vrf = if vrf.is_empty() { "default" } else { vrf };
    Peer { peer: peer.to_owned(), vrf: vrf.to_owned() }
}
