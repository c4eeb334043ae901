//! Batches claims and attempt results, so that few commits save many: what arrives during
//! one commit goes into the next.

use async_trait::async_trait;
use contract::{TaskId, UserId, fact::Fact};
use engine::{
    event_bus::{self, EventBus},
    store::{self, Claim, Error, FinishAttempt, FinishResult, Store},
};
use parking_lot::{Mutex, MutexGuard};
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::oneshot::{self, error::TryRecvError};

/// Maximum number of items in one commit.
const MAX_BATCH_SIZE: usize = 64;

/// Operation that processes many items at once.
#[async_trait]
pub(crate) trait BatchOp: Send + Sync {
    type Item: Clone + Send;
    type Output: Send;

    /// Processes the items and returns the result of each, in order.
    async fn run_batch(&self, batch: Vec<Self::Item>) -> Vec<Self::Output>;
}

/// Claims tasks by their fences, for one worker.
pub(crate) struct ClaimOp {
    pub store: Store,
    pub worker: String,
}

#[async_trait]
impl BatchOp for ClaimOp {
    type Item = (TaskId, i64);
    type Output = Result<Claim, Error>;

    async fn run_batch(&self, batch: Vec<Self::Item>) -> Vec<Self::Output> {
        self.store.tasks.claim_batch(&batch, &self.worker).await
    }
}

/// Saves the results of attempts, and broadcasts the facts to the hubs.
pub(crate) struct FinishOp {
    pub store: Store,
    pub event_bus: Arc<dyn EventBus>,
}

#[async_trait]
impl BatchOp for FinishOp {
    type Item = FinishAttempt;
    type Output = Result<(), Error>;

    async fn run_batch(&self, batch: Vec<Self::Item>) -> Vec<Self::Output> {
        let mut facts_by_user: BTreeMap<UserId, Vec<Fact>> = BTreeMap::new();
        let collect_facts = |finished: FinishResult| {
            if let Some(user_facts) = finished? {
                facts_by_user.entry(user_facts.user).or_default().extend(user_facts.facts);
            }
            Ok(())
        };
        let results = self.store.tasks.finish(batch).await.into_iter().map(collect_facts).collect();
        for (user, facts) in facts_by_user {
            event_bus::publish_facts(self.event_bus.as_ref(), store::UserFacts { user, facts });
        }
        results
    }
}

/// Runs the operation `W` for concurrent callers, in batches.
pub(crate) struct Batcher<W: BatchOp> {
    op: W,
    pending: Mutex<Vec<PendingItem<W>>>,
    /// Its holder runs batches for all callers that wait.
    batch_lock: tokio::sync::Mutex<()>,
}

struct PendingItem<W: BatchOp> {
    item: W::Item,
    reply: oneshot::Sender<W::Output>,
}

impl<W: BatchOp> Batcher<W> {
    pub fn new(op: W) -> Self {
        Self { op, pending: Mutex::default(), batch_lock: tokio::sync::Mutex::default() }
    }

    /// Processes one item, as part of a batch; see [`BatchOp::run_batch`].
    pub async fn submit(&self, item: W::Item) -> W::Output {
        loop {
            let (reply, mut output) = oneshot::channel();
            self.lock_pending().push(PendingItem { item: item.clone(), reply });
            let _batch_guard = self.batch_lock.lock().await;
            loop {
                match output.try_recv() {
                    Ok(output) => return output,
                    Err(TryRecvError::Empty) => self.run_next_batch().await,
                    // The caller that ran the batch with this item was dropped before
                    // it could reply: submit the item again.
                    Err(TryRecvError::Closed) => break,
                }
            }
        }
    }

    async fn run_next_batch(&self) {
        let batch: Vec<_> = {
            let mut pending = self.lock_pending();
            let count = pending.len().min(MAX_BATCH_SIZE);
            pending.drain(..count).collect()
        };
        let (items, replies): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|pending| (pending.item, pending.reply)).unzip();
        for (reply, output) in replies.into_iter().zip(self.op.run_batch(items).await) {
            // An error means that nobody waits for the output any more.
            let _ = reply.send(output);
        }
    }

    fn lock_pending(&self) -> MutexGuard<'_, Vec<PendingItem<W>>> {
        self.pending.lock()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use contract::{
        JobId,
        api::Outcome,
        command::Ec2Start,
        fact::FactKind,
        state::{JobKind, JobState},
    };
    use engine::{
        clock::SystemClock,
        event_bus::{HubEvent, embedded::EmbeddedEventBus},
        store::{ClaimedTask, NewJob, NewTask, RoundRobin, Success},
    };

    const QUEUE: &str = "meanwhile.q.ec2.start.v1";
    /// More items than one commit takes.
    const TASKS: u32 = 150;

    fn machine_task(row: u32) -> NewTask {
        let command = Ec2Start { instance_id: format!("i-{row}"), ..Ec2Start::default() };
        NewTask::new(&command, None, command.instance_id.clone(), String::new(), row).unwrap()
    }

    async fn claim_all_due(store: &Store) -> Vec<FinishAttempt> {
        let due = store
            .tasks
            .due_tasks(QUEUE, TASKS as usize, &RoundRobin::default())
            .await
            .unwrap()
            .tasks;
        let mut ends = Vec::new();
        for due in due {
            let Claim::Claimed(claimed) =
                store.tasks.claim(due.task, due.fence, "w").await.unwrap()
            else {
                panic!("not claimed")
            };
            let result = Ok(Success::new(Outcome::new("done", "")));
            let ClaimedTask { id: task, fence, .. } = *claimed;
            ends.push(FinishAttempt { task, fence, worker: "w".into(), traceparent: None, result });
        }
        ends
    }

    /// Creates a store with one job of [`TASKS`] tasks.
    async fn store_with_job() -> (tempfile::TempDir, Store, (UserId, JobId)) {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("store.sqlite").display());
        let store = Store::open(&url, Arc::new(SystemClock), 1.0).await.unwrap();
        let user = store.accounts.add_first_user("ada@example.com", "hash").await.unwrap().user;
        let launch = NewJob {
            actor: user.into(),
            kind: JobKind::Ec2Starts,
            title: "machines".into(),
            channels: Vec::new(),
            tasks: (0..TASKS).map(machine_task).collect(),
            file: None,
            idempotency: None,
        };
        let job = store.tasks.accept(launch).await.unwrap().job.id;
        (folder, store, (user, job))
    }

    #[tokio::test]
    async fn concurrent_finishes_share_commits_and_publish_each_fact_once() {
        let (_folder, store, (user, job)) = store_with_job().await;
        let ends = claim_all_due(&store).await;
        let event_bus = Arc::new(EmbeddedEventBus::default());
        let mut events = event_bus.subscribe();
        let batcher = Batcher::new(FinishOp { store: store.clone(), event_bus });
        let stale = FinishAttempt { fence: 77, ..ends[0].clone() };
        // A caller that is dropped while its item is pending blocks nobody.
        let dropped = futures_util::FutureExt::now_or_never(batcher.submit(ends[1].clone()));
        assert!(dropped.is_none());
        let all = ends.iter().cloned().chain([stale]).map(|end| batcher.submit(end));
        for result in futures_util::future::join_all(all).await {
            result.unwrap();
        }

        let mut facts = Vec::new();
        let mut messages = 0;
        while let Ok(event) = events.try_recv() {
            let HubEvent::Facts(user_facts) = &*event else { continue };
            facts.extend(user_facts.facts.iter().cloned());
            messages += 1;
        }
        assert!(messages <= 4, "{messages} commits or more");
        // Each committed fact is broadcast once, no matter which caller waited for it.
        assert!(facts.iter().map(|fact| fact.seq).eq(2..=i64::from(TASKS) + 2));
        let ended = facts.iter().filter(|fact| fact.kind == FactKind::JobFinished).count();
        assert_eq!(ended, 1);
        assert_eq!(store.jobs.job(user, job).await.unwrap().state, JobState::Succeeded);
    }

    #[tokio::test]
    async fn concurrent_claims_each_get_their_own_result() {
        let (_folder, store, _) = store_with_job().await;
        let due = store
            .tasks
            .due_tasks(QUEUE, TASKS as usize, &RoundRobin::default())
            .await
            .unwrap()
            .tasks;
        let batcher = Batcher::new(ClaimOp { store: store.clone(), worker: "w".into() });
        let twice = due.iter().chain(&due[..3]).map(|due| batcher.submit((due.task, due.fence)));
        let claims = futures_util::future::join_all(twice).await;
        let mut claimed = Vec::new();
        for (due, claim) in due.iter().chain(&due[..3]).zip(claims) {
            match claim.unwrap() {
                Claim::Claimed(task) => {
                    assert_eq!((task.id, task.fence), (due.task, due.fence + 1));
                    claimed.push(task.id);
                }
                Claim::NotClaimable => {}
                other => panic!("{other:?}"),
            }
        }
        claimed.sort_unstable();
        claimed.dedup();
        assert_eq!(claimed.len(), TASKS as usize, "each was claimed once");
    }
}
