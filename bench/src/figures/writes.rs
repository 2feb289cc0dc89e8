//! What new Services cost the API server: writes of controller and speakers, from the first new
//! Service until nobody writes any more. Only the real API server tells who wrote what. Afterwards a pool gets a label, which concerns nobody.

use std::thread;
use std::time::{Duration, Instant};

use ferrolb_lab::api::Ref;
use ferrolb_lab::{Control, NAMESPACE, Result};
use serde_json::json;

use super::rest::{QUIET, wait_until_quiet};
use crate::audit::Audit;
use crate::cluster::Cluster;
use crate::report::{Limit, Measure};
use crate::subject::Subject;

/// How long somebody may take to react to a label.
const REACTION: Duration = Duration::from_secs(10);

/// Writes of one kind.
struct Kind {
    name: &'static str,
    resource: &'static str,
    most: Most,
}

/// How many there may be.
enum Most {
    PerService(f64),
    PerSecond(f64),
}

const KINDS: [Kind; 5] = [
    Kind { name: "Services", resource: "services", most: Most::PerService(1.0) },
    Kind { name: "Events", resource: "events", most: Most::PerService(2.0) },
    Kind { name: "ServiceL2Status", resource: "servicel2statuses", most: Most::PerService(2.0) },
    Kind { name: "IPAddressPools", resource: "ipaddresspools", most: Most::PerSecond(1.0) },
    Kind {
        name: "ConfigurationState",
        resource: "configurationstates",
        most: Most::PerSecond(1.0),
    },
];

pub(super) fn measure(
    subject: &Subject,
    control: &Control,
    services: usize,
) -> Result<Vec<Measure>> {
    let cluster = Cluster::up(subject, control)?;
    wait_until_quiet(&cluster)?;
    let mut audit = Audit::default();
    audit.writes()?;

    let start = Instant::now();
    cluster.serve_many(0, services)?;
    wait_until_quiet(&cluster)?;
    let seconds = start.elapsed().saturating_sub(QUIET).as_secs_f64();
    let mut found = audit.writes()?;
    let all: usize = found.values().sum();

    let pool = Ref::new("IPAddressPool", NAMESPACE, "bench");
    cluster.lab.api().patch(pool, &json!({ "metadata": { "labels": { "colour": "green" } } }))?;
    thread::sleep(REACTION);
    let after_label: usize = audit.writes()?.values().sum();

    let of = |what: &str, count: usize| {
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        let value = count as f64;
        Measure::new("writes", what.to_owned(), "", value)
    };
    let new = |what: &str| format!("API writes for {services} new Services: {what}");
    let mut measures = Vec::new();
    for kind in KINDS {
        #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
        let most = match kind.most {
            Most::PerService(times) => times * services as f64,
            Most::PerSecond(times) => times * seconds.ceil(),
        };
        let count = found.remove(kind.resource).unwrap_or_default();
        measures.push(of(&new(kind.name), count).at_most(Limit::Value(most)));
    }
    measures.push(of(&new("others"), found.values().sum()));
    measures.push(of(&new("all"), all));
    let label = of("API writes after a label on the pool changed", after_label);
    measures.push(label.at_most(Limit::Value(0.0)));
    measures.push(Measure::new("writes", new("time until the last"), "s", seconds));
    Ok(measures)
}
