//! Tasks that do nothing, through everything: launch, store, relay, RabbitMQ,
//! worker, journal, news, hub, socket. What is left is the way itself.

use crate::{
    api::Api,
    cluster::{Besides, Cluster, Size},
    cpu::{Cpu, Used},
    machine::{Disk, Machine},
    process::Outside,
    report::{Report, Samples, time},
    stream::Stream,
};
use anyhow::{Context, ensure};
use contract::{TaskId, fact::FactKind, live::ServerFrame, state::JobState};
use std::{
    collections::HashSet,
    path::Path,
    time::{Duration, Instant},
};
use tokio::{net::TcpStream, task::JoinSet, time::timeout};

/// Of many users together.
const BAR: f64 = 500.0;
/// Tasks of each user before anything is measured.
const WARM: u32 = 100;
/// A client that hears nothing for so long hears no more.
const SILENCE: Duration = Duration::from_secs(60);
/// Processors that have work to do for this part of the time are the bound.
const BUSY: f64 = 0.9;
/// What keeps less of a processor busy is not listed.
const LITTLE: f64 = 0.01;

#[derive(clap::Args)]
pub struct Throughput {
    /// People, each with an account, a socket and a job.
    #[arg(long, default_value_t = 20)]
    users: usize,
    /// Tasks of each one's job.
    #[arg(long, default_value_t = 500)]
    tasks: u32,
    /// Tasks of the job of one user alone.
    #[arg(long, default_value_t = 5_000)]
    alone: u32,
    #[arg(long, default_value_t = 1)]
    web: usize,
    #[arg(long, default_value_t = 2)]
    workers: usize,
}

impl Throughput {
    pub async fn run(self, binary: &Path) -> anyhow::Result<Report> {
        let Self { users, tasks, alone, web, workers } = self;
        ensure!(users > 0 && web > 0 && workers > 0, "there has to be one of each");
        let title = format!(
            "throughput: tasks that do nothing; {web} web, {workers} workers, PostgreSQL, RabbitMQ"
        );
        let mut report = Report::new(title, Machine::of(&std::env::temp_dir()));
        let outside = Outside::calm(1.0);
        let size = Size { web, workers, lease_s: 60, small_disk: false, outside };
        let with = Besides { noops: true, durable: true, straight: true, ..Besides::default() };
        let cluster = Cluster::start_with(binary, size, with).await?;
        report.times("write + fdatasync of 4 KiB", Disk::measure(cluster.folder())?, &[]);
        let admin = cluster.apis().await?.remove(0);
        let mut people = Vec::with_capacity(users);
        for (n, node) in (0..users).zip(cluster.web.iter().cycle()) {
            people.push(admin.invite(&format!("user-{n}@example.com"), node.port).await?);
        }
        Round::of(&cluster, &people, WARM).await?;
        let many = Round::of(&cluster, &people, tasks).await?;
        many.tell(&format!("{users} users × {tasks}"), Some(BAR), &mut report);
        let one = Round::of(&cluster, &people[..1], alone).await?;
        one.tell(&format!("one user × {alone}"), None, &mut report);
        report.note(
            "From the first launch's request to the last fact in its user's client. Commit to \
             frame begins with the\nworker's transaction.",
        );
        Ok(report)
    }
}

/// Everyone launches at once; what came of it.
struct Round {
    tasks: usize,
    took: Duration,
    used: Used,
    delays: Samples,
    /// In words, what was not told as it must be.
    wrong: Vec<String>,
}

impl Round {
    async fn of(cluster: &Cluster, people: &[Api], tasks: u32) -> anyhow::Result<Self> {
        let mut clients = JoinSet::new();
        let mut streams = Vec::with_capacity(people.len());
        for person in people {
            streams.push((person.clone(), Stream::at_head(person).await?));
        }
        let (before, start) = (Cpu::now(cluster)?, Instant::now());
        for (person, (stream, since)) in streams {
            clients.spawn(async move {
                let heard = hear(stream, since.seq.unwrap_or_default());
                let (job, heard) = tokio::try_join!(person.run_noops(tasks), heard)?;
                let job = person.job(job.id).await?;
                let mut wrong = heard.wrong;
                if heard.succeeded.len() != tasks as usize {
                    wrong.push(format!("{} of {tasks} were told", heard.succeeded.len()));
                }
                if job.state != JobState::Succeeded || job.counts.succeeded != tasks {
                    wrong.push(format!("its job is {:?}: {:?}", job.state, job.counts));
                }
                anyhow::Ok((wrong, heard.delays, heard.until))
            });
        }
        let (mut wrong, mut delays, mut until) = (Vec::new(), Samples::default(), start);
        while let Some(client) = clients.join_next().await {
            let (its, heard, ended) = client??;
            wrong.extend(its);
            delays.extend(heard);
            until = until.max(ended);
        }
        let used = Cpu::now(cluster)?.since(&before);
        Ok(Self { tasks: people.len() * tasks as usize, took: until - start, used, delays, wrong })
    }

    #[allow(clippy::cast_precision_loss)]
    fn tell(self, name: &str, bar: Option<f64>, report: &mut Report) {
        let Self { tasks, took, used, delays, wrong } = self;
        let rate = tasks as f64 / took.as_secs_f64();
        let bar = bar.map(|least| (format!("≥ {least} a second"), rate >= least));
        let bar = bar.as_ref().map(|(words, kept)| (words.as_str(), *kept));
        report.figure(name, format!("{rate:.0} tasks a second, in {}", time(took)), bar);
        report.times(format!("{name}: commit to frame"), delays, &[]);
        for (what, each) in used.of_one(tasks) {
            let part = each.as_secs_f64() * rate;
            if part >= LITTLE {
                let value = format!("{part:.2} processors, {} a task", time(each));
                report.figure(format!("{name}: {what}"), value, None);
            }
        }
        let busy = format!("{:.0} % of the processors were busy", used.busy * 100.0);
        let bound = match used.by.first() {
            Some((what, _)) if used.busy >= BUSY => format!("the processors, most of all {what}"),
            _ => "waits for each other and for the disk".to_owned(),
        };
        report.figure(format!("{name}: bound by"), format!("{bound}; {busy}"), None);
        let detail = match wrong.first() {
            None => "each client heard every fact once, in order".to_owned(),
            Some(first) => format!("{} things, such as: {first}", wrong.len()),
        };
        report.check(format!("{name}: told"), wrong.is_empty(), detail);
    }
}

/// What one client heard of its job.
struct Heard {
    succeeded: HashSet<TaskId>,
    delays: Samples,
    until: Instant,
    wrong: Vec<String>,
}

/// Hears until its job ends. `head`: the last `seq` before it.
async fn hear(mut stream: Stream<TcpStream>, head: i64) -> anyhow::Result<Heard> {
    let mut heard = Heard {
        succeeded: HashSet::new(),
        delays: Samples::default(),
        until: Instant::now(),
        wrong: Vec::new(),
    };
    let mut last = head;
    loop {
        let received =
            timeout(SILENCE, stream.next()).await.context("a client hears nothing")??;
        let ServerFrame::Fact(fact) = received.frame else { continue };
        if fact.seq != last + 1 {
            heard.wrong.push(format!("{} was followed by {}", last, fact.seq));
        }
        last = fact.seq;
        match (fact.kind, fact.task) {
            (FactKind::JobAccepted, None) => {}
            (FactKind::TaskSucceeded, Some(task)) => {
                if !heard.succeeded.insert(task) {
                    heard.wrong.push(format!("{task} was told twice"));
                }
                let committed = Duration::from_millis(u64::try_from(fact.at)?);
                heard.delays.add(received.at.saturating_sub(committed));
            }
            (FactKind::JobFinished, None) => {
                heard.until = Instant::now();
                return Ok(heard);
            }
            (kind, _) => heard.wrong.push(format!("a fact of kind {kind}")),
        }
    }
}
