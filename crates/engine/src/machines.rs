//! The machines of an account, seen through a port.
//!
//! A description spends the account's limit, which starts of machines need
//! too: what was read is kept for [`KEPT`], and whoever comes while it is being
//! read waits for that one answer.

use async_trait::async_trait;
use contract::api::Instance;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, timeout};

/// A description is this fresh, or read anew.
pub const KEPT: Duration = Duration::from_secs(3);
/// A page does not wait for longer.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// Why the machines can't be told; the words are for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("No account with machines is set up.")]
    Absent,
    #[error("EC2 can't be reached. Try again.")]
    Unreachable,
    /// Every turn of the account is taken, or it asked us to wait.
    #[error("EC2 is busy with other calls of this account. Try again in some seconds.")]
    Busy,
    /// Without the gates there is no pace, so nobody may call.
    #[error("What keeps our pace at EC2 can't be reached. Try again soon.")]
    Unpaced,
    /// What the service said.
    #[error("{0}")]
    Refused(String),
}

/// Describes the machines of one account, at the account's pace.
#[async_trait]
pub trait Source: Send + Sync {
    async fn describe(&self) -> Result<Vec<Instance>, Error>;
}

/// The machines as they were read last; cheap to clone.
#[derive(Clone, Default)]
pub struct Machines(Option<Arc<Shared>>);

type Answer = Result<Arc<[Instance]>, Error>;

struct Shared {
    source: Arc<dyn Source>,
    /// An error is kept too: a page that is loaded again costs no call.
    last: Mutex<Option<(Instant, Answer)>>,
    names: Mutex<HashMap<String, String>>,
    reading: tokio::sync::Mutex<()>,
}

impl Machines {
    pub fn of(source: Arc<dyn Source>) -> Self {
        Self(Some(Arc::new(Shared {
            source,
            last: Mutex::default(),
            names: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
        })))
    }

    /// All of them, read within [`KEPT`].
    ///
    /// # Errors
    /// They can't be told within [`PATIENCE`].
    pub async fn read(&self) -> Answer {
        let shared = self.0.as_ref().ok_or(Error::Absent)?;
        let _reading = shared.reading.lock().await;
        if let Some((at, answer)) = lock(&shared.last).as_ref()
            && at.elapsed() < KEPT
        {
            return answer.clone();
        }
        let answer = timeout(PATIENCE, shared.source.describe()).await.unwrap_or(Err(Error::Busy));
        let answer = answer.map(Arc::<[Instance]>::from);
        if let Ok(machines) = &answer {
            let names = machines.iter().map(|machine| (machine.id.clone(), machine.name.clone()));
            *lock(&shared.names) = names.collect();
        }
        *lock(&shared.last) = Some((Instant::now(), answer.clone()));
        answer
    }

    /// The name of a machine, as it was seen last.
    pub fn name(&self, id: &str) -> Option<String> {
        lock(&self.0.as_ref()?.names).get(id).cloned()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// Takes 100 ms; every third answer is an error.
    #[derive(Default)]
    struct Account {
        asked: AtomicU32,
        silent: bool,
    }

    #[async_trait]
    impl Source for Account {
        async fn describe(&self) -> Result<Vec<Instance>, Error> {
            let asked = self.asked.fetch_add(1, Ordering::SeqCst);
            if self.silent {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            if asked % 3 == 2 {
                return Err(Error::Unreachable);
            }
            Ok(vec![Instance {
                id: "i-1".into(),
                name: format!("web-{asked}"),
                state: "stopped".into(),
                instance_type: "t3.small".into(),
                zone: "a".into(),
            }])
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_readers_cost_one_call_until_it_is_old() {
        let account = Arc::new(Account::default());
        let machines = Machines::of(account.clone());
        assert_eq!(machines.name("i-1"), None);
        let all = (0..50).map(|_| machines.read());
        for read in futures_util::future::join_all(all).await {
            assert_eq!(read.map(|all| all.len()), Ok(1));
        }
        assert_eq!(account.asked.load(Ordering::SeqCst), 1);
        assert_eq!(machines.name("i-1").as_deref(), Some("web-0"));
        tokio::time::advance(KEPT).await;
        assert_eq!(machines.read().await.map(|all| all[0].name.clone()), Ok("web-1".into()));
        tokio::time::advance(KEPT).await;
        assert_eq!(machines.read().await, Err(Error::Unreachable));
        assert_eq!(machines.name("i-1").as_deref(), Some("web-1"), "names outlive an error");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_long() {
        let machines = Machines::of(Arc::new(Account { silent: true, ..Account::default() }));
        let start = Instant::now();
        for _ in 0..5 {
            assert_eq!(machines.read().await, Err(Error::Busy));
        }
        assert_eq!(start.elapsed(), PATIENCE, "an error is kept as long as an answer");
        assert_eq!(Machines::default().read().await, Err(Error::Absent));
    }
}
