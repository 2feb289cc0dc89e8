//! The kubelet stand-in's promise: a process gets what its manifest grants and nothing else.
//!
//! Its root is a folder of its own, read-only, with the system's `/usr` bound into it (because
//! `setpriv` lives there), the program at `/ferrolb`, and the Pod's volumes at the manifest's paths.
//! `setpriv` then fixes the user, empties or narrows the capability bounding set and sets
//! `no_new_privs`, which no later program can undo.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// `securityContext` and volumes of a Pod, as far as the lab's Pods use them.
#[derive(Clone, Debug)]
pub struct Confinement {
    /// `runAsUser`.
    pub user: u32,
    /// `capabilities.add` after `drop: [ALL]`, in setpriv's spelling (`net_raw`).
    pub capabilities: Vec<String>,
    /// The folder that becomes its root.
    pub root: PathBuf,
    /// The program that is bound to `/ferrolb`.
    pub program: PathBuf,
}

/// Mounts and chroot, then the rest of the words. `$1` is the root and `$2` the program.
const ENTER: &str = r#"set -e
root=$1 program=$2
shift 2
mount --bind "$root" "$root"
for name in usr bin sbin lib lib32 lib64 libx32; do
    if [ -d "$root/$name" ] && [ ! -L "$root/$name" ]; then
        mount --bind "/$name" "$root/$name"
        mount -o remount,bind,ro "$root/$name"
    fi
done
mount --bind "$program" "$root/ferrolb"
mount --rbind /dev "$root/dev"
mount --rbind /proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -o remount,bind,ro "$root"
exec chroot "$root" "$@"
"#;

const SYSTEM_FOLDERS: [&str; 7] = ["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"];

impl Confinement {
    /// Makes the root folder: mount points, the system's links, and these files (absolute path in
    /// the Pod, content).
    pub fn prepare(&self, files: &[(&str, &str)]) -> Result<()> {
        let root = &self.root;
        for name in ["dev", "proc", "sys", "tmp"] {
            create_folder(&root.join(name))?;
        }
        for name in SYSTEM_FOLDERS {
            let (system, own) = (Path::new("/").join(name), root.join(name));
            if let Ok(target) = fs::read_link(&system) {
                if own.symlink_metadata().is_err() {
                    symlink(&target, &own).map_err(Error::io(own.display().to_string()))?;
                }
            } else if system.is_dir() {
                create_folder(&own)?;
            }
        }
        write(&root.join("ferrolb"), "")?;
        files.iter().try_for_each(|(path, content)| {
            write(&root.join(path.trim_start_matches('/')), content)
        })
    }

    /// The user it will run as. An unprivileged owner of the lab without subordinate ids has a
    /// single user to give, which is 0 inside; it owns no capability either once they are dropped.
    pub fn effective_user(&self) -> u32 {
        if id_is_mapped(self.user) { self.user } else { 0 }
    }

    /// The words that start a program inside; `argv[0]` is a path inside the root.
    pub fn wrap(&self, argv: &[String]) -> Vec<String> {
        let kept = self
            .capabilities
            .iter()
            .fold("-all".to_owned(), |kept, capability| kept + ",+" + capability);
        let mut words: Vec<String> =
            ["unshare", "--mount", "--", "sh", "-c", ENTER, "sh"].map(str::to_owned).into();
        words.push(self.root.display().to_string());
        words.push(self.program.display().to_string());
        words.push("setpriv".to_owned());
        if fs::read_to_string("/proc/self/setgroups").is_ok_and(|value| value.trim() == "allow") {
            words.push("--clear-groups".to_owned());
        } else {
            words.push("--keep-groups".to_owned());
        }
        let user = self.effective_user();
        words.push(format!("--reuid={user}"));
        words.push(format!("--regid={user}"));
        words.push(format!("--bounding-set={kept}"));
        words.push(format!("--inh-caps={kept}"));
        words.push("--no-new-privs".to_owned());
        words.push("--".to_owned());
        words.extend_from_slice(argv);
        words
    }
}

/// Whether that user id exists in this user namespace.
fn id_is_mapped(user: u32) -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.lines().any(|line| {
        let mut fields = line.split_whitespace().filter_map(|field| field.parse::<u64>().ok());
        let (Some(first), Some(_), Some(count)) = (fields.next(), fields.next(), fields.next())
        else {
            return false;
        };
        (first..first.saturating_add(count)).contains(&user.into())
    })
}

fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(Error::io(path.display().to_string()))
}

fn write(path: &Path, content: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        create_folder(folder)?;
    }
    let context = || Error::io(path.display().to_string());
    fs::write(path, content).map_err(context())?;
    // Pods read their volumes whoever they run as (fsGroup).
    fs::set_permissions(path, fs::Permissions::from_mode(0o444)).map_err(context())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_confinement(capabilities: &[&str]) -> Confinement {
        Confinement {
            user: 0,
            capabilities: capabilities.iter().map(|name| (*name).to_owned()).collect(),
            root: "/root-of-pod".into(),
            program: "/bin/true".into(),
        }
    }

    #[test]
    fn a_speaker_keeps_net_raw_only() {
        let words =
            mk_confinement(&["net_raw"]).wrap(&["/ferrolb".to_owned(), "speaker".to_owned()]);
        assert!(words.contains(&"--bounding-set=-all,+net_raw".to_owned()));
        assert!(words.contains(&"--inh-caps=-all,+net_raw".to_owned()));
        assert!(words.contains(&"--no-new-privs".to_owned()));
        assert!(words.ends_with(&["--".to_owned(), "/ferrolb".to_owned(), "speaker".to_owned()]));
    }

    #[test]
    fn a_controller_keeps_nothing() {
        let words = mk_confinement(&[]).wrap(&["/ferrolb".to_owned()]);
        assert!(words.contains(&"--bounding-set=-all".to_owned()));
    }
}
