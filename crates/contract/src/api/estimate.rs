//! Estimates of how long work takes, and what they are made of.

use serde::{Deserialize, Serialize};

/// Maximum factor between the middle of an honest estimate and either end of its range.
pub const MAX_ESTIMATE_FACTOR: f64 = 1.3;

/// A duration of which only the range is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DurationRange {
    /// Shortest duration that is likely, in milliseconds.
    pub min_ms: i64,
    /// Longest duration that is likely, in milliseconds.
    pub max_ms: i64,
}

impl DurationRange {
    /// Returns the middle of the range, in milliseconds: the duration from which both ends
    /// are the same factor away.
    #[must_use]
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    pub fn middle_ms(self) -> i64 {
        (self.min_ms.max(0) as f64 * self.max_ms.max(0) as f64).sqrt() as i64
    }

    /// Returns the range of several things that happen at the same time.
    #[must_use]
    pub fn longest(self, other: Self) -> Self {
        let (min_ms, max_ms) = (self.min_ms.max(other.min_ms), self.max_ms.max(other.max_ms));
        Self { min_ms, max_ms }
    }

    /// Whether the middle is an honest estimate: either end of the range is within
    /// [`MAX_ESTIMATE_FACTOR`] of it. A wider range is not told.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn is_honest(self) -> bool {
        let max_ratio = MAX_ESTIMATE_FACTOR * MAX_ESTIMATE_FACTOR;
        self.min_ms > 0 && self.max_ms as f64 <= self.min_ms as f64 * max_ratio
    }
}

/// Open tasks that take turns with one's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompetingTasks {
    /// Number of turns that they get for each one of one's own: the number of users, or of
    /// the user's other jobs.
    pub turns: u64,
    /// Number of the tasks.
    pub tasks: u64,
}

impl CompetingTasks {
    /// Returns the number of these tasks that go before the last of `own` tasks.
    fn before(self, own: u64) -> u64 {
        self.tasks.min(self.turns.saturating_mul(own))
    }
}

/// How fast a channel takes the tasks of one user: its limits, the tasks that share them,
/// and what was measured of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChannelPace {
    /// Name of the channel.
    pub channel: String,
    /// Calls per second now, or once the cooldown is over.
    pub rate: f64,
    /// Calls per second that `rate` recovers to after refusals.
    pub full_rate: f64,
    /// Time in which the rate recovers from zero to `full_rate`, in milliseconds.
    pub recovery_ms: i64,
    /// Fraction by which the duration may be longer than the rate says.
    pub spread: f64,
    /// Time by which single failed calls may prolong the end, in milliseconds.
    pub slack_ms: i64,
    /// End of the cooldown: UTC, ms since 1970.
    pub cooldown_until: Option<i64>,
    /// Duration of a call, in milliseconds.
    pub latency_ms: i64,
    /// Maximum number of tasks that are published ahead, whose turn comes first.
    pub published_ahead: u64,
    /// Tasks of the user's other jobs.
    pub own: CompetingTasks,
    /// Tasks of other users.
    pub others: Vec<CompetingTasks>,
}

impl ChannelPace {
    /// Returns the number of calls up to that of the last of `tasks` tasks. Users take
    /// turns, and so do the jobs of a user.
    #[must_use]
    pub fn calls_for(&self, tasks: u64) -> u64 {
        if tasks == 0 {
            return 0;
        }
        let of_user = tasks.saturating_add(self.own.before(tasks));
        let of_others = self.others.iter().map(|others| others.before(of_user)).sum::<u64>();
        let in_turn = of_user.saturating_add(of_others);
        in_turn.max(tasks.saturating_add(self.competing_tasks().min(self.published_ahead)))
    }

    /// Returns the number of tasks that share the channel's rate.
    #[must_use]
    pub fn competing_tasks(&self) -> u64 {
        self.own.tasks + self.others.iter().map(|others| others.tasks).sum::<u64>()
    }

    /// Returns the time in which `tasks` tasks are started after a cooldown, during which
    /// the rate recovers too. `None`: the rate is zero.
    #[allow(clippy::cast_precision_loss)]
    fn start_ms(&self, tasks: u64, cooldown_ms: f64) -> Option<f64> {
        let calls = self.calls_for(tasks) as f64;
        let full = self.full_rate / 1000.0;
        if full <= 0.0 || !full.is_finite() {
            return None;
        }
        let gain = full / (self.recovery_ms.max(1) as f64);
        let rate = (self.rate / 1000.0 + gain * cooldown_ms).clamp(0.0, full);
        let recovered_after = (full - rate) / gain;
        let calls_until_then = (rate + full) / 2.0 * recovered_after;
        // calls = rate · t + gain · t² / 2, until the rate has recovered.
        Some(if calls < calls_until_then {
            ((rate * rate + 2.0 * gain * calls).sqrt() - rate) / gain
        } else {
            recovered_after + (calls - calls_until_then) / full
        })
    }

    /// Returns how long `tasks` tasks take that could start now: the cooldown, the calls
    /// up to the last one, and that call. `now` is UTC, ms since 1970.
    #[must_use]
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    pub fn duration(&self, tasks: u64, now: i64) -> Option<DurationRange> {
        let cooldown = self.cooldown_until.map_or(0, |until| (until - now).max(0));
        let start_ms = self.start_ms(tasks, cooldown as f64)?;
        Some(self.with_spread(cooldown + start_ms as i64 + self.latency_ms))
    }

    /// Returns the range of a duration that was calculated, in milliseconds.
    #[must_use]
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    pub fn with_spread(&self, ms: i64) -> DurationRange {
        let max_ms = (ms as f64 * (1.0 + self.spread)).round() as i64 + self.slack_ms;
        DurationRange { min_ms: ms, max_ms }
    }
}

/// Estimated duration of an upload that starts now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Estimate {
    /// Duration in milliseconds: the middle of the range.
    pub duration_ms: i64,
    /// Shortest duration that is likely, in milliseconds.
    #[serde(default)]
    pub min_ms: i64,
    /// Longest duration that is likely, in milliseconds.
    #[serde(default)]
    pub max_ms: i64,
    /// Name of the channel that takes longest.
    pub limited_by: String,
}

impl Estimate {
    /// Returns the estimate for an upload of `products` products to all of these channels;
    /// `None` if the pace of one is unknown, or the range is too wide to be honest. `now`
    /// is UTC, ms since 1970.
    #[must_use]
    pub fn for_channels<'a>(
        channels: impl IntoIterator<Item = Option<&'a ChannelPace>>,
        products: u64,
        now: i64,
    ) -> Option<Self> {
        let mut longest: Option<(DurationRange, &str)> = None;
        let mut range = DurationRange::default();
        for pace in channels {
            let pace = pace?;
            let duration = pace.duration(products, now)?;
            range = range.longest(duration);
            if longest.is_none_or(|(longest, _)| duration.middle_ms() > longest.middle_ms()) {
                longest = Some((duration, &pace.channel));
            }
        }
        let (_, limited_by) = longest.filter(|_| range.is_honest())?;
        let DurationRange { min_ms, max_ms } = range;
        Some(Self { duration_ms: range.middle_ms(), min_ms, max_ms, limited_by: limited_by.into() })
    }

    /// Returns the range of the duration.
    #[must_use]
    pub fn range(&self) -> DurationRange {
        DurationRange { min_ms: self.min_ms, max_ms: self.max_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pace of 2 calls a second that were never refused, with nobody else.
    fn pace(channel: &str, rate: f64) -> ChannelPace {
        ChannelPace {
            channel: channel.into(),
            rate,
            full_rate: rate,
            recovery_ms: 60_000,
            spread: 0.15,
            slack_ms: 1_000,
            cooldown_until: None,
            latency_ms: 4_000,
            published_ahead: 4,
            own: CompetingTasks::default(),
            others: Vec::new(),
        }
    }

    fn shortest(pace: &ChannelPace, tasks: u64) -> i64 {
        pace.duration(tasks, 0).unwrap().min_ms
    }

    #[test]
    fn estimate_is_that_of_the_slowest_channel() {
        let (acme, bazaar) = (pace("Acme", 2.0), pace("Bazaar", 1.6));
        let estimate = Estimate::for_channels([Some(&acme), Some(&bazaar)], 160, 0).unwrap();
        assert_eq!((estimate.min_ms, estimate.max_ms), (104_000, 120_600));
        assert_eq!(estimate.limited_by, "Bazaar");
        assert!((estimate.min_ms..estimate.max_ms).contains(&estimate.duration_ms), "{estimate:?}");
        assert_eq!(Estimate::for_channels([], 160, 0), None);
    }

    #[test]
    fn nothing_is_told_where_a_channel_is_unknown_or_the_range_is_wide() {
        let (acme, mut bazaar) = (pace("Acme", 2.0), pace("Bazaar", 1.6));
        assert_eq!(Estimate::for_channels([Some(&acme), None], 160, 0), None);
        bazaar.slack_ms = 50_000;
        assert!(Estimate::for_channels([Some(&bazaar)], 160, 0).is_some());
        // The same time is little for a long upload, and much for a short one.
        assert_eq!(Estimate::for_channels([Some(&acme), Some(&bazaar)], 60, 0), None);
        bazaar.full_rate = 0.0;
        assert_eq!(Estimate::for_channels([Some(&bazaar)], 160, 0), None);
        let range = |min_ms, max_ms| DurationRange { min_ms, max_ms }.is_honest();
        assert!(range(1_000, 1_690) && !range(1_000, 1_700) && !range(0, 0));
    }

    #[test]
    fn cooldown_comes_first() {
        let mut bazaar = pace("Bazaar", 1.6);
        for (until, ms) in [(6_000, 110_000), (0, 104_000), (-5_000, 104_000)] {
            bazaar.cooldown_until = Some(until);
            assert_eq!(shortest(&bazaar, 160), ms);
        }
    }

    #[test]
    fn other_users_take_as_many_turns_as_the_user() {
        let mut acme = pace("Acme", 2.0);
        acme.others = vec![
            CompetingTasks { turns: 1, tasks: 10_000 },
            CompetingTasks { turns: 1, tasks: 30 },
        ];
        assert_eq!(acme.calls_for(100), 100 + 100 + 30);
        // The user's own other jobs share the user's turns.
        acme.own = CompetingTasks { turns: 2, tasks: 150 };
        assert_eq!(acme.calls_for(100), (100 + 150) + 250 + 30);
        assert_eq!(acme.calls_for(0), 0);
    }

    #[test]
    fn few_tasks_wait_behind_what_is_published() {
        let mut acme = pace("Acme", 2.0);
        acme.others = vec![CompetingTasks { turns: 1, tasks: 10_000 }];
        assert_eq!(acme.calls_for(1), 1 + 4);
        acme.others = vec![CompetingTasks { turns: 1, tasks: 2 }];
        assert_eq!(acme.calls_for(1), 1 + 2);
    }

    #[test]
    fn reduced_rate_recovers_on_the_way() {
        let mut acme = ChannelPace { rate: 1.0, ..pace("Acme", 2.0) };
        // 45 calls in the 30 s in which the rate recovers, then 2 a second.
        assert_eq!(acme.start_ms(45, 0.0).unwrap().round() as i64, 30_000);
        assert_eq!(acme.start_ms(145, 0.0).unwrap().round() as i64, 80_000);
        // 1 · 10 + 10² / 60 calls in 10 s.
        let few = acme.start_ms(12, 0.0).unwrap();
        assert!((10_000.0..10_500.0).contains(&few), "{few}");
        // It recovers during a cooldown, too.
        acme.cooldown_until = Some(30_000);
        assert_eq!(shortest(&acme, 100), 30_000 + 50_000 + 4_000);
    }
}
