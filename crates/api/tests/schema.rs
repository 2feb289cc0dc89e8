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
    "status.serviceName: string, immutable",
    "status.serviceNamespace: string, immutable",
];

const COLUMNS_OF_POOLS: &[&str] = &[
    "Auto Assign boolean .spec.autoAssign",
    "Avoid Buggy IPs boolean .spec.avoidBuggyIPs",
    "Addresses string .spec.addresses",
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
fn kinds_are_as_tabled(
    #[case] kind: &str,
    #[case] plural: &str,
    #[case] fields: &[&str],
    #[case] columns: &[&str],
) {
    let crd = crds().into_iter().find(|crd| crd.spec.names.kind == kind).unwrap();
    assert_eq!(crd.metadata.name, Some(format!("{plural}.metallb.io")));
    assert_eq!(crd.spec.group, "metallb.io");
    assert_eq!(crd.spec.scope, "Namespaced");
    assert_eq!(crd.spec.names.plural, plural);
    assert_eq!(crd.spec.names.singular, Some(kind.to_lowercase()));
    assert_eq!(crd.spec.names.short_names, None);
    assert_eq!(crd.spec.names.categories, None);
    assert!(crd.spec.conversion.is_none());

    let version = only_version(&crd);
    assert_eq!(version.name, "v1beta1");
    assert!(version.served && version.storage);
    assert!(version.subresources.as_ref().unwrap().status.is_some());
    assert!(version.subresources.as_ref().unwrap().scale.is_none());
    assert_eq!(printer_columns(version), columns);
    assert_eq!(rows("", schema_of(&crd)), fields);
}

#[rstest]
fn every_field_is_described() {
    for crd in crds() {
        let mut bare = Vec::new();
        undescribed("", schema_of(&crd), &mut bare);
        assert_eq!(bare, Vec::<String>::new(), "in {}", crd.spec.names.kind);
    }
}

fn only_version(crd: &CustomResourceDefinition) -> &CustomResourceDefinitionVersion {
    let [version] = crd.spec.versions.as_slice() else { panic!("one version expected") };
    version
}

fn schema_of(crd: &CustomResourceDefinition) -> &JSONSchemaProps {
    only_version(crd).schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap()
}

fn printer_columns(version: &CustomResourceDefinitionVersion) -> Vec<String> {
    let columns = version.additional_printer_columns.as_ref().unwrap();
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
        if is_selector(field) {
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
    assert_eq!(field.enum_, None, "{path}");
    assert_eq!(field.pattern, None, "{path}");

    let mut facts = vec![type_of(field)];
    facts.extend(is_required.then(|| "required".to_owned()));
    facts.extend(field.default.as_ref().map(|default| format!("default {}", default.0)));
    facts.extend(field.minimum.zip(field.maximum).map(|(min, max)| format!("{min}..{max}")));
    let rules = field.x_kubernetes_validations.as_deref().unwrap_or_default();
    let is_immutable = matches!(rules, [rule] if rule.rule == "self == oldSelf");
    facts.extend(is_immutable.then(|| "immutable".to_owned()));

    let mut added = Vec::new();
    added.extend(field.max_items.map(|most| format!("at most {most}")));
    added.extend(field.max_length.map(|most| format!("at most {most} characters")));
    if !is_immutable && !rules.is_empty() {
        added.push(format!("{} rule", rules.len()));
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
