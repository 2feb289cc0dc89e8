//! A lab with backends in it, what cases do to it, and how it becomes clean again.

mod objects;
mod rollout;
mod webhooks;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ferrolb_lab::api::{Api, Ref, wait_until};
use ferrolb_lab::command::Output;
use ferrolb_lab::fault::Cable;
use ferrolb_lab::manifests::Manifests;
use ferrolb_lab::plan::{Lan, Role};
use ferrolb_lab::process::Signal;
use ferrolb_lab::router::Router;
use ferrolb_lab::{Error, Host, Lab, NAMESPACE, Result};
use serde_json::{Value, json};

use crate::audit::{self, Audit, Request};
use crate::interop::Interop;
use crate::manifest::{APP, Manifest};
use crate::shape::Shape;

pub(crate) use self::webhooks::{HEARD, WEBHOOKS};
pub(crate) use self::wire::PERIOD;

/// How long anything may take that normally takes far less.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// Until a new owner has said unasked that it is the owner, so that neighbours who know the old one hear
/// of it: the first word follows at once, and again after 0.1 and 0.3 s.
pub(crate) const UNASKED: Duration = Duration::from_secs(1);

/// How long something must not happen before it counts as not happening.
pub(crate) const QUIET: Duration = Duration::from_secs(2);

/// Our kinds, as kubectl names them.
pub(crate) const NAMES: [&str; 3] = ["ipaddresspools", "l2advertisements", "servicel2statuses"];

/// A label that keeps load balancer traffic away from a node.
pub(crate) const EXCLUDE: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// What the lab does itself about Nodes, with the label cases use.
const NODE_LABELS: [&str; 3] = [EXCLUDE, "e2e/a", "e2e/b"];

/// A lab and what the suite keeps about it.
#[derive(Debug)]
pub(crate) struct Stage {
    // Dropped first: they run on hosts of the lab.
    routers: Vec<Router>,
    lab: Lab,
    shape: Shape,
    /// Names of the backends of [`APP`] in namespace default, by node.
    backends: BTreeMap<String, String>,
    audit: Audit,
    interop: Interop,
}

impl Stage {
    /// Builds a lab, our processes in it, and a backend on each node.
    pub(crate) fn build(shape: Shape, program: &Path, manifests: &Manifests) -> Result<Self> {
        let mut lab = Lab::up(shape.options(program, manifests)?)?;
        lab.install()?;
        let nodes: Vec<_> =
            lab.network().nodes().iter().map(|node| node.name().to_owned()).collect();
        let mut backends = BTreeMap::new();
        for node in nodes {
            let name = lab.start_backend("default", APP, &node)?;
            backends.insert(node, name);
        }
        lab.wait_ready(Duration::from_secs(30))?;
        let routers = shape.routers().iter().map(|software| lab.add_router(*software));
        let routers = routers.collect::<Result<_>>()?;
        let (audit, interop) = (Audit::default(), Interop::default());
        Ok(Self { routers, lab, shape, backends, audit, interop })
    }

    /// The lab.
    pub(crate) fn lab(&self) -> &Lab {
        &self.lab
    }

    /// The routers beside the nodes.
    pub(crate) fn routers(&self) -> &[Router] {
        &self.routers
    }

    /// What was found out about routers.
    pub(crate) fn interop(&self) -> &Interop {
        &self.interop
    }

    /// A host outside the cluster, on LAN 1.
    pub(crate) fn guest(&mut self) -> Result<Host> {
        match self.lab.host("guest1") {
            Ok(guest) => Ok(guest.clone()),
            Err(_) => self.lab.add_guest(Lan::One),
        }
    }

    /// The API server, as the administrator.
    pub(crate) fn api(&self) -> &Api {
        self.lab.api()
    }

    /// Names of the nodes.
    pub(crate) fn nodes(&self) -> Vec<String> {
        self.backends.keys().cloned().collect()
    }

    /// Applies an object.
    pub(crate) fn apply(&self, manifest: &Manifest) -> Result<()> {
        let object = manifest.object();
        if object["kind"] == "Service" {
            self.lab.apply_service(object).map(drop)
        } else {
            self.api().apply(object).map(drop)
        }
    }

    /// Runs kubectl and wants it to succeed.
    pub(crate) fn kubectl(&self, words: &[&str]) -> Result<String> {
        let output = self.kubectl_output(words)?;
        if output.code == Some(0) {
            return Ok(output.stdout);
        }
        Err(fail(format!("kubectl {}: {}", words.join(" "), output.stderr.trim())))
    }

    /// Runs kubectl; any status is an answer.
    pub(crate) fn kubectl_output(&self, words: &[&str]) -> Result<Output> {
        self.lab.kubectl(words)
    }

    /// `kubectl apply -f` of a file or folder in `examples/`.
    pub(crate) fn example(&self, path: &str) -> Result<()> {
        let path = examples().join(path).display().to_string();
        self.kubectl(&["apply", "-f", &path]).map(drop)
    }

    /// Makes a namespace with labels.
    pub(crate) fn namespace(&self, name: &str, labels: &Value) -> Result<()> {
        let object = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": { "name": name, "labels": labels },
        });
        self.api().apply(&object).map(drop)
    }

    /// Puts a label on a node, or takes it off.
    pub(crate) fn label_node(&self, node: &str, key: &str, value: Option<&str>) -> Result<()> {
        let patch = json!({ "metadata": { "labels": { key: value } } });
        self.api().patch(Ref::new("Node", "", node), &patch).map(drop)
    }

    /// The `Ready` of the backend on a node.
    pub(crate) fn set_ready(&mut self, node: &str, ready: bool) -> Result<()> {
        let Some(name) = self.backends.get(node) else {
            return Err(fail(format!("no backend on {node}")));
        };
        self.lab.set_backend_ready(name, ready)
    }

    /// Waits until one of our processes has written a line with all of these words, behind what it
    /// had written at `from`.
    pub(crate) fn wait_for_line(
        &self,
        process: &str,
        from: usize,
        words: &[&str],
    ) -> Result<String> {
        let process = self.lab.process(process)?;
        wait_until(&format!("{} writes {words:?}", process.name()), PATIENCE, || {
            let log = process.log();
            let mut new = log.get(from..).unwrap_or_default().lines();
            let line = new.find(|line| words.iter().all(|word| line.contains(word)));
            Ok(line.map(str::to_owned).ok_or("no such line"))
        })
    }

    /// How much one of our processes has written so far.
    pub(crate) fn written(&self, process: &str) -> Result<usize> {
        Ok(self.lab.process(process)?.log().len())
    }

    /// The object of that kind that belongs to one of our components, whatever the installation
    /// calls it.
    pub(crate) fn own_object(&self, kind: &str, component: &str) -> Result<String> {
        let mut all = self.lab.manifests().of_kind(kind).map(|object| identity(object).1);
        let name = all.find(|name| name.ends_with(component)).map(str::to_owned);
        name.ok_or_else(|| fail(format!("no {kind} of {component} is installed")))
    }

    /// What selects the Pods of a workload of ours, in kubectl's words.
    pub(crate) fn own_selector(&self, kind: &str, component: &str) -> Result<String> {
        let name = self.own_object(kind, component)?;
        let object = self.api().get(Ref::new(kind, NAMESPACE, &name))?.unwrap_or_default();
        let labels = object["spec"]["selector"]["matchLabels"].as_object().into_iter().flatten();
        let pairs = labels.filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
        Ok(pairs.collect::<Vec<_>>().join(","))
    }

    /// The Secret that speakers share, which manifests and chart call by different names.
    pub(crate) fn members_secret(&self) -> Result<Value> {
        let all = self.api().list("Secret", NAMESPACE, "")?;
        let mut secrets = all.into_iter();
        let secret = secrets.find(|secret| identity(secret).1.ends_with("memberlist"));
        secret.ok_or_else(|| fail("there is no Secret of the speakers"))
    }

    /// Restarts one of our processes and waits until all are ready.
    pub(crate) fn restart(&self, process: &str) -> Result<()> {
        self.lab.process(process)?.restart()?;
        self.lab.wait_ready(PATIENCE)
    }

    /// The process numbers of controller and speakers, which tell whether one was restarted.
    pub(crate) fn own_processes(&self) -> Vec<u32> {
        self.lab.own_processes().iter().map(|process| process.pid()).collect()
    }

    /// Takes away what a case has made, undoes what it has done, and looks whether all of our
    /// processes have survived it.
    pub(crate) fn tidy(&mut self) -> Result<()> {
        for process in self.lab.processes() {
            process.signal(Signal::CONT)?;
        }
        for router in &self.routers {
            router.thaw()?;
            Cable::of(router.host(), Lan::One).plug()?;
        }
        let ended: Vec<_> = self
            .lab
            .own_processes()
            .iter()
            .filter(|process| process.expect_running().is_err())
            .map(|process| process.name().to_owned())
            .collect();
        for name in &ended {
            self.lab.process(name)?.restart()?;
        }
        for node in self.lab.network().nodes() {
            for lan in self.lab.network().lans() {
                Cable::of(node, *lan).restore()?;
                Cable::of(node, *lan).plug()?;
            }
        }
        wait_until("the API server is ready", PATIENCE, || {
            Ok(if self.api().is_ready() { Ok(()) } else { Err("not ready") })
        })?;
        self.delete_objects()?;
        self.routers.iter().for_each(Router::kill);
        for node in self.nodes() {
            for label in NODE_LABELS {
                self.label_node(&node, label, None)?;
            }
            self.set_condition(&node, "NetworkUnavailable", "False")?;
            self.set_ready(&node, true)?;
        }
        self.lab.wait_ready(PATIENCE)?;
        for host in self.lab.network().hosts().filter(|host| matches!(host.role, Role::Client(_))) {
            // The next case's client knows nobody.
            host.success(["ip", "neighbour", "flush", "all"])?;
        }
        wait_until("no ServiceL2Status is left", PATIENCE, || {
            let left = self.api().list("ServiceL2Status", NAMESPACE, "")?;
            Ok(if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) })
        })?;
        if ended.is_empty() {
            Ok(())
        } else {
            Err(fail(format!("{} had ended by itself", ended.join(", "))))
        }
    }

    /// An error if our accounts were refused something since the last look, in a case that takes no
    /// permission away.
    pub(crate) fn expect_nothing_refused(&mut self, case: &str) -> Result<()> {
        if !self.shape.is_real() {
            return Ok(());
        }
        let refused = self.audit.refused()?;
        let words: Vec<_> = refused.iter().map(ToString::to_string).collect();
        check(words.is_empty() || !audit::expects_grants(case), || {
            format!("refused by the API server: {}", words.join("; "))
        })
    }

    /// What our accounts did so far.
    pub(crate) fn used(&self) -> &BTreeSet<Request> {
        self.audit.used()
    }

    /// Sets a condition of a node, as kubelet or a cloud would.
    pub(crate) fn set_condition(&self, node: &str, kind: &str, status: &str) -> Result<()> {
        let target = Ref::new("Node", "", node);
        let object = self.api().get(target)?.unwrap_or_default();
        let mut conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.retain(|condition| condition["type"] != kind);
        conditions.push(json!({ "type": kind, "status": status, "reason": "e2e" }));
        self.api().patch_status(target, &json!({ "conditions": conditions })).map(drop)
    }

    fn delete_objects(&self) -> Result<()> {
        // A profile cannot go before the peers that use it.
        let on_real = ["Deployment", "BGPAdvertisement", "BGPPeer", "BFDProfile", "Community"];
        let everywhere = ["Service", "L2Advertisement", "IPAddressPool"];
        let kinds = on_real.into_iter().filter(|_| self.shape.is_real()).chain(everywhere);
        for kind in kinds {
            for object in self.api().list(kind, "", "")? {
                let (namespace, name) = identity(&object);
                let is_installed =
                    namespace == NAMESPACE && ["Deployment", "Service"].contains(&kind);
                if !is_installed && (namespace, name) != ("default", "kubernetes") {
                    self.api().delete(Ref::new(kind, namespace, name))?;
                }
            }
        }
        Ok(())
    }

    /// Prints what helps to find out why a case failed.
    pub(crate) fn explain(&self) {
        for kind in ["IPAddressPool", "L2Advertisement", "ServiceL2Status", "Service"] {
            for object in self.api().list(kind, "", "").unwrap_or_default() {
                let (namespace, name) = identity(&object);
                let annotations = &object["metadata"]["annotations"];
                println!(
                    "  {kind} {namespace}/{name}: {} {} {annotations}",
                    object["spec"], object["status"]
                );
            }
        }
        let mut events = self.api().list("Event", "", "").unwrap_or_default();
        events.sort_by_key(objects::version);
        for event in events.iter().rev().take(12) {
            println!(
                "  Event {} {} on {}: {}",
                event["lastTimestamp"],
                event["reason"],
                event["involvedObject"]["name"],
                event["message"]
            );
        }
        for line in self.lab.tails(12) {
            println!("  {line}");
        }
        for router in &self.routers {
            let log = router.log();
            let lines: Vec<_> = log.lines().collect();
            for line in &lines[lines.len().saturating_sub(12)..] {
                println!("  {}: {line}", router.name());
            }
        }
    }
}

/// The folder `examples`.
pub(crate) fn examples() -> PathBuf {
    repository("examples")
}

/// A file or folder of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// A case's own words about what is wrong.
pub(crate) fn fail(words: impl Into<String>) -> Error {
    Error::Story(words.into())
}

/// An error with these words unless it holds.
pub(crate) fn check(holds: bool, words: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(fail(words())) }
}

fn identity(object: &Value) -> (&str, &str) {
    let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
    (text("namespace"), text("name"))
}
