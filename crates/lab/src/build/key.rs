use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::{Doing, Result};
use crate::image::hex;

/// The name under which a build is cached: 16 hexadecimal digits of the SHA-256 of everything that goes into it, that is
/// the files of its folder (`go.mod`, `go.sum`, sources, pins) and the flags.
pub(crate) fn of_folder(folder: &Path, flags: &[String]) -> Result<String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).doing(|| format!("read {}", folder.display()))? {
        let path = entry.doing(|| format!("read {}", folder.display()))?.path();
        if path.is_file() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.push((name, fs::read(&path).doing(|| format!("read {}", path.display()))?));
        }
    }
    Ok(of(files, flags))
}

fn of(mut files: Vec<(String, Vec<u8>)>, flags: &[String]) -> String {
    files.sort();
    let mut hash = Sha256::new();
    // Lengths keep "a" + "bc" apart from "ab" + "c".
    let mut add = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    for (name, content) in &files {
        add(name.as_bytes());
        add(content);
    }
    add(b"flags");
    for flag in flags {
        add(flag.as_bytes());
    }
    hex(&hash.finalize())[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(files: &[(&str, &str)], flags: &[&str]) -> String {
        let files = files.iter().map(|(n, c)| ((*n).to_owned(), c.as_bytes().to_vec())).collect();
        of(files, &flags.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn the_order_in_which_files_are_listed_does_not_matter() {
        assert_eq!(
            key(&[("go.mod", "m"), ("main.go", "p")], &["-s"]),
            key(&[("main.go", "p"), ("go.mod", "m")], &["-s"])
        );
    }

    #[test]
    fn a_changed_file_name_or_flag_is_another_build() {
        let base = key(&[("go.mod", "m"), ("go.sum", "s")], &["-s"]);
        assert_eq!(base.len(), 16);
        for other in [
            key(&[("go.mod", "m2"), ("go.sum", "s")], &["-s"]),
            key(&[("go.mod", "m"), ("go.sum", "s2")], &["-s"]),
            key(&[("go.mod", "m"), ("go.sums", "s")], &["-s"]),
            key(&[("go.mod", "m"), ("go.sum", "s")], &["-w"]),
            key(&[("go.mod", "mgo.sums")], &["-s"]),
        ] {
            assert_ne!(base, other);
        }
    }
}
