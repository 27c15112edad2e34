//! How much fits into an object: what the schema allows, so that a writer can cut before the API server refuses.

/// Bytes of a condition's, gate's or history entry's message; the schema allows twice as many characters.
pub const MESSAGE: usize = 1024;
/// Bytes of an image, of its digest, and of a model's display name.
pub const IMAGE: usize = 1024;
/// See [`IMAGE`].
pub const DIGEST: usize = 128;
/// See [`IMAGE`].
pub const MODEL: usize = 512;
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

/// Bytes of what the API server or an admission policy says of a write that it refuses.
pub const REFUSAL: usize = 400;
/// Bytes of the reason that a person gives with a command, and of the sentence in the route's latch.
pub const SENTENCE: usize = 400;
/// Bytes of the token of a command; of a longer one the beginning and a digest count.
pub const TOKEN: usize = 128;

/// `text` as a message of status: cleaned, and cut to [`MESSAGE`] bytes.
pub fn message(text: &str) -> String {
    crate::text::clean(text, MESSAGE)
}
