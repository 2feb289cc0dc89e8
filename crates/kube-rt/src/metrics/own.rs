//! Metrics that upstream does not have: why Services wait, who leads, how webhooks and the failure
//! detector are doing.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{Bare, Names};

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Reason {
    reason: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Answered {
    path: String,
    code: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Path {
    path: String,
}

/// Services without an address, by reason. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct PendingMetrics {
    pending: Family<Reason, Gauge>,
}

impl PendingMetrics {
    /// New metrics, registered.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        Names { registry, prefix: "metallb_controller" }.add(
            "services_pending",
            "Services of type LoadBalancer that wait for an address, by reason",
            &metrics.pending,
        );
        metrics
    }

    /// So many wait for `reason` now. Zero keeps the series, so that an alert sees it fall.
    pub fn set(&self, reason: &str, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.pending.get_or_create(&Reason { reason: reason.to_owned() }).set(count);
    }
}

/// Who leads. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct ElectionMetrics {
    leading: Gauge,
    changes: Bare,
}

impl ElectionMetrics {
    /// New metrics, registered.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let mut names = Names { registry, prefix: "metallb_controller" };
        names.add("leading", "1 while this process may write", &metrics.leading);
        names.add(
            "leadership_changes_total",
            "Times this process began or ceased to lead",
            &metrics.changes,
        );
        metrics
    }

    /// The role changed.
    pub fn set_leading(&self, is_leading: bool) {
        if self.leading.set(i64::from(is_leading)) != i64::from(is_leading) {
            self.changes.inc();
        }
    }
}

/// What the webhooks were asked. Cheap to clone.
#[derive(Clone, Debug)]
pub struct WebhookMetrics {
    answers: Family<Answered, Bare>,
    seconds: Family<Path, Histogram, fn() -> Histogram>,
}

impl WebhookMetrics {
    /// New metrics, registered.
    pub fn register(registry: &mut Registry) -> Self {
        let answer_times: fn() -> Histogram =
            || Histogram::new([0.001, 0.005, 0.025, 0.1, 0.5, 2.0, 8.0]);
        let metrics = Self {
            answers: Family::default(),
            seconds: Family::new_with_constructor(answer_times),
        };
        let mut names = Names { registry, prefix: "metallb_webhook" };
        names.add("requests_total", "Webhook requests, by path and status", &metrics.answers);
        names.add("request_seconds", "Time to answer a webhook request", &metrics.seconds);
        metrics
    }

    /// A request to `path` was answered with `code`.
    pub(crate) fn answered(&self, path: &str, code: u16, took: Duration) {
        let label = Answered { path: path.to_owned(), code: code.to_string() };
        self.answers.get_or_create(&label).inc();
        self.seconds.get_or_create(&Path { path: path.to_owned() }).observe(took.as_secs_f64());
    }
}

/// Whether a speaker acts on what was known before it started. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct RecallMetrics {
    written: Gauge,
}

impl RecallMetrics {
    /// New metrics, registered.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        Names { registry, prefix: "metallb_speaker" }.add(
            "last_known_timestamp_seconds",
            "When what is acted on was written down; 0 while it is what the API server says",
            &metrics.written,
        );
        metrics
    }

    /// What was written down then is acted on; none: what the API server says.
    pub fn set(&self, written: Option<jiff::Timestamp>) {
        self.written.set(written.map_or(0, jiff::Timestamp::as_second));
    }
}

/// How the failure detector between speakers is doing. Cheap to clone.
#[derive(Clone, Debug)]
pub struct FailoverMetrics {
    seconds: Histogram,
    lateness: Histogram,
}

impl FailoverMetrics {
    /// New metrics, registered.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            seconds: Histogram::new([0.1, 0.25, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0]),
            lateness: Histogram::new([0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0]),
        };
        let mut names = Names { registry, prefix: "metallb_speaker" };
        names.add(
            "failover_seconds",
            "From the last sign of life of a node to the first frame in its place",
            &metrics.seconds,
        );
        names.add(
            "heartbeat_lateness_seconds",
            "How late the failure detector itself woke up",
            &metrics.lateness,
        );
        metrics
    }

    /// An address was taken over this long after the last sign of life of its node.
    pub fn failed_over(&self, after: Duration) {
        self.seconds.observe(after.as_secs_f64());
    }

    /// The detector woke up this much too late.
    pub fn late(&self, by: Duration) {
        self.lateness.observe(by.as_secs_f64());
    }
}
