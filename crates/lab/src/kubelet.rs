//! Scheduler and kubelet stand-in: Pods that a Deployment made get a node, a process and addresses.
//!
//! So a manifest written for a cluster, `kubectl apply`ed, ends in something that answers. Whatever
//! the image, the process is the lab's backend, listening on the Pod's first container port. Pods
//! that name their node already belong to whoever wrote them and are left alone.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::api::{Api, Ref};
use crate::backend;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::lab::{log, note};
use crate::objects::Pod;
use crate::plan::{self, Role};
use crate::process::Process;

const PERIOD: Duration = Duration::from_millis(100);

/// Pod numbers on a node below this one are for backends a scenario starts by hand.
const FIRST_NUMBER: u8 = 90;
const LAST_NUMBER: u8 = 240;

/// Runs Pods until it is dropped.
#[derive(Debug)]
pub(crate) struct Kubelet {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Kubelet {
    pub(crate) fn start(api: Api, nodes: Vec<Host>, program: PathBuf) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let mut work = Work { api, nodes, program, pods: BTreeMap::new(), started: 0 };
        let thread = thread::Builder::new()
            .name("kubelet".to_owned())
            .spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    // A server that does not answer changes nothing: Pods keep running.
                    if let Err(error) = work.round() {
                        note("kubelet", &error);
                    }
                    thread::sleep(PERIOD);
                }
            })
            .map_err(Error::io("kubelet"))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the thread owns.
struct Work {
    api: Api,
    nodes: Vec<Host>,
    program: PathBuf,
    /// By uid; dropped to end them.
    pods: BTreeMap<String, RunningPod>,
    started: usize,
}

struct RunningPod {
    node: Host,
    addresses: [IpAddr; 2],
    _process: Process,
}

impl Work {
    fn round(&mut self) -> Result<()> {
        let pods = self.api.list("Pod", "", "")?;
        self.pods.retain(|uid, _| pods.iter().any(|pod| pod["metadata"]["uid"] == uid.as_str()));
        for pod in &pods {
            let uid = text(&pod["metadata"]["uid"]);
            let metadata = &pod["metadata"];
            let name = Ref::new("Pod", text(&metadata["namespace"]), text(&metadata["name"]));
            let is_ending = metadata["deletionTimestamp"].is_string();
            let is_placed = pod["spec"]["nodeName"].is_string();
            if is_ending && self.pods.remove(uid).is_some() {
                self.api.delete_now(name)?;
            } else if !is_ending && !is_placed && !self.pods.contains_key(uid) {
                let running = self.run(pod, name)?;
                self.api.bind(name, running.node.name())?;
                self.pods.insert(uid.to_owned(), running);
            }
            if let Some(running) = self.pods.get(uid)
                && pod["status"]["phase"] != "Running"
            {
                self.api.patch_status(name, &running.status(pod, name))?;
            }
        }
        Ok(())
    }

    /// Starts a Pod on a node.
    fn run(&mut self, pod: &Value, name: Ref<'_>) -> Result<RunningPod> {
        let node = self.choose(pod)?;
        let Role::Node(index) = node.role else {
            return Err(Error::Manifest(format!("{} is not a node", node.name())));
        };
        let turn = self.started / self.nodes.len().max(1);
        let count = usize::from(LAST_NUMBER - FIRST_NUMBER);
        let number = FIRST_NUMBER + u8::try_from(turn % count).unwrap_or_default();
        self.started += 1;
        let addresses = plan::pod_addresses(index, number);
        for address in addresses {
            // The address may be there already, from a Pod that has gone.
            node.success(["ip", "address", "replace", &address.to_string(), "dev", "lo", "nodad"])?;
        }
        let port = pod["spec"]["containers"][0]["ports"][0]["containerPort"].as_u64();
        let port = port.and_then(|port| u16::try_from(port).ok()).unwrap_or(80);
        let log = log(name.name);
        let spec = backend::spec(&self.program, name.name, &node, &addresses, port, log);
        Ok(RunningPod { _process: Process::start(spec)?, node, addresses })
    }

    /// The next node in turn that has the labels the Pod asks for.
    fn choose(&self, pod: &Value) -> Result<Host> {
        let wanted = pod["spec"]["nodeSelector"].as_object();
        let nodes = self.api.list("Node", "", "")?;
        let fits = |host: &&Host| {
            let node = nodes.iter().find(|node| node["metadata"]["name"] == host.name());
            let labels = node.map(|node| &node["metadata"]["labels"]);
            let mut wanted = wanted.into_iter().flatten();
            labels.is_some_and(|labels| wanted.all(|(key, value)| labels[key] == *value))
        };
        let fitting: Vec<_> = self.nodes.iter().filter(fits).collect();
        let turn = self.started % fitting.len().max(1);
        fitting.get(turn).map(|host| (*host).clone()).ok_or_else(|| {
            Error::Manifest(format!("no node fits Pod {}", text(&pod["metadata"]["name"])))
        })
    }
}

impl RunningPod {
    fn status(&self, pod: &Value, name: Ref<'_>) -> Value {
        let container = &pod["spec"]["containers"][0];
        let pod = Pod {
            namespace: name.namespace,
            name: name.name,
            node: &self.node,
            labels: &[],
            addresses: self.addresses.to_vec(),
            host_network: false,
            container: (text(&container["name"]), text(&container["image"])),
        };
        pod.status(true)
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
