//! Injects each fault and recovers from it; what is required in between is
//! checked here.

mod broker;
mod database;
mod nodes;
mod redis;

use super::{context::FaultContext, fault::Fault};
use rand::RngExt;
use std::time::Duration;
use testbed::Cluster;
use tokio::time::sleep;

/// Injects a fault, and returns when the servers are running again.
pub async fn inject(fault: Fault, context: &mut FaultContext<'_>) -> anyhow::Result<()> {
    let victim = context.rng.random_range(0..context.cluster.workers.len());
    let outage = Duration::from_millis(context.rng.random_range(500..4_000));
    match fault {
        // These happen during the launch, are caused by the products, or run elsewhere.
        Fault::None
        | Fault::WebKilledAfter202
        | Fault::WebKilledBefore202
        | Fault::RateLimitStorm
        | Fault::PermanentFailure
        | Fault::DiskFullEmbedded => Ok(()),
        Fault::WorkerKilled => nodes::kill_worker(context, victim, outage).await,
        Fault::WorkerFrozen => {
            context.cluster.workers[victim].signal("STOP")?;
            sleep(context.lease * 3 / 2 + outage).await;
            context.cluster.workers[victim].signal("CONT")
        }
        Fault::ClockSkew => nodes::skew_clocks(context, victim).await,
        Fault::RollingRestart => nodes::rolling_restart(context).await,
        Fault::BrokerKilled => broker::kill(context, outage, false).await,
        Fault::BrokerWiped => broker::kill(context, outage, true).await,
        Fault::BrokerRestarted => broker::restart(context),
        Fault::BrokerSilent => broker::silence(context).await,
        Fault::ConfirmsLost => broker::lose_confirms(context).await,
        Fault::BrokerMemoryAlarm => broker::raise_memory_alarm(context, outage).await,
        Fault::PoisonMessages => broker::publish_poison_messages(context).await,
        Fault::RedisKilled => redis::kill(context, outage).await,
        Fault::RedisFlushed => redis::flush(context, outage).await,
        Fault::RedisSilent => {
            redis::silence(context, outage).await;
            Ok(())
        }
        Fault::PostgresKilled => database::kill(context, outage).await,
        Fault::PostgresSilent => database::silence(context, outage).await,
        Fault::DiskFull => database::fill_disk(context, outage).await,
    }
}

/// Restarts the nodes that ran under a wrapper until the batches finished.
pub async fn restore_nodes(cluster: &mut Cluster) -> anyhow::Result<()> {
    let nodes = cluster.web.iter_mut().chain(&mut cluster.workers);
    for node in nodes.filter(|node| !node.wrapper.is_empty()) {
        node.kill();
        node.wrapper.clear();
        node.spawn().await?;
    }
    Ok(())
}
