//! Measures the time from a worker's commit to the frame in a client on the same host.
//!
//! A fact's `at` is the time at which its transaction began, so each duration
//! includes the transaction's statements and its flush to the disk; and it is cut
//! to whole milliseconds, so each duration is up to 1 ms too long.

use crate::{
    audit,
    host::{DiskProbe, HostInfo},
    report::{Report, Samples, Threshold},
};
use contract::{JobId, fact::FactKind, websocket::ServerFrame};
use std::{path::Path, time::Duration};
use testbed::{
    SandboxConfig, ServerProcess, WebSocketClient,
    api::{CHANNEL_COUNT, product_csv},
};
use tokio::{net::TcpStream, task::JoinSet};

const THRESHOLDS: [Threshold; 2] = [
    Threshold { percentile: 50, limit: Duration::from_millis(5) },
    Threshold { percentile: 99, limit: Duration::from_millis(25) },
];

#[derive(clap::Args)]
pub struct FactLatency {
    #[arg(long, default_value_t = 300)]
    products: usize,
    /// Speed of the sandbox; 20 makes some hundred facts per second.
    #[arg(long, default_value_t = 20.0)]
    speed: f64,
    /// Numbers of open sockets, with one run each.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 20])]
    clients: Vec<usize>,
}

/// The facts that one client received.
struct ReceivedFacts {
    delays: Samples,
    seqs: Vec<i64>,
}

impl FactLatency {
    pub async fn run(self, binary: &Path) -> anyhow::Result<Report> {
        let Self { products, speed, clients } = self;
        let title = format!(
            "relay: commit to frame; {products} products × {CHANNEL_COUNT} at speed {speed}"
        );
        let mut report = Report::new(title, HostInfo::collect(&std::env::temp_dir()));
        for count in clients {
            let server = ServerProcess::start(binary, SandboxConfig::without_faults(speed)).await?;
            let api = &server.api;
            report.add_timings(
                "write + fdatasync of 4 KiB",
                DiskProbe::measure_flushes(server.folder())?,
                &[],
            );
            let mut streams = Vec::with_capacity(count);
            for _ in 0..count {
                streams.push(WebSocketClient::open_at_head(api).await?.0);
            }
            let job = api.upload(product_csv(products), "relay").await?;
            let mut clients = JoinSet::new();
            for stream in streams {
                clients.spawn(collect_facts(stream, job.id));
            }
            let mut delays = Samples::default();
            let mut gaps = 0;
            while let Some(result) = clients.join_next().await {
                let received = result??;
                gaps += received.seqs.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
                delays.extend(received.delays);
            }
            report.add_timings(format!("clients: {count}"), delays, &THRESHOLDS);
            report.add_check("facts without a gap", gaps == 0, format!("{gaps} gaps"));
            audit::check_ledger(api, &[job.id], &mut report).await?;
        }
        report.add_note(
            "Measured from the start of the worker's transaction, including its statements and its \
             flush. Whole milliseconds:\neach duration is up to 1 ms too long.",
        );
        Ok(report)
    }
}

/// Receives facts until `job` has finished.
async fn collect_facts(
    mut stream: WebSocketClient<TcpStream>,
    job: JobId,
) -> anyhow::Result<ReceivedFacts> {
    let mut facts = ReceivedFacts { delays: Samples::default(), seqs: Vec::new() };
    loop {
        let received = stream.next_frame().await?;
        let ServerFrame::Fact(fact) = received.frame else { continue };
        facts.seqs.push(fact.seq);
        if fact.task.is_some() {
            let committed = Duration::from_millis(u64::try_from(fact.at)?);
            facts.delays.add(received.received_at.saturating_sub(committed));
        }
        if fact.kind == FactKind::JobFinished && fact.job == Some(job) {
            return Ok(facts);
        }
    }
}
