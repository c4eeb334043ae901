//! PostgreSQL, and the disk under it.

use super::super::scene::{Scene, Told};
use crate::{
    api::{Api, csv_of},
    audit::ends::Allowed,
};
use anyhow::{Context, ensure};
use contract::api::Job;
use servers::Mode;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A launch is told so soon that the database is silent.
const REFUSED: Duration = Duration::from_secs(30);
/// Rows of each launch that tries a full disk.
const MANY: usize = 400;

pub async fn killed(scene: &mut Scene<'_>, away: Duration) -> anyhow::Result<()> {
    scene.cluster.postgres.kill();
    scene.refuses().await;
    sleep(away).await;
    scene.blocking(|cluster| cluster.postgres.spawn());
    Ok(())
}

pub async fn silent(scene: &mut Scene<'_>, away: Duration) -> anyhow::Result<()> {
    scene.cluster.to_postgres.set(Mode::Silent);
    let start = Instant::now();
    scene.refuses().await;
    let took = start.elapsed();
    scene.report.check("the 503 in time", took < REFUSED, format!("after {took:.1?}"));
    scene.report.figure("refused after", format!("{took:.1?}"), None);
    sleep(away).await;
    // Somebody on the way has forgotten the old connections.
    scene.cluster.to_postgres.lose();
    scene.cluster.to_postgres.set(Mode::Carry);
    Ok(())
}

pub async fn full(scene: &mut Scene<'_>, away: Duration) -> anyhow::Result<()> {
    scene.cluster.postgres.disk().context("there is no disk to fill")?.fill();
    let (accepted, refused, unsettled) = fill(scene.apis, scene.name).await?;
    // Leases run out meanwhile, and none can be renewed.
    sleep(scene.lease + away).await;
    if let Some(disk) = scene.cluster.postgres.disk() {
        disk.free();
    }
    // Without room for its log PostgreSQL ends; what runs it for an operator
    // starts it again.
    if !scene.cluster.postgres.is_running() {
        eprintln!("    PostgreSQL had ended by itself");
        scene.blocking(|cluster| cluster.postgres.spawn());
    }
    // The same key with another file: 422 were it known.
    let rows = if unsettled { MANY } else { 1 };
    let again = once_there_is_room(&scene.apis[0], &refused, rows).await?;
    if !unsettled {
        scene.told.push(Told::new(again.id, 1));
    }
    for job in accepted.into_iter().chain(unsettled.then_some(again)) {
        // Enough to fill a disk is too much to be waited for.
        scene.apis[0].cancel(job.id).await?;
        let allowed = Allowed { cancelled: true, ..Allowed::default() };
        scene.told.push(Told { allowed, ..Told::new(job.id, MANY) });
    }
    Ok(())
}

/// Launches until one is refused: the jobs before it, its key, and whether it
/// is not known to be stored.
async fn fill(apis: &[Api], prefix: &str) -> anyhow::Result<(Vec<Job>, String, bool)> {
    let mut accepted = Vec::new();
    for n in 0..50 {
        let name = format!("{prefix}-FULL-{n}");
        match apis[0].upload_or_503(csv_of(&name, MANY), &name).await? {
            Ok(job) => accepted.push(job),
            Err(words) => {
                eprintln!("    refused after {} launches: {words}", accepted.len());
                // PostgreSQL may have ended in the middle of a commit.
                let unsettled = words.contains("It is not known");
                let settled = words.contains("Nothing was changed");
                ensure!(settled || unsettled, "the 503 says {words:?}");
                return Ok((accepted, name, unsettled));
            }
        }
    }
    anyhow::bail!("a full disk took {} launches", accepted.len())
}

async fn once_there_is_room(api: &Api, key: &str, rows: usize) -> anyhow::Result<Job> {
    let start = Instant::now();
    loop {
        match api.upload_or_503(csv_of(key, rows), key).await? {
            Ok(job) => return Ok(job),
            Err(words) => ensure!(start.elapsed() < Duration::from_secs(60), "still {words:?}"),
        }
        sleep(Duration::from_millis(200)).await;
    }
}
