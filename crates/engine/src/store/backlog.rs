//! What is to do for everyone, for whoever operates this.

use super::{Error, Store, all, one, row};
use std::collections::HashMap;

/// What is open, of all users.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Backlog {
    /// Jobs that run, paused ones too.
    pub jobs: u32,
    /// By name; a queue without open tasks is missing.
    pub queues: HashMap<String, OfQueue>,
}

/// Open tasks of one queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OfQueue {
    /// To be published, now or later.
    pub queued: u32,
    /// On their way to a worker.
    pub published: u32,
    pub running: u32,
    /// Since when a job has waited for its next turn at most, UTC ms.
    pub due_since: Option<i64>,
}

impl Store {
    /// What is open, by the counters that commits keep: costs as many rows as
    /// there are users and ready jobs, and none that has ended.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn backlog(&self) -> Result<Backlog, Error> {
        let running = "SELECT COUNT(*) AS n FROM jobs WHERE state = 'running'";
        let jobs = one(&self.reader, running, []).await?.ok_or(Error::NotFound)?;
        let mut backlog = Backlog { jobs: row::count(&jobs, "n")?, ..Backlog::default() };
        let published = "SELECT queue, COUNT(*) AS n FROM tasks \
                         WHERE state = 'queued' AND published_at IS NOT NULL GROUP BY queue";
        for found in &all(&self.reader, published, []).await? {
            let queue = backlog.queues.entry(found.try_get("", "queue")?).or_default();
            queue.published = row::count(found, "n")?;
        }
        let running =
            "SELECT queue, COUNT(*) AS n FROM tasks WHERE state = 'running' GROUP BY queue";
        for found in &all(&self.reader, running, []).await? {
            let queue = backlog.queues.entry(found.try_get("", "queue")?).or_default();
            queue.running = row::count(found, "n")?;
        }
        let open = "SELECT queue, CAST(SUM(open) AS BIGINT) AS n FROM user_queues \
                    WHERE open > 0 GROUP BY queue";
        for found in &all(&self.reader, open, []).await? {
            let name: String = found.try_get("", "queue")?;
            let first = "SELECT MIN(ready_at) AS since FROM job_queues \
                         WHERE queue = $1 AND ready = 1";
            let first = one(&self.reader, first, [name.as_str().into()]).await?;
            let queue = backlog.queues.entry(name).or_default();
            // Read one after the other: one that was just claimed is not less
            // than none.
            let others = queue.published + queue.running;
            queue.queued = row::count(found, "n")?.saturating_sub(others);
            queue.due_since = first.map(|row| row.try_get("", "since")).transpose()?.flatten();
        }
        Ok(backlog)
    }
}
