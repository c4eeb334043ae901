//! Measures how much of a service's own limit is used where only its answers say what it is: in
//! points, as Shopify's, and by `X-RateLimit-*` headers that allow less than the channel's file.
//! The ledger of the services decides.

use crate::{host::HostInfo, report::Report};
use anyhow::{Context, ensure};
use sandbox::{ChannelApi, ChannelProfile, RateLimit, RetryAfterFormat, Sandbox};
use std::{net::Ipv4Addr, path::Path, time::Duration};
use testbed::{SandboxConfig, ServerProcess, api::product_csv};
use tokio::time::sleep;

/// Share of the limit in points that has to be used.
const MIN_POINTS_USED: f64 = 0.90;
/// Share of the limit in requests that has to be used.
const MIN_REQUESTS_USED: f64 = 0.95;
/// Time until what was saved up at the start has been used, and what the services say is known.
const WARM_UP: Duration = Duration::from_secs(15);

/// A service whose answers say less than its file, and requests of about half a second.
const METERED: ChannelProfile = ChannelProfile {
    id: "metered",
    name: "Metered",
    api: ChannelApi::Rest,
    rate: RateLimit { per_second: 1.0, burst: 4 },
    latency: Duration::from_millis(500),
    latency_spread: Duration::from_millis(200),
    idempotency_keys: false,
    rejects_duplicate_skus: false,
    retry_after_format: RetryAfterFormat::Seconds,
    rate_limit_headers: true,
};

/// What the file of [`METERED`] has instead of that of Corner, which has the same API.
const METERED_LINES: [(&str, &str); 3] = [
    ("name = \"Corner\"", "name = \"Metered\""),
    ("concurrency = 27", "concurrency = 8"),
    (
        "latency = 10",
        "latency = 0.5\n\
         left = \"headers['x-ratelimit-remaining'] | float\"\n\
         refill = \"(headers['x-ratelimit-limit'] | float) / 60\"",
    ),
];
/// What the file of Depot has here: a rate that is far above the limit.
const DEPOT_LINES: [(&str, &str); 1] = [("rate = 2.8", "rate = 20")];

#[derive(clap::Args)]
pub struct LearnedPace {
    /// Duration of the measurement after the warm-up, s.
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u64).range(10..))]
    seconds: u64,
}

impl LearnedPace {
    pub async fn run(self, binary: &Path) -> anyhow::Result<Report> {
        let folder = tempfile::tempdir()?;
        let depot = sandbox::SAMPLE_CHANNELS.iter().find(|channel| channel.id == "depot");
        let profiles = [METERED, *depot.context("there is no Depot")?];
        let services = Sandbox::start(sandbox::Options {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            ledger: folder.path().join("sandbox.jsonl"),
            speed: 1.0,
            seed: 1,
            faults: false,
            latency: None,
            channels: profiles.to_vec(),
        })
        .await?;
        let files = folder.path().join("channels");
        std::fs::create_dir(&files)?;
        for (id, base, lines) in
            [("metered", "corner", &METERED_LINES[..]), ("depot", "depot", &DEPOT_LINES)]
        {
            let text = channel_file(base, lines, &services.channel_url(id))?;
            std::fs::write(files.join(format!("{id}.toml")), text)?;
        }
        let env = [("MEANWHILE_CHANNELS", files.display().to_string())];
        let config = SandboxConfig::without_faults(1.0);
        let server = ServerProcess::start_with(binary, config, &env, &[]).await?;
        let title = format!("pace: {} s at limits that only answers tell", self.seconds);
        let mut report = Report::new(title, HostInfo::collect(server.folder()));
        // Enough for every service, which costs at least 14 points or two requests a product.
        let products = usize::try_from((self.seconds + WARM_UP.as_secs()) * 3)?;
        let csv = product_csv(products);
        let job = server.api.upload_to_channels("depot,metered", csv, "pace").await?;
        sleep(WARM_UP + Duration::from_secs(self.seconds)).await;
        let ledger = services.ledger();
        let open = server.api.job(job.id).await?.counts.open;
        ensure!(open > 0, "the products were too few");
        for profile in &profiles {
            let record = ledger.get(profile.id).context("a service has no ledger")?;
            let usage = Usage::of(profile, &record.requests, self.seconds);
            usage.report(profile, &mut report);
        }
        Ok(report)
    }
}

/// Returns the file of a channel of the sandbox with other lines.
fn channel_file(base: &str, lines: &[(&str, &str)], url: &str) -> anyhow::Result<String> {
    let name = format!("{base}.toml");
    let file = sandbox::CHANNEL_FILES.iter().find(|(file, _)| *file == name);
    let (_, text) = file.with_context(|| format!("there is no {name}"))?;
    let mut text = (*text).to_owned();
    let shipped_url = sandbox::channel_url("http://127.0.0.1:9000", base);
    for (shipped, own) in lines.iter().copied().chain([(shipped_url.as_str(), url)]) {
        ensure!(text.contains(shipped), "{name} has no {shipped}");
        text = text.replacen(shipped, own, 1);
    }
    Ok(text)
}

/// What a service's ledger says about the use of its limit.
#[derive(Debug, PartialEq)]
struct Usage {
    /// Used share of the limit, after the warm-up.
    share: f64,
    requests: usize,
    /// Number of requests over the limit, and the most of them in a row, from the start.
    refusals: usize,
    refusals_in_a_row: usize,
}

impl Usage {
    /// Evaluates the requests of a service; `seconds` are measured after the warm-up.
    #[allow(clippy::cast_precision_loss)]
    fn of(profile: &ChannelProfile, requests: &[sandbox::Request], seconds: u64) -> Self {
        let start = requests.first().map_or(0, |request| request.at_ms);
        let warm_up = u64::try_from(WARM_UP.as_millis()).unwrap_or(u64::MAX);
        let window = start + warm_up..start + warm_up + seconds * 1_000;
        let measured = requests.iter().filter(|request| window.contains(&request.at_ms));
        let used: f64 = measured
            .filter(|request| !request.over_limit)
            .map(|request| request.cost.map_or(1.0, f64::from))
            .sum();
        let mut in_a_row = 0;
        let rows = requests.iter().map(|request| {
            in_a_row = if request.over_limit { in_a_row + 1 } else { 0 };
            in_a_row
        });
        Self {
            refusals_in_a_row: rows.max().unwrap_or_default(),
            share: used / (profile.rate.per_second * seconds as f64),
            requests: requests.len(),
            refusals: requests.iter().filter(|request| request.over_limit).count(),
        }
    }

    fn report(&self, profile: &ChannelProfile, report: &mut Report) {
        let Self { share, requests, refusals, refusals_in_a_row } = self;
        let (id, percent) = (profile.id, share * 100.0);
        let RateLimit { per_second, burst } = profile.rate;
        let (unit, least, is_kept, bound) = match profile.api {
            ChannelApi::Rest => ("requests", MIN_REQUESTS_USED, *refusals == 0, "none"),
            ChannelApi::GraphQl => {
                ("points", MIN_POINTS_USED, *refusals_in_a_row <= 1, "never two in a row")
            }
        };
        report.add_figure(
            format!("{id}: used of {per_second} {unit} a second, {burst} at once"),
            format!("{percent:.1} %"),
            None,
        );
        let label = format!("{id}: at least {:.0} % of the limit used", least * 100.0);
        report.add_check(label, *share >= least, format!("{percent:.1} %"));
        let detail = format!("{refusals} of {requests} requests, {refusals_in_a_row} in a row");
        report.add_check(format!("{id}: refusals ({bound})"), is_kept, detail);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(at_ms: u64, over_limit: bool, cost: Option<u32>) -> sandbox::Request {
        sandbox::Request {
            at_ms,
            key: None,
            sku: None,
            status: Some(200),
            error: None,
            cost,
            over_limit,
            during_cooldown: false,
            cooldown_age_ms: None,
            connection_dropped: false,
            action: "Set".into(),
            traceparent: None,
        }
    }

    #[test]
    fn the_files_of_the_services_can_be_made() {
        for (base, lines) in [("corner", &METERED_LINES[..]), ("depot", &DEPOT_LINES)] {
            let text = channel_file(base, lines, "http://127.0.0.1:1/x").unwrap();
            assert!(text.contains("url = \"http://127.0.0.1:1/x\""), "{text}");
            assert!(text.contains("\nleft = ") && text.contains("\nrefill = "), "{text}");
        }
    }

    #[test]
    fn usage_is_that_after_the_warm_up_and_refusals_are_those_of_the_whole_time() {
        let after = u64::try_from(WARM_UP.as_millis()).unwrap();
        let requests = [
            request(1_000, true, None),
            request(1_100, true, None),
            request(1_000 + after, false, Some(120)),
            request(2_000 + after, true, None),
            request(3_000 + after, false, Some(5)),
            request(11_000 + after, false, Some(100)),
        ];
        let depot = sandbox::SAMPLE_CHANNELS.iter().find(|channel| channel.id == "depot");
        let usage = Usage::of(depot.unwrap(), &requests, 10);
        assert_eq!(usage, Usage { share: 0.5, requests: 6, refusals: 3, refusals_in_a_row: 2 });
    }
}
