//! Measures what the export of traces costs: the throughput of tasks that do nothing, in
//! alternating rounds with and without export, on the same servers.

use super::throughput::LaunchRound;
use crate::{
    host::HostInfo,
    report::{Report, Samples},
};
use anyhow::ensure;
use std::{path::Path, time::Duration};
use testbed::{ApiClient, Cluster, ClusterConfig, ClusterOptions, OtlpReceiver, SandboxConfig};

/// Minimum throughput with export, as a share of that without.
const MIN_RATIO: f64 = 0.9;
/// Tasks of each user after a start, before anything is measured.
const WARM_UP_TASKS: u32 = 50;
/// Spans of a task that does nothing: its attempt and the commit of its result.
const SPANS_PER_TASK: usize = 2;

#[derive(clap::Args)]
pub struct Tracing {
    /// Number of users, each with an account, a socket and a job in each round.
    #[arg(long, default_value_t = 10)]
    users: usize,
    /// Tasks of each user's job.
    #[arg(long, default_value_t = 500)]
    tasks: u32,
    /// Number of pairs of rounds, one with export and one without.
    #[arg(long, default_value_t = 4)]
    pairs: usize,
}

/// Sum of the rounds of one kind.
#[derive(Default)]
struct Rounds {
    rates: Vec<f64>,
    tasks: usize,
    elapsed: Duration,
    delays: Samples,
    problems: Vec<String>,
}

impl Rounds {
    #[allow(clippy::cast_precision_loss)]
    fn add(&mut self, round: LaunchRound) {
        self.rates.push(round.tasks as f64 / round.elapsed.as_secs_f64());
        self.tasks += round.tasks;
        self.elapsed += round.elapsed;
        self.delays.extend(round.delays);
        self.problems.extend(round.problems);
    }

    #[allow(clippy::cast_precision_loss)]
    fn rate(&self) -> f64 {
        self.tasks as f64 / self.elapsed.as_secs_f64()
    }

    fn describe(&self) -> String {
        let rates: Vec<_> = self.rates.iter().map(|rate| format!("{rate:.0}")).collect();
        format!("{:.0} tasks a second; by round {}", self.rate(), rates.join(", "))
    }
}

impl Tracing {
    pub async fn run(self, binary: &Path) -> anyhow::Result<Report> {
        let Self { users, tasks, pairs } = self;
        ensure!(users > 0 && pairs > 0, "at least one of each is needed");
        let title = "tracing: tasks that do nothing, with and without export of every trace; \
                     1 web, 2 workers, PostgreSQL, RabbitMQ";
        let mut report = Report::new(title, HostInfo::collect(&std::env::temp_dir()));
        // In this process: its work for each span counts against the export.
        let receiver = OtlpReceiver::start_counting().await?;
        let config = ClusterConfig {
            web: 1,
            workers: 2,
            lease_s: 60,
            small_disk: false,
            sandbox_config: SandboxConfig::without_faults(1.0),
        };
        let options = ClusterOptions {
            noops: true,
            durable: true,
            without_proxies: true,
            env: vec![
                ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url()),
                ("OTEL_SDK_DISABLED", "true".into()),
            ],
            ..ClusterOptions::default()
        };
        let mut cluster = Cluster::start_with(binary, config, options).await?;
        let admin = cluster.signed_in_clients().await?.remove(0);
        let mut people = Vec::with_capacity(users);
        for n in 0..users {
            let email = format!("user-{n}@example.com");
            people.push(admin.invite_user(&email, cluster.web[0].port).await?);
        }
        stop_nodes(&mut cluster).await?;
        let (mut off, mut on) = (Rounds::default(), Rounds::default());
        let mut exported_while_off = 0;
        let mut ratios = Vec::with_capacity(pairs);
        for pair in 0..pairs {
            // Off, on, on, off: what grows with time affects both alike.
            for exports in [pair % 2 == 1, pair % 2 == 0] {
                let before = receiver.span_count();
                let round = measure(&mut cluster, &people, tasks, exports).await?;
                match exports {
                    true => on.add(round),
                    false => {
                        exported_while_off += receiver.span_count() - before;
                        off.add(round);
                    }
                }
            }
            if let (Some(on), Some(off)) = (on.rates.last(), off.rates.last()) {
                ratios.push(format!("{:.2}", on / off));
            }
        }
        let ratio = on.rate() / off.rate();
        let threshold = format!("≥ {MIN_RATIO}");
        report.add_figure("without export", off.describe(), None);
        report.add_figure("with export", on.describe(), None);
        report.add_figure(
            "with export / without",
            format!("{ratio:.3}; by pair {}", ratios.join(", ")),
            Some((&threshold, ratio >= MIN_RATIO)),
        );
        report.add_timings("without export: commit to frame", off.delays, &[]);
        report.add_timings("with export: commit to frame", on.delays, &[]);
        let warm_up = pairs * users * WARM_UP_TASKS as usize;
        let expected = (on.tasks + warm_up) * SPANS_PER_TASK;
        report.add_figure(
            "spans received",
            format!("{}, of at least {expected} of the tasks", receiver.span_count()),
            None,
        );
        report.add_check(
            "nothing is exported without export",
            exported_while_off == 0,
            format!("{exported_while_off} spans"),
        );
        let problems = off.problems.iter().chain(&on.problems);
        let problems: Vec<_> = problems.map(String::as_str).collect();
        report.add_check(
            "every fact received once, in order",
            problems.is_empty(),
            problems.first().copied().unwrap_or("in all rounds"),
        );
        report.add_note(
            "The receiver decodes every span, on the same processors. Processes restart before \
             each round.",
        );
        Ok(report)
    }
}

/// Starts the nodes with or without export, measures a round, and stops them, so that what they
/// export belongs to this round.
async fn measure(
    cluster: &mut Cluster,
    people: &[ApiClient],
    tasks: u32,
    exports: bool,
) -> anyhow::Result<LaunchRound> {
    for node in cluster.web.iter_mut().chain(&mut cluster.workers) {
        node.set_env("OTEL_SDK_DISABLED", (!exports).to_string());
        node.spawn().await?;
    }
    LaunchRound::measure(cluster, people, WARM_UP_TASKS).await?;
    let round = LaunchRound::measure(cluster, people, tasks).await?;
    stop_nodes(cluster).await?;
    Ok(round)
}

async fn stop_nodes(cluster: &mut Cluster) -> anyhow::Result<()> {
    for node in cluster.web.iter_mut().chain(&mut cluster.workers) {
        node.stop().await?;
    }
    Ok(())
}
