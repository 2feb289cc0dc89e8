//! Pods that stand behind Services, and their endpoints.

use std::fmt::Write;
use std::net::IpAddr;

use ferrolb_addr::Family;
use serde_json::Value;

use super::{Lab, log};
use crate::api::Ref;
use crate::backend;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::objects::{self, Pod};
use crate::plan::{self, Role};
use crate::process::Process;

/// The port backends listen on.
pub const BACKEND_PORT: u16 = 8080;

/// A Pod that answers, and the node it is on.
#[derive(Clone, Debug)]
pub(super) struct Backend {
    namespace: String,
    name: String,
    app: String,
    node: Host,
    addresses: Vec<IpAddr>,
    ready: bool,
}

impl Lab {
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
            let mut lines = String::new();
            for address in &addresses {
                let _ = writeln!(lines, "address add {address} dev lo nodad");
            }
            host.batch(&lines)?;
        }
        self.write_pod(
            &Pod {
                namespace,
                name: &name,
                node: &host,
                labels: &[("app", app)],
                addresses: addresses.clone(),
                container: objects::CONTAINER,
            },
            true,
        )?;
        let process = Process::start(backend::spec(
            &self.options.program,
            &name,
            &host,
            &addresses,
            BACKEND_PORT,
            log(&name),
        ))?;
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
            container: objects::CONTAINER,
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
}
