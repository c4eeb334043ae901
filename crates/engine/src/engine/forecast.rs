//! The status of channels, and estimates of how long work takes.

mod channel_pace;
mod job_forecast;
mod pace_tracker;

pub use job_forecast::JobForecast;

use super::Engine;
use crate::{
    channel::ChannelConfig,
    clock::whole_millis,
    limiter::{LimiterState, RATE_SAFETY_FACTOR},
    store::{self, ChannelLoad, JobLoad, RunningCalls},
};
use channel_pace::{allowed_pace, with_efficiency, with_load};
use contract::{
    JobId, UserId,
    api::{self, ChannelPace, Estimate},
    state::JobState,
};
use job_forecast::compute_job_forecasts;
use pace_tracker::PaceTracker;
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::time::Instant;

/// Maximum age of the cached forecast.
const FORECAST_TTL: Duration = Duration::from_millis(900);

/// The status of all channels, and the demand that shares their rate. Its cost grows with
/// the number of users with open tasks, not with the number of jobs.
#[derive(Debug, Default)]
pub struct Forecast {
    /// Status of each channel.
    pub channels: Vec<api::Channel>,
    /// What the limits of each channel allow, by its id. A channel whose limiter can't be
    /// reached has none: nobody may call it, and nobody knows for how long.
    allowed_paces: HashMap<String, AllowedPace>,
    /// Open tasks of each channel's users, by its id.
    loads: HashMap<String, Vec<ChannelLoad>>,
    running_calls: HashMap<JobId, Vec<RunningCalls>>,
}

/// What the limits of a channel allow.
#[derive(Debug)]
struct AllowedPace {
    pace: ChannelPace,
    /// Interval between two rate permits.
    permit_interval: Duration,
}

impl Forecast {
    /// Returns the number of running calls of a job on one channel, and when the newest
    /// started.
    fn running_on(&self, load: &JobLoad) -> (u32, i64) {
        let calls = self.running_calls.get(&load.job).into_iter().flatten();
        let on_channel = calls.filter(|calls| calls.channel == load.channel);
        on_channel.fold((0, i64::MIN), |(count, newest), calls| {
            (count + calls.count, newest.max(calls.newest_started_at))
        })
    }

    /// Returns the number of queued tasks of all users for one channel.
    fn count_queued(&self, channel: &str) -> u32 {
        let open: u32 = self.loads.get(channel).into_iter().flatten().map(|load| load.open).sum();
        let calls = self.running_calls.values().flatten();
        let running = calls.filter(|calls| calls.channel.as_deref() == Some(channel));
        open.saturating_sub(running.map(|calls| calls.count).sum())
    }
}

/// The last forecast and when it was computed, and the paces that were measured.
#[derive(Default)]
pub(super) struct ForecastState {
    last: tokio::sync::Mutex<Option<(Instant, Arc<Forecast>)>>,
    tracker: Mutex<PaceTracker>,
}

pub(super) type ForecastCache = Arc<ForecastState>;

impl Engine {
    /// Returns the status of all channels, at most a second old.
    ///
    /// # Errors
    /// The store failed.
    pub async fn channel_statuses(&self) -> Result<Vec<api::Channel>, store::Error> {
        Ok(self.forecast().await?.channels.clone())
    }

    /// Returns the pace at which each channel would take the tasks of a new job, by its id.
    /// A channel whose pace is unknown is missing: its limiter can't be reached, or it has
    /// to be measured first. Without a `user`, all open tasks count as those of others.
    ///
    /// # Errors
    /// The store failed.
    pub async fn channel_paces(
        &self,
        user: Option<UserId>,
    ) -> Result<HashMap<String, ChannelPace>, store::Error> {
        let forecast = self.forecast().await?;
        let tracker = self.forecast_cache.tracker.lock();
        let paces = forecast.allowed_paces.iter().filter_map(|(id, allowed)| {
            let known = tracker.efficiency(id, allowed.permit_interval)?;
            let loads = forecast.loads.get(id).map(Vec::as_slice).unwrap_or_default();
            let pace = with_efficiency(with_load(allowed.pace.clone(), loads, user, None), known);
            // The last call may fail once.
            let retry_ms = self.store.database.mean_first_retry_backoff() + pace.latency_ms / 2;
            Some((id.clone(), ChannelPace { slack_ms: pace.slack_ms + retry_ms, ..pace }))
        });
        Ok(paces.collect())
    }

    /// Estimates how long an upload of `products` products to `channels` would take if it
    /// started now, limited by the slowest channel.
    ///
    /// # Errors
    /// The store failed.
    pub async fn estimate(
        &self,
        channels: &[String],
        products: u64,
    ) -> Result<Option<Estimate>, store::Error> {
        let paces = self.channel_paces(None).await?;
        let chosen = channels.iter().map(|id| paces.get(id));
        Ok(Estimate::for_channels(chosen, products, self.store.database.now_ms()))
    }

    /// Returns a job with its remaining time, if that can be estimated.
    ///
    /// # Errors
    /// The store failed.
    pub async fn with_eta(&self, job: api::Job, user: UserId) -> Result<api::Job, store::Error> {
        if job.state != JobState::Running {
            return Ok(job);
        }
        let forecasts = self.job_forecasts(std::slice::from_ref(&job), user).await?;
        let eta = forecasts.get(&job.id).and_then(|forecast| forecast.eta);
        Ok(job.with_eta(eta))
    }

    /// Returns the forecasts of these jobs of `user`, without those that are paused or
    /// finished.
    ///
    /// # Errors
    /// The store failed.
    pub async fn job_forecasts(
        &self,
        jobs: &[api::Job],
        user: UserId,
    ) -> Result<HashMap<JobId, JobForecast>, store::Error> {
        let active = jobs.iter().filter(|job| job.state == JobState::Running && !job.paused);
        let active: Vec<_> = active.map(|job| job.id).collect();
        let forecast = self.forecast().await?;
        let loads = self.store.jobs.job_loads(&active).await?;
        let now = self.store.database.now_ms();
        let mut tracker = self.forecast_cache.tracker.lock();
        Ok(compute_job_forecasts(&forecast, &mut tracker, user, &loads, now))
    }

    /// Returns the forecast of all channels, at most a second old.
    ///
    /// # Errors
    /// The store failed.
    pub async fn forecast(&self) -> Result<Arc<Forecast>, store::Error> {
        let mut last = self.forecast_cache.last.lock().await;
        if let Some((at, forecast)) = &*last
            && at.elapsed() < FORECAST_TTL
        {
            return Ok(Arc::clone(forecast));
        }
        let forecast = Arc::new(self.compute_forecast().await?);
        *last = Some((Instant::now(), Arc::clone(&forecast)));
        Ok(forecast)
    }

    /// Discards the cached forecast, because the limits have changed.
    pub(super) async fn forget_forecast(&self) {
        *self.forecast_cache.last.lock().await = None;
    }

    /// Returns the channel with the rate that an admin has set, if it is lower.
    fn with_set_rate(&self, spec: &ChannelConfig) -> ChannelConfig {
        let mut spec = spec.clone();
        if let Some((_, Some(rate))) = self.limiters.configured_limits(&spec.id) {
            spec.limits.rate = spec.limits.rate.min(rate);
        }
        spec
    }

    async fn compute_forecast(&self) -> Result<Forecast, store::Error> {
        let mut forecast = Forecast::default();
        for calls in self.store.jobs.running_calls().await? {
            forecast.running_calls.entry(calls.job).or_default().push(calls);
        }
        for load in self.store.jobs.channel_loads().await? {
            forecast.loads.entry(load.channel.clone()).or_default().push(load);
        }
        let now = self.store.database.now_ms();
        for spec in self.channels().iter() {
            let spec = &self.with_set_rate(spec);
            let known_state = match self.limiters.state(&spec.id).await {
                Ok(state) => Some(state),
                Err(error) => {
                    // Waiting tasks show the error; a page shows everything else.
                    tracing::debug!(upstream = spec.id, ?error, "could not read a limiter's state");
                    None
                }
            };
            let is_known = known_state.is_some();
            let state = known_state.unwrap_or(LimiterState {
                current_rate: spec.limits.rate * RATE_SAFETY_FACTOR,
                cooldown_remaining: None,
                in_flight: 0,
            });
            let mut channel = channel_status(spec, &state, forecast.count_queued(&spec.id), now);
            if let Some((configured, reduced_rate)) = self.limiters.configured_limits(&spec.id) {
                (channel.rate, channel.reduced_rate) = (configured.rate, reduced_rate);
            }
            channel.pause = self.limiters.pause(&spec.id);
            if channel.cooldown_until.is_some() {
                let cooldown = self.store.coordination.last_cooldown(&spec.id).await?;
                channel.cooldown_reason = cooldown.map(|cooldown| cooldown.reason);
            }
            if is_known {
                let permit_interval = spec.limits.permit_interval();
                let pause_end = channel.pause.as_ref().map(|pause| pause.until);
                let pace = allowed_pace(spec, &state, channel.cooldown_until.max(pause_end));
                let allowed = AllowedPace { pace, permit_interval };
                forecast.allowed_paces.insert(spec.id.clone(), allowed);
            }
            forecast.channels.push(channel);
        }
        Ok(forecast)
    }
}

fn channel_status(
    spec: &ChannelConfig,
    state: &LimiterState,
    queued: u32,
    now: i64,
) -> api::Channel {
    let cooldown_until = state.cooldown_remaining.map(|left| now + whole_millis(left));
    api::Channel {
        id: spec.id.clone(),
        name: spec.name.clone(),
        rate: spec.limits.rate,
        reduced_rate: None,
        current_rate: state.current_rate,
        cooldown_until,
        cooldown_reason: None,
        pause: None,
        in_flight: state.in_flight,
        waiting: queued,
        sandbox: spec.is_sandbox,
    }
}
