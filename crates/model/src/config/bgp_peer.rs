//! One `BGPPeer`, read and checked on its own (`bgp.md` 2.2).

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ferrolb_api as api;

use super::problem::{Fault, Kind, Problem, ProblemReason};
use super::{duration, selectors};
use crate::bgp::{Asn, PASSWORD_AT_MOST, PasswordSource, Peer, PeerName, RemoteAs, Timers};

/// The port of BGP.
const PORT: u16 = 179;

impl Peer {
    /// Reads `object`; every fault in it is reported, not just the first.
    pub(super) fn parse(name: &str, object: &api::BGPPeer) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let spec = &object.spec;
        refuse_unsupported(spec, &mut faults);
        let my_asn = my_asn(spec, &mut faults);
        let remote_as = remote_as(spec, &mut faults);
        let address = address(spec, &mut faults);
        let internal =
            spec.peer_asn == Some(spec.my_asn) || spec.dynamic_asn.as_deref() == Some("internal");
        if internal && spec.ebgp_multi_hop {
            faults.push(conflict("spec.ebgpMultiHop", "true", "is for peers of another AS"));
        }
        let local_asn = spec.local_asn.and_then(|asn| {
            number("spec.localASN", asn, 1..=u32::MAX.into(), &mut faults).map(Asn)
        });
        let port = match spec.peer_port {
            None | Some(0) => Some(PORT),
            Some(port) => number("spec.peerPort", port, 1..=u16::MAX.into(), &mut faults),
        };
        let source_address =
            optional_address("spec.sourceAddress", &spec.source_address, &mut faults);
        let router_id = router_id(&spec.router_id, &mut faults);
        let timers = timers(spec, &mut faults);
        let connect_time = connect_time(spec, &mut faults);
        let password = password(spec, &mut faults);
        let node_selectors =
            selectors::parse_all("spec.nodeSelectors", &spec.node_selectors, &mut faults);
        let (Some(my_asn), Some(remote_as), Some(address), Some(port)) =
            (my_asn, remote_as, address, port)
        else {
            return Err(faults);
        };
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self {
            name: PeerName::new(name),
            created: object.metadata.creation_timestamp.clone(),
            my_asn,
            remote_as,
            local_asn,
            address,
            port,
            source_address,
            router_id,
            timers,
            connect_time,
            password,
            bfd_profile: set(&spec.bfd_profile).map(Into::into),
            graceful_restart: spec.enable_graceful_restart,
            multihop: spec.ebgp_multi_hop,
            dual_stack: spec.dual_stack_address_family,
            node_selectors,
        })
    }

    /// What is wrong with this peer beside an `older` one with the same address on the same node.
    pub(crate) fn duplicates(&self, older: &Self) -> Problem {
        let cause =
            format!("peer {} with the same address already exists on this node", older.name);
        let fault = Fault::at("spec.peerAddress", &self.address.to_string(), &cause)
            .because(ProblemReason::Duplicate);
        Kind::BgpPeer.problem(&self.name, fault, false)
    }
}

/// What we cannot do yet, said by field.
fn refuse_unsupported(spec: &api::BGPPeerSpec, faults: &mut Vec<Fault>) {
    let fields = [
        ("spec.interface", &spec.interface, "sessions without configured addresses"),
        ("spec.vrf", &spec.vrf, "sessions in a VRF"),
    ];
    for (field, value, what) in fields {
        if !value.is_empty() {
            let cause = format!("{what} are not supported yet");
            faults.push(Fault::at(field, value, &cause).because(ProblemReason::Unsupported));
        }
    }
}

fn my_asn(spec: &api::BGPPeerSpec, faults: &mut Vec<Fault>) -> Option<Asn> {
    if spec.my_asn == 0 {
        // Upstream's tests compare these words literally (row K-005).
        let fault = Fault::new("spec.myASN", "", "missing local ASN".to_owned());
        faults.push(fault.because(ProblemReason::Missing));
        return None;
    }
    number("spec.myASN", spec.my_asn, 1..=u32::MAX.into(), faults).map(Asn)
}

fn remote_as(spec: &api::BGPPeerSpec, faults: &mut Vec<Fault>) -> Option<RemoteAs> {
    let number = spec.peer_asn.filter(|asn| *asn != 0);
    let dynamic = spec.dynamic_asn.as_deref().and_then(set);
    match (number, dynamic) {
        (None, None) => {
            let fault = Fault::at("spec.peerASN", "", &"missing, and so is dynamicASN");
            faults.push(fault.because(ProblemReason::Missing));
            None
        }
        (Some(_), Some(dynamic)) => {
            faults.push(conflict("spec.dynamicASN", dynamic, "cannot stand beside peerASN"));
            None
        }
        (Some(asn), None) => self::number("spec.peerASN", asn, 1..=u32::MAX.into(), faults)
            .map(|asn| RemoteAs::Number(Asn(asn))),
        (None, Some("internal")) => Some(RemoteAs::Internal),
        (None, Some("external")) => Some(RemoteAs::External),
        (None, Some(other)) => {
            let cause = format!("{other:?} is neither internal nor external");
            faults.push(Fault::at("spec.dynamicASN", other, &cause));
            None
        }
    }
}

fn address(spec: &api::BGPPeerSpec, faults: &mut Vec<Fault>) -> Option<IpAddr> {
    match (set(&spec.peer_address), set(&spec.interface)) {
        (Some(text), None) => {
            let address = text.parse().map(|address: IpAddr| address.to_canonical());
            if address.is_err() {
                // Upstream's tests look for the first words (row WH-04).
                let cause = format!("invalid BGPPeer address {text:?}: it is not an IP address");
                faults.push(Fault::at("spec.peerAddress", text, &cause));
            }
            address.ok()
        }
        (Some(text), Some(_)) => {
            faults.push(conflict("spec.peerAddress", text, "cannot stand beside interface"));
            None
        }
        (None, Some(_)) => None,
        (None, None) => {
            let fault = Fault::at("spec.peerAddress", "", &"missing, and so is interface");
            faults.push(fault.because(ProblemReason::Missing));
            None
        }
    }
}

fn optional_address(field: &str, text: &str, faults: &mut Vec<Fault>) -> Option<IpAddr> {
    let address = set(text)?.parse().map(|address: IpAddr| address.to_canonical());
    if address.is_err() {
        faults.push(Fault::at(field, text, &format_args!("{text:?} is not an IP address")));
    }
    address.ok()
}

/// RFC 6286 2.1: an identifier is four octets, not all zero.
fn router_id(text: &str, faults: &mut Vec<Fault>) -> Option<Ipv4Addr> {
    let id = set(text)?.parse::<Ipv4Addr>().ok().filter(|id| !id.is_unspecified());
    if id.is_none() {
        let cause = format!("{text:?} is not written like an IPv4 address, or is zero");
        faults.push(Fault::at("spec.routerID", text, &cause));
    }
    id
}

/// RFC 4271 4.2: the hold time is zero or at least three seconds.
fn timers(spec: &api::BGPPeerSpec, faults: &mut Vec<Fault>) -> Option<Timers> {
    let hold = time("spec.holdTime", spec.hold_time.as_deref(), faults);
    let keepalive = time("spec.keepaliveTime", spec.keepalive_time.as_deref(), faults);
    let (hold, keepalive) = match (hold, keepalive) {
        (Some(hold), Some(keepalive)) => (hold, keepalive),
        (Some(hold), None) => (hold, hold / 3),
        (None, Some(keepalive)) => (keepalive.saturating_mul(3), keepalive),
        (None, None) => return None,
    };
    let text = spec.hold_time.as_deref().unwrap_or_default();
    if keepalive > hold {
        let value = spec.keepalive_time.as_deref().unwrap_or_default();
        faults.push(conflict("spec.keepaliveTime", value, "is longer than the hold time"));
    }
    let seconds = hold.as_secs();
    if (1..3).contains(&seconds) || seconds > u16::MAX.into() {
        let cause = format!("{text:?} is neither zero nor from 3 s to 65535 s");
        faults.push(Fault::at("spec.holdTime", text, &cause));
    }
    let hold = Duration::from_secs(seconds);
    Some(Timers { hold, keepalive: keepalive.min(hold) })
}

fn connect_time(spec: &api::BGPPeerSpec, faults: &mut Vec<Fault>) -> Option<Duration> {
    let text = spec.connect_time.as_deref()?;
    let time = time("spec.connectTime", Some(text), faults)?;
    let is_whole = time.subsec_nanos() == 0;
    if !is_whole || !(1..=u16::MAX.into()).contains(&time.as_secs()) {
        let cause = format!("{text:?} is not a whole number of seconds from 1 to 65535");
        faults.push(Fault::at("spec.connectTime", text, &cause));
    }
    Some(time)
}

fn time(field: &str, text: Option<&str>, faults: &mut Vec<Fault>) -> Option<Duration> {
    let text = text?;
    let time = duration::parse(text);
    if time.is_none() {
        faults.push(Fault::at(field, text, &format_args!("{text:?} is no duration like 90s")));
    }
    time
}

/// The value of a password is never part of a fault.
fn password(spec: &api::BGPPeerSpec, faults: &mut Vec<Fault>) -> PasswordSource {
    let secret = set(&spec.password_secret.name);
    match (spec.password.is_empty(), secret) {
        (true, None) => PasswordSource::None,
        (true, Some(name)) => PasswordSource::Secret(name.into()),
        (false, Some(name)) => {
            faults.push(conflict("spec.passwordSecret.name", name, "cannot stand beside password"));
            PasswordSource::None
        }
        (false, None) => {
            if spec.password.expose().len() > PASSWORD_AT_MOST {
                let cause = format!("is longer than {PASSWORD_AT_MOST} bytes");
                faults.push(Fault::at("spec.password", "", &cause));
            }
            PasswordSource::Written(spec.password.clone())
        }
    }
}

fn number<T: TryFrom<i64>>(
    field: &str,
    value: i64,
    range: std::ops::RangeInclusive<i64>,
    faults: &mut Vec<Fault>,
) -> Option<T> {
    let number = range.contains(&value).then(|| T::try_from(value).ok()).flatten();
    if number.is_none() {
        faults.push(Fault::out_of_range(field, value, &range));
    }
    number
}

fn conflict(field: &str, value: &str, cause: &str) -> Fault {
    Fault::at(field, value, &cause).because(ProblemReason::Conflict)
}

fn set(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}
