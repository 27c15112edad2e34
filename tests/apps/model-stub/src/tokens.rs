//! Counting as OpenAI's servers do, with the vocabulary of the GPT-4o and GPT-5 families.
use tiktoken_rs::o200k_base_singleton;

/// Loads the vocabulary (about 0.1 s), so that no request has to.
pub(crate) fn load() {
    let _ = o200k_base_singleton();
}

/// Tokens of a text.
pub(crate) fn count(text: &str) -> u64 {
    o200k_base_singleton().count_ordinary(text) as u64
}

/// Tokens of a conversation: 3 around each message and 3 before the answer
/// (OpenAI cookbook, "How to count tokens with tiktoken").
pub(crate) fn conversation<'a>(messages: impl IntoIterator<Item = (&'a str, &'a str)>) -> u64 {
    messages.into_iter().map(|(role, content)| 3 + count(role) + count(content)).sum::<u64>() + 3
}

/// The first `limit` tokens of a text, and whether anything was cut off.
pub(crate) fn truncate(text: String, limit: u64) -> (String, bool) {
    let tokens = o200k_base_singleton().encode_ordinary(&text);
    if tokens.len() as u64 <= limit {
        return (text, false);
    }
    let bytes = o200k_base_singleton().decode_bytes(&tokens[..limit as usize]).unwrap_or_default();
    (String::from_utf8_lossy(&bytes).into_owned(), true)
}
