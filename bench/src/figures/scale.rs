//! What depends on the number of Services, all in one lab: memory, ARP answers, and rest.

use ferrolb_lab::report::line;
use ferrolb_lab::{Control, Result};

use super::{arp, memory, rest};
use crate::args::{Args, Figure};
use crate::cluster::Cluster;
use crate::report::{Limit, Measure};
use crate::subject::Subject;

const FEW: usize = 5;
const MANY: usize = 1000;
const VERY_MANY: usize = 5000;

/// The figures this module measures, each if it is wanted.
pub(super) const FIGURES: [Figure; 4] =
    [Figure::Memory, Figure::Arp, Figure::Saturation, Figure::Rest];

/// Answers a second must not depend on the number of addresses; what is less than this share of the
/// rate with one is a dependence.
const FLAT: f64 = 0.9;

pub(super) fn measure(subject: &Subject, control: &Control, args: &Args) -> Result<Vec<Measure>> {
    let cluster = Cluster::up(subject, control)?;
    let mut scale = Scale { cluster, args, alone: None, measures: Vec::new() };
    if args.wants(Figure::Arp) || args.wants(Figure::Saturation) {
        scale.answers(0, 1)?;
    }
    scale.cluster.serve_many(0, FEW)?;
    rest::wait_until_quiet(&scale.cluster)?;
    scale.memory(FEW)?;
    scale.grow(FEW, MANY)?;
    if args.wants(Figure::Rest) {
        let seconds = args.samples(60, 10);
        scale.measures.extend(rest::measure(&scale.cluster, seconds)?);
    }
    if !args.quick && FIGURES[..3].iter().any(|figure| args.wants(*figure)) {
        scale.grow(MANY, VERY_MANY)?;
    }
    Ok(scale.measures)
}

struct Scale<'a> {
    cluster: Cluster,
    args: &'a Args,
    /// Answers a second with one address.
    alone: Option<f64>,
    measures: Vec<Measure>,
}

impl Scale<'_> {
    fn grow(&mut self, from: usize, to: usize) -> Result<()> {
        line(format_args!("   making {to} Services"));
        self.answers(from, to)?;
        self.memory(to)
    }

    fn memory(&mut self, services: usize) -> Result<()> {
        if self.args.wants(Figure::Memory) {
            self.measures.extend(memory::measure(&self.cluster, services)?);
        }
        Ok(())
    }

    /// Makes Services, and asks for their addresses.
    fn answers(&mut self, from: usize, to: usize) -> Result<()> {
        let addresses = self.cluster.serve_many(from, to)?;
        if to > 1 {
            rest::wait_until_quiet(&self.cluster)?;
        }
        if self.args.wants(Figure::Arp) {
            let rounds = self.args.samples(3000.max(to), 300);
            self.measures.extend(arp::measure(&self.cluster, &addresses, rounds)?);
        }
        if self.args.wants(Figure::Saturation) {
            let rate = arp::saturate(&self.cluster, &addresses, self.args.samples(3, 1))?;
            let alone = *self.alone.get_or_insert(rate.value);
            self.measures.push(rate.at_least(Limit::Value(FLAT * alone)));
        }
        Ok(())
    }
}
