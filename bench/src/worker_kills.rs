//! Kills of worker processes that are running tasks.

use crate::{
    progress::{wait_until_finished, wait_until_finished_count},
    report::format_duration,
};
use anyhow::Context;
use contract::{JobId, api::Job};
use rand::{RngExt, rngs::StdRng};
use std::{
    path::Path,
    time::{Duration, Instant},
};
use testbed::{ApiClient, Cluster, ClusterConfig, ClusterOptions, Node, SandboxConfig};
use tokio::time::sleep;

const WORKERS: usize = 2;
/// Minimum lease of a claim, s: a shorter one expires on a busy host while its worker lives.
const MIN_LEASE_S: f64 = 8.0;
/// Lease of a claim at speed 1, s. Half of it is the time limit of a call, which must be
/// well over the 10 s that the slowest channel takes.
const LEASE_AT_SPEED_1_S: f64 = 40.0;
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Maximum time for which a killed worker stays down, ms.
const MAX_OUTAGE_MS: u64 = 1_500;
/// Maximum time until a worker has a task of a running upload. The concurrency slots of a
/// worker that was killed before are taken for 20 s.
const BUSY_TIMEOUT: Duration = Duration::from_secs(60);
/// Share of the items that have finished at the latest possible kill. Later, a worker might
/// have nothing to do any more.
const LAST_KILL_SHARE: f64 = 0.8;

/// Starts a web node and two workers on PostgreSQL, RabbitMQ and Redis, with a sandbox
/// whose only faults are those that SKUs force. `latency_s` replaces the latency of every
/// product call at speed 1, in seconds.
pub async fn start_cluster(
    binary: &Path,
    speed: f64,
    seed: u64,
    latency_s: Option<f64>,
) -> anyhow::Result<Cluster> {
    let config = ClusterConfig {
        web: 1,
        workers: WORKERS,
        lease_s: lease_s(speed),
        small_disk: false,
        sandbox_config: SandboxConfig { speed, seed, faults: false },
    };
    let options = ClusterOptions { latency_s, ..ClusterOptions::default() };
    Cluster::start_with(binary, config, options).await
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn lease_s(speed: f64) -> u32 {
    (LEASE_AT_SPEED_1_S / speed).max(MIN_LEASE_S).ceil() as u32
}

/// Waits until a worker is running a task, one of `job` if that is given, and kills it.
/// Returns the id and fence of each task that it left, separated by `|`; `None` if it was
/// not running any within `patience`.
pub async fn kill_busy_worker(
    cluster: &mut Cluster,
    victim: usize,
    job: Option<JobId>,
    patience: Duration,
) -> anyhow::Result<Option<Vec<String>>> {
    let running = running_tasks_sql(cluster, victim)?;
    let of_job = job.map_or_else(String::new, |job| format!(" AND job_id = '{job}'"));
    let (start, busy) = (Instant::now(), format!("{running}{of_job}"));
    while cluster.database.query_rows(&busy).await?.is_empty() {
        if start.elapsed() > patience {
            return Ok(None);
        }
        sleep(POLL_INTERVAL).await;
    }
    kill_worker(cluster, victim).await.map(Some)
}

/// Kills a worker, and returns the id and fence of each task that it left, separated by `|`.
async fn kill_worker(cluster: &mut Cluster, victim: usize) -> anyhow::Result<Vec<String>> {
    let running = running_tasks_sql(cluster, victim)?;
    cluster.workers[victim].kill();
    // Leases outlive their holder, so its tasks can be read now.
    cluster.database.query_rows(&running).await
}

/// Returns the query for the id and fence of each task that a worker is running.
fn running_tasks_sql(cluster: &Cluster, victim: usize) -> anyhow::Result<String> {
    let pid = cluster.workers[victim].server_pid().context("the worker does not run")?;
    Ok(format!(
        "SELECT id, fence FROM tasks WHERE state = 'running' AND lease_owner LIKE '%-{pid}'"
    ))
}

/// Waits until workers are running tasks of `job`, and returns a random one of them; `None` if
/// none was within [`BUSY_TIMEOUT`]. A worker that is chosen before may get none of the last
/// tasks of an upload, when the other one has all concurrency slots.
async fn wait_for_busy_worker(
    cluster: &Cluster,
    job: JobId,
    rng: &mut StdRng,
) -> anyhow::Result<Option<usize>> {
    let sql = format!(
        "SELECT DISTINCT lease_owner FROM tasks WHERE state = 'running' AND job_id = '{job}'"
    );
    let start = Instant::now();
    loop {
        let owners = cluster.database.query_rows(&sql).await?;
        let is_owner = |worker: &Node| {
            let suffix = worker.server_pid().map(|pid| format!("-{pid}"));
            suffix.is_some_and(|suffix| owners.iter().any(|owner| owner.ends_with(&suffix)))
        };
        let workers = cluster.workers.iter().enumerate();
        let busy: Vec<_> =
            workers.filter(|(_, worker)| is_owner(worker)).map(|(index, _)| index).collect();
        if !busy.is_empty() {
            return Ok(Some(busy[rng.random_range(0..busy.len())]));
        }
        if start.elapsed() > BUSY_TIMEOUT {
            return Ok(None);
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// Kills a worker `kills` times while a job runs, waits until the job ends, and returns a text
/// for the report.
pub async fn kill_during(
    cluster: &mut Cluster,
    api: &ApiClient,
    job: &Job,
    kills: u32,
    rng: &mut StdRng,
) -> anyhow::Result<String> {
    let mut left_counts = Vec::new();
    for finished in kill_points(kills, job.counts.total, rng) {
        let counts = wait_until_finished_count(api, job.id, finished).await?.counts;
        let victim = wait_for_busy_worker(cluster, job.id, rng)
            .await?
            .context("the upload ended before all kills: give it more --products")?;
        let left = kill_worker(cluster, victim).await?;
        eprintln!("{} of {} have finished: kill of a worker", counts.finished(), counts.total);
        left_counts.push(left.len());
        sleep(random_outage(rng)).await;
        cluster.workers[victim].spawn().await?;
    }
    let last = format_duration(wait_until_finished(api, job.id).await?);
    let kills = left_counts.len();
    Ok(format!("{kills}, with {left_counts:?} tasks running; end {last} after the last start"))
}

/// Returns how many of `total` items have finished at each kill: one random number in each
/// of `kills` equal parts of the upload.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn kill_points(kills: u32, total: u32, rng: &mut StdRng) -> Vec<u32> {
    let part = f64::from(total) * LAST_KILL_SHARE / f64::from(kills.max(1));
    (0..kills).map(|n| ((f64::from(n) + rng.random::<f64>()) * part) as u32).collect()
}

/// Returns which worker to kill.
pub fn random_victim(cluster: &Cluster, rng: &mut StdRng) -> usize {
    rng.random_range(0..cluster.workers.len())
}

/// Returns for how long a killed worker stays down.
pub fn random_outage(rng: &mut StdRng) -> Duration {
    Duration::from_millis(rng.random_range(200..MAX_OUTAGE_MS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn half_of_the_lease_is_over_the_slowest_latency_at_every_speed() {
        for speed in [0.5, 1.0, 3.0, 5.0, 10.0, 50.0] {
            let (limit, latency) = (f64::from(lease_s(speed)) / 2.0, 10.0 / speed);
            assert!(limit >= latency * 2.0 && limit >= 4.0, "speed {speed}: {limit} s");
        }
    }

    #[test]
    fn kills_are_spread_over_the_upload_and_leave_its_end() {
        let points = kill_points(4, 1_000, &mut StdRng::seed_from_u64(7));
        for (n, point) in (0..).zip(&points) {
            assert!((n * 200..(n + 1) * 200).contains(point), "{points:?}");
        }
        assert_eq!(points.len(), 4);
        assert!(kill_points(0, 1_000, &mut StdRng::seed_from_u64(7)).is_empty());
    }
}
