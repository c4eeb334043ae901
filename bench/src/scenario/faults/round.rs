//! One round: launch, fault, end, and what must hold.

use super::{
    fault::Fault,
    happen,
    kept::{self, kept},
    launch,
    listen::{self, CUTS, Heard, listen},
    machines::{self, Machines},
    scene::{Scene, Told},
};
use crate::{
    api::{
        Api, WIDTH,
        account::{CLOUDWATCH, EC2},
        csv_of,
    },
    audit::{self, over::Limit},
    cluster::Cluster,
    machine::Machine,
    report::Report,
    stream::Stream,
};
use anyhow::{Context, ensure};
use contract::{JobId, state::JobState};
use rand::{RngExt, rngs::StdRng};
use sandbox::Rate;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use tokio::time::{sleep, timeout};

/// A round that makes no progress for this long has lost something.
const STUCK: Duration = Duration::from_secs(180);
/// The longest pause between two attempts, at speed 1: nothing else may be
/// left to do meanwhile.
const BACK_OFF: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub products: usize,
    pub lease: Duration,
    pub speed: f64,
    /// What a request may be held up on its way.
    pub held_up: Duration,
}

impl Setting {
    /// None where the services' own count is the measure.
    fn limits(&self) -> BTreeMap<String, Limit> {
        let channels = sandbox::channels().iter().map(|spec| (spec.id, spec.rate));
        let account = [(EC2, sandbox::EC2_RATE), (CLOUDWATCH, sandbox::CLOUDWATCH_RATE)];
        let all = channels.chain(account).filter(|_| !self.held_up.is_zero());
        all.map(|(id, Rate { per_second, bucket })| {
            let limit = Limit { rate: per_second * self.speed, bucket, held_up: self.held_up };
            (id.to_owned(), limit)
        })
        .collect()
    }

    fn stuck(&self) -> Duration {
        STUCK + BACK_OFF.div_f64(self.speed)
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
    /// From the fault's end to the end of all jobs.
    pub recovered: Duration,
    /// What was measured besides, in words.
    pub figures: Vec<String>,
    /// What did not hold, in words.
    pub broken: Vec<String>,
}

impl Found {
    /// The round did not come to its end.
    pub fn stopped(why: String) -> Self {
        let (recovered, figures, broken) = (Duration::ZERO, Vec::new(), vec![why]);
        Self { items: 0, need_person: 0, recovered, figures, broken }
    }
}

impl Round {
    pub async fn run(&self, cluster: &mut Cluster, dice: &mut StdRng) -> anyhow::Result<Found> {
        let apis = cluster.apis().await?;
        let stopped = machines::stopped(&apis[0]).await?;
        let (before, known) = (apis[0].ledger_summary().await?, jobs(&apis[0]).await?);
        let (_, since) = Stream::at_head(&apis[0]).await?;
        let names = ["A", "B"].map(|batch| format!("{}{batch}", self.name));
        let mut files = names.clone().map(|name| csv_of(&name, self.setting.products));
        let more = self.fault.rows(&names[0]);
        let counts = [self.setting.products + more.lines().count(), self.setting.products];
        files[0].push_str(&more);
        let [first, second] = files;
        let report = Report::new("", Machine::of(cluster.folder()));
        let mut scene = Scene {
            cluster,
            apis: &apis,
            name: &self.name,
            lease: self.setting.lease,
            dice,
            must_try: Vec::new(),
            told: Vec::new(),
            report,
        };
        let lead = Machines::lead(scene.dice, self.setting.speed);
        let wait = Duration::from_millis(scene.dice.random_range(300..2_500));
        // On its own: whatever holds its launch up holds up nothing else.
        let machines = {
            let (apis, key) = (apis.clone(), format!("{}M", self.name));
            tokio::spawn(async move {
                sleep(wait.saturating_sub(lead)).await;
                Machines::launch(&apis, &key, stopped).await
            })
        };
        sleep(lead.saturating_sub(wait)).await;
        let batches = [
            launch::first(&mut scene, self.fault, first).await?,
            launch::launch(&apis, second, &names[1]).await?,
        ];
        let clients = batches.each_ref().map(|job| {
            let (apis, since, job) = (apis.clone(), since.clone(), job.clone());
            let (first, lives) = (scene.dice.random_range(0..2), listen::lives(scene.dice));
            tokio::spawn(async move { listen(&apis, since, job, first, lives).await })
        });
        sleep(wait).await;
        happen::happen(self.fault, &mut scene).await?;
        let mended = Instant::now();
        let machines = machines.await??;
        let Scene { cluster, must_try, told: more, mut report, .. } = scene;
        let told: Vec<_> = batches
            .iter()
            .zip(counts)
            .map(|(job, products)| Told::new(job.id, products))
            .chain(more)
            .collect();
        let ids: Vec<_> = told.iter().map(|told| told.job).chain([machines.job]).collect();
        for &job in &ids {
            self.until_ended(&apis, job).await?;
        }
        let recovered = mended.elapsed();
        happen::mend(cluster).await?;

        let mut need_person = 0;
        for job in &told {
            audit::items(&apis[0], job.job, job.products, job.allowed, &mut report).await?;
        }
        machines.check(&apis[0], &mut report).await?;
        for &job in &ids {
            need_person += apis[0].job(job).await?.counts.needs_person;
        }
        report.figure("need a person", need_person.to_string(), None);
        listed(&apis[0], &known, &ids, &mut report).await?;
        let mut cuts = Vec::new();
        for client in clients {
            let Heard { page, cuts: cut } =
                timeout(STUCK, client).await.context("a client hears no end")???;
            page.compare(&apis[1], &mut report).await?;
            cuts.push(cut);
        }
        let enough = cuts.iter().all(|cut| *cut >= CUTS);
        report.check("each client is cut off twice or more", enough, format!("{cuts:?} times"));
        report.figure("cuts", format!("{cuts:?}"), None);
        let launched = [batches[0].id, batches[1].id, machines.job];
        let tried = kept::tried(&apis[0], &launched).await?;
        kept::took_part(&must_try, &tried, &mut report);
        kept(self.fault, &apis[0], batches[0].id, &tried, &mut report).await?;
        audit::ledger_since(&apis[0], &before, &ids, &self.setting.limits(), &mut report).await?;
        let items: usize = told.iter().map(|told| told.products * WIDTH).sum();
        let items = items + Machines::steps();
        let (figures, broken) = (report.figures().collect(), report.broken().collect());
        Ok(Found { items, need_person, recovered, figures, broken })
    }

    /// Waits for the job's end as long as it gets on.
    async fn until_ended(&self, apis: &[Api], job: JobId) -> anyhow::Result<()> {
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
            let stuck = progress.0.elapsed() > self.setting.stuck();
            ensure!(!stuck, "{} items don't come to an end", progress.1);
            sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }
}

/// The newest jobs in the user's list.
async fn jobs(api: &Api) -> anyhow::Result<BTreeSet<JobId>> {
    Ok(api.jobs().await?.items.into_iter().map(|job| job.id).collect())
}

/// Whatever is new in the user's list a client was told of: no key has made
/// two jobs, and nothing that was refused is there.
async fn listed(
    api: &Api,
    known: &BTreeSet<JobId>,
    told: &[JobId],
    report: &mut Report,
) -> anyhow::Result<()> {
    let told: BTreeSet<_> = told.iter().copied().collect();
    let new: BTreeSet<_> = jobs(api).await?.difference(known).copied().collect();
    report.check(
        "jobs in the list = jobs told",
        new == told,
        format!("{} there, {} told", new.len(), told.len()),
    );
    Ok(())
}
