//! The open work of all users, for operators.

use super::{Error, Jobs, query_all, query_one, row::missing};
use std::collections::HashMap;

/// Open work of all users.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Backlog {
    /// Running jobs, including paused ones.
    pub jobs: u32,
    /// Open tasks by queue name; a queue without any is missing.
    pub queues: HashMap<String, QueueBacklog>,
}

/// Open tasks of one queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueBacklog {
    /// Tasks that are yet to be published, now or later.
    pub queued: u32,
    /// Published tasks that no worker has claimed.
    pub published: u32,
    /// Tasks that a worker runs.
    pub running: u32,
    /// Time since which a job has waited for its turn, the longest of all, UTC ms.
    pub due_since: Option<i64>,
}

impl Jobs {
    /// Returns the open work, from the counters that commits maintain: reads as
    /// many rows as there are users and ready jobs, and none of ended jobs.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn backlog(&self) -> Result<Backlog, Error> {
        let running = "SELECT COUNT(*) AS n FROM jobs WHERE state = 'running'";
        let jobs = query_one(&self.db.reader, running, []).await?;
        let jobs = jobs.ok_or_else(|| missing("number of running jobs"))?;
        let mut backlog = Backlog { jobs: jobs.get("n")?, ..Backlog::default() };
        let published = "SELECT queue, COUNT(*) AS n FROM tasks \
                         WHERE state = 'queued' AND published_at IS NOT NULL GROUP BY queue";
        for found in &query_all(&self.db.reader, published, []).await? {
            let queue = backlog.queues.entry(found.get("queue")?).or_default();
            queue.published = found.get("n")?;
        }
        let running =
            "SELECT queue, COUNT(*) AS n FROM tasks WHERE state = 'running' GROUP BY queue";
        for found in &query_all(&self.db.reader, running, []).await? {
            let queue = backlog.queues.entry(found.get("queue")?).or_default();
            queue.running = found.get("n")?;
        }
        let open = "SELECT queue, CAST(SUM(open) AS BIGINT) AS n FROM user_queues \
                    WHERE open > 0 GROUP BY queue";
        for found in &query_all(&self.db.reader, open, []).await? {
            let name: String = found.get("queue")?;
            let first = "SELECT MIN(ready_at) AS since FROM job_queues \
                         WHERE queue = $1 AND ready = 1";
            let first = query_one(&self.db.reader, first, [name.as_str().into()]).await?;
            let queue = backlog.queues.entry(name).or_default();
            // The numbers are read one after the other: a task that was claimed in
            // between must not make this negative.
            let others = queue.published + queue.running;
            queue.queued = found.get::<u32>("n")?.saturating_sub(others);
            queue.due_since = first.map(|row| row.get("since")).transpose()?.flatten();
        }
        Ok(backlog)
    }
}
