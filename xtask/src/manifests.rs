//! `cargo xtask manifests`: what in `deploy/` follows from the code. RBAC from the table of
//! permissions, definitions of kinds, and the plain manifests in one file.
//!
//! ```text
//!  api::PERMISSIONS ─┬─► manifests/rbac.yaml ──────────┐
//!                    ├─► chart templates/_rules.tpl    ├─► ferrolb.yaml (all of manifests/)
//!                    └─► docs/privileges.md            │
//!  api::crds() ──────┬─► manifests/crds.yaml ──────────┘
//!                    └─► chart templates/crds.yaml
//! ```

mod definitions;
mod privileges;
mod rbac;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::crds::first_difference;

const MANIFESTS: &str = "deploy/manifests";
const ALL_IN_ONE: &str = "deploy/ferrolb.yaml";
const CHART: &str = "deploy/helm/ferrolb";
/// The image all manifests name; its tag is the version of the workspace.
const IMAGE: &str = concat!("ghcr.io/ferrolb/ferrolb:v", env!("CARGO_PKG_VERSION"));

/// First line of every file this chore writes.
pub(crate) const HEADER: &str =
    "Made by `cargo xtask manifests` from crates/api; edit that instead.";

/// How to run the chore.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write nothing; fail when a file is not what would be written
    #[arg(long)]
    check: bool,
}

/// Paths below the repository's root, and contents.
type Files = BTreeMap<String, String>;

pub(crate) fn run(args: &Args, root: &Path) -> Result<()> {
    let mut files = Files::from([
        (format!("{MANIFESTS}/crds.yaml"), definitions::plain()),
        (format!("{MANIFESTS}/rbac.yaml"), rbac::plain()),
        (format!("{CHART}/templates/crds.yaml"), definitions::chart()),
        (format!("{CHART}/templates/_rules.tpl"), rbac::chart()),
        ("docs/privileges.md".to_owned(), privileges::page()),
    ]);
    let all = all_in_one(root, &files)?;
    check_versions(root, &all)?;
    files.insert(ALL_IN_ONE.to_owned(), all);

    if args.check {
        return compare(root, &files);
    }
    for (path, text) in &files {
        let path = root.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// The files that `manifests/kustomization.yaml` lists, in its order, as one stream.
fn all_in_one(root: &Path, generated: &Files) -> Result<String> {
    let list = read(root, &format!("{MANIFESTS}/kustomization.yaml"))?;
    let mut stream = String::from(
        "# FerroLB, everything in one file: kubectl apply -f ferrolb.yaml\n\
         # Made by `cargo xtask manifests` from deploy/manifests; edit that instead.\n",
    );
    for name in list.lines().filter_map(|line| line.strip_prefix("  - ")) {
        let path = format!("{MANIFESTS}/{name}");
        let text = match generated.get(&path) {
            Some(text) => text.clone(),
            None => read(root, &path)?,
        };
        stream.push_str("---\n");
        stream.push_str(&text);
    }
    Ok(stream)
}

/// The image of the manifests and the chart's versions are the version of the workspace.
fn check_versions(root: &Path, manifests: &str) -> Result<()> {
    for line in manifests.lines().filter(|line| line.trim_start().starts_with("image: ")) {
        if line.trim_start() != format!("image: {IMAGE}") {
            bail!("{MANIFESTS} names another image than {IMAGE}: {}", line.trim());
        }
    }
    let path = format!("{CHART}/Chart.yaml");
    let chart = read(root, &path)?;
    let version = env!("CARGO_PKG_VERSION");
    for line in [format!("version: {version}"), format!("appVersion: v{version}")] {
        if !chart.lines().any(|have| have == line) {
            bail!("{path} lacks `{line}`, the version of the workspace");
        }
    }
    Ok(())
}

/// Names each file that differs, with the first line that does.
fn compare(root: &Path, files: &Files) -> Result<()> {
    let stale: Vec<_> = files
        .iter()
        .filter_map(|(path, text)| match read(root, path) {
            Ok(old) if old == *text => None,
            Ok(old) => Some(format!("{path}:{}", first_difference(&old, text))),
            Err(error) => Some(format!("{error:#}")),
        })
        .collect();
    if stale.is_empty() {
        return Ok(());
    }
    bail!("stale files, run `cargo xtask manifests`:\n{}", stale.join("\n"));
}

fn read(root: &Path, path: &str) -> Result<String> {
    fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {path}"))
}
