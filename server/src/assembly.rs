//! Builds everything and runs it until a signal.
//!
//! | module | what |
//! | --- | --- |
//! | [`backends`] | store, broker and gates, chosen by their URLs |
//! | [`outside`] | channels and machines, and the commands that reach them |

mod backends;
mod outside;

use crate::{
    assets::Assets,
    body::Patience,
    client::Proxies,
    config::{Config, Role},
    connections,
    device::DeviceKey,
    guard::Origins,
    hub::Hub,
    limiter::Limiter,
    measures::{self, Measures},
    overload::Room,
    reader_shares::ReaderShares,
    router, session,
    state::State,
};
use anyhow::Context;
use backends::Backends;
use engine::{
    broker::News,
    election::{self, Kept, Seat},
    engine::Engine,
    pruner, reaper, relay,
    relay::Bell,
    store::Store,
};
use outside::Outside;
use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use worker::{Registry, handlers::noop_run};

/// A silent database holds up the end of a process no longer than this.
const LEAVE: Duration = Duration::from_secs(5);
/// Of one worker. Enough that commits have many to share.
const NOOPS_AT_ONCE: u16 = 128;

/// Runs the role that `config` names.
pub async fn run(config: Config) -> anyhow::Result<()> {
    if config.role == Some(Role::Ready) {
        return ready(config.listen).await;
    }
    backends::make_folder(&config.data)?;
    // Rendering spawns; an error says that it is set already.
    let _ = any_spawner::Executor::init_tokio();
    let stop = CancellationToken::new();
    tokio::spawn(signals(stop.clone()));
    if config.role == Some(Role::Sandbox) {
        // Whatever address others know it by.
        let outside = Outside::start(&config).await?;
        stop.cancelled().await;
        outside.close().await;
        return Ok(());
    }
    connections::raise_file_limit();
    let recorder = measures::begin()?;
    backends::check(&config)?;
    let _lock = backends::lock(&config)?;
    let outside = Outside::open(&config).await?;
    // It may have to wait until the database is its own.
    let house = tokio::select! {
        house = House::build(&config, &outside, &stop) => {
            house.map_err(|error| backends::explain(&config, error))?
        }
        () = stop.cancelled() => {
            outside.close().await;
            return Ok(());
        }
    };
    let done = house.run(&config, recorder, &stop).await;
    stop.cancel();
    outside.close().await;
    done
}

/// For health checks, where an image holds no other client.
async fn ready(mut listen: SocketAddr) -> anyhow::Result<()> {
    if listen.ip().is_unspecified() {
        listen.set_ip(match listen {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).no_proxy().build()?;
    let answer = client.get(format!("http://{listen}/readyz")).send().await?;
    anyhow::ensure!(answer.status().is_success(), "not ready: {}", answer.text().await?);
    Ok(())
}

/// What every role but the sandbox has.
struct House {
    backends: Backends,
    bell: Bell,
    registry: Registry,
    engine: Engine,
    /// This process, as attempts tell it.
    name: String,
    /// The same, as no other one is called.
    holder: String,
    /// The last call has drained and was told of.
    told: CancellationToken,
    /// What keeps the database until then, where this process shares it with
    /// nobody.
    alone: Option<JoinHandle<()>>,
}

impl House {
    async fn build(
        config: &Config,
        outside: &Outside,
        stop: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let backends = Backends::open(config).await?;
        let bell = Bell::default();
        let mut registry = outside.registry(backends.store.lease_ms())?;
        if config.noops {
            registry = registry.on_ungated(NOOPS_AT_ONCE, noop_run::Run);
        }
        registry.open(&backends.gates);
        let queues: Vec<_> = registry.queues().into_iter().map(|queue| queue.name).collect();
        let broker = backends.broker.as_ref();
        if let Err(error) = relay::declare(&backends.store, broker, &queues).await {
            tracing::warn!(%error, "the broker is away; launches are accepted all the same");
        }
        let name = format!("{}-{}", hostname(), std::process::id());
        // Two containers may have one name, and each its process 1.
        let holder = format!("{name}-{:08x}", rand::random::<u32>());
        let told = CancellationToken::new();
        let mut alone = None;
        if backends.alone {
            backends::only_one(&backends.store, &holder).await?;
            alone = keep_alone(&backends.store, &holder, &told, stop);
            // Nobody else runs: what was running when the process ended is
            // unsure, and what was in a queue is gone with it.
            for news in backends.store.reap(true).await? {
                backends.broker.announce(News::Facts(news));
            }
            for queue in &queues {
                backends.store.unpublish(queue, i64::MAX).await?;
            }
        }
        let engine = Engine::new(
            backends.store.clone(),
            Arc::clone(&backends.broker),
            bell.clone(),
            backends.gates.clone(),
            outside.channels(),
        )
        .with_machines(outside.machines(&backends.gates)?);
        session::first_account(&backends.store, config).await?;
        Ok(Self { backends, bell, registry, engine, name, holder, told, alone })
    }

    async fn run(
        mut self,
        config: &Config,
        recorder: measures::Recorder,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let tasks = TaskTracker::new();
        // Calls that drain are told of too: news go on until they are over.
        let told = self.told.clone();
        let (broker, end) = (Arc::clone(&self.backends.broker), told.clone());
        let news = tokio::spawn(async move { broker.run(end).await });
        let alone = self.alone.take();
        self.spawn_background(config, &tasks, stop);
        let serves = config.role != Some(Role::Work);
        let listener = match serves {
            true => Some(
                connections::listen(config.listen)
                    .with_context(|| format!("can't listen on {}: is it in use?", config.listen))?,
            ),
            false => None,
        };
        let hub = Hub::new(self.engine.clone(), stop.clone());
        let measures = self.measures(recorder, &hub);
        tasks.spawn(measures.clone().run(stop.clone()));
        if let Some(address) = config.metrics {
            tasks.spawn(measures.clone().listen(address, stop.clone()).await?);
        }
        let state = match &listener {
            Some(listener) => {
                let address = listener.local_addr()?;
                Some(self.state(config, hub.clone(), measures, address).await?)
            }
            None => None,
        };
        if config.role != Some(Role::Serve) {
            let options = worker::Options {
                store: self.backends.store,
                broker: self.backends.broker,
                gates: self.backends.gates,
                bell: self.bell,
                registry: self.registry,
                name: self.name,
            };
            tasks.spawn(worker::run(options, stop.clone()));
        }
        let work = async {
            match (listener, state) {
                (Some(listener), Some(state)) => {
                    tasks.spawn(hub.run());
                    let address = listener.local_addr()?;
                    tracing::info!("Meanwhile is ready: http://{address}");
                    let (proxies, router) = (state.proxies.clone(), router::router(state));
                    let write = Duration::from_secs(config.receive_timeout_s.into());
                    let bounds = connections::Bounds { write, ..connections::Bounds::default() };
                    connections::serve(listener, router, proxies, bounds, stop).await;
                }
                _ => {
                    tracing::info!("Meanwhile works");
                    stop.cancelled().await;
                }
            }
            tasks.close();
            tasks.wait().await;
            anyhow::Ok(())
        };
        let drain = drain(config);
        let late = async {
            stop.cancelled().await;
            tokio::time::sleep(drain).await;
        };
        let done = tokio::select! {
            done = work => done,
            () = late => {
                tracing::warn!(
                    "calls or connections were still under way after {drain:?}; calls are taken \
                     up again"
                );
                Ok(())
            }
        };
        told.cancel();
        if let Some(alone) = alone {
            // Else the seat is free by its term.
            let _ = tokio::time::timeout(LEAVE, alone).await;
        }
        if news.await.is_err() {
            tracing::error!("what carries news between nodes has panicked");
        }
        done
    }

    /// Relays, reaper and pruner.
    fn spawn_background(&self, config: &Config, tasks: &TaskTracker, stop: &CancellationToken) {
        let Backends { store, broker, alone, .. } = &self.backends;
        if !alone {
            tasks.spawn(ring(broker.news(), self.bell.clone(), stop.clone()));
        }
        let seat = |name: &str| Seat::new(store.clone(), name, self.holder.clone());
        for queue in self.registry.queues() {
            let seat = seat(&relay::seat(&queue.name));
            tasks.spawn(relay::run(
                store.clone(),
                Arc::clone(broker),
                queue,
                self.bell.clone(),
                seat,
                stop.clone(),
            ));
        }
        tasks.spawn(reaper::run(
            store.clone(),
            Arc::clone(broker),
            self.registry.queues(),
            self.bell.clone(),
            seat("reaper"),
            stop.clone(),
        ));
        let keep = config.keep.into();
        tasks.spawn(pruner::run(store.clone(), keep, seat("pruner"), stop.clone()));
    }

    fn measures(&self, recorder: measures::Recorder, hub: &Hub) -> Measures {
        let queues = self.registry.queues().into_iter().map(|queue| queue.name).collect();
        let sources = measures::Sources {
            store: self.backends.store.clone(),
            broker: Arc::clone(&self.backends.broker),
            gates: self.backends.gates.clone(),
            queues,
            hub: hub.clone(),
        };
        Measures::new(recorder, sources)
    }

    async fn state(
        &self,
        config: &Config,
        hub: Hub,
        measures: Measures,
        address: SocketAddr,
    ) -> anyhow::Result<State> {
        let origins = Origins::new(&config.public_url, address);
        let store = &self.backends.store;
        let set_up_token = session::set_up_token(store, config, &origins, address).await?;
        Ok(State {
            engine: self.engine.clone(),
            hub,
            measures,
            origins,
            proxies: Proxies::new(&config.trusted_proxy),
            assets: Assets::load(),
            limiter: Limiter::default(),
            device_key: DeviceKey::new(store.signing_key().await?),
            room: Room::default(),
            readers: ReaderShares::default(),
            patience: Patience::new(Duration::from_secs(config.send_timeout_s.into())),
            noops: config.noops,
            set_up_token,
        })
    }
}

/// Keeps others away from a database whose queues are this process's own,
/// until `end`; none but PostgreSQL's lets others in.
fn keep_alone(
    store: &Store,
    holder: &str,
    end: &CancellationToken,
    stop: &CancellationToken,
) -> Option<JoinHandle<()>> {
    (!store.has_one_process()).then(|| {
        let (store, holder) = (store.clone(), holder.to_owned());
        let (end, stop) = (end.clone(), stop.clone());
        tokio::spawn(async move {
            if election::keep_alone(store, holder, end).await == Kept::Lost {
                tracing::error!("another Meanwhile has taken this database: this one stops");
                stop.cancel();
            }
        })
    })
}

/// A call's limit is half a lease; its end has to be kept, too.
fn drain(config: &Config) -> Duration {
    Duration::from_secs(u64::from(config.lease_s) / 2 + 5)
}

/// What another process wrote wakes the relay of this one.
async fn ring(
    mut news: tokio::sync::broadcast::Receiver<Arc<News>>,
    bell: Bell,
    stop: CancellationToken,
) {
    use tokio::sync::broadcast::error::RecvError;
    loop {
        let received = tokio::select! {
            () = stop.cancelled() => return,
            received = news.recv() => received,
        };
        match received.as_deref() {
            Ok(News::Facts(_)) | Err(RecvError::Lagged(_)) => bell.ring(),
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

async fn signals(stop: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    tracing::info!("stopping: calls under way finish first");
    stop.cancel();
}
