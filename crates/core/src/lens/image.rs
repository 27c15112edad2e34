//! Names of images: repository, tag, digest.

/// The digest of `repository@sha256:…`.
pub(super) fn digest(image: &str) -> Option<&str> {
    reported(image).map(|(_, digest)| digest)
}

/// Repository and digest of an `imageID`, whatever scheme the runtime writes before it. None for a bare digest, which is
/// that of the image's configuration.
pub(super) fn reported(id: &str) -> Option<(&str, &str)> {
    let (repository, digest) = id.rsplit_once('@')?;
    let repository = repository.rsplit_once("://").map_or(repository, |(_, repository)| repository);
    (!repository.is_empty() && digest.starts_with("sha256:")).then_some((repository, digest))
}

/// Are these of one repository, however short they write it? Tags and digests do not matter.
pub(super) fn is_same_repository(one: &str, other: &str) -> bool {
    full(one) == full(other)
}

/// The repository with its registry, as `app`, `library/app` and `index.docker.io/library/app:1` all mean it.
fn full(image: &str) -> String {
    let name = image.split('@').next().unwrap_or(image);
    // A colon after the last slash is a tag; one before it is a port.
    let repository = match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        Some(_) | None => name,
    };
    let is_registry = |part: &str| part.contains(['.', ':']) || part == "localhost";
    let (registry, path) = match repository.split_once('/') {
        Some((registry, path)) if is_registry(registry) => (registry, path),
        Some(_) | None => ("docker.io", repository),
    };
    let registry = if matches!(registry, "index.docker.io" | "registry-1.docker.io") { "docker.io" } else { registry };
    let library = registry == "docker.io" && !path.contains('/');
    if library { format!("{registry}/library/{path}") } else { format!("{registry}/{path}") }
}

#[cfg(test)]
mod tests {
    use super::{digest, is_same_repository};

    #[test]
    fn short_and_long_names_of_a_repository_are_one_and_another_repository_is_another() {
        for (one, other) in [
            ("app:1", "docker.io/library/app"),
            ("library/app", "index.docker.io/library/app@sha256:aa"),
            ("team/app:v1.2", "docker.io/team/app"),
            ("10.90.0.10:5000/app", "10.90.0.10:5000/app:1"),
            ("localhost/app:1", "localhost/app"),
        ] {
            assert!(is_same_repository(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("registry.example:5000/invoice-helper:1", "registry.example:5000/team-b/invoice:1"),
            ("docker.io/library/localkind:1", "docker.io/library/import-2026-11-29"),
            ("ghcr.io/team/app", "team/app"),
        ] {
            assert!(!is_same_repository(one, other), "{one} {other}");
        }
    }

    #[test]
    fn a_bare_digest_is_of_no_repository() {
        assert_eq!(digest("app@sha256:aa"), Some("sha256:aa"));
        assert_eq!(digest("docker-pullable://app@sha256:aa"), Some("sha256:aa"));
        assert_eq!(digest("sha256:aa"), None);
        assert_eq!(digest("app:1"), None);
    }
}
