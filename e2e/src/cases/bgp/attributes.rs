//! What a route carries.

use ferrolb_addr::Family;
use ferrolb_lab::Result;
use ferrolb_lab::router::{Path, Router, Software};
use ipnet::IpNet;
use serde_json::{Value, json};

use super::{
    Link, POOL, announce, bgp_advertisement, case, dual, each, net, routed, routed_by_all,
};
use crate::manifest::{configuration, pool};
use crate::stage::{PATIENCE, Stage, check};
use crate::suite::Case;

pub(super) const CASES: &[Case] = &[
    case(
        "attributes_inside_an_as",
        "BGP-47 BGP-48 BGP-49 BGP-50 BGP-51 BGP-53 BGP-54 BGP-55 BGP-56 BGP-57 BGP-86 E10 communities by \
         value and by name, large ones, LOCAL_PREF; none on others",
        internal,
    ),
    case("attributes_over_v6", "BGP-87 the same over IPv6 sessions", over_v6),
    case("pool_selector", "BGP-52 the pool is chosen by its label", pool_selector),
    case(
        "attributes_updated",
        "BGP-59 BGP-60 W-08 E10 changed in place, no session is reset",
        updated,
    ),
    case("advertisements_unite", "BGP-58 communities of two advertisements are one set", unite),
];

/// Waits until every way to a prefix has what is wanted.
fn carries(
    router: &Router,
    prefix: IpNet,
    wanted: &str,
    has: impl Fn(&Path) -> bool,
) -> Result<()> {
    let what = format!("{} has {prefix} with {wanted}", router.name());
    ferrolb_lab::api::wait_until(&what, PATIENCE, || {
        let paths = router.paths(prefix)?;
        let all = !paths.is_empty() && paths.iter().all(&has);
        Ok(if all { Ok(()) } else { Err(format!("{paths:?}")) })
    })
}

fn communities(path: &Path) -> Vec<&str> {
    let mut all: Vec<_> = path.communities.iter().map(String::as_str).collect();
    all.sort_unstable();
    all
}

/// What an advertisement is told to add.
struct Extras {
    /// Communities by value.
    plain: &'static [&'static str],
    /// Whether the first of them is called by its name.
    by_name: bool,
    large: &'static [&'static str],
    preference: Option<u32>,
}

const NO_EXTRAS: Extras = Extras { plain: &[], by_name: false, large: &[], preference: None };

const EXTRAS: [Extras; 5] = [
    Extras { plain: &["65535:65282"], preference: Some(50), ..NO_EXTRAS },
    Extras { large: &["123:456:7890"], preference: Some(50), ..NO_EXTRAS },
    Extras { preference: Some(50), ..NO_EXTRAS },
    Extras { plain: &["64512:7"], ..NO_EXTRAS },
    Extras { plain: &["65535:65282"], by_name: true, preference: Some(50), ..NO_EXTRAS },
];

fn internal(stage: &mut Stage) -> Result<()> {
    attributes(stage, Family::V4)
}

fn over_v6(stage: &mut Stage) -> Result<()> {
    attributes(stage, Family::V6)
}

fn attributes(stage: &Stage, transport: Family) -> Result<()> {
    stage.apply(&pool("with", &POOL))?;
    stage.apply(&pool("without", &["203.0.113.32/28", "2001:db8:7::/124"]))?;
    stage
        .apply(&configuration("Community", "names").spec(
            &json!({ "communities": [{ "name": "NO_ADVERTISE", "value": "65535:65282" }] }),
        ))?;
    stage.apply(&bgp_advertisement("plain").spec(&json!({ "ipAddressPools": ["without"] })))?;
    stage.apply(&dual("one").annotate("metallb.io/address-pool", "with"))?;
    stage.apply(&dual("two").annotate("metallb.io/address-pool", "with"))?;
    stage.apply(&dual("other").annotate("metallb.io/address-pool", "without"))?;
    let mut with = stage.addresses("one")?;
    with.extend(stage.addresses("two")?);
    let without = stage.addresses("other")?;
    Link::about_both(transport).internal().join(stage)?;
    for Extras { plain, by_name, large, preference } in EXTRAS {
        let plain_words = if by_name { &["NO_ADVERTISE"] } else { plain };
        let large_words = large.iter().map(|value| format!("large:{value}"));
        let words = plain_words.iter().map(|word| (*word).to_owned());
        stage.apply(&bgp_advertisement("tested").spec(&json!({
            "ipAddressPools": ["with"],
            "communities": words.chain(large_words).collect::<Vec<_>>(),
            "localPref": preference,
        })))?;
        let has = |path: &Path| {
            // Inside of an AS a route without a preference would carry the default.
            communities(path) == *plain
                && path.large_communities == *large
                && path.local_pref == preference.or(Some(100))
        };
        let feature =
            if large.is_empty() { "communities, LOCAL_PREF on iBGP" } else { "large communities" };
        each(stage, feature, &Software::ALL, |router| {
            for address in &with {
                let wanted = format!("{plain:?} {large:?} {preference:?}");
                carries(router, IpNet::from(*address), &wanted, has)?;
                routed_by_all(stage, router, IpNet::from(*address))?;
            }
            without.iter().try_for_each(|address| {
                carries(router, IpNet::from(*address), "nothing", |path| {
                    communities(path).is_empty()
                        && path.large_communities.is_empty()
                        && path.local_pref != Some(50)
                })
            })
        })?;
    }
    Ok(())
}

fn pool_selector(stage: &mut Stage) -> Result<()> {
    stage.apply(&pool("with", &POOL).label("test", "bgp"))?;
    stage.apply(&pool("without", &["203.0.113.32/28", "2001:db8:7::/124"]))?;
    stage.apply(&bgp_advertisement("tested").spec(&json!({
        "ipAddressPoolSelectors": [{ "matchLabels": { "test": "bgp" } }],
        "communities": ["64512:7"],
    })))?;
    stage.apply(&dual("one").annotate("metallb.io/address-pool", "with"))?;
    stage.apply(&dual("other").annotate("metallb.io/address-pool", "without"))?;
    let (with, without) = (stage.addresses("one")?, stage.addresses("other")?);
    Link::about_both(Family::V4).join(stage)?;
    each(stage, "advertisements choose pools", &Software::ALL, |router| {
        for address in &with {
            carries(router, IpNet::from(*address), "64512:7", |path| {
                communities(path) == ["64512:7"]
            })?;
        }
        let without: Vec<_> = without.iter().map(|address| IpNet::from(*address)).collect();
        super::never_routed(router, &without)
    })
}

fn updated(stage: &mut Stage) -> Result<()> {
    stage.apply(&pool("bgp", &["203.0.113.0/24", "2001:db8:6::/124"]))?;
    let advertise = |spec: &Value| stage.apply(&bgp_advertisement("tested").spec(spec));
    advertise(&json!({ "communities": ["65535:65282"], "localPref": 200 }))?;
    stage.apply(&dual("web"))?;
    let addresses = stage.addresses("web")?;
    let link = Link::about_both(Family::V4).internal();
    link.join(stage)?;
    let feature = "attributes and aggregation change in place";
    let count = |router: &Router| -> Result<Vec<_>> {
        Ok(router.sessions()?.iter().map(|session| session.established).collect())
    };
    let before: Vec<_> = stage.routers().iter().map(count).collect::<Result<_>>()?;
    each(stage, feature, &Software::ALL, |router| {
        addresses.iter().try_for_each(|address| {
            carries(router, IpNet::from(*address), "200", |path| {
                communities(path) == ["65535:65282"] && path.local_pref == Some(200)
            })
        })
    })?;
    advertise(&json!({
        "communities": ["123:456"], "localPref": 300,
        "aggregationLength": 24, "aggregationLengthV6": 124,
    }))?;
    each(stage, feature, &Software::ALL, |router| {
        for prefix in ["203.0.113.0/24", "2001:db8:6::/124"] {
            let prefix = net(prefix)?;
            carries(router, prefix, "300", |path| {
                communities(path) == ["123:456"] && path.local_pref == Some(300)
            })?;
            routed_by_all(stage, router, prefix)?;
        }
        addresses
            .iter()
            .try_for_each(|address| routed(stage, router, IpNet::from(*address), &[]).map(drop))
    })?;
    let after: Vec<_> = stage.routers().iter().map(count).collect::<Result<_>>()?;
    check(before == after, || format!("sessions were reset: {before:?} {after:?}"))
}

fn unite(stage: &mut Stage) -> Result<()> {
    announce(stage)?;
    stage.kubectl(&["delete", "bgpadvertisements", "bgp", "-n", ferrolb_lab::NAMESPACE])?;
    for (name, community) in [("first", "65000:100"), ("second", "65000:200")] {
        stage.apply(&bgp_advertisement(name).spec(&json!({ "communities": [community] })))?;
    }
    stage.apply(&dual("web"))?;
    let addresses = stage.addresses("web")?;
    Link::about_both(Family::V4).join(stage)?;
    each(stage, "communities of two advertisements unite", &Software::ALL, |router| {
        addresses.iter().try_for_each(|address| {
            carries(router, IpNet::from(*address), "both", |path| {
                communities(path) == ["65000:100", "65000:200"]
            })
        })
    })
}
