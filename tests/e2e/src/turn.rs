//! Who may run at the same time. A lab has one Prometheus, one registry and one operator: a test that takes one of them
//! away does that alone. All tests prepare side by side, and take their turn when they begin to act.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

static LAB: RwLock<()> = RwLock::new(());

/// Until the guard is dropped no part of the lab is taken away.
pub fn beside_others() -> RwLockReadGuard<'static, ()> {
    LAB.read().unwrap_or_else(PoisonError::into_inner)
}

/// Until the guard is dropped no other test acts.
pub fn alone() -> RwLockWriteGuard<'static, ()> {
    LAB.write().unwrap_or_else(PoisonError::into_inner)
}
