//! Uploads products with variants to a real Vendure through the channel file that we ship,
//! twice with different prices, while answers are lost and workers are killed. Vendure's own
//! API decides whether each product is there once and whole.
//!
//! | module | content |
//! | --- | --- |
//! | [`catalogue`] | the products and their prices in either file |
//! | [`objections`] | what is wrong with what Vendure stores |

mod catalogue;
mod objections;

use crate::{
    host::HostInfo,
    report::{Report, format_duration},
    worker_kills,
};
use anyhow::{Context, ensure};
use catalogue::{Catalogue, Edition};
use contract::{api::Job, state::TaskState};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};
use testbed::{
    ApiClient, Cluster, ClusterConfig, ClusterOptions, Proxy, SandboxConfig, VENDURE_PASSWORD,
    VENDURE_USER, Vendure,
};
use tokio::time::sleep;

/// The file as it is shipped.
const CHANNEL_FILE: &str = include_str!("../../../deploy/channels/vendure.toml");
/// Id of the channel, by the name of its file.
const CHANNEL: &str = "vendure";
const WORKERS: usize = 2;
/// Lease of a claim, s. Half of it is the time limit of a request, and five sixths that of an
/// attempt: a Vendure on a busy host takes seconds to answer, and what is cut off costs an
/// attempt.
const LEASE_S: u32 = 20;
/// Factor that divides the back-offs, which are up to 10 minutes; nothing else depends on it,
/// because no channel is simulated. The longest one and the lease of a killed worker together
/// must stay below the time after which a job without progress counts as stuck, 3 minutes.
const BACKOFF_DIVISOR: f64 = 5.0;
/// Number of answers that arrive between two that are lost. With fewer, an item may use up its
/// attempts by chance.
const ANSWERS_BETWEEN_LOSSES: std::ops::Range<u32> = 10..40;
const POLL_INTERVAL: Duration = Duration::from_millis(20);

#[derive(clap::Args)]
pub struct VendureUpload {
    #[arg(long, default_value_t = 100)]
    products: usize,
    /// Kills during each of the two uploads.
    #[arg(long, default_value_t = 4)]
    kills: u32,
    /// Seed of the moments; random by default.
    #[arg(long)]
    seed: Option<u64>,
}

impl VendureUpload {
    pub async fn run(self, binary: &Path) -> anyhow::Result<Report> {
        let seed = self.seed.unwrap_or_else(rand::random);
        eprintln!("seed {seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        let start = Instant::now();
        let vendure = Vendure::start().await?;
        let started = format_duration(start.elapsed());
        let proxy = Proxy::start(vendure.port()).await?;
        let channels = tempfile::tempdir()?;
        std::fs::write(channels.path().join("vendure.toml"), filled_in(proxy.port)?)?;
        let mut cluster = start_cluster(binary, channels.path(), seed).await?;
        let api = cluster.signed_in_clients().await?.remove(0);
        let catalogue = Catalogue { products: self.products };
        let title = format!(
            "vendure: {} products with {} variants each uploaded twice, with other prices the \
             second time; answers lost, {WORKERS} workers, {} kills during each upload, seed {seed}",
            self.products,
            Catalogue::VARIANTS,
            self.kills
        );
        let mut report = Report::new(title, HostInfo::collect(cluster.folder()));
        report.add_figure("start of Vendure", started, None);
        let mut ids = BTreeMap::new();
        for edition in [Edition::First, Edition::Second] {
            let job = self
                .upload(&mut cluster, &api, &proxy, catalogue, edition, &mut rng, &mut report)
                .await?;
            check_items(&api, &job, catalogue, edition, &mut report).await?;
            check_stored(&vendure, catalogue, edition, &mut ids, &mut report).await?;
        }
        let lost = proxy.lost_responses();
        report.add_check("answers were lost", lost > 0, lost.to_string());
        Ok(report)
    }

    /// Uploads one edition while answers are lost and workers are killed.
    #[allow(clippy::too_many_arguments)]
    async fn upload(
        &self,
        cluster: &mut Cluster,
        api: &ApiClient,
        proxy: &Proxy,
        catalogue: Catalogue,
        edition: Edition,
        rng: &mut StdRng,
        report: &mut Report,
    ) -> anyhow::Result<Job> {
        let (start, lost_before) = (Instant::now(), proxy.lost_responses());
        let mut moments = StdRng::seed_from_u64(rng.random());
        let job = api.upload_to_channels(CHANNEL, catalogue.csv(edition), edition.name()).await?;
        let lose_answers = async {
            loop {
                let lost = proxy.lost_responses();
                proxy.lose_response(moments.random_range(ANSWERS_BETWEEN_LOSSES));
                while proxy.lost_responses() == lost {
                    sleep(POLL_INTERVAL).await;
                }
            }
        };
        let kills = tokio::select! {
            kills = worker_kills::kill_during(cluster, api, &job, self.kills, rng) => kills,
            () = lose_answers => Ok(String::new()),
        };
        let kills = match kills {
            Ok(kills) => kills,
            Err(error) => {
                let open = describe_open_items(api, &job).await?;
                return Err(error.context(format!("{open}\n{}", cluster.log_tails(20))));
            }
        };
        let name = edition.name();
        let lost = proxy.lost_responses() - lost_before;
        report.add_figure(format!("{name} upload"), format_duration(start.elapsed()), None);
        report.add_figure(format!("{name} upload: lost answers"), lost.to_string(), None);
        report.add_figure(format!("{name} upload: kills"), kills, None);
        api.job(job.id).await
    }
}

/// Returns the shipped file as a person fills it in for a Vendure in their own network.
fn filled_in(port: u16) -> anyhow::Result<String> {
    let mut text = CHANNEL_FILE.to_owned();
    for (shipped, filled_in) in [
        (
            r#"base_url = "{{ settings.url }}""#,
            "base_url = \"{{ settings.url }}\"\nprivate_address = true".to_owned(),
        ),
        (r#"url = "https://shop.example""#, format!("url = \"http://127.0.0.1:{port}\"")),
        (r#"user = "meanwhile@shop.example""#, format!("user = \"{VENDURE_USER}\"")),
    ] {
        ensure!(text.contains(shipped), "the shipped file has no line {shipped}");
        text = text.replacen(shipped, &filled_in, 1);
    }
    Ok(text)
}

async fn start_cluster(binary: &Path, channels: &Path, seed: u64) -> anyhow::Result<Cluster> {
    let config = ClusterConfig {
        web: 1,
        workers: WORKERS,
        lease_s: LEASE_S,
        small_disk: false,
        sandbox_config: SandboxConfig { speed: BACKOFF_DIVISOR, seed, faults: false },
    };
    let env = vec![
        ("MEANWHILE_CHANNELS", channels.display().to_string()),
        ("MEANWHILE_VENDURE_PASSWORD", VENDURE_PASSWORD.to_owned()),
    ];
    Cluster::start_with(binary, config, ClusterOptions { env, ..ClusterOptions::default() }).await
}

/// Returns what the items say that have not finished, attempt by attempt.
async fn describe_open_items(api: &ApiClient, job: &Job) -> anyhow::Result<String> {
    let tasks = api.tasks(job.id).await?;
    let mut open = Vec::new();
    for task in tasks.iter().filter(|task| !task.state.is_terminal()) {
        let attempts = api.task(task.id).await?.attempts;
        let outcomes = attempts.into_iter().map(|attempt| attempt.outcome.message);
        let outcomes: Vec<_> = outcomes.collect();
        open.push(format!("{}: {}, {}", task.key, task.state, outcomes.join(" ")));
    }
    Ok(open.join("\n"))
}

/// Checks that each item says that it did what had to be done.
async fn check_items(
    api: &ApiClient,
    job: &Job,
    catalogue: Catalogue,
    edition: Edition,
    report: &mut Report,
) -> anyhow::Result<()> {
    let tasks = api.tasks(job.id).await?;
    let is_right = |task: &&contract::api::Task| {
        task.state == TaskState::Succeeded && task.effect == Some(edition.effect())
    };
    let right = tasks.iter().filter(is_right).count();
    let detail = match tasks.iter().find(|task| !is_right(task)) {
        None => format!("{right} items: {}", edition.effect().as_str()),
        Some(wrong) => {
            let message = wrong.outcome.as_ref().map_or("", |outcome| &outcome.message);
            let (state, effect) = (wrong.state, wrong.effect);
            format!("{right} are; {} is {state}, {effect:?}: {message}", wrong.key)
        }
    };
    let what = format!("{} upload: all items are {}", edition.name(), edition.effect().as_str());
    report.add_check(what, right == catalogue.products && tasks.len() == right, detail);
    let again = tasks.iter().filter(|task| task.attempt > 1).count();
    let most = tasks.iter().map(|task| task.attempt).max().context("no items")?;
    let figure = format!("{again} items, at most {most}");
    report.add_figure(format!("{} upload: more than one attempt", edition.name()), figure, None);
    Ok(())
}

/// Checks what Vendure's API lists. `ids` are those of the upload before, and become those of
/// this one.
async fn check_stored(
    vendure: &Vendure,
    catalogue: Catalogue,
    edition: Edition,
    ids: &mut BTreeMap<String, Vec<String>>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let name = edition.name();
    let products = vendure.products().await?;
    let groups = vendure.count_option_groups().await?;
    let variants: usize = products.iter().map(|product| product.variants.len()).sum();
    let unfinished = products.iter().filter(|product| !product.enabled).count();
    let counts = format!(
        "{} products, {unfinished} of them unfinished, {variants} variants, {groups} option groups",
        products.len()
    );
    let expected_groups = catalogue.products * Catalogue::OPTIONS;
    report.add_check(
        format!("{name} upload: nothing is doubled"),
        products.len() == catalogue.products
            && variants == catalogue.products * Catalogue::VARIANTS
            && usize::try_from(groups)? == expected_groups,
        counts,
    );
    let objections = objections::find(catalogue, edition, &products);
    let detail = match objections.first() {
        None => format!("{} products, as the file has them", products.len()),
        Some(first) => format!("{} products are wrong, such as {first}", objections.len()),
    };
    report.add_check(format!("{name} upload: nothing is half made"), objections.is_empty(), detail);
    let ids_before = std::mem::replace(ids, objections::ids(&products));
    if edition == Edition::Second {
        let kept = ids_before == *ids;
        let detail = if kept { "the same ids as before" } else { "ids have changed" };
        report.add_check("second upload: nothing is replaced", kept, detail);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_file_can_be_filled_in() {
        let text = filled_in(1234).unwrap();
        assert!(text.contains("url = \"http://127.0.0.1:1234\""), "{text}");
    }
}
