//! The route: somebody drops its weights.

use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;

use super::{MINUTE, at_five_percent, promoted, rests, stable};
use crate::stage::{NAME, NS};

/// As a tool does that knows no weights: each backend has the default then, which is one half here.
fn drop_weights(route: &mut Value) {
    for backend in route["spec"]["rules"][0]["backendRefs"].as_array_mut().into_iter().flatten() {
        backend.as_object_mut().map(|backend| backend.remove("weight"));
    }
}

#[tokio::test(start_paused = true)]
async fn weights_that_somebody_dropped_are_back_within_a_second() {
    let stage = at_five_percent().await;
    for _ in 0..3 {
        assert!(stage.server.edit("kubectl-edit", "httproutes", NS, NAME, drop_weights));
        stage.within(Duration::from_secs(1), "they are back", |stage| stage.weights() == [95, 5]).await;
        sleep(Duration::from_millis(1500)).await;
    }
    promoted(&stage).await;
}

/// A policy that drops them from every write: no weight can be told from half of the users. The one route that it cannot
/// bend is the one without a canary.
#[tokio::test(start_paused = true)]
async fn a_cluster_that_keeps_no_weights_gives_a_canary_nobody_for_longer_than_seconds() {
    let stage = stable().await;
    stage.server.admit("httproutes", |route, _| {
        drop_weights(route);
        Ok(())
    });
    stage.upgrade(2);
    stage.until("its attempt begins", |stage| stage.weights().len() == 2).await;
    stage.within(Duration::from_secs(5), "stable alone", |stage| stage.weights().len() == 1).await;
    stage.within(MINUTE, "it is said", |stage| stage.reads("Stalled", "True", "Inconclusive")).await;
    let said = stage.rollout()["status"]["conditions"].to_string();
    assert!(said.contains("does not keep spec.rules.0.backendRefs.0.weight"), "{said}");
    rests(&stage).await;
    assert!(stage.stable_is(1) && stage.weights().len() == 1, "{stage:?}");
    assert_eq!(stage.register("attempt"), "2", "it is not tried again by itself");
}
