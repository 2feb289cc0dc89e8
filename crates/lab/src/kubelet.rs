//! Scheduler and kubelet stand-in: Pods that a Deployment made get a node, a process and addresses.
//!
//! So a manifest written for a cluster, `kubectl apply`ed, ends in something that answers. Whatever
//! the image, the process is the lab's backend, listening on the Pod's first container port. Pods
//! that name their node already belong to whoever wrote them and are left alone.

use std::collections::BTreeMap;
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
use crate::lab::log;
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
                    let _ = work.round();
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
    /// Running Pods by uid, dropped to end them.
    pods: BTreeMap<String, Process>,
    started: usize,
}

impl Work {
    fn round(&mut self) -> Result<()> {
        let pods = self.api.list("Pod", "", "")?;
        self.pods.retain(|uid, _| pods.iter().any(|pod| pod["metadata"]["uid"] == uid.as_str()));
        for pod in &pods {
            let uid = text(&pod["metadata"]["uid"]);
            let name = Ref::new(
                "Pod",
                text(&pod["metadata"]["namespace"]),
                text(&pod["metadata"]["name"]),
            );
            let ends = pod["metadata"]["deletionTimestamp"].is_string();
            if ends && self.pods.remove(uid).is_some() {
                self.api.delete_now(name)?;
            } else if !ends && pod["spec"]["nodeName"].is_null() {
                let process = self.run(pod, name)?;
                self.pods.insert(uid.to_owned(), process);
            }
        }
        Ok(())
    }

    /// Gives a Pod its node and starts it there.
    fn run(&mut self, pod: &Value, name: Ref<'_>) -> Result<Process> {
        let node = self.choose(pod)?;
        let Role::Node(index) = node.role else {
            return Err(Error::Manifest(format!("{} is not a node", node.name())));
        };
        let turn = self.started / self.nodes.len().max(1);
        let count = usize::from(LAST_NUMBER - FIRST_NUMBER);
        let number = FIRST_NUMBER + u8::try_from(turn % count).unwrap_or_default();
        let addresses = plan::pod_addresses(index, number);
        for address in addresses {
            // The address may be there already, from a Pod that has gone.
            node.output(["ip", "address", "replace", &address.to_string(), "dev", "lo", "nodad"])?;
        }
        self.started += 1;
        self.api.bind(name, node.name())?;
        let container = &pod["spec"]["containers"][0];
        let port = container["ports"][0]["containerPort"].as_u64();
        let port = port.and_then(|port| u16::try_from(port).ok()).unwrap_or(80);
        let process = Process::start(backend::spec(
            &self.program,
            name.name,
            &node,
            &addresses,
            port,
            log(name.name),
        ))?;
        let written = Pod {
            namespace: name.namespace,
            name: name.name,
            node: &node,
            labels: &[],
            addresses: addresses.to_vec(),
            host_network: false,
            container: (text(&container["name"]), text(&container["image"])),
        };
        self.api.patch_status(name, &written.status(true))?;
        Ok(process)
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

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
