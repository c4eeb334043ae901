//! Port to the machines of an EC2 account, with a cache.
//!
//! Describing machines spends the rate limit that starting them needs too. Results are
//! therefore cached for [`CACHE_TTL`], and callers that come during a read share its
//! result.

use async_trait::async_trait;
use contract::api::Instance;
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};

/// Maximum age of a cached result.
pub const CACHE_TTL: Duration = Duration::from_secs(3);
/// Maximum time that a page waits for the machines.
pub const READ_TIMEOUT: Duration = Duration::from_secs(2);

/// Why the machines can't be listed. The messages are shown to people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No EC2 account is configured.
    #[error("No account with machines is set up.")]
    NotConfigured,
    /// The call failed on the network.
    #[error("EC2 can't be reached. Try again.")]
    Unreachable,
    /// The account's rate limit is used up, or EC2 asked to wait.
    #[error("EC2 is busy with other calls of this account. Try again in some seconds.")]
    Busy,
    /// The rate limiter can't be used, and without it nobody may call.
    #[error("The rate limiter for EC2 can't be reached. Try again soon.")]
    LimiterUnavailable,
    /// EC2 answered with an error, which is the message.
    #[error("{0}")]
    Rejected(String),
}

/// Port to the machines of one EC2 account.
#[async_trait]
pub trait MachineSource: Send + Sync {
    /// Describes all machines, within the account's rate limit.
    ///
    /// # Errors
    /// The machines can't be listed; see [`Error`].
    async fn describe_machines(&self) -> Result<Vec<Instance>, Error>;
}

/// Cache of the machines of an EC2 account; cheap to clone.
#[derive(Clone, Default)]
pub struct MachineCache(Option<Arc<MachineCacheInner>>);

type MachinesResult = Result<Arc<[Instance]>, Error>;

struct MachineCacheInner {
    source: Arc<dyn MachineSource>,
    /// Errors are cached too, so that reloading a page costs no call.
    last_result: Mutex<Option<(Instant, MachinesResult)>>,
    names_by_id: Mutex<HashMap<String, String>>,
    read_lock: tokio::sync::Mutex<()>,
}

impl MachineCache {
    /// Creates an empty cache of the machines of `source`.
    pub fn with_source(source: Arc<dyn MachineSource>) -> Self {
        Self(Some(Arc::new(MachineCacheInner {
            source,
            last_result: Mutex::default(),
            names_by_id: Mutex::default(),
            read_lock: tokio::sync::Mutex::default(),
        })))
    }

    /// Returns all machines, as they were at most [`CACHE_TTL`] ago.
    ///
    /// # Errors
    /// The machines can't be listed within [`READ_TIMEOUT`]; see [`Error`].
    pub async fn list(&self) -> MachinesResult {
        let shared = self.0.as_ref().ok_or(Error::NotConfigured)?;
        let _read_guard = shared.read_lock.lock().await;
        if let Some((at, result)) = shared.last_result.lock().as_ref()
            && at.elapsed() < CACHE_TTL
        {
            return result.clone();
        }
        let result = timeout(READ_TIMEOUT, shared.source.describe_machines())
            .await
            .unwrap_or(Err(Error::Busy));
        let result = result.map(Arc::<[Instance]>::from);
        if let Ok(machines) = &result {
            let names = machines.iter().map(|machine| (machine.id.clone(), machine.name.clone()));
            *shared.names_by_id.lock() = names.collect();
        }
        *shared.last_result.lock() = Some((Instant::now(), result.clone()));
        result
    }

    /// Returns the name of a machine as it was last read.
    pub fn last_known_name(&self, id: &str) -> Option<String> {
        self.0.as_ref()?.names_by_id.lock().get(id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// Answers after 100 ms; every third answer is an error.
    #[derive(Default)]
    struct StubSource {
        calls: AtomicU32,
        never_answers: bool,
    }

    #[async_trait]
    impl MachineSource for StubSource {
        async fn describe_machines(&self) -> Result<Vec<Instance>, Error> {
            let call = self.calls.fetch_add(1, Ordering::SeqCst);
            if self.never_answers {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            if call % 3 == 2 {
                return Err(Error::Unreachable);
            }
            Ok(vec![Instance {
                id: "i-1".into(),
                name: format!("web-{call}"),
                state: "stopped".into(),
                instance_type: "t3.small".into(),
                zone: "a".into(),
            }])
        }
    }

    #[tokio::test(start_paused = true)]
    async fn concurrent_reads_share_one_call_until_the_cache_expires() {
        let source = Arc::new(StubSource::default());
        let machines = MachineCache::with_source(source.clone());
        assert_eq!(machines.last_known_name("i-1"), None);
        let all = (0..50).map(|_| machines.list());
        for read in futures_util::future::join_all(all).await {
            assert_eq!(read.map(|all| all.len()), Ok(1));
        }
        assert_eq!(source.calls.load(Ordering::SeqCst), 1);
        assert_eq!(machines.last_known_name("i-1").as_deref(), Some("web-0"));
        tokio::time::advance(CACHE_TTL).await;
        assert_eq!(machines.list().await.map(|all| all[0].name.clone()), Ok("web-1".into()));
        tokio::time::advance(CACHE_TTL).await;
        assert_eq!(machines.list().await, Err(Error::Unreachable));
        assert_eq!(
            machines.last_known_name("i-1").as_deref(),
            Some("web-1"),
            "names outlive an error"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn reads_time_out_and_errors_are_cached() {
        let machines = MachineCache::with_source(Arc::new(StubSource {
            never_answers: true,
            ..StubSource::default()
        }));
        let start = Instant::now();
        for _ in 0..5 {
            assert_eq!(machines.list().await, Err(Error::Busy));
        }
        assert_eq!(start.elapsed(), READ_TIMEOUT, "an error is cached as long as a result");
        assert_eq!(MachineCache::default().list().await, Err(Error::NotConfigured));
    }
}
