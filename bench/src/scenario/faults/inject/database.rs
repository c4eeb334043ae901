//! Faults of PostgreSQL and of its disk.

use super::super::context::{AcceptedJob, FaultContext};
use crate::audit::outcomes::AllowedOutcomes;
use anyhow::{Context, ensure};
use contract::api::Job;
use std::time::Duration;
use testbed::{ApiClient, ProxyMode, api::product_csv_with_prefix};
use tokio::time::{Instant, sleep};

/// Maximum time until a launch is refused because the database is silent.
const MAX_REFUSAL_TIME: Duration = Duration::from_secs(30);
/// Rows of each launch against a full disk.
const LARGE_LAUNCH_ROWS: usize = 400;

pub async fn kill(context: &mut FaultContext<'_>, outage: Duration) -> anyhow::Result<()> {
    context.cluster.postgres.kill();
    context.check_launch_is_refused().await;
    sleep(outage).await;
    context.run_blocking(|cluster| cluster.postgres.spawn());
    Ok(())
}

pub async fn silence(context: &mut FaultContext<'_>, outage: Duration) -> anyhow::Result<()> {
    context.cluster.postgres_proxy.set_mode(ProxyMode::Stalled);
    let start = Instant::now();
    context.check_launch_is_refused().await;
    let elapsed = start.elapsed();
    context.report.add_check(
        "the 503 in time",
        elapsed < MAX_REFUSAL_TIME,
        format!("after {elapsed:.1?}"),
    );
    context.report.add_figure("refused after", format!("{elapsed:.1?}"), None);
    sleep(outage).await;
    // Simulates a router that has forgotten the old connections.
    context.cluster.postgres_proxy.stall_connections_forever();
    context.cluster.postgres_proxy.set_mode(ProxyMode::Forward);
    Ok(())
}

pub async fn fill_disk(context: &mut FaultContext<'_>, outage: Duration) -> anyhow::Result<()> {
    context.cluster.postgres.data_disk().context("there is no disk to fill")?.fill();
    let (accepted, refused, outcome_unknown) =
        launch_until_refused(context.apis, context.name).await?;
    // Leases expire in the meantime, because none can be renewed.
    sleep(context.lease + outage).await;
    if let Some(disk) = context.cluster.postgres.data_disk() {
        disk.remove_filler();
    }
    // PostgreSQL ends without room for its log; a supervisor would start it
    // again.
    if !context.cluster.postgres.is_running() {
        eprintln!("    PostgreSQL had ended on its own");
        context.run_blocking(|cluster| cluster.postgres.spawn());
    }
    // The same key with another file would be answered 422 if the first launch were
    // stored.
    let rows = if outcome_unknown { LARGE_LAUNCH_ROWS } else { 1 };
    let again = retry_until_accepted(&context.apis[0], &refused, rows).await?;
    if !outcome_unknown {
        context.accepted_jobs.push(AcceptedJob::new(again.id, 1));
    }
    for job in accepted.into_iter().chain(outcome_unknown.then_some(again)) {
        // Jobs that fill a disk would take too long to finish.
        context.apis[0].cancel(job.id).await?;
        let allowed = AllowedOutcomes { cancelled: true, ..AllowedOutcomes::default() };
        context
            .accepted_jobs
            .push(AcceptedJob { allowed, ..AcceptedJob::new(job.id, LARGE_LAUNCH_ROWS) });
    }
    Ok(())
}

/// Launches jobs until one is refused. Returns the accepted jobs, the key of the
/// refused launch, and whether it is unknown if that was stored.
async fn launch_until_refused(
    apis: &[ApiClient],
    prefix: &str,
) -> anyhow::Result<(Vec<Job>, String, bool)> {
    let mut accepted = Vec::new();
    for n in 0..50 {
        let name = format!("{prefix}-FULL-{n}");
        match apis[0]
            .upload_or_503(product_csv_with_prefix(&name, LARGE_LAUNCH_ROWS), &name)
            .await?
        {
            Ok(job) => accepted.push(job),
            Err(message) => {
                eprintln!("    refused after {} launches: {message}", accepted.len());
                // PostgreSQL may have ended during a commit.
                let outcome_unknown = message.contains("It is not known");
                let unchanged = message.contains("Nothing was changed");
                ensure!(unchanged || outcome_unknown, "the 503 says {message:?}");
                return Ok((accepted, name, outcome_unknown));
            }
        }
    }
    anyhow::bail!("the full disk accepted {} launches", accepted.len())
}

async fn retry_until_accepted(api: &ApiClient, key: &str, rows: usize) -> anyhow::Result<Job> {
    let start = Instant::now();
    loop {
        match api.upload_or_503(product_csv_with_prefix(key, rows), key).await? {
            Ok(job) => return Ok(job),
            Err(message) => {
                ensure!(start.elapsed() < Duration::from_secs(60), "still refused: {message:?}")
            }
        }
        sleep(Duration::from_millis(200)).await;
    }
}
