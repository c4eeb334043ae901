//! The disk under the embedded database is filled and emptied at random moments
//! while people launch jobs; at the end of some rounds the server is stopped and
//! started. Every launch that was answered 202 must be a job that ends: this is
//! counted over the answers, for a store that lost a job does not know of it.

use crate::{
    api::{Api, csv_of},
    bounded_disk::BoundedDisk,
    machine::Machine,
    process::{Meanwhile, Outside},
    report::Report,
};
use anyhow::{Context, ensure};
use contract::{JobId, api::Job};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// Channels that know a repeated call, so that every item succeeds.
const CHANNELS: &str = "acme,bazaar";
/// How many channels these are.
const WIDTH: u32 = 2;
/// People who launch at the same time.
const LAUNCHERS: u64 = 4;
/// A launch is accepted within this time once there is room.
const AGAIN: Duration = Duration::from_secs(20);
/// Jobs that make no progress for this long are stuck.
const STUCK: Duration = Duration::from_secs(120);

#[derive(clap::Args)]
pub struct DiskFull {
    #[arg(long, default_value_t = 50)]
    rounds: u64,
    #[arg(long, default_value_t = 40.0)]
    speed: f64,
    /// How long a worker may be silent, s.
    #[arg(long, default_value_t = 8)]
    lease: u32,
    /// Of the moments; random without it.
    #[arg(long)]
    seed: Option<u64>,
}

/// What clients were told.
#[derive(Default)]
struct Answers {
    /// Answered 202, with the number of items.
    accepted: BTreeMap<JobId, u32>,
    /// Answered 503: the keys that say nothing was changed.
    refused: Vec<String>,
    /// Answered 503 that says it is not known.
    unknown: usize,
    /// The server was being stopped.
    unanswered: usize,
}

impl Answers {
    fn add(&mut self, other: Self) {
        self.accepted.extend(other.accepted);
        self.refused.extend(other.refused);
        self.unknown += other.unknown;
        self.unanswered += other.unanswered;
    }

    fn take(&mut self, key: String, answer: anyhow::Result<Result<Job, String>>) {
        match answer {
            Ok(Ok(job)) => {
                self.accepted.insert(job.id, job.counts.total);
            }
            Ok(Err(words)) if words.contains("not known") => self.unknown += 1,
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
            disk.kind(),
            self.rounds,
            self.speed,
            self.lease
        );
        let lease = [("MEANWHILE_LEASE_S", self.lease.to_string())];
        let mut meanwhile = disk.serve(binary, Outside::calm(self.speed), &lease).await?;
        let mut report = Report::new(title, Machine::of(meanwhile.folder()));
        let mut dice = StdRng::seed_from_u64(seed);
        let mut answers = Answers::default();
        let (mut restarts, mut lost, mut slowest) = (0, 0, Duration::ZERO);
        for round in 0..self.rounds {
            let found = one_round(round, &disk, &mut meanwhile, &mut dice).await?;
            slowest = slowest.max(found.accepted_again);
            restarts += u32::from(found.restarted);
            // Each round's own at once: a loss is told where it happens.
            let gone = unknown(&meanwhile.api, found.answers.accepted.keys()).await?;
            lost += gone;
            eprintln!(
                "round {round:>3}: {} accepted, {} refused, {} not known, {} unanswered, {gone} lost{}",
                found.answers.accepted.len(),
                found.answers.refused.len(),
                found.answers.unknown,
                found.answers.unanswered,
                if found.restarted { ", restarted" } else { "" },
            );
            answers.add(found.answers);
        }
        let Counted { open, short, ended_after } = ended(&meanwhile.api, &answers.accepted).await?;
        // Only what is on the disk is known to the next process.
        meanwhile.stop().await?;
        meanwhile.spawn().await?;
        let false_202 = unknown(&meanwhile.api, answers.accepted.keys()).await?.max(lost);
        report.figure("answered 202", answers.accepted.len().to_string(), None);
        let refused = format!("{}, {} not known", answers.refused.len(), answers.unknown);
        report.figure("answered 503", refused, None);
        report.figure("restarts", restarts.to_string(), None);
        report.figure("accepted again after room", format!("{slowest:.1?} at most"), None);
        report.figure("to the end of all jobs", format!("{ended_after:.1?}"), None);
        report.check("no false 202", false_202 == 0, format!("{false_202} are no job"));
        report.check("nothing is stuck", open == 0, format!("{open} jobs don't come to an end"));
        report.check("every item succeeded", short == 0, format!("{short} jobs ended otherwise"));
        let met = answers.refused.len() + answers.unknown;
        report.check("the disk was full", met > 0, format!("{met} launches"));
        let doubled: usize =
            meanwhile.api.ledger_summary().await?.values().map(|seen| seen.duplicate_effects).sum();
        report.check("no product made twice", doubled == 0, doubled.to_string());
        Ok(report)
    }
}

struct Found {
    answers: Answers,
    restarted: bool,
    accepted_again: Duration,
}

async fn one_round(
    round: u64,
    disk: &BoundedDisk,
    meanwhile: &mut Meanwhile,
    dice: &mut StdRng,
) -> anyhow::Result<Found> {
    let over = AtomicBool::new(false);
    let mut seed = || StdRng::seed_from_u64(dice.random());
    let seeds: Vec<_> = (0..LAUNCHERS).map(|_| seed()).collect();
    let mut moments = seed();
    let launchers = seeds
        .into_iter()
        .enumerate()
        .map(|(n, dice)| launch(meanwhile.api.clone(), format!("R{round}L{n}"), dice, &over));
    let fill = async {
        let filled = fill(disk, meanwhile, &mut moments).await;
        over.store(true, Ordering::Relaxed);
        filled
    };
    let (found, filled) = tokio::join!(futures_util::future::join_all(launchers), fill);
    filled?;
    let mut answers = Answers::default();
    found.into_iter().for_each(|found| answers.add(found));
    // Every third round; of these every other one while the disk is full.
    let restarted = round % 3 == 2;
    if restarted {
        let full = round.is_multiple_of(2);
        if full {
            disk.fill(meanwhile, 0)?;
        }
        meanwhile.stop().await?;
        if full && let BoundedDisk::Tmpfs(disk) = disk {
            disk.free();
        }
        meanwhile.spawn().await?;
    }
    let start = Instant::now();
    // What was refused with these words may be sent again, and is done then.
    let key = answers.refused.pop().unwrap_or_else(|| format!("R{round}-ROOM"));
    loop {
        let answer = meanwhile.api.upload_to_or_503(CHANNELS, csv_of(&key, 1), &key).await;
        match answer.context("a launch after there was room")? {
            Ok(job) => {
                answers.accepted.insert(job.id, job.counts.total);
                break;
            }
            Err(words) => ensure!(start.elapsed() < AGAIN, "with room still {words:?}"),
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(Found { answers, restarted, accepted_again: start.elapsed() })
}

/// Fills and empties the disk some times, and leaves it with room.
async fn fill(disk: &BoundedDisk, meanwhile: &Meanwhile, dice: &mut StdRng) -> anyhow::Result<()> {
    for _ in 0..dice.random_range(1..=3) {
        sleep(Duration::from_millis(dice.random_range(0..500))).await;
        // From none to what some commits take.
        let pages = [0, dice.random_range(0..12), dice.random_range(0..80)];
        disk.fill(meanwhile, pages[dice.random_range(0..pages.len())])?;
        sleep(Duration::from_millis(dice.random_range(100..1_500))).await;
        disk.free(meanwhile)?;
    }
    sleep(Duration::from_millis(dice.random_range(0..200))).await;
    Ok(())
}

/// Launches one job after the other.
async fn launch(api: Api, name: String, mut dice: StdRng, over: &AtomicBool) -> Answers {
    let mut answers = Answers::default();
    let mut number = 0;
    while !over.load(Ordering::Relaxed) {
        number += 1;
        let key = format!("{name}N{number}");
        let products = if dice.random_range(0..16) == 0 { 30 } else { 1 };
        let answer = api.upload_to_or_503(CHANNELS, csv_of(&key, products), &key).await;
        // Sent again with one product, under the same key.
        let key = if products == 1 { key } else { format!("{key}B") };
        answers.take(key, answer);
        sleep(Duration::from_millis(dice.random_range(20..200))).await;
    }
    answers
}

/// How many of these jobs the server does not know.
async fn unknown(api: &Api, jobs: impl Iterator<Item = &JobId>) -> anyhow::Result<usize> {
    let mut unknown = 0;
    for job in jobs {
        unknown += usize::from(!api.knows(*job).await?);
    }
    Ok(unknown)
}

struct Counted {
    /// Jobs that don't come to an end.
    open: usize,
    /// Jobs whose items did not all succeed, or are not as many as was said.
    short: usize,
    ended_after: Duration,
}

/// Waits until all jobs have ended, as long as some do. A job that is not known
/// is not waited for.
async fn ended(api: &Api, jobs: &BTreeMap<JobId, u32>) -> anyhow::Result<Counted> {
    let start = Instant::now();
    let mut open: Vec<_> = jobs.iter().collect();
    let (mut short, mut progress, mut left) = (0, Instant::now(), u32::MAX);
    loop {
        let mut items = 0;
        let mut still = Vec::new();
        for (job, total) in open {
            if !api.knows(*job).await? {
                continue;
            }
            let counts = api.job(*job).await?.counts;
            if counts.open > 0 {
                items += counts.open;
                still.push((job, total));
            } else if counts.succeeded != *total || *total % WIDTH != 0 {
                short += 1;
            }
        }
        open = still;
        if items < left {
            (progress, left) = (Instant::now(), items);
        }
        if open.is_empty() || progress.elapsed() > STUCK {
            return Ok(Counted { open: open.len(), short, ended_after: start.elapsed() });
        }
        sleep(Duration::from_millis(500)).await;
    }
}
