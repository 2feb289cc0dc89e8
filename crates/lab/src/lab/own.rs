//! Controller and speakers, started as kubelet starts their Pods: the manifest's arguments,
//! environment, volumes, user and capabilities, and nothing else.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use ferrolb_addr::Family;

use super::{FOLDER, Lab, NAMESPACE, log};
use crate::api::wait_until;
use crate::confinement::Confinement;
use crate::error::Result;
use crate::host::Host;
use crate::objects::{self, Pod};
use crate::plan::Lan;
use crate::process::{Process, Spec};

/// The shipped content of `ConfigMap` `metallb-excludel2`.
const EXCLUDED_INTERFACES: &str = "announcedInterfacesToExclude: ['^docker.*', '^cbr.*', '^dummy.*', '^virbr.*', '^lxcbr.*', '^veth.*', '^lo$', '^cali.*', '^tunl.*', '^flannel.*', '^kube-ipvs.*', '^cni.*', '^nodelocaldns.*', '^lxc.*']\n";

/// The user of the controller's manifest.
const NOBODY: u32 = 65534;

const HEALTH_PORT: u16 = 17472;

impl Lab {
    /// Starts the controller as its Deployment would, on the control plane's host.
    pub fn start_controller(&mut self) -> Result<()> {
        let host = self.host("ctl")?.clone();
        let confinement = self.confinement("controller", NOBODY, &[]);
        self.prepare_pod(&confinement, "controller", &[])?;
        self.write_pod(
            &Pod {
                namespace: NAMESPACE,
                name: "controller",
                node: &host,
                labels: &[("app", "metallb"), ("component", "controller")],
                addresses: vec![host.address(Lan::One, Family::V4)],
                host_network: false,
                container: objects::CONTAINER,
            },
            true,
        )?;
        let mut environment = vec![
            variable("METALLB_POD_NAME", "controller"),
            variable("METALLB_DEPLOYMENT", "controller"),
            variable("METALLB_ML_SECRET_NAME", "memberlist"),
        ];
        environment.extend(self.api_environment());
        let flags = self.options.controller_flags.clone();
        self.start_own("controller", "controller", host, environment, confinement, &flags)
    }

    /// Starts a speaker on every node, as the `DaemonSet` would.
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
                container: objects::CONTAINER,
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
        let mut argv = vec!["/ferrolb".to_owned()];
        if self.options.peer.is_none() {
            argv.push(command.to_owned());
        }
        argv.extend(["--port=9120", "--log-level=info"].map(str::to_owned));
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
        let program = match &self.options.peer {
            None => &self.options.program,
            Some(peer) if name == "controller" => &peer.controller,
            Some(peer) => &peer.speaker,
        };
        Confinement {
            user,
            capabilities: capabilities.iter().map(|name| (*name).to_owned()).collect(),
            root: Path::new(FOLDER).join("roots").join(name),
            program: program.clone(),
        }
    }

    /// The volumes of a Pod: the `ServiceAccount`'s, and these.
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
        if !self.endpoint.is_secure() {
            let kubeconfig = self.endpoint.kubeconfig(None);
            files.push(("/etc/ferrolb/kubeconfig", &kubeconfig));
            return confinement.prepare(&files);
        }
        let token = self.api.token(NAMESPACE, account)?;
        let (token_path, authority_path) =
            (format!("{ACCOUNT}/token"), format!("{ACCOUNT}/ca.crt"));
        files.push((&token_path, &token));
        files.push((&authority_path, &self.endpoint.authority));
        confinement.prepare(&files)
    }

    /// How a Pod finds the API server: as in any cluster where that speaks TLS, else by kubeconfig.
    fn api_environment(&self) -> Vec<(String, String)> {
        let address = self.endpoint.url.rsplit_once("//").map_or("", |(_, address)| address);
        let (host, port) = address.rsplit_once(':').unwrap_or((address, "443"));
        if self.endpoint.is_secure() {
            vec![
                variable("KUBERNETES_SERVICE_HOST", host),
                variable("KUBERNETES_SERVICE_PORT", port),
            ]
        } else {
            vec![variable("KUBECONFIG", "/etc/ferrolb/kubeconfig")]
        }
    }
}

fn variable(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}
