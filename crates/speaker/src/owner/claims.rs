//! What the owner does about others who speak for its addresses.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ferrolb_api::reasons::EventReason;
use ferrolb_ipam::{NodeName, ServiceKey};
use ferrolb_l2_proto::conflict::{Contender, Event};
use ferrolb_model::{Interfaces, Node, Verdict};
use ferrolb_sys::monotonic_now;
use tracing::{error, info, warn};

use super::{Owner, addresses, set};
use crate::vetting::{ConflictPolicy, Role};

impl Owner {
    /// Services that are there from the start have been announced before: nothing waits for them.
    pub(super) fn meet_services(&mut self) {
        for service in self.snapshot.services() {
            self.vetting.find(service.key.clone(), addresses(service));
        }
    }

    /// Follows the addresses of nodes; their stations are no strangers.
    pub(super) fn take_hosts(&mut self, name: &NodeName, node: Option<&Node>) {
        let hosts = node.map(|node| node.addresses.clone());
        if self.hosts.get(name) != hosts.as_ref() {
            set(&mut self.hosts, name.clone(), hosts);
            self.parts.layer2.set_hosts(self.hosts.values().flatten().copied().collect());
        }
    }

    /// Takes in a verdict: addresses that nobody owned before are probed first.
    pub(super) fn vet(&mut self, key: &ServiceKey, verdict: &Verdict) {
        let role = match (&verdict.owner, verdict.announcement()) {
            (_, Some(_)) => Role::Own,
            (Some(_), None) => Role::Other,
            (None, None) => Role::Nobody,
        };
        let ips: Vec<IpAddr> = self.snapshot.service(key).into_iter().flat_map(addresses).collect();
        let announced = &self.announced;
        let refused = self.reports.layer2.refused(key);
        let is_answered = |ip| announced.interfaces(ip).is_some();
        let review = self.vetting.review(key, &ips, role, &refused, is_answered);
        for ip in review.dropped {
            self.parts.layer2.forget(ip);
        }
        let wanted = verdict.announcement().map_or(&[][..], |wanted| &wanted.addresses);
        for (ip, interfaces) in wanted.iter().filter(|(ip, _)| review.probe.contains(ip)) {
            self.parts.layer2.probe(*ip, interfaces);
        }
    }

    pub(super) fn take_findings(&mut self, events: Vec<Event>) {
        for event in events {
            match event {
                Event::Free(ip) | Event::Vacant(ip) => self.answer_again(ip),
                Event::Taken(contender) => self.take_taken(contender),
                Event::Conflict(contender) => {
                    self.parts.metrics.conflict(contender.ip);
                    self.tell_conflict(contender, "it is announced here too");
                    self.parts.layer2.defend(contender.ip, contender.interface);
                }
                Event::Over(ip) => {
                    info!(event = "addressConflictOver", %ip, "nobody else speaks for the address");
                }
                Event::Rival { contender, host } => self.take_rival(contender, host),
            }
        }
    }

    /// Refused addresses may have become free.
    pub(super) fn probe_again(&mut self) {
        for ip in self.vetting.due(monotonic_now()) {
            let mut wanted = self.vetting.services(ip).filter_map(|key| {
                let wanted = self.snapshot.verdict(key)?.announcement()?;
                wanted.addresses.iter().find(|(other, _)| *other == ip)
            });
            if let Some((_, interfaces)) = wanted.next() {
                self.parts.layer2.probe(ip, interfaces);
            }
        }
    }

    /// Addresses that were left to one of these nodes, which are heard, are left to it no longer.
    pub(super) fn trust_election(&mut self, nodes: &BTreeSet<NodeName>) {
        for ip in self.vetting.left_to(nodes) {
            self.parts.layer2.forget(ip);
            self.answer_again(ip);
        }
    }

    fn answer_again(&mut self, ip: IpAddr) {
        let services = self.vetting.release(ip);
        self.due.extend(services);
    }

    fn take_taken(&mut self, contender: Contender) {
        let Contender { ip, mac, .. } = contender;
        self.parts.metrics.conflict(ip);
        if self.vetting.policy() == ConflictPolicy::Refuse {
            self.tell_conflict(contender, "it is not announced until that station is gone");
            self.vetting.refuse(monotonic_now(), ip, mac);
            // To be reported.
            let services: Vec<_> = self.vetting.services(ip).cloned().collect();
            self.due.extend(services);
        } else {
            self.tell_conflict(contender, "it is announced all the same");
            self.answer_again(ip);
        }
    }

    /// Two of ours answer, because each takes the other for dead. The one that comes first in the
    /// election goes on.
    fn take_rival(&mut self, contender: Contender, host: IpAddr) {
        let Contender { ip, mac, .. } = contender;
        let node = self.hosts.iter().find(|(_, hosts)| hosts.contains(&host));
        let (Some((node, _)), Some(interfaces)) = (node, self.announced.interfaces(ip)) else {
            return;
        };
        let node = node.clone();
        let services: BTreeSet<ServiceKey> = self.announced.services_at(ip).cloned().collect();
        let yields = services.first().is_some_and(|key| self.snapshot.outranks(key, &node));
        self.parts.metrics.rival(ip);
        warn!(
            event = "twoOwners",
            %ip,
            node = node.as_str(),
            %mac,
            yields,
            "another node answers for an address that is announced here: the nodes do not hear each other"
        );
        if yields {
            self.leave_to(ip, node, services, &interfaces);
        } else {
            self.parts.layer2.defend(ip, contender.interface);
        }
    }

    fn leave_to(
        &mut self,
        ip: IpAddr,
        node: NodeName,
        services: BTreeSet<ServiceKey>,
        interfaces: &Interfaces,
    ) {
        self.due.extend(services.iter().cloned());
        self.vetting.leave(ip, node, services);
        self.decide_due();
        self.parts.layer2.stand_back(ip, interfaces);
    }

    fn tell_conflict(&self, contender: Contender, consequence: &str) {
        let Contender { ip, mac, interface } = contender;
        let name = self.parts.layer2.name_of(interface);
        error!(
            event = "addressConflict",
            %ip,
            %mac,
            interface = name,
            "a station outside the cluster speaks for an address of a Service: {consequence}"
        );
        let node = &self.parts.node;
        let message = format!(
            "station {mac} on interface {name} of node \"{node}\" speaks for \"{ip}\": {consequence}"
        );
        let announced = self.announced.services_at(ip);
        let services: BTreeSet<&ServiceKey> = announced.chain(self.vetting.services(ip)).collect();
        for key in services {
            self.record(key, EventReason::AddressConflict, message.clone());
        }
    }
}
