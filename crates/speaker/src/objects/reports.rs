//! All reports of a speaker, whatever their kind.

use std::collections::BTreeSet;
use std::sync::Arc;

use ferrolb_ipam::NodeName;
use ferrolb_kube_rt::Resource;
use ferrolb_kube_rt::status::Outcome;

use super::{Action, Again, Kind, OwnerPod, Reconciler, ServiceBgp, ServiceL2, Session};
use crate::topics::{StatusKey, Subject};

/// The objects of every kind.
pub(crate) struct Reports {
    pub(crate) layer2: Reconciler<ServiceL2>,
    pub(crate) bgp: Reconciler<ServiceBgp>,
    pub(crate) sessions: Reconciler<Session>,
}

impl Reports {
    pub(crate) fn new(node: &NodeName, namespace: &str) -> Self {
        Self {
            layer2: Reconciler::new(node.clone(), namespace.to_owned()),
            bgp: Reconciler::new(node.clone(), namespace.to_owned()),
            sessions: Reconciler::new(node.clone(), namespace.to_owned()),
        }
    }

    /// The Pod that all objects of this node belong to. Returns what to reconcile.
    pub(crate) fn set_owner(&mut self, owner: &OwnerPod) -> BTreeSet<Subject> {
        let layer2 = self.layer2.set_owner(owner.clone()).into_iter().map(Subject::Layer2);
        let bgp = self.bgp.set_owner(owner.clone()).into_iter().map(Subject::Bgp);
        let sessions = self.sessions.set_owner(owner.clone()).into_iter().map(Subject::Session);
        layer2.chain(bgp).chain(sessions).collect()
    }

    /// What to write so that the objects about `subject` are as they should be.
    pub(crate) fn reconcile(&mut self, subject: &Subject) -> Vec<(Arc<str>, Action)> {
        match subject {
            Subject::Layer2(key) => self.layer2.reconcile(key),
            Subject::Bgp(key) => self.bgp.reconcile(key),
            Subject::Session(key) => self.sessions.reconcile(key),
        }
    }

    /// The write of an object ended.
    pub(crate) fn written(&mut self, key: &StatusKey, outcome: &Outcome) -> Again {
        match key.subject {
            Subject::Layer2(_) => self.layer2.written(&key.name, outcome),
            Subject::Bgp(_) => self.bgp.written(&key.name, outcome),
            Subject::Session(_) => self.sessions.written(&key.name, outcome),
        }
    }

    /// The kind of objects about `subject`.
    pub(crate) fn resource(subject: &Subject) -> Resource {
        match subject {
            Subject::Layer2(_) => ServiceL2::resource(),
            Subject::Bgp(_) => ServiceBgp::resource(),
            Subject::Session(_) => Session::resource(),
        }
    }
}
