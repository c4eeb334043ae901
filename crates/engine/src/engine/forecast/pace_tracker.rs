//! How fast channels really take tasks, compared with what their limits allow.
//!
//! The progress of jobs that somebody watches is sampled about once a second. A channel
//! whose rate limit is low keeps to it exactly. At a high one, the database, the processor
//! and late permits limit the pace as well, so that it is known only once it was measured.

use contract::{JobId, api::ChannelPace};
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;

/// Interval between two permits below which the limit alone does not tell the pace: a
/// permit must be used within 50 ms and half of that interval. On a machine with too much
/// to do, a tenth of the permits is lost at 500 ms, and half of them at 50 ms.
const MIN_TRUSTED_INTERVAL: Duration = Duration::from_millis(100);
/// Interval between two permits below which a cooldown of a second costs more than 50
/// calls, so that chance decides how long some hundred of them take.
const MIN_STEADY_INTERVAL: Duration = Duration::from_millis(20);
/// Time of work after which a pace is known roughly, and well.
const MEASURED: [Duration; 2] = [Duration::from_millis(2_500), Duration::from_secs(8)];
/// Time of work at its limit that a channel is credited with before it was measured.
const PRIOR: Duration = Duration::from_secs(10);
/// Time of work after which a measurement counts half.
const HALF_LIFE: Duration = Duration::from_secs(60);
/// Time after which a measurement says nothing about the present.
const MAX_AGE: Duration = Duration::from_secs(600);
/// Minimum and maximum time between two samples that are compared. Conditions may have
/// changed in a longer one.
const SAMPLE_INTERVALS: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(60)];
/// Number of queued tasks below which the pace is not measured: they may all wait for a
/// back-off.
const MIN_BACKLOG: u32 = 5;
/// Minimum time without an ended task after which a job counts as stalled.
const MIN_STALL: Duration = Duration::from_secs(15);
/// Number of permits of the job in which some task must have ended, or the job is stalled.
const STALL_TURNS: u64 = 10;
/// Fractions by which work may take longer than expected.
const SPREAD: f64 = 0.15;
const SPREAD_IF_FAST: f64 = 0.3;
/// Times by which refused calls may prolong the end, in milliseconds: services round the
/// cooldown that they ask for up to whole seconds.
const SLACK_MS: i64 = 2_000;
const SLACK_IF_FAST_MS: i64 = 4_000;
const SPREAD_IF_KNOWN_WELL: f64 = 0.08;
/// Number of competing tasks that are new since the last sample, beyond which the two are
/// not compared.
const MAX_NEW_COMPETING_TASKS: u64 = 10;
/// Limits of the measured fraction of the allowed pace.
const EFFICIENCY_RANGE: [f64; 2] = [0.05, 1.1];

/// Open tasks of a job on a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenTasks {
    /// Queued and running.
    pub open: u32,
    pub queued: u32,
}

/// What is known about a channel's pace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Efficiency {
    /// Fraction of the pace that the limits allow.
    pub factor: f64,
    /// Fraction by which work may take longer.
    pub spread: f64,
    /// Time by which refused calls may prolong the end, in milliseconds.
    pub slack_ms: i64,
}

/// Samples of jobs, and what they say about their channels.
#[derive(Debug, Default)]
pub struct PaceTracker {
    samples: HashMap<(JobId, String), PaceSample>,
    channels: HashMap<String, Measurement>,
    last_pruned_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct PaceSample {
    at: Instant,
    tasks: OpenTasks,
    /// Calls up to that of the job's last task.
    calls: u64,
    competing_tasks: u64,
    /// When a task of the job was last seen to have ended.
    progress_at: Instant,
    is_stalled: bool,
}

/// Time of work, and the time that it would have taken at the allowed pace.
#[derive(Clone, Copy, Debug)]
struct Measurement {
    at: Instant,
    elapsed_s: f64,
    allowed_s: f64,
}

impl PaceTracker {
    /// Records the open tasks of a job on the channel `id`. `pace` is what the limits
    /// allow. Returns whether the job is stalled: nothing of it ends, although it should,
    /// because the channel can't be reached or no worker runs.
    pub fn record(&mut self, job: JobId, id: &str, tasks: OpenTasks, pace: &ChannelPace) -> bool {
        let now = Instant::now();
        self.prune(now);
        let mut sample = PaceSample {
            at: now,
            tasks,
            calls: pace.calls_for(tasks.queued.into()),
            competing_tasks: pace.competing_tasks(),
            progress_at: now,
            is_stalled: false,
        };
        let key = (job, id.to_owned());
        let Some(last) = self.samples.get(&key).copied() else {
            self.samples.insert(key, sample);
            return false;
        };
        let elapsed = now - last.at;
        if elapsed < SAMPLE_INTERVALS[0] {
            return last.is_stalled;
        }
        if elapsed <= SAMPLE_INTERVALS[1] && tasks.open <= last.tasks.open {
            let in_cooldown = pace.cooldown_until.is_some();
            if tasks.open == last.tasks.open && !in_cooldown {
                sample.progress_at = last.progress_at;
                sample.is_stalled = now - sample.progress_at > patience(pace);
            }
            if sample.is_stalled || last.is_stalled {
                // What was measured while nothing worked says nothing about the rest.
                self.channels.remove(id);
            } else if tasks.queued >= MIN_BACKLOG
                && sample.competing_tasks <= last.competing_tasks + MAX_NEW_COMPETING_TASKS
            {
                let measurement =
                    self.channels.entry(id.to_owned()).or_insert(Measurement::new(now));
                measurement.add(now, elapsed, allowed_s(last.calls, sample.calls, pace.rate));
            }
        }
        self.samples.insert(key, sample);
        sample.is_stalled
    }

    /// Returns what is known about the channel `id`, whose limit allows a call every
    /// `permit_interval`; `None` if its pace has to be measured first.
    pub fn efficiency(&self, id: &str, permit_interval: Duration) -> Option<Efficiency> {
        let measurement = self.channels.get(id).filter(|known| known.at.elapsed() <= MAX_AGE);
        let (elapsed_s, allowed_s) =
            measurement.map_or((0.0, 0.0), |known| (known.elapsed_s, known.allowed_s));
        let [is_known, is_known_well] = MEASURED.map(|least| elapsed_s >= least.as_secs_f64());
        let is_trusted = permit_interval >= MIN_TRUSTED_INTERVAL;
        if !is_known && !is_trusted {
            return None;
        }
        let prior_s = if is_trusted { PRIOR.as_secs_f64() } else { 0.0 };
        let factor = (allowed_s + prior_s) / (elapsed_s + prior_s);
        let (spread, slack_ms) = match is_known_well {
            _ if permit_interval < MIN_STEADY_INTERVAL => (SPREAD_IF_FAST, SLACK_IF_FAST_MS),
            true => (SPREAD_IF_KNOWN_WELL, SLACK_MS),
            false => (SPREAD, SLACK_MS),
        };
        let [least, most] = EFFICIENCY_RANGE;
        Some(Efficiency { factor: factor.clamp(least, most), spread, slack_ms })
    }

    /// Forgets jobs that nobody watches any more, now and then.
    fn prune(&mut self, now: Instant) {
        if self.last_pruned_at.is_some_and(|at| now - at < SAMPLE_INTERVALS[1]) {
            return;
        }
        self.last_pruned_at = Some(now);
        self.samples.retain(|_, sample| now - sample.at <= SAMPLE_INTERVALS[1]);
    }
}

impl Measurement {
    const fn new(at: Instant) -> Self {
        Self { at, elapsed_s: 0.0, allowed_s: 0.0 }
    }

    fn add(&mut self, now: Instant, elapsed: Duration, allowed_s: f64) {
        let elapsed_s = elapsed.as_secs_f64();
        let weight = 0.5_f64.powf(elapsed_s / HALF_LIFE.as_secs_f64());
        self.at = now;
        self.elapsed_s = self.elapsed_s * weight + elapsed_s;
        self.allowed_s = self.allowed_s * weight + allowed_s;
    }
}

/// Returns the time that the calls between two samples take at `rate`, in seconds. It is
/// negative if calls became necessary again, such as retries.
#[allow(clippy::cast_precision_loss)]
fn allowed_s(calls_before: u64, calls_now: u64, rate: f64) -> f64 {
    if rate > 0.0 { (calls_before as f64 - calls_now as f64) / rate } else { 0.0 }
}

/// Returns the time in which some task must have ended.
#[allow(clippy::cast_precision_loss)]
fn patience(pace: &ChannelPace) -> Duration {
    let turns_s = pace.calls_for(STALL_TURNS) as f64 / pace.rate.max(0.001);
    let latency = Duration::from_millis(pace.latency_ms.unsigned_abs());
    MIN_STALL.max(Duration::from_secs_f64(turns_s)).max(latency * 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::api::CompetingTasks;
    use tokio::time::advance;
    use uuid::Uuid;

    const SLOW: Duration = Duration::from_millis(500);
    const FAST: Duration = Duration::from_millis(50);

    fn pace(rate: f64) -> ChannelPace {
        ChannelPace {
            channel: "Acme".into(),
            rate,
            full_rate: rate,
            recovery_ms: 60_000,
            spread: SPREAD,
            slack_ms: 1_000,
            cooldown_until: None,
            latency_ms: 1_000,
            published_ahead: 0,
            own: CompetingTasks::default(),
            others: Vec::new(),
        }
    }

    /// Samples a job every second, while `ended` of its tasks end each second; returns
    /// whether it is stalled at the end.
    async fn watch(
        tracker: &mut PaceTracker,
        pace: &ChannelPace,
        from: u32,
        ended: u32,
        seconds: u32,
    ) -> bool {
        let mut is_stalled = false;
        for second in 0..=seconds {
            let open = from - ended * second;
            let tasks = OpenTasks { open, queued: open.saturating_sub(2) };
            is_stalled = tracker.record(JobId(Uuid::nil()), "acme", tasks, pace);
            if second < seconds {
                advance(Duration::from_secs(1)).await;
            }
        }
        is_stalled
    }

    #[tokio::test(start_paused = true)]
    async fn slow_channel_is_trusted_and_fast_one_is_measured_first() {
        let mut tracker = PaceTracker::default();
        let at_limit = Efficiency { factor: 1.0, spread: SPREAD, slack_ms: SLACK_MS };
        assert_eq!(tracker.efficiency("acme", SLOW), Some(at_limit));
        assert_eq!(tracker.efficiency("acme", FAST), None);
        // Of 100 calls a second that are allowed, 60 are made.
        assert!(!watch(&mut tracker, &pace(100.0), 1_000, 60, 2).await);
        assert_eq!(tracker.efficiency("acme", FAST), None, "measured for too short");
        assert!(!watch(&mut tracker, &pace(100.0), 880, 60, 1).await);
        assert_eq!(tracker.efficiency("acme", FAST).unwrap().spread, SPREAD);
        assert!(!watch(&mut tracker, &pace(100.0), 820, 60, 10).await);
        let known = tracker.efficiency("acme", FAST).unwrap();
        assert!((known.factor - 0.6).abs() < 0.01, "{known:?}");
        assert_eq!(known.spread, SPREAD_IF_KNOWN_WELL);
        let very_fast = tracker.efficiency("acme", FAST / 5).unwrap();
        assert_eq!(very_fast.factor, known.factor);
        assert_eq!((very_fast.spread, very_fast.slack_ms), (SPREAD_IF_FAST, SLACK_IF_FAST_MS));
        advance(MAX_AGE * 2).await;
        assert_eq!(tracker.efficiency("acme", FAST), None, "long ago");
    }

    #[tokio::test(start_paused = true)]
    async fn measurement_counts_calls_of_others() {
        let mut tracker = PaceTracker::default();
        // Another user takes every second call of 100 a second.
        for second in 0..=20 {
            let left = 2_000 - 50 * second;
            let others = vec![CompetingTasks { turns: 1, tasks: left.into() }];
            let tasks = OpenTasks { open: left, queued: left };
            let pace = ChannelPace { others, ..pace(100.0) };
            assert!(!tracker.record(JobId(Uuid::nil()), "acme", tasks, &pace));
            advance(Duration::from_secs(1)).await;
        }
        let known = tracker.efficiency("acme", FAST).unwrap();
        assert!((known.factor - 1.0).abs() < 0.01, "{known:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn job_without_progress_is_stalled_until_something_ends() {
        let mut tracker = PaceTracker::default();
        let acme = pace(2.0);
        assert!(!watch(&mut tracker, &acme, 100, 2, 10).await);
        assert!(!watch(&mut tracker, &acme, 80, 0, 14).await);
        assert!(watch(&mut tracker, &acme, 80, 0, 3).await);
        advance(Duration::from_secs(1)).await;
        assert!(!watch(&mut tracker, &acme, 79, 0, 0).await);
        let known = tracker.efficiency("acme", SLOW).unwrap();
        assert!((known.factor - 1.0).abs() < 0.01, "the outage is no measurement: {known:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_ends_in_a_cooldown_and_that_is_no_stall() {
        let mut tracker = PaceTracker::default();
        let acme = ChannelPace { cooldown_until: Some(1), ..pace(2.0) };
        assert!(!watch(&mut tracker, &acme, 100, 0, 60).await);
    }

    #[tokio::test(start_paused = true)]
    async fn back_offs_at_the_end_and_rare_samples_are_no_measurement() {
        let mut tracker = PaceTracker::default();
        watch(&mut tracker, &pace(2.0), MIN_BACKLOG + 1, 0, 12).await;
        assert!(tracker.channels.is_empty());
        for open in [100, 90] {
            advance(SAMPLE_INTERVALS[1] * 2).await;
            let tasks = OpenTasks { open, queued: open };
            assert!(!tracker.record(JobId(Uuid::nil()), "acme", tasks, &pace(2.0)));
        }
        assert!(tracker.channels.is_empty());
        assert_eq!(tracker.samples.len(), 1);
    }
}
