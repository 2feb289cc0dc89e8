//! The watch of a kind that users write in our namespace.

use std::fmt;

use ferrolb_kube_rt::Post;
use ferrolb_kube_rt::watch::{self, Update, Watch, WatchSpec};
use k8s_openapi::NamespaceResourceScope;
use serde::de::DeserializeOwned;

/// A kind of object in a namespace that can be watched.
pub(crate) trait Namespaced:
    kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + DeserializeOwned
    + fmt::Debug
    + Send
    + 'static
{
}

impl<K> Namespaced for K where
    K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + fmt::Debug
        + Send
        + 'static
{
}

/// Starts the watch; objects come whole, but for who wrote which field of them.
pub(crate) fn watch<K, PK, PV>(
    spec: WatchSpec<K>,
    post: Post<PK, PV>,
    wrap: impl Fn(Update<K>) -> (PK, PV) + Send + 'static,
) -> Watch
where
    K: Namespaced,
    PK: Clone + Eq + std::hash::Hash + Send + 'static,
    PV: Send + 'static,
{
    let prune = |_: &_, mut object: K| {
        object.meta_mut().managed_fields = None;
        Some(object)
    };
    watch::spawn(spec, prune, post, wrap)
}
