//! What all rows of our rule have in common: the rollout, and how runs are spread over threads.

use std::thread;

use microapp_core::replay::{Malformed, Replay};
use serde_json::{Value, json};

/// A rollout of two replicas with this strategy and these gates, to be replayed.
///
/// # Errors
/// A strategy or gates that the operator would refuse.
pub fn rollout(strategy: &Value, gates: &Value) -> Result<Replay, Malformed> {
    Replay::new(&json!({
        "metadata": {"name": "bench", "namespace": "bench"},
        "spec": {
            "replicas": 2,
            "template": {"spec": {"containers": [{"name": "app", "image": "app:2"}]}},
            "model": {"provider": "openai", "name": "gpt-5-nano", "version": "2025-08-07"},
            "traffic": {"port": 8080, "gateway": {"parentRefs": [{"name": "public"}]}},
            "strategy": strategy,
            "gates": gates
        }
    }))
}

/// `runs` runs on so many threads, in order of their index; the result does not depend on the number of threads.
///
/// # Errors
/// The first of a run's own, or that one panicked.
pub fn spread<T: Send>(
    runs: u64,
    threads: u64,
    run: impl Fn(u64) -> Result<T, Malformed> + Sync,
) -> Result<Vec<T>, Malformed> {
    let one = |first: u64| {
        let every = (first..runs).step_by(threads as usize);
        every.map(|index| Ok((index, run(index)?))).collect::<Result<Vec<_>, Malformed>>()
    };
    let mut all = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|first| scope.spawn(move || one(first))).collect();
        let mut all = Vec::new();
        for worker in workers {
            all.extend(worker.join().map_err(|_| Malformed("a run panicked".to_owned()))??);
        }
        Ok::<_, Malformed>(all)
    })?;
    all.sort_by_key(|(index, _)| *index);
    Ok(all.into_iter().map(|(_, run)| run).collect())
}
