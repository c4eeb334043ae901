//! Compares a batch at real speed with what 0.97 of the channels' limits allow.

use crate::{
    audit,
    host::{DiskProbe, HostInfo},
    report::{Report, format_duration},
};
use anyhow::Context;
use std::{path::Path, time::Duration, time::Instant};
use testbed::{
    SandboxConfig, ServerProcess, WebSocketClient,
    api::{CHANNEL_COUNT, product_csv},
};

/// Maximum ratio of the wall time to the time that the limits allow.
const MAX_RATIO: f64 = 1.05;

#[derive(clap::Args)]
pub struct RateLimitedBatch {
    #[arg(long, default_value_t = 150)]
    products: usize,
    /// Speed of the sandbox; the threshold is meant for 1.
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
}

impl RateLimitedBatch {
    #[allow(clippy::cast_precision_loss)]
    pub async fn run(self, binary: &Path) -> anyhow::Result<Report> {
        let Self { products, speed } = self;
        let server = ServerProcess::start(binary, SandboxConfig::without_faults(speed)).await?;
        let api = &server.api;
        let title =
            format!("batch: {products} products × {CHANNEL_COUNT} at speed {speed}, faults off");
        let mut report = Report::new(title, HostInfo::collect(server.folder()));
        report.add_timings(
            "write + fdatasync of 4 KiB",
            DiskProbe::measure_flushes(server.folder())?,
            &[],
        );

        let channels = api.channels().await?;
        let mut allowed = Duration::ZERO;
        for spec in sandbox::SAMPLE_CHANNELS {
            let channel = channels.iter().find(|channel| channel.id == spec.id);
            let pace = channel.with_context(|| format!("no channel {}", spec.id))?.current_rate;
            let paced = Duration::from_secs_f64(products as f64 / pace);
            allowed = allowed.max(paced + spec.latency.div_f64(speed));
        }
        let (mut stream, _) = WebSocketClient::open_at_head(api).await?;
        let job = api.upload(product_csv(products), "batch").await?;
        let start = Instant::now();
        eprintln!("accepted; the limits allow an end in {}", format_duration(allowed));
        stream.wait_for_job_finished(job.id).await?;
        let wall = start.elapsed();

        let ratio = wall.as_secs_f64() / allowed.as_secs_f64();
        report.add_figure("202 to job.finished in a client", format_duration(wall), None);
        report.add_figure(
            "time at 0.97 of the limits, plus a latency",
            format_duration(allowed),
            None,
        );
        let label = format!("≤ {MAX_RATIO}");
        report.add_figure("ratio", format!("{ratio:.3}"), Some((&label, ratio <= MAX_RATIO)));
        audit::report_rate_used(api, &mut report).await?;
        audit::check_finished_upload(api, job.id, products, &mut report).await?;
        Ok(report)
    }
}
