//! Counters of open tasks, kept by the commits that change them, so that
//! neither the relay nor a forecast reads what is open to learn how much it is.
//!
//! | table | row | what it holds |
//! | --- | --- | --- |
//! | `job_queues` | one job in one queue | open tasks; whether some are due |
//! | `user_queues` | one user in one queue | open tasks; jobs and tasks that are not paused |
//!
//! **Readiness.** `ready_at` is a lower bound: while a task of a running job is
//! queued and unpublished, its row is `ready`, or `ready_at` is no later than
//! the task's `run_after`. Whoever makes a task due calls [`mark_ready`] in the
//! same commit, which raises `version`. The relay alone clears `ready`, and only
//! while `version` is what it was before the relay looked at the tasks.
//!
//! **Lock order**: tasks, jobs, `job_queues`, users, `user_queues`; each in the
//! order of their keys.

use super::{Error, Store, all, execute, one, parts, places, row, tuples};
use contract::{JobId, UserId, api::Job, state::JobState};
use sea_orm::{ConnectionTrait, Value};
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// Rows of one statement; see `accept::ROWS`.
const ROWS: usize = 32;

/// How the open tasks of one job in one queue change.
#[derive(Clone, Debug, Default)]
pub(super) struct QueueChange {
    pub user: Option<UserId>,
    pub channel: Option<String>,
    /// Tasks that become open, less those that end.
    pub open: i64,
    /// A task becomes due at this time, UTC ms.
    pub ready_at: Option<i64>,
    /// Whether the job is paused, as the transaction found it.
    pub paused: bool,
}

impl QueueChange {
    /// A task becomes due at `at`, UTC ms.
    pub fn ready_at(&mut self, at: i64) {
        self.ready_at = Some(self.ready_at.map_or(at, |earlier| earlier.min(at)));
    }
}

/// Changes by job and queue, in the order in which rows are locked.
pub(super) type QueueChanges = BTreeMap<(JobId, String), QueueChange>;

/// A user's counters of one queue change by so much.
#[derive(Clone, Debug, Default)]
struct UserChange {
    channel: Option<String>,
    open: i64,
    active_jobs: i64,
    active_open: i64,
}

/// Changes to `user_queues`, for [`save_users`].
#[derive(Debug, Default)]
pub(super) struct UserChanges(BTreeMap<(UserId, String), UserChange>);

impl UserChanges {
    fn add(&mut self, user: UserId, queue: &str, channel: Option<&String>, change: [i64; 3]) {
        let sum = self.0.entry((user, queue.to_owned())).or_default();
        sum.channel = sum.channel.take().or_else(|| channel.cloned());
        sum.open += change[0];
        sum.active_jobs += change[1];
        sum.active_open += change[2];
    }

    fn extend(&mut self, other: Self) {
        for ((user, queue), change) in other.0 {
            let counts = [change.open, change.active_jobs, change.active_open];
            self.add(user, &queue, change.channel.as_ref(), counts);
        }
    }
}

/// Writes changes of jobs that are locked, or new. Returns what changes for
/// their users.
pub(super) async fn save<C: ConnectionTrait>(
    c: &C,
    changes: &QueueChanges,
    now: i64,
) -> Result<UserChanges, Error> {
    let changes: Vec<_> = changes.iter().collect();
    let mut users = UserChanges::default();
    for part in parts(&changes, ROWS) {
        let sql = format!(
            "INSERT INTO job_queues AS q (job_id, queue, user_id, channel, open, ready, ready_at) \
             VALUES {} ON CONFLICT (job_id, queue) DO UPDATE SET open = q.open + excluded.open, \
             ready = CASE WHEN excluded.ready = 1 THEN 1 ELSE q.ready END, ready_at = {EARLIER}, \
             version = q.version + CASE WHEN excluded.ready_at IS NULL THEN 0 ELSE 1 END \
             RETURNING job_id, queue, open",
            tuples(part.len(), 7)
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
        for found in all(c, &sql, values).await? {
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

/// The earlier of `ready_at` and the one that comes in, where there are two.
const EARLIER: &str = "CASE WHEN excluded.ready_at IS NULL THEN q.ready_at \
    WHEN q.ready_at IS NULL OR q.ready_at > excluded.ready_at THEN excluded.ready_at \
    ELSE q.ready_at END";

/// Writes what changes for users, whose rows are locked by their journal.
pub(super) async fn save_users<C: ConnectionTrait>(
    c: &C,
    changes: UserChanges,
) -> Result<(), Error> {
    let changes: Vec<_> = changes
        .0
        .into_iter()
        .filter(|(_, change)| (change.open, change.active_jobs, change.active_open) != (0, 0, 0))
        .collect();
    for part in parts(&changes, ROWS) {
        let sql = format!(
            "INSERT INTO user_queues AS q \
             (user_id, queue, channel, open, active_jobs, active_open) VALUES {} \
             ON CONFLICT (user_id, queue) DO UPDATE SET open = q.open + excluded.open, \
             active_jobs = q.active_jobs + excluded.active_jobs, \
             active_open = q.active_open + excluded.active_open",
            tuples(part.len(), 6)
        );
        let mut values: Vec<Value> = Vec::with_capacity(part.len() * 6);
        for ((user, queue), change) in part {
            values.extend([
                user.0.into(),
                queue.as_str().into(),
                change.channel.clone().into(),
                change.open.into(),
                change.active_jobs.into(),
                change.active_open.into(),
            ]);
        }
        execute(c, &sql, values).await?;
    }
    Ok(())
}

/// A task of each of these jobs in `queue` becomes due at `at` (UTC ms).
pub(super) async fn mark_ready<C: ConnectionTrait>(
    c: &C,
    queue: &str,
    jobs: &mut Vec<Uuid>,
    at: i64,
    now: i64,
) -> Result<(), Error> {
    jobs.sort_unstable();
    jobs.dedup();
    for part in parts(jobs, ROWS) {
        let sql = format!(
            "UPDATE job_queues SET version = version + 1, \
             ready = CASE WHEN $2 <= $3 THEN 1 ELSE ready END, ready_at = CASE \
             WHEN ready_at IS NULL OR ready_at > $2 THEN $2 ELSE ready_at END \
             WHERE queue = $1 AND job_id IN ({})",
            places(4, part.len())
        );
        let mut values: Vec<Value> = vec![queue.into(), at.into(), now.into()];
        values.extend(part.iter().map(|job| Value::from(*job)));
        execute(c, &sql, values).await?;
    }
    Ok(())
}

/// Rows of jobs that have ended are not needed any more.
pub(super) async fn forget<C: ConnectionTrait>(c: &C, jobs: &[JobId]) -> Result<(), Error> {
    for part in parts(jobs, ROWS) {
        let sql = format!("DELETE FROM job_queues WHERE job_id IN ({})", places(1, part.len()));
        execute(c, &sql, part.iter().map(|job| Value::from(job.0))).await?;
    }
    Ok(())
}

/// Counts a locked job's open tasks anew, after a change of the whole job, and
/// makes those due that are queued, or none where the job is paused now. Reads
/// as many rows as are open. `was_paused` is as the counters have it.
pub(super) async fn recount<C: ConnectionTrait>(
    c: &C,
    user: UserId,
    job: &Job,
    was_paused: bool,
    now: i64,
) -> Result<UserChanges, Error> {
    let mut users = UserChanges::default();
    let old = "SELECT queue, channel, open FROM job_queues WHERE job_id = $1 ORDER BY queue";
    for found in all(c, old, [job.id.0.into()]).await? {
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
    let mut new = QueueChanges::new();
    let open = "SELECT queue, MAX(channel) AS channel, COUNT(*) AS n FROM tasks \
                WHERE job_id = $1 AND state IN ('queued', 'running') GROUP BY queue";
    for found in all(c, open, [job.id.0.into()]).await? {
        let change = QueueChange {
            user: Some(user),
            channel: found.try_get("", "channel")?,
            open: found.try_get("", "n")?,
            ready_at: (!job.paused).then_some(now),
            paused: job.paused,
        };
        new.insert((job.id, found.try_get("", "queue")?), change);
    }
    users.extend(save(c, &new, now).await?);
    Ok(users)
}

/// What one user has open on one channel, paused jobs left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelLoad {
    pub channel: String,
    pub user: UserId,
    pub jobs: u32,
    /// Open tasks: queued and running.
    pub open: u32,
}

/// Open tasks of one job in one queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobLoad {
    pub job: JobId,
    /// `None` for a task of no channel, such as a machine's.
    pub channel: Option<String>,
    /// Queued and running.
    pub open: u32,
}

/// Calls under way of one job on one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningCalls {
    pub job: JobId,
    pub channel: Option<String>,
    pub count: u32,
}

impl Store {
    /// What is open on each channel, by user. Costs as many rows as users have
    /// something open.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn channel_loads(&self) -> Result<Vec<ChannelLoad>, Error> {
        let sql = "SELECT channel, user_id, active_jobs, active_open FROM user_queues \
                   WHERE active_open > 0 AND channel IS NOT NULL";
        let rows = all(&self.reader, sql, []).await?;
        let load = |found: &sea_orm::QueryResult| {
            Ok(ChannelLoad {
                channel: found.try_get("", "channel")?,
                user: UserId(found.try_get("", "user_id")?),
                jobs: row::count(found, "active_jobs")?,
                open: row::count(found, "active_open")?,
            })
        };
        rows.iter().map(load).collect()
    }

    /// What these jobs have open, by channel.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn job_loads(&self, jobs: &[JobId]) -> Result<Vec<JobLoad>, Error> {
        let mut loads = Vec::with_capacity(jobs.len());
        for part in parts(jobs, ROWS) {
            let sql = format!(
                "SELECT job_id, channel, open FROM job_queues WHERE open > 0 AND job_id IN ({})",
                places(1, part.len())
            );
            for found in &all(&self.reader, &sql, part.iter().map(|job| job.0.into())).await? {
                loads.push(JobLoad {
                    job: JobId(found.try_get("", "job_id")?),
                    channel: found.try_get("", "channel")?,
                    open: row::count(found, "open")?,
                });
            }
        }
        Ok(loads)
    }

    /// Calls under way of jobs that are not paused: no more than workers make
    /// at once.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn running_calls(&self) -> Result<Vec<RunningCalls>, Error> {
        let sql = "SELECT t.job_id, t.channel, COUNT(*) AS n FROM tasks t \
                   JOIN jobs j ON j.id = t.job_id WHERE t.state = 'running' AND j.paused = 0 \
                   GROUP BY t.job_id, t.channel";
        let rows = all(&self.reader, sql, []).await?;
        let calls = |found: &sea_orm::QueryResult| {
            Ok(RunningCalls {
                job: JobId(found.try_get("", "job_id")?),
                channel: found.try_get("", "channel")?,
                count: row::count(found, "n")?,
            })
        };
        rows.iter().map(calls).collect()
    }

    /// Tasks and jobs that `user` has open; `at_least` jobs are not counted
    /// further.
    pub(super) async fn open_of<C: ConnectionTrait>(
        &self,
        c: &C,
        user: UserId,
        at_least: i64,
    ) -> Result<(i64, i64), Error> {
        let found = one(
            c,
            "SELECT (SELECT CAST(COALESCE(SUM(open), 0) AS BIGINT) FROM user_queues \
             WHERE user_id = $1) AS tasks, (SELECT COUNT(*) FROM (SELECT 1 FROM jobs \
             WHERE user_id = $1 AND state = 'running' LIMIT $2) AS running) AS jobs",
            [user.0.into(), at_least.into()],
        )
        .await?
        .ok_or(Error::NotFound)?;
        Ok((found.try_get("", "tasks")?, found.try_get("", "jobs")?))
    }
}
