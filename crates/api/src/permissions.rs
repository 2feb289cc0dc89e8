//! What controller and speaker may do at the API server, and why: the one table RBAC is made of.
//!
//! `cargo xtask manifests` renders it into the plain manifests, the chart and `docs/privileges.md`.
//! The end-to-end suite holds the API server's audit log against it: a request outside the table
//! is refused there, and a verb that no run uses has to say in [`Permission::optional`] why.
//!
//! It is not a copy of upstream's roles. Theirs grant more (every Secret of the namespace may be
//! changed, `*` on status objects) and less (`patch`, Leases); under theirs we use what there is.

/// A program that has an account of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Component {
    /// Gives addresses; one leader per cluster.
    Controller,
    /// Announces them; one per node.
    Speaker,
}

/// Where a permission holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    /// In every namespace, and on objects without one.
    Cluster,
    /// In the namespace of FerroLB's own objects.
    Own,
    /// In `kube-node-lease`, where kubelets say that they live.
    NodeLeases,
}

/// The name of the single object a permission is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Name {
    /// The same in every installation.
    Fixed(&'static str),
    /// The Secret that speakers share; its name follows the installation's.
    MemberlistSecret,
    /// The controller's own Deployment; its name follows the installation's.
    Deployment,
    /// The Secrets that hold passwords of BGP sessions, where the installation names them; else
    /// every one.
    BgpSecrets,
}

/// One line of the table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Permission {
    /// Who may.
    pub component: Component,
    /// Where.
    pub scope: Scope,
    /// API group; empty for the core.
    pub group: &'static str,
    /// Plural names, with the subresource after a slash.
    pub resources: &'static [&'static str],
    /// Only these objects; empty for all.
    pub names: &'static [Name],
    /// What may be done.
    pub verbs: &'static [&'static str],
    /// What it is for, in words for an administrator.
    pub why: &'static str,
    /// Why a run of the whole suite may not use it.
    pub optional: Option<&'static str>,
}

const READ: &[&str] = &["get", "list", "watch"];
const FOLLOW: &[&str] = &["list", "watch"];

const CORE: &str = "";
const OURS: &str = "metallb.io";

/// The kinds users write.
const CONFIGURATION: &[&str] = &[
    "ipaddresspools",
    "l2advertisements",
    "bgpadvertisements",
    "bgppeers",
    "bfdprofiles",
    "communities",
];

/// Everything, controller first, cluster-wide first.
pub const PERMISSIONS: &[Permission] = &[
    controller(
        Scope::Cluster,
        CORE,
        &["services"],
        READ,
        "which Services ask for an address, which they hold, and how one looks now before it is given up",
    ),
    controller(
        Scope::Cluster,
        CORE,
        &["services/status"],
        &["patch"],
        "writes the address a Service was given, and the annotation that names its pool",
    ),
    controller(
        Scope::Cluster,
        CORE,
        &["namespaces"],
        FOLLOW,
        "pools can be kept for namespaces with a label",
    ),
    controller(
        Scope::Cluster,
        CORE,
        &["nodes"],
        FOLLOW,
        "addresses of nodes are not given away, and peers are checked against the nodes they select",
    ),
    controller(
        Scope::Cluster,
        CORE,
        &["events"],
        &["create", "patch"],
        "says on the Service why it got its address, or why not",
    ),
    controller(
        Scope::Cluster,
        "authentication.k8s.io",
        &["tokenreviews"],
        &["create"],
        "asks who wants to read the metrics",
    ),
    controller(
        Scope::Cluster,
        "authorization.k8s.io",
        &["subjectaccessreviews"],
        &["create"],
        "asks whether they may",
    ),
    controller(
        Scope::Cluster,
        "admissionregistration.k8s.io",
        &["validatingwebhookconfigurations"],
        &["get", "list", "watch", "patch"],
        "puts its certificate authority there, and again when it is lost, for instance by a new installation over the old one",
    )
    .named(&[Name::Fixed("metallb-webhook-configuration")]),
    controller(
        Scope::Cluster,
        "apiextensions.k8s.io",
        &["customresourcedefinitions"],
        &["get", "list", "watch", "patch"],
        "puts its certificate authority there, where MetalLB has left a conversion by webhook",
    )
    .named(&[Name::Fixed("bgppeers.metallb.io")]),
    controller(Scope::Own, OURS, CONFIGURATION, FOLLOW, "the configuration"),
    controller(
        Scope::Own,
        OURS,
        &["ipaddresspools"],
        &["get"],
        "how a pool looks now before its status is written",
    ),
    controller(
        Scope::Own,
        OURS,
        &["ipaddresspools/status"],
        &["patch"],
        "how many addresses of a pool are free and given",
    ),
    controller(
        Scope::Own,
        OURS,
        &["servicel2statuses", "servicebgpstatuses"],
        FOLLOW,
        "tells on a Service whether anybody announces it",
    ),
    controller(
        Scope::Own,
        OURS,
        &["configurationstates"],
        &["get", "list", "watch", "create", "patch"],
        "its report on whether the configuration is valid",
    ),
    controller(
        Scope::Own,
        OURS,
        &["configurationstates/status"],
        &["patch"],
        "the content of that report",
    ),
    controller(
        Scope::Own,
        "coordination.k8s.io",
        &["leases"],
        &["create"],
        "the Lease by which one of several controllers leads",
    ),
    controller(
        Scope::Own,
        "coordination.k8s.io",
        &["leases"],
        &["get", "update"],
        "keeps that Lease",
    )
    .named(&[Name::Fixed("metallb-controller")]),
    controller(
        Scope::Own,
        CORE,
        &["secrets"],
        &["create"],
        "makes the Secret the speakers share, and the one of its certificates where it is missing",
    ),
    controller(
        Scope::Own,
        CORE,
        &["secrets"],
        &["get"],
        "looks whether that Secret exists; it is never changed",
    )
    .named(&[Name::MemberlistSecret]),
    controller(
        Scope::Own,
        CORE,
        &["secrets"],
        &["get", "list", "watch", "update"],
        "its certificates, made again where somebody deletes them, renewed before they end",
    )
    .named(&[Name::Fixed("metallb-webhook-cert")]),
    controller(
        Scope::Own,
        CORE,
        &["configmaps"],
        &["get"],
        "tells whoever left the configuration of version 0.12 there how to convert it; asked once, without pools",
    )
    .named(&[Name::Fixed("config")]),
    controller(
        Scope::Own,
        "apps",
        &["deployments"],
        &["get"],
        "its own Deployment, named as the owner of that Secret",
    )
    .named(&[Name::Deployment]),
    controller(Scope::Own, CORE, &["pods"], &["get"], "its own Pod, which its report goes with"),
    speaker(
        Scope::Cluster,
        CORE,
        &["services", "nodes", "namespaces"],
        FOLLOW,
        "which addresses there are to announce, and which nodes may",
    ),
    speaker(
        Scope::Cluster,
        "discovery.k8s.io",
        &["endpointslices"],
        FOLLOW,
        "a node without a usable endpoint does not announce",
    ),
    speaker(
        Scope::Cluster,
        CORE,
        &["events"],
        &["create", "patch"],
        "says on the Service who announces it, or why nobody does",
    ),
    speaker(
        Scope::Cluster,
        "authentication.k8s.io",
        &["tokenreviews"],
        &["create"],
        "asks who wants to read the metrics",
    ),
    speaker(
        Scope::Cluster,
        "authorization.k8s.io",
        &["subjectaccessreviews"],
        &["create"],
        "asks whether they may",
    ),
    speaker(Scope::Own, OURS, CONFIGURATION, FOLLOW, "the configuration"),
    speaker(
        Scope::Own,
        OURS,
        &["servicel2statuses", "servicebgpstatuses"],
        &["list", "watch", "create", "patch", "delete"],
        "its reports on what it announces",
    ),
    speaker(
        Scope::Own,
        OURS,
        &["servicel2statuses/status", "servicebgpstatuses/status"],
        &["patch"],
        "the content of those reports",
    ),
    speaker(
        Scope::Own,
        OURS,
        &["configurationstates"],
        &["get", "list", "watch", "create", "patch"],
        "its report on whether the configuration is valid on this node",
    ),
    speaker(
        Scope::Own,
        OURS,
        &["configurationstates/status"],
        &["patch"],
        "the content of that report",
    ),
    speaker(
        Scope::Own,
        "ferrolb.io",
        &["bgpsessions"],
        &["list", "watch", "create", "patch", "delete"],
        "its reports on BGP sessions",
    ),
    speaker(
        Scope::Own,
        "ferrolb.io",
        &["bgpsessions/status"],
        &["patch"],
        "the content of those reports",
    ),
    speaker(Scope::Own, CORE, &["pods"], FOLLOW, "its own Pod, and where the other speakers are"),
    speaker(Scope::Own, CORE, &["secrets"], FOLLOW, "passwords of BGP sessions")
        .named(&[Name::BgpSecrets]),
    speaker(
        Scope::NodeLeases,
        "coordination.k8s.io",
        &["leases"],
        FOLLOW,
        "which nodes live, where speakers cannot hear each other",
    )
    .unless_used("only speakers without membership among themselves ask"),
];

const fn controller(
    scope: Scope,
    group: &'static str,
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
    why: &'static str,
) -> Permission {
    let component = Component::Controller;
    Permission { component, scope, group, resources, names: &[], verbs, why, optional: None }
}

const fn speaker(
    scope: Scope,
    group: &'static str,
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
    why: &'static str,
) -> Permission {
    let component = Component::Speaker;
    Permission { component, scope, group, resources, names: &[], verbs, why, optional: None }
}

impl Permission {
    const fn named(self, names: &'static [Name]) -> Self {
        Self { names, ..self }
    }

    const fn unless_used(self, why: &'static str) -> Self {
        Self { optional: Some(why), ..self }
    }
}

/// The permissions of one component in one scope, in the table's order.
pub fn of(component: Component, scope: Scope) -> impl Iterator<Item = &'static Permission> {
    PERMISSIONS.iter().filter(move |line| line.component == component && line.scope == scope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_verb_is_granted_twice() {
        for (index, line) in PERMISSIONS.iter().enumerate() {
            for other in &PERMISSIONS[..index] {
                let same = (line.component, line.scope, line.group)
                    == (other.component, other.scope, other.group)
                    && line.names == other.names;
                let shared = line.resources.iter().any(|r| other.resources.contains(r))
                    && line.verbs.iter().any(|verb| other.verbs.contains(verb));
                assert!(!(same && shared), "{line:?} repeats {other:?}");
            }
        }
    }

    #[test]
    fn nothing_is_granted_by_wildcard() {
        for line in PERMISSIONS {
            assert!(!line.group.contains('*'), "{line:?}");
            assert!(!line.resources.iter().chain(line.verbs).any(|word| word.contains('*')));
        }
    }

    #[test]
    fn what_cannot_be_named_is_not() {
        for line in PERMISSIONS.iter().filter(|line| !line.names.is_empty()) {
            assert!(!line.verbs.contains(&"create"), "{line:?}: RBAC never matches a named create");
            assert!(!line.verbs.contains(&"deletecollection"), "{line:?}");
        }
    }

    #[test]
    fn secrets_are_written_by_the_controller_only_and_only_by_name() {
        for line in PERMISSIONS.iter().filter(|line| line.resources.contains(&"secrets")) {
            let writes = line.verbs.iter().any(|verb| !READ.contains(verb) && *verb != "create");
            assert!(!writes || line.component == Component::Controller, "{line:?}");
            assert!(!writes || !line.names.is_empty(), "{line:?}");
            assert_eq!(line.scope, Scope::Own);
        }
    }
}
