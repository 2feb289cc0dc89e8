//! Metrics under upstream's names, and the text they are scraped as (Prometheus text format 0.0.4).
//!
//! Upstream has counters without the ending `_total` and gauges with it, so nothing here may touch
//! a name: counters go through [`Bare`], and a golden test holds every name and type.

use std::fmt;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use ferrolb_ipam::ServiceKey;
use ferrolb_sys::ProcessUsage;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeLabelValue, EncodeMetric, LabelValueEncoder,
    MetricEncoder, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::TypedMetric;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Metric;

mod own;
mod sessions;

pub use own::{ElectionMetrics, FailoverMetrics, PendingMetrics, RecallMetrics, WebhookMetrics};
pub use prometheus_client::registry::Registry;
pub use sessions::{
    BfdCounter, BfdMetrics, BfdSessionMetrics, BgpCounter, BgpGauge, BgpMetrics, BgpSessionMetrics,
};

/// What a scrape answers as `Content-Type`.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The text of all metrics in `registry`.
pub fn encode(registry: &Registry) -> Result<String, fmt::Error> {
    let mut page = String::new();
    text::encode_registry(&mut page, registry)?;
    Ok(page)
}

/// A counter whose name is printed as it was registered, without `_total` behind it.
#[derive(Clone, Debug, Default)]
pub struct Bare(Counter);

impl Bare {
    /// Counts one.
    pub fn inc(&self) {
        self.0.inc();
    }

    /// Counts `n`.
    pub fn inc_by(&self, n: u64) {
        self.0.inc_by(n);
    }

    /// What was counted so far.
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

impl TypedMetric for Bare {
    const TYPE: MetricType = MetricType::Counter;
}

impl EncodeMetric for Bare {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        // The gauge encoder is the one that leaves the name alone.
        encoder.encode_gauge(&self.0.get())
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

/// How the Kubernetes side is doing; both components have these. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct ClientMetrics {
    /// `metallb_k8s_client_updates_total`: objects taken from the API.
    pub updates: Bare,
    /// `metallb_k8s_client_update_errors_total`: objects that could not be handled.
    pub update_errors: Bare,
    config_loaded: Gauge,
    config_stale: Gauge,
}

impl ClientMetrics {
    /// New metrics, registered under upstream's names.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let mut names = Names { registry, prefix: "metallb_k8s_client" };
        names.add("updates_total", "Kubernetes objects handled", &metrics.updates);
        names.add(
            "update_errors_total",
            "Kubernetes objects that could not be handled",
            &metrics.update_errors,
        );
        names.add(
            "config_loaded_bool",
            "1 once a configuration was loaded",
            &metrics.config_loaded,
        );
        names.add(
            "config_stale_bool",
            "1 while an older configuration is in use because the newest is not valid",
            &metrics.config_stale,
        );
        metrics
    }

    /// A configuration was taken over; `stale` when parts of it are kept from an older one.
    pub fn config_loaded(&self, stale: bool) {
        self.config_loaded.set(1);
        self.config_stale.set(i64::from(stale));
    }
}

/// The metrics of the controller.
#[derive(Clone, Debug, Default)]
pub struct ControllerMetrics {
    addresses: PerFamily,
    addresses_in_use: PerFamily,
    services_allocated: Family<PoolLabel, Gauge>,
}

/// What is known of one pool. Counts beyond the largest signed 64-bit number print as that number.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PoolUsage {
    /// Usable IPv4 addresses.
    pub ipv4: u64,
    /// Usable IPv6 addresses.
    pub ipv6: u64,
    /// IPv4 addresses given out; a shared one counts once.
    pub ipv4_in_use: u64,
    /// IPv6 addresses given out; a shared one counts once.
    pub ipv6_in_use: u64,
}

#[derive(Clone, Debug, Default)]
struct PerFamily {
    all: Family<PoolLabel, Gauge>,
    ipv4: Family<PoolLabel, Gauge>,
    ipv6: Family<PoolLabel, Gauge>,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct PoolLabel {
    pool: String,
}

impl ControllerMetrics {
    /// New metrics, registered under upstream's names.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let mut names = Names { registry, prefix: "metallb_allocator" };
        let (total, used) = (&metrics.addresses, &metrics.addresses_in_use);
        names.add("addresses_total", "Usable addresses, by pool", &total.all);
        names.add("ipv4_addresses_total", "Usable IPv4 addresses, by pool", &total.ipv4);
        names.add("ipv6_addresses_total", "Usable IPv6 addresses, by pool", &total.ipv6);
        names.add("addresses_in_use_total", "Addresses in use, by pool", &used.all);
        names.add("ipv4_addresses_in_use_total", "IPv4 addresses in use, by pool", &used.ipv4);
        names.add("ipv6_addresses_in_use_total", "IPv6 addresses in use, by pool", &used.ipv6);
        names.add(
            "services_allocated_total",
            "Reserved: upstream has the name and never a value",
            &metrics.services_allocated,
        );
        metrics
    }

    /// The pool's figures changed.
    pub fn set_pool(&self, pool: &str, usage: PoolUsage) {
        self.addresses.set(pool, usage.ipv4, usage.ipv6);
        self.addresses_in_use.set(pool, usage.ipv4_in_use, usage.ipv6_in_use);
    }

    /// The pool is gone, and its series with it.
    pub fn remove_pool(&self, pool: &str) {
        self.addresses.remove(pool);
        self.addresses_in_use.remove(pool);
    }
}

impl PerFamily {
    fn set(&self, pool: &str, ipv4: u64, ipv6: u64) {
        let label = PoolLabel { pool: pool.to_owned() };
        for (family, count) in
            [(&self.all, ipv4.saturating_add(ipv6)), (&self.ipv4, ipv4), (&self.ipv6, ipv6)]
        {
            family.get_or_create(&label).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    fn remove(&self, pool: &str) {
        let label = PoolLabel { pool: pool.to_owned() };
        for family in [&self.all, &self.ipv4, &self.ipv6] {
            family.remove(&label);
        }
    }
}

/// The metrics of the speaker.
#[derive(Clone, Debug, Default)]
pub struct SpeakerMetrics {
    announced: Family<AnnouncedLabels, Gauge>,
    requests_received: Family<AddressLabel, Bare>,
    responses_sent: Family<AddressLabel, Bare>,
    gratuitous_sent: Family<AddressLabel, Bare>,
    conflicts: Family<AddressLabel, Bare>,
    rivals: Family<AddressLabel, Bare>,
    answers: Family<InterfaceLabel, Bare>,
}

/// Which announcement a series of `metallb_speaker_announced` is about.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub struct AnnouncedLabels {
    /// `namespace/name` of the Service.
    pub service: Shown<ServiceKey>,
    /// `layer2` or `bgp`.
    pub protocol: &'static str,
    /// This node.
    pub node: Arc<str>,
    /// The address.
    pub ip: Shown<IpAddr>,
}

/// A value that becomes text when it is scraped: thousands of series need no text each.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Shown<T>(pub T);

impl<T: fmt::Display> EncodeLabelValue for Shown<T> {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        write!(encoder, "{}", self.0)
    }
}

/// The counters of one address, for the path that answers: counting is one atomic addition.
#[derive(Clone, Debug)]
pub struct Layer2Counters {
    /// `metallb_layer2_requests_received`
    pub requests_received: Bare,
    /// `metallb_layer2_responses_sent`
    pub responses_sent: Bare,
    /// `metallb_layer2_gratuitous_sent`
    pub gratuitous_sent: Bare,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct AddressLabel {
    ip: Shown<IpAddr>,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct InterfaceLabel {
    interface: String,
}

impl SpeakerMetrics {
    /// New metrics, registered under upstream's names.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        Names { registry, prefix: "metallb_speaker" }.add(
            "announced",
            "1 while this node announces the address for the Service",
            &metrics.announced,
        );
        let mut names = Names { registry, prefix: "metallb_layer2" };
        names.add(
            "requests_received",
            "ARP and NDP requests for an address this node announces",
            &metrics.requests_received,
        );
        names.add("responses_sent", "ARP and NDP replies sent", &metrics.responses_sent);
        names.add("gratuitous_sent", "Unasked ARP and NDP frames sent", &metrics.gratuitous_sent);
        names.add(
            "address_conflicts",
            "Times a station outside the cluster was found to speak for an address",
            &metrics.conflicts,
        );
        names.add(
            "two_owners",
            "Times another node was found to answer for an address this node announces",
            &metrics.rivals,
        );
        names.add("answers", "ARP and NDP replies sent, by interface", &metrics.answers);
        metrics
    }

    /// An announcement began.
    pub fn announced(&self, labels: &AnnouncedLabels) {
        self.announced.get_or_create(labels).set(1);
    }

    /// An announcement ended, and its series with it.
    pub fn withdrawn(&self, labels: &AnnouncedLabels) {
        self.announced.remove(labels);
    }

    /// A station outside the cluster speaks for `ip`.
    pub fn conflict(&self, ip: IpAddr) {
        self.conflicts.get_or_create_owned(&AddressLabel { ip: Shown(ip) }).inc();
    }

    /// Another node of the cluster answers for `ip` too.
    pub fn rival(&self, ip: IpAddr) {
        self.rivals.get_or_create_owned(&AddressLabel { ip: Shown(ip) }).inc();
    }

    /// The counter of what is answered on an interface; the same one each time.
    pub fn answers_on(&self, interface: &str) -> Bare {
        self.answers.get_or_create_owned(&InterfaceLabel { interface: interface.to_owned() })
    }

    /// Nothing is answered on an interface any more, and its series is gone.
    pub fn closed(&self, interface: &str) {
        self.answers.remove(&InterfaceLabel { interface: interface.to_owned() });
    }

    /// The counters of `ip`; the same ones each time.
    pub fn layer2(&self, ip: IpAddr) -> Layer2Counters {
        let label = AddressLabel { ip: Shown(ip) };
        Layer2Counters {
            requests_received: self.requests_received.get_or_create_owned(&label),
            responses_sent: self.responses_sent.get_or_create_owned(&label),
            gratuitous_sent: self.gratuitous_sent.get_or_create_owned(&label),
        }
    }
}

/// What the operating system knows of this process, read anew at each scrape.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessFacts {
    /// User and system time used, in seconds.
    pub cpu_seconds: f64,
    /// Resident memory in bytes.
    pub resident_bytes: u64,
    /// Open file descriptors.
    pub open_fds: u64,
    /// Start of the process, seconds since the Unix epoch.
    pub start_time_seconds: f64,
}

impl ProcessFacts {
    /// What the kernel knows of this process; zeros when it does not say.
    pub fn read() -> Self {
        let Ok(usage) = ProcessUsage::read() else { return Self::default() };
        Self {
            cpu_seconds: usage.cpu.as_secs_f64(),
            resident_bytes: usage.resident_memory,
            open_fds: usage.open_fds,
            start_time_seconds: usage.started.as_secs_f64(),
        }
    }
}

/// Registers the standard `process_*` metrics; `read` runs at each scrape.
pub fn register_process(
    registry: &mut Registry,
    read: impl Fn() -> ProcessFacts + Send + Sync + 'static,
) {
    registry.register_collector(Box::new(Process(Box::new(read))));
}

struct Process(Box<dyn Fn() -> ProcessFacts + Send + Sync>);

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let facts = (self.0)();
        let mut put = |name: &str, help: &str, kind: MetricType, value: &dyn EncodeMetric| {
            value.encode(encoder.encode_descriptor(name, help, None, kind)?)
        };
        put(
            "process_cpu_seconds_total",
            "User and system time used in seconds.",
            MetricType::Counter,
            &ConstGauge::new(facts.cpu_seconds),
        )?;
        put(
            "process_resident_memory_bytes",
            "Resident memory in bytes.",
            MetricType::Gauge,
            &ConstGauge::new(facts.resident_bytes),
        )?;
        put(
            "process_open_fds",
            "Open file descriptors.",
            MetricType::Gauge,
            &ConstGauge::new(facts.open_fds),
        )?;
        put(
            "process_start_time_seconds",
            "Start of the process in seconds since the Unix epoch.",
            MetricType::Gauge,
            &ConstGauge::new(facts.start_time_seconds),
        )
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Process")
    }
}

/// Registers metrics named `<prefix>_<name>`.
struct Names<'a> {
    registry: &'a mut Registry,
    prefix: &'static str,
}

impl Names<'_> {
    fn add(&mut self, name: &str, help: &str, metric: &(impl Metric + Clone)) {
        self.registry.register(format!("{}_{name}", self.prefix), help, metric.clone());
    }
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
