//! What is reported about the configuration as a whole (`controller.md` 5).
//!
//! Wording and judgement only; who writes it where, and when, is the business of `kube-rt`.

use ferrolb_api::IPAddressPoolStatus;
use ferrolb_api::conditions::{
    CONFIG_RECONCILER_VALID, CONFIGURATION_ERROR, DANGLING_REFERENCE, POOL_RECONCILER_VALID,
    RECONCILED, REFERENCES_RESOLVED,
};
use ferrolb_ipam::Counters;

use crate::config::{Config, Kind};

/// The most characters of a message, a little below the limit of the API.
const MESSAGE_AT_MOST: usize = 32_000;

/// Who reports.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Component {
    /// Reads pools.
    Controller,
    /// Reads everything.
    Speaker,
}

/// A condition of a `ConfigurationState`, without the time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Condition {
    /// `type`.
    pub type_: &'static str,
    /// `status` is `True`, else `False`.
    pub holds: bool,
    /// `reason`.
    pub reason: &'static str,
    /// `message`.
    pub message: String,
}

/// The conditions of `component`, which found `config`, and `here` what is wrong on its node alone.
pub fn conditions(component: Component, config: &Config, here: &[String]) -> Vec<Condition> {
    let (type_, reads_all) = match component {
        Component::Controller => (POOL_RECONCILER_VALID, false),
        Component::Speaker => (CONFIG_RECONCILER_VALID, true),
    };
    let read = config.problems.iter().filter(|one| reads_all || one.kind == Kind::IpAddressPool);
    let wrong = read.map(|problem| &*problem.message).chain(here.iter().map(String::as_str));
    let mut conditions =
        vec![condition(type_, CONFIGURATION_ERROR, "configuration error: ", wrong)];
    // Whoever reads pools alone has no names to resolve.
    if reads_all {
        let dangling = config.dangling.iter().map(|problem| &*problem.message);
        conditions.push(condition(REFERENCES_RESOLVED, DANGLING_REFERENCE, "", dangling));
    }
    conditions
}

fn condition<'a>(
    type_: &'static str,
    reason: &'static str,
    beginning: &str,
    problems: impl Iterator<Item = &'a str>,
) -> Condition {
    let messages: Vec<&str> = problems.collect();
    if messages.is_empty() {
        return Condition { type_, holds: true, reason: RECONCILED, message: String::new() };
    }
    let message = shortened(format!("{beginning}{}", messages.join("\n")));
    Condition { type_, holds: false, reason, message }
}

fn shortened(mut text: String) -> String {
    if text.len() > MESSAGE_AT_MOST {
        let end = (0..=MESSAGE_AT_MOST).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or_default());
        text.push('…');
    }
    text
}

/// `status.result` of a `ConfigurationState`. Prints as there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConfigurationResult {
    /// No condition was reported yet.
    Unknown,
    /// Nothing is wrong.
    Valid,
    /// Something is.
    Invalid,
}

impl std::fmt::Display for ConfigurationResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Unknown => "Unknown",
            Self::Valid => "Valid",
            Self::Invalid => "Invalid",
        })
    }
}

/// What conditions, given as (`status`, `reason`, `message`), add up to, with the summary of what is
/// wrong.
pub fn result<'a>(
    conditions: impl IntoIterator<Item = (&'a str, &'a str, &'a str)>,
) -> (ConfigurationResult, String) {
    let mut result = ConfigurationResult::Unknown;
    let mut summary: Vec<&str> = Vec::new();
    for (status, reason, message) in conditions {
        if status == "False" && reason == CONFIGURATION_ERROR {
            result = ConfigurationResult::Invalid;
            summary.push(message);
        } else if result == ConfigurationResult::Unknown {
            result = ConfigurationResult::Valid;
        }
    }
    (result, summary.join("\n"))
}

/// `status` of an `IPAddressPool`.
pub fn pool_status(counters: Counters) -> IPAddressPoolStatus {
    IPAddressPoolStatus {
        assigned_ipv4: counters.assigned_v4,
        assigned_ipv6: counters.assigned_v6,
        available_ipv4: counters.available_v4,
        available_ipv6: counters.available_v6,
    }
}

/// Whether a `ConfigMap` named `config`, whose key `config` holds `text`, is the configuration of a
/// release before custom resources, which nobody reads any more. Only asked while there are no
/// pools: later it is a left-over that does no harm.
pub fn is_legacy_configuration(text: &str) -> bool {
    let sections = ["address-pools:", "peers:", "bgp-communities:", "bfd-profiles:"];
    text.lines().any(|line| sections.iter().any(|section| line.starts_with(section)))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::fixture::mk_objects;

    fn mk_config(written: &serde_json::Value) -> Config {
        Config::build(&mk_objects(written), None)
    }

    fn first(component: Component, written: &serde_json::Value) -> (bool, &'static str, String) {
        let condition = conditions(component, &mk_config(written), &[]).remove(0);
        (condition.holds, condition.reason, condition.message)
    }

    #[rstest]
    #[case::k_001_config_valid(
        Component::Speaker,
        json!({ "peers": { "peer1": { "myASN": 1, "peerASN": 2, "peerAddress": "10.0.0.1" } } }),
        (true, "Reconciled", "")
    )]
    #[case::k_005_config_invalid(
        Component::Speaker,
        json!({ "peers": { "peer1": { "peerASN": 2, "peerAddress": "10.0.0.1" } } }),
        (false, "ConfigurationError", "configuration error: parsing peer peer1 missing local ASN")
    )]
    #[case::k_006_pool_valid(
        Component::Controller,
        json!({ "pools": { "pool1": { "addresses": ["10.0.0.0/24"] } } }),
        (true, "Reconciled", "")
    )]
    #[case::k_010_pool_invalid(
        Component::Controller,
        json!({ "pools": { "pool1": { "addresses": [] } } }),
        (false, "ConfigurationError",
         "configuration error: parsing address pool pool1: pool has no prefixes defined")
    )]
    #[case::the_controller_reads_no_peers(
        Component::Controller,
        json!({ "peers": { "peer1": { "peerASN": 2 } } }),
        (true, "Reconciled", "")
    )]
    fn the_condition_tells(
        #[case] component: Component,
        #[case] written: serde_json::Value,
        #[case] expected: (bool, &str, &str),
    ) {
        let (holds, reason, message) = first(component, &written);
        assert_eq!((holds, reason, message.as_str()), expected);
    }

    #[test]
    fn a_dangling_name_is_told_and_invalidates_nothing() {
        let written = json!({ "advertisements": { "ad": { "ipAddressPools": ["ghost"] } } });
        let found = conditions(Component::Speaker, &mk_config(&written), &[]);
        let [valid, resolved] = found.as_slice() else { panic!("two conditions") };
        assert!(valid.holds);
        assert_eq!(
            (resolved.type_, resolved.holds, resolved.reason, resolved.message.as_str()),
            (
                "metallb.io/ReferencesResolved",
                false,
                "DanglingReference",
                "parsing L2Advertisement ad: spec.ipAddressPools[0]: no IPAddressPool \"ghost\" exists",
            )
        );
    }

    #[test]
    fn a_long_message_is_cut() {
        let pools: serde_json::Map<String, serde_json::Value> =
            (0..1000).map(|n| (format!("pool-{n}"), json!({ "addresses": [] }))).collect();
        let (_, _, message) = first(Component::Speaker, &json!({ "pools": pools }));
        assert!(message.len() <= 32_768 && message.ends_with('…'));
    }

    #[rstest]
    #[case::k_020_no_conditions(&[], "Unknown", "")]
    #[case::k_021_two_true(&[("True", "Reconciled", ""), ("True", "Reconciled", "")], "Valid", "")]
    #[case::k_022_one_false(
        &[("False", "ConfigurationError", "wrong"), ("True", "Reconciled", "")], "Invalid", "wrong"
    )]
    #[case::two_false(
        &[("False", "ConfigurationError", "a"), ("False", "ConfigurationError", "b")],
        "Invalid", "a\nb"
    )]
    #[case::false_for_another_reason(&[("False", "DanglingReference", "x")], "Valid", "")]
    fn conditions_add_up(
        #[case] conditions: &[(&str, &str, &str)],
        #[case] expected: &str,
        #[case] summary: &str,
    ) {
        let (result, told) = result(conditions.iter().copied());
        assert_eq!((result.to_string().as_str(), told.as_str()), (expected, summary));
    }

    #[rstest]
    #[case("address-pools:\n- name: a\n", true)]
    #[case("# mine\npeers:\n- my-asn: 1\n", true)]
    #[case("color: blue\n", false)]
    #[case("  peers: 3\n", false)]
    #[case("", false)]
    fn legacy_configurations(#[case] text: &str, #[case] expected: bool) {
        assert_eq!(is_legacy_configuration(text), expected);
    }

    #[test]
    fn status_of_a_pool() {
        let counters = Counters {
            assigned_v4: 1,
            assigned_v6: 2,
            available_v4: 3,
            available_v6: Counters::MAX,
        };
        let status = serde_json::to_value(pool_status(counters)).unwrap();
        assert_eq!(
            status,
            json!({
                "assignedIPv4": 1, "assignedIPv6": 2, "availableIPv4": 3, "availableIPv6": i64::MAX,
            })
        );
    }
}
