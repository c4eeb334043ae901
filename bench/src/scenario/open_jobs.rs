//! Thousands of open jobs of one user: what they cost other users and an idle
//! process, and how many items per second still finish.

use crate::{
    cpu::process_cpu_time,
    host::HostInfo,
    report::{Report, Samples, Threshold},
};
use anyhow::ensure;
use std::{
    path::Path,
    sync::Arc,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};
use testbed::{
    ApiClient, SandboxConfig, ServerProcess,
    api::{product_csv, product_csv_with_prefix},
};
use tokio::{task::JoinSet, time::sleep};

/// Maximum 99th percentile of other users' pages.
const MAX_PAGE_TIME: Duration = Duration::from_millis(50);
/// Maximum share of one processor that an idle process may use.
const MAX_IDLE_CPU: f64 = 0.05;
/// Minimum items per second with many jobs, as a share of those with one job.
const MIN_PACE_RATIO: f64 = 0.9;
/// Number of concurrent launches.
const LAUNCHERS: usize = 16;
/// Sandbox speed at which no rate permit comes while pages and the processor are
/// measured.
const IDLE_SPEED: f64 = 0.001;
/// Time for the work of the last launch to finish before the next measurement.
const SETTLE_TIME: Duration = Duration::from_secs(3);
const CHANNELS: [&str; 3] = ["acme", "bazaar", "corner"];
/// Pages that another user reads, in turn.
const PAGES: [&str; 5] = ["/", "/jobs", "/launch/upload", "/api/v1/channels", "/api/v1/jobs"];

#[derive(clap::Args)]
pub struct OpenJobs {
    /// Number of open jobs of one user, each with one item.
    #[arg(long, default_value_t = 9_900)]
    jobs: usize,
    /// Number of requests of another user.
    #[arg(long, default_value_t = 1_000)]
    pages: usize,
    /// Duration of each measurement of the idle processor and of items, s.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Speed of the sandbox while items are counted.
    #[arg(long, default_value_t = 50.0)]
    speed: f64,
}

impl OpenJobs {
    pub async fn run(self, binary: &Path) -> anyhow::Result<Report> {
        let loaded =
            ServerProcess::start(binary, SandboxConfig::without_faults(IDLE_SPEED)).await?;
        let title = format!("open-jobs: {} open jobs of one person; SQLite", self.jobs);
        let mut report = Report::new(title, HostInfo::collect(loaded.folder()));
        let other = loaded.api.invite_user("bob@example.com", loaded.api.port).await?;
        report.add_timings("another's page, nothing open", self.measure_pages(&other).await?, &[]);
        let launches = self.launch_jobs(&loaded.api).await?;
        report.add_timings("a launch of one item", launches, &[]);
        sleep(SETTLE_TIME).await;
        let pages = self.measure_pages(&other).await?;
        report.add_timings(
            format!("another's page, {} jobs open", self.jobs),
            pages,
            &[Threshold { percentile: 99, limit: MAX_PAGE_TIME }],
        );
        sleep(SETTLE_TIME).await;
        let used = self.idle_cpu_share(&loaded).await?;
        let threshold = format!("≤ {:.0} %", MAX_IDLE_CPU * 100.0);
        let value = format!("{:.1} % of a processor", used * 100.0);
        report.add_figure(
            "without a request",
            value,
            Some((threshold.as_str(), used <= MAX_IDLE_CPU)),
        );

        drop(loaded);

        let mut loaded = ServerProcess::start(binary, SandboxConfig::without_faults(1.0)).await?;
        self.launch_jobs(&loaded.api).await?;
        let many = self.items_per_second(&mut loaded).await?;
        drop(loaded);
        let mut plain = ServerProcess::start(binary, SandboxConfig::without_faults(1.0)).await?;
        plain.api.upload(product_csv(self.jobs), "one job").await?;
        let one = self.items_per_second(&mut plain).await?;
        report.add_figure("items a second, one job", format!("{one:.0}"), None);
        let ratio = many / one;
        let threshold = format!("≥ {MIN_PACE_RATIO} of one job's");
        report.add_figure(
            format!("items a second, {} jobs", self.jobs),
            format!("{many:.0}, {ratio:.2} of one job's"),
            Some((threshold.as_str(), ratio >= MIN_PACE_RATIO)),
        );
        Ok(report)
    }

    /// Measures sequential requests of one user.
    async fn measure_pages(&self, person: &ApiClient) -> anyhow::Result<Samples> {
        let mut samples = Samples::default();
        for path in PAGES {
            person.fetch_page(path).await?;
        }
        for path in PAGES.iter().cycle().take(self.pages) {
            let start = Instant::now();
            person.fetch_page(path).await?;
            samples.add(start.elapsed());
        }
        Ok(samples)
    }

    async fn launch_jobs(&self, api: &ApiClient) -> anyhow::Result<Samples> {
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
                    let file = product_csv_with_prefix(&format!("OPEN-{n}"), 1);
                    let start = Instant::now();
                    let channel = CHANNELS[n % CHANNELS.len()];
                    let job = api.upload_to_channels(channel, file, &format!("open-{n}")).await?;
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

    /// Returns the share of one processor that the process uses without requests.
    async fn idle_cpu_share(&self, server: &ServerProcess) -> anyhow::Result<f64> {
        let (before, start) = (process_cpu_time(server.pid()?)?, Instant::now());
        sleep(Duration::from_secs(self.seconds)).await;
        let used = process_cpu_time(server.pid()?)?.saturating_sub(before);
        Ok(used.as_secs_f64() / start.elapsed().as_secs_f64())
    }

    /// Returns the requests per second that the channels themselves count at full speed.
    async fn items_per_second(&self, server: &mut ServerProcess) -> anyhow::Result<f64> {
        server.kill();
        server.set_sandbox_speed(self.speed);
        server.spawn().await?;
        let api = &server.api;
        sleep(SETTLE_TIME).await;
        let (before, start) = (count_requests(api).await?, Instant::now());
        sleep(Duration::from_secs(self.seconds)).await;
        let (after, elapsed) = (count_requests(api).await?, start.elapsed());
        ensure!(after > before, "nothing was uploaded");
        #[allow(clippy::cast_precision_loss)]
        let items = (after - before) as f64;
        Ok(items / elapsed.as_secs_f64())
    }
}

async fn count_requests(api: &ApiClient) -> anyhow::Result<usize> {
    Ok(api.ledger_summary().await?.values().map(|service| service.requests).sum())
}
