//! A store in a database of a test's own, under a clock that it steers.

use contract::{
    UserId,
    api::{Outcome, Role},
    command::ProductUpload,
    fact::FactKind,
    product::{Price, Product},
    state::{JobKind, JobState, TaskState},
};
use engine::{
    clock::Steered,
    store::{Accept, Claim, Claimed, Ending, Finish, NewTask, News, Store, Turns},
};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};
use std::sync::Arc;
use tempfile::TempDir;

/// UTC ms at which every test begins.
pub const START: i64 = 100 * 24 * 3_600_000;
pub const QUEUE: &str = "meanwhile.q.product.upload.acme.v1";

pub struct World {
    pub store: Store,
    /// Of another process on the same database.
    pub other: Store,
    pub clock: Arc<Steered>,
    /// Ada, the first account.
    pub user: UserId,
    url: String,
    _folder: Option<TempDir>,
}

impl World {
    pub async fn sqlite() -> Self {
        Self::sqlite_in(tempfile::tempdir().unwrap()).await
    }

    /// Where the machine has a disk in its memory, on that: for tests of
    /// thousands of commits that no power cut threatens.
    pub async fn sqlite_in_memory() -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        Self::sqlite_in(folder.unwrap()).await
    }

    async fn sqlite_in(folder: TempDir) -> Self {
        let url = format!("sqlite://{}", folder.path().join("meanwhile.sqlite").display());
        Self { _folder: Some(folder), ..Self::at(url).await }
    }

    /// In the empty database at `url`.
    pub async fn at(url: String) -> Self {
        let clock = Steered::at(START);
        let open = || Store::open(&url, clock.clone(), 1.0);
        // Processes that start together; a file has only one.
        let (store, other) = if url.starts_with("sqlite:") {
            (open().await.unwrap(), open().await.unwrap())
        } else {
            let (store, other) = tokio::join!(open(), open());
            (store.unwrap(), other.unwrap())
        };
        assert_eq!(store.epoch(), other.epoch());
        let user = store.add_first_account("ada@example.com", "hash").await.unwrap().user;
        Self { store, other, clock, user, url, _folder: None }
    }

    pub async fn join(&self, email: &str, role: Role) -> UserId {
        self.store.invite(self.user, email, role, email).await.unwrap();
        self.store.redeem(email, "hash").await.unwrap().1
    }

    /// Beside the store: to look at rows, and to break them.
    pub async fn raw(&self) -> DatabaseConnection {
        Database::connect(&self.url).await.unwrap()
    }

    pub async fn execute(&self, sql: &str) {
        let raw = self.raw().await;
        let statement = Statement::from_string(raw.get_database_backend(), sql);
        raw.execute_raw(statement).await.unwrap();
    }

    /// The column `n` of one row.
    pub async fn number(&self, sql: &str) -> i64 {
        let raw = self.raw().await;
        let statement = Statement::from_string(raw.get_database_backend(), sql);
        raw.query_one_raw(statement).await.unwrap().unwrap().try_get("", "n").unwrap()
    }

    pub async fn claim_next(&self) -> Option<Claimed> {
        let due = self.store.due(QUEUE, 4, &Turns::default()).await.unwrap().tasks;
        let first = due.first()?;
        match self.store.claim(first.task, first.fence, "w1").await.unwrap() {
            Claim::Claimed(claimed) => Some(*claimed),
            other => panic!("{other:?}"),
        }
    }

    pub async fn finish(&self, claimed: &Claimed, ending: Ending) -> Vec<FactKind> {
        let news = self.store.finish(vec![finish(claimed, ending)]).await.remove(0).unwrap();
        kinds(news.as_ref())
    }

    pub async fn succeed(&self, claimed: &Claimed) -> Vec<FactKind> {
        self.finish(claimed, success()).await
    }

    /// Counters equal the rows, and the journal has no hole.
    pub async fn check(&self) {
        let jobs = self.store.jobs(self.user, None, 100).await.unwrap().items;
        for job in jobs {
            let tasks = self.store.tasks(self.user, job.id, None, 10_000).await.unwrap();
            let count = |state| tasks.iter().filter(|task| task.state == state).count();
            let c = job.counts;
            assert_eq!(c.total as usize, tasks.len());
            assert_eq!(c.succeeded as usize, count(TaskState::Succeeded));
            assert_eq!(c.failed as usize, count(TaskState::Failed));
            assert_eq!(c.cancelled as usize, count(TaskState::Cancelled));
            assert_eq!(c.needs_person as usize, count(TaskState::NeedsPerson));
            assert_eq!(c.open as usize, count(TaskState::Queued) + count(TaskState::Running));
            assert_eq!(c.open == 0, job.state != JobState::Running);
        }
        let facts = self.store.facts_after(self.user, 0, 10_000).await.unwrap();
        let head = self.store.head(self.user).await.unwrap();
        assert!(facts.iter().map(|fact| fact.seq).eq(1..=head));
    }
}

pub fn task(key: &str, row: u32) -> NewTask {
    let product = Product {
        sku: key.into(),
        title: "Lamp".into(),
        price: Price(1990),
        description: None,
        vendor: None,
        image: None,
        variants: Vec::new(),
    };
    let command = ProductUpload { channel: "acme".into(), product };
    NewTask::new(&command, Some("acme".into()), key.into(), "Lamp".into(), row).unwrap()
}

pub fn launch(user: UserId, tasks: Vec<NewTask>) -> Accept {
    Accept {
        actor: user.into(),
        kind: JobKind::ProductUploads,
        title: "lamps.csv".into(),
        channels: vec!["acme".into()],
        tasks,
        idempotency: None,
    }
}

/// `count` products with SKUs of their own.
pub fn upload(user: UserId, count: u32) -> Accept {
    launch(user, (0..count).map(|row| task(&format!("SKU-{row}"), row)).collect())
}

pub fn outcome(code: &str) -> Outcome {
    Outcome { code: code.into(), message: code.into(), reference: None }
}

pub fn success() -> Ending {
    Ending::Succeeded { outcome: outcome("created"), follow_ups: Vec::new() }
}

pub fn finish(claimed: &Claimed, ending: Ending) -> Finish {
    Finish { task: claimed.task, fence: claimed.fence, worker: "w1".into(), ending }
}

pub fn kinds(news: Option<&News>) -> Vec<FactKind> {
    news.into_iter().flat_map(|news| &news.facts).map(|fact| fact.kind).collect()
}
