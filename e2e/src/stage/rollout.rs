//! Changed workloads: what the cluster's controllers make of them, until it is done.

use std::time::Duration;

use ferrolb_lab::api::{Ref, wait_until};
use ferrolb_lab::{NAMESPACE, Result};
use serde_json::{Value, json};

use super::{PATIENCE, Stage, check, fail};

/// Time for three speakers to be replaced one after another.
const ROLLOUT: Duration = Duration::from_mins(2);

impl Stage {
    /// Does something while one of our workloads has one more flag.
    pub(crate) fn with_flag(
        &mut self,
        kind: &str,
        component: &str,
        flag: &str,
        work: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let name = self.own_object(kind, component)?;
        let target = Ref::new(kind, NAMESPACE, &name);
        let object = self.api().get(target)?.unwrap_or_default();
        let template = object["spec"]["template"].clone();
        let mut more = template["spec"]["containers"].clone();
        match more[0]["args"].as_array_mut() {
            Some(args) => args.push(flag.into()),
            None => return Err(fail(format!("{name} has no arguments"))),
        }
        self.set_containers(target, &more)?;
        let result = work(self);
        self.set_containers(target, &template["spec"]["containers"])?;
        result
    }

    /// Waits until every workload of ours consists of its current Pods, and none of these processes
    /// is left.
    pub(crate) fn rolled_out(&self, before: &[u32]) -> Result<()> {
        for kind in ["Deployment", "DaemonSet"] {
            for workload in self.api().list(kind, NAMESPACE, "")? {
                let name = workload["metadata"]["name"].as_str().unwrap_or_default();
                self.wait_for_rollout(Ref::new(kind, NAMESPACE, name))?;
            }
        }
        self.lab.wait_ready(PATIENCE)?;
        let now = self.own_processes();
        let left = before.iter().filter(|pid| now.contains(pid)).count();
        check(left == 0, || format!("{left} processes were not replaced"))
    }

    fn set_containers(&self, target: Ref<'_>, containers: &Value) -> Result<()> {
        let patch = json!({ "spec": { "template": { "spec": { "containers": containers } } } });
        self.api().patch(target, &patch)?;
        self.wait_for_rollout(target)?;
        self.lab.wait_ready(PATIENCE)
    }

    fn wait_for_rollout(&self, target: Ref<'_>) -> Result<()> {
        wait_until(&format!("{} {} is rolled out", target.kind, target.name), ROLLOUT, || {
            let now = self.api().get(target)?.unwrap_or_default();
            Ok(if is_rolled_out(&now) { Ok(()) } else { Err(now["status"].to_string()) })
        })
    }
}

fn is_rolled_out(workload: &Value) -> bool {
    let status = &workload["status"];
    if status["observedGeneration"] != workload["metadata"]["generation"] {
        return false;
    }
    let (wanted, counts) = if workload["kind"] == "DaemonSet" {
        (&status["desiredNumberScheduled"], &["updatedNumberScheduled", "numberReady"][..])
    } else {
        let counts = &["updatedReplicas", "readyReplicas", "replicas"][..];
        (&workload["spec"]["replicas"], counts)
    };
    counts.iter().all(|count| status[*count] == *wanted)
}
