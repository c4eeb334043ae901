//! A client that applies frames like a page, and whose connection breaks again and
//! again: in the handshake, while it catches up, and within a frame.

mod breaking_connection;

use crate::{audit, host::HostInfo, job_page_model::JobPageModel, report::Report};
use anyhow::ensure;
use breaking_connection::BreakingConnection;
use contract::websocket::ServerFrame;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{path::Path, time::Duration};
use testbed::{
    SandboxConfig, ServerProcess, WebSocketClient,
    api::{CHANNEL_COUNT, product_csv},
    websocket,
};
use tokio::time::sleep;

#[derive(clap::Args)]
pub struct Reconnects {
    #[arg(long, default_value_t = 200)]
    cuts: usize,
    #[arg(long, default_value_t = 1_000)]
    products: usize,
    #[arg(long, default_value_t = 20.0)]
    speed: f64,
    /// Seed of the moments; random by default.
    #[arg(long)]
    seed: Option<u64>,
    /// Maximum time between two connections, ms.
    #[arg(long, default_value_t = 200)]
    max_offline: u64,
}

impl Reconnects {
    pub async fn run(self, binary: &Path) -> anyhow::Result<Report> {
        let seed = self.seed.unwrap_or_else(rand::random);
        eprintln!("seed {seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        let sandbox_config = SandboxConfig { speed: self.speed, seed, faults: true };
        let server = ServerProcess::start(binary, sandbox_config).await?;
        let api = &server.api;
        let title = format!(
            "cuts: a socket cut {} times in a batch of {} × {CHANNEL_COUNT} at speed {}, faults on, seed {seed}",
            self.cuts, self.products, self.speed
        );
        let mut report = Report::new(title, HostInfo::collect(server.folder()));

        let (_, position) = WebSocketClient::open_at_head(api).await?;
        let job = api.upload(product_csv(self.products), "cuts").await?;
        let mut page = JobPageModel::new(position, job);
        let mut cuts = 0;
        let mut before_welcome = 0;
        while !page.is_finished() {
            let connection = websocket::connect_tcp(api).await?;
            // Logarithmically distributed, from the handshake's first byte to some
            // dozen frames.
            let bytes = 2f64.powf(rng.random_range(0.0..16.0));
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let bytes_left = if cuts < self.cuts { bytes as usize } else { usize::MAX };
            let welcomed = page.welcome_count;
            let result = follow_one_connection(
                BreakingConnection::new(connection, bytes_left)?,
                &mut page,
                api,
            )
            .await;
            if page.is_finished() {
                break;
            }
            match result {
                Ok(()) => {}
                Err(error) if cuts < self.cuts => {
                    ensure!(breaking_connection::is_cut(&error), error);
                    cuts += 1;
                    before_welcome += usize::from(page.welcome_count == welcomed);
                }
                Err(error) => return Err(error),
            }
            sleep(Duration::from_millis(rng.random_range(0..=self.max_offline))).await;
        }
        ensure!(cuts == self.cuts, "the batch ended after {cuts} cuts: give it more --products");
        report.add_figure("cuts", format!("{cuts}, {before_welcome} before the welcome"), None);
        report.add_figure("facts applied", page.applied_facts.len().to_string(), None);
        report.add_figure("resyncs", page.resync_count.to_string(), None);
        page.compare_with_store(api, &mut report).await?;
        audit::check_finished_upload(api, page.job.id, self.products, &mut report).await?;
        Ok(report)
    }
}

/// Follows the job on one connection, until that breaks or the job has finished.
async fn follow_one_connection(
    connection: BreakingConnection,
    page: &mut JobPageModel,
    api: &testbed::api::ApiClient,
) -> anyhow::Result<()> {
    let mut stream = WebSocketClient::open_on(connection, api, page.position.clone()).await?;
    loop {
        let frame = stream.next_frame().await?.frame;
        let lost = matches!(frame, ServerFrame::Welcome { recovered: false, .. });
        page.apply(frame);
        if lost {
            page.refetch(api).await?;
        }
        if page.is_finished() {
            return Ok(());
        }
    }
}
