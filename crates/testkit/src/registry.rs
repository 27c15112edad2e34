//! An image registry: which digest a tag stands for today.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

/// Tags and what they resolve to. Clones are handles to the same registry.
#[derive(Clone, Debug, Default)]
pub struct Registry(Arc<Mutex<Names>>);

#[derive(Debug, Default)]
struct Names {
    digests: BTreeMap<String, String>,
    image_ids: BTreeMap<String, String>,
}

impl Registry {
    /// Moves a tag: `repo:tag` from now on stands for `sha256:…`.
    pub fn set(&self, image: &str, digest: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).digests.insert(image.to_owned(), digest.to_owned());
    }

    /// Lets nodes report this `imageID` for an image, whatever its digest: a bare config digest, another repository.
    pub fn set_image_id(&self, image: &str, image_id: &str) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.image_ids.insert(image.to_owned(), image_id.to_owned());
    }

    /// The digest of an image: its own, what its tag was [`set`](Self::set) to, or one made from its name.
    pub fn digest(&self, image: &str) -> String {
        if let Some((_, digest)) = image.split_once('@') {
            return digest.to_owned();
        }
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).digests.get(image).cloned();
        known.unwrap_or_else(|| {
            let mut text = String::from("sha256:");
            for byte in Sha256::digest(image.as_bytes()) {
                let _ = write!(text, "{byte:02x}");
            }
            text
        })
    }

    /// What a node reports as `imageID`: `repo@sha256:…` unless [`set_image_id`](Self::set_image_id) says otherwise.
    pub fn image_id(&self, image: &str) -> String {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).image_ids.get(image).cloned();
        known.unwrap_or_else(|| format!("{}@{}", repository(image), self.digest(image)))
    }
}

/// An image name without tag and digest. A colon before the last slash is a port.
pub fn repository(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(name, _)| name);
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moved_tag_changes_the_digest_and_a_pinned_image_does_not() {
        let registry = Registry::default();
        let before = registry.image_id("reg:5000/team/app:1");
        assert!(before.starts_with("reg:5000/team/app@sha256:"), "{before}");
        registry.set("reg:5000/team/app:1", "sha256:feed");
        assert_eq!(registry.image_id("reg:5000/team/app:1"), "reg:5000/team/app@sha256:feed");
        assert_eq!(registry.image_id(&before), before);
        assert_eq!(repository("app"), "app");
    }
}
