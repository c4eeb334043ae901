//! Measures tasks that do nothing, through launch, store, relay, RabbitMQ, worker,
//! journal, event bus, hub and socket, so that only the overhead remains.

use crate::{
    cpu::{CpuSnapshot, CpuUsage},
    host::{DiskProbe, HostInfo},
    report::{Report, Samples, format_duration},
};
use anyhow::{Context, ensure};
use contract::{TaskId, fact::FactKind, state::JobState, websocket::ServerFrame};
use std::{
    collections::HashSet,
    path::Path,
    time::{Duration, Instant},
};
use testbed::{ApiClient, Cluster, ClusterConfig, ClusterOptions, SandboxConfig, WebSocketClient};
use tokio::{net::TcpStream, task::JoinSet, time::timeout};

/// Minimum total rate of many users.
const MIN_TASKS_PER_SECOND: f64 = 500.0;
/// Tasks of each user before anything is measured.
const WARM_UP_TASKS: u32 = 100;
/// A client that receives nothing for this long gives up.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);
/// Busy share from which on the processors are the bottleneck.
const BUSY_SHARE: f64 = 0.9;
/// Processes that use a smaller share of a processor are not listed.
const MIN_LISTED_SHARE: f64 = 0.01;

#[derive(clap::Args)]
pub struct Throughput {
    /// Number of users, each with an account, a socket and a job.
    #[arg(long, default_value_t = 20)]
    users: usize,
    /// Tasks of each user's job.
    #[arg(long, default_value_t = 500)]
    tasks: u32,
    /// Tasks of the job of a single user.
    #[arg(long, default_value_t = 5_000)]
    single_user_tasks: u32,
    #[arg(long, default_value_t = 1)]
    web: usize,
    #[arg(long, default_value_t = 2)]
    workers: usize,
}

impl Throughput {
    pub async fn run(self, binary: &Path) -> anyhow::Result<Report> {
        let Self { users, tasks, single_user_tasks, web, workers } = self;
        ensure!(users > 0 && web > 0 && workers > 0, "at least one of each is needed");
        let title = format!(
            "throughput: tasks that do nothing; {web} web, {workers} workers, PostgreSQL, RabbitMQ"
        );
        let mut report = Report::new(title, HostInfo::collect(&std::env::temp_dir()));
        let sandbox_config = SandboxConfig::without_faults(1.0);
        let config = ClusterConfig { web, workers, lease_s: 60, small_disk: false, sandbox_config };
        let options = ClusterOptions {
            noops: true,
            durable: true,
            without_proxies: true,
            ..ClusterOptions::default()
        };
        let cluster = Cluster::start_with(binary, config, options).await?;
        report.add_timings(
            "write + fdatasync of 4 KiB",
            DiskProbe::measure_flushes(cluster.folder())?,
            &[],
        );
        let admin = cluster.signed_in_clients().await?.remove(0);
        let mut people = Vec::with_capacity(users);
        for (n, node) in (0..users).zip(cluster.web.iter().cycle()) {
            people.push(admin.invite_user(&format!("user-{n}@example.com"), node.port).await?);
        }
        LaunchRound::measure(&cluster, &people, WARM_UP_TASKS).await?;
        let many = LaunchRound::measure(&cluster, &people, tasks).await?;
        many.add_to_report(
            &format!("{users} users × {tasks}"),
            Some(MIN_TASKS_PER_SECOND),
            &mut report,
        );
        let one = LaunchRound::measure(&cluster, &people[..1], single_user_tasks).await?;
        one.add_to_report(&format!("one user × {single_user_tasks}"), None, &mut report);
        report.add_note(
            "Measured from the first launch's request to the last fact in its user's client. \
             Commit to frame begins with the\nworker's transaction.",
        );
        Ok(report)
    }
}

/// Measurements of a round in which all users launch at once.
pub(super) struct LaunchRound {
    pub(super) tasks: usize,
    pub(super) elapsed: Duration,
    cpu_usage: CpuUsage,
    /// Times from a commit to its frame.
    pub(super) delays: Samples,
    /// Descriptions of missing, repeated and unexpected facts.
    pub(super) problems: Vec<String>,
}

impl LaunchRound {
    pub(super) async fn measure(
        cluster: &Cluster,
        people: &[ApiClient],
        tasks: u32,
    ) -> anyhow::Result<Self> {
        let mut clients = JoinSet::new();
        let mut streams = Vec::with_capacity(people.len());
        for person in people {
            streams.push((person.clone(), WebSocketClient::open_at_head(person).await?));
        }
        let (before, start) = (CpuSnapshot::take(cluster)?, Instant::now());
        for (person, (stream, since)) in streams {
            clients.spawn(async move {
                let observed = observe_job(stream, since.seq.unwrap_or_default());
                let (job, observed) = tokio::try_join!(person.run_noops(tasks), observed)?;
                let job = person.job(job.id).await?;
                let mut problems = observed.problems;
                if observed.succeeded.len() != tasks as usize {
                    problems.push(format!(
                        "{} of {tasks} facts were received",
                        observed.succeeded.len()
                    ));
                }
                if job.state != JobState::Succeeded || job.counts.succeeded != tasks {
                    problems.push(format!("its job is {:?}: {:?}", job.state, job.counts));
                }
                anyhow::Ok((problems, observed.delays, observed.finished_at))
            });
        }
        let (mut problems, mut delays, mut until) = (Vec::new(), Samples::default(), start);
        while let Some(client) = clients.join_next().await {
            let (client_problems, client_delays, finished_at) = client??;
            problems.extend(client_problems);
            delays.extend(client_delays);
            until = until.max(finished_at);
        }
        let cpu_usage = CpuSnapshot::take(cluster)?.usage_since(&before);
        Ok(Self {
            tasks: people.len() * tasks as usize,
            elapsed: until - start,
            cpu_usage,
            delays,
            problems,
        })
    }

    #[allow(clippy::cast_precision_loss)]
    fn add_to_report(self, name: &str, threshold: Option<f64>, report: &mut Report) {
        let Self { tasks, elapsed, cpu_usage, delays, problems } = self;
        let rate = tasks as f64 / elapsed.as_secs_f64();
        let threshold = threshold.map(|minimum| (format!("≥ {minimum} a second"), rate >= minimum));
        let threshold = threshold.as_ref().map(|(words, passed)| (words.as_str(), *passed));
        report.add_figure(
            name,
            format!("{rate:.0} tasks a second, in {}", format_duration(elapsed)),
            threshold,
        );
        report.add_timings(format!("{name}: commit to frame"), delays, &[]);
        for (what, each) in cpu_usage.per_item(tasks) {
            let share = each.as_secs_f64() * rate;
            if share >= MIN_LISTED_SHARE {
                let value = format!("{share:.2} processors, {} a task", format_duration(each));
                report.add_figure(format!("{name}: {what}"), value, None);
            }
        }
        let busy = format!("{:.0} % of the processors were busy", cpu_usage.busy_share * 100.0);
        let bound = match cpu_usage.by_process.first() {
            Some((what, _)) if cpu_usage.busy_share >= BUSY_SHARE => {
                format!("the processors, most of all {what}")
            }
            _ => "waits for each other and for the disk".to_owned(),
        };
        report.add_figure(format!("{name}: bound by"), format!("{bound}; {busy}"), None);
        let detail = match problems.first() {
            None => "each client received every fact once, in order".to_owned(),
            Some(first) => format!("{} problems, such as: {first}", problems.len()),
        };
        report.add_check(
            format!("{name}: every fact received once, in order"),
            problems.is_empty(),
            detail,
        );
    }
}

/// The facts that one client received about its job.
struct JobObservations {
    succeeded: HashSet<TaskId>,
    delays: Samples,
    finished_at: Instant,
    problems: Vec<String>,
}

/// Receives facts until the job has finished. `head` is the last `seq` before it.
async fn observe_job(
    mut stream: WebSocketClient<TcpStream>,
    head: i64,
) -> anyhow::Result<JobObservations> {
    let mut observed = JobObservations {
        succeeded: HashSet::new(),
        delays: Samples::default(),
        finished_at: Instant::now(),
        problems: Vec::new(),
    };
    let mut last = head;
    loop {
        let received = timeout(SILENCE_TIMEOUT, stream.next_frame())
            .await
            .context("a client received nothing")??;
        let ServerFrame::Fact(fact) = received.frame else { continue };
        if fact.seq != last + 1 {
            observed.problems.push(format!("{} was followed by {}", last, fact.seq));
        }
        last = fact.seq;
        match (fact.kind, fact.task) {
            (FactKind::JobAccepted, None) => {}
            (FactKind::TaskSucceeded, Some(task)) => {
                if !observed.succeeded.insert(task) {
                    observed.problems.push(format!("{task} succeeded twice"));
                }
                let committed = Duration::from_millis(u64::try_from(fact.at)?);
                observed.delays.add(received.received_at.saturating_sub(committed));
            }
            (FactKind::JobFinished, None) => {
                observed.finished_at = Instant::now();
                return Ok(observed);
            }
            (kind, _) => observed.problems.push(format!("a fact of kind {kind}")),
        }
    }
}
