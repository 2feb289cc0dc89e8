//! Which of the candidates owns an address: upstream's order, bit for bit, so that a cluster with
//! speakers of both kinds agrees during a migration (`layer2.md` 1.6).
//!
//! Candidates are ordered by preference, higher first, then by `SHA-256(node "#" address)`,
//! smaller first. Only the first address of a Service is hashed; it decides for all of them.
//! Before all that, where only our speakers are members, a node that can serve comes before one that says
//! it lacks something for it ([`crate::Lack`]).

use std::cmp::Reverse;
use std::net::IpAddr;

use ferrolb_ipam::NodeName;
use sha2::{Digest, Sha256};

/// A candidate: its name, and what counts before it.
pub type Candidate<'a> = (&'a NodeName, Rank);

/// What counts before a name; the greater wins.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Rank {
    /// It says of nothing the Service needs that it lacks it.
    pub sound: bool,
    /// The sum of its preference weights.
    pub preference: i64,
}

impl Rank {
    /// Of a node that lacks nothing.
    pub fn sound(preference: i64) -> Self {
        Self { sound: true, preference }
    }
}

/// Place in the election; the smallest wins.
pub type Ballot = (Reverse<Rank>, [u8; 32]);

/// The owner among `candidates` of the Service whose first address is `first_address`.
pub fn winner<'a>(
    candidates: impl IntoIterator<Item = Candidate<'a>>,
    first_address: IpAddr,
) -> Option<&'a NodeName> {
    let address = address_text(first_address);
    candidates
        .into_iter()
        .map(|candidate| (ballot(candidate, &address), candidate.0))
        .min()
        .map(|(_, node)| node)
}

/// All candidates in order: the owner, who would follow it, and so on.
pub fn order<'a>(
    candidates: impl IntoIterator<Item = Candidate<'a>>,
    first_address: IpAddr,
) -> Vec<&'a NodeName> {
    let address = address_text(first_address);
    let mut ballots: Vec<_> = candidates
        .into_iter()
        .map(|candidate| (ballot(candidate, &address), candidate.0))
        .collect();
    ballots.sort_unstable();
    ballots.into_iter().map(|(_, node)| node).collect()
}

/// Whether `challenger` comes before `holder`.
pub fn beats(challenger: Candidate<'_>, holder: Candidate<'_>, first_address: IpAddr) -> bool {
    match challenger.1.cmp(&holder.1) {
        std::cmp::Ordering::Equal => {
            let address = address_text(first_address);
            ballot(challenger, &address) < ballot(holder, &address)
        }
        unequal => unequal.is_gt(),
    }
}

fn ballot((node, rank): Candidate<'_>, address: &str) -> Ballot {
    let digest = Sha256::new()
        .chain_update(node.as_str().as_bytes())
        .chain_update(b"#")
        .chain_update(address.as_bytes())
        .finalize();
    (Reverse(rank), digest.into())
}

/// The address as Go prints it: RFC 5952, an IPv4-mapped address as IPv4.
fn address_text(address: IpAddr) -> String {
    address.to_canonical().to_string()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("iris1", "10.20.30.1", "e42ad61a4159")]
    #[case("iris2", "10.20.30.1", "af6cb4e76058")]
    #[case("iris1", "10.20.30.2", "610c5b6d22f6")]
    #[case("iris2", "10.20.30.2", "6429fb4c07ee")]
    #[case("node-a", "10.0.0.1", "dd41591fe8f3")]
    #[case("node-b", "10.0.0.1", "2acae88581fd")]
    #[case("node-c", "10.0.0.1", "f949561f9d43")]
    #[case("node-a", "10.0.0.2", "d12599e53839")]
    #[case("node-b", "10.0.0.2", "48a0dc887435")]
    #[case("node-c", "10.0.0.2", "c71d9feea314")]
    #[case("edge-a", "10.20.30.1", "c4464d2e28fe")]
    #[case("edge-b", "10.20.30.1", "3e7a4988aab7")]
    #[case("worker-a", "10.20.30.1", "734e3469feb0")]
    #[case("worker-b", "10.20.30.1", "c907072e3516")]
    #[case("node-a", "2001:db8::1", "3c9f88a7e2ef")]
    #[case("node-b", "2001:db8::1", "1aee61dde2bd")]
    #[case::mapped_prints_as_ipv4("iris1", "::ffff:10.20.30.1", "e42ad61a4159")]
    #[case::long_form_prints_short("node-a", "2001:DB8:0:0:0:0:0:1", "3c9f88a7e2ef")]
    fn known_answers(#[case] node: &str, #[case] address: IpAddr, #[case] prefix: &str) {
        let (_, digest) = ballot((&node.into(), Rank::sound(0)), &address_text(address));
        let head = digest.iter().take(6).fold(0_u64, |head, byte| head << 8 | u64::from(*byte));
        assert_eq!(format!("{head:012x}"), prefix);
    }

    #[rstest]
    #[case::l2_row_53_no_candidates(&[], "10.0.0.1", &[])]
    #[case::l2_row_54_one_candidate(&[("node-a", 0)], "10.0.0.1", &["node-a"])]
    #[case::l2_row_55_hash_orders(
        &[("node-a", 0), ("node-b", 0), ("node-c", 0)], "10.0.0.1", &["node-b", "node-a", "node-c"]
    )]
    #[case::l2_row_55_whatever_the_order(
        &[("node-c", 0), ("node-b", 0), ("node-a", 0)], "10.0.0.1", &["node-b", "node-a", "node-c"]
    )]
    #[case::l2_row_56_another_address(
        &[("node-a", 0), ("node-b", 0), ("node-c", 0)], "10.0.0.2", &["node-b", "node-c", "node-a"]
    )]
    #[case::l2_row_57_preference_first(
        &[("edge-a", 100), ("edge-b", 0), ("worker-a", 0), ("worker-b", 0)],
        "10.20.30.1",
        &["edge-a", "edge-b", "worker-a", "worker-b"]
    )]
    #[case::l2_row_58_equal_preference(
        &[("node-a", 100), ("node-b", 100)], "10.20.30.1", &["node-b", "node-a"]
    )]
    #[case::l2_row_59_preferred_before_the_rest(
        &[("edge-a", 100), ("edge-b", 100), ("worker-a", 0)],
        "10.20.30.1",
        &["edge-b", "edge-a", "worker-a"]
    )]
    fn orders(
        #[case] candidates: &[(&str, i64)],
        #[case] address: IpAddr,
        #[case] expected: &[&str],
    ) {
        let named: Vec<(NodeName, i64)> =
            candidates.iter().map(|(node, score)| ((*node).into(), *score)).collect();
        let voters = || named.iter().map(|(node, score)| (node, Rank::sound(*score)));

        let ordered: Vec<&str> =
            order(voters(), address).into_iter().map(NodeName::as_str).collect();
        assert_eq!(ordered, expected);
        assert_eq!(winner(voters(), address).map(NodeName::as_str), expected.first().copied());
        for one in voters() {
            for other in voters() {
                let before = expected.iter().position(|name| *name == one.0.as_str())
                    < expected.iter().position(|name| *name == other.0.as_str());
                assert_eq!(beats(one, other, address), before, "{one:?} {other:?}");
            }
        }
    }
    #[test]
    fn whoever_lacks_nothing_comes_before_preference() {
        let (sound, lacking): (NodeName, NodeName) = ("node-a".into(), "node-b".into());
        let candidates = |also_lacks: bool| {
            let rank = |sound, preference| Rank { sound, preference };
            [(&sound, rank(!also_lacks, 0)), (&lacking, rank(false, 100))]
        };
        let address = IpAddr::from([10, 0, 0, 1]);
        assert_eq!(winner(candidates(false), address), Some(&sound));
        assert_eq!(winner(candidates(true), address), Some(&lacking));
    }
}
