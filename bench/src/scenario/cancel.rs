//! Cancels uploads at random moments, while another upload is running, answers are lost
//! and workers are killed, and compares what each item says with the channels' own ledger.
//!
//! | module | content |
//! | --- | --- |
//! | [`products`] | the products of a round, some of which lose their answer |
//! | [`round`] | a round: two launches, a cancel and sometimes a kill |
//! | [`contradictions`] | items that say something else than the ledger |
//! | [`requests`] | what happened to one item, in order |

mod contradictions;
mod products;
mod requests;
mod round;

use crate::{
    audit::outcomes::ChannelEvidence, host::HostInfo, progress::wait_until_finished,
    report::Report, worker_kills,
};
use contract::state::TaskState;
use contradictions::{Contradiction, contradiction, misreported_effect};
use rand::{SeedableRng, rngs::StdRng};
use requests::{count_lost_answers, describe_item};
use round::{CancelRound, CancelledUpload};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::{Duration, Instant},
};
use testbed::{
    ApiClient,
    api::{CHANNEL_COUNT, ServiceRecord},
};
use tokio::time::sleep;

/// Latency of the slowest channel at speed 1, s.
const MAX_LATENCY_S: f64 = 10.0;
/// Time in addition to its latency that a call may take on its way, at speed 1, s.
const CALL_OVERHEAD_S: f64 = 5.0;
/// The cancelled items of every so many rounds are launched again.
const RETRY_INTERVAL: u64 = 5;
/// Number of contradictions of one kind that are described in full.
const DESCRIBED_ITEMS: usize = 3;

#[derive(clap::Args)]
pub struct Cancellations {
    #[arg(long, default_value_t = 50)]
    rounds: u64,
    /// Run only this round, counted from 0; with the same seed it has the same moments
    /// again.
    #[arg(long)]
    round: Option<u64>,
    /// Products of each of the two uploads of a round.
    #[arg(long, default_value_t = 24)]
    products: usize,
    /// A worker is killed in every so many rounds; in none with 0.
    #[arg(long, default_value_t = 5)]
    kill_interval: u64,
    #[arg(long, default_value_t = 10.0)]
    speed: f64,
    /// Latency of every product call at speed 1, s, in place of each channel's own. At speed
    /// 10 a worker waits 4 s for an answer, so that with 60 every answer comes too late.
    #[arg(long)]
    latency: Option<f64>,
    /// Seed of the moments; random by default.
    #[arg(long)]
    seed: Option<u64>,
}

impl Cancellations {
    pub async fn run(self, binary: &Path) -> anyhow::Result<Report> {
        let seed = self.seed.unwrap_or_else(rand::random);
        eprintln!("seed {seed}");
        let mut cluster =
            worker_kills::start_cluster(binary, self.speed, seed, self.latency).await?;
        let api = cluster.signed_in_clients().await?.remove(0);
        let title = format!(
            "cancel: uploads of {} × {CHANNEL_COUNT} cancelled while another one runs, at speed \
             {}; lost answers, 2 workers, one killed in every {} rounds, seed {seed}",
            self.products, self.speed, self.kill_interval
        );
        let mut report = Report::new(title, HostInfo::collect(cluster.folder()));
        let numbers = self.round.map_or(0..self.rounds, |number| number..number + 1);
        let (mut uploads, mut failed_checks) = (Vec::new(), Vec::new());
        for number in numbers {
            let start = Instant::now();
            let has_kill = self.kill_interval > 0 && (number + 1) % self.kill_interval == 0;
            let (products, latency) = (self.products, self.latency());
            let round = CancelRound { number, products, latency, has_kill };
            let mut rng = StdRng::seed_from_u64(seed.wrapping_add(number));
            let upload = round.run(&mut cluster, &api, &mut rng).await?;
            let evidence = ChannelEvidence::from_ledger(&api.ledger().await?);
            let found = upload.tasks.iter().filter_map(|task| contradiction(task, &evidence));
            eprintln!(
                "round {number}: {:.1} s, {}; {}; {} contradictions, {} failed checks",
                start.elapsed().as_secs_f64(),
                upload.moment,
                count_states(&[&upload]),
                found.count(),
                upload.failed_checks.len()
            );
            failed_checks.extend(upload.failed_checks.iter().cloned());
            uploads.push(upload);
        }
        // Calls that had not ended with their jobs must not have an effect afterwards either.
        sleep(self.longest_call()).await;
        let ledger = api.ledger().await?;
        report_items(&uploads, &ledger, &mut report);
        report_contradictions(&api, &uploads, &ledger, &mut report).await?;
        report.add_check(
            "others finish, counters equal the rows",
            failed_checks.is_empty(),
            failed_checks.first().map_or("in every round", String::as_str),
        );
        let again = uploads.iter().filter(|upload| upload.number.is_multiple_of(RETRY_INTERVAL));
        self.retry_cancelled_items(&api, again.collect(), &mut report).await?;
        Ok(report)
    }

    /// Returns the time within which a call has its effect that was in flight when its
    /// worker was killed or gave up.
    fn longest_call(&self) -> Duration {
        self.latency() + Duration::from_secs_f64(CALL_OVERHEAD_S / self.speed)
    }

    fn latency(&self) -> Duration {
        Duration::from_secs_f64(self.latency.unwrap_or(MAX_LATENCY_S) / self.speed)
    }

    /// Launches the cancelled items of some rounds again, and checks that each then has one
    /// product.
    async fn retry_cancelled_items(
        &self,
        api: &ApiClient,
        uploads: Vec<&CancelledUpload>,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let (mut items, mut jobs) = (BTreeSet::new(), Vec::new());
        for upload in uploads {
            if upload.cancelled_items().next().is_some() {
                api.retry_cancelled_tasks(upload.job).await?;
                jobs.push(upload);
                items.extend(upload.cancelled_items());
            }
        }
        for upload in &jobs {
            wait_until_finished(api, upload.job).await?;
        }
        sleep(self.longest_call()).await;
        let ledger = api.ledger().await?;
        let evidence = ChannelEvidence::from_ledger(&ledger);
        let mut wrong = Vec::new();
        for upload in &jobs {
            for task in api.tasks(upload.job).await? {
                let created = evidence.products_created(&task);
                let is_right = task.state == TaskState::Succeeded && created == 1;
                if items.contains(&task.id) && !is_right {
                    let attempts = api.task(task.id).await?.attempts;
                    let events = describe_item(&task, &attempts, &ledger, upload.launched_at_ms);
                    wrong.push(format!("{created} products: {events}"));
                }
            }
        }
        report.add_check(
            "launched again, cancelled items succeed",
            wrong.is_empty(),
            match wrong.first() {
                None => format!("{} items of {} rounds", items.len(), jobs.len()),
                Some(first) => {
                    format!("{} of {} items don't, such as {first}", wrong.len(), items.len())
                }
            },
        );
        Ok(())
    }
}

/// Counts the items of uploads by state, in a text.
fn count_states(uploads: &[&CancelledUpload]) -> String {
    let mut counts: BTreeMap<TaskState, usize> = BTreeMap::new();
    for task in uploads.iter().flat_map(|upload| &upload.tasks) {
        *counts.entry(task.state).or_default() += 1;
    }
    let texts = counts.iter().map(|(state, count)| format!("{count} {state}"));
    texts.collect::<Vec<_>>().join(", ")
}

/// Reports rounds, items by state, and by channel the items that need review.
fn report_items(
    uploads: &[CancelledUpload],
    ledger: &BTreeMap<String, ServiceRecord>,
    report: &mut Report,
) {
    let in_time: Vec<_> = uploads.iter().filter(|upload| upload.was_cancelled).collect();
    let kills = uploads.iter().filter(|upload| upload.killed_task_count.is_some()).count();
    let running: usize = uploads.iter().filter_map(|upload| upload.killed_task_count).sum();
    report.add_figure("rounds", uploads.len().to_string(), None);
    report.add_figure("cancelled before their end", in_time.len().to_string(), None);
    report.add_figure("workers killed", format!("{kills}, with {running} tasks running"), None);
    report.add_figure("items", count_states(&uploads.iter().collect::<Vec<_>>()), None);
    let tasks = || uploads.iter().flat_map(|upload| &upload.tasks);
    report.add_figure("answers lost", count_lost_answers(tasks(), ledger).to_string(), None);
    let late: usize = uploads.iter().map(CancelledUpload::count_done_after_cancel).sum();
    report.add_figure("ended after the cancel, not cancelled", late.to_string(), None);
    let unclear: Vec<_> = tasks().filter(|task| task.state == TaskState::NeedsReview).collect();
    for channel in sandbox::SAMPLE_CHANNELS {
        let of_channel = unclear.iter().filter(|task| task.channel.as_deref() == Some(channel.id));
        let count = of_channel.count();
        // Where a channel can be asked, nobody has to look.
        report.add_figure(
            format!("need review at {}", channel.id),
            count.to_string(),
            Some(("0", count == 0)),
        );
    }
}

/// Adds a check for each kind of contradiction between the items and the ledger, with what
/// happened to some of them.
async fn report_contradictions(
    api: &ApiClient,
    uploads: &[CancelledUpload],
    ledger: &BTreeMap<String, ServiceRecord>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let evidence = ChannelEvidence::from_ledger(ledger);
    let all = || {
        let tasks = |upload| move |task| (upload, task);
        uploads.iter().flat_map(move |upload| upload.tasks.iter().map(tasks(upload)))
    };
    let contradictions =
        all().filter_map(|(upload, task)| Some((upload, task, contradiction(task, &evidence)?)));
    let mut kinds: BTreeMap<Contradiction, Vec<_>> = BTreeMap::new();
    for (upload, task, kind) in contradictions {
        kinds.entry(kind).or_default().push((upload, task));
    }
    for (kind, items) in &kinds {
        report.add_check(format!("{kind}"), false, format!("{} items", items.len()));
        for (upload, task) in items.iter().take(DESCRIBED_ITEMS) {
            let attempts = api.task(task.id).await?.attempts;
            let events = describe_item(task, &attempts, ledger, upload.launched_at_ms);
            report.add_note(format!("  round {} ({}): {events}", upload.number, upload.moment));
        }
    }
    let count: usize = kinds.values().map(Vec::len).sum();
    let total = all().count();
    report.add_check("contradictions", count == 0, format!("{count} of {total} items"));

    let wrong: Vec<_> = all().filter_map(|(_, task)| misreported_effect(task, &evidence)).collect();
    let detail = match wrong.first() {
        None => "each success says that it created its product".to_owned(),
        Some(first) => format!("{} items, such as {first}", wrong.len()),
    };
    report.add_check("effects that items tell", wrong.is_empty(), detail);
    Ok(())
}
