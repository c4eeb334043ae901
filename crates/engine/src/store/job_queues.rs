//! Counters of open tasks, maintained by the commits that change them, so that
//! neither the relay nor a forecast has to count open tasks.
//!
//! | table | row | content |
//! | --- | --- | --- |
//! | `job_queues` | one job in one queue | open tasks; whether some are due |
//! | `user_queues` | one user in one queue | open tasks; jobs and tasks that are not paused |
//!
//! **Readiness.** `ready_at` is a lower bound: while a task of a running job is
//! queued and unpublished, its row is `ready`, or `ready_at` is no later than the
//! task's `run_after`. A commit that makes a task due also calls
//! [`mark_jobs_ready`], which raises `version`. Only the relay clears `ready`, and
//! only while `version` is what it was before the relay read the tasks.
//!
//! **Lock order**: tasks, jobs, `job_queues`, users, `user_queues`; each in the
//! order of their keys.

use super::{
    Error, Store, execute, placeholder_rows, placeholders, power_of_two_chunks, query_all,
    query_one, row,
};
use contract::{JobId, UserId, api::Job, state::JobState};
use sea_orm::{ConnectionTrait, Value};
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// Maximum number of rows of one statement; see `accept::MAX_ROWS_PER_STATEMENT`.
const MAX_ROWS_PER_STATEMENT: usize = 32;

/// Change of one job's open tasks in one queue.
#[derive(Clone, Debug, Default)]
pub(super) struct JobQueueChange {
    pub user: Option<UserId>,
    pub channel: Option<String>,
    /// Number of tasks that become open, less those that end.
    pub open: i64,
    /// Earliest time at which a task becomes due, UTC ms.
    pub ready_at: Option<i64>,
    /// Whether the job is paused, as read by the transaction.
    pub paused: bool,
}

impl JobQueueChange {
    /// Records that a task becomes due at `at`, UTC ms.
    pub fn lower_ready_at(&mut self, at: i64) {
        self.ready_at = Some(self.ready_at.map_or(at, |earlier| earlier.min(at)));
    }
}

/// Changes by job and queue, in the order in which their rows are locked.
pub(super) type JobQueueChanges = BTreeMap<(JobId, String), JobQueueChange>;

/// Change of one user's counters of one queue.
#[derive(Clone, Debug, Default)]
struct UserQueueChange {
    channel: Option<String>,
    open: i64,
    active_jobs: i64,
    active_tasks: i64,
}

/// Changes to `user_queues`, for [`save_user_queues`].
#[derive(Debug, Default)]
pub(super) struct UserQueueChanges(BTreeMap<(UserId, String), UserQueueChange>);

impl UserQueueChanges {
    fn add(&mut self, user: UserId, queue: &str, channel: Option<&String>, change: [i64; 3]) {
        let sum = self.0.entry((user, queue.to_owned())).or_default();
        sum.channel = sum.channel.take().or_else(|| channel.cloned());
        sum.open += change[0];
        sum.active_jobs += change[1];
        sum.active_tasks += change[2];
    }

    fn extend(&mut self, other: Self) {
        for ((user, queue), change) in other.0 {
            let counts = [change.open, change.active_jobs, change.active_tasks];
            self.add(user, &queue, change.channel.as_ref(), counts);
        }
    }
}

/// Writes the changes of jobs that are locked or new, and returns what changes for
/// their users.
pub(super) async fn save_job_queues<C: ConnectionTrait>(
    c: &C,
    changes: &JobQueueChanges,
    now: i64,
) -> Result<UserQueueChanges, Error> {
    let changes: Vec<_> = changes.iter().collect();
    let mut users = UserQueueChanges::default();
    for part in power_of_two_chunks(&changes, MAX_ROWS_PER_STATEMENT) {
        let sql = format!(
            "INSERT INTO job_queues AS q (job_id, queue, user_id, channel, open, ready, ready_at) \
             VALUES {} ON CONFLICT (job_id, queue) DO UPDATE SET open = q.open + excluded.open, \
             ready = CASE WHEN excluded.ready = 1 THEN 1 ELSE q.ready END, ready_at = {EARLIER_READY_AT}, \
             version = q.version + CASE WHEN excluded.ready_at IS NULL THEN 0 ELSE 1 END \
             RETURNING job_id, queue, open",
            placeholder_rows(part.len(), 7)
        );
        let mut values: Vec<Value> = Vec::with_capacity(part.len() * 7);
        for ((job, queue), change) in part {
            let user = change.user.ok_or(Error::NotFound)?;
            values.extend([
                job.0.into(),
                queue.as_str().into(),
                user.0.into(),
                change.channel.clone().into(),
                change.open.into(),
                i64::from(change.ready_at.is_some_and(|at| at <= now)).into(),
                change.ready_at.into(),
            ]);
        }
        let mut after = HashMap::with_capacity(part.len());
        for found in query_all(c, &sql, values).await? {
            let job = JobId(found.try_get("", "job_id")?);
            after.insert((job, found.try_get("", "queue")?), found.try_get::<i64>("", "open")?);
        }
        for (key, change) in part {
            let (Some(user), Some(after)) = (change.user, after.get(*key)) else { continue };
            let active = i64::from(!change.paused);
            let jobs = i64::from(*after > 0) - i64::from(after - change.open > 0);
            let counts = [change.open, active * jobs, active * change.open];
            users.add(user, &key.1, change.channel.as_ref(), counts);
        }
    }
    Ok(users)
}

/// The earlier of the stored and the new `ready_at`; either may be missing.
const EARLIER_READY_AT: &str = "CASE WHEN excluded.ready_at IS NULL THEN q.ready_at \
    WHEN q.ready_at IS NULL OR q.ready_at > excluded.ready_at THEN excluded.ready_at \
    ELSE q.ready_at END";

/// Writes the changes of users, whose rows the journal has locked.
pub(super) async fn save_user_queues<C: ConnectionTrait>(
    c: &C,
    changes: UserQueueChanges,
) -> Result<(), Error> {
    let changes: Vec<_> = changes
        .0
        .into_iter()
        .filter(|(_, change)| (change.open, change.active_jobs, change.active_tasks) != (0, 0, 0))
        .collect();
    for part in power_of_two_chunks(&changes, MAX_ROWS_PER_STATEMENT) {
        let sql = format!(
            "INSERT INTO user_queues AS q \
             (user_id, queue, channel, open, active_jobs, active_tasks) VALUES {} \
             ON CONFLICT (user_id, queue) DO UPDATE SET open = q.open + excluded.open, \
             active_jobs = q.active_jobs + excluded.active_jobs, \
             active_tasks = q.active_tasks + excluded.active_tasks",
            placeholder_rows(part.len(), 6)
        );
        let mut values: Vec<Value> = Vec::with_capacity(part.len() * 6);
        for ((user, queue), change) in part {
            values.extend([
                user.0.into(),
                queue.as_str().into(),
                change.channel.clone().into(),
                change.open.into(),
                change.active_jobs.into(),
                change.active_tasks.into(),
            ]);
        }
        execute(c, &sql, values).await?;
    }
    Ok(())
}

/// Records that a task of each of these jobs in `queue` becomes due at `at`, UTC
/// ms.
pub(super) async fn mark_jobs_ready<C: ConnectionTrait>(
    c: &C,
    queue: &str,
    jobs: &mut Vec<Uuid>,
    at: i64,
    now: i64,
) -> Result<(), Error> {
    jobs.sort_unstable();
    jobs.dedup();
    for part in power_of_two_chunks(jobs, MAX_ROWS_PER_STATEMENT) {
        let sql = format!(
            "UPDATE job_queues SET version = version + 1, \
             ready = CASE WHEN $2 <= $3 THEN 1 ELSE ready END, ready_at = CASE \
             WHEN ready_at IS NULL OR ready_at > $2 THEN $2 ELSE ready_at END \
             WHERE queue = $1 AND job_id IN ({})",
            placeholders(4, part.len())
        );
        let mut values: Vec<Value> = vec![queue.into(), at.into(), now.into()];
        values.extend(part.iter().map(|job| Value::from(*job)));
        execute(c, &sql, values).await?;
    }
    Ok(())
}

/// Deletes the rows of jobs that have ended.
pub(super) async fn delete_job_queues<C: ConnectionTrait>(
    c: &C,
    jobs: &[JobId],
) -> Result<(), Error> {
    for part in power_of_two_chunks(jobs, MAX_ROWS_PER_STATEMENT) {
        let sql =
            format!("DELETE FROM job_queues WHERE job_id IN ({})", placeholders(1, part.len()));
        execute(c, &sql, part.iter().map(|job| Value::from(job.0))).await?;
    }
    Ok(())
}

/// Counts a locked job's open tasks again after a change of the whole job, and
/// makes the queued ones due, or none if the job is now paused. Reads as many rows
/// as are open. `was_paused` is the job's state before the change, on which the
/// counters are based.
pub(super) async fn recount_job<C: ConnectionTrait>(
    c: &C,
    user: UserId,
    job: &Job,
    was_paused: bool,
    now: i64,
) -> Result<UserQueueChanges, Error> {
    let mut users = UserQueueChanges::default();
    let old = "SELECT queue, channel, open FROM job_queues WHERE job_id = $1 ORDER BY queue";
    for found in query_all(c, old, [job.id.0.into()]).await? {
        let open: i64 = found.try_get("", "open")?;
        let active = i64::from(!was_paused);
        let counts = [-open, -active * i64::from(open > 0), -active * open];
        let channel: Option<String> = found.try_get("", "channel")?;
        users.add(user, &found.try_get::<String>("", "queue")?, channel.as_ref(), counts);
    }
    execute(c, "DELETE FROM job_queues WHERE job_id = $1", [job.id.0.into()]).await?;
    if job.state != JobState::Running {
        return Ok(users);
    }
    let mut new = JobQueueChanges::new();
    let open = "SELECT queue, MAX(channel) AS channel, COUNT(*) AS n FROM tasks \
                WHERE job_id = $1 AND state IN ('queued', 'running') GROUP BY queue";
    for found in query_all(c, open, [job.id.0.into()]).await? {
        let change = JobQueueChange {
            user: Some(user),
            channel: found.try_get("", "channel")?,
            open: found.try_get("", "n")?,
            ready_at: (!job.paused).then_some(now),
            paused: job.paused,
        };
        new.insert((job.id, found.try_get("", "queue")?), change);
    }
    users.extend(save_job_queues(c, &new, now).await?);
    Ok(users)
}

/// Open tasks of one user on one channel, without those of paused jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelLoad {
    /// Id of the sales channel.
    pub channel: String,
    /// The user.
    pub user: UserId,
    /// Jobs that have open tasks on the channel.
    pub jobs: u32,
    /// Open tasks: queued and running.
    pub open: u32,
}

/// Open tasks of one job in one queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobLoad {
    /// The job.
    pub job: JobId,
    /// Channel of the tasks; `None` for those without one, such as a machine's.
    pub channel: Option<String>,
    /// Open tasks: queued and running.
    pub open: u32,
}

/// Running calls of one job on one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningCalls {
    /// The job.
    pub job: JobId,
    /// Sales channel of the calls; `None` for those without one.
    pub channel: Option<String>,
    /// Number of the calls.
    pub count: u32,
}

impl Store {
    /// Returns the open tasks on each channel, by user. Reads as many rows as there
    /// are users with open tasks.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn channel_loads(&self) -> Result<Vec<ChannelLoad>, Error> {
        let sql = "SELECT channel, user_id, active_jobs, active_tasks FROM user_queues \
                   WHERE active_tasks > 0 AND channel IS NOT NULL";
        let rows = query_all(&self.reader, sql, []).await?;
        let load = |found: &sea_orm::QueryResult| {
            Ok(ChannelLoad {
                channel: found.try_get("", "channel")?,
                user: UserId(found.try_get("", "user_id")?),
                jobs: row::count(found, "active_jobs")?,
                open: row::count(found, "active_tasks")?,
            })
        };
        rows.iter().map(load).collect()
    }

    /// Returns the open tasks of these jobs, by channel.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn job_loads(&self, jobs: &[JobId]) -> Result<Vec<JobLoad>, Error> {
        let mut loads = Vec::with_capacity(jobs.len());
        for part in power_of_two_chunks(jobs, MAX_ROWS_PER_STATEMENT) {
            let sql = format!(
                "SELECT job_id, channel, open FROM job_queues WHERE open > 0 AND job_id IN ({})",
                placeholders(1, part.len())
            );
            for found in &query_all(&self.reader, &sql, part.iter().map(|job| job.0.into())).await?
            {
                loads.push(JobLoad {
                    job: JobId(found.try_get("", "job_id")?),
                    channel: found.try_get("", "channel")?,
                    open: row::count(found, "open")?,
                });
            }
        }
        Ok(loads)
    }

    /// Returns the running calls of jobs that are not paused: no more than all
    /// workers make at once.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn running_calls(&self) -> Result<Vec<RunningCalls>, Error> {
        let sql = "SELECT t.job_id, t.channel, COUNT(*) AS n FROM tasks t \
                   JOIN jobs j ON j.id = t.job_id WHERE t.state = 'running' AND j.paused = 0 \
                   GROUP BY t.job_id, t.channel";
        let rows = query_all(&self.reader, sql, []).await?;
        let calls = |found: &sea_orm::QueryResult| {
            Ok(RunningCalls {
                job: JobId(found.try_get("", "job_id")?),
                channel: found.try_get("", "channel")?,
                count: row::count(found, "n")?,
            })
        };
        rows.iter().map(calls).collect()
    }

    /// Returns the numbers of tasks and jobs that `user` has open; stops counting
    /// jobs at `job_limit`.
    pub(super) async fn count_open<C: ConnectionTrait>(
        &self,
        c: &C,
        user: UserId,
        job_limit: i64,
    ) -> Result<(i64, i64), Error> {
        let found = query_one(
            c,
            "SELECT (SELECT CAST(COALESCE(SUM(open), 0) AS BIGINT) FROM user_queues \
             WHERE user_id = $1) AS tasks, (SELECT COUNT(*) FROM (SELECT 1 FROM jobs \
             WHERE user_id = $1 AND state = 'running' LIMIT $2) AS running) AS jobs",
            [user.0.into(), job_limit.into()],
        )
        .await?
        .ok_or(Error::NotFound)?;
        Ok((found.try_get("", "tasks")?, found.try_get("", "jobs")?))
    }
}
