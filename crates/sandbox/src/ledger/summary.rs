//! Counts of the ledger.

use std::collections::HashSet;

use serde::Serialize;

use super::ServiceHistory;
use crate::clock::Micros;

/// Requests this early in a cooldown may have been on their way before the 429 arrived.
const IN_FLIGHT_GRACE: Micros = 100_000;

/// Counts of one service in `GET /ledger/summary`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServiceSummary {
    /// All requests.
    pub requests: usize,
    /// Requests over the limit.
    pub over_limit: usize,
    /// Requests that came before a Retry-After was over, and 0.1 s or more after it was sent: those
    /// of a client that did not obey, and not those that were on their way.
    pub during_cooldown: usize,
    /// Effects that created something.
    pub effects: usize,
    /// Effects that changed a stored product.
    pub updates: usize,
    /// Effects that created something again: a second product with the same SKU.
    pub duplicate_effects: usize,
    /// Requests per second between the first and the last; `None` with fewer than two.
    pub observed_rate: Option<f64>,
}

impl From<&ServiceHistory> for ServiceSummary {
    fn from(history: &ServiceHistory) -> Self {
        let requests = || history.requests.iter().map(|(request, _)| request);
        let created_effects = || history.effects.iter().filter(|effect| effect.created);
        let mut seen_skus = HashSet::new();
        let duplicate_effects = created_effects()
            .filter(|effect| {
                matches!(&*effect.action, "POST" | "Set") && !seen_skus.insert(&effect.sku)
            })
            .count();
        let span = requests().next().zip(requests().next_back());
        let observed_rate = span.and_then(|(first, last)| {
            let seconds = last.at_us.saturating_sub(first.at_us) as f64 / 1e6;
            (seconds > 0.0).then(|| (history.requests.len() - 1) as f64 / seconds)
        });
        Self {
            requests: history.requests.len(),
            over_limit: requests().filter(|request| request.over_limit).count(),
            during_cooldown: requests()
                .filter(|request| request.cooldown_age_us >= Some(IN_FLIGHT_GRACE))
                .count(),
            effects: created_effects().count(),
            updates: history.effects.iter().filter(|effect| effect.updated).count(),
            duplicate_effects,
            observed_rate,
        }
    }
}
