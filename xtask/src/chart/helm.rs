//! The real helm, as `scripts/helm` builds it, and what it renders.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Where helm and the chart are.
pub(super) struct Helm {
    program: PathBuf,
    chart: PathBuf,
    scratch: tempfile::TempDir,
}

/// A release, rendered and not installed.
pub(super) struct Rendered {
    /// Its objects.
    pub(super) objects: Vec<Value>,
    /// The same as text.
    pub(super) manifest: String,
    /// What the user is told.
    pub(super) notes: String,
}

/// What to render.
#[derive(Clone, Copy, Debug)]
pub(super) struct Release<'a> {
    pub(super) name: &'a str,
    pub(super) namespace: &'a str,
    /// Values as YAML.
    pub(super) values: &'a str,
}

impl<'a> Release<'a> {
    /// `metallb` in `metallb-system`, as upstream's instructions have it.
    pub(super) const fn usual(values: &'a str) -> Self {
        Self { name: "metallb", namespace: "metallb-system", values }
    }
}

impl Helm {
    /// Builds helm, if it was not built before.
    pub(super) fn find(root: &Path) -> Result<Self> {
        let built = Command::new(root.join("scripts/helm"))
            .stderr(std::process::Stdio::inherit())
            .output()
            .context("cannot run scripts/helm")?;
        if !built.status.success() {
            bail!("scripts/helm failed");
        }
        let folder = String::from_utf8(built.stdout)?;
        Ok(Self {
            program: Path::new(folder.trim()).join("helm"),
            chart: root.join("deploy/helm/ferrolb"),
            scratch: tempfile::tempdir()?,
        })
    }

    /// The same helm with a copy of the chart whose default values are others, which is what
    /// `helm upgrade --reuse-values` makes of a chart.
    pub(super) fn with_defaults(&self, values: &Value) -> Result<Self> {
        let scratch = tempfile::tempdir()?;
        let chart = scratch.path().join("ferrolb");
        copy(&self.chart, &chart)?;
        fs::write(chart.join("values.yaml"), serde_json::to_string(values)?)?;
        Ok(Self { program: self.program.clone(), chart, scratch })
    }

    /// The chart's default values.
    pub(super) fn defaults(&self) -> Result<Value> {
        let text = fs::read_to_string(self.chart.join("values.yaml"))?;
        serde_saphyr::from_str(&text).context("values.yaml is not YAML")
    }

    /// Renders a release; the inner error is helm's refusal.
    pub(super) fn render(&self, release: Release<'_>) -> Result<Result<Rendered, String>> {
        let values = self.scratch.path().join("values.yaml");
        fs::write(&values, release.values)?;
        let output = Command::new(&self.program)
            .args(["install", release.name])
            .arg(&self.chart)
            .args(["--dry-run=client", "--output=json", "--namespace", release.namespace])
            .arg("--values")
            .arg(&values)
            // No cluster is asked, nothing of the user's own helm is read.
            .env("KUBECONFIG", "/dev/null")
            .env("HELM_CONFIG_HOME", self.scratch.path())
            .env("HELM_CACHE_HOME", self.scratch.path())
            .env("HELM_DATA_HOME", self.scratch.path())
            .output()
            .with_context(|| format!("cannot run {}", self.program.display()))?;
        if !output.status.success() {
            return Ok(Err(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        let answer: Value =
            serde_json::from_slice(&output.stdout).context("helm's answer is not JSON")?;
        let manifest = answer["manifest"].as_str().unwrap_or_default().to_owned();
        let objects: Vec<Value> =
            serde_saphyr::from_multiple(&manifest).context("what was rendered is not YAML")?;
        Ok(Ok(Rendered {
            objects: objects.into_iter().filter(|object| !object.is_null()).collect(),
            manifest,
            notes: answer["info"]["notes"].as_str().unwrap_or_default().to_owned(),
        }))
    }

    /// Renders what must be renderable.
    pub(super) fn must_render(&self, release: Release<'_>) -> Result<Rendered> {
        self.render(release)?
            .map_err(|refusal| anyhow::anyhow!("helm refuses {release:?}: {refusal}"))
    }
}

impl Rendered {
    /// The object of this kind and name.
    pub(super) fn object(&self, kind: &str, name: &str) -> Option<&Value> {
        self.objects
            .iter()
            .find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
