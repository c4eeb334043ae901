//! Finds requests that were sent although their channel's cooldown was known.
//!
//! Requests are already on their way between a 429 and the moment at which the
//! system knows of it, and can't be called back. The cooldown is known when the
//! attempt that received the 429 has ended, because the limiter learns of it
//! before that. A request that arrives more than [`IN_FLIGHT_MS`] after that
//! end is a violation.

use contract::JobId;
use std::collections::BTreeMap;
use testbed::{ApiClient, api::RecordedRequest};

/// Maximum time between a worker's last check of the limiter and the arrival of
/// its request at the channel, on a busy host, in ms.
const IN_FLIGHT_MS: i64 = 250;

/// Ends of the attempts that received a 429, by channel, in UTC ms by the
/// database's clock, which is the host's.
pub type KnownCooldowns = BTreeMap<String, Vec<i64>>;

/// Returns the cooldowns that the attempts of `jobs` learned of.
pub async fn known_cooldowns(api: &ApiClient, jobs: &[JobId]) -> anyhow::Result<KnownCooldowns> {
    let mut known = KnownCooldowns::new();
    for &job in jobs {
        for task in api.tasks(job).await? {
            let attempts = api.task(task.id).await?.attempts;
            let rate_limited = attempts.iter().filter(|attempt| attempt.outcome.code == "http_429");
            let channel = known.entry(task.channel.unwrap_or_default()).or_default();
            channel.extend(rate_limited.map(|attempt| attempt.ended_at));
        }
    }
    Ok(known)
}

/// Returns for each violation the time since its channel's cooldown was known,
/// in ms.
pub fn violations<'a>(
    requests: impl IntoIterator<Item = &'a RecordedRequest>,
    known: &[i64],
) -> Vec<i64> {
    let late = |request: &RecordedRequest| {
        let since = request.at_ms - request.cooldown_age_ms?;
        let known = known.iter().copied().filter(|known| *known >= since).min()?;
        Some(request.at_ms - known).filter(|late| *late > IN_FLIGHT_MS)
    };
    requests.into_iter().filter_map(late).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(at_ms: i64, cooldown_age_ms: Option<i64>) -> RecordedRequest {
        RecordedRequest { at_ms, cooldown_age_ms, ..RecordedRequest::default() }
    }

    #[test]
    fn requests_after_a_known_cooldown_are_violations() {
        // The cooldown began at 10,000 and was known at 10,080, and again at 11,000.
        let (known, first) = ([11_000, 10_080, 9_000], 10_000);
        let requests = [10_050, 10_100, 10_330, 10_331, 10_900]
            .map(|at| request(at, Some(at - first)))
            .into_iter()
            .chain([request(12_000, None)]);
        let requests: Vec<_> = requests.collect();
        assert_eq!(violations(&requests, &known), [251, 820]);
        // The worker that received the 429 was killed before its attempt ended.
        assert!(violations(&requests, &[9_000]).is_empty());
    }
}
