//! Claim, renew, defer: the right to work on one task for a while.

use super::{
    Error, Tasks, UserFacts, commit, query_all, query_one, retry_on_contention,
    row::{FromRow, Row, rows},
    row_set::{MAX_ROWS_PER_STATEMENT, id_list, is_one_of},
    transition::{self, FencedTask, LOCKED_TASK_COLUMNS, LockedTask, Transition, write},
};
use contract::{
    JobId, TaskId, UserId,
    api::{Outcome, WaitReason, WaitingFor},
    state::TaskState,
};
use sea_orm::{ConnectionTrait, SqlErr};
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
/// Maximum number of times that a claim is tried that loses a race against another
/// claim or success of the same lock key.
const MAX_RACES: u32 = 5;

/// Condition on a task `t`: another task with its lock key is running.
const IS_LOCKED: &str = "EXISTS (SELECT 1 FROM tasks running WHERE running.kind = t.kind \
    AND running.key = t.key AND running.state = 'running')";
/// Condition on a task `t`: a newer task with its lock key has succeeded.
const IS_SUPERSEDED: &str = "EXISTS (SELECT 1 FROM tasks newer WHERE newer.kind = t.kind \
    AND newer.key = t.key AND newer.state = 'succeeded' AND newer.created_at > t.created_at)";

/// A queued task whose row this transaction has locked, and what may keep it from
/// being claimed.
struct Candidate {
    locked: LockedTask,
    run_after: i64,
    /// Kind and key.
    lock_key: (String, String),
    is_locked: bool,
    is_superseded: bool,
}

impl FromRow for Candidate {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            locked: LockedTask::from_row(row)?,
            run_after: row.get("run_after")?,
            lock_key: (row.get("kind")?, row.get("key")?),
            is_locked: row.get("is_locked")?,
            is_superseded: row.get("is_superseded")?,
        })
    }
}

impl Tasks {
    /// Claims a task if its fence still is the one of `task`; see
    /// [`Tasks::claim_batch`].
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::CommitUnknown`], [`Error::Corrupt`].
    pub async fn claim(&self, task: TaskId, fence: i64, worker: &str) -> Result<Claim, Error> {
        let mut claims = self.claim_batch(&[(task, fence)], worker).await;
        claims.pop().unwrap_or(Ok(Claim::NotClaimable))
    }

    /// Claims those of `batch` whose fence is unchanged, all in one commit, and returns
    /// what became of each, in order. A task that another one locks is deferred, and
    /// one that a newer one supersedes is cancelled, in the same commit.
    ///
    /// # Errors
    /// Each claim has its own result: one that fails does not affect the others.
    pub async fn claim_batch(
        &self,
        batch: &[(TaskId, i64)],
        worker: &str,
    ) -> Vec<Result<Claim, Error>> {
        match self.claim_together(batch, worker).await {
            Ok(claims) => claims.into_iter().map(Ok).collect(),
            // Separate commits would fail in the same way.
            Err(error) if batch.len() == 1 || error.is_unreachable() => {
                batch.iter().map(|_| Err(error.clone())).collect()
            }
            Err(error) => {
                tracing::debug!(%error, "a batch of tasks could not be claimed, claiming them one by one");
                let mut claims = Vec::with_capacity(batch.len());
                for task in batch {
                    let claim = self.claim_together(std::slice::from_ref(task), worker).await;
                    claims.push(claim.map(|mut one| one.pop().unwrap_or(Claim::NotClaimable)));
                }
                claims
            }
        }
    }

    async fn claim_together(
        &self,
        batch: &[FencedTask],
        worker: &str,
    ) -> Result<Vec<Claim>, Error> {
        for _ in 0..MAX_RACES {
            if let Some(claims) = retry_on_contention!(self.try_claim(batch, worker))? {
                return Ok(claims);
            }
        }
        // The reaper has the tasks published again.
        tracing::warn!(tasks = batch.len(), "claims lost every race against other claims");
        Ok(batch.iter().map(|_| Claim::NotClaimable).collect())
    }

    /// Returns `None` where another transaction has claimed or finished a task with
    /// the same lock key in the meantime; the next try sees it.
    async fn try_claim(
        &self,
        batch: &[FencedTask],
        worker: &str,
    ) -> Result<Option<Vec<Claim>>, Error> {
        if batch.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let tx = self.db.begin().await?;
        let now = self.db.now_ms();
        let candidates = self.lock_candidates(&tx, batch).await?;
        let active = active_jobs(&tx, candidates.iter().map(|task| task.locked.job)).await?;
        let mut lock_keys = HashSet::with_capacity(candidates.len());
        let mut claimed = Vec::with_capacity(candidates.len());
        let mut transitions = Vec::new();
        for candidate in candidates {
            let Candidate { locked, run_after, lock_key, is_locked, is_superseded } = candidate;
            if is_superseded {
                transitions.push((locked, superseded_transition()));
            } else if run_after > now || !active.contains(&locked.job) {
                // Its delivery is stale, and there is nothing to change.
            } else if is_locked || !lock_keys.insert(lock_key) {
                let until = now + self.db.scaled(LOCKED_RETRY_DELAY_MS);
                let waiting_for =
                    WaitingFor { reason: WaitReason::Lock, until: None, detail: None };
                let deferred = Transition::defer(&locked, until, waiting_for);
                transitions.push((locked, deferred));
            } else {
                claimed.push(locked.task);
            }
        }
        let lease_until = now + self.db.lease_ms;
        let started = match write::start_tasks(&tx, &claimed, worker, lease_until, now).await {
            Ok(started) => started,
            Err(Error::Database(error))
                if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) =>
            {
                tx.rollback().await?;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if self.is_any_superseded(&tx, &claimed).await? {
            tx.rollback().await?;
            return Ok(None);
        }
        let mut claims = HashMap::with_capacity(batch.len());
        for task in started {
            claims.insert((task.task, task.fence - 1), Claim::Claimed(Box::new(task)));
        }
        let changed: Vec<_> = transitions
            .iter()
            .map(|(locked, next)| (locked.task, locked.fence, next.state))
            .collect();
        let facts = transition::apply_transitions(&self.db, &tx, transitions, now).await?;
        for ((task, fence, state), facts) in changed.into_iter().zip(facts) {
            let claim = match state {
                TaskState::Queued => Claim::Locked,
                _ => Claim::Superseded(facts),
            };
            claims.insert((task, fence), claim);
        }
        commit(tx).await?;
        let claim = |task| claims.remove(task).unwrap_or(Claim::NotClaimable);
        Ok(Some(batch.iter().map(claim).collect()))
    }

    /// Locks the queued rows of the batch in the order of their ids, and returns those
    /// that still have the given fence.
    async fn lock_candidates<C: ConnectionTrait>(
        &self,
        tx: &C,
        batch: &[FencedTask],
    ) -> Result<Vec<Candidate>, Error> {
        let sql = format!(
            "SELECT {LOCKED_TASK_COLUMNS}, run_after, kind, key, \
             CAST(CASE WHEN {IS_LOCKED} THEN 1 ELSE 0 END AS BIGINT) AS is_locked, \
             CAST(CASE WHEN {IS_SUPERSEDED} THEN 1 ELSE 0 END AS BIGINT) AS is_superseded \
             FROM tasks t WHERE {} AND state = 'queued' ORDER BY id{}",
            is_one_of(tx, "id", 1),
            self.db.for_update()
        );
        let mut candidates: Vec<Candidate> = Vec::with_capacity(batch.len());
        for ids in transition::sorted_ids(batch).chunks(MAX_ROWS_PER_STATEMENT) {
            candidates
                .extend(rows::<Candidate, _>(tx, &sql, [id_list(ids.iter().copied())]).await?);
        }
        let wanted: HashSet<_> = batch.iter().copied().collect();
        candidates.retain(|task| wanted.contains(&(task.locked.task, task.locked.fence)));
        Ok(candidates)
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
        if self.db.is_sqlite() {
            return Ok(false);
        }
        let sql = format!(
            "SELECT 1 AS one FROM tasks t WHERE {} AND {IS_SUPERSEDED} LIMIT 1",
            is_one_of(tx, "t.id", 1)
        );
        for ids in claimed.chunks(MAX_ROWS_PER_STATEMENT) {
            if query_one(tx, &sql, [id_list(ids.iter().copied())]).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Extends a lease. Returns false if the claim is lost; the worker must then
    /// stop.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn renew_lease(&self, task: TaskId, fence: i64) -> Result<bool, Error> {
        write::renew_lease(&self.db.writer, (task, fence), self.db.now_ms() + self.db.lease_ms)
            .await
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
        let tx = self.db.begin().await?;
        let locked =
            transition::lock_tasks(&self.db, &tx, TaskState::Queued, &[(task, fence)]).await?;
        let defer = |locked| {
            let deferred = Transition::defer(&locked, run_after, waiting_for.clone());
            (locked, deferred)
        };
        let transitions = locked.into_iter().map(defer).collect();
        transition::apply_transitions(&self.db, &tx, transitions, self.db.now_ms()).await?;
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
    let sql = format!(
        "SELECT id FROM jobs WHERE {} AND paused = 0 AND cancel_requested = 0",
        is_one_of(c, "id", 1)
    );
    let mut active = HashSet::with_capacity(jobs.len());
    for jobs in jobs.chunks(MAX_ROWS_PER_STATEMENT) {
        for found in query_all(c, &sql, [id_list(jobs.iter().copied())]).await? {
            active.insert(found.get("id")?);
        }
    }
    Ok(active)
}

impl ClaimedTask {
    /// Columns of a claimed task.
    pub(super) const COLUMNS: &str = "id, job_id, user_id, kind, key, channel, sku, title, \
        row_no, body, checkpoint, attempt, outcome_unknown, fence, started_at";
}

impl FromRow for ClaimedTask {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            task: row.get("id")?,
            job: row.get("job_id")?,
            user: row.get("user_id")?,
            kind: row.get("kind")?,
            key: row.get("key")?,
            channel: row.get("channel")?,
            sku: row.get("sku")?,
            title: row.get("title")?,
            row: row.get("row_no")?,
            body: row.json("body")?,
            checkpoint: row.optional_json("checkpoint")?,
            attempt: row.get("attempt")?,
            outcome_unknown: row.get("outcome_unknown")?,
            fence: row.get("fence")?,
            started_at: row.get("started_at")?,
        })
    }
}
