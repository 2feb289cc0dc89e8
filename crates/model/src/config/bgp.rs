//! The part of a configuration that BGP reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use ferrolb_ipam::PoolName;

use super::problem::{Fault, Kind, Problem, ProblemReason};
use super::{
    BgpAdvertisement, BgpAdvertisementSource, CommunitySource, Config, ConfigObjects, bfd_profile,
    community,
};
use crate::bgp::{BfdProfile, Peer, PeerName};

impl Config {
    pub(super) fn take_bgp(&mut self, objects: &ConfigObjects, previous: Option<&Self>) {
        self.take_bfd_profiles(objects, previous);
        self.take_peers(objects, previous);
        self.take_communities(objects, previous);
        self.take_bgp_advertisements(objects, previous);
    }

    fn take_bfd_profiles(&mut self, objects: &ConfigObjects, previous: Option<&Self>) {
        for (name, object) in &objects.bfd_profiles {
            let name: Arc<str> = name.as_str().into();
            let acting = previous.and_then(|config| config.bfd_profiles.get(&name));
            let parsed = BfdProfile::parse(object);
            let profile = self.valid(Kind::BfdProfile, &name, parsed, acting);
            if profile.is_some()
                && let Some(fault) = bfd_profile::unsupported(object)
            {
                self.problems.push(Kind::BfdProfile.problem(&name, fault, true));
            }
            self.bfd_profiles.extend(profile.map(|profile| (name, profile)));
        }
    }

    fn take_peers(&mut self, objects: &ConfigObjects, previous: Option<&Self>) {
        for (name, object) in &objects.peers {
            let acting = previous.and_then(|config| config.peers.get(name.as_str()));
            let parsed = Peer::parse(name, object);
            let Some(peer) = self.valid(Kind::BgpPeer, name, parsed, acting) else { continue };
            if let Some(profile) = &peer.bfd_profile
                && !objects.bfd_profiles.contains_key(&**profile)
            {
                let cause = format!(
                    "no BFDProfile {profile:?} exists, the path to the router is not watched"
                );
                let fault = Fault::at("spec.bfdProfile", profile, &cause)
                    .because(ProblemReason::DanglingReference);
                self.problems.push(Kind::BgpPeer.problem(name, fault, true));
            }
            self.peers.insert(PeerName::new(name.as_str()), peer);
        }
    }

    fn take_communities(&mut self, objects: &ConfigObjects, previous: Option<&Self>) {
        for (name, object) in &objects.communities {
            let name: Arc<str> = name.as_str().into();
            let acting = previous.and_then(|config| config.community_sources.get(&name));
            let parsed = CommunitySource::parse(object);
            let source = self.valid(Kind::Community, &name, parsed, acting);
            self.community_sources.extend(source.map(|source| (name, source)));
        }
        let (communities, problems) = community::settle(&self.community_sources);
        self.communities = communities;
        self.problems.extend(problems);
    }

    fn take_bgp_advertisements(&mut self, objects: &ConfigObjects, previous: Option<&Self>) {
        let acting: BTreeMap<&str, (&BgpAdvertisementSource, &BgpAdvertisement)> = previous
            .into_iter()
            .flat_map(|config| {
                config.bgp_advertisements.iter().filter_map(|ad| {
                    let source = config.bgp_advertisement_sources.get(&ad.name)?;
                    Some((&*ad.name, (source, ad)))
                })
            })
            .collect();
        for (name, object) in &objects.bgp_advertisements {
            let name: Arc<str> = name.as_str().into();
            let acting = acting.get(&*name);
            let parsed = BgpAdvertisementSource::parse(object).and_then(|source| {
                let communities = source.communities(&self.communities)?;
                Ok((source, communities))
            });
            let last = acting.map(|(source, ad)| ((*source).clone(), ad.communities.clone()));
            let valid = self.valid(Kind::BgpAdvertisement, &name, parsed, last.as_ref());
            let Some((source, communities)) = valid else { continue };
            let (mut ad, faults) = source.advertisement(&name, &self.pool_sources, communities);
            for (pool, fault) in faults {
                let acts = acting.is_some_and(|(_, old)| covers_alike(old, &ad, &pool));
                self.problems.push(Kind::BgpAdvertisement.problem(&name, fault, acts));
                ad.pools.extend(acts.then_some(pool));
            }
            self.bgp_advertisement_sources.insert(name, source);
            self.bgp_advertisements.push(ad);
        }
    }

    /// What is to act: the object as it was read, or its last valid version.
    fn valid<T: Clone>(
        &mut self,
        kind: Kind,
        name: &(impl ToString + ?Sized),
        parsed: Result<T, Vec<Fault>>,
        acting: Option<&T>,
    ) -> Option<T> {
        match parsed {
            Ok(read) => Some(read),
            Err(faults) => {
                let problem = |fault| kind.problem(name, fault, acting.is_some());
                self.problems.extend(faults.into_iter().map(problem));
                acting.cloned()
            }
        }
    }

    /// Names in advertisements that belong to nothing.
    pub(super) fn find_dangling(&mut self, objects: &ConfigObjects) {
        let no_pool = |kind: Kind, ad: &str, pools: &[String]| {
            let missing = pools.iter().enumerate().filter(|(_, p)| !objects.pools.contains_key(*p));
            let problem = |(place, pool): (usize, &String)| {
                dangling(kind, ad, &format!("spec.ipAddressPools[{place}]"), pool, "IPAddressPool")
            };
            missing.map(problem).collect::<Vec<_>>()
        };
        let mut found = Vec::new();
        for (name, ad) in &objects.l2_advertisements {
            found.extend(no_pool(Kind::L2Advertisement, name, &ad.spec.ip_address_pools));
        }
        for (name, ad) in &objects.bgp_advertisements {
            found.extend(no_pool(Kind::BgpAdvertisement, name, &ad.spec.ip_address_pools));
            for (place, peer) in ad.spec.peers.iter().enumerate() {
                if !objects.peers.contains_key(peer) {
                    let field = format!("spec.peers[{place}]");
                    found.push(dangling(Kind::BgpAdvertisement, name, &field, peer, "BGPPeer"));
                }
            }
        }
        self.dangling = found;
    }
}

fn dangling(kind: Kind, name: &str, field: &str, value: &str, what: &str) -> Problem {
    let cause = format!("no {what} {value:?} exists");
    let fault = Fault::at(field, value, &cause).because(ProblemReason::DanglingReference);
    kind.problem(name, fault, true)
}

/// Whether the old version announces `pool` with the lengths of the new one: then a pool that was
/// cut into smaller parts since does not end it.
fn covers_alike(old: &BgpAdvertisement, new: &BgpAdvertisement, pool: &PoolName) -> bool {
    old.aggregation == new.aggregation && old.pools.contains(pool)
}
