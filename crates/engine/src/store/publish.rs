//! The task table as the outbox: which tasks are due, and which were published.

use super::{
    Error, QueueGeneration, Tasks, commit, execute, query_all, query_one, retry_on_contention,
    round_robin::{JobDueTasks, RoundRobin, round_robin},
    row::{FromRow, Row, missing, rows},
    row_set::{ColumnType, MAX_ROWS_PER_STATEMENT, RowSet, id_list, is_one_of},
    transition::{MAY_HAVE_EFFECT, lock_tasks, write},
};
use contract::{JobId, TaskId, UserId, envelope::CommandMessage, state::TaskState, text};
use sea_orm::Value;
use std::collections::{BTreeMap, HashMap, VecDeque};
use uuid::Uuid;

/// Maximum number of jobs that one round marks ready: a commit of a few
/// milliseconds.
const MAX_JOBS_MARKED_READY: usize = 500;

/// Tasks that a relay has to publish.
#[derive(Clone, Debug, Default)]
pub struct DueTasks {
    /// The tasks, in the order of publication.
    pub tasks: Vec<CommandMessage>,
    /// Jobs without further due tasks once these are published; pass them to
    /// [`Tasks::mark_published`].
    pub exhausted_jobs: Vec<ExhaustedJob>,
    /// Generation of the queue before these tasks are published; pass it to
    /// [`Tasks::mark_published`] too.
    pub generation: Option<QueueGeneration>,
}

/// A job without further due tasks in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExhaustedJob {
    queue: String,
    job: JobId,
    /// Version of its row in `job_queues` before its tasks were read.
    version: i64,
}

/// A row of `job_queues` with tasks to publish.
#[derive(Clone, Copy, Debug)]
struct ReadyJob {
    job: Uuid,
    user: Uuid,
    version: i64,
}

/// Columns of a [`CommandMessage`], and those that order it.
const MESSAGE_COLUMNS: &str = "t.id, t.job_id, t.user_id, t.fence, t.kind, t.version, t.queue, \
    t.traceparent, t.body, t.run_after, t.row_no";

impl Tasks {
    /// Returns tasks of `queue` to publish now, so that at most `window` of the
    /// queue are published and unclaimed. Round-robin by user, then by job: no job
    /// waits behind 10,000 tasks of another one, be it another user's or the same
    /// user's. Reads no more users, jobs and tasks than the window has space for,
    /// however many are open.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Corrupt`].
    pub async fn due_tasks(
        &self,
        queue: &str,
        window: usize,
        turns: &RoundRobin,
    ) -> Result<DueTasks, Error> {
        let now = self.db.now_ms();
        let found = query_one(
            &self.db.reader,
            "SELECT COUNT(*) AS n FROM tasks \
             WHERE queue = $1 AND state = 'queued' AND published_at IS NOT NULL",
            [queue.into()],
        )
        .await?
        .ok_or_else(|| missing("number of unclaimed tasks"))?;
        let unclaimed: i64 = found.get("n")?;
        let capacity = window.saturating_sub(usize::try_from(unclaimed).unwrap_or(window));
        if capacity == 0 {
            return Ok(DueTasks::default());
        }
        self.mark_due_jobs_ready(queue, now).await?;
        let users = self.ready_users(queue, turns.last_user, capacity).await?;
        // No user gets more than their share, unless the others have less to do.
        let share = capacity.div_ceil(users.len().max(1));
        let jobs = self.ready_jobs(queue, &users, share, turns).await?;
        let mut lists = self.due_tasks_by_user(queue, &jobs, share, now).await?;
        let mut chosen = round_robin(lists.clone(), capacity, turns);
        if chosen.is_none() {
            lists = self.due_tasks_by_user(queue, &jobs, capacity, now).await?;
            chosen = round_robin(lists.clone(), capacity, turns);
        }
        let tasks = chosen.unwrap_or_default();
        let exhausted_jobs = find_exhausted_jobs(queue, &lists, &jobs, &tasks);
        let generation = match tasks.is_empty() {
            true => None,
            false => Some(self.queue_generation(queue).await?),
        };
        Ok(DueTasks { tasks, exhausted_jobs, generation })
    }

    /// Marks jobs ready whose next task has become due since the last round.
    async fn mark_due_jobs_ready(&self, queue: &str, now: i64) -> Result<(), Error> {
        let waiting = "FROM job_queues WHERE queue = $1 AND ready = 0 AND ready_at <= $2";
        let any = format!("SELECT 1 AS one {waiting} LIMIT 1");
        if query_one(&self.db.reader, &any, [queue.into(), now.into()]).await?.is_none() {
            return Ok(());
        }
        // SKIP LOCKED: it waits for no lock, so that it can't deadlock with a
        // transaction that locks in the order of the ids.
        let lock = if self.db.is_sqlite() { "" } else { " FOR NO KEY UPDATE SKIP LOCKED" };
        let sql = format!(
            "UPDATE job_queues SET ready = 1 WHERE queue = $1 AND job_id IN \
             (SELECT job_id {waiting} ORDER BY ready_at LIMIT {MAX_JOBS_MARKED_READY}{lock})"
        );
        execute(&self.db.writer, &sql, [queue.into(), now.into()]).await.map(|_| ())
    }

    /// Returns the next `limit` users after `last`, in a cycle, who have a ready
    /// job, with one index lookup each.
    async fn ready_users(
        &self,
        queue: &str,
        last: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<Uuid>, Error> {
        // The nil id starts the cycle, because no user has it.
        let last = last.map_or(Uuid::nil(), |user| user.0);
        let mut users = Vec::with_capacity(limit.min(64));
        for (after, up_to) in [(last, Uuid::max()), (Uuid::nil(), last)] {
            let left = i64::try_from(limit - users.len()).unwrap_or(i64::MAX);
            if left == 0 || after == up_to {
                continue;
            }
            let rows = query_all(
                &self.db.reader,
                "WITH RECURSIVE ready (id) AS (SELECT (SELECT user_id FROM job_queues \
                 WHERE queue = $1 AND ready = 1 AND user_id > $2 ORDER BY user_id LIMIT 1) \
                 UNION ALL SELECT (SELECT q.user_id FROM job_queues q WHERE q.queue = $1 \
                 AND q.ready = 1 AND q.user_id > ready.id ORDER BY q.user_id LIMIT 1) FROM ready \
                 WHERE ready.id IS NOT NULL) \
                 SELECT id FROM ready WHERE id IS NOT NULL AND id <= $3 LIMIT $4",
                [queue.into(), after.into(), up_to.into(), left.into()],
            )
            .await?;
            for found in rows {
                users.push(found.get("id")?);
            }
        }
        Ok(users)
    }

    /// Returns the next `limit` ready jobs of each user, or a few more, in a cycle
    /// after the one that had the last turn.
    async fn ready_jobs(
        &self,
        queue: &str,
        users: &[Uuid],
        limit: usize,
        turns: &RoundRobin,
    ) -> Result<Vec<ReadyJob>, Error> {
        let max_rows = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut id_ranges = Vec::with_capacity(users.len() * 2);
        for user in users {
            let last = turns.last_jobs.get(&UserId(*user)).map_or(Uuid::nil(), |job| job.0);
            id_ranges.push((*user, last, Uuid::max()));
            if last != Uuid::nil() {
                id_ranges.push((*user, Uuid::nil(), last));
            }
        }
        let mut jobs = Vec::new();
        let first_jobs = |user: &str, after: &str, up_to: &str| {
            format!(
                "SELECT job_id, user_id, version FROM job_queues WHERE queue = $1 AND ready = 1 \
                 AND user_id = {user} AND job_id > {after} AND job_id <= {up_to} \
                 ORDER BY job_id LIMIT $2"
            )
        };
        // SQLite has no LATERAL, and no round trip to save.
        if self.db.is_sqlite() {
            let sql = first_jobs("$3", "$4", "$5");
            for (user, after, up_to) in id_ranges {
                let values: [Value; 5] =
                    [queue.into(), max_rows.into(), user.into(), after.into(), up_to.into()];
                jobs.extend(rows::<ReadyJob, _>(&self.db.reader, &sql, values).await?);
            }
            return Ok(jobs);
        }
        for id_ranges in id_ranges.chunks(MAX_ROWS_PER_STATEMENT) {
            let mut set = RowSet::new(&[
                ("owner_id", ColumnType::Uuid),
                ("after_id", ColumnType::Uuid),
                ("up_to_id", ColumnType::Uuid),
            ]);
            for (user, after, up_to) in id_ranges {
                set.push([(*user).into(), (*after).into(), (*up_to).into()])?;
            }
            let sql = format!(
                "SELECT j.* FROM {} CROSS JOIN LATERAL ({}) j",
                set.table_sql(&self.db.reader, 3),
                first_jobs("new.owner_id", "new.after_id", "new.up_to_id")
            );
            let values: [Value; 3] = [queue.into(), max_rows.into(), set.into_value()];
            jobs.extend(rows::<ReadyJob, _>(&self.db.reader, &sql, values).await?);
        }
        Ok(jobs)
    }

    /// Returns the first `limit` due tasks of each job, by user.
    async fn due_tasks_by_user(
        &self,
        queue: &str,
        jobs: &[ReadyJob],
        limit: usize,
        now: i64,
    ) -> Result<BTreeMap<Uuid, VecDeque<JobDueTasks>>, Error> {
        let due_tasks_of = |job: &str| {
            format!(
                "SELECT {MESSAGE_COLUMNS} FROM tasks t WHERE t.queue = $1 AND t.job_id = {job} \
                 AND t.state = 'queued' AND t.published_at IS NULL AND t.run_after <= $2 \
                 AND (SELECT 1 FROM jobs o WHERE o.id = {job} AND o.state = 'running' \
                 AND o.paused = 0) IS NOT NULL \
                 AND ({MAY_HAVE_EFFECT} OR (SELECT 1 FROM jobs o WHERE o.id = {job} \
                 AND o.cancel_requested = 0) IS NOT NULL) \
                 ORDER BY t.run_after, t.row_no LIMIT $3"
            )
        };
        let first: [Value; 3] =
            [queue.into(), now.into(), i64::try_from(limit).unwrap_or(i64::MAX).into()];
        let mut tasks: HashMap<Uuid, VecDeque<CommandMessage>> = HashMap::with_capacity(jobs.len());
        let mut found: Vec<CommandMessage> = Vec::new();
        if self.db.is_sqlite() {
            let sql = due_tasks_of("$4");
            for ready in jobs {
                let values = first.iter().cloned().chain([ready.job.into()]);
                found.extend(rows::<CommandMessage, _>(&self.db.reader, &sql, values).await?);
            }
        } else {
            let sql = format!(
                "SELECT t.* FROM jobs j CROSS JOIN LATERAL ({}) t WHERE {} \
                 ORDER BY t.run_after, t.row_no",
                due_tasks_of("j.id"),
                is_one_of(&self.db.reader, "j.id", 4)
            );
            for jobs in jobs.chunks(MAX_ROWS_PER_STATEMENT) {
                let ids = id_list(jobs.iter().map(|ready| ready.job));
                let values = first.iter().cloned().chain([ids]);
                found.extend(rows::<CommandMessage, _>(&self.db.reader, &sql, values).await?);
            }
        }
        for task in found {
            tasks.entry(task.job.0).or_default().push_back(task);
        }
        let mut users: BTreeMap<Uuid, VecDeque<JobDueTasks>> = BTreeMap::new();
        for ready in jobs {
            let tasks = tasks.remove(&ready.job).unwrap_or_default();
            let is_truncated = tasks.len() == limit;
            let list = JobDueTasks { job: ready.job, tasks, is_truncated };
            users.entry(ready.user).or_default().push_back(list);
        }
        for jobs in users.values_mut() {
            jobs.make_contiguous().sort_unstable_by_key(|list| list.job);
        }
        Ok(users)
    }

    /// Marks those tasks of `batch` as published whose fence is unchanged, and exhausted
    /// jobs as not ready if they still have no due tasks. If the queue's `generation` has
    /// changed, its messages are lost, and no task is marked.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::CommitUnknown`].
    pub async fn mark_published(
        &self,
        batch: &[(TaskId, i64)],
        exhausted_jobs: &[ExhaustedJob],
        generation: Option<&QueueGeneration>,
    ) -> Result<(), Error> {
        retry_on_contention!(self.try_mark_published(batch, exhausted_jobs, generation))
    }

    async fn try_mark_published(
        &self,
        mut batch: &[(TaskId, i64)],
        exhausted_jobs: &[ExhaustedJob],
        generation: Option<&QueueGeneration>,
    ) -> Result<(), Error> {
        if batch.is_empty() && exhausted_jobs.is_empty() {
            return Ok(());
        }
        let tx = self.db.begin().await?;
        if let Some(generation) = generation
            && !self.is_current_generation(&tx, generation).await?
        {
            batch = &[];
        }
        let queued = lock_tasks(&self.db, &tx, TaskState::Queued, batch).await?;
        write::mark_published(&tx, &queued, self.db.now_ms()).await?;
        for ExhaustedJob { queue, job, version } in exhausted_jobs {
            // The statement that writes also checks: what has become due since the
            // relay read is either seen here, or has raised the version.
            execute(
                &tx,
                "UPDATE job_queues SET ready = 0, ready_at = (SELECT t.run_after FROM tasks t \
                 WHERE t.queue = $1 AND t.job_id = $2 AND t.state = 'queued' \
                 AND t.published_at IS NULL AND (SELECT j.paused FROM jobs j WHERE j.id = $2) = 0 \
                 ORDER BY t.run_after LIMIT 1) WHERE queue = $1 AND job_id = $2 AND version = $3",
                [queue.as_str().into(), job.0.into(), (*version).into()],
            )
            .await?;
        }
        commit(tx).await?;
        Ok(())
    }

    /// Stores the beginning of a message that could not be parsed as a command, and
    /// the reason.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn save_rejected_message(
        &self,
        queue: &str,
        bytes: &[u8],
        reason: &str,
    ) -> Result<(), Error> {
        let bytes = bytes.get(..text::MAX_REJECTED_MESSAGE_BYTES).unwrap_or(bytes);
        let values: [Value; 5] = [
            Uuid::now_v7().into(),
            queue.into(),
            String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}").into(),
            text::REJECTION_REASON.clean(reason).into(),
            self.db.now_ms().into(),
        ];
        execute(
            &self.db.writer,
            "INSERT INTO rejected_messages (id, queue, bytes, reason, at) VALUES ($1, $2, $3, $4, $5)",
            values,
        )
        .await
        .map(|_| ())
    }
}

impl FromRow for CommandMessage {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            task: row.get("id")?,
            job: row.get("job_id")?,
            user: row.get("user_id")?,
            fence: row.get("fence")?,
            kind: row.get("kind")?,
            version: row.get("version")?,
            queue: row.get("queue")?,
            traceparent: row.get("traceparent")?,
            body: row.json("body")?,
        })
    }
}

impl FromRow for ReadyJob {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            job: row.get("job_id")?,
            user: row.get("user_id")?,
            version: row.get("version")?,
        })
    }
}

/// Returns the jobs whose due tasks were all chosen, or that have none.
fn find_exhausted_jobs(
    queue: &str,
    lists: &BTreeMap<Uuid, VecDeque<JobDueTasks>>,
    jobs: &[ReadyJob],
    chosen: &[CommandMessage],
) -> Vec<ExhaustedJob> {
    let versions: HashMap<_, _> = jobs.iter().map(|ready| (ready.job, ready.version)).collect();
    let mut count: HashMap<JobId, usize> = HashMap::new();
    for message in chosen {
        *count.entry(message.job).or_default() += 1;
    }
    let mut exhausted = Vec::new();
    for list in lists.values().flatten() {
        let job = JobId(list.job);
        let all = count.get(&job).copied().unwrap_or(0) == list.tasks.len();
        if let (true, false, Some(version)) = (all, list.is_truncated, versions.get(&list.job)) {
            exhausted.push(ExhaustedJob { queue: queue.to_owned(), job, version: *version });
        }
    }
    exhausted.sort_unstable_by_key(|exhausted| exhausted.job);
    exhausted
}
