//! Everything that it takes to consume a new command: its type, its handler, and the line
//! that registers the handler.

use crate::system::wait_until;
use async_trait::async_trait;
use contract::{
    api::Outcome,
    command::Command,
    state::{JobKind, JobState},
};
use engine::{
    clock,
    election::LeaderLease,
    event_bus::embedded::EmbeddedEventBus,
    limiter::{Limiters, embedded::EmbeddedLimiter},
    relay::{self, RelayWaker},
    store::{AttemptError, NewJob, NewTask, Store, Success},
    task_queue::{TaskQueue, embedded::EmbeddedTaskQueue},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use worker::{
    Registry,
    handler::{AttemptContext, Handler},
};

/// Type of the command, which belongs in `contract::command`.
#[derive(Serialize, Deserialize)]
struct PriceRound {
    sku: String,
    cents: u32,
}

impl Command for PriceRound {
    const KIND: &'static str = "price.round";
    const VERSION: u16 = 1;
    const IDENTITY: &'static [&'static str] = &["/sku"];

    fn key(&self) -> String {
        self.sku.clone()
    }
}

/// Handler of the command, which belongs in a file in `worker::handlers`.
struct PriceRoundHandler;

#[async_trait]
impl Handler<PriceRound> for PriceRoundHandler {
    async fn run(
        &self,
        command: PriceRound,
        _context: &mut AttemptContext<'_>,
    ) -> Result<Success, AttemptError> {
        if command.cents == 0 {
            return Err(AttemptError::failed("no_price", "There is no price to round."));
        }
        let rounded = command.cents.div_ceil(100) * 100;
        Ok(Success::new(Outcome::new("rounded", format!("The price is {rounded} now."))))
    }
}

/// The line that consumes the command. That of a command without upstream belongs in
/// `Runtime::build`.
fn registry() -> Registry {
    Registry::default().register_unlimited(4, PriceRoundHandler)
}

fn new_task((row, cents): (u32, u32)) -> NewTask {
    let command = PriceRound { sku: format!("SKU-{row}"), cents };
    NewTask::new(&command, None, command.sku.clone(), String::new(), row).unwrap()
}

#[tokio::test]
async fn a_registered_command_is_consumed() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("meanwhile.sqlite").display());
    let store = Store::open(&url, Arc::new(clock::SystemClock), 1.0).await.unwrap();
    let user = store.accounts.add_first_user("ada@example.com", "hash").await.unwrap().user;
    let task_queue: Arc<dyn TaskQueue> = Arc::new(EmbeddedTaskQueue::default());
    let (relay_waker, stop) = (RelayWaker::default(), CancellationToken::new());
    let limiters = Limiters::new(Arc::new(EmbeddedLimiter::default()), None);
    for queue in registry().queues() {
        let lease = LeaderLease::new(store.clone(), relay::lease_name(&queue.name), "here");
        let (task_queue, limiters) = (Arc::clone(&task_queue), limiters.clone());
        let (store, waker, stop) = (store.clone(), relay_waker.clone(), stop.clone());
        tokio::spawn(relay::run(store, task_queue, queue, limiters, waker, lease, stop));
    }
    let options = worker::Options {
        store: store.clone(),
        task_queue,
        event_bus: Arc::new(EmbeddedEventBus::default()),
        limiters,
        relay_waker,
        registry: registry(),
        worker_name: "w".into(),
    };
    tokio::spawn(worker::run(options, stop.clone()));

    let launch = NewJob {
        actor: user.into(),
        // The test has no kind of its own: commands are consumed whatever job they are of.
        kind: JobKind::Noops,
        title: "prices".into(),
        channels: Vec::new(),
        tasks: (0..).zip([1_990, 0]).map(new_task).collect(),
        file: None,
        idempotency: None,
    };
    let job = store.tasks.accept(launch).await.unwrap().job.id;
    wait_until("the end of the job", async || {
        store.jobs.job(user, job).await.unwrap().state != JobState::Running
    })
    .await;
    let tasks = store.jobs.tasks(user, job, None, 10).await.unwrap();
    let outcomes: Vec<_> = tasks
        .iter()
        .map(|task| (task.state.as_str(), task.outcome.as_ref().unwrap().message.as_str()))
        .collect();
    assert_eq!(
        outcomes,
        [("succeeded", "The price is 2000 now."), ("failed", "There is no price to round.")]
    );
    stop.cancel();
}
