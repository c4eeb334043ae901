//! Faults of Redis and of the connections to it.

use super::super::context::FaultContext;
use anyhow::ensure;
use std::time::Duration;
use testbed::ProxyMode;
use tokio::time::sleep;

/// Longer than the timeouts of a response and then of a new connection.
const SILENCE_DURATION: Duration = Duration::from_secs(4);

pub async fn kill(context: &mut FaultContext<'_>, outage: Duration) -> anyhow::Result<()> {
    context.cluster.redis.kill();
    sleep(outage).await;
    context.run_blocking(|cluster| cluster.redis.spawn());
    Ok(())
}

pub async fn flush(context: &mut FaultContext<'_>, outage: Duration) -> anyhow::Result<()> {
    for _ in 0..3 {
        ensure!(context.cluster.redis.redis_cli(&["FLUSHALL"]), "Redis was not flushed");
        sleep(outage / 4).await;
    }
    Ok(())
}

/// Silences the connections twice: Redis receives what was sent during the first
/// silence late, and what was sent during the second never.
pub async fn silence(context: &mut FaultContext<'_>, outage: Duration) {
    let proxy = &context.cluster.redis_proxy;
    let before = proxy.accepted_while_stalled();
    for forgotten in [false, true] {
        proxy.set_mode(ProxyMode::Stalled);
        sleep(SILENCE_DURATION + outage / 2).await;
        if forgotten {
            proxy.stall_connections_forever();
        }
        proxy.set_mode(ProxyMode::Forward);
        sleep(outage).await;
    }
    let new = proxy.accepted_while_stalled() - before;
    context.report.add_check("silence is detected", new > 0, format!("{new} new connections"));
    context.report.add_figure("connections opened during the silence", new.to_string(), None);
}
