//! The disk of a single process with SQLite is full while it launches, claims
//! and finishes tasks, at three moments of a batch each. A round has its own server.

use super::round::FaultRoundResult;
use crate::bounded_disk::BoundedDisk;
use anyhow::ensure;
use contract::{JobId, state::JobState};
use rand::{RngExt, rngs::StdRng};
use std::{
    path::Path,
    time::{Duration, Instant},
};
use testbed::{ApiClient, SandboxConfig, ServerProcess, api::product_csv_with_prefix};
use tokio::time::sleep;

/// Channels that recognise a repeated call, so that every item succeeds.
const IDEMPOTENT_CHANNELS: &str = "acme,bazaar";
/// Products of each batch.
const PRODUCTS: usize = 20;
/// Maximum time until the step fails because the disk is full.
const MEET_TIMEOUT: Duration = Duration::from_secs(60);
/// A batch without progress for this long is stuck.
const STUCK_TIMEOUT: Duration = Duration::from_secs(90);
const SPEED: f64 = 4.0;
const LEASE_S: u32 = 8;

/// The step that fails because the disk is full.
#[derive(Clone, Copy, Debug)]
enum FailingStep {
    Launch,
    Claim,
    Finish,
}

impl FailingStep {
    /// Returns the log message of the failure.
    const fn log_message(self) -> &'static str {
        match self {
            Self::Launch => "the store failed",
            Self::Claim => "processing a delivery failed; retrying",
            Self::Finish => "could not save the result of an attempt",
        }
    }
}

pub async fn run_round(
    binary: &Path,
    name: &str,
    rng: &mut StdRng,
) -> anyhow::Result<FaultRoundResult> {
    let disk = BoundedDisk::new()?;
    let env =
        [("MEANWHILE_LEASE_S", LEASE_S.to_string()), ("RUST_LOG", "warn,sqlx=error".to_owned())];
    let mut server = disk.start_server(binary, SandboxConfig::without_faults(SPEED), &env).await?;
    let mut accepted_jobs: Vec<(JobId, usize)> = Vec::new();
    let (mut recovery_time, mut figures) = (Duration::ZERO, vec![disk.description()]);
    for step in [FailingStep::Launch, FailingStep::Claim, FailingStep::Finish] {
        for third in 0..3 {
            let case = format!("{name}{step:?}{third}");
            let batch = product_csv_with_prefix(&case, PRODUCTS);
            let job = server.api.upload_to_channels(IDEMPOTENT_CHANNELS, batch, &case).await?;
            accepted_jobs.push((job.id, PRODUCTS));
            let total = job.counts.total;
            wait_until_finished(&server.api, job.id, total * third / 3).await?;
            sleep(Duration::from_millis(rng.random_range(0..300))).await;
            let before = server.count_in_log(step.log_message());
            let pages = rng.random_range(0..8);
            disk.fill_except(&server, pages)?;
            let refused = launch_until_step_fails(&server, step, before, &case, &mut accepted_jobs)
                .await
                .inspect_err(|_| {
                    // Otherwise the next step fails for another reason.
                    let _ = disk.free(&server);
                })?;
            // Leases expire while outcomes can't be saved.
            let delay_s = if third == 2 { LEASE_S * 2 } else { rng.random_range(0..3) };
            sleep(Duration::from_secs(delay_s.into())).await;
            disk.free(&server)?;
            let start = Instant::now();
            wait_until_finished(&server.api, job.id, total).await?;
            recovery_time = recovery_time.max(start.elapsed());
            figures.push(format!("{step:?} {third}: {refused} launches refused"));
        }
    }
    let mut failed_checks = Vec::new();
    for restart in [false, true] {
        if restart {
            server.stop().await?;
            server.spawn().await?;
        }
        for (job, products) in &accepted_jobs {
            if !server.api.has_job(*job).await? {
                failed_checks.push(format!("{job} was answered 202 and does not exist"));
                continue;
            }
            wait_until_finished(&server.api, *job, u32::MAX).await?;
            let state = server.api.job(*job).await?;
            if state.state != JobState::Succeeded || state.counts.succeeded as usize != products * 2
            {
                failed_checks
                    .push(format!("{job} of {products} products ended as {:?}", state.counts));
            }
        }
    }
    let ledger = server.api.ledger_summary().await?;
    let twice: usize = ledger.values().map(|seen| seen.duplicate_effects).sum();
    if twice > 0 {
        failed_checks.push(format!("{twice} products were created twice"));
    }
    let items = accepted_jobs.iter().map(|(_, products)| products * 2).sum();
    Ok(FaultRoundResult { items, needs_review: 0, recovery_time, figures, failed_checks })
}

/// Launches small jobs until the log says that `step` failed because of the full
/// disk, and adds those that were accepted to `accepted_jobs`. Returns how many
/// were refused.
async fn launch_until_step_fails(
    server: &ServerProcess,
    step: FailingStep,
    before: usize,
    case: &str,
    accepted_jobs: &mut Vec<(JobId, usize)>,
) -> anyhow::Result<usize> {
    let (start, mut refused, mut number) = (Instant::now(), 0, 0);
    while refused == 0 || server.count_in_log(step.log_message()) == before {
        ensure!(
            start.elapsed() < MEET_TIMEOUT,
            "no {step:?} failed on the full disk within {MEET_TIMEOUT:?}"
        );
        number += 1;
        let key = format!("{case}X{number}");
        // SQLite's log first uses up the space that it already has.
        match server
            .api
            .upload_to_channels_or_503(IDEMPOTENT_CHANNELS, product_csv_with_prefix(&key, 1), &key)
            .await?
        {
            Ok(job) => accepted_jobs.push((job.id, 1)),
            Err(message) => {
                ensure!(
                    message.contains("its disk") || message.contains("not known"),
                    "the 503 says {message:?}"
                );
                refused += 1;
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
    Ok(refused)
}

/// Waits until `items` items of the job have finished, or all of them.
async fn wait_until_finished(api: &ApiClient, job: JobId, items: u32) -> anyhow::Result<()> {
    let (mut progress, mut last) = (Instant::now(), u32::MAX);
    loop {
        let counts = api.job(job).await?.counts;
        if counts.open == 0 || counts.finished() >= items {
            return Ok(());
        }
        if counts.open != last {
            (progress, last) = (Instant::now(), counts.open);
        }
        ensure!(progress.elapsed() < STUCK_TIMEOUT, "{job}: {} items are stuck", counts.open);
        sleep(Duration::from_millis(50)).await;
    }
}
