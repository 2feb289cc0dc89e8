//! Values: every key of MetalLB's chart is taken, a key nobody knows is refused, what cannot work is
//! refused with words, and what has no effect is named afterwards.

use anyhow::Result;
use serde_json::{Value, json};

use super::Findings;
use super::golden::EVERYTHING;
use super::helm::{Helm, Release};

/// The keys of MetalLB's chart.
const UPSTREAM: &str = "
imagePullSecrets nameOverride fullnameOverride loadBalancerClass rbac.create
tls.cipherSuites tls.curvePreferences tls.minVersion tls.controllerMetricsTLSSecret tls.speakerMetricsTLSSecret
prometheus.scrapeAnnotations prometheus.metricsPort prometheus.rbacPrometheus prometheus.serviceAccount
prometheus.namespace prometheus.podMonitor.enabled prometheus.podMonitor.additionalLabels
prometheus.podMonitor.annotations prometheus.podMonitor.jobLabel prometheus.podMonitor.interval
prometheus.podMonitor.metricRelabelings prometheus.podMonitor.relabelings
prometheus.podMonitor.tlsConfig.insecureSkipVerify prometheus.serviceMonitor.enabled
prometheus.serviceMonitor.speaker.additionalLabels prometheus.serviceMonitor.speaker.annotations
prometheus.serviceMonitor.speaker.tlsConfig.insecureSkipVerify
prometheus.serviceMonitor.controller.additionalLabels prometheus.serviceMonitor.controller.annotations
prometheus.serviceMonitor.controller.tlsConfig.insecureSkipVerify prometheus.serviceMonitor.jobLabel
prometheus.serviceMonitor.interval prometheus.serviceMonitor.metricRelabelings prometheus.serviceMonitor.relabelings
prometheus.prometheusRule.enabled prometheus.prometheusRule.additionalLabels prometheus.prometheusRule.annotations
prometheus.prometheusRule.staleConfig.enabled prometheus.prometheusRule.staleConfig.labels.severity
prometheus.prometheusRule.configNotLoaded.enabled prometheus.prometheusRule.configNotLoaded.labels.severity
prometheus.prometheusRule.addressPoolExhausted.enabled
prometheus.prometheusRule.addressPoolExhausted.labels.severity
prometheus.prometheusRule.addressPoolExhausted.excludePools prometheus.prometheusRule.addressPoolUsage.enabled
prometheus.prometheusRule.addressPoolUsage.excludePools prometheus.prometheusRule.addressPoolUsage.thresholds
prometheus.prometheusRule.bgpSessionDown.enabled prometheus.prometheusRule.bgpSessionDown.labels.severity
prometheus.prometheusRule.extraAlerts
controller.enabled controller.logLevel controller.command controller.webhookMode controller.image.repository
controller.image.tag controller.image.pullPolicy controller.strategy.type controller.serviceAccount.create
controller.serviceAccount.name controller.serviceAccount.annotations controller.securityContext controller.resources
controller.nodeSelector controller.affinity controller.podAnnotations controller.labels controller.tolerations
controller.extraContainers controller.priorityClassName controller.runtimeClassName
controller.livenessProbe.enabled controller.livenessProbe.port controller.livenessProbe.failureThreshold
controller.livenessProbe.initialDelaySeconds controller.livenessProbe.periodSeconds
controller.livenessProbe.successThreshold controller.livenessProbe.timeoutSeconds
controller.readinessProbe.enabled controller.readinessProbe.port controller.readinessProbe.failureThreshold
controller.readinessProbe.initialDelaySeconds controller.readinessProbe.periodSeconds
controller.readinessProbe.successThreshold controller.readinessProbe.timeoutSeconds
speaker.enabled speaker.command speaker.logLevel speaker.tolerateMaster speaker.memberlist.enabled
speaker.memberlist.mlBindPort speaker.memberlist.mlBindAddrOverride speaker.memberlist.mlSecretKeyPath
speaker.wanConfig speaker.secretName speaker.excludeInterfaces.enabled speaker.ignoreExcludeLB
speaker.bgpDebounceTimeout speaker.image.repository speaker.image.tag speaker.image.pullPolicy
speaker.updateStrategy.type speaker.serviceAccount.create speaker.serviceAccount.name
speaker.serviceAccount.annotations speaker.securityContext speaker.resources speaker.nodeSelector speaker.affinity
speaker.podAnnotations speaker.labels speaker.tolerations speaker.extraContainers speaker.priorityClassName
speaker.runtimeClassName speaker.livenessProbe.enabled speaker.livenessProbe.port
speaker.livenessProbe.failureThreshold speaker.livenessProbe.initialDelaySeconds speaker.livenessProbe.periodSeconds
speaker.livenessProbe.successThreshold speaker.livenessProbe.timeoutSeconds speaker.readinessProbe.enabled
speaker.readinessProbe.port speaker.readinessProbe.failureThreshold speaker.readinessProbe.initialDelaySeconds
speaker.readinessProbe.periodSeconds speaker.readinessProbe.successThreshold speaker.readinessProbe.timeoutSeconds
speaker.startupProbe.enabled speaker.startupProbe.failureThreshold speaker.startupProbe.periodSeconds
speaker.frr.enabled speaker.frr.image.repository speaker.frr.image.tag speaker.frr.image.pullPolicy
speaker.frr.metricsPort speaker.frr.resources speaker.reloader.resources speaker.frrMetrics.resources
speaker.initContainers.cpFrrFiles.resources speaker.initContainers.cpReloader.resources
speaker.initContainers.cpMetrics.resources
crds.enabled crds.validationFailurePolicy frrk8s.enabled frrk8s.external frrk8s.namespace frrk8s.secretPassthrough
frr-k8s.prometheus.serviceMonitor.enabled networkpolicies.enabled networkpolicies.defaultDeny networkpolicies.apiPort
";

/// Keys of ours, which values that were kept from MetalLB's chart lack.
const OURS: [&str; 11] = [
    "/controller/replicas",
    "/controller/openUnmatchedPools",
    "/speaker/bgpSecretNames",
    "/speaker/rememberState",
    "/speaker/addressConflicts",
    "/speaker/heartbeatProfile",
    "/speaker/holdDown",
    "/speaker/yieldWhenCordoned",
    "/speaker/kubeProxyHealthPort",
    "/speaker/kubeProxyPatience",
    "/prometheus/prometheusRule/servicesPending",
];

/// Keys that end in a misspelling.
const UNKNOWN: [&str; 9] = [
    "{speakers: {}}",
    "{speaker: {tolerateMasters: true}}",
    "{speaker: {memberlist: {port: 1}}}",
    "{speaker: {frr: {images: {}}}}",
    "{controller: {livenessProbe: {delay: 1}}}",
    "{controller: {image: {digest: x}}}",
    "{prometheus: {podMonitors: {}}}",
    "{prometheus: {prometheusRule: {bgpSessionDown: {severity: x}}}}",
    "{networkpolicies: {enable: true}}",
];

/// Values and a word of the refusal.
const REFUSED: [(&str, &str); 11] = [
    ("{configInline: {peers: []}}", "resources of metallb.io"),
    ("{speaker: {memberlist: {enabled: false}, nodeSelector: {a: b}}}", "without membership"),
    (
        "{prometheus: {podMonitor: {enabled: true}, serviceMonitor: {enabled: true}}}",
        "scraped twice",
    ),
    ("{prometheus: {podMonitor: {enabled: true}}}", "prometheus.serviceAccount"),
    ("{prometheus: {serviceMonitor: {enabled: true}, namespace: m}}", "prometheus.serviceAccount"),
    ("{speaker: {readinessProbe: {port: 1234}}}", "both are asked at one port"),
    ("{controller: {logLevel: loud}}", "/controller/logLevel"),
    ("{crds: {validationFailurePolicy: Perhaps}}", "/crds/validationFailurePolicy"),
    ("{speaker: {bgpDebounceTimeout: 0}}", "/speaker/bgpDebounceTimeout"),
    ("{speaker: {addressConflicts: fight}}", "/speaker/addressConflicts"),
    ("{speaker: {kubeProxyPatience: 10}}", "/speaker/kubeProxyPatience"),
];

/// Values and the key that is named afterwards for having no effect.
const NAMED: [(&str, &str); 10] = [
    ("{frrk8s: {enabled: true}}", "- frrk8s.enabled:"),
    ("{frrk8s: {external: true, namespace: frr}}", "kubectl --namespace frr get frrconfigurations"),
    ("{frr-k8s: {frrk8s: {frr: {}}}}", "- frr-k8s:"),
    ("{speaker: {frr: {enabled: true}}}", "- speaker.frr.enabled:"),
    ("{speaker: {reloader: {resources: {limits: {cpu: 1}}}}}", "- resources of speaker.frr"),
    (
        "{speaker: {initContainers: {cpMetrics: {resources: {a: b}}}}}",
        "- speaker.initContainers.cpMetrics:",
    ),
    ("{speaker: {startupProbe: {enabled: false}}}", "- speaker.startupProbe:"),
    ("{speaker: {bgpDebounceTimeout: 500}}", "- speaker.bgpDebounceTimeout:"),
    ("{prometheus: {rbacProxy: {tag: v0.12.0}}}", "- prometheus.rbacProxy:"),
    (
        "{controller: {image: {repository: quay.io/metallb/controller, tag: v0.15.3}}}",
        "- controller.image:",
    ),
];

pub(super) fn check(helm: &Helm) -> Result<Findings> {
    let mut findings = Findings::new();
    let everything: Value = serde_saphyr::from_str(EVERYTHING)?;
    let missing = UPSTREAM.split_whitespace().filter(|key| {
        let path = format!("/{}", key.replace('.', "/"));
        everything.pointer(&path).is_none()
    });
    findings.extend(missing.map(|key| format!("no golden file sets {key}")));

    for values in UNKNOWN {
        match helm.render(Release::usual(values))? {
            Err(refusal) if refusal.contains("not allowed") => {}
            Err(refusal) => {
                findings.push(format!("{values} is refused for a wrong reason: {refusal}"));
            }
            Ok(_) => findings.push(format!("{values} is accepted")),
        }
    }
    for (values, words) in REFUSED {
        match helm.render(Release::usual(values))? {
            Err(refusal) if refusal.contains(words) => {}
            Err(refusal) => findings.push(format!("{values}: no `{words}` in: {refusal}")),
            Ok(_) => findings.push(format!("{values} is accepted")),
        }
    }
    for (values, line) in NAMED {
        let rendered = helm.must_render(Release::usual(values))?;
        if !rendered.notes.contains(line) {
            findings.push(format!("{values}: no `{line}` in the notes"));
        }
        if rendered.manifest.contains("quay.io") {
            findings.push(format!("{values}: another project's image is rendered"));
        }
    }
    let quiet = helm.must_render(Release::usual("{}"))?;
    if quiet.notes.contains("no effect") {
        findings.push("the defaults are said to have no effect".to_owned());
    }
    findings.extend(reused(helm)?);
    Ok(findings)
}

/// `helm upgrade --reuse-values` from MetalLB's chart: its defaults stand in for ours, and older ones
/// lack more than our own keys.
fn reused(helm: &Helm) -> Result<Findings> {
    let mut kept = helm.defaults()?;
    for path in OURS {
        remove(&mut kept, path);
    }
    kept["frrk8s"]["enabled"] = json!(true);
    kept["frr-k8s"] = json!({"global": {}, "frrk8s": {}, "prometheus": {"serviceMonitor": {}}});
    kept["crds"]["global"] = json!({});
    for component in ["controller", "speaker"] {
        kept[component]["image"]["repository"] = json!(format!("quay.io/metallb/{component}"));
    }
    let mut older = kept.clone();
    for path in [
        "/tls",
        "/networkpolicies",
        "/frrk8s",
        "/frr-k8s",
        "/controller/webhookMode",
        "/controller/livenessProbe/port",
        "/controller/readinessProbe/port",
        "/speaker/livenessProbe/port",
        "/speaker/readinessProbe/port",
        "/prometheus/podMonitor/tlsConfig",
        "/speaker/initContainers",
    ] {
        remove(&mut older, path);
    }
    older["prometheus"]["rbacProxy"] = json!({"repository": "x", "tag": "y", "pullPolicy": null});
    older["controller"]["tlsMinVersion"] = json!("VersionTLS12");

    let fresh = helm.must_render(Release::usual("{}"))?;
    let mut findings = Findings::new();
    for (which, values) in [("today's", kept), ("an older", older)] {
        let rendered = helm.with_defaults(&values)?.must_render(Release::usual("{}"))?;
        // What the flags' own defaults say is not said again.
        let same = |text: &str| text.replace("            - --webhook-mode=enabled\n", "");
        if same(&rendered.manifest) != same(&fresh.manifest) {
            findings.push(format!(
                "values kept from {which} MetalLB chart render something else than ours"
            ));
        }
    }
    Ok(findings)
}

fn remove(values: &mut Value, path: &str) {
    if let Some((parent, key)) = path.rsplit_once('/')
        && let Some(Value::Object(parent)) = values.pointer_mut(parent)
    {
        parent.remove(key);
    }
}
