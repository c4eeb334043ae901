//! A store in a database of one test, with a clock that the test controls.

use contract::{
    UserId,
    api::{Outcome, Role},
    command::ProductUpload,
    fact::FactKind,
    product::{Price, Product},
    state::{Effect, JobKind, JobState, TaskState},
};
use engine::{
    clock::ManualClock,
    store::{
        AttemptResult, Claim, ClaimedTask, FinishAttempt, NewJob, NewTask, RoundRobin, Store,
        Success, UserFacts,
    },
};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};
use std::sync::Arc;
use tempfile::TempDir;

/// Time at which every test begins, UTC ms.
pub const START: i64 = 100 * 24 * 3_600_000;
pub const QUEUE: &str = "meanwhile.q.product.upload.acme.v1";

pub struct StoreFixture {
    pub store: Store,
    /// Store of another process on the same database.
    pub other_store: Store,
    pub clock: Arc<ManualClock>,
    /// Ada, the first user.
    pub user: UserId,
    url: String,
    _folder: Option<TempDir>,
}

impl StoreFixture {
    pub async fn sqlite() -> Self {
        Self::sqlite_in(tempfile::tempdir().unwrap()).await
    }

    /// Uses a file system in memory where there is one: for tests of thousands of
    /// commits that need no durability.
    pub async fn sqlite_in_memory() -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        Self::sqlite_in(folder.unwrap()).await
    }

    async fn sqlite_in(folder: TempDir) -> Self {
        let url = format!("sqlite://{}", folder.path().join("meanwhile.sqlite").display());
        Self { _folder: Some(folder), ..Self::at(url).await }
    }

    /// Opens two stores in the empty database at `url`.
    pub async fn at(url: String) -> Self {
        let clock = ManualClock::at(START);
        let open = || Store::open(&url, clock.clone(), 1.0);
        // The two start at the same time; a SQLite file allows only one process.
        let (store, other_store) = if url.starts_with("sqlite:") {
            (open().await.unwrap(), open().await.unwrap())
        } else {
            let (store, other_store) = tokio::join!(open(), open());
            (store.unwrap(), other_store.unwrap())
        };
        assert_eq!(store.database.epoch(), other_store.database.epoch());
        let user = store.accounts.add_first_user("ada@example.com", "hash").await.unwrap().user;
        Self { store, other_store, clock, user, url, _folder: None }
    }

    pub async fn add_user(&self, email: &str, role: Role) -> UserId {
        self.store.accounts.invite_user(self.user, email, role, email).await.unwrap();
        self.store.accounts.redeem_link(email, "hash").await.unwrap().1
    }

    /// Opens a connection that bypasses the store, to read rows and to damage them.
    pub async fn raw_connection(&self) -> DatabaseConnection {
        Database::connect(&self.url).await.unwrap()
    }

    pub async fn execute(&self, sql: &str) {
        let raw = self.raw_connection().await;
        let statement = Statement::from_string(raw.get_database_backend(), sql);
        raw.execute_raw(statement).await.unwrap();
    }

    /// Returns column `n` of the only row.
    pub async fn query_number(&self, sql: &str) -> i64 {
        let raw = self.raw_connection().await;
        let statement = Statement::from_string(raw.get_database_backend(), sql);
        raw.query_one_raw(statement).await.unwrap().unwrap().try_get("", "n").unwrap()
    }

    pub async fn claim_next(&self) -> Option<ClaimedTask> {
        let due = self.store.tasks.due_tasks(QUEUE, 4, &RoundRobin::default()).await.unwrap().tasks;
        let first = due.first()?;
        match self.store.tasks.claim(first.task, first.fence, "w1").await.unwrap() {
            Claim::Claimed(claimed) => Some(*claimed),
            other => panic!("{other:?}"),
        }
    }

    pub async fn finish(&self, claimed: &ClaimedTask, result: AttemptResult) -> Vec<FactKind> {
        let facts = self.store.tasks.finish(vec![finish(claimed, result)]).await.remove(0).unwrap();
        fact_kinds(facts.as_ref())
    }

    pub async fn succeed(&self, claimed: &ClaimedTask) -> Vec<FactKind> {
        self.finish(claimed, success()).await
    }

    /// Asserts that counters match the rows, and that the journal has no gap.
    pub async fn assert_consistent(&self) {
        let jobs = self.store.jobs.jobs(self.user, None, 100).await.unwrap().items;
        for job in jobs {
            let tasks = self.store.jobs.tasks(self.user, job.id, None, 10_000).await.unwrap();
            let count = |state| tasks.iter().filter(|task| task.state == state).count();
            let c = job.counts;
            assert_eq!(c.total as usize, tasks.len());
            assert_eq!(c.succeeded as usize, count(TaskState::Succeeded));
            assert_eq!(c.failed as usize, count(TaskState::Failed));
            assert_eq!(c.rejected as usize, count(TaskState::Rejected));
            assert_eq!(c.cancelled as usize, count(TaskState::Cancelled));
            assert_eq!(c.needs_review as usize, count(TaskState::NeedsReview));
            assert_eq!(c.open as usize, count(TaskState::Queued) + count(TaskState::Running));
            let effects = |effect| tasks.iter().filter(|task| task.effect == Some(effect)).count();
            assert_eq!(c.created as usize, effects(Effect::Created));
            assert_eq!(c.updated as usize, effects(Effect::Updated));
            assert_eq!(c.unchanged as usize, effects(Effect::Unchanged));
            assert_eq!(c.open == 0, job.state != JobState::Running);
        }
        let facts = self.store.journal.facts_after(self.user, 0, 10_000).await.unwrap();
        let head = self.store.journal.journal_head(self.user).await.unwrap();
        assert!(facts.iter().map(|fact| fact.seq).eq(1..=head));
    }
}

pub fn task(key: &str, row: u32) -> NewTask {
    let product =
        Product { sku: key.into(), title: "Lamp".into(), price: Price(1990), ..Product::default() };
    let command = ProductUpload { channel: "acme".into(), product };
    NewTask::new(&command, Some("acme".into()), key.into(), "Lamp".into(), row).unwrap()
}

pub fn new_job(user: UserId, tasks: Vec<NewTask>) -> NewJob {
    NewJob {
        actor: user.into(),
        kind: JobKind::ProductUploads,
        title: "lamps.csv".into(),
        channels: vec!["acme".into()],
        tasks,
        file: None,
        idempotency: None,
    }
}

/// Returns a job of `count` products with different SKUs.
pub fn new_upload_job(user: UserId, count: u32) -> NewJob {
    new_job(user, (0..count).map(|row| task(&format!("SKU-{row}"), row)).collect())
}

pub fn outcome(code: &str) -> Outcome {
    Outcome { code: code.into(), message: code.into(), reference: None }
}

pub fn success() -> AttemptResult {
    Ok(Success::new(outcome("created")))
}

pub fn finish(claimed: &ClaimedTask, result: AttemptResult) -> FinishAttempt {
    let (task, fence, worker) = (claimed.id, claimed.fence, "w1".into());
    FinishAttempt { task, fence, worker, traceparent: None, result }
}

pub fn fact_kinds(facts: Option<&UserFacts>) -> Vec<FactKind> {
    facts.into_iter().flat_map(|user_facts| &user_facts.facts).map(|fact| fact.kind).collect()
}
