//! Generations of queues: a new one begins when messages are found to be lost.

use super::{
    Error, Tasks, commit, execute, job_queues, query_one, retry_on_contention, transition::write,
};
use sea_orm::{ConnectionTrait, DatabaseTransaction};
use uuid::Uuid;

/// Generation of a queue, which changes each time that messages of the queue are
/// found to be lost. A relay that published under an earlier generation can no longer
/// mark its tasks as published. A consumer that began under an earlier generation is
/// restarted, because RabbitMQ may have forgotten it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueGeneration {
    queue: String,
    value: Option<String>,
}

fn generation_meta_name(queue: &str) -> String {
    format!("generation of {queue}")
}

impl Tasks {
    /// Begins the first generation of queues that have none.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn add_queue_generations(&self, queues: &[String]) -> Result<(), Error> {
        for queue in queues {
            execute(
                &self.db.writer,
                "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
                [generation_meta_name(queue).into(), Uuid::now_v7().to_string().into()],
            )
            .await?;
        }
        Ok(())
    }

    /// Returns the current generation of a queue.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn queue_generation(&self, queue: &str) -> Result<QueueGeneration, Error> {
        read_generation(&self.db.reader, queue, "").await
    }

    /// Whether no message was found to be lost since `known`; stays true until `tx`
    /// ends.
    pub(super) async fn is_current_generation(
        &self,
        tx: &DatabaseTransaction,
        known: &QueueGeneration,
    ) -> Result<bool, Error> {
        // A transaction that finds messages to be lost waits for this commit, and
        // sees the tasks that it marks.
        let lock = if self.db.is_sqlite() { "" } else { " FOR SHARE" };
        Ok(read_generation(tx, &known.queue, lock).await? == *known)
    }

    /// Has all queued tasks of `queue` published again, because all its messages are
    /// lost. That includes tasks that a relay has published and not marked yet: the new
    /// generation keeps the relay from marking them. Returns the number of tasks that
    /// were marked as published.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn unpublish_lost_queue(&self, queue: &str) -> Result<u64, Error> {
        retry_on_contention!(self.try_unpublish_tasks(queue, i64::MAX))
    }

    /// Has queued tasks published again that were published before
    /// `published_before` (UTC ms): their messages are in no queue any more, or
    /// don't reach the current consumers. Returns their number.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn unpublish_tasks(&self, queue: &str, published_before: i64) -> Result<u64, Error> {
        let any = "SELECT 1 AS one FROM tasks \
                   WHERE queue = $1 AND state = 'queued' AND published_at < $2 LIMIT 1";
        if query_one(&self.db.reader, any, [queue.into(), published_before.into()]).await?.is_none()
        {
            return Ok(0);
        }
        retry_on_contention!(self.try_unpublish_tasks(queue, published_before))
    }

    async fn try_unpublish_tasks(&self, queue: &str, published_before: i64) -> Result<u64, Error> {
        let tx = self.db.begin().await?;
        // This comes first, so that a relay's marks are either seen below or not
        // made.
        execute(
            &tx,
            "INSERT INTO meta (name, value) VALUES ($1, $2) \
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            [generation_meta_name(queue).into(), Uuid::now_v7().to_string().into()],
        )
        .await?;
        let jobs = write::unpublish_tasks(&tx, queue, published_before).await?;
        let count = jobs.len() as u64;
        // Published tasks were due.
        job_queues::mark_jobs_ready(&tx, queue, jobs, self.db.now_ms()).await?;
        commit(tx).await?;
        Ok(count)
    }
}

async fn read_generation<C: ConnectionTrait>(
    c: &C,
    queue: &str,
    lock: &str,
) -> Result<QueueGeneration, Error> {
    let sql = format!("SELECT value FROM meta WHERE name = $1{lock}");
    let found = query_one(c, &sql, [generation_meta_name(queue).into()]).await?;
    let value = found.map(|row| row.get("value")).transpose()?;
    Ok(QueueGeneration { queue: queue.to_owned(), value })
}
