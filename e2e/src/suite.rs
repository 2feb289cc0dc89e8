//! Which cases run, in which order, and how that is told.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ferrolb_lab::Result;
use ferrolb_lab::manifests::Manifests;

use crate::audit::{self, Request};
use crate::cases;
use crate::shape::Shape;
use crate::stage::Stage;

/// One thing that must be true.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    /// Last part of its name.
    pub(crate) name: &'static str,
    /// What it pins: acceptance rows first, then words.
    pub(crate) pins: &'static str,
    /// Does it.
    pub(crate) run: fn(&mut Stage) -> Result<()>,
}

/// Parts of names; a case runs if its name has one of them, or if there are none.
#[derive(Clone, Debug)]
pub(crate) struct Wanted(pub(crate) Vec<String>);

impl Wanted {
    fn has(&self, shape: Shape, case: &Case) -> bool {
        let name = full_name(shape, case);
        self.0.is_empty() || self.0.iter().any(|part| name.contains(part.as_str()))
    }
}

/// The cases that were asked for.
#[derive(Clone, Debug)]
pub(crate) struct Suite {
    parts: Vec<(Shape, Vec<Case>)>,
    /// Whether no case is left out.
    is_whole: bool,
    /// Where the table of routers goes.
    interop: Option<PathBuf>,
}

/// How many ended how.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
    cut_short: bool,
}

impl Tally {
    /// Whether the suite as a whole passed. On CI nothing may be left out.
    pub(crate) fn is_green(&self) -> bool {
        let strict = std::env::var("CI").is_ok_and(|value| value == "true");
        self.failed == 0 && !self.cut_short && (self.skipped == 0 || !strict)
    }
}

impl Suite {
    /// The wanted ones of all cases.
    pub(crate) fn new(wanted: &Wanted, interop: Option<PathBuf>) -> Self {
        let cases = |shape| {
            let all = cases::of(shape).into_iter();
            all.filter(|case| wanted.has(shape, case)).collect::<Vec<_>>()
        };
        let parts = Shape::ALL.into_iter().map(|shape| (shape, cases(shape)));
        Self {
            parts: parts.filter(|(_, cases)| !cases.is_empty()).collect(),
            is_whole: wanted.0.is_empty(),
            interop,
        }
    }

    /// Prints names and what they pin.
    pub(crate) fn list(&self) {
        for (shape, cases) in &self.parts {
            for case in cases {
                println!("{}  {}", full_name(*shape, case), case.pins);
            }
        }
    }

    /// Runs everything.
    pub(crate) fn run(
        &self,
        program: &Path,
        manifests: &Manifests,
        keep_going: bool,
        strict: bool,
    ) -> Tally {
        let start = Instant::now();
        let mut tally = Tally::default();
        let mut used = BTreeSet::new();
        for (shape, cases) in &self.parts {
            if let Some(why) = shape.lacks() {
                for case in cases {
                    println!("test {} ... skipped: {why}", full_name(*shape, case));
                }
                tally.skipped += cases.len();
                continue;
            }
            if !tally.cut_short {
                let stage = run_shape(
                    *shape,
                    cases,
                    (program, manifests),
                    keep_going,
                    &mut tally,
                    &mut used,
                );
                if let (Some(stage), Some(path)) = (stage, &self.interop)
                    && let Err(error) = stage.interop().write(path)
                {
                    println!("{error}");
                    tally.failed += 1;
                }
            }
        }
        if self.parts.is_empty() {
            println!("no case has such a name");
            tally.cut_short = true;
        }
        if self.is_whole || strict {
            let unused = audit::unused(&used);
            for line in &unused {
                println!("granted, never used: {line}");
            }
            tally.cut_short |= strict && !unused.is_empty();
        }
        println!("in {:.0} s", start.elapsed().as_secs_f32());
        println!("{} passed, {} failed, {} skipped", tally.passed, tally.failed, tally.skipped);
        tally
    }
}

fn run_shape(
    shape: Shape,
    cases: &[Case],
    (program, manifests): (&Path, &Manifests),
    keep_going: bool,
    tally: &mut Tally,
    used: &mut BTreeSet<Request>,
) -> Option<Stage> {
    let start = Instant::now();
    let mut stage = match Stage::build(shape, program, manifests) {
        Ok(stage) => stage,
        Err(error) => {
            for case in cases {
                println!("test {} ... FAILED: no lab: {error}", full_name(shape, case));
            }
            tally.failed += cases.len();
            tally.cut_short = !keep_going;
            return None;
        }
    };
    println!("{}: lab up in {}", shape.name(), seconds(start.elapsed()));
    for case in cases {
        let start = Instant::now();
        let result = (case.run)(&mut stage);
        if let Err(error) = &result {
            println!(
                "test {} ... FAILED: {error} ({})",
                full_name(shape, case),
                seconds(start.elapsed())
            );
            println!("  pins: {}", case.pins);
            stage.explain();
        }
        let tidied = stage.tidy().and_then(|()| stage.expect_nothing_refused(case.name));
        used.extend(stage.used().iter().cloned());
        match (&result, &tidied) {
            (Ok(()), Ok(())) => {
                println!("test {} ... ok ({})", full_name(shape, case), seconds(start.elapsed()));
                tally.passed += 1;
            }
            (Ok(()), Err(error)) => {
                println!("test {} ... FAILED: afterwards: {error}", full_name(shape, case));
                stage.explain();
                tally.failed += 1;
            }
            (Err(_), _) => tally.failed += 1,
        }
        if tally.failed > 0 && !keep_going {
            tally.cut_short = true;
            return None;
        }
    }
    Some(stage)
}

fn full_name(shape: Shape, case: &Case) -> String {
    format!("{}::{}", shape.name(), case.name)
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f32())
}
