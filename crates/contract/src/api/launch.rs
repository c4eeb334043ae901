//! Launches, and the dry run that precedes an upload.

use super::Channel;
use crate::{
    feed::{BadRow, Delimiter, FeedNote, Format},
    product::Product,
};
use serde::{Deserialize, Serialize};

/// Result of reading a file, before anything is launched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DryRun {
    /// Name of the file.
    pub file: String,
    /// Layout of the file.
    pub format: Format,
    /// Separator between its cells.
    pub delimiter: Delimiter,
    /// Number of data rows in the file.
    pub rows: u64,
    /// Number of products.
    pub products: u64,
    /// Number of variants.
    pub variants: u64,
    /// The first 1,000 rows that can't be uploaded.
    pub bad_rows: Vec<BadRow>,
    /// Number of all rows that can't be uploaded.
    pub bad_row_count: u64,
    /// Assumptions that were made while reading.
    pub notes: Vec<FeedNote>,
    /// The first products, as they would be sent.
    pub preview: Vec<Product>,
    /// Duration for all channels together, limited by the slowest.
    #[serde(default)]
    pub estimate: Option<Estimate>,
}

/// Estimated duration of an upload that starts now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Duration in milliseconds.
    pub duration_ms: i64,
    /// Name of the channel that takes longest.
    pub limited_by: String,
}

impl Estimate {
    /// Returns the estimate for the slowest channel: its cooldown, the calls
    /// before the last one, and the latency of the last one. Each channel comes
    /// with the latency of a call, in milliseconds; `now` is UTC, ms since 1970.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    pub fn for_channels<'a>(
        channels: impl IntoIterator<Item = (&'a Channel, i64)>,
        products: u64,
        now: i64,
    ) -> Option<Self> {
        let times = channels.into_iter().map(|(channel, latency)| {
            let cooldown = channel.cooldown_until.map_or(0, |until| (until - now).max(0));
            // Users take turns: at most as many waiting tasks of others go first
            // as there are tasks of one's own.
            let calls = products + u64::from(channel.waiting).min(products);
            let rate = channel.current_rate.max(0.001);
            let duration_ms = cooldown + (calls as f64 / rate * 1000.0) as i64 + latency;
            Self { duration_ms, limited_by: channel.name.clone() }
        });
        times.max_by_key(|estimate| estimate.duration_ms)
    }
}

/// Request to start EC2 machines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartInstances {
    /// EC2's ids of the machines.
    pub instance_ids: Vec<String>,
}

/// Request to run tasks that do nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunNoops {
    /// Number of tasks.
    pub count: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(name: &str, rate: f64) -> Channel {
        Channel {
            id: name.to_lowercase(),
            name: name.into(),
            rate,
            current_rate: rate,
            cooldown_until: None,
            cooldown_reason: None,
            in_flight: 0,
            waiting: 0,
            sandbox: true,
        }
    }

    #[test]
    fn estimate_is_that_of_the_slowest_channel() {
        let (acme, mut bazaar) = (channel("Acme", 2.0), channel("Bazaar", 1.6));
        let estimate = |channels: &[(&Channel, i64)]| {
            let estimate = Estimate::for_channels(channels.iter().copied(), 160, 1_000);
            estimate.map(|estimate| (estimate.duration_ms, estimate.limited_by))
        };
        assert_eq!(estimate(&[]), None);
        assert_eq!(estimate(&[(&acme, 4_000), (&bazaar, 3_000)]), Some((103_000, "Bazaar".into())));
        bazaar.waiting = 16;
        bazaar.cooldown_until = Some(6_000);
        assert_eq!(estimate(&[(&acme, 4_000), (&bazaar, 3_000)]), Some((118_000, "Bazaar".into())));
        bazaar.cooldown_until = Some(0);
        assert_eq!(estimate(&[(&bazaar, 3_000)]), Some((113_000, "Bazaar".into())));
    }
}
