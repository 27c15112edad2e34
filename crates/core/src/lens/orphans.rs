//! What an earlier object of the same name left behind: with our labels, without any owner.

use microapp_api::labels;
use serde_json::Value;

use super::{
    Objects,
    json::{annotation, is_deleting, label, list, name, version},
};
use crate::{build::Kind, world::Orphan};

/// Was it left by a rollout of this name?
pub(super) fn is_orphan(object: &Value, rollout: &str) -> bool {
    label(object, labels::ROLLOUT) == Some(rollout)
        && label(object, labels::MANAGED_BY) == Some(labels::MANAGER)
        && list(object, "/metadata/ownerReferences").is_empty()
        && !is_deleting(object)
}

/// The orphans in a fixed order, the register last: it is believed once everything that it speaks of is ours. None
/// without the annotation.
pub(super) fn read(objects: &Objects) -> Vec<Orphan> {
    let rollout = &objects.rollout;
    if annotation(rollout, labels::ADOPT) != Some("true") {
        return Vec::new();
    }
    let kinds = [
        (Kind::ConfigMap, &objects.config_maps),
        (Kind::Record, &objects.records),
        (Kind::Service, &objects.services),
        (Kind::Deployment, &objects.deployments),
    ];
    let children = kinds.into_iter().flat_map(|(kind, all)| all.iter().map(move |object| (kind, object)));
    let named = [(Kind::Service, &objects.apex), (Kind::Route, &objects.route)];
    let named = named.into_iter().filter_map(|(kind, object)| Some((kind, object.as_ref()?)));
    let mut found: Vec<Orphan> = Vec::new();
    for (kind, object) in children.chain(named).filter(|(_, object)| is_orphan(object, name(rollout))) {
        let orphan = Orphan { kind, name: name(object).to_owned(), version: version(object) };
        // The Service of the rollout's name has the label, too.
        if !found.contains(&orphan) {
            found.push(orphan);
        }
    }
    found
}
