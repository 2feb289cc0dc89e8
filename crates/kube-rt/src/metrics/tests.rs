//! Every name and type an operator's dashboards know, as golden text.

use super::*;

/// `name type` of every family, in the order they print.
fn mk_types(registry: &Registry) -> Vec<String> {
    encode(registry)
        .unwrap()
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(str::to_owned)
        .collect()
}

/// Lines that are samples, sorted.
fn mk_samples(registry: &Registry) -> Vec<String> {
    let mut lines: Vec<_> = encode(registry)
        .unwrap()
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    lines.sort();
    lines
}

#[test]
fn controller_names_and_types() {
    let mut registry = Registry::default();
    let metrics = ControllerMetrics::register(&mut registry);
    metrics.set_pool("p", PoolUsage::default());
    drop(metrics.services_allocated.get_or_create(&PoolLabel { pool: "p".into() }));
    ClientMetrics::register(&mut registry);
    assert_eq!(
        mk_types(&registry),
        [
            "metallb_allocator_addresses_total gauge",
            "metallb_allocator_ipv4_addresses_total gauge",
            "metallb_allocator_ipv6_addresses_total gauge",
            "metallb_allocator_addresses_in_use_total gauge",
            "metallb_allocator_ipv4_addresses_in_use_total gauge",
            "metallb_allocator_ipv6_addresses_in_use_total gauge",
            "metallb_allocator_services_allocated_total gauge",
            "metallb_k8s_client_updates_total counter",
            "metallb_k8s_client_update_errors_total counter",
            "metallb_k8s_client_config_loaded_bool gauge",
            "metallb_k8s_client_config_stale_bool gauge",
        ]
    );
}

#[test]
fn speaker_names_and_types() {
    let mut registry = Registry::default();
    let metrics = SpeakerMetrics::register(&mut registry);
    metrics.announced(&mk_labels());
    let ip = "192.0.2.1".parse().unwrap();
    metrics.layer2(ip);
    metrics.conflict(ip);
    metrics.rival(ip);
    metrics.answers_on("eth0").inc();
    assert_eq!(
        mk_types(&registry),
        [
            "metallb_speaker_announced gauge",
            "metallb_layer2_requests_received counter",
            "metallb_layer2_responses_sent counter",
            "metallb_layer2_gratuitous_sent counter",
            "metallb_layer2_address_conflicts counter",
            "metallb_layer2_two_owners counter",
            "metallb_layer2_answers counter",
        ]
    );
    let series = r#"metallb_layer2_answers{interface="eth0"} 1"#.to_owned();
    assert!(mk_samples(&registry).contains(&series));
    metrics.closed("eth0");
    assert!(!mk_samples(&registry).contains(&series), "it goes with its interface");
}

#[test]
fn process_names_and_types() {
    let mut registry = Registry::default();
    register_process(&mut registry, || ProcessFacts {
        cpu_seconds: 1.5,
        resident_bytes: 9_000_000,
        open_fds: 12,
        start_time_seconds: 1_700_000_000.25,
    });
    assert_eq!(
        mk_types(&registry),
        [
            "process_cpu_seconds_total counter",
            "process_resident_memory_bytes gauge",
            "process_open_fds gauge",
            "process_start_time_seconds gauge",
        ]
    );
    assert_eq!(
        mk_samples(&registry),
        [
            "process_cpu_seconds_total 1.5",
            "process_open_fds 12",
            "process_resident_memory_bytes 9000000",
            "process_start_time_seconds 1700000000.25",
        ]
    );
}

#[test]
fn samples_carry_the_registered_name() {
    let mut registry = Registry::default();
    let client = ClientMetrics::register(&mut registry);
    client.updates.inc_by(3);
    client.config_loaded(true);
    assert_eq!(
        mk_samples(&registry),
        [
            "metallb_k8s_client_config_loaded_bool 1",
            "metallb_k8s_client_config_stale_bool 1",
            "metallb_k8s_client_update_errors_total 0",
            "metallb_k8s_client_updates_total 3",
        ]
    );
}

#[test]
fn pool_series_sum_both_families_saturate_and_go_with_the_pool() {
    let mut registry = Registry::default();
    let metrics = ControllerMetrics::register(&mut registry);
    let usage = PoolUsage { ipv4: 256, ipv6: u64::MAX, ipv4_in_use: 2, ipv6_in_use: 1 };
    metrics.set_pool("dual", usage);
    assert_eq!(
        mk_samples(&registry),
        [
            r#"metallb_allocator_addresses_in_use_total{pool="dual"} 3"#,
            r#"metallb_allocator_addresses_total{pool="dual"} 9223372036854775807"#,
            r#"metallb_allocator_ipv4_addresses_in_use_total{pool="dual"} 2"#,
            r#"metallb_allocator_ipv4_addresses_total{pool="dual"} 256"#,
            r#"metallb_allocator_ipv6_addresses_in_use_total{pool="dual"} 1"#,
            r#"metallb_allocator_ipv6_addresses_total{pool="dual"} 9223372036854775807"#,
        ]
    );
    metrics.remove_pool("dual");
    assert!(mk_samples(&registry).is_empty());
}

#[test]
fn announced_series_has_upstreams_labels_and_goes_on_withdrawal() {
    let mut registry = Registry::default();
    let metrics = SpeakerMetrics::register(&mut registry);
    metrics.announced(&mk_labels());
    assert_eq!(
        mk_samples(&registry),
        [
            r#"metallb_speaker_announced{service="default/web",protocol="layer2",node="n1",ip="192.0.2.1"} 1"#
        ]
    );
    metrics.withdrawn(&mk_labels());
    assert!(mk_samples(&registry).is_empty());
}

#[test]
fn counters_of_one_address_are_shared_between_handles() {
    let mut registry = Registry::default();
    let metrics = SpeakerMetrics::register(&mut registry);
    let ip = "2001:db8::1".parse().unwrap();
    metrics.layer2(ip).requests_received.inc();
    metrics.layer2(ip).requests_received.inc();
    assert!(
        mk_samples(&registry)
            .contains(&r#"metallb_layer2_requests_received{ip="2001:db8::1"} 2"#.to_owned())
    );
}

fn mk_labels() -> AnnouncedLabels {
    AnnouncedLabels {
        service: Shown(ServiceKey::new("default", "web")),
        protocol: "layer2",
        node: "n1".into(),
        ip: Shown(IpAddr::from([192, 0, 2, 1])),
    }
}
