//! What admins do with failed commands of all users: edit and replay them.

use super::{
    Actor, Conflict, Error, NewAuditEntry, Tasks, UserFacts, commit, query_all, query_one,
    retry_on_contention,
    row::{self, FromRow, Row},
    row_set::{id_list, is_one_of},
    transition::{bulk, job::reopen_job, write},
};
use contract::{
    JobId, TaskId, UserId,
    api::{AuditAction, Job, RetryRequest},
    command::{StoredCommand, ValueChange, check_edit},
    fact::FactKind,
    state::{JobState, TaskState},
};
use sea_orm::DatabaseTransaction;
use serde_json::{Map, Value};

/// States of tasks that can be edited and replayed.
const FAILED_STATES: &[TaskState] = &[TaskState::Failed, TaskState::Rejected];
/// Number of changed values in an entry of the audit log.
const AUDITED_CHANGES: usize = 20;
/// Number of characters of a value in an entry of the audit log.
const AUDITED_LENGTH: usize = 100;

/// A task with what an edit depends on. Its row is locked.
struct EditedTask {
    state: TaskState,
    kind: String,
    version: u16,
    queue: String,
    key: String,
    body: Value,
    unknown_since: Option<i64>,
    has_begun: bool,
    revision: u32,
    edited_by: Option<String>,
}

impl FromRow for EditedTask {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            state: row.get("state")?,
            kind: row.get("kind")?,
            version: row.get("version")?,
            queue: row.get("queue")?,
            key: row.get("key")?,
            body: row.json("body")?,
            unknown_since: row.get("unknown_since")?,
            has_begun: row.get("has_begun")?,
            revision: row.get("revision")?,
            edited_by: row.get("edited_by")?,
        })
    }
}

impl Tasks {
    /// Replaces the body of a failed task's command by `edited`, which is JSON, on behalf of an
    /// admin, and returns whether it differs. `revision` is that of the body that the admin has
    /// seen.
    ///
    /// # Errors
    /// [`Error::Edit`] where the command can't have this body; [`Error::Conflict`] where somebody
    /// else has edited it meanwhile, where it runs again or has not failed, where it has done a part
    /// of its work, or where nobody knows whether it had its effect; [`Error::NotFound`] where
    /// there is no such task, or the actor is no admin; [`Error::SignedOut`].
    pub async fn edit_command(
        &self,
        actor: impl Into<Actor>,
        task: TaskId,
        revision: u32,
        edited: &str,
    ) -> Result<bool, Error> {
        let actor = actor.into();
        retry_on_contention!(self.try_edit_command(&actor, task, revision, edited))
    }

    async fn try_edit_command(
        &self,
        actor: &Actor,
        task: TaskId,
        revision: u32,
        edited: &str,
    ) -> Result<bool, Error> {
        let tx = self.db.begin().await?;
        let sql = format!(
            "SELECT state, kind, version, queue, key, body, unknown_since, has_begun, revision, \
             edited_by FROM tasks WHERE id = $1{}",
            self.db.for_update()
        );
        let found = query_one(&tx, &sql, [task.0.into()]).await?;
        self.db.authorize_operator(&tx, actor).await?;
        let stored = EditedTask::from_row(&found.ok_or(Error::NotFound)?)?;
        check_failed(stored.state)?;
        let edit = check_edit(
            StoredCommand {
                kind: &stored.kind,
                version: stored.version,
                queue: &stored.queue,
                key: &stored.key,
                body: &stored.body,
            },
            edited,
        )?;
        if edit.changes.is_empty() {
            return Ok(false);
        }
        if stored.revision != revision {
            return Err(edited_meanwhile(stored.edited_by));
        }
        if stored.unknown_since.is_some() {
            return Err(Error::Conflict(Conflict::EffectUnknown));
        }
        // An edited command has another idempotency key: it would launch another machine.
        if stored.has_begun {
            return Err(Error::Conflict(Conflict::EffectBegun));
        }
        write::replace_body(&tx, task, &edit, actor.user, self.db.now_ms()).await?;
        let entry = NewAuditEntry {
            before: Some(shortened(&edit.changes, |change| change.before.as_ref())),
            after: Some(shortened(&edit.changes, |change| change.after.as_ref())),
            ..NewAuditEntry::new(AuditAction::CommandEdited, task.to_string())
        };
        self.db.add_audit_entry(&tx, actor, entry).await?;
        commit(tx).await?;
        Ok(true)
    }

    /// Queues a failed or rejected task again, as [`replay_tasks`](Self::replay_tasks) does, unless
    /// its body has been edited since the admin has seen it with `revision`. Returns the facts of
    /// the owner.
    ///
    /// # Errors
    /// Same as [`replay_tasks`](Self::replay_tasks); [`Conflict::EditedMeanwhile`].
    pub async fn replay_task(
        &self,
        actor: impl Into<Actor>,
        task: TaskId,
        revision: u32,
    ) -> Result<UserFacts, Error> {
        let actor = actor.into();
        let sql = "SELECT job_id FROM tasks WHERE id = $1";
        let found = query_one(&self.db.reader, sql, [task.0.into()]).await?;
        let job = found.ok_or(Error::NotFound)?.get("job_id")?;
        let replayed =
            retry_on_contention!(self.try_replay_tasks(&actor, job, &[task], Some(revision)));
        replayed.map(|(_, facts)| facts)
    }

    /// Queues failed and rejected tasks of a job again on behalf of an admin, with all their
    /// attempts, as their owner does with a [retry](Self::retry_tasks). Tasks that have not
    /// failed, or no longer, are left out. Returns the number of queued tasks, and the facts of
    /// the owner.
    ///
    /// # Errors
    /// [`Error::Conflict`] where none of the tasks has failed, the job is being cancelled, or the
    /// owner would exceed the open limits; [`Error::NotFound`] where there is no such job, or the
    /// actor is no admin; [`Error::SignedOut`].
    pub async fn replay_tasks(
        &self,
        actor: impl Into<Actor>,
        job: JobId,
        tasks: &[TaskId],
    ) -> Result<(u32, UserFacts), Error> {
        let actor = actor.into();
        retry_on_contention!(self.try_replay_tasks(&actor, job, tasks, None))
    }

    async fn try_replay_tasks(
        &self,
        actor: &Actor,
        job: JobId,
        tasks: &[TaskId],
        seen_revision: Option<u32>,
    ) -> Result<(u32, UserFacts), Error> {
        let tx = self.db.begin().await?;
        let now = self.db.now_ms();
        let (owner, mut job) = self.lock_job_of_any(&tx, job).await?;
        if let Some(revision) = seen_revision {
            self.check_revision(&tx, tasks, revision).await?;
        }
        if job.cancel_requested && job.state == JobState::Running {
            return Err(Error::Conflict(Conflict::JobBeingCancelled));
        }
        let before = job.clone();
        let which = RetryRequest { tasks: Some(tasks.to_vec()), ..RetryRequest::default() };
        let count = bulk::requeue_ended_tasks(&tx, &mut job, &which, FAILED_STATES, now).await?;
        if count == 0 {
            return Err(self.why_nothing_failed(&tx, tasks).await?);
        }
        let limits = self.check_open_limits_for_reopened(&tx, owner, &before, count).await;
        limits.map_err(|error| match error {
            Error::TooManyOpen { .. } if owner != actor.user => {
                Error::Conflict(Conflict::OwnerAtLimit)
            }
            error => error,
        })?;
        reopen_job(&mut job);
        let report = (FactKind::JobReopened, Some(count));
        let facts = bulk::save_changed_job(&tx, owner, &before, &mut job, report, now).await?;
        self.db.authorize_operator(&tx, actor).await?;
        let subject = match tasks {
            [only] => only.to_string(),
            _ => job.id.to_string(),
        };
        let mut entry = NewAuditEntry {
            subject,
            ..NewAuditEntry::about_job(AuditAction::CommandReplayed, &job)
        };
        if let Some(Value::Object(after)) = &mut entry.after {
            after.insert("items".into(), count.into());
        }
        self.db.add_audit_entry(&tx, actor, entry).await?;
        commit(tx).await?;
        Ok((count, UserFacts { user: owner, facts }))
    }

    /// Locks `tasks`, and checks that nobody has edited them since `revision`.
    async fn check_revision(
        &self,
        tx: &DatabaseTransaction,
        tasks: &[TaskId],
        revision: u32,
    ) -> Result<(), Error> {
        let sql = format!(
            "SELECT revision, edited_by FROM tasks WHERE {} ORDER BY id{}",
            is_one_of(tx, "id", 1),
            self.db.for_update()
        );
        for found in query_all(tx, &sql, [id_list(tasks.iter().copied())]).await? {
            if found.get::<u32>("revision")? != revision {
                return Err(edited_meanwhile(found.get("edited_by")?));
            }
        }
        Ok(())
    }

    /// Returns the error that says why none of `tasks` can be replayed.
    async fn why_nothing_failed(
        &self,
        tx: &DatabaseTransaction,
        tasks: &[TaskId],
    ) -> Result<Error, Error> {
        let sql = format!("SELECT state FROM tasks WHERE {}", is_one_of(tx, "id", 1));
        let first = tasks.iter().take(1).copied();
        let found = query_all(tx, &sql, [id_list(first)]).await?;
        let Some(found) = found.first() else { return Ok(Error::NotFound) };
        Ok(match check_failed(found.get("state")?) {
            Err(error) => error,
            // It belongs to another job.
            Ok(()) => Error::NotFound,
        })
    }

    async fn lock_job_of_any(
        &self,
        tx: &DatabaseTransaction,
        job: JobId,
    ) -> Result<(UserId, Job), Error> {
        let sql =
            format!("SELECT {} FROM jobs WHERE id = $1{}", row::JOB_COLUMNS, self.db.for_update());
        let found = query_one(tx, &sql, [job.0.into()]).await?.ok_or(Error::NotFound)?;
        Ok((found.get("user_id")?, Job::from_row(&found)?))
    }
}

fn edited_meanwhile(by: Option<String>) -> Error {
    let by = by.unwrap_or_else(|| "Somebody".into());
    Error::Conflict(Conflict::EditedMeanwhile { by })
}

/// Checks that a task has failed, so that it can be edited and replayed.
fn check_failed(state: TaskState) -> Result<(), Error> {
    match state {
        TaskState::Failed | TaskState::Rejected => Ok(()),
        TaskState::Queued | TaskState::Running => Err(Error::Conflict(Conflict::RunsAgain)),
        TaskState::Succeeded | TaskState::Cancelled | TaskState::NeedsReview => {
            Err(Error::Conflict(Conflict::NotFailed))
        }
    }
}

/// Returns the start of each changed value by its pointer, for the audit log; of values beyond
/// [`AUDITED_CHANGES`], their number.
fn shortened<'c>(
    changes: &'c [ValueChange],
    value: impl Fn(&'c ValueChange) -> Option<&'c Value>,
) -> Value {
    let start = |value: &Value| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match text.char_indices().nth(AUDITED_LENGTH) {
            Some((end, _)) => format!("{} …", text.get(..end).unwrap_or_default()),
            None => text,
        }
    };
    let values = changes.iter().take(AUDITED_CHANGES).map(|change| {
        (change.pointer.clone(), value(change).map_or(Value::Null, |it| start(it).into()))
    });
    let mut values: Map<_, _> = values.collect();
    if let Some(more) = changes.len().checked_sub(AUDITED_CHANGES).filter(|more| *more > 0) {
        values.insert("…".into(), format!("{more} more").into());
    }
    Value::Object(values)
}
