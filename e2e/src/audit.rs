//! What our accounts asked the API server for, held against what they are granted.
//!
//! The real server of a lab writes an audit event for each of their requests. A request that was
//! refused fails the case it happened in, unless that case takes permissions away; a permission that
//! no case used is listed at the end, and fails the suite where it is strict.

use std::collections::BTreeSet;
use std::fmt::{self, Display};

use ferrolb_api::permissions::{Component, Name, PERMISSIONS, Permission, Scope};
use ferrolb_lab::{AuditLog, NAMESPACE, Result};
use serde_json::Value;

/// Cases in which something is refused on purpose, or because a server that has just started does
/// not know the roles yet.
const REFUSALS_EXPECTED: [&str; 8] = [
    "api_server_away_for_a_minute",
    "api_server_restarts",
    "install_page",
    "missing_permission",
    "missing_permission_to_watch",
    "speakers_start_from_memory",
    "upstream_manifests_and_back",
    "uninstalled_and_installed_again",
];

/// One thing an account did, or tried to.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Request {
    account: String,
    verb: String,
    group: String,
    /// Plural name, with the subresource after a slash.
    resource: String,
    namespace: String,
    name: String,
}

impl Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, verb, group, resource, namespace, name } = self;
        let dot = if group.is_empty() { "" } else { "." };
        write!(f, "{account}: {verb} {resource}{dot}{group} {namespace}/{name}")
    }
}

/// Reads on in the log of one lab.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    log: AuditLog,
    used: BTreeSet<Request>,
}

impl Audit {
    /// What was refused since the last time; what was granted is kept.
    pub(crate) fn refused(&mut self) -> Result<Vec<Request>> {
        let mut refused = BTreeSet::new();
        for event in self.log.read_on()? {
            let Some(request) = request(&event) else { continue };
            if event["annotations"]["authorization.k8s.io/decision"] == "forbid" {
                refused.insert(request);
            } else {
                self.used.insert(request);
            }
        }
        Ok(refused.into_iter().collect())
    }

    /// Everything that was granted and used.
    pub(crate) fn used(&self) -> &BTreeSet<Request> {
        &self.used
    }
}

/// Whether nothing may be refused in a case.
pub(crate) fn expects_grants(case: &str) -> bool {
    !REFUSALS_EXPECTED.contains(&case)
}

/// Permissions that nobody used and that do not say why they may not be: one line for each verb.
pub(crate) fn unused(used: &BTreeSet<Request>) -> Vec<String> {
    let mut lines = Vec::new();
    for permission in PERMISSIONS.iter().filter(|permission| permission.optional.is_none()) {
        for resource in permission.resources {
            for verb in permission.verbs {
                if !used.iter().any(|request| uses(request, permission, resource, verb)) {
                    let Permission { component, scope, group, .. } = permission;
                    lines.push(format!("{component:?}, {scope:?}: {verb} {resource} {group}"));
                }
            }
        }
    }
    lines
}

fn uses(request: &Request, permission: &Permission, resource: &str, verb: &str) -> bool {
    let account = match permission.component {
        Component::Controller => "controller",
        Component::Speaker => "speaker",
    };
    let is_there = match permission.scope {
        Scope::Cluster => true,
        Scope::Own => request.namespace == NAMESPACE,
        Scope::NodeLeases => request.namespace == "kube-node-lease",
    };
    // The names of the others follow the installation's.
    let has_name = |name: &Name| !matches!(name, Name::Fixed(fixed) if *fixed != request.name);
    let is_named = permission.names.is_empty() || permission.names.iter().any(has_name);
    // The chart's accounts have the release's name before the component.
    request.account.ends_with(account)
        && is_there
        && is_named
        && (request.group.as_str(), request.resource.as_str(), request.verb.as_str())
            == (permission.group, resource, verb)
}

/// The request of an event about an object; the others (discovery, `/version`) are granted to all.
fn request(event: &Value) -> Option<Request> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let object = event["objectRef"].as_object()?;
    let field = |key: &str| object.get(key).map(text).unwrap_or_default();
    let user = text(&event["user"]["username"]);
    let account = user.rsplit(':').next().unwrap_or_default().to_owned();
    let resource = match field("subresource") {
        part if part.is_empty() => field("resource"),
        part => format!("{}/{part}", field("resource")),
    };
    Some(Request {
        account,
        verb: text(&event["verb"]),
        group: field("apiGroup"),
        resource,
        namespace: field("namespace"),
        name: field("name"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mk_request(account: &str, verb: &str, resource: &str, namespace: &str) -> Request {
        let event = json!({
            "verb": verb,
            "user": { "username": format!("system:serviceaccount:metallb-system:{account}") },
            "objectRef": {
                "resource": resource.split('/').next(),
                "subresource": resource.split('/').nth(1),
                "namespace": namespace,
                "apiVersion": "v1",
            },
        });
        request(&event).unwrap()
    }

    #[test]
    fn an_event_becomes_a_request() {
        let request = mk_request("controller", "patch", "services/status", "shop");
        assert_eq!(request.to_string(), "controller: patch services/status shop/");
        assert!(self::request(&json!({ "requestURI": "/version" })).is_none());
    }

    #[test]
    fn every_use_takes_a_line_away() {
        let all = unused(&BTreeSet::new());
        let used = BTreeSet::from([
            mk_request("controller", "patch", "services/status", "shop"),
            mk_request("metallb-speaker", "list", "services", ""),
        ]);
        let left = unused(&used);
        assert_eq!(left.len() + 2, all.len());
    }

    #[test]
    fn another_namespace_or_account_is_no_use() {
        let used = BTreeSet::from([
            mk_request("controller", "list", "pods", "default"),
            mk_request("speaker", "patch", "services/status", "shop"),
        ]);
        assert_eq!(unused(&used), unused(&BTreeSet::new()));
    }
}
