//! Golden files: what the chart renders for some values, to be read by whoever reviews a change.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::Findings;
use super::helm::{Helm, Release};
use crate::crds::first_difference;

const FOLDER: &str = "deploy/helm/golden";

/// Values that set every key of MetalLB's chart and of ours.
pub(super) const EVERYTHING: &str =
    include_str!("../../../deploy/helm/golden/everything.values.yaml");

/// Values that keep everything closed that may be; the ones of the examples.
const HARDENED: &str = include_str!("../../../examples/gitops/flux/base/hardened-values.yaml");

const CASES: [(&str, &str); 3] =
    [("default", "{}"), ("everything", EVERYTHING), ("hardened", HARDENED)];

pub(super) fn check(helm: &Helm, root: &Path, compare: bool) -> Result<Findings> {
    let mut findings = Findings::new();
    for (name, values) in CASES {
        let rendered = helm.must_render(Release::usual(values))?;
        let text = format!(
            "# Made by `cargo xtask chart`; what is missing here are the custom resource definitions.\n{}",
            without_definitions(&rendered.manifest)
        );
        let path = format!("{FOLDER}/{name}.yaml");
        if compare {
            let old = fs::read_to_string(root.join(&path)).unwrap_or_default();
            if old != text {
                findings.push(format!(
                    "{path}:{}, run `cargo xtask chart`",
                    first_difference(&old, &text)
                ));
            }
        } else {
            fs::write(root.join(&path), text).with_context(|| format!("cannot write {path}"))?;
        }
    }
    Ok(findings)
}

fn without_definitions(manifest: &str) -> String {
    let documents = manifest.split("---\n").filter(|document| {
        !document.trim().is_empty() && !document.contains("\nkind: CustomResourceDefinition\n")
    });
    documents.fold(String::new(), |mut text, document| {
        text.push_str("---\n");
        text.push_str(document.trim_end());
        text.push('\n');
        text
    })
}
