use std::process::ExitCode;

use microapp_lab::{Lab, Liveness, Result};

/// Prints every part; the exit code is 1 when one of them does not answer.
pub(super) fn status(lab: &Lab, json: bool) -> Result<ExitCode> {
    let parts = lab.status()?;
    if json {
        println!("{}", serde_json::json!(parts));
    } else {
        println!("{:<12} {:<8} {:<6} {:>8} {:>8}", "PART", "STATE", "READY", "PID", "MEMORY");
        for part in &parts {
            let state = match part.state {
                Liveness::Running => "running",
                Liveness::Frozen => "frozen",
                Liveness::Dead => "dead",
            };
            let ready = if part.ready { "yes" } else { "no" };
            println!("{:<12} {state:<8} {ready:<6} {:>8} {:>4} MiB", part.part, part.pid, part.memory >> 20);
        }
    }
    Ok(if parts.iter().all(|p| p.ready) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(super) fn environment(lab: &Lab) {
    for (name, value) in lab.environment() {
        println!("export {name}='{}'", value.replace('\'', r"'\''"));
    }
}

pub(super) fn hints(lab: &Lab) {
    println!("The lab is up (state in {}). Look around with", lab.paths().root().display());
    println!("  lab kubectl get pods -A        lab status        lab logs apiserver");
    println!("  lab exec -- curl http://10.90.0.10:9090/metrics");
    println!("and stop it with `lab down`.");
}
