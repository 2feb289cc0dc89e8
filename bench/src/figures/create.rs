//! A Service is created: how long until its status holds an address?
//!
//! Beside it, in turn: what two plain API requests cost, one that creates a Service nobody is
//! responsible for and one that writes an address into its status. Less is not possible.
//!
//! ```text
//!  create ──── answered ───────── address seen on a watch
//!    └────── from the request ──────────┘
//!                 └── from the answer ──┘     beside: the status request alone
//! ```

use std::thread;
use std::time::{Duration, Instant};

use ferrolb_lab::api::Ref;
use ferrolb_lab::{Control, Result};
use serde_json::json;

use crate::cluster::{Cluster, address, broken, service};
use crate::report::{Limit, Measure};
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
    let mut times = Times::default();
    for round in 0..WARM_UP + rounds {
        thread::sleep(PAUSE);
        let name = format!("create-{round}");
        let start = Instant::now();
        api.apply(&service(&name))?;
        let created = Instant::now();
        let seen = loop {
            let left = PATIENCE.saturating_sub(start.elapsed());
            let (at, object) = changes
                .recv_timeout(left)
                .map_err(|_| broken(format!("no address for {name} within {PATIENCE:?}")))?;
            if object["metadata"]["name"] == name.as_str() && address(&object).is_some() {
                break at;
            }
        };

        thread::sleep(PAUSE);
        let name = format!("bare-{round}");
        let mut object = service(&name);
        object["spec"]["loadBalancerClass"] = json!("example.com/nobody");
        let bare_start = Instant::now();
        api.apply(&object)?;
        let bare_created = Instant::now();
        let status = json!({ "loadBalancer": { "ingress": [{ "ip": "192.0.2.1" }] } });
        api.patch_status(Ref::new("Service", "default", &name), &status)?;
        if round >= WARM_UP {
            times.from_request.push_millis(seen.duration_since(start));
            // The watch may be faster than the answer.
            times.from_answer.push_millis(seen.saturating_duration_since(created));
            times.two_requests.push_millis(bare_start.elapsed());
            times.status_request.push_millis(bare_created.elapsed());
        }
    }
    Ok(times.measures(control))
}

#[derive(Debug, Default)]
struct Times {
    from_request: Samples,
    from_answer: Samples,
    two_requests: Samples,
    status_request: Samples,
}

impl Times {
    fn measures(&self, control: &Control) -> Vec<Measure> {
        let server = if *control == Control::Embedded { "embedded" } else { "real Kubernetes" };
        let of = |from: &str, samples, what, beside, percent| {
            let figure = format!("Service {from} → address in status, {server}");
            Measure::of("create", &figure, "ms", samples, percent).beside(what, beside, percent)
        };
        let from_request = |percent| {
            of("requested", &self.from_request, "2 requests", &self.two_requests, percent)
        };
        let from_answer = |percent| {
            of("created", &self.from_answer, "status request", &self.status_request, percent)
        };
        let median = match control {
            // Half of a peer's time, or else what two requests take.
            Control::Real(_) => from_answer(50).at_most(Limit::TimesPeerOrBeside(0.5, 2.0)),
            // Requests that cost next to nothing are no measure for what a cluster waits for.
            Control::Embedded => from_answer(50),
        };
        vec![from_request(50), from_request(99), median, from_answer(99)]
    }
}
