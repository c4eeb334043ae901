//! Requests that came although their channel was known to be closed.
//!
//! From the moment of a 429 until the system knows of it requests are on
//! their way, and nobody can call them back. It is known when the attempt
//! that heard it has ended: the gate is told before. So a request disobeys
//! when it comes later than that by more than [`ON_ITS_WAY`].

use crate::api::{Api, Request};
use contract::JobId;
use std::collections::BTreeMap;

/// From a worker's last question to the gate until the request is at the
/// channel, on a machine that has other things to do, ms.
const ON_ITS_WAY: i64 = 250;

/// By channel: ends of the attempts that heard a 429, UTC ms by the
/// database's clock, which is this machine's.
pub type Known = BTreeMap<String, Vec<i64>>;

/// What these jobs' attempts heard.
pub async fn known(api: &Api, jobs: &[JobId]) -> anyhow::Result<Known> {
    let mut known = Known::new();
    for &job in jobs {
        for task in api.tasks(job).await? {
            let attempts = api.task(task.id).await?.attempts;
            let heard = attempts.iter().filter(|attempt| attempt.outcome.code == "http_429");
            let channel = known.entry(task.channel.unwrap_or_default()).or_default();
            channel.extend(heard.map(|attempt| attempt.ended_at));
        }
    }
    Ok(known)
}

/// How late each request came that disobeyed: ms since its channel's closing
/// was known.
pub fn disobeyed<'a>(requests: impl IntoIterator<Item = &'a Request>, known: &[i64]) -> Vec<i64> {
    let late = |request: &Request| {
        let since = request.at_ms - request.closed_for_ms?;
        let known = known.iter().copied().filter(|known| *known >= since).min()?;
        Some(request.at_ms - known).filter(|late| *late > ON_ITS_WAY)
    };
    requests.into_iter().filter_map(late).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(at_ms: i64, closed_for_ms: Option<i64>) -> Request {
        Request { at_ms, closed_for_ms, ..Request::default() }
    }

    #[test]
    fn who_comes_after_a_closing_was_known_disobeys() {
        // Closed at 10,000; known at 10,080, and again at 11,000.
        let (known, first) = ([11_000, 10_080, 9_000], 10_000);
        let requests = [10_050, 10_100, 10_330, 10_331, 10_900]
            .map(|at| request(at, Some(at - first)))
            .into_iter()
            .chain([request(12_000, None)]);
        let requests: Vec<_> = requests.collect();
        assert_eq!(disobeyed(&requests, &known), [251, 820]);
        // Whoever heard it was killed before it could tell.
        assert!(disobeyed(&requests, &[9_000]).is_empty());
    }
}
