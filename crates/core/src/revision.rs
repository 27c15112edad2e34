//! What a revision is called: a digest of what was asked for, never of typed structs.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Ten characters that name one pod template, model binding, port and prompts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(String);

/// The alphabet of Kubernetes' SafeEncode: no vowels, so that no words appear.
const SAFE: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// Characters of a revision.
pub const LENGTH: usize = 10;

impl Revision {
    /// Reads a name that we once gave; anything else is none of ours.
    pub fn parse(text: &str) -> Option<Self> {
        let ours = text.len() == LENGTH && text.bytes().all(|byte| SAFE.contains(&byte));
        ours.then(|| Self(text.to_owned()))
    }

    /// SafeEncode(SHA-256(`v1` + canonical JSON of template, model, port and the prompts' digest)). `template` and `model`
    /// are as the API server stored them, so that an upgrade of a library starts no rollout; of the template what says a
    /// default does not count, so that another spelling of the same starts none either.
    pub fn of(template: &Value, model: &Value, port: i64, prompts: &str) -> Self {
        Self::as_written(&crate::canonical::template(template), model, port, prompts)
    }

    /// The name that a revision has by its spelling, as earlier versions gave it.
    pub(crate) fn as_written(template: &Value, model: &Value, port: i64, prompts: &str) -> Self {
        let mut text = String::from("v1{\"model\":");
        canonical(model, &mut text);
        text.push_str(",\"port\":");
        text.push_str(&port.to_string());
        text.push_str(",\"prompts\":");
        canonical(&Value::String(prompts.to_owned()), &mut text);
        text.push_str(",\"template\":");
        canonical(template, &mut text);
        text.push('}');
        let hash = Sha256::digest(text.as_bytes());
        // One character a byte; the bias of 256 mod 27 does not matter for a name.
        Self(hash.iter().take(LENGTH).map(|byte| char::from(SAFE[usize::from(*byte) % SAFE.len()])).collect())
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// SHA-256 of a ConfigMap's `data` and `binaryData`, as hex; the same for the same content in any order of keys.
pub fn prompts_digest(data: &Value, binary: &Value) -> String {
    let mut text = String::new();
    canonical(data, &mut text);
    canonical(binary, &mut text);
    hex(&Sha256::digest(text.as_bytes()))
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// JSON with sorted keys and without spaces, whatever order the map has.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.keys().collect();
            keys.sort_unstable();
            out.push('{');
            for (index, key) in keys.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                canonical(&Value::String(key.clone()), out);
                out.push(':');
                canonical(&map[key.as_str()], out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                canonical(item, out);
            }
            out.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => out.push_str(&value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn the_order_of_keys_does_not_matter_and_every_part_does() {
        let template = json!({"spec": {"containers": [{"name": "app", "image": "app:1"}]}});
        let same: Value = serde_json::from_str(r#"{"spec":{"containers":[{"image":"app:1","name":"app"}]}}"#).unwrap();
        let model = json!({"name": "m", "version": "1"});
        let base = Revision::of(&template, &model, 8080, "p");
        assert_eq!(base, Revision::of(&same, &model, 8080, "p"));
        assert_eq!(Some(base.clone()), Revision::parse(base.as_str()));
        for other in [
            Revision::of(&json!({}), &model, 8080, "p"),
            Revision::of(&template, &json!({"name": "m", "version": "2"}), 8080, "p"),
            Revision::of(&template, &model, 8081, "p"),
            Revision::of(&template, &model, 8080, "q"),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn the_names_of_a_known_object_never_change() {
        // A change here would start every rollout of every user at the next upgrade.
        let revision = Revision::of(&json!({"spec": {"containers": []}}), &json!({"name": "gpt-5-nano"}), 8080, "");
        assert_eq!(revision.as_str(), "7plkj85jz2");
    }

    #[test]
    fn a_stranger_is_not_a_revision() {
        for text in ["", "abc", "kyc-helper", "aeiouaeiou", "5d9f7c8b6k1"] {
            assert_eq!(Revision::parse(text), None, "{text}");
        }
    }
}
