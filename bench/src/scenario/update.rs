//! Uploads the same products twice, half of them with another price, to all channels,
//! while workers are killed. The channels' own records decide whether the first upload
//! created each product once, and the second changed those with another price only.
//!
//! | module | content |
//! | --- | --- |
//! | [`catalogue`] | the products and their prices in either file |
//! | [`effects`] | what an upload changed, by the ledger and by what the job says |

mod catalogue;
mod effects;

use crate::{
    audit::{self, outcomes::AllowedOutcomes},
    host::HostInfo,
    report::Report,
    worker_kills,
};
use catalogue::{Catalogue, Edition};
use contract::api::{Job, Task};
use effects::{EffectCounts, LedgerEffects};
use futures_util::future::try_join_all;
use rand::{SeedableRng, rngs::StdRng};
use sandbox::ChannelApi;
use std::{collections::BTreeMap, path::Path, time::Duration};
use testbed::{
    ApiClient, Cluster,
    api::{CHANNEL_COUNT, ServiceRecord},
};
use tokio::time::{MissedTickBehavior, interval};

/// Share of a channel's rate at which its products are read afterwards.
const READ_RATE: f64 = 0.9;

#[derive(clap::Args)]
pub struct RepeatedUpload {
    #[arg(long, default_value_t = 500)]
    products: usize,
    /// Kills during each of the two uploads.
    #[arg(long, default_value_t = 4)]
    kills: u32,
    #[arg(long, default_value_t = 10.0)]
    speed: f64,
    /// Seed of the moments; random by default.
    #[arg(long)]
    seed: Option<u64>,
}

impl RepeatedUpload {
    pub async fn run(self, binary: &Path) -> anyhow::Result<Report> {
        let seed = self.seed.unwrap_or_else(rand::random);
        eprintln!("seed {seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        let mut cluster = worker_kills::start_cluster(binary, self.speed, seed, None).await?;
        let api = cluster.signed_in_clients().await?.remove(0);
        let title = format!(
            "update: {} products × {CHANNEL_COUNT} uploaded twice, half of the prices changed, at \
             speed {}; 2 workers, {} kills during each upload, seed {seed}",
            self.products, self.speed, self.kills
        );
        let mut report = Report::new(title, HostInfo::collect(cluster.folder()));
        let catalogue = Catalogue { products: self.products };
        for edition in [Edition::First, Edition::Second] {
            self.upload(&mut cluster, &api, catalogue, edition, &mut rng, &mut report).await?;
        }
        self.check_stored_products(&api, catalogue, &mut report).await?;
        Ok(report)
    }

    /// Uploads one edition while workers are killed, and compares what the channels
    /// recorded with what was to happen and with what the job says.
    async fn upload(
        &self,
        cluster: &mut Cluster,
        api: &ApiClient,
        catalogue: Catalogue,
        edition: Edition,
        rng: &mut StdRng,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let before = count_effects_by_channel(&api.ledger().await?);
        let job = api.upload(catalogue.csv(edition), edition.name()).await?;
        let kills = worker_kills::kill_during(cluster, api, &job, self.kills, rng).await?;
        report.add_figure("kills", kills, None);
        let (job, tasks) = (api.job(job.id).await?, api.tasks(job.id).await?);
        let effects = LedgerEffects::since(&api.ledger().await?, &before);
        compare(catalogue, edition, &effects, &job, &tasks, report);
        audit::check_items(api, job.id, self.products, AllowedOutcomes::default(), report).await
    }

    /// Checks that each channel stores one product for each SKU, with its second price.
    async fn check_stored_products(
        &self,
        api: &ApiClient,
        catalogue: Catalogue,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let channels = sandbox::SAMPLE_CHANNELS.iter();
        let wrong = channels.map(|channel| async move {
            let period = 1.0 / (channel.request_limit().per_second * self.speed * READ_RATE);
            let mut pace = interval(Duration::from_secs_f64(period));
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut wrong = Vec::new();
            for number in catalogue.numbers() {
                pace.tick().await;
                let sku = catalogue.sku(number);
                let stored = match channel.api {
                    ChannelApi::Rest => api.stored_products(channel.id, &sku).await?,
                    ChannelApi::GraphQl => api.stored_graphql_products(channel.id, &sku).await?,
                };
                wrong.extend(catalogue.objection(number, &stored));
            }
            anyhow::Ok((channel.id, wrong))
        });
        for (channel, wrong) in try_join_all(wrong).await? {
            let detail = match wrong.first() {
                None => {
                    format!("{} SKUs with one product each, at the second price", self.products)
                }
                Some(first) => format!("{} SKUs are wrong, such as {first}", wrong.len()),
            };
            report.add_check(format!("products stored by {channel}"), wrong.is_empty(), detail);
        }
        Ok(())
    }
}

/// Reports what the channels recorded beside what the job and its items say, and checks
/// that both are what had to happen.
fn compare(
    catalogue: Catalogue,
    edition: Edition,
    effects: &LedgerEffects,
    job: &Job,
    tasks: &[Task],
    report: &mut Report,
) {
    let name = edition.name();
    let recorded: Vec<_> =
        job.channels.iter().map(|id| (id, effects.count(id, catalogue.skus()))).collect();
    report.add_note(EffectCounts::table_header());
    for (channel, recorded) in &recorded {
        let reported = EffectCounts::of_tasks(channel, tasks);
        report.add_note(recorded.table_row(&reported, &format!("{name} upload, {channel}")));
    }
    let (total, reported) =
        (recorded.iter().map(|(_, counts)| *counts).sum(), EffectCounts::of_job(&job.counts));
    report.add_note(EffectCounts::table_row(&total, &reported, &format!("{name} upload, job")));

    let expected = catalogue.expected_effects(edition);
    for (channel, recorded) in &recorded {
        let detail = format!("{recorded}; expected {expected}");
        let what = format!("{name} upload: ledger of {channel}");
        report.add_check(what, *recorded == expected, detail);
    }
    let what = format!("{name} upload: counters are the ledger's");
    report.add_check(what, reported == total, format!("{reported}; ledger {total}"));
    let disagreements = effects.disagreements(tasks);
    let detail = match disagreements.first() {
        None => format!("{} items", tasks.len()),
        Some(first) => format!("{} items don't, such as {first}", disagreements.len()),
    };
    let what = format!("{name} upload: items agree with ledger");
    report.add_check(what, disagreements.is_empty(), detail);
}

fn count_effects_by_channel(ledger: &BTreeMap<String, ServiceRecord>) -> BTreeMap<String, usize> {
    ledger.iter().map(|(channel, record)| (channel.clone(), record.effects.len())).collect()
}
