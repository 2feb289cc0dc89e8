//! Conditions of a Service: how it stands with its addresses, for people and programs.
//!
//! Two of `status.conditions` are ours, found by their type; all others are kept as they are. What
//! is said changes only when something changes, and the time of transition only with the status.

use std::borrow::Cow;

use ferrolb_api::conditions::{ALLOCATED, ANNOUNCED};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Characters of a message at most: it is stored with every Service that waits.
const LONGEST: usize = 4096;

/// What a condition of ours says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Standing {
    /// `status` of the condition: it holds.
    pub holds: bool,
    /// `reason`: one of [`REASONS`].
    pub reason: Cow<'static, str>,
    /// `message`: a sentence.
    pub message: String,
}

/// Every reason that our conditions, and the metric of pending Services, can give.
pub const REASONS: [&str; 31] = [
    // Allocated, True.
    "Allocated",
    "OneFamilyOnly",
    "RequestIgnored",
    "KeptFromInvalidPool",
    "AddressRefused",
    // Allocated, False: what the Service says.
    "NoClusterIPs",
    "NotEnoughClusterIPs",
    "ClusterIPsInvalid",
    "RequestInvalid",
    "FamilyMismatch",
    "RequestedFromOtherPool",
    "AddressKept",
    // Allocated, False: what the allocator says.
    "NoPools",
    "NoAddressAvailable",
    "UnknownPool",
    "OutsidePools",
    "AvoidedAddress",
    "DifferentPools",
    "AddressCount",
    "SameFamily",
    "AddressInUse",
    "SingleStackPolicy",
    "NotAutomatic",
    "PoolClosed",
    "NamespaceNotAllowed",
    "LabelsNotAllowed",
    "FamilyMissing",
    "PoolExhausted",
    // Allocated, False: somebody else.
    "AddressStillShown",
    "RivalController",
    // Announced, True and False.
    "Announced",
];

/// Reason of [`ANNOUNCED`] while nobody announces.
pub const NOT_ANNOUNCED: &str = "NotAnnounced";

impl Standing {
    /// It holds.
    pub fn yes(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(true, reason, message.into())
    }

    /// It does not hold.
    pub fn no(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(false, reason, message.into())
    }

    fn new(holds: bool, reason: &'static str, mut message: String) -> Self {
        if message.len() > LONGEST {
            let end = (0..=LONGEST - 3).rev().find(|at| message.is_char_boundary(*at));
            message.truncate(end.unwrap_or_default());
            message.push('…');
        }
        message.shrink_to_fit();
        Self { holds, reason: reason.into(), message }
    }

    /// What the condition `kind` among `conditions` says.
    pub(crate) fn read(conditions: &[Condition], kind: &str) -> Option<Self> {
        let condition = conditions.iter().find(|condition| condition.type_ == kind)?;
        Some(Self {
            holds: condition.status == "True",
            // Thousands say the same.
            reason: match REASONS.iter().find(|known| **known == condition.reason) {
                Some(known) => Cow::Borrowed(known),
                None => condition.reason.clone().into(),
            },
            message: condition.message.clone(),
        })
    }
}

/// `before` with our conditions as they are wanted, in the order in which they were.
pub(crate) fn merged(
    before: &[Condition],
    wanted: [(&str, Option<&Standing>); 2],
    now: &Time,
) -> Vec<Condition> {
    let mut after = before.to_vec();
    for (kind, standing) in wanted {
        let place = after.iter().position(|condition| condition.type_ == kind);
        match (standing, place) {
            (None, None) => {}
            (None, Some(place)) => {
                after.remove(place);
            }
            (Some(standing), None) => after.push(condition(kind, standing, now.clone())),
            (Some(standing), Some(place)) => {
                let known = &after[place];
                let same = (known.status == "True") == standing.holds;
                let since = if same { &known.last_transition_time } else { now };
                after[place] = condition(kind, standing, since.clone());
            }
        }
    }
    after
}

/// `conditions` without ours, if any of them is ours.
pub(crate) fn without_ours(conditions: &[Condition]) -> Option<Vec<Condition>> {
    let is_foreign = |c: &&Condition| c.type_ != ALLOCATED && c.type_ != ANNOUNCED;
    let rest: Vec<_> = conditions.iter().filter(is_foreign).cloned().collect();
    (rest.len() < conditions.len()).then_some(rest)
}

/// The condition `kind` that says `standing`.
pub(crate) fn condition(kind: &str, standing: &Standing, since: Time) -> Condition {
    Condition {
        type_: kind.to_owned(),
        status: if standing.holds { "True" } else { "False" }.to_owned(),
        reason: standing.reason.clone().into_owned(),
        message: standing.message.clone(),
        last_transition_time: since,
        observed_generation: None,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    fn at(second: i64) -> Time {
        Time(Timestamp::from_second(second).unwrap())
    }

    fn mk_foreign() -> Condition {
        condition("example.org/Checked", &Standing::yes("Fine", "by them"), at(1))
    }

    #[test]
    fn conditions_of_others_stay_where_and_as_they_are() {
        let waiting = Standing::no("PoolExhausted", "full");
        let before = [mk_foreign()];
        let first = merged(&before, [(ALLOCATED, Some(&waiting)), (ANNOUNCED, None)], &at(2));
        assert_eq!(first[0], mk_foreign());
        assert_eq!(Standing::read(&first, ALLOCATED), Some(waiting.clone()));
        let reworded = Standing::no("PoolExhausted", "still full");
        let second = merged(&first, [(ALLOCATED, Some(&reworded)), (ANNOUNCED, None)], &at(3));
        assert_eq!(second[1].last_transition_time, at(2), "the status is the same");
        let has = Standing::yes("Allocated", "192.0.2.1");
        let third = merged(&second, [(ALLOCATED, Some(&has)), (ANNOUNCED, Some(&has))], &at(4));
        assert_eq!((third.len(), &third[1].last_transition_time), (3, &at(4)));
        assert_eq!(merged(&third, [(ALLOCATED, None), (ANNOUNCED, None)], &at(5)), before);
        assert_eq!(without_ours(&third), Some(before.to_vec()));
        assert_eq!(without_ours(&before), None);
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let standing = Standing::no("NoAddressAvailable", "é".repeat(5000));
        assert!(standing.message.len() <= LONGEST && standing.message.ends_with('…'));
    }

    #[test]
    fn reasons_are_words_that_kubernetes_admits_each_once() {
        let mut reasons: Vec<_> = REASONS.iter().chain([&NOT_ANNOUNCED]).collect();
        assert!(reasons.iter().all(|reason| reason.chars().all(|c| c.is_ascii_alphanumeric())));
        reasons.sort_unstable();
        reasons.dedup();
        assert_eq!(reasons.len(), REASONS.len() + 1);
    }
}
