//! Room for large answers. Each of the questions that are under way at once may be answered with 8 MiB, which take twice as
//! much when they are decoded; all of them together would be more memory than the operator has. So a few large ones are
//! held at a time, and the next one waits.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// An answer up to this size needs no room, in bytes.
pub(crate) const SMALL: usize = 512 << 10;
/// Larger ones that are held at once.
pub(crate) const LARGE: usize = 4;
/// How long one waits for its room. Less than for Prometheus itself: it is not Prometheus that is slow.
const WAIT: Duration = Duration::from_secs(4);

/// Where large answers are held.
#[derive(Clone, Debug)]
pub(crate) struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(LARGE)))
    }
}

impl Room {
    /// A place for one large answer; `None` where none became free in time.
    pub(crate) async fn place(&self) -> Option<Place> {
        let place = timeout(WAIT, Arc::clone(&self.0).acquire_owned()).await.ok()?.ok()?;
        Some(Place(Some(Arc::new(place))))
    }
}

/// What a large answer holds until it is dropped; nothing for a small one.
#[derive(Clone, Debug, Default)]
pub struct Place(
    #[expect(dead_code, reason = "it is held, and given back when the last copy goes")]
    Option<Arc<OwnedSemaphorePermit>>,
);

impl PartialEq for Place {
    /// Where an answer is held is no part of what it says.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{LARGE, Room};

    #[tokio::test(start_paused = true)]
    async fn a_place_is_free_again_when_its_answer_is_dropped() {
        let room = Room::default();
        let mut held = Vec::new();
        for _ in 0..LARGE {
            held.push(room.place().await);
        }
        assert!(held.iter().all(Option::is_some));
        assert!(room.place().await.is_none());
        // A copy holds it, too.
        let copy = held[0].clone();
        held[0] = None;
        assert!(room.place().await.is_none());
        drop(copy);
        assert!(room.place().await.is_some());
    }
}
