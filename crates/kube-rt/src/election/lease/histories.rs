//! Several candidates, one record, and every misfortune: slow, lost and late requests, processes
//! that stop for a while or crash, releases, outages. Never may two write at once, and nothing that
//! one sent may arrive while another may write.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const SPANS: Spans = Spans {
    lease: Duration::from_secs(6),
    renew: Duration::from_secs(2),
    request_timeout: Duration::from_secs(1),
    poll: Duration::from_millis(500),
};
/// When a candidate stops waiting for an answer.
const PATIENCE: u64 = 3_000;
/// Milliseconds from one look at the world to the next.
const TICK: u64 = 10;

/// What befalls candidate `who` (modulo their number) at a time.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// SIGSTOP, and SIGCONT that much later.
    Stop(u64),
    /// SIGKILL; another process of the same or of another name starts that much later.
    Crash(u64, bool),
    /// The lease is released and the process leaves and comes back later.
    Release(u64),
    /// No request reaches the server for that long.
    Outage(u64),
    /// Requests take up to that long, there and back.
    Slow(u64),
    /// Somebody edits the object without touching the record.
    Edit,
}

fn fault() -> impl Strategy<Value = (u64, usize, Fault)> {
    let what = prop_oneof![
        (1..20_000_u64).prop_map(Fault::Stop),
        ((0..5_000_u64), any::<bool>()).prop_map(|(back, same)| Fault::Crash(back, same)),
        (0..5_000_u64).prop_map(Fault::Release),
        (1..30_000_u64).prop_map(Fault::Outage),
        (1..4_000_u64).prop_map(Fault::Slow),
        Just(Fault::Edit),
    ];
    (0..90_000_u64, 0..3_usize, what)
}

/// A request under way: it reaches the server at `arrives` and its answer returns at `returns`.
#[derive(Debug)]
struct Flight {
    sent: u64,
    arrives: u64,
    returns: u64,
    claim: Option<(String, u64)>,
    /// Set on arrival.
    answer: Option<Answer>,
}

#[derive(Clone, Debug)]
enum Answer {
    Read(Option<(Record, u64)>),
    Written(Record, u64),
    Stale,
}

struct Process {
    /// No two processes have the same, though they may have the same name.
    life: u32,
    candidate: Candidate,
    flight: Option<Flight>,
    version: Option<u64>,
    stopped_until: u64,
    starts_at: Option<u64>,
}

struct World {
    now: u64,
    seed: u64,
    record: Option<(Record, u64)>,
    versions: u64,
    processes: Vec<Process>,
    /// Claims that nobody waits for any more, and that arrive all the same.
    ghosts: Vec<(u64, String, Option<u64>)>,
    /// Data writes under way: arrival (and a number that tells them apart), and who sent them.
    data: BTreeMap<(u64, u64), u32>,
    out_until: u64,
    slow: u64,
    lives: u32,
    led: u64,
}

impl World {
    fn new(seed: u64, count: usize) -> Self {
        let mut world = Self {
            now: 0,
            seed: seed | 1,
            record: None,
            versions: 0,
            processes: Vec::new(),
            ghosts: Vec::new(),
            data: BTreeMap::new(),
            out_until: 0,
            slow: 50,
            lives: 0,
            led: 0,
        };
        for _ in 0..count {
            let (life, candidate) = world.candidate();
            world.processes.push(Process {
                life,
                candidate,
                flight: None,
                version: None,
                stopped_until: 0,
                starts_at: None,
            });
        }
        world
    }

    fn candidate(&mut self) -> (u32, Candidate) {
        self.lives += 1;
        (self.lives, Candidate::new(format!("c{}", self.lives), SPANS))
    }

    fn random(&mut self, below: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % below.max(1)
    }

    fn span(&self) -> Duration {
        Duration::from_millis(self.now)
    }

    fn befall(&mut self, who: usize, fault: Fault) {
        let who = who % self.processes.len();
        let now = self.now;
        match fault {
            Fault::Stop(span) => self.processes[who].stopped_until = now + span,
            Fault::Crash(back, same) => {
                let Process { life, candidate, .. } = &self.processes[who];
                let (life, name) = (*life, candidate.identity.clone());
                // Its connections are closed: what is under way is done soon, or not at all.
                let ends = now + u64::try_from(SPANS.request_timeout.as_millis()).unwrap();
                let under_way = std::mem::take(&mut self.data).into_iter();
                self.data = under_way
                    .map(|((at, turn), who)| {
                        ((if who == life { at.min(ends) } else { at }, turn), who)
                    })
                    .collect();
                self.leave(who, now + back);
                if same {
                    self.processes[who].candidate = Candidate::new(name, SPANS);
                }
            }
            Fault::Release(back) => {
                // Its owner waited until nothing is under way.
                let Process { life, candidate, .. } = &self.processes[who];
                let (life, name) = (*life, candidate.identity.clone());
                if self.data.values().any(|sender| *sender == life) {
                    return;
                }
                if self.processes[who].candidate.release()
                    && self.record.as_ref().is_some_and(|(record, _)| record.holder == name)
                {
                    self.write("");
                }
                self.leave(who, now + back);
            }
            Fault::Outage(span) => self.out_until = self.out_until.max(now + span),
            Fault::Slow(span) => self.slow = span,
            Fault::Edit => {
                self.versions += 1;
                let version = self.versions;
                if let Some((_, known)) = &mut self.record {
                    *known = version;
                }
            }
        }
    }

    /// The process ends; what it sent is not called back.
    fn leave(&mut self, who: usize, back: u64) {
        let (life, candidate) = self.candidate();
        let process = &mut self.processes[who];
        process.life = life;
        process.candidate = candidate;
        process.starts_at = Some(back);
        process.stopped_until = 0;
        process.version = None;
        if let Some(Flight { arrives, claim: Some((name, version)), answer: None, .. }) =
            process.flight.take()
        {
            self.ghosts.push((arrives, name, Some(version).filter(|version| *version != 0)));
        }
    }

    fn write(&mut self, holder: &str) -> (Record, u64) {
        self.versions += 1;
        let record = Record {
            holder: holder.to_owned(),
            lease: SPANS.lease,
            stamp: self.versions.to_string(),
        };
        self.record = Some((record.clone(), self.versions));
        (record, self.versions)
    }

    /// A claim reaches the server; 0 stands for "create".
    fn claim(&mut self, name: &str, version: u64) -> Answer {
        let current = self.record.as_ref().map_or(0, |(_, version)| *version);
        if current != version {
            return Answer::Stale;
        }
        let (record, version) = self.write(name);
        Answer::Written(record, version)
    }

    fn tick(&mut self) {
        self.now += TICK;
        let now = self.now;
        let due: Vec<_> = self.ghosts.extract_if(.., |(at, ..)| *at <= now).collect();
        for (_, name, version) in due {
            self.claim(&name, version.unwrap_or(0));
        }
        for who in 0..self.processes.len() {
            self.arrive(who);
            if self.processes[who].stopped_until <= now {
                self.run(who);
            }
        }
        self.check();
    }

    fn arrive(&mut self, who: usize) {
        let Some(mut flight) = self.processes[who].flight.take() else { return };
        if flight.answer.is_none() && flight.arrives <= self.now {
            flight.answer = Some(match &flight.claim {
                None => Answer::Read(self.record.clone()),
                Some((name, version)) => {
                    let (name, version) = (name.clone(), *version);
                    self.claim(&name, version)
                }
            });
        }
        self.processes[who].flight = Some(flight);
    }

    /// The process gets the processor.
    fn run(&mut self, who: usize) {
        let now = self.now;
        if let Some(at) = self.processes[who].starts_at {
            if at > now {
                return;
            }
            self.processes[who].starts_at = None;
        }
        if let Some(flight) = self.processes[who].flight.take() {
            self.land(who, flight);
        }
        self.send_data(who);
        if self.processes[who].flight.is_some() {
            return;
        }
        let span = self.span();
        let step = self.processes[who].candidate.next(span);
        if !matches!(step, Step::Wait(_)) {
            let arrives = now + 1 + self.random(self.slow);
            let returns = arrives + 1 + self.random(self.slow);
            // What meets an outage arrives much later or, as far as anybody can tell, never.
            let arrives = if now < self.out_until { arrives + 20_000 } else { arrives };
            let process = &mut self.processes[who];
            let claim = (step == Step::Claim)
                .then(|| (process.candidate.identity.clone(), process.version.unwrap_or(0)));
            process.flight = Some(Flight { sent: now, arrives, returns, claim, answer: None });
        }
    }

    /// A leader writes data all the time, each request bounded as a writer bounds it.
    fn send_data(&mut self, who: usize) {
        let (now, span) = (self.now, self.span());
        if self.processes[who].candidate.role(span) == Role::Leading {
            self.led += 1;
            let life = self.processes[who].life;
            let deadline = self.processes[who].candidate.deadline().unwrap();
            let bound = u64::try_from((deadline + SPANS.request_timeout).as_millis()).unwrap();
            let arrives = now + self.random(bound - now);
            let turn = self.random(u64::MAX);
            self.data.insert((arrives, turn), life);
        }
    }

    fn land(&mut self, who: usize, flight: Flight) {
        let (now, span) = (self.now, self.span());
        let process = &mut self.processes[who];
        match &flight.answer {
            Some(answer) if flight.returns <= now => match answer.clone() {
                Answer::Read(record) => {
                    process.version = record.as_ref().map(|(_, version)| *version);
                    process.candidate.read(span, record.map(|(record, _)| record));
                }
                Answer::Written(record, version) => {
                    process.version = Some(version);
                    process.candidate.written(Duration::from_millis(flight.sent), span, record);
                }
                Answer::Stale => process.candidate.failed(span, Failed::Stale),
            },
            _ if now >= flight.sent + PATIENCE => {
                process.candidate.failed(span, Failed::Unknown);
                if let (None, Some((name, version))) = (&flight.answer, flight.claim) {
                    let version = Some(version).filter(|version| *version != 0);
                    self.ghosts.push((flight.arrives, name, version));
                }
            }
            _ => process.flight = Some(flight),
        }
    }

    fn check(&mut self) {
        let span = self.span();
        let alive = |process: &&Process| process.starts_at.is_none();
        let leaders: Vec<_> = self
            .processes
            .iter()
            .filter(alive)
            .filter(|process| process.candidate.role(span) == Role::Leading)
            .map(|process| process.life)
            .collect();
        assert!(leaders.len() <= 1, "two at {span:?}: {leaders:?}");
        let later = self.data.split_off(&(self.now + 1, 0));
        let arrived = std::mem::replace(&mut self.data, later);
        for sender in arrived.values() {
            let strangers = leaders.iter().filter(|leader| *leader != sender).count();
            assert_eq!(strangers, 0, "a write of {sender} arrives at {span:?} under {leaders:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]
    #[test]
    fn never_two_may_write_at_once(
        seed: u64,
        count in 2..=3_usize,
        mut faults in proptest::collection::vec(fault(), 0..12),
    ) {
        faults.sort_by_key(|(at, ..)| *at);
        let mut faults = faults.into_iter().peekable();
        let mut world = World::new(seed, count);
        while world.now < 100_000 {
            while let Some((_, who, fault)) = faults.next_if(|(at, ..)| *at <= world.now) {
                world.befall(who, fault);
            }
            world.tick();
        }
    }
}

#[test]
fn crash_is_followed_by_another_leader_within_8_seconds() {
    for seed in 1..50 {
        let mut world = World::new(seed, 2);
        while world.now < 10_000 {
            world.tick();
        }
        let leads = |world: &World, who: usize| {
            world.processes[who].candidate.role(world.span()) == Role::Leading
        };
        let leader = usize::from(!leads(&world, 0));
        assert!(leads(&world, leader));
        world.befall(leader, Fault::Crash(1_000_000, false));
        let crashed = world.now;
        while !leads(&world, 1 - leader) {
            world.tick();
            assert!(world.now <= crashed + 8_000, "seed {seed}");
        }
        assert!(world.now >= crashed + 4_000, "the lease is waited out");
    }
}

#[test]
fn quiet_world_has_one_leader_for_good() {
    let mut world = World::new(3, 3);
    while world.now < 60_000 {
        world.tick();
    }
    let ticks = world.now / TICK;
    assert!(world.led > ticks * 99 / 100, "{} of {ticks}", world.led);
}
