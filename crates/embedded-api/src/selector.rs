//! Label and field selectors as they come in queries, and whether an object fits them.

use serde_json::Value;

use crate::kind::Kind;
use crate::refusal::Refusal;

/// Which objects of a kind a list or watch shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Filter {
    labels: Vec<Requirement>,
    fields: Vec<FieldRequirement>,
}

#[derive(Clone, Debug, PartialEq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

#[derive(Clone, Debug, PartialEq)]
struct FieldRequirement {
    pointer: String,
    value: String,
    equal: bool,
}

impl Filter {
    pub(crate) fn parse(kind: &Kind, labels: &str, fields: &str) -> Result<Self, Refusal> {
        let labels = split(labels).map(parse_label).collect::<Result<_, _>>()?;
        let fields = fields
            .split(',')
            .filter(|term| !term.is_empty())
            .map(|term| parse_field(kind, term))
            .collect::<Result<_, _>>()?;
        Ok(Self { labels, fields })
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        let label = |name: &str| object.get("metadata")?.get("labels")?.get(name)?.as_str();
        let labels_match = self.labels.iter().all(|requirement| match requirement {
            Requirement::In(name, values) => {
                label(name).is_some_and(|value| values.iter().any(|wanted| wanted == value))
            }
            Requirement::NotIn(name, values) => {
                label(name).is_none_or(|value| values.iter().all(|banned| banned != value))
            }
            Requirement::Exists(name) => label(name).is_some(),
            Requirement::Absent(name) => label(name).is_none(),
        });
        labels_match
            && self.fields.iter().all(|field| {
                (field_text(object.pointer(&field.pointer)) == field.value) == field.equal
            })
    }
}

/// The terms of a label selector: commas within parentheses do not separate.
fn split(selector: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    selector
        .split(move |character| {
            match character {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            character == ',' && depth == 0
        })
        .map(str::trim)
        .filter(|term| !term.is_empty())
}

fn parse_label(term: &str) -> Result<Requirement, Refusal> {
    let one = |value: &str| vec![value.trim().to_owned()];
    let requirement = if let Some((name, value)) = term.split_once("!=") {
        Requirement::NotIn(label_name(name)?, one(value))
    } else if let Some((name, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        Requirement::In(label_name(name)?, one(value))
    } else if let Some(name) = term.strip_prefix('!') {
        Requirement::Absent(label_name(name)?)
    } else if let Some((head, values)) = term.split_once('(') {
        let Some((name, operator)) = head.trim().split_once(char::is_whitespace) else {
            return Err(unparsable(term));
        };
        let Some(values) = values.strip_suffix(')') else { return Err(unparsable(term)) };
        let values = values.split(',').map(|value| value.trim().to_owned()).collect();
        match operator.trim() {
            "in" => Requirement::In(label_name(name)?, values),
            "notin" => Requirement::NotIn(label_name(name)?, values),
            _ => return Err(unparsable(term)),
        }
    } else {
        Requirement::Exists(label_name(term)?)
    };
    Ok(requirement)
}

fn label_name(name: &str) -> Result<String, Refusal> {
    let name = name.trim();
    let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/');
    if name.is_empty() || !name.chars().all(is_legal) {
        return Err(unparsable(name));
    }
    Ok(name.to_owned())
}

fn unparsable(term: &str) -> Refusal {
    Refusal::bad_request(format!("unable to parse requirement: \"{term}\""))
}

fn parse_field(kind: &Kind, term: &str) -> Result<FieldRequirement, Refusal> {
    let (name, value, equal) = if let Some((name, value)) = term.split_once("!=") {
        (name, value, false)
    } else if let Some((name, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        (name, value, true)
    } else {
        return Err(Refusal::bad_request(format!("invalid field selector: \"{term}\"")));
    };
    let is_known = name == "metadata.name"
        || (name == "metadata.namespace" && kind.namespaced)
        || kind.fields.iter().any(|field| field == name);
    if !is_known {
        return Err(Refusal::bad_request(format!("field label not supported: {name}")));
    }
    let pointer = format!("/{}", name.replace('.', "/"));
    Ok(FieldRequirement { pointer, value: value.to_owned(), equal })
}

fn field_text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn mk_service() -> Kind {
        Kind::builtin().into_iter().find(|kind| kind.plural == "services").unwrap()
    }

    #[rstest]
    #[case::everything("", true)]
    #[case::equal("app=web", true)]
    #[case::twice_equal("app==web", true)]
    #[case::unequal("app=db", false)]
    #[case::not_equal("app!=db", true)]
    #[case::not_equal_without_label("tier!=db", true)]
    #[case::among("app in (db, web),zone", true)]
    #[case::not_among("app notin (db,web)", false)]
    #[case::not_among_without_label("tier notin (a)", true)]
    #[case::exists("zone", true)]
    #[case::exists_not("tier", false)]
    #[case::absent("!tier", true)]
    #[case::absent_not("!app", false)]
    #[case::empty_value("zone=", true)]
    #[case::with_prefix("example.org/a=b", true)]
    fn labels(#[case] selector: &str, #[case] matches: bool) {
        let object =
            json!({ "metadata": { "labels": { "app": "web", "zone": "", "example.org/a": "b" } } });
        let filter = Filter::parse(&mk_service(), selector, "").unwrap();
        assert_eq!(filter.matches(&object), matches);
    }

    #[rstest]
    #[case::name("metadata.name=a", true)]
    #[case::namespace("metadata.namespace=b", false)]
    #[case::kind_of_service("spec.type=LoadBalancer", true)]
    #[case::unequal("spec.type!=LoadBalancer", false)]
    #[case::two("metadata.name=a,spec.type==LoadBalancer", true)]
    #[case::missing("spec.clusterIP=", true)]
    fn fields(#[case] selector: &str, #[case] matches: bool) {
        let object = json!({ "metadata": { "name": "a", "namespace": "a" }, "spec": { "type": "LoadBalancer" } });
        let filter = Filter::parse(&mk_service(), "", selector).unwrap();
        assert_eq!(filter.matches(&object), matches);
    }

    #[rstest]
    #[case::unknown_field("", "spec.ports=1")]
    #[case::no_operator("", "metadata.name")]
    #[case::open_parenthesis("app in (a", "")]
    #[case::bad_operator("app near (a)", "")]
    #[case::no_name("=a", "")]
    #[case::blank_in_name("a b", "")]
    fn nonsense_is_refused(#[case] labels: &str, #[case] fields: &str) {
        assert!(Filter::parse(&mk_service(), labels, fields).is_err());
    }
}
