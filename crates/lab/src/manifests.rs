//! What is installed into a cluster: Kubernetes objects as YAML documents.
//!
//! The ones that are shipped are part of the program, so that a lab needs no checkout. Any other
//! rendering (a chart's, an older version's, another implementation's) is read from a file or folder.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::{Error, Result};

/// The plain manifests, all in one.
const SHIPPED: &str = include_str!("../../../deploy/ferrolb.yaml");

/// Objects in the order they are to be applied in.
#[derive(Clone, Debug)]
pub struct Manifests {
    text: String,
    documents: Vec<Value>,
}

impl Manifests {
    /// Those this program was built with.
    pub fn shipped() -> Result<Self> {
        Self::parse(SHIPPED)
    }

    /// Those of a file, or of every `.yaml` file of a folder by name.
    pub fn read(path: &Path) -> Result<Self> {
        let read = |path: &PathBuf| {
            fs::read_to_string(path).map_err(Error::io(path.display().to_string()))
        };
        if !path.is_dir() {
            return Self::parse(&read(&path.to_owned())?);
        }
        let entries = fs::read_dir(path).map_err(Error::io(path.display().to_string()))?;
        let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        files.retain(|file| file.extension().is_some_and(|end| end == "yaml" || end == "yml"));
        files.sort();
        Self::parse(&files.iter().map(read).collect::<Result<Vec<_>>>()?.join("\n---\n"))
    }

    /// Those of a text of several documents.
    pub fn parse(text: &str) -> Result<Self> {
        let documents: Vec<Value> = serde_saphyr::from_multiple(text)
            .map_err(|error| Error::Manifest(error.to_string()))?;
        let documents = documents.into_iter().filter(|document| !document.is_null()).collect();
        Ok(Self { text: text.to_owned(), documents })
    }

    /// The text they were read from: numbers may be meant as YAML 1.1 reads them.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The objects.
    pub fn documents(&self) -> &[Value] {
        &self.documents
    }

    /// The objects of a kind.
    pub fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.documents.iter().filter(move |document| document["kind"] == kind)
    }
    /// Names of Secrets that a `DaemonSet` mounts and that are not among the objects.
    pub(crate) fn missing_secrets(&self) -> BTreeSet<String> {
        let shipped: Vec<_> =
            self.of_kind("Secret").map(|secret| &secret["metadata"]["name"]).collect();
        let volumes = self.of_kind("DaemonSet").flat_map(|workload| {
            workload["spec"]["template"]["spec"]["volumes"].as_array().into_iter().flatten()
        });
        let names = volumes
            .filter(|volume| volume["secret"]["optional"] != true)
            .map(|volume| &volume["secret"]["secretName"])
            .filter(|name| !shipped.contains(name));
        names.filter_map(|name| name.as_str().map(str::to_owned)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_ones_install_both_components() {
        let manifests = Manifests::shipped().unwrap();
        for (kind, name) in [("Deployment", "controller"), ("DaemonSet", "speaker")] {
            let names: Vec<_> =
                manifests.of_kind(kind).map(|object| &object["metadata"]["name"]).collect();
            assert_eq!(names, [name]);
        }
        assert!(manifests.of_kind("CustomResourceDefinition").count() >= 3);
        assert_eq!(manifests.of_kind("Namespace").count(), 1);
        assert_eq!(manifests.missing_secrets(), BTreeSet::from(["memberlist".to_owned()]));
    }

    #[test]
    fn empty_documents_do_not_count() {
        let manifests = Manifests::parse("---\n# nothing\n---\nkind: A\n---\n").unwrap();
        assert_eq!(manifests.documents().len(), 1);
    }

    #[test]
    fn a_wrong_document_is_an_error() {
        assert!(matches!(Manifests::parse("a: [1"), Err(Error::Manifest(_))));
    }
}
