//! A lab: the network, the control plane, our own processes on it, and backends.
//!
//! A lab is built inside a [`crate::sandbox`]. Dropping it ends its processes and takes its network
//! away, so that the next one can be built in the same sandbox.

mod backends;
mod install;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::api::{Api, Ref};
use crate::command::{Output, Run};
use crate::control::{Control, Endpoint, base64};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::kubelet::{Kubelet, Setting};
use crate::manifests::Manifests;
use crate::network::{Network, Shape};
use crate::objects::{self, Pod};
use crate::plan::{Lan, Role};
use crate::process::Process;
use crate::processes::Processes;
use crate::proxy::Proxy;

pub use self::backends::BACKEND_PORT;
use self::backends::Backend;

/// Where a lab keeps its files: on the sandbox's own `/run`, gone with it.
pub const FOLDER: &str = "/run/ferrolb-lab";

/// Where the administrator's kubeconfig is.
pub const KUBECONFIG: &str = "/run/ferrolb-lab/admin.kubeconfig";

/// What accounts of our namespace asked the real API server for: an audit event on each line.
pub(crate) const AUDIT_LOG: &str = "/run/ferrolb-lab/audit.log";

/// Where the folder of the real control plane's programs is written down.
pub(crate) const PROGRAMS: &str = "/run/ferrolb-lab/programs";

/// The namespace of the controller and the speakers.
pub const NAMESPACE: &str = "metallb-system";

/// What a lab is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// Number of nodes.
    pub nodes: u8,
    /// Whether there is a second LAN.
    pub second_lan: bool,
    /// Whether switches snoop on MLD.
    pub snooping: bool,
    /// Which API server.
    pub control: Control,
    /// The binary `ferrolb` that is tried, and that backends and the embedded server are parts of.
    pub program: PathBuf,
    /// Programs that are tried in place of its controller and speakers.
    pub peer: Option<Peer>,
    /// What is installed.
    pub manifests: Manifests,
    /// Whether the API server asks the webhooks of what is installed; else their configuration is
    /// taken out again, and the definitions' own rules are all that is checked.
    pub webhooks: bool,
    /// Flags for the controller, behind the manifest's own.
    pub controller_flags: Vec<String>,
    /// Flags for the speakers, behind the manifest's own.
    pub speaker_flags: Vec<String>,
}

impl Options {
    /// Three nodes on one LAN, embedded API server, this very program.
    pub fn new() -> Result<Self> {
        Ok(Self {
            nodes: 3,
            second_lan: false,
            snooping: false,
            control: Control::Embedded,
            program: std::env::current_exe().map_err(Error::io("own program"))?,
            peer: None,
            manifests: Manifests::shipped()?,
            webhooks: false,
            controller_flags: Vec::new(),
            speaker_flags: Vec::new(),
        })
    }
}

/// Another implementation's programs, which manifests call `/controller` and `/speaker`: so both can
/// be compared in one lab.
#[derive(Clone, Debug)]
pub struct Peer {
    /// In place of our `/controller`.
    pub controller: PathBuf,
    /// In place of our `/speaker`.
    pub speaker: PathBuf,
    /// The only node where its speaker runs; its controller runs nowhere then, as everything else is
    /// ours. Everywhere and both, if there is none.
    pub only_on: Option<String>,
}

/// A running lab.
#[derive(Debug)]
pub struct Lab {
    // Dropped in this order: first those who write rules, then processes, then the network.
    proxy: Option<Proxy>,
    kubelet: Option<Kubelet>,
    processes: Processes,
    network: Network,
    options: Options,
    endpoint: Endpoint,
    api: Api,
    backends: Vec<Backend>,
}

impl Lab {
    /// Builds network and control plane: a cluster that has Nodes, and that nothing is installed in.
    pub fn up(options: Options) -> Result<Self> {
        let folder = Path::new(FOLDER);
        fs::create_dir_all(folder).map_err(Error::io(FOLDER))?;
        let network = Network::build(Shape {
            nodes: options.nodes,
            second_lan: options.second_lan,
            snooping: options.snooping,
        })?;
        let control = options.control.start(network.host("ctl")?, folder, &options.program)?;
        let kubeconfig = control.endpoint.kubeconfig(control.endpoint.admin_token.as_deref());
        fs::write(KUBECONFIG, kubeconfig).map_err(Error::io(KUBECONFIG))?;
        if let Control::Real(programs) = &options.control {
            fs::write(PROGRAMS, programs.display().to_string()).map_err(Error::io(PROGRAMS))?;
        }
        let api = control.endpoint.client()?;
        let mut lab = Self {
            proxy: None,
            kubelet: None,
            processes: Processes::default(),
            network,
            options,
            endpoint: control.endpoint,
            api,
            backends: Vec::new(),
        };
        lab.keep(control.processes);
        lab.write_nodes()?;
        let proxies = lab.options.control.start_proxies(&lab.network.nodes(), folder)?;
        if lab.options.control == Control::Embedded {
            let nodes = lab.network.nodes().into_iter().cloned().collect();
            lab.proxy = Some(Proxy::start(lab.api.clone(), nodes)?);
        }
        lab.kubelet = Some(Kubelet::start(lab.setting())?);
        lab.keep(proxies);
        Ok(lab)
    }

    /// The API server.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// How to reach it.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What is installed, if it is.
    pub fn manifests(&self) -> &Manifests {
        &self.options.manifests
    }

    /// Runs kubectl as the administrator; any exit status is an answer. It is the one beside the real
    /// control plane's programs, else the machine's.
    pub fn kubectl<S: AsRef<str>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<Output> {
        let program = match &self.options.control {
            Control::Real(folder) => folder.join("kubectl").display().to_string(),
            Control::Embedded => "kubectl".to_owned(),
        };
        let mut argv = vec![program, format!("--kubeconfig={KUBECONFIG}")];
        argv.extend(arguments.into_iter().map(|word| word.as_ref().to_owned()));
        Run::new(argv).limit(Duration::from_secs(30)).output()
    }

    /// Hosts and LANs.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The host of that name.
    pub fn host(&self, name: &str) -> Result<&Host> {
        self.network.host(name)
    }

    /// The process of that name: `controller`, `speaker-node1`, `kube-apiserver`, a backend's.
    pub fn process(&self, name: &str) -> Result<Arc<Process>> {
        self.processes.find(name)
    }

    /// All processes.
    pub fn processes(&self) -> Vec<Arc<Process>> {
        self.processes.all()
    }

    /// The speaker on a node.
    pub fn speaker(&self, node: &str) -> Result<Arc<Process>> {
        self.process(&format!("speaker-{node}"))
    }

    /// The owner of a hardware address on a LAN.
    pub fn host_with_mac(&self, mac: ferrolb_addr::Mac) -> Option<&Host> {
        self.network.hosts().find(|host| host.lans.iter().any(|lan| host.mac(*lan) == mac))
    }

    /// Plugs a stranger into a LAN; it gets the LAN's next guest number.
    pub fn add_guest(&mut self, lan: Lan) -> Result<Host> {
        let guests =
            self.network.hosts().filter(|host| matches!(host.role, Role::Guest(_))).count();
        let index = u8::try_from(guests + 1).unwrap_or(u8::MAX);
        self.network.add(Role::Guest(index), &[lan]).cloned()
    }

    /// Makes a host.
    pub(crate) fn add_host(&mut self, role: Role, lans: &[Lan]) -> Result<Host> {
        self.network.add(role, lans).cloned()
    }

    /// Addresses a Service has been given.
    pub fn service_addresses(&self, namespace: &str, name: &str) -> Result<Vec<IpAddr>> {
        let service = self.api.get(Ref::new("Service", namespace, name))?;
        let ingress = service.as_ref().map(|service| &service["status"]["loadBalancer"]["ingress"]);
        Ok(ingress
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry["ip"].as_str()?.parse().ok())
            .collect())
    }

    fn write_nodes(&self) -> Result<()> {
        for host in self.network.nodes() {
            self.api.apply(&objects::node(host))?;
            let node = Ref::new("Node", "", host.name());
            self.api.patch_status(node, &objects::node_status(host))?;
            // The server marks a new Node as not ready; what takes the mark off does not run here.
            self.api.patch(node, &json!({ "spec": { "taints": null } }))?;
        }
        Ok(())
    }

    fn setting(&self) -> Setting {
        let Options { program, peer, controller_flags, speaker_flags, .. } = self.options.clone();
        Setting {
            api: self.api.clone(),
            endpoint: self.endpoint.clone(),
            nodes: self.network.nodes().into_iter().cloned().collect(),
            pods: self.network.pods(),
            program,
            peer,
            flags: BTreeMap::from([("controller", controller_flags), ("speaker", speaker_flags)]),
            processes: self.processes.clone(),
        }
    }

    fn write_pod(&self, pod: &Pod<'_>, ready: bool) -> Result<()> {
        self.api.apply(&pod.object())?;
        self.api
            .patch_status(Ref::new("Pod", pod.namespace, pod.name), &pod.status(ready))
            .map(drop)
    }

    fn keep(&self, processes: impl IntoIterator<Item = Process>) {
        processes.into_iter().for_each(|process| self.processes.keep(process));
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.proxy = None;
        self.kubelet = None;
        self.processes.clear();
        self.network.remove();
        let _ = fs::remove_dir_all(FOLDER);
    }
}

/// The file a process of the lab writes to.
pub(crate) fn log(name: &str) -> PathBuf {
    Path::new(FOLDER).join("logs").join(name)
}

/// A line in the log of one of the lab's own threads.
pub(crate) fn note(name: &str, text: impl Display) {
    let file = OpenOptions::new().create(true).append(true).open(log(name));
    // Nobody can be told that the log cannot be written.
    let _ = file.and_then(|mut file| writeln!(file, "{text}"));
}

/// As upstream's controller makes it: 16 random bytes, base64 without padding.
fn random_secret() -> Result<String> {
    let mut bytes = [0u8; 16];
    let mut source = fs::File::open("/dev/urandom").map_err(Error::io("/dev/urandom"))?;
    source.read_exact(&mut bytes).map_err(Error::io("/dev/urandom"))?;
    Ok(base64(&bytes).trim_end_matches('=').to_owned())
}
