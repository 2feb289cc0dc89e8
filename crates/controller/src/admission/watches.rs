//! The watches that keep the [`Store`], and the task between them.

use std::collections::BTreeMap;
use std::sync::Arc;

use ferrolb_api::{
    BFDProfile, BGPAdvertisement, BGPPeer, Community, IPAddressPool, L2Advertisement,
};
use ferrolb_ipam::ServiceKey;
use ferrolb_kube_rt::probes::Probes;
use ferrolb_kube_rt::watch::{self, Update, Watch, WatchSpec};
use ferrolb_kube_rt::{Inbox, ObjectKey, Post, inbox, rows};
use ferrolb_model::{ConfigObjects, Node};
use k8s_openapi::api::core::v1 as core;
use kube::Client;
use tokio::task::JoinHandle;

use super::{Share, Store};
use crate::configuration::{self, Namespaced};

/// Changes that wait to be taken in.
const INBOX: usize = 1024;

/// Keeps a [`Store`] for as long as it lives.
pub struct Admission {
    store: Arc<Store>,
    task: JoinHandle<()>,
    _watches: Vec<Watch>,
}

type Topic = (&'static str, ObjectKey);

/// A change of the store.
enum Change {
    Config(Box<dyn FnOnce(&mut ConfigObjects) + Send>),
    Node(Option<Node>),
    Service(Option<Share>),
    Synced,
}

impl Admission {
    /// Starts to watch what reviews are about in `namespace`. Needs a tokio runtime.
    pub fn start(client: &Client, namespace: &str, probes: &Probes) -> Self {
        let store = Arc::new(Store::new(namespace));
        let (post, changes) = inbox(INBOX);
        let from = Source { client, namespace, post: &post };
        let watches = vec![
            from.config::<IPAddressPool>("ipaddresspools", |all| &mut all.pools),
            from.config::<L2Advertisement>("l2advertisements", |all| &mut all.l2_advertisements),
            from.config::<BGPAdvertisement>("bgpadvertisements", |all| &mut all.bgp_advertisements),
            from.config::<BGPPeer>("bgppeers", |all| &mut all.peers),
            from.config::<BFDProfile>("bfdprofiles", |all| &mut all.bfd_profiles),
            from.config::<Community>("communities", |all| &mut all.communities),
            from.nodes(),
            from.services(),
        ];
        for watch in &watches {
            let state = watch.state();
            probes.require("admission", move || state.missing());
        }
        let task = tokio::spawn(keep(Arc::clone(&store), changes));
        Self { store, task, _watches: watches }
    }

    /// What exists.
    pub fn store(&self) -> Arc<Store> {
        Arc::clone(&self.store)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep(store: Arc<Store>, mut changes: Inbox<Topic, Change>) {
    while let Some(((_, key), change)) = changes.recv().await {
        match change {
            Change::Config(change) => store.change(change),
            Change::Node(node) => store.node((&*key.name).into(), node),
            Change::Service(share) => {
                store.service(ServiceKey::new(key.namespace, key.name), share);
            }
            Change::Synced => {}
        }
    }
}

/// Where watches come from, and where they go.
struct Source<'a> {
    client: &'a Client,
    namespace: &'a str,
    post: &'a Post<Topic, Change>,
}

impl Source<'_> {
    fn config<K: Namespaced>(
        &self,
        name: &'static str,
        map: fn(&mut ConfigObjects) -> &mut BTreeMap<String, K>,
    ) -> Watch {
        let spec = WatchSpec::<K>::namespaced(self.client.clone(), self.namespace);
        configuration::watch(spec, self.post.clone(), move |update| {
            entry(name, update, |key, object| {
                let key = key.name.to_string();
                Change::Config(Box::new(move |all| set(map(all), key, object)))
            })
        })
    }

    fn nodes(&self) -> Watch {
        watch::spawn(
            WatchSpec::<core::Node>::all(self.client.clone()),
            rows::node,
            self.post.clone(),
            |update| entry("nodes", update, |_, node| Change::Node(node)),
        )
    }

    fn services(&self) -> Watch {
        watch::spawn(
            WatchSpec::<core::Service>::all(self.client.clone())
                .fields_if_possible(rows::LOAD_BALANCERS),
            |key, object| rows::service(key, object).as_ref().and_then(Share::of),
            self.post.clone(),
            |update| entry("services", update, |_, share| Change::Service(share)),
        )
    }
}

fn entry<R>(
    name: &'static str,
    update: Update<R>,
    change: impl Fn(&ObjectKey, Option<R>) -> Change,
) -> (Topic, Change) {
    match update {
        Update::Set(key, row) => {
            let change = change(&key, Some(row));
            ((name, key), change)
        }
        Update::Gone(key) => {
            let change = change(&key, None);
            ((name, key), change)
        }
        Update::Synced => ((name, ObjectKey::new("", "")), Change::Synced),
    }
}

pub(super) fn set<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}
