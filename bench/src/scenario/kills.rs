//! Kills the server with `kill -9` at random moments of one batch, the first time
//! during its launch.

use crate::{
    audit::{self, outcomes::AllowedOutcomes},
    host::HostInfo,
    progress::wait_until_finished,
    report::{Report, Samples},
};
use anyhow::ensure;
use contract::state::JobState;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{
    path::Path,
    time::{Duration, Instant},
};
use testbed::{
    SandboxConfig, ServerProcess,
    api::{CHANNEL_COUNT, product_csv},
};
use tokio::time::sleep;

const IDEMPOTENCY_KEY: &str = "kills";

#[derive(clap::Args)]
pub struct CrashRecovery {
    #[arg(long, default_value_t = 20)]
    kills: usize,
    #[arg(long, default_value_t = 600)]
    products: usize,
    #[arg(long, default_value_t = 10.0)]
    speed: f64,
    /// Seed of the moments; random by default.
    #[arg(long)]
    seed: Option<u64>,
    /// Maximum uptime of the process, ms.
    #[arg(long, default_value_t = 3_000)]
    max_uptime: u64,
}

impl CrashRecovery {
    pub async fn run(self, binary: &Path) -> anyhow::Result<Report> {
        let seed = self.seed.unwrap_or_else(rand::random);
        eprintln!("seed {seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        let sandbox_config = SandboxConfig { speed: self.speed, seed, faults: true };
        let mut server = ServerProcess::start(binary, sandbox_config).await?;
        let title = format!(
            "kills: kill -9 {} times in a batch of {} × {CHANNEL_COUNT} at speed {}, faults on, seed {seed}",
            self.kills, self.products, self.speed
        );
        let mut report = Report::new(title, HostInfo::collect(server.folder()));

        // The response, if there is one, is lost with the client.
        let (api, file) = (server.api.clone(), product_csv(self.products));
        let launch = tokio::spawn({
            let (api, file) = (api.clone(), file.clone());
            async move { api.upload(file, IDEMPOTENCY_KEY).await }
        });
        sleep(Duration::from_micros(rng.random_range(0..60_000))).await;
        server.kill();
        let answered = launch.await?.is_ok();
        let mut restarts = Samples::default();
        restart(&mut server, &mut restarts).await?;
        let job = api.upload(file, IDEMPOTENCY_KEY).await?.id;
        let jobs = api.jobs().await?.items.len();
        report.add_check(
            "one key, one job",
            jobs == 1,
            format!("{jobs} after a kill {} the 202", if answered { "after" } else { "before" }),
        );

        for kill in 1..self.kills {
            sleep(Duration::from_millis(rng.random_range(50..self.max_uptime))).await;
            let state = api.job(job).await?;
            let finished = state.counts.finished();
            ensure!(
                state.state == JobState::Running,
                "the batch ended after {kill} kills: give it more --products"
            );
            eprintln!("kill {}: {finished} of {} have finished", kill + 1, state.counts.total);
            server.kill();
            restart(&mut server, &mut restarts).await?;
        }
        let left = wait_until_finished(&api, job).await?;
        report.add_timings("kill to ready again", restarts, &[]);
        report.add_figure(
            "from the last start to the end of the job",
            format!("{} s", left.as_secs()),
            None,
        );
        // An item may be running during five kills in a row.
        let allowed = AllowedOutcomes { poison: true, ..AllowedOutcomes::default() };
        audit::check_items(&api, job, self.products, allowed, &mut report).await?;
        audit::check_ledger(&api, &[job], &mut report).await?;
        Ok(report)
    }
}

async fn restart(server: &mut ServerProcess, restarts: &mut Samples) -> anyhow::Result<()> {
    let start = Instant::now();
    server.spawn().await?;
    restarts.add(start.elapsed());
    Ok(())
}
