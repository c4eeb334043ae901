//! Web nodes and workers.

use super::super::scene::{Scene, Told};
use crate::{
    api::csv_of,
    cluster::Node,
    report::time,
    stream::{Closed, Stream},
};
use anyhow::{Context, ensure};
use contract::live::Close;
use rand::RngExt;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How long what a lost worker left may lie when its leases and places have
/// run out: the reaper's round, and a turn at the channel's pace.
const TAKEN_BACK: Duration = Duration::from_secs(15);
/// So long a place at a channel's gate outlives whoever held it, whatever the
/// lease is: before that there may be no place for what it left.
const PLACE: Duration = Duration::from_secs(20);
/// A batch that is under way keeps a worker busy within this time.
const BUSY: Duration = Duration::from_secs(30);
/// What starts a worker has done so within this time.
const FORKED: Duration = Duration::from_secs(10);
/// Listeners of each web node that stops.
const SOCKETS: usize = 8;

/// Kills a worker that has calls under way.
pub async fn killed(scene: &mut Scene<'_>, victim: usize, away: Duration) -> anyhow::Result<()> {
    let pid = scene.cluster.workers[victim].runs().context("the worker does not run")?;
    let sql = format!(
        "SELECT id, fence FROM tasks WHERE state = 'running' AND lease_owner LIKE '%-{pid}'"
    );
    let start = Instant::now();
    while scene.cluster.database.rows(&sql).await?.is_empty() {
        ensure!(start.elapsed() < BUSY, "the worker has nothing to do");
        sleep(Duration::from_millis(20)).await;
    }
    scene.cluster.workers[victim].kill();
    let killed = Instant::now();
    // Leases outlive their holder: what it left is told now.
    let held = scene.cluster.database.rows(&sql).await?;
    sleep(away).await;
    scene.cluster.workers[victim].spawn().await?;
    let left: Vec<_> = held.iter().filter_map(|row| row.split_once('|')).collect();
    let took = until_run_again(scene, &left, killed).await?;
    let most = scene.lease.max(PLACE) + TAKEN_BACK;
    let detail = format!("{} items after {}", left.len(), time(took));
    scene.report.check(
        "what it left runs again in time",
        !left.is_empty() && took <= most,
        format!("{detail}, at the most {}", time(most)),
    );
    scene.report.figure("run again", detail, None);
    Ok(())
}

/// Until each of these tasks was seen under way or at its end beyond its old
/// fence.
async fn until_run_again(
    scene: &Scene<'_>,
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
        let rows = scene.cluster.database.rows(&sql).await?;
        let now: Vec<_> = rows.iter().filter_map(|row| row.split_once('|')).collect();
        open.retain(|(id, fence)| !now.iter().any(|(other, new)| other == id && new != fence));
        ensure!(killed.elapsed() < scene.lease * 2 + TAKEN_BACK * 4, "{open:?} never run again");
        sleep(Duration::from_millis(50)).await;
    }
    Ok(killed.elapsed())
}

/// A worker's and a web node's, the one ahead and the other behind.
pub async fn clock_off(scene: &mut Scene<'_>, victim: usize) -> anyhow::Result<()> {
    let mut ways = ["+1h", "-1h"];
    if scene.dice.random() {
        ways.reverse();
    }
    let web = scene.dice.random_range(0..scene.cluster.web.len());
    for (node, way) in
        [(&mut scene.cluster.workers[victim], ways[0]), (&mut scene.cluster.web[web], ways[1])]
    {
        node.kill();
        node.through = ["faketime", "-f", way].map(str::to_owned).to_vec();
        node.spawn().await?;
    }
    scene.report.figure("the worker's clock", ways[0], None);
    let pid = forked(&scene.cluster.workers[victim]).await?;
    scene.must_try.push(format!("-{pid}"));
    forked(&scene.cluster.web[web]).await?;
    let name = format!("{}-OFF", scene.name);
    let job = scene.apis[web].upload(csv_of(&name, 1), &name).await?;
    scene.told.push(Told::new(job.id, 1));
    Ok(())
}

/// Of what runs the binary under a clock of its own.
async fn forked(node: &Node) -> anyhow::Result<u32> {
    let start = Instant::now();
    loop {
        let pid = node.runs().context("it does not run")?;
        if node.pid() != Some(pid) {
            return Ok(pid);
        }
        ensure!(start.elapsed() < FORKED, "nothing runs under another clock");
        sleep(Duration::from_millis(20)).await;
    }
}

/// SIGTERM to each node, while clients listen to the web nodes.
pub async fn rolling(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let mut ends = Vec::new();
    for (node, api) in scene.cluster.web.iter_mut().zip(scene.apis) {
        let mut listeners = Vec::new();
        for _ in 0..SOCKETS {
            let (stream, _) = Stream::at_head(api).await?;
            listeners.push(tokio::spawn(until_closed(stream)));
        }
        node.stop().await?;
        for listener in listeners {
            let end = timeout(Duration::from_secs(10), listener).await;
            ends.push(end.map_or(Err("still open".to_owned()), |end| end.map_err(text)?));
        }
        node.spawn().await?;
    }
    for node in &mut scene.cluster.workers {
        node.stop().await?;
        node.spawn().await?;
    }
    let others: Vec<_> = ends.iter().filter(|end| **end != Ok(Close::GoingAway.code())).collect();
    scene.report.check(
        "each socket of a web node that stops is told 4200",
        others.is_empty(),
        format!("{} of {} were not, such as {:?}", others.len(), ends.len(), others.first()),
    );
    scene.report.figure("sockets told 4200", (ends.len() - others.len()).to_string(), None);
    Ok(())
}

/// The code that the server closed the socket with, or how else it ended.
async fn until_closed(mut stream: Stream<tokio::net::TcpStream>) -> Result<u16, String> {
    loop {
        if let Err(error) = stream.next().await {
            return match error.downcast_ref::<Closed>() {
                Some(Closed(Some(code))) => Ok(*code),
                _ => Err(text(error)),
            };
        }
    }
}

fn text(error: impl std::fmt::Display) -> String {
    format!("{error:#}")
}
