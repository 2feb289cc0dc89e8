//! Whether a change of the configuration is let in, and what to say about it (`api.md` 4.2).
//!
//! ```text
//!  Request ─► namespace ─► the object by itself ─► beside the others ─┬─► denied
//!                                                                     └─► allowed, with warnings
//! ```
//!
//! Only what the incoming object does wrong denies it: an object that was let in wrongly before
//! stands in nobody's way. What a name refers to may be created later, so a missing object is a
//! warning; so is everything that is allowed but regretted.
//!
//! Pure: who exists is an argument, and decoding and answering reviews is the business of others.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ferrolb_ipam::{NodeName, PoolName, ServiceKey};

use crate::config::{Config, ConfigObjects, Kind, Problem, ProblemReason};
use crate::rows::Node;

mod object;
mod rivals;
mod warnings;

pub use object::{Object, webhook_kind, webhook_path};

/// What exists. The incoming object may be among it in its old version, and need not be.
#[derive(Clone, Copy)]
pub struct Objects<'a> {
    /// The namespace that is read for configuration.
    pub namespace: &'a str,
    /// The objects in that namespace.
    pub config: &'a ConfigObjects,
    /// All nodes of the cluster.
    pub nodes: &'a BTreeMap<NodeName, Node>,
    /// The Services that hold addresses of a pool.
    pub holders: &'a dyn Fn(&PoolName) -> Vec<Holder>,
}

/// A Service that holds addresses of a pool.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Holder {
    /// The Service.
    pub service: ServiceKey,
    /// The addresses.
    pub addresses: Vec<IpAddr>,
}

/// What is asked of the API server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operation {
    /// The object is new.
    Create,
    /// The object changes.
    Update,
    /// The object goes.
    Delete,
}

/// A change that waits to be let in.
#[derive(Clone, Debug)]
pub struct Request {
    /// Kind of the object.
    pub kind: Kind,
    /// What happens to it.
    pub operation: Operation,
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// The object as it is, of updates and deletions.
    pub old: Option<Object>,
    /// The object as it will be, of creations and updates.
    pub new: Option<Object>,
}

/// What is answered.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Response {
    /// Why the change is not let in, if it is not.
    pub denied: Option<String>,
    /// What to tell the user beside.
    pub warnings: Vec<String>,
}

impl Response {
    fn denied(why: String) -> Self {
        Self { denied: Some(why), warnings: Vec::new() }
    }
}

/// Judges `request`.
pub fn validate(objects: &Objects<'_>, request: &Request) -> Response {
    let in_place = request.namespace == objects.namespace;
    match request.operation {
        // Upstream's tests look for these words (rows WH-14 to WH-19).
        Operation::Create if !in_place => {
            let kind = request.kind;
            let namespace = objects.namespace;
            let why = format!("{kind}: resource must be created in {namespace} namespace");
            Response::denied(why)
        }
        Operation::Update | Operation::Delete if !in_place => Response::default(),
        Operation::Delete => judge_deletion(objects, request),
        Operation::Create | Operation::Update => match &request.new {
            Some(new) if !changes_nothing(request, new) => judge(objects, request, new),
            _ => Response::default(),
        },
    }
}

/// Labels, annotations and finalizers may change whatever the spec says, and an object that is
/// about to go is let go.
fn changes_nothing(request: &Request, new: &Object) -> bool {
    let same = request.old.as_ref().is_some_and(|old| old.is_spec_of(new));
    (same && request.operation == Operation::Update) || new.metadata().deletion_timestamp.is_some()
}

fn judge(objects: &Objects<'_>, request: &Request, new: &Object) -> Response {
    let mut after_objects = objects.config.clone();
    after_objects.put(&request.name, new.clone());
    if let Some(why) = rivals::overlap(objects, request, new) {
        return Response::denied(why);
    }
    let after = Config::build(&after_objects, None);
    let own = |problem: &&Problem| is_about(problem, request);
    let faults: Vec<&str> = after
        .problems
        .iter()
        .filter(own)
        .filter(|problem| denies(problem))
        .map(|problem| problem.message.as_str())
        .collect();
    if !faults.is_empty() {
        return Response::denied(faults.join("; "));
    }
    if let Some(why) = rivals::contradiction(objects, request, new, &after) {
        return Response::denied(why);
    }
    let before = Config::build(objects.config, None);
    Response { denied: None, warnings: warnings::of_change(objects, request, new, &before, &after) }
}

fn judge_deletion(objects: &Objects<'_>, request: &Request) -> Response {
    if request.kind == Kind::BfdProfile {
        let users: Vec<&str> = objects
            .config
            .peers
            .iter()
            .filter(|(_, peer)| peer.spec.bfd_profile == request.name)
            .map(|(name, _)| name.as_str())
            .collect();
        if !users.is_empty() {
            // Upstream's tests look for the first words (row WH-13).
            return Response::denied(format!(
                "failed to delete BFDProfile {}: used by {}",
                request.name,
                warnings::list("BGPPeer", &users),
            ));
        }
    }
    let mut after_objects = objects.config.clone();
    after_objects.remove(request.kind, &request.name);
    let before = Config::build(objects.config, None);
    let after = Config::build(&after_objects, None);
    Response { denied: None, warnings: warnings::of_deletion(objects, request, &before, &after) }
}

fn is_about(problem: &Problem, request: &Request) -> bool {
    problem.kind == request.kind && *problem.name == *request.name
}

/// Whether a fault keeps its object out. What is missing may come, and what we cannot do yet is
/// said where the object is read.
fn denies(problem: &Problem) -> bool {
    !matches!(problem.reason, ProblemReason::DanglingReference | ProblemReason::Unsupported)
}

#[cfg(test)]
mod tests;
