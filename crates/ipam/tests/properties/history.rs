//! Commands, how they come about at random, and what comes of them.
//!
//! The world is small so that things meet: six Services in two namespaces, pools over eight
//! addresses of each family, two of the IPv4 ones buggy, two labels, three ports, two keys.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ferrolb_addr::{AddrRange, Family, from_bits, to_bits};
use ferrolb_ipam::{
    Allocator, Assignment, DualPolicy, Families, Labels, Owner, Pinning, Pool, PoolName,
    PoolsChange, Port, Refusal, Request, Selector, ServiceKey,
};
use proptest::prelude::*;

/// What a Service asks with.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) service: ServiceKey,
    pub(crate) labels: Labels,
    pub(crate) ports: Vec<Port>,
    pub(crate) sharing_key: &'static str,
    pub(crate) backend_key: &'static str,
    pub(crate) families: Families,
}

#[derive(Clone, Debug)]
pub(crate) enum Command {
    SetPools(Vec<Pool>),
    SetReserved(BTreeSet<IpAddr>),
    Assign(Question, Vec<IpAddr>),
    Allocate(Question),
    AllocateFrom(Question, PoolName),
    AddFamily(Question),
    Release(ServiceKey),
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    Holds(Assignment),
    Refused(Refusal),
    Released(Option<Assignment>),
    Changed(PoolsChange),
    Done,
}

/// An outcome as far as the naive model knows it: which refusal it is, it does not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Answer {
    Holds(Assignment),
    Refused,
    Released(Option<Assignment>),
    Changed(PoolsChange),
    Done,
}

impl Outcome {
    pub(crate) fn answer(&self) -> Answer {
        match self.clone() {
            Self::Holds(assignment) => Answer::Holds(assignment),
            Self::Refused(_) => Answer::Refused,
            Self::Released(assignment) => Answer::Released(assignment),
            Self::Changed(change) => Answer::Changed(change),
            Self::Done => Answer::Done,
        }
    }
}

pub(crate) fn run(allocator: &mut Allocator, command: &Command) -> Outcome {
    let result = match command {
        Command::SetPools(pools) => return Outcome::Changed(allocator.set_pools(pools.clone())),
        Command::SetReserved(ips) => {
            let owned = |ip: &IpAddr| (*ip, Owner::Node, "n1");
            allocator.set_reserved(ips.iter().map(owned).collect());
            return Outcome::Done;
        }
        Command::Release(service) => return Outcome::Released(allocator.release(service)),
        Command::Assign(question, ips) => allocator.assign(&question.request(), ips),
        Command::Allocate(question) => allocator.allocate(&question.request()),
        Command::AllocateFrom(question, pool) => allocator.allocate_from(&question.request(), pool),
        Command::AddFamily(question) => allocator.add_family(&question.request()),
    };
    result.map_or_else(Outcome::Refused, Outcome::Holds)
}

impl Question {
    fn request(&self) -> Request<'_> {
        Request {
            service: &self.service,
            labels: &self.labels,
            ports: &self.ports,
            sharing_key: self.sharing_key,
            backend_key: self.backend_key,
            families: self.families,
        }
    }
}

pub(crate) fn history() -> impl Strategy<Value = Vec<Command>> {
    (pools(), prop::collection::vec(command(), 1..40)).prop_map(|(pools, mut commands)| {
        commands.insert(0, Command::SetPools(pools));
        commands
    })
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        1 => pools().prop_map(Command::SetPools),
        1 => prop::collection::btree_set(ip(), 0..4).prop_map(Command::SetReserved),
        8 => (mk_question(), prop::collection::vec(ip(), 1..3))
            .prop_map(|(question, ips)| Command::Assign(question, ips)),
        8 => mk_question().prop_map(Command::Allocate),
        4 => (mk_question(), pool_name())
            .prop_map(|(question, pool)| Command::AllocateFrom(question, pool)),
        2 => mk_question().prop_map(Command::AddFamily),
        4 => service().prop_map(Command::Release),
    ]
}

pub(crate) fn mk_question() -> impl Strategy<Value = Question> {
    let families = prop_oneof![
        4 => Just(Families::Single(Family::V4)),
        2 => Just(Families::Single(Family::V6)),
        2 => any::<bool>().prop_map(|v6| Families::Dual {
            policy: DualPolicy::Prefer,
            primary: if v6 { Family::V6 } else { Family::V4 },
        }),
        2 => Just(Families::Dual { policy: DualPolicy::Require, primary: Family::V4 }),
        1 => Just(Families::Dual { policy: DualPolicy::Single, primary: Family::V4 }),
    ];
    let ports = prop::collection::vec(
        prop::sample::select(vec![Port::tcp(80), Port::tcp(443), Port::udp(80)]),
        0..3,
    );
    let sharing_key = prop::sample::select(vec!["", "", "a", "a", "b"]);
    let backend_key = prop::sample::select(vec!["", "", "", "x"]);
    (service(), labels(), ports, sharing_key, backend_key, families).prop_map(
        |(service, labels, ports, sharing_key, backend_key, families)| Question {
            service,
            labels,
            ports,
            sharing_key,
            backend_key,
            families,
        },
    )
}

fn service() -> impl Strategy<Value = ServiceKey> {
    (prop::sample::select(vec!["one", "two"]), prop::sample::select(vec!["a", "b", "c"]))
        .prop_map(|(namespace, name)| ServiceKey::new(namespace, name))
}

fn labels() -> impl Strategy<Value = Labels> {
    prop_oneof![Just(Labels::new()), Just(team().into())]
}

fn team() -> BTreeMap<String, String> {
    BTreeMap::from([("team".to_owned(), "net".to_owned())])
}

fn pools() -> impl Strategy<Value = Vec<Pool>> {
    prop::collection::vec(pool(), 0..5).prop_map(|mut pools| {
        pools.sort_by(|a, b| a.name.cmp(&b.name));
        pools.dedup_by(|a, b| a.name == b.name);
        pools
    })
}

fn pool() -> impl Strategy<Value = Pool> {
    let ranges = prop::collection::vec(range(), 1..4);
    let pinning = prop_oneof![3 => Just(None), 2 => pinning().prop_map(Some)];
    (pool_name(), ranges, prop::bool::weighted(0.8), any::<bool>(), pinning).prop_map(
        |(name, ranges, auto_assign, avoid_buggy_ips, pinning)| {
            // Ranges of one pool never overlap: configuration sees to that.
            let mut apart: Vec<AddrRange> = Vec::new();
            for range in ranges {
                if !apart.iter().any(|other| other.overlaps(&range)) {
                    apart.push(range);
                }
            }
            Pool { name, ranges: apart, auto_assign, avoid_buggy_ips, pinning }
        },
    )
}

fn pinning() -> impl Strategy<Value = Pinning> {
    let namespaces = prop::sample::select(vec![
        None,
        Some(BTreeSet::new()),
        Some(BTreeSet::from(["one".to_owned()])),
        Some(BTreeSet::from(["one".to_owned(), "two".to_owned()])),
    ]);
    let selectors = prop_oneof![
        Just(Vec::new()),
        Just(vec![Selector::new(&team(), []).expect("valid")]),
        Just(vec![Selector::everything()]),
    ];
    (-1..4_i64, namespaces, selectors).prop_map(|(priority, namespaces, service_selectors)| {
        Pinning { priority, namespaces, service_selectors }
    })
}

fn pool_name() -> impl Strategy<Value = PoolName> {
    prop::sample::select(vec!["p1", "p2", "p3", "p4"]).prop_map(PoolName::from)
}

/// Some of `10.0.0.252-10.0.1.3`, or of `fd00::/125`.
fn ip() -> impl Strategy<Value = IpAddr> {
    (any::<bool>(), 0..8_u128).prop_map(|(v4, offset)| {
        if v4 {
            from_bits(Family::V4, to_bits(IpAddr::from([10, 0, 0, 252])) + offset)
        } else {
            from_bits(Family::V6, (0xfd00 << 112) + offset)
        }
    })
}

fn range() -> impl Strategy<Value = AddrRange> {
    (ip(), 0..4_u128).prop_filter_map("ascending", |(first, more)| {
        AddrRange::new(first, from_bits(Family::of(first), to_bits(first) + more))
    })
}
