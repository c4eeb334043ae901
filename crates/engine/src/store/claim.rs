//! Claim, renew, put off: the right to work on one task for a while.

use super::{
    Error, News, Store, all,
    apply::{self, Change},
    commit, execute, job_queues, one, parts, persist, places, row,
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
pub struct Claimed {
    pub task: TaskId,
    pub job: JobId,
    pub user: UserId,
    pub kind: String,
    pub key: String,
    pub channel: Option<String>,
    pub sku: String,
    pub title: String,
    pub row: u32,
    pub body: Json,
    /// What the handler noted when it last put the task aside.
    pub memo: Option<Json>,
    /// Counted from 1.
    pub attempt: u32,
    /// The last attempt may have had its effect: reconcile first.
    pub unsure: bool,
    /// Names this claim in [`Finish`](super::Finish) and renewals.
    pub fence: i64,
    /// UTC ms.
    pub started_at: i64,
}

/// What became of a delivery.
#[derive(Clone, Debug, PartialEq)]
pub enum Claim {
    Claimed(Box<Claimed>),
    /// Another running task is about the same thing; this one comes again.
    Locked,
    /// A newer task about the same thing has succeeded.
    Superseded(News),
    /// A duplicate, paused, cancelled or not due: forget the delivery.
    Nothing,
}

/// A locked task comes again after this, ms.
const LOCKED_MS: i64 = 2_000;
/// Rows of one statement; see `accept::ROWS`.
const ROWS: usize = 32;
/// What [`Claimed`] is made of.
const CLAIMED: &str = "id, job_id, user_id, kind, key, channel, sku, title, row_no, body, memo, \
    attempt, unsure, fence, started_at";

/// A queued task whose row this transaction has locked.
struct Free {
    task: TaskId,
    fence: i64,
    job: JobId,
    run_after: i64,
}

impl Store {
    /// Claims `task` while its fence is `fence`.
    pub async fn claim(&self, task: TaskId, fence: i64, worker: &str) -> Result<Claim, Error> {
        persist!(self.try_claim(task, fence, worker))
    }

    async fn try_claim(&self, task: TaskId, fence: i64, worker: &str) -> Result<Claim, Error> {
        let tx = self.begin().await?;
        let now = self.now_ms();
        let newer = one(
            &tx,
            "SELECT 1 AS one FROM tasks t WHERE t.id = $1 AND t.fence = $2 \
             AND t.state = 'queued' AND EXISTS (SELECT 1 FROM tasks n WHERE n.kind = t.kind \
             AND n.key = t.key AND n.state = 'succeeded' AND n.created_at > t.created_at)",
            [task.0.into(), fence.into()],
        )
        .await?;
        if newer.is_some() {
            let mut changes = Vec::with_capacity(1);
            for held in apply::hold(self, &tx, TaskState::Queued, &[(task, fence)]).await? {
                changes.push((held, superseded()));
            }
            let news = apply::apply(self, &tx, changes, now).await?.pop();
            commit(tx).await?;
            return Ok(news.map_or(Claim::Nothing, Claim::Superseded));
        }
        let claimed = one(
            &tx,
            &format!(
                "UPDATE tasks SET state = 'running', attempt = attempt + 1, fence = fence + 1, \
             lease_owner = $3, lease_until = $4, started_at = $5, updated_at = $5, \
             waiting_for = NULL \
             WHERE id = $1 AND fence = $2 AND state = 'queued' AND run_after <= $5 \
             AND EXISTS (SELECT 1 FROM jobs j WHERE j.id = job_id AND j.paused = 0 \
             AND j.cancel_requested = 0) \
             RETURNING {CLAIMED}"
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
                self.put_off(task, fence, now + self.scaled(LOCKED_MS), waiting_for).await?;
                return Ok(Claim::Locked);
            }
            Err(error) => return Err(error),
        };
        let Some(found) = claimed else {
            tx.rollback().await?;
            return Ok(Claim::Nothing);
        };
        let claimed = claimed_task(&found)?;
        if self.any_superseded(&tx, &[claimed.task]).await? {
            // It is seen from now on.
            tx.rollback().await?;
            return Box::pin(self.try_claim(task, fence, worker)).await;
        }
        commit(tx).await?;
        Ok(Claim::Claimed(Box::new(claimed)))
    }

    /// Whether a newer task has succeeded about the same thing as one of
    /// these, which this transaction has made running. Asked on PostgreSQL,
    /// where each statement sees what others have committed by then: the newer
    /// one may have ended after it was looked for, or while the claim waited
    /// for it. Now that the keys are held nobody else can run, and succeed.
    async fn any_superseded<C: ConnectionTrait>(
        &self,
        tx: &C,
        claimed: &[TaskId],
    ) -> Result<bool, Error> {
        if self.is_sqlite() {
            return Ok(false);
        }
        for part in parts(claimed, ROWS) {
            let sql = format!(
                "SELECT 1 AS one FROM tasks t WHERE t.id IN ({}) AND EXISTS (SELECT 1 \
                 FROM tasks n WHERE n.kind = t.kind AND n.key = t.key \
                 AND n.state = 'succeeded' AND n.created_at > t.created_at) LIMIT 1",
                places(1, part.len())
            );
            if one(tx, &sql, part.iter().map(|task| Value::from(task.0))).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// As [`Store::claim`] for each of many, in few commits.
    ///
    /// # Errors
    /// Each for itself: a claim that fails takes no other down.
    pub async fn claim_all(
        &self,
        batch: &[(TaskId, i64)],
        worker: &str,
    ) -> Vec<Result<Claim, Error>> {
        let mut together = HashMap::new();
        if batch.len() > 1 {
            match persist!(self.try_claim_all(batch, worker)) {
                Ok(claimed) => together = claimed,
                Err(error) if error.is_unreachable() => {
                    return batch.iter().map(|_| Err(error.clone())).collect();
                }
                // Such as two claims of one key by two workers.
                Err(error) => tracing::debug!(%error, "a batch of tasks is claimed one by one"),
            }
        }
        let mut claims = Vec::with_capacity(batch.len());
        for (task, fence) in batch {
            claims.push(match together.remove(&(*task, *fence)) {
                Some(claim) => Ok(claim),
                None => self.claim(*task, *fence, worker).await,
            });
        }
        claims
    }

    /// Claims what can be claimed without further ado; what is left out is
    /// looked at by itself.
    async fn try_claim_all(
        &self,
        batch: &[(TaskId, i64)],
        worker: &str,
    ) -> Result<HashMap<(TaskId, i64), Claim>, Error> {
        let tx = self.begin().await?;
        let now = self.now_ms();
        let free = self.hold_free(&tx, batch).await?;
        let open = open_jobs(&tx, free.iter().map(|free| free.job)).await?;
        let (due, held_back): (Vec<_>, Vec<_>) =
            free.into_iter().partition(|free| free.run_after <= now && open.contains(&free.job));
        let nothing = held_back.into_iter().map(|free| ((free.task, free.fence), Claim::Nothing));
        let mut claims: HashMap<_, _> = nothing.collect();
        let mut running = Vec::with_capacity(due.len());
        for part in parts(&due, ROWS) {
            let sql = format!(
                "UPDATE tasks SET state = 'running', attempt = attempt + 1, fence = fence + 1, \
                 lease_owner = $1, lease_until = $2, started_at = $3, updated_at = $3, \
                 waiting_for = NULL WHERE id IN ({}) RETURNING {CLAIMED}",
                places(4, part.len())
            );
            let lease = now + self.lease_ms;
            let mut values: Vec<Value> = vec![worker.into(), lease.into(), now.into()];
            values.extend(part.iter().map(|free| Value::from(free.task.0)));
            for found in all(&tx, &sql, values).await? {
                let claimed = claimed_task(&found)?;
                let claim = (claimed.task, claimed.fence - 1);
                running.push(claimed.task);
                claims.insert(claim, Claim::Claimed(Box::new(claimed)));
            }
        }
        if self.any_superseded(&tx, &running).await? {
            tx.rollback().await?;
            return Ok(HashMap::new());
        }
        commit(tx).await?;
        Ok(claims)
    }

    /// Locks the queued rows of the batch in the order of their ids; those
    /// that have that fence still, and no other task in their way.
    async fn hold_free<C: ConnectionTrait>(
        &self,
        tx: &C,
        batch: &[(TaskId, i64)],
    ) -> Result<Vec<Free>, Error> {
        let wanted: HashSet<_> = batch.iter().copied().collect();
        let mut ids: Vec<_> = batch.iter().map(|(task, _)| task.0).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut free = Vec::with_capacity(batch.len());
        let mut keys = HashSet::with_capacity(batch.len());
        for part in parts(&ids, ROWS) {
            let sql = format!(
                "SELECT id, fence, job_id, run_after, kind, key, (EXISTS (SELECT 1 FROM tasks r \
                 WHERE r.kind = t.kind AND r.key = t.key AND r.state = 'running') \
                 OR EXISTS (SELECT 1 FROM tasks n WHERE n.kind = t.kind AND n.key = t.key \
                 AND n.state = 'succeeded' AND n.created_at > t.created_at)) AS taken \
                 FROM tasks t WHERE id IN ({}) AND state = 'queued' ORDER BY id{}",
                places(1, part.len()),
                self.for_update()
            );
            for found in all(tx, &sql, part.iter().map(|id| Value::from(*id))).await? {
                let task = Free {
                    task: TaskId(found.try_get("", "id")?),
                    fence: found.try_get("", "fence")?,
                    job: JobId(found.try_get("", "job_id")?),
                    run_after: found.try_get("", "run_after")?,
                };
                let key: (String, String) = (found.try_get("", "kind")?, found.try_get("", "key")?);
                let taken: bool = found.try_get("", "taken")?;
                if !taken && wanted.contains(&(task.task, task.fence)) && keys.insert(key) {
                    free.push(task);
                }
            }
        }
        Ok(free)
    }

    /// Prolongs a lease. False: it is lost, and the worker must stop.
    pub async fn renew(&self, task: TaskId, fence: i64) -> Result<bool, Error> {
        let renewed = execute(
            &self.writer,
            "UPDATE tasks SET lease_until = $3 WHERE id = $1 AND fence = $2 AND state = 'running'",
            [task.0.into(), fence.into(), (self.now_ms() + self.lease_ms).into()],
        )
        .await?;
        Ok(renewed == 1)
    }

    /// Puts an unclaimed task off until `run_after` (UTC ms); its delivery
    /// is then stale. No fact: the task stays queued.
    pub async fn put_off(
        &self,
        task: TaskId,
        fence: i64,
        run_after: i64,
        waiting_for: WaitingFor,
    ) -> Result<(), Error> {
        persist!(self.try_put_off(task, fence, run_after, &waiting_for))
    }

    async fn try_put_off(
        &self,
        task: TaskId,
        fence: i64,
        run_after: i64,
        waiting_for: &WaitingFor,
    ) -> Result<(), Error> {
        let tx = self.begin().await?;
        let deferred = one(
            &tx,
            "UPDATE tasks SET run_after = $3, published_at = NULL, fence = fence + 1, \
             waiting_for = $4, updated_at = $5 WHERE id = $1 AND fence = $2 AND state = 'queued' \
             RETURNING job_id, queue",
            [
                task.0.into(),
                fence.into(),
                run_after.into(),
                row::text("waiting_for", waiting_for)?.into(),
                self.now_ms().into(),
            ],
        )
        .await?;
        if let Some(found) = deferred {
            let queue: String = found.try_get("", "queue")?;
            let mut jobs = vec![found.try_get("", "job_id")?];
            job_queues::mark_ready(&tx, &queue, &mut jobs, run_after, self.now_ms()).await?;
        }
        commit(tx).await
    }
}

fn superseded() -> Change {
    let outcome = Outcome {
        code: "superseded".into(),
        message: "A newer upload or start of the same thing has succeeded.".into(),
        reference: None,
    };
    Change { outcome: Some(outcome), ..Change::to(TaskState::Cancelled) }
}

/// Which of these are neither paused nor being cancelled.
async fn open_jobs<C: ConnectionTrait>(
    c: &C,
    jobs: impl Iterator<Item = JobId>,
) -> Result<HashSet<JobId>, Error> {
    let mut jobs: Vec<_> = jobs.collect();
    jobs.sort_unstable();
    jobs.dedup();
    let mut open = HashSet::with_capacity(jobs.len());
    for part in parts(&jobs, ROWS) {
        let sql = format!(
            "SELECT id FROM jobs WHERE id IN ({}) AND paused = 0 AND cancel_requested = 0",
            places(1, part.len())
        );
        for found in all(c, &sql, part.iter().map(|job| Value::from(job.0))).await? {
            open.insert(JobId(found.try_get("", "id")?));
        }
    }
    Ok(open)
}

fn claimed_task(row: &QueryResult) -> Result<Claimed, Error> {
    Ok(Claimed {
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
        memo: row::maybe_json(row, "memo")?,
        attempt: row::count(row, "attempt")?,
        unsure: row::flag(row, "unsure")?,
        fence: row.try_get("", "fence")?,
        started_at: row.try_get("", "started_at")?,
    })
}
