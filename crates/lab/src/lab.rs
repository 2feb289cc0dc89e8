//! A lab: the network, the control plane, our own processes on it, and backends.
//!
//! A lab is built inside a [`crate::sandbox`]. Dropping it ends its processes and takes its network
//! away, so that the next one can be built in the same sandbox.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ferrolb_addr::Family;
use serde_json::{Value, json};

use crate::api::{Api, Ref, wait_until};
use crate::confinement::Confinement;
use crate::control::{Control, Endpoint, base64};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::network::{Network, Shape};
use crate::objects::{self, Pod};
use crate::plan::{self, Lan, Role};
use crate::process::{Process, Spec};
use crate::proxy::Proxy;

/// Where a lab keeps its files: on the sandbox's own `/run`, gone with it.
pub const FOLDER: &str = "/run/ferrolb-lab";

/// The namespace of the controller and the speakers.
pub const NAMESPACE: &str = "metallb-system";

/// The port backends listen on.
pub const BACKEND_PORT: u16 = 8080;

const RBAC: &str = include_str!("../../../deploy/rbac.yaml");

/// The shipped content of ConfigMap `metallb-excludel2`.
const EXCLUDED_INTERFACES: &str = "announcedInterfacesToExclude: ['^docker.*', '^cbr.*', '^dummy.*', '^virbr.*', '^lxcbr.*', '^veth.*', '^lo$', '^cali.*', '^tunl.*', '^flannel.*', '^kube-ipvs.*', '^cni.*', '^nodelocaldns.*', '^lxc.*']\n";

/// The user of the controller's manifest.
const NOBODY: u32 = 65534;

const HEALTH_PORT: u16 = 17472;

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
    /// The binary `ferrolb` that is tried.
    pub program: PathBuf,
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
            controller_flags: Vec::new(),
            speaker_flags: Vec::new(),
        })
    }
}

/// A Pod that answers, and the node it is on.
#[derive(Clone, Debug)]
struct Backend {
    namespace: String,
    name: String,
    app: String,
    node: Host,
    addresses: Vec<IpAddr>,
    ready: bool,
}

/// A running lab.
#[derive(Debug)]
pub struct Lab {
    // Dropped in this order: first those who write rules, then processes, then the network.
    proxy: Option<Proxy>,
    processes: BTreeMap<String, Process>,
    network: Network,
    options: Options,
    endpoint: Endpoint,
    api: Api,
    secret: String,
    backends: Vec<Backend>,
}

impl Lab {
    /// Builds network and control plane, and writes what a fresh cluster has: Nodes, our namespace,
    /// custom resource definitions, RBAC and the memberlist Secret. Our own processes start later.
    pub fn up(options: Options) -> Result<Self> {
        let folder = Path::new(FOLDER);
        fs::create_dir_all(folder).map_err(Error::io(FOLDER))?;
        let network = Network::build(Shape {
            nodes: options.nodes,
            second_lan: options.second_lan,
            snooping: options.snooping,
        })?;
        let control = options.control.start(network.host("ctl")?, folder, &options.program)?;
        let api = control.endpoint.client()?;
        let mut lab = Self {
            proxy: None,
            processes: BTreeMap::new(),
            network,
            options,
            endpoint: control.endpoint,
            api,
            secret: random_secret()?,
            backends: Vec::new(),
        };
        lab.keep(control.processes);
        lab.furnish()?;
        let nodes = lab.network.nodes();
        let proxies = lab.options.control.start_proxies(&nodes, folder)?;
        if lab.options.control == Control::Embedded {
            let nodes = nodes.into_iter().cloned().collect();
            lab.proxy = Some(Proxy::start(lab.api.clone(), nodes)?);
        }
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

    /// Hosts and LANs.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The host of that name.
    pub fn host(&self, name: &str) -> Result<&Host> {
        self.network.host(name)
    }

    /// The process of that name.
    pub fn process(&self, name: &str) -> Result<&Process> {
        let known = self.processes.keys().map(String::as_str);
        self.processes.get(name).ok_or_else(|| Error::unknown("process", name, known))
    }

    /// All processes.
    pub fn processes(&self) -> impl Iterator<Item = &Process> {
        self.processes.values()
    }

    /// The speaker on a node.
    pub fn speaker(&self, node: &str) -> Result<&Process> {
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

    /// Starts the controller as its Deployment would, on the control plane's host.
    pub fn start_controller(&mut self) -> Result<()> {
        let host = self.host("ctl")?.clone();
        let confinement = self.confinement("controller", NOBODY, &[]);
        self.prepare_pod(&confinement, "controller", &[])?;
        let mut environment = vec![
            variable("METALLB_POD_NAME", "controller"),
            variable("METALLB_DEPLOYMENT", "controller"),
            variable("METALLB_ML_SECRET_NAME", "memberlist"),
        ];
        environment.extend(self.api_environment());
        let flags = self.options.controller_flags.clone();
        self.start_own("controller", "controller", host, environment, confinement, &flags)
    }

    /// Starts a speaker on every node, as the DaemonSet would.
    pub fn start_speakers(&mut self) -> Result<()> {
        let nodes: Vec<_> = self.network.nodes().into_iter().cloned().collect();
        nodes.into_iter().try_for_each(|node| self.start_speaker(node))
    }

    /// Waits until the controller and all speakers say they are ready.
    pub fn wait_ready(&self, limit: Duration) -> Result<()> {
        for process in self.own_processes() {
            let probe = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), HEALTH_PORT);
            wait_until(&format!("{} is ready", process.name()), limit, || {
                process.expect_running()?;
                Ok(match process.host().http(probe, "/readyz?verbose", Duration::from_secs(1)) {
                    Ok((200, _)) => Ok(()),
                    Ok((status, body)) => Err(format!("status {status}: {}", body.trim())),
                    Err(error) => Err(error.to_string()),
                })
            })?;
        }
        Ok(())
    }

    /// Starts a Pod of an app on a node: a process with Pod addresses that answers HTTP and UDP, and
    /// the Pod object. Returns its name.
    pub fn start_backend(&mut self, namespace: &str, app: &str, node: &str) -> Result<String> {
        let host = self.host(node)?.clone();
        let Role::Node(index) = host.role else {
            return Err(Error::unknown(
                "node",
                node,
                self.network.nodes().iter().map(|n| n.name()),
            ));
        };
        let number = self.backends.iter().filter(|backend| backend.node.role == host.role).count();
        let number = u8::try_from(number).unwrap_or(u8::MAX);
        let addresses = plan::pod_addresses(index, number).to_vec();
        let name = format!("{app}-{node}");
        if number > 0 {
            let lines: String = addresses
                .iter()
                .map(|address| format!("address add {address} dev lo nodad\n"))
                .collect();
            host.batch(&lines)?;
        }
        self.write_pod(
            &Pod {
                namespace,
                name: &name,
                node: &host,
                labels: &[("app", app)],
                addresses: addresses.clone(),
                host_network: false,
            },
            true,
        )?;
        let mut argv = vec![self.options.program.display().to_string()];
        argv.extend(
            ["lab", "backend", "--name", &name, "--node", node, "--port"].map(str::to_owned),
        );
        argv.push(BACKEND_PORT.to_string());
        argv.extend(addresses.iter().map(|address| format!("--address={address}")));
        let process = Process::start(Spec {
            name: name.clone(),
            host: host.clone(),
            argv,
            environment: Vec::new(),
            confinement: None,
            log: log(&name),
        })?;
        self.keep([process]);
        self.backends.push(Backend {
            namespace: namespace.to_owned(),
            name: name.clone(),
            app: app.to_owned(),
            node: host,
            addresses,
            ready: true,
        });
        Ok(name)
    }

    /// Changes the readiness of a backend's Pod, as kubelet would after its probe.
    pub fn set_backend_ready(&mut self, name: &str, ready: bool) -> Result<()> {
        let known: Vec<_> = self.backends.iter().map(|backend| backend.name.clone()).collect();
        let backend = self.backends.iter_mut().find(|backend| backend.name == name);
        let Some(backend) = backend else {
            return Err(Error::unknown("backend", name, known.iter().map(String::as_str)));
        };
        backend.ready = ready;
        let backend = backend.clone();
        let pod = Pod {
            namespace: &backend.namespace,
            name: &backend.name,
            node: &backend.node,
            labels: &[],
            addresses: backend.addresses.clone(),
            host_network: false,
        };
        self.api.patch_status(Ref::new("Pod", &backend.namespace, name), &pod.status(ready))?;
        for service in self.api.list("Service", &backend.namespace, "")? {
            if service["spec"]["selector"]["app"] == backend.app.as_str() {
                self.write_endpoints(&service)?;
            }
        }
        Ok(())
    }

    /// Applies a Service; with the embedded server also its EndpointSlices, which the real cluster's
    /// controller writes. Services select backends by the label `app`.
    pub fn apply_service(&self, service: &Value) -> Result<Value> {
        self.write_endpoints(service)?;
        self.api.apply(service)
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

    /// The last lines of our own processes, for whoever has to find out what went wrong.
    pub fn tails(&self, lines: usize) -> Vec<String> {
        self.own_processes()
            .flat_map(|process| {
                let log = process.log();
                let all: Vec<_> = log.lines().collect();
                let tail = all[all.len().saturating_sub(lines)..].iter();
                tail.map(|line| format!("{}: {line}", process.name())).collect::<Vec<_>>()
            })
            .collect()
    }

    /// Controller and speakers.
    fn own_processes(&self) -> impl Iterator<Item = &Process> {
        self.processes.values().filter(|process| {
            process.name() == "controller" || process.name().starts_with("speaker-")
        })
    }

    fn write_endpoints(&self, service: &Value) -> Result<()> {
        if self.options.control != Control::Embedded {
            return Ok(());
        }
        let app = service["spec"]["selector"]["app"].as_str();
        let namespace = service["metadata"]["namespace"].as_str().unwrap_or("default");
        let chosen: Vec<_> = self
            .backends
            .iter()
            .filter(|backend| backend.namespace == namespace && app == Some(&backend.app))
            .collect();
        for family in [Family::V4, Family::V6] {
            let endpoints: Vec<_> = chosen
                .iter()
                .flat_map(|backend| {
                    backend.addresses.iter().map(move |address| (backend, *address))
                })
                .filter(|(_, address)| address.is_ipv4() == (family == Family::V4))
                .map(|(backend, address)| objects::Endpoint {
                    address,
                    node: backend.node.name().to_owned(),
                    pod: backend.name.clone(),
                    ready: backend.ready,
                })
                .collect();
            self.api.apply(&objects::endpoint_slice(service, family, BACKEND_PORT, &endpoints))?;
        }
        Ok(())
    }

    fn start_speaker(&mut self, node: Host) -> Result<()> {
        let name = format!("speaker-{}", node.name());
        let address = node.address(Lan::One, Family::V4).to_string();
        let confinement = self.confinement(&name, 0, &["net_raw"]);
        let secret = self.secret.clone();
        self.prepare_pod(
            &confinement,
            "speaker",
            &[
                ("/etc/ml_secret_key/secretkey", secret.as_str()),
                ("/etc/metallb/excludel2.yaml", EXCLUDED_INTERFACES),
            ],
        )?;
        self.write_pod(
            &Pod {
                namespace: NAMESPACE,
                name: &name,
                node: &node,
                labels: &[("app", "metallb"), ("component", "speaker")],
                addresses: vec![
                    node.address(Lan::One, Family::V4),
                    node.address(Lan::One, Family::V6),
                ],
                host_network: true,
            },
            true,
        )?;
        let mut environment = vec![
            variable("METALLB_NODE_NAME", node.name()),
            variable("METALLB_POD_NAME", &name),
            variable("METALLB_HOST", &address),
            variable("METALLB_ML_BIND_ADDR", &address),
            variable("METALLB_ML_LABELS", "app=metallb,component=speaker"),
            variable("METALLB_ML_SECRET_KEY_PATH", "/etc/ml_secret_key"),
        ];
        environment.extend(self.api_environment());
        let flags = self.options.speaker_flags.clone();
        self.start_own(&name, "speaker", node, environment, confinement, &flags)
    }

    fn start_own(
        &mut self,
        name: &str,
        command: &str,
        host: Host,
        environment: Vec<(String, String)>,
        confinement: Confinement,
        flags: &[String],
    ) -> Result<()> {
        let mut argv: Vec<_> =
            ["/ferrolb", command, "--port=9120", "--log-level=info"].map(str::to_owned).into();
        argv.extend_from_slice(flags);
        let process = Process::start(Spec {
            name: name.to_owned(),
            host,
            argv,
            environment,
            confinement: Some(confinement),
            log: log(name),
        })?;
        self.keep([process]);
        Ok(())
    }

    fn confinement(&self, name: &str, user: u32, capabilities: &[&str]) -> Confinement {
        Confinement {
            user,
            capabilities: capabilities.iter().map(|name| (*name).to_owned()).collect(),
            root: Path::new(FOLDER).join("roots").join(name),
            program: self.options.program.clone(),
        }
    }

    /// The volumes of a Pod: the ServiceAccount's, and these.
    fn prepare_pod(
        &self,
        confinement: &Confinement,
        account: &str,
        files: &[(&str, &str)],
    ) -> Result<()> {
        const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
        let namespace = format!("{ACCOUNT}/namespace");
        let mut files = files.to_vec();
        files.push((&namespace, NAMESPACE));
        let Some(authority) = &self.endpoint.authority else {
            let kubeconfig = self.endpoint.kubeconfig(None);
            files.push(("/etc/ferrolb/kubeconfig", &kubeconfig));
            return confinement.prepare(&files);
        };
        let token = self.api.token(NAMESPACE, account)?;
        let (token_path, authority_path) =
            (format!("{ACCOUNT}/token"), format!("{ACCOUNT}/ca.crt"));
        files.push((&token_path, &token));
        files.push((&authority_path, authority));
        confinement.prepare(&files)
    }

    /// How a Pod finds the API server: as in any cluster where that speaks TLS, else by kubeconfig.
    fn api_environment(&self) -> Vec<(String, String)> {
        let address = self.endpoint.url.rsplit_once("//").map_or("", |(_, address)| address);
        let (host, port) = address.rsplit_once(':').unwrap_or((address, "443"));
        if self.endpoint.authority.is_some() {
            vec![
                variable("KUBERNETES_SERVICE_HOST", host),
                variable("KUBERNETES_SERVICE_PORT", port),
            ]
        } else {
            vec![variable("KUBECONFIG", "/etc/ferrolb/kubeconfig")]
        }
    }

    fn furnish(&self) -> Result<()> {
        match self.options.control {
            // It asks nobody who they are.
            Control::Embedded => self
                .api
                .apply(&json!({
                    "apiVersion": "v1",
                    "kind": "Namespace",
                    "metadata": { "name": NAMESPACE },
                }))
                .map(drop)?,
            Control::Real(_) => self.api.apply_yaml(RBAC)?,
        }
        self.api.apply_yaml(&ferrolb_api::crds_yaml())?;
        for host in self.network.nodes() {
            self.api.apply(&objects::node(host))?;
            let node = Ref::new("Node", "", host.name());
            self.api.patch_status(node, &objects::node_status(host))?;
        }
        self.api.apply(&json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": "memberlist", "namespace": NAMESPACE },
            "data": { "secretkey": base64(self.secret.as_bytes()) },
        }))?;
        let served = |kind| self.api.list(kind, NAMESPACE, "").map(|_| Ok::<_, String>(()));
        for kind in ["IPAddressPool", "L2Advertisement", "ServiceL2Status"] {
            wait_until(&format!("{kind} is served"), Duration::from_secs(20), || {
                Ok(served(kind).unwrap_or_else(|error| Err(error.to_string())))
            })?;
        }
        Ok(())
    }

    fn write_pod(&self, pod: &Pod<'_>, ready: bool) -> Result<()> {
        self.api.apply(&pod.object())?;
        self.api
            .patch_status(Ref::new("Pod", pod.namespace, pod.name), &pod.status(ready))
            .map(drop)
    }

    fn keep(&mut self, processes: impl IntoIterator<Item = Process>) {
        for process in processes {
            self.processes.insert(process.name().to_owned(), process);
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.proxy = None;
        self.processes.clear();
        self.network.remove();
        let _ = fs::remove_dir_all(FOLDER);
    }
}

/// The file a process of the lab writes to.
pub(crate) fn log(name: &str) -> PathBuf {
    Path::new(FOLDER).join("logs").join(name)
}

fn variable(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// As upstream's controller makes it: 16 random bytes, base64 without padding.
fn random_secret() -> Result<String> {
    let mut bytes = [0u8; 16];
    let mut source = fs::File::open("/dev/urandom").map_err(Error::io("/dev/urandom"))?;
    source.read_exact(&mut bytes).map_err(Error::io("/dev/urandom"))?;
    Ok(base64(&bytes).trim_end_matches('=').to_owned())
}
