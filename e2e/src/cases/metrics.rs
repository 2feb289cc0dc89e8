//! Figures that alerts and dashboards are made of.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use ferrolb_lab::api::wait_until;
use ferrolb_lab::plan::Lan;
use ferrolb_lab::{Host, Result};
use serde_json::json;

use super::case;
use crate::manifest::{advertisement, pool, service};
use crate::stage::{PATIENCE, Stage, check};
use crate::suite::Case;

pub(super) const CASES: &[Case] = &[
    case(
        "e_25_metrics_v4",
        "E-25 L2-37 pool gauges, announced gauge, packets; scraped directly",
        v4,
    ),
    case("e_25_metrics_v6", "E-25 L2-38 the same over IPv6", v6),
    case("who_may_scrape", "HTTPS; nobody without a token or the right to", who_may_scrape),
];

/// `--port` of controller and speakers, on their own host.
const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9120);

fn v4(stage: &mut Stage) -> Result<()> {
    counted(stage, "IPv4", "ipv4")
}

fn v6(stage: &mut Stage) -> Result<()> {
    counted(stage, "IPv6", "ipv6")
}

fn counted(stage: &Stage, family: &str, prefix: &str) -> Result<()> {
    let controller = stage.lab().process("controller")?;
    let control = controller.host();
    let scraper = Scraper::may(stage)?;
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
        scraper.expect(control, name, Some(value))?;
    }
    stage.apply(&service("web").families("SingleStack", &[family]))?;
    let address = stage.address("web")?;
    scraper.expect(control, &in_use, Some("1"))?;
    scraper.expect(
        control,
        "metallb_allocator_addresses_in_use_total{pool=\"counted\"}",
        Some("1"),
    )?;
    let owner = stage.announced("web", Lan::One, address)?;
    stage.curl(address)?;
    let gauge = |node: &str| announced(node, address);
    scraper.expect(stage.lab().host(&owner)?, &gauge(&owner), Some("1"))?;
    for counter in ["requests_received", "responses_sent", "gratuitous_sent"] {
        let name = format!("metallb_layer2_{counter}{{ip=\"{address}\"}}");
        scraper.expect_some(stage.lab().host(&owner)?, &name)?;
    }
    for node in stage.nodes().iter().filter(|node| **node != owner) {
        scraper.expect(stage.lab().host(node)?, &gauge(node), None)?;
    }
    stage.delete_service("web")?;
    scraper.expect(stage.lab().host(&owner)?, &gauge(&owner), None)?;
    scraper.expect(control, &in_use, Some("0"))
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

fn who_may_scrape(stage: &mut Stage) -> Result<()> {
    let (scraper, stranger) = (Scraper::may(stage)?, Scraper::may_not(stage)?);
    let mut hosts = vec![stage.lab().process("controller")?.host().clone()];
    for node in stage.nodes() {
        hosts.push(stage.lab().host(&node)?.clone());
    }
    for host in hosts {
        for (token, wanted) in [
            (None, 401),
            (Some("made-up"), 401),
            (Some(stranger.token.as_str()), 403),
            (Some(scraper.token.as_str()), 200),
        ] {
            let (status, body) = scrape(&host, token)?;
            check(status == wanted, || format!("{}: {status} in place of {wanted}", host.name()))?;
            let has_figures = body.contains("metallb_k8s_client_config_loaded_bool");
            check(has_figures == (wanted == 200), || format!("{}: {body}", host.name()))?;
        }
        let plain = host.http(SERVER, "/metrics", Duration::from_secs(2));
        check(!matches!(plain, Ok((200, _))), || format!("{}: served in the clear", host.name()))?;
    }
    Ok(())
}

/// An account that figures are read with, as Prometheus has one.
#[derive(Debug)]
pub(super) struct Scraper {
    token: String,
}

impl Scraper {
    /// One with the right to read them.
    pub(super) fn may(stage: &Stage) -> Result<Self> {
        let name = "scraper";
        for object in [
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
                "metadata": { "name": name },
                "rules": [{ "nonResourceURLs": ["/metrics"], "verbs": ["get"] }],
            }),
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
                "metadata": { "name": name },
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name,
                },
                "subjects": [{ "kind": "ServiceAccount", "name": name, "namespace": "default" }],
            }),
        ] {
            stage.api().apply(&object)?;
        }
        Self::account(stage, name)
    }

    /// One without.
    fn may_not(stage: &Stage) -> Result<Self> {
        Self::account(stage, "stranger")
    }

    fn account(stage: &Stage, name: &str) -> Result<Self> {
        stage.api().apply(&json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": { "name": name, "namespace": "default" },
        }))?;
        let token = stage.kubectl(&["create", "token", name, "--namespace=default"])?;
        Ok(Self { token: token.trim().to_owned() })
    }

    /// The value of a metric with exactly these labels, in this order.
    pub(super) fn read(&self, host: &Host, name: &str) -> Result<Option<String>> {
        let (_, body) = scrape(host, Some(&self.token))?;
        let mut lines = body.lines();
        Ok(lines.find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned())))
    }

    pub(super) fn expect(&self, host: &Host, name: &str, wanted: Option<&str>) -> Result<()> {
        wait_until(&format!("{name} of {} is {wanted:?}", host.name()), PATIENCE, || {
            let value = self.read(host, name)?;
            Ok(if value.as_deref() == wanted { Ok(()) } else { Err(format!("{value:?}")) })
        })
    }

    pub(super) fn expect_some(&self, host: &Host, name: &str) -> Result<()> {
        wait_until(&format!("{name} of {} is at least 1", host.name()), PATIENCE, || {
            let value = self.read(host, name)?;
            let count = value.as_deref().and_then(|value| value.parse::<f64>().ok());
            let is_some = count.is_some_and(|count| count >= 1.0);
            Ok(if is_some { Ok(()) } else { Err(format!("{value:?}")) })
        })
    }
}

/// Status and content of one scrape on a host itself.
fn scrape(host: &Host, token: Option<&str>) -> Result<(u16, String)> {
    let url = format!("https://{SERVER}/metrics");
    let header = token.map(|token| format!("Authorization: Bearer {token}"));
    let words = ["curl", "--silent", "--show-error", "--insecure", "--max-time", "5"];
    let words = words.into_iter().chain(["--write-out", "\n%{http_code}", url.as_str()]);
    let words = words.chain(header.iter().flat_map(|header| ["--header", header.as_str()]));
    let answer = host.success(words)?;
    let (body, status) = answer.rsplit_once('\n').unwrap_or(("", &answer));
    Ok((status.parse().unwrap_or_default(), body.to_owned()))
}
