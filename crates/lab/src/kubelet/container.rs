//! What a Pod's manifest says about its process: words, environment, user, privileges, probes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::probe::Probe;
use crate::api::{Api, Ref};
use crate::confinement::Confinement;
use crate::control::from_base64;
use crate::error::{Error, Result};

/// Capabilities of a container that drops none.
const DEFAULT_CAPABILITIES: [&str; 14] = [
    "audit_write",
    "chown",
    "dac_override",
    "fowner",
    "fsetid",
    "kill",
    "mknod",
    "net_bind_service",
    "net_raw",
    "setfcap",
    "setgid",
    "setpcap",
    "setuid",
    "sys_chroot",
];

/// The one container of a Pod, and the Pod.
#[derive(Clone, Copy, Debug)]
pub(super) struct Container<'a> {
    pub(super) pod: &'a Value,
    pub(super) spec: &'a Value,
}

impl<'a> Container<'a> {
    /// The container of a Pod; the lab runs Pods of one container.
    pub(super) fn of(pod: &'a Value) -> Result<Self> {
        let spec = &pod["spec"];
        match spec["containers"].as_array().map(Vec::as_slice) {
            Some([container]) if spec["initContainers"].as_array().is_none_or(Vec::is_empty) => {
                Ok(Self { pod, spec: container })
            }
            _ => Err(Error::Manifest(format!(
                "Pod {} has not exactly one container, which is what the lab runs",
                text(&pod["metadata"]["name"])
            ))),
        }
    }

    /// The program and its arguments, with `$(NAME)` replaced by the environment's value.
    pub(super) fn argv(&self, environment: &[(String, String)]) -> Vec<String> {
        let words = |key: &str| {
            let words = self.spec[key].as_array().into_iter().flatten();
            words.map(|word| expand(text(word), environment)).collect::<Vec<_>>()
        };
        let mut argv = words("command");
        if argv.is_empty() {
            argv.push(entry_point(text(&self.spec["image"])));
        }
        argv.extend(words("args"));
        argv
    }

    /// The environment as it is on a node with these addresses of the Pod.
    pub(super) fn environment(
        &self,
        api: &Api,
        node: IpAddr,
        addresses: &[IpAddr],
    ) -> Result<Vec<(String, String)>> {
        let mut environment: Vec<(String, String)> = Vec::new();
        for variable in self.spec["env"].as_array().into_iter().flatten() {
            let from = &variable["valueFrom"];
            let value = if from.is_null() {
                Some(expand(text(&variable["value"]), &environment))
            } else if let Some(field) = from["fieldRef"]["fieldPath"].as_str() {
                Some(self.field(field, node, addresses)?)
            } else {
                self.looked_up(api, from)?
            };
            let name = text(&variable["name"]);
            environment.retain(|(known, _)| known != name);
            environment.extend(value.map(|value| (name.to_owned(), value)));
        }
        Ok(environment)
    }

    /// User, capabilities and the rest of the `securityContext`.
    pub(super) fn confinement(&self, root: PathBuf) -> Confinement {
        let own = &self.spec["securityContext"];
        let shared = &self.pod["spec"]["securityContext"];
        let id = |key: &str| {
            let id = own[key].as_u64().or_else(|| shared[key].as_u64());
            id.and_then(|id| u32::try_from(id).ok())
        };
        Confinement {
            user: id("runAsUser").unwrap_or(0),
            group: id("runAsGroup").unwrap_or(0),
            volume_group: shared["fsGroup"].as_u64().and_then(|id| u32::try_from(id).ok()),
            capabilities: capabilities(&own["capabilities"]),
            no_new_privileges: own["allowPrivilegeEscalation"] == false,
            read_only: own["readOnlyRootFilesystem"] == true,
            root,
            programs: Vec::new(),
            writable: Vec::new(),
        }
    }

    /// The probe of that name, if it has one the lab can ask.
    pub(super) fn probe(&self, kind: &str, address: Option<IpAddr>) -> Option<Probe> {
        let probe = &self.spec[kind];
        let action = &probe["httpGet"];
        let port = action["port"].as_u64().or_else(|| self.port(action["port"].as_str()?))?;
        let host = action["host"].as_str().and_then(|host| host.parse().ok()).or(address)?;
        let number = |key: &str, default: u64| probe[key].as_u64().unwrap_or(default);
        Some(Probe {
            server: (host, u16::try_from(port).ok()?).into(),
            path: action["path"].as_str().unwrap_or("/").to_owned(),
            delay: Duration::from_secs(number("initialDelaySeconds", 0)),
            period: Duration::from_secs(number("periodSeconds", 10).max(1)),
            limit: Duration::from_secs(number("timeoutSeconds", 1).max(1)),
            failures: number("failureThreshold", 3),
        })
    }

    fn port(&self, name: &str) -> Option<u64> {
        let mut ports = self.spec["ports"].as_array()?.iter();
        ports.find(|port| port["name"] == name)?["containerPort"].as_u64()
    }

    /// A field of the Pod, as the downward API names it.
    fn field(&self, path: &str, node: IpAddr, addresses: &[IpAddr]) -> Result<String> {
        let (metadata, spec) = (&self.pod["metadata"], &self.pod["spec"]);
        let value = match path {
            "metadata.name" => text(&metadata["name"]).to_owned(),
            "metadata.namespace" => text(&metadata["namespace"]).to_owned(),
            "metadata.uid" => text(&metadata["uid"]).to_owned(),
            "spec.nodeName" => text(&spec["nodeName"]).to_owned(),
            "spec.serviceAccountName" => text(&spec["serviceAccountName"]).to_owned(),
            "status.hostIP" => node.to_string(),
            "status.podIP" => addresses.first().map(ToString::to_string).unwrap_or_default(),
            "status.podIPs" => {
                addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
            }
            _ => {
                let of = |map: &str| path.strip_prefix(map)?.strip_suffix("']");
                let value = of("metadata.labels['").map(|key| &metadata["labels"][key]);
                let value = value
                    .or_else(|| of("metadata.annotations['").map(|k| &metadata["annotations"][k]));
                let unknown = || Error::Manifest(format!("the lab does not know field {path:?}"));
                text(value.ok_or_else(unknown)?).to_owned()
            }
        };
        Ok(value)
    }

    /// A key of a `Secret` or `ConfigMap`.
    fn looked_up(&self, api: &Api, from: &Value) -> Result<Option<String>> {
        let namespace = text(&self.pod["metadata"]["namespace"]);
        for (source, kind) in [("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")] {
            let wanted = &from[source];
            let Some(name) = wanted["name"].as_str() else { continue };
            let object = api.get(Ref::new(kind, namespace, name))?;
            let value = object.and_then(|object| contents(&object).remove(text(&wanted["key"])));
            if value.is_none() && wanted["optional"] != true {
                return Err(Error::Manifest(format!("{kind} {name} lacks {}", wanted["key"])));
            }
            return Ok(value.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()));
        }
        Err(Error::Manifest(format!("the lab does not know how to get {from}")))
    }
}

/// The keys of a `Secret` or `ConfigMap`.
pub(super) fn contents(object: &Value) -> BTreeMap<String, Vec<u8>> {
    let is_secret = object["kind"] == "Secret";
    let entries = |key: &str| object[key].as_object().into_iter().flatten();
    let plain = entries("data").map(|(key, value)| {
        let bytes = text(value).as_bytes();
        (key.clone(), if is_secret { from_base64(bytes) } else { bytes.to_vec() })
    });
    let binary = entries("binaryData")
        .map(|(key, value)| (key.clone(), from_base64(text(value).as_bytes())));
    let unencoded =
        entries("stringData").map(|(key, value)| (key.clone(), text(value).as_bytes().to_vec()));
    plain.chain(binary).chain(unencoded).collect()
}

/// What an image starts when its manifest names no command: upstream has one image for each program,
/// ours starts the one its repository is called after.
fn entry_point(image: &str) -> String {
    let path = image.split('@').next().unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    let name = name.split(':').next().unwrap_or_default();
    match Path::new(name).file_name().and_then(|name| name.to_str()) {
        Some(name @ ("controller" | "speaker")) => format!("/{name}"),
        _ => "/ferrolb".to_owned(),
    }
}

/// What is left of the default set, and what is added, sorted.
fn capabilities(settings: &Value) -> Vec<String> {
    let names = |key: &str| {
        let names = settings[key].as_array().into_iter().flatten();
        names.map(|name| text(name).trim_start_matches("CAP_").to_lowercase()).collect::<Vec<_>>()
    };
    let (dropped, added) = (names("drop"), names("add"));
    let keeps = |name: &str| !dropped.iter().any(|out| out == "all" || out == name);
    let kept = DEFAULT_CAPABILITIES.iter().copied().filter(|name| keeps(name)).map(str::to_owned);
    let mut left: Vec<_> = kept.chain(added).collect();
    left.sort();
    left.dedup();
    left
}

/// `$(NAME)` becomes the variable's value where there is one; `$$` is a dollar.
fn expand(word: &str, environment: &[(String, String)]) -> String {
    let mut result = String::new();
    let mut rest = word;
    while let Some((before, after)) = rest.split_once('$') {
        result.push_str(before);
        let variable = after.strip_prefix('(').and_then(|name| name.split_once(')'));
        let value = variable.and_then(|(name, tail)| {
            let (_, value) = environment.iter().find(|(known, _)| known == name)?;
            Some((value, tail))
        });
        rest = if let Some((value, tail)) = value {
            result.push_str(value);
            tail
        } else {
            result.push('$');
            after.strip_prefix('$').unwrap_or(after)
        };
    }
    result + rest
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn mk_pod(container: &Value) -> Value {
        json!({
            "metadata": { "name": "speaker-x", "namespace": "system", "labels": { "a/b": "c" } },
            "spec": {
                "nodeName": "node2",
                "securityContext": { "runAsUser": 65534, "fsGroup": 65533 },
                "containers": [container],
            },
        })
    }

    #[rstest]
    #[case("quay.io/metallb/speaker:v0.16.1", "/speaker")]
    #[case("registry:5000/ferrolb/controller@sha256:00", "/controller")]
    #[case("ferrolb:0.1.0", "/ferrolb")]
    fn an_image_starts_what_it_is_called(#[case] image: &str, #[case] program: &str) {
        let pod = mk_pod(&json!({ "image": image, "args": ["-x"] }));
        assert_eq!(Container::of(&pod).unwrap().argv(&[]), [program, "-x"]);
    }

    #[test]
    fn a_command_wins_and_variables_are_replaced() {
        let pod = mk_pod(&json!({ "image": "a/speaker", "command": ["/ferrolb", "speaker"],
            "args": ["--node-name=$(NODE)", "$$(NODE)", "$(NONE)", "$"] }));
        let environment = [("NODE".to_owned(), "node2".to_owned())];
        let argv = Container::of(&pod).unwrap().argv(&environment);
        assert_eq!(argv, ["/ferrolb", "speaker", "--node-name=node2", "$(NODE)", "$(NONE)", "$"]);
    }

    #[rstest]
    #[case("metadata.name", "speaker-x")]
    #[case("metadata.namespace", "system")]
    #[case("metadata.labels['a/b']", "c")]
    #[case("spec.nodeName", "node2")]
    #[case("status.podIP", "172.30.1.12")]
    #[case("status.hostIP", "172.30.1.2")]
    #[case("status.podIPs", "172.30.1.12,fd00::12")]
    fn fields_of_the_downward_api(#[case] path: &str, #[case] value: &str) {
        let pod = mk_pod(&json!({}));
        let addresses = ["172.30.1.12".parse().unwrap(), "fd00::12".parse().unwrap()];
        let node = "172.30.1.2".parse().unwrap();
        let container = Container::of(&pod).unwrap();
        assert_eq!(container.field(path, node, &addresses).unwrap(), value);
        assert!(container.field("status.phase", node, &addresses).is_err());
    }

    #[rstest]
    #[case(json!({ "drop": ["ALL"], "add": ["NET_RAW"] }), &["net_raw"])]
    #[case(json!({ "drop": ["all"] }), &[])]
    #[case(json!({ "drop": ["NET_RAW", "CAP_MKNOD", "KILL", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID",
        "SETFCAP", "SETGID", "SETPCAP", "SETUID"] }), &["audit_write", "net_bind_service", "sys_chroot"])]
    fn capabilities_are_dropped_and_added(#[case] settings: Value, #[case] left: &[&str]) {
        assert_eq!(capabilities(&settings), left);
    }

    #[test]
    fn the_containers_own_context_wins() {
        let pod = mk_pod(&json!({ "securityContext": {
            "runAsUser": 7, "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false,
        } }));
        let confinement = Container::of(&pod).unwrap().confinement("/r".into());
        assert_eq!((confinement.user, confinement.group), (7, 0));
        assert_eq!(confinement.volume_group, Some(65533));
        assert!(confinement.read_only && confinement.no_new_privileges);
        assert_eq!(confinement.capabilities.len(), DEFAULT_CAPABILITIES.len());
    }

    #[test]
    fn probes_name_ports_and_hosts() {
        let pod = mk_pod(&json!({
            "ports": [{ "name": "health", "containerPort": 17472 }],
            "readinessProbe": { "httpGet": { "path": "/readyz", "port": "health" } },
            "livenessProbe": { "httpGet": { "path": "/healthz", "port": 7, "host": "127.0.0.1" },
                "periodSeconds": 3 },
        }));
        let container = Container::of(&pod).unwrap();
        let address = Some("10.0.0.1".parse().unwrap());
        let readiness = container.probe("readinessProbe", address).unwrap();
        assert_eq!(readiness.server, "10.0.0.1:17472".parse().unwrap());
        let liveness = container.probe("livenessProbe", address).unwrap();
        assert_eq!(liveness.server, "127.0.0.1:7".parse().unwrap());
        assert_eq!(liveness.period, Duration::from_secs(3));
        assert!(container.probe("startupProbe", address).is_none());
    }

    #[test]
    fn secrets_are_encoded_and_maps_are_not() {
        let secret =
            json!({ "kind": "Secret", "data": { "a": "Zm9v" }, "stringData": { "b": "c" } });
        let map = json!({ "kind": "ConfigMap", "data": { "a": "Zm9v" } });
        assert_eq!(contents(&secret)["a"], b"foo");
        assert_eq!(contents(&secret)["b"], b"c");
        assert_eq!(contents(&map)["a"], b"Zm9v");
    }

    #[test]
    fn a_second_container_is_refused() {
        let pod = json!({ "metadata": { "name": "x" }, "spec": { "containers": [{}, {}] } });
        assert!(Container::of(&pod).unwrap_err().to_string().contains("Pod x"));
    }
}
