//! Nothing to do is nothing done.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use ferrolb_lab::Result;
use ferrolb_lab::plan::Lan;

use super::case;
use crate::manifest::{advertisement, pool, service};
use crate::stage::{Stage, check};
use crate::suite::Case;

pub(super) const CASES: &[Case] =
    &[case("no_writes_at_rest", "zero API writes while nothing changes", at_rest)];

const REST: Duration = Duration::from_secs(15);

/// Kinds that one of us might write.
const WRITTEN: [&str; 11] = [
    "Service",
    "ServiceL2Status",
    "Event",
    "IPAddressPool",
    "L2Advertisement",
    "Node",
    "ConfigMap",
    "Secret",
    "ConfigurationState",
    "ValidatingWebhookConfiguration",
    "CustomResourceDefinition",
];

fn at_rest(stage: &mut Stage) -> Result<()> {
    stage.apply(&pool("web", &["172.30.1.200-172.30.1.219", "fd00:172:30:1::200/124"]))?;
    stage.apply(&advertisement("all"))?;
    for index in 0..12 {
        stage.apply(&service(&format!("web-{index}")).families("PreferDualStack", &["IPv4"]))?;
    }
    // One that will never get what it wants.
    stage.apply(&service("never").annotate("metallb.io/address-pool", "nowhere"))?;
    stage.expect_event("never", "AllocationFailed", &["nowhere"])?;
    for index in 0..12 {
        let name = format!("web-{index}");
        for address in stage.addresses(&name)? {
            stage.announced(&name, Lan::One, address)?;
        }
    }
    // The pool's counters are the last to be written, after a pause of their own.
    thread::sleep(Duration::from_secs(2));
    let before = versions(stage)?;
    thread::sleep(REST);
    let after = versions(stage)?;
    let changed: Vec<_> =
        after.iter().filter(|(name, version)| before.get(*name) != Some(version)).collect();
    check(changed.is_empty(), || format!("written in {REST:?} of rest: {changed:?}"))
}

/// Resource version of every object that one of us might write; the Lease of a leader aside.
fn versions(stage: &Stage) -> Result<BTreeMap<String, String>> {
    let mut versions = BTreeMap::new();
    for kind in WRITTEN {
        for object in stage.api().list(kind, "", "")? {
            let metadata = &object["metadata"];
            versions.insert(
                format!("{kind} {}/{}", metadata["namespace"], metadata["name"]),
                metadata["resourceVersion"].to_string(),
            );
        }
    }
    Ok(versions)
}
