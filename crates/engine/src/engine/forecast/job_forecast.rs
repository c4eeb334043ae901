//! The remaining time of a job, from its open tasks and the pace of its channels.

use super::{
    Forecast,
    channel_pace::{with_efficiency, with_load},
    pace_tracker::{OpenTasks, PaceTracker},
};
use crate::store::JobLoad;
use contract::{
    JobId, UserId,
    api::{ChannelPace, DurationRange},
};
use std::collections::HashMap;

/// Remaining time and running calls of one job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobForecast {
    /// Remaining time; `None` if it can't be estimated honestly, such as for machines, or
    /// while a channel can't be reached.
    pub eta: Option<DurationRange>,
    /// Name of the channel that takes longest, beside `eta`.
    pub limited_by: Option<String>,
    /// Number of running calls.
    pub running: u32,
}

/// Remaining times of a job, as its channels are added.
#[derive(Default)]
struct Sum {
    running: u32,
    range: DurationRange,
    longest: Option<(i64, String)>,
    is_unknown: bool,
}

impl Sum {
    fn add(&mut self, pace: &ChannelPace, range: DurationRange) {
        self.range = self.range.longest(range);
        let middle = range.middle_ms();
        if self.longest.as_ref().is_none_or(|(longest, _)| middle > *longest) {
            self.longest = Some((middle, pace.channel.clone()));
        }
    }

    fn into_forecast(self) -> JobForecast {
        let is_known = !self.is_unknown && self.range.is_honest();
        JobForecast {
            eta: is_known.then_some(self.range),
            limited_by: self.longest.filter(|_| is_known).map(|(_, channel)| channel),
            running: self.running,
        }
    }
}

/// Computes the forecasts of the jobs of `user` that `loads` belong to, and records their
/// progress.
pub fn compute_job_forecasts(
    forecast: &Forecast,
    tracker: &mut PaceTracker,
    user: UserId,
    loads: &[JobLoad],
    now: i64,
) -> HashMap<JobId, JobForecast> {
    let mut sums: HashMap<JobId, Sum> = HashMap::new();
    for load in loads {
        let sum = sums.entry(load.job).or_default();
        let (running, newest_started_at) = forecast.running_on(load);
        sum.running += running;
        let allowed = load.channel.as_ref().and_then(|id| forecast.allowed_paces.get(id));
        let (Some(id), Some(allowed)) = (&load.channel, allowed) else {
            sum.is_unknown = true;
            continue;
        };
        let channel_loads = forecast.loads.get(id).map(Vec::as_slice).unwrap_or_default();
        let shared = with_load(allowed.pace.clone(), channel_loads, Some(user), Some(load.open));
        let queued = load.open.saturating_sub(running);
        let tasks = OpenTasks { open: load.open, queued };
        let is_stalled = tracker.record(load.job, id, tasks, &shared);
        let known = tracker.efficiency(id, allowed.permit_interval).filter(|_| !is_stalled);
        let pace = known.map(|known| with_efficiency(shared, known));
        let left = pace.as_ref().and_then(|pace| {
            let newest = (running > 0).then_some(newest_started_at);
            remaining_time(pace, load, queued, newest, now)
        });
        match (pace, left) {
            (Some(pace), Some(left)) => sum.add(&pace, left),
            _ => sum.is_unknown = true,
        }
    }
    sums.into_iter().map(|(job, sum)| (job, sum.into_forecast())).collect()
}

/// Returns the remaining time of a job on one channel. The newest of its running calls
/// started at `newest_started_at`.
fn remaining_time(
    pace: &ChannelPace,
    load: &JobLoad,
    queued: u32,
    newest_started_at: Option<i64>,
    now: i64,
) -> Option<DurationRange> {
    let work_ms = match (queued, newest_started_at) {
        (0, Some(started_at)) => (pace.latency_ms - (now - started_at).max(0)).max(0),
        _ => pace.duration(queued.into(), now)?.min_ms,
    };
    // All that is left may wait for a back-off.
    let due_ms = load.due_at.map_or(0, |at| (at - now).max(0) + pace.latency_ms);
    Some(pace.with_spread(work_ms.max(if queued > 0 { due_ms } else { 0 })))
}

#[cfg(test)]
mod tests {
    use super::{super::AllowedPace, *};
    use crate::{
        channel::ChannelConfig,
        engine::forecast::channel_pace::allowed_pace,
        limiter::{LimiterState, UpstreamLimits},
        store::{ChannelLoad, RunningCalls},
    };
    use std::time::Duration;
    use uuid::Uuid;

    /// Rate of `slow` is one a second, that of `acme` two; a call takes a second.
    fn forecast() -> Forecast {
        let mut forecast = Forecast::default();
        for (id, rate) in [("acme", 2.0), ("slow", 1.0)] {
            let spec = ChannelConfig {
                id: id.into(),
                name: id.to_uppercase(),
                limits: UpstreamLimits { rate: rate / 0.97, concurrency: 4 },
                latency: Duration::from_secs(1),
                requests_per_upload: 1,
                is_sandbox: true,
            };
            let state = LimiterState { current_rate: rate, cooldown_remaining: None, in_flight: 0 };
            let permit_interval = spec.limits.permit_interval();
            let pace = allowed_pace(&spec, &state, None);
            forecast.allowed_paces.insert(id.into(), AllowedPace { pace, permit_interval });
        }
        forecast
    }

    fn job(n: u128) -> JobId {
        JobId(Uuid::from_u128(n))
    }

    fn user(n: u128) -> UserId {
        UserId(Uuid::from_u128(n))
    }

    fn load(of_job: u128, channel: Option<&str>, open: u32) -> JobLoad {
        JobLoad { job: job(of_job), channel: channel.map(str::to_owned), open, due_at: None }
    }

    fn share(forecast: &mut Forecast, channel: &str, of_user: u128, jobs: u32, open: u32) {
        let load = ChannelLoad { channel: channel.into(), user: user(of_user), jobs, open };
        forecast.loads.entry(channel.into()).or_default().push(load);
    }

    fn compute(forecast: &Forecast, of_user: u128, loads: &[JobLoad]) -> JobForecast {
        let mut tracker = PaceTracker::default();
        let job = loads[0].job;
        compute_job_forecasts(forecast, &mut tracker, user(of_user), loads, 0).remove(&job).unwrap()
    }

    fn shortest(forecast: &JobForecast) -> Option<i64> {
        forecast.eta.map(|eta| eta.min_ms)
    }

    #[tokio::test]
    async fn eta_is_that_of_the_slowest_channel() {
        let loads = [load(1, Some("acme"), 100), load(1, Some("slow"), 100)];
        let found = compute(&forecast(), 1, &loads);
        assert_eq!(found.eta, Some(DurationRange { min_ms: 101_000, max_ms: 118_150 }));
        assert_eq!(found.limited_by.as_deref(), Some("SLOW"));
    }

    #[tokio::test]
    async fn eta_accounts_for_round_robin_between_users_and_between_jobs() {
        let mut forecast = forecast();
        share(&mut forecast, "slow", 1, 1, 40);
        share(&mut forecast, "slow", 2, 1, 1_000);
        let eta = |forecast: &Forecast, of_user, open| {
            shortest(&compute(forecast, of_user, &[load(1, Some("slow"), open)]))
        };
        assert_eq!(eta(&forecast, 1, 40), Some(81_000));
        assert_eq!(eta(&forecast, 2, 1_000), Some(1_041_000));
        // The second user's other job takes every second turn of theirs.
        forecast.loads.clear();
        share(&mut forecast, "slow", 2, 2, 1_020);
        assert_eq!(eta(&forecast, 2, 40), Some(81_000));
        assert_eq!(eta(&forecast, 2, 1_000), Some(1_021_000));
    }

    #[tokio::test]
    async fn nothing_is_told_of_machines_and_of_channels_whose_limiter_is_unreachable() {
        let mut forecast = forecast();
        let running = RunningCalls { job: job(1), channel: None, count: 1, newest_started_at: 0 };
        forecast.running_calls.insert(job(1), vec![running]);
        let machines = compute(&forecast, 1, &[load(1, None, 3)]);
        assert_eq!(machines, JobForecast { running: 1, ..JobForecast::default() });
        forecast.allowed_paces.remove("slow");
        let loads = [load(2, Some("acme"), 100), load(2, Some("slow"), 100)];
        assert_eq!(compute(&forecast, 1, &loads), JobForecast::default());
    }

    #[tokio::test]
    async fn last_calls_are_as_long_as_the_newest_still_takes() {
        let mut forecast = forecast();
        if let Some(acme) = forecast.allowed_paces.get_mut("acme") {
            acme.pace.latency_ms = 10_000;
        }
        for (started_at, left) in [(0, Some(10_000)), (-4_000, Some(6_000)), (-7_000, None)] {
            let running = RunningCalls {
                job: job(1),
                channel: Some("acme".into()),
                count: 3,
                newest_started_at: started_at,
            };
            forecast.running_calls.insert(job(1), vec![running]);
            let found = compute(&forecast, 1, &[load(1, Some("acme"), 3)]);
            assert_eq!((shortest(&found), found.running), (left, 3), "{started_at}");
        }
    }

    #[tokio::test]
    async fn item_in_a_back_off_is_waited_for() {
        let waiting = JobLoad { due_at: Some(30_000), ..load(1, Some("acme"), 1) };
        assert_eq!(shortest(&compute(&forecast(), 1, &[waiting])), Some(31_000));
    }
}
