//! The configuration as users may write it, a text a line: what does not parse is a problem that names
//! its object, what acts does not depend on when it was read, and admission never panics.
#![no_main]

use std::collections::BTreeMap;

use ferrolb_fuzz::set;
use ferrolb_model::admission::{self, Object, Objects, Operation};
use ferrolb_model::config::Kind;
use ferrolb_model::{Config, ConfigObjects};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

/// Where a line goes, by its first character: the kind, and the field it fills, or adds to.
const FIELDS: [(char, Kind, &str); 33] = [
    ('a', Kind::IpAddressPool, "/addresses/-"),
    ('b', Kind::IpAddressPool, "/serviceAllocation/namespaces/-"),
    ('c', Kind::IpAddressPool, "/serviceAllocation/namespaceSelectors/-"),
    ('d', Kind::IpAddressPool, "/serviceAllocation/serviceSelectors/-"),
    ('e', Kind::L2Advertisement, "/ipAddressPools/-"),
    ('f', Kind::L2Advertisement, "/ipAddressPoolSelectors/-"),
    ('g', Kind::L2Advertisement, "/nodeSelectors/-"),
    ('h', Kind::L2Advertisement, "/interfaces/-"),
    ('i', Kind::BgpAdvertisement, "/communities/-"),
    ('j', Kind::BgpAdvertisement, "/peers/-"),
    ('k', Kind::BgpAdvertisement, "/nodeSelectors/-"),
    ('l', Kind::BgpAdvertisement, "/aggregationLength"),
    ('m', Kind::BgpAdvertisement, "/aggregationLengthV6"),
    ('n', Kind::BgpAdvertisement, "/localPref"),
    ('o', Kind::BgpAdvertisement, "/ipAddressPools/-"),
    ('p', Kind::BgpPeer, "/peerAddress"),
    ('q', Kind::BgpPeer, "/sourceAddress"),
    ('r', Kind::BgpPeer, "/routerID"),
    ('s', Kind::BgpPeer, "/holdTime"),
    ('t', Kind::BgpPeer, "/keepaliveTime"),
    ('u', Kind::BgpPeer, "/connectTime"),
    ('v', Kind::BgpPeer, "/myASN"),
    ('w', Kind::BgpPeer, "/peerASN"),
    ('x', Kind::BgpPeer, "/dynamicASN"),
    ('y', Kind::BgpPeer, "/nodeSelectors/-"),
    ('z', Kind::BgpPeer, "/password"),
    ('A', Kind::BgpPeer, "/bfdProfile"),
    ('B', Kind::BgpPeer, "/peerPort"),
    ('C', Kind::BfdProfile, "/receiveInterval"),
    ('D', Kind::BfdProfile, "/detectMultiplier"),
    ('E', Kind::BfdProfile, "/minimumTtl"),
    ('F', Kind::Community, "/name"),
    ('G', Kind::Community, "/value"),
];

fuzz_target!(|text: &str| {
    let specs = read(text);
    let mut objects = ConfigObjects::default();
    let mut requests = Vec::new();
    for (kind, spec) in specs {
        let value = json!({
            "apiVersion": "metallb.io/v1beta1", "kind": kind.to_string(),
            "metadata": { "name": "one", "namespace": "metallb-system" }, "spec": spec,
        });
        let Ok(object) = Object::read(kind, value) else { continue };
        let request = admission::Request {
            kind,
            operation: Operation::Create,
            namespace: "metallb-system".to_owned(),
            name: "one".to_owned(),
            old: None,
            new: Some(object.clone()),
        };
        requests.push(request);
        objects.put("one", object);
    }
    let config = Config::build(&objects, None);
    assert_eq!(Config::build(&objects, None), config);
    assert_eq!(Config::build(&objects, Some(&config)), config, "nothing has changed");
    for problem in &config.problems {
        assert!(objects.metadata(problem.kind, &problem.name).is_some(), "{problem:?}");
        assert!(!problem.message.is_empty());
    }
    let nodes = BTreeMap::new();
    let known = Objects {
        namespace: "metallb-system",
        config: &objects,
        nodes: &nodes,
        holders: &|_| Vec::new(),
    };
    for request in &requests {
        let verdict = admission::validate(&known, request);
        assert!(verdict.denied.is_none_or(|why| !why.is_empty()));
    }
});

/// One spec of each kind that a line is about.
fn read(text: &str) -> Vec<(Kind, Value)> {
    let mut specs: Vec<(Kind, Value)> = Vec::new();
    for line in text.lines() {
        let mut rest = line.chars();
        let found = rest.next().and_then(|key| FIELDS.iter().find(|(known, ..)| *known == key));
        let Some((_, kind, path)) = found else { continue };
        // Numbers, lists and objects are meant as such, the rest is text.
        let text = rest.as_str();
        let value = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
        let at = specs.iter().position(|(known, _)| known == kind).unwrap_or_else(|| {
            specs.push((*kind, json!({})));
            specs.len() - 1
        });
        set(&mut specs[at].1, path, value);
    }
    for (kind, spec) in &mut specs {
        if *kind == Kind::Community {
            *spec = json!({ "communities": [spec.take()] });
        }
    }
    specs
}
