//! A bell that rings when one of a few objects, each watched by its name, was changed or deleted.
//!
//! It is for whoever keeps objects as they should be, and looks at them himself: what has changed is
//! not told, changes in quick succession are one ring, and own writes ring too. A watch that is not
//! permitted is silent, so the keeper looks now and then unasked.

use std::fmt;

use k8s_openapi::NamespaceResourceScope;
use kube::Client;
use serde::de::DeserializeOwned;

use crate::inbox::{Inbox, Post, inbox};
use crate::watch::{self, Update, Watch, WatchSpec};

/// See the module.
pub(crate) struct Bell {
    post: Post<(), ()>,
    rings: Inbox<(), ()>,
    watches: Vec<Watch>,
}

impl Bell {
    /// A bell that hangs on nothing yet.
    pub(crate) fn new() -> Self {
        let (post, rings) = inbox(1);
        Self { post, rings, watches: Vec::new() }
    }

    /// Hangs it on an object without a namespace. Needs a tokio runtime.
    pub(crate) fn on_cluster_object<K>(&mut self, client: &Client, name: &str)
    where
        K: kube::Resource<DynamicType = ()>
            + Clone
            + DeserializeOwned
            + fmt::Debug
            + Send
            + 'static,
    {
        self.on(WatchSpec::<K>::all(client.clone()), name);
    }

    /// Hangs it on an object of a namespace. Needs a tokio runtime.
    pub(crate) fn on_object<K>(&mut self, client: &Client, namespace: &str, name: &str)
    where
        K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + fmt::Debug
            + Send
            + 'static,
    {
        self.on(WatchSpec::<K>::namespaced(client.clone(), namespace), name);
    }

    /// Waits until something was changed since the last time. May be dropped and called again.
    pub(crate) async fn rung(&mut self) {
        // The queue is open as long as `post` is here.
        self.rings.recv().await;
    }

    fn on<K>(&mut self, spec: WatchSpec<K>, name: &str)
    where
        K: kube::Resource<DynamicType = ()>
            + Clone
            + DeserializeOwned
            + fmt::Debug
            + Send
            + 'static,
    {
        // With a permission for one name the server wants just this selector.
        let spec = spec.fields(format!("metadata.name={name}"));
        let ring = |_: Update<()>| ((), ());
        self.watches.push(watch::spawn(spec, |_, _| Some(()), self.post.clone(), ring));
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bell").field("watches", &self.watches.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use k8s_openapi::api::core::v1::Secret;
    use serde_json::{Value, json};

    use super::*;
    use crate::script::mk_script;

    fn mk_event(kind: &str, version: u32) -> Value {
        let metadata =
            json!({ "name": "s", "namespace": "ns", "resourceVersion": version.to_string() });
        json!({
            "type": kind,
            "object": { "apiVersion": "v1", "kind": "Secret", "metadata": metadata },
        })
    }

    #[tokio::test(start_paused = true)]
    async fn it_rings_once_for_changes_in_quick_succession_and_asks_for_one_name() {
        let (client, mut script) = mk_script();
        let mut bell = Bell::new();
        bell.on_object::<Secret>(&client, "ns", "s");
        let list = script.next().await;
        assert_eq!(list.query("fieldSelector"), Some("metadata.name%3Ds"));
        list.ok(&json!({ "metadata": { "resourceVersion": "1" }, "items": [] }));
        bell.rung().await;
        let watch = script.next().await;
        assert_eq!(watch.query("fieldSelector"), Some("metadata.name%3Ds"));
        assert_eq!(bell.rung().now_or_never(), None, "nothing has changed");
        watch.stream(&[mk_event("ADDED", 2), mk_event("DELETED", 3)], true);
        bell.rung().await;
        assert!(script.is_quiet().await);
        assert_eq!(bell.rung().now_or_never(), None, "one ring for both");
    }
}
