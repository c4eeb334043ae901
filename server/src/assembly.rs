//! Builds everything and runs it until a signal.

use crate::{
    assets::Assets,
    client::Proxies,
    config::{Config, Role},
    guard::Origins,
    hub::Hub,
    router, session,
    state::State,
};
use anyhow::{Context, bail};
use axum::serve::ListenerExt;
use engine::{
    broker::{Broker, News, embedded::Embedded, rabbit::Rabbit},
    clock::System,
    engine::{ChannelSpec, Engine},
    gate::{self, Limits},
    reaper,
    relay::{self, Bell},
    store::Store,
};
use sandbox::Sandbox;
use std::{fs::File, path::Path, sync::Arc, time::Duration};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use worker::{
    Registry,
    connector::{
        self,
        channel::Channel,
        ec2::{Ec2, account::Account},
    },
    handlers::{alarm_create, ec2_start, product_upload},
};

/// Runs the role that `config` names.
pub async fn run(config: Config) -> anyhow::Result<()> {
    std::fs::create_dir_all(&config.data)
        .with_context(|| format!("can't make the data folder {}", config.data.display()))?;
    // Rendering spawns; an error says that it is set already.
    let _ = any_spawner::Executor::init_tokio();
    let stop = CancellationToken::new();
    tokio::spawn(signals(stop.clone()));
    let sandbox = start_sandbox(&config).await?;
    tracing::info!(url = sandbox.base_url(), "the sandbox stands in for the outside");
    if config.role == Some(Role::Sandbox) {
        stop.cancelled().await;
        sandbox.stop().await;
        return Ok(());
    }
    let _lock = lock(&config.data)?;
    let served = serve(&config, &sandbox.base_url(), &stop).await;
    stop.cancel();
    sandbox.stop().await;
    served
}

async fn serve(config: &Config, outside: &str, stop: &CancellationToken) -> anyhow::Result<()> {
    let speed = config.sandbox.sandbox_speed;
    let path = std::path::absolute(config.data.join("meanwhile.sqlite"))?;
    let url = format!("sqlite://{}", path.display());
    let store = Store::open(&url, Arc::new(System), speed).await.context("can't open the store")?;
    let broker = broker(&config.broker)?;
    let bell = Bell::default();
    let ec2 = ec2(outside)?;
    let registry = registry(outside, speed, &ec2)?;
    let queues = registry.queues();
    let names: Vec<_> = queues.iter().map(|queue| queue.name.clone()).collect();
    if let Err(error) = broker.declare(&names).await {
        tracing::warn!(%error, "the broker is away; launches are accepted all the same");
    }
    // Nobody else runs: what was running when the process ended is unsure.
    for news in store.reap(true).await? {
        broker.announce(News::Facts(news));
    }
    for queue in &queues {
        store.unpublish(&queue.name, i64::MAX).await?;
    }
    let gate = Arc::new(gate::Embedded::default());
    let account = Account { ec2, gate: Arc::clone(&gate), name: EC2.into() };
    let engine = Engine::new(store.clone(), Arc::clone(&broker), bell.clone(), channels(speed))
        .with_machines(Arc::new(account));
    session::first_account(&store, config).await?;

    let tasks = TaskTracker::new();
    let hub = Hub::new(store.clone(), Arc::clone(&broker), stop.clone());
    tasks.spawn(hub.clone().run());
    let (s, b, q) = (store.clone(), Arc::clone(&broker), queues.clone());
    tasks.spawn(relay::run(s, b, q, bell.clone(), stop.clone()));
    let (s, b) = (store.clone(), Arc::clone(&broker));
    tasks.spawn(reaper::run(s, b, queues, bell.clone(), stop.clone()));
    let name = format!("{}-{}", hostname(), std::process::id());
    let options = worker::Options { store: store.clone(), broker, gate, bell, registry, name };
    tasks.spawn(worker::run(options, stop.clone()));

    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("can't listen on {}: is it in use?", config.listen))?;
    let address = listener.local_addr()?;
    let state = State {
        engine,
        hub,
        origins: Origins::new(&config.public_url, address),
        proxies: Proxies::new(&config.trusted_proxy),
        assets: Assets::load(),
        limiter: session::Limiter::default(),
        set_up_token: session::set_up_token(&store, address).await?,
    };
    // Facts are small and follow each other closely: Nagle's algorithm would
    // hold each back until the one before is acknowledged, up to 40 ms.
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps Nagle's delay");
        }
    });
    tracing::info!("Meanwhile is ready: http://{address}");
    let service =
        router::router(state).into_make_service_with_connect_info::<std::net::SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(stop.clone().cancelled_owned()).await?;
    tasks.close();
    if tokio::time::timeout(Duration::from_secs(35), tasks.wait()).await.is_err() {
        tracing::warn!("calls were still under way after 35 s; they are taken up again");
    }
    Ok(())
}

fn broker(url: &str) -> anyhow::Result<Arc<dyn Broker>> {
    Ok(match url {
        "embedded:" => Arc::new(Embedded::default()),
        url if url.starts_with("amqp://") => Arc::new(Rabbit::new(url)),
        url => bail!("MEANWHILE_BROKER is {url:?}: set it to embedded: or amqp://…"),
    })
}

async fn start_sandbox(config: &Config) -> anyhow::Result<Sandbox> {
    let sandbox = &config.sandbox;
    Ok(Sandbox::start(sandbox::Options {
        listen: sandbox.sandbox_listen,
        ledger: config.data.join("sandbox.jsonl"),
        speed: sandbox.sandbox_speed,
        seed: sandbox.sandbox_seed,
        faults: sandbox.sandbox_faults,
    })
    .await?)
}

/// Calls at once: rate × latency and some room, or the rate can't be used.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn concurrency(spec: &sandbox::ChannelSpec) -> u16 {
    let latency = (spec.latency + spec.latency_spread).as_secs_f64();
    (spec.rate.per_second * latency * 1.25).ceil() as u16 + 2
}

#[allow(clippy::cast_possible_truncation)]
fn channels(speed: f64) -> Vec<ChannelSpec> {
    let spec = |spec: &sandbox::ChannelSpec| ChannelSpec {
        id: spec.id.into(),
        name: spec.name.into(),
        rate: spec.rate.per_second * speed,
        concurrency: concurrency(spec),
        latency_ms: (spec.latency.as_secs_f64() / speed * 1000.0) as i64,
        sandbox: true,
    };
    sandbox::channels().iter().map(spec).collect()
}

/// The account of EC2, as the gate knows it.
const EC2: &str = "ec2";

fn ec2(outside: &str) -> anyhow::Result<Ec2> {
    Ok(Ec2 {
        ec2_url: format!("{outside}/ec2"),
        cloudwatch_url: format!("{outside}/cloudwatch"),
        client: connector::client()?,
    })
}

/// Every command that this binary consumes.
fn registry(outside: &str, speed: f64, ec2: &Ec2) -> anyhow::Result<Registry> {
    let client = connector::client()?;
    let mut registry = Registry::default();
    for spec in sandbox::channels() {
        let limits = Limits { rate: spec.rate.per_second * speed, concurrency: concurrency(spec) };
        let channel = Channel {
            name: spec.name.into(),
            base_url: format!("{outside}/channels/{}", spec.id),
            idempotency_keys: spec.idempotency_keys,
            client: client.clone(),
        };
        let handler = product_upload::Upload { channel };
        registry = registry.on::<contract::command::ProductUpload>(
            Some(spec.id),
            spec.id,
            limits,
            handler,
        );
    }
    let poll = Duration::from_secs_f64(5.0 / speed);
    let limits = |rate: f64| Limits { rate: rate * speed, concurrency: 8 };
    Ok(registry
        .on::<contract::command::Ec2Start>(
            None,
            EC2,
            limits(sandbox::EC2_RATE.per_second),
            ec2_start::Start { ec2: ec2.clone(), poll },
        )
        .on::<contract::command::AlarmCreate>(
            None,
            "cloudwatch",
            limits(sandbox::CLOUDWATCH_RATE.per_second),
            alarm_create::Create { ec2: ec2.clone() },
        ))
}

/// Two processes on one data folder would run every task twice.
fn lock(data: &Path) -> anyhow::Result<File> {
    let path = data.join("lock");
    let file = File::create(&path)?;
    if file.try_lock().is_err() {
        bail!(
            "another Meanwhile uses {}: stop it, or set MEANWHILE_DATA to another folder",
            data.display()
        );
    }
    Ok(file)
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
