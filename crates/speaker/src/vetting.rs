//! Which addresses this node owns and still does not answer for: because it is being found out
//! whether they are free, because they are not, or because another node of ours answers already.
//!
//! ```text
//!  first owner in the cluster is us ──► Probing ── free ──► answered
//!                                          └── taken ── warn ──► answered · refuse ──► Refused ⟲
//!  answered ── a node that comes before us answers too ──► LeftTo ── vacant, or heard ──► answered
//! ```
//!
//! An address is left to a node that seems to be dead and answers all the same. Once that node is
//! heard, both know the same again, and the election alone says who answers.
//!
//! An address that had an owner before, or was there when this speaker came up, is not probed: a
//! fail-over does not wait. Unless that owner has reported that it did not announce it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use ferrolb_ipam::{NodeName, ServiceKey};
use ferrolb_l2_proto::Mac;

/// Time between two probes of an address that is somebody else's.
const AGAIN: Duration = Duration::from_mins(1);

/// What to do about an address that somebody outside the cluster answers for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ConflictPolicy {
    /// Do not look.
    Off,
    /// Announce it all the same, and say so.
    #[default]
    Warn,
    /// Do not begin to announce it, and say so.
    Refuse,
}

/// Who owns the addresses of a Service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// Nobody can.
    Nobody,
    /// Another node.
    Other,
    /// This node.
    Own,
}

/// Why an address is not answered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Hold {
    /// Nobody knows yet whether it is free.
    Probing,
    /// This station has it; looked at again at that time.
    Refused { mac: Mac, again: Duration },
    /// This node answers for it and comes before us.
    LeftTo(NodeName),
}

impl Hold {
    /// Its word in logs.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Probing => "probing",
            Self::Refused { .. } => "addressConflict",
            Self::LeftTo(_) => "yielded",
        }
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Probing => f.write_str("it is being found out whether the address is free"),
            Self::Refused { mac, .. } => write!(f, "station {mac} has the address"),
            Self::LeftTo(node) => {
                write!(f, "node {} answers too, and comes first", node.as_str())
            }
        }
    }
}

/// What a new decision about a Service asks for.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Review {
    /// Addresses to probe.
    pub(crate) probe: Vec<IpAddr>,
    /// Addresses that are not held for any Service any more.
    pub(crate) dropped: Vec<IpAddr>,
}

/// All held addresses.
#[derive(Debug)]
pub(crate) struct Vetting {
    policy: ConflictPolicy,
    suspended: bool,
    /// Addresses of each Service that had an owner.
    known: BTreeMap<ServiceKey, Vec<IpAddr>>,
    held: BTreeMap<IpAddr, Held>,
}

#[derive(Debug)]
struct Held {
    why: Hold,
    services: BTreeSet<ServiceKey>,
}

impl Vetting {
    pub(crate) fn new(policy: ConflictPolicy) -> Self {
        Self { policy, suspended: false, known: BTreeMap::new(), held: BTreeMap::new() }
    }

    pub(crate) fn policy(&self) -> ConflictPolicy {
        if self.suspended { ConflictPolicy::Off } else { self.policy }
    }

    /// Acts as with [`ConflictPolicy::Off`] for the time being, or not any more.
    pub(crate) fn suspend(&mut self, suspended: bool) {
        self.suspended = suspended;
    }

    /// Service `key` was there with these addresses when this speaker came up.
    pub(crate) fn find(&mut self, key: ServiceKey, addresses: impl IntoIterator<Item = IpAddr>) {
        self.known.insert(key, addresses.into_iter().collect());
    }

    /// Takes in a decision about `key`, before anything is done about it. `refused` are addresses that
    /// their last owner was kept from announcing.
    pub(crate) fn review(
        &mut self,
        key: &ServiceKey,
        addresses: &[IpAddr],
        role: Role,
        refused: &BTreeSet<IpAddr>,
        is_answered: impl Fn(IpAddr) -> bool,
    ) -> Review {
        let mut review = Review::default();
        self.held.retain(|ip, held| {
            let keep = role == Role::Own && addresses.contains(ip);
            if !keep && held.services.remove(key) && held.services.is_empty() {
                review.dropped.push(*ip);
                return false;
            }
            true
        });
        if addresses.is_empty() {
            self.known.remove(key);
            return review;
        }
        let policy = self.policy();
        let known = self.known.entry(key.clone()).or_default();
        known.retain(|ip| addresses.contains(ip));
        if role == Role::Nobody {
            return review;
        }
        for &ip in addresses {
            let is_new = !known.contains(&ip);
            if role != Role::Own {
                continue;
            }
            if let Some(held) = self.held.get_mut(&ip) {
                held.services.insert(key.clone());
            } else if (is_new || refused.contains(&ip))
                && policy != ConflictPolicy::Off
                && !is_answered(ip)
            {
                let held = Held { why: Hold::Probing, services: [key.clone()].into() };
                self.held.insert(ip, held);
                review.probe.push(ip);
            }
        }
        // With no room for more: there is one for each Service.
        *known = addresses.to_vec();
        review
    }

    /// Why `ip` must not be answered, if so.
    pub(crate) fn hold(&self, ip: IpAddr) -> Option<&Hold> {
        self.held.get(&ip).map(|held| &held.why)
    }

    /// The probe of `ip` found nobody, or the rival is gone: returns the Services to decide again.
    pub(crate) fn release(&mut self, ip: IpAddr) -> BTreeSet<ServiceKey> {
        self.held.remove(&ip).map(|held| held.services).unwrap_or_default()
    }

    /// The probe of `ip` found `mac`: it stays held.
    pub(crate) fn refuse(&mut self, now: Duration, ip: IpAddr, mac: Mac) {
        if let Some(held) = self.held.get_mut(&ip) {
            held.why = Hold::Refused { mac, again: now + AGAIN };
        }
    }

    /// `ip`, which is answered for `services`, is left to `node`.
    pub(crate) fn leave(&mut self, ip: IpAddr, node: NodeName, services: BTreeSet<ServiceKey>) {
        self.held.insert(ip, Held { why: Hold::LeftTo(node), services });
    }

    /// These nodes are heard: returns the addresses that were left to one of them, to be released.
    pub(crate) fn left_to(&self, nodes: &BTreeSet<NodeName>) -> Vec<IpAddr> {
        let left = |why: &Hold| matches!(why, Hold::LeftTo(node) if nodes.contains(node));
        self.held.iter().filter(|(_, held)| left(&held.why)).map(|(ip, _)| *ip).collect()
    }

    /// The station that has `ip`, if it is refused for that.
    pub(crate) fn refused(&self, ip: IpAddr) -> Option<Mac> {
        match self.hold(ip)? {
            Hold::Refused { mac, .. } => Some(*mac),
            Hold::Probing | Hold::LeftTo(_) => None,
        }
    }

    /// Refused addresses whose time has come to be probed again.
    pub(crate) fn due(&mut self, now: Duration) -> Vec<IpAddr> {
        let mut due = Vec::new();
        for (ip, held) in &mut self.held {
            if let Hold::Refused { again, .. } = &mut held.why
                && *again <= now
            {
                *again = now + AGAIN;
                due.push(*ip);
            }
        }
        due
    }

    /// The Services an address is held for.
    pub(crate) fn services(&self, ip: IpAddr) -> impl Iterator<Item = &ServiceKey> {
        self.held.get(&ip).into_iter().flat_map(|held| &held.services)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const MAC: Mac = Mac([6, 0, 0, 0, 0, 1]);
    const NONE: [IpAddr; 0] = [];

    fn mk_key(name: &str) -> ServiceKey {
        ServiceKey::new("default", name)
    }

    fn mk_ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    /// The addresses that a decision wants probed.
    fn probed(vetting: &mut Vetting, name: &str, ips: &[u8], role: Role) -> Vec<IpAddr> {
        let ips: Vec<IpAddr> = ips.iter().map(|last| mk_ip(*last)).collect();
        vetting.review(&mk_key(name), &ips, role, &BTreeSet::new(), |_| false).probe
    }

    #[test]
    fn only_a_first_owner_probes() {
        let mut vetting = Vetting::new(ConflictPolicy::Warn);
        // No endpoints yet: nobody is owner, and nothing is known of the address.
        assert_eq!(probed(&mut vetting, "a", &[1], Role::Nobody), NONE);
        assert_eq!(probed(&mut vetting, "a", &[1], Role::Own), [mk_ip(1)]);
        assert_eq!(vetting.hold(mk_ip(1)), Some(&Hold::Probing));
        assert_eq!(vetting.release(mk_ip(1)), [mk_key("a")].into());
        assert_eq!(probed(&mut vetting, "a", &[1], Role::Own), NONE);
        // A fail-over does not wait.
        assert_eq!(probed(&mut vetting, "b", &[2], Role::Other), NONE);
        assert_eq!(probed(&mut vetting, "b", &[2], Role::Nobody), NONE);
        assert_eq!(probed(&mut vetting, "b", &[2], Role::Own), NONE);
        // An address that is added later is probed alone.
        assert_eq!(probed(&mut vetting, "b", &[2, 3], Role::Own), [mk_ip(3)]);
    }

    #[test]
    fn nothing_is_probed_while_suspended() {
        let mut vetting = Vetting::new(ConflictPolicy::Refuse);
        vetting.suspend(true);
        assert_eq!(vetting.policy(), ConflictPolicy::Off);
        assert_eq!(probed(&mut vetting, "a", &[1], Role::Own), NONE);
        vetting.suspend(false);
        // It is announced already.
        assert_eq!(probed(&mut vetting, "a", &[1], Role::Own), NONE);
        assert_eq!(probed(&mut vetting, "b", &[2], Role::Own), [mk_ip(2)]);
    }

    #[test]
    fn what_was_there_at_the_start_is_not_probed() {
        let mut vetting = Vetting::new(ConflictPolicy::Warn);
        vetting.find(mk_key("a"), [mk_ip(1)]);
        assert_eq!(probed(&mut vetting, "a", &[1], Role::Own), NONE);
        // Deleted and made anew, it is a first announcement.
        assert_eq!(probed(&mut vetting, "a", &[], Role::Nobody), NONE);
        assert_eq!(probed(&mut vetting, "a", &[1], Role::Own), [mk_ip(1)]);
    }

    #[test]
    fn what_its_last_owner_refused_is_probed() {
        let mut vetting = Vetting::new(ConflictPolicy::Refuse);
        let (key, ips) = (mk_key("a"), [mk_ip(1), mk_ip(2)]);
        let mut review = |role, refused: &[u8], answered| {
            let refused = refused.iter().map(|last| mk_ip(*last)).collect();
            vetting.review(&key, &ips, role, &refused, |_| answered).probe
        };
        assert_eq!(review(Role::Other, &[2], false), NONE);
        assert_eq!(review(Role::Own, &[2], false), [mk_ip(2)]);
        // Under way.
        assert_eq!(review(Role::Own, &[2], false), NONE);
        assert_eq!(review(Role::Other, &[2], false), NONE);
        // The report is an old one.
        assert_eq!(review(Role::Own, &[2], true), NONE);
    }

    #[test]
    fn a_shared_address_is_probed_once_and_frees_all_its_services() {
        let mut vetting = Vetting::new(ConflictPolicy::Warn);
        assert_eq!(probed(&mut vetting, "a", &[1], Role::Own), [mk_ip(1)]);
        assert_eq!(probed(&mut vetting, "b", &[1], Role::Own), NONE);
        assert_eq!(vetting.release(mk_ip(1)), [mk_key("a"), mk_key("b")].into());
        // Answered for others already: nothing to find out.
        let review =
            vetting.review(&mk_key("c"), &[mk_ip(1)], Role::Own, &BTreeSet::new(), |_| true);
        assert_eq!(review, Review::default());
    }

    #[rstest]
    #[case::moved_to_another_node(&[1], Role::Other)]
    #[case::another_address(&[2], Role::Own)]
    #[case::deleted(&[], Role::Nobody)]
    fn a_hold_ends_with_its_last_service(#[case] ips: &[u8], #[case] role: Role) {
        let mut vetting = Vetting::new(ConflictPolicy::Warn);
        probed(&mut vetting, "a", &[1], Role::Own);
        probed(&mut vetting, "b", &[1], Role::Own);
        let ips: Vec<IpAddr> = ips.iter().map(|last| mk_ip(*last)).collect();
        assert_eq!(
            vetting.review(&mk_key("a"), &ips, role, &BTreeSet::new(), |_| false).dropped,
            NONE
        );
        assert!(vetting.hold(mk_ip(1)).is_some());
        let review = vetting.review(&mk_key("b"), &ips, role, &BTreeSet::new(), |_| false);
        assert_eq!(review.dropped, [mk_ip(1)]);
        assert_eq!(vetting.hold(mk_ip(1)), None);
    }

    #[test]
    fn a_refused_address_is_looked_at_every_minute() {
        let mut vetting = Vetting::new(ConflictPolicy::Refuse);
        probed(&mut vetting, "a", &[1], Role::Own);
        vetting.refuse(Duration::from_secs(10), mk_ip(1), MAC);
        assert!(vetting.hold(mk_ip(1)).is_some());
        assert_eq!((vetting.refused(mk_ip(1)), vetting.refused(mk_ip(2))), (Some(MAC), None));
        assert_eq!(vetting.due(Duration::from_secs(69)), NONE);
        assert_eq!(vetting.due(Duration::from_secs(70)), [mk_ip(1)]);
        assert_eq!(vetting.due(Duration::from_secs(75)), NONE);
        assert_eq!(vetting.services(mk_ip(1)).collect::<Vec<_>>(), [&mk_key("a")]);
    }

    #[test]
    fn an_address_left_to_another_node_is_held() {
        let mut vetting = Vetting::new(ConflictPolicy::Off);
        assert_eq!(probed(&mut vetting, "a", &[1], Role::Own), NONE);
        vetting.leave(mk_ip(1), "node-b".into(), [mk_key("a")].into());
        assert_eq!(vetting.hold(mk_ip(1)), Some(&Hold::LeftTo("node-b".into())));
        // The other one is no longer taken for dead: the election is believed again.
        assert_eq!(vetting.left_to(&["node-a".into()].into()), NONE);
        assert_eq!(vetting.left_to(&["node-b".into()].into()), [mk_ip(1)]);
        assert_eq!(vetting.release(mk_ip(1)), [mk_key("a")].into());
        assert_eq!(vetting.hold(mk_ip(1)), None);
    }
}
