//! `cargo xtask rfc`: which section of which standard is obeyed where, as comments in the code cite it.
//!
//! A citation is `RFC 4271 8.2.2`, or several sections of one standard, `RFC 7606 7.6, 7.7`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

const FILE: &str = "docs/rfc.md";

/// How to run the chore.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write nothing; fail when the file is not what would be written
    #[arg(long)]
    check: bool,
}

/// Writes the list, or with `--check` fails where it is not what the code says.
pub(crate) fn run(args: &Args, root: &Path) -> Result<()> {
    let wanted = page(&citations(&root.join("crates"))?)?;
    let path = root.join(FILE);
    if !args.check {
        return fs::write(&path, wanted).with_context(|| format!("cannot write {FILE}"));
    }
    if fs::read_to_string(&path).unwrap_or_default() != wanted {
        bail!("{FILE} is not what the code cites: run `cargo xtask rfc`");
    }
    Ok(())
}

/// Numbers of a section; none for a standard as a whole.
type Section = Vec<u16>;

/// Where a section is cited.
#[derive(Debug, Default)]
struct Places {
    code: BTreeSet<String>,
    tests: BTreeSet<String>,
}

/// Standard → section → places.
type Citations = BTreeMap<u16, BTreeMap<Section, Places>>;

fn citations(crates: &Path) -> Result<Citations> {
    let mut files = Vec::new();
    collect(crates, &mut files)?;
    let mut citations = Citations::new();
    for file in files {
        let place = file.strip_prefix(crates).unwrap_or(&file).display().to_string();
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {place}"))?;
        let is_test = place.contains("/tests");
        for line in text.lines() {
            let Some((_, comment)) = line.split_once("//") else { continue };
            for (standard, section) in cited(comment) {
                let places = citations.entry(standard).or_default().entry(section).or_default();
                let kind = if is_test { &mut places.tests } else { &mut places.code };
                kind.insert(place.clone());
            }
        }
    }
    Ok(citations)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("{}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// Standards and sections that a line names.
fn cited(line: &str) -> Vec<(u16, Section)> {
    let mut found = Vec::new();
    for part in line.split("RFC ").skip(1) {
        let Some((standard, mut rest)) = number(part) else { continue };
        let mut sections = Vec::new();
        while let Some((section, behind)) = behind_any(rest, gaps(&sections)).and_then(section) {
            sections.push(section);
            rest = behind;
        }
        if sections.is_empty() {
            sections.push(Section::new());
        }
        found.extend(sections.into_iter().map(|section| (standard, section)));
        // `RFC 5880, 5881`: four digits are a standard.
        while let Some((standard, behind)) = rest.strip_prefix(", ").and_then(number) {
            if standard < 1000 {
                break;
            }
            found.push((standard, Section::new()));
            rest = behind;
        }
    }
    found
}

/// What stands before a first section, and before another one.
fn gaps(sections: &[Section]) -> &'static [&'static str] {
    if sections.is_empty() { &[" "] } else { &[", ", " and ", " to "] }
}

fn behind_any<'a>(text: &'a str, starts: &[&str]) -> Option<&'a str> {
    starts.iter().find_map(|start| text.strip_prefix(start))
}

/// Numbers with dots between them, which are no standard's.
fn section(text: &str) -> Option<(Section, &str)> {
    let (first, mut rest) = number(text).filter(|(first, _)| *first < 1000)?;
    let mut numbers = vec![first];
    while let Some((next, behind)) = rest.strip_prefix('.').and_then(number) {
        numbers.push(next);
        rest = behind;
    }
    Some((numbers, rest))
}

fn number(text: &str) -> Option<(u16, &str)> {
    let digits = text.chars().take_while(char::is_ascii_digit).count();
    let (digits, rest) = text.split_at(digits);
    Some((digits.parse().ok()?, rest))
}

fn page(citations: &Citations) -> Result<String> {
    let mut text = INTRODUCTION.to_owned();
    for (standard, sections) in citations {
        let Some((_, title)) = TITLES.iter().find(|(known, _)| known == standard) else {
            bail!("RFC {standard} is cited and has no title in xtask/src/rfc.rs");
        };
        let _ = write!(
            text,
            "\n## [RFC {standard}](https://www.rfc-editor.org/rfc/rfc{standard}): {title}\n\n\
             | Section | Code | Tests |\n|---|---|---|\n"
        );
        for (section, Places { code, tests }) in sections {
            let numbers: Vec<_> = section.iter().map(ToString::to_string).collect();
            let section = if numbers.is_empty() { "all".to_owned() } else { numbers.join(".") };
            let _ = writeln!(text, "| {section} | {} | {} |", listed(code), listed(tests));
        }
    }
    Ok(text)
}

fn listed(places: &BTreeSet<String>) -> String {
    let names: Vec<_> = places.iter().map(|place| format!("`{place}`")).collect();
    names.join(", ")
}

const INTRODUCTION: &str = "# Standards

Made by `cargo xtask rfc` from the citations in comments; edit those instead. Paths are below `crates/`. A row says where a
section is obeyed, not that every sentence of it applies to a speaker that announces and learns nothing.

| Room | What it does | What it does not |
|---|---|---|
| `bgp-proto` | speaks BGP-4 as the side that dials: both families over either transport, four-octet AS, graceful restart as the restarting side, route refresh, extended messages and next hops, revised error handling, shutdown texts, send-hold timer | accepts no connections, keeps no routes of the peer, sends no ORF |
| `bfd-proto` | asynchronous BFD on the link and over several hops, active or passive | echo, demand of its own, authentication |
| `l2-proto` | answers ARP and neighbour solicitations for addresses of Services, announces them, looks for others who do | resolves nothing, probes no reachability |
";

/// Titles of all that is cited.
const TITLES: &[(u16, &str)] = &[
    (826, "An Ethernet Address Resolution Protocol"),
    (1027, "Using ARP to Implement Transparent Subnet Gateways"),
    (1997, "BGP Communities Attribute"),
    (2104, "HMAC: Keyed-Hashing for Message Authentication"),
    (2385, "Protection of BGP Sessions via the TCP MD5 Signature Option"),
    (2464, "Transmission of IPv6 Packets over Ethernet Networks"),
    (2545, "Use of BGP-4 Multiprotocol Extensions for IPv6 Inter-Domain Routing"),
    (2918, "Route Refresh Capability for BGP-4"),
    (4271, "A Border Gateway Protocol 4 (BGP-4)"),
    (4291, "IP Version 6 Addressing Architecture"),
    (4443, "Internet Control Message Protocol (ICMPv6)"),
    (4486, "Subcodes for BGP Cease Notification Message"),
    (4541, "Considerations for IGMP and MLD Snooping Switches"),
    (4594, "Configuration Guidelines for DiffServ Service Classes"),
    (4648, "The Base16, Base32, and Base64 Data Encodings"),
    (4724, "Graceful Restart Mechanism for BGP"),
    (4760, "Multiprotocol Extensions for BGP-4"),
    (4861, "Neighbor Discovery for IP version 6 (IPv6)"),
    (4862, "IPv6 Stateless Address Autoconfiguration"),
    (5065, "Autonomous System Confederations for BGP"),
    (5082, "The Generalized TTL Security Mechanism (GTSM)"),
    (5227, "IPv4 Address Conflict Detection"),
    (5291, "Outbound Route Filtering Capability for BGP-4"),
    (5492, "Capabilities Advertisement with BGP-4"),
    (5652, "Cryptographic Message Syntax (CMS)"),
    (5869, "HMAC-based Extract-and-Expand Key Derivation Function (HKDF)"),
    (5880, "Bidirectional Forwarding Detection (BFD)"),
    (5881, "BFD for IPv4 and IPv6 (Single Hop)"),
    (5882, "Generic Application of BFD"),
    (5883, "BFD for Multihop Paths"),
    (5952, "A Recommendation for IPv6 Address Text Representation"),
    (6286, "Autonomous-System-Wide Unique BGP Identifier for BGP-4"),
    (6608, "Subcodes for BGP Finite State Machine Error"),
    (6793, "BGP Support for Four-Octet Autonomous System (AS) Number Space"),
    (6980, "Security Implications of IPv6 Fragmentation with IPv6 Neighbor Discovery"),
    (7313, "Enhanced Route Refresh Capability for BGP-4"),
    (7386, "JSON Merge Patch"),
    (7527, "Enhanced Duplicate Address Detection"),
    (7606, "Revised Error Handling for BGP UPDATE Messages"),
    (7607, "Codification of AS 0 Processing"),
    (8092, "BGP Large Communities Attribute"),
    (8200, "Internet Protocol, Version 6 (IPv6) Specification"),
    (8259, "The JavaScript Object Notation (JSON) Data Interchange Format"),
    (8326, "Graceful BGP Session Shutdown"),
    (8538, "Notification Message Support for BGP Graceful Restart"),
    (8654, "Extended Message Support for BGP"),
    (8950, "Advertising IPv4 NLRI with an IPv6 Next Hop"),
    (9003, "Extended BGP Administrative Shutdown Communication"),
    (9072, "Extended Optional Parameters Length for BGP OPEN Message"),
    (9384, "A BGP Cease NOTIFICATION Subcode for BFD"),
    (9687, "BGP-4 Send Hold Timer"),
];

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::one(" RFC 4271 8.2.2: only then", "4271 8.2.2")]
    #[case::end_of_sentence(" of RFC 4648 10.", "4648 10")]
    #[case::several(" RFC 7606 7.6, 7.7 and 7.9", "7606 7.6; 7606 7.7; 7606 7.9")]
    #[case::two_standards(" RFC 4271 4.1, RFC 2918 3).", "4271 4.1; 2918 3")]
    #[case::standards(" (RFC 5880, 5881)", "5880; 5881")]
    #[case::a_whole_one(" RFC 8538, N bit", "8538")]
    #[case::none(" RFC or not", "")]
    fn citations_are_read(#[case] line: &str, #[case] expected: &str) {
        let found = cited(line).into_iter().map(|(standard, section)| {
            let section: Vec<_> = section.iter().map(ToString::to_string).collect();
            format!("{standard} {}", section.join(".")).trim().to_owned()
        });
        assert_eq!(found.collect::<Vec<_>>().join("; "), expected);
    }
}
