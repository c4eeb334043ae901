//! Compares what the product says about the time of an upload with the time that it takes:
//! the estimate before the launch, the first word of the job, and how that develops.

use crate::{
    audit,
    host::HostInfo,
    report::{Report, format_duration},
};
use anyhow::Context;
use contract::{
    JobId,
    api::{DryRun, Job, MAX_ESTIMATE_FACTOR},
    state::JobState,
};
use std::{path::Path, time::Duration};
use testbed::{
    SandboxConfig, ServerProcess,
    api::{ApiClient, CHANNEL_COUNT, CHANNELS, product_csv_with_prefix},
};
use tokio::time::sleep;

/// Interval at which the job is read. It is what a program does; pages get the same values.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// Fractions of the time at which the estimate of what is left is reported.
const PROGRESS: [f64; 3] = [0.25, 0.5, 0.75];

#[derive(clap::Args)]
pub struct EstimateAccuracy {
    #[arg(long, default_value_t = 100)]
    products: usize,
    /// Speeds of the sandbox, one server each.
    #[arg(long, value_delimiter = ',', default_values_t = [1.0, 10.0, 50.0])]
    speeds: Vec<f64>,
    /// Number of uploads at each speed, one after the other. The product has measured the
    /// pace after the first.
    #[arg(long, default_value_t = 2)]
    rounds: u32,
    /// Have the sandbox inject faults.
    #[arg(long)]
    faults: bool,
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl EstimateAccuracy {
    pub async fn run(self, binary: &Path) -> anyhow::Result<Report> {
        let Self { products, speeds, rounds, faults, seed } = self;
        let title = format!(
            "estimate: {products} products × {CHANNEL_COUNT} at speeds {speeds:?}, faults {}",
            if faults { "on" } else { "off" }
        );
        let mut report: Option<Report> = None;
        for speed in speeds {
            let config = SandboxConfig { speed, seed, faults };
            let server = ServerProcess::start(binary, config).await?;
            let report = report.get_or_insert_with(|| {
                Report::new(title.clone(), HostInfo::collect(server.folder()))
            });
            for round in 1..=rounds {
                let history = JobHistory::record(&server.api, products, round).await?;
                history.report(&format!("speed {speed}, upload {round}"), report);
                audit::check_ledger(&server.api, &[history.job], report).await?;
            }
        }
        report.context("no speed was given")
    }
}

/// What was said about the time of one job.
struct JobHistory {
    job: JobId,
    before_launch_ms: Option<i64>,
    /// Time since the launch and estimate of the time left, in milliseconds.
    estimates: Vec<(i64, Option<i64>)>,
    took_ms: i64,
}

impl JobHistory {
    async fn record(api: &ApiClient, products: usize, round: u32) -> anyhow::Result<Self> {
        let csv = product_csv_with_prefix(&format!("R{round}"), products);
        let path = format!("/api/v1/jobs/product-uploads?channels={CHANNELS}&dry_run=true");
        let dry_run: DryRun = api.post(&path).body(csv.clone()).send().await?.json().await?;
        let Job { id, created_at, .. } = api.upload(csv, &format!("estimate-{round}")).await?;
        let mut estimates = Vec::new();
        loop {
            let (began, job) = (std::time::SystemTime::now(), api.job(id).await?);
            let at = began.duration_since(std::time::UNIX_EPOCH)?.as_millis();
            if job.state != JobState::Running {
                let finished_at = job.finished_at.context("a job without an end")?;
                let before_launch_ms = dry_run.estimate.map(|estimate| estimate.duration_ms);
                let took_ms = finished_at - created_at;
                return Ok(Self { job: id, before_launch_ms, estimates, took_ms });
            }
            estimates.push((i64::try_from(at)? - created_at, job.eta_ms));
            sleep(POLL_INTERVAL).await;
        }
    }

    fn report(&self, label: &str, report: &mut Report) {
        let duration = |ms: i64| format_duration(Duration::from_millis(ms.unsigned_abs()));
        report.add_figure(format!("{label}: time"), duration(self.took_ms), None);
        let threshold = format!("factor ≤ {MAX_ESTIMATE_FACTOR}");
        let mut add = |what: &str, word: Option<(i64, i64)>, is_first: bool| {
            let what = format!("{label}: {what}");
            let Some((said_ms, left_ms)) = word else {
                return report.add_figure(what, "no estimate", None);
            };
            let factor = factor(said_ms, left_ms);
            let value = format!("{} of {}: {factor:.2}", duration(said_ms), duration(left_ms));
            let verdict = (threshold.as_str(), factor <= MAX_ESTIMATE_FACTOR);
            report.add_figure(what, value, is_first.then_some(verdict));
        };
        add("before the launch", self.before_launch_ms.map(|ms| (ms, self.took_ms)), true);
        let shown = self.estimates.iter().filter_map(|(at, eta)| Some((*at, (*eta)?)));
        let first = shown.clone().next();
        let what = first
            .map_or("first word".into(), |(at, _)| format!("first word after {}", duration(at)));
        add(&what, first.map(|(at, eta)| (eta, self.took_ms - at)), true);
        for share in PROGRESS {
            #[allow(clippy::cast_precision_loss)]
            let is_later = |at: i64| at as f64 >= self.took_ms as f64 * share;
            let then = self.estimates.iter().find(|(at, _)| is_later(*at));
            let word = then.and_then(|(at, eta)| Some(((*eta)?, self.took_ms - at)));
            add(&format!("at {:.0} %", share * 100.0), word, false);
        }
        let worst = shown.map(|(at, eta)| factor(eta, self.took_ms - at)).reduce(f64::max);
        let value = worst.map_or("no estimate".into(), |worst| format!("{worst:.2}"));
        report.add_figure(format!("{label}: worst of all"), value, None);
        let first_at = first.map_or("never".into(), |(at, _)| duration(at));
        report.add_figure(format!("{label}: shown after"), first_at, None);
        let last = self.estimates.iter().rfind(|(_, eta)| eta.is_some());
        let value = last.map_or("never".into(), |(at, _)| {
            format!("{} before the end", duration(self.took_ms - at))
        });
        report.add_figure(format!("{label}: last word"), value, None);
    }
}

/// Returns the factor, at least 1, between what was said and what was true.
#[allow(clippy::cast_precision_loss)]
fn factor(said_ms: i64, true_ms: i64) -> f64 {
    let ratio = said_ms.max(1) as f64 / true_ms.max(1) as f64;
    ratio.max(1.0 / ratio)
}
