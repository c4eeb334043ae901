//! How channels stand, and how long jobs will still take.

use super::{ChannelSpec, Engine};
use crate::{
    gate::{Condition, SHARE},
    store::{self, OpenTasks},
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

/// How channels stand, and what is left of the jobs that run.
#[derive(Debug, Default)]
pub struct Forecast {
    pub channels: Vec<api::Channel>,
    pub jobs: HashMap<JobId, Left>,
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
    pub async fn with_time_left(&self, job: api::Job) -> Result<api::Job, store::Error> {
        if job.state != JobState::Running {
            return Ok(job);
        }
        let left = self.forecast().await?.jobs.get(&job.id).and_then(|left| left.eta_ms);
        Ok(api::Job { eta_ms: left, ..job })
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
        let open = self.store.open_tasks().await?;
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
            let mut channel = channel(spec, &condition, &open, now);
            if channel.closed_until.is_some() {
                let closing = self.store.closing(&spec.id).await?;
                channel.closed_by = closing.and_then(|closing| closing.by);
            }
            channels.push(channel);
        }
        let jobs = left(&self.channels, &channels, &open, now);
        Ok(Forecast { channels, jobs })
    }
}

fn channel(
    spec: &ChannelSpec,
    condition: &Condition,
    open: &[OpenTasks],
    now: i64,
) -> api::Channel {
    let closed =
        condition.closed_for.map(|left| now + i64::try_from(left.as_millis()).unwrap_or(0));
    let own = open.iter().filter(|open| open.channel.as_ref() == Some(&spec.id));
    api::Channel {
        id: spec.id.clone(),
        name: spec.name.clone(),
        rate: spec.rate,
        pace: condition.pace,
        closed_until: closed,
        closed_by: None,
        in_flight: condition.in_flight,
        waiting: own.map(|open| open.queued).sum(),
        sandbox: spec.sandbox,
    }
}

/// A job's time on a channel is its tasks at its share of the pace, and never
/// more than all tasks at the whole pace.
fn left(
    specs: &[ChannelSpec],
    channels: &[api::Channel],
    open: &[OpenTasks],
    now: i64,
) -> HashMap<JobId, Left> {
    let mut jobs: HashMap<JobId, Left> = HashMap::new();
    let mut unknown: HashSet<JobId> = HashSet::new();
    for own in open {
        let job = jobs.entry(own.job).or_default();
        job.running += own.running;
        let named = own.channel.as_ref().and_then(|id| {
            Some((specs.iter().find(|s| s.id == *id)?, channels.iter().find(|c| c.id == *id)?))
        });
        let Some((spec, channel)) = named else {
            unknown.insert(own.job);
            continue;
        };
        let ms = time_left(own, open, channel.pace)
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

fn time_left(own: &OpenTasks, open: &[OpenTasks], pace: f64) -> i64 {
    let rivals: Vec<_> = open.iter().filter(|o| o.channel == own.channel && o.queued > 0).collect();
    let users: HashSet<UserId> = rivals.iter().map(|rival| rival.user).collect();
    let jobs = rivals.iter().filter(|rival| rival.user == own.user).count();
    let turns = users.len().max(1) * jobs.max(1);
    let tasks = |open: &OpenTasks| usize::try_from(open.queued).unwrap_or(usize::MAX);
    let all: usize = rivals.iter().map(|rival| tasks(rival)).sum();
    time_of((tasks(own) * turns).min(all.max(tasks(own))), pace)
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

    fn open(job: u128, user: u128, channel: Option<&str>, queued: u32) -> OpenTasks {
        OpenTasks {
            job: JobId(Uuid::from_u128(job)),
            user: UserId(Uuid::from_u128(user)),
            channel: channel.map(str::to_owned),
            queued,
            running: 1,
        }
    }

    fn forecast(open: &[OpenTasks]) -> HashMap<JobId, Left> {
        let specs = [spec("acme", 2.0), spec("slow", 1.0)];
        let as_allowed =
            |spec: &ChannelSpec| Condition { pace: spec.rate, closed_for: None, in_flight: 0 };
        let channels: Vec<_> =
            specs.iter().map(|spec| channel(spec, &as_allowed(spec), open, 0)).collect();
        left(&specs, &channels, open, 0)
    }

    #[test]
    fn the_slowest_channel_tells_how_long() {
        let all = [open(1, 1, Some("acme"), 100), open(1, 1, Some("slow"), 100)];
        let left = &forecast(&all)[&all[0].job];
        assert_eq!(left.eta_ms, Some(101_000));
        assert_eq!(left.limited_by.as_deref(), Some("SLOW"));
        assert_eq!(left.running, 2);
    }

    #[test]
    fn users_take_turns_and_nobody_waits_for_more_than_all() {
        let all = [open(1, 1, Some("slow"), 10), open(2, 2, Some("slow"), 1_000)];
        let jobs = forecast(&all);
        assert_eq!(jobs[&all[0].job].eta_ms, Some(21_000));
        assert_eq!(jobs[&all[1].job].eta_ms, Some(1_011_000));
    }

    #[test]
    fn of_machines_nothing_is_promised() {
        let all = [open(1, 1, None, 3)];
        assert_eq!(forecast(&all)[&all[0].job], Left { running: 1, ..Left::default() });
    }
}
