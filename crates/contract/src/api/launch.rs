//! What can be launched, and what a file is understood as before that.

use super::Channel;
use crate::{
    feed::{BadRow, Delimiter, Format, Note},
    product::Product,
};
use serde::{Deserialize, Serialize};

/// What the server understood of a file, before anything is launched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DryRun {
    pub file: String,
    pub format: Format,
    pub delimiter: Delimiter,
    /// Data rows of the file.
    pub rows: u64,
    pub products: u64,
    pub variants: u64,
    /// The first 1,000.
    pub bad: Vec<BadRow>,
    pub bad_total: u64,
    pub notes: Vec<Note>,
    /// The first products, as they would be sent.
    pub preview: Vec<Product>,
    /// For all channels together, limited by the slowest.
    #[serde(default)]
    pub estimate: Option<Estimate>,
}

/// How long an upload would take now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    pub ms: i64,
    /// Name of the channel that takes longest.
    pub limited_by: String,
}

impl Estimate {
    /// The slowest channel decides: until it opens, the calls before the last
    /// one, and that one's answer. `channels` come with the latency of a call,
    /// ms; `now` is UTC ms.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    pub fn of<'a>(
        channels: impl IntoIterator<Item = (&'a Channel, i64)>,
        products: u64,
        now: i64,
    ) -> Option<Self> {
        let times = channels.into_iter().map(|(channel, latency)| {
            let closed = channel.closed_until.map_or(0, |until| (until - now).max(0));
            // Users take turns: of what waits already, as much again as one's
            // own goes before it at the most.
            let calls = products + u64::from(channel.waiting).min(products);
            let pace = channel.pace.max(0.001);
            let ms = closed + (calls as f64 / pace * 1000.0) as i64 + latency;
            Self { ms, limited_by: channel.name.clone() }
        });
        times.max_by_key(|estimate| estimate.ms)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartInstances {
    pub instance_ids: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunNoops {
    pub count: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(name: &str, pace: f64) -> Channel {
        Channel {
            id: name.to_lowercase(),
            name: name.into(),
            rate: pace,
            pace,
            closed_until: None,
            closed_by: None,
            in_flight: 0,
            waiting: 0,
            sandbox: true,
        }
    }

    #[test]
    fn an_estimate_is_the_slowest_channels() {
        let (acme, mut bazaar) = (channel("Acme", 2.0), channel("Bazaar", 1.6));
        let of = |channels: &[(&Channel, i64)]| {
            let estimate = Estimate::of(channels.iter().copied(), 160, 1_000);
            estimate.map(|estimate| (estimate.ms, estimate.limited_by))
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[(&acme, 4_000), (&bazaar, 3_000)]), Some((103_000, "Bazaar".into())));
        bazaar.waiting = 16;
        bazaar.closed_until = Some(6_000);
        assert_eq!(of(&[(&acme, 4_000), (&bazaar, 3_000)]), Some((118_000, "Bazaar".into())));
        bazaar.closed_until = Some(0);
        assert_eq!(of(&[(&bazaar, 3_000)]), Some((113_000, "Bazaar".into())));
    }
}
