//! Accept: job, tasks and journal fact in one commit, then 202.

use super::{
    Actor, Error, Store, commit, execute,
    job_queues::{self, QueueChange, QueueChanges},
    journal::{self, Draft},
    one, parts, persist, row, tuples,
};
use contract::{
    JobId, TaskId, UserId,
    api::Job,
    command::Command,
    fact::{Fact, FactKind},
    state::{Counts, JobKind, JobState},
    text::{self, TextError},
};
use sea_orm::{ConnectionTrait, DbBackend, Value};
use serde_json::Value as Json;
use uuid::Uuid;

/// One task to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct NewTask {
    pub kind: &'static str,
    pub version: u16,
    pub queue: String,
    pub key: String,
    pub channel: Option<String>,
    pub sku: String,
    pub title: String,
    /// Row of the grid, from 0.
    pub row: u32,
    pub body: Json,
}

impl NewTask {
    /// From a command; `sku` and `title` are what people see.
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
            body: serde_json::to_value(command)?,
        })
    }
}

/// What one user may have open at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxOpen {
    pub tasks: i64,
    pub jobs: i64,
}

/// What a user launches.
#[derive(Clone, Debug)]
pub struct Accept {
    pub actor: Actor,
    pub kind: JobKind,
    pub title: String,
    pub channels: Vec<String>,
    pub tasks: Vec<NewTask>,
    /// The client's key, and a hash of what it asked with it.
    pub idempotency: Option<(String, String)>,
}

impl Accept {
    /// Checks the texts that every fact and every message will carry.
    ///
    /// # Errors
    /// The first text that is too long, or holds a control character.
    fn check(&self) -> Result<(), TextError> {
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

/// The job, and what to tell about it. No facts: it was accepted before,
/// under the same key.
#[derive(Clone, Debug)]
pub struct Accepted {
    pub job: Job,
    pub facts: Vec<Fact>,
}

/// Rows of one INSERT, 17 values each. SQLite finds a `$n` by looking through
/// all names before it, so a statement's cost grows with the square of this.
const ROWS: usize = 16;
/// Of PostgreSQL, to which each statement is a way there and back: of 600 items
/// the 202 comes after 31 ms instead of 42 (p50, `bench shared`).
const MANY_ROWS: usize = 128;
/// A key is remembered this long, ms.
pub(super) const KEY_LIFE_MS: i64 = 24 * 3_600_000;

impl Store {
    /// Stores the job with all its tasks, or answers with the job that was
    /// accepted under the same key within the last 24 h.
    ///
    /// # Errors
    /// [`Error::Text`], [`Error::KeyReused`], [`Error::TooManyOpen`],
    /// [`Error::SignedOut`],
    /// [`Error::Database`]: nothing is stored then.
    pub async fn accept(&self, mut launch: Accept) -> Result<Accepted, Error> {
        launch.check()?;
        let tasks = std::mem::take(&mut launch.tasks);
        let tasks: Vec<_> =
            tasks.into_iter().map(|task| (TaskId(Uuid::now_v7()), None, task)).collect();
        // One that stores many tasks keeps the next one of its user waiting.
        persist!(self.try_accept(&launch, &tasks))
    }

    async fn try_accept(&self, launch: &Accept, tasks: &[New]) -> Result<Accepted, Error> {
        let tx = self.begin().await?;
        let now = self.now_ms();
        let user = launch.actor.user;
        let id = JobId(Uuid::now_v7());
        if let Some((name, hash)) = &launch.idempotency
            && let Some(first) = claim_key(&tx, user, name, hash, id, now).await?
        {
            let sql = format!("SELECT {} FROM jobs WHERE id = $1", row::JOB);
            let first = one(&tx, &sql, [first.0.into()]).await?.ok_or(Error::NotFound)?;
            let job = row::job(&first)?;
            self.authorize(&tx, &launch.actor).await?;
            tx.rollback().await?;
            return Ok(Accepted { job, facts: Vec::new() });
        }
        let total = i64::try_from(tasks.len()).unwrap_or(i64::MAX);
        self.check_open(&tx, user, total, 1).await?;
        let job = Job {
            id,
            kind: launch.kind,
            title: launch.title.clone(),
            state: JobState::Running,
            paused: false,
            cancel_requested: false,
            counts: Counts {
                total: u32::try_from(total).unwrap_or(u32::MAX),
                open: u32::try_from(total).unwrap_or(u32::MAX),
                ..Counts::default()
            },
            channels: launch.channels.clone(),
            created_at: now,
            finished_at: None,
            eta_ms: None,
        };
        execute(
            &tx,
            "INSERT INTO jobs (id, user_id, kind, title, channels, state, total, open, created_at) \
             VALUES ($1, $2, $3, $4, $5, 'running', $6, $6, $7)",
            [
                id.0.into(),
                user.0.into(),
                job.kind.as_str().into(),
                job.title.as_str().into(),
                row::text("channels", &job.channels)?.into(),
                total.into(),
                now.into(),
            ],
        )
        .await?;
        insert_tasks(&tx, id, user, now, "queued", tasks).await?;
        let mut queues = QueueChanges::new();
        for (_, _, task) in tasks {
            let queue = queues.entry((id, task.queue.clone())).or_insert_with(|| QueueChange {
                user: Some(user),
                channel: task.channel.clone(),
                ready_at: Some(now),
                ..QueueChange::default()
            });
            queue.open += 1;
        }
        let counters = job_queues::save(&tx, &queues, now).await?;
        let draft = Draft::of_job(FactKind::JobAccepted, job.clone());
        let facts = journal::append(&tx, user, now, vec![draft]).await?;
        job_queues::save_users(&tx, counters).await?;
        self.authorize(&tx, &launch.actor).await?;
        commit(tx).await?;
        Ok(Accepted { job, facts })
    }

    /// Launches and retries of one user are counted one after the other: of two
    /// at once that fit only singly, one is refused. Nobody else waits for it, as they
    /// would for the user's row, which every fact of theirs needs.
    pub(super) async fn check_open<C: ConnectionTrait>(
        &self,
        tx: &C,
        user: UserId,
        more_items: i64,
        more_jobs: i64,
    ) -> Result<(), Error> {
        if !self.is_sqlite() {
            let alone = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
            one(tx, alone, [format!("launches of {user}").into()]).await?;
        }
        let limits = self.max_open;
        let (tasks, jobs) = self.open_of(tx, user, limits.jobs).await?;
        for (what, open, more, limit) in
            [("items", tasks, more_items, limits.tasks), ("jobs", jobs, more_jobs, limits.jobs)]
        {
            if more > 0 && open + more > limit {
                return Err(Error::TooManyOpen { what, open, more, limit });
            }
        }
        Ok(())
    }
}

/// The job of an earlier request with this key, or the key is ours now.
async fn claim_key<C: ConnectionTrait>(
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
        [user.0.into(), name.into(), (now - KEY_LIFE_MS).into()],
    )
    .await?;
    let ours = execute(
        c,
        "INSERT INTO idempotency_keys (user_id, name, body_hash, job_id, created_at) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        [user.0.into(), name.into(), hash.into(), job.0.into(), now.into()],
    )
    .await?;
    if ours == 1 {
        return Ok(None);
    }
    let first = one(
        c,
        "SELECT body_hash, job_id FROM idempotency_keys WHERE user_id = $1 AND name = $2",
        [user.0.into(), name.into()],
    )
    .await?
    .ok_or(Error::NotFound)?;
    if first.try_get::<String>("", "body_hash")? != hash {
        return Err(Error::KeyReused);
    }
    Ok(Some(JobId(first.try_get("", "job_id")?)))
}

/// A task with its id and its cause.
pub(super) type New = (TaskId, Option<TaskId>, NewTask);

/// Inserts tasks once: a follow-up that is there already stays as it is.
/// Returns how many are new.
pub(super) async fn insert_tasks<C: ConnectionTrait>(
    c: &C,
    job: JobId,
    user: UserId,
    now: i64,
    state: &'static str,
    tasks: &[New],
) -> Result<u64, Error> {
    let mut inserted = 0;
    let most = match c.get_database_backend() {
        DbBackend::Postgres => MANY_ROWS,
        _ => ROWS,
    };
    for part in parts(tasks, most) {
        let sql = format!(
            "INSERT INTO tasks (id, job_id, user_id, cause_id, kind, version, queue, key, channel, \
             sku, title, row_no, body, state, run_after, created_at, updated_at) VALUES {} \
             ON CONFLICT (id) DO NOTHING",
            tuples(part.len(), 17)
        );
        let mut values: Vec<Value> = Vec::with_capacity(part.len() * 17);
        for (id, cause, task) in part {
            values.extend([
                id.0.into(),
                job.0.into(),
                user.0.into(),
                cause.map(|id| id.0).into(),
                task.kind.into(),
                i64::from(task.version).into(),
                task.queue.as_str().into(),
                task.key.as_str().into(),
                task.channel.clone().into(),
                task.sku.as_str().into(),
                task.title.as_str().into(),
                i64::from(task.row).into(),
                task.body.to_string().into(),
                state.into(),
                now.into(),
                now.into(),
                now.into(),
            ]);
        }
        inserted += execute(c, &sql, values).await?;
    }
    Ok(inserted)
}
