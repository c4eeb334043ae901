//! The task table as the outbox: what is due, and what was published.

use super::{Error, Store, all, apply::hold, commit, execute, one, parts, persist, places, row};
use contract::{JobId, TaskId, UserId, envelope::Dispatch, state::TaskState};
use sea_orm::{QueryResult, Value};
use std::collections::{BTreeMap, HashMap, VecDeque};
use uuid::Uuid;

/// Rows of one statement; see `accept::ROWS`.
const ROWS: usize = 32;
/// Whose turn it was last in a queue. Slots come one at a time, and so do the
/// tasks that they make room for: without this the first job would have each.
#[derive(Clone, Debug, Default)]
pub struct Turns {
    user: Option<UserId>,
    /// Each user's last job.
    jobs: HashMap<UserId, JobId>,
}

impl Turns {
    /// These had theirs, in this order.
    pub fn taken(&mut self, due: &[Dispatch]) {
        for dispatch in due {
            self.user = Some(dispatch.user);
            self.jobs.insert(dispatch.user, dispatch.job);
        }
    }
}

/// What a [`Dispatch`] is made of, and its place.
const TASK: &str = "t.id, t.job_id, t.user_id, t.fence, t.kind, t.version, t.queue, \
    t.traceparent, t.body, t.run_after, t.row_no";

impl Store {
    /// Tasks of `queue` to publish now, such that at most `window` of the
    /// queue are published and unclaimed. Round-robin by user, then by job:
    /// nobody waits behind another's 10,000, nor behind an own one.
    pub async fn due(
        &self,
        queue: &str,
        window: usize,
        turns: &Turns,
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
            // A look for one task of each job: EXISTS may read all that are due.
            "SELECT j.id, j.user_id FROM jobs j WHERE j.state = 'running' AND j.paused = 0 \
             AND j.cancel_requested = 0 AND (SELECT 1 FROM tasks t WHERE t.queue = $1 \
             AND t.job_id = j.id AND t.state = 'queued' AND t.published_at IS NULL \
             AND t.run_after <= $2 LIMIT 1) IS NOT NULL ORDER BY j.user_id, j.id",
            [queue.into(), now.into()],
        )
        .await?;
        let jobs: Vec<(Uuid, Uuid)> = jobs
            .iter()
            .map(|job| Ok::<_, Error>((job.try_get("", "id")?, job.try_get("", "user_id")?)))
            .collect::<Result<_, _>>()?;
        let users = jobs.chunk_by(|(_, a), (_, b)| a == b).count();
        // Nobody gets more than a share, unless others have less to do.
        let share = room.div_ceil(users.max(1));
        let mut due = round_robin(self.due_of(queue, &jobs, share, now).await?, room, turns);
        if due.is_none() {
            due = round_robin(self.due_of(queue, &jobs, room, now).await?, room, turns);
        }
        Ok(due.unwrap_or_default())
    }

    /// The first `limit` due tasks of each job, by user.
    async fn due_of(
        &self,
        queue: &str,
        jobs: &[(Uuid, Uuid)],
        limit: usize,
        now: i64,
    ) -> Result<BTreeMap<Uuid, VecDeque<List>>, Error> {
        let of_job = format!(
            "SELECT {TASK} FROM tasks t WHERE t.queue = $1 AND t.job_id = {} \
             AND t.state = 'queued' AND t.published_at IS NULL AND t.run_after <= $2 \
             ORDER BY t.run_after, t.row_no LIMIT $3",
            if self.is_sqlite() { "$4" } else { "j.id" }
        );
        let first: [Value; 3] =
            [queue.into(), now.into(), i64::try_from(limit).unwrap_or(i64::MAX).into()];
        let mut tasks: HashMap<Uuid, VecDeque<Dispatch>> = HashMap::with_capacity(jobs.len());
        // SQLite knows no LATERAL, and there is no round trip to save.
        let size = if self.is_sqlite() { 1 } else { ROWS };
        for part in parts(jobs, size) {
            let sql = match self.is_sqlite() {
                true => of_job.clone(),
                false => format!(
                    "SELECT t.* FROM jobs j CROSS JOIN LATERAL ({of_job}) t WHERE j.id IN ({}) \
                     ORDER BY t.run_after, t.row_no",
                    places(4, part.len())
                ),
            };
            let ids = part.iter().map(|(job, _)| Value::from(*job));
            for found in all(&self.reader, &sql, first.iter().cloned().chain(ids)).await? {
                let task = dispatch(&found)?;
                tasks.entry(task.job.0).or_default().push_back(task);
            }
        }
        let mut users: BTreeMap<Uuid, VecDeque<List>> = BTreeMap::new();
        for (job, user) in jobs {
            let tasks = tasks.remove(job).unwrap_or_default();
            let is_cut = tasks.len() == limit;
            users.entry(*user).or_default().push_back(List { job: *job, tasks, is_cut });
        }
        Ok(users)
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
        let queued = hold(self, &tx, TaskState::Queued, batch).await?;
        for part in parts(&queued, ROWS) {
            let sql = format!(
                "UPDATE tasks SET published_at = $1 WHERE id IN ({})",
                places(2, part.len())
            );
            let mut values: Vec<Value> = vec![now.into()];
            values.extend(part.iter().map(|held| Value::from(held.task.0)));
            execute(&tx, &sql, values).await?;
        }
        commit(tx).await?;
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

fn dispatch(row: &QueryResult) -> Result<Dispatch, Error> {
    Ok(Dispatch {
        task: TaskId(row.try_get("", "id")?),
        job: JobId(row.try_get("", "job_id")?),
        user: UserId(row.try_get("", "user_id")?),
        fence: row.try_get("", "fence")?,
        kind: row.try_get("", "kind")?,
        version: u16::try_from(row::count(row, "version")?).unwrap_or_default(),
        queue: row.try_get("", "queue")?,
        traceparent: row.try_get("", "traceparent")?,
        body: row::json(row, "body")?,
    })
}

/// The first due tasks of a job.
#[derive(Clone)]
struct List {
    job: Uuid,
    tasks: VecDeque<Dispatch>,
    /// There may be more.
    is_cut: bool,
}

/// One task of each user in turn, and within a user one of each job in turn;
/// both begin behind who had the last. `None`: a list was cut too short to tell.
fn round_robin(
    users: BTreeMap<Uuid, VecDeque<List>>,
    room: usize,
    turns: &Turns,
) -> Option<Vec<Dispatch>> {
    let mut turn: VecDeque<_> = users.into_iter().collect();
    for (user, jobs) in &mut turn {
        if let Some(last) = turns.jobs.get(&UserId(*user)) {
            jobs.rotate_left(jobs.partition_point(|list| list.job <= last.0));
        }
    }
    if let Some(last) = turns.user {
        turn.rotate_left(turn.partition_point(|(user, _)| *user <= last.0));
    }
    let mut due = Vec::with_capacity(room);
    while due.len() < room
        && let Some((user, mut jobs)) = turn.pop_front()
    {
        while let Some(mut job) = jobs.pop_front() {
            if let Some(task) = job.tasks.pop_front() {
                due.push(task);
                jobs.push_back(job);
                break;
            }
            if job.is_cut {
                return None;
            }
        }
        if !jobs.is_empty() {
            turn.push_back((user, jobs));
        }
    }
    Some(due)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::Value as Json;

    fn tasks(user: u128, job: u128, count: usize) -> List {
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
        List { job: Uuid::from_u128(job), tasks: (0..count).map(dispatch).collect(), is_cut: false }
    }

    #[test]
    fn users_take_turns_and_so_do_their_jobs() {
        let users = BTreeMap::from([
            (Uuid::from_u128(1), VecDeque::from([tasks(1, 10, 9), tasks(1, 11, 1)])),
            (Uuid::from_u128(2), VecDeque::from([tasks(2, 20, 2)])),
        ]);
        let jobs = |after: Option<u128>| -> Vec<u128> {
            let user = after.map(|user| UserId(Uuid::from_u128(user)));
            round_robin(users.clone(), 6, &Turns { user, ..Turns::default() })
                .unwrap()
                .iter()
                .map(|dispatch| dispatch.job.0.as_u128())
                .collect()
        };
        assert_eq!(jobs(None), [10, 20, 11, 20, 10, 10]);
        assert_eq!(jobs(Some(1)), [20, 10, 20, 11, 10, 10]);
        assert_eq!(jobs(Some(2)), [10, 20, 11, 20, 10, 10]);
    }

    #[test]
    fn with_room_for_one_at_a_time_users_and_jobs_take_turns_too() {
        let users = BTreeMap::from([
            (Uuid::from_u128(1), VecDeque::from([tasks(1, 10, 9), tasks(1, 11, 9)])),
            (Uuid::from_u128(2), VecDeque::from([tasks(2, 20, 9)])),
        ]);
        let mut turns = Turns::default();
        let mut jobs = Vec::new();
        for _ in 0..6 {
            let due = round_robin(users.clone(), 1, &turns).unwrap();
            turns.taken(&due);
            jobs.extend(due.iter().map(|dispatch| dispatch.job.0.as_u128()));
        }
        assert_eq!(jobs, [10, 20, 11, 20, 10, 20]);
    }

    #[test]
    fn a_list_that_was_cut_is_asked_for_more_where_its_turn_comes_again() {
        let cut = |count| List { is_cut: true, ..tasks(1, 10, count) };
        let with = |list| {
            BTreeMap::from([
                (Uuid::from_u128(1), VecDeque::from([list])),
                (Uuid::from_u128(2), VecDeque::from([tasks(2, 20, 1)])),
            ])
        };
        // Two each; but the other has only one.
        assert!(round_robin(with(cut(2)), 4, &Turns::default()).is_none());
        assert_eq!(round_robin(with(cut(4)), 4, &Turns::default()).unwrap().len(), 4);
        assert_eq!(round_robin(with(cut(2)), 3, &Turns::default()).unwrap().len(), 3);
    }
}
