//! The schemas against the field tables of the behaviour reference (api.md 1), written anew here:
//! upstream's fields, types, required fields, defaults and limits, plus what we add on top.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;

use ferrolb_api::crds;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion, JSONSchemaProps,
    JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use rstest::rstest;

/// Fields as `path: type`, then `required`, `default …`, `min..max`, `immutable` and, after a `+`,
/// what upstream's schema does not have.
const IP_ADDRESS_POOL: &[&str] = &[
    "spec: object, required",
    "spec.addresses: []string, required + at most 4096, 1 rule",
    "spec.addresses[]: string + at most 128 characters, 1 rule",
    "spec.autoAssign: boolean, default true",
    "spec.avoidBuggyIPs: boolean, default false",
    "spec.serviceAllocation: object",
    "spec.serviceAllocation.namespaceSelectors: []selector",
    "spec.serviceAllocation.namespaces: []string",
    "spec.serviceAllocation.priority: integer",
    "spec.serviceAllocation.serviceSelectors: []selector",
    "status: object",
    "status.assignedIPv4: integer, required",
    "status.assignedIPv6: integer, required",
    "status.availableIPv4: integer, required",
    "status.availableIPv6: integer, required",
];

const L2_ADVERTISEMENT: &[&str] = &[
    "spec: object",
    "spec.interfaces: []string",
    "spec.ipAddressPoolSelectors: []selector",
    "spec.ipAddressPools: []string",
    "spec.nodeSelectors: []selector",
    "spec.preferredNodeSelectors: []object",
    "spec.preferredNodeSelectors[].preference: selector, required",
    "spec.preferredNodeSelectors[].weight: integer, required, 1..100",
    "spec.serviceSelectors: []selector",
    "status: object",
];

const SERVICE_L2_STATUS: &[&str] = &[
    "spec: object",
    "status: object",
    "status.interfaces: []object",
    "status.interfaces[].name: string",
    "status.node: string, immutable",
    "status.refused: []object",
    "status.refused[].ip: string",
    "status.refused[].mac: string",
    "status.serviceName: string, immutable",
    "status.serviceNamespace: string, immutable",
];

const BGP_ADVERTISEMENT: &[&str] = &[
    "spec: object + 1 rule",
    "spec.aggregationLength: integer, default 32, 1..32",
    "spec.aggregationLengthV6: integer, default 128, 1..128",
    "spec.communities: []string",
    "spec.ipAddressPoolSelectors: []selector",
    "spec.ipAddressPools: []string",
    "spec.localPref: integer, 0..4294967295",
    "spec.nodeSelectors: []selector",
    "spec.peers: []string",
    "spec.serviceSelectors: []selector",
    "status: object",
];

const BGP_PEER: &[&str] = &[
    "spec: object + 6 rules",
    "spec.bfdProfile: string",
    "spec.connectTime: string + 2 rules",
    "spec.disableMP: boolean, default false",
    "spec.dualStackAddressFamily: boolean, default false",
    "spec.dynamicASN: string, one of external internal",
    "spec.ebgpMultiHop: boolean",
    "spec.enableGracefulRestart: boolean, immutable",
    "spec.holdTime: string + 1 rule",
    "spec.interface: string",
    "spec.keepaliveTime: string + 1 rule",
    "spec.localASN: integer, 1..4294967295",
    "spec.myASN: integer, required, 0..4294967295",
    "spec.nodeSelectors: []selector",
    "spec.password: string",
    "spec.passwordSecret: object",
    "spec.passwordSecret.name: string",
    "spec.passwordSecret.namespace: string",
    "spec.peerASN: integer, 0..4294967295",
    "spec.peerAddress: string",
    "spec.peerPort: integer, default 179, 1..16384",
    "spec.routerID: string",
    "spec.sourceAddress: string",
    "spec.vrf: string",
    "status: object",
];

const BFD_PROFILE: &[&str] = &[
    "spec: object",
    "spec.detectMultiplier: integer, 2..255",
    "spec.echoInterval: integer, 10..60000",
    "spec.echoMode: boolean",
    "spec.minimumTtl: integer, 1..254",
    "spec.passiveMode: boolean",
    "spec.receiveInterval: integer, 10..60000",
    "spec.transmitInterval: integer, 10..60000",
    "status: object",
];

const COMMUNITY: &[&str] = &[
    "spec: object",
    "spec.communities: []object",
    "spec.communities[].name: string",
    "spec.communities[].value: string",
    "status: object",
];

const SERVICE_BGP_STATUS: &[&str] = &[
    "spec: object",
    "status: object",
    "status.conditions: []condition",
    "status.node: string, immutable",
    "status.peers: []string",
    "status.serviceName: string, immutable",
    "status.serviceNamespace: string, immutable",
];

const CONFIGURATION_STATE: &[&str] = &[
    "spec: object",
    "status: object",
    "status.conditions: []condition",
    "status.errorSummary: string",
    "status.result: string, one of Invalid Unknown Valid",
];

const BGP_SESSION: &[&str] = &[
    "spec: object",
    "status: object",
    "status.bfdStatus: string",
    "status.bgpStatus: string",
    "status.families: []string",
    "status.lastError: object",
    "status.lastError.message: string",
    "status.lastError.time: string",
    "status.node: string, immutable",
    "status.peer: string, immutable",
    "status.peerASN: integer",
    "status.peerAddress: string",
    "status.prefixes: object, default {\"received\":0,\"sent\":0,\"wanted\":0}",
    "status.prefixes.received: integer, default 0",
    "status.prefixes.sent: integer, default 0",
    "status.prefixes.wanted: integer, default 0",
    "status.since: string",
    "status.timers: object",
    "status.timers.connectTime: string",
    "status.timers.holdTime: string",
    "status.timers.keepaliveTime: string",
    "status.vrf: string",
];

const COLUMNS_OF_POOLS: &[&str] = &[
    "Auto Assign boolean .spec.autoAssign",
    "Avoid Buggy IPs boolean .spec.avoidBuggyIPs",
    "Addresses string .spec.addresses",
    "Used IPv4 integer .status.assignedIPv4",
    "Free IPv4 integer .status.availableIPv4",
    "Used IPv6 integer .status.assignedIPv6",
    "Free IPv6 integer .status.availableIPv6",
];

const COLUMNS_OF_BGP_ADVERTISEMENTS: &[&str] = &[
    "IPAddressPools string .spec.ipAddressPools",
    "IPAddressPool Selectors string .spec.ipAddressPoolSelectors",
    "Peers string .spec.peers",
    "Node Selectors string .spec.nodeSelectors 10",
];

const COLUMNS_OF_PEERS: &[&str] = &[
    "Address string .spec.peerAddress",
    "ASN string .spec.peerASN",
    "BFD Profile string .spec.bfdProfile",
    "Multi Hops string .spec.ebgpMultiHop",
];

const COLUMNS_OF_PROFILES: &[&str] = &[
    "Passive Mode boolean .spec.passiveMode",
    "Transmit Interval integer .spec.transmitInterval",
    "Receive Interval integer .spec.receiveInterval",
    "Multiplier integer .spec.detectMultiplier",
];

const COLUMNS_OF_BGP_STATUSES: &[&str] = &[
    "Node string .status.node",
    "Service Name string .status.serviceName",
    "Service Namespace string .status.serviceNamespace",
];

const COLUMNS_OF_STATES: &[&str] = &[
    "Result string .status.result",
    "ErrorSummary string .status.errorSummary",
    "Age date .metadata.creationTimestamp",
];

const COLUMNS_OF_SESSIONS: &[&str] = &[
    "Node string .status.node",
    "Peer string .status.peer",
    "State string .status.bgpStatus",
    "BFD string .status.bfdStatus",
    "Since date .status.since",
    "Sent integer .status.prefixes.sent",
    "Last Error string .status.lastError.message 10",
];

const COLUMNS_OF_ADVERTISEMENTS: &[&str] = &[
    "IPAddressPools string .spec.ipAddressPools",
    "IPAddressPool Selectors string .spec.ipAddressPoolSelectors",
    "Interfaces string .spec.interfaces",
    "Node Selectors string .spec.nodeSelectors 10",
];

const COLUMNS_OF_STATUSES: &[&str] = &[
    "Allocated Node string .status.node",
    "Service Name string .status.serviceName",
    "Service Namespace string .status.serviceNamespace",
];

#[rstest]
#[case::ip_address_pool("IPAddressPool", "ipaddresspools", IP_ADDRESS_POOL, COLUMNS_OF_POOLS)]
#[case::l2_advertisement(
    "L2Advertisement",
    "l2advertisements",
    L2_ADVERTISEMENT,
    COLUMNS_OF_ADVERTISEMENTS
)]
#[case::service_l2_status(
    "ServiceL2Status",
    "servicel2statuses",
    SERVICE_L2_STATUS,
    COLUMNS_OF_STATUSES
)]
#[case::bgp_advertisement(
    "BGPAdvertisement",
    "bgpadvertisements",
    BGP_ADVERTISEMENT,
    COLUMNS_OF_BGP_ADVERTISEMENTS
)]
#[case::bgp_peer("BGPPeer", "bgppeers", BGP_PEER, COLUMNS_OF_PEERS)]
#[case::bfd_profile("BFDProfile", "bfdprofiles", BFD_PROFILE, COLUMNS_OF_PROFILES)]
#[case::community("Community", "communities", COMMUNITY, &[])]
#[case::service_bgp_status(
    "ServiceBGPStatus",
    "servicebgpstatuses",
    SERVICE_BGP_STATUS,
    COLUMNS_OF_BGP_STATUSES
)]
#[case::configuration_state(
    "ConfigurationState",
    "configurationstates",
    CONFIGURATION_STATE,
    COLUMNS_OF_STATES
)]
#[case::bgp_session("BGPSession", "bgpsessions", BGP_SESSION, COLUMNS_OF_SESSIONS)]
fn kinds_are_as_tabled(
    #[case] kind: &str,
    #[case] plural: &str,
    #[case] fields: &[&str],
    #[case] columns: &[&str],
) {
    let crd = mk_crd(kind);
    let (group, stored) = match kind {
        "BGPSession" => ("ferrolb.io", "v1alpha1"),
        "BGPPeer" => ("metallb.io", "v1beta2"),
        _ => ("metallb.io", "v1beta1"),
    };
    assert_eq!(crd.metadata.name, Some(format!("{plural}.{group}")));
    assert_eq!(crd.spec.group, group);
    assert_eq!(crd.spec.scope, "Namespaced");
    assert_eq!(crd.spec.names.plural, plural);
    assert_eq!(crd.spec.names.singular, Some(kind.to_lowercase()));
    assert_eq!(crd.spec.names.short_names, None);
    assert_eq!(crd.spec.names.categories, None);
    assert!(crd.spec.conversion.is_none());

    let version = stored_version(&crd);
    assert_eq!(version.name, stored);
    assert!(version.served && version.deprecated.is_none());
    assert!(version.subresources.as_ref().unwrap().status.is_some());
    assert!(version.subresources.as_ref().unwrap().scale.is_none());
    assert_eq!(printer_columns(version), columns);
    assert_eq!(rows("", schema_of(&crd)), fields);
}

/// What makes a webhook for conversions needless: whatever one version can hold, the other can too.
#[rstest]
fn the_deprecated_version_of_peers_has_the_fields_of_the_stored_one() {
    let crd = mk_crd("BGPPeer");
    let [deprecated, stored] = crd.spec.versions.as_slice() else { panic!("two versions") };
    assert_eq!((deprecated.name.as_str(), stored.name.as_str()), ("v1beta1", "v1beta2"));
    assert!(deprecated.served && !deprecated.storage && stored.storage);
    assert_eq!(deprecated.deprecated, Some(true));
    assert!(deprecated.deprecation_warning.as_ref().unwrap().contains("v1beta2"));
    assert_eq!(deprecated.additional_printer_columns, stored.additional_printer_columns);
    assert!(deprecated.subresources.as_ref().unwrap().status.is_some());

    let root = |version: &CustomResourceDefinitionVersion| {
        version.schema.as_ref().unwrap().open_api_v3_schema.clone().unwrap()
    };
    let expected: Vec<_> = rows("", &root(stored))
        .iter()
        .map(|row| match row.as_str() {
            "spec.peerPort: integer, default 179, 1..16384" => "spec.peerPort: integer, 0..16384",
            row => row,
        })
        .map(str::to_owned)
        .collect();
    assert_eq!(rows("", &root(deprecated)), expected);
}

#[rstest]
fn every_field_is_described() {
    for crd in crds() {
        let mut bare = Vec::new();
        undescribed("", schema_of(&crd), &mut bare);
        assert_eq!(bare, Vec::<String>::new(), "in {}", crd.spec.names.kind);
    }
}

fn mk_crd(kind: &str) -> CustomResourceDefinition {
    crds().into_iter().find(|crd| crd.spec.names.kind == kind).unwrap()
}

fn stored_version(crd: &CustomResourceDefinition) -> &CustomResourceDefinitionVersion {
    let mut stored = crd.spec.versions.iter().filter(|version| version.storage);
    let version = stored.next().unwrap();
    assert!(stored.next().is_none());
    assert!(crd.spec.versions.len() == 1 || crd.spec.names.kind == "BGPPeer");
    version
}

fn schema_of(crd: &CustomResourceDefinition) -> &JSONSchemaProps {
    stored_version(crd).schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap()
}

fn printer_columns(version: &CustomResourceDefinitionVersion) -> Vec<String> {
    let columns = version.additional_printer_columns.as_deref().unwrap_or_default();
    let priority = |priority: Option<i32>| priority.map(|p| format!(" {p}")).unwrap_or_default();
    columns
        .iter()
        .map(|c| format!("{} {} {}{}", c.name, c.type_, c.json_path, priority(c.priority)))
        .collect()
}

fn rows(path: &str, schema: &JSONSchemaProps) -> Vec<String> {
    let required: BTreeSet<_> = schema.required.iter().flatten().collect();
    let mut rows = Vec::new();
    for (name, field) in schema.properties.iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        rows.push(row(&path, field, required.contains(name)));
        if is_selector(field) || is_condition_list(field) {
            continue;
        }
        rows.extend(self::rows(&path, field));
        let Some(JSONSchemaPropsOrArray::Schema(item)) = &field.items else { continue };
        let path = format!("{path}[]");
        let has_limits = item.max_length.is_some() || item.x_kubernetes_validations.is_some();
        rows.extend(has_limits.then(|| row(&path, item, false)));
        if !is_selector(item) {
            rows.extend(self::rows(&path, item));
        }
    }
    rows
}

fn row(path: &str, field: &JSONSchemaProps, is_required: bool) -> String {
    assert_eq!(field.nullable, None, "{path}");
    assert_eq!(field.pattern, None, "{path}");

    let mut facts = vec![type_of(field)];
    facts.extend(is_required.then(|| "required".to_owned()));
    facts.extend(field.default.as_ref().map(|default| format!("default {}", default.0)));
    let choices: Vec<&str> =
        field.enum_.iter().flatten().map(|choice| choice.0.as_str().unwrap()).collect();
    facts.extend((!choices.is_empty()).then(|| {
        let sorted: BTreeSet<_> = choices.into_iter().collect();
        format!("one of {}", sorted.into_iter().collect::<Vec<_>>().join(" "))
    }));
    facts.extend(field.minimum.zip(field.maximum).map(|(min, max)| format!("{min}..{max}")));
    let rules = field.x_kubernetes_validations.as_deref().unwrap_or_default();
    let is_immutable = matches!(rules, [rule] if rule.rule == "self == oldSelf");
    facts.extend(is_immutable.then(|| "immutable".to_owned()));

    let mut added = Vec::new();
    added.extend(field.max_items.map(|most| format!("at most {most}")));
    added.extend(field.max_length.map(|most| format!("at most {most} characters")));
    if !is_immutable && !rules.is_empty() {
        let plural = if rules.len() == 1 { "" } else { "s" };
        added.push(format!("{} rule{plural}", rules.len()));
    }
    let added = if added.is_empty() { String::new() } else { format!(" + {}", added.join(", ")) };
    format!("{path}: {}{added}", facts.join(", "))
}

fn type_of(field: &JSONSchemaProps) -> String {
    match &field.items {
        Some(JSONSchemaPropsOrArray::Schema(item)) => {
            assert_eq!(field.type_.as_deref(), Some("array"));
            format!("[]{}", type_of(item))
        }
        Some(JSONSchemaPropsOrArray::Schemas(_)) => panic!("not structural"),
        None if is_selector(field) => "selector".to_owned(),
        None if is_condition(field) => "condition".to_owned(),
        None => field.type_.clone().unwrap(),
    }
}

/// A schema that claims to be a label selector must be the standard one.
fn is_selector(schema: &JSONSchemaProps) -> bool {
    let Some(properties) = &schema.properties else { return false };
    if !properties.contains_key("matchLabels") {
        return false;
    }
    assert_eq!(schema.x_kubernetes_map_type.as_deref(), Some("atomic"));
    assert!(properties.keys().eq(["matchExpressions", "matchLabels"]));

    let labels = &properties["matchLabels"];
    let Some(JSONSchemaPropsOrBool::Schema(value)) = &labels.additional_properties else {
        panic!("matchLabels is a map")
    };
    assert_eq!(value.type_.as_deref(), Some("string"));

    let expressions = &properties["matchExpressions"];
    assert_eq!(expressions.x_kubernetes_list_type.as_deref(), Some("atomic"));
    let Some(JSONSchemaPropsOrArray::Schema(expression)) = &expressions.items else {
        panic!("matchExpressions is a list")
    };
    assert_eq!(expression.required, Some(vec!["key".to_owned(), "operator".to_owned()]));
    let fields = expression.properties.as_ref().unwrap();
    assert!(fields.keys().eq(["key", "operator", "values"]));
    assert_eq!(fields["values"].x_kubernetes_list_type.as_deref(), Some("atomic"));
    assert_eq!(type_of(&fields["values"]), "[]string");
    true
}

/// A schema that claims to be a condition must be the standard one.
fn is_condition(schema: &JSONSchemaProps) -> bool {
    let Some(properties) = &schema.properties else { return false };
    if !properties.contains_key("lastTransitionTime") {
        return false;
    }
    let fields: Vec<String> = properties
        .iter()
        .map(|(name, field)| {
            let limits = (field.min_length, field.max_length, field.minimum, field.enum_.is_some());
            format!("{name} {limits:?} {} {}", field.pattern.is_some(), field.format.is_some())
        })
        .collect();
    assert_eq!(
        fields,
        [
            "lastTransitionTime (None, None, None, false) false true",
            "message (None, Some(32768), None, false) false false",
            "observedGeneration (None, None, Some(0.0), false) false true",
            "reason (Some(1), Some(1024), None, false) true false",
            "status (None, None, None, true) false false",
            "type (None, Some(316), None, false) true false",
        ]
    );
    let required = ["lastTransitionTime", "message", "reason", "status", "type"];
    assert_eq!(schema.required, Some(required.map(str::to_owned).to_vec()));
    true
}

fn is_condition_list(schema: &JSONSchemaProps) -> bool {
    let Some(JSONSchemaPropsOrArray::Schema(item)) = &schema.items else { return false };
    if !is_condition(item) {
        return false;
    }
    assert_eq!(schema.x_kubernetes_list_type.as_deref(), Some("map"));
    assert_eq!(schema.x_kubernetes_list_map_keys, Some(vec!["type".to_owned()]));
    true
}

fn undescribed(path: &str, schema: &JSONSchemaProps, bare: &mut Vec<String>) {
    for (name, field) in schema.properties.iter().flatten() {
        let path = format!("{path}.{name}");
        let text = field.description.as_deref().unwrap_or_default();
        if !text.ends_with('.') || text.contains('\n') {
            bare.push(path.clone());
        }
        undescribed(&path, field, bare);
        if let Some(JSONSchemaPropsOrArray::Schema(item)) = &field.items {
            undescribed(&format!("{path}[]"), item, bare);
        }
    }
}
