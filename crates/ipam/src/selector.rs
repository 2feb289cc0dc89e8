//! Label selectors, as Kubernetes means them.
//!
//! All conditions must hold; no condition holds always. A condition that excludes values
//! (`NotIn`, `DoesNotExist`) also holds for objects that lack the label. The conditions have one
//! canonical order, so equal selectors are equal values and print alike.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::Labels;

/// A parsed label selector.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Selector {
    /// Sorted by label key, then by what is asked of it.
    conditions: Vec<Condition>,
}

/// One entry of `matchExpressions`, as written.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Expression {
    /// Label key.
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: String,
    /// At least one for `In` and `NotIn`, none for the others.
    pub values: Vec<String>,
}

#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
struct Condition {
    key: String,
    test: Test,
}

/// What is asked of the value of a label. `Equals` is an entry of `matchLabels`; `In` with one
/// value means the same but is told apart, because it was written apart.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
enum Test {
    Equals(String),
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
    Exists,
    DoesNotExist,
}

impl Selector {
    /// The selector without conditions.
    pub const fn everything() -> Self {
        Self { conditions: Vec::new() }
    }

    /// Takes over `matchLabels` and `matchExpressions`.
    ///
    /// Refuses unknown operators, a wrong number of values, texts that cannot be label keys or
    /// values, and what is written twice: a value inside an expression, or an expression.
    pub fn new(
        match_labels: &BTreeMap<String, String>,
        expressions: impl IntoIterator<Item = Expression>,
    ) -> Result<Self, SelectorError> {
        let mut conditions = Vec::with_capacity(match_labels.len());
        for (key, value) in match_labels {
            check_key(key)?;
            check_value(key, value)?;
            conditions.push(Condition { key: key.clone(), test: Test::Equals(value.clone()) });
        }
        for expression in expressions {
            let condition = Condition::try_from(expression)?;
            if conditions.contains(&condition) {
                return Err(SelectorError::DuplicateExpression {
                    expression: condition.to_string(),
                });
            }
            conditions.push(condition);
        }
        conditions.sort_unstable();
        Ok(Self { conditions })
    }

    /// Whether every condition holds for `labels`.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.conditions.iter().all(|condition| condition.holds(labels))
    }

    /// Whether it has no condition and so matches everything.
    pub fn is_everything(&self) -> bool {
        self.conditions.is_empty()
    }
}

impl Condition {
    fn holds(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        match &self.test {
            Test::Equals(wanted) => value == Some(wanted.as_str()),
            Test::In(wanted) => value.is_some_and(|value| wanted.contains(value)),
            Test::NotIn(excluded) => value.is_none_or(|value| !excluded.contains(value)),
            Test::Exists => value.is_some(),
            Test::DoesNotExist => value.is_none(),
        }
    }
}

impl TryFrom<Expression> for Condition {
    type Error = SelectorError;

    fn try_from(expression: Expression) -> Result<Self, Self::Error> {
        let Expression { key, operator, values } = expression;
        check_key(&key)?;
        let test = match operator.as_str() {
            "In" => Test::In(check_values(&key, &operator, values)?),
            "NotIn" => Test::NotIn(check_values(&key, &operator, values)?),
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                return Err(SelectorError::UnwantedValues { key, operator, values });
            }
            "Exists" => Test::Exists,
            "DoesNotExist" => Test::DoesNotExist,
            _ => return Err(SelectorError::UnknownOperator { key, operator }),
        };
        Ok(Self { key, test })
    }
}

fn check_values(
    key: &str,
    operator: &str,
    values: Vec<String>,
) -> Result<BTreeSet<String>, SelectorError> {
    if values.is_empty() {
        return Err(SelectorError::MissingValues {
            key: key.to_owned(),
            operator: operator.to_owned(),
        });
    }
    let mut distinct = BTreeSet::new();
    for value in values {
        check_value(key, &value)?;
        if let Some(value) = distinct.replace(value) {
            return Err(SelectorError::DuplicateValue { key: key.to_owned(), value });
        }
    }
    Ok(distinct)
}

/// A label key is a name, with a DNS subdomain and a slash before it if it has an owner.
fn check_key(key: &str) -> Result<(), SelectorError> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if prefix.is_none_or(is_subdomain) && !name.is_empty() && is_label_text(name) {
        Ok(())
    } else {
        Err(SelectorError::BadKey { key: key.to_owned() })
    }
}

fn check_value(key: &str, value: &str) -> Result<(), SelectorError> {
    if is_label_text(value) {
        Ok(())
    } else {
        Err(SelectorError::BadValue { key: key.to_owned(), value: value.to_owned() })
    }
}

/// At most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends; or empty.
fn is_label_text(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    bytes.len() <= 63
        && ends.into_iter().flatten().all(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

/// At most 253 characters: parts of lower-case letters, digits and inner dashes, joined by dots.
fn is_subdomain(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|part| {
            !part.is_empty()
                && !part.starts_with('-')
                && !part.ends_with('-')
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        })
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.conditions.is_empty() {
            return f.write_str("<none>");
        }
        for (index, condition) in self.conditions.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{condition}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        let list = |values: &BTreeSet<String>| {
            values.iter().map(String::as_str).collect::<Vec<_>>().join(",")
        };
        match &self.test {
            Test::Equals(value) => write!(f, "{key}={value}"),
            Test::In(values) => write!(f, "{key} in ({})", list(values)),
            Test::NotIn(values) => write!(f, "{key} notin ({})", list(values)),
            Test::Exists => write!(f, "{key}"),
            Test::DoesNotExist => write!(f, "!{key}"),
        }
    }
}

/// Why a label selector means nothing. Every variant names the value that is wrong.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SelectorError {
    /// The operator is not one of the four.
    #[error(
        "label {key:?}: {operator:?} is no operator: In, NotIn, Exists or DoesNotExist is expected"
    )]
    UnknownOperator {
        /// Label key.
        key: String,
        /// The operator as written.
        operator: String,
    },
    /// `In` or `NotIn` without values.
    #[error("label {key:?}: {operator} needs at least one value")]
    MissingValues {
        /// Label key.
        key: String,
        /// The operator as written.
        operator: String,
    },
    /// `Exists` or `DoesNotExist` with values.
    #[error("label {key:?}: {operator} takes no values, it has {values:?}")]
    UnwantedValues {
        /// Label key.
        key: String,
        /// The operator as written.
        operator: String,
        /// The values that should not be there.
        values: Vec<String>,
    },
    /// The key cannot be a label key.
    #[error("{key:?} cannot be a label key")]
    BadKey {
        /// Label key.
        key: String,
    },
    /// The value cannot be a label value.
    #[error("label {key:?}: {value:?} cannot be a label value")]
    BadValue {
        /// Label key.
        key: String,
        /// The value as written.
        value: String,
    },
    /// An expression lists a value twice.
    #[error("label {key:?}: value {value:?} is listed twice")]
    DuplicateValue {
        /// Label key.
        key: String,
        /// The value as written.
        value: String,
    },
    /// The selector lists an expression twice.
    #[error("expression \"{expression}\" is listed twice")]
    DuplicateExpression {
        /// The expression in canonical form.
        expression: String,
    },
}
