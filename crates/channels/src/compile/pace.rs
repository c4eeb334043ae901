//! `[pace]`: the limits of the service.

use super::Compiler;
use crate::{channel::Pace, file::PaceTable};
use std::{ops::RangeInclusive, time::Duration};

/// Lowest and highest rate, in requests per second.
const RATES: RangeInclusive<f64> = 0.001..=10_000.0;
/// Maximum number of requests in flight.
const MAX_CONCURRENCY: i64 = 1_000;
/// Maximum expected duration of a request, s.
const MAX_LATENCY: f64 = 300.0;

impl Compiler<'_> {
    pub fn pace(&mut self, pace: &toml::Spanned<PaceTable>) -> Option<Pace> {
        let table = pace.get_ref();
        let rate = *table.rate.get_ref();
        if !RATES.contains(&rate) {
            let message =
                format!("a rate is {} to {} requests a second", RATES.start(), RATES.end());
            self.strings.mistake(&table.rate, "pace.rate", message);
        }
        let concurrency = *table.concurrency.get_ref();
        if !(1..=MAX_CONCURRENCY).contains(&concurrency) {
            let message =
                format!("concurrency is 1 to {MAX_CONCURRENCY} requests at the same time");
            self.strings.mistake(&table.concurrency, "pace.concurrency", message);
        }
        let latency = *table.latency.get_ref();
        if !(latency > 0.0 && latency <= MAX_LATENCY) {
            let message = format!(
                "latency is the expected duration of one request in seconds, up to {MAX_LATENCY}"
            );
            self.strings.mistake(&table.latency, "pace.latency", message);
            return None;
        }
        let requests = table.requests.as_ref().map_or(1, |requests| {
            if *requests.get_ref() < 1 || *requests.get_ref() > 1_000 {
                let message = "this is the number of requests for a new product: 1 or more";
                self.strings.mistake(requests, "pace.requests", message);
            }
            *requests.get_ref()
        });
        if let (None, Some(text), _) | (Some(text), None, _) | (None, None, Some(text)) =
            (&table.left, &table.refill, &table.cost)
        {
            let message = "`left` and `refill` stand together: what is left, and by how many \
                           requests a second it refills";
            self.strings.mistake(text, "pace", message);
        }
        Some(Pace {
            rate,
            concurrency: u16::try_from(concurrency).unwrap_or(1),
            latency: Duration::from_secs_f64(latency),
            requests: u32::try_from(requests).unwrap_or(1),
            left: self.strings.optional_expression(table.left.as_ref(), "pace.left", &[])?,
            refill: self.strings.optional_expression(table.refill.as_ref(), "pace.refill", &[])?,
            cost: self.strings.optional_expression(table.cost.as_ref(), "pace.cost", &[])?,
        })
    }
}
