//! Progress of a job, as a program that polls it sees it.

use anyhow::ensure;
use contract::{JobId, api::Job};
use std::time::{Duration, Instant};
use testbed::ApiClient;
use tokio::time::sleep;

/// A job without progress for this long has lost something.
const STUCK_TIMEOUT: Duration = Duration::from_secs(180);
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Waits until the job has finished, as long as it makes progress, and returns how
/// long that took.
pub async fn wait_until_finished(api: &ApiClient, job: JobId) -> anyhow::Result<Duration> {
    let start = Instant::now();
    wait_until_finished_count(api, job, u32::MAX).await?;
    Ok(start.elapsed())
}

/// Waits until `count` items of the job have finished, or all if there are fewer, and
/// returns the job as it is then.
pub async fn wait_until_finished_count(
    api: &ApiClient,
    job: JobId,
    count: u32,
) -> anyhow::Result<Job> {
    let mut progress = (Instant::now(), u32::MAX);
    loop {
        let found = api.job(job).await?;
        let open = found.counts.open;
        if open == 0 || found.counts.finished() >= count {
            return Ok(found);
        }
        if open != progress.1 {
            progress = (Instant::now(), open);
        }
        ensure!(progress.0.elapsed() < STUCK_TIMEOUT, "{open} items don't finish");
        sleep(POLL_INTERVAL).await;
    }
}
