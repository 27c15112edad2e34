//! Token counts by the vocabulary of the GPT-4o and GPT-5 families.
use tiktoken_rs::o200k_base_singleton;

use crate::model::Message;

/// Loads the vocabulary (about 0.1 s), so that no request has to.
pub(crate) fn load() {
    let _ = o200k_base_singleton();
}

/// Tokens of a text.
pub fn count(text: &str) -> u64 {
    o200k_base_singleton().count_ordinary(text) as u64
}

/// Tokens that a conversation is billed as: 3 around each message and 3 before the answer
/// (OpenAI cookbook, "How to count tokens with tiktoken").
pub fn conversation(messages: &[Message]) -> u64 {
    messages.iter().map(|message| 3 + count(message.role) + count(&message.content)).sum::<u64>() + 3
}
