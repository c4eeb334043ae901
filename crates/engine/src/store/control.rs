//! Actions of a user on a job: cancel, pause, resume, retry, resolve.

use super::{
    Actor, Conflict, Error, Store, commit, execute, execute_bulk, job_queues,
    journal::{self, FactDraft},
    placeholders, power_of_two_chunks, query_one, retry_on_contention, row,
    transition::save_job,
};
use contract::{
    JobId, TaskId, UserId,
    api::{Job, Outcome, Resolution, RetryRequest},
    fact::{Fact, FactData, FactKind},
    state::{JobState, TaskState},
    text,
};
use sea_orm::{DatabaseTransaction, Value};

/// Maximum number of rows of one statement; see `accept::MAX_ROWS_PER_STATEMENT`.
const MAX_ROWS_PER_STATEMENT: usize = 32;

/// Action on a whole job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobControl {
    /// Cancels all queued tasks; running ones finish.
    Cancel,
    /// Stops the publication and claims of its tasks.
    Pause,
    /// Ends a pause.
    Resume,
}

impl Store {
    /// Cancels, pauses or resumes a job. A request for a state that the job already
    /// has changes nothing and is no error.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::SignedOut`]; [`Error::Conflict`] where the job
    /// has ended, or is being cancelled and can't be paused or resumed.
    pub async fn control_job(
        &self,
        actor: impl Into<Actor>,
        job: JobId,
        control: JobControl,
    ) -> Result<(Job, Vec<Fact>), Error> {
        let actor = actor.into();
        retry_on_contention!(self.try_control_job(&actor, job, control))
    }

    async fn try_control_job(
        &self,
        actor: &Actor,
        job: JobId,
        control: JobControl,
    ) -> Result<(Job, Vec<Fact>), Error> {
        let tx = self.begin().await?;
        let now = self.now_ms();
        let mut job = self.lock_own_job(&tx, actor.user, job).await?;
        let was_paused = job.paused;
        if job.state != JobState::Running {
            return Err(Error::Conflict(Conflict::JobEnded));
        }
        if job.cancel_requested && control != JobControl::Cancel {
            return Err(Error::Conflict(Conflict::JobBeingCancelled));
        }
        let draft = match control {
            JobControl::Cancel if job.cancel_requested => None,
            JobControl::Pause if job.paused => None,
            JobControl::Resume if !job.paused => None,
            JobControl::Cancel => {
                job.cancel_requested = true;
                job.paused = false;
                let count = cancel_queued_tasks(&tx, job.id, now).await?;
                job.counts.open -= count;
                job.counts.cancelled += count;
                let mut draft = FactDraft::for_job(FactKind::JobCancelling, job.clone());
                draft.data.count = Some(count);
                Some(draft)
            }
            JobControl::Pause => {
                job.paused = true;
                // Messages in a queue would occupy the window that other jobs need.
                unpublish_job_tasks(&tx, job.id).await?;
                Some(FactDraft::for_job(FactKind::JobPaused, job.clone()))
            }
            JobControl::Resume => {
                job.paused = false;
                // A relay may still have marked tasks as published after the pause, and workers
                // discard the deliveries of a paused job: publish all tasks again.
                unpublish_job_tasks(&tx, job.id).await?;
                Some(FactDraft::for_job(FactKind::JobResumed, job.clone()))
            }
        };
        let Some(draft) = draft else {
            self.authorize(&tx, actor).await?;
            tx.rollback().await?;
            return Ok((job, Vec::new()));
        };
        let mut drafts = vec![draft];
        drafts.extend(finish_job_if_nothing_is_open(&mut job, now));
        save_job(&tx, &job).await?;
        let counters = job_queues::recount_job(&tx, actor.user, &job, was_paused, now).await?;
        let facts = journal::append_facts(&tx, actor.user, now, drafts).await?;
        job_queues::save_user_queues(&tx, counters).await?;
        self.authorize(&tx, actor).await?;
        commit(tx).await?;
        Ok((job, facts))
    }

    /// Queues failed tasks again, with all their attempts, and reopens the job.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::SignedOut`]; [`Error::Text`];
    /// [`Error::Conflict`] while the job is being cancelled, or where no task
    /// failed; [`Error::TooManyOpen`] where the user would exceed the open limits,
    /// as with a new job.
    pub async fn retry_failed_tasks(
        &self,
        actor: impl Into<Actor>,
        job: JobId,
        which: &RetryRequest,
    ) -> Result<(Job, Vec<Fact>), Error> {
        if let Some(channel) = &which.channel {
            text::CHANNEL.check(channel)?;
        }
        let actor = actor.into();
        retry_on_contention!(self.try_retry_failed_tasks(&actor, job, which))
    }

    async fn try_retry_failed_tasks(
        &self,
        actor: &Actor,
        job: JobId,
        which: &RetryRequest,
    ) -> Result<(Job, Vec<Fact>), Error> {
        let tx = self.begin().await?;
        let now = self.now_ms();
        let mut job = self.lock_own_job(&tx, actor.user, job).await?;
        if job.cancel_requested && job.state == JobState::Running {
            return Err(Error::Conflict(Conflict::JobBeingCancelled));
        }
        let count = u32::try_from(requeue_failed_tasks(&tx, job.id, which, now).await?);
        let count = count.unwrap_or(u32::MAX);
        if count == 0 {
            return Err(Error::Conflict(Conflict::NothingFailed));
        }
        self.check_open_limits_for_reopened(&tx, actor.user, &job, count).await?;
        job.counts.failed -= count;
        job.counts.open += count;
        reopen_job(&mut job);
        save_job(&tx, &job).await?;
        let counters = job_queues::recount_job(&tx, actor.user, &job, job.paused, now).await?;
        let mut draft = FactDraft::for_job(FactKind::JobReopened, job.clone());
        draft.data.count = Some(count);
        let facts = journal::append_facts(&tx, actor.user, now, vec![draft]).await?;
        job_queues::save_user_queues(&tx, counters).await?;
        self.authorize(&tx, actor).await?;
        commit(tx).await?;
        Ok((job, facts))
    }

    /// Applies a person's decision about a task whose outcome nothing can
    /// determine.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::SignedOut`]; [`Error::Conflict`] unless the
    /// task needs review, and for a retry while the job is being cancelled;
    /// [`Error::TooManyOpen`] as in [`Store::retry_failed_tasks`].
    pub async fn resolve_task(
        &self,
        actor: impl Into<Actor>,
        task: TaskId,
        resolution: Resolution,
    ) -> Result<(Job, Vec<Fact>), Error> {
        let actor = actor.into();
        retry_on_contention!(self.try_resolve_task(&actor, task, resolution))
    }

    async fn try_resolve_task(
        &self,
        actor: &Actor,
        task: TaskId,
        resolution: Resolution,
    ) -> Result<(Job, Vec<Fact>), Error> {
        let tx = self.begin().await?;
        let now = self.now_ms();
        let sql = format!(
            "SELECT job_id, state FROM tasks WHERE id = $1 AND user_id = $2{}",
            self.for_update()
        );
        let found = query_one(&tx, &sql, [task.0.into(), actor.user.0.into()])
            .await?
            .ok_or(Error::NotFound)?;
        if row::parsed::<TaskState>(&found, "state")? != TaskState::NeedsReview {
            return Err(Error::Conflict(Conflict::NoReviewNeeded));
        }
        let mut job =
            self.lock_own_job(&tx, actor.user, JobId(found.try_get("", "job_id")?)).await?;
        if resolution == Resolution::Retry && job.cancel_requested && job.state == JobState::Running
        {
            return Err(Error::Conflict(Conflict::JobBeingCancelled));
        }
        job.counts.needs_review -= 1;
        let (state, outcome, kind) = match resolution {
            Resolution::Succeeded => {
                job.counts.succeeded += 1;
                let outcome = Outcome {
                    code: "resolved_done".into(),
                    message: "A person checked it was done.".into(),
                    reference: None,
                };
                if job.counts.open == 0 {
                    job.state = job.counts.final_state(job.cancel_requested);
                }
                (
                    "succeeded",
                    Some(row::to_json_text("outcome", &outcome)?),
                    FactKind::TaskSucceeded,
                )
            }
            Resolution::Retry => {
                self.check_open_limits_for_reopened(&tx, actor.user, &job, 1).await?;
                job.counts.open += 1;
                reopen_job(&mut job);
                ("queued", None, FactKind::TaskRequeued)
            }
        };
        let sql = format!(
            "UPDATE tasks SET state = $2, attempt = 0, lease_losses = 0, outcome_unknown = 0, \
             fence = fence + 1, published_at = NULL, run_after = $3, waiting_for = NULL, \
             checkpoint = NULL, outcome = $4, updated_at = $3 WHERE id = $1 RETURNING {}",
            row::TASK_COLUMNS
        );
        let updated =
            query_one(&tx, &sql, [task.0.into(), state.into(), now.into(), outcome.into()]).await?;
        let updated = row::task(&updated.ok_or(Error::NotFound)?)?;
        save_job(&tx, &job).await?;
        let counters = job_queues::recount_job(&tx, actor.user, &job, job.paused, now).await?;
        let draft = FactDraft {
            kind,
            job: Some(job.id),
            task: Some(task),
            data: FactData { job: Some(job.clone()), task: Some(updated), ..FactData::default() },
        };
        let facts = journal::append_facts(&tx, actor.user, now, vec![draft]).await?;
        job_queues::save_user_queues(&tx, counters).await?;
        self.authorize(&tx, actor).await?;
        commit(tx).await?;
        Ok((job, facts))
    }

    /// Counts reopened items against the limits as a new job of as many would.
    async fn check_open_limits_for_reopened(
        &self,
        tx: &DatabaseTransaction,
        user: UserId,
        job: &Job,
        items: u32,
    ) -> Result<(), Error> {
        let jobs = i64::from(job.state != JobState::Running);
        self.check_open_limits(tx, user, items.into(), jobs).await
    }

    async fn lock_own_job(
        &self,
        tx: &DatabaseTransaction,
        user: UserId,
        job: JobId,
    ) -> Result<Job, Error> {
        let sql = format!(
            "SELECT {} FROM jobs WHERE id = $1 AND user_id = $2{}",
            row::JOB_COLUMNS,
            self.for_update()
        );
        row::job(&query_one(tx, &sql, [job.0.into(), user.0.into()]).await?.ok_or(Error::NotFound)?)
    }
}

/// Queues those of the job's failed tasks again that `which` selects, and returns
/// their number.
async fn requeue_failed_tasks(
    c: &DatabaseTransaction,
    job: JobId,
    which: &RetryRequest,
    now: i64,
) -> Result<u64, Error> {
    let mut sql = String::from(
        "UPDATE tasks SET state = 'queued', attempt = 0, lease_losses = 0, fence = fence + 1, \
         published_at = NULL, run_after = $2, waiting_for = NULL, checkpoint = NULL, outcome = NULL, \
         updated_at = $2 WHERE job_id = $1 AND state = 'failed'",
    );
    let mut values: Vec<Value> = vec![job.0.into(), now.into()];
    if let Some(channel) = &which.channel {
        values.push(channel.as_str().into());
        sql.push_str(" AND channel = $3");
    }
    let Some(tasks) = &which.tasks else { return execute_bulk(c, &sql, values).await };
    let mut tasks: Vec<_> = tasks.iter().map(|task| task.0).collect();
    tasks.sort_unstable();
    tasks.dedup();
    let mut count = 0;
    for part in power_of_two_chunks(&tasks, MAX_ROWS_PER_STATEMENT) {
        let sql = format!("{sql} AND id IN ({})", placeholders(values.len() + 1, part.len()));
        let ids = part.iter().map(|id| Value::from(*id));
        count += execute(c, &sql, values.iter().cloned().chain(ids)).await?;
    }
    Ok(count)
}

/// Makes all messages of the job that are in a queue stale.
async fn unpublish_job_tasks(c: &DatabaseTransaction, job: JobId) -> Result<u64, Error> {
    execute_bulk(
        c,
        "UPDATE tasks SET published_at = NULL, fence = fence + 1 WHERE job_id = $1 \
         AND state = 'queued' AND published_at IS NOT NULL",
        [job.0.into()],
    )
    .await
}

async fn cancel_queued_tasks(c: &DatabaseTransaction, job: JobId, now: i64) -> Result<u32, Error> {
    let count = execute_bulk(
        c,
        "UPDATE tasks SET state = 'cancelled', fence = fence + 1, published_at = NULL, \
         waiting_for = NULL, updated_at = $2 WHERE job_id = $1 AND state = 'queued'",
        [job.0.into(), now.into()],
    )
    .await?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

fn reopen_job(job: &mut Job) {
    job.state = JobState::Running;
    job.cancel_requested = false;
    job.finished_at = None;
}

fn finish_job_if_nothing_is_open(job: &mut Job, now: i64) -> Option<FactDraft> {
    if job.counts.open > 0 {
        return None;
    }
    job.state = job.counts.final_state(job.cancel_requested);
    job.finished_at = Some(now);
    let mut draft = FactDraft::for_job(FactKind::JobFinished, job.clone());
    draft.data.notification = Some(journal::job_finished_notification(job));
    Some(draft)
}
