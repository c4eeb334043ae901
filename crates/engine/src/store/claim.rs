//! Claim, renew, defer: the right to work on one task for a while.

use super::{
    Error, Store, UserFacts, commit, execute, job_queues, placeholders, power_of_two_chunks,
    query_all, query_one, retry_on_contention, row,
    transition::{self, Transition},
};
use contract::{
    JobId, TaskId, UserId,
    api::{Outcome, WaitReason, WaitingFor},
    state::TaskState,
};
use sea_orm::{ConnectionTrait, QueryResult, SqlErr, Value};
use serde_json::Value as Json;
use std::collections::{HashMap, HashSet};

/// A task that this worker now runs.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimedTask {
    /// Id of the task.
    pub task: TaskId,
    /// Its job.
    pub job: JobId,
    /// Its user.
    pub user: UserId,
    /// Kind of its command.
    pub kind: String,
    /// Its lock key.
    pub key: String,
    /// Its sales channel, where it has one.
    pub channel: Option<String>,
    /// SKU or instance id.
    pub sku: String,
    /// Its title.
    pub title: String,
    /// Row of the grid, from 0.
    pub row: u32,
    /// The command.
    pub body: Json,
    /// What the handler saved when it last deferred the task.
    pub checkpoint: Option<Json>,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Whether the last attempt may have had its effect: reconcile first.
    pub outcome_unknown: bool,
    /// Identifies this claim in [`FinishAttempt`](super::FinishAttempt) and
    /// renewals.
    pub fence: i64,
    /// Time of the claim, UTC ms.
    pub started_at: i64,
}

/// Result of a claim, which decides what happens to the delivery.
#[derive(Clone, Debug, PartialEq)]
pub enum Claim {
    /// The worker has the task.
    Claimed(Box<ClaimedTask>),
    /// Another running task concerns the same thing; this one was deferred and is
    /// published again.
    Locked,
    /// A newer task that concerns the same thing has succeeded, so this one was
    /// cancelled.
    Superseded(UserFacts),
    /// The delivery is a duplicate, or the task is paused, cancelled or not due:
    /// discard the delivery.
    NotClaimable,
}

/// Delay after which a locked task is published again, in milliseconds.
const LOCKED_RETRY_DELAY_MS: i64 = 2_000;
/// Maximum number of rows of one statement; see `accept::MAX_ROWS_PER_STATEMENT`.
const MAX_ROWS_PER_STATEMENT: usize = 32;
/// Columns of a [`ClaimedTask`].
const CLAIMED_TASK_COLUMNS: &str = "id, job_id, user_id, kind, key, channel, sku, title, row_no, body, checkpoint, \
    attempt, outcome_unknown, fence, started_at";

/// A queued task whose row this transaction has locked.
struct ClaimableTask {
    task: TaskId,
    fence: i64,
    job: JobId,
    run_after: i64,
}

impl Store {
    /// Claims `task` if its fence still is `fence`.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::CommitUnknown`], [`Error::Corrupt`].
    pub async fn claim(&self, task: TaskId, fence: i64, worker: &str) -> Result<Claim, Error> {
        retry_on_contention!(self.try_claim(task, fence, worker))
    }

    async fn try_claim(&self, task: TaskId, fence: i64, worker: &str) -> Result<Claim, Error> {
        let tx = self.begin().await?;
        let now = self.now_ms();
        let newer = query_one(
            &tx,
            "SELECT 1 AS one FROM tasks t WHERE t.id = $1 AND t.fence = $2 \
             AND t.state = 'queued' AND EXISTS (SELECT 1 FROM tasks n WHERE n.kind = t.kind \
             AND n.key = t.key AND n.state = 'succeeded' AND n.created_at > t.created_at)",
            [task.0.into(), fence.into()],
        )
        .await?;
        if newer.is_some() {
            let mut transitions = Vec::with_capacity(1);
            for locked in
                transition::lock_tasks(self, &tx, TaskState::Queued, &[(task, fence)]).await?
            {
                transitions.push((locked, superseded_transition()));
            }
            let facts = transition::apply_transitions(self, &tx, transitions, now).await?.pop();
            commit(tx).await?;
            return Ok(facts.map_or(Claim::NotClaimable, Claim::Superseded));
        }
        let claimed = query_one(
            &tx,
            &format!(
                "UPDATE tasks SET state = 'running', attempt = attempt + 1, fence = fence + 1, \
             lease_owner = $3, lease_until = $4, started_at = $5, updated_at = $5, \
             waiting_for = NULL \
             WHERE id = $1 AND fence = $2 AND state = 'queued' AND run_after <= $5 \
             AND EXISTS (SELECT 1 FROM jobs j WHERE j.id = job_id AND j.paused = 0 \
             AND j.cancel_requested = 0) \
             RETURNING {CLAIMED_TASK_COLUMNS}"
            ),
            [task.0.into(), fence.into(), worker.into(), (now + self.lease_ms).into(), now.into()],
        )
        .await;
        let claimed = match claimed {
            Ok(claimed) => claimed,
            Err(Error::Database(error))
                if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) =>
            {
                tx.rollback().await?;
                let waiting_for =
                    WaitingFor { reason: WaitReason::Lock, until: None, detail: None };
                self.defer_task(task, fence, now + self.scaled(LOCKED_RETRY_DELAY_MS), waiting_for)
                    .await?;
                return Ok(Claim::Locked);
            }
            Err(error) => return Err(error),
        };
        let Some(found) = claimed else {
            tx.rollback().await?;
            return Ok(Claim::NotClaimable);
        };
        let claimed = claimed_task(&found)?;
        if self.is_any_superseded(&tx, &[claimed.task]).await? {
            // The next claim sees the newer task.
            tx.rollback().await?;
            return Box::pin(self.try_claim(task, fence, worker)).await;
        }
        commit(tx).await?;
        Ok(Claim::Claimed(Box::new(claimed)))
    }

    /// Returns whether a newer task with the same kind and key as one of `claimed` has
    /// succeeded. Checked again after the UPDATE that sets `claimed` running, because on
    /// PostgreSQL each statement sees what others have committed by then: the newer task
    /// may have succeeded since the first check, or while the claim waited for its row.
    /// After the UPDATE no other task with these keys can run and succeed. SQLite runs
    /// one writing transaction at a time and needs no second check.
    async fn is_any_superseded<C: ConnectionTrait>(
        &self,
        tx: &C,
        claimed: &[TaskId],
    ) -> Result<bool, Error> {
        if self.is_sqlite() {
            return Ok(false);
        }
        for part in power_of_two_chunks(claimed, MAX_ROWS_PER_STATEMENT) {
            let sql = format!(
                "SELECT 1 AS one FROM tasks t WHERE t.id IN ({}) AND EXISTS (SELECT 1 \
                 FROM tasks n WHERE n.kind = t.kind AND n.key = t.key \
                 AND n.state = 'succeeded' AND n.created_at > t.created_at) LIMIT 1",
                placeholders(1, part.len())
            );
            if query_one(tx, &sql, part.iter().map(|task| Value::from(task.0))).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Claims many tasks as [`Store::claim`] does, in few commits.
    ///
    /// # Errors
    /// Each claim has its own result: one that fails does not affect the others.
    pub async fn claim_batch(
        &self,
        batch: &[(TaskId, i64)],
        worker: &str,
    ) -> Vec<Result<Claim, Error>> {
        let mut batch_claims = HashMap::new();
        if batch.len() > 1 {
            match retry_on_contention!(self.try_claim_batch(batch, worker)) {
                Ok(claimed) => batch_claims = claimed,
                Err(error) if error.is_unreachable() => {
                    return batch.iter().map(|_| Err(error.clone())).collect();
                }
                // For example, two workers claim tasks of one key.
                Err(error) => {
                    tracing::debug!(%error, "a batch of tasks could not be claimed, claiming them one by one")
                }
            }
        }
        let mut claims = Vec::with_capacity(batch.len());
        for (task, fence) in batch {
            claims.push(match batch_claims.remove(&(*task, *fence)) {
                Some(claim) => Ok(claim),
                None => self.claim(*task, *fence, worker).await,
            });
        }
        claims
    }

    /// Claims the tasks that need no special treatment; the caller claims each of
    /// the others by itself.
    async fn try_claim_batch(
        &self,
        batch: &[(TaskId, i64)],
        worker: &str,
    ) -> Result<HashMap<(TaskId, i64), Claim>, Error> {
        let tx = self.begin().await?;
        let now = self.now_ms();
        let claimable = self.lock_claimable_tasks(&tx, batch).await?;
        let active = active_jobs(&tx, claimable.iter().map(|task| task.job)).await?;
        let (due, blocked): (Vec<_>, Vec<_>) = claimable
            .into_iter()
            .partition(|task| task.run_after <= now && active.contains(&task.job));
        let not_claimable =
            blocked.into_iter().map(|task| ((task.task, task.fence), Claim::NotClaimable));
        let mut claims: HashMap<_, _> = not_claimable.collect();
        let mut running = Vec::with_capacity(due.len());
        for part in power_of_two_chunks(&due, MAX_ROWS_PER_STATEMENT) {
            let sql = format!(
                "UPDATE tasks SET state = 'running', attempt = attempt + 1, fence = fence + 1, \
                 lease_owner = $1, lease_until = $2, started_at = $3, updated_at = $3, \
                 waiting_for = NULL WHERE id IN ({}) RETURNING {CLAIMED_TASK_COLUMNS}",
                placeholders(4, part.len())
            );
            let lease_until = now + self.lease_ms;
            let mut values: Vec<Value> = vec![worker.into(), lease_until.into(), now.into()];
            values.extend(part.iter().map(|task| Value::from(task.task.0)));
            for found in query_all(&tx, &sql, values).await? {
                let claimed = claimed_task(&found)?;
                let claim = (claimed.task, claimed.fence - 1);
                running.push(claimed.task);
                claims.insert(claim, Claim::Claimed(Box::new(claimed)));
            }
        }
        if self.is_any_superseded(&tx, &running).await? {
            tx.rollback().await?;
            return Ok(HashMap::new());
        }
        commit(tx).await?;
        Ok(claims)
    }

    /// Locks the queued rows of the batch in the order of their ids, and returns
    /// those that still have the given fence and that no other task blocks.
    async fn lock_claimable_tasks<C: ConnectionTrait>(
        &self,
        tx: &C,
        batch: &[(TaskId, i64)],
    ) -> Result<Vec<ClaimableTask>, Error> {
        let wanted: HashSet<_> = batch.iter().copied().collect();
        let mut ids: Vec<_> = batch.iter().map(|(task, _)| task.0).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut claimable = Vec::with_capacity(batch.len());
        let mut keys = HashSet::with_capacity(batch.len());
        for part in power_of_two_chunks(&ids, MAX_ROWS_PER_STATEMENT) {
            let sql = format!(
                "SELECT id, fence, job_id, run_after, kind, key, (EXISTS (SELECT 1 FROM tasks r \
                 WHERE r.kind = t.kind AND r.key = t.key AND r.state = 'running') \
                 OR EXISTS (SELECT 1 FROM tasks n WHERE n.kind = t.kind AND n.key = t.key \
                 AND n.state = 'succeeded' AND n.created_at > t.created_at)) AS is_blocked \
                 FROM tasks t WHERE id IN ({}) AND state = 'queued' ORDER BY id{}",
                placeholders(1, part.len()),
                self.for_update()
            );
            for found in query_all(tx, &sql, part.iter().map(|id| Value::from(*id))).await? {
                let task = ClaimableTask {
                    task: TaskId(found.try_get("", "id")?),
                    fence: found.try_get("", "fence")?,
                    job: JobId(found.try_get("", "job_id")?),
                    run_after: found.try_get("", "run_after")?,
                };
                let key: (String, String) = (found.try_get("", "kind")?, found.try_get("", "key")?);
                let is_blocked: bool = found.try_get("", "is_blocked")?;
                if !is_blocked && wanted.contains(&(task.task, task.fence)) && keys.insert(key) {
                    claimable.push(task);
                }
            }
        }
        Ok(claimable)
    }

    /// Extends a lease. Returns false if the claim is lost; the worker must then
    /// stop.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn renew_lease(&self, task: TaskId, fence: i64) -> Result<bool, Error> {
        let renewed = execute(
            &self.writer,
            "UPDATE tasks SET lease_until = $3 WHERE id = $1 AND fence = $2 AND state = 'running'",
            [task.0.into(), fence.into(), (self.now_ms() + self.lease_ms).into()],
        )
        .await?;
        Ok(renewed == 1)
    }

    /// Defers an unclaimed task until `run_after` (UTC ms), which makes its
    /// delivery stale. It writes no fact, because the task stays queued.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::CommitUnknown`].
    pub async fn defer_task(
        &self,
        task: TaskId,
        fence: i64,
        run_after: i64,
        waiting_for: WaitingFor,
    ) -> Result<(), Error> {
        retry_on_contention!(self.try_defer_task(task, fence, run_after, &waiting_for))
    }

    async fn try_defer_task(
        &self,
        task: TaskId,
        fence: i64,
        run_after: i64,
        waiting_for: &WaitingFor,
    ) -> Result<(), Error> {
        let tx = self.begin().await?;
        let deferred = query_one(
            &tx,
            "UPDATE tasks SET run_after = $3, published_at = NULL, fence = fence + 1, \
             waiting_for = $4, updated_at = $5 WHERE id = $1 AND fence = $2 AND state = 'queued' \
             RETURNING job_id, queue",
            [
                task.0.into(),
                fence.into(),
                run_after.into(),
                row::to_json_text("waiting_for", waiting_for)?.into(),
                self.now_ms().into(),
            ],
        )
        .await?;
        if let Some(found) = deferred {
            let queue: String = found.try_get("", "queue")?;
            let mut jobs = vec![found.try_get("", "job_id")?];
            job_queues::mark_jobs_ready(&tx, &queue, &mut jobs, run_after, self.now_ms()).await?;
        }
        commit(tx).await
    }
}

fn superseded_transition() -> Transition {
    let outcome = Outcome {
        code: "superseded".into(),
        message: "A newer upload or start of the same thing has succeeded.".into(),
        reference: None,
    };
    Transition { outcome: Some(outcome), ..Transition::to(TaskState::Cancelled) }
}

/// Returns those of `jobs` that are neither paused nor being cancelled.
async fn active_jobs<C: ConnectionTrait>(
    c: &C,
    jobs: impl Iterator<Item = JobId>,
) -> Result<HashSet<JobId>, Error> {
    let mut jobs: Vec<_> = jobs.collect();
    jobs.sort_unstable();
    jobs.dedup();
    let mut active = HashSet::with_capacity(jobs.len());
    for part in power_of_two_chunks(&jobs, MAX_ROWS_PER_STATEMENT) {
        let sql = format!(
            "SELECT id FROM jobs WHERE id IN ({}) AND paused = 0 AND cancel_requested = 0",
            placeholders(1, part.len())
        );
        for found in query_all(c, &sql, part.iter().map(|job| Value::from(job.0))).await? {
            active.insert(JobId(found.try_get("", "id")?));
        }
    }
    Ok(active)
}

fn claimed_task(row: &QueryResult) -> Result<ClaimedTask, Error> {
    Ok(ClaimedTask {
        task: TaskId(row.try_get("", "id")?),
        job: JobId(row.try_get("", "job_id")?),
        user: UserId(row.try_get("", "user_id")?),
        kind: row.try_get("", "kind")?,
        key: row.try_get("", "key")?,
        channel: row.try_get("", "channel")?,
        sku: row.try_get("", "sku")?,
        title: row.try_get("", "title")?,
        row: row::count(row, "row_no")?,
        body: row::json(row, "body")?,
        checkpoint: row::optional_json(row, "checkpoint")?,
        attempt: row::count(row, "attempt")?,
        outcome_unknown: row::flag(row, "outcome_unknown")?,
        fence: row.try_get("", "fence")?,
        started_at: row.try_get("", "started_at")?,
    })
}
