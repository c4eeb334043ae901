//! Accepting a job. The job, its tasks and a journal fact are stored in one commit;
//! the server then answers 202.

use super::{
    Actor, Error, NewAuditEntry, Tasks, UploadedFile, commit, execute,
    job_queues::{self, JobQueueChanges},
    journal::{self, FactDraft},
    left_out, query_one, retry_on_contention,
    row::{self, FromRow},
    row_set::optional_json_text,
    transition::write::{self, NewTaskRow},
};
use crate::trace;
use contract::{
    JobId, TaskId, UserId,
    api::{AuditAction, Job},
    command::Command,
    fact::{Fact, FactKind},
    state::{Counts, JobKind, JobState, TaskState},
    text::{self, TextError},
};
use sea_orm::ConnectionTrait;
use std::fmt;

/// A task to be inserted.
#[derive(Clone, Debug, PartialEq)]
pub struct NewTask {
    /// Kind of its command, such as `product.upload`.
    pub kind: &'static str,
    /// Version of its command.
    pub version: u16,
    /// Queue of the broker that it is published to.
    pub queue: String,
    /// Key of what it is about. Kind and key are the lock key, of which at most one task runs at
    /// a time.
    pub key: String,
    /// Sales channel, where it has one.
    pub channel: Option<String>,
    /// SKU or instance id, which people see.
    pub sku: String,
    /// Title that people see.
    pub title: String,
    /// Row of the grid, from 0.
    pub row: u32,
    /// The command as JSON.
    pub body: String,
}

impl NewTask {
    /// Creates a task from a command; people see `sku` and `title`.
    ///
    /// # Errors
    /// The command can't be serialized.
    pub fn new<C: Command>(
        command: &C,
        channel: Option<String>,
        sku: String,
        title: String,
        row: u32,
    ) -> Result<Self, serde_json::Error> {
        Ok(Self {
            kind: C::KIND,
            version: C::VERSION,
            queue: command.queue(),
            key: command.key(),
            channel,
            sku,
            title,
            row,
            body: serde_json::to_string(command)?,
        })
    }
}

/// Maximum of what one user may have open at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenLimits {
    /// Maximum number of open tasks.
    pub tasks: i64,
    /// Maximum number of open jobs.
    pub jobs: i64,
}

/// What [`OpenLimits`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenKind {
    /// Tasks, which pages call items.
    Items,
    /// Jobs.
    Jobs,
}

impl fmt::Display for OpenKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Items => "items",
            Self::Jobs => "jobs",
        })
    }
}

/// A job to be accepted.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// The user who starts it.
    pub actor: Actor,
    /// Kind of the job.
    pub kind: JobKind,
    /// Title that people see.
    pub title: String,
    /// Ids of its sales channels, in the order of the grid's columns.
    pub channels: Vec<String>,
    /// Its first tasks.
    pub tasks: Vec<NewTask>,
    /// The uploaded file that they come from.
    pub file: Option<UploadedFile>,
    /// The client's idempotency key, and a hash of the request that came with it.
    pub idempotency: Option<(String, String)>,
}

impl NewJob {
    /// Checks the texts that go into every fact and message.
    ///
    /// # Errors
    /// The first text that is too long or contains a control character.
    fn check_texts(&self) -> Result<(), TextError> {
        text::TITLE.check(&self.title)?;
        if let Some((key, _)) = &self.idempotency {
            text::IDEMPOTENCY_KEY.check(key)?;
        }
        for task in &self.tasks {
            text::SKU.check(&task.sku)?;
            text::TITLE.check(&task.title)?;
        }
        Ok(())
    }
}

/// The job, and the facts to publish. Without facts, the job was accepted before,
/// under the same key.
#[derive(Clone, Debug)]
pub struct AcceptedJob {
    /// The stored job.
    pub job: Job,
    /// Facts of the commit.
    pub facts: Vec<Fact>,
}

/// How long an idempotency key is stored, in milliseconds.
pub(super) const IDEMPOTENCY_KEY_LIFETIME_MS: i64 = 24 * 3_600_000;

impl Tasks {
    /// Stores the job with all its tasks, or returns the job that was accepted
    /// under the same key within the last 24 h.
    ///
    /// # Errors
    /// [`Error::Text`], [`Error::KeyReused`], [`Error::TooManyOpen`],
    /// [`Error::SignedOut`], [`Error::Database`]: nothing was stored.
    /// [`Error::CommitUnknown`]: it may have been.
    pub async fn accept(&self, mut new_job: NewJob) -> Result<AcceptedJob, Error> {
        new_job.check_texts()?;
        let tasks = std::mem::take(&mut new_job.tasks);
        let job = JobId(self.db.new_id());
        let traceparent = trace::current_traceparent();
        let new_row = |task| NewTaskRow {
            id: TaskId(self.db.new_id()),
            job,
            user: new_job.actor.user,
            cause: None,
            state: TaskState::Queued,
            traceparent: traceparent.clone(),
            task,
        };
        let tasks: Vec<_> = tasks.into_iter().map(new_row).collect();
        // A transaction that stores many tasks blocks the next one of the same
        // user.
        retry_on_contention!(self.try_accept(&new_job, job, &tasks))
    }

    async fn try_accept(
        &self,
        new_job: &NewJob,
        id: JobId,
        tasks: &[NewTaskRow],
    ) -> Result<AcceptedJob, Error> {
        let tx = self.db.begin().await?;
        let now = self.db.now_ms();
        let user = new_job.actor.user;
        if let Some((name, hash)) = &new_job.idempotency
            && let Some(first) = claim_idempotency_key(&tx, user, name, hash, id, now).await?
        {
            let sql = format!("SELECT {} FROM jobs WHERE id = $1", row::JOB_COLUMNS);
            let first = query_one(&tx, &sql, [first.0.into()]).await?.ok_or(Error::NotFound)?;
            let job = Job::from_row(&first)?;
            self.db.authorize(&tx, &new_job.actor).await?;
            tx.rollback().await?;
            return Ok(AcceptedJob { job, facts: Vec::new() });
        }
        let total = i64::try_from(tasks.len()).unwrap_or(i64::MAX);
        self.check_open_limits(&tx, user, total, 1).await?;
        let job = Job {
            id,
            kind: new_job.kind,
            title: new_job.title.clone(),
            state: JobState::Running,
            paused: false,
            cancel_requested: false,
            counts: Counts {
                total: u32::try_from(total).unwrap_or(u32::MAX),
                open: u32::try_from(total).unwrap_or(u32::MAX),
                ..Counts::default()
            },
            channels: new_job.channels.clone(),
            file_rows: new_job.file.as_ref().map_or(0, |file| file.row_count),
            left_out: new_job.file.as_ref().map_or(0, UploadedFile::left_out_count),
            created_at: now,
            finished_at: None,
            eta_ms: None,
            eta_min_ms: None,
            eta_max_ms: None,
        };
        execute(
            &tx,
            "INSERT INTO jobs (id, user_id, kind, title, channels, state, total, open, created_at, \
             file_rows, left_out, file_header) \
             VALUES ($1, $2, $3, $4, $5, 'running', $6, $6, $7, $8, $9, $10)",
            [
                id.0.into(),
                user.0.into(),
                job.kind.as_str().into(),
                job.title.as_str().into(),
                row::to_json_text("channels", &job.channels)?.into(),
                total.into(),
                now.into(),
                i64::from(job.file_rows).into(),
                i64::from(job.left_out).into(),
                optional_json_text("header", new_job.file.as_ref().map(|file| &file.header))?
                    .into(),
            ],
        )
        .await?;
        if let Some(file) = &new_job.file {
            left_out::insert_left_out_rows(&tx, id, &file.left_out).await?;
        }
        write::insert_tasks(&tx, tasks, now).await?;
        let mut queues = JobQueueChanges::new();
        for NewTaskRow { task, .. } in tasks {
            let queue = queues.entry((id, task.queue.clone())).or_default();
            queue.add(user, task.channel.as_ref(), false, 1);
            queue.lower_ready_at(now);
        }
        let counters = job_queues::save_job_queues(&tx, &queues, now).await?;
        let draft = FactDraft::for_job(FactKind::JobAccepted, job.clone());
        let facts = journal::append_facts(&tx, user, now, vec![draft]).await?;
        job_queues::save_user_queues(&tx, counters).await?;
        self.db.authorize(&tx, &new_job.actor).await?;
        let entry = NewAuditEntry::about_job(AuditAction::JobLaunched, &job);
        self.db.add_audit_entry(&tx, &new_job.actor, entry).await?;
        commit(tx).await?;
        Ok(AcceptedJob { job, facts })
    }

    /// Checks that the user may open that many more items and jobs.
    ///
    /// New jobs and retries of one user are counted one after the other. If two are
    /// concurrent and only one fits, the second is rejected. They wait for a lock of
    /// their own, not for the user's row, which every fact of the user needs.
    pub(super) async fn check_open_limits<C: ConnectionTrait>(
        &self,
        tx: &C,
        user: UserId,
        more_items: i64,
        more_jobs: i64,
    ) -> Result<(), Error> {
        if !self.db.is_sqlite() {
            let lock_sql = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
            query_one(tx, lock_sql, [format!("launches of {user}").into()]).await?;
        }
        let limits = self.db.open_limits;
        let (tasks, jobs) = job_queues::count_open(tx, user, limits.jobs).await?;
        for (what, open, more, limit) in [
            (OpenKind::Items, tasks, more_items, limits.tasks),
            (OpenKind::Jobs, jobs, more_jobs, limits.jobs),
        ] {
            if more > 0 && open + more > limit {
                return Err(Error::TooManyOpen { what, open, more, limit });
            }
        }
        Ok(())
    }
}

/// Returns the job of an earlier request with this key; `None` if the key now
/// belongs to `job`.
async fn claim_idempotency_key<C: ConnectionTrait>(
    c: &C,
    user: UserId,
    name: &str,
    hash: &str,
    job: JobId,
    now: i64,
) -> Result<Option<JobId>, Error> {
    execute(
        c,
        "DELETE FROM idempotency_keys WHERE user_id = $1 AND name = $2 AND created_at < $3",
        [user.0.into(), name.into(), (now - IDEMPOTENCY_KEY_LIFETIME_MS).into()],
    )
    .await?;
    let inserted = execute(
        c,
        "INSERT INTO idempotency_keys (user_id, name, body_hash, job_id, created_at) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        [user.0.into(), name.into(), hash.into(), job.0.into(), now.into()],
    )
    .await?;
    if inserted == 1 {
        return Ok(None);
    }
    let first = query_one(
        c,
        "SELECT body_hash, job_id FROM idempotency_keys WHERE user_id = $1 AND name = $2",
        [user.0.into(), name.into()],
    )
    .await?
    .ok_or(Error::NotFound)?;
    if first.get::<String>("body_hash")? != hash {
        return Err(Error::KeyReused);
    }
    Ok(Some(first.get("job_id")?))
}
