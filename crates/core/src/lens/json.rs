//! Reading stored JSON without types: a field of the wrong shape reads as absent, and no unknown one is an error.

use jiff::Timestamp;
use serde_json::Value;

/// The text at a JSON pointer.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str()
}

/// The number at a JSON pointer.
pub(crate) fn number(value: &Value, pointer: &str) -> Option<i64> {
    value.pointer(pointer)?.as_i64()
}

/// The list at a JSON pointer; an absent one is empty.
pub(crate) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A key of `metadata.annotations`: its keys contain slashes, so no pointer finds them.
pub(crate) fn annotation<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.pointer("/metadata/annotations")?.get(key)?.as_str()
}

/// A key of `metadata.labels`.
pub(crate) fn label<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.pointer("/metadata/labels")?.get(key)?.as_str()
}

/// The time at a JSON pointer.
pub(crate) fn time(value: &Value, pointer: &str) -> Option<Timestamp> {
    text(value, pointer)?.parse().ok()
}

/// `metadata.name`, empty where there is none.
pub(crate) fn name(value: &Value) -> &str {
    text(value, "/metadata/name").unwrap_or_default()
}

/// `metadata.resourceVersion`, empty where there is none.
pub(crate) fn version(value: &Value) -> String {
    text(value, "/metadata/resourceVersion").unwrap_or_default().to_owned()
}

/// Is the object on its way out?
pub(crate) fn is_deleting(value: &Value) -> bool {
    text(value, "/metadata/deletionTimestamp").is_some()
}

/// Is one of its owners the object with this uid?
pub(crate) fn is_owned_by(value: &Value, uid: &str) -> bool {
    list(value, "/metadata/ownerReferences").iter().any(|owner| text(owner, "/uid") == Some(uid))
}

/// Words of the cluster that a message repeats: one line of at most 240 characters, without control characters and
/// marks of direction.
pub(crate) fn cut(text: &str) -> String {
    const LONGEST: usize = 240;
    let plain = |c: char| {
        !c.is_control() && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let words: Vec<_> = text.split_whitespace().collect();
    let mut short: String = words.join(" ").chars().filter(|c| plain(*c)).take(LONGEST + 1).collect();
    if short.chars().count() > LONGEST {
        short.pop();
        short.push('…');
    }
    short
}
