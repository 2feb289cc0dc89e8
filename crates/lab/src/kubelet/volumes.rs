//! The files of a Pod: volumes at their mount points, kept current while it runs.
//!
//! ```text
//!  mount point/ ..data ──▶ ..3/ key     replaced by one rename when the Secret or ConfigMap changes,
//!               key ──▶ ..data/key      so that nobody sees half of an update
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::container::{Container, contents, text};
use crate::api::{Api, Ref};
use crate::error::{Error, Result};

/// Where a token is, as every client library expects it.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Content and mode by name.
type Files = BTreeMap<String, (Vec<u8>, u32)>;

/// A volume whose content is in the API, and where it is mounted.
#[derive(Clone, Debug)]
pub(super) struct Mounted {
    folder: PathBuf,
    sources: Vec<Value>,
    mode: u32,
    namespace: String,
    group: Option<u32>,
    files: Option<Files>,
    generation: u32,
}

/// Where a Pod has its volumes.
#[derive(Debug)]
pub(super) struct Volumes {
    /// From the API.
    pub(super) mounted: Vec<Mounted>,
    /// `emptyDir`: its folder, and where it is mounted.
    pub(super) empty: Vec<(PathBuf, String)>,
}

impl Volumes {
    /// The volumes of a Pod whose root is that folder; `scratch` is where empty ones are made.
    pub(super) fn of(container: Container<'_>, root: &Path, scratch: &Path) -> Result<Self> {
        let pod = container.pod;
        let group = pod["spec"]["securityContext"]["fsGroup"].as_u64();
        let mut volumes = Self { mounted: Vec::new(), empty: Vec::new() };
        for mount in container.spec["volumeMounts"].as_array().into_iter().flatten() {
            let (name, path) = (text(&mount["name"]), text(&mount["mountPath"]));
            let mut all = pod["spec"]["volumes"].as_array().into_iter().flatten();
            let volume = all.find(|volume| volume["name"] == name);
            let refused = |what: &str| Error::Manifest(format!("volume {name}: {what}"));
            let volume = volume.ok_or_else(|| refused("mounted, but not there"))?;
            if mount["subPath"].is_string() {
                return Err(refused("the lab knows no subPath"));
            }
            if volume["emptyDir"].is_object() {
                volumes.empty.push((scratch.join(name), path.to_owned()));
                continue;
            }
            let (settings, sources) = if volume["projected"].is_object() {
                let sources = volume["projected"]["sources"].as_array().cloned();
                (&volume["projected"], sources.unwrap_or_default())
            } else if volume["secret"].is_object() {
                (&volume["secret"], vec![volume.clone()])
            } else if volume["configMap"].is_object() {
                (&volume["configMap"], vec![volume.clone()])
            } else {
                return Err(refused("the lab knows emptyDir, secret, configMap and projected"));
            };
            volumes.mounted.push(Mounted {
                folder: root.join(path.trim_start_matches('/')),
                sources,
                mode: mode(&settings["defaultMode"]).unwrap_or(0o644),
                namespace: text(&pod["metadata"]["namespace"]).to_owned(),
                group: group.and_then(|group| u32::try_from(group).ok()),
                files: None,
                generation: 0,
            });
        }
        // A mount point comes before what is mounted below it.
        volumes.mounted.sort_by(|a, b| a.folder.cmp(&b.folder));
        Ok(volumes)
    }
}

impl Mounted {
    /// Writes what changed since the last time. A missing source that is not optional is an error
    /// until the Pod runs, and nothing new afterwards.
    pub(super) fn sync(&mut self, api: &Api) -> Result<()> {
        let mut files = Files::new();
        for source in &self.sources {
            let (kind, wanted, name) = if source["secret"].is_object() {
                let wanted = &source["secret"];
                ("Secret", wanted, wanted["secretName"].as_str().or(wanted["name"].as_str()))
            } else if source["configMap"].is_object() {
                ("ConfigMap", &source["configMap"], source["configMap"]["name"].as_str())
            } else {
                return Err(Error::Manifest(format!("the lab cannot project {source}")));
            };
            let name = name.unwrap_or_default();
            match api.get(Ref::new(kind, &self.namespace, name))? {
                Some(object) => project(&mut files, contents(&object), wanted, self.mode),
                None if wanted["optional"] == true => {}
                None if self.files.is_some() => return Ok(()),
                None => return Err(Error::Manifest(format!("{kind} {name} is not there (yet)"))),
            }
        }
        if self.files.as_ref() == Some(&files) {
            return Ok(());
        }
        self.write(&files).map_err(Error::io(self.folder.display().to_string()))?;
        self.files = Some(files);
        Ok(())
    }

    fn write(&mut self, files: &Files) -> std::io::Result<()> {
        self.generation += 1;
        let data = format!("..{}", self.generation);
        let folder = self.folder.join(&data);
        fs::create_dir_all(&folder)?;
        for (name, (content, mode)) in files {
            let path = folder.join(name);
            fs::write(&path, content)?;
            let group_mode = self.group.map_or(0, |_| 0o440);
            fs::set_permissions(&path, fs::Permissions::from_mode(mode | group_mode))?;
            if let Some(group) = self.group {
                give(&path, group)?;
            }
        }
        let new = self.folder.join("..data_new");
        symlink(&data, &new)?;
        fs::rename(&new, self.folder.join("..data"))?;
        for name in files.keys() {
            let link = self.folder.join(name);
            if link.symlink_metadata().is_err() {
                symlink(Path::new("..data").join(name), link)?;
            }
        }
        let old = self.files.iter().flat_map(Files::keys).filter(|name| !files.contains_key(*name));
        for name in old {
            fs::remove_file(self.folder.join(name))?;
        }
        match fs::remove_dir_all(self.folder.join(format!("..{}", self.generation - 1))) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// The volume of a `ServiceAccount`: namespace, token and the API server's authority.
pub(super) fn write_account(root: &Path, files: &[(&str, &str)]) -> Result<()> {
    let folder = root.join(ACCOUNT.trim_start_matches('/'));
    fs::create_dir_all(&folder).map_err(Error::io(ACCOUNT))?;
    files.iter().try_for_each(|(name, content)| {
        fs::write(folder.join(name), content).map_err(Error::io(format!("{ACCOUNT}/{name}")))
    })
}

/// All keys, or the ones that are named, at their paths.
fn project(files: &mut Files, mut keys: BTreeMap<String, Vec<u8>>, wanted: &Value, default: u32) {
    match wanted["items"].as_array() {
        None => files.extend(keys.into_iter().map(|(key, content)| (key, (content, default)))),
        Some(items) => files.extend(items.iter().filter_map(|item| {
            let content = keys.remove(text(&item["key"]))?;
            let mode = mode(&item["mode"]).unwrap_or(default);
            Some((text(&item["path"]).to_owned(), (content, mode)))
        })),
    }
}

fn mode(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|mode| u32::try_from(mode).ok())
}

/// An unprivileged owner of the lab has no other group to give files to; nor has the Pod.
fn give(path: &Path, group: u32) -> std::io::Result<()> {
    match chown(path, None, Some(group)) {
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mk_mounted(folder: &Path) -> Mounted {
        Mounted {
            folder: folder.to_owned(),
            sources: Vec::new(),
            mode: 0o400,
            namespace: "system".to_owned(),
            group: None,
            files: None,
            generation: 0,
        }
    }

    fn mk_files(files: &[(&str, &str)]) -> Files {
        let file = |(name, content): &(&str, &str)| {
            ((*name).to_owned(), (content.as_bytes().to_vec(), 0o400))
        };
        files.iter().map(file).collect()
    }

    #[test]
    fn an_update_replaces_adds_and_removes() {
        let folder = std::env::temp_dir().join(format!("ferrolb-volume-{}", std::process::id()));
        let mut mounted = mk_mounted(&folder);
        for files in [
            mk_files(&[("a", "1"), ("b", "1")]),
            mk_files(&[("b", "2"), ("c", "2")]),
            mk_files(&[]),
        ] {
            mounted.write(&files).unwrap();
            let seen: Vec<_> = fs::read_dir(&folder)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .filter(|name| !name.starts_with(".."))
                .map(|name| (fs::read(folder.join(&name)).unwrap(), name))
                .collect();
            assert_eq!(seen.len(), files.len());
            assert!(seen.iter().all(|(content, name)| files[name].0 == *content), "{seen:?}");
            mounted.files = Some(files);
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn items_choose_keys_paths_and_modes() {
        let keys =
            BTreeMap::from([("a".to_owned(), b"1".to_vec()), ("b".to_owned(), b"2".to_vec())]);
        let mut files = Files::new();
        let wanted = json!({ "items": [{ "key": "b", "path": "tls.crt", "mode": 256 }] });
        project(&mut files, keys.clone(), &wanted, 0o644);
        assert_eq!(files, Files::from([("tls.crt".to_owned(), (b"2".to_vec(), 0o400))]));
        project(&mut files, keys, &json!({}), 0o644);
        assert_eq!(files.len(), 3);
    }

    #[test]
    fn a_volume_the_lab_does_not_know_is_named() {
        let pod = json!({
            "metadata": { "namespace": "system" },
            "spec": {
                "volumes": [{ "name": "host", "hostPath": { "path": "/" } }],
                "containers": [{ "volumeMounts": [{ "name": "host", "mountPath": "/host" }] }],
            },
        });
        let container = Container { pod: &pod, spec: &pod["spec"]["containers"][0] };
        let error = Volumes::of(container, Path::new("/r"), Path::new("/s")).unwrap_err();
        assert!(error.to_string().contains("volume host"), "{error}");
    }
}
