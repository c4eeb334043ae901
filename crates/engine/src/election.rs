//! Leader election by leases in the database: which process relays, reaps or prunes,
//! and which one may use the database exclusively.
//!
//! Two leaders at once are harmless, thanks to the fence of tasks. They publish twice,
//! so a clock error costs work and nothing else.

use crate::store::{Error, Store};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// Time after which a leader lease expires unless its holder renews it.
const LEASE_TTL: Duration = Duration::from_secs(6);

/// Name of the lease of a process that uses its database exclusively.
const EXCLUSIVE_LEASE: &str = "exclusive";
/// Interval at which a starting process checks for other lease holders.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Acquires exclusive use of the database, for a process with in-memory queues: it
/// publishes all queued tasks itself and takes running ones for lost. Waits for other
/// holders of leases, at most twice the time after which the lease of a killed process
/// expires. Returns the name of a current holder if there still is one, else `None`.
///
/// # Errors
/// The database did not answer.
pub async fn acquire_exclusive_lease(store: &Store, holder: &str) -> Result<Option<String>, Error> {
    acquire_exclusive_lease_within(store, holder, LEASE_TTL * 2).await
}

async fn acquire_exclusive_lease_within(
    store: &Store,
    holder: &str,
    max_wait: Duration,
) -> Result<Option<String>, Error> {
    let start = Instant::now();
    loop {
        let current_holder = match store.coordination.other_leader_lease_holder(holder).await? {
            Some(current_holder) => current_holder,
            // Two processes may see no other holder; one of them acquires the lease.
            None if try_acquire(store, EXCLUSIVE_LEASE, holder).await? => return Ok(None),
            None => String::from("another process that has just started"),
        };
        if start.elapsed() >= max_wait {
            return Ok(Some(current_holder));
        }
        sleep(POLL_INTERVAL.min(max_wait)).await;
    }
}

/// Renews the exclusive lease until `drained`, which is cancelled after the last call,
/// then releases it. Returns early if another process has acquired it because this one
/// failed to renew it in time.
pub async fn hold_exclusive_lease(
    store: Store,
    holder: String,
    drained: CancellationToken,
) -> ExclusiveLeaseEnd {
    hold_exclusive_lease_every(LEASE_TTL / 3, store, holder, drained).await
}

async fn hold_exclusive_lease_every(
    renew_interval: Duration,
    store: Store,
    holder: String,
    drained: CancellationToken,
) -> ExclusiveLeaseEnd {
    while !drained.is_cancelled() {
        match try_acquire(&store, EXCLUSIVE_LEASE, &holder).await {
            Ok(true) => {}
            Ok(false) => return ExclusiveLeaseEnd::Lost,
            Err(error) => tracing::warn!(%error, "could not renew the exclusive lease"),
        }
        tokio::select! {
            () = drained.cancelled() => {}
            () = sleep(renew_interval) => {}
        }
    }
    if let Err(error) = store.coordination.release_leader_lease(EXCLUSIVE_LEASE, &holder).await {
        tracing::debug!(%error, "could not release the exclusive lease; it will expire");
    }
    ExclusiveLeaseEnd::Released
}

/// How holding the exclusive lease ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExclusiveLeaseEnd {
    /// The lease was held until the end.
    Released,
    /// Another process has acquired the lease.
    Lost,
}

async fn try_acquire(store: &Store, name: &str, holder: &str) -> Result<bool, Error> {
    store.coordination.acquire_leader_lease(name, holder, LEASE_TTL).await
}

/// A candidate for one leader lease.
pub struct LeaderLease {
    store: Store,
    name: String,
    holder: String,
    last_check: Option<(Instant, bool)>,
}

impl LeaderLease {
    /// Creates a candidate for the lease `name`. `holder` must be unique to this process.
    pub fn new(store: Store, name: impl Into<String>, holder: impl Into<String>) -> Self {
        Self { store, name: name.into(), holder: holder.into(), last_check: None }
    }

    /// Returns whether this process holds the lease. Acquires or renews it every third of
    /// its lifetime, and answers from memory in between.
    ///
    /// # Errors
    /// The database did not answer; the lease counts as not held.
    pub async fn is_held(&mut self) -> Result<bool, Error> {
        if self.store.database.is_single_process() {
            return Ok(true);
        }
        if let Some((at, is_held)) = self.last_check
            && at.elapsed() < LEASE_TTL / 3
        {
            return Ok(is_held);
        }
        self.last_check = None;
        let is_held = try_acquire(&self.store, &self.name, &self.holder).await?;
        self.last_check = Some((Instant::now(), is_held));
        Ok(is_held)
    }

    /// Releases the lease, so that no process has to wait until it expires.
    pub async fn release(self) {
        if self.last_check.is_some_and(|(_, is_held)| is_held)
            && let Err(error) =
                self.store.coordination.release_leader_lease(&self.name, &self.holder).await
        {
            tracing::debug!(lease = self.name, %error, "could not release a lease; it will expire");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::clock::{ManualClock, whole_millis};

    #[tokio::test]
    async fn exclusive_lease_waits_for_dead_holders_and_yields_to_live_ones() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("store.sqlite").display());
        let clock = ManualClock::at(0);
        let store = Store::open(&url, clock.clone(), 1.0).await.unwrap();
        let acquire = async |holder| {
            acquire_exclusive_lease_within(&store, holder, Duration::ZERO).await.unwrap()
        };
        assert!(try_acquire(&store, "relay:q", "old").await.unwrap());
        assert_eq!(acquire("new").await.as_deref(), Some("old"));
        // The old process was killed, and doesn't renew its lease.
        clock.advance(whole_millis(LEASE_TTL) + 1);
        assert_eq!(acquire("new").await, None);
        assert_eq!(acquire("new").await, None, "its own lease doesn't count");
        assert_eq!(acquire("third").await.as_deref(), Some("new"));

        let hold = |drained| {
            hold_exclusive_lease_every(POLL_INTERVAL / 50, store.clone(), "new".into(), drained)
        };
        let drained = CancellationToken::new();
        let lease_task = tokio::spawn(hold(drained.clone()));
        for _ in 0..3 {
            // Its other leases expire.
            clock.advance(whole_millis(LEASE_TTL) + 1);
            let renewed = async {
                while store.coordination.other_leader_lease_holder("third").await.unwrap().is_none()
                {
                    sleep(POLL_INTERVAL / 50).await;
                }
            };
            tokio::time::timeout(LEASE_TTL, renewed).await.expect("it doesn't renew its lease");
        }
        drained.cancel();
        assert_eq!(lease_task.await.unwrap(), ExclusiveLeaseEnd::Released);
        assert_eq!(acquire("third").await, None, "the lease was released");
        assert_eq!(hold(CancellationToken::new()).await, ExclusiveLeaseEnd::Lost);
    }
}
