//! `cargo xtask crds`: the definitions of the kinds as files, one each, named as upstream names them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use ferrolb_api::{crd_yaml, crds};

const FOLDER: &str = "deploy/crds";
const HEADER: &str = "# Made by `cargo xtask crds` from crates/api; edit that instead.\n";

/// How to run the chore.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write nothing; fail when a file is not what would be written
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(args: &Args, root: &Path) -> Result<()> {
    let folder = root.join(FOLDER);
    let wanted = wanted();
    let present = present(&folder)?;
    if args.check {
        return compare(&wanted, &present);
    }

    fs::create_dir_all(&folder).with_context(|| format!("cannot make {FOLDER}"))?;
    for name in present.keys().filter(|name| !wanted.contains_key(*name)) {
        fs::remove_file(folder.join(name)).with_context(|| format!("cannot remove {name}"))?;
    }
    for (name, text) in &wanted {
        fs::write(folder.join(name), text).with_context(|| format!("cannot write {name}"))?;
    }
    Ok(())
}

/// File names and contents as they should be.
fn wanted() -> BTreeMap<String, String> {
    crds()
        .iter()
        .map(|crd| {
            let name = format!("{}_{}.yaml", crd.spec.group, crd.spec.names.plural);
            (name, format!("{HEADER}{}", crd_yaml(crd)))
        })
        .collect()
}

/// File names and contents as they are.
fn present(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    if !folder.exists() {
        return Ok(files);
    }
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {FOLDER}"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let text = fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.insert(name, text);
        }
    }
    Ok(files)
}

/// Names each file that differs, with the first line that does.
fn compare(wanted: &BTreeMap<String, String>, present: &BTreeMap<String, String>) -> Result<()> {
    let mut stale = Vec::new();
    for (name, text) in wanted {
        match present.get(name) {
            None => stale.push(format!("{FOLDER}/{name} is missing")),
            Some(old) if old == text => {}
            Some(old) => stale.push(format!("{FOLDER}/{name}:{}", first_difference(old, text))),
        }
    }
    let left_over = present.keys().filter(|name| !wanted.contains_key(*name));
    stale.extend(left_over.map(|name| format!("{FOLDER}/{name} belongs to no kind")));
    if stale.is_empty() {
        return Ok(());
    }
    bail!("stale definitions, run `cargo xtask crds`:\n{}", stale.join("\n"));
}

/// `line: -old +new` of the first line that differs; a text that ended early has an empty line there.
pub(crate) fn first_difference(old: &str, new: &str) -> String {
    let (mut old, mut new) = (old.lines(), new.lines());
    let mut number = 1;
    loop {
        match (old.next(), new.next()) {
            (Some(a), Some(b)) if a == b => number += 1,
            (a, b) => {
                let (a, b) = (a.unwrap_or_default(), b.unwrap_or_default());
                return format!("{number}:\n  -{a}\n  +{b}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_files(files: &[(&str, &str)]) -> BTreeMap<String, String> {
        files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn equal_files_pass() {
        let files = mk_files(&[("a.yaml", "a\n")]);
        assert!(compare(&files, &files).is_ok());
    }

    #[test]
    fn each_stale_file_is_named_with_its_first_difference() {
        let wanted = mk_files(&[("a.yaml", "a\nb\n"), ("b.yaml", "b\n"), ("c.yaml", "c\n")]);
        let present = mk_files(&[("a.yaml", "a\nx\n"), ("b.yaml", "b\n"), ("d.yaml", "d\n")]);
        let message = compare(&wanted, &present).unwrap_err().to_string();
        assert_eq!(
            message,
            "stale definitions, run `cargo xtask crds`:\n\
             deploy/crds/a.yaml:2:\n  -x\n  +b\n\
             deploy/crds/c.yaml is missing\n\
             deploy/crds/d.yaml belongs to no kind"
        );
    }
}
