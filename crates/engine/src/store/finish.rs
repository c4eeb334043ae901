//! Finish: outcome, attempt, follow-ups, counters and facts in one commit.

use super::{
    Error, MAX_ATTEMPTS, MAX_LOST, NewTask, News, Store,
    accept::insert_tasks,
    all, execute,
    journal::{self, Draft},
    one, row,
};
use contract::{
    JobId, TaskId, UserId,
    api::{Job, Outcome, Task, WaitReason, WaitingFor},
    fact::{Fact, FactData, FactKind},
    state::{JobState, TaskState},
};
use sea_orm::ConnectionTrait;
use serde_json::Value as Json;

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    Succeeded {
        outcome: Outcome,
        follow_ups: Vec<NewTask>,
    },
    /// For good: another try would end the same.
    Failed {
        outcome: Outcome,
    },
    /// Worth another try, until the attempts are spent. `unsure`: the call
    /// may have had its effect.
    Retry {
        outcome: Outcome,
        unsure: bool,
    },
    /// Nobody's fault and no attempt: the account is closed, a machine
    /// starts. `quiet`: not worth an entry among the attempts.
    Wait {
        outcome: Outcome,
        waiting_for: WaitingFor,
        until: i64,
        memo: Option<Json>,
        quiet: bool,
    },
    /// It can't be told whether the effect happened.
    NeedsPerson {
        outcome: Outcome,
    },
}

/// The end of one claim.
#[derive(Clone, Debug, PartialEq)]
pub struct Finish {
    pub task: TaskId,
    pub fence: i64,
    pub worker: String,
    pub ending: Ending,
}

/// The new state of a task and what goes with it.
pub(super) struct Change {
    pub state: TaskState,
    pub outcome: Option<Outcome>,
    pub waiting_for: Option<WaitingFor>,
    pub run_after: i64,
    pub unsure: bool,
    pub memo: Option<Json>,
    /// Gives the attempt back.
    pub free: bool,
    /// Lost leases in a row after this.
    pub lost: i64,
    /// Who tried, where it counts as an entry among the attempts.
    pub tried_by: Option<String>,
    pub follow_ups: Vec<NewTask>,
}

impl Change {
    pub fn to(state: TaskState) -> Self {
        Self {
            state,
            outcome: None,
            waiting_for: None,
            run_after: 0,
            unsure: false,
            memo: None,
            free: false,
            lost: 0,
            tried_by: None,
            follow_ups: Vec::new(),
        }
    }
}

impl Store {
    /// Ends claims; each is one user's news. A claim whose fence has moved on
    /// belongs to a stale worker: its end is discarded.
    pub async fn finish(&self, batch: Vec<Finish>) -> Result<Vec<News>, Error> {
        let tx = self.begin().await?;
        let now = self.now_ms();
        let mut news = Vec::with_capacity(batch.len());
        for finish in batch {
            let found = one(
                &tx,
                "SELECT user_id, attempt, unsure FROM tasks \
                 WHERE id = $1 AND fence = $2 AND state = 'running'",
                [finish.task.0.into(), finish.fence.into()],
            )
            .await?;
            let Some(found) = found else {
                tracing::warn!(task = %finish.task, "the end of a stale claim is discarded");
                continue;
            };
            let attempt: i64 = found.try_get("", "attempt")?;
            let mut change = self.change(finish.ending, attempt, now, finish.worker);
            // A wait told nothing about an earlier call without an answer.
            change.unsure |= change.free && row::flag(&found, "unsure")?;
            let facts = apply(self, &tx, finish.task, "running", finish.fence, change, now).await?;
            let user = UserId(found.try_get("", "user_id")?);
            news.extend(facts.map(|facts| News { user, facts }));
        }
        tx.commit().await?;
        Ok(news)
    }

    fn change(&self, ending: Ending, attempt: i64, now: i64, worker: String) -> Change {
        let tried_by = Some(worker);
        match ending {
            Ending::Succeeded { outcome, follow_ups } => Change {
                outcome: Some(outcome),
                follow_ups,
                tried_by,
                ..Change::to(TaskState::Succeeded)
            },
            Ending::Failed { outcome } => {
                Change { outcome: Some(outcome), tried_by, ..Change::to(TaskState::Failed) }
            }
            Ending::NeedsPerson { outcome } => Change {
                outcome: Some(outcome),
                unsure: true,
                tried_by,
                ..Change::to(TaskState::NeedsPerson)
            },
            Ending::Retry { outcome, unsure } if attempt >= MAX_ATTEMPTS => Change {
                outcome: Some(outcome),
                unsure,
                tried_by,
                ..Change::to(if unsure { TaskState::NeedsPerson } else { TaskState::Failed })
            },
            Ending::Retry { outcome, unsure } => {
                let until = now + self.back_off(attempt);
                let reason = if unsure { WaitReason::Checking } else { WaitReason::Retry };
                Change {
                    waiting_for: Some(WaitingFor {
                        reason,
                        until: Some(until),
                        detail: Some(outcome.message.clone()),
                    }),
                    outcome: Some(outcome),
                    run_after: until,
                    unsure,
                    tried_by,
                    ..Change::to(TaskState::Queued)
                }
            }
            Ending::Wait { outcome, waiting_for, until, memo, quiet } => Change {
                outcome: Some(outcome),
                waiting_for: Some(waiting_for),
                run_after: until,
                memo,
                free: true,
                tried_by: tried_by.filter(|_| !quiet),
                ..Change::to(TaskState::Queued)
            },
        }
    }

    /// Takes back what lost workers held: leases that ran out, or with
    /// `everything` every running task (an embedded process that starts
    /// knows that nobody else runs). Costs no attempt; five in a row are
    /// poison.
    pub async fn reap(&self, everything: bool) -> Result<Vec<News>, Error> {
        let tx = self.begin().await?;
        let now = self.now_ms();
        let sql = format!(
            "SELECT id, user_id, fence, lost, lease_owner FROM tasks \
             WHERE state = 'running' AND lease_until <= $1 ORDER BY id LIMIT 1000{}",
            self.for_update()
        );
        let before = if everything { i64::MAX } else { now };
        let mut news = Vec::new();
        for found in all(&tx, &sql, [before.into()]).await? {
            let lost: i64 = found.try_get::<i64>("", "lost")? + 1;
            let outcome = Outcome {
                code: "worker_lost".into(),
                message: "The worker stopped in the middle of the call.".into(),
                reference: None,
            };
            let mut change = Change {
                outcome: Some(outcome),
                unsure: true,
                free: true,
                lost,
                run_after: now,
                tried_by: found.try_get("", "lease_owner")?,
                ..Change::to(TaskState::Queued)
            };
            if lost >= MAX_LOST {
                change.state = TaskState::Failed;
                change.outcome = Some(Outcome {
                    code: "poison".into(),
                    message: format!("{lost} workers in a row were lost while they ran this."),
                    reference: None,
                });
            } else {
                change.waiting_for = Some(WaitingFor {
                    reason: WaitReason::Checking,
                    until: None,
                    detail: Some("The worker was lost; the service is asked first.".into()),
                });
            }
            let task = TaskId(found.try_get("", "id")?);
            let fence = found.try_get("", "fence")?;
            let user = UserId(found.try_get("", "user_id")?);
            let facts = apply(self, &tx, task, "running", fence, change, now).await?;
            news.extend(facts.map(|facts| News { user, facts }));
        }
        tx.commit().await?;
        Ok(news)
    }
}

/// Applies `change` to a task that is in state `from` with that fence.
/// `None`: it is not, and nothing was written.
pub(super) async fn apply<C: ConnectionTrait>(
    store: &Store,
    tx: &C,
    id: TaskId,
    from: &'static str,
    fence: i64,
    mut change: Change,
    now: i64,
) -> Result<Option<Vec<Fact>>, Error> {
    let sql = format!(
        "SELECT job_id, user_id, attempt, started_at FROM tasks \
         WHERE id = $1 AND fence = $2 AND state = '{from}'{}",
        store.for_update()
    );
    let Some(before) = one(tx, &sql, [id.0.into(), fence.into()]).await? else {
        return Ok(None);
    };
    let job_id = JobId(before.try_get("", "job_id")?);
    let user = UserId(before.try_get("", "user_id")?);
    let attempt: i64 = before.try_get("", "attempt")?;
    let sql = format!("SELECT {} FROM jobs WHERE id = $1{}", row::JOB, store.for_update());
    let job = row::job(&one(tx, &sql, [job_id.0.into()]).await?.ok_or(Error::NotFound)?)?;
    if job.cancel_requested && change.state == TaskState::Queued {
        change.state = TaskState::Cancelled;
        change.waiting_for = None;
    }
    if let (Some(worker), Some(outcome)) = (&change.tried_by, &change.outcome) {
        let started: Option<i64> = before.try_get("", "started_at")?;
        execute(
            tx,
            "INSERT INTO attempts (task_id, fence, number, started_at, ended_at, worker, outcome) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            [
                id.0.into(),
                fence.into(),
                attempt.into(),
                started.unwrap_or(now).into(),
                now.into(),
                worker.as_str().into(),
                row::text("outcome", outcome)?.into(),
            ],
        )
        .await?;
    }
    let outcome = change.outcome.as_ref().map(|o| row::text("outcome", o)).transpose()?;
    let waiting = change.waiting_for.as_ref().map(|w| row::text("waiting_for", w)).transpose()?;
    let sql = format!(
        "UPDATE tasks SET state = $2, fence = fence + 1, published_at = NULL, lease_owner = NULL, \
         lease_until = NULL, outcome = COALESCE($3, outcome), waiting_for = $4, run_after = $5, \
         unsure = $6, memo = COALESCE($7, memo), attempt = $8, lost = $9, updated_at = $10 \
         WHERE id = $1 RETURNING {}",
        row::TASK
    );
    let given_back = i64::from(change.free && from == "running");
    let task = one(
        tx,
        &sql,
        [
            id.0.into(),
            change.state.as_str().into(),
            outcome.into(),
            waiting.into(),
            change.run_after.into(),
            i64::from(change.unsure).into(),
            change.memo.map(|memo| memo.to_string()).into(),
            (attempt - given_back).max(0).into(),
            change.lost.into(),
            now.into(),
        ],
    )
    .await?
    .ok_or(Error::NotFound)?;
    let task = row::task(&task)?;
    let created = follow_up(tx, &job, user, &task, change.follow_ups, now).await?;
    let job = settle(tx, &job, change.state, &created, now).await?;
    Ok(Some(journal::append(tx, user, now, drafts(task, created, job)).await?))
}

/// Inserts the follow-ups that are new and reads them back.
async fn follow_up<C: ConnectionTrait>(
    tx: &C,
    job: &Job,
    user: UserId,
    cause: &Task,
    follow_ups: Vec<NewTask>,
    now: i64,
) -> Result<Vec<Task>, Error> {
    let state = if job.cancel_requested { "cancelled" } else { "queued" };
    let mut created = Vec::new();
    for task in follow_ups {
        let id = cause.id.follow_up(task.kind, &task.key);
        let rows = [(id, Some(cause.id), task)];
        if insert_tasks(tx, job.id, user, now, state, &rows).await? == 1 {
            let sql = format!("SELECT {} FROM tasks WHERE id = $1", row::TASK);
            created.push(row::task(&one(tx, &sql, [id.0.into()]).await?.ok_or(Error::NotFound)?)?);
        }
    }
    Ok(created)
}

/// Counters, and the job's end once nothing is open.
async fn settle<C: ConnectionTrait>(
    tx: &C,
    before: &Job,
    state: TaskState,
    created: &[Task],
    now: i64,
) -> Result<Job, Error> {
    let mut counts = before.counts;
    for task in created {
        counts.total += 1;
        match task.state {
            TaskState::Cancelled => counts.cancelled += 1,
            _ => counts.open += 1,
        }
    }
    match state {
        TaskState::Queued | TaskState::Running => {}
        TaskState::Succeeded => counts.succeeded += 1,
        TaskState::Failed => counts.failed += 1,
        TaskState::Cancelled => counts.cancelled += 1,
        TaskState::NeedsPerson => counts.needs_person += 1,
    }
    counts.open -= u32::from(state.is_end());
    let mut job = Job { counts, ..before.clone() };
    if counts.open == 0 {
        job.state = counts.verdict(job.cancel_requested);
        job.finished_at = Some(now);
        job.paused = false;
    }
    save_job(tx, &job).await?;
    Ok(job)
}

pub(super) async fn save_job<C: ConnectionTrait>(tx: &C, job: &Job) -> Result<(), Error> {
    let c = &job.counts;
    execute(
        tx,
        "UPDATE jobs SET state = $2, paused = $3, cancel_requested = $4, total = $5, open = $6, \
         succeeded = $7, failed = $8, cancelled = $9, needs_person = $10, finished_at = $11 \
         WHERE id = $1",
        [
            job.id.0.into(),
            job.state.as_str().into(),
            i64::from(job.paused).into(),
            i64::from(job.cancel_requested).into(),
            i64::from(c.total).into(),
            i64::from(c.open).into(),
            i64::from(c.succeeded).into(),
            i64::from(c.failed).into(),
            i64::from(c.cancelled).into(),
            i64::from(c.needs_person).into(),
            job.finished_at.into(),
        ],
    )
    .await
    .map(|_| ())
}

fn drafts(task: Task, created: Vec<Task>, job: Job) -> Vec<Draft> {
    let kind = match task.state {
        TaskState::Queued | TaskState::Running => FactKind::TaskRequeued,
        TaskState::Succeeded => FactKind::TaskSucceeded,
        TaskState::Failed => FactKind::TaskFailed,
        TaskState::Cancelled => FactKind::TaskCancelled,
        TaskState::NeedsPerson => FactKind::TaskNeedsPerson,
    };
    let mut drafts = vec![of_task(kind, task, &job)];
    drafts.extend(created.into_iter().map(|task| of_task(FactKind::TaskCreated, task, &job)));
    if job.state != JobState::Running {
        let mut draft = Draft::of_job(FactKind::JobFinished, job.clone());
        draft.data.notification = Some(journal::finished(&job));
        drafts.push(draft);
    }
    drafts
}

fn of_task(kind: FactKind, task: Task, job: &Job) -> Draft {
    Draft {
        kind,
        job: Some(job.id),
        task: Some(task.id),
        data: FactData { job: Some(job.clone()), task: Some(task), ..FactData::default() },
    }
}
