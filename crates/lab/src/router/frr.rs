//! FRR: zebra, bfdd and bgpd, asked through vtysh.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::IpAddr;

use ferrolb_addr::Family;
use ipnet::IpNet;
use serde_json::Value;

use super::config::{Config, Neighbour, Remote};
use super::view::{BfdSession, Path, Session, json, number};
use super::{Daemon, Site};
use crate::error::{Error, Result};

/// The BGP daemon, which is in nobody's `PATH`.
pub(super) const BGPD: &str = "/usr/lib/frr/bgpd";

/// The socket on which zebra waits for the others.
const ZEBRA: &str = "zserv.api";

/// FRR wants its user to be in a group of its own and writes crash logs below `/var/tmp`: it gets
/// both in its own view of the file system. `$1` is the file of groups.
const ENTER: &str = r#"set -e
mount --bind "$1" /etc/group
mount -t tmpfs tmpfs /var/tmp
shift
exec "$@"
"#;

const GROUPS: &str = "root:x:0:\nfrr:x:0:\nfrrvty:x:0:root\n";

/// Files and daemons.
pub(super) fn program(
    site: &Site,
    config: &Config,
    id: IpAddr,
) -> (Vec<(&'static str, String)>, Vec<Daemon>) {
    let files = vec![
        ("group", GROUPS.to_owned()),
        ("zebra.conf", zebra()),
        ("bfdd.conf", bfdd(config)),
        ("bgpd.conf", bgpd(config, id)),
        ("vtysh.conf", String::new()),
    ];
    // The others look for zebra once and then not for ten seconds.
    let daemons = [("zebra", Some(ZEBRA)), ("bfdd", None), ("bgpd", None)];
    let daemons = daemons.map(|(name, makes)| Daemon { name, argv: daemon(site, name), makes });
    (files, daemons.into())
}

fn daemon(site: &Site, name: &str) -> Vec<String> {
    let mut argv: Vec<String> =
        ["unshare", "--mount", "--", "sh", "-c", ENTER, "sh"].map(str::to_owned).into();
    let program = format!("/usr/lib/frr/{name}");
    let (group, conf) = (site.path("group"), site.path(&format!("{name}.conf")));
    let (pid, zebra) = (site.path(&format!("{name}.pid")), site.path(ZEBRA));
    let folder = site.folder.display().to_string();
    argv.extend([group, program, "-f".into(), conf, "-i".into(), pid, "-z".into(), zebra]);
    argv.extend(["--vty_socket".to_owned(), folder, "-P".into(), "0".into()]);
    argv.extend(["-u", "root", "-g", "root", "--log", "stdout"].map(str::to_owned));
    if name == "bfdd" {
        argv.extend(["--bfdctl".to_owned(), site.path("bfdd.sock")]);
    }
    argv
}

/// A router two hops away knows the nodes by its default route.
fn zebra() -> String {
    "ip nht resolve-via-default\nipv6 nht resolve-via-default\n".to_owned()
}

fn bfdd(config: &Config) -> String {
    let mut text = "bfd\n".to_owned();
    for (index, neighbour) in config.neighbours.iter().enumerate() {
        let Some(bfd) = neighbour.bfd else { continue };
        let _ = write!(
            text,
            " profile p{index}\n  detect-multiplier {}\n  receive-interval {}\n  \
             transmit-interval {}\n exit\n",
            bfd.multiplier, bfd.interval, bfd.interval
        );
    }
    text + "exit\n"
}

fn bgpd(config: &Config, id: IpAddr) -> String {
    let mut text = format!(
        "router bgp {}\n bgp router-id {id}\n no bgp ebgp-requires-policy\n \
         no bgp default ipv4-unicast\n no bgp network import-check\n \
         bgp bestpath as-path multipath-relax\n",
        config.asn
    );
    for (index, neighbour) in config.neighbours.iter().enumerate() {
        neighbour_lines(&mut text, index, neighbour);
    }
    for (family, name) in [(Family::V4, "ipv4"), (Family::V6, "ipv6")] {
        let _ = write!(
            text,
            " address-family {name} unicast\n  maximum-paths 16\n  maximum-paths ibgp 16\n"
        );
        let own =
            config.announce.iter().filter(|net| net.addr().is_ipv4() == (family == Family::V4));
        for net in own {
            let _ = writeln!(text, "  network {net}");
        }
        for (index, neighbour) in config.neighbours.iter().enumerate() {
            if neighbour.is_in(family) {
                let name = called(index, neighbour);
                let _ = write!(
                    text,
                    "  neighbor {name} activate\n  neighbor {name} soft-reconfiguration inbound\n"
                );
            }
        }
        text += " exit-address-family\n";
    }
    text + "exit\n"
}

fn neighbour_lines(text: &mut String, index: usize, neighbour: &Neighbour) {
    let name = called(index, neighbour);
    let mut lines = Vec::new();
    if matches!(neighbour.remote, Remote::Range(_)) {
        lines.push("peer-group".to_owned());
    }
    lines.push(format!("remote-as {}", neighbour.asn));
    let hold = neighbour.hold_time;
    lines.push(format!("timers {} {hold}", (hold / 3).max(1)));
    lines.push("timers connect 1".to_owned());
    if neighbour.passive {
        lines.push("passive".to_owned());
    }
    if let Some(password) = &neighbour.password {
        lines.push(format!("password {password}"));
    }
    if let Some(hops) = neighbour.hops {
        lines.push(format!("ebgp-multihop {hops}"));
    }
    if neighbour.bfd.is_some() {
        lines.push(format!("bfd profile p{index}"));
    }
    for line in lines {
        let _ = writeln!(text, " neighbor {name} {line}");
    }
    if let Remote::Range(range) = neighbour.remote {
        let _ = writeln!(text, " bgp listen range {range} peer-group {name}");
    }
}

fn called(index: usize, neighbour: &Neighbour) -> String {
    match neighbour.remote {
        Remote::Address(address) => address.to_string(),
        Remote::Range(_) => format!("range{index}"),
    }
}

fn vtysh(site: &Site, command: &str) -> Result<String> {
    let folder = site.folder.display().to_string();
    site.ask(["vtysh", "--vty_socket", &folder, "--config_dir", &folder, "-c", command])
}

/// An error while bgpd does not answer, or does not know the interfaces yet: until then FRR 8.4 takes
/// IPv6 routes with a link-local next hop for withdrawn, for good.
pub(super) fn ready(site: &Site) -> Result<()> {
    sessions(site)?;
    let clients = vtysh(site, "show zebra client summary")?;
    let is_there = clients.lines().any(|line| line.trim_start().starts_with("bgp"));
    if is_there { Ok(()) } else { Err(Error::Story(format!("bgpd is not with zebra: {clients}"))) }
}

/// Asks every neighbour for its routes again.
pub(super) fn refresh(site: &Site) -> Result<()> {
    vtysh(site, "clear bgp * in").map(drop)
}

/// What `show bgp neighbors` says.
pub(super) fn sessions(site: &Site) -> Result<Vec<Session>> {
    let answer = json(&vtysh(site, "show bgp neighbors json")?)?;
    let all = answer.as_object().into_iter().flatten();
    Ok(all.filter_map(|(peer, fields)| session(peer, fields)).collect())
}

fn session(peer: &str, fields: &Value) -> Option<Session> {
    let is_up = fields["bgpState"] == "Established";
    let hold = number(&fields["bgpTimerHoldTimeMsecs"]).map(|millis| millis / 1000);
    let id = fields["remoteRouterId"].as_str().and_then(|id| id.parse().ok());
    let text = |key: &str| fields[key].as_str().unwrap_or_default().to_owned();
    Some(Session {
        peer: peer.parse().ok()?,
        is_up,
        asn: number(&fields["remoteAs"]).unwrap_or_default(),
        router_id: id,
        hold_time: hold.filter(|_| is_up).and_then(|hold| hold.try_into().ok()),
        established: fields["connectionsEstablished"].as_u64(),
        restarts_gracefully: fields["gracefulRestartInfo"]["remoteGrMode"] == "Restart",
        last_error: [text("lastResetDueTo"), text("lastNotificationReason")].join(" "),
    })
}

fn name(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}

/// The prefixes of `show bgp`.
pub(super) fn prefixes(site: &Site, family: Family) -> Result<BTreeSet<IpNet>> {
    let answer = json(&vtysh(site, &format!("show bgp {} unicast json", name(family)))?)?;
    let routes = answer["routes"].as_object().into_iter().flatten();
    Ok(routes.filter_map(|(prefix, _)| prefix.parse().ok()).collect())
}

/// What `show bgp` says about a prefix.
pub(super) fn paths(site: &Site, prefix: IpNet) -> Result<Vec<Path>> {
    let family = name(if prefix.addr().is_ipv4() { Family::V4 } else { Family::V6 });
    let answer = json(&vtysh(site, &format!("show bgp {family} unicast {prefix} json"))?)?;
    Ok(answer["paths"].as_array().into_iter().flatten().map(path).collect())
}

fn path(fields: &Value) -> Path {
    let words = |value: &Value| {
        let list = value["list"].as_array().into_iter().flatten();
        list.filter_map(|word| word.as_str().map(named)).collect()
    };
    let hops = fields["nexthops"].as_array().into_iter().flatten();
    let mut hops = hops.filter(|hop| hop["scope"] != "link-local");
    let segments = fields["aspath"]["segments"].as_array().into_iter().flatten();
    let asns = segments.flat_map(|segment| segment["list"].as_array().into_iter().flatten());
    Path {
        next_hop: hops.next().and_then(|hop| hop["ip"].as_str()?.parse().ok()),
        as_path: asns.filter_map(number).collect(),
        local_pref: number(&fields["locPrf"]),
        communities: words(&fields["community"]),
        large_communities: words(&fields["largeCommunity"]),
        origin_is_igp: fields["origin"] == "IGP",
        is_stale: fields["stale"] == true,
    }
}

/// FRR has names for well-known communities.
fn named(word: &str) -> String {
    let number = match word {
        "gracefulShutdown" | "graceful-shutdown" => "65535:0",
        "noExport" | "no-export" => "65535:65281",
        "noAdvertise" | "no-advertise" => "65535:65282",
        "localAs" | "local-AS" => "65535:65283",
        other => other,
    };
    number.to_owned()
}

/// What `show bfd peers` says.
pub(super) fn bfd(site: &Site) -> Result<Vec<BfdSession>> {
    let answer = json(&vtysh(site, "show bfd peers json")?)?;
    let all = answer.as_array().into_iter().flatten();
    Ok(all
        .filter_map(|fields| {
            let receive = fields["remote-receive-interval"].as_u64();
            Some(BfdSession {
                peer: fields["peer"].as_str()?.parse().ok()?,
                is_up: fields["status"] == "up",
                intervals: receive.zip(fields["remote-transmit-interval"].as_u64()),
            })
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_is_read_with_all_its_attributes() {
        let path = path(&json!({
            "aspath": { "segments": [{ "type": "as-sequence", "list": [64512, 64520] }] },
            "origin": "IGP",
            "locPrf": 150,
            "stale": true,
            "community": { "string": "", "list": ["64512:1", "noAdvertise"] },
            "largeCommunity": { "string": "", "list": ["1:2:3"] },
            "nexthops": [
                { "ip": "fd00::1", "scope": "global" },
                { "ip": "fe80::1", "scope": "link-local" },
            ],
        }));
        assert_eq!(path.next_hop, Some("fd00::1".parse().unwrap()));
        assert_eq!(path.as_path, [64512, 64520]);
        assert_eq!(path.local_pref, Some(150));
        assert_eq!(path.communities, ["64512:1", "65535:65282"]);
        assert_eq!(path.large_communities, ["1:2:3"]);
        assert!(path.origin_is_igp && path.is_stale);
    }
}
