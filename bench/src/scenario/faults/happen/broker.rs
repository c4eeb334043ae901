//! RabbitMQ, and the way to it.

use super::super::scene::Scene;
use crate::api::CHANNELS;
use anyhow::ensure;
use contract::command::{Command, ProductUpload, queue_name};
use lapin::{BasicProperties, Connection, ConnectionProperties, options::BasicPublishOptions};
use servers::Mode;
use std::time::Duration;
use tokio::time::sleep;

/// Longer than two heartbeats of 10 s, and than a connection's own limit:
/// silence is found, and what is made anew meanwhile is silent too.
const SILENCE: Duration = Duration::from_secs(32);
/// Longer than a confirm is waited for.
const OVERDUE: Duration = Duration::from_secs(12);
/// So long the alarm lasts at the least: a publisher that is blocked, tries
/// anew and is blocked again.
const ALARM: Duration = Duration::from_secs(15);

pub async fn killed(scene: &mut Scene<'_>, away: Duration, wiped: bool) -> anyhow::Result<()> {
    scene.blocking(|cluster| cluster.rabbit.kill());
    if wiped {
        scene.cluster.rabbit.wipe();
    }
    scene.accepts().await;
    sleep(away).await;
    scene.blocking(|cluster| cluster.rabbit.spawn());
    Ok(())
}

pub fn restarted(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    ensure!(scene.blocking(|cluster| cluster.rabbit.control(&["stop"])), "RabbitMQ did not stop");
    scene.blocking(|cluster| cluster.rabbit.kill());
    scene.blocking(|cluster| cluster.rabbit.spawn());
    Ok(())
}

pub async fn silent(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let before = scene.cluster.to_rabbit.unheard();
    scene.cluster.to_rabbit.set(Mode::Silent);
    scene.accepts().await;
    sleep(SILENCE).await;
    let new = scene.cluster.to_rabbit.unheard() - before;
    scene.cluster.to_rabbit.set(Mode::Carry);
    scene.report.check("silence is found", new > 0, format!("{new} connections made anew"));
    scene.report.figure("connections made in the silence", new.to_string(), None);
    Ok(())
}

pub async fn deaf(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    scene.cluster.to_rabbit.set(Mode::Deaf);
    sleep(OVERDUE).await;
    scene.cluster.to_rabbit.set(Mode::Carry);
    Ok(())
}

pub async fn alarm(scene: &mut Scene<'_>, away: Duration) -> anyhow::Result<()> {
    const LATE: &str = "no confirm within";
    let before = scene.cluster.told(LATE);
    ensure!(watermark(scene, "0.0001"), "no alarm");
    scene.accepts().await;
    sleep(ALARM + away).await;
    let late = scene.cluster.told(LATE) - before;
    ensure!(watermark(scene, "0.6"), "the alarm stays");
    scene.report.check("confirms were overdue", late > 0, format!("{late} times by the logs"));
    scene.report.figure("overdue confirms", late.to_string(), None);
    Ok(())
}

fn watermark(scene: &mut Scene<'_>, mark: &str) -> bool {
    scene.blocking(|cluster| cluster.rabbit.control(&["set_vm_memory_high_watermark", mark]))
}

/// What nobody can read, and in no encoding of text either.
const POISON: [&[u8]; 3] = [b"{", b"{\"specversion\":\"0.3\"}", b"\xff\xfe\x00"];
/// Everything in a queue is read within this time.
const READ: Duration = Duration::from_secs(30);
/// Consumers are back within this time.
const AGAIN: Duration = Duration::from_secs(5);

pub async fn poison(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    const KEPT: &str = "SELECT queue, count(*) FROM rejected_messages GROUP BY queue ORDER BY 1";
    let before = scene.cluster.database.rows(KEPT).await?;
    ensure!(before.is_empty(), "there were rejected messages already: {before:?}");
    let url = scene.cluster.rabbit.url();
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let queues: Vec<_> = CHANNELS
        .split(',')
        .map(|channel| queue_name(ProductUpload::KIND, Some(channel), ProductUpload::VERSION))
        .collect();
    for (queue, bytes) in queues.iter().flat_map(|queue| POISON.map(|bytes| (queue, bytes))) {
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        channel.basic_publish("".into(), queue.as_str().into(), options, bytes, properties).await?;
    }
    // Its close follows what was published.
    connection.close(200, "".into()).await?;
    let expected: Vec<_> = queues.iter().map(|queue| format!("{queue}|{}", POISON.len())).collect();
    let mut kept = Vec::new();
    let start = tokio::time::Instant::now();
    while kept != expected && start.elapsed() < READ {
        sleep(Duration::from_millis(200)).await;
        kept = scene.cluster.database.rows(KEPT).await?;
    }
    // One that was not acknowledged comes again with the next connection.
    let close = ["close_all_connections", "--vhost", "/", "so that unacknowledged ones come again"];
    ensure!(scene.blocking(|cluster| cluster.rabbit.control(&close)), "no connection was closed");
    sleep(AGAIN).await;
    kept = scene.cluster.database.rows(KEPT).await?;
    scene.report.check(
        "each message that can't be read is kept once",
        kept == expected,
        format!("{kept:?} of {} in each queue", POISON.len()),
    );
    scene.report.figure("kept as they are", kept.join(", "), None);
    // The next round counts anew.
    scene.cluster.database.rows("DELETE FROM rejected_messages").await?;
    Ok(())
}
