//! Store, task queue, relay, reaper, workers and sandbox in one process.

use async_trait::async_trait;
use channels::settings::ProcessSecrets;
use contract::{
    JobId, UserId,
    api::{Job, TaskDetail},
    command::ProductUpload,
    state::JobState,
};
use engine::{
    Engine,
    channel::ChannelConfig,
    clock,
    election::LeaderLease,
    engine::Upload,
    event_bus::{EventBus, embedded::EmbeddedEventBus},
    limiter::{Limiters, UpstreamLimits, embedded::EmbeddedLimiter},
    reaper,
    relay::{self, RelayWaker},
    store::{AttemptError, ClaimedTask, DEFAULT_LEASE_MS, Store, Success},
    task_queue::{TaskQueue, embedded::EmbeddedTaskQueue},
};
use futures_util::future::BoxFuture;
use sandbox::{Effect, SAMPLE_CHANNELS, Sandbox};
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
    connector::channel::{ChannelClient, ChannelHandle},
    handler::{AttemptContext, Handler},
    handlers::product_upload,
};

/// Factor that divides the sandbox's times and multiplies its limits.
pub const SPEED: f64 = 50.0;
/// Factor that multiplies the workers' rates. At [`SPEED`] an interval would be 2 ms: the
/// scheduler of a busy machine is that late, and the response would be a 429.
const WORKER_RATE_FACTOR: f64 = SPEED / 5.0;
/// Maximum time of any wait; nothing takes that long on the slowest machine.
const WAIT_TIMEOUT: Duration = Duration::from_secs(90);
const CONCURRENCY: u16 = 8;

/// Part of a SKU whose handler panics once, after the product was uploaded.
pub const PANICS_AFTER_UPLOAD: &str = "PANICS-AFTER-UPLOAD";

/// Hook that runs after the claim, before the product is uploaded.
pub type BeforeUploadHook = Arc<dyn Fn(&ClaimedTask) -> BoxFuture<'static, ()> + Send + Sync>;

/// Loads a channel of the sandbox, with the times and limits of these tests.
fn load_channel(sandbox: &Sandbox, (file, text): &(&str, &str)) -> channels::Channel {
    let url = sandbox.channel_url(file.trim_end_matches(".toml"));
    let overrides = [("url", url.as_str().into())];
    let mut channel =
        channels::Channel::load(file, text, &ProcessSecrets, &overrides).expect("a right file");
    channel.pace.rate *= WORKER_RATE_FACTOR;
    channel.pace.concurrency = CONCURRENCY;
    channel.pace.latency = channel.pace.latency.div_f64(SPEED);
    channel
}

fn channel_config(channel: &channels::Channel) -> ChannelConfig {
    ChannelConfig {
        id: channel.id.clone(),
        name: channel.name.clone(),
        limits: UpstreamLimits { rate: channel.pace.rate, concurrency: channel.pace.concurrency },
        latency: channel.pace.latency,
        requests_per_upload: channel.pace.requests,
        is_sandbox: true,
    }
}

pub fn no_hook() -> BeforeUploadHook {
    Arc::new(|_| Box::pin(std::future::ready(())))
}

struct HookedHandler {
    before_upload: BeforeUploadHook,
    upload: product_upload::ProductUploadHandler,
}

#[async_trait]
impl Handler<ProductUpload> for HookedHandler {
    async fn run(
        &self,
        command: ProductUpload,
        context: &mut AttemptContext<'_>,
    ) -> Result<Success, AttemptError> {
        (self.before_upload)(context.task).await;
        let panics = command.product.sku.contains(PANICS_AFTER_UPLOAD) && context.task.attempt == 1;
        let outcome = self.upload.run(command, context).await;
        assert!(!panics, "a bug of ours, after the call");
        outcome
    }

    async fn reconcile(
        &self,
        command: ProductUpload,
        context: &mut AttemptContext<'_>,
    ) -> Result<Success, AttemptError> {
        self.upload.reconcile(command, context).await
    }
}

/// Options of a [`InProcessSystem`].
pub struct SystemOptions {
    pub clock: clock::SharedClock,
    /// Factor that divides back-offs.
    pub backoff_divisor: f64,
    pub task_queue: Arc<dyn TaskQueue>,
    /// Length of a lease. A handler may take five sixths of it, and it is renewed every third.
    pub lease: Duration,
}

impl Default for SystemOptions {
    fn default() -> Self {
        Self {
            clock: Arc::new(clock::SystemClock),
            backoff_divisor: SPEED,
            task_queue: Arc::new(EmbeddedTaskQueue::default()),
            lease: Duration::from_millis(DEFAULT_LEASE_MS.unsigned_abs()),
        }
    }
}

pub struct InProcessSystem {
    pub sandbox: Sandbox,
    pub store: Store,
    pub engine: Engine,
    pub user: UserId,
    pub limiters: Limiters,
    sandbox_channels: Vec<channels::Channel>,
    task_queue: Arc<dyn TaskQueue>,
    event_bus: Arc<dyn EventBus>,
    relay_waker: RelayWaker,
    stop: CancellationToken,
    url: String,
    _folder: TempDir,
}

/// Worker that can be stopped and waited for.
pub struct RunningWorker {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl RunningWorker {
    /// Stops the worker and waits until its calls have finished.
    pub async fn drain(self) {
        self.stop.cancel();
        tokio::time::timeout(WAIT_TIMEOUT, self.task).await.expect("the worker drains").unwrap();
    }
}

impl Drop for InProcessSystem {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl InProcessSystem {
    pub async fn new(options: SystemOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::start(sandbox::Options {
            listen: ([127, 0, 0, 1], 0).into(),
            ledger: folder.path().join("sandbox.jsonl"),
            speed: SPEED,
            seed: 1,
            faults: false,
            latency: None,
            channels: SAMPLE_CHANNELS.to_vec(),
        });
        let sandbox = sandbox.await.unwrap();
        let url = format!("sqlite://{}", folder.path().join("meanwhile.sqlite").display());
        let SystemOptions { clock, backoff_divisor, task_queue, lease } = options;
        let event_bus: Arc<dyn EventBus> = Arc::new(EmbeddedEventBus::default());
        let store = Store::open(&url, clock, backoff_divisor).await.unwrap().with_lease(lease);
        let limiters = Limiters::new(Arc::new(EmbeddedLimiter::default()), Some(store.clone()));
        let user = store.accounts.add_first_user("ada@example.com", "hash").await.unwrap().user;
        let relay_waker = RelayWaker::default();
        let sandbox_channels: Vec<_> =
            sandbox::CHANNEL_FILES.iter().map(|file| load_channel(&sandbox, file)).collect();
        let channels = sandbox_channels.iter().map(channel_config).collect();
        let engine = Engine::new(
            store.clone(),
            Arc::clone(&event_bus),
            relay_waker.clone(),
            limiters.clone(),
            channels,
        );
        let stop = CancellationToken::new();
        let system = Self {
            sandbox,
            store,
            engine,
            user,
            task_queue,
            event_bus,
            limiters,
            sandbox_channels,
            relay_waker,
            stop,
            url,
            _folder: folder,
        };
        let registry = system.registry(&no_hook());
        registry.register_upstreams(&system.limiters);
        let leader_lease = |name| LeaderLease::new(system.store.clone(), name, "here");
        for queue in registry.queues() {
            tokio::spawn(relay::run(
                system.store.clone(),
                Arc::clone(&system.task_queue),
                queue,
                system.limiters.clone(),
                system.relay_waker.clone(),
                leader_lease("relay"),
                system.stop.clone(),
            ));
        }
        tokio::spawn(reaper::run(
            system.store.clone(),
            Arc::clone(&system.task_queue),
            Arc::clone(&system.event_bus),
            registry.queues(),
            system.relay_waker.clone(),
            leader_lease("reaper"),
            system.stop.clone(),
        ));
        system
    }

    fn registry(&self, before_upload: &BeforeUploadHook) -> Registry {
        self.sandbox_channels.iter().fold(Registry::default(), |registry, channel| {
            let client = ChannelClient::new(channel.clone(), Duration::from_secs(30)).unwrap();
            let channel_handle = Arc::new(ChannelHandle::new(client));
            let upload = product_upload::ProductUploadHandler { channel: channel_handle };
            let handler = HookedHandler { before_upload: Arc::clone(before_upload), upload };
            let (id, limits) = (channel.id.as_str(), channel_config(channel).limits);
            registry.register::<ProductUpload>(Some(id), id, limits, handler)
        })
    }

    pub fn spawn_worker(&self, name: &str, before_upload: &BeforeUploadHook) -> RunningWorker {
        let stop = self.stop.child_token();
        let options = Options {
            store: self.store.clone(),
            task_queue: Arc::clone(&self.task_queue),
            event_bus: Arc::clone(&self.event_bus),
            limiters: self.limiters.clone(),
            relay_waker: self.relay_waker.clone(),
            registry: self.registry(before_upload),
            worker_name: name.into(),
        };
        let task = tokio::spawn(worker::run(options, stop.clone()));
        RunningWorker { stop, task }
    }

    /// Launches an upload of products with these SKUs.
    pub async fn upload_skus(&self, channels: &[&str], skus: &[&str]) -> JobId {
        let mut file = String::from("sku,title,price\n");
        for sku in skus {
            file.push_str(&format!("{sku},Lamp,19.90\n"));
        }
        let channels: Vec<_> = channels.iter().map(|&id| id.to_owned()).collect();
        let request = Upload {
            actor: self.user.into(),
            file_name: "lamps.csv",
            bytes: file.as_bytes().to_vec().into(),
            channels: &channels,
            skip_bad: false,
            options: Default::default(),
            idempotency_key: None,
        };
        self.engine.upload_products(request).await.unwrap().id
    }

    pub async fn job(&self, job: JobId) -> Job {
        self.store.jobs.job(self.user, job).await.unwrap()
    }

    pub async fn wait_for_end(&self, job: JobId) -> Job {
        wait_until("the end of the job", async || self.job(job).await.state != JobState::Running)
            .await;
        self.job(job).await
    }

    /// Returns the job's tasks with their attempts, in the order of the grid.
    pub async fn tasks(&self, job: JobId) -> Vec<TaskDetail> {
        let mut tasks = Vec::new();
        for task in self.store.jobs.tasks(self.user, job, None, 1_000).await.unwrap() {
            tasks.push(self.store.jobs.task(self.user, task.id).await.unwrap());
        }
        tasks
    }

    /// Returns the effects of a SKU at the channel.
    pub fn effects(&self, channel: &str, sku: &str) -> Vec<Effect> {
        let mut effects = self.sandbox.ledger().remove(channel).unwrap().effects;
        effects.retain(|effect| effect.created && &*effect.sku == sku);
        effects
    }

    /// Returns the methods of the requests that the channel has admitted, in order.
    pub fn actions(&self, channel: &str) -> Vec<String> {
        let requests = self.sandbox.ledger().remove(channel).unwrap().requests;
        requests.iter().map(|request| request.action.to_string()).collect()
    }

    pub async fn query(&self, sql: &str) -> Vec<QueryResult> {
        let db = Database::connect(&self.url).await.unwrap();
        db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap()
    }
}

/// Waits until `condition` holds; `what` names it in the message.
pub async fn wait_until(what: &str, condition: impl AsyncFn() -> bool) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < WAIT_TIMEOUT, "{what}: not within {WAIT_TIMEOUT:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Returns the outcome codes of the attempts, in order.
pub fn attempt_codes(task: &TaskDetail) -> Vec<&str> {
    task.attempts.iter().map(|attempt| attempt.outcome.code.as_str()).collect()
}

/// Log of the events that a test has seen, in order.
#[derive(Clone, Default)]
pub struct EventLog(Arc<Mutex<Vec<String>>>);

impl EventLog {
    pub fn push(&self, what: &str) {
        self.0.lock().unwrap().push(what.into());
    }

    pub fn count(&self, what: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|entry| *entry == what).count()
    }

    pub fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}
