//! Semaphore that gives each key, such as a user, a share of its permits.

use parking_lot::Mutex;
use std::{collections::HashMap, hash::Hash, sync::Arc};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

/// Semaphore with a total number of permits, of which each key may hold a share;
/// cheap to clone.
///
/// A permit of the key's share is acquired before one of the total, so that a key
/// that waits for its own share does not block others. Waiters are served in the
/// order in which they came.
pub struct KeyedSemaphore<K> {
    inner: Arc<Inner<K>>,
}

struct Inner<K> {
    total: Arc<Semaphore>,
    permits_per_key: usize,
    shares: Mutex<HashMap<K, Arc<Semaphore>>>,
}

/// Permits that are released on drop.
#[derive(Debug)]
pub struct KeyedPermit {
    _share: Option<OwnedSemaphorePermit>,
    _total: Option<OwnedSemaphorePermit>,
}

/// The limit that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PermitDenied {
    /// The key holds all permits of its share.
    #[error("the key holds all permits of its share")]
    Share,
    /// All permits are held.
    #[error("all permits are held")]
    Total,
}

impl<K> Clone for KeyedSemaphore<K> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<K: Eq + Hash> KeyedSemaphore<K> {
    /// Creates a semaphore of `total` permits, of which each key may hold
    /// `permits_per_key`.
    pub fn new(total: usize, permits_per_key: usize) -> Self {
        let total = Arc::new(Semaphore::new(total));
        Self { inner: Arc::new(Inner { total, permits_per_key, shares: Mutex::default() }) }
    }

    /// Creates a semaphore whose keys may hold `permits_per_key` permits each, and
    /// any number together.
    pub fn without_total(permits_per_key: usize) -> Self {
        Self::new(Semaphore::MAX_PERMITS, permits_per_key)
    }

    /// Returns the semaphore of `key`. It stays registered while its permits are
    /// held or waited for, because each holds a reference to it.
    fn share(&self, key: K) -> Arc<Semaphore> {
        let mut shares = self.inner.shares.lock();
        // Bounded by the number of permits that are held or waited for.
        shares.retain(|_, share| Arc::strong_count(share) > 1);
        let permits = self.inner.permits_per_key;
        Arc::clone(shares.entry(key).or_insert_with(|| Arc::new(Semaphore::new(permits))))
    }

    /// Acquires a permit without waiting.
    ///
    /// # Errors
    /// The limit that was reached.
    pub fn try_acquire(&self, key: K) -> Result<KeyedPermit, PermitDenied> {
        let share = self.share(key).try_acquire_owned().map_err(|_| PermitDenied::Share)?;
        let total = Arc::clone(&self.inner.total).try_acquire_owned();
        let total = total.map_err(|_| PermitDenied::Total)?;
        Ok(KeyedPermit { _share: Some(share), _total: Some(total) })
    }

    /// Waits for a permit.
    pub async fn acquire(&self, key: K) -> KeyedPermit {
        // The semaphores are never closed, so no permit is missing.
        let share = self.share(key).acquire_owned().await.ok();
        let total = Arc::clone(&self.inner.total).acquire_owned().await.ok();
        KeyedPermit { _share: share, _total: total }
    }

    /// Waits for `count` permits at once until `deadline`.
    ///
    /// # Errors
    /// The limit that was still reached at `deadline`.
    pub async fn acquire_many_until(
        &self,
        key: K,
        count: u32,
        deadline: Instant,
    ) -> Result<KeyedPermit, PermitDenied> {
        let share = self.share(key).acquire_many_owned(count);
        let Ok(Ok(share)) = timeout_at(deadline, share).await else {
            return Err(PermitDenied::Share);
        };
        let total = Arc::clone(&self.inner.total).acquire_many_owned(count);
        let Ok(Ok(total)) = timeout_at(deadline, total).await else {
            return Err(PermitDenied::Total);
        };
        Ok(KeyedPermit { _share: Some(share), _total: Some(total) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::poll;
    use std::time::Duration;

    #[tokio::test]
    async fn waiter_for_its_own_share_does_not_block_others() {
        let semaphore = KeyedSemaphore::new(4, 2);
        let first = semaphore.acquire("ada").await;
        let _second = semaphore.acquire("ada").await;
        let mut third = Box::pin(semaphore.acquire("ada"));
        assert!(poll!(&mut third).is_pending());
        assert_eq!(semaphore.try_acquire("ada").err(), Some(PermitDenied::Share));
        drop(semaphore.acquire("bob").await);
        drop(first);
        assert!(poll!(&mut third).is_ready());
    }

    #[tokio::test]
    async fn total_bounds_all_shares_together() {
        let semaphore = KeyedSemaphore::new(2, 1);
        let _permits = [semaphore.try_acquire("ada"), semaphore.try_acquire("bob")];
        assert_eq!(semaphore.try_acquire("eve").err(), Some(PermitDenied::Total));
        assert!(poll!(Box::pin(semaphore.acquire("eve"))).is_pending());
    }

    #[tokio::test(start_paused = true)]
    async fn rejected_keys_hold_nothing() {
        let semaphore = KeyedSemaphore::new(1, 1);
        let permit = semaphore.try_acquire("ada");
        let soon = Instant::now() + Duration::from_secs(1);
        let late = semaphore.acquire_many_until("bob", 1, soon).await;
        assert_eq!(late.err(), Some(PermitDenied::Total));
        assert_eq!(semaphore.try_acquire("bob").err(), Some(PermitDenied::Total));
        drop(permit);
        assert!(semaphore.try_acquire("bob").is_ok());
    }

    #[test]
    fn shares_are_removed_with_their_last_permit() {
        let semaphore = KeyedSemaphore::without_total(2);
        for n in 0..1_000 {
            assert!(semaphore.try_acquire(n / 4).is_ok());
            assert!(semaphore.inner.shares.lock().len() <= 2);
        }
    }
}
