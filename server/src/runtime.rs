//! Builds everything and runs it until a signal arrives.
//!
//! | module | content |
//! | --- | --- |
//! | [`backends`] | store, task queue, event bus and rate limiter, chosen by their URLs |
//! | [`channels`] | configuration of the sales channels |
//! | [`comparison`] | three ways to run a batch, side by side |
//! | [`machines`] | accounts with machines |
//! | [`probes`] | how operators check channels and machines |
//! | [`reload`] | channel files that are read again on SIGHUP |
//! | [`protection`] | how well connections to servers are protected |
//! | [`upstreams`] | channels and machines, and the commands that call them |

mod backends;
mod channels;
mod comparison;
mod machines;
mod probes;
mod protection;
mod reload;
mod upstreams;

use crate::{
    assets::Assets,
    comparison::ComparisonRunner,
    config::{ChannelsCommand, Config, ProcessRole},
    device::DeviceKey,
    hub::Hub,
    metrics::{self, Metrics},
    origin::Origins,
    router, session,
    sign_in_throttle::SignInThrottle,
    state::AppState,
    telemetry::MetricExport,
    work_limits::WorkLimits,
};
use anyhow::Context;
use backends::Backends;
use engine::{
    election::{self, ExclusiveLeaseEnd, LeaderLease},
    engine::Engine,
    event_bus::{self, HubEvent},
    pruner, reaper, relay,
    relay::RelayWaker,
    store::Store,
};
use ingress::{
    admission::AdmissionControl, client_address::TrustedProxies, connections,
    request_body::BodyTimeouts,
};
use reload::ChannelReload;
use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use upstreams::Upstreams;
use worker::{Registry, handlers::noop_run};

/// Maximum time that shutdown waits for an unresponsive database.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);
/// Concurrency of no-op tasks in one worker, high enough that many tasks share
/// a commit.
const NOOP_CONCURRENCY: u16 = 128;

/// Runs the role that `config` selects, until a signal arrives.
///
/// # Errors
/// The configuration is unusable, or a part can't be started.
pub async fn run(config: Config) -> anyhow::Result<()> {
    match &config.role {
        Some(ProcessRole::Ready) => return check_ready(config.listen).await,
        Some(ProcessRole::Channels(ChannelsCommand::Check { name })) => {
            return Box::pin(channels::check(&config, name.as_deref())).await;
        }
        Some(ProcessRole::Compare(options)) => {
            return Box::pin(comparison::run(&config, options)).await;
        }
        _ => {}
    }
    backends::create_data_folder(&config.data)?;
    // Rendering needs an executor; the only error is that one is set already.
    let _ = any_spawner::Executor::init_tokio();
    let stop = CancellationToken::new();
    tokio::spawn(cancel_on_signal(stop.clone()));
    if config.role == Some(ProcessRole::Sandbox) {
        // Starts a sandbox even if the configuration names the URL of another one.
        let upstreams = Box::pin(Upstreams::start(&config)).await?;
        stop.cancelled().await;
        upstreams.close().await;
        return Ok(());
    }
    connections::raise_file_limit();
    let recorder = metrics::install_recorder()?;
    backends::check_combination(&config)?;
    protection::check_connections(&config)?;
    let _lock = backends::lock_data_folder(&config)?;
    let upstreams = Box::pin(Upstreams::open(&config)).await?;
    // May wait until another process releases the database.
    let runtime = tokio::select! {
        built = Runtime::build(&config, &upstreams, &stop) => {
            built.map_err(|error| backends::explain_open_failure(&config, error))?
        }
        () = stop.cancelled() => {
            upstreams.close().await;
            return Ok(());
        }
    };
    if let Some(folder) = &config.channels {
        let reload = ChannelReload {
            folder: folder.clone(),
            handles: upstreams.channel_handles(),
            limiters: runtime.backends.limiters.clone(),
            engine: runtime.engine.clone(),
            timeout: worker::request_timeout(config.lease),
        };
        tokio::spawn(reload.run(stop.clone()));
    }
    let done = Box::pin(runtime.run(&config, recorder, &stop)).await;
    stop.cancel();
    upstreams.close().await;
    done
}

/// Checks readiness over HTTP, for images that contain no other HTTP client.
async fn check_ready(mut listen: SocketAddr) -> anyhow::Result<()> {
    if listen.ip().is_unspecified() {
        listen.set_ip(match listen {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls::https_config()?)
        .timeout(Duration::from_secs(5))
        .no_proxy()
        .build()?;
    let answer = client.get(format!("http://{listen}/readyz")).send().await?;
    anyhow::ensure!(answer.status().is_success(), "not ready: {}", answer.text().await?);
    Ok(())
}

/// Components of every role except the sandbox.
struct Runtime {
    backends: Backends,
    relay_waker: RelayWaker,
    registry: Registry,
    engine: Engine,
    /// Name of this process in the attempts that it records.
    worker_name: String,
    /// Lease holder id, unique to this process.
    lease_holder: String,
    /// Cancelled when calls have drained and their facts were sent, or when the time
    /// for that is over.
    drained: CancellationToken,
    /// Task that holds the exclusive lease on the database until `drained`, if
    /// no other process may use the database.
    exclusive_lease: Option<JoinHandle<()>>,
}

impl Runtime {
    async fn build(
        config: &Config,
        upstreams: &Upstreams,
        stop: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let backends = Backends::open(config).await?;
        let relay_waker = RelayWaker::default();
        let mut registry = upstreams.registry(backends.store.database.lease())?;
        if config.noops {
            registry = registry.register_unlimited(NOOP_CONCURRENCY, noop_run::NoopRunHandler);
        }
        registry.register_upstreams(&backends.limiters);
        backends.limiters.load_controls().await?;
        let queues: Vec<_> = registry.queues().into_iter().map(|queue| queue.name).collect();
        let task_queue = backends.task_queue.as_ref();
        if let Err(error) = relay::declare_queues(&backends.store, task_queue, &queues).await {
            tracing::warn!(%error, "the broker is unreachable; launches are accepted all the same");
        }
        let name = format!("{}-{}", hostname(), std::process::id());
        // Two containers may share a hostname, and both run as process 1.
        let holder = format!("{name}-{:08x}", rand::random::<u32>());
        let drained = CancellationToken::new();
        let mut exclusive_lease = None;
        if backends.owns_database {
            backends::ensure_only_process(&backends.store, &holder).await?;
            exclusive_lease = spawn_exclusive_lease(&backends.store, &holder, &drained, stop);
            // No other process runs: the outcome of tasks that were running when
            // the last process ended is unknown, and its queues are lost.
            for facts in backends.store.tasks.reap_expired_leases(true).await? {
                event_bus::publish_facts(backends.event_bus.as_ref(), facts);
            }
            for queue in &queues {
                backends.store.tasks.unpublish_tasks(queue, i64::MAX).await?;
            }
        }
        let engine = Engine::new(
            backends.store.clone(),
            Arc::clone(&backends.event_bus),
            relay_waker.clone(),
            backends.limiters.clone(),
            upstreams.channels().to_vec(),
        )
        .with_machines(upstreams.machine_sources(&backends.limiters)?)
        .with_upstreams(upstreams.descriptions(&backends.limiters)?)
        .with_parts(backends.parts(config, queues));
        session::create_configured_admin(&backends.store, config).await?;
        Ok(Self {
            backends,
            relay_waker,
            registry,
            engine,
            worker_name: name,
            lease_holder: holder,
            drained,
            exclusive_lease,
        })
    }

    async fn run(
        mut self,
        config: &Config,
        recorder: crate::metrics::RecorderHandle,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let tasks = TaskTracker::new();
        // Events are sent until the last draining call has reported its outcome.
        let drained = self.drained.clone();
        let (event_bus, end) = (Arc::clone(&self.backends.event_bus), drained.clone());
        let forwarding = tokio::spawn(async move { event_bus.run(end).await });
        let exclusive_lease = self.exclusive_lease.take();
        self.spawn_maintenance(config, &tasks, stop);
        let is_web_node = config.role != Some(ProcessRole::Work);
        let listener = match is_web_node {
            true => Some(
                connections::listen(config.listen)
                    .with_context(|| format!("can't listen on {}: is it in use?", config.listen))?,
            ),
            false => None,
        };
        let hub = Hub::new(self.engine.clone(), stop.clone());
        let metrics = self.build_metrics(recorder, &hub);
        tasks.spawn(metrics.clone().run(stop.clone()));
        if let Some(address) = config.metrics_listen {
            tasks.spawn(metrics.clone().listen(address, stop.clone()).await?);
        }
        if let Some(export) = MetricExport::from_environment()? {
            tasks.spawn(export.run(metrics.clone(), stop.clone()));
        }
        let state = match &listener {
            Some(listener) => {
                let address = listener.local_addr()?;
                Some(self.build_state(config, hub.clone(), metrics, address).await?)
            }
            None => None,
        };
        if config.role != Some(ProcessRole::Serve) {
            let options = worker::Options {
                store: self.backends.store,
                task_queue: self.backends.task_queue,
                event_bus: self.backends.event_bus,
                limiters: self.backends.limiters,
                relay_waker: self.relay_waker,
                registry: self.registry,
                worker_name: self.worker_name,
            };
            tasks.spawn(worker::run(options, stop.clone()));
        }
        let served = async {
            match (listener, state) {
                (Some(listener), Some(state)) => {
                    tasks.spawn(hub.run());
                    let address = listener.local_addr()?;
                    tracing::info!("Meanwhile is ready: http://{address}");
                    let (proxies, router) = (state.proxies.clone(), router::router(state));
                    let options = connections::ConnectionOptions {
                        write_timeout: config.response_write_timeout,
                        ..connections::ConnectionOptions::default()
                    };
                    connections::serve(listener, router, proxies, options, stop).await;
                }
                _ => {
                    tracing::info!("the worker is ready");
                    stop.cancelled().await;
                }
            }
            tasks.close();
            tasks.wait().await;
            anyhow::Ok(())
        };
        let drain = drain_timeout(config);
        let timed_out = async {
            stop.cancelled().await;
            tokio::time::sleep(drain).await;
        };
        let done = tokio::select! {
            done = served => done,
            () = timed_out => {
                tracing::warn!(
                    "calls or connections were still in progress after {drain:?}; calls are \
                     resumed later"
                );
                Ok(())
            }
        };
        drained.cancel();
        if let Some(lease) = exclusive_lease {
            // If this times out, the lease expires on its own.
            let _ = tokio::time::timeout(RELEASE_TIMEOUT, lease).await;
        }
        if forwarding.await.is_err() {
            tracing::error!("the task that carries events between nodes has panicked");
        }
        done
    }

    /// Starts the relays, the reaper, the pruner, and what follows the pauses and rates that admins
    /// set.
    fn spawn_maintenance(&self, config: &Config, tasks: &TaskTracker, stop: &CancellationToken) {
        let Backends { store, task_queue, event_bus, owns_database, .. } = &self.backends;
        if !owns_database {
            tasks.spawn(wake_relay_on_events(
                event_bus.subscribe(),
                self.relay_waker.clone(),
                stop.clone(),
            ));
        }
        let leader_lease =
            |name: &str| LeaderLease::new(store.clone(), name, self.lease_holder.clone());
        for queue in self.registry.queues() {
            let relay_lease = leader_lease(&relay::lease_name(&queue.name));
            tasks.spawn(relay::run(
                store.clone(),
                Arc::clone(task_queue),
                queue,
                self.backends.limiters.clone(),
                self.relay_waker.clone(),
                relay_lease,
                stop.clone(),
            ));
        }
        tasks.spawn(reaper::run(
            store.clone(),
            Arc::clone(task_queue),
            Arc::clone(event_bus),
            self.registry.queues(),
            self.relay_waker.clone(),
            leader_lease("reaper"),
            stop.clone(),
        ));
        let limiters = self.backends.limiters.clone();
        let controls_stop = stop.clone();
        tasks.spawn(async move { limiters.follow_controls(controls_stop).await });
        let retention = config.retention.into();
        tasks.spawn(pruner::run(store.clone(), retention, leader_lease("pruner"), stop.clone()));
    }

    fn build_metrics(&self, recorder: crate::metrics::RecorderHandle, hub: &Hub) -> Metrics {
        let queues = self.registry.queues().into_iter().map(|queue| queue.name).collect();
        let sources = crate::metrics::GaugeSources {
            store: self.backends.store.clone(),
            task_queue: Arc::clone(&self.backends.task_queue),
            limiters: self.backends.limiters.clone(),
            queues,
            hub: hub.clone(),
        };
        Metrics::new(recorder, sources)
    }

    async fn build_state(
        &self,
        config: &Config,
        hub: Hub,
        metrics: Metrics,
        address: SocketAddr,
    ) -> anyhow::Result<AppState> {
        let origins = Origins::new(&config.public_url, address);
        let store = &self.backends.store;
        let set_up_token = session::set_up_token(store, config, &origins, address).await?;
        Ok(AppState {
            engine: self.engine.clone(),
            hub,
            metrics,
            origins,
            proxies: TrustedProxies::new(&config.trusted_proxy),
            assets: Assets::load(),
            sign_in_throttle: SignInThrottle::default(),
            device_key: DeviceKey::new(store.database.signing_key().await?),
            admission: AdmissionControl::default(),
            work_limits: WorkLimits::default(),
            body_timeouts: BodyTimeouts::new(config.request_body_timeout),
            comparison: ComparisonRunner::new(config.sandbox.sandbox_speed),
            accepts_noops: config.noops,
            set_up_token,
        })
    }
}

/// Holds the exclusive lease on the database until `end`, because the queues are
/// inside this process. Only PostgreSQL lets other processes in, so SQLite needs
/// no lease.
fn spawn_exclusive_lease(
    store: &Store,
    holder: &str,
    end: &CancellationToken,
    stop: &CancellationToken,
) -> Option<JoinHandle<()>> {
    (!store.database.is_single_process()).then(|| {
        let (store, holder) = (store.clone(), holder.to_owned());
        let (end, stop) = (end.clone(), stop.clone());
        tokio::spawn(async move {
            if election::hold_exclusive_lease(store, holder, end).await == ExclusiveLeaseEnd::Lost {
                tracing::error!(
                    "another Meanwhile has taken over this database; this process stops"
                );
                stop.cancel();
            }
        })
    })
}

/// Time for running attempts to finish: the timeout of one request
/// ([`worker::request_timeout`]), which is half a lease, and 5 s to store the outcome.
fn drain_timeout(config: &Config) -> Duration {
    config.lease / 2 + Duration::from_secs(5)
}

/// Wakes the relay when another process has written facts.
async fn wake_relay_on_events(
    mut events: tokio::sync::broadcast::Receiver<Arc<HubEvent>>,
    relay_waker: RelayWaker,
    stop: CancellationToken,
) {
    use tokio::sync::broadcast::error::RecvError;
    loop {
        let received = tokio::select! {
            () = stop.cancelled() => return,
            received = events.recv() => received,
        };
        match received.as_deref() {
            Ok(HubEvent::Facts(_)) | Err(RecvError::Lagged(_)) => relay_waker.wake(),
            Ok(_) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

fn hostname() -> String {
    std::fs::read_to_string("/etc/hostname")
        .map(|name| name.trim().to_owned())
        .unwrap_or_else(|_| "local".into())
}

async fn cancel_on_signal(stop: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    tracing::info!("the process stops once running calls have finished");
    stop.cancel();
}
