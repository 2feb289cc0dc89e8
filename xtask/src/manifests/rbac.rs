//! The table of permissions as RBAC: objects of the plain manifests, rules of the chart.

use std::fmt::Write as _;

use ferrolb_api::permissions::{Component, Name, Permission, Scope, of};

use super::HEADER;

const BOTH: [Component; 2] = [Component::Controller, Component::Speaker];
const SCOPES: [Scope; 3] = [Scope::Cluster, Scope::Own, Scope::NodeLeases];

/// Names are upstream's, so that applying over upstream's manifests leaves nothing of theirs behind:
/// its Role `pod-lister`, of both accounts, becomes the speaker's.
pub(super) fn plain() -> String {
    let mut text = format!("# {HEADER}\n");
    let mut separator = "";
    for component in BOTH {
        let account = account(component);
        let _ = write!(
            text,
            "{separator}apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: {account}\n  namespace: metallb-system\n  labels:\n    app: metallb\n"
        );
        separator = "---\n";
    }
    for component in BOTH {
        for scope in SCOPES {
            let rules = plain_rules(component, scope);
            if !rules.is_empty() {
                text.push_str(&role(component, scope, &rules));
                text.push_str(&binding(component, scope));
            }
        }
    }
    text
}

/// Named templates, one for each component and scope, to be included below `rules:`.
pub(super) fn chart() -> String {
    let mut text = format!("{{{{- /* {HEADER} */ -}}}}\n");
    for component in BOTH {
        for scope in SCOPES {
            let rules: String = of(component, scope).map(chart_rule).collect();
            if !rules.is_empty() {
                let name = format!("ferrolb.rules.{}.{}", account(component), place(scope));
                let _ = write!(text, "{{{{- define \"{name}\" }}}}\n{rules}{{{{- end }}}}\n");
            }
        }
    }
    text
}

const fn account(component: Component) -> &'static str {
    match component {
        Component::Controller => "controller",
        Component::Speaker => "speaker",
    }
}

const fn place(scope: Scope) -> &'static str {
    match scope {
        Scope::Cluster => "cluster",
        Scope::Own => "own",
        Scope::NodeLeases => "nodeLeases",
    }
}

/// Kind, name and namespace (none for a cluster-wide one) of the role of a component in a scope.
const fn title(component: Component, scope: Scope) -> (&'static str, &'static str, &'static str) {
    match (component, scope) {
        (Component::Controller, Scope::Cluster) => ("ClusterRole", "metallb-system:controller", ""),
        (Component::Speaker, Scope::Cluster) => ("ClusterRole", "metallb-system:speaker", ""),
        (Component::Controller, Scope::Own) => ("Role", "controller", "metallb-system"),
        (Component::Speaker, Scope::Own) => ("Role", "pod-lister", "metallb-system"),
        (Component::Controller, Scope::NodeLeases) => {
            ("Role", "metallb-system:controller", "kube-node-lease")
        }
        (Component::Speaker, Scope::NodeLeases) => {
            ("Role", "metallb-system:speaker", "kube-node-lease")
        }
    }
}

fn head(kind: &str, name: &str, namespace: &str) -> String {
    let mut text = format!(
        "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\nmetadata:\n  name: {name}\n"
    );
    if !namespace.is_empty() {
        let _ = writeln!(text, "  namespace: {namespace}");
    }
    text.push_str("  labels:\n    app: metallb\n");
    text
}

fn role(component: Component, scope: Scope, rules: &str) -> String {
    let (kind, name, namespace) = title(component, scope);
    format!("{}rules:\n{rules}", head(kind, name, namespace))
}

fn binding(component: Component, scope: Scope) -> String {
    let (kind, name, namespace) = title(component, scope);
    let account = account(component);
    format!(
        "{}roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: {kind}\n  name: {name}\nsubjects:\n  - kind: ServiceAccount\n    name: {account}\n    namespace: metallb-system\n",
        head(&format!("{kind}Binding"), name, namespace)
    )
}

fn plain_rules(component: Component, scope: Scope) -> String {
    let rules = of(component, scope).map(|line| {
        let names: Vec<_> = line.names.iter().filter_map(|name| plain_name(*name)).collect();
        let names = if names.is_empty() {
            String::new()
        } else {
            format!("    resourceNames: [{}]\n", names.join(", "))
        };
        rule(line, &names)
    });
    rules.collect()
}

/// None: not narrowed to names in the plain manifests.
const fn plain_name(name: Name) -> Option<&'static str> {
    match name {
        Name::Fixed(name) => Some(name),
        Name::MemberlistSecret => Some("memberlist"),
        Name::Deployment => Some("controller"),
        Name::BgpSecrets => None,
    }
}

/// A rule with its names as the chart knows them; left out where it is about nothing.
fn chart_rule(line: &Permission) -> String {
    let mut rendered = String::new();
    for name in line.names {
        let (names, only_if) = match name {
            Name::Fixed(name) => (format!("    resourceNames: [{name}]\n"), ""),
            Name::MemberlistSecret => (
                "    resourceNames: [{{ include \"ferrolb.memberlistSecret\" . }}]\n".to_owned(),
                "include \"ferrolb.memberlist\" .",
            ),
            Name::Deployment => (
                "    resourceNames: [{{ include \"ferrolb.fullname\" . }}-controller]\n".to_owned(),
                "include \"ferrolb.memberlist\" .",
            ),
            Name::BgpSecrets => (
                "    {{- with .Values.speaker.bgpSecretNames }}\n    resourceNames: {{ toJson . }}\n    {{- end }}\n"
                    .to_owned(),
                "",
            ),
        };
        let rule = rule(line, &names);
        let _ = match only_if {
            "" => write!(rendered, "{rule}"),
            condition => write!(rendered, "{{{{- if {condition} }}}}\n{rule}{{{{- end }}}}\n"),
        };
    }
    if line.names.is_empty() { rule(line, "") } else { rendered }
}

fn rule(line: &Permission, names: &str) -> String {
    let group = if line.group.is_empty() { "\"\"" } else { line.group };
    format!(
        "  # {}\n  - apiGroups: [{group}]\n    resources: [{}]\n{names}    verbs: [{}]\n",
        line.why,
        line.resources.join(", "),
        line.verbs.join(", "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_permission_is_in_both() {
        let (plain, chart) = (plain(), chart());
        for line in ferrolb_api::permissions::PERMISSIONS {
            assert!(plain.contains(line.why), "{line:?}");
            assert!(chart.contains(line.why), "{line:?}");
        }
    }

    #[test]
    fn a_secret_of_the_release_is_named_by_it() {
        let chart = chart();
        assert!(!chart.contains("[memberlist]"));
        assert!(chart.contains("ferrolb.memberlistSecret"));
    }
}
