//! The `loadBalancerClass` filter: which Services are ours at all.

/// Whether a process started with class `ours` handles a Service of class `service`. Without a
/// class we handle Services without one; with a class, only those that name it.
pub fn handles(ours: Option<&str>, service: Option<&str>) -> bool {
    ours == service
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::k_052_neither_has_a_class(None, None, true)]
    #[case::k_053_service_has_none(Some("foo"), None, false)]
    #[case::k_054_we_have_none(None, Some("foo"), false)]
    #[case::k_055_classes_differ(Some("bar"), Some("foo"), false)]
    #[case::k_056_classes_agree(Some("foo"), Some("foo"), true)]
    fn t_210_class_filter(
        #[case] ours: Option<&str>,
        #[case] service: Option<&str>,
        #[case] handled: bool,
    ) {
        assert_eq!(handles(ours, service), handled);
    }
}
