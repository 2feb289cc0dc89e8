//! Figures that alerts and dashboards are made of.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use ferrolb_lab::api::wait_until;
use ferrolb_lab::plan::Lan;
use ferrolb_lab::{Host, Result};

use super::case;
use crate::manifest::{advertisement, pool, service};
use crate::stage::{PATIENCE, Stage};
use crate::suite::Case;

pub(super) const CASES: &[Case] = &[
    case(
        "e_25_metrics_v4",
        "E-25 L2-37 pool gauges, announced gauge, packets; scraped directly",
        v4,
    ),
    case("e_25_metrics_v6", "E-25 L2-38 the same over IPv6", v6),
];

/// `--port` of controller and speakers.
const PORT: u16 = 9120;

fn v4(stage: &mut Stage) -> Result<()> {
    counted(stage, "IPv4", "ipv4")
}

fn v6(stage: &mut Stage) -> Result<()> {
    counted(stage, "IPv6", "ipv6")
}

fn counted(stage: &Stage, family: &str, prefix: &str) -> Result<()> {
    let controller = stage.lab().process("controller")?;
    let control = controller.host();
    stage.apply(&pool("counted", &["172.30.1.200/29", "fd00:172:30:1::200/125"]))?;
    stage.apply(&advertisement("all"))?;
    let in_use = format!("metallb_allocator_{prefix}_addresses_in_use_total{{pool=\"counted\"}}");
    for (name, value) in [
        ("metallb_allocator_addresses_total{pool=\"counted\"}", "16"),
        ("metallb_allocator_ipv4_addresses_total{pool=\"counted\"}", "8"),
        ("metallb_allocator_ipv6_addresses_total{pool=\"counted\"}", "8"),
        ("metallb_allocator_addresses_in_use_total{pool=\"counted\"}", "0"),
        (in_use.as_str(), "0"),
    ] {
        expect(control, name, Some(value))?;
    }
    stage.apply(&service("web").families("SingleStack", &[family]))?;
    let address = stage.address("web")?;
    expect(control, &in_use, Some("1"))?;
    expect(control, "metallb_allocator_addresses_in_use_total{pool=\"counted\"}", Some("1"))?;
    let owner = stage.announced("web", Lan::One, address)?;
    stage.curl(address)?;
    let gauge = |node: &str| announced(node, address);
    expect(stage.lab().host(&owner)?, &gauge(&owner), Some("1"))?;
    for counter in ["requests_received", "responses_sent", "gratuitous_sent"] {
        let name = format!("metallb_layer2_{counter}{{ip=\"{address}\"}}");
        expect_some(stage.lab().host(&owner)?, &name)?;
    }
    for node in stage.nodes().iter().filter(|node| **node != owner) {
        expect(stage.lab().host(node)?, &gauge(node), None)?;
    }
    stage.delete_service("web")?;
    expect(stage.lab().host(&owner)?, &gauge(&owner), None)?;
    expect(control, &in_use, Some("0"))
}

fn announced(node: &str, address: IpAddr) -> String {
    let labels = [
        ("service", "default/web"),
        ("protocol", "layer2"),
        ("node", node),
        ("ip", &address.to_string()),
    ];
    let labels: Vec<_> = labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
    format!("metallb_speaker_announced{{{}}}", labels.join(","))
}

/// The value of a metric with exactly these labels, in this order.
fn read(host: &Host, name: &str) -> Result<Option<String>> {
    let server = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), PORT);
    let (_, body) = host.http(server, "/metrics", Duration::from_secs(2))?;
    let mut lines = body.lines();
    Ok(lines.find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned())))
}

fn expect(host: &Host, name: &str, wanted: Option<&str>) -> Result<()> {
    wait_until(&format!("{name} of {} is {wanted:?}", host.name()), PATIENCE, || {
        let value = read(host, name)?;
        Ok(if value.as_deref() == wanted { Ok(()) } else { Err(format!("{value:?}")) })
    })
}

fn expect_some(host: &Host, name: &str) -> Result<()> {
    wait_until(&format!("{name} of {} is at least 1", host.name()), PATIENCE, || {
        let value = read(host, name)?;
        let count = value.as_deref().and_then(|value| value.parse::<f64>().ok());
        Ok(if count.is_some_and(|count| count >= 1.0) { Ok(()) } else { Err(format!("{value:?}")) })
    })
}
