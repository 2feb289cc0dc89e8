//! Lists in a spec that must not repeat themselves.

use std::collections::{BTreeMap, BTreeSet};

use ferrolb_ipam::{Expression, Selector, SelectorError};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::problem::Fault;

/// Reads a list of alternatives into canonical order, so that equal meaning compares equal.
pub(super) fn parse_all(
    field: &str,
    selectors: &[LabelSelector],
    faults: &mut Vec<Fault>,
) -> Vec<Selector> {
    let mut seen = BTreeSet::new();
    for (place, selector) in selectors.iter().enumerate() {
        let field = format!("{field}[{place}]");
        if let Some(selector) = parse(&field, selector, faults)
            && let Some(again) = seen.replace(selector)
        {
            faults.push(Fault::twice(&field, &again.to_string()));
        }
    }
    seen.into_iter().collect()
}

/// Reads one selector.
pub(super) fn parse(
    field: &str,
    selector: &LabelSelector,
    faults: &mut Vec<Fault>,
) -> Option<Selector> {
    let no_labels = BTreeMap::new();
    let match_labels = selector.match_labels.as_ref().unwrap_or(&no_labels);
    let expressions = selector.match_expressions.iter().flatten().map(|written| Expression {
        key: written.key.clone(),
        operator: written.operator.clone(),
        values: written.values.clone().unwrap_or_default(),
    });
    Selector::new(match_labels, expressions)
        .map_err(|error| faults.push(Fault::at(field, offending(&error), &error)))
        .ok()
}

/// The value in `error` that is wrong.
fn offending(error: &SelectorError) -> &str {
    match error {
        SelectorError::UnknownOperator { operator, .. }
        | SelectorError::MissingValues { operator, .. }
        | SelectorError::UnwantedValues { operator, .. } => operator,
        SelectorError::BadKey { key } => key,
        SelectorError::BadValue { value, .. } | SelectorError::DuplicateValue { value, .. } => {
            value
        }
        SelectorError::DuplicateExpression { expression } => expression,
    }
}

/// Reads a list of names that may each stand there once.
pub(super) fn names(field: &str, names: &[String], faults: &mut Vec<Fault>) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    for (place, name) in names.iter().enumerate() {
        if !seen.insert(name.clone()) {
            faults.push(Fault::twice(&format!("{field}[{place}]"), name));
        }
    }
    seen
}
