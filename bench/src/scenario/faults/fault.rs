//! What may fail, and how it is made to.

use super::round::Setting;
use crate::{
    api::{Api, WIDTH, csv_of},
    cluster::{Cluster, Mode},
};
use anyhow::{Context, ensure};
use contract::api::Job;
use rand::{RngExt, rngs::StdRng};
use std::time::Duration;
use tokio::time::{Instant, sleep};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    None,
    WebKilledAfter202,
    WebKilledBefore202,
    WorkerKilled,
    WorkerFrozen,
    BrokerKilled,
    BrokerRestarted,
    BrokerWiped,
    BrokerSilent,
    BrokerAlarm,
    ConfirmsLost,
    RedisKilled,
    RedisFlushed,
    PostgresKilled,
    DiskFull,
    ClockOff,
    Storm,
    AlwaysFails,
    RollingRestart,
}

impl Fault {
    pub const ALL: [Self; 19] = [
        Self::None,
        Self::WebKilledAfter202,
        Self::WebKilledBefore202,
        Self::WorkerKilled,
        Self::WorkerFrozen,
        Self::BrokerKilled,
        Self::BrokerRestarted,
        Self::BrokerWiped,
        Self::BrokerSilent,
        Self::BrokerAlarm,
        Self::ConfirmsLost,
        Self::RedisKilled,
        Self::RedisFlushed,
        Self::PostgresKilled,
        Self::DiskFull,
        Self::ClockOff,
        Self::Storm,
        Self::AlwaysFails,
        Self::RollingRestart,
    ];

    /// As `--only` takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::WebKilledAfter202 => "web-killed-after-202",
            Self::WebKilledBefore202 => "web-killed-before-202",
            Self::WorkerKilled => "worker-killed",
            Self::WorkerFrozen => "worker-frozen",
            Self::BrokerKilled => "broker-killed",
            Self::BrokerRestarted => "broker-restarted",
            Self::BrokerWiped => "broker-wiped",
            Self::BrokerSilent => "broker-silent",
            Self::BrokerAlarm => "broker-alarm",
            Self::ConfirmsLost => "confirms-lost",
            Self::RedisKilled => "redis-killed",
            Self::RedisFlushed => "redis-flushed",
            Self::PostgresKilled => "postgres-killed",
            Self::DiskFull => "disk-full",
            Self::ClockOff => "clock-off",
            Self::Storm => "storm",
            Self::AlwaysFails => "always-fails",
            Self::RollingRestart => "rolling-restart",
        }
    }

    pub const fn required(self) -> &'static str {
        match self {
            Self::None => "Nothing fails, and sockets are cut as in every round.",
            Self::WebKilledAfter202 => {
                "`kill -9` of both web nodes right after a 202: the job runs."
            }
            Self::WebKilledBefore202 => {
                "`kill -9` of a web node during the launch; the client repeats it with the same key: \
                 one job."
            }
            Self::WorkerKilled => {
                "`kill -9` of a worker in the middle of calls: reconciled and run again."
            }
            Self::WorkerFrozen => {
                "SIGSTOP of a worker past its lease: its late result is discarded."
            }
            Self::BrokerKilled => {
                "`kill -9` of RabbitMQ, and it comes back: the backlog drains; meanwhile launches \
                 get their 202."
            }
            Self::BrokerRestarted => "RabbitMQ is restarted: the backlog drains.",
            Self::BrokerWiped => "RabbitMQ is killed and its data wiped: the backlog drains.",
            Self::BrokerSilent => {
                "Connections to RabbitMQ stay open and carry nothing: they are found dead and made \
                 anew."
            }
            Self::BrokerAlarm => {
                "RabbitMQ's memory alarm blocks publishers: launches get their 202."
            }
            Self::ConfirmsLost => {
                "What RabbitMQ answers is lost: what was published twice is done once."
            }
            Self::RedisKilled => {
                "`kill -9` of Redis with all it held, and it comes back: no request over a limit."
            }
            Self::RedisFlushed => "Redis is flushed: no request over a limit.",
            Self::PostgresKilled => {
                "`kill -9` of PostgreSQL: 503 and never a false 202; goes on by itself."
            }
            Self::DiskFull => {
                "PostgreSQL's disk is full: 503 that says so, never a false 202, nothing half \
                 stored; goes on by itself when there is room."
            }
            Self::ClockOff => {
                "A worker starts with its clock an hour ahead: nothing is early or late."
            }
            Self::Storm => "A channel answers 429 out of the blue: no attempts spent, and obeyed.",
            Self::AlwaysFails => {
                "A product that always fails: kept with every attempt, its neighbours finish, and it \
                 can be retried."
            }
            Self::RollingRestart => "SIGTERM of every node in turn: all drains, nothing is lost.",
        }
    }

    /// Of the SKUs, so that no two rounds share one.
    pub fn prefix(self) -> String {
        let place = Self::ALL.iter().position(|fault| *fault == self).unwrap_or_default();
        format!("F{place:02}R")
    }

    pub fn named(name: &str) -> anyhow::Result<Self> {
        let found = Self::ALL.into_iter().find(|fault| fault.name() == name);
        found.with_context(|| {
            let names: Vec<_> = Self::ALL.iter().map(|fault| fault.name()).collect();
            format!("there is no fault {name:?}; known: {}", names.join(", "))
        })
    }

    /// Further rows of the first batch, for what depends on the product.
    pub fn rows(self, prefix: &str) -> String {
        let row = |word: &str, n: usize| format!("{prefix}-{word}-{n},Lamp,19.90,\n");
        match self {
            // A Retry-After that is a date must not be read by a clock that is off.
            Self::Storm | Self::ClockOff => (0..5).map(|n| row("SBX-429ONCE", n)).collect(),
            Self::AlwaysFails => row("SBX-500ALWAYS", 0),
            _ => String::new(),
        }
    }

    /// Makes it happen and mends it again; what must hold meanwhile is
    /// checked here.
    pub async fn happen(
        self,
        cluster: &mut Cluster,
        apis: &[Api],
        setting: Setting,
        prefix: &str,
        dice: &mut StdRng,
    ) -> anyhow::Result<()> {
        let lease = setting.lease;
        let victim = dice.random_range(0..cluster.workers.len());
        let away = Duration::from_millis(dice.random_range(500..4_000));
        match self {
            // These happen at the launch, or by the products themselves.
            Self::None | Self::WebKilledBefore202 | Self::Storm | Self::AlwaysFails => {}
            Self::WebKilledAfter202 => {
                for node in &mut cluster.web {
                    node.kill();
                }
                sleep(away).await;
                for node in &mut cluster.web {
                    node.spawn().await?;
                }
            }
            Self::WorkerKilled => {
                cluster.workers[victim].kill();
                sleep(away).await;
                cluster.workers[victim].spawn().await?;
            }
            Self::WorkerFrozen => {
                cluster.workers[victim].signal("STOP")?;
                sleep(lease * 3 / 2 + away).await;
                cluster.workers[victim].signal("CONT")?;
            }
            Self::BrokerKilled | Self::BrokerWiped => {
                blocking(cluster, |cluster| cluster.rabbit.kill());
                if self == Self::BrokerWiped {
                    cluster.rabbit.wipe();
                }
                accepts(apis, prefix).await?;
                sleep(away).await;
                blocking(cluster, |cluster| cluster.rabbit.spawn());
            }
            Self::BrokerRestarted => {
                let stopped = blocking(cluster, |cluster| cluster.rabbit.control(&["stop"]));
                ensure!(stopped, "RabbitMQ did not stop");
                blocking(cluster, |cluster| cluster.rabbit.kill());
                blocking(cluster, |cluster| cluster.rabbit.spawn());
            }
            Self::BrokerSilent => {
                cluster.to_rabbit.set(Mode::Silent);
                accepts(apis, prefix).await?;
                sleep(Duration::from_secs(25)).await;
                cluster.to_rabbit.set(Mode::Carry);
            }
            Self::ConfirmsLost => {
                cluster.to_rabbit.set(Mode::Deaf);
                sleep(Duration::from_secs(12)).await;
                cluster.to_rabbit.set(Mode::Carry);
            }
            Self::BrokerAlarm => {
                let set = |mark: &'static str| {
                    move |cluster: &mut Cluster| {
                        cluster.rabbit.control(&["set_vm_memory_high_watermark", mark])
                    }
                };
                ensure!(blocking(cluster, set("0.0001")), "no alarm");
                accepts(apis, prefix).await?;
                sleep(away + Duration::from_secs(5)).await;
                ensure!(blocking(cluster, set("0.6")), "the alarm stays");
            }
            Self::RedisKilled => {
                cluster.redis.kill();
                sleep(away).await;
                blocking(cluster, |cluster| cluster.redis.spawn());
            }
            Self::RedisFlushed => {
                for _ in 0..3 {
                    ensure!(cluster.redis.control(&["FLUSHALL"]), "Redis was not flushed");
                    sleep(away / 4).await;
                }
            }
            Self::PostgresKilled => {
                cluster.postgres.kill();
                refuses(apis, prefix).await?;
                sleep(away).await;
                blocking(cluster, |cluster| cluster.postgres.spawn());
            }
            Self::DiskFull => {
                let disk = cluster.postgres.disk().context("there is no disk to fill")?;
                disk.fill();
                let (accepted, refused) = fill(apis, prefix).await?;
                // Leases run out meanwhile, and none can be renewed.
                sleep(lease + away).await;
                if let Some(disk) = cluster.postgres.disk() {
                    disk.free();
                }
                // Without room for its log PostgreSQL ends; what runs it for
                // an operator starts it again.
                if !cluster.postgres.is_running() {
                    eprintln!("    PostgreSQL had ended by itself");
                    blocking(cluster, |cluster| cluster.postgres.spawn());
                }
                whole(apis, &accepted, &refused).await?;
            }
            Self::ClockOff => {
                let node = &mut cluster.workers[victim];
                node.kill();
                node.through = ["faketime", "-f", "+1h"].map(str::to_owned).to_vec();
                node.spawn().await?;
            }
            Self::RollingRestart => {
                for node in cluster.web.iter_mut().chain(&mut cluster.workers) {
                    node.stop().await?;
                    node.spawn().await?;
                }
            }
        }
        Ok(())
    }
}

/// Sets right what has to last until the batches are done.
pub async fn mend(cluster: &mut Cluster) -> anyhow::Result<()> {
    for node in cluster.workers.iter_mut().filter(|node| !node.through.is_empty()) {
        node.kill();
        node.through.clear();
        node.spawn().await?;
    }
    Ok(())
}

/// Runs what blocks without holding up what else goes on.
fn blocking<T>(cluster: &mut Cluster, act: impl FnOnce(&mut Cluster) -> T) -> T {
    tokio::task::block_in_place(|| act(cluster))
}

/// A launch gets its 202 all the same.
async fn accepts(apis: &[Api], prefix: &str) -> anyhow::Result<()> {
    let name = format!("{prefix}-MEANWHILE");
    let start = Instant::now();
    let job = apis[0].upload(csv_of(&name, 1), &name).await.context("no 202 meanwhile")?;
    ensure!(start.elapsed() < Duration::from_secs(5), "the 202 took {:?}", start.elapsed());
    eprintln!("    meanwhile {} was accepted in {:?}", job.id, start.elapsed());
    Ok(())
}

/// A launch is refused with 503 and not lost in a 202.
async fn refuses(apis: &[Api], prefix: &str) -> anyhow::Result<()> {
    let name = format!("{prefix}-NEVER");
    let answer = apis[0].upload_or_503(csv_of(&name, 1), &name).await?;
    ensure!(answer.is_err(), "202 without a database");
    Ok(())
}

/// Rows of each launch that tries a full disk.
const MANY: usize = 400;

/// Launches until one is refused: the jobs before it, and its key.
async fn fill(apis: &[Api], prefix: &str) -> anyhow::Result<(Vec<Job>, String)> {
    let mut accepted = Vec::new();
    for n in 0..50 {
        let name = format!("{prefix}-FULL-{n}");
        match apis[0].upload_or_503(csv_of(&name, MANY), &name).await? {
            Ok(job) => accepted.push(job),
            Err(words) => {
                eprintln!("    refused after {} launches: {words}", accepted.len());
                ensure!(words.contains("Nothing was changed"), "the 503 says {words:?}");
                return Ok((accepted, name));
            }
        }
    }
    anyhow::bail!("a full disk took {} launches", accepted.len())
}

/// What was accepted is there with all its items; of what was refused not
/// even the key is.
async fn whole(apis: &[Api], accepted: &[Job], refused: &str) -> anyhow::Result<()> {
    let start = Instant::now();
    // The same key with another file: 422 were it known.
    let again = loop {
        match apis[0].upload_or_503(csv_of(refused, 1), refused).await? {
            Ok(job) => break job,
            Err(words) => ensure!(start.elapsed() < Duration::from_secs(60), "still {words:?}"),
        }
        sleep(Duration::from_millis(200)).await;
    };
    for (job, products) in accepted.iter().map(|job| (job, MANY)).chain([(&again, 1)]) {
        let items = apis[0].tasks(job.id).await?.len();
        ensure!(items == products * WIDTH, "{items} of {} items", products * WIDTH);
        apis[0].cancel(job.id).await?;
    }
    Ok(())
}
