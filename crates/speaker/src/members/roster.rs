//! Whom to send heartbeats: the members that announced that they send them, and speakers that
//! membership cannot reach.
//!
//! A Pod is a seed first. If membership has not met its node after a while (its TCP port is blocked),
//! heartbeats go to it all the same. A node that is known to send none never gets any.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ferrolb_swim_proto::Member;

use super::board::Roll;

/// What a node of ours says of itself when it joins, the same until it leaves.
const OURS: &str = "ferrolb";
/// The same, of one that sends heartbeats of version 1.
const BEATING: &str = "ferrolb heartbeat 1";
/// How long a Pod's node may take to become a member before it gets heartbeats without.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);
/// For how long a Pod is new.
const NEW: Duration = Duration::from_secs(15);

/// What a member is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// Ours, with heartbeats of a version this one speaks.
    Beating,
    /// Ours, without.
    Plain,
    /// Not ours.
    Upstream,
}

impl Kind {
    /// The kind that `meta` announces.
    pub(super) fn of(meta: &[u8]) -> Self {
        if meta == BEATING.as_bytes() {
            Self::Beating
        } else if meta.starts_with(OURS.as_bytes()) {
            Self::Plain
        } else {
            Self::Upstream
        }
    }

    /// What this node announces.
    pub(super) fn meta(heartbeat: bool) -> Arc<[u8]> {
        if heartbeat { BEATING } else { OURS }.as_bytes().into()
    }
}

/// The speakers there are, by the API and by membership.
#[derive(Debug)]
pub(super) struct Roster {
    own: Arc<str>,
    /// None until the API was heard.
    pods: Option<BTreeMap<Arc<str>, Pod>>,
    /// The first list is out.
    complete: bool,
}

#[derive(Clone, Debug)]
struct Pod {
    address: SocketAddr,
    since: Duration,
    /// It is a member, could not be joined, or took too long.
    tried: bool,
    /// Membership knew its node, and it sends no heartbeats.
    mute: bool,
}

impl Roster {
    pub(super) fn new(own: Arc<str>) -> Self {
        Self { own, pods: None, complete: false }
    }

    /// Takes in the speakers' nodes as the API lists them.
    pub(super) fn set_pods(&mut self, now: Duration, pods: BTreeMap<Arc<str>, SocketAddr>) {
        let mut known = self.pods.take().unwrap_or_default();
        let others = pods.into_iter().filter(|(node, _)| *node != self.own);
        let others = others.map(|(node, address)| {
            let known = known.remove(&node).filter(|pod| pod.address == address);
            let pod = known.unwrap_or(Pod { address, since: now, tried: false, mute: false });
            (node, pod)
        });
        self.pods = Some(others.collect());
    }

    /// Addresses to join through.
    pub(super) fn seeds(&self) -> BTreeSet<SocketAddr> {
        self.pods.iter().flat_map(BTreeMap::values).map(|pod| pod.address).collect()
    }

    /// Whether some Pod is new.
    pub(super) fn has_new(&self, now: Duration) -> bool {
        self.pods.iter().flat_map(BTreeMap::values).any(|pod| now < pod.since + NEW)
    }

    /// The node whose Pod has that address.
    pub(super) fn node_at(&self, address: IpAddr) -> Option<&Arc<str>> {
        let mut pods = self.pods.iter().flatten();
        pods.find(|(_, pod)| pod.address.ip() == address).map(|(node, _)| node)
    }

    /// This seed is a member now, or could not be reached.
    pub(super) fn set_tried(&mut self, seed: SocketAddr) {
        for pod in self.pods.iter_mut().flat_map(BTreeMap::values_mut) {
            pod.tried |= pod.address == seed;
        }
    }

    /// When patience with some Pod ends next.
    pub(super) fn wake(&self) -> Option<Duration> {
        let pods = self.pods.iter().flat_map(BTreeMap::values);
        pods.filter(|pod| !pod.tried).map(|pod| pod.since + PATIENCE).min()
    }

    /// Whether it ended for some.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        self.wake().is_some_and(|end| end <= now)
    }

    /// Whom to send heartbeats, and where; none before every seed had its chance.
    pub(super) fn peers(
        &mut self,
        now: Duration,
        members: &[Member],
    ) -> Option<BTreeMap<Arc<str>, SocketAddr>> {
        let pods = self.pods.as_mut()?;
        let mut peers = BTreeMap::new();
        for member in members.iter().filter(|member| member.name != self.own) {
            let beats = Kind::of(&member.meta) == Kind::Beating;
            if beats {
                peers.insert(member.name.clone(), member.address);
            }
            if let Some(pod) = pods.get_mut(&member.name) {
                pod.tried |= member.is_usable();
                pod.mute = !beats;
            }
        }
        for (node, pod) in pods.iter_mut() {
            pod.tried |= now >= pod.since + PATIENCE;
            if pod.tried && !pod.mute && !peers.contains_key(node) {
                peers.insert(node.clone(), pod.address);
            }
        }
        self.complete |= pods.values().all(|pod| pod.tried);
        self.complete.then_some(peers)
    }

    /// Who lives, by membership. Without heartbeats of our own there are none to hear.
    pub(super) fn roll(&self, members: &[Member], heartbeat: bool) -> Roll {
        let mut roll = Roll::default();
        for member in members.iter().filter(|member| member.is_usable()) {
            let kind = Kind::of(&member.meta);
            roll.mixed |= kind == Kind::Upstream;
            if heartbeat && (kind == Kind::Beating || member.name == self.own) {
                roll.beating.insert(member.name.clone());
            } else {
                roll.trusted.insert(member.name.clone());
            }
        }
        roll
    }
}

#[cfg(test)]
mod tests {
    use ferrolb_swim_proto::State;
    use rstest::rstest;

    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn mk_address(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 7946))
    }

    fn mk_member(name: &str, last: u8, meta: &str, state: State) -> Member {
        Member {
            name: name.into(),
            address: mk_address(last),
            meta: meta.as_bytes().into(),
            state,
            incarnation: 1,
            since: Duration::ZERO,
        }
    }

    fn mk_roster(pods: &[(&str, u8)]) -> Roster {
        let mut roster = Roster::new("a".into());
        let pods = pods.iter().map(|(name, last)| (Arc::from(*name), mk_address(*last)));
        roster.set_pods(MS(0), pods.collect());
        roster
    }

    fn names(peers: Option<BTreeMap<Arc<str>, SocketAddr>>) -> Option<String> {
        Some(peers?.keys().map(|name| &**name).collect::<Vec<_>>().join(" "))
    }

    #[rstest]
    #[case(BEATING, Kind::Beating)]
    #[case("ferrolb heartbeat 2", Kind::Plain)]
    #[case("ferrolb", Kind::Plain)]
    #[case("", Kind::Upstream)]
    #[case("\u{1}\u{2}", Kind::Upstream)]
    fn metadata_tells_the_kind(#[case] meta: &str, #[case] kind: Kind) {
        assert_eq!(Kind::of(meta.as_bytes()), kind);
    }

    #[test]
    fn nobody_is_listed_before_the_api_was_heard() {
        let members = [mk_member("b", 2, BEATING, State::Alive)];
        let mut roster = Roster::new("a".into());
        assert_eq!(roster.peers(MS(9_000), &members), None);
        roster.set_pods(MS(9_000), BTreeMap::new());
        assert_eq!(names(roster.peers(MS(9_000), &members)).as_deref(), Some("b"));
    }

    #[test]
    fn only_who_announced_it_gets_heartbeats() {
        let mut roster = mk_roster(&[("a", 1), ("b", 2), ("u", 3)]);
        assert_eq!(roster.seeds(), [mk_address(2), mk_address(3)].into());
        assert_eq!(roster.peers(MS(1), &[]), None);
        let mut members = vec![
            mk_member("a", 1, BEATING, State::Alive),
            mk_member("b", 2, BEATING, State::Alive),
            mk_member("u", 3, "", State::Suspect),
        ];
        assert_eq!(names(roster.peers(MS(2), &members)).as_deref(), Some("b"));
        // Dead for so long that membership forgot it, while its Pod is still listed.
        members.pop();
        assert_eq!(names(roster.peers(MS(90_000), &members)).as_deref(), Some("b"));
    }

    #[test]
    fn a_pod_that_membership_cannot_reach_gets_heartbeats_after_a_while() {
        let mut roster = mk_roster(&[("b", 2), ("c", 3)]);
        assert_eq!(roster.wake(), Some(PATIENCE));
        roster.set_tried(mk_address(2));
        assert_eq!(roster.peers(MS(1), &[]), None);
        assert_eq!(names(roster.peers(PATIENCE, &[])).as_deref(), Some("b c"));
        assert_eq!(roster.wake(), None);
        // From then on a new Pod delays nobody, and a known one is not waited for again.
        let pods = [("b", 2), ("c", 3), ("d", 4)];
        let pods = pods.map(|(name, last)| (Arc::from(name), mk_address(last)));
        roster.set_pods(PATIENCE, pods.into());
        assert_eq!(names(roster.peers(PATIENCE, &[])).as_deref(), Some("b c"));
        assert_eq!(names(roster.peers(PATIENCE * 2, &[])).as_deref(), Some("b c d"));
        assert!(roster.has_new(PATIENCE * 15));
        assert!(!roster.has_new(PATIENCE * 16));
    }

    #[rstest]
    #[case::with_heartbeats(true, "p u", "a b")]
    #[case::without(false, "a b p u", "")]
    fn membership_judges_who_sends_none(
        #[case] heartbeat: bool,
        #[case] trusted: &str,
        #[case] beating: &str,
    ) {
        let roster = mk_roster(&[]);
        let members = [
            mk_member("a", 1, BEATING, State::Alive),
            mk_member("b", 2, BEATING, State::Suspect),
            mk_member("p", 3, "ferrolb", State::Alive),
            mk_member("u", 4, "", State::Suspect),
            mk_member("v", 5, "", State::Dead),
            mk_member("w", 6, "", State::Left),
        ];
        let roll = roster.roll(&members, heartbeat);
        let words = |text: &str| text.split_whitespace().map(Arc::from).collect::<BTreeSet<_>>();
        assert_eq!(roll, Roll { trusted: words(trusted), beating: words(beating), mixed: true });
        assert!(!roster.roll(&members[..3], heartbeat).mixed);
    }
}
