//! One round: launch, fault, end, and what must hold.

use super::fault::{self, Fault};
use crate::{
    api::{Api, WIDTH, csv_of},
    audit::{self, over::Limit},
    cluster::Cluster,
    machine::Machine,
    page::Page,
    report::Report,
    stream::{Since, Stream},
};
use anyhow::{Context, bail, ensure};
use contract::{
    JobId,
    api::{Job, Task},
    live::ServerFrame,
    state::{JobState, TaskState},
};
use rand::{RngExt, rngs::StdRng};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::time::{sleep, timeout};

/// A round that makes no progress for this long has lost something.
const STUCK: Duration = Duration::from_secs(180);

#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub products: usize,
    pub lease: Duration,
    pub speed: f64,
    /// What a request may be held up on its way.
    pub held_up: Duration,
}

impl Setting {
    /// None where the channels' own count is the measure.
    fn limits(&self) -> BTreeMap<String, Limit> {
        let all = sandbox::channels().iter().filter(|_| !self.held_up.is_zero());
        all.map(|spec| {
            let rate = spec.rate.per_second * self.speed;
            let limit = Limit { rate, bucket: spec.rate.bucket, held_up: self.held_up };
            (spec.id.to_owned(), limit)
        })
        .collect()
    }
}

pub struct Round {
    pub fault: Fault,
    /// Of the SKUs.
    pub name: String,
    pub setting: Setting,
}

/// What a round found.
pub struct Found {
    pub items: usize,
    pub need_person: u32,
    /// From the fault's end to the batches' end.
    pub recovered: Duration,
    /// What did not hold, in words.
    pub broken: Vec<String>,
}

impl Found {
    /// The round did not come to its end.
    pub fn stopped(why: String) -> Self {
        Self { items: 0, need_person: 0, recovered: Duration::ZERO, broken: vec![why] }
    }
}

impl Round {
    pub async fn run(&self, cluster: &mut Cluster, dice: &mut StdRng) -> anyhow::Result<Found> {
        let apis = cluster.apis().await?;
        let before = apis[0].ledger_summary().await?;
        let (_, since) = Stream::at_head(&apis[0]).await?;
        let names = ["A", "B"].map(|batch| format!("{}{batch}", self.name));
        let mut files = names.clone().map(|name| csv_of(&name, self.setting.products));
        let more = self.fault.rows(&names[0]);
        let counts = [self.setting.products + more.lines().count(), self.setting.products];
        files[0].push_str(&more);
        let [first, second] = files;
        let jobs = [
            self.launch(cluster, &apis, first, &names[0], dice).await?,
            launch(&apis, second, &names[1]).await?,
        ];
        let clients: Vec<_> = jobs
            .iter()
            .map(|job| {
                let (apis, since, job) = (apis.clone(), since.clone(), job.clone());
                let moment = dice.random_range(0..2);
                tokio::spawn(async move { listen(&apis, since, job, moment).await })
            })
            .collect();
        sleep(Duration::from_millis(dice.random_range(300..2_500))).await;
        self.fault.happen(cluster, &apis, self.setting, &self.name, dice).await?;
        let mended = Instant::now();
        for job in &jobs {
            until_ended(&apis, job.id).await?;
        }
        let recovered = mended.elapsed();
        fault::mend(cluster).await?;
        let mut report = Report::new("", Machine::of(cluster.folder()));
        let mut need_person = 0;
        for ((job, client), products) in jobs.iter().zip(clients).zip(counts) {
            audit::items(&apis[0], job.id, products, &mut report).await?;
            need_person += apis[0].job(job.id).await?.counts.needs_person;
            let page = timeout(STUCK, client).await.context("a client hears no end")???;
            page.compare(&apis[1], &mut report).await?;
        }
        self.kept(&apis[0], jobs[0].id, &mut report).await?;
        let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
        audit::ledger_since(&apis[0], &before, &ids, &self.setting.limits(), &mut report).await?;
        let items = counts.iter().sum::<usize>() * WIDTH;
        Ok(Found { items, need_person, recovered, broken: report.broken().collect() })
    }

    /// The first batch, in whose launch a web node may be killed.
    async fn launch(
        &self,
        cluster: &mut Cluster,
        apis: &[Api],
        file: String,
        key: &str,
        dice: &mut StdRng,
    ) -> anyhow::Result<Job> {
        if self.fault != Fault::WebKilledBefore202 {
            return launch(apis, file, key).await;
        }
        let (api, body, name) = (apis[0].clone(), file.clone(), key.to_owned());
        let asked = tokio::spawn(async move { api.upload(body, &name).await });
        sleep(Duration::from_micros(dice.random_range(0..60_000))).await;
        cluster.web[0].kill();
        let answered = asked.await?.ok();
        let job = launch(&apis[1..], file, key).await?;
        ensure!(answered.is_none_or(|first| first.id == job.id), "two jobs of one key");
        cluster.web[0].spawn().await?;
        Ok(job)
    }

    /// What is asked of single items.
    async fn kept(&self, api: &Api, job: JobId, report: &mut Report) -> anyhow::Result<()> {
        let tasks = api.tasks(job).await?;
        match self.fault {
            Fault::AlwaysFails => {
                let failed: Vec<_> =
                    tasks.iter().filter(|task| task.sku.contains("500ALWAYS")).collect();
                let kept = failed.iter().all(|task| {
                    task.state == TaskState::Failed && task.attempt > 1 && task.outcome.is_some()
                });
                report.check(
                    "failures are kept with their attempts",
                    kept && failed.len() == WIDTH,
                    format!("{} of them", failed.len()),
                );
                api.retry(job).await?;
                let again = api.job(job).await?;
                report.check(
                    "and can be retried",
                    again.state == JobState::Running,
                    format!("the job is {}", again.state),
                );
                api.cancel(job).await?;
            }
            // Nothing but the channels goes wrong.
            Fault::None | Fault::Storm | Fault::ClockOff => calm(api, &tasks, report).await?,
            _ => {}
        }
        Ok(())
    }
}

/// What a channel answers costs what it should, and no call is cut off.
async fn calm(api: &Api, tasks: &[Task], report: &mut Report) -> anyhow::Result<()> {
    let (mut refused, mut spent, mut cut) = (0, Vec::new(), Vec::new());
    for task in tasks {
        let attempts = api.task(task.id).await?.attempts;
        let codes: Vec<_> = attempts.iter().map(|attempt| attempt.outcome.code.as_str()).collect();
        for (place, pair) in attempts.windows(2).enumerate() {
            if codes[place] == "http_429" {
                refused += 1;
                if pair[1].number != pair[0].number {
                    spent.push(format!("{}: {codes:?}", task.key));
                }
            }
        }
        if codes.contains(&"timeout") {
            cut.push(format!("{}: {codes:?}", task.key));
        }
    }
    let first = |all: &[String]| all.first().cloned().unwrap_or_default();
    report.check(
        "a 429 spends no attempt",
        spent.is_empty(),
        format!("{} of {refused} did, such as {}", spent.len(), first(&spent)),
    );
    report.check(
        "no call is cut off",
        cut.is_empty(),
        format!("{} items had one, such as {}", cut.len(), first(&cut)),
    );
    Ok(())
}

/// A client that repeats its launch with the same key until it is accepted.
async fn launch(apis: &[Api], file: String, key: &str) -> anyhow::Result<Job> {
    let start = Instant::now();
    for api in apis.iter().cycle() {
        match api.upload(file.clone(), key).await {
            Ok(job) => return Ok(job),
            Err(error) if start.elapsed() > STUCK => return Err(error),
            Err(_) => sleep(Duration::from_millis(200)).await,
        }
    }
    bail!("there is no web node")
}

/// Listens as a tab does, to whichever node is there, until the job ends.
async fn listen(apis: &[Api], since: Since, job: Job, first: usize) -> anyhow::Result<Page> {
    let mut page = Page::new(since, job);
    for n in 0.. {
        let api = &apis[first.wrapping_add(n) % apis.len()];
        let heard = async {
            let mut stream = Stream::open(api, page.since.clone()).await?;
            loop {
                // Cut again and again, whatever else fails.
                let frame = timeout(Duration::from_secs(3), stream.next()).await??.frame;
                let lost = matches!(frame, ServerFrame::Welcome { recovered: false, .. });
                page.apply(frame);
                if lost {
                    page.refetch(api).await?;
                }
                if page.ended() {
                    return Ok::<_, anyhow::Error>(());
                }
            }
        };
        if heard.await.is_ok() {
            return Ok(page);
        }
        sleep(Duration::from_millis(100)).await;
    }
    Ok(page)
}

/// Waits for the job's end as long as it gets on.
async fn until_ended(apis: &[Api], job: JobId) -> anyhow::Result<()> {
    let mut progress = (Instant::now(), u32::MAX);
    for api in apis.iter().cycle() {
        if let Ok(found) = api.job(job).await {
            if found.state != JobState::Running {
                return Ok(());
            }
            if found.counts.open != progress.1 {
                progress = (Instant::now(), found.counts.open);
            }
        }
        ensure!(progress.0.elapsed() < STUCK, "{} items don't come to an end", progress.1);
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
