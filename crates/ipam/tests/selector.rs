//! Label selectors: what they match, how they print, what is refused.

use std::collections::BTreeMap;

use ferrolb_ipam::{Expression, Labels, Selector};
use rstest::rstest;

fn mk_labels(text: &str) -> BTreeMap<String, String> {
    text.split(',')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

fn mk_expression(key: &str, operator: &str, values: &[&str]) -> Expression {
    Expression {
        key: key.to_owned(),
        operator: operator.to_owned(),
        values: values.iter().map(ToString::to_string).collect(),
    }
}

#[rstest]
#[case::present("In", &["a", "b"], "k=a", true)]
#[case::other_value("In", &["a", "b"], "k=c", false)]
#[case::missing_key("In", &["a"], "", false)]
#[case::empty_value("In", &[""], "k=", true)]
#[case::excluded("NotIn", &["a"], "k=a", false)]
#[case::not_excluded("NotIn", &["a"], "k=b", true)]
#[case::missing_key_is_not_excluded("NotIn", &["a"], "", true)]
#[case::exists("Exists", &[], "k=", true)]
#[case::exists_not("Exists", &[], "l=a", false)]
#[case::absent("DoesNotExist", &[], "l=a", true)]
#[case::absent_not("DoesNotExist", &[], "k=a", false)]
fn expressions(
    #[case] operator: &str,
    #[case] values: &[&str],
    #[case] labels: &str,
    #[case] expected: bool,
) {
    let selector = Selector::new(&BTreeMap::new(), [mk_expression("k", operator, values)]).unwrap();
    assert_eq!(selector.matches(&mk_labels(labels).into()), expected);
}

#[rstest]
#[case::all("a=1,b=2,c=3", true)]
#[case::one_label_differs("a=1,b=3,c=3", false)]
#[case::expression_fails("a=1,b=2", false)]
fn all_conditions_must_hold(#[case] labels: &str, #[case] expected: bool) {
    let selector =
        Selector::new(&mk_labels("a=1,b=2"), [mk_expression("c", "Exists", &[])]).unwrap();
    assert_eq!(selector.matches(&mk_labels(labels).into()), expected);
}

#[test]
fn everything_matches_everything() {
    let selector = Selector::new(&BTreeMap::new(), []).unwrap();
    assert_eq!(selector, Selector::everything());
    assert!(selector.is_everything());
    assert!(selector.matches(&Labels::new()));
    assert_eq!(selector.to_string(), "<none>");
}

#[test]
fn order_of_writing_does_not_matter() {
    let parts = [
        mk_expression("z", "DoesNotExist", &[]),
        mk_expression("a", "NotIn", &["y", "x"]),
        mk_expression("a", "In", &["q", "p"]),
        mk_expression("example.com/m", "Exists", &[]),
    ];
    let selector = Selector::new(&mk_labels("b=1,a=2"), parts.clone()).unwrap();
    let reversed = Selector::new(&mk_labels("a=2,b=1"), parts.into_iter().rev()).unwrap();
    assert_eq!(selector, reversed);
    assert_eq!(selector.to_string(), "a=2,a in (p,q),a notin (x,y),b=1,example.com/m,!z");
}

#[rstest]
#[case::operator(mk_expression("k", "Equals", &["a"]), "\"Equals\" is no operator")]
#[case::operator_case(mk_expression("k", "in", &["a"]), "\"in\" is no operator")]
#[case::no_values(mk_expression("k", "In", &[]), "In needs at least one value")]
#[case::no_values_not_in(mk_expression("k", "NotIn", &[]), "NotIn needs at least one value")]
#[case::values(mk_expression("k", "Exists", &["a"]), "Exists takes no values, it has [\"a\"]")]
#[case::values_absent(mk_expression("k", "DoesNotExist", &["a"]), "takes no values")]
#[case::value_twice(mk_expression("k", "In", &["b", "a", "b"]), "value \"b\" is listed twice")]
#[case::empty_key(mk_expression("", "Exists", &[]), "\"\" cannot be a label key")]
#[case::key_with_blank(mk_expression("a b", "Exists", &[]), "\"a b\" cannot be a label key")]
#[case::key_prefix(mk_expression("Ex.com/k", "Exists", &[]), "\"Ex.com/k\" cannot be")]
#[case::two_slashes(mk_expression("a/b/c", "Exists", &[]), "\"a/b/c\" cannot be")]
#[case::value(mk_expression("k", "In", &["-a"]), "\"-a\" cannot be a label value")]
fn nonsense_is_refused_by_name(#[case] expression: Expression, #[case] says: &str) {
    let error = Selector::new(&BTreeMap::new(), [expression]).unwrap_err().to_string();
    assert!(error.contains(says), "{error}");
}

#[test]
fn an_expression_given_twice_is_refused_in_any_order_of_its_values() {
    let twice = [mk_expression("k", "In", &["a", "b"]), mk_expression("k", "In", &["b", "a"])];
    let error = Selector::new(&BTreeMap::new(), twice).unwrap_err();
    assert_eq!(error.to_string(), "expression \"k in (a,b)\" is listed twice");
}

/// The same condition written both ways is no mistake: upstream takes it.
#[test]
fn a_label_may_repeat_an_expression() {
    let selector = Selector::new(&mk_labels("k=a"), [mk_expression("k", "In", &["a"])]).unwrap();
    assert_eq!(selector.to_string(), "k=a,k in (a)");
}

#[rstest]
#[case::long_value("k", &"v".repeat(64))]
#[case::long_key(&"k".repeat(64), "v")]
#[case::long_prefix(&format!("{}/k", "p".repeat(254)), "v")]
fn labels_that_cannot_be_are_refused(#[case] key: &str, #[case] value: &str) {
    let labels = BTreeMap::from([(key.to_owned(), value.to_owned())]);
    Selector::new(&labels, []).unwrap_err();
}
