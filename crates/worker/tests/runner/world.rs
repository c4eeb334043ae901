//! Everything in one process: store, broker, relay, reaper, workers, sandbox.

use async_trait::async_trait;
use contract::{
    JobId, UserId,
    api::{Job, TaskDetail},
    command::ProductUpload,
    state::JobState,
};
use engine::{
    Engine,
    broker::{self, Broker},
    clock,
    election::Seat,
    engine::{ChannelSpec, Upload},
    gate::{Gates, Limits, embedded::Embedded},
    reaper,
    relay::{self, Bell},
    store::{Claimed, LEASE_MS, Store},
};
use futures_util::future::BoxFuture;
use sandbox::{Effect, Sandbox};
use sea_orm::{ConnectionTrait, Database, QueryResult, Statement};
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use worker::{
    Options, Registry,
    connector::{self, channel::Channel},
    handler::{Answer, Call, Handler},
    handlers::product_upload,
};

/// Divides the sandbox's times and multiplies its limits.
pub const SPEED: f64 = 50.0;
/// Multiplies the workers' rates. At the sandbox's own an interval would be
/// 2 ms, which a busy machine's scheduler is late by, and the answer a 429.
const PACE: f64 = SPEED / 5.0;
/// Nothing here takes that long, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(90);
const CALLS: u16 = 8;

/// In a SKU: the handler panics once, after its product was uploaded.
pub const PANICS_LATE: &str = "PANICS-LATE";

/// What happens to a claim before its product is uploaded.
pub type Script = Arc<dyn Fn(&Claimed) -> BoxFuture<'static, ()> + Send + Sync>;

pub fn nothing() -> Script {
    Arc::new(|_| Box::pin(std::future::ready(())))
}

struct Scripted {
    script: Script,
    upload: product_upload::Upload,
}

#[async_trait]
impl Handler<ProductUpload> for Scripted {
    async fn run(&self, command: ProductUpload, call: &mut Call<'_>) -> Answer {
        (self.script)(call.task).await;
        let panics = command.product.sku.contains(PANICS_LATE) && call.task.attempt == 1;
        let answer = self.upload.run(command, call).await;
        assert!(!panics, "a bug of ours, behind the call");
        answer
    }
}

/// How the world is to be.
pub struct Setup {
    pub clock: clock::Shared,
    /// Divides back-offs.
    pub hurry: f64,
    pub broker: Arc<dyn Broker>,
    /// A call may take five sixths of it, and it is renewed every third.
    pub lease_ms: i64,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            clock: Arc::new(clock::System),
            hurry: SPEED,
            broker: Arc::new(broker::embedded::Embedded::default()),
            lease_ms: LEASE_MS,
        }
    }
}

pub struct World {
    pub sandbox: Sandbox,
    pub store: Store,
    pub engine: Engine,
    pub user: UserId,
    pub gates: Gates,
    broker: Arc<dyn Broker>,
    bell: Bell,
    stop: CancellationToken,
    url: String,
    _folder: TempDir,
}

/// A worker that can be stopped, and waited for.
pub struct Worker {
    stop: CancellationToken,
    run: JoinHandle<()>,
}

impl Worker {
    /// Calls under way finish.
    pub async fn drain(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.run).await.expect("the worker drains").unwrap();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl World {
    pub async fn new(setup: Setup) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::start(sandbox::Options {
            listen: ([127, 0, 0, 1], 0).into(),
            ledger: folder.path().join("sandbox.jsonl"),
            speed: SPEED,
            seed: 1,
            faults: false,
            latency: None,
        });
        let sandbox = sandbox.await.unwrap();
        let url = format!("sqlite://{}", folder.path().join("meanwhile.sqlite").display());
        let Setup { clock, hurry, broker, lease_ms } = setup;
        let store = Store::open(&url, clock, hurry).await.unwrap().with_lease(lease_ms);
        let gates = Gates::new(Arc::new(Embedded::default()), Some(store.clone()));
        let user = store.add_first_account("ada@example.com", "hash").await.unwrap().user;
        let bell = Bell::default();
        let channel = |spec: &sandbox::ChannelSpec| ChannelSpec {
            id: spec.id.into(),
            name: spec.name.into(),
            rate: spec.rate.per_second * PACE,
            concurrency: CALLS,
            latency_ms: 0,
            sandbox: true,
        };
        let channels = sandbox::channels().iter().map(channel).collect();
        let (s, b) = (store.clone(), Arc::clone(&broker));
        let engine = Engine::new(s, b, bell.clone(), gates.clone(), channels);
        let stop = CancellationToken::new();
        let world =
            Self { sandbox, store, engine, user, broker, gates, bell, stop, url, _folder: folder };
        let registry = world.registry(&nothing());
        registry.open(&world.gates);
        let seat = |name| Seat::new(world.store.clone(), name, "here");
        for queue in registry.queues() {
            tokio::spawn(relay::run(
                world.store.clone(),
                Arc::clone(&world.broker),
                queue,
                world.bell.clone(),
                seat("relay"),
                world.stop.clone(),
            ));
        }
        tokio::spawn(reaper::run(
            world.store.clone(),
            Arc::clone(&world.broker),
            registry.queues(),
            world.bell.clone(),
            seat("reaper"),
            world.stop.clone(),
        ));
        world
    }

    fn registry(&self, script: &Script) -> Registry {
        let client = connector::client(Duration::from_secs(30)).unwrap();
        sandbox::channels().iter().fold(Registry::default(), |registry, spec| {
            let limits = Limits { rate: spec.rate.per_second * PACE, concurrency: CALLS };
            let channel = Channel {
                name: spec.name.into(),
                base_url: format!("{}/channels/{}", self.sandbox.base_url(), spec.id),
                idempotency_keys: spec.idempotency_keys,
                client: client.clone(),
            };
            let upload = product_upload::Upload { channel };
            let handler = Scripted { script: Arc::clone(script), upload };
            registry.on::<ProductUpload>(Some(spec.id), spec.id, limits, handler)
        })
    }

    pub fn work(&self, name: &str, script: &Script) -> Worker {
        let stop = self.stop.child_token();
        let options = Options {
            store: self.store.clone(),
            broker: Arc::clone(&self.broker),
            gates: self.gates.clone(),
            bell: self.bell.clone(),
            registry: self.registry(script),
            name: name.into(),
        };
        let run = tokio::spawn(worker::run(options, stop.clone()));
        Worker { stop, run }
    }

    /// Launches an upload of products with these SKUs.
    pub async fn upload(&self, channels: &[&str], skus: &[&str]) -> JobId {
        let mut file = String::from("sku,title,price\n");
        for sku in skus {
            file.push_str(&format!("{sku},Lamp,19.90\n"));
        }
        let channels: Vec<_> = channels.iter().map(|&id| id.to_owned()).collect();
        let upload = Upload {
            actor: self.user.into(),
            file: "lamps.csv",
            bytes: file.as_bytes().to_vec().into(),
            channels: &channels,
            skip_bad: false,
            idempotency_key: None,
        };
        self.engine.upload(upload).await.unwrap().id
    }

    pub async fn job(&self, job: JobId) -> Job {
        self.store.job(self.user, job).await.unwrap()
    }

    pub async fn end_of(&self, job: JobId) -> Job {
        until("the end of the job", async || self.job(job).await.state != JobState::Running).await;
        self.job(job).await
    }

    /// The job's tasks with their attempts, in the order of the grid.
    pub async fn tasks(&self, job: JobId) -> Vec<TaskDetail> {
        let mut tasks = Vec::new();
        for task in self.store.tasks(self.user, job, None, 1_000).await.unwrap() {
            tasks.push(self.store.task(self.user, task.id).await.unwrap());
        }
        tasks
    }

    /// What the channel has made of a SKU.
    pub fn effects(&self, channel: &str, sku: &str) -> Vec<Effect> {
        let mut effects = self.sandbox.ledger().remove(channel).unwrap().effects;
        effects.retain(|effect| effect.created && &*effect.sku == sku);
        effects
    }

    pub async fn rows(&self, sql: &str) -> Vec<QueryResult> {
        let db = Database::connect(&self.url).await.unwrap();
        db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap()
    }
}

/// Waits until `holds`.
pub async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < PATIENCE, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// How attempts ended, in order.
pub fn codes(task: &TaskDetail) -> Vec<&str> {
    task.attempts.iter().map(|attempt| attempt.outcome.code.as_str()).collect()
}

/// Keeps what was seen, in order.
#[derive(Clone, Default)]
pub struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    pub fn push(&self, what: &str) {
        self.0.lock().unwrap().push(what.into());
    }

    pub fn count(&self, what: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|seen| *seen == what).count()
    }

    pub fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}
