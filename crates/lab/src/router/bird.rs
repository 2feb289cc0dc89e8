//! BIRD 2, asked through birdc.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::IpAddr;

use ferrolb_addr::Family;
use ipnet::IpNet;

use super::config::{Config, Neighbour, Remote};
use super::view::{BfdSession, Path, Session};
use super::{Daemon, Site};
use crate::error::Result;

const SOCKET: &str = "bird.ctl";

/// Routes of neighbours go to the kernel, several ways to a prefix as one route. A router two hops
/// away finds the nodes by its default route, which BIRD learns from the kernel.
const GENERAL: &str = r"log stderr all;
debug protocols { states };
timeformat protocol iso long ms;
protocol device { scan time 1; }
protocol direct { ipv4; ipv6; }
protocol kernel {
    merge paths on; learn;
    ipv4 { import all; export where source = RTS_BGP; };
}
protocol kernel {
    merge paths on; learn;
    ipv6 { import all; export where source = RTS_BGP; };
}
";

/// Files and daemons.
pub(super) fn program(
    site: &Site,
    config: &Config,
    id: IpAddr,
) -> (Vec<(&'static str, String)>, Vec<Daemon>) {
    let mut text = format!("router id {id};\n{GENERAL}");
    if let Some(bfd) = config.neighbours.iter().find_map(|neighbour| neighbour.bfd) {
        let timers = format!(
            "min rx interval {0} ms; min tx interval {0} ms; multiplier {1};",
            bfd.interval, bfd.multiplier
        );
        let _ = writeln!(
            text,
            "protocol bfd {{ interface \"*\" {{ {timers} }}; multihop {{ {timers} }}; }}"
        );
    }
    for (name, number) in [("ipv4", 4), ("ipv6", 6)] {
        let _ = write!(text, "protocol static {{ {name};");
        for net in config.announce.iter().filter(|net| net.addr().is_ipv4() == (number == 4)) {
            let _ = write!(text, " route {net} blackhole;");
        }
        text += " }\n";
    }
    for (index, neighbour) in config.neighbours.iter().enumerate() {
        text += &protocol(config.asn, index, neighbour);
    }
    let argv = ["bird", "-f", "-c", &site.path("bird.conf"), "-s", &site.path(SOCKET)];
    let mut argv: Vec<_> = argv.map(str::to_owned).into();
    argv.extend(["-P".to_owned(), site.path("bird.pid")]);
    (vec![("bird.conf", text)], vec![Daemon { name: "bird", argv, makes: None }])
}

fn protocol(asn: u32, index: usize, neighbour: &Neighbour) -> String {
    let mut lines = vec![format!("local as {asn}")];
    match neighbour.remote {
        Remote::Address(address) => {
            lines.push(format!("neighbor {address} as {}", neighbour.asn));
        }
        Remote::Range(range) => {
            lines.push(format!("neighbor range {range} as {}", neighbour.asn));
            lines.push(format!("dynamic name \"range{index}_\""));
        }
    }
    lines.push(match neighbour.hops {
        Some(hops) => format!("multihop {hops}"),
        None => "direct".to_owned(),
    });
    if neighbour.passive && matches!(neighbour.remote, Remote::Address(_)) {
        lines.push("passive on".to_owned());
    }
    if let Some(password) = &neighbour.password {
        lines.push(format!("password \"{password}\""));
    }
    if neighbour.bfd.is_some() {
        lines.push("bfd on".to_owned());
    }
    lines.push(format!("hold time {}", neighbour.hold_time));
    lines.push("connect delay time 1".to_owned());
    lines.push("connect retry time 1".to_owned());
    lines.push("error wait time 1, 2".to_owned());
    lines.push("graceful restart aware".to_owned());
    let gateway = if neighbour.hops.is_some() { "gateway recursive; " } else { "gateway direct; " };
    for (family, name) in [(Family::V4, "ipv4"), (Family::V6, "ipv6")] {
        if neighbour.is_in(family) {
            lines.push(format!(
                "{name} {{ {gateway}import all; export where source = RTS_STATIC; }}"
            ));
        }
    }
    let lines = lines.join(";\n    ");
    format!("protocol bgp peer{index} {{\n    {lines};\n}}\n")
}

fn birdc(site: &Site, command: &str) -> Result<String> {
    let socket = site.path(SOCKET);
    let mut argv = vec!["birdc", "-s", &socket];
    argv.extend(command.split(' '));
    site.ask(argv)
}

/// Asks every neighbour for its routes again.
pub(super) fn refresh(site: &Site) -> Result<()> {
    birdc(site, "reload in all").map(drop)
}

/// What `show protocols` says about BGP.
pub(super) fn sessions(site: &Site) -> Result<Vec<Session>> {
    let answer = birdc(site, "show protocols all")?;
    Ok(blocks(&answer).filter_map(|block| session(&block)).collect())
}

/// Paragraphs, each about one protocol.
fn blocks(answer: &str) -> impl Iterator<Item = Vec<&str>> {
    answer.split("\n\n").map(|block| block.lines().map(str::trim).collect())
}

fn session(lines: &[&str]) -> Option<Session> {
    let value = |key: &str| {
        lines.iter().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).map(str::trim)
    };
    // `fe80::1%eth0` is an address with its interface.
    let peer = value("Neighbor address")?.split('%').next()?.parse().ok()?;
    let theirs = lines.iter().position(|line| *line == "Neighbor capabilities");
    let theirs = theirs.map_or(&[][..], |at| &lines[at..]);
    let preserved = theirs.iter().any(|line| line.starts_with("AF supported:"));
    let hold = value("Hold timer").and_then(|text| text.split('/').nth(1)?.parse().ok());
    Some(Session {
        peer,
        is_up: value("BGP state") == Some("Established"),
        asn: value("Neighbor AS").and_then(|asn| asn.parse().ok()).unwrap_or_default(),
        router_id: value("Neighbor ID").and_then(|id| id.parse().ok()),
        hold_time: hold,
        established: None,
        restarts_gracefully: theirs.contains(&"Graceful restart") && preserved,
        last_error: value("Last error").unwrap_or_default().to_owned(),
    })
}

fn routes(site: &Site, what: &str) -> Result<String> {
    // A prefix that is not in the table makes birdc say so and fail.
    let socket = site.path(SOCKET);
    let mut argv = vec!["birdc", "-s", &socket, "show", "route"];
    argv.extend(what.split(' '));
    argv.extend(["where", "source", "=", "RTS_BGP"]);
    Ok(site.host.output(argv)?.stdout)
}

/// The prefixes of `show route`.
pub(super) fn prefixes(site: &Site, family: Family) -> Result<BTreeSet<IpNet>> {
    let table = if family == Family::V4 { "table master4" } else { "table master6" };
    let answer = routes(site, table)?;
    let firsts = answer.lines().filter_map(|line| line.split(' ').next()?.parse().ok());
    Ok(firsts.collect())
}

/// What `show route` says about a prefix.
pub(super) fn paths(site: &Site, prefix: IpNet) -> Result<Vec<Path>> {
    Ok(read_paths(&routes(site, &format!("{prefix} all"))?))
}

fn read_paths(answer: &str) -> Vec<Path> {
    let mut paths: Vec<Path> = Vec::new();
    for line in answer.lines() {
        if line.contains("unicast [") || line.contains("unreachable [") {
            let is_stale = line.contains("s) [") || line.contains("s/-) [");
            paths.push(Path { is_stale, ..Path::default() });
        }
        let Some((key, value)) = line.trim().split_once(": ") else { continue };
        let Some(path) = paths.last_mut() else { continue };
        match key {
            "BGP.origin" => path.origin_is_igp = value == "IGP",
            "BGP.as_path" => {
                path.as_path = value.split(' ').filter_map(|n| n.parse().ok()).collect();
            }
            // The global one comes first.
            "BGP.next_hop" => path.next_hop = value.split(' ').next().and_then(|a| a.parse().ok()),
            "BGP.local_pref" => path.local_pref = value.parse().ok(),
            "BGP.community" => path.communities = tuples(value),
            "BGP.large_community" => path.large_communities = tuples(value),
            _ => {}
        }
    }
    paths
}

/// `(1,2) (3, 4)` as `1:2`, `3:4`.
fn tuples(text: &str) -> Vec<String> {
    let parts = text.split(')').filter_map(|part| part.split_once('(').map(|(_, inner)| inner));
    parts.map(|inner| inner.replace(", ", ":").replace(',', ":")).collect()
}

/// What `show bfd sessions` says.
pub(super) fn bfd(site: &Site) -> Result<Vec<BfdSession>> {
    let answer = birdc(site, "show bfd sessions")?;
    let rows = answer.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    Ok(rows
        .filter_map(|row| {
            let peer = row.first()?.parse().ok()?;
            Some(BfdSession { peer, is_up: *row.get(2)? == "Up", intervals: None })
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: &str = "BIRD 2.0.12 ready.\n\
Table master4:\n\
192.0.2.1/32         unicast [peer0 16:39:30.884] * (100) [AS64512i]\n\
\tvia 172.30.1.11 on eth0\n\
\tType: BGP univ\n\
\tBGP.origin: IGP\n\
\tBGP.as_path: 64512\n\
\tBGP.next_hop: 172.30.1.11\n\
\tBGP.local_pref: 100\n\
\tBGP.community: (64512,1) (65535,65282)\n\
\tBGP.large_community: (1, 2, 3)\n\
                     unicast [peer1 16:39:31.884] (100s) [AS64512i]\n\
\tvia 172.30.1.12 on eth0\n\
\tBGP.next_hop: fd00::1 fe80::1\n";

    #[test]
    fn paths_are_read_with_all_their_attributes() {
        let paths = read_paths(ROUTES);
        assert_eq!(
            paths[0],
            Path {
                next_hop: Some("172.30.1.11".parse().unwrap()),
                as_path: vec![64512],
                local_pref: Some(100),
                communities: vec!["64512:1".into(), "65535:65282".into()],
                large_communities: vec!["1:2:3".into()],
                origin_is_igp: true,
                is_stale: false,
            }
        );
        assert_eq!(paths[1].next_hop, Some("fd00::1".parse().unwrap()));
        assert!(paths[1].is_stale);
        assert_eq!(paths.len(), 2);
    }

    #[test]
    fn a_session_is_found_by_its_lines() {
        let text = "peer0      BGP        ---        up     16:39:30.881  Established\n  \
            BGP state:          Established\n    Neighbor address: 172.30.1.11\n    \
            Neighbor AS:      64512\n    Neighbor ID:      10.0.0.1\n    Local capabilities\n      \
            Graceful restart\n    Neighbor capabilities\n      Graceful restart\n        \
            Restart time: 120\n        AF supported: ipv4\n    Hold timer:       6.1/9\n";
        let lines = blocks(text).next().unwrap();
        let session = session(&lines).unwrap();
        assert!(session.is_up && session.restarts_gracefully);
        assert_eq!((session.asn, session.hold_time), (64512, Some(9)));
    }
}
