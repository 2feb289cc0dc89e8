//! The addresses a Service asks for by itself (`controller.md` 2.5, steps 2 to 4).

use std::net::IpAddr;

use crate::family::{FamilyError, Stack};
use crate::rows::Service;

/// The addresses `service` asks for, in its order; none if it leaves the choice to us. Asking by
/// annotation and by `spec.loadBalancerIP` at once is an error, even for the same address.
pub fn wanted_addresses(service: &Service) -> Result<Vec<IpAddr>, WantedError> {
    let set = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let annotation = set(&service.annotations.load_balancer_ips);
    let field = set(&service.load_balancer_ip);
    let (text, source) = match (annotation, field) {
        (None, None) => return Ok(Vec::new()),
        (Some(annotation), Some(field)) => return Err(WantedError::Twice { annotation, field }),
        (Some(annotation), None) => (annotation, Source::Annotation),
        (None, Some(field)) => (field, Source::Field),
    };
    let items: Vec<&str> = match source {
        Source::Annotation => text.split(',').map(str::trim).collect(),
        Source::Field => vec![text.as_str()],
    };
    let addresses: Vec<IpAddr> = items
        .iter()
        .map(|item| match item.parse::<IpAddr>() {
            Ok(address) => Ok(address.to_canonical()),
            Err(_) => Err(WantedError::Unparsable { place: source, value: (*item).to_owned() }),
        })
        .collect::<Result<_, _>>()?;
    match Stack::of_addresses(&addresses) {
        Ok(_) => Ok(addresses),
        Err(cause) => Err(WantedError::Families { value: text, cause }),
    }
}

/// Checks that `wanted`, if there is any, has exactly the families of the Service's cluster IPs: a
/// dual-stack Service asks for both or for none, also when it only prefers two.
pub fn check_families(wanted: &[IpAddr], cluster: Stack) -> Result<(), WantedError> {
    if wanted.is_empty() {
        return Ok(());
    }
    let join = || wanted.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    match Stack::of_addresses(wanted) {
        Ok(stack) if stack == cluster => Ok(()),
        Ok(stack) => Err(WantedError::OtherFamilies { value: join(), wanted: stack, cluster }),
        Err(cause) => Err(WantedError::Families { value: join(), cause }),
    }
}

/// Where a Service asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Source {
    /// Annotation `loadBalancerIPs`.
    Annotation,
    /// `spec.loadBalancerIP`.
    Field,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Annotation => "annotation loadBalancerIPs",
            Self::Field => "spec.loadBalancerIP",
        })
    }
}

/// Why what a Service asks for cannot be meant.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum WantedError {
    /// Asked for in both places.
    #[error(
        "both {} ({annotation:?}) and {} ({field:?}) are set, use one of them",
        Source::Annotation,
        Source::Field
    )]
    Twice {
        /// Value of the annotation.
        annotation: String,
        /// Value of the field.
        field: String,
    },
    /// Not an address.
    #[error("{place}: {value:?} is not an IP address")]
    Unparsable {
        /// Where it stands.
        place: Source,
        /// The text.
        value: String,
    },
    /// More than one address per family.
    #[error("requested addresses {value:?}: {cause}")]
    Families {
        /// The list as given.
        value: String,
        /// What is wrong with it.
        cause: FamilyError,
    },
    /// Not the families of the Service.
    #[error("requested addresses {value:?} are {wanted}, but the Service is {cluster}")]
    OtherFamilies {
        /// The list.
        value: String,
        /// Families of the list.
        wanted: Stack,
        /// Families of the Service.
        cluster: Stack,
    },
}

#[cfg(test)]
mod tests {
    use ferrolb_addr::Family;
    use rstest::rstest;

    use super::*;
    use crate::fixture::mk_service;

    fn mk_wanting(annotation: Option<&str>, field: Option<&str>) -> Service {
        let mut service = mk_service("web", &[]);
        service.annotations.load_balancer_ips = annotation.map(str::to_owned);
        service.load_balancer_ip = field.map(str::to_owned);
        service
    }

    fn mk_addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[rstest]
    #[case::nothing(None, None, &[])]
    #[case::empty_annotation(Some(""), None, &[])]
    #[case::empty_annotation_beside_field(Some(""), Some("1.2.3.4"), &["1.2.3.4"])]
    #[case::field(None, Some("1.2.3.4"), &["1.2.3.4"])]
    #[case::annotation(Some("1.2.3.4"), None, &["1.2.3.4"])]
    #[case::blanks_around_items(Some(" 1.2.3.4 , 2001:db8::1 "), None, &["1.2.3.4", "2001:db8::1"])]
    #[case::order_is_kept(Some("2001:db8::1,1.2.3.4"), None, &["2001:db8::1", "1.2.3.4"])]
    #[case::mapped_is_ipv4(Some("::ffff:1.2.3.4"), None, &["1.2.3.4"])]
    fn asks_for(
        #[case] annotation: Option<&str>,
        #[case] field: Option<&str>,
        #[case] expected: &[&str],
    ) {
        let wanted = wanted_addresses(&mk_wanting(annotation, field));
        assert_eq!(wanted, Ok(mk_addresses(expected)));
    }

    #[rstest]
    #[case::in_both_places(
        Some("1.2.3.4"),
        Some("1.2.3.4"),
        "both annotation loadBalancerIPs (\"1.2.3.4\") and spec.loadBalancerIP (\"1.2.3.4\") are \
         set, use one of them"
    )]
    #[case::no_address(
        Some("1.2.3.4,1.2.3"),
        None,
        "annotation loadBalancerIPs: \"1.2.3\" is not an IP address"
    )]
    #[case::empty_item(
        Some("1.2.3.4,"),
        None,
        "annotation loadBalancerIPs: \"\" is not an IP address"
    )]
    #[case::field_is_no_list(
        None,
        Some("1.2.3.4,::1"),
        "spec.loadBalancerIP: \"1.2.3.4,::1\" is not an IP address"
    )]
    #[case::two_of_one_family(
        Some("1.2.3.4,1.2.3.5"),
        None,
        "requested addresses \"1.2.3.4,1.2.3.5\": 1.2.3.4 and 1.2.3.5 are both IPv4: two \
         addresses must be of different families"
    )]
    #[case::three(
        Some("1.2.3.4,::1,::2"),
        None,
        "requested addresses \"1.2.3.4,::1,::2\": 3 addresses are given, at most one per family is \
         possible"
    )]
    fn asks_for_the_impossible(
        #[case] annotation: Option<&str>,
        #[case] field: Option<&str>,
        #[case] expected: &str,
    ) {
        let refused = wanted_addresses(&mk_wanting(annotation, field)).unwrap_err();
        assert_eq!(refused.to_string(), expected);
    }

    #[rstest]
    #[case::nothing_fits_all(&[], Stack::Dual, None)]
    #[case::same_family(&["1.2.3.4"], Stack::Single(Family::V4), None)]
    #[case::both(&["::1", "1.2.3.4"], Stack::Dual, None)]
    #[case::one_of_two(
        &["1.2.3.4"], Stack::Dual,
        Some("requested addresses \"1.2.3.4\" are IPv4, but the Service is dual-stack")
    )]
    #[case::other_family(
        &["::1"], Stack::Single(Family::V4),
        Some("requested addresses \"::1\" are IPv6, but the Service is IPv4")
    )]
    fn families(#[case] wanted: &[&str], #[case] cluster: Stack, #[case] expected: Option<&str>) {
        let refused = check_families(&mk_addresses(wanted), cluster).err();
        assert_eq!(refused.map(|error| error.to_string()).as_deref(), expected);
    }
}
