//! One `Community`, read and checked on its own, and all of them together (`bgp.md` 1.7).

use std::collections::BTreeMap;
use std::sync::Arc;

use ferrolb_api as api;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::problem::{Fault, Kind, Problem, ProblemReason};
use crate::bgp::Community;

/// The names that one object defines.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct CommunitySource {
    created: Option<Time>,
    aliases: BTreeMap<Arc<str>, Community>,
}

impl CommunitySource {
    /// Reads `object`; every fault in it is reported, not just the first.
    pub(super) fn parse(object: &api::Community) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut aliases: BTreeMap<Arc<str>, Community> = BTreeMap::new();
        for (place, alias) in object.spec.communities.iter().enumerate() {
            let field = |name| format!("spec.communities[{place}].{name}");
            if aliases.contains_key(alias.name.as_str()) {
                faults.push(defined_twice(&field("name"), &alias.name, ""));
            }
            match alias.value.parse() {
                Ok(community) => drop(aliases.insert(alias.name.as_str().into(), community)),
                Err(error) => faults.push(Fault::at(&field("value"), &alias.value, &error)),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self { created: object.metadata.creation_timestamp.clone(), aliases })
    }
}

/// All names. One that two objects define is the older object's; the younger keeps its others.
pub(super) fn settle(
    sources: &BTreeMap<Arc<str>, CommunitySource>,
) -> (BTreeMap<Arc<str>, Community>, Vec<Problem>) {
    let mut by_age: Vec<_> = sources.iter().collect();
    by_age.sort_by_key(|(name, source)| (source.created.is_none(), &source.created, *name));

    let mut acting: BTreeMap<Arc<str>, (Community, &Arc<str>)> = BTreeMap::new();
    let mut problems = Vec::new();
    for (object, source) in by_age {
        for (alias, community) in &source.aliases {
            if let Some((_, owner)) = acting.get(alias) {
                let owner = format!(" (Community {owner} has it)");
                let fault = defined_twice("spec.communities", alias, &owner);
                problems.push(Kind::Community.problem(object, fault, true));
            } else {
                acting.insert(alias.clone(), (*community, object));
            }
        }
    }
    (acting.into_iter().map(|(alias, (community, _))| (alias, community)).collect(), problems)
}

fn defined_twice(field: &str, alias: &str, owner: &str) -> Fault {
    // Upstream's tests look for the first words (row WH-11).
    let cause = format!("duplicate definition of community {alias:?}{owner}");
    Fault::at(field, alias, &cause).because(ProblemReason::Duplicate)
}
