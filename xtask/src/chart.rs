//! `cargo xtask chart`: renders the chart with the real helm and holds what comes out against the
//! names MetalLB's chart gives, the keys it takes, and the plain manifests.
//!
//! Texts that only have to stay as they are lie in `deploy/helm/golden`: without `--check` they are
//! written anew, and the difference is for a reviewer to judge.

mod golden;
mod helm;
mod likeness;
mod names;
mod values;

use std::path::Path;

use anyhow::{Result, bail};

use self::helm::Helm;

/// How to run the chore.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write nothing; fail when a golden file is not what would be written
    #[arg(long)]
    check: bool,
}

/// What a check found wrong, in words; empty when all is well.
type Findings = Vec<String>;

pub(crate) fn run(args: &Args, root: &Path) -> Result<()> {
    let helm = Helm::find(root)?;
    let mut findings = Findings::new();
    findings.extend(names::check(&helm)?);
    findings.extend(values::check(&helm)?);
    findings.extend(likeness::check(&helm, root)?);
    findings.extend(golden::check(&helm, root, args.check)?);
    if findings.is_empty() {
        return Ok(());
    }
    bail!("the chart is not as it should be:\n{}", findings.join("\n"));
}
