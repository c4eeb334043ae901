//! Faults of web nodes and workers.

use super::super::context::{AcceptedJob, FaultContext};
use crate::{report::format_duration, worker_kills::kill_busy_worker};
use anyhow::{Context, ensure};
use contract::websocket::CloseCode;
use rand::RngExt;
use std::time::Duration;
use testbed::{Node, WebSocketClient, api::product_csv_with_prefix, websocket::SocketClosed};
use tokio::time::{Instant, sleep, timeout};

/// Maximum time until a lost worker's tasks run again after its leases and
/// concurrency slots have expired: the reaper's interval, and the wait for a permit, on a
/// busy host.
const MAX_RECOVERY_TIME: Duration = Duration::from_secs(40);
/// Time until the concurrency slots of a lost worker expire, whatever the lease is.
/// Until then there may be no slot for its tasks.
const SLOT_EXPIRY: Duration = Duration::from_secs(20);
/// Maximum time until a worker has a task of a running batch.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum time until a wrapper has started the binary.
const FORK_TIMEOUT: Duration = Duration::from_secs(10);
/// Sockets of each web node that stops.
const SOCKETS: usize = 8;

/// Kills a worker that is running tasks.
pub async fn kill_worker(
    context: &mut FaultContext<'_>,
    victim: usize,
    outage: Duration,
) -> anyhow::Result<()> {
    let left = kill_busy_worker(context.cluster, victim, None, BUSY_TIMEOUT).await?;
    let killed = Instant::now();
    let leased_tasks = left.context("the worker has nothing to do")?;
    sleep(outage).await;
    context.cluster.workers[victim].spawn().await?;
    let left: Vec<_> = leased_tasks.iter().filter_map(|row| row.split_once('|')).collect();
    let took = wait_until_rerun(context, &left, killed).await?;
    let limit = context.lease.max(SLOT_EXPIRY) + MAX_RECOVERY_TIME;
    let detail = format!("{} items after {}", left.len(), format_duration(took));
    context.report.add_check(
        "its tasks run again in time",
        !left.is_empty() && took <= limit,
        format!("{detail}, at most {}", format_duration(limit)),
    );
    context.report.add_figure("run again", detail, None);
    Ok(())
}

/// Waits until each of these tasks is running or finished with a new fence, and
/// returns the time since `killed`.
async fn wait_until_rerun(
    context: &FaultContext<'_>,
    left: &[(&str, &str)],
    killed: Instant,
) -> anyhow::Result<Duration> {
    let mut open = left.to_vec();
    while !open.is_empty() {
        let ids: Vec<_> = open.iter().map(|(id, _)| format!("'{id}'")).collect();
        let sql = format!(
            "SELECT id, fence FROM tasks WHERE state <> 'queued' AND id IN ({})",
            ids.join(",")
        );
        let rows = context.cluster.database.query_rows(&sql).await?;
        let now: Vec<_> = rows.iter().filter_map(|row| row.split_once('|')).collect();
        open.retain(|(id, fence)| !now.iter().any(|(other, new)| other == id && new != fence));
        ensure!(
            killed.elapsed() < context.lease * 2 + MAX_RECOVERY_TIME * 2,
            "{open:?} never run again"
        );
        sleep(Duration::from_millis(50)).await;
    }
    Ok(killed.elapsed())
}

/// Skews the clocks of a worker and a web node, one ahead and the other behind.
pub async fn skew_clocks(context: &mut FaultContext<'_>, victim: usize) -> anyhow::Result<()> {
    let mut offsets = ["+1h", "-1h"];
    if context.rng.random() {
        offsets.reverse();
    }
    let web = context.rng.random_range(0..context.cluster.web.len());
    for (node, offset) in [
        (&mut context.cluster.workers[victim], offsets[0]),
        (&mut context.cluster.web[web], offsets[1]),
    ] {
        node.kill();
        node.wrapper = ["faketime", "-f", offset].map(str::to_owned).to_vec();
        node.spawn().await?;
    }
    context.report.add_figure("the worker's clock", offsets[0], None);
    let pid = wait_for_wrapped_pid(&context.cluster.workers[victim]).await?;
    context.required_workers.push(format!("-{pid}"));
    wait_for_wrapped_pid(&context.cluster.web[web]).await?;
    let name = format!("{}-OFF", context.name);
    let job = context.apis[web].upload(product_csv_with_prefix(&name, 1), &name).await?;
    context.accepted_jobs.push(AcceptedJob::new(job.id, 1));
    Ok(())
}

/// Waits until the wrapper has started the binary, and returns its process id.
async fn wait_for_wrapped_pid(node: &Node) -> anyhow::Result<u32> {
    let start = Instant::now();
    loop {
        let pid = node.server_pid().context("it does not run")?;
        if node.pid() != Some(pid) {
            return Ok(pid);
        }
        ensure!(start.elapsed() < FORK_TIMEOUT, "nothing runs under the skewed clock");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Restarts each node with SIGTERM, while clients listen to the web nodes.
pub async fn rolling_restart(context: &mut FaultContext<'_>) -> anyhow::Result<()> {
    let mut ends = Vec::new();
    for (node, api) in context.cluster.web.iter_mut().zip(context.apis) {
        let mut listeners = Vec::new();
        for _ in 0..SOCKETS {
            let (stream, _) = WebSocketClient::open_at_head(api).await?;
            listeners.push(tokio::spawn(wait_for_close(stream)));
        }
        node.stop().await?;
        for listener in listeners {
            let end = timeout(Duration::from_secs(10), listener).await;
            ends.push(end.map_or(Err("still open".to_owned()), |end| end.map_err(error_text)?));
        }
        node.spawn().await?;
    }
    for node in &mut context.cluster.workers {
        node.stop().await?;
        node.spawn().await?;
    }
    let others: Vec<_> =
        ends.iter().filter(|end| **end != Ok(CloseCode::GoingAway.code())).collect();
    context.report.add_check(
        "each socket of a stopping web node is closed with 4200",
        others.is_empty(),
        format!("{} of {} were not, such as {:?}", others.len(), ends.len(), others.first()),
    );
    context.report.add_figure(
        "sockets closed with 4200",
        (ends.len() - others.len()).to_string(),
        None,
    );
    Ok(())
}

/// Returns the code with which the server closed the socket, or how else it ended.
async fn wait_for_close(mut stream: WebSocketClient<tokio::net::TcpStream>) -> Result<u16, String> {
    loop {
        if let Err(error) = stream.next_frame().await {
            return match error.downcast_ref::<SocketClosed>() {
                Some(SocketClosed(Some(code))) => Ok(*code),
                _ => Err(error_text(error)),
            };
        }
    }
}

fn error_text(error: impl std::fmt::Display) -> String {
    format!("{error:#}")
}
