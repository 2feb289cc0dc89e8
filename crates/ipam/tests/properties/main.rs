//! Random histories: the allocator against a naive one, and against its own promises.
#![cfg(test)]

mod history;
mod naive;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ferrolb_ipam::{Allocator, Assignment, Refusal};
use proptest::prelude::*;

use history::{Command, Outcome, history, mk_question, run};
use naive::Naive;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// After every command: same answer, same holders, same counters as the naive model, and no
    /// address is held twice unless it may be shared.
    #[test]
    fn behaves_as_the_naive_model(commands in history()) {
        let (mut allocator, mut naive) = (Allocator::new(), Naive::default());
        for command in &commands {
            let outcome = run(&mut allocator, command);
            let expected = naive.run(command);
            prop_assert_eq!(outcome.answer(), expected, "{:?}", command);
            check_state(&allocator, &naive)?;
        }
    }

    /// The same commands give the same answers, to the last word.
    #[test]
    fn replays_alike(commands in history()) {
        let transcript = || {
            let mut allocator = Allocator::new();
            let outcomes: Vec<_> = commands.iter().map(|c| run(&mut allocator, c)).collect();
            (outcomes, allocator)
        };
        prop_assert_eq!(transcript(), transcript());
    }

    /// A refused command leaves no trace, and a command given twice does nothing the second time.
    #[test]
    fn refusals_and_repetitions_change_nothing(commands in history()) {
        let mut allocator = Allocator::new();
        for command in &commands {
            allocator.take_touched();
            let before = allocator.clone();
            match run(&mut allocator, command) {
                Outcome::Refused(_) => prop_assert_eq!(&before, &allocator),
                Outcome::Holds(assignment) => {
                    allocator.take_touched();
                    let once = allocator.clone();
                    if let Command::Assign(question, _) = command {
                        let again = Command::Assign(question.clone(), assignment.ips.clone());
                        prop_assert_eq!(run(&mut allocator, &again), Outcome::Holds(assignment));
                        prop_assert_eq!(&once, &allocator);
                    }
                }
                _ => {}
            }
        }
    }

    /// Whoever was refused and would be accepted now is told so: the pool is among the openings.
    #[test]
    fn openings_wake_everybody_who_could_succeed(commands in history(), asker in mk_question()) {
        let mut allocator = Allocator::new();
        let ask = |allocator: &Allocator| run(&mut allocator.clone(), &Command::Allocate(asker.clone()));
        for command in &commands {
            let before = ask(&allocator);
            let held = allocator.assignment(&asker.service).is_some();
            allocator.take_touched();
            run(&mut allocator, command);
            let openings = allocator.take_touched().openings;
            if held || !matches!(before, Outcome::Refused(_)) {
                continue;
            }
            if let Outcome::Holds(Assignment { pool, .. }) = ask(&allocator)
                && allocator.assignment(&asker.service).is_none()
            {
                prop_assert!(openings.contains(&pool), "{:?}: {:?}", command, openings);
            }
        }
    }

    /// A refusal to allocate gives a reason for every pool, and a sentence that names it.
    #[test]
    fn refusals_name_every_pool(commands in history()) {
        let mut allocator = Allocator::new();
        for command in &commands {
            let Outcome::Refused(refusal) = run(&mut allocator, command) else { continue };
            let Refusal::NoAddress { tried } = &refusal else { continue };
            let named: BTreeSet<_> = tried.iter().map(|refusal| &refusal.pool).collect();
            prop_assert_eq!(named.len(), tried.len());
            prop_assert!(allocator.pools().map(|pool| &pool.name).eq(named));
            let sentence = refusal.to_string();
            for refusal in tried {
                prop_assert!(!refusal.why.is_empty());
                let name = format!("pool {:?}: ", refusal.pool.as_str());
                prop_assert!(sentence.contains(&name), "{}", sentence);
            }
        }
    }
}

fn check_state(allocator: &Allocator, naive: &Naive) -> Result<(), TestCaseError> {
    let held: BTreeMap<_, _> =
        allocator.assignments().map(|(service, held)| (service.clone(), held.clone())).collect();
    prop_assert_eq!(&held, &naive.assignments());
    naive.check_sharing()?;
    for pool in allocator.pools() {
        prop_assert_eq!(allocator.counters(&pool.name), naive.counters(pool), "{}", pool.name);
        let services: Vec<_> = allocator.services_of(&pool.name).collect();
        let expected: Vec<_> =
            held.iter().filter(|(_, held)| held.pool == pool.name).map(|(s, _)| s).collect();
        prop_assert_eq!(services, expected);
    }
    let ips: BTreeSet<IpAddr> = held.values().flat_map(|held| &held.ips).copied().collect();
    for ip in ips {
        let holders: Vec<_> = allocator.holders(ip).collect();
        let expected: Vec<_> =
            held.iter().filter(|(_, held)| held.ips.contains(&ip)).map(|(s, _)| s).collect();
        prop_assert_eq!(holders, expected);
    }
    Ok(())
}
