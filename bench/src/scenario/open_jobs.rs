//! Thousands of open jobs of one person: what they cost everyone else, what they
//! cost an idle process, and how many items a second are still done.

use crate::{
    api::{Api, csv, csv_of},
    machine::Machine,
    process::{Meanwhile, Outside},
    report::{Bar, Report, Samples},
};
use anyhow::ensure;
use std::{
    path::Path,
    sync::Arc,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};
use tokio::{task::JoinSet, time::sleep};

/// The 99th percentile of other people's pages.
const PAGE: Duration = Duration::from_millis(50);
/// The part of one processor that an idle process may use.
const IDLE: f64 = 0.05;
/// Items a second with many jobs, as a part of those with one job.
const PACE: f64 = 0.9;
/// Launches under way at once.
const LAUNCHERS: usize = 16;
/// The sandbox gives no slot while pages and the processor are measured.
const STILL: f64 = 0.001;
/// Time for the last launch's work to end before the processor is measured.
const REST: Duration = Duration::from_secs(3);
const CHANNELS: [&str; 3] = ["acme", "bazaar", "corner"];
/// What other people look at, in turn.
const PAGES: [&str; 5] = ["/", "/jobs", "/launch/upload", "/api/v1/channels", "/api/v1/jobs"];

#[derive(clap::Args)]
pub struct OpenJobs {
    /// Jobs that one person has open, each with one item.
    #[arg(long, default_value_t = 9_900)]
    jobs: usize,
    /// Requests of another person.
    #[arg(long, default_value_t = 1_000)]
    pages: usize,
    /// Seconds over which the idle processor and the items are counted.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Speed of the sandbox while items are done.
    #[arg(long, default_value_t = 50.0)]
    speed: f64,
}

impl OpenJobs {
    pub async fn run(self, binary: &Path) -> anyhow::Result<Report> {
        let crowded = Meanwhile::start(binary, Outside::calm(STILL)).await?;
        let title = format!("open-jobs: {} open jobs of one person; SQLite", self.jobs);
        let mut report = Report::new(title, Machine::of(crowded.folder()));
        let other = crowded.api.invite("bob@example.com", crowded.api.port).await?;
        report.times("another's page, nothing open", self.look(&other).await?, &[]);
        let launches = self.launch(&crowded.api).await?;
        report.times("a launch of one item", launches, &[]);
        sleep(REST).await;
        let pages = self.look(&other).await?;
        report.times(
            format!("another's page, {} jobs open", self.jobs),
            pages,
            &[Bar { percent: 99, most: PAGE }],
        );
        sleep(REST).await;
        let used = self.used(&crowded).await?;
        let bar = format!("≤ {:.0} %", IDLE * 100.0);
        let value = format!("{:.1} % of a processor", used * 100.0);
        report.figure("without a request", value, Some((bar.as_str(), used <= IDLE)));

        drop(crowded);

        let mut crowded = Meanwhile::start(binary, Outside::calm(1.0)).await?;
        self.launch(&crowded.api).await?;
        let many = self.items(&mut crowded).await?;
        drop(crowded);
        let mut plain = Meanwhile::start(binary, Outside::calm(1.0)).await?;
        plain.api.upload(csv(self.jobs), "one job").await?;
        let one = self.items(&mut plain).await?;
        report.figure("items a second, one job", format!("{one:.0}"), None);
        let ratio = many / one;
        let bar = format!("≥ {PACE} of one job's");
        report.figure(
            format!("items a second, {} jobs", self.jobs),
            format!("{many:.0}, {ratio:.2} of one job's"),
            Some((bar.as_str(), ratio >= PACE)),
        );
        Ok(report)
    }

    /// Requests of one person, one after the other.
    async fn look(&self, person: &Api) -> anyhow::Result<Samples> {
        let mut samples = Samples::default();
        for path in PAGES {
            person.page(path).await?;
        }
        for path in PAGES.iter().cycle().take(self.pages) {
            let start = Instant::now();
            person.page(path).await?;
            samples.add(start.elapsed());
        }
        Ok(samples)
    }

    async fn launch(&self, api: &Api) -> anyhow::Result<Samples> {
        let next = Arc::new(AtomicUsize::new(0));
        let mut launchers = JoinSet::new();
        for _ in 0..LAUNCHERS {
            let (api, next, jobs) = (api.clone(), Arc::clone(&next), self.jobs);
            launchers.spawn(async move {
                let mut samples = Samples::default();
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= jobs {
                        return anyhow::Ok(samples);
                    }
                    let file = csv_of(&format!("OPEN-{n}"), 1);
                    let start = Instant::now();
                    let channel = CHANNELS[n % CHANNELS.len()];
                    let job = api.upload_to(channel, file, &format!("open-{n}")).await?;
                    samples.add(start.elapsed());
                    ensure!(job.counts.open == 1, "{:?}", job.counts);
                }
            });
        }
        let mut samples = Samples::default();
        while let Some(launcher) = launchers.join_next().await {
            samples.extend(launcher??);
        }
        Ok(samples)
    }

    /// The part of one processor that the process uses by itself.
    async fn used(&self, meanwhile: &Meanwhile) -> anyhow::Result<f64> {
        let (before, start) = (meanwhile.cpu()?, Instant::now());
        sleep(Duration::from_secs(self.seconds)).await;
        let used = meanwhile.cpu()?.saturating_sub(before);
        Ok(used.as_secs_f64() / start.elapsed().as_secs_f64())
    }

    /// Requests a second that the channels themselves count, at full speed.
    async fn items(&self, meanwhile: &mut Meanwhile) -> anyhow::Result<f64> {
        meanwhile.kill();
        meanwhile.set_speed(self.speed);
        meanwhile.spawn().await?;
        let api = &meanwhile.api;
        sleep(REST).await;
        let (before, start) = (requests(api).await?, Instant::now());
        sleep(Duration::from_secs(self.seconds)).await;
        let (after, took) = (requests(api).await?, start.elapsed());
        ensure!(after > before, "nothing was uploaded");
        #[allow(clippy::cast_precision_loss)]
        let items = (after - before) as f64;
        Ok(items / took.as_secs_f64())
    }
}

async fn requests(api: &Api) -> anyhow::Result<usize> {
    Ok(api.ledger_summary().await?.values().map(|service| service.requests).sum())
}
