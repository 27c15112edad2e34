//! What the API server says of the rollout and its route, as it happens.

use std::io::BufReader;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::cluster::{Cluster, NAMESPACE, ROLLOUT};
use crate::error::{Doing, Result};

/// `kubectl get --watch` of two kinds, each in a process of its own.
#[derive(Debug)]
pub(crate) struct Watch {
    changes: Receiver<Value>,
    over: Arc<AtomicBool>,
    children: Arc<Mutex<Vec<Child>>>,
}

impl Watch {
    /// Starts to watch.
    pub(crate) fn start(cluster: &Arc<Cluster>) -> Result<Self> {
        let (sender, changes) = channel();
        let (over, children) = (Arc::default(), Arc::default());
        for kind in ["microapprollouts.microapp.dev", "httproutes.gateway.networking.k8s.io"] {
            let (cluster, sender) = (Arc::clone(cluster), sender.clone());
            let (over, children) = (Arc::clone(&over), Arc::clone(&children));
            std::thread::Builder::new()
                .name("watch".into())
                .spawn(move || follow(&cluster, kind, &sender, &over, &children))
                .doing(|| "start a thread".into())?;
        }
        Ok(Self { changes, over, children })
    }

    /// The next state of one of the two objects, if there is one in time.
    pub(crate) fn next(&self, limit: Duration) -> Option<Value> {
        self.changes.recv_timeout(limit).ok()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        for child in self.children.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The API server ends a watch after a while, and a lab's may be restarted: then it begins anew.
fn follow(cluster: &Cluster, kind: &str, sender: &Sender<Value>, over: &AtomicBool, children: &Mutex<Vec<Child>>) {
    while !over.load(Ordering::SeqCst) {
        let mut kubectl = cluster.command("kubectl");
        kubectl.args(["get", kind, "--namespace", NAMESPACE, "--watch", "--output-watch-events", "--output", "json"]);
        let started = kubectl.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        if let Ok(mut child) = started {
            let output = child.stdout.take();
            let mut children = children.lock().unwrap_or_else(PoisonError::into_inner);
            if over.load(Ordering::SeqCst) {
                let _ = child.kill();
            }
            children.push(child);
            drop(children);
            let events = output
                .into_iter()
                .flat_map(|output| serde_json::Deserializer::from_reader(BufReader::new(output)).into_iter::<Value>());
            for mut event in events.map_while(std::result::Result::ok) {
                let object = event["object"].take();
                if object["metadata"]["name"] == ROLLOUT && sender.send(object).is_err() {
                    return;
                }
            }
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}
