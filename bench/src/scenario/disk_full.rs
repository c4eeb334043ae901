//! Fills and empties the disk under the embedded database at random moments during
//! launches, and restarts the server after some rounds. Every launch that was
//! answered 202 must be a job that finishes. The responses are counted for this,
//! because a store that lost a job does not know of it.

use crate::{bounded_disk::BoundedDisk, host::HostInfo, report::Report};
use anyhow::{Context, ensure};
use contract::{JobId, api::Job};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};
use testbed::{ApiClient, SandboxConfig, ServerProcess, api::product_csv_with_prefix};
use tokio::time::sleep;

/// Channels that recognise a repeated call, so that every item succeeds.
const IDEMPOTENT_CHANNELS: &str = "acme,bazaar";
/// Number of channels in [`IDEMPOTENT_CHANNELS`].
const CHANNEL_COUNT: u32 = 2;
/// Number of clients that launch at the same time.
const LAUNCHERS: u64 = 4;
/// Maximum time until a launch is accepted once there is room.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(20);
/// Jobs without progress for this long are stuck.
const STUCK_TIMEOUT: Duration = Duration::from_secs(120);

#[derive(clap::Args)]
pub struct DiskFull {
    #[arg(long, default_value_t = 50)]
    rounds: u64,
    #[arg(long, default_value_t = 40.0)]
    speed: f64,
    /// Lease of a claim, s.
    #[arg(long, default_value_t = 8)]
    lease: u32,
    /// Seed of the moments; random by default.
    #[arg(long)]
    seed: Option<u64>,
}

/// Responses to the launches.
#[derive(Default)]
struct LaunchResponses {
    /// Jobs that were answered 202, with their numbers of items.
    accepted: BTreeMap<JobId, u32>,
    /// Keys of launches answered with a 503 that says nothing was changed.
    refused: Vec<String>,
    /// Launches answered with a 503 that says the outcome is not known.
    outcome_unknown: usize,
    /// Launches without a response, because the server was stopping.
    unanswered: usize,
}

impl LaunchResponses {
    fn merge(&mut self, other: Self) {
        self.accepted.extend(other.accepted);
        self.refused.extend(other.refused);
        self.outcome_unknown += other.outcome_unknown;
        self.unanswered += other.unanswered;
    }

    fn record(&mut self, key: String, answer: anyhow::Result<Result<Job, String>>) {
        match answer {
            Ok(Ok(job)) => {
                self.accepted.insert(job.id, job.counts.total);
            }
            Ok(Err(message)) if message.contains("not known") => self.outcome_unknown += 1,
            Ok(Err(_)) => self.refused.push(key),
            Err(_) => self.unanswered += 1,
        }
    }
}

impl DiskFull {
    pub async fn run(self, binary: &Path) -> anyhow::Result<Report> {
        let seed = self.seed.unwrap_or_else(rand::random);
        eprintln!("seed {seed}");
        let disk = BoundedDisk::new()?;
        let title = format!(
            "disk-full: the embedded database on {}, full and empty at random moments of {} \
             rounds, speed {}, lease {} s, seed {seed}",
            disk.description(),
            self.rounds,
            self.speed,
            self.lease
        );
        let lease = [("MEANWHILE_LEASE_S", self.lease.to_string())];
        let mut server =
            disk.start_server(binary, SandboxConfig::without_faults(self.speed), &lease).await?;
        let mut report = Report::new(title, HostInfo::collect(server.folder()));
        let mut rng = StdRng::seed_from_u64(seed);
        let mut answers = LaunchResponses::default();
        let (mut restarts, mut lost, mut slowest) = (0, 0, Duration::ZERO);
        for round in 0..self.rounds {
            let found = run_round(round, &disk, &mut server, &mut rng).await?;
            slowest = slowest.max(found.accepted_after);
            restarts += u32::from(found.was_restarted);
            // Checked after each round, so that a loss is reported where it happens.
            let missing = count_missing_jobs(&server.api, found.answers.accepted.keys()).await?;
            lost += missing;
            eprintln!(
                "round {round:>3}: {} accepted, {} refused, {} not known, {} unanswered, {missing} lost{}",
                found.answers.accepted.len(),
                found.answers.refused.len(),
                found.answers.outcome_unknown,
                found.answers.unanswered,
                if found.was_restarted { ", restarted" } else { "" },
            );
            answers.merge(found.answers);
        }
        let FinalCounts { open, incomplete, finished_after } =
            wait_until_finished(&server.api, &answers.accepted).await?;
        // The next process knows only what is on the disk.
        server.stop().await?;
        server.spawn().await?;
        let false_202 = count_missing_jobs(&server.api, answers.accepted.keys()).await?.max(lost);
        report.add_figure("answered 202", answers.accepted.len().to_string(), None);
        let refused = format!("{}, {} not known", answers.refused.len(), answers.outcome_unknown);
        report.add_figure("answered 503", refused, None);
        report.add_figure("restarts", restarts.to_string(), None);
        report.add_figure("accepted again after room", format!("{slowest:.1?} at most"), None);
        report.add_figure("to the end of all jobs", format!("{finished_after:.1?}"), None);
        report.add_check("no false 202", false_202 == 0, format!("{false_202} jobs don't exist"));
        report.add_check("nothing is stuck", open == 0, format!("{open} jobs don't finish"));
        report.add_check(
            "every item succeeded",
            incomplete == 0,
            format!("{incomplete} jobs ended differently"),
        );
        let met = answers.refused.len() + answers.outcome_unknown;
        report.add_check("the disk was full", met > 0, format!("{met} launches"));
        let doubled: usize =
            server.api.ledger_summary().await?.values().map(|seen| seen.duplicate_effects).sum();
        report.add_check("no product created twice", doubled == 0, doubled.to_string());
        Ok(report)
    }
}

struct DiskRoundResult {
    answers: LaunchResponses,
    was_restarted: bool,
    accepted_after: Duration,
}

async fn run_round(
    round: u64,
    disk: &BoundedDisk,
    server: &mut ServerProcess,
    rng: &mut StdRng,
) -> anyhow::Result<DiskRoundResult> {
    let stop = AtomicBool::new(false);
    let mut seed = || StdRng::seed_from_u64(rng.random());
    let seeds: Vec<_> = (0..LAUNCHERS).map(|_| seed()).collect();
    let mut moments = seed();
    let launchers = seeds.into_iter().enumerate().map(|(n, rng)| {
        launch_until_stopped(server.api.clone(), format!("R{round}L{n}"), rng, &stop)
    });
    let fill = async {
        let filled = fill_and_free_randomly(disk, server, &mut moments).await;
        stop.store(true, Ordering::Relaxed);
        filled
    };
    let (found, filled) = tokio::join!(futures_util::future::join_all(launchers), fill);
    filled?;
    let mut answers = LaunchResponses::default();
    found.into_iter().for_each(|found| answers.merge(found));
    // After every third round, every other time while the disk is full.
    let was_restarted = round % 3 == 2;
    if was_restarted {
        let full = round.is_multiple_of(2);
        if full {
            disk.fill_except(server, 0)?;
        }
        server.stop().await?;
        if full && let BoundedDisk::Tmpfs(disk) = disk {
            disk.remove_filler();
        }
        server.spawn().await?;
    }
    let start = Instant::now();
    // A refused launch that changed nothing can be repeated with its key.
    let key = answers.refused.pop().unwrap_or_else(|| format!("R{round}-ROOM"));
    loop {
        let answer = server
            .api
            .upload_to_channels_or_503(IDEMPOTENT_CHANNELS, product_csv_with_prefix(&key, 1), &key)
            .await;
        match answer.context("a launch when there was room again")? {
            Ok(job) => {
                answers.accepted.insert(job.id, job.counts.total);
                break;
            }
            Err(message) => ensure!(
                start.elapsed() < ACCEPT_TIMEOUT,
                "refused although there is room: {message:?}"
            ),
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(DiskRoundResult { answers, was_restarted, accepted_after: start.elapsed() })
}

/// Fills and frees the disk a few times, and leaves it with room.
async fn fill_and_free_randomly(
    disk: &BoundedDisk,
    server: &ServerProcess,
    rng: &mut StdRng,
) -> anyhow::Result<()> {
    for _ in 0..rng.random_range(1..=3) {
        sleep(Duration::from_millis(rng.random_range(0..500))).await;
        // Between no room and enough for some commits.
        let pages = [0, rng.random_range(0..12), rng.random_range(0..80)];
        disk.fill_except(server, pages[rng.random_range(0..pages.len())])?;
        sleep(Duration::from_millis(rng.random_range(100..1_500))).await;
        disk.free(server)?;
    }
    sleep(Duration::from_millis(rng.random_range(0..200))).await;
    Ok(())
}

/// Launches one job after the other until `stop` is set.
async fn launch_until_stopped(
    api: ApiClient,
    name: String,
    mut rng: StdRng,
    stop: &AtomicBool,
) -> LaunchResponses {
    let mut answers = LaunchResponses::default();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let key = format!("{name}N{number}");
        let products = if rng.random_range(0..16) == 0 { 30 } else { 1 };
        let answer = api
            .upload_to_channels_or_503(
                IDEMPOTENT_CHANNELS,
                product_csv_with_prefix(&key, products),
                &key,
            )
            .await;
        // A refused launch is repeated with one product under its key, so larger ones need
        // a new key.
        let key = if products == 1 { key } else { format!("{key}B") };
        answers.record(key, answer);
        sleep(Duration::from_millis(rng.random_range(20..200))).await;
    }
    answers
}

/// Counts the jobs that the server does not know.
async fn count_missing_jobs(
    api: &ApiClient,
    jobs: impl Iterator<Item = &JobId>,
) -> anyhow::Result<usize> {
    let mut missing = 0;
    for job in jobs {
        missing += usize::from(!api.has_job(*job).await?);
    }
    Ok(missing)
}

struct FinalCounts {
    /// Jobs that don't finish.
    open: usize,
    /// Jobs whose items did not all succeed, or whose number of items is wrong.
    incomplete: usize,
    finished_after: Duration,
}

/// Waits until all jobs have finished, as long as they make progress. Unknown jobs
/// are skipped.
async fn wait_until_finished(
    api: &ApiClient,
    jobs: &BTreeMap<JobId, u32>,
) -> anyhow::Result<FinalCounts> {
    let start = Instant::now();
    let mut open: Vec<_> = jobs.iter().collect();
    let (mut incomplete, mut progress, mut left) = (0, Instant::now(), u32::MAX);
    loop {
        let mut items = 0;
        let mut still = Vec::new();
        for (job, total) in open {
            if !api.has_job(*job).await? {
                continue;
            }
            let counts = api.job(*job).await?.counts;
            if counts.open > 0 {
                items += counts.open;
                still.push((job, total));
            } else if counts.succeeded != *total || *total % CHANNEL_COUNT != 0 {
                incomplete += 1;
            }
        }
        open = still;
        if items < left {
            (progress, left) = (Instant::now(), items);
        }
        if open.is_empty() || progress.elapsed() > STUCK_TIMEOUT {
            return Ok(FinalCounts {
                open: open.len(),
                incomplete,
                finished_after: start.elapsed(),
            });
        }
        sleep(Duration::from_millis(500)).await;
    }
}
