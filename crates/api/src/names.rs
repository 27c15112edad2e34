//! Names of the children, and their labels.

use std::collections::BTreeMap;

use crate::labels;

/// Longest name of a rollout: `<name>-<revision>-prompts` must fit into 63 characters.
pub const MAX_NAME: usize = 40;
/// Length of a revision's hash.
pub const REVISION_LEN: usize = 10;

/// Name of the Deployment, the Service and the ControllerRevision of a revision: `<name>-<revision>`.
pub fn of_revision(rollout: &str, revision: &str) -> String {
    format!("{rollout}-{revision}")
}

/// Name of the ConfigMap with the prompts of a revision: `<name>-<revision>-prompts`.
pub fn prompts(rollout: &str, revision: &str) -> String {
    format!("{rollout}-{revision}-prompts")
}

/// Name of the ConfigMap with the trace of a revision's attempts: `<name>-<revision>-trace`.
pub fn trace(rollout: &str, revision: &str) -> String {
    format!("{rollout}-{revision}-trace")
}

/// Name of the Service that always selects the stable revision: the rollout's own.
pub fn apex(rollout: &str) -> String {
    rollout.to_owned()
}

/// Name of the HTTPRoute: the rollout's own.
pub fn route(rollout: &str) -> String {
    rollout.to_owned()
}

/// The revision in the name of a child of `rollout`, if it is one.
pub fn revision_in<'a>(rollout: &str, child: &'a str) -> Option<&'a str> {
    let rest = child.strip_prefix(rollout)?.strip_prefix('-')?;
    let revision = rest.strip_suffix("-prompts").unwrap_or(rest);
    (revision.len() == REVISION_LEN && !revision.contains('-')).then_some(revision)
}

/// Labels of a child: of one revision, or of the whole rollout where `revision` is `None`.
pub fn labels_of(rollout: &str, revision: Option<&str>) -> BTreeMap<String, String> {
    let mut all = vec![(labels::APP_NAME, rollout), (labels::MANAGED_BY, labels::MANAGER), (labels::ROLLOUT, rollout)];
    all.extend(revision.map(|hash| (labels::REVISION, hash)));
    all.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Labels that select the pods of a revision: the two that never change.
pub fn selector_of(rollout: &str, revision: &str) -> BTreeMap<String, String> {
    [(labels::ROLLOUT, rollout), (labels::REVISION, revision)]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// [`selector_of`] as `status.selector` writes it.
pub fn selector_string(rollout: &str, revision: &str) -> String {
    format!("{}={revision},{}={rollout}", labels::REVISION, labels::ROLLOUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_child_name_fits_into_63_characters() {
        let name = "n".repeat(MAX_NAME);
        assert!(prompts(&name, &"r".repeat(REVISION_LEN)).len() <= 63);
    }

    #[test]
    fn a_revision_is_read_back_from_a_childs_name() {
        assert_eq!(revision_in("kyc", &of_revision("kyc", "5d8f9c7b6x")), Some("5d8f9c7b6x"));
        assert_eq!(revision_in("kyc", &prompts("kyc", "5d8f9c7b6x")), Some("5d8f9c7b6x"));
        assert_eq!(revision_in("kyc", "kyc-helper-5d8f9c7b6x"), None);
        assert_eq!(revision_in("kyc", "kyc"), None);
    }
}
