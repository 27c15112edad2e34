//! Label and field selectors, as `labelSelector` and `fieldSelector` write them.

use serde_json::Value;

/// Whether an object matches both selectors; an empty selector matches everything.
pub fn matches(object: &Value, labels: &str, fields: &str) -> bool {
    split(labels).iter().all(|term| label_term(object, term))
        && split(fields).iter().all(|term| field_term(object, term))
}

/// Splits at commas that stand outside parentheses.
fn split(selector: &str) -> Vec<&str> {
    let mut depth = 0;
    let terms = selector.split(move |c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    });
    terms.map(str::trim).filter(|t| !t.is_empty()).collect()
}

fn label_term(object: &Value, term: &str) -> bool {
    let label = |key: &str| object["metadata"]["labels"][key.trim()].as_str();
    let set = |list: &str, value: &str| list.trim_matches(['(', ')', ' ']).split(',').any(|v| v.trim() == value);
    if let Some((key, list)) = term.split_once(" notin ") {
        return label(key).is_none_or(|v| !set(list, v));
    }
    if let Some((key, list)) = term.split_once(" in ") {
        return label(key).is_some_and(|v| set(list, v));
    }
    if let Some((key, value)) = term.split_once("!=") {
        return label(key) != Some(value.trim());
    }
    if let Some((key, value)) = term.split_once('=') {
        return label(key) == Some(value.trim_start_matches('=').trim());
    }
    match term.strip_prefix('!') {
        Some(key) => label(key).is_none(),
        None => label(term).is_some(),
    }
}

fn field_term(object: &Value, term: &str) -> bool {
    let field = |path: &str| {
        let found = path.trim().split('.').try_fold(object, |at, key| at.get(key));
        found.and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    if let Some((path, value)) = term.split_once("!=") {
        return field(path) != value.trim();
    }
    let (path, value) = term.split_once('=').unwrap_or((term, ""));
    field(path) == value.trim_start_matches('=').trim()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors_read_as_kubectl_writes_them() {
        let pod = json!({"metadata": {"name": "p", "labels": {"app": "a", "tier": "web"}}, "spec": {"nodeName": "n1"}});
        for yes in ["", "app", "app=a", "app==a", "app=a,tier!=db", "app in (a, b),!gone", "tier notin (db)", "x!=1"] {
            assert!(matches(&pod, yes, ""), "{yes}");
        }
        for no in ["gone", "app=b", "!app", "app in (b,c)", "app notin (a)", "app=a,tier=db"] {
            assert!(!matches(&pod, no, ""), "{no}");
        }
        assert!(matches(&pod, "", "metadata.name=p,spec.nodeName=n1"));
        assert!(!matches(&pod, "", "metadata.name!=p"));
    }
}
