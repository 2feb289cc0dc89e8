//! Installing, changing one installation into another, and taking it away.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::path::Path;

use ferrolb_lab::api::{Ref, wait_until};
use ferrolb_lab::command::Run;
use ferrolb_lab::manifests::Manifests;
use ferrolb_lab::plan::Lan;
use ferrolb_lab::{Error, FOLDER, NAMESPACE, Result};
use serde_json::{Value, json};

use super::case;
use crate::manifest::service;
use crate::stage::{PATIENCE, Stage, check, fail, repository};
use crate::suite::Case;
use crate::walkthrough;

pub(super) const CASES: &[Case] = &[
    case(
        "pod_security",
        "the namespace's label lets speakers in; the controller would pass the strictest level",
        pod_security,
    ),
    case(
        "upstream_manifests_and_back",
        "upstream's objects with our images, and ours again: no pool, address or Service is lost",
        upstream,
    ),
    case(
        "uninstalled_and_installed_again",
        "without the workloads and roles pools stay, and addresses are the same afterwards",
        uninstalled,
    ),
    case("install_page", "docs/install.md: plain manifests, kustomize, uninstall", page),
    case("gitops", "hardened values render into what the server takes; pools apply", gitops),
    case("chart_values", "the API server takes what the chart renders for many values", values),
];

fn pod_security(stage: &mut Stage) -> Result<()> {
    let namespace = stage.api().get(Ref::new("Namespace", "", NAMESPACE))?.unwrap_or_default();
    let label = "pod-security.kubernetes.io/enforce";
    check(namespace["metadata"]["labels"][label] == "privileged", || namespace.to_string())?;
    for (level, controller, speaker) in
        [("privileged", true, true), ("baseline", true, false), ("restricted", true, false)]
    {
        let name = format!("e2e-{level}");
        stage.namespace(&name, &json!({ label: level }))?;
        for (kind, component, passes) in
            [("Deployment", "controller", controller), ("DaemonSet", "speaker", speaker)]
        {
            let output = try_pod(stage, &name, kind, component)?;
            check((output.code == Some(0)) == passes, || {
                format!("{component} at level {level}: {}{}", output.stdout, output.stderr)
            })?;
            check(passes || output.stderr.contains("violates PodSecurity"), || output.stderr)?;
        }
    }
    Ok(())
}

/// Asks the API server whether it would take a Pod of a workload in a namespace.
fn try_pod(
    stage: &Stage,
    namespace: &str,
    kind: &str,
    component: &str,
) -> Result<ferrolb_lab::command::Output> {
    let all = stage.api().list(kind, NAMESPACE, "")?;
    let workload = all.iter().find(|one| name(one).ends_with(component));
    let mut pod =
        workload.ok_or_else(|| fail(format!("no {kind} {component}")))?["spec"]["template"].clone();
    pod["apiVersion"] = "v1".into();
    pod["kind"] = "Pod".into();
    pod["metadata"]["name"] = component.into();
    let file = format!("{FOLDER}/pod.json");
    fs::write(&file, pod.to_string()).map_err(Error::io(&file))?;
    let namespace = format!("--namespace={namespace}");
    stage.kubectl_output(&["create", "--dry-run=server", &namespace, "--filename", &file])
}

/// What must outlive every change of an installation.
#[derive(Debug, Eq, PartialEq)]
struct Kept {
    addresses: Vec<(String, Vec<IpAddr>)>,
    pools: BTreeSet<String>,
    services: BTreeSet<String>,
}

impl Kept {
    fn now(stage: &Stage) -> Result<Self> {
        // Object and identity: one that was deleted and made again is another one.
        let uids = |kind: &str| -> Result<BTreeSet<String>> {
            let objects = stage.api().list(kind, "", "")?;
            Ok(objects
                .iter()
                .map(|one| format!("{} {}", name(one), one["metadata"]["uid"]))
                .collect())
        };
        let mut addresses = Vec::new();
        for name in ["echo", "second"] {
            addresses.push((name.to_owned(), stage.addresses_now(name)?));
        }
        Ok(Self { addresses, pools: uids("IPAddressPool")?, services: uids("Service")? })
    }
}

/// What speakers and webhooks trust in: both go on with what they have.
fn secrets(stage: &Stage) -> Result<BTreeMap<String, String>> {
    let all = stage.api().list("Secret", NAMESPACE, "")?;
    let ours = ["memberlist", "webhook-cert"];
    let ours = all.iter().filter(|one| ours.iter().any(|end| name(one).ends_with(end)));
    Ok(ours.map(|one| (name(one).to_owned(), one["data"].to_string())).collect())
}

/// Two Services that are announced.
fn serve(stage: &Stage) -> Result<Kept> {
    stage.example("quick-start")?;
    stage.apply(&service("second"))?;
    for name in ["echo", "second"] {
        let address = stage.address(name)?;
        stage.announced(name, Lan::One, address)?;
        stage.curl(address)?;
    }
    Kept::now(stage)
}

/// All is as it was, announced, reachable, and new Services are served too.
fn expect_kept(stage: &Stage, kept: &Kept) -> Result<()> {
    stage.lab().wait_ready(PATIENCE)?;
    let now = Kept::now(stage)?;
    check(now == *kept, || format!("before: {kept:?}\nnow: {now:?}"))?;
    for (name, addresses) in &kept.addresses {
        for address in addresses {
            settled(stage, name, *address)?;
            stage.announced(name, Lan::One, *address)?;
            stage.curl(*address)?;
        }
    }
    stage.apply(&service("late"))?;
    let address = stage.address("late")?;
    stage.owner(address)?;
    stage.curl(address)?;
    stage.delete_service("late")
}

/// Speakers that start together find each other one by one: waits until the one that answers is the
/// one that says so.
fn settled(stage: &Stage, name: &str, address: IpAddr) -> Result<()> {
    wait_until(&format!("{name} has settled"), PATIENCE, || {
        let (owner, statuses) = (stage.owner(address)?, stage.statuses("default", name)?);
        let nodes: Vec<_> = statuses.iter().map(|status| &status["status"]["node"]).collect();
        Ok(if nodes == [owner.as_str()] { Ok(()) } else { Err(format!("{owner}: {nodes:?}")) })
    })
}

fn upstream(stage: &mut Stage) -> Result<()> {
    // Upstream's own two ways to install name things in two ways; so do ours.
    let plain = stage.own_object("DaemonSet", "speaker")? == "speaker";
    let file = if plain { "native" } else { "chart" };
    let file = repository(&format!("e2e/fixtures/upstream/{file}.yaml"));
    let (upstream, ours) = (Manifests::read(&file)?, stage.lab().manifests().clone());
    let kept = serve(stage)?;
    let secrets = secrets(stage)?;
    for (name, from, to) in [("upstream's", &ours, &upstream), ("ours", &upstream, &ours)] {
        let steadiness = stage.steadiness(kept.addresses[0].1[0])?;
        let before = stage.own_processes();
        stage.lab().apply_manifests(to)?;
        // What the one grants and the other does not must be gone, or nothing is shown.
        prune_roles(stage, from, to)?;
        stage.lab().leave_out_webhooks()?;
        stage.rolled_out(&before).map_err(|error| fail(format!("{name}: {error}")))?;
        expect_kept(stage, &kept).map_err(|error| fail(format!("{name}: {error}")))?;
        steadiness.expect_from_anybody()?;
        let now = self::secrets(stage)?;
        check(now == secrets, || format!("{name}: Secrets before {secrets:?}, now {now:?}"))?;
        if name != "ours" {
            // Their roles grant no `patch` of a status, and no Leases.
            stage.wait_for_line("controller", 0, &["services/status", "using update"])?;
            stage.wait_for_line("controller", 0, &["no election", "leases"])?;
        }
    }
    Ok(())
}

/// Deletes roles and bindings that are in `from` and not in `to`.
fn prune_roles(stage: &Stage, from: &Manifests, to: &Manifests) -> Result<()> {
    for kind in ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"] {
        let wanted: BTreeSet<_> = to.of_kind(kind).map(name).collect();
        for object in from.of_kind(kind).filter(|object| !wanted.contains(name(object))) {
            stage.api().delete(Ref::new(kind, namespace(object), name(object)))?;
        }
    }
    Ok(())
}

fn uninstalled(stage: &mut Stage) -> Result<()> {
    let ours = stage.lab().manifests().clone();
    let kept = serve(stage)?;
    for kind in ["DaemonSet", "Deployment", "ConfigMap", "ClusterRoleBinding", "RoleBinding"] {
        for object in ours.of_kind(kind) {
            stage.api().delete(Ref::new(kind, namespace(object), name(object)))?;
        }
    }
    wait_until("no process of ours runs", PATIENCE, || {
        let left = stage.own_processes().len();
        Ok(if left == 0 { Ok(()) } else { Err(left) })
    })?;
    for (_, addresses) in &kept.addresses {
        stage.expect_answerers(Lan::One, addresses[0], &[])?;
    }
    let now = Kept::now(stage)?;
    check(now == kept, || format!("before: {kept:?}\nwithout us: {now:?}"))?;
    stage.lab().install()?;
    expect_kept(stage, &kept)
}

fn page(stage: &mut Stage) -> Result<()> {
    if stage.own_object("DaemonSet", "speaker")? != "speaker" {
        // The page's blocks are about the plain manifests, which are not what is installed.
        return Ok(());
    }
    let result = walkthrough::tell(stage, "docs/install.md");
    // Its last block uninstalls.
    stage.lab().install()?;
    stage.lab().wait_ready(PATIENCE)?;
    result
}

fn gitops(stage: &mut Stage) -> Result<()> {
    let folder = repository("examples/gitops/flux");
    let file = |name: &str| folder.join(name).display().to_string();
    let (hardened, more) =
        (file("base/hardened-values.yaml"), file("cluster/override-values.yaml"));
    dry_run(stage, &render(&["--values", &hardened])?)?;
    // Its PodMonitors are for an operator that is not here.
    let rendered = render(&["--values", &hardened, "--values", &more])?;
    check(rendered.contains("kind: PodMonitor"), || "no PodMonitor".to_owned())?;
    stage.kubectl(&["apply", "--kustomize", &file("pools")])?;
    stage.apply(&service("web"))?;
    let address = stage.address("web")?;
    stage.announced("web", Lan::One, address)?;
    stage.curl(address).map(drop)
}

/// Values of the chart that change what is rendered.
const VALUES: [&[&str]; 12] = [
    &[],
    &["loadBalancerClass=example.org/metallb"],
    &["speaker.ignoreExcludeLB=true", "speaker.logLevel=debug", "controller.logLevel=all"],
    &[
        "rbac.create=false",
        "controller.serviceAccount.create=false",
        "speaker.serviceAccount.create=false",
    ],
    &["speaker.enabled=false"],
    &["controller.enabled=false"],
    &["speaker.memberlist.enabled=false"],
    &["speaker.excludeInterfaces.enabled=false", "speaker.tolerateMaster=false"],
    &["networkpolicies.enabled=true", "networkpolicies.defaultDeny=true"],
    &["crds.validationFailurePolicy=Ignore", "controller.webhookMode=disabled"],
    &["fullnameOverride=metallb", "tls.minVersion=VersionTLS12", "prometheus.metricsPort=7472"],
    &["crds.enabled=false", "prometheus.scrapeAnnotations=true", "speaker.bgpDebounceTimeout=500"],
];

fn values(stage: &mut Stage) -> Result<()> {
    for values in VALUES {
        let settings: Vec<_> = values.iter().flat_map(|value| ["--set", *value]).collect();
        dry_run(stage, &render(&settings)?)
            .map_err(|error| fail(format!("{values:?}: {error}")))?;
    }
    Ok(())
}

/// What the chart makes of settings.
fn render(settings: &[&str]) -> Result<String> {
    let helm = std::env::var_os("FERROLB_HELM")
        .ok_or_else(|| fail("FERROLB_HELM names no folder; scripts/helm prints it"))?;
    let helm = Path::new(&helm).join("helm").display().to_string();
    let chart = repository("deploy/helm/ferrolb").display().to_string();
    let namespace = format!("--namespace={NAMESPACE}");
    let words = [helm.as_str(), "template", "metallb", &chart, &namespace];
    // Without a home it looks for its settings in the root, which may not be there.
    let words = ["env", "HOME=/run"].into_iter().chain(words).chain(settings.iter().copied());
    Run::new(words).limit(PATIENCE).success()
}

/// Asks the API server whether it would take all of it.
fn dry_run(stage: &Stage, rendered: &str) -> Result<()> {
    let file = format!("{FOLDER}/rendered.yaml");
    fs::write(&file, rendered).map_err(Error::io(&file))?;
    let words = ["apply", "--server-side", "--force-conflicts", "--dry-run=server"];
    let words = words.into_iter().chain(["--filename", file.as_str()]);
    let output = stage.kubectl_output(&words.collect::<Vec<_>>())?;
    check(output.code == Some(0), || output.stderr.trim().to_owned())
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

fn namespace(object: &Value) -> &str {
    object["metadata"]["namespace"].as_str().unwrap_or_default()
}
