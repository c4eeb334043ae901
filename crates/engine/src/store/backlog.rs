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
    /// Since when the first of those that could be published is due, UTC ms.
    pub due_since: Option<i64>,
}

impl Store {
    /// Counts what is open. Each count is of one partial index, so what has
    /// ended costs nothing.
    pub async fn backlog(&self) -> Result<Backlog, Error> {
        let running = "SELECT COUNT(*) AS n FROM jobs WHERE state = 'running'";
        let jobs = one(&self.reader, running, []).await?.ok_or(Error::NotFound)?;
        let mut backlog = Backlog { jobs: row::count(&jobs, "n")?, ..Backlog::default() };
        let queued = all(
            &self.reader,
            "SELECT t.queue, COUNT(*) AS n, MIN(CASE WHEN j.paused = 0 AND t.run_after <= $1 \
             THEN t.run_after END) AS since FROM tasks t JOIN jobs j ON j.id = t.job_id \
             WHERE t.state = 'queued' AND t.published_at IS NULL GROUP BY t.queue",
            [self.now_ms().into()],
        )
        .await?;
        for found in &queued {
            let queue = backlog.queues.entry(found.try_get("", "queue")?).or_default();
            queue.queued = row::count(found, "n")?;
            queue.due_since = found.try_get("", "since")?;
        }
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
        Ok(backlog)
    }
}
