//! The task table as the outbox: what is due, and what was published.

use super::{
    Error, QueueGeneration, Store, all, apply::hold, commit, execute, one, parts, persist, places,
    row,
};
use contract::{JobId, TaskId, UserId, envelope::Dispatch, state::TaskState, text};
use sea_orm::{QueryResult, Value};
use std::collections::{BTreeMap, HashMap, VecDeque};
use uuid::Uuid;

/// Rows of one statement; see `accept::ROWS`.
const ROWS: usize = 32;
/// Jobs that one round makes ready: a commit of some milliseconds.
const PROMOTED: usize = 500;

/// What a relay has to publish.
#[derive(Clone, Debug, Default)]
pub struct Due {
    pub tasks: Vec<Dispatch>,
    /// Jobs of which nothing more is due once these tasks are published; to be
    /// handed to [`Store::mark_published`] with them.
    pub exhausted: Vec<Exhausted>,
    /// Of the queue, before these tasks are published; to be handed on likewise.
    pub generation: Option<QueueGeneration>,
}

/// A job of which nothing more is due in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exhausted {
    queue: String,
    job: JobId,
    /// Of its row in `job_queues`, before its tasks were looked at.
    version: i64,
}

/// A row of `job_queues` with something to publish.
#[derive(Clone, Copy, Debug)]
struct ReadyJob {
    job: Uuid,
    user: Uuid,
    version: i64,
}

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
    /// nobody waits behind another's 10,000, nor behind an own one. Reads no
    /// more users, jobs and tasks than there is room for, however many are open.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Corrupt`].
    pub async fn due(&self, queue: &str, window: usize, turns: &Turns) -> Result<Due, Error> {
        let now = self.now_ms();
        let found = one(
            &self.reader,
            "SELECT COUNT(*) AS n FROM tasks \
             WHERE queue = $1 AND state = 'queued' AND published_at IS NOT NULL",
            [queue.into()],
        )
        .await?
        .ok_or(Error::NotFound)?;
        let unclaimed: i64 = found.try_get("", "n")?;
        let room = window.saturating_sub(usize::try_from(unclaimed).unwrap_or(window));
        if room == 0 {
            return Ok(Due::default());
        }
        self.promote(queue, now).await?;
        let users = self.ready_users(queue, turns.user, room).await?;
        // Nobody gets more than a share, unless others have less to do.
        let share = room.div_ceil(users.len().max(1));
        let jobs = self.ready_jobs(queue, &users, share, turns).await?;
        let mut lists = self.due_of(queue, &jobs, share, now).await?;
        let mut chosen = round_robin(lists.clone(), room, turns);
        if chosen.is_none() {
            lists = self.due_of(queue, &jobs, room, now).await?;
            chosen = round_robin(lists.clone(), room, turns);
        }
        let tasks = chosen.unwrap_or_default();
        let exhausted = exhausted(queue, &lists, &jobs, &tasks);
        let generation = match tasks.is_empty() {
            true => None,
            false => Some(self.queue_generation(queue).await?),
        };
        Ok(Due { tasks, exhausted, generation })
    }

    /// Jobs whose next task has come due since the last round are ready.
    async fn promote(&self, queue: &str, now: i64) -> Result<(), Error> {
        let waiting = "FROM job_queues WHERE queue = $1 AND ready = 0 AND ready_at <= $2";
        let any = format!("SELECT 1 AS one {waiting} LIMIT 1");
        if one(&self.reader, &any, [queue.into(), now.into()]).await?.is_none() {
            return Ok(());
        }
        // Alone in its transaction, it locks in the order of the ids.
        let lock = if self.is_sqlite() { "" } else { " FOR NO KEY UPDATE SKIP LOCKED" };
        let sql = format!(
            "UPDATE job_queues SET ready = 1 WHERE queue = $1 AND job_id IN \
             (SELECT job_id {waiting} ORDER BY ready_at LIMIT {PROMOTED}{lock})"
        );
        execute(&self.writer, &sql, [queue.into(), now.into()]).await.map(|_| ())
    }

    /// The next `limit` users behind `last`, in a circle, who have something
    /// ready. One look into the index each.
    async fn ready_users(
        &self,
        queue: &str,
        last: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<Uuid>, Error> {
        // The smallest id is the beginning of the circle: users of all zeros
        // do not exist.
        let last = last.map_or(Uuid::nil(), |user| user.0);
        let mut users = Vec::with_capacity(limit.min(64));
        for (after, up_to) in [(last, Uuid::max()), (Uuid::nil(), last)] {
            let left = i64::try_from(limit - users.len()).unwrap_or(i64::MAX);
            if left == 0 || after == up_to {
                continue;
            }
            let rows = all(
                &self.reader,
                "WITH RECURSIVE ready (id) AS (SELECT (SELECT user_id FROM job_queues \
                 WHERE queue = $1 AND ready = 1 AND user_id > $2 ORDER BY user_id LIMIT 1) \
                 UNION ALL SELECT (SELECT q.user_id FROM job_queues q WHERE q.queue = $1 \
                 AND q.ready = 1 AND q.user_id > ready.id ORDER BY q.user_id LIMIT 1) FROM ready \
                 WHERE ready.id IS NOT NULL) \
                 SELECT id FROM ready WHERE id IS NOT NULL AND id <= $3 LIMIT $4",
                [queue.into(), after.into(), up_to.into(), left.into()],
            )
            .await?;
            for found in rows {
                users.push(found.try_get("", "id")?);
            }
        }
        Ok(users)
    }

    /// The next `limit` ready jobs of each user or some more, in a circle behind
    /// the one that had the last turn.
    async fn ready_jobs(
        &self,
        queue: &str,
        users: &[Uuid],
        limit: usize,
        turns: &Turns,
    ) -> Result<Vec<ReadyJob>, Error> {
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        let circle = "SELECT job_id, user_id, version FROM job_queues WHERE queue = $1 \
                      AND ready = 1 AND user_id = {user} AND job_id > {after} \
                      AND job_id <= {up_to} ORDER BY job_id LIMIT $2";
        let mut arcs = Vec::with_capacity(users.len() * 2);
        for user in users {
            let last = turns.jobs.get(&UserId(*user)).map_or(Uuid::nil(), |job| job.0);
            arcs.push((*user, last, Uuid::max()));
            if last != Uuid::nil() {
                arcs.push((*user, Uuid::nil(), last));
            }
        }
        let mut jobs = Vec::new();
        // SQLite knows no LATERAL, and there is no round trip to save.
        let size = if self.is_sqlite() { 1 } else { ROWS };
        for part in parts(&arcs, size) {
            let sql = match self.is_sqlite() {
                true => {
                    circle.replace("{user}", "$3").replace("{after}", "$4").replace("{up_to}", "$5")
                }
                false => format!(
                    "SELECT j.* FROM (VALUES {}) AS arc (of_user, after, up_to) \
                     CROSS JOIN LATERAL ({}) j",
                    uuid_triples(3, part.len()),
                    circle
                        .replace("{user}", "arc.of_user")
                        .replace("{after}", "arc.after")
                        .replace("{up_to}", "arc.up_to")
                ),
            };
            let mut values: Vec<Value> = vec![queue.into(), most.into()];
            for (user, after, up_to) in part {
                values.extend([Value::from(*user), (*after).into(), (*up_to).into()]);
            }
            for found in all(&self.reader, &sql, values).await? {
                jobs.push(ReadyJob {
                    job: found.try_get("", "job_id")?,
                    user: found.try_get("", "user_id")?,
                    version: found.try_get("", "version")?,
                });
            }
        }
        Ok(jobs)
    }

    /// The first `limit` due tasks of each job, by user.
    async fn due_of(
        &self,
        queue: &str,
        jobs: &[ReadyJob],
        limit: usize,
        now: i64,
    ) -> Result<BTreeMap<Uuid, VecDeque<List>>, Error> {
        let of_job = format!(
            "SELECT {TASK} FROM tasks t WHERE t.queue = $1 AND t.job_id = {job} \
             AND t.state = 'queued' AND t.published_at IS NULL AND t.run_after <= $2 \
             AND (SELECT 1 FROM jobs o WHERE o.id = {job} AND o.state = 'running' \
             AND o.paused = 0 AND o.cancel_requested = 0) IS NOT NULL \
             ORDER BY t.run_after, t.row_no LIMIT $3",
            job = if self.is_sqlite() { "$4" } else { "j.id" }
        );
        let first: [Value; 3] =
            [queue.into(), now.into(), i64::try_from(limit).unwrap_or(i64::MAX).into()];
        let mut tasks: HashMap<Uuid, VecDeque<Dispatch>> = HashMap::with_capacity(jobs.len());
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
            let ids = part.iter().map(|ready| Value::from(ready.job));
            for found in all(&self.reader, &sql, first.iter().cloned().chain(ids)).await? {
                let task = dispatch(&found)?;
                tasks.entry(task.job.0).or_default().push_back(task);
            }
        }
        let mut users: BTreeMap<Uuid, VecDeque<List>> = BTreeMap::new();
        for ready in jobs {
            let tasks = tasks.remove(&ready.job).unwrap_or_default();
            let is_cut = tasks.len() == limit;
            let list = List { job: ready.job, tasks, is_cut };
            users.entry(ready.user).or_default().push_back(list);
        }
        for jobs in users.values_mut() {
            jobs.make_contiguous().sort_unstable_by_key(|list| list.job);
        }
        Ok(users)
    }

    /// Marks deliveries as published, where they still are the task's, and
    /// jobs of `exhausted` as not ready, where nothing of theirs is due any more.
    /// Where the queue is not of that `generation` any more its messages are
    /// lost, and no delivery is marked.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn mark_published(
        &self,
        batch: &[(TaskId, i64)],
        exhausted: &[Exhausted],
        generation: Option<&QueueGeneration>,
    ) -> Result<(), Error> {
        persist!(self.try_mark_published(batch, exhausted, generation))
    }

    async fn try_mark_published(
        &self,
        mut batch: &[(TaskId, i64)],
        exhausted: &[Exhausted],
        generation: Option<&QueueGeneration>,
    ) -> Result<(), Error> {
        if batch.is_empty() && exhausted.is_empty() {
            return Ok(());
        }
        let tx = self.begin().await?;
        let now = self.now_ms();
        if let Some(generation) = generation
            && !self.is_current(&tx, generation).await?
        {
            batch = &[];
        }
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
        for Exhausted { queue, job, version } in exhausted {
            // Asked in the statement that writes it: what has come due since
            // the relay looked is seen here, or has raised the version.
            execute(
                &tx,
                "UPDATE job_queues SET ready = 0, ready_at = (SELECT t.run_after FROM tasks t \
                 WHERE t.queue = $1 AND t.job_id = $2 AND t.state = 'queued' \
                 AND t.published_at IS NULL AND (SELECT j.paused FROM jobs j WHERE j.id = $2) = 0 \
                 ORDER BY t.run_after LIMIT 1) WHERE queue = $1 AND job_id = $2 AND version = $3",
                [queue.as_str().into(), job.0.into(), (*version).into()],
            )
            .await?;
        }
        commit(tx).await?;
        Ok(())
    }

    /// Keeps a message that could not be read as a command: its beginning, and
    /// the reason.
    pub async fn reject_message(&self, queue: &str, bytes: &[u8], why: &str) -> Result<(), Error> {
        let bytes = bytes.get(..text::REJECTED_MESSAGE_BYTES).unwrap_or(bytes);
        let values: [Value; 5] = [
            Uuid::now_v7().into(),
            queue.into(),
            String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}").into(),
            text::REJECTION.clean(why).into(),
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

/// Jobs whose due tasks are all among the chosen ones, or that have none.
fn exhausted(
    queue: &str,
    lists: &BTreeMap<Uuid, VecDeque<List>>,
    jobs: &[ReadyJob],
    chosen: &[Dispatch],
) -> Vec<Exhausted> {
    let versions: HashMap<_, _> = jobs.iter().map(|ready| (ready.job, ready.version)).collect();
    let mut count: HashMap<JobId, usize> = HashMap::new();
    for dispatch in chosen {
        *count.entry(dispatch.job).or_default() += 1;
    }
    let mut exhausted = Vec::new();
    for list in lists.values().flatten() {
        let job = JobId(list.job);
        let all = count.get(&job).copied().unwrap_or(0) == list.tasks.len();
        if let (true, false, Some(version)) = (all, list.is_cut, versions.get(&list.job)) {
            exhausted.push(Exhausted { queue: queue.to_owned(), job, version: *version });
        }
    }
    exhausted.sort_unstable_by_key(|exhausted| exhausted.job);
    exhausted
}

/// Places of so many rows of three ids, whose type PostgreSQL has to be told.
fn uuid_triples(first: usize, rows: usize) -> String {
    let triple = |row: usize| {
        let at = first + row * 3;
        format!("(${at}::uuid, ${}::uuid, ${}::uuid)", at + 1, at + 2)
    };
    (0..rows).map(triple).collect::<Vec<_>>().join(", ")
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
