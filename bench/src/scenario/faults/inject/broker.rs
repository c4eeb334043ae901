//! Faults of RabbitMQ and of the connections to it.

use super::super::context::FaultContext;
use anyhow::ensure;
use contract::command::{Command, ProductUpload, queue_name};
use lapin::{BasicProperties, Connection, ConnectionProperties, options::BasicPublishOptions};
use std::time::Duration;
use testbed::{ProxyMode, api::CHANNELS};
use tokio::time::sleep;

/// Longer than two heartbeats of 10 s and than the timeout of a new connection: the
/// silence is detected, and the connections opened during it are silent too.
const SILENCE_DURATION: Duration = Duration::from_secs(32);
/// Longer than the timeout of a publisher confirm.
const CONFIRM_LOSS_DURATION: Duration = Duration::from_secs(12);
/// Minimum duration of the alarm: a blocked publisher tries again, and is blocked
/// again.
const MIN_ALARM_DURATION: Duration = Duration::from_secs(15);

pub async fn kill(
    context: &mut FaultContext<'_>,
    outage: Duration,
    wiped: bool,
) -> anyhow::Result<()> {
    context.run_blocking(|cluster| cluster.rabbit.kill());
    if wiped {
        context.cluster.rabbit.delete_data();
    }
    context.check_launch_is_accepted().await;
    sleep(outage).await;
    context.run_blocking(|cluster| cluster.rabbit.spawn());
    Ok(())
}

pub fn restart(context: &mut FaultContext<'_>) -> anyhow::Result<()> {
    ensure!(
        context.run_blocking(|cluster| cluster.rabbit.rabbitmqctl(&["stop"])),
        "RabbitMQ did not stop"
    );
    context.run_blocking(|cluster| cluster.rabbit.kill());
    context.run_blocking(|cluster| cluster.rabbit.spawn());
    Ok(())
}

pub async fn silence(context: &mut FaultContext<'_>) -> anyhow::Result<()> {
    let before = context.cluster.rabbit_proxy.accepted_while_stalled();
    context.cluster.rabbit_proxy.set_mode(ProxyMode::Stalled);
    context.check_launch_is_accepted().await;
    sleep(SILENCE_DURATION).await;
    let new = context.cluster.rabbit_proxy.accepted_while_stalled() - before;
    context.cluster.rabbit_proxy.set_mode(ProxyMode::Forward);
    context.report.add_check("silence is detected", new > 0, format!("{new} new connections"));
    context.report.add_figure("connections opened during the silence", new.to_string(), None);
    Ok(())
}

pub async fn lose_confirms(context: &mut FaultContext<'_>) -> anyhow::Result<()> {
    context.cluster.rabbit_proxy.set_mode(ProxyMode::DropResponses);
    sleep(CONFIRM_LOSS_DURATION).await;
    context.cluster.rabbit_proxy.set_mode(ProxyMode::Forward);
    Ok(())
}

pub async fn raise_memory_alarm(
    context: &mut FaultContext<'_>,
    outage: Duration,
) -> anyhow::Result<()> {
    const CONFIRM_TIMEOUT_MESSAGE: &str = "no confirm within";
    let before = context.cluster.count_in_logs(CONFIRM_TIMEOUT_MESSAGE);
    ensure!(set_memory_watermark(context, "0.0001"), "the alarm was not raised");
    context.check_launch_is_accepted().await;
    sleep(MIN_ALARM_DURATION + outage).await;
    let late = context.cluster.count_in_logs(CONFIRM_TIMEOUT_MESSAGE) - before;
    ensure!(set_memory_watermark(context, "0.6"), "the alarm was not cleared");
    context.report.add_check(
        "confirms were overdue",
        late > 0,
        format!("{late} times by the logs"),
    );
    context.report.add_figure("overdue confirms", late.to_string(), None);
    Ok(())
}

fn set_memory_watermark(context: &mut FaultContext<'_>, mark: &str) -> bool {
    context
        .run_blocking(|cluster| cluster.rabbit.rabbitmqctl(&["set_vm_memory_high_watermark", mark]))
}

/// Unreadable messages; the last one is not valid text either.
const POISON_MESSAGES: [&[u8]; 3] = [b"{", b"{\"specversion\":\"0.3\"}", b"\xff\xfe\x00"];
/// Maximum time until everything in a queue has been read.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum time until consumers have reconnected.
const RECONNECT_TIME: Duration = Duration::from_secs(5);

pub async fn publish_poison_messages(context: &mut FaultContext<'_>) -> anyhow::Result<()> {
    const COUNT_REJECTED: &str =
        "SELECT queue, count(*) FROM rejected_messages GROUP BY queue ORDER BY 1";
    let before = context.cluster.database.query_rows(COUNT_REJECTED).await?;
    ensure!(before.is_empty(), "there were rejected messages already: {before:?}");
    let url = context.cluster.rabbit.url();
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let queues: Vec<_> = CHANNELS
        .split(',')
        .map(|channel| queue_name(ProductUpload::KIND, Some(channel), ProductUpload::VERSION))
        .collect();
    for (queue, bytes) in
        queues.iter().flat_map(|queue| POISON_MESSAGES.map(|bytes| (queue, bytes)))
    {
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        channel.basic_publish("".into(), queue.as_str().into(), options, bytes, properties).await?;
    }
    // The close comes after the messages.
    connection.close(200, "".into()).await?;
    let expected: Vec<_> =
        queues.iter().map(|queue| format!("{queue}|{}", POISON_MESSAGES.len())).collect();
    let mut rejected = Vec::new();
    let start = tokio::time::Instant::now();
    while rejected != expected && start.elapsed() < READ_TIMEOUT {
        sleep(Duration::from_millis(200)).await;
        rejected = context.cluster.database.query_rows(COUNT_REJECTED).await?;
    }
    // A message that was not acknowledged is delivered again to the next connection.
    let close = ["close_all_connections", "--vhost", "/", "redeliver unacknowledged messages"];
    ensure!(
        context.run_blocking(|cluster| cluster.rabbit.rabbitmqctl(&close)),
        "no connection was closed"
    );
    sleep(RECONNECT_TIME).await;
    rejected = context.cluster.database.query_rows(COUNT_REJECTED).await?;
    context.report.add_check(
        "each unreadable message is saved once",
        rejected == expected,
        format!("{rejected:?} of {} in each queue", POISON_MESSAGES.len()),
    );
    context.report.add_figure("saved as rejected", rejected.join(", "), None);
    // The next round counts from zero.
    context.cluster.database.query_rows("DELETE FROM rejected_messages").await?;
    Ok(())
}
