//! Claim, renew, put off: the right to work on one task for a while.

use super::{
    Error, News, Store,
    apply::{self, Change},
    execute, one, persist, row,
};
use contract::{
    JobId, TaskId, UserId,
    api::{Outcome, WaitReason, WaitingFor},
    state::TaskState,
};
use sea_orm::SqlErr;
use serde_json::Value as Json;

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
            tx.commit().await?;
            return Ok(news.map_or(Claim::Nothing, Claim::Superseded));
        }
        let claimed = one(
            &tx,
            "UPDATE tasks SET state = 'running', attempt = attempt + 1, fence = fence + 1, \
             lease_owner = $3, lease_until = $4, started_at = $5, updated_at = $5, \
             waiting_for = NULL \
             WHERE id = $1 AND fence = $2 AND state = 'queued' AND run_after <= $5 \
             AND EXISTS (SELECT 1 FROM jobs j WHERE j.id = job_id AND j.paused = 0 \
             AND j.cancel_requested = 0) \
             RETURNING id, job_id, user_id, kind, key, channel, sku, title, row_no, body, memo, \
             attempt, unsure, fence",
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
        let claimed = Claimed {
            task,
            job: JobId(found.try_get("", "job_id")?),
            user: UserId(found.try_get("", "user_id")?),
            kind: found.try_get("", "kind")?,
            key: found.try_get("", "key")?,
            channel: found.try_get("", "channel")?,
            sku: found.try_get("", "sku")?,
            title: found.try_get("", "title")?,
            row: row::count(&found, "row_no")?,
            body: row::json(&found, "body")?,
            memo: row::maybe_json(&found, "memo")?,
            attempt: row::count(&found, "attempt")?,
            unsure: row::flag(&found, "unsure")?,
            fence: found.try_get("", "fence")?,
            started_at: now,
        };
        tx.commit().await?;
        Ok(Claim::Claimed(Box::new(claimed)))
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
        execute(
            &self.writer,
            "UPDATE tasks SET run_after = $3, published_at = NULL, fence = fence + 1, \
             waiting_for = $4 WHERE id = $1 AND fence = $2 AND state = 'queued'",
            [
                task.0.into(),
                fence.into(),
                run_after.into(),
                row::text("waiting_for", &waiting_for)?.into(),
            ],
        )
        .await
        .map(|_| ())
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
