//! All rows of the database, read past the store.

use contract::{
    UserId,
    fact::{Fact, FactData, FactKind},
    state::{Counts, Effect, JobState, TaskState},
};
use sea_orm::{ConnectionTrait, DatabaseConnection, QueryResult, Statement};
use std::{collections::BTreeMap, str::FromStr};
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    pub job: Uuid,
    pub user: Uuid,
    pub cause: Option<Uuid>,
    pub kind: String,
    pub queue: String,
    pub key: String,
    pub state: TaskState,
    pub effect: Option<Effect>,
    pub attempt: i64,
    pub lease_losses: i64,
    pub outcome_unknown: bool,
    pub has_checkpoint: bool,
    pub run_after: i64,
    pub published_at: Option<i64>,
    pub lease_owner: Option<String>,
    pub lease_until: Option<i64>,
    pub fence: i64,
    pub outcome: Option<String>,
    pub created_at: i64,
    /// Number of rows in `attempts`.
    pub attempt_count: i64,
}

impl Task {
    /// Whether a cancel must not end it, because it may have had an effect.
    pub const fn may_have_effect(&self) -> bool {
        self.outcome_unknown || self.has_checkpoint
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    pub user: Uuid,
    pub state: JobState,
    pub paused: bool,
    pub cancel_requested: bool,
    pub counts: Counts,
    pub finished_at: Option<i64>,
}

/// A row of `job_queues`.
#[derive(Clone, Debug, PartialEq)]
pub struct JobQueue {
    pub open: i64,
    pub ready: bool,
    pub ready_at: Option<i64>,
}

/// A row of `user_queues` that is not all zeros: open tasks; jobs that are not
/// paused; their open tasks.
pub type UserQueue = (i64, i64, i64);

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    pub tasks: BTreeMap<Uuid, Task>,
    pub jobs: BTreeMap<Uuid, Job>,
    /// Last `seq` of each user.
    pub heads: BTreeMap<Uuid, i64>,
    pub job_queues: BTreeMap<(Uuid, String), JobQueue>,
    pub user_queues: BTreeMap<(Uuid, String), UserQueue>,
}

async fn rows(db: &DatabaseConnection, sql: &str) -> Vec<QueryResult> {
    db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap()
}

fn parsed<T: FromStr<Err: std::fmt::Debug>>(row: &QueryResult, column: &str) -> T {
    row.try_get::<String>("", column).unwrap().parse().unwrap()
}

fn flag(row: &QueryResult, column: &str) -> bool {
    row.try_get::<i64>("", column).unwrap() != 0
}

fn count(row: &QueryResult, column: &str) -> u32 {
    row.try_get::<i64>("", column).unwrap().try_into().unwrap()
}

impl Snapshot {
    pub async fn read(db: &DatabaseConnection) -> Self {
        let tasks = rows(
            db,
            "SELECT t.id, job_id, user_id, cause_id, kind, queue, key, state, effect, attempt, \
             lease_losses, unknown_since, checkpoint, run_after, published_at, lease_owner, lease_until, fence, outcome, \
             created_at, (SELECT COUNT(*) FROM attempts a WHERE a.task_id = t.id) AS attempt_count \
             FROM tasks t",
        )
        .await;
        let jobs = rows(
            db,
            "SELECT id, user_id, state, paused, cancel_requested, total, open, succeeded, failed, \
             rejected, cancelled, needs_review, created, updated, unchanged, finished_at FROM jobs",
        )
        .await;
        let users = rows(db, "SELECT id, seq FROM users").await;
        let job_queues =
            rows(db, "SELECT job_id AS id, queue, open, ready, ready_at FROM job_queues").await;
        let user_queues = rows(
            db,
            "SELECT user_id AS id, queue, open, active_jobs, active_tasks FROM user_queues",
        )
        .await;
        let id = |row: &QueryResult| row.try_get::<Uuid>("", "id").unwrap();
        Self {
            tasks: tasks.iter().map(|row| (id(row), task(row))).collect(),
            jobs: jobs.iter().map(|row| (id(row), job(row))).collect(),
            job_queues: job_queues.iter().map(|row| (key(row), job_queue(row))).collect(),
            user_queues: user_queues
                .iter()
                .map(|row| (key(row), user_queue(row)))
                .filter(|(_, counts)| *counts != (0, 0, 0))
                .collect(),
            heads: users.iter().map(|row| (id(row), row.try_get("", "seq").unwrap())).collect(),
        }
    }
}

fn key(row: &QueryResult) -> (Uuid, String) {
    (row.try_get("", "id").unwrap(), row.try_get("", "queue").unwrap())
}

fn job_queue(row: &QueryResult) -> JobQueue {
    JobQueue {
        open: row.try_get("", "open").unwrap(),
        ready: flag(row, "ready"),
        ready_at: row.try_get("", "ready_at").unwrap(),
    }
}

fn user_queue(row: &QueryResult) -> UserQueue {
    let number = |column| row.try_get::<i64>("", column).unwrap();
    (number("open"), number("active_jobs"), number("active_tasks"))
}

fn task(row: &QueryResult) -> Task {
    Task {
        job: row.try_get("", "job_id").unwrap(),
        user: row.try_get("", "user_id").unwrap(),
        cause: row.try_get("", "cause_id").unwrap(),
        kind: row.try_get("", "kind").unwrap(),
        queue: row.try_get("", "queue").unwrap(),
        key: row.try_get("", "key").unwrap(),
        state: parsed(row, "state"),
        effect: row
            .try_get::<Option<String>>("", "effect")
            .unwrap()
            .map(|effect| effect.parse().unwrap()),
        attempt: row.try_get("", "attempt").unwrap(),
        lease_losses: row.try_get("", "lease_losses").unwrap(),
        outcome_unknown: row.try_get::<Option<i64>>("", "unknown_since").unwrap().is_some(),
        has_checkpoint: row.try_get::<Option<String>>("", "checkpoint").unwrap().is_some(),
        run_after: row.try_get("", "run_after").unwrap(),
        published_at: row.try_get("", "published_at").unwrap(),
        lease_owner: row.try_get("", "lease_owner").unwrap(),
        lease_until: row.try_get("", "lease_until").unwrap(),
        fence: row.try_get("", "fence").unwrap(),
        outcome: row.try_get("", "outcome").unwrap(),
        created_at: row.try_get("", "created_at").unwrap(),
        attempt_count: row.try_get("", "attempt_count").unwrap(),
    }
}

fn job(row: &QueryResult) -> Job {
    Job {
        user: row.try_get("", "user_id").unwrap(),
        state: parsed(row, "state"),
        paused: flag(row, "paused"),
        cancel_requested: flag(row, "cancel_requested"),
        counts: Counts {
            total: count(row, "total"),
            open: count(row, "open"),
            succeeded: count(row, "succeeded"),
            failed: count(row, "failed"),
            rejected: count(row, "rejected"),
            cancelled: count(row, "cancelled"),
            needs_review: count(row, "needs_review"),
            created: count(row, "created"),
            updated: count(row, "updated"),
            unchanged: count(row, "unchanged"),
        },
        finished_at: row.try_get("", "finished_at").unwrap(),
    }
}

/// Returns the facts with a `seq` above `after`, as the database has them.
pub async fn journal(db: &DatabaseConnection, user: UserId, after: i64) -> Vec<Fact> {
    let sql = format!(
        "SELECT user_id, seq, id, kind, at, traceparent, data FROM journal WHERE seq > {after} ORDER BY seq"
    );
    rows(db, &sql)
        .await
        .iter()
        .filter(|row| row.try_get::<Uuid>("", "user_id").unwrap() == user.0)
        .map(|row| {
            let data: FactData =
                serde_json::from_str(&row.try_get::<String>("", "data").unwrap()).unwrap();
            Fact {
                seq: row.try_get("", "seq").unwrap(),
                id: row.try_get("", "id").unwrap(),
                kind: parsed::<FactKind>(row, "kind"),
                job: data.job.as_ref().map(|job| job.id),
                task: data.task.as_ref().map(|task| task.id),
                at: row.try_get("", "at").unwrap(),
                traceparent: row.try_get("", "traceparent").unwrap(),
                data,
            }
        })
        .collect()
}
