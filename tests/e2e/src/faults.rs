//! Parts of the lab that are away for a while, and the operator's own pods.

use std::time::Duration;

use microapp_lab::{Lab, Part};
use serde_json::Value;

use crate::{Cluster, HOW, until};

/// A part that is away until this is ended or dropped.
#[derive(Debug)]
pub struct Fault {
    lab: Lab,
    part: Part,
    frozen: bool,
    over: bool,
}

impl Fault {
    /// Freezes a part: connections stay open and nothing is answered.
    pub fn freeze(part: Part) -> Self {
        let lab = Lab::attach().expect(HOW);
        lab.stop(part).unwrap();
        Self { lab, part, frozen: true, over: false }
    }

    /// Kills a part.
    pub fn kill(part: Part) -> Self {
        let lab = Lab::attach().expect(HOW);
        lab.kill(part).unwrap();
        Self { lab, part, frozen: false, over: false }
    }

    /// The part is back, and ready.
    pub fn end(mut self) {
        self.back().unwrap();
    }

    fn back(&mut self) -> microapp_lab::Result<()> {
        self.over = true;
        if self.frozen { self.lab.cont(self.part) } else { self.lab.restart(self.part) }
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        // A test that failed must not fail the ones after it.
        if !self.over && self.back().is_err() {
            eprintln!("{} did not come back", self.part);
        }
    }
}

/// The namespace in which `deploy/e2e.sh` installed the operator, and the name of its Deployment and service account.
pub fn operator() -> (String, String) {
    let place = std::env::var("E2E_OPERATOR").expect(HOW);
    let (namespace, name) = place.split_once('/').expect("E2E_OPERATOR is NAMESPACE/NAME");
    (namespace.to_owned(), name.to_owned())
}

fn pods() -> String {
    format!("/api/v1/namespaces/{}/pods", operator().0)
}

/// The names of the operator's pods that are ready.
pub fn operator_pods(cluster: &Cluster) -> Vec<String> {
    let is_ready = |pod: &Value| {
        let conditions = pod["status"]["conditions"].as_array();
        pod["metadata"]["deletionTimestamp"].is_null()
            && conditions.into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] == "True")
    };
    let pods = cluster.list(&format!("{}?labelSelector=app.kubernetes.io/component=operator", pods()));
    pods.iter()
        .filter(|pod| is_ready(pod))
        .filter_map(|pod| pod["metadata"]["name"].as_str().map(str::to_owned))
        .collect()
}

impl Cluster {
    /// Kills the operator's pods without a moment to clean up; returns when another one is ready.
    pub fn kill_operator(&self) {
        let old = operator_pods(self);
        assert!(!old.is_empty(), "no operator is ready");
        for pod in &old {
            self.delete(&format!("{}/{pod}?gracePeriodSeconds=0", pods()));
        }
        until(Duration::from_secs(60), "another operator", || {
            operator_pods(self).iter().any(|pod| !old.contains(pod)).then_some(())
        });
    }
}
