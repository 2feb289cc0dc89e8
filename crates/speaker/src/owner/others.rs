//! What the owner tells membership, and what it makes of what that says.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use ferrolb_ipam::NodeName;
use ferrolb_model::{Change, Members};
use tokio::sync::watch;

use super::{Owner, addresses, set};
use crate::members::View;

impl Owner {
    /// Tells membership of all speakers. Only then this node stands for election, so it knows by then what it
    /// would announce, and what it lacks for that.
    pub(super) fn tell_pods(&mut self) {
        let Some(members) = &self.parts.members else { return };
        if !std::mem::take(&mut self.pods_due) {
            return;
        }
        let port = self.parts.members_port;
        let pods = self.pods.values().filter_map(|pod| {
            let (node, address) = (pod.node.as_ref()?, pod.address?);
            Some((Arc::from(node.as_str()), SocketAddr::new(address, port)))
        });
        members.set_pods(pods.collect());
    }

    pub(super) fn take_view(&mut self, view: &mut Option<watch::Receiver<View>>) {
        let Some(view) = view else { return };
        let View { candidates, lacks, mixed, returns, revision, .. } =
            view.borrow_and_update().clone();
        // Upstream's speakers neither wait for probes nor know what they are.
        self.vetting.suspend(mixed);
        self.take_lacks(lacks);
        if let Some(candidates) = candidates {
            self.parts.members_known.ready();
            self.health.heard = true;
            self.due.extend(self.unexplained.iter().cloned());
            self.trust_election(&candidates);
            self.apply(Change::Members(Members::Known(candidates)));
        }
        if returns != self.returns {
            self.returns = returns;
            self.parts.layer2.announce_again();
        }
        self.unsettled = Some(revision);
    }

    /// Keeps one address of each peer at hand, for questions on the wire.
    pub(super) fn follow_announcers(&self, owners: BTreeSet<NodeName>) {
        if self.parts.members.is_none() || owners.is_empty() {
            return;
        }
        let mut announcers = self.parts.shared.announcers.lock();
        for owner in owners {
            let address = self
                .snapshot
                .owned_by(Some(&owner))
                .find_map(|key| addresses(self.snapshot.service(key)?).next());
            set(&mut announcers, owner.as_str().into(), address);
        }
    }
}
