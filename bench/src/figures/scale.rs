//! What depends on the number of Services, all in one lab: memory, ARP answers, and rest.

use ferrolb_lab::report::line;
use ferrolb_lab::{Control, Result};

use super::{arp, memory, rest};
use crate::args::{Args, Figure};
use crate::cluster::Cluster;
use crate::report::Measure;
use crate::subject::Subject;

const FEW: usize = 5;
const MANY: usize = 1000;

pub(super) fn measure(subject: &Subject, control: &Control, args: &Args) -> Result<Vec<Measure>> {
    let cluster = Cluster::up(subject, control)?;
    let rounds = args.samples(3000, 300);
    let mut measures = Vec::new();
    if args.wants(Figure::Arp) {
        let addresses = cluster.serve_many(0, 1)?;
        measures.extend(arp::measure(&cluster, &addresses, rounds)?);
    }
    cluster.serve_many(0, FEW)?;
    rest::wait_until_quiet(&cluster)?;
    if args.wants(Figure::Memory) {
        measures.extend(memory::measure(&cluster, FEW)?);
    }
    line(format_args!("   making {MANY} Services"));
    let addresses = cluster.serve_many(FEW, MANY)?;
    rest::wait_until_quiet(&cluster)?;
    if args.wants(Figure::Memory) {
        measures.extend(memory::measure(&cluster, MANY)?);
    }
    if args.wants(Figure::Arp) {
        measures.extend(arp::measure(&cluster, &addresses, rounds)?);
    }
    if args.wants(Figure::Rest) {
        let seconds = args.samples(60, 10);
        measures.extend(rest::measure(&cluster, seconds)?);
    }
    Ok(measures)
}
