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
    pub id: TaskId,
    /// Its job.
    pub job: JobId,
    /// Its user.
    pub user: UserId,
    /// Kind of its command.
    pub kind: String,
    /// Its key: with its kind, what no two running tasks may share.
    pub key: String,
    /// Its sales channel, where it has one.
    pub channel: Option<String>,
    /// SKU, or the instance id of a machine: what people see.
    pub sku: String,
    /// Its title.
    pub title: String,
    /// Row of the grid, from 0.
    pub row: u32,
    /// Body of its command.
    pub body: Json,
    /// What the handler saved when it last reported
    /// [`Wait`](super::AttemptError::Wait).
    pub checkpoint: Option<Json>,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Time at which an earlier attempt ended of which nobody knows whether it had its
    /// effect, UTC ms: reconcile first.
    pub unknown_since: Option<i64>,
    /// Whether the attempt may only find out whether the effect has happened, and must
    /// change nothing, because the job is being cancelled or a newer task that concerns the
    /// same thing has succeeded. It is done, was not done
    /// ([`AttemptError::NotDone`](super::AttemptError::NotDone)), or nobody can tell yet
    /// (a retry with an unknown outcome).
    pub only_reconcile: bool,
    /// Number of times that an admin has edited the body.
    pub revision: u32,
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
    /// Another task with the same lock key is running; this one was deferred and is
    /// published again.
    KeyInUse,
    /// A newer task that concerns the same thing has succeeded, so this one, which can't
    /// have had an effect, was cancelled.
    Superseded(UserFacts),
    /// The delivery is a duplicate, the task is cancelled or not due, or its job is
    /// paused: discard the delivery.
    NotClaimable,
}

/// Delay after which a task whose lock key is in use is published again, in
/// milliseconds.
const KEY_IN_USE_DELAY_MS: i64 = 2_000;
/// Maximum number of times that a claim is tried that loses a race against another
/// claim or success of the same lock key.
const MAX_RACES: u32 = 5;

/// Condition on a task `t`: another task with its lock key is running.
const IS_KEY_IN_USE: &str = "EXISTS (SELECT 1 FROM tasks running WHERE running.kind = t.kind \
    AND running.key = t.key AND running.state = 'running')";
/// Condition on a task `t`: a newer task with its lock key has succeeded.
const IS_SUPERSEDED: &str = "EXISTS (SELECT 1 FROM tasks newer WHERE newer.kind = t.kind \
    AND newer.key = t.key AND newer.state = 'succeeded' AND newer.created_at > t.created_at)";

/// A queued task whose row this transaction has locked, and what may keep it from
/// being claimed.
struct Candidate {
    task: LockedTask,
    run_after: i64,
    /// Kind of the command, and key of what it is about.
    lock_key: (String, String),
    is_key_in_use: bool,
    is_superseded: bool,
}

impl FromRow for Candidate {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            task: LockedTask::from_row(row)?,
            run_after: row.get("run_after")?,
            lock_key: (row.get("kind")?, row.get("key")?),
            is_key_in_use: row.get("is_key_in_use")?,
            is_superseded: row.get("is_superseded")?,
        })
    }
}

impl Tasks {
    /// Claims a task if its fence still is `fence`; see
    /// [`Tasks::claim_batch`].
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::CommitUnknown`], [`Error::Corrupt`].
    pub async fn claim(&self, task: TaskId, fence: i64, worker: &str) -> Result<Claim, Error> {
        let mut claims = self.claim_batch(&[(task, fence)], worker).await;
        claims.pop().unwrap_or(Ok(Claim::NotClaimable))
    }

    /// Claims those of `batch` whose fence is unchanged, all in one commit, and returns
    /// what became of each, in order. A task whose lock key is in use is deferred, and
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
        let jobs = candidates.iter().map(|candidate| candidate.task.job);
        let claimable = claimable_jobs(&tx, jobs).await?;
        let mut lock_keys = HashSet::with_capacity(candidates.len());
        let mut claimed = Vec::with_capacity(candidates.len());
        // Claimed all the same, because they may have had an effect.
        let mut superseded = HashSet::new();
        let mut transitions = Vec::new();
        for candidate in candidates {
            let Candidate { task, run_after, lock_key, is_key_in_use, is_superseded } = candidate;
            if is_superseded && !task.may_have_effect() {
                transitions.push((task, superseded_transition()));
            } else if run_after > now || !claimable.allows(&task) {
                // Its delivery is stale, and there is nothing to change.
            } else if is_key_in_use || !lock_keys.insert(lock_key) {
                let until = now + self.db.scaled(KEY_IN_USE_DELAY_MS);
                let waiting_for =
                    WaitingFor { reason: WaitReason::KeyInUse, until: None, detail: None };
                let deferred = Transition::defer(&task, until, waiting_for);
                transitions.push((task, deferred));
            } else {
                if is_superseded {
                    superseded.insert(task.task);
                }
                claimed.push(task.task);
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
        claimed.retain(|task| !superseded.contains(task));
        if self.is_any_superseded(&tx, &claimed).await? {
            tx.rollback().await?;
            return Ok(None);
        }
        let mut claims = HashMap::with_capacity(batch.len());
        for mut task in started {
            task.only_reconcile =
                claimable.cancelling.contains(&task.job) || superseded.contains(&task.id);
            // The claim has just raised the fence.
            claims.insert((task.id, task.fence - 1), Claim::Claimed(Box::new(task)));
        }
        let changed: Vec<_> = transitions
            .iter()
            .map(|(locked, next)| (locked.task, locked.fence, next.state))
            .collect();
        let facts = transition::apply_transitions(&self.db, &tx, transitions, now).await?;
        for ((task, fence, state), facts) in changed.into_iter().zip(facts) {
            let claim = match state {
                TaskState::Queued => Claim::KeyInUse,
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
             CAST(CASE WHEN {IS_KEY_IN_USE} THEN 1 ELSE 0 END AS BIGINT) AS is_key_in_use, \
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
        candidates.retain(|found| wanted.contains(&(found.task.task, found.task.fence)));
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

/// The jobs of a batch whose tasks may be claimed.
#[derive(Default)]
struct ClaimableJobs {
    /// Jobs that are neither paused nor being cancelled.
    active: HashSet<JobId>,
    /// Jobs that are being cancelled: only a task that may have had an effect may be
    /// claimed, to be reconciled.
    cancelling: HashSet<JobId>,
}

impl ClaimableJobs {
    fn allows(&self, task: &LockedTask) -> bool {
        self.active.contains(&task.job)
            || (task.may_have_effect() && self.cancelling.contains(&task.job))
    }
}

async fn claimable_jobs<C: ConnectionTrait>(
    c: &C,
    jobs: impl Iterator<Item = JobId>,
) -> Result<ClaimableJobs, Error> {
    let mut jobs: Vec<_> = jobs.collect();
    jobs.sort_unstable();
    jobs.dedup();
    let sql = format!(
        "SELECT id, cancel_requested FROM jobs WHERE {} AND paused = 0",
        is_one_of(c, "id", 1)
    );
    let mut claimable = ClaimableJobs::default();
    for jobs in jobs.chunks(MAX_ROWS_PER_STATEMENT) {
        for found in query_all(c, &sql, [id_list(jobs.iter().copied())]).await? {
            let is_cancelling: bool = found.get("cancel_requested")?;
            match is_cancelling {
                true => claimable.cancelling.insert(found.get("id")?),
                false => claimable.active.insert(found.get("id")?),
            };
        }
    }
    Ok(claimable)
}

impl ClaimedTask {
    /// Whether an earlier attempt may have had its effect: reconcile first.
    pub const fn outcome_unknown(&self) -> bool {
        self.unknown_since.is_some()
    }

    /// Returns the idempotency key of the calls at services: the same for every attempt, and
    /// another one once the command was edited, because a service refuses a key that it knows
    /// with other data.
    pub fn idempotency_key(&self) -> String {
        match self.revision {
            0 => self.id.to_string(),
            revision => format!("{}-{revision}", self.id),
        }
    }

    /// Columns of a claimed task.
    pub(super) const COLUMNS: &str = "id, job_id, user_id, kind, key, channel, sku, title, \
        row_no, body, checkpoint, attempt, unknown_since, revision, fence, started_at";
}

impl FromRow for ClaimedTask {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.get("id")?,
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
            unknown_since: row.get("unknown_since")?,
            only_reconcile: false,
            revision: row.get("revision")?,
            fence: row.get("fence")?,
            started_at: row.get("started_at")?,
        })
    }
}
