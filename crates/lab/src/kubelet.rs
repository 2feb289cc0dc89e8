//! Scheduler and kubelet stand-in: Pods get a node, addresses, a process and their probes' answers.
//!
//! ```text
//!  Deployment, DaemonSet ──(the cluster's controllers)──▶ Pod ──▶ node ──▶ process ──▶ Ready
//!                                                                             │
//!            deleted: SIGTERM, after the grace period SIGKILL, then it is gone ◀┘
//! ```
//!
//! Pods of our namespace run the program that is tried, as their manifest says ([`own`]). Whatever the
//! image of any other, its process is the lab's backend, listening on the Pod's first container port;
//! so a manifest written for a cluster, `kubectl apply`ed, ends in something that answers. Pods that
//! name their node from the start belong to whoever wrote them and are left alone.

mod container;
mod own;
mod probe;
mod volumes;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use self::container::text;
use self::own::Own;
pub(crate) use self::probe::Probe;
use crate::api::{Api, Ref};
use crate::backend;
use crate::control::Endpoint;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::lab::{NAMESPACE, Peer, log, note};
use crate::objects::Pod;
use crate::plan::{self, Role};
use crate::process::{Process, Signal};
use crate::processes::Processes;

const PERIOD: Duration = Duration::from_millis(100);

/// Pod numbers on a node below this one are for backends a scenario starts by hand.
const FIRST_NUMBER: u8 = 90;
const LAST_NUMBER: u8 = 240;

/// What kubelet needs to know about the lab.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) api: Api,
    pub(crate) endpoint: Endpoint,
    pub(crate) nodes: Vec<Host>,
    /// Networks for Pods of ours that do not use their node's.
    pub(crate) pods: Vec<Host>,
    pub(crate) program: PathBuf,
    pub(crate) peer: Option<Peer>,
    /// Behind the manifest's own, by component.
    pub(crate) flags: BTreeMap<&'static str, Vec<String>>,
    /// Where controller and speakers are entered.
    pub(crate) processes: Processes,
}

/// Runs Pods until it is dropped.
#[derive(Debug)]
pub(crate) struct Kubelet {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Kubelet {
    pub(crate) fn start(setting: Setting) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let mut work =
            Work { setting, pods: BTreeMap::new(), started: 0, complaints: BTreeMap::new() };
        let thread = thread::Builder::new()
            .name("kubelet".to_owned())
            .spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    // A server that does not answer changes nothing: Pods keep running.
                    if let Err(error) = work.round() {
                        work.complain("", &error);
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
    setting: Setting,
    /// By uid.
    pods: BTreeMap<String, RunningPod>,
    started: usize,
    /// What was said last about a Pod that does not start, so that it is said once.
    complaints: BTreeMap<String, String>,
}

struct RunningPod {
    node: Host,
    addresses: Vec<IpAddr>,
    process: Arc<Process>,
    /// What a Pod of ours has more than others.
    own: Option<Own>,
    /// When it is killed.
    deadline: Option<Instant>,
}

impl Drop for RunningPod {
    fn drop(&mut self) {
        // Whoever else holds the process holds a dead one.
        let _ = self.process.kill();
    }
}

impl Work {
    fn round(&mut self) -> Result<()> {
        let pods = self.setting.api.list("Pod", "", "")?;
        let gone = |uid: &String| !pods.iter().any(|pod| pod["metadata"]["uid"] == uid.as_str());
        let gone: Vec<_> = self.pods.keys().filter(|uid| gone(uid)).cloned().collect();
        for uid in gone {
            if let Some(pod) = self.pods.remove(&uid) {
                self.setting.processes.remove(&pod.process);
            }
        }
        for pod in &pods {
            let uid = text(&pod["metadata"]["uid"]);
            match self.look(pod, uid) {
                Ok(()) => drop(self.complaints.remove(uid)),
                Err(error) => {
                    let pod = text(&pod["metadata"]["name"]);
                    self.complain(uid, &format_args!("{pod}: {error}"));
                }
            }
        }
        Ok(())
    }

    fn look(&mut self, pod: &Value, uid: &str) -> Result<()> {
        let metadata = &pod["metadata"];
        let name = Ref::new("Pod", text(&metadata["namespace"]), text(&metadata["name"]));
        if metadata["deletionTimestamp"].is_string() {
            let grace = metadata["deletionGracePeriodSeconds"].as_u64().unwrap_or_default();
            return self.end(uid, name, Duration::from_secs(grace));
        }
        if let Some(running) = self.pods.get_mut(uid) {
            return running.refresh(&self.setting.api, pod, name);
        }
        let is_placed = pod["spec"]["nodeName"].is_string();
        let running = if name.namespace == NAMESPACE {
            let node = if is_placed {
                self.node(text(&pod["spec"]["nodeName"]))?
            } else {
                self.choose(pod)?
            };
            if !is_placed {
                self.setting.api.bind(name, node.name())?;
            }
            own::start(&self.setting, &self.pods, pod, node)?
        } else if !is_placed {
            let running = self.start_backend(pod, name)?;
            self.setting.api.bind(name, running.node.name())?;
            running
        } else {
            return Ok(());
        };
        self.pods.insert(uid.to_owned(), running);
        Ok(())
    }

    /// Asks the process to end and, once it has ended or its time is over, takes the Pod away.
    fn end(&mut self, uid: &str, name: Ref<'_>, grace: Duration) -> Result<()> {
        let Some(running) = self.pods.get_mut(uid) else {
            // Never started, or written by somebody who ends it as well.
            return if name.namespace == NAMESPACE {
                self.setting.api.delete_now(name)
            } else {
                Ok(())
            };
        };
        let deadline = if let Some(deadline) = running.deadline {
            deadline
        } else {
            self.setting.processes.remove(&running.process);
            running.process.signal(Signal::TERM)?;
            let grace = if running.own.is_some() { grace } else { Duration::ZERO };
            *running.deadline.insert(Instant::now() + grace)
        };
        if running.process.ended()?.is_some() || Instant::now() >= deadline {
            self.pods.remove(uid);
            self.setting.api.delete_now(name)?;
        }
        Ok(())
    }

    /// Starts the backend of a Pod on a node.
    fn start_backend(&mut self, pod: &Value, name: Ref<'_>) -> Result<RunningPod> {
        let node = self.choose(pod)?;
        let Role::Node(index) = node.role else {
            return Err(Error::Manifest(format!("{} is not a node", node.name())));
        };
        let turn = self.started / self.setting.nodes.len().max(1);
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
        let program = &self.setting.program;
        let spec = backend::spec(program, name.name, &node, &addresses, port, log(name.name));
        let process = Arc::new(Process::start(spec)?);
        let addresses = addresses.to_vec();
        Ok(RunningPod { node, addresses, process, own: None, deadline: None })
    }

    fn node(&self, name: &str) -> Result<Host> {
        let nodes = &self.setting.nodes;
        let known = || nodes.iter().map(Host::name);
        let found = nodes.iter().find(|node| node.name() == name);
        found.cloned().ok_or_else(|| Error::unknown("node", name, known()))
    }

    /// The node a `DaemonSet` wants the Pod on, or the next in turn that has the labels it asks for.
    fn choose(&self, pod: &Value) -> Result<Host> {
        if let Some(name) = daemon_node(pod) {
            return self.node(name);
        }
        let wanted = pod["spec"]["nodeSelector"].as_object();
        let nodes = self.setting.api.list("Node", "", "")?;
        let fits = |host: &&Host| {
            let node = nodes.iter().find(|node| node["metadata"]["name"] == host.name());
            let labels = node.map(|node| &node["metadata"]["labels"]);
            let mut wanted = wanted.into_iter().flatten();
            labels.is_some_and(|labels| wanted.all(|(key, value)| labels[key] == *value))
        };
        let fitting: Vec<_> = self.setting.nodes.iter().filter(fits).collect();
        let turn = self.started % fitting.len().max(1);
        fitting.get(turn).map(|host| (*host).clone()).ok_or_else(|| {
            Error::Manifest(format!("no node fits Pod {}", text(&pod["metadata"]["name"])))
        })
    }

    fn complain(&mut self, about: &str, words: &impl ToString) {
        let words = words.to_string();
        if self.complaints.get(about) != Some(&words) {
            note("kubelet", &words);
            self.complaints.insert(about.to_owned(), words);
        }
    }
}

impl RunningPod {
    /// What is to be done about a Pod while it runs.
    fn refresh(&mut self, api: &Api, pod: &Value, name: Ref<'_>) -> Result<()> {
        match &mut self.own {
            Some(own) => own.refresh(api),
            None if pod["status"]["phase"] == "Running" => Ok(()),
            None => api.patch_status(name, &self.status(pod)).map(drop),
        }
    }

    fn status(&self, pod: &Value) -> Value {
        let container = &pod["spec"]["containers"][0];
        let pod = Pod {
            namespace: "",
            name: "",
            node: &self.node,
            labels: &[],
            addresses: self.addresses.clone(),
            container: (text(&container["name"]), text(&container["image"])),
        };
        pod.status(true)
    }
}

/// The name in the affinity that a `DaemonSet`'s controller gives its Pods.
fn daemon_node(pod: &Value) -> Option<&str> {
    let affinity = &pod["spec"]["affinity"]["nodeAffinity"];
    let terms = &affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"];
    let field = &terms[0]["matchFields"][0];
    (field["key"] == "metadata.name").then(|| field["values"][0].as_str()).flatten()
}
