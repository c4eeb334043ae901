//! The task table as the outbox: what is due, and what was published.

use super::{Error, Store, all, execute, one, persist, row};
use contract::{JobId, TaskId, UserId, envelope::Dispatch};
use sea_orm::Value;
use std::collections::{BTreeMap, VecDeque};
use uuid::Uuid;

impl Store {
    /// Tasks of `queue` to publish now, such that at most `window` of the
    /// queue are published and unclaimed. Round-robin by user, then by job:
    /// nobody waits behind another's 10,000. `after` is the user who was
    /// served last.
    pub async fn due(
        &self,
        queue: &str,
        window: usize,
        after: Option<UserId>,
    ) -> Result<Vec<Dispatch>, Error> {
        let now = self.now_ms();
        let unclaimed: i64 = one(
            &self.reader,
            "SELECT COUNT(*) AS n FROM tasks \
             WHERE queue = $1 AND state = 'queued' AND published_at IS NOT NULL",
            [queue.into()],
        )
        .await?
        .ok_or(Error::NotFound)?
        .try_get("", "n")?;
        let room = window.saturating_sub(usize::try_from(unclaimed).unwrap_or(window));
        if room == 0 {
            return Ok(Vec::new());
        }
        let jobs = all(
            &self.reader,
            "SELECT j.id, j.user_id FROM jobs j WHERE j.state = 'running' AND j.paused = 0 \
             AND j.cancel_requested = 0 AND EXISTS (SELECT 1 FROM tasks t WHERE t.queue = $1 \
             AND t.job_id = j.id AND t.state = 'queued' AND t.published_at IS NULL \
             AND t.run_after <= $2) ORDER BY j.user_id, j.id",
            [queue.into(), now.into()],
        )
        .await?;
        let mut users: BTreeMap<Uuid, VecDeque<VecDeque<Dispatch>>> = BTreeMap::new();
        for job in &jobs {
            let tasks = self.due_of(queue, job.try_get("", "id")?, room, now).await?;
            users.entry(job.try_get("", "user_id")?).or_default().push_back(tasks.into());
        }
        Ok(round_robin(users, room, after.map(|user| user.0)))
    }

    async fn due_of(
        &self,
        queue: &str,
        job: Uuid,
        limit: usize,
        now: i64,
    ) -> Result<Vec<Dispatch>, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        all(
            &self.reader,
            "SELECT id, job_id, user_id, fence, kind, version, queue, traceparent, body \
             FROM tasks WHERE queue = $1 AND job_id = $2 AND state = 'queued' \
             AND published_at IS NULL AND run_after <= $3 ORDER BY run_after, row_no LIMIT $4",
            [queue.into(), job.into(), now.into(), limit.into()],
        )
        .await?
        .iter()
        .map(|found| {
            Ok(Dispatch {
                task: TaskId(found.try_get("", "id")?),
                job: JobId(found.try_get("", "job_id")?),
                user: UserId(found.try_get("", "user_id")?),
                fence: found.try_get("", "fence")?,
                kind: found.try_get("", "kind")?,
                version: u16::try_from(row::count(found, "version")?).unwrap_or_default(),
                queue: found.try_get("", "queue")?,
                traceparent: found.try_get("", "traceparent")?,
                body: row::json(found, "body")?,
            })
        })
        .collect()
    }

    /// Marks deliveries as published, where they still are the task's.
    pub async fn mark_published(&self, batch: &[(TaskId, i64)]) -> Result<(), Error> {
        persist!(self.try_mark_published(batch))
    }

    async fn try_mark_published(&self, batch: &[(TaskId, i64)]) -> Result<(), Error> {
        if batch.is_empty() {
            return Ok(());
        }
        let tx = self.begin().await?;
        let now = self.now_ms();
        for (task, fence) in batch {
            execute(
                &tx,
                "UPDATE tasks SET published_at = $3 \
                 WHERE id = $1 AND fence = $2 AND state = 'queued'",
                [task.0.into(), (*fence).into(), now.into()],
            )
            .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Queued tasks that were published before `published_before` (UTC ms)
    /// are to be published again: their messages are in no queue any more.
    pub async fn unpublish(&self, queue: &str, published_before: i64) -> Result<u64, Error> {
        persist!(self.try_unpublish(queue, published_before))
    }

    async fn try_unpublish(&self, queue: &str, published_before: i64) -> Result<u64, Error> {
        execute(
            &self.writer,
            "UPDATE tasks SET published_at = NULL, fence = fence + 1 \
             WHERE queue = $1 AND state = 'queued' AND published_at < $2",
            [queue.into(), published_before.into()],
        )
        .await
    }

    /// When the next task that waits comes due, UTC ms.
    pub async fn next_due(&self) -> Result<Option<i64>, Error> {
        let row = one(
            &self.reader,
            "SELECT MIN(run_after) AS at FROM tasks \
             WHERE state = 'queued' AND published_at IS NULL AND run_after > $1",
            [self.now_ms().into()],
        )
        .await?;
        Ok(row.map(|row| row.try_get::<Option<i64>>("", "at")).transpose()?.flatten())
    }

    /// Keeps a message that could not be read as a command.
    pub async fn reject_message(&self, queue: &str, bytes: &[u8], why: &str) -> Result<(), Error> {
        let values: [Value; 5] = [
            Uuid::now_v7().into(),
            queue.into(),
            String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}").into(),
            why.into(),
            self.now_ms().into(),
        ];
        execute(
            &self.writer,
            "INSERT INTO rejected_messages (id, queue, bytes, why, at) VALUES ($1, $2, $3, $4, $5)",
            values,
        )
        .await
        .map(|_| ())
    }
}

/// One task of each user in turn, beginning behind `after`; within a user one
/// of each job in turn.
fn round_robin(
    users: BTreeMap<Uuid, VecDeque<VecDeque<Dispatch>>>,
    room: usize,
    after: Option<Uuid>,
) -> Vec<Dispatch> {
    let mut turn: VecDeque<_> = users.into_iter().collect();
    if let Some(after) = after {
        let behind = turn.iter().take_while(|(user, _)| *user <= after).count();
        turn.rotate_left(behind);
    }
    let mut due = Vec::with_capacity(room);
    while due.len() < room
        && let Some((user, mut jobs)) = turn.pop_front()
    {
        while let Some(mut job) = jobs.pop_front() {
            if let Some(task) = job.pop_front() {
                due.push(task);
                jobs.push_back(job);
                break;
            }
        }
        if !jobs.is_empty() {
            turn.push_back((user, jobs));
        }
    }
    due
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::Value as Json;

    fn tasks(user: u128, job: u128, count: usize) -> VecDeque<Dispatch> {
        let dispatch = |n| Dispatch {
            task: TaskId(Uuid::from_u128(job * 100 + n as u128)),
            job: JobId(Uuid::from_u128(job)),
            user: UserId(Uuid::from_u128(user)),
            fence: 0,
            kind: String::new(),
            version: 1,
            queue: String::new(),
            traceparent: None,
            body: Json::Null,
        };
        (0..count).map(dispatch).collect()
    }

    #[test]
    fn users_take_turns_and_so_do_their_jobs() {
        let users = BTreeMap::from([
            (Uuid::from_u128(1), VecDeque::from([tasks(1, 10, 9), tasks(1, 11, 1)])),
            (Uuid::from_u128(2), VecDeque::from([tasks(2, 20, 2)])),
        ]);
        let jobs = |after: Option<u128>| -> Vec<u128> {
            round_robin(users.clone(), 6, after.map(Uuid::from_u128))
                .iter()
                .map(|dispatch| dispatch.job.0.as_u128())
                .collect()
        };
        assert_eq!(jobs(None), [10, 20, 11, 20, 10, 10]);
        assert_eq!(jobs(Some(1)), [20, 10, 20, 11, 10, 10]);
        assert_eq!(jobs(Some(2)), [10, 20, 11, 20, 10, 10]);
    }
}
