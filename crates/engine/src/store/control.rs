//! What a person does to a job: cancel, pause, resume, retry, resolve.

use super::{
    Actor, Error, Store,
    apply::save_job,
    commit, execute, execute_on_all, job_queues,
    journal::{self, Draft},
    one, parts, persist, places, row,
};
use contract::{
    JobId, TaskId, UserId,
    api::{Job, Outcome, ResolveAs, RetryWhich},
    fact::{Fact, FactData, FactKind},
    state::{JobState, TaskState},
    text,
};
use sea_orm::{DatabaseTransaction, Value};

/// Rows of one statement; see `accept::ROWS`.
const ROWS: usize = 32;

/// What is asked of a whole job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    Cancel,
    Pause,
    Resume,
}

impl Store {
    /// Cancels, pauses or resumes; asking for what is so already changes
    /// nothing and is no error.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::SignedOut`]; [`Error::Conflict`] where the
    /// job has ended, or is being cancelled and can't be paused.
    pub async fn control(
        &self,
        actor: impl Into<Actor>,
        job: JobId,
        control: Control,
    ) -> Result<(Job, Vec<Fact>), Error> {
        let actor = actor.into();
        persist!(self.try_control(&actor, job, control))
    }

    async fn try_control(
        &self,
        actor: &Actor,
        job: JobId,
        control: Control,
    ) -> Result<(Job, Vec<Fact>), Error> {
        let tx = self.begin().await?;
        let now = self.now_ms();
        let mut job = self.own_job(&tx, actor.user, job).await?;
        let was_paused = job.paused;
        if job.state != JobState::Running {
            return Err(Error::Conflict("This job has ended already.".into()));
        }
        if job.cancel_requested && control != Control::Cancel {
            return Err(Error::Conflict("This job is being cancelled.".into()));
        }
        let draft = match control {
            Control::Cancel if job.cancel_requested => None,
            Control::Pause if job.paused => None,
            Control::Resume if !job.paused => None,
            Control::Cancel => {
                job.cancel_requested = true;
                job.paused = false;
                let count = cancel_queued(&tx, job.id, now).await?;
                job.counts.open -= count;
                job.counts.cancelled += count;
                let mut draft = Draft::of_job(FactKind::JobCancelling, job.clone());
                draft.data.count = Some(count);
                Some(draft)
            }
            Control::Pause => {
                job.paused = true;
                // What lies in a queue would hold places that others need.
                unpublish(&tx, job.id).await?;
                Some(Draft::of_job(FactKind::JobPaused, job.clone()))
            }
            Control::Resume => {
                job.paused = false;
                // What was published before the pause may have been refused.
                unpublish(&tx, job.id).await?;
                Some(Draft::of_job(FactKind::JobResumed, job.clone()))
            }
        };
        let Some(draft) = draft else {
            self.authorize(&tx, actor).await?;
            tx.rollback().await?;
            return Ok((job, Vec::new()));
        };
        let mut drafts = vec![draft];
        drafts.extend(end_if_nothing_is_open(&mut job, now));
        save_job(&tx, &job).await?;
        let counters = job_queues::recount(&tx, actor.user, &job, was_paused, now).await?;
        let facts = journal::append(&tx, actor.user, now, drafts).await?;
        job_queues::save_users(&tx, counters).await?;
        self.authorize(&tx, actor).await?;
        commit(tx).await?;
        Ok((job, facts))
    }

    /// Queues failed tasks again, with all their attempts, and reopens the
    /// job.
    ///
    /// # Errors
    /// [`Error::SignedOut`]; [`Error::Conflict`] while cancelling, or where nothing failed;
    /// [`Error::TooManyOpen`] where the user would have more open than a launch
    /// may bring them to.
    pub async fn retry(
        &self,
        actor: impl Into<Actor>,
        job: JobId,
        which: &RetryWhich,
    ) -> Result<(Job, Vec<Fact>), Error> {
        if let Some(channel) = &which.channel {
            text::CHANNEL.check(channel)?;
        }
        let actor = actor.into();
        persist!(self.try_retry(&actor, job, which))
    }

    async fn try_retry(
        &self,
        actor: &Actor,
        job: JobId,
        which: &RetryWhich,
    ) -> Result<(Job, Vec<Fact>), Error> {
        let tx = self.begin().await?;
        let now = self.now_ms();
        let mut job = self.own_job(&tx, actor.user, job).await?;
        if job.cancel_requested && job.state == JobState::Running {
            return Err(Error::Conflict("This job is being cancelled.".into()));
        }
        let count = u32::try_from(requeue_failed(&tx, job.id, which, now).await?);
        let count = count.unwrap_or(u32::MAX);
        if count == 0 {
            return Err(Error::Conflict("Nothing to retry: none of these failed.".into()));
        }
        self.check_reopened(&tx, actor.user, &job, count).await?;
        job.counts.failed -= count;
        job.counts.open += count;
        reopen(&mut job);
        save_job(&tx, &job).await?;
        let counters = job_queues::recount(&tx, actor.user, &job, job.paused, now).await?;
        let mut draft = Draft::of_job(FactKind::JobReopened, job.clone());
        draft.data.count = Some(count);
        let facts = journal::append(&tx, actor.user, now, vec![draft]).await?;
        job_queues::save_users(&tx, counters).await?;
        self.authorize(&tx, actor).await?;
        commit(tx).await?;
        Ok((job, facts))
    }

    /// A person's word about a task of which nobody can tell.
    ///
    /// # Errors
    /// [`Error::SignedOut`]; [`Error::Conflict`] unless the task needs a person, and for *again*
    /// while the job is being cancelled; [`Error::TooManyOpen`] as
    /// [`Store::retry`].
    pub async fn resolve(
        &self,
        actor: impl Into<Actor>,
        task: TaskId,
        how: ResolveAs,
    ) -> Result<(Job, Vec<Fact>), Error> {
        let actor = actor.into();
        persist!(self.try_resolve(&actor, task, how))
    }

    async fn try_resolve(
        &self,
        actor: &Actor,
        task: TaskId,
        how: ResolveAs,
    ) -> Result<(Job, Vec<Fact>), Error> {
        let tx = self.begin().await?;
        let now = self.now_ms();
        let sql = format!(
            "SELECT job_id, state FROM tasks WHERE id = $1 AND user_id = $2{}",
            self.for_update()
        );
        let owner =
            one(&tx, &sql, [task.0.into(), actor.user.0.into()]).await?.ok_or(Error::NotFound)?;
        if row::word::<TaskState>(&owner, "state")? != TaskState::NeedsPerson {
            return Err(Error::Conflict("This item does not wait for a decision.".into()));
        }
        let mut job = self.own_job(&tx, actor.user, JobId(owner.try_get("", "job_id")?)).await?;
        if how == ResolveAs::Again && job.cancel_requested && job.state == JobState::Running {
            return Err(Error::Conflict("This job is being cancelled.".into()));
        }
        job.counts.needs_person -= 1;
        let (state, outcome, kind) = match how {
            ResolveAs::Done => {
                job.counts.succeeded += 1;
                let outcome = Outcome {
                    code: "resolved_done".into(),
                    message: "A person checked it: it was done.".into(),
                    reference: None,
                };
                if job.counts.open == 0 {
                    job.state = job.counts.verdict(job.cancel_requested);
                }
                ("succeeded", Some(row::text("outcome", &outcome)?), FactKind::TaskSucceeded)
            }
            ResolveAs::Again => {
                self.check_reopened(&tx, actor.user, &job, 1).await?;
                job.counts.open += 1;
                reopen(&mut job);
                ("queued", None, FactKind::TaskRequeued)
            }
        };
        let sql = format!(
            "UPDATE tasks SET state = $2, attempt = 0, lost = 0, unsure = 0, fence = fence + 1, \
             published_at = NULL, run_after = $3, waiting_for = NULL, memo = NULL, outcome = $4, \
             updated_at = $3 WHERE id = $1 RETURNING {}",
            row::TASK
        );
        let changed =
            one(&tx, &sql, [task.0.into(), state.into(), now.into(), outcome.into()]).await?;
        let changed = row::task(&changed.ok_or(Error::NotFound)?)?;
        save_job(&tx, &job).await?;
        let counters = job_queues::recount(&tx, actor.user, &job, job.paused, now).await?;
        let draft = Draft {
            kind,
            job: Some(job.id),
            task: Some(task),
            data: FactData { job: Some(job.clone()), task: Some(changed), ..FactData::default() },
        };
        let facts = journal::append(&tx, actor.user, now, vec![draft]).await?;
        job_queues::save_users(&tx, counters).await?;
        self.authorize(&tx, actor).await?;
        commit(tx).await?;
        Ok((job, facts))
    }

    /// Counts items that are to be open again as a launch of as many would be.
    async fn check_reopened(
        &self,
        tx: &DatabaseTransaction,
        user: UserId,
        job: &Job,
        items: u32,
    ) -> Result<(), Error> {
        let jobs = i64::from(job.state != JobState::Running);
        self.check_open(tx, user, items.into(), jobs).await
    }

    async fn own_job(
        &self,
        tx: &DatabaseTransaction,
        user: UserId,
        job: JobId,
    ) -> Result<Job, Error> {
        let sql = format!(
            "SELECT {} FROM jobs WHERE id = $1 AND user_id = $2{}",
            row::JOB,
            self.for_update()
        );
        row::job(&one(tx, &sql, [job.0.into(), user.0.into()]).await?.ok_or(Error::NotFound)?)
    }
}

/// Queues what `which` says of the job's failed tasks again; how many it was.
async fn requeue_failed(
    c: &DatabaseTransaction,
    job: JobId,
    which: &RetryWhich,
    now: i64,
) -> Result<u64, Error> {
    let mut sql = String::from(
        "UPDATE tasks SET state = 'queued', attempt = 0, lost = 0, fence = fence + 1, \
         published_at = NULL, run_after = $2, waiting_for = NULL, memo = NULL, outcome = NULL, \
         updated_at = $2 WHERE job_id = $1 AND state = 'failed'",
    );
    let mut values: Vec<Value> = vec![job.0.into(), now.into()];
    if let Some(channel) = &which.channel {
        values.push(channel.as_str().into());
        sql.push_str(" AND channel = $3");
    }
    let Some(tasks) = &which.tasks else { return execute_on_all(c, &sql, values).await };
    let mut tasks: Vec<_> = tasks.iter().map(|task| task.0).collect();
    tasks.sort_unstable();
    tasks.dedup();
    let mut count = 0;
    for part in parts(&tasks, ROWS) {
        let sql = format!("{sql} AND id IN ({})", places(values.len() + 1, part.len()));
        let ids = part.iter().map(|id| Value::from(*id));
        count += execute(c, &sql, values.iter().cloned().chain(ids)).await?;
    }
    Ok(count)
}

/// Messages of the job that lie in a queue are stale from now on.
async fn unpublish(c: &DatabaseTransaction, job: JobId) -> Result<u64, Error> {
    execute_on_all(
        c,
        "UPDATE tasks SET published_at = NULL, fence = fence + 1 WHERE job_id = $1 \
         AND state = 'queued' AND published_at IS NOT NULL",
        [job.0.into()],
    )
    .await
}

async fn cancel_queued(c: &DatabaseTransaction, job: JobId, now: i64) -> Result<u32, Error> {
    let count = execute_on_all(
        c,
        "UPDATE tasks SET state = 'cancelled', fence = fence + 1, published_at = NULL, \
         waiting_for = NULL, updated_at = $2 WHERE job_id = $1 AND state = 'queued'",
        [job.0.into(), now.into()],
    )
    .await?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

fn reopen(job: &mut Job) {
    job.state = JobState::Running;
    job.cancel_requested = false;
    job.finished_at = None;
}

fn end_if_nothing_is_open(job: &mut Job, now: i64) -> Option<Draft> {
    if job.counts.open > 0 {
        return None;
    }
    job.state = job.counts.verdict(job.cancel_requested);
    job.finished_at = Some(now);
    let mut draft = Draft::of_job(FactKind::JobFinished, job.clone());
    draft.data.notification = Some(journal::finished(job));
    Some(draft)
}
