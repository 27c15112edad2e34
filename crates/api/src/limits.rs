//! How much fits into an object: what the schema allows, so that a writer can cut before the API server refuses.

/// Characters of a condition's, gate's or history entry's message; the schema allows twice as many.
pub const MESSAGE: usize = 1024;
/// Characters of what telemetry has to say of one gate.
pub const CAVEAT: usize = 400;
/// Bytes of `status.canary.evidence`.
pub const EVIDENCE: usize = 8192;
/// Entries of `status.history`.
pub const HISTORY: usize = 10;
/// Entries of `status.rejected`.
pub const REJECTED: usize = 10;
/// Steps of a strategy.
pub const STEPS: usize = 10;
/// Gates of a rollout.
pub const GATES: usize = 16;

/// `text` cut to [`MESSAGE`] characters; a cut one ends in `…`.
pub fn message(text: &str) -> String {
    match text.char_indices().nth(MESSAGE) {
        None => text.to_owned(),
        Some(_) => text.chars().take(MESSAGE - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let long = "é".repeat(MESSAGE + 1);
        let cut = message(&long);
        assert_eq!(cut.chars().count(), MESSAGE);
        assert!(cut.ends_with('…'));
        assert_eq!(message("short"), "short");
    }
}
