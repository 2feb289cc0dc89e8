//! Admission and configuration agree: what is let in is valid, and what is refused would not have
//! been, whatever is written.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;

use ferrolb_ipam::PoolName;
use ferrolb_model::admission::{Holder, Object, Objects, Operation, Request, validate};
use ferrolb_model::config::Kind;
use ferrolb_model::{Config, ConfigObjects, ProblemReason};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

/// Fields with values that are right, wrong or odd, all of the type the schema asks for.
fn spec(kind: Kind) -> BoxedStrategy<Value> {
    let text = || {
        select(vec![
            "10.0.0.1",
            "10.0.0.0/24",
            "10.0.0.128/25",
            "10.0.0.9-10.0.1.9",
            "2001:db8::/64",
            "9s",
            "500ms",
            "-1s",
            "internal",
            "a",
            "a",
            "b",
            "65000:1",
            "65000:99999",
            "large:1:2:3",
            "",
            "x:y:z:w",
            "0",
            "\u{b5}s",
        ])
        .prop_map(Value::from)
    };
    let number = || {
        prop_oneof![select(vec![
            -1_i64,
            0,
            1,
            2,
            3,
            24,
            32,
            64,
            100,
            128,
            179,
            64500,
            1 << 32,
            i64::MAX
        ])]
        .prop_map(Value::from)
    };
    let flag = || any::<bool>().prop_map(Value::from);
    let texts = || prop::collection::vec(text(), 0..3).prop_map(Value::from);
    let selectors = || {
        let one = (select(vec!["In", "Exists", "Is"]), select(vec![json!([]), json!(["b"])]));
        let one = one.prop_map(|(operator, values)| {
            json!({ "matchExpressions": [{ "key": "a", "operator": operator, "values": values }] })
        });
        prop::collection::vec(prop_oneof![Just(json!({})), one], 0..2).prop_map(Value::from)
    };
    let aliases = || {
        let one =
            (text(), text()).prop_map(|(name, value)| json!({ "name": name, "value": value }));
        prop::collection::vec(one, 0..3).prop_map(Value::from)
    };
    let fields: Vec<(&'static str, BoxedStrategy<Value>)> = match kind {
        Kind::IpAddressPool => vec![
            ("addresses", texts().boxed()),
            ("autoAssign", flag().boxed()),
            (
                "serviceAllocation",
                selectors().prop_map(|s| json!({ "serviceSelectors": s })).boxed(),
            ),
        ],
        Kind::L2Advertisement => {
            vec![("ipAddressPools", texts().boxed()), ("nodeSelectors", selectors().boxed())]
        }
        Kind::BgpAdvertisement => vec![
            ("ipAddressPools", texts().boxed()),
            ("peers", texts().boxed()),
            ("communities", texts().boxed()),
            ("localPref", number().boxed()),
            ("aggregationLength", number().boxed()),
            ("aggregationLengthV6", number().boxed()),
            ("serviceSelectors", selectors().boxed()),
        ],
        Kind::BgpPeer => vec![
            ("myASN", number().boxed()),
            ("peerASN", number().boxed()),
            ("peerAddress", text().boxed()),
            ("peerPort", number().boxed()),
            ("holdTime", text().boxed()),
            ("keepaliveTime", text().boxed()),
            ("connectTime", text().boxed()),
            ("routerID", text().boxed()),
            ("bfdProfile", text().boxed()),
            ("dynamicASN", text().boxed()),
            ("vrf", text().boxed()),
            ("nodeSelectors", selectors().boxed()),
        ],
        Kind::BfdProfile => vec![
            ("receiveInterval", number().boxed()),
            ("detectMultiplier", number().boxed()),
            ("echoMode", flag().boxed()),
            ("minimumTtl", number().boxed()),
        ],
        Kind::Community => vec![("communities", aliases().boxed())],
    };
    let fields: Vec<_> = fields
        .into_iter()
        .map(|(name, value)| prop::option::weighted(0.6, value).prop_map(move |v| (name, v)))
        .collect();
    let written = |fields: Vec<(&str, Option<Value>)>| {
        let set = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(set.collect::<Map<_, _>>())
    };
    fields.prop_map(written).boxed()
}

fn mk_object(kind: Kind, name: &str, spec: &Value) -> Object {
    let written = json!({
        "apiVersion": "metallb.io/v1beta1", "kind": kind.to_string(),
        "metadata": { "name": name }, "spec": spec,
    });
    Object::read(kind, written).unwrap()
}

fn kind_and_spec() -> impl Strategy<Value = (Kind, Value)> {
    select(Kind::ALL.to_vec()).prop_flat_map(|kind| (Just(kind), spec(kind)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn what_is_let_in_is_valid(
        existing in prop::collection::vec((select(vec!["a", "b"]), kind_and_spec()), 0..6),
        (kind, spec) in kind_and_spec(),
    ) {
        let mut objects = ConfigObjects::default();
        for (name, (kind, spec)) in existing {
            objects.put(name, mk_object(kind, name, &spec));
        }
        let holders = |_: &PoolName| Vec::<Holder>::new();
        let request = Request {
            kind,
            operation: Operation::Create,
            namespace: "ours".to_owned(),
            name: "c".to_owned(),
            old: None,
            new: Some(mk_object(kind, "c", &spec)),
        };
        let nodes = BTreeMap::new();
        let existing =
            Objects { namespace: "ours", config: &objects, nodes: &nodes, holders: &holders };
        let denied = validate(&existing, &request).denied;

        // What only others could be blamed for is not judged here: alone, it is let in if valid.
        let mut alone = ConfigObjects::default();
        alone.put("c", mk_object(kind, "c", &spec));
        objects.put("c", mk_object(kind, "c", &spec));
        let faults = |objects: &ConfigObjects| {
            let config = Config::build(objects, None);
            let own = |p: &&ferrolb_model::Problem| p.kind == kind && &*p.name == "c";
            let harmless = [ProblemReason::DanglingReference, ProblemReason::Unsupported];
            config.problems.iter().filter(own).filter(|p| !harmless.contains(&p.reason)).count()
        };
        if denied.is_none() {
            prop_assert_eq!(faults(&objects), 0);
        }
        if faults(&alone) > 0 {
            prop_assert!(denied.is_some());
        }
    }
}
