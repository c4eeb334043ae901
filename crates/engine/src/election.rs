//! Which of several processes does what one has to do: relay and reaper.
//!
//! Two at once do no harm (a claim's fence sees to that) but publish twice,
//! so a lapse of the clock costs work and nothing else.

use crate::store::{Error, Store};
use std::time::Duration;
use tokio::time::Instant;

/// A seat whose holder was not heard of for this long is free.
const TERM: Duration = Duration::from_secs(6);

/// A candidate for one seat.
pub struct Seat {
    store: Store,
    name: String,
    holder: String,
    asked: Option<(Instant, bool)>,
}

impl Seat {
    /// `holder` is a name that no other process has.
    pub fn new(store: Store, name: impl Into<String>, holder: impl Into<String>) -> Self {
        Self { store, name: name.into(), holder: holder.into(), asked: None }
    }

    /// Whether the seat is this process's now. Asks anew every third of a
    /// term; the holder's own word is good until then.
    ///
    /// # Errors
    /// The database did not answer; the seat counts as another's.
    pub async fn is_held(&mut self) -> Result<bool, Error> {
        if self.store.has_one_process() {
            return Ok(true);
        }
        if let Some((at, held)) = self.asked
            && at.elapsed() < TERM / 3
        {
            return Ok(held);
        }
        self.asked = None;
        let term = i64::try_from(TERM.as_millis()).unwrap_or(i64::MAX);
        let held = self.store.take_seat(&self.name, &self.holder, term).await?;
        self.asked = Some((Instant::now(), held));
        Ok(held)
    }

    /// Frees the seat at once, so that nobody waits for its term to end.
    pub async fn leave(self) {
        if self.asked.is_some_and(|(_, held)| held)
            && let Err(error) = self.store.leave_seat(&self.name, &self.holder).await
        {
            tracing::debug!(seat = self.name, %error, "a seat is freed by its term");
        }
    }
}
