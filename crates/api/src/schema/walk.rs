//! Paths through a schema: `spec.gates[].name` and `spec.model.parameters{}` (the values of a map).

use serde_json::{Map, Value};

/// The node at `path`; the schema itself where it is empty.
pub(super) fn at<'a>(schema: &'a mut Value, path: &str) -> &'a mut Value {
    let mut node = schema;
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let name = part.trim_end_matches(['[', ']', '{', '}']);
        node = child(child(node, "properties", path), name, path);
        for bracket in part[name.len()..].chars() {
            match bracket {
                '[' => node = child(node, "items", path),
                '{' => node = child(node, "additionalProperties", path),
                _ => {}
            }
        }
    }
    node
}

fn child<'a>(node: &'a mut Value, key: &str, path: &str) -> &'a mut Value {
    node.get_mut(key).unwrap_or_else(|| panic!("the schema has no {path}: there is no {key}"))
}

/// Sets one keyword of the node at `path`.
pub(super) fn set(schema: &mut Value, path: &str, keyword: &str, value: Value) {
    let node = at(schema, path).as_object_mut();
    node.unwrap_or_else(|| panic!("{path} is no schema")).insert(keyword.to_owned(), value);
}

/// Calls `visit` with the field name (of the nearest field above, for items and map values) and the keywords of every
/// node, parents first.
pub(super) fn each(schema: &mut Value, visit: &mut impl FnMut(&str, &mut Map<String, Value>)) {
    descend("", schema, visit);
}

fn descend(name: &str, node: &mut Value, visit: &mut impl FnMut(&str, &mut Map<String, Value>)) {
    let Some(keywords) = node.as_object_mut() else { return };
    visit(name, keywords);
    if let Some(Value::Object(properties)) = keywords.get_mut("properties") {
        for (field, property) in properties.iter_mut() {
            descend(field, property, visit);
        }
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(node) = keywords.get_mut(inner) {
            descend(name, node, visit);
        }
    }
}
