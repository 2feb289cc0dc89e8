//! What the accounts of controller and speakers wrote to the real API server, by its audit log.

use std::collections::BTreeMap;

use ferrolb_lab::{AuditLog, Result};
use serde_json::Value;

/// Not counted: the lease of a leader, and questions about permissions.
const ASIDE: [&str; 4] =
    ["leases", "subjectaccessreviews", "selfsubjectaccessreviews", "tokenreviews"];

/// Reads on in the log of one lab.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    log: AuditLog,
}

impl Audit {
    /// Writes since the last time, by resource; subresources count with theirs, refused ones too.
    pub(crate) fn writes(&mut self) -> Result<BTreeMap<String, usize>> {
        let mut writes = BTreeMap::new();
        for resource in self.log.read_on()?.iter().filter_map(written) {
            *writes.entry(resource).or_default() += 1;
        }
        Ok(writes)
    }
}

/// The resource that an event says was written.
fn written(event: &Value) -> Option<String> {
    let is_write = ["create", "update", "patch", "delete", "deletecollection"]
        .contains(&event["verb"].as_str()?);
    let resource = event["objectRef"]["resource"].as_str()?;
    (is_write && !ASIDE.contains(&resource)).then(|| resource.to_owned())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::status("patch", "services", Some("services"))]
    #[case::event("create", "events", Some("events"))]
    #[case::read("list", "services", None)]
    #[case::lease("update", "leases", None)]
    fn writes_are_told_from_reads(
        #[case] verb: &str,
        #[case] resource: &str,
        #[case] expected: Option<&str>,
    ) {
        let event = json!({ "verb": verb, "objectRef": { "resource": resource } });
        assert_eq!(written(&event).as_deref(), expected);
    }
}
