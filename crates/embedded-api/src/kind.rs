//! Kinds: what the server serves, where, and the few traits in which kinds differ.

use crate::builtin::Behaviour;

/// A kind of object, at its one version.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Kind {
    /// API group; empty for the core group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Name of the kind, such as `Service`.
    pub kind: String,
    /// Name of the resource in paths, such as `services`.
    pub plural: String,
    /// Short names that clients may offer to their users.
    pub short_names: Vec<String>,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Whether status is a subresource of its own.
    pub has_status: bool,
    /// Fields that a field selector may name, beside `metadata.name` and `metadata.namespace`.
    pub fields: Vec<String>,
    /// Whether a definition made this kind. Such kinds ask for a resourceVersion on update, and their
    /// status subresource takes nothing but the status.
    pub custom: bool,
}

impl Kind {
    /// A namespaced kind without a status subresource.
    pub fn new(group: &str, version: &str, kind: &str, plural: &str) -> Self {
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
            short_names: Vec::new(),
            namespaced: true,
            has_status: false,
            fields: Vec::new(),
            custom: false,
        }
    }

    /// The same kind, living outside of namespaces.
    #[must_use]
    pub fn cluster_scoped(mut self) -> Self {
        self.namespaced = false;
        self
    }

    /// The same kind, with a status subresource.
    #[must_use]
    pub fn with_status(mut self) -> Self {
        self.has_status = true;
        self
    }

    /// The same kind, with a short name.
    #[must_use]
    pub fn with_short_name(mut self, name: &str) -> Self {
        self.short_names.push(name.to_owned());
        self
    }

    /// The same kind, with fields that field selectors may name.
    #[must_use]
    pub fn with_fields(mut self, fields: &[&str]) -> Self {
        self.fields = fields.iter().map(|field| (*field).to_owned()).collect();
        self
    }

    /// The kinds of Kubernetes that a load balancer meets, and the kind of definitions, by which more
    /// are added.
    pub fn builtin() -> Vec<Self> {
        vec![
            Self::new("", "v1", "ConfigMap", "configmaps").with_short_name("cm"),
            Self::new("", "v1", "Event", "events").with_short_name("ev").with_fields(&[
                "involvedObject.apiVersion",
                "involvedObject.fieldPath",
                "involvedObject.kind",
                "involvedObject.name",
                "involvedObject.namespace",
                "involvedObject.resourceVersion",
                "involvedObject.uid",
                "reason",
                "reportingComponent",
                "type",
            ]),
            Self::new("", "v1", "Namespace", "namespaces")
                .cluster_scoped()
                .with_status()
                .with_short_name("ns")
                .with_fields(&["status.phase"]),
            Self::new("", "v1", "Node", "nodes")
                .cluster_scoped()
                .with_status()
                .with_short_name("no")
                .with_fields(&["spec.unschedulable"]),
            Self::new("", "v1", "Pod", "pods").with_status().with_short_name("po").with_fields(&[
                "spec.nodeName",
                "spec.restartPolicy",
                "status.phase",
            ]),
            Self::new("", "v1", "Secret", "secrets").with_fields(&["type"]),
            Self::new("", "v1", "Service", "services")
                .with_status()
                .with_short_name("svc")
                .with_fields(&["spec.clusterIP", "spec.type"]),
            Self::new("", "v1", "ServiceAccount", "serviceaccounts").with_short_name("sa"),
            Self::new(
                "admissionregistration.k8s.io",
                "v1",
                "ValidatingWebhookConfiguration",
                "validatingwebhookconfigurations",
            )
            .cluster_scoped(),
            Self::new(
                "apiextensions.k8s.io",
                "v1",
                "CustomResourceDefinition",
                "customresourcedefinitions",
            )
            .cluster_scoped()
            .with_status()
            .with_short_name("crd"),
            Self::new("apps", "v1", "DaemonSet", "daemonsets").with_status().with_short_name("ds"),
            Self::new("apps", "v1", "Deployment", "deployments")
                .with_status()
                .with_short_name("deploy"),
            Self::new("coordination.k8s.io", "v1", "Lease", "leases"),
            Self::new("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
        ]
    }

    /// `apiVersion` of objects.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// `plural.group`, as messages name a resource.
    pub(crate) fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.plural.clone()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// Whether an update may leave out the resourceVersion and overwrite whatever is there.
    pub(crate) fn allows_blind_update(&self) -> bool {
        !self.custom && self.plural != "leases"
    }

    pub(crate) fn behaviour(&self) -> Behaviour {
        match (self.group.as_str(), self.plural.as_str()) {
            ("", "namespaces") => Behaviour::Namespace,
            ("", "nodes") => Behaviour::Node,
            ("", "pods") => Behaviour::Pod,
            ("", "services") => Behaviour::Service,
            ("apiextensions.k8s.io", "customresourcedefinitions") => Behaviour::Definition,
            _ => Behaviour::Plain,
        }
    }
}
