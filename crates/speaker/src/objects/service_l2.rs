//! `ServiceL2Status`: one object per Service that a node answers for.

use std::collections::BTreeSet;

use ferrolb_api::{ServiceL2Status, labels, names};
use ferrolb_ipam::ServiceKey;
use ferrolb_kube_rt::Resource;
use ferrolb_model::{Announcement, Interfaces};
use serde_json::{Value, json};

use super::{Kind, Row};

/// Reports of Layer 2. Who announces owns the truth.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ServiceL2 {}

impl Kind for ServiceL2 {
    type Key = ServiceKey;
    /// The interfaces named by any address; none named means all.
    type Content = BTreeSet<String>;

    const EXCLUSIVE: bool = true;

    fn kind() -> (String, &'static str) {
        (names::API_VERSION.to_owned(), "ServiceL2Status")
    }

    fn resource() -> Resource {
        Resource::of::<ServiceL2Status>()
    }

    fn stem(_: &ServiceKey) -> String {
        "l2".to_owned()
    }

    fn labels(key: &ServiceKey) -> Vec<(&'static str, String)> {
        service_labels(key)
    }

    fn status(
        node: &str,
        key: &ServiceKey,
        interfaces: &BTreeSet<String>,
        _: Option<&BTreeSet<String>>,
    ) -> Value {
        let interfaces: Vec<_> = interfaces.iter().map(|name| json!({ "name": name })).collect();
        json!({
            "node": node,
            "serviceName": &*key.name,
            "serviceNamespace": &*key.namespace,
            "interfaces": interfaces,
        })
    }
}

impl ServiceL2 {
    /// What there is to say about an announcement.
    pub(crate) fn content(announcement: &Announcement) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for (_, interfaces) in &announcement.addresses {
            match interfaces {
                Interfaces::All => return BTreeSet::new(),
                Interfaces::Named(some) => names.extend(some.iter().cloned()),
            }
        }
        names
    }

    /// Reduces an object; one without our labels is not ours to look at.
    pub(crate) fn row(mut object: ServiceL2Status) -> Option<Row<Self>> {
        let mut all = object.metadata.labels.take().unwrap_or_default();
        let status = object.status.unwrap_or_default();
        let key = ServiceKey::new(
            all.remove(labels::SERVICE_NAMESPACE)?,
            all.remove(labels::SERVICE_NAME)?,
        );
        let node = all.remove(labels::NODE)?;
        let interfaces = status.interfaces.into_iter().map(|interface| interface.name).collect();
        Some(Row::new(object.metadata, key, node, &status.node, interfaces))
    }
}

/// The labels that say which Service an object is about.
pub(super) fn service_labels(key: &ServiceKey) -> Vec<(&'static str, String)> {
    vec![
        (labels::SERVICE_NAME, key.name.to_string()),
        (labels::SERVICE_NAMESPACE, key.namespace.to_string()),
    ]
}
