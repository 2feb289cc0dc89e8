//! A Service is created: how long until its status holds an address?
//!
//! Beside it, in turn: what two plain API requests cost, one that creates a Service nobody is
//! responsible for and one that writes an address into its status. Less is not possible.

use std::thread;
use std::time::{Duration, Instant};

use ferrolb_lab::api::Ref;
use ferrolb_lab::{Control, Result};
use serde_json::json;

use crate::cluster::{Cluster, address, broken, service};
use crate::report::{AtMost, Measure};
use crate::sample::Samples;
use crate::subject::Subject;

const PATIENCE: Duration = Duration::from_secs(20);

/// Between two Services, so that whoever writes events and rules about the last one is done.
const PAUSE: Duration = Duration::from_millis(100);

/// First rounds, which pay for connections and caches.
const WARM_UP: usize = 3;

pub(super) fn measure(subject: &Subject, control: &Control, rounds: usize) -> Result<Vec<Measure>> {
    let cluster = Cluster::up(subject, control)?;
    let api = cluster.lab.api();
    let changes = api.watch("Service", "default")?;
    let (mut given, mut bare) = (Samples::default(), Samples::default());
    for round in 0..WARM_UP + rounds {
        thread::sleep(PAUSE);
        let name = format!("create-{round}");
        let start = Instant::now();
        api.apply(&service(&name))?;
        let seen = loop {
            let left = PATIENCE.saturating_sub(start.elapsed());
            let (at, object) = changes
                .recv_timeout(left)
                .map_err(|_| broken(format!("no address for {name} within {PATIENCE:?}")))?;
            if object["metadata"]["name"] == name.as_str() && address(&object).is_some() {
                break at;
            }
        };
        let took = seen.duration_since(start);

        thread::sleep(PAUSE);
        let name = format!("bare-{round}");
        let mut object = service(&name);
        object["spec"]["loadBalancerClass"] = json!("example.com/nobody");
        let start = Instant::now();
        api.apply(&object)?;
        let status = json!({ "loadBalancer": { "ingress": [{ "ip": "192.0.2.1" }] } });
        api.patch_status(Ref::new("Service", "default", &name), &status)?;
        if round >= WARM_UP {
            given.push_millis(took);
            bare.push_millis(start.elapsed());
        }
    }
    let server = if *control == Control::Embedded { "embedded" } else { "real Kubernetes" };
    let figure = format!("Service created → address in status, {server}");
    let of = |percent| {
        Measure::of("create", &figure, "ms", &given, percent).beside(
            "2 API requests",
            &bare,
            percent,
        )
    };
    let median = of(50);
    let median = match control {
        // Requests that cost next to nothing are no measure for what a cluster waits for.
        Control::Embedded => median,
        Control::Real(_) => median.at_most(AtMost::TimesPeer(0.5, 1.0)),
    };
    Ok(vec![median, of(99)])
}
