//! `GoBGP`: gobgpd, asked through gobgp.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ferrolb_addr::Family;
use ipnet::IpNet;
use serde_json::{Value, json};

use super::config::{Config, Neighbour, Remote};
use super::view::{self, Path, Session, community, number};
use super::{Daemon, Site};
use crate::error::Result;

/// Where it listens for gobgp: the port is the namespace's own.
const PORT: &str = "50051";

/// Files and daemons. What it would announce itself it has no configuration for; it announces
/// nothing.
pub(super) fn program(
    site: &Site,
    config: &Config,
    id: IpAddr,
) -> (Vec<(&'static str, String)>, Vec<Daemon>) {
    let (fixed, ranges): (Vec<_>, Vec<_>) = config
        .neighbours
        .iter()
        .enumerate()
        .partition(|(_, neighbour)| matches!(neighbour.remote, Remote::Address(_)));
    let document = json!({
        "global": {
            "config": { "as": config.asn, "router-id": id },
            "use-multiple-paths": { "config": { "enabled": true } },
        },
        "neighbors": fixed.iter().map(|(_, one)| fields(one, None)).collect::<Vec<_>>(),
        "peer-groups": ranges.iter().map(|(index, one)| fields(one, Some(*index))).collect::<Vec<_>>(),
        "dynamic-neighbors": ranges.iter().map(|(index, one)| range(one, *index)).collect::<Vec<_>>(),
    });
    let argv = ["gobgpd", "-f", &site.path("gobgpd.json"), "-t", "json", "--pprof-disable"];
    let mut argv: Vec<_> = argv.map(str::to_owned).into();
    argv.extend(["--api-hosts".to_owned(), format!("127.0.0.1:{PORT}")]);
    let daemon = Daemon { name: "gobgpd", argv, makes: None };
    (vec![("gobgpd.json", document.to_string())], vec![daemon])
}

fn fields(neighbour: &Neighbour, group: Option<usize>) -> Value {
    let mut own = json!({ "peer-as": neighbour.asn });
    match (neighbour.remote, group) {
        (Remote::Address(address), _) => own["neighbor-address"] = json!(address),
        (Remote::Range(_), group) => own["peer-group-name"] = json!(called(group.unwrap_or(0))),
    }
    if let Some(password) = &neighbour.password {
        own["auth-password"] = json!(password);
    }
    let families: Vec<_> = [(Family::V4, "ipv4-unicast"), (Family::V6, "ipv6-unicast")]
        .into_iter()
        .filter(|(family, _)| neighbour.is_in(*family))
        .map(|(_, name)| {
            json!({
                "config": { "afi-safi-name": name },
                "mp-graceful-restart": { "config": { "enabled": true } },
            })
        })
        .collect();
    let hold = neighbour.hold_time;
    json!({
        "config": own,
        "transport": { "config": { "passive-mode": neighbour.passive } },
        "timers": { "config": {
            "connect-retry": 1, "idle-hold-time-after-reset": 1,
            "hold-time": hold, "keepalive-interval": (hold / 3).max(1),
        } },
        "ebgp-multihop": { "config": {
            "enabled": neighbour.hops.is_some(), "multihop-ttl": neighbour.hops.unwrap_or(0),
        } },
        "graceful-restart": { "config": {
            "enabled": true, "helper-only": true, "restart-time": 120,
        } },
        "afi-safis": families,
    })
}

fn range(neighbour: &Neighbour, index: usize) -> Value {
    let Remote::Range(range) = neighbour.remote else { return Value::Null };
    json!({ "config": { "prefix": range.to_string(), "peer-group": called(index) } })
}

fn called(index: usize) -> String {
    format!("range{index}")
}

fn gobgp(site: &Site, words: &[&str]) -> Result<String> {
    let own = ["gobgp", "-u", "127.0.0.1", "-p", PORT, "-j"];
    site.ask(own.iter().chain(words))
}

/// Asks every neighbour for its routes again.
pub(super) fn refresh(site: &Site) -> Result<()> {
    gobgp(site, &["neighbor", "all", "softresetin"]).map(drop)
}

/// What `gobgp neighbor` says.
pub(super) fn sessions(site: &Site) -> Result<Vec<Session>> {
    let answer = view::json(&gobgp(site, &["neighbor"])?)?;
    Ok(answer.as_array().into_iter().flatten().filter_map(session).collect())
}

fn session(fields: &Value) -> Option<Session> {
    const ESTABLISHED: u64 = 6;
    let state = &fields["state"];
    let capabilities = state["remote_cap"].as_array().into_iter().flatten();
    let mut restarts = capabilities.filter(|capability| {
        let kind = capability["type_url"].as_str().unwrap_or_default();
        kind.ends_with(".GracefulRestartCapability")
    });
    // Flags and time fill eight characters of base64; what is longer names families as well.
    let names_families = |value: &Value| value["value"].as_str().is_some_and(|v| v.len() > 8);
    let hold = &fields["timers"]["state"]["negotiated_hold_time"];
    let hold = hold.as_u64().or_else(|| hold.as_f64().map(|_| 0));
    Some(Session {
        peer: state["neighbor_address"].as_str()?.parse().ok()?,
        is_up: state["session_state"].as_u64() == Some(ESTABLISHED),
        asn: number(&state["peer_asn"]).unwrap_or_default(),
        router_id: state["router_id"].as_str().and_then(|id| id.parse().ok()),
        hold_time: hold.and_then(|hold| hold.try_into().ok()),
        established: None,
        restarts_gracefully: restarts.any(names_families),
        last_error: String::new(),
    })
}

fn table(site: &Site, family: Family) -> Result<Value> {
    let name = if family == Family::V4 { "ipv4" } else { "ipv6" };
    let answer = gobgp(site, &["global", "rib", "-a", name])?;
    // An empty table is told in words.
    if answer.starts_with('{') { view::json(&answer) } else { Ok(Value::Null) }
}

/// The prefixes of `gobgp global rib`.
pub(super) fn prefixes(site: &Site, family: Family) -> Result<BTreeSet<IpNet>> {
    let table = table(site, family)?;
    let prefixes = table.as_object().into_iter().flatten();
    Ok(prefixes.filter_map(|(prefix, _)| prefix.parse().ok()).collect())
}

/// What `gobgp global rib` says about a prefix.
pub(super) fn paths(site: &Site, prefix: IpNet) -> Result<Vec<Path>> {
    let family = if prefix.addr().is_ipv4() { Family::V4 } else { Family::V6 };
    let table = table(site, family)?;
    Ok(table[prefix.to_string()].as_array().into_iter().flatten().map(path).collect())
}

fn path(fields: &Value) -> Path {
    let mut path = Path { is_stale: fields["stale"] == true, ..Path::default() };
    for attribute in fields["attrs"].as_array().into_iter().flatten() {
        let numbers = |value: &Value| -> Vec<u32> {
            value.as_array().into_iter().flatten().filter_map(number).collect()
        };
        let hop = || attribute["nexthop"].as_str().and_then(|hop| hop.parse().ok());
        match attribute["type"].as_u64() {
            Some(1) => path.origin_is_igp = attribute["value"].as_u64() == Some(0),
            Some(2) => {
                let segments = attribute["as_paths"].as_array().into_iter().flatten();
                path.as_path = segments.flat_map(|segment| numbers(&segment["asns"])).collect();
            }
            Some(3 | 14) => path.next_hop = hop().or(path.next_hop),
            Some(5) => path.local_pref = number(&attribute["value"]),
            Some(8) => {
                let values = attribute["communities"].as_array().into_iter().flatten();
                path.communities = values.filter_map(Value::as_u64).map(community).collect();
            }
            Some(32) => {
                let values = attribute["value"].as_array().into_iter().flatten();
                path.large_communities = values.map(large).collect();
            }
            _ => {}
        }
    }
    path
}

fn large(value: &Value) -> String {
    format!("{}:{}:{}", value["ASN"], value["LocalData1"], value["LocalData2"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_with_all_its_attributes() {
        let path = path(&json!({
            "nlri": { "prefix": "192.0.2.1/32" },
            "attrs": [
                { "type": 1, "value": 0 },
                { "type": 2, "as_paths": [{ "segment_type": 2, "num": 1, "asns": [64512] }] },
                { "type": 3, "nexthop": "172.30.1.11" },
                { "type": 5, "value": 150 },
                { "type": 8, "communities": [4_227_858_433u64, 4_294_967_042u64] },
                { "type": 32, "value": [{ "ASN": 1, "LocalData1": 2, "LocalData2": 3 }] },
            ],
            "stale": false,
        }));
        assert_eq!(path.next_hop, Some("172.30.1.11".parse().unwrap()));
        assert_eq!(path.as_path, [64512]);
        assert_eq!(path.local_pref, Some(150));
        assert_eq!(path.communities, ["64512:1", "65535:65282"]);
        assert_eq!(path.large_communities, ["1:2:3"]);
        assert!(path.origin_is_igp && !path.is_stale);
    }
}
