//! One `BFDProfile`, read and checked on its own (`bgp.md` 4.1).

use std::ops::RangeInclusive;
use std::time::Duration;

use ferrolb_api as api;

use super::problem::{Fault, ProblemReason};
use crate::bgp::BfdProfile;

/// Limits of the intervals, in milliseconds.
const INTERVAL: RangeInclusive<i64> = 10..=60_000;

impl BfdProfile {
    /// Reads `object`; every fault in it is reported, not just the first.
    pub(super) fn parse(object: &api::BFDProfile) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let spec = &object.spec;
        let mut check = |field: &str, value: Option<i64>, range: RangeInclusive<i64>| {
            let value = value?;
            if !range.contains(&value) {
                faults.push(Fault::out_of_range(field, value, &range));
            }
            u64::try_from(value).ok()
        };
        let receive = check("spec.receiveInterval", spec.receive_interval, INTERVAL);
        let transmit = check("spec.transmitInterval", spec.transmit_interval, INTERVAL);
        check("spec.echoInterval", spec.echo_interval, INTERVAL);
        let multiplier = check("spec.detectMultiplier", spec.detect_multiplier, 2..=255);
        let ttl = check("spec.minimumTtl", spec.minimum_ttl, 1..=254);
        if !faults.is_empty() {
            return Err(faults);
        }
        let default = Self::default();
        let byte = |value: Option<u64>, default| {
            value.and_then(|value| u8::try_from(value).ok()).unwrap_or(default)
        };
        Ok(Self {
            receive_interval: receive.map_or(default.receive_interval, Duration::from_millis),
            transmit_interval: transmit.map_or(default.transmit_interval, Duration::from_millis),
            detect_multiplier: byte(multiplier, default.detect_multiplier),
            passive: spec.passive_mode.unwrap_or_default(),
            minimum_ttl: byte(ttl, default.minimum_ttl),
        })
    }
}

/// Echo is not there yet. The rest of the profile acts without it.
pub(super) fn unsupported(object: &api::BFDProfile) -> Option<Fault> {
    (object.spec.echo_mode == Some(true)).then(|| {
        Fault::at("spec.echoMode", "true", &"echo is not supported yet, sessions run without it")
            .because(ProblemReason::Unsupported)
    })
}
