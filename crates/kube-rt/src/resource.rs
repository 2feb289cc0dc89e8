//! Names of kinds and objects, as URLs and messages spell them.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// Namespace and name of any object; the namespace of cluster-wide objects is empty.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ObjectKey {
    /// `metadata.namespace`.
    pub namespace: Arc<str>,
    /// `metadata.name`.
    pub name: Arc<str>,
}

impl ObjectKey {
    /// The key of object `name` in `namespace`.
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

/// A kind by its REST name; prints as RBAC rules and `kubectl` write it (`services`,
/// `ipaddresspools.metallb.io`).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Resource {
    group: Cow<'static, str>,
    version: Cow<'static, str>,
    plural: Cow<'static, str>,
}

impl Resource {
    /// The resource of a typed kind.
    pub fn of<K: kube::Resource<DynamicType = ()>>() -> Self {
        Self { group: K::group(&()), version: K::version(&()), plural: K::plural(&()) }
    }

    /// The resource `plural` of `group` at `version`.
    pub fn new(group: &'static str, version: &'static str, plural: &'static str) -> Self {
        Self { group: group.into(), version: version.into(), plural: plural.into() }
    }

    /// The URL path of the collection in `namespace` (`None` for cluster-wide kinds).
    pub fn collection(&self, namespace: Option<&str>) -> String {
        let mut path = if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        };
        if let Some(namespace) = namespace {
            path.push_str("/namespaces/");
            path.push_str(namespace);
        }
        path.push('/');
        path.push_str(&self.plural);
        path
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.plural)?;
        if self.group.is_empty() { Ok(()) } else { write!(f, ".{}", self.group) }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{Node, Service};
    use k8s_openapi::api::discovery::v1::EndpointSlice;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::core(Resource::of::<Service>(), Some("ns"), "/api/v1/namespaces/ns/services", "services")]
    #[case::cluster(Resource::of::<Node>(), None, "/api/v1/nodes", "nodes")]
    #[case::group(
        Resource::of::<EndpointSlice>(),
        Some("ns"),
        "/apis/discovery.k8s.io/v1/namespaces/ns/endpointslices",
        "endpointslices.discovery.k8s.io"
    )]
    fn url_and_name(
        #[case] resource: Resource,
        #[case] namespace: Option<&str>,
        #[case] url: &str,
        #[case] name: &str,
    ) {
        assert_eq!(resource.collection(namespace), url);
        assert_eq!(resource.to_string(), name);
    }
}
