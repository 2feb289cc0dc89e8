//! The definitions of the kinds, ready to install.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;

use crate::{
    BFDProfile, BGPAdvertisement, BGPSession, Community, ConfigurationState, IPAddressPool,
    L2Advertisement, ServiceBGPStatus, ServiceL2Status, bgp_peer,
};

/// The definitions of all kinds of this crate, in order of their names.
pub fn crds() -> Vec<CustomResourceDefinition> {
    let optional_spec = |mut crd: CustomResourceDefinition| {
        schemas(&mut crd).for_each(|root| root.required = None);
        crd
    };
    let mut crds = vec![
        optional_spec(BFDProfile::crd()),
        optional_spec(BGPAdvertisement::crd()),
        optional_spec(bgp_peer::definition()),
        optional_spec(BGPSession::crd()),
        optional_spec(Community::crd()),
        optional_spec(ConfigurationState::crd()),
        IPAddressPool::crd(),
        optional_spec(L2Advertisement::crd()),
        optional_spec(ServiceBGPStatus::crd()),
        optional_spec(ServiceL2Status::crd()),
    ];
    crds.iter_mut().flat_map(schemas).for_each(tidy);
    crds
}

/// The definitions as one YAML stream, a document each. The same build always gives the same text.
pub fn crds_yaml() -> String {
    crds().iter().map(crd_yaml).collect::<Vec<_>>().join("---\n")
}

/// One definition as a YAML document, without document markers.
#[expect(
    clippy::expect_used,
    reason = "a definition is plain data, and a test writes all there are"
)]
pub fn crd_yaml(crd: &CustomResourceDefinition) -> String {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    serde_saphyr::to_string_with_options(crd, options).expect("a definition can be written as YAML")
}

fn schemas(crd: &mut CustomResourceDefinition) -> impl Iterator<Item = &mut JSONSchemaProps> {
    let versions = crd.spec.versions.iter_mut();
    versions.filter_map(|version| version.schema.as_mut()?.open_api_v3_schema.as_mut())
}

/// Removes what the source code leaves in a schema: line breaks, names of types, and what only our
/// lenient parser means (null for nothing, defaults of fields that users have to write).
fn tidy(schema: &mut JSONSchemaProps) {
    schema.title = None;
    schema.nullable = None;
    if let (Some(properties), Some(required)) = (&mut schema.properties, &schema.required) {
        for (_, property) in properties.iter_mut().filter(|(name, _)| required.contains(name)) {
            property.default = None;
        }
    }
    if let Some(text) = &mut schema.description {
        *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    schema.properties.iter_mut().flat_map(|properties| properties.values_mut()).for_each(tidy);
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => tidy(items),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(tidy),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        tidy(values);
    }
}
