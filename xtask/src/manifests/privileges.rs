//! `docs/privileges.md`: what the programs may do, and what for.

use std::fmt::Write as _;

use ferrolb_api::permissions::{Component, Name, Permission, Scope, of};

use super::HEADER;

const INTRODUCTION: &str = "\
# What FerroLB may do, and why

Two accounts, each with what its program calls and nothing else. No wildcard, and no account may read Secrets outside FerroLB's own namespace
(`metallb-system` here) or change one that is not its own. The end-to-end suite compares these tables with the API server's audit log.

## On the node

| | Controller | Speaker | What for |
|---|---|---|---|
| User | 65534, never root | 0 | a capability that is granted reaches a process of another user only through file capabilities, which the image does without |
| Capabilities | none | `NET_RAW`, all others dropped | packet sockets: ARP and NDP are not visible to others |
| Network | the Pod's | the node's | it answers on the node's interfaces |
| Root file system | read-only | read-only | |
| Privilege escalation | off | off | |
| System calls | `RuntimeDefault` | `RuntimeDefault` | |
| Host paths | none | none | |
| Pod Security level | `restricted` | `privileged` | the node's network and `NET_RAW` are beyond `baseline`; both live in one namespace, hence its labels |
";

/// The whole page.
pub(super) fn page() -> String {
    let mut text = format!("<!-- {HEADER} -->\n{INTRODUCTION}");
    for (component, title) in
        [(Component::Controller, "The controller"), (Component::Speaker, "A speaker")]
    {
        for (scope, place) in [
            (Scope::Cluster, "in the whole cluster"),
            (Scope::Own, "in its own namespace"),
            (Scope::NodeLeases, "in `kube-node-lease`"),
        ] {
            table(&mut text, title, place, of(component, scope));
        }
    }
    text
}

fn table<'a>(
    text: &mut String,
    title: &str,
    place: &str,
    lines: impl Iterator<Item = &'a Permission>,
) {
    let mut lines = lines.peekable();
    if lines.peek().is_none() {
        return;
    }
    let _ =
        write!(text, "\n## {title}, {place}\n\n| Objects | Verbs | What for |\n|---|---|---|\n");
    for line in lines {
        let _ =
            writeln!(text, "| {} | {} | {} |", objects(line), line.verbs.join(" "), reason(line));
    }
}

fn objects(line: &Permission) -> String {
    let group = if line.group.is_empty() { String::new() } else { format!(".{}", line.group) };
    let resources: Vec<_> = line
        .resources
        .iter()
        .map(|resource| match resource.split_once('/') {
            Some((kind, part)) => format!("`{kind}{group}/{part}`"),
            None => format!("`{resource}{group}`"),
        })
        .collect();
    let names: Vec<_> = line.names.iter().map(|name| called(*name)).collect();
    let names =
        if names.is_empty() { String::new() } else { format!(", only {}", names.join(", ")) };
    resources.join(", ") + &names
}

fn called(name: Name) -> String {
    match name {
        Name::Fixed(name) => format!("`{name}`"),
        Name::MemberlistSecret => "the memberlist Secret".to_owned(),
        Name::Deployment => "its own".to_owned(),
        Name::BgpSecrets => {
            "those of the chart's `speaker.bgpSecretNames`, when it has some".to_owned()
        }
    }
}

fn reason(line: &Permission) -> String {
    match line.optional {
        None => line.why.to_owned(),
        Some(why) => format!("{} (rarely used: {why})", line.why),
    }
}
