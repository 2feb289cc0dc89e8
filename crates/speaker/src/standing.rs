//! What this speaker thinks of its configuration: the `ConfigurationState` of its node.

use ferrolb_ipam::NodeName;
use ferrolb_kube_rt::clock::WallClock;
use ferrolb_kube_rt::configuration_state::{Reporter, Settings};
use ferrolb_model::report::Condition;
use kube::Client;
use tokio_util::sync::CancellationToken;

use crate::objects::OwnerPod;

/// Label that tells what kind of process wrote it, as upstream's.
const COMPONENT_TYPE: &str = "metallb.io/component-type";
/// Label that names the node, as upstream's.
const NODE_NAME: &str = "metallb.io/node-name";

/// Reports as soon as there is a Pod that the report can go with.
pub(crate) struct Standing {
    client: Client,
    namespace: String,
    node: NodeName,
    stop: CancellationToken,
    reporter: Option<Reporter>,
    /// What was said last; none: nothing yet.
    said: Option<Vec<Condition>>,
}

impl Standing {
    /// Nothing is reported yet.
    pub(crate) fn new(
        client: Client,
        namespace: &str,
        node: &NodeName,
        stop: CancellationToken,
    ) -> Self {
        let (namespace, node) = (namespace.to_owned(), node.clone());
        Self { client, namespace, node, stop, reporter: None, said: None }
    }

    /// The own Pod is known: from now on there is a report, and it ends with the Pod.
    pub(crate) fn begin(&mut self, pod: &OwnerPod) {
        if self.reporter.is_some() {
            return;
        }
        let settings = Settings {
            namespace: self.namespace.clone(),
            name: format!("speaker-{}", self.node),
            labels: vec![
                (COMPONENT_TYPE, "speaker".to_owned()),
                (NODE_NAME, self.node.as_str().to_owned()),
            ],
            pod: Some((pod.name.to_string(), pod.uid.to_string())),
            manager: "configReconciler",
        };
        let (client, clock) = (self.client.clone(), WallClock::system());
        let reporter = Reporter::spawn(client, settings, clock, || true, self.stop.clone());
        if let Some(said) = &self.said {
            reporter.post(said.clone());
        }
        self.reporter = Some(reporter);
    }

    /// These are all the conditions there are now.
    pub(crate) fn judge(&mut self, conditions: Vec<Condition>) {
        if self.said.as_ref() == Some(&conditions) {
            return;
        }
        if let Some(reporter) = &self.reporter {
            reporter.post(conditions.clone());
        }
        self.said = Some(conditions);
    }
}
