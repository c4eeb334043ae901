//! The ledger in a few numbers.

use std::collections::HashSet;

use serde::Serialize;

use super::Kept;
use crate::clock::Micros;

const ON_ITS_WAY: Micros = 100_000;

/// `GET /ledger/summary`, of one service.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    pub requests: usize,
    /// Requests over the limit.
    pub over: usize,
    /// Requests that came before a Retry-After was over and 0.1 s or more after it was said: those
    /// of a client that did not obey, and not those that were on their way.
    pub while_closed: usize,
    /// Effects that made something.
    pub effects: usize,
    /// Those of them that made again what was there: a second product with a SKU.
    pub duplicate_effects: usize,
    /// Requests per second between the first and the last; none with fewer than two.
    pub rate_used: Option<f64>,
}

impl From<&Kept> for Summary {
    fn from(kept: &Kept) -> Self {
        let arrived = || kept.requests.iter().map(|(arrived, _)| arrived);
        let made = || kept.effects.iter().filter(|effect| effect.created);
        let mut there = HashSet::new();
        let duplicate_effects =
            made().filter(|effect| &*effect.action == "POST" && !there.insert(&effect.sku)).count();
        let span = arrived().next().zip(arrived().next_back());
        let rate_used = span.and_then(|(first, last)| {
            let seconds = last.at_us.saturating_sub(first.at_us) as f64 / 1e6;
            (seconds > 0.0).then(|| (kept.requests.len() - 1) as f64 / seconds)
        });
        Self {
            requests: kept.requests.len(),
            over: arrived().filter(|request| request.over).count(),
            while_closed: arrived()
                .filter(|request| request.closed_for_us >= Some(ON_ITS_WAY))
                .count(),
            effects: made().count(),
            duplicate_effects,
            rate_used,
        }
    }
}
