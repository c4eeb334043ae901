//! Actions of a user on a job: cancel, pause, resume, retry, resolve.

use super::{
    Actor, Conflict, Error, NewAuditEntry, Tasks, commit, query_one, retry_on_contention,
    row::{self, FromRow},
    transition::{self, LockedTask, Transition, bulk, job::reopen_job},
};
use contract::{
    JobId, TaskId, UserId,
    api::{AuditAction, Job, Outcome, Resolution, RetryRequest},
    fact::{Fact, FactKind},
    state::{JobState, TaskState},
    text,
};
use sea_orm::DatabaseTransaction;
use serde_json::{Value, json};

/// Action on a whole job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobControl {
    /// Cancels all queued tasks that can't have had an effect. Running ones finish, and those that
    /// may have had an effect are reconciled.
    Cancel,
    /// Stops the publication and claims of its tasks.
    Pause,
    /// Ends a pause.
    Resume,
}

impl JobControl {
    const fn audit_action(self) -> AuditAction {
        match self {
            Self::Cancel => AuditAction::JobCancelled,
            Self::Pause => AuditAction::JobPaused,
            Self::Resume => AuditAction::JobResumed,
        }
    }
}

impl Tasks {
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
        let tx = self.db.begin().await?;
        let now = self.db.now_ms();
        let mut job = self.lock_own_job(&tx, actor.user, job).await?;
        let before = job.clone();
        if job.state != JobState::Running {
            return Err(Error::Conflict(Conflict::JobEnded));
        }
        if job.cancel_requested && control != JobControl::Cancel {
            return Err(Error::Conflict(Conflict::JobBeingCancelled));
        }
        let report = match control {
            JobControl::Cancel if job.cancel_requested => None,
            JobControl::Pause if job.paused => None,
            JobControl::Resume if !job.paused => None,
            JobControl::Cancel => {
                job.cancel_requested = true;
                job.paused = false;
                let count = bulk::cancel_queued_tasks(&tx, &mut job, now).await?;
                Some((FactKind::JobCancelling, Some(count)))
            }
            JobControl::Pause => {
                job.paused = true;
                // Messages in a queue would occupy the window that other jobs need.
                bulk::unpublish_job_tasks(&tx, &job).await?;
                Some((FactKind::JobPaused, None))
            }
            JobControl::Resume => {
                job.paused = false;
                // A relay may still have marked tasks as published after the pause, and workers
                // discard the deliveries of a paused job: publish all tasks again.
                bulk::unpublish_job_tasks(&tx, &job).await?;
                Some((FactKind::JobResumed, None))
            }
        };
        let Some(report) = report else {
            self.db.authorize(&tx, actor).await?;
            tx.rollback().await?;
            return Ok((job, Vec::new()));
        };
        let facts = bulk::save_changed_job(&tx, actor.user, &before, &mut job, report, now).await?;
        self.db.authorize(&tx, actor).await?;
        let entry = NewAuditEntry::about_job(control.audit_action(), &job);
        self.db.add_audit_entry(&tx, actor, entry).await?;
        commit(tx).await?;
        Ok((job, facts))
    }

    /// Queues tasks again that have ended without success, with all their attempts, and
    /// reopens the job: all failed or all cancelled ones, or the failed, rejected and
    /// cancelled ones that `which` names.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::SignedOut`]; [`Error::Text`];
    /// [`Error::Conflict`] while the job is being cancelled, or where there is no such
    /// task; [`Error::TooManyOpen`] where the user would exceed the open limits,
    /// as with a new job.
    pub async fn retry_tasks(
        &self,
        actor: impl Into<Actor>,
        job: JobId,
        which: &RetryRequest,
    ) -> Result<(Job, Vec<Fact>), Error> {
        if let Some(channel) = &which.channel {
            text::CHANNEL.check(channel)?;
        }
        let actor = actor.into();
        retry_on_contention!(self.try_retry_tasks(&actor, job, which))
    }

    async fn try_retry_tasks(
        &self,
        actor: &Actor,
        job: JobId,
        which: &RetryRequest,
    ) -> Result<(Job, Vec<Fact>), Error> {
        let tx = self.db.begin().await?;
        let now = self.db.now_ms();
        let mut job = self.lock_own_job(&tx, actor.user, job).await?;
        if job.cancel_requested && job.state == JobState::Running {
            return Err(Error::Conflict(Conflict::JobBeingCancelled));
        }
        let before = job.clone();
        let states = bulk::retried_states(which);
        let count = bulk::requeue_ended_tasks(&tx, &mut job, which, states, now).await?;
        if count == 0 {
            return Err(Error::Conflict(Conflict::NothingToRetry));
        }
        self.check_open_limits_for_reopened(&tx, actor.user, &before, count).await?;
        reopen_job(&mut job);
        let report = (FactKind::JobReopened, Some(count));
        let facts = bulk::save_changed_job(&tx, actor.user, &before, &mut job, report, now).await?;
        self.db.authorize(&tx, actor).await?;
        let mut entry = NewAuditEntry::about_job(AuditAction::JobRetried, &job);
        if let Some(Value::Object(after)) = &mut entry.after {
            after.insert("items".into(), count.into());
        }
        self.db.add_audit_entry(&tx, actor, entry).await?;
        commit(tx).await?;
        Ok((job, facts))
    }

    /// Applies a person's decision about a task whose outcome nothing can
    /// determine.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::SignedOut`]; [`Error::Conflict`] unless the
    /// task needs review, and for a retry while the job is being cancelled;
    /// [`Error::TooManyOpen`] as in [`Tasks::retry_tasks`].
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
        let tx = self.db.begin().await?;
        let now = self.db.now_ms();
        let sql = format!(
            "SELECT {} FROM tasks WHERE id = $1 AND user_id = $2{}",
            transition::LOCKED_TASK_COLUMNS,
            self.db.for_update()
        );
        let found = query_one(&tx, &sql, [task.0.into(), actor.user.0.into()]).await?;
        let locked = LockedTask::from_row(&found.ok_or(Error::NotFound)?)?;
        if locked.state != TaskState::NeedsReview {
            return Err(Error::Conflict(Conflict::NoReviewNeeded));
        }
        let job = self.lock_own_job(&tx, actor.user, locked.job).await?;
        let next = match resolution {
            Resolution::Succeeded => Transition {
                outcome: Some(Outcome {
                    code: "resolved_done".into(),
                    message: "A person checked it was done.".into(),
                    reference: None,
                }),
                starts_over: true,
                run_after: now,
                ..Transition::to(TaskState::Succeeded)
            },
            Resolution::Retry if job.cancel_requested && job.state == JobState::Running => {
                return Err(Error::Conflict(Conflict::JobBeingCancelled));
            }
            Resolution::Retry => {
                self.check_open_limits_for_reopened(&tx, actor.user, &job, 1).await?;
                Transition {
                    starts_over: true,
                    run_after: now,
                    ..Transition::to(TaskState::Queued)
                }
            }
        };
        let facts = transition::apply_transitions(&self.db, &tx, vec![(locked, next)], now).await?;
        let job = self.lock_own_job(&tx, actor.user, job.id).await?;
        self.db.authorize(&tx, actor).await?;
        let entry = NewAuditEntry {
            after: Some(json!(resolution)),
            ..NewAuditEntry::new(AuditAction::TaskResolved, task.to_string())
        };
        self.db.add_audit_entry(&tx, actor, entry).await?;
        commit(tx).await?;
        Ok((job, facts.into_iter().flat_map(|user| user.facts).collect()))
    }

    /// Counts reopened items against the limits as a new job of as many would.
    pub(super) async fn check_open_limits_for_reopened(
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
            self.db.for_update()
        );
        Job::from_row(
            &query_one(tx, &sql, [job.0.into(), user.0.into()]).await?.ok_or(Error::NotFound)?,
        )
    }
}
