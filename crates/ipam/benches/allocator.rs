//! What one address costs: in an empty pool, in a full one, and among many that are shared.

use std::sync::LazyLock;

use ferrolb_addr::Family;
use ferrolb_ipam::{Allocator, Families, Labels, Pool, Port, Request, ServiceKey};

fn main() {
    divan::main();
}

/// Takes all 65,536 addresses of a /16, one Service each.
#[divan::bench(sample_count = 10)]
fn fill_a_slash_16(bencher: divan::Bencher) {
    let services = mk_services(1 << 16);
    bencher
        .with_inputs(|| mk_allocator("10.0.0.0/16"))
        .bench_local_refs(|allocator| take_all(allocator, &services));
}

/// Frees one address of a full /16, and finds it again for somebody else.
#[divan::bench(args = ["10.0.0.0", "10.0.128.0", "10.0.255.255"])]
fn free_one_of_a_full_slash_16_and_find_it(bencher: divan::Bencher, hole: &str) {
    let services = mk_services(1 << 16);
    let mut allocator = mk_allocator("10.0.0.0/16");
    take_all(&mut allocator, &services);
    let mut holder = hole
        .parse()
        .ok()
        .and_then(|ip| allocator.holders(ip).next().cloned())
        .unwrap_or_else(|| panic!("nobody holds {hole}"));
    let mut next = ServiceKey::new("bench", "next");
    bencher.bench_local(|| {
        allocator.release(&holder);
        std::mem::swap(&mut holder, &mut next);
        allocator.allocate(&request(&holder))
    });
}

/// Allocates and frees in a pool of which so many addresses are in use.
#[divan::bench(args = [0, 100, 10_000, 65_000])]
fn allocate_with_in_use(bencher: divan::Bencher, in_use: usize) {
    let services = mk_services(in_use);
    let mut allocator = mk_allocator("10.0.0.0/16");
    take_all(&mut allocator, &services);
    let next = ServiceKey::new("bench", "next");
    bencher.bench_local(|| {
        let taken = allocator.allocate(&request(&next));
        allocator.release(&next);
        taken
    });
}

/// Is refused by a full /16.
#[divan::bench]
fn refused_by_a_full_slash_16(bencher: divan::Bencher) {
    let services = mk_services(1 << 16);
    let mut allocator = mk_allocator("10.0.0.0/16");
    take_all(&mut allocator, &services);
    let next = ServiceKey::new("bench", "next");
    bencher.bench_local(|| allocator.allocate(&request(&next)));
}

/// Says again what a Service holds already, in a pool with 10,000 in use.
#[divan::bench]
fn assign_unchanged(bencher: divan::Bencher) {
    let services = mk_services(10_000);
    let mut allocator = mk_allocator("10.0.0.0/16");
    take_all(&mut allocator, &services);
    let service = &services[5_000];
    let ips = allocator.assignment(service).map(|held| held.ips.clone()).unwrap_or_default();
    bencher.bench_local(|| allocator.assign(&request(service), &ips));
}

/// Finds the one address to share, where 10,000 are held under the key with the port taken.
#[divan::bench]
fn share_among_10_000(bencher: divan::Bencher) {
    let services = mk_services(10_001);
    let mut allocator = mk_allocator("10.0.0.0/16");
    let share = |service, port| Request { sharing_key: "key", ports: port, ..request(service) };
    let (http, https) = ([Port::tcp(80)], [Port::tcp(443)]);
    let (last, others) = services.split_last().map_or((&services[0], &services[..]), |split| split);
    for service in others {
        let _ = allocator.allocate(&share(service, &http));
    }
    let _ = allocator.allocate_from(&share(last, &https), &"pool".into());
    let next = ServiceKey::new("bench", "next");
    bencher.bench_local(|| {
        let taken = allocator.allocate(&share(&next, &http));
        allocator.release(&next);
        taken
    });
}

/// Replaces one of 200 pools by a larger one, with 50 addresses of each in use.
#[divan::bench]
fn widen_one_of_200_pools(bencher: divan::Bencher) {
    let mk_pools = |last: &str| -> Vec<Pool> {
        (0..200)
            .map(|i| mk_pool(&format!("p{i:03}"), &format!("10.{i}.0.0-10.{i}.0.99")))
            .chain(std::iter::once(mk_pool("p200", last)))
            .collect()
    };
    let (narrow, wide) = (mk_pools("10.200.0.0/25"), mk_pools("10.200.0.0/24"));
    let mut allocator = Allocator::new();
    allocator.set_pools(narrow.clone());
    take_all(&mut allocator, &mk_services(10_000));
    let mut turn = false;
    bencher
        .with_inputs(|| {
            turn = !turn;
            if turn { wide.clone() } else { narrow.clone() }
        })
        .bench_local_values(|pools| allocator.set_pools(pools));
}

fn take_all(allocator: &mut Allocator, services: &[ServiceKey]) {
    for service in services {
        let taken = allocator.allocate(&request(service));
        assert!(taken.is_ok(), "{taken:?}");
    }
}

fn mk_services(count: usize) -> Vec<ServiceKey> {
    (0..count).map(|i| ServiceKey::new("bench", format!("service-{i:05}"))).collect()
}

fn request(service: &ServiceKey) -> Request<'_> {
    static NO_LABELS: LazyLock<Labels> = LazyLock::new(Labels::new);
    static HTTP: [Port; 1] = [Port::tcp(80)];
    Request {
        service,
        labels: &NO_LABELS,
        ports: &HTTP,
        sharing_key: "",
        backend_key: "",
        families: Families::Single(Family::V4),
    }
}

fn mk_allocator(range: &str) -> Allocator {
    let mut allocator = Allocator::new();
    allocator.set_pools(vec![mk_pool("pool", range)]);
    allocator
}

fn mk_pool(name: &str, range: &str) -> Pool {
    Pool {
        name: name.into(),
        ranges: range.parse().into_iter().collect(),
        auto_assign: true,
        avoid_buggy_ips: false,
        pinning: None,
    }
}
