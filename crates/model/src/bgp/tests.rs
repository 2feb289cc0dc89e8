//! Rows T1 to T84 of `bgp.md` 8.1 to 8.4, seen from a speaker as small as it can be: snapshot and
//! table, without sessions.

use std::collections::BTreeMap;
use std::sync::Arc;

use ferrolb_ipam::ServiceKey;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::config::Config;
use crate::fixture::{
    mk_ingress, mk_key, mk_labels, mk_node, mk_nodes_selector, mk_objects, mk_service, mk_slice_key,
};
use crate::rows::{Endpoint, EndpointSlice, Node, Service};
use crate::snapshot::{Change, Settings, Snapshot};
use crate::verdict::EXCLUDE_LABEL;

mod agreement;
mod sequence;
mod tables;

/// What a node keeps to talk to its routers.
struct Speaker {
    snapshot: Snapshot,
    table: Table,
}

impl Speaker {
    /// Node `pandora`, which knows only itself.
    fn new() -> Self {
        Self::with(Settings { own: "pandora".into(), class: None, ignore_exclude_lb: false })
    }

    fn with(settings: Settings) -> Self {
        let own = settings.own.clone();
        let mut speaker = Self { snapshot: Snapshot::new(settings), table: Table::new() };
        speaker.node(mk_node(own.as_str()));
        speaker
    }

    /// Takes over a change; returns how many Services were looked at.
    fn apply(&mut self, change: Change) -> usize {
        let affected = self.snapshot.apply(change);
        for key in &affected {
            self.snapshot.refresh(key);
            self.table.set(key, routes(&self.snapshot, key));
        }
        affected.len()
    }

    fn node(&mut self, node: Node) -> usize {
        self.apply(Change::Node(node.name.clone(), Some(node)))
    }

    fn service(&mut self, service: Service) -> usize {
        self.apply(Change::Service(service.key.clone(), Some(service)))
    }

    fn delete(&mut self, name: &str) -> usize {
        self.apply(Change::Service(mk_key(name), None))
    }

    /// Replaces the endpoints of `service`, each a node with its `ready` and `serving`.
    fn endpoints(&mut self, service: &str, endpoints: &[(&str, Option<bool>, Option<bool>)]) {
        let key = mk_slice_key(service);
        let endpoints = endpoints.iter().map(|(node, ready, serving)| Endpoint {
            ready: *ready,
            serving: *serving,
            node: Some((*node).into()),
        });
        let slice = EndpointSlice::reduce(key.clone(), mk_key(service), endpoints);
        self.apply(Change::Slice(key, Some(slice)));
    }

    fn configure(&mut self, written: &Value) -> usize {
        let config = Config::build(&mk_objects(written), self.snapshot.config().map(|c| &**c));
        self.apply(Change::Config(Arc::new(config)))
    }

    /// Names of the sessions.
    fn sessions(&self) -> Vec<&str> {
        peers_here(&self.snapshot).into_iter().map(|peer| peer.name.as_str()).collect()
    }

    /// What every session sends, as `prefix [local preference] communities`.
    fn sent(&self) -> BTreeMap<&str, Vec<String>> {
        peers_here(&self.snapshot)
            .into_iter()
            .map(|peer| {
                let told = self.table.all_told(&peer.name);
                (peer.name.as_str(), told.map(|(prefix, what)| text(prefix, &what)).collect())
            })
            .collect()
    }

    /// `announce`, or the code of the reason not to.
    fn outcome(&self, service: &str) -> &'static str {
        decide_bgp(&self.snapshot, &mk_key(service)).reason().map_or("announce", |r| r.code())
    }

    fn peers_of(&self, service: &str) -> Vec<&str> {
        let here = peers_here(&self.snapshot);
        let names = self.table.peers_of(&mk_key(service), here.into_iter().map(|peer| &peer.name));
        names.into_iter().map(PeerName::as_str).collect()
    }
}

fn text(prefix: ipnet::IpNet, attributes: &Attributes) -> String {
    let preference = attributes.local_pref.map(|value| format!(" [{value}]"));
    let communities = attributes.communities.iter().map(|community| format!(" {community}"));
    let communities = communities.collect::<Vec<_>>().concat();
    format!("{prefix}{}{communities}", preference.unwrap_or_default())
}

fn mk_peer(address: &str) -> Value {
    json!({ "myASN": 64500, "peerASN": 64501, "peerAddress": address })
}

fn mk_local(mut service: Service) -> Service {
    service.local_traffic_only = true;
    service
}
