//! The kubelet stand-in's promise: a process gets what its manifest grants and nothing else.
//!
//! Its root is a folder of its own, read-only where the manifest says so, with the system's `/usr`
//! bound into it (because `setpriv` lives there), the programs of its image, and the Pod's volumes at
//! the manifest's paths. `setpriv` then fixes the user, empties or narrows the capability bounding
//! set and sets `no_new_privs`, which no later program can undo. A seccomp profile is the one thing
//! of a `securityContext` that is not applied.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// `securityContext` and volumes of a Pod, as far as the lab's Pods use them.
#[derive(Clone, Debug)]
pub struct Confinement {
    /// `runAsUser`.
    pub user: u32,
    /// `runAsGroup`.
    pub group: u32,
    /// `fsGroup`: one more group.
    pub volume_group: Option<u32>,
    /// What is left of the capabilities, in setpriv's spelling (`net_raw`).
    pub capabilities: Vec<String>,
    /// The opposite of `allowPrivilegeEscalation`.
    pub no_new_privileges: bool,
    /// `readOnlyRootFilesystem`.
    pub read_only: bool,
    /// The folder that becomes its root.
    pub root: PathBuf,
    /// Files of the machine that its image holds: where they are, and where inside.
    pub programs: Vec<(PathBuf, String)>,
    /// Folders it may write to (`emptyDir`): where they are, and where inside.
    pub writable: Vec<(PathBuf, String)>,
}

/// Mounts and chroot, then the rest of the words. `$1` is the root, `$2` what it is mounted as, and
/// up to `--` follow pairs of what is bound and where.
const ENTER: &str = r#"set -e
root=$1 mode=$2
shift 2
mount --bind "$root" "$root"
for name in usr bin sbin lib lib32 lib64 libx32; do
    if [ -d "$root/$name" ] && [ ! -L "$root/$name" ]; then
        mount --bind "/$name" "$root/$name"
        mount -o remount,bind,ro "$root/$name"
    fi
done
while [ "$1" != -- ]; do
    mount --bind "$1" "$root$2"
    shift 2
done
shift
mount --rbind /dev "$root/dev"
mount --rbind /proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -o "remount,bind,$mode" "$root"
exec chroot "$root" "$@"
"#;

const SYSTEM_FOLDERS: [&str; 7] = ["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"];

impl Confinement {
    /// Makes the root folder: mount points and the system's links.
    pub fn prepare(&self) -> Result<()> {
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
        for (_, inside) in &self.programs {
            let path = self.path(inside);
            fs::write(&path, "").map_err(Error::io(path.display().to_string()))?;
        }
        for (folder, inside) in &self.writable {
            create_folder(folder)?;
            create_folder(&self.path(inside))?;
            fs::set_permissions(folder, fs::Permissions::from_mode(0o777))
                .map_err(Error::io(folder.display().to_string()))?;
        }
        Ok(())
    }

    /// Where a path of the Pod is for the lab.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.root.join(inside.trim_start_matches('/'))
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
        words.push(if self.read_only { "ro" } else { "rw" }.to_owned());
        for (from, inside) in self.programs.iter().chain(&self.writable) {
            words.extend([from.display().to_string(), inside.clone()]);
        }
        words.extend(["--", "setpriv"].map(str::to_owned));
        let may_set = fs::read_to_string("/proc/self/setgroups").is_ok_and(|v| v.trim() == "allow");
        words.push(match self.volume_group.filter(|group| may_set && id_is_mapped(*group)) {
            Some(group) => format!("--groups={group}"),
            None if may_set => "--clear-groups".to_owned(),
            None => "--keep-groups".to_owned(),
        });
        let group = if id_is_mapped(self.group) { self.group } else { 0 };
        words.push(format!("--reuid={}", self.effective_user()));
        words.push(format!("--regid={group}"));
        words.push(format!("--bounding-set={kept}"));
        words.push(format!("--inh-caps={kept}"));
        if self.no_new_privileges {
            words.push("--no-new-privs".to_owned());
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_words(capabilities: &[&str], no_new_privileges: bool) -> Vec<String> {
        let confinement = Confinement {
            user: 0,
            group: 0,
            volume_group: None,
            capabilities: capabilities.iter().map(|name| (*name).to_owned()).collect(),
            no_new_privileges,
            read_only: true,
            root: "/root-of-pod".into(),
            programs: vec![("/bin/true".into(), "/speaker".to_owned())],
            writable: vec![("/run/empty".into(), "/tmp".to_owned())],
        };
        confinement.wrap(&["/speaker".to_owned(), "--port=1".to_owned()])
    }

    #[test]
    fn a_speaker_keeps_net_raw_only() {
        let words = mk_words(&["net_raw"], true);
        assert!(words.contains(&"--bounding-set=-all,+net_raw".to_owned()));
        assert!(words.contains(&"--inh-caps=-all,+net_raw".to_owned()));
        assert!(words.contains(&"--no-new-privs".to_owned()));
        assert!(words.ends_with(&["--".into(), "/speaker".into(), "--port=1".into()]));
    }

    #[test]
    fn a_controller_keeps_nothing() {
        assert!(mk_words(&[], true).contains(&"--bounding-set=-all".to_owned()));
    }

    #[test]
    fn escalation_is_forbidden_only_where_the_manifest_forbids_it() {
        assert!(!mk_words(&[], false).contains(&"--no-new-privs".to_owned()));
    }

    #[test]
    fn programs_and_folders_are_bound_at_their_places() {
        let words = mk_words(&[], true);
        let binds = ["ro", "/bin/true", "/speaker", "/run/empty", "/tmp", "--", "setpriv"];
        assert!(words.windows(7).any(|part| part == binds), "{words:?}");
    }
}
