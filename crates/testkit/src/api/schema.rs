//! What a CRD's schema does to every object: unknown fields are pruned without a word, defaults are filled in.

use serde_json::Value;

/// Prunes and defaults a custom resource by the `openAPIV3Schema` of its version.
pub(super) fn apply(schema: &Value, object: &mut Value) {
    let Some(fields) = object.as_object_mut() else { return };
    let properties = &schema["properties"];
    fields.retain(|name, _| matches!(name.as_str(), "apiVersion" | "kind" | "metadata") || !properties[name].is_null());
    for (name, property) in properties.as_object().into_iter().flatten() {
        if !matches!(name.as_str(), "apiVersion" | "kind" | "metadata") {
            default(property, name, fields);
            if let Some(value) = fields.get_mut(name) {
                walk(property, value);
            }
        }
    }
}

fn default(property: &Value, name: &str, fields: &mut serde_json::Map<String, Value>) {
    // A null is as good as nothing unless the schema says that it means something.
    let missing = fields.get(name).is_none_or(|v| v.is_null() && property["nullable"] != true);
    if let Some(value) = property.get("default").filter(|_| missing) {
        fields.insert(name.to_owned(), value.clone());
    }
}

fn walk(schema: &Value, value: &mut Value) {
    let keeps_unknown = schema["x-kubernetes-preserve-unknown-fields"] == true;
    match value {
        Value::Object(fields) => {
            if let Some(properties) = schema["properties"].as_object() {
                if !keeps_unknown {
                    fields.retain(|name, _| properties.contains_key(name));
                }
                for (name, property) in properties {
                    default(property, name, fields);
                    if let Some(value) = fields.get_mut(name) {
                        walk(property, value);
                    }
                }
            } else if schema["additionalProperties"].is_object() {
                fields.values_mut().for_each(|value| walk(&schema["additionalProperties"], value));
            } else if !keeps_unknown {
                fields.clear();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| walk(&schema["items"], item)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unknown_fields_go_and_defaults_come() {
        let schema = json!({"properties": {
            "spec": {"properties": {
                "replicas": {"default": 1},
                "list": {"items": {"properties": {"mode": {"default": "Hold"}}}},
                "labels": {"additionalProperties": {"type": "string"}},
                "free": {"x-kubernetes-preserve-unknown-fields": true},
            }},
            "status": {"default": {"seen": -1}, "properties": {"seen": {}, "count": {"default": 0}}},
        }});
        let mut object = json!({"kind": "X", "metadata": {"name": "x"}, "typo": 1,
            "spec": {"list": [{"typo": 1}], "labels": {"a": "b"}, "free": {"any": 1}}});
        apply(&schema, &mut object);
        let expected = json!({"kind": "X", "metadata": {"name": "x"},
            "spec": {"replicas": 1, "list": [{"mode": "Hold"}], "labels": {"a": "b"}, "free": {"any": 1}},
            "status": {"seen": -1, "count": 0}});
        assert_eq!(object, expected);
    }
}
