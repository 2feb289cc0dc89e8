//! Paths of the Kubernetes API: what a request is about.

/// What a path names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Route<'a> {
    /// `/healthz`, `/livez`, `/readyz` and what hangs below them.
    Health,
    /// `/version`.
    Version,
    /// `/api`: the versions of the core group.
    CoreVersions,
    /// `/apis`: all other groups.
    Groups,
    /// `/apis/<group>`.
    Group(&'a str),
    /// `/api/v1` or `/apis/<group>/<version>`: the resources of a version.
    Resources { group: &'a str, version: &'a str },
    /// A collection or an object.
    Objects(Target<'a>),
    /// Nothing known here.
    Unknown,
}

/// A collection of objects or one of them. What a path does not have is empty.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Target<'a> {
    pub(crate) group: &'a str,
    pub(crate) version: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) plural: &'a str,
    pub(crate) name: &'a str,
    pub(crate) subresource: &'a str,
}

impl<'a> Route<'a> {
    pub(crate) fn parse(path: &'a str) -> Self {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        match parts.as_slice() {
            ["healthz" | "livez" | "readyz", ..] => Self::Health,
            ["version"] => Self::Version,
            ["api"] => Self::CoreVersions,
            ["apis"] => Self::Groups,
            ["apis", group] => Self::Group(group),
            ["api", version] => Self::Resources { group: "", version },
            ["apis", group, version] => Self::Resources { group, version },
            ["api", version, rest @ ..] => Self::objects("", version, rest),
            ["apis", group, version, rest @ ..] => Self::objects(group, version, rest),
            _ => Self::Unknown,
        }
    }

    fn objects(group: &'a str, version: &'a str, rest: &[&'a str]) -> Self {
        let (namespace, rest) = match rest {
            // A Namespace is an object itself, with subresources of these names.
            ["namespaces", _, "status" | "finalize"] => ("", rest),
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            _ => ("", rest),
        };
        let (plural, name, subresource) = match rest {
            [plural] => (*plural, "", ""),
            [plural, name] => (*plural, *name, ""),
            [plural, name, subresource] => (*plural, *name, *subresource),
            _ => return Self::Unknown,
        };
        Self::Objects(Target { group, version, namespace, plural, name, subresource })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::core_list("/api/v1/services", ["", "v1", "", "services", "", ""])]
    #[case::core_in_namespace("/api/v1/namespaces/a/services", ["", "v1", "a", "services", "", ""])]
    #[case::core_object("/api/v1/namespaces/a/services/b", ["", "v1", "a", "services", "b", ""])]
    #[case::status("/api/v1/namespaces/a/services/b/status", ["", "v1", "a", "services", "b", "status"])]
    #[case::cluster_object("/api/v1/nodes/n/status", ["", "v1", "", "nodes", "n", "status"])]
    #[case::namespaces("/api/v1/namespaces", ["", "v1", "", "namespaces", "", ""])]
    #[case::namespace("/api/v1/namespaces/a", ["", "v1", "", "namespaces", "a", ""])]
    #[case::namespace_status("/api/v1/namespaces/a/status", ["", "v1", "", "namespaces", "a", "status"])]
    #[case::group("/apis/metallb.io/v1beta1/namespaces/a/ipaddresspools/p", ["metallb.io", "v1beta1", "a", "ipaddresspools", "p", ""])]
    fn objects(#[case] path: &str, #[case] parts: [&str; 6]) {
        let [group, version, namespace, plural, name, subresource] = parts;
        let target = Target { group, version, namespace, plural, name, subresource };
        assert_eq!(Route::parse(path), Route::Objects(target));
    }

    #[rstest]
    #[case::version("/version", Route::Version)]
    #[case::health("/readyz/ping", Route::Health)]
    #[case::core("/api", Route::CoreVersions)]
    #[case::groups("/apis/", Route::Groups)]
    #[case::core_resources("/api/v1", Route::Resources { group: "", version: "v1" })]
    #[case::group_resources("/apis/apps/v1", Route::Resources { group: "apps", version: "v1" })]
    #[case::too_long("/api/v1/nodes/a/b/c", Route::Unknown)]
    #[case::root("/", Route::Unknown)]
    #[case::openapi("/openapi/v3", Route::Unknown)]
    fn others(#[case] path: &str, #[case] route: Route<'_>) {
        assert_eq!(Route::parse(path), route);
    }
}
