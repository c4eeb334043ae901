//! How each fault is made to happen, and mended again; what must hold
//! meanwhile is checked here.

mod broker;
mod database;
mod gates;
mod node;

use super::{fault::Fault, scene::Scene};
use crate::cluster::Cluster;
use rand::RngExt;
use std::time::Duration;
use tokio::time::sleep;

pub async fn happen(fault: Fault, scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let victim = scene.dice.random_range(0..scene.cluster.workers.len());
    let away = Duration::from_millis(scene.dice.random_range(500..4_000));
    match fault {
        // These happen at the launch, by the products themselves, or elsewhere.
        Fault::None
        | Fault::WebKilledAfter202
        | Fault::WebKilledBefore202
        | Fault::Storm
        | Fault::AlwaysFails
        | Fault::DiskFullEmbedded => Ok(()),
        Fault::WorkerKilled => node::killed(scene, victim, away).await,
        Fault::WorkerFrozen => {
            scene.cluster.workers[victim].signal("STOP")?;
            sleep(scene.lease * 3 / 2 + away).await;
            scene.cluster.workers[victim].signal("CONT")
        }
        Fault::ClockOff => node::clock_off(scene, victim).await,
        Fault::RollingRestart => node::rolling(scene).await,
        Fault::BrokerKilled => broker::killed(scene, away, false).await,
        Fault::BrokerWiped => broker::killed(scene, away, true).await,
        Fault::BrokerRestarted => broker::restarted(scene),
        Fault::BrokerSilent => broker::silent(scene).await,
        Fault::ConfirmsLost => broker::deaf(scene).await,
        Fault::BrokerAlarm => broker::alarm(scene, away).await,
        Fault::Poison => broker::poison(scene).await,
        Fault::RedisKilled => gates::killed(scene, away).await,
        Fault::RedisFlushed => gates::flushed(scene, away).await,
        Fault::RedisSilent => {
            gates::silent(scene, away).await;
            Ok(())
        }
        Fault::PostgresKilled => database::killed(scene, away).await,
        Fault::PostgresSilent => database::silent(scene, away).await,
        Fault::DiskFull => database::full(scene, away).await,
    }
}

/// Sets right what has to last until the batches are done.
pub async fn mend(cluster: &mut Cluster) -> anyhow::Result<()> {
    let nodes = cluster.web.iter_mut().chain(&mut cluster.workers);
    for node in nodes.filter(|node| !node.through.is_empty()) {
        node.kill();
        node.through.clear();
        node.spawn().await?;
    }
    Ok(())
}
