//! Random histories: users edit, pools change, writes are late, lost or refused, processes restart
//! and take over from each other, watches lag and list anew. Whatever happens, no address is given
//! twice, and in the end everybody has what there is to have and nobody writes any more. Only where
//! a leader of old writes after the next one has begun, against the guard, may two Services show
//! one address for a while; but not in the end.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
/// Few addresses for many Services; the last pool cannot be read.
const RANGES: [&[&str]; 5] = [
    &["192.0.2.0/32"],
    &["192.0.2.0/31", "2001:db8::/127"],
    &["192.0.2.2/31"],
    &["192.0.2.1/32", "2001:db8::1/128"],
    &["192.0.2.0/31", "nonsense"],
];
const WISHES: [&str; 3] = ["192.0.2.0", "192.0.2.1", "192.0.2.2"];

/// Something that happens.
#[derive(Clone, Debug)]
enum Act {
    Edit(usize, Edit),
    Delete(usize),
    Pool(usize, Option<usize>),
    /// The watch shows so many more changes.
    Show(usize),
    /// The ledger does so many steps.
    Work(usize),
    /// The API server takes a write that is on its way.
    Take(usize, Fate),
    /// The watch lists everything anew.
    Relist,
    Restart,
    /// The other process leads; it has waited for what was under way, or it has not.
    TakeOver {
        waited: bool,
    },
}

#[derive(Clone, Debug)]
enum Edit {
    Touch,
    Pool(Option<usize>),
    Wish(Option<usize>),
    Share(Option<usize>),
    Number(u16),
    Local(bool),
    Stack(IpFamilyPolicy),
    ClearStatus,
    Class(bool),
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Answered,
    /// Done, but the answer is lost: sent again, it is a conflict.
    AnswerLost,
    Refused,
    /// A conflict for no reason we ever see.
    BogusConflict,
}

/// A pool by its place, and what it holds.
type Pools = BTreeMap<usize, usize>;

/// The played API server and the ways between it and the processes.
struct World {
    options: Options,
    views: [View; 2],
    /// Which of the processes leads, and for the how manieth time one does.
    leader: usize,
    term: u64,
    version: u64,
    births: u64,
    stored: BTreeMap<ServiceKey, Service>,
    conditions: BTreeMap<ServiceKey, Arc<[Condition]>>,
    pools: Pools,
    /// Writes on their way, in order per Service, and the term they are from.
    sent: Vec<(u64, StatusWrite)>,
    /// Writes that were asked for, and those of them about addresses.
    written: usize,
    moved: usize,
    /// A leader of old may have written behind the back of a new one.
    unguarded: bool,
}

/// A process and what it knows.
struct View {
    ledger: Ledger,
    /// What the watch has not shown yet.
    unseen: VecDeque<(ServiceKey, Option<Row>)>,
    /// What the ledger was shown.
    seen: BTreeMap<ServiceKey, Service>,
    /// Writes that were not done, which the owner asks for again after a while.
    undone: BTreeSet<ServiceKey>,
}

impl View {
    fn new(options: &Options, leads: bool) -> Self {
        let mut ledger = Ledger::new(options.clone());
        if !leads {
            ledger.stand_by();
        }
        Self { ledger, unseen: VecDeque::new(), seen: BTreeMap::new(), undone: BTreeSet::new() }
    }
}

impl World {
    fn new(options: Options) -> Self {
        Self {
            views: [View::new(&options, true), View::new(&options, false)],
            options,
            leader: 0,
            term: 0,
            version: 0,
            births: 0,
            stored: BTreeMap::new(),
            conditions: BTreeMap::new(),
            pools: BTreeMap::new(),
            sent: Vec::new(),
            written: 0,
            moved: 0,
            unguarded: false,
        }
    }

    fn lead(&mut self) -> &mut View {
        &mut self.views[self.leader]
    }

    fn row(&self, key: &ServiceKey) -> Row {
        let conditions = self.conditions.get(key).cloned().unwrap_or_default();
        Row { service: self.stored[key].clone(), conditions, rival: None }
    }

    /// Every watch is to show what is stored for `key` now.
    fn announce(&mut self, key: &ServiceKey) {
        let row = self.stored.contains_key(key).then(|| self.row(key));
        for view in &mut self.views {
            view.unseen.push_back((key.clone(), row.clone()));
        }
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Edit(name, edit) => self.edit(*name, edit),
            Act::Delete(name) => {
                let key = mk_key(*name);
                if self.stored.remove(&key).is_some() {
                    self.conditions.remove(&key);
                    self.announce(&key);
                }
            }
            Act::Pool(place, ranges) => {
                set(&mut self.pools, *place, *ranges);
                self.show_pool(*place);
            }
            Act::Show(count) => {
                for _ in 0..*count {
                    self.show();
                }
            }
            Act::Work(count) => {
                for _ in 0..*count {
                    self.work();
                }
            }
            Act::Take(place, fate) => self.take(*place, *fate),
            Act::Relist => self.relist(),
            Act::Restart => self.restart(),
            Act::TakeOver { waited } => self.take_over(*waited),
        }
    }

    fn edit(&mut self, name: usize, edit: &Edit) {
        let key = mk_key(name);
        self.version += 1;
        let births = &mut self.births;
        let service = self.stored.entry(key.clone()).or_insert_with(|| {
            *births += 1;
            let mut service = mk_service(NAMES[name]);
            service.uid = births.to_string().into();
            service
        });
        match edit {
            Edit::Touch => {}
            Edit::Pool(pool) => service.annotations.address_pool = pool.map(mk_name),
            Edit::Wish(wish) => service.load_balancer_ip = wish.map(|wish| WISHES[wish].into()),
            Edit::Share(key) => service.annotations.allow_shared_ip = key.map(mk_name),
            Edit::Number(number) => service.ports[0].number = *number,
            Edit::Local(local) => service.local_traffic_only = *local,
            Edit::Stack(policy) => {
                service.ip_family_policy = *policy;
                let count = if *policy == IpFamilyPolicy::SingleStack { 1 } else { 2 };
                let all = ["10.96.0.1".to_owned(), "fd00::1".to_owned()];
                service.cluster_ips = all[..count].to_vec();
            }
            Edit::ClearStatus => service.ingress.clear(),
            Edit::Class(other) => service.class = other.then(|| "other".into()),
        }
        service.resource_version = self.version.to_string().into();
        self.announce(&key);
    }

    fn show_pool(&mut self, place: usize) {
        let name = mk_name(place);
        let pool = self.pools.get(&place).map(|ranges| Box::new(mk_pool(&name, RANGES[*ranges])));
        for view in &mut self.views {
            view.ledger.apply(Change::Pool(name.clone(), pool.clone()));
        }
    }

    /// The leader's watch shows one more change, and the other's may.
    fn show(&mut self) {
        let both = self.version.is_multiple_of(2);
        for (place, view) in self.views.iter_mut().enumerate() {
            if place != self.leader && !both {
                continue;
            }
            let Some((key, row)) = view.unseen.pop_front() else { continue };
            set(&mut view.seen, key.clone(), row.as_ref().map(|row| row.service.clone()));
            view.ledger.apply(match row {
                Some(row) => Change::Service(Box::new(row)),
                None => Change::ServiceGone(key),
            });
        }
    }

    /// One step of the ledger. What it sends must not put an address where another one is.
    fn work(&mut self) -> bool {
        let other = 1 - self.leader;
        while let Some(effects) = self.views[other].ledger.step() {
            let writes =
                |effect: &Effect| matches!(effect, Effect::Write(_) | Effect::Event { .. });
            assert!(!effects.iter().any(writes), "who stands by decides nothing");
        }
        let Some(effects) = self.lead().ledger.step() else { return false };
        for effect in effects {
            if let Effect::Write(write) = effect {
                if !self.unguarded {
                    self.check(&write);
                }
                self.written += 1;
                self.moved += usize::from(write.balancer.is_some());
                self.sent.push((self.term, write));
            }
        }
        true
    }

    /// An address that a write gives to a Service which does not show it yet must not be shown by
    /// another one, unless they may share it.
    fn check(&self, write: &StatusWrite) {
        let view = &self.views[self.leader];
        let Some(new) = view.seen.get(&write.key) else { panic!("writes for {}", write.key) };
        let given = given(write);
        let has = self.stored.get(&write.key).map(shown).unwrap_or_default();
        for (key, service) in self.stored.iter().filter(|(key, _)| **key != write.key) {
            // A write on another version will be refused.
            let underway = self.sent.iter().map(|(_, sent)| sent).filter(|sent| {
                sent.key == *key && sent.resource_version == service.resource_version
            });
            let underway = underway.flat_map(super::given);
            for ip in shown(service).into_iter().chain(underway) {
                let old = view.seen.get(key).filter(|old| old.uid == service.uid);
                assert!(
                    !given.contains(&ip)
                        || has.contains(&ip)
                        || old.is_none_or(|old| old.class.is_some() || may_share(old, new)),
                    "{ip} goes to {} while {key} shows it",
                    write.key,
                );
            }
        }
    }

    fn take(&mut self, place: usize, fate: Fate) {
        if self.sent.is_empty() {
            return;
        }
        let (term, write) = self.sent.remove(place % self.sent.len());
        let key = write.key.clone();
        let result = match fate {
            Fate::Refused => WriteResult::Failed,
            Fate::BogusConflict => WriteResult::Conflict,
            Fate::Answered | Fate::AnswerLost => match self.stored.get_mut(&key) {
                None => WriteResult::Missing,
                Some(service) if service.resource_version != write.resource_version => {
                    WriteResult::Conflict
                }
                Some(service) => {
                    self.version += 1;
                    store(service, &write, self.version);
                    if let Some(conditions) = &write.conditions {
                        self.conditions.insert(key.clone(), Arc::clone(conditions));
                    }
                    self.announce(&key);
                    match fate {
                        Fate::AnswerLost => WriteResult::Conflict,
                        _ => WriteResult::Done(self.version.to_string().into()),
                    }
                }
            },
        };
        if term != self.term {
            // Who asked for it has forgotten.
            return;
        }
        let view = self.lead();
        if matches!(result, WriteResult::Failed | WriteResult::Conflict) {
            view.undone.insert(key.clone());
        }
        view.ledger.apply(Change::Written(key, result));
    }

    /// A list says what there is, and what is gone; what the watch had to show is part of it.
    fn relist(&mut self) {
        let rows: Vec<Row> = self.stored.keys().map(|key| self.row(key)).collect();
        let stored = self.stored.clone();
        let view = self.lead();
        view.unseen.clear();
        for key in view.seen.keys().filter(|key| !stored.contains_key(*key)) {
            view.ledger.apply(Change::ServiceGone(key.clone()));
        }
        view.seen = stored;
        for row in rows {
            view.ledger.apply(Change::Service(Box::new(row)));
        }
    }

    /// What was sent arrives.
    fn let_arrive(&mut self) {
        while !self.sent.is_empty() {
            self.take(0, Fate::Answered);
        }
    }

    fn restart(&mut self) {
        // What the old process had sent arrives before the new one lists.
        self.let_arrive();
        self.term += 1;
        self.views[self.leader] = View::new(&self.options, true);
        for place in self.pools.keys().copied().collect::<Vec<_>>() {
            self.show_pool(place);
        }
        self.relist();
    }

    fn take_over(&mut self, waited: bool) {
        if waited {
            self.let_arrive();
        } else {
            self.unguarded |= !self.sent.is_empty();
        }
        let old = self.lead();
        old.ledger.stand_by();
        old.undone.clear();
        self.leader = 1 - self.leader;
        self.term += 1;
        self.lead().ledger.confirm();
        // The new list does not say what is gone; what it lacks is.
        let stored = self.stored.clone();
        self.lead().seen.retain(|key, _| stored.contains_key(key));
        self.relist();
        self.lead().ledger.lead();
    }

    /// Lets everything come to rest; refused writes are tried again, as the owner does.
    fn settle(&mut self) {
        for _ in 0..100 {
            let mut busy = false;
            let mut steps = 0;
            while self.work() {
                busy = true;
                steps += 1;
                assert!(steps < 10_000, "works for ever");
            }
            while !self.sent.is_empty() {
                busy = true;
                self.take(0, Fate::Answered);
            }
            while !self.lead().unseen.is_empty() {
                busy = true;
                self.show();
            }
            let view = self.lead();
            for key in std::mem::take(&mut view.undone) {
                busy = true;
                view.ledger.apply(Change::Again(key));
            }
            if !busy {
                return;
            }
        }
        panic!("does not come to rest");
    }

    fn pools_are_sound(&self) -> bool {
        let ranges: Vec<_> = self.pools.values().copied().collect();
        [&[][..], &[0, 2, 3], &[1, 2]].iter().any(|sound| {
            let mut left = sound.to_vec();
            ranges.iter().all(|one| {
                left.iter().position(|other| one == other).map(|at| left.swap_remove(at)).is_some()
            })
        })
    }

    /// What must be true at rest.
    fn judge(&mut self) {
        let ours: Vec<&Service> =
            self.stored.values().filter(|service| service.class.is_none()).collect();
        for (place, one) in ours.iter().enumerate() {
            for other in &ours[place + 1..] {
                let shared = one.ingress.iter().any(|entry| other.ingress.contains(entry));
                let sound = self.pools_are_sound();
                assert!(!shared || !sound || may_share(one, other), "{one:?}\n{other:?}");
            }
            let ledger = &self.views[self.leader].ledger;
            let held = ledger.allocator.assignment(&one.key);
            let held: Option<Vec<String>> =
                held.map(|held| held.ips.iter().map(ToString::to_string).collect());
            let shown = shown(one);
            if !ledger.kept.addresses().any(|(ip, _)| shown.contains(&ip.to_string())) {
                assert_eq!(held.unwrap_or_default(), shown, "memory and status of {}", one.key);
            }
        }
        // Nobody waits for what he could have: asked again, everybody gets the same answer. Only its
        // wording may have aged: a pool that lacked a family may have been used up since.
        let (before, moved) = (self.stored.clone(), self.moved);
        self.ask_all();
        assert_eq!(self.moved, moved, "asked again, something moves");
        let written = self.written;
        self.ask_all();
        assert_eq!(self.written, written, "asked again, something is written");
        if !self.pools_are_sound() {
            // Which of two pools that overlap acts depends on which was there first.
            return;
        }
        // A new process agrees, and so does the other one.
        self.restart();
        self.settle();
        self.take_over(true);
        self.settle();
        let ingress = |all: &BTreeMap<ServiceKey, Service>| -> Vec<_> {
            all.values().map(|service| service.ingress.clone()).collect()
        };
        assert_eq!(ingress(&self.stored), ingress(&before), "a restart moves nothing");
        assert_eq!(self.written, written, "a restart writes nothing");
    }

    fn ask_all(&mut self) {
        for key in self.stored.keys().cloned().collect::<Vec<_>>() {
            self.lead().ledger.apply(Change::Again(key));
        }
        self.settle();
    }
}

fn shown(service: &Service) -> Vec<String> {
    service.ingress.iter().filter_map(|entry| entry.ip.clone()).collect()
}

/// The sharing rule (`controller.md` 3.3), said once more.
fn may_share(one: &Service, other: &Service) -> bool {
    let key = |service: &Service| {
        service.annotations.allow_shared_ip.clone().filter(|key| !key.is_empty())
    };
    // Selectors are empty in these histories, so local traffic and cluster-wide traffic agree.
    key(one).is_some()
        && key(one) == key(other)
        && one.ports.iter().all(|port| !other.ports.contains(port))
}

fn mk_key(name: usize) -> ServiceKey {
    ServiceKey::new("default", NAMES[name])
}

fn mk_name(place: usize) -> String {
    format!("p{place}")
}

fn any_edit() -> impl Strategy<Value = Edit> {
    use proptest::option::of;
    prop_oneof![
        3 => Just(Edit::Touch),
        1 => of(0..3usize).prop_map(Edit::Pool),
        2 => of(0..WISHES.len()).prop_map(Edit::Wish),
        2 => of(0..2usize).prop_map(Edit::Share),
        1 => (80..83u16).prop_map(Edit::Number),
        1 => any::<bool>().prop_map(Edit::Local),
        1 => prop_oneof![
            Just(IpFamilyPolicy::SingleStack),
            Just(IpFamilyPolicy::PreferDualStack),
            Just(IpFamilyPolicy::RequireDualStack),
        ].prop_map(Edit::Stack),
        1 => Just(Edit::ClearStatus),
        1 => any::<bool>().prop_map(Edit::Class),
    ]
}

fn any_act() -> impl Strategy<Value = Act> {
    let fate = prop_oneof![
        6 => Just(Fate::Answered),
        1 => Just(Fate::AnswerLost),
        1 => Just(Fate::Refused),
        1 => Just(Fate::BogusConflict),
    ];
    prop_oneof![
        8 => (0..NAMES.len(), any_edit()).prop_map(|(name, edit)| Act::Edit(name, edit)),
        2 => (0..NAMES.len()).prop_map(Act::Delete),
        2 => (0..3usize, proptest::option::weighted(0.7, 0..RANGES.len()))
            .prop_map(|(place, ranges)| Act::Pool(place, ranges)),
        6 => (1..4usize).prop_map(Act::Show),
        8 => (1..6usize).prop_map(Act::Work),
        6 => (0..8usize, fate).prop_map(|(place, fate)| Act::Take(place, fate)),
        1 => Just(Act::Relist),
        1 => Just(Act::Restart),
        1 => any::<bool>().prop_map(|waited| Act::TakeOver { waited }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn no_address_is_given_twice_and_all_comes_to_rest(
        acts in proptest::collection::vec(any_act(), 1..120),
        conditions in any::<bool>(),
    ) {
        let mut world = World::new(Options { conditions, ..Options::default() });
        for act in &acts {
            world.act(act);
        }
        world.settle();
        world.judge();
    }
}
