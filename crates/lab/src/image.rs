//! Container images of one binary, without a container engine.
//!
//! The image is an OCI image layout in a tar archive (OCI Image Format Specification 1.1), of one uncompressed layer.
//! Nothing in it depends on the time or the machine: the same binary gives the same digest.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use crate::error::{Doing, Error, Result};

const PASSWD: &[u8] = b"root:x:0:0::/:/\nnonroot:x:65532:65532::/tmp:/\n";
const GROUP: &[u8] = b"root:x:0:\nnonroot:x:65532:\n";
/// The user that the image asks for, so that `runAsNonRoot` holds.
const USER: &str = "65532:65532";

/// What goes into an image.
#[derive(Clone, Debug)]
pub struct ImageSpec {
    /// Name and tag, such as `lab.local/app:1`.
    pub reference: String,
    /// The executable, which becomes the entry point.
    pub binary: PathBuf,
    /// Environment variables.
    pub env: Vec<(String, String)>,
}

/// An image in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The archive for `ctr images import`.
    pub archive: Vec<u8>,
    /// The manifest's digest, `sha256:…`.
    pub digest: String,
}

/// The name of a reference without its tag, when it has a tag other than `latest`.
pub fn split_reference(reference: &str) -> Result<(&str, &str)> {
    match reference.rsplit_once(':') {
        Some((_, "latest")) => {
            Err(Error::Invalid("use a fixed tag, not latest: what runs must not depend on when".into()))
        }
        Some((name, tag)) if !name.is_empty() && !tag.is_empty() && !tag.contains('/') && !name.contains('@') => {
            Ok((name, tag))
        }
        _ => Err(Error::Invalid(format!("{reference:?} is not NAME:TAG"))),
    }
}

/// The name under which the kubelet looks for a reference: without a registry it means Docker's.
pub(crate) fn full_name(reference: &str) -> String {
    match reference.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => reference.to_owned(),
        Some(_) => format!("docker.io/{reference}"),
        None => format!("docker.io/library/{reference}"),
    }
}

/// Builds an image from an executable and the shared objects that it needs.
pub fn build(spec: &ImageSpec) -> Result<Image> {
    split_reference(&spec.reference)?;
    let name = spec.binary.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut files = vec![(name.clone(), read(&spec.binary)?)];
    for object in shared_objects(&spec.binary) {
        let inside = object.trim_start_matches('/').to_owned();
        files.push((inside, read(Path::new(&object))?));
    }
    let layer = layer(&files).doing(|| "write the image's layer".into())?;
    archive(&spec.reference, &format!("/{name}"), &spec.env, &layer).doing(|| "write the image".into())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).doing(|| format!("read {}", path.display()))
}

/// The absolute paths that `ldd` names; a static executable has none.
fn shared_objects(binary: &Path) -> Vec<String> {
    let Ok(output) = Command::new("ldd").arg(binary).output() else { return Vec::new() };
    parse_ldd(&String::from_utf8_lossy(&output.stdout))
}

fn parse_ldd(output: &str) -> Vec<String> {
    output.lines().filter_map(|line| line.split_whitespace().find(|w| w.starts_with('/'))).map(str::to_owned).collect()
}

fn layer(files: &[(String, Vec<u8>)]) -> io::Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    for (dir, mode) in [("dev", 0o755), ("etc", 0o755), ("proc", 0o755), ("sys", 0o755), ("tmp", 0o1777)] {
        add(&mut tar, dir, mode, EntryType::Directory, &[])?;
    }
    add(&mut tar, "etc/passwd", 0o644, EntryType::Regular, PASSWD)?;
    add(&mut tar, "etc/group", 0o644, EntryType::Regular, GROUP)?;
    for (path, content) in files {
        add(&mut tar, path, 0o755, EntryType::Regular, content)?;
    }
    tar.into_inner()
}

fn archive(reference: &str, entry: &str, env: &[(String, String)], layer: &[u8]) -> io::Result<Image> {
    let env: Vec<_> = std::iter::once("PATH=/".to_owned()).chain(env.iter().map(|(k, v)| format!("{k}={v}"))).collect();
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": [entry], "Env": env, "User": USER, "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
    })
    .to_string();
    let descriptor = |kind: &str, bytes: &[u8]| json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": digest(bytes), "size": bytes.len()});
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("config.v1+json", config.as_bytes()),
        "layers": [descriptor("layer.v1.tar", layer)],
    })
    .to_string();
    let mut entry = descriptor("manifest.v1+json", manifest.as_bytes());
    entry["platform"] = json!({"architecture": "amd64", "os": "linux"});
    // The first is containerd's, the second the specification's.
    entry["annotations"] = json!({
        "io.containerd.image.name": full_name(reference),
        "org.opencontainers.image.ref.name": reference.rsplit_once(':').map_or("", |(_, tag)| tag),
    });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [entry],
    })
    .to_string();

    let mut tar = Builder::new(Vec::new());
    let file = EntryType::Regular;
    add(&mut tar, "oci-layout", 0o644, file, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    add(&mut tar, "index.json", 0o644, file, index.as_bytes())?;
    for blob in [manifest.as_bytes(), config.as_bytes(), layer] {
        add(&mut tar, &format!("blobs/sha256/{}", hex(&Sha256::digest(blob))), 0o644, file, blob)?;
    }
    Ok(Image { archive: tar.into_inner()?, digest: digest(manifest.as_bytes()) })
}

fn add(tar: &mut Builder<Vec<u8>>, path: &str, mode: u32, kind: EntryType, content: &[u8]) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_size(content.len() as u64);
    tar.append_data(&mut header, path, content)
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |n: u8| char::from(b"0123456789abcdef"[usize::from(n)]);
    bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::BTreeMap;
    use std::io::Read;

    fn unpack(archive: &[u8]) -> BTreeMap<String, (u32, Vec<u8>)> {
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(archive).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_string_lossy().into_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            files.insert(path, (entry.header().mode().unwrap(), content));
        }
        files
    }

    #[test]
    fn the_archive_is_an_oci_layout_whose_digests_fit() {
        let layer = layer(&[("app".into(), b"code".to_vec())]).unwrap();
        let image = archive("lab.local/app:7", "/app", &[("A".into(), "b=c".into())], &layer).unwrap();
        let files = unpack(&image.archive);
        let json = |name: &str| serde_json::from_slice::<serde_json::Value>(&files[name].1).unwrap();
        let blob = |digest: &serde_json::Value| format!("blobs/{}", digest.as_str().unwrap().replace(':', "/"));

        let index = json("index.json");
        let entry = &index["manifests"][0];
        assert_eq!(entry["digest"], image.digest);
        assert_eq!(entry["annotations"]["io.containerd.image.name"], "lab.local/app:7");
        let manifest = json(&blob(&entry["digest"]));
        let config = json(&blob(&manifest["config"]["digest"]));
        assert_eq!(config["config"]["Entrypoint"][0], "/app");
        assert_eq!(config["config"]["Env"], json!(["PATH=/", "A=b=c"]));
        assert_eq!(config["rootfs"]["diff_ids"][0], manifest["layers"][0]["digest"]);
        assert_eq!(files[&blob(&manifest["layers"][0]["digest"])].1, layer);
        for (name, (_, content)) in &files {
            if let Some(sum) = name.strip_prefix("blobs/sha256/") {
                assert_eq!(sum, hex(&Sha256::digest(content)));
            }
        }
    }

    #[test]
    fn the_layer_has_a_user_a_writable_tmp_and_an_executable_binary() {
        let files = unpack(&layer(&[("app".into(), b"code".to_vec())]).unwrap());
        assert_eq!(files["tmp"].0, 0o1777);
        assert_eq!(files["app"], (0o755, b"code".to_vec()));
        assert!(String::from_utf8_lossy(&files["etc/passwd"].1).contains("nonroot:x:65532"));
    }

    #[test]
    fn the_same_binary_gives_the_same_digest() {
        let make = |env: &str| {
            let layer = layer(&[("app".into(), b"code".to_vec())]).unwrap();
            archive("a:1", "/app", &[("V".into(), env.into())], &layer).unwrap().digest
        };
        assert_eq!(make("1"), make("1"));
        assert_ne!(make("1"), make("2"));
    }

    #[test]
    fn ldd_names_the_loader_and_the_libraries_and_not_the_vdso() {
        let output = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x7f)\n\t/lib64/ld-linux-x86-64.so.2 (0x7f)\n";
        assert_eq!(parse_ldd(output), ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]);
        assert!(parse_ldd("\tstatically linked\n").is_empty());
    }

    #[test]
    fn a_name_without_a_registry_is_dockers() {
        assert_eq!(full_name("app:1"), "docker.io/library/app:1");
        assert_eq!(full_name("me/app@sha256:00"), "docker.io/me/app@sha256:00");
        for full in ["lab.local/app:1", "10.90.0.10:5000/app:1", "localhost/app:1"] {
            assert_eq!(full_name(full), full);
        }
    }

    #[test]
    fn a_reference_has_a_fixed_tag() {
        assert_eq!(split_reference("10.90.0.10:5000/app:1").unwrap(), ("10.90.0.10:5000/app", "1"));
        for bad in ["app", "app:latest", "10.90.0.10:5000/app", "app@sha256:00", ":1"] {
            assert!(split_reference(bad).is_err(), "{bad}");
        }
    }
}
