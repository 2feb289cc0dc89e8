//! Controllers that stop and go on at random moments: no address is given twice.
//!
//! ```text
//!  each pair: two controllers of one class, one pool that is too small, Services that come and go
//!     run:  a random moment ─▶ SIGSTOP (leader, follower or both) ─▶ a random time ─▶ SIGCONT
//!             ─▶ a Service is given an address again ─▶ now and then: a duplicate is forged
//!  census: a watch of all Services, from outside
//! ```
//!
//! The pairs know nothing of each other; there are many so that a thousand runs take minutes. A
//! stopped leader is one that was not scheduled: it wakes up behind its last look at the clock. What
//! it sends then is forged in calm times too, as a write that gives one Service another's address: so
//! the way back from a duplicate is measured even if no stop ever makes one.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::{Duration, Instant};

use ferrolb_lab::api::{Ref, wait_until};
use ferrolb_lab::manifests::Manifests;
use ferrolb_lab::process::{Process, Signal, Spec};
use ferrolb_lab::report::{complain, line};
use ferrolb_lab::{Control, FOLDER, KUBECONFIG, Lab, Options, Result};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::census::{Census, Duplicate, Name};
use super::roll;
use crate::args::Args;
use crate::cluster::{PATIENCE, service};
use crate::subject::Subject;

/// Addresses of a pair's pool, and Services that want one: some always wait.
const ADDRESSES: usize = 16;
const CROWD: usize = 18;
/// The longest pause between two changes by a pair's user.
const CHANGE: Duration = Duration::from_millis(500);

/// How old a duplicate may be.
const LIMIT: Duration = Duration::from_secs(1);
/// Time until somebody gives addresses again after a stop.
const PROGRESS_LIMIT: Duration = Duration::from_secs(30);
/// A stop is shorter than this, or long enough for the other one to take over.
const SHORT: Duration = Duration::from_secs(2);
const LONG: (Duration, Duration) = (Duration::from_secs(6), Duration::from_secs(9));
/// One run of so many ends with a forged duplicate.
const FORGED: usize = 4;

/// Stops and continues controllers so many times; the exit status says whether all held.
pub(crate) fn run(subject: &Subject, control: &Control, args: &Args) -> Result<ExitCode> {
    let options = subject.options(control);
    let lab = Lab::up(Options { nodes: 1, webhooks: false, ..options.clone() })?;
    install_definitions(&lab)?;
    let runs = args.samples(args.stops, args.pairs.into());
    let program = options.program.display().to_string();
    let pairs: Vec<_> = (1..=args.pairs)
        .map(|number| Pair::start(&lab, number, &program))
        .collect::<Result<_>>()?;
    line(format_args!("replicas: {runs} stops of {} pairs, seed {}", args.pairs, args.seed));

    let soak = Soak {
        census: Mutex::default(),
        left: AtomicUsize::new(runs),
        take_overs: AtomicUsize::new(0),
        over: AtomicBool::new(false),
    };
    let begun = Instant::now();
    let ended: Vec<Result<()>> = thread::scope(|scope| {
        let observer = scope.spawn(|| soak.observe(&lab));
        let tormented: Vec<_> = pairs
            .iter()
            .map(|pair| {
                let seed = args.seed.wrapping_mul(1 << 16).wrapping_add(pair.number.into());
                let (soak, lab) = (&soak, &lab);
                scope.spawn(move || soak.torment(lab, pair, seed))
            })
            .collect();
        let mut ended: Vec<_> = tormented.into_iter().map(join).collect();
        soak.over.store(true, Ordering::Relaxed);
        ended.push(join(observer));
        ended
    });
    let mut sound = true;
    for error in ended.iter().filter_map(|end| end.as_ref().err()) {
        complain(format_args!("replicas: {error}"));
        sound = false;
    }
    let census = soak.census.into_inner();
    let (forged, own): (Vec<_>, Vec<_>) =
        census.duplicates(Instant::now()).into_iter().partition(|duplicate| duplicate.forged);
    line(format_args!(
        "replicas: {runs} stops in {} s, {} take-overs, {} Services were given an address",
        begun.elapsed().as_secs(),
        soak.take_overs.into_inner(),
        census.all_given(),
    ));
    sound &= within_limit("duplicates by controllers", &own);
    sound &= within_limit("duplicates forged", &forged);
    line(format_args!("replicas: {}", if sound { "sound" } else { "BROKEN" }));
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Says how many duplicates there were and how old they became; whether none became too old.
fn within_limit(what: &str, duplicates: &[Duplicate]) -> bool {
    let mut ages: Vec<_> = duplicates.iter().map(|duplicate| duplicate.length).collect();
    ages.sort_unstable();
    let at = |percent: usize| ages.get((ages.len() * percent / 100).min(ages.len().max(1) - 1));
    let age = |percent| at(percent).map_or(0, Duration::as_millis);
    line(format_args!(
        "{what}: {}, withdrawn after {} ms (half), {} ms (99 %), {} ms (oldest)",
        ages.len(),
        age(50),
        age(99),
        age(100),
    ));
    let old = duplicates.iter().filter(|duplicate| duplicate.length > LIMIT);
    old.inspect(|duplicate| {
        let Duplicate { address, holders, length, .. } = duplicate;
        complain(format_args!("{what}: {address} shown for {length:?} by {holders:?}"));
    })
    .count()
        == 0
}

fn join<T>(handle: thread::ScopedJoinHandle<'_, T>) -> T {
    handle.join().unwrap_or_else(|panicked| std::panic::resume_unwind(panicked))
}

/// The kinds alone: controllers are started here, and nothing else is.
fn install_definitions(lab: &Lab) -> Result<()> {
    let definitions = lab.manifests().of_kind("CustomResourceDefinition");
    let texts: Vec<_> = definitions.map(Value::to_string).collect();
    lab.apply_manifests(&Manifests::parse(&texts.join("\n---\n"))?)?;
    wait_until("pools are served", PATIENCE, || {
        Ok(lab.api().list("IPAddressPool", "", "").map(drop).map_err(|error| error.to_string()))
    })
}

/// Two controllers of one class, and the namespace of their pool and their Services.
struct Pair {
    number: u8,
    namespace: String,
    controllers: [Process; 2],
}

impl Pair {
    fn start(lab: &Lab, number: u8, program: &str) -> Result<Self> {
        let namespace = format!("soak-{number}");
        let api = lab.api();
        let metadata = json!({ "name": namespace });
        api.apply(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": metadata }))?;
        api.apply(&json!({
            "apiVersion": "metallb.io/v1beta1",
            "kind": "IPAddressPool",
            "metadata": { "name": "small", "namespace": namespace },
            "spec": { "addresses": [format!("172.31.{number}.0-172.31.{number}.{}", ADDRESSES - 1)] },
        }))?;
        let start = |name: &str| {
            let name = format!("{namespace}-{name}");
            Process::start(Spec {
                log: Path::new(FOLDER).join("logs").join(&name),
                name,
                host: lab.host("ctl")?.clone(),
                argv: vec![
                    program.to_owned(),
                    "controller".to_owned(),
                    format!("--kubeconfig={KUBECONFIG}"),
                    format!("--namespace={namespace}"),
                    format!("--lb-class={}", class(&namespace)),
                    "--webhook-mode=disabled".to_owned(),
                    "--port=0".to_owned(),
                    "--health-probe-port=0".to_owned(),
                ],
                environment: Vec::new(),
                confinement: None,
            })
        };
        let controllers = [start("a")?, start("b")?];
        Ok(Self { number, namespace, controllers })
    }

    /// Which of the two leads.
    fn leader(&self, lab: &Lab) -> Result<usize> {
        wait_until(&format!("a leader of {}", self.namespace), PATIENCE, || {
            let lease = Ref::new("Lease", &self.namespace, "metallb-controller");
            let lease = insist("reading a Lease", || lab.api().get(lease))?.unwrap_or_default();
            let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned();
            // Its identity ends with its number.
            let is_it = |one: &Process| holder.ends_with(&format!("_{}", one.pid()));
            Ok(self.controllers.iter().position(is_it).ok_or(holder))
        })
    }

    /// What the two said last, for whoever has to find out what went wrong.
    fn tell(&self, lab: &Lab) {
        let leader = self.leader(lab).map_or("nobody", |leader| ["a", "b"][leader]);
        complain(format_args!("{}: {leader} leads", self.namespace));
        for controller in &self.controllers {
            let log = controller.log();
            let lines: Vec<_> = log.lines().rev().take(8).collect();
            lines.iter().rev().for_each(|line| complain(format_args!("  {line}")));
        }
    }

    fn name(&self, serial: usize) -> Name {
        (self.namespace.clone(), format!("web-{serial}"))
    }
}

fn class(namespace: &str) -> String {
    format!("ferrolb.example/{namespace}")
}

struct Soak {
    census: Mutex<Census>,
    /// Stops that nobody has taken on yet.
    left: AtomicUsize,
    take_overs: AtomicUsize,
    over: AtomicBool,
}

impl Soak {
    /// Writes down what Services show.
    fn observe(&self, lab: &Lab) -> Result<()> {
        loop {
            let heard = insist("watching Services", || lab.api().watch("Service", ""))?;
            let all = insist("listing Services", || lab.api().list("Service", "", ""))?;
            for service in &all {
                self.see(service, Instant::now());
            }
            loop {
                if self.over.load(Ordering::Relaxed) {
                    return Ok(());
                }
                match heard.recv_timeout(Duration::from_millis(100)) {
                    Ok((at, service)) => self.see(&service, at),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
        }
    }

    fn see(&self, service: &Value, at: Instant) {
        let text = |key: &str| service["metadata"][key].as_str().unwrap_or_default().to_owned();
        let entries = service["status"]["loadBalancer"]["ingress"].as_array().into_iter().flatten();
        let addresses = entries.filter_map(|entry| entry["ip"].as_str()?.parse().ok()).collect();
        self.census.lock().see(&(text("namespace"), text("name")), &addresses, at);
    }

    /// Takes on runs until there are none left, while a user makes and deletes Services.
    fn torment(&self, lab: &Lab, pair: &Pair, mut seed: u64) -> Result<()> {
        let enough = AtomicBool::new(false);
        thread::scope(|scope| {
            let (own, enough) = (seed ^ 0x5eed, &enough);
            let user = scope.spawn(move || self.use_services(lab, pair, own, enough));
            let mut runs = || -> Result<()> {
                self.wait_for_progress(lab, pair, 0)?;
                while let Some(left) = self.take_on() {
                    self.stop_and_go(lab, pair, &mut seed)?;
                    if left % 100 == 1 {
                        line(format_args!("{:>5} stops left", left - 1));
                    }
                }
                Ok(())
            };
            let result = runs();
            enough.store(true, Ordering::Relaxed);
            result.and(join(user))
        })
    }

    fn take_on(&self) -> Option<usize> {
        let take = |left: usize| left.checked_sub(1);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok()
    }

    /// Makes and deletes Services, more than there are addresses for.
    fn use_services(
        &self,
        lab: &Lab,
        pair: &Pair,
        mut seed: u64,
        enough: &AtomicBool,
    ) -> Result<()> {
        let mut live: VecDeque<Name> = VecDeque::new();
        for serial in 0.. {
            if enough.load(Ordering::Relaxed) {
                break;
            }
            if live.len() == CROWD
                && let Some(name) = live.pop_front()
            {
                self.census.lock().forget(&name, Instant::now());
                let target = Ref::new("Service", &name.0, &name.1);
                insist("deleting a Service", || lab.api().delete(target))?;
                thread::sleep(moment(&mut seed, CHANGE));
            }
            let name = pair.name(serial);
            self.census.lock().expect(name.clone());
            let mut object = service(&name.1);
            object["metadata"]["namespace"] = name.0.as_str().into();
            object["spec"]["loadBalancerClass"] = class(&pair.namespace).into();
            object["spec"]["allocateLoadBalancerNodePorts"] = false.into();
            insist("making a Service", || lab.api().apply(&object))?;
            live.push_back(name);
            thread::sleep(moment(&mut seed, CHANGE));
        }
        Ok(())
    }

    /// One run.
    fn stop_and_go(&self, lab: &Lab, pair: &Pair, seed: &mut u64) -> Result<()> {
        let leader = pair.leader(lab)?;
        let stopped: &[usize] = match roll(seed, 10) {
            0 => &[0, 1],
            1 | 2 => &[1 - leader],
            _ => &[leader],
        };
        let length = match roll(seed, 2) {
            0 => moment(seed, SHORT),
            _ => LONG.0 + moment(seed, LONG.1.saturating_sub(LONG.0)),
        };
        thread::sleep(moment(seed, SHORT));
        let all = |signal| stopped.iter().try_for_each(|one| pair.controllers[*one].signal(signal));
        all(Signal::STOP)?;
        thread::sleep(length);
        let given = self.census.lock().given(&pair.namespace);
        all(Signal::CONT)?;
        self.wait_for_progress(lab, pair, given)?;
        if pair.leader(lab)? != leader {
            self.take_overs.fetch_add(1, Ordering::Relaxed);
        }
        if roll(seed, FORGED) == 0 { self.forge(lab, pair, seed) } else { Ok(()) }
    }

    /// Waits until more Services of the pair than `given` were given an address.
    fn wait_for_progress(&self, lab: &Lab, pair: &Pair, given: usize) -> Result<()> {
        let waited = wait_until(&pair.namespace, PROGRESS_LIMIT, || {
            let progress = self.census.lock().given(&pair.namespace) > given;
            Ok(if progress { Ok(()) } else { Err("nobody gives addresses") })
        });
        waited.inspect_err(|_| pair.tell(lab))
    }

    /// Gives a Service another's address as a write that comes too late would, and waits until one of
    /// them has lost it.
    fn forge(&self, lab: &Lab, pair: &Pair, seed: &mut u64) -> Result<()> {
        let holders = self.census.lock().sole_holders(&pair.namespace);
        let count = holders.len();
        if count < 2 {
            return Ok(());
        }
        let first = roll(seed, count);
        let second = (first + 1 + roll(seed, count - 1)) % count;
        let ((_, address), (victim, _)) = (&holders[first], &holders[second]);
        self.census.lock().forge(victim.clone());
        let status = json!({ "loadBalancer": { "ingress": [{ "ip": address, "ipMode": "VIP" }] } });
        let target = Ref::new("Service", &victim.0, &victim.1);
        if lab.api().patch_status(target, &status).is_err() {
            // The user has just deleted it.
            return Ok(());
        }
        let begun = Instant::now();
        let waited = self.wait_for_one(*address);
        if begun.elapsed() > LIMIT {
            complain(format_args!("{address} of {}, forged for {}", holders[first].0.1, victim.1));
            pair.tell(lab);
        }
        waited
    }

    fn wait_for_one(&self, address: IpAddr) -> Result<()> {
        // Until the watch has told it.
        thread::sleep(Duration::from_millis(20));
        wait_until(&format!("one Service shows {address}"), PROGRESS_LIMIT, || {
            let several = self.census.lock().is_duplicate(address);
            Ok(if several { Err("several do") } else { Ok(()) })
        })
    }
}

/// Asks a server that may be slow until it answers: that is not what is tried here.
fn insist<T>(what: &str, ask: impl Fn() -> Result<T>) -> Result<T> {
    wait_until(what, PATIENCE, || Ok(ask().map_err(|error| error.to_string())))
}

/// A random time shorter than `longest`.
fn moment(seed: &mut u64, longest: Duration) -> Duration {
    let micros = usize::try_from(longest.as_micros()).unwrap_or(usize::MAX);
    Duration::from_micros(roll(seed, micros) as u64)
}
