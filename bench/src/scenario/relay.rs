//! From a worker's commit to the frame in a client of the same machine.
//!
//! A fact's `at` is taken when its transaction has begun, so each time holds
//! the transaction's statements and its flush to the disk; and it is cut to
//! whole milliseconds, so each is up to 1 ms too long.

use crate::{
    api::{WIDTH, csv},
    audit,
    machine::{Disk, Machine},
    process::{Meanwhile, Outside},
    report::{Bar, Report, Samples},
    stream::Stream,
};
use contract::{JobId, fact::FactKind, live::ServerFrame};
use std::{path::Path, time::Duration};
use tokio::{net::TcpStream, task::JoinSet};

const BARS: [Bar; 2] = [
    Bar { percent: 50, most: Duration::from_millis(5) },
    Bar { percent: 99, most: Duration::from_millis(25) },
];

#[derive(clap::Args)]
pub struct Relay {
    #[arg(long, default_value_t = 300)]
    products: usize,
    /// Of the sandbox: 20 makes some hundred facts a second.
    #[arg(long, default_value_t = 20.0)]
    speed: f64,
    /// Sockets open at once, one run each.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 20])]
    clients: Vec<usize>,
}

/// What one client heard.
struct Heard {
    delays: Samples,
    seqs: Vec<i64>,
}

impl Relay {
    pub async fn run(self, binary: &Path) -> anyhow::Result<Report> {
        let Self { products, speed, clients } = self;
        let title =
            format!("relay: commit to frame; {products} products × {WIDTH} at speed {speed}");
        let mut report = Report::new(title, Machine::of(&std::env::temp_dir()));
        for count in clients {
            let meanwhile = Meanwhile::start(binary, Outside::calm(speed)).await?;
            let api = &meanwhile.api;
            report.times("write + fdatasync of 4 KiB", Disk::measure(meanwhile.folder())?, &[]);
            let mut streams = Vec::with_capacity(count);
            for _ in 0..count {
                streams.push(Stream::at_head(api).await?.0);
            }
            let job = api.upload(csv(products), "relay").await?;
            let mut clients = JoinSet::new();
            for stream in streams {
                clients.spawn(listen(stream, job.id));
            }
            let mut delays = Samples::default();
            let mut holes = 0;
            while let Some(heard) = clients.join_next().await {
                let heard = heard??;
                holes += heard.seqs.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
                delays.extend(heard.delays);
            }
            report.times(format!("clients: {count}"), delays, &BARS);
            report.check("facts without a hole", holes == 0, format!("{holes} holes"));
            audit::ledger(api, &[job.id], &mut report).await?;
        }
        report.note(
            "From the start of the worker's transaction: its statements and its flush are in it. \
             Whole milliseconds:\neach time is up to 1 ms too long.",
        );
        Ok(report)
    }
}

/// Hears until that job ends.
async fn listen(mut stream: Stream<TcpStream>, job: JobId) -> anyhow::Result<Heard> {
    let mut heard = Heard { delays: Samples::default(), seqs: Vec::new() };
    loop {
        let received = stream.next().await?;
        let ServerFrame::Fact(fact) = received.frame else { continue };
        heard.seqs.push(fact.seq);
        if fact.task.is_some() {
            let committed = Duration::from_millis(u64::try_from(fact.at)?);
            heard.delays.add(received.at.saturating_sub(committed));
        }
        if fact.kind == FactKind::JobFinished && fact.job == Some(job) {
            return Ok(heard);
        }
    }
}
