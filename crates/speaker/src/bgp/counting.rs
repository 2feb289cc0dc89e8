//! The metrics of a session, kept up from what the session counts itself.

use ferrolb_addr::Family;
use ferrolb_bgp_proto::{Down, Prefixes, Reason, Session, State, Stats};
use ferrolb_kube_rt::metrics::{BgpCounter, BgpGauge, BgpMetrics, BgpSessionMetrics};

/// Octets of a message header; the length is in the two behind the marker.
const HEADER: usize = 19;

/// The metrics of one session. Its series go with it.
pub(super) struct Counting {
    metrics: BgpMetrics,
    peer: String,
    series: BgpSessionMetrics,
    last: Stats,
}

impl Counting {
    pub(super) fn new(metrics: BgpMetrics, peer: String) -> Self {
        let series = metrics.session(&peer, "");
        let counting = Self { metrics, peer, series, last: Stats::default() };
        counting.series.set(BgpGauge::State, 1);
        counting
    }

    /// The series of another address.
    pub(super) fn rename(&mut self, peer: String) {
        if self.peer != peer {
            // The old ones go first: two sessions never have the same series.
            self.series = self.metrics.session(&peer, "");
            self.peer = peer;
        }
    }

    pub(super) fn update(&mut self, session: &Session, received: u64, unwritten: &[u8]) {
        let (state, _) = session.state();
        let Prefixes { announced, wanted } = prefixes(session);
        let up = state == State::Established;
        let set = |gauge, value: usize| {
            self.series.set(gauge, i64::try_from(value).unwrap_or(i64::MAX));
        };
        set(BgpGauge::SessionUp, usize::from(up));
        set(BgpGauge::State, number(state));
        set(BgpGauge::AnnouncedPrefixes, if up { announced } else { 0 });
        set(BgpGauge::PendingPrefixes, wanted);
        set(BgpGauge::ReceivedPrefixes, usize::try_from(received).unwrap_or(usize::MAX));
        set(BgpGauge::QueuedMessages, messages(unwritten));
        self.count(session.stats());
    }

    fn count(&mut self, now: &Stats) {
        let last = std::mem::replace(&mut self.last, *now);
        let pairs = [
            (BgpCounter::OpensSent, now.sent.open, last.sent.open),
            (BgpCounter::OpensReceived, now.received.open, last.received.open),
            (BgpCounter::NotificationsSent, now.sent.notification, last.sent.notification),
            (BgpCounter::UpdatesSent, now.sent.update, last.sent.update),
            (BgpCounter::UpdatesReceived, now.received.update, last.received.update),
            (BgpCounter::KeepalivesSent, now.sent.keepalive, last.sent.keepalive),
            (BgpCounter::KeepalivesReceived, now.received.keepalive, last.received.keepalive),
            (BgpCounter::RouteRefreshSent, now.sent.route_refresh, last.sent.route_refresh),
            (
                BgpCounter::RouteRefreshReceived,
                now.received.route_refresh,
                last.received.route_refresh,
            ),
            (BgpCounter::TotalSent, now.sent.total(), last.sent.total()),
            (BgpCounter::TotalReceived, now.received.total(), last.received.total()),
            (BgpCounter::Flaps, now.dropped, last.dropped),
            (BgpCounter::EndOfRibReceived, now.end_of_ribs, last.end_of_ribs),
            (BgpCounter::TreatedAsWithdraw, now.malformed_updates, last.malformed_updates),
        ];
        for (counter, now, last) in pairs {
            if now > last {
                self.series.count(counter, now - last);
            }
        }
    }

    pub(super) fn went_down(&mut self, down: &Down) {
        match &down.reason {
            Reason::Received(notification) => {
                self.series.notification_received(notification.code(), notification.subcode());
            }
            Reason::Sent(notification) if notification.code() == 4 => {
                self.series.count(BgpCounter::HoldExpiries, 1);
            }
            _ => {}
        }
        self.series.went_down(word(&down.reason));
    }
}

/// Prefixes of the families that the session is configured for.
pub(super) fn prefixes(session: &Session) -> Prefixes {
    let mut all = Prefixes::default();
    for family in session.config().families.iter() {
        let some = session.prefixes(family);
        all.announced += some.announced;
        all.wanted += some.wanted;
    }
    all
}

/// Prefixes that the peer announced over all sessions, less those it took back.
pub(super) fn received(session: &Session) -> u64 {
    let stats = session.stats();
    Family::BOTH
        .into_iter()
        .map(|family| {
            stats.prefixes_announced[family].saturating_sub(stats.prefixes_withdrawn[family])
        })
        .sum()
}

/// RFC 4271 8.2.2, as the MIB numbers them.
const fn number(state: State) -> usize {
    match state {
        State::Idle => 1,
        State::Connect => 2,
        State::Active => 3,
        State::OpenSent => 4,
        State::OpenConfirm => 5,
        State::Established => 6,
    }
}

/// A closed list.
fn word(reason: &Reason) -> &'static str {
    match reason {
        Reason::ConnectFailed(_) => "connectFailed",
        Reason::ConnectTimedOut => "connectTimedOut",
        Reason::Closed => "closedByPeer",
        Reason::Received(_) => "notificationReceived",
        Reason::Sent(notification) => match (notification.code(), notification.subcode()) {
            (4, _) => "holdTimeExpired",
            (6, 10) => "bfdDown",
            (8, _) => "sendHoldTimeExpired",
            _ => "notificationSent",
        },
        Reason::PlannedRestart => "plannedRestart",
        Reason::GivenUp => "givenUp",
    }
}

/// How many messages end in `octets`; the first may be cut at its beginning.
fn messages(octets: &[u8]) -> usize {
    let mut rest = octets;
    let mut count = 0;
    while !rest.is_empty() {
        count += 1;
        let length = match rest.get(..HEADER) {
            Some([marker @ .., high, low, _]) if marker.iter().all(|octet| *octet == 0xFF) => {
                usize::from(u16::from_be_bytes([*high, *low])).max(HEADER)
            }
            // In the middle of a message: up to the next marker.
            _ => rest.windows(16).position(|at| at == [0xFF; 16]).unwrap_or(rest.len()).max(1),
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_also_when_the_first_is_cut() {
        let mut octets = Vec::new();
        for _ in 0..3 {
            octets.extend([0xFF; 16]);
            octets.extend([0, 21, 2, 1, 2]);
        }
        assert_eq!(messages(&octets), 3);
        assert_eq!(messages(&octets[20..]), 3);
        assert_eq!(messages(&octets[42..]), 1);
        assert_eq!(messages(&[]), 0);
    }
}
