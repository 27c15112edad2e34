use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Doing, Error, Result};
use crate::{Options, Part};

/// Says that a directory is the lab's own and may be removed with everything in it.
const MARKER: &str = ".microapp-lab";
/// `sun_path` has 108 bytes, the last one is NUL.
const SOCKET_LIMIT: usize = 107;

/// Where a lab keeps its state: `/var/lib/microapp-lab`, or `$MICROAPP_LAB`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    root: PathBuf,
}

impl Paths {
    /// The state directory that the environment asks for.
    pub fn from_env() -> Result<Self> {
        Self::new(std::env::var_os("MICROAPP_LAB").filter(|v| !v.is_empty()))
    }

    fn new(root: Option<OsString>) -> Result<Self> {
        let root = root.map_or_else(|| PathBuf::from("/var/lib/microapp-lab"), PathBuf::from);
        if !root.is_absolute() || root.components().count() < 3 {
            return Err(Error::Invalid(format!(
                "MICROAPP_LAB must be an absolute path of at least two names, not {}",
                root.display()
            )));
        }
        let paths = Self { root };
        let socket = paths.containerd_socket().with_extension("sock.ttrpc");
        if socket.as_os_str().len() > SOCKET_LIMIT {
            return Err(Error::Invalid(format!(
                "MICROAPP_LAB is too long: {} has more than {SOCKET_LIMIT} bytes, the limit of a socket's path",
                socket.display()
            )));
        }
        Ok(paths)
    }

    pub(crate) fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The state directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path under the state directory.
    pub fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }

    /// The state directory as text, for configuration files.
    pub fn text(&self) -> String {
        self.root.to_string_lossy().into_owned()
    }

    /// What a part printed.
    pub fn log(&self, part: Part) -> PathBuf {
        self.join(format!("log/{part}.log"))
    }

    /// The API server's audit log: one JSON object a line, level Metadata.
    pub fn audit_log(&self) -> PathBuf {
        self.join("log/audit.log")
    }

    /// A client's kubeconfig: `admin`, `kcm`, `sched`, `node`, `kproxy`, `contour`, `prom`.
    pub fn kubeconfig(&self, client: &str) -> PathBuf {
        self.join(format!("cfg/{client}.kubeconfig"))
    }

    /// Symbolic links to the lab's programs, kubectl and helm among them.
    pub fn bin(&self, program: &str) -> PathBuf {
        self.join("bin").join(program)
    }

    pub(crate) fn record(&self, part: Part) -> PathBuf {
        self.join(format!("run/{part}.json"))
    }

    pub(crate) fn containerd_socket(&self) -> PathBuf {
        self.join("ctd/ctd.sock")
    }

    /// Makes the directory, or refuses one that holds somebody else's files.
    pub(crate) fn create(&self) -> Result<()> {
        let foreign = fs::read_dir(&self.root).is_ok_and(|mut d| d.next().is_some()) && !self.is_ours();
        if foreign {
            return Err(Error::Invalid(format!(
                "{} is not empty and not the lab's; the lab would remove it",
                self.root.display()
            )));
        }
        for dir in ["bin", "cfg", "cni/net.d", "ctd", "kubelet", "log", "pki", "pod-logs", "run"] {
            let dir = self.join(dir);
            fs::create_dir_all(&dir).doing(|| format!("make {}", dir.display()))?;
        }
        let marker = self.join(MARKER);
        fs::write(&marker, "").doing(|| format!("write {}", marker.display()))
    }

    pub(crate) fn is_ours(&self) -> bool {
        self.join(MARKER).exists()
    }

    pub(crate) fn write(&self, path: impl AsRef<Path>, text: &str) -> Result<()> {
        let path = self.join(path);
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).doing(|| format!("make {}", dir.display()))?;
        }
        fs::write(&path, text).doing(|| format!("write {}", path.display()))
    }

    pub(crate) fn save(&self, options: &Options) -> Result<()> {
        self.write("run/options.json", &serde_json::json!(options).to_string())
    }

    pub(crate) fn options(&self) -> Option<Options> {
        serde_json::from_slice(&fs::read(self.join("run/options.json")).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_directory_that_is_too_long_for_a_socket_is_refused() {
        let long = format!("/tmp/{}", "x".repeat(90));
        assert!(Paths::new(Some(long.into())).unwrap_err().to_string().contains("too long"));
    }

    #[test]
    fn a_directory_that_would_endanger_the_machine_is_refused() {
        for bad in ["/", "/var", "lab"] {
            assert!(Paths::new(Some(bad.into())).is_err(), "{bad}");
        }
        assert_eq!(Paths::new(None).unwrap().root(), Path::new("/var/lib/microapp-lab"));
    }

    #[test]
    fn a_directory_with_files_of_others_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.tex"), "").unwrap();
        assert!(Paths::at(dir.path()).create().unwrap_err().to_string().contains("not the lab's"));
        fs::remove_file(dir.path().join("thesis.tex")).unwrap();
        Paths::at(dir.path()).create().unwrap();
        Paths::at(dir.path()).create().unwrap();
    }
}
