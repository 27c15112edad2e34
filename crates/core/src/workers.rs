//! Pods that start several processes of the application, as their template says: behind one `/metrics` a scrape meets one
//! of them.

use serde_json::Value;

/// Variables that give the number: uvicorn and gunicorn read the first, uvicorn the second (docs: settings from the
/// environment).
const COUNTS: [&str; 2] = ["WEB_CONCURRENCY", "UVICORN_WORKERS"];
/// One that gives gunicorn's arguments.
const ARGUMENTS: &str = "GUNICORN_CMD_ARGS";
/// Where these are set, prometheus_client's processes count together.
const TOGETHER: [&str; 2] = ["PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"];
/// Options of uvicorn, gunicorn, fastapi, hypercorn and granian; of the LiteLLM proxy.
const LONG: [&str; 2] = ["--workers", "--num_workers"];
/// Programs of which `-w` is the number of processes; of pm2 it is `-i`.
const SHORT: [(&str, &str); 5] =
    [("gunicorn", "-w"), ("hypercorn", "-w"), ("puma", "-w"), ("pm2", "-i"), ("pm2-runtime", "-i")];

/// What the template says of several processes, as it is written there: `--workers 4`, `WEB_CONCURRENCY=4`. `None`: one,
/// or several that count together.
pub fn workers(template: &Value) -> Option<String> {
    template["spec"]["containers"].as_array()?.iter().find_map(of)
}

fn of(container: &Value) -> Option<String> {
    let env = || {
        let pairs = container["env"].as_array().into_iter().flatten();
        pairs.filter_map(|pair| Some((pair["name"].as_str()?, pair["value"].as_str().unwrap_or_default())))
    };
    if env().any(|(name, _)| TOGETHER.contains(&name)) {
        return None;
    }
    let written = ["command", "args"].into_iter().flat_map(|part| container[part].as_array().into_iter().flatten());
    // `sh -c "uvicorn app:app --workers 4"` is one word.
    let words: Vec<&str> = written.filter_map(Value::as_str).flat_map(str::split_whitespace).collect();
    let counted = env().find(|(name, value)| COUNTS.contains(name) && is_several(value));
    let arguments = || env().find(|(name, _)| *name == ARGUMENTS).map(|(_, value)| value);
    option(&words, &programs(&words))
        .or_else(|| counted.map(|(name, value)| format!("{name}={value}")))
        .or_else(|| option(&arguments()?.split_whitespace().collect::<Vec<_>>(), &["gunicorn"]))
}

/// The programs among the words, by their file names.
fn programs<'a>(words: &[&'a str]) -> Vec<&'a str> {
    words.iter().map(|word| word.rsplit('/').next().unwrap_or(word)).collect()
}

fn option(words: &[&str], programs: &[&str]) -> Option<String> {
    let short = || SHORT.iter().filter(|(program, _)| programs.contains(program)).map(|(_, option)| *option);
    words.iter().enumerate().find_map(|(at, word)| {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        let is_option = LONG.contains(&name) || short().any(|short| short == name);
        let next = words.get(at + 1).copied().unwrap_or_default();
        match (is_option, value) {
            (false, _) => None,
            (true, "") => is_several(next).then(|| format!("{name} {next}")),
            (true, value) => is_several(value).then(|| (*word).to_owned()),
        }
    })
}

/// More than one; `max`, `auto` and a variable of the shell are as many as there are processors.
fn is_several(value: &str) -> bool {
    match value.trim_matches(['"', '\'']).parse::<i64>() {
        Ok(count) => count != 1,
        Err(_) => ["max", "auto"].contains(&value) || value.contains('$'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(container: &Value) -> Option<String> {
        workers(&json!({"spec": {"containers": [{"name": "sidecar"}, container]}}))
    }

    #[test]
    fn several_processes_are_found_wherever_a_template_asks_for_them() {
        for (container, expected) in [
            (json!({"args": ["uvicorn", "app:app", "--workers", "4"]}), "--workers 4"),
            (json!({"command": ["sh", "-c", "exec gunicorn -w 3 app:app"]}), "-w 3"),
            (json!({"command": ["/venv/bin/gunicorn"], "args": ["--workers=2", "app:app"]}), "--workers=2"),
            (json!({"command": ["pm2-runtime", "-i", "max", "app.js"]}), "-i max"),
            (json!({"args": ["--num_workers", "8"]}), "--num_workers 8"),
            (json!({"env": [{"name": "WEB_CONCURRENCY", "value": "2"}]}), "WEB_CONCURRENCY=2"),
            (json!({"env": [{"name": "GUNICORN_CMD_ARGS", "value": "--bind :80 -w 5"}]}), "-w 5"),
            (json!({"command": ["sh", "-c", "uvicorn app:app --workers $WORKERS"]}), "--workers $WORKERS"),
        ] {
            assert_eq!(said(&container).as_deref(), Some(expected), "{container}");
        }
    }

    #[test]
    fn one_process_and_processes_that_count_together_are_none() {
        for container in [
            json!({"args": ["uvicorn", "app:app", "--workers", "1"]}),
            json!({"args": ["tar", "-w", "3"]}),
            json!({"args": ["--workers"]}),
            json!({"env": [{"name": "WEB_CONCURRENCY", "value": "1"}]}),
            json!({"args": ["gunicorn", "-w", "4"], "env": [{"name": "PROMETHEUS_MULTIPROC_DIR", "value": "/tmp/m"}]}),
        ] {
            assert_eq!(said(&container), None, "{container}");
        }
        assert_eq!(workers(&json!({})), None);
    }
}
