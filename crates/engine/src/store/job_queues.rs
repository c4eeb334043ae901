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
//! [`save_job_queues`] or [`mark_jobs_ready`], which raise `version`. Only the relay clears `ready`, and
//! only while `version` is what it was before the relay read the tasks.
//!
//! **Lock order**: tasks, jobs, `job_queues`, users, `user_queues`; each in the
//! order of their keys.

use super::{
    Error, Jobs, execute, query_all, query_one,
    row::missing,
    row_set::{
        ColumnType::{BigInt, Text, Uuid},
        MAX_ROWS_PER_STATEMENT, RowSet, id_list, is_one_of,
    },
};
use contract::{JobId, UserId, api::Job, state::JobState};
use sea_orm::ConnectionTrait;
use std::collections::{BTreeMap, HashMap};

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
    /// Adds `open` tasks of a user's job, which may be paused; less than 0 if they end.
    pub fn add(&mut self, user: UserId, channel: Option<&String>, paused: bool, open: i64) {
        self.user = Some(user);
        self.channel = self.channel.take().or_else(|| channel.cloned());
        if open != 0 {
            self.paused = paused;
            self.open += open;
        }
    }

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
    for part in changes.chunks(MAX_ROWS_PER_STATEMENT) {
        let mut rows = RowSet::new(&[
            ("job_id", Uuid),
            ("queue", Text),
            ("user_id", Uuid),
            ("channel", Text),
            ("open", BigInt),
            ("ready", BigInt),
            ("ready_at", BigInt),
        ]);
        for ((job, queue), change) in part {
            let user = change.user.ok_or_else(|| missing("user of a job's queue"))?;
            rows.push([
                job.0.into(),
                queue.as_str().into(),
                user.0.into(),
                change.channel.as_deref().into(),
                change.open.into(),
                i64::from(change.ready_at.is_some_and(|at| at <= now)).into(),
                change.ready_at.into(),
            ])?;
        }
        let sql = format!(
            "INSERT INTO job_queues AS q (job_id, queue, user_id, channel, open, ready, ready_at) \
             SELECT new.* FROM {} WHERE true \
             ON CONFLICT (job_id, queue) DO UPDATE SET open = q.open + excluded.open, \
             ready = CASE WHEN excluded.ready = 1 THEN 1 ELSE q.ready END, ready_at = CASE \
             WHEN excluded.ready_at IS NULL THEN q.ready_at \
             WHEN q.ready_at IS NULL OR q.ready_at > excluded.ready_at THEN excluded.ready_at \
             ELSE q.ready_at END, \
             version = q.version + CASE WHEN excluded.ready_at IS NULL THEN 0 ELSE 1 END \
             RETURNING job_id, queue, open",
            rows.table_sql(c, 1)
        );
        let mut after = HashMap::with_capacity(part.len());
        for found in query_all(c, &sql, [rows.into_value()]).await? {
            let job = found.get("job_id")?;
            after.insert((job, found.get("queue")?), found.get::<i64>("open")?);
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
    for part in changes.chunks(MAX_ROWS_PER_STATEMENT) {
        let mut rows = RowSet::new(&[
            ("user_id", Uuid),
            ("queue", Text),
            ("channel", Text),
            ("open", BigInt),
            ("active_jobs", BigInt),
            ("active_tasks", BigInt),
        ]);
        for ((user, queue), change) in part {
            rows.push([
                user.0.into(),
                queue.as_str().into(),
                change.channel.as_deref().into(),
                change.open.into(),
                change.active_jobs.into(),
                change.active_tasks.into(),
            ])?;
        }
        let sql = format!(
            "INSERT INTO user_queues AS q \
             (user_id, queue, channel, open, active_jobs, active_tasks) \
             SELECT new.* FROM {} WHERE true \
             ON CONFLICT (user_id, queue) DO UPDATE SET open = q.open + excluded.open, \
             active_jobs = q.active_jobs + excluded.active_jobs, \
             active_tasks = q.active_tasks + excluded.active_tasks",
            rows.table_sql(c, 1)
        );
        execute(c, &sql, [rows.into_value()]).await?;
    }
    Ok(())
}

/// Records that each of these jobs has a task in `queue` that is due now.
pub(super) async fn mark_jobs_ready<C: ConnectionTrait>(
    c: &C,
    queue: &str,
    mut jobs: Vec<JobId>,
    now: i64,
) -> Result<(), Error> {
    jobs.sort_unstable();
    jobs.dedup();
    let sql = format!(
        "UPDATE job_queues SET version = version + 1, ready = 1, ready_at = CASE \
         WHEN ready_at IS NULL OR ready_at > $2 THEN $2 ELSE ready_at END \
         WHERE queue = $1 AND {}",
        is_one_of(c, "job_id", 3)
    );
    for jobs in jobs.chunks(MAX_ROWS_PER_STATEMENT) {
        execute(c, &sql, [queue.into(), now.into(), id_list(jobs.iter().copied())]).await?;
    }
    Ok(())
}

/// Deletes the rows of jobs that have ended.
pub(super) async fn delete_job_queues<C: ConnectionTrait>(
    c: &C,
    jobs: &[JobId],
) -> Result<(), Error> {
    let sql = format!("DELETE FROM job_queues WHERE {}", is_one_of(c, "job_id", 1));
    for jobs in jobs.chunks(MAX_ROWS_PER_STATEMENT) {
        execute(c, &sql, [id_list(jobs.iter().copied())]).await?;
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
        let open: i64 = found.get("open")?;
        let active = i64::from(!was_paused);
        let counts = [-open, -active * i64::from(open > 0), -active * open];
        let channel: Option<String> = found.get("channel")?;
        users.add(user, &found.get::<String>("queue")?, channel.as_ref(), counts);
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
            channel: found.get("channel")?,
            open: found.get("n")?,
            ready_at: (!job.paused).then_some(now),
            paused: job.paused,
        };
        new.insert((job.id, found.get("queue")?), change);
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
    /// Earliest time at which a task becomes due, UTC ms; `None` if one may be due now, or
    /// none is left to be published.
    pub due_at: Option<i64>,
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
    /// Start of the newest one, UTC ms.
    pub newest_started_at: i64,
}

impl Jobs {
    /// Returns the open tasks on each channel, by user. Reads as many rows as there
    /// are users with open tasks.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn channel_loads(&self) -> Result<Vec<ChannelLoad>, Error> {
        let sql = "SELECT channel, user_id, active_jobs, active_tasks FROM user_queues \
                   WHERE active_tasks > 0 AND channel IS NOT NULL";
        let rows = query_all(&self.db.reader, sql, []).await?;
        let load = |found: &super::row::Row| {
            Ok(ChannelLoad {
                channel: found.get("channel")?,
                user: found.get("user_id")?,
                jobs: found.get("active_jobs")?,
                open: found.get("active_tasks")?,
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
        let sql = format!(
            "SELECT job_id, channel, open, CASE WHEN ready = 0 THEN ready_at END AS due_at \
             FROM job_queues WHERE open > 0 AND {}",
            is_one_of(&self.db.reader, "job_id", 1)
        );
        for jobs in jobs.chunks(MAX_ROWS_PER_STATEMENT) {
            for found in query_all(&self.db.reader, &sql, [id_list(jobs.iter().copied())]).await? {
                loads.push(JobLoad {
                    job: found.get("job_id")?,
                    channel: found.get("channel")?,
                    open: found.get("open")?,
                    due_at: found.get("due_at")?,
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
        let sql = "SELECT t.job_id, t.channel, COUNT(*) AS n, \
                   COALESCE(MAX(t.started_at), 0) AS newest FROM tasks t \
                   JOIN jobs j ON j.id = t.job_id WHERE t.state = 'running' AND j.paused = 0 \
                   GROUP BY t.job_id, t.channel";
        let rows = query_all(&self.db.reader, sql, []).await?;
        let calls = |found: &super::row::Row| {
            Ok(RunningCalls {
                job: found.get("job_id")?,
                channel: found.get("channel")?,
                count: found.get("n")?,
                newest_started_at: found.get("newest")?,
            })
        };
        rows.iter().map(calls).collect()
    }
}

/// Returns the numbers of tasks and jobs that `user` has open; stops counting
/// jobs at `job_limit`.
pub(super) async fn count_open<C: ConnectionTrait>(
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
    .ok_or_else(|| missing("number of open tasks"))?;
    Ok((found.get("tasks")?, found.get("jobs")?))
}
