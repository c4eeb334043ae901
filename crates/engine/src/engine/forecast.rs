//! The status of channels, and the remaining time of jobs.

use super::Engine;
use crate::{
    channel::ChannelConfig,
    clock::whole_millis,
    limiter::{LimiterState, RATE_SAFETY_FACTOR},
    store::{self, JobLoad},
};
use contract::{
    JobId, UserId,
    api::{self, Estimate},
    state::JobState,
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// Maximum age of the cached forecast.
const FORECAST_TTL: Duration = Duration::from_millis(900);

/// Remaining time and running calls of one job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobForecast {
    /// Remaining time in milliseconds; `None` if it can't be estimated honestly, such as for
    /// machines.
    pub eta_ms: Option<i64>,
    /// Name of the channel that takes longest.
    pub limited_by: Option<String>,
    /// Number of running calls.
    pub running: u32,
}

/// The status of all channels, and the demand that shares their rate. Its cost grows with
/// the number of users with open tasks, not with the number of jobs.
#[derive(Debug, Default)]
pub struct Forecast {
    /// Status of each channel.
    pub channels: Vec<api::Channel>,
    /// Demand for each channel, by its id.
    demand_by_channel: HashMap<String, ChannelDemand>,
    /// Number of running calls, by job and channel.
    running_calls: HashMap<JobId, Vec<(Option<String>, u32)>>,
}

/// Demand for one channel.
#[derive(Debug, Default)]
struct ChannelDemand {
    /// Number of jobs with open tasks, by user.
    jobs: HashMap<UserId, u32>,
    /// Number of queued tasks of all users.
    queued: u32,
}

impl Forecast {
    fn running_on(&self, job: JobId, channel: Option<&String>) -> u32 {
        let calls = self.running_calls.get(&job).into_iter().flatten();
        calls.filter(|(of, _)| of.as_ref() == channel).map(|(_, count)| count).sum()
    }
}

/// The last forecast and when it was computed.
pub(super) type ForecastCache = Arc<tokio::sync::Mutex<Option<(Instant, Arc<Forecast>)>>>;

impl Engine {
    /// Returns the status of all channels, at most a second old.
    ///
    /// # Errors
    /// The store failed.
    pub async fn channel_statuses(&self) -> Result<Vec<api::Channel>, store::Error> {
        Ok(self.forecast().await?.channels.clone())
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
        let forecast = self.forecast().await?;
        let chosen = self.channels.iter().filter(|spec| channels.contains(&spec.id));
        let channels = chosen.filter_map(|spec| {
            let channel = forecast.channels.iter().find(|channel| channel.id == spec.id)?;
            Some((channel, spec.latency_ms()))
        });
        Ok(Estimate::for_channels(channels, products, self.store.database.now_ms()))
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
        let eta_ms = forecasts.get(&job.id).and_then(|forecast| forecast.eta_ms);
        Ok(api::Job { eta_ms, ..job })
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
        Ok(compute_job_forecasts(
            &self.channels,
            &forecast,
            user,
            &loads,
            self.store.database.now_ms(),
        ))
    }

    /// Returns the forecast of all channels, at most a second old.
    ///
    /// # Errors
    /// The store failed.
    pub async fn forecast(&self) -> Result<Arc<Forecast>, store::Error> {
        let mut last = self.forecast_cache.lock().await;
        if let Some((at, forecast)) = &*last
            && at.elapsed() < FORECAST_TTL
        {
            return Ok(Arc::clone(forecast));
        }
        let forecast = Arc::new(self.compute_forecast().await?);
        *last = Some((Instant::now(), Arc::clone(&forecast)));
        Ok(forecast)
    }

    async fn compute_forecast(&self) -> Result<Forecast, store::Error> {
        let (mut demand, running) =
            (HashMap::<String, ChannelDemand>::new(), self.count_running_calls().await?);
        for load in self.store.jobs.channel_loads().await? {
            let demand = demand.entry(load.channel).or_default();
            demand.queued += load.open;
            demand.jobs.insert(load.user, load.jobs);
        }
        for (channel, count) in running.values().flatten() {
            if let Some(demand) = channel.as_ref().and_then(|channel| demand.get_mut(channel)) {
                demand.queued = demand.queued.saturating_sub(*count);
            }
        }
        let now = self.store.database.now_ms();
        let mut channels = Vec::with_capacity(self.channels.len());
        for spec in self.channels.iter() {
            let state = match self.limiters.state(&spec.id).await {
                Ok(state) => state,
                Err(error) => {
                    // Waiting tasks show the error; a page shows everything else.
                    tracing::debug!(upstream = spec.id, ?error, "could not read a limiter's state");
                    LimiterState {
                        current_rate: spec.limits.rate * RATE_SAFETY_FACTOR,
                        cooldown_remaining: None,
                        in_flight: 0,
                    }
                }
            };
            let mut channel = channel_status(spec, &state, demand.get(&spec.id), now);
            if channel.cooldown_until.is_some() {
                let cooldown = self.store.coordination.last_cooldown(&spec.id).await?;
                channel.cooldown_reason = cooldown.map(|cooldown| cooldown.reason);
            }
            channels.push(channel);
        }
        Ok(Forecast { channels, demand_by_channel: demand, running_calls: running })
    }

    async fn count_running_calls(
        &self,
    ) -> Result<HashMap<JobId, Vec<(Option<String>, u32)>>, store::Error> {
        let mut running: HashMap<_, Vec<_>> = HashMap::new();
        for calls in self.store.jobs.running_calls().await? {
            running.entry(calls.job).or_default().push((calls.channel, calls.count));
        }
        Ok(running)
    }
}

fn channel_status(
    spec: &ChannelConfig,
    state: &LimiterState,
    demand: Option<&ChannelDemand>,
    now: i64,
) -> api::Channel {
    let cooldown_until = state.cooldown_remaining.map(|left| now + whole_millis(left));
    api::Channel {
        id: spec.id.clone(),
        name: spec.name.clone(),
        rate: spec.limits.rate,
        current_rate: state.current_rate,
        cooldown_until,
        cooldown_reason: None,
        in_flight: state.in_flight,
        waiting: demand.map_or(0, |demand| demand.queued),
        sandbox: spec.is_sandbox,
    }
}

/// Computes the forecast of each job. Its time on a channel is that of its tasks at its
/// share of the rate, and never more than that of all tasks at the full rate.
fn compute_job_forecasts(
    specs: &[ChannelConfig],
    forecast: &Forecast,
    user: UserId,
    loads: &[JobLoad],
    now: i64,
) -> HashMap<JobId, JobForecast> {
    let mut jobs: HashMap<JobId, JobForecast> = HashMap::new();
    let mut unknown: HashSet<JobId> = HashSet::new();
    for load in loads {
        let job = jobs.entry(load.job).or_default();
        let running = forecast.running_on(load.job, load.channel.as_ref());
        job.running += running;
        let known_channel = load.channel.as_ref().and_then(|id| {
            let channel = forecast.channels.iter().find(|channel| channel.id == *id)?;
            Some((
                specs.iter().find(|spec| spec.id == *id)?,
                channel,
                forecast.demand_by_channel.get(id),
            ))
        });
        let Some((spec, channel, demand)) = known_channel else {
            unknown.insert(load.job);
            continue;
        };
        let queued = load.open.saturating_sub(running);
        let ms = time_left_ms(queued, demand, user, channel.current_rate)
            + spec.latency_ms()
            + channel.cooldown_until.map_or(0, |until| (until - now).max(0));
        if job.eta_ms.is_none_or(|longest| ms > longest) {
            job.eta_ms = Some(ms);
            job.limited_by = Some(spec.name.clone());
        }
    }
    for job in unknown {
        if let Some(job_forecast) = jobs.get_mut(&job) {
            job_forecast.eta_ms = None;
            job_forecast.limited_by = None;
        }
    }
    jobs
}

fn time_left_ms(queued: u32, demand: Option<&ChannelDemand>, user: UserId, rate: f64) -> i64 {
    let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    let users = demand.map_or(0, |demand| demand.jobs.len());
    let jobs = demand.and_then(|demand| demand.jobs.get(&user)).copied().unwrap_or(0);
    let turns_per_task = users.max(1).saturating_mul(count(jobs).max(1));
    let all = demand.map_or(0, |demand| count(demand.queued));
    let own = count(queued);
    duration_ms(own.saturating_mul(turns_per_task).min(all.max(own)), rate)
}

/// Returns the time of `tasks` tasks at `rate` per second, in milliseconds.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
fn duration_ms(tasks: usize, rate: f64) -> i64 {
    if rate > 0.0 { (tasks as f64 / rate * 1000.0) as i64 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limiter::UpstreamLimits;
    use uuid::Uuid;

    fn channel_config(id: &str, rate: f64) -> ChannelConfig {
        ChannelConfig {
            id: id.into(),
            name: id.to_uppercase(),
            base_url: String::new(),
            limits: UpstreamLimits { rate, concurrency: 4 },
            latency: Duration::from_secs(1),
            supports_idempotency_keys: false,
            is_sandbox: true,
        }
    }

    /// Job, user, channel and number of queued tasks; one more task is running.
    type OpenTasks = (u128, u128, Option<&'static str>, u32);

    fn job_forecasts(open: &[OpenTasks]) -> HashMap<JobId, JobForecast> {
        let specs = [channel_config("acme", 2.0), channel_config("slow", 1.0)];
        let (job, user) = (|n| JobId(Uuid::from_u128(n)), |n| UserId(Uuid::from_u128(n)));
        let mut all = Forecast::default();
        for (of_job, of_user, channel, queued) in open {
            let channel = channel.map(str::to_owned);
            if let Some(channel) = &channel {
                let demand = all.demand_by_channel.entry(channel.clone()).or_default();
                demand.queued += queued;
                *demand.jobs.entry(user(*of_user)).or_default() += 1;
            }
            all.running_calls.entry(job(*of_job)).or_default().push((channel, 1));
        }
        for spec in &specs {
            let current_rate = spec.limits.rate;
            let state = LimiterState { current_rate, cooldown_remaining: None, in_flight: 0 };
            all.channels.push(channel_status(spec, &state, all.demand_by_channel.get(&spec.id), 0));
        }
        let mut jobs = HashMap::new();
        for (of_job, of_user, ..) in open {
            let own = open.iter().filter(|other| other.0 == *of_job);
            let load = |(_, _, channel, queued): &OpenTasks| JobLoad {
                job: job(*of_job),
                channel: channel.map(str::to_owned),
                open: queued + 1,
            };
            let loads: Vec<_> = own.map(load).collect();
            jobs.extend(compute_job_forecasts(&specs, &all, user(*of_user), &loads, 0));
        }
        jobs
    }

    fn forecast_of(jobs: &HashMap<JobId, JobForecast>, job: u128) -> &JobForecast {
        &jobs[&JobId(Uuid::from_u128(job))]
    }

    #[test]
    fn eta_is_that_of_the_slowest_channel() {
        let jobs = job_forecasts(&[(1, 1, Some("acme"), 100), (1, 1, Some("slow"), 100)]);
        let forecast = forecast_of(&jobs, 1);
        assert_eq!(forecast.eta_ms, Some(101_000));
        assert_eq!(forecast.limited_by.as_deref(), Some("SLOW"));
        assert_eq!(forecast.running, 2);
    }

    #[test]
    fn eta_accounts_for_round_robin_between_users() {
        let jobs = job_forecasts(&[(1, 1, Some("slow"), 10), (2, 2, Some("slow"), 1_000)]);
        assert_eq!(forecast_of(&jobs, 1).eta_ms, Some(21_000));
        assert_eq!(forecast_of(&jobs, 2).eta_ms, Some(1_011_000));
    }

    #[test]
    fn machine_jobs_have_no_eta() {
        let jobs = job_forecasts(&[(1, 1, None, 3)]);
        assert_eq!(forecast_of(&jobs, 1), &JobForecast { running: 1, ..JobForecast::default() });
    }
}
