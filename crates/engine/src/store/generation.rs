//! Generations of queues: each begins where messages were found lost.

use super::{Error, Store, all, commit, execute, job_queues, one, persist};
use sea_orm::{ConnectionTrait, DatabaseTransaction};
use uuid::Uuid;

/// Changes each time that messages of a queue were found lost. A relay that
/// published before and marks afterwards waits for none of them, and a consumer
/// that was there before is started again: RabbitMQ may have forgotten it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueGeneration {
    queue: String,
    value: Option<String>,
}

fn meta_name(queue: &str) -> String {
    format!("generation of {queue}")
}

impl Store {
    /// Begins the first generation of queues that have none.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn add_queues(&self, queues: &[String]) -> Result<(), Error> {
        for queue in queues {
            execute(
                &self.writer,
                "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
                [meta_name(queue).into(), Uuid::now_v7().to_string().into()],
            )
            .await?;
        }
        Ok(())
    }

    /// The generation of a queue.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn queue_generation(&self, queue: &str) -> Result<QueueGeneration, Error> {
        generation(&self.reader, queue, "").await
    }

    /// Whether no message was found lost since; holds until `tx` ends.
    pub(super) async fn is_current(
        &self,
        tx: &DatabaseTransaction,
        known: &QueueGeneration,
    ) -> Result<bool, Error> {
        // Whoever finds that messages are lost waits for this commit, and sees
        // what it marks.
        let lock = if self.is_sqlite() { "" } else { " FOR SHARE" };
        Ok(generation(tx, &known.queue, lock).await? == *known)
    }

    /// All messages of `queue` are lost: its tasks are to be published again,
    /// those too that a relay has just published and not marked yet. Returns the
    /// number of the marked ones.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn queue_lost(&self, queue: &str) -> Result<u64, Error> {
        persist!(self.try_unpublish(queue, i64::MAX))
    }

    /// Queued tasks that were published before `published_before` (UTC ms) are
    /// to be published again: their messages are in no queue any more, or do not
    /// reach the consumers that are there. Returns their number.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn unpublish(&self, queue: &str, published_before: i64) -> Result<u64, Error> {
        let any = "SELECT 1 AS one FROM tasks \
                   WHERE queue = $1 AND state = 'queued' AND published_at < $2 LIMIT 1";
        if one(&self.reader, any, [queue.into(), published_before.into()]).await?.is_none() {
            return Ok(0);
        }
        persist!(self.try_unpublish(queue, published_before))
    }

    async fn try_unpublish(&self, queue: &str, published_before: i64) -> Result<u64, Error> {
        let tx = self.begin().await?;
        // First, so that a relay's marks are seen below or not made.
        execute(
            &tx,
            "INSERT INTO meta (name, value) VALUES ($1, $2) \
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            [meta_name(queue).into(), Uuid::now_v7().to_string().into()],
        )
        .await?;
        let rows = all(
            &tx,
            "UPDATE tasks SET published_at = NULL, fence = fence + 1 \
             WHERE queue = $1 AND state = 'queued' AND published_at < $2 RETURNING job_id",
            [queue.into(), published_before.into()],
        )
        .await?;
        let mut jobs = Vec::with_capacity(rows.len());
        for found in &rows {
            jobs.push(found.try_get("", "job_id")?);
        }
        // What was published was due.
        let now = self.now_ms();
        job_queues::mark_ready(&tx, queue, &mut jobs, now, now).await?;
        commit(tx).await?;
        Ok(rows.len() as u64)
    }
}

async fn generation<C: ConnectionTrait>(
    c: &C,
    queue: &str,
    lock: &str,
) -> Result<QueueGeneration, Error> {
    let sql = format!("SELECT value FROM meta WHERE name = $1{lock}");
    let found = one(c, &sql, [meta_name(queue).into()]).await?;
    let value = found.map(|row| row.try_get("", "value")).transpose()?;
    Ok(QueueGeneration { queue: queue.to_owned(), value })
}
