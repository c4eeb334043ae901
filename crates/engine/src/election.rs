//! Which of several processes does what one has to do: relay and reaper.
//!
//! Two at once do no harm (a claim's fence sees to that) but publish twice,
//! so a lapse of the clock costs work and nothing else.

use crate::store::{Error, Store};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// A seat whose holder was not heard of for this long is free.
const TERM: Duration = Duration::from_secs(6);

/// The seat of a process that shares its database with nobody.
const ALONE: &str = "alone";
/// Between two looks at whether somebody is still there.
const LOOK: Duration = Duration::from_millis(500);

/// For a process whose queues are its own: it runs what it finds queued, and
/// takes what it finds running for lost. Waits until nobody else works on the
/// database, for two terms at the most: who was killed keeps a seat for one.
/// The name of somebody who is still there, then.
///
/// # Errors
/// The database did not answer.
pub async fn until_alone(store: &Store, holder: &str) -> Result<Option<String>, Error> {
    until_alone_for(store, holder, TERM * 2).await
}

async fn until_alone_for(
    store: &Store,
    holder: &str,
    patience: Duration,
) -> Result<Option<String>, Error> {
    let start = Instant::now();
    loop {
        let other = match store.seated_beside(holder).await? {
            Some(other) => other,
            // Of two that see nobody one comes first.
            None if take(store, ALONE, holder).await? => return Ok(None),
            None => String::from("another process that has just started"),
        };
        if start.elapsed() >= patience {
            return Ok(Some(other));
        }
        sleep(LOOK.min(patience)).await;
    }
}

/// Keeps the seat of a process that shares its database with nobody until
/// `end`, which comes when the last call has drained, and leaves it then.
/// Returns early where another process has taken it: this one was not heard of
/// for a term.
pub async fn keep_alone(store: Store, holder: String, end: CancellationToken) -> Kept {
    keep_alone_every(TERM / 3, store, holder, end).await
}

async fn keep_alone_every(
    pause: Duration,
    store: Store,
    holder: String,
    end: CancellationToken,
) -> Kept {
    while !end.is_cancelled() {
        match take(&store, ALONE, &holder).await {
            Ok(true) => {}
            Ok(false) => return Kept::Lost,
            Err(error) => tracing::warn!(%error, "could not keep the database to ourselves"),
        }
        tokio::select! {
            () = end.cancelled() => {}
            () = sleep(pause) => {}
        }
    }
    if let Err(error) = store.leave_seat(ALONE, &holder).await {
        tracing::debug!(%error, "the database is free by its term");
    }
    Kept::ToTheEnd
}

/// How a seat was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    ToTheEnd,
    Lost,
}

async fn take(store: &Store, name: &str, holder: &str) -> Result<bool, Error> {
    let term = i64::try_from(TERM.as_millis()).unwrap_or(i64::MAX);
    store.take_seat(name, holder, term).await
}

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
        let held = take(&self.store, &self.name, &self.holder).await?;
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::clock::Steered;

    #[tokio::test]
    async fn who_works_alone_waits_for_the_dead_and_gives_way_to_the_living() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("store.sqlite").display());
        let clock = Steered::at(0);
        let store = Store::open(&url, clock.clone(), 1.0).await.unwrap();
        let ask = async |holder| until_alone_for(&store, holder, Duration::ZERO).await.unwrap();
        assert!(take(&store, "relay:q", "old").await.unwrap());
        assert_eq!(ask("new").await.as_deref(), Some("old"));
        // It was killed, and says nothing more.
        clock.advance(i64::try_from(TERM.as_millis()).unwrap() + 1);
        assert_eq!(ask("new").await, None);
        assert_eq!(ask("new").await, None, "its own seat is in nobody's way");
        assert_eq!(ask("third").await.as_deref(), Some("new"));

        let keep = |end| keep_alone_every(LOOK / 50, store.clone(), "new".into(), end);
        let end = CancellationToken::new();
        let kept = tokio::spawn(keep(end.clone()));
        for _ in 0..3 {
            // Whatever other seats it has left by now.
            clock.advance(i64::try_from(TERM.as_millis()).unwrap() + 1);
            let renewed = async {
                while store.seated_beside("third").await.unwrap().is_none() {
                    sleep(LOOK / 50).await;
                }
            };
            tokio::time::timeout(TERM, renewed).await.expect("it does not keep its seat");
        }
        end.cancel();
        assert_eq!(kept.await.unwrap(), Kept::ToTheEnd);
        assert_eq!(ask("third").await, None, "it has left");
        assert_eq!(keep(CancellationToken::new()).await, Kept::Lost);
    }
}
