//! etcd, kube-apiserver, kube-controller-manager and a kube-proxy per node: the truth.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ferrolb_addr::Family;
use serde_json::{Value, json};

use super::certificates::Certificates;
use super::{Endpoint, Running};
use crate::api::wait_until;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::lab::{AUDIT_LOG, NAMESPACE};
use crate::plan::{self, Lan};
use crate::process::{Process, Spec};

const ADMIN_TOKEN: &str = "lab-administrator";
/// What turns a user's manifests into Pods and endpoints, and deletes what is no longer owned.
const CONTROLLERS: &str = "deployment-controller,replicaset-controller,daemonset-controller,endpointslice-controller,garbage-collector-controller,namespace-controller,serviceaccount-controller";
const PORT: u16 = 6443;
const ETCD: &str = "http://127.0.0.1:2379";

/// Starts all but the proxies and waits until the API server is ready.
pub(super) fn start(ctl: &Host, folder: &Path, kubernetes: &Path) -> Result<Running> {
    let address = ctl.address(Lan::One, Family::V4);
    let certificates = Certificates::generate(&[
        address,
        ctl.address(Lan::One, Family::V6),
        [127, 0, 0, 1].into(),
    ])?;
    let files = folder.join("control");
    let write = |name: &str, content: &str| write(&files, name, content);
    let authority = write("ca.crt", &certificates.authority)?;
    let server_certificate = write("server.crt", &certificates.server_certificate)?;
    let server_key = write("server.key", &certificates.server_key)?;
    let account_key = write("service-account.key", &certificates.service_account_key)?;
    let account_public = write("service-account.pub", &certificates.service_account_public_key)?;
    let tokens = write("tokens.csv", &format!("{ADMIN_TOKEN},admin,admin,system:masters\n"))?;

    let audit_policy = write("audit-policy.yaml", &audit_policy().to_string())?;

    let url = format!("https://{address}:{PORT}");
    let endpoint = Endpoint {
        url: url.clone(),
        authority: certificates.authority.clone(),
        authority_der: certificates.authority_der.clone(),
        admin_token: Some(ADMIN_TOKEN.to_owned()),
    };
    let kubeconfig = write("kubeconfig", &endpoint.kubeconfig(Some(ADMIN_TOKEN)))?;

    let launch =
        |name: &str, flags: Vec<String>| launch(ctl, name, name, kubernetes, folder, flags);
    let etcd = launch(
        "etcd",
        vec![
            format!("--data-dir={}", files.join("etcd").display()),
            "--unsafe-no-fsync".into(),
            format!("--listen-client-urls={ETCD}"),
            format!("--advertise-client-urls={ETCD}"),
            "--listen-peer-urls=http://127.0.0.1:2380".into(),
            "--log-level=warn".into(),
        ],
    )?;
    let server = launch(
        "kube-apiserver",
        vec![
            format!("--etcd-servers={ETCD}"),
            format!("--secure-port={PORT}"),
            format!("--advertise-address={address}"),
            format!("--tls-cert-file={server_certificate}"),
            format!("--tls-private-key-file={server_key}"),
            format!("--client-ca-file={authority}"),
            format!("--token-auth-file={tokens}"),
            "--authorization-mode=RBAC".into(),
            "--service-account-issuer=https://kubernetes.default.svc".into(),
            format!("--service-account-key-file={account_public}"),
            format!("--service-account-signing-key-file={account_key}"),
            "--disable-admission-plugins=ServiceAccount".into(),
            "--endpoint-reconciler-type=none".into(),
            "--enable-aggregator-routing=true".into(),
            format!("--service-cluster-ip-range={}", plan::SERVICE_RANGE),
            "--cert-dir=/run/ferrolb-lab/kube-apiserver".into(),
            format!("--audit-policy-file={audit_policy}"),
            format!("--audit-log-path={AUDIT_LOG}"),
            "--audit-log-maxsize=1024".into(),
        ],
    )?;
    let mut processes = vec![etcd, server];

    let api = endpoint.client()?;
    wait_until("kube-apiserver is ready", Duration::from_mins(1), || {
        processes.iter().try_for_each(Process::expect_running)?;
        Ok(if api.is_ready() { Ok(()) } else { Err("not ready") })
    })?;

    processes.push(launch(
        "kube-controller-manager",
        vec![
            format!("--kubeconfig={kubeconfig}"),
            format!("--controllers={CONTROLLERS}"),
            "--leader-elect=false".into(),
            "--secure-port=0".into(),
            "--concurrent-service-endpoint-syncs=5".into(),
            "--endpointslice-updates-batch-period=0s".into(),
        ],
    )?);
    Ok(Running { endpoint, processes })
}

/// What is written down: every request of an account of our namespace, without its content.
fn audit_policy() -> Value {
    json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {
                "level": "Metadata",
                "userGroups": [format!("system:serviceaccounts:{NAMESPACE}")],
            },
            { "level": "None" },
        ],
    })
}

/// Starts kube-proxy on every node.
pub(super) fn start_proxies(
    nodes: &[&Host],
    folder: &Path,
    kubernetes: &Path,
) -> Result<Vec<Process>> {
    let files = folder.join("control");
    let kubeconfig = files.join("kubeconfig");
    nodes
        .iter()
        .map(|node| {
            let address = node.address(Lan::One, Family::V4);
            let config = json!({
                "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
                "kind": "KubeProxyConfiguration",
                "mode": "nftables",
                "hostnameOverride": node.name(),
                "clusterCIDR": plan::POD_RANGE,
                "clientConnection": { "kubeconfig": kubeconfig },
                "bindAddress": address.to_string(),
                "healthzBindAddress": "127.0.0.1:10256",
                "metricsBindAddress": "127.0.0.1:10249",
                "nftables": { "minSyncPeriod": "0s", "syncPeriod": "30s" },
                "conntrack": {
                    "maxPerCore": 0,
                    "min": 0,
                    "tcpEstablishedTimeout": "0s",
                    "tcpCloseWaitTimeout": "0s",
                },
            });
            let name = format!("kube-proxy-{}", node.name());
            let config = write(&files, &format!("{name}.yaml"), &config.to_string())?;
            launch(
                node,
                &name,
                "kube-proxy",
                kubernetes,
                folder,
                vec![format!("--config={config}")],
            )
        })
        .collect()
}

fn launch(
    host: &Host,
    name: &str,
    program: &str,
    kubernetes: &Path,
    folder: &Path,
    flags: Vec<String>,
) -> Result<Process> {
    let mut argv = vec![kubernetes.join(program).display().to_string()];
    argv.extend(flags);
    Process::start(Spec {
        name: name.to_owned(),
        host: host.clone(),
        argv,
        environment: vec![("HOME".to_owned(), "/run".to_owned())],
        confinement: None,
        log: folder.join("logs").join(name),
    })
}

fn write(folder: &Path, name: &str, content: &str) -> Result<String> {
    let path: PathBuf = folder.join(name);
    fs::create_dir_all(folder).map_err(Error::io(folder.display().to_string()))?;
    fs::write(&path, content).map_err(Error::io(path.display().to_string()))?;
    Ok(path.display().to_string())
}
