//! Pods of ours: the program that is tried, started exactly as its manifest says.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferrolb_addr::Family;
use serde_json::Value;

use super::container::{Container, text};
use super::probe::{Prober, Probes};
use super::volumes::{self, Mounted, Volumes};
use super::{RunningPod, Setting};
use crate::api::{Api, Ref};
use crate::confinement::Confinement;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::lab::{FOLDER, log};
use crate::objects;
use crate::plan::Lan;
use crate::process::{Process, Spec};

/// Time between two looks at what is mounted.
const SYNC_PERIOD: Duration = Duration::from_millis(500);

/// What such a Pod has besides its process.
pub(super) struct Own {
    mounted: Vec<Mounted>,
    synced: Instant,
    _prober: Prober,
}

impl Own {
    /// Brings its volumes up to date.
    pub(super) fn refresh(&mut self, api: &Api) -> Result<()> {
        if self.synced.elapsed() < SYNC_PERIOD {
            return Ok(());
        }
        self.synced = Instant::now();
        self.mounted.iter_mut().try_for_each(|mounted| mounted.sync(api))
    }
}

/// Starts a Pod on a node, or in a network of its own that none of the others has.
pub(super) fn start(
    setting: &Setting,
    others: &BTreeMap<String, RunningPod>,
    pod: &Value,
    node: Host,
) -> Result<RunningPod> {
    let mut pod = pod.clone();
    pod["spec"]["nodeName"] = node.name().into();
    let container = Container::of(&pod)?;
    let component = component(&pod);
    let is_on_node = pod["spec"]["hostNetwork"] == true;
    let host = if is_on_node {
        node.clone()
    } else {
        let is_free =
            |host: &&Host| !others.values().any(|other| other.process.host().role == host.role);
        let free = setting.pods.iter().find(is_free);
        free.cloned().ok_or_else(|| Error::Manifest("no network is left for a Pod".to_owned()))?
    };
    let wanted =
        if is_on_node { format!("{component}-{}", node.name()) } else { component.to_owned() };
    let name = free_name(&wanted, |name| others.values().any(|other| other.process.name() == name));
    let addresses: Vec<IpAddr> =
        [Family::V4, Family::V6].map(|family| host.address(Lan::One, family)).into();

    let root = Path::new(FOLDER).join("roots").join(&name);
    let scratch = Path::new(FOLDER).join("empty").join(&name);
    empty(&root)?;
    empty(&scratch)?;
    let mut volumes = Volumes::of(container, &root, &scratch)?;
    volumes.mounted.iter_mut().try_for_each(|mounted| mounted.sync(&setting.api))?;
    let confinement = Confinement {
        programs: programs(setting, node.name()),
        writable: volumes.empty,
        ..container.confinement(root.clone())
    };
    confinement.prepare()?;
    let mut environment =
        container.environment(&setting.api, node.address(Lan::One, Family::V4), &addresses)?;
    environment.extend(join_cluster(setting, &pod, &root)?);
    let mut argv = container.argv(&environment);
    argv.extend(setting.flags.get(component).into_iter().flatten().cloned());

    let process = Arc::new(Process::start(Spec {
        name: name.clone(),
        host,
        argv,
        environment,
        confinement: Some(confinement),
        log: log(&name),
    })?);
    let address = addresses.first().copied();
    let probes = Probes {
        readiness: container.probe("readinessProbe", address),
        liveness: container.probe("livenessProbe", address),
    };
    setting.processes.insert(Arc::clone(&process), probes.readiness.clone());
    let prober = Prober::start(
        Arc::clone(&process),
        probes,
        teller(setting.api.clone(), &pod, &node, &addresses),
    )?;
    let own = Own { mounted: volumes.mounted, synced: Instant::now(), _prober: prober };
    Ok(RunningPod { node, addresses, process, own: Some(own), deadline: None })
}

/// Which of the two it is, by the label of upstream's manifests or of its chart.
fn component(pod: &Value) -> &str {
    let labels = &pod["metadata"]["labels"];
    let known = ["component", "app.kubernetes.io/component"].map(|key| labels[key].as_str());
    known.into_iter().flatten().next().unwrap_or_else(|| text(&pod["metadata"]["name"]))
}

fn free_name(wanted: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let numbered = (2..).map(|number| format!("{wanted}-{number}"));
    let mut names = std::iter::once(wanted.to_owned()).chain(numbered);
    names.find(|name| !is_taken(name)).unwrap_or_default()
}

fn empty(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Error::io(folder.display().to_string())(error))
        }
        _ => Ok(()),
    }
}

/// What the image on a node holds: the binary under each name it can be called by.
fn programs(setting: &Setting, node: &str) -> Vec<(std::path::PathBuf, String)> {
    let own = &setting.program;
    let (controller, speaker) = match &setting.peer {
        None => (own, own),
        Some(peer) => match &peer.only_on {
            None => (&peer.controller, &peer.speaker),
            Some(place) if place == node => (own, &peer.speaker),
            Some(_) => (own, own),
        },
    };
    let all = [(own, "/ferrolb"), (controller, "/controller"), (speaker, "/speaker")];
    all.map(|(program, inside)| (program.clone(), inside.to_owned())).into()
}

/// How a Pod finds the API server: as in any cluster where that speaks TLS, else by kubeconfig.
fn join_cluster(setting: &Setting, pod: &Value, root: &Path) -> Result<Vec<(String, String)>> {
    let endpoint = &setting.endpoint;
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let namespace = text(&pod["metadata"]["namespace"]);
    if !endpoint.is_secure() {
        volumes::write_account(root, &[("namespace", namespace)])?;
        let path = root.join("etc/ferrolb/kubeconfig");
        fs::create_dir_all(root.join("etc/ferrolb"))
            .and_then(|()| fs::write(&path, endpoint.kubeconfig(None)))
            .map_err(Error::io(path.display().to_string()))?;
        return Ok(vec![variable("KUBECONFIG", "/etc/ferrolb/kubeconfig")]);
    }
    if pod["spec"]["automountServiceAccountToken"] != false {
        let account = pod["spec"]["serviceAccountName"].as_str().unwrap_or("default");
        let name = Ref::new("Pod", namespace, text(&pod["metadata"]["name"]));
        let token = setting.api.token(name, text(&pod["metadata"]["uid"]), account)?;
        let authority = endpoint.authority.as_str();
        let files = [("namespace", namespace), ("token", &token), ("ca.crt", authority)];
        volumes::write_account(root, &files)?;
    }
    let address = endpoint.url.rsplit_once("//").map_or("", |(_, address)| address);
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "443"));
    Ok(vec![variable("KUBERNETES_SERVICE_HOST", host), variable("KUBERNETES_SERVICE_PORT", port)])
}

/// Writes the Pod's status whenever its readiness changes.
fn teller(
    api: Api,
    pod: &Value,
    node: &Host,
    addresses: &[IpAddr],
) -> impl Fn(bool) -> Result<()> + Send + 'static {
    let [namespace, name] = ["namespace", "name"].map(|key| text(&pod["metadata"][key]).to_owned());
    let container = &pod["spec"]["containers"][0];
    let [container, image] = ["name", "image"].map(|key| text(&container[key]).to_owned());
    let (node, addresses) = (node.clone(), addresses.to_vec());
    move |ready| {
        let pod = objects::Pod {
            namespace: &namespace,
            name: &name,
            node: &node,
            labels: &[],
            addresses: addresses.clone(),
            container: (&container, &image),
        };
        api.patch_status(Ref::new("Pod", &namespace, &name), &pod.status(ready)).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case(json!({ "app": "metallb", "component": "speaker" }), "speaker")]
    #[case(json!({ "app.kubernetes.io/component": "controller" }), "controller")]
    #[case(json!({}), "other-1")]
    fn the_component_is_in_a_label(#[case] labels: Value, #[case] component_is: &str) {
        let pod = json!({ "metadata": { "name": "other-1", "labels": labels } });
        assert_eq!(component(&pod), component_is);
    }

    #[test]
    fn a_second_one_gets_a_number() {
        let taken = ["controller", "controller-2"];
        assert_eq!(free_name("controller", |name| taken.contains(&name)), "controller-3");
        assert_eq!(free_name("speaker-node1", |name| taken.contains(&name)), "speaker-node1");
    }
}
