//! Uploads a file of 10,000 rows, and measures its 202, the memory over a minute of
//! work, and how fast lists are read during it.

use crate::{
    audit,
    host::{DiskProbe, HostInfo},
    report::{Report, Samples, format_duration},
};
use anyhow::Context;
use contract::websocket::ServerFrame;
use std::{
    path::Path,
    time::{Duration, Instant},
};
use testbed::{
    SandboxConfig, ServerProcess, WebSocketClient,
    api::{CHANNEL_COUNT, product_csv},
};
use tokio::time::{sleep, timeout_at};

/// Maximum memory of the process, bytes.
const MAX_MEMORY: u64 = 300_000_000;

#[derive(clap::Args)]
pub struct LargeFile {
    #[arg(long, default_value_t = 10_000)]
    products: usize,
    /// Speed of the sandbox.
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// Duration of the measured work, s.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

impl LargeFile {
    pub async fn run(self, binary: &Path) -> anyhow::Result<Report> {
        let Self { products, speed, seconds } = self;
        let server = ServerProcess::start(binary, SandboxConfig::without_faults(speed)).await?;
        let api = &server.api;
        let title =
            format!("large: {products} rows × {CHANNEL_COUNT} at speed {speed}, faults off");
        let mut report = Report::new(title, HostInfo::collect(server.folder()));
        report.add_timings(
            "write + fdatasync of 4 KiB",
            DiskProbe::measure_flushes(server.folder())?,
            &[],
        );
        let before = server.memory_usage()?;
        let (mut stream, _) = WebSocketClient::open_at_head(api).await?;

        let file = product_csv(products);
        let bytes = file.len();
        let start = Instant::now();
        let job = api.upload(file, "large").await?;
        let answered = start.elapsed();
        let accepted = server.memory_usage()?;
        let end = tokio::time::Instant::now() + Duration::from_secs(seconds);
        let listener = tokio::spawn(async move {
            let mut facts = 0;
            while let Ok(received) = timeout_at(end, stream.next_frame()).await {
                facts += usize::from(matches!(received?.frame, ServerFrame::Fact(_)));
            }
            anyhow::Ok(facts)
        });
        let (mut lists, mut cursor, mut peak) = (Samples::default(), None, accepted.peak);
        while tokio::time::Instant::now() < end {
            let start = Instant::now();
            let page = api.tasks_page(job.id, cursor.as_deref()).await?;
            lists.add(start.elapsed());
            cursor = page.next;
            peak = peak.max(server.memory_usage()?.peak);
            sleep(Duration::from_millis(100)).await;
        }
        let facts = listener.await?.context("the socket broke")?;
        let after = server.memory_usage()?;
        let found = api.job(job.id).await?;

        report.add_timings("one page of 200 tasks, under load", lists, &[]);
        report.add_figure(
            format!("202 of {:.1} MB", megabytes(bytes)),
            format_duration(answered),
            None,
        );
        report.add_figure(
            "resident before",
            format!("{:.0} MB", megabytes_u64(before.current)),
            None,
        );
        report.add_figure(
            "resident after the 202",
            format!("{:.0} MB", megabytes_u64(accepted.current)),
            None,
        );
        let label = format!("< {:.0} MB", megabytes_u64(MAX_MEMORY));
        report.add_figure(
            "resident at the peak",
            format!("{:.0} MB", megabytes_u64(peak)),
            Some((&label, peak < MAX_MEMORY)),
        );
        report.add_figure(
            format!("resident after {seconds} s of work"),
            format!("{:.0} MB", megabytes_u64(after.current)),
            None,
        );
        report.add_figure(
            "database",
            format!("{:.0} MB", megabytes_u64(server.database_size()?)),
            None,
        );
        report.add_figure("finished items", format!("{}", found.counts.finished()), None);
        report.add_figure("facts received", facts.to_string(), None);
        audit::report_rate_used(api, &mut report).await?;
        let total = usize::try_from(found.counts.total)?;
        report.add_check(
            "all rows are accepted",
            total == products * CHANNEL_COUNT,
            format!("{total} items"),
        );
        audit::check_ledger(api, &[job.id], &mut report).await?;
        Ok(report)
    }
}

#[allow(clippy::cast_precision_loss)]
fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

#[allow(clippy::cast_precision_loss)]
fn megabytes_u64(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
