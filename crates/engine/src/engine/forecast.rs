//! How channels stand, and how long jobs will still take.

use super::{ChannelSpec, Engine};
use crate::{
    gate::{Condition, SHARE},
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

/// A forecast is told again for this long before it is made anew.
const FRESH: Duration = Duration::from_millis(900);

/// What is left of one job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Left {
    /// `None` where it can't be told honestly, such as for machines.
    pub eta_ms: Option<i64>,
    /// Name of the channel that takes longest.
    pub limited_by: Option<String>,
    /// Calls under way.
    pub running: u32,
}

/// How channels stand, and what their time is divided among. Costs as much as
/// users have something open, however many jobs it is.
#[derive(Debug, Default)]
pub struct Forecast {
    pub channels: Vec<api::Channel>,
    /// Who waits for each channel.
    demand: HashMap<String, Demand>,
    /// Calls under way, by job and channel.
    running: HashMap<JobId, Vec<(Option<String>, u32)>>,
}

/// Who waits for one channel.
#[derive(Debug, Default)]
struct Demand {
    /// Jobs of each user with something open.
    jobs: HashMap<UserId, u32>,
    /// Tasks that wait for their call, of everyone.
    queued: u32,
}

impl Forecast {
    fn running_on(&self, job: JobId, channel: Option<&String>) -> u32 {
        let calls = self.running.get(&job).into_iter().flatten();
        calls.filter(|(of, _)| of.as_ref() == channel).map(|(_, count)| count).sum()
    }
}

/// The last forecast and when it was made.
pub(super) type Last = Arc<tokio::sync::Mutex<Option<(Instant, Arc<Forecast>)>>>;

impl Engine {
    /// How the channels stand now; at most a second old.
    pub async fn channels_now(&self) -> Result<Vec<api::Channel>, store::Error> {
        Ok(self.forecast().await?.channels.clone())
    }

    /// How long an upload of so many products to `channels` would take if it
    /// began now, limited by the slowest.
    pub async fn estimate(
        &self,
        channels: &[String],
        products: u64,
    ) -> Result<Option<Estimate>, store::Error> {
        let forecast = self.forecast().await?;
        let chosen = self.channels.iter().filter(|spec| channels.contains(&spec.id));
        let channels = chosen.filter_map(|spec| {
            let channel = forecast.channels.iter().find(|channel| channel.id == spec.id)?;
            Some((channel, latency(spec)))
        });
        Ok(Estimate::of(channels, products, self.store.now_ms()))
    }

    /// A job with the time that is left of it, where that can be told.
    pub async fn with_time_left(
        &self,
        job: api::Job,
        user: UserId,
    ) -> Result<api::Job, store::Error> {
        if job.state != JobState::Running {
            return Ok(job);
        }
        let left = self.time_left(std::slice::from_ref(&job), user).await?;
        let eta_ms = left.get(&job.id).and_then(|left| left.eta_ms);
        Ok(api::Job { eta_ms, ..job })
    }

    /// What is left of these jobs of `user`; those that are paused or have ended
    /// are left out.
    pub async fn time_left(
        &self,
        jobs: &[api::Job],
        user: UserId,
    ) -> Result<HashMap<JobId, Left>, store::Error> {
        let active = jobs.iter().filter(|job| job.state == JobState::Running && !job.paused);
        let active: Vec<_> = active.map(|job| job.id).collect();
        let forecast = self.forecast().await?;
        let loads = self.store.job_loads(&active).await?;
        Ok(left(&self.channels, &forecast, user, &loads, self.store.now_ms()))
    }

    /// How everything stands; at most a second old.
    pub async fn forecast(&self) -> Result<Arc<Forecast>, store::Error> {
        let mut last = self.forecast.lock().await;
        if let Some((at, forecast)) = &*last
            && at.elapsed() < FRESH
        {
            return Ok(Arc::clone(forecast));
        }
        let forecast = Arc::new(self.make_forecast().await?);
        *last = Some((Instant::now(), Arc::clone(&forecast)));
        Ok(forecast)
    }

    async fn make_forecast(&self) -> Result<Forecast, store::Error> {
        let (mut demand, running) = (HashMap::<String, Demand>::new(), self.running().await?);
        for load in self.store.channel_loads().await? {
            let demand = demand.entry(load.channel).or_default();
            demand.queued += load.open;
            demand.jobs.insert(load.user, load.jobs);
        }
        for (channel, count) in running.values().flatten() {
            if let Some(demand) = channel.as_ref().and_then(|channel| demand.get_mut(channel)) {
                demand.queued = demand.queued.saturating_sub(*count);
            }
        }
        let now = self.store.now_ms();
        let mut channels = Vec::with_capacity(self.channels.len());
        for spec in self.channels.iter() {
            let condition = match self.gates.condition(&spec.id).await {
                Ok(condition) => condition,
                Err(refused) => {
                    // Tasks that wait for it say so; a page shows the rest.
                    tracing::debug!(account = spec.id, ?refused, "a gate can't be asked");
                    Condition { pace: spec.rate * SHARE, closed_for: None, in_flight: 0 }
                }
            };
            let mut channel = channel(spec, &condition, demand.get(&spec.id), now);
            if channel.closed_until.is_some() {
                let closing = self.store.closing(&spec.id).await?;
                channel.closed_by = closing.and_then(|closing| closing.by);
            }
            channels.push(channel);
        }
        Ok(Forecast { channels, demand, running })
    }

    async fn running(&self) -> Result<HashMap<JobId, Vec<(Option<String>, u32)>>, store::Error> {
        let mut running: HashMap<_, Vec<_>> = HashMap::new();
        for calls in self.store.running_calls().await? {
            running.entry(calls.job).or_default().push((calls.channel, calls.count));
        }
        Ok(running)
    }
}

fn channel(
    spec: &ChannelSpec,
    condition: &Condition,
    demand: Option<&Demand>,
    now: i64,
) -> api::Channel {
    let closed =
        condition.closed_for.map(|left| now + i64::try_from(left.as_millis()).unwrap_or(0));
    api::Channel {
        id: spec.id.clone(),
        name: spec.name.clone(),
        rate: spec.rate,
        pace: condition.pace,
        closed_until: closed,
        closed_by: None,
        in_flight: condition.in_flight,
        waiting: demand.map_or(0, |demand| demand.queued),
        sandbox: spec.sandbox,
    }
}

/// A job's time on a channel is its tasks at its share of the pace, and never
/// more than all tasks at the whole pace.
fn left(
    specs: &[ChannelSpec],
    forecast: &Forecast,
    user: UserId,
    loads: &[JobLoad],
    now: i64,
) -> HashMap<JobId, Left> {
    let mut jobs: HashMap<JobId, Left> = HashMap::new();
    let mut unknown: HashSet<JobId> = HashSet::new();
    for load in loads {
        let job = jobs.entry(load.job).or_default();
        let running = forecast.running_on(load.job, load.channel.as_ref());
        job.running += running;
        let named = load.channel.as_ref().and_then(|id| {
            let channel = forecast.channels.iter().find(|channel| channel.id == *id)?;
            Some((specs.iter().find(|spec| spec.id == *id)?, channel, forecast.demand.get(id)))
        });
        let Some((spec, channel, demand)) = named else {
            unknown.insert(load.job);
            continue;
        };
        let queued = load.open.saturating_sub(running);
        let ms = time_left(queued, demand, user, channel.pace)
            + latency(spec)
            + channel.closed_until.map_or(0, |until| (until - now).max(0));
        if job.eta_ms.is_none_or(|longest| ms > longest) {
            job.eta_ms = Some(ms);
            job.limited_by = Some(spec.name.clone());
        }
    }
    for job in unknown {
        if let Some(left) = jobs.get_mut(&job) {
            left.eta_ms = None;
            left.limited_by = None;
        }
    }
    jobs
}

fn time_left(queued: u32, demand: Option<&Demand>, user: UserId, pace: f64) -> i64 {
    let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    let users = demand.map_or(0, |demand| demand.jobs.len());
    let jobs = demand.and_then(|demand| demand.jobs.get(&user)).copied().unwrap_or(0);
    let turns = users.max(1).saturating_mul(count(jobs).max(1));
    let all = demand.map_or(0, |demand| count(demand.queued));
    let own = count(queued);
    time_of(own.saturating_mul(turns).min(all.max(own)), pace)
}

/// Time of so many tasks at `pace` a second, ms.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
fn time_of(tasks: usize, pace: f64) -> i64 {
    if pace > 0.0 { (tasks as f64 / pace * 1000.0) as i64 } else { 0 }
}

fn latency(spec: &ChannelSpec) -> i64 {
    spec.latency_ms
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn spec(id: &str, rate: f64) -> ChannelSpec {
        ChannelSpec {
            id: id.into(),
            name: id.to_uppercase(),
            rate,
            concurrency: 4,
            latency_ms: 1_000,
            sandbox: true,
        }
    }

    /// Tasks of one job on a channel: those that wait, and one that runs.
    type Open = (u128, u128, Option<&'static str>, u32);

    fn forecast(open: &[Open]) -> HashMap<JobId, Left> {
        let specs = [spec("acme", 2.0), spec("slow", 1.0)];
        let (job, user) = (|n| JobId(Uuid::from_u128(n)), |n| UserId(Uuid::from_u128(n)));
        let mut all = Forecast::default();
        for (of_job, of_user, channel, queued) in open {
            let channel = channel.map(str::to_owned);
            if let Some(channel) = &channel {
                let demand = all.demand.entry(channel.clone()).or_default();
                demand.queued += queued;
                *demand.jobs.entry(user(*of_user)).or_default() += 1;
            }
            all.running.entry(job(*of_job)).or_default().push((channel, 1));
        }
        for spec in &specs {
            let condition = Condition { pace: spec.rate, closed_for: None, in_flight: 0 };
            all.channels.push(channel(spec, &condition, all.demand.get(&spec.id), 0));
        }
        let mut jobs = HashMap::new();
        for (of_job, of_user, ..) in open {
            let own = open.iter().filter(|other| other.0 == *of_job);
            let load = |(_, _, channel, queued): &Open| JobLoad {
                job: job(*of_job),
                channel: channel.map(str::to_owned),
                open: queued + 1,
            };
            let loads: Vec<_> = own.map(load).collect();
            jobs.extend(left(&specs, &all, user(*of_user), &loads, 0));
        }
        jobs
    }

    fn of(jobs: &HashMap<JobId, Left>, job: u128) -> &Left {
        &jobs[&JobId(Uuid::from_u128(job))]
    }

    #[test]
    fn the_slowest_channel_tells_how_long() {
        let jobs = forecast(&[(1, 1, Some("acme"), 100), (1, 1, Some("slow"), 100)]);
        let left = of(&jobs, 1);
        assert_eq!(left.eta_ms, Some(101_000));
        assert_eq!(left.limited_by.as_deref(), Some("SLOW"));
        assert_eq!(left.running, 2);
    }

    #[test]
    fn users_take_turns_and_nobody_waits_for_more_than_all() {
        let jobs = forecast(&[(1, 1, Some("slow"), 10), (2, 2, Some("slow"), 1_000)]);
        assert_eq!(of(&jobs, 1).eta_ms, Some(21_000));
        assert_eq!(of(&jobs, 2).eta_ms, Some(1_011_000));
    }

    #[test]
    fn of_machines_nothing_is_promised() {
        let jobs = forecast(&[(1, 1, None, 3)]);
        assert_eq!(of(&jobs, 1), &Left { running: 1, ..Left::default() });
    }
}
