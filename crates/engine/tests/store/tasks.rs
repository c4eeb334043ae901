//! The store against a real database: what a task goes through.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use contract::{
    UserId,
    api::{Outcome, ResolveAs, RetryWhich},
    command::ProductUpload,
    fact::FactKind,
    product::{Price, Product},
    state::{JobKind, JobState, TaskState},
};
use engine::{
    clock::Steered,
    store::{Accept, Claim, Claimed, Control, Ending, Error, Finish, NewTask, Store},
};
use std::sync::Arc;

struct World {
    store: Store,
    clock: Arc<Steered>,
    user: UserId,
    _folder: tempfile::TempDir,
}

const QUEUE: &str = "meanwhile.q.product.upload.acme.v1";

async fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("meanwhile.sqlite").display());
    let clock = Steered::at(1_000_000);
    let store = Store::open(&url, clock.clone(), 1.0).await.unwrap();
    let user = store.add_first_account("ada@example.com", "hash").await.unwrap().user;
    World { store, clock, user, _folder: folder }
}

fn upload(user: UserId, count: u32) -> Accept {
    let task = |row| {
        let product = Product {
            sku: format!("SKU-{row}"),
            title: "Lamp".into(),
            price: Price(1990),
            description: None,
            vendor: None,
            image: None,
            variants: Vec::new(),
        };
        let command = ProductUpload { channel: "acme".into(), product };
        NewTask::new(&command, Some("acme".into()), format!("SKU-{row}"), "Lamp".into(), row)
            .unwrap()
    };
    Accept {
        user,
        kind: JobKind::ProductUploads,
        title: "lamps.csv".into(),
        channels: vec!["acme".into()],
        tasks: (0..count).map(task).collect(),
        idempotency: None,
    }
}

fn outcome(code: &str) -> Outcome {
    Outcome { code: code.into(), message: code.into(), reference: None }
}

impl World {
    async fn claim_next(&self) -> Option<Claimed> {
        let due = self.store.due(QUEUE, 4, None).await.unwrap();
        let first = due.first()?;
        match self.store.claim(first.task, first.fence, "w1").await.unwrap() {
            Claim::Claimed(claimed) => Some(*claimed),
            other => panic!("{other:?}"),
        }
    }

    async fn finish(&self, claimed: &Claimed, ending: Ending) -> Vec<FactKind> {
        let finish =
            Finish { task: claimed.task, fence: claimed.fence, worker: "w1".into(), ending };
        let news = self.store.finish(vec![finish]).await.unwrap();
        news.iter().flat_map(|news| &news.facts).map(|fact| fact.kind).collect()
    }

    async fn succeed(&self, claimed: &Claimed) -> Vec<FactKind> {
        let ending = Ending::Succeeded { outcome: outcome("created"), follow_ups: Vec::new() };
        self.finish(claimed, ending).await
    }

    /// Counters equal the rows, and the journal has no hole.
    async fn check(&self) {
        let jobs = self.store.jobs(self.user, None, 100).await.unwrap().items;
        for job in jobs {
            let tasks = self.store.tasks(self.user, job.id, None, 1000).await.unwrap();
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

#[tokio::test]
async fn a_job_runs_to_its_end() {
    let world = world().await;
    let accepted = world.store.accept(upload(world.user, 2)).await.unwrap();
    assert_eq!(accepted.facts[0].kind, FactKind::JobAccepted);
    let first = world.claim_next().await.unwrap();
    assert_eq!((first.attempt, first.sku.as_str()), (1, "SKU-0"));
    assert_eq!(world.succeed(&first).await, [FactKind::TaskSucceeded]);
    let second = world.claim_next().await.unwrap();
    assert_eq!(world.succeed(&second).await, [FactKind::TaskSucceeded, FactKind::JobFinished]);
    let job = world.store.job(world.user, accepted.job.id).await.unwrap();
    assert_eq!((job.state, job.counts.succeeded), (JobState::Succeeded, 2));
    let inbox = world.store.inbox(world.user, 10).await.unwrap();
    assert_eq!((inbox.unread, inbox.items[0].title.as_str()), (1, "lamps.csv is done"));
    world.check().await;
}

#[tokio::test]
async fn one_key_is_one_job() {
    let world = world().await;
    let mut launch = upload(world.user, 1);
    launch.idempotency = Some(("key".into(), "hash".into()));
    let first = world.store.accept(launch.clone()).await.unwrap();
    let again = world.store.accept(launch.clone()).await.unwrap();
    assert_eq!((first.job.id, again.facts.len()), (again.job.id, 0));
    launch.idempotency = Some(("key".into(), "another".into()));
    assert!(matches!(world.store.accept(launch).await, Err(Error::KeyReused)));
    assert_eq!(world.store.jobs(world.user, None, 10).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn a_delivery_is_claimed_once_and_a_stale_worker_writes_nothing() {
    let world = world().await;
    world.store.accept(upload(world.user, 1)).await.unwrap();
    let due = world.store.due(QUEUE, 4, None).await.unwrap();
    let claimed = world.claim_next().await.unwrap();
    let again = world.store.claim(due[0].task, due[0].fence, "w2").await.unwrap();
    assert_eq!(again, Claim::Nothing);
    assert!(world.store.renew(claimed.task, claimed.fence).await.unwrap());

    world.clock.advance(60_001);
    assert_eq!(world.store.reap(false).await.unwrap().len(), 1);
    assert!(!world.store.renew(claimed.task, claimed.fence).await.unwrap());
    assert_eq!(world.succeed(&claimed).await, []);
    let next = world.claim_next().await.unwrap();
    assert!(next.unsure, "the lost call may have had its effect");
    assert_eq!(next.attempt, 1, "a lost lease costs no attempt");
    world.succeed(&next).await;
    world.check().await;
}

#[tokio::test]
async fn retries_back_off_and_end_as_a_failure_that_can_be_retried() {
    let world = world().await;
    let job = world.store.accept(upload(world.user, 1)).await.unwrap().job.id;
    for attempt in 1..=6 {
        let claimed = world.claim_next().await.unwrap();
        assert_eq!(claimed.attempt, attempt);
        let retry = Ending::Retry { outcome: outcome("http_500"), unsure: false };
        world.finish(&claimed, retry).await;
        world.clock.advance(600_001);
    }
    assert!(world.claim_next().await.is_none());
    let failed = world.store.job(world.user, job).await.unwrap();
    assert_eq!((failed.state, failed.counts.failed), (JobState::Failed, 1));
    world.store.retry(world.user, job, &RetryWhich::default()).await.unwrap();
    let claimed = world.claim_next().await.unwrap();
    world.succeed(&claimed).await;
    let detail = world.store.task(world.user, claimed.task).await.unwrap();
    assert_eq!(detail.attempts.len(), 7);
    let nothing = world.store.retry(world.user, job, &RetryWhich::default()).await;
    assert!(matches!(nothing, Err(Error::Conflict(_))));
    world.check().await;
}

#[tokio::test]
async fn pause_and_cancel_bite_at_once_and_tell_the_truth() {
    let world = world().await;
    let job = world.store.accept(upload(world.user, 3)).await.unwrap().job.id;
    let running = world.claim_next().await.unwrap();
    let published = world.store.due(QUEUE, 4, None).await.unwrap();
    world.store.control(world.user, job, Control::Pause).await.unwrap();
    assert!(world.store.due(QUEUE, 4, None).await.unwrap().is_empty());
    let paused = world.store.claim(published[0].task, published[0].fence, "w1").await.unwrap();
    assert_eq!(paused, Claim::Nothing);
    world.store.control(world.user, job, Control::Resume).await.unwrap();
    assert_eq!(world.store.due(QUEUE, 4, None).await.unwrap().len(), 2);

    let (cancelling, facts) = world.store.control(world.user, job, Control::Cancel).await.unwrap();
    assert_eq!(facts[0].data.count, Some(2));
    assert_eq!((cancelling.state, cancelling.counts.open), (JobState::Running, 1));
    assert_eq!(world.succeed(&running).await, [FactKind::TaskSucceeded, FactKind::JobFinished]);
    let ended = world.store.job(world.user, job).await.unwrap();
    assert_eq!(ended.state, JobState::Cancelled);
    world.check().await;
}

#[tokio::test]
async fn a_person_decides_what_nobody_can_tell() {
    let world = world().await;
    let job = world.store.accept(upload(world.user, 2)).await.unwrap().job.id;
    for how in [ResolveAs::Done, ResolveAs::Again] {
        let claimed = world.claim_next().await.unwrap();
        world.finish(&claimed, Ending::NeedsPerson { outcome: outcome("unsure") }).await;
        world.store.resolve(world.user, claimed.task, how).await.unwrap();
    }
    let again = world.claim_next().await.unwrap();
    world.succeed(&again).await;
    let ended = world.store.job(world.user, job).await.unwrap();
    assert_eq!((ended.state, ended.counts.succeeded), (JobState::Succeeded, 2));
    world.check().await;
}

#[tokio::test]
async fn what_belongs_to_others_is_not_found() {
    let world = world().await;
    let job = world.store.accept(upload(world.user, 1)).await.unwrap().job.id;
    let stranger = UserId(uuid::Uuid::now_v7());
    assert!(matches!(world.store.job(stranger, job).await, Err(Error::NotFound)));
    let cancel = world.store.control(stranger, job, Control::Cancel).await;
    assert!(matches!(cancel, Err(Error::NotFound)));
    assert!(world.store.tasks(stranger, job, None, 10).await.unwrap().is_empty());
}
