//! Controller and speakers, installed as a user installs them: by applying manifests. What becomes of
//! those is the business of the cluster's controllers and of the kubelet stand-in.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::{FOLDER, Lab, NAMESPACE, log, random_secret};
use crate::api::{Ref, wait_until};
use crate::control::{Control, base64};
use crate::error::{Error, Result};
use crate::manifests::Manifests;
use crate::objects;
use crate::process::Process;

/// Kinds that mean something to the embedded API server, which asks nobody who they are.
const WITHOUT_IDENTITY: [&str; 5] =
    ["Namespace", "CustomResourceDefinition", "ServiceAccount", "ConfigMap", "Secret"];

const SERVED_LIMIT: Duration = Duration::from_secs(20);

impl Lab {
    /// Installs what the options say, and waits until the kinds are served.
    pub fn install(&self) -> Result<()> {
        self.apply_manifests(&self.options.manifests)?;
        self.leave_out_webhooks()?;
        self.make_secrets()?;
        let served = |kind| self.api.list(kind, NAMESPACE, "").map(|_| Ok::<_, String>(()));
        for kind in ["IPAddressPool", "L2Advertisement", "ServiceL2Status"] {
            wait_until(&format!("{kind} is served"), SERVED_LIMIT, || {
                Ok(served(kind).unwrap_or_else(|error| Err(error.to_string())))
            })?;
        }
        Ok(())
    }

    /// The Secret that speakers wait for, where there is no Deployment that could own it.
    fn make_secrets(&self) -> Result<()> {
        if self.options.control != Control::Embedded {
            return Ok(());
        }
        let manifests = &self.options.manifests;
        for name in manifests.missing_secrets() {
            let secret = Ref::new("Secret", NAMESPACE, &name);
            if self.api.get(secret)?.is_none() {
                self.api.apply(&json!({
                    "apiVersion": "v1",
                    "kind": "Secret",
                    "metadata": { "name": secret.name, "namespace": secret.namespace },
                    "data": { "secretkey": base64(random_secret()?.as_bytes()) },
                }))?;
            }
        }
        Ok(())
    }

    /// Applies objects: on the real cluster with `kubectl apply --server-side`.
    pub fn apply_manifests(&self, manifests: &Manifests) -> Result<()> {
        if self.options.control == Control::Embedded {
            return self.apply_embedded(manifests);
        }
        let path = Path::new(FOLDER).join("manifests.yaml");
        let file = path.display().to_string();
        fs::write(&path, manifests.text()).map_err(Error::io(&file))?;
        let words = ["apply", "--server-side", "--force-conflicts", "--filename", &file];
        let output = self.kubectl(words)?;
        if output.code == Some(0) {
            return Ok(());
        }
        Err(Error::Manifest(output.stderr.trim().to_owned()))
    }

    /// Waits until every Pod of ours runs and says it is ready.
    pub fn wait_ready(&self, limit: Duration) -> Result<()> {
        wait_until("all Pods run", limit, || {
            let (wanted, running) = (self.wanted_pods()?, self.processes.own().len());
            let complete = running == wanted;
            let said = fs::read_to_string(log("kubelet")).unwrap_or_default();
            let last = said.lines().last().unwrap_or("nothing");
            let lacking = || format!("{running} of {wanted}; kubelet said last: {last}");
            Ok(if complete { Ok(()) } else { Err(lacking()) })
        })?;
        for (process, readiness) in self.processes.own() {
            wait_until(&format!("{} is ready", process.name()), limit, || {
                process.expect_running()?;
                Ok(readiness.as_ref().map_or(Ok(()), |probe| probe.ask(&process)))
            })?;
        }
        Ok(())
    }

    /// Controllers and speakers that run now.
    pub fn own_processes(&self) -> Vec<Arc<Process>> {
        self.processes.own().into_iter().map(|(process, _)| process).collect()
    }

    /// The last lines of our own processes, for whoever has to find out what went wrong.
    pub fn tails(&self, lines: usize) -> Vec<String> {
        let own = self.own_processes();
        own.iter()
            .flat_map(|process| {
                let log = process.log();
                let all: Vec<_> = log.lines().collect();
                let tail = all[all.len().saturating_sub(lines)..].iter();
                tail.map(|line| format!("{}: {line}", process.name())).collect::<Vec<_>>()
            })
            .collect()
    }

    /// Takes the configuration of webhooks out again, where the lab is one without.
    pub fn leave_out_webhooks(&self) -> Result<()> {
        if self.options.webhooks {
            return Ok(());
        }
        for webhooks in self.options.manifests.of_kind("ValidatingWebhookConfiguration") {
            let name = webhooks["metadata"]["name"].as_str().unwrap_or_default();
            self.api.delete(Ref::new("ValidatingWebhookConfiguration", "", name))?;
        }
        Ok(())
    }

    /// How many Pods there should be.
    fn wanted_pods(&self) -> Result<usize> {
        if self.options.control == Control::Embedded {
            return Ok(self.api.list("Pod", NAMESPACE, "")?.len());
        }
        let number = |value: &serde_json::Value| {
            usize::try_from(value.as_u64().unwrap_or_default()).unwrap_or_default()
        };
        let deployments = self.api.list("Deployment", NAMESPACE, "")?;
        let replicas: usize = deployments.iter().map(|one| number(&one["spec"]["replicas"])).sum();
        let daemons = self.api.list("DaemonSet", NAMESPACE, "")?.len();
        Ok(replicas + daemons * self.network.nodes().len())
    }

    /// What a cluster's controllers would make of it: one Pod of each Deployment, and one of each
    /// `DaemonSet` on every node.
    fn apply_embedded(&self, manifests: &Manifests) -> Result<()> {
        for kind in WITHOUT_IDENTITY {
            manifests.of_kind(kind).try_for_each(|object| self.api.apply(object).map(drop))?;
        }
        let nodes = self.network.nodes();
        for workload in manifests.of_kind("Deployment") {
            let name = workload["metadata"]["name"].as_str().unwrap_or_default();
            self.api.apply(&objects::instance(workload, name, nodes[0]))?;
        }
        for workload in manifests.of_kind("DaemonSet") {
            let name = workload["metadata"]["name"].as_str().unwrap_or_default();
            for node in &nodes {
                let name = format!("{name}-{}", node.name());
                self.api.apply(&objects::instance(workload, &name, node))?;
            }
        }
        Ok(())
    }
}
