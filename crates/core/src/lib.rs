//! What to do next: fold counts into evidence, decide on at most one write.
