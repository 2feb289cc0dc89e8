//! The commands that people and the demo use, by a real kubectl where there is one.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use ferrolb_embedded_api::EmbeddedApi;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use crate::mk_server;

/// kubectl of `KUBEBUILDER_ASSETS`, of the folder that `scripts/kubernetes` fills, or of the path.
fn kubectl() -> Option<PathBuf> {
    let cache = std::env::var_os("FERROLB_CACHE")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/ferrolb")));
    let mut folders: Vec<PathBuf> =
        std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from).into_iter().collect();
    let entries = cache.and_then(|cache| std::fs::read_dir(cache).ok());
    folders.extend(entries.into_iter().flatten().flatten().map(|entry| entry.path()));
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    folders.into_iter().map(|folder| folder.join("kubectl")).find(|path| path.is_file())
}

struct Kubectl {
    program: PathBuf,
    folder: tempfile::TempDir,
}

impl Kubectl {
    fn new(program: PathBuf, server: &EmbeddedApi) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config"), server.kubeconfig()).unwrap();
        Self { program, folder }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let home: &Path = self.folder.path();
        let mut command = Command::new(&self.program);
        command.args(arguments).env("HOME", home).env("KUBECONFIG", home.join("config"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        command
    }

    async fn run(&self, arguments: &[&str], input: &str) -> String {
        let mut child = self.command(arguments).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
        let output = child.wait_with_output().await.unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {arguments:?}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

const SERVICE: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Event
metadata: {name: web.1, namespace: default}
involvedObject: {kind: Service, name: web, namespace: default}
reason: IPAllocated
message: Assigned IP ["192.0.2.1"]
type: Normal
lastTimestamp: "2026-01-01T00:00:00Z"
"#;

#[tokio::test]
async fn everyday_commands_work() {
    let Some(program) = kubectl() else {
        eprintln!("skipped: no kubectl here; scripts/kubernetes builds one");
        return;
    };
    let (server, _client) = mk_server();
    let kubectl = Kubectl::new(program, &server);

    let version = kubectl.run(&["version"], "").await;
    assert!(version.contains("Server Version: v1.36.3"), "{version}");
    let made = kubectl.run(&["create", "--validate=false", "-f", "-"], SERVICE).await;
    assert!(made.contains("service/web created"), "{made}");
    let text = kubectl.run(&["get", "svc", "web", "-o", "jsonpath={.spec.clusterIP}"], "").await;
    assert_eq!(text, "10.96.0.2");
    let table = kubectl.run(&["get", "services"], "").await;
    assert!(table.contains("NAME") && table.contains("web"), "{table}");
    let events = ["get", "events", "--sort-by=.lastTimestamp", "-o", "jsonpath={.items[*].reason}"];
    assert_eq!(kubectl.run(&events, "").await, "IPAllocated");

    let mut watch = kubectl.command(&["get", "services", "-w", "-o", "name"]).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("service/web"));
    let patch = r#"{"metadata":{"labels":{"a":"b"}}}"#;
    kubectl.run(&["patch", "service", "web", "--type=merge", "-p", patch], "").await;
    assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("service/web"));
    watch.kill().await.unwrap();

    let status = r#"{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.1"}]}}}"#;
    let patch = ["patch", "svc", "web", "--subresource=status", "--type=merge", "-p", status];
    kubectl.run(&patch, "").await;
    let wait = ["wait", "--for=jsonpath={.status.loadBalancer.ingress[0].ipMode}=VIP", "svc/web"];
    kubectl.run(&wait, "").await;
    kubectl.run(&["label", "service", "web", "c=d"], "").await;
    kubectl.run(&["annotate", "service", "web", "metallb.io/address-pool=p"], "").await;
    let labelled = kubectl.run(&["get", "services", "-A", "-l", "a=b,c=d", "-o", "name"], "").await;
    assert_eq!(labelled.trim(), "service/web");
    kubectl.run(&["delete", "service", "web"], "").await;
    assert_eq!(kubectl.run(&["get", "services", "-o", "name"], "").await, "");
}
