//! The pace of a channel for one user, from its limits, its load and what was measured.

use super::pace_tracker::Efficiency;
use crate::{
    channel::ChannelConfig,
    clock::whole_millis,
    limiter::{ADAPTIVE_WINDOW, LimiterState, RATE_SAFETY_FACTOR},
    relay::QueueConfig,
    store::ChannelLoad,
};
use contract::{
    UserId,
    api::{ChannelPace, CompetingTasks},
};

/// Number of other users whose tasks are counted one by one; the rest are lumped together.
const MAX_COUNTED_USERS: usize = 8;

/// Returns what the limits of a channel allow, without anybody who shares them.
pub fn allowed_pace(
    spec: &ChannelConfig,
    state: &LimiterState,
    cooldown_until: Option<i64>,
) -> ChannelPace {
    // More calls in flight than this are refused, however fast permits come.
    let by_concurrency = f64::from(spec.limits.concurrency) / spec.latency.as_secs_f64().max(0.001);
    // Permits are for requests, the pace is that of products.
    let requests = f64::from(spec.requests_per_upload);
    let full_rate = (spec.limits.rate * RATE_SAFETY_FACTOR / requests).min(by_concurrency);
    let queue = QueueConfig {
        name: String::new(),
        upstream: None,
        concurrency: spec.limits.concurrency,
        rate: Some(spec.limits.rate),
    };
    ChannelPace {
        channel: spec.name.clone(),
        rate: (state.current_rate / requests).min(full_rate),
        full_rate,
        recovery_ms: whole_millis(ADAPTIVE_WINDOW),
        spread: 0.0,
        slack_ms: 0,
        cooldown_until,
        latency_ms: spec.latency_ms(),
        published_ahead: queue.max_unclaimed() as u64,
        own: CompetingTasks::default(),
        others: Vec::new(),
    }
}

/// Adds the tasks that share the channel with `user`'s next job. `open` of the user's tasks
/// belong to that job itself, if it is already accepted. Without a user, all tasks are
/// those of others.
pub fn with_load(
    pace: ChannelPace,
    loads: &[ChannelLoad],
    user: Option<UserId>,
    open: Option<u32>,
) -> ChannelPace {
    // The loads are older than `open`: a difference between them is no other job.
    let own = loads.iter().find(|load| Some(load.user) == user).and_then(|load| {
        let turns = load.jobs.saturating_sub(u32::from(open.is_some()));
        let tasks = load.open.saturating_sub(open.unwrap_or(0));
        (turns > 0).then(|| CompetingTasks { turns: turns.into(), tasks: tasks.into() })
    });
    let others = loads.iter().filter(|load| Some(load.user) != user);
    let mut others: Vec<u64> = others.map(|load| load.open.into()).collect();
    others.sort_unstable_by(|a, b| b.cmp(a));
    let rest = others.split_off(others.len().min(MAX_COUNTED_USERS));
    let one_by_one = others.into_iter().map(|tasks| CompetingTasks { turns: 1, tasks });
    let lumped = (!rest.is_empty())
        .then(|| CompetingTasks { turns: rest.len() as u64, tasks: rest.iter().sum() });
    ChannelPace { own: own.unwrap_or_default(), others: one_by_one.chain(lumped).collect(), ..pace }
}

/// Corrects what the limits allow by what is known about the real pace.
pub fn with_efficiency(pace: ChannelPace, known: Efficiency) -> ChannelPace {
    ChannelPace {
        rate: pace.rate * known.factor,
        full_rate: pace.full_rate * known.factor,
        spread: known.spread,
        slack_ms: known.slack_ms,
        ..pace
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limiter::UpstreamLimits;
    use std::time::Duration;
    use uuid::Uuid;

    fn spec(rate: f64, concurrency: u16, latency: Duration) -> ChannelConfig {
        ChannelConfig {
            id: "acme".into(),
            name: "Acme".into(),
            limits: UpstreamLimits { rate, concurrency },
            latency,
            requests_per_upload: 1,
            is_sandbox: true,
        }
    }

    fn pace(spec: &ChannelConfig, current_rate: f64) -> ChannelPace {
        let state = LimiterState { current_rate, cooldown_remaining: None, in_flight: 0 };
        allowed_pace(spec, &state, None)
    }

    fn load(user: u128, jobs: u32, open: u32) -> ChannelLoad {
        ChannelLoad { channel: "acme".into(), user: UserId(Uuid::from_u128(user)), jobs, open }
    }

    #[test]
    fn rate_is_limited_by_permits_or_by_calls_in_flight() {
        let by_permits = pace(&spec(2.0, 17, Duration::from_secs(4)), 1.94);
        assert_eq!((by_permits.rate, by_permits.full_rate), (1.94, 1.94));
        let by_concurrency = pace(&spec(2.0, 4, Duration::from_secs(8)), 1.94);
        assert_eq!((by_concurrency.rate, by_concurrency.full_rate), (0.5, 0.5));
        let reduced = pace(&spec(2.0, 17, Duration::from_secs(4)), 0.97);
        assert_eq!((reduced.rate, reduced.full_rate), (0.97, 1.94));
        let looks_up =
            ChannelConfig { requests_per_upload: 2, ..spec(2.0, 40, Duration::from_secs(10)) };
        let two_requests = pace(&looks_up, 1.94);
        assert_eq!((two_requests.rate, two_requests.full_rate), (0.97, 0.97));
    }

    #[test]
    fn own_jobs_and_other_users_share_the_channel() {
        let acme = pace(&spec(2.0, 17, Duration::from_secs(4)), 1.94);
        let loads = [load(1, 3, 130), load(2, 9, 40), load(3, 1, 70)];
        let ada = Some(UserId(Uuid::from_u128(1)));
        let running = with_load(acme.clone(), &loads, ada, Some(100));
        assert_eq!(running.own, CompetingTasks { turns: 2, tasks: 30 });
        let one = |tasks| CompetingTasks { turns: 1, tasks };
        assert_eq!(running.others, [one(70), one(40)]);
        let next = with_load(acme.clone(), &loads, ada, None);
        assert_eq!(next.own, CompetingTasks { turns: 3, tasks: 130 });
        let only = with_load(acme.clone(), &[load(1, 1, 103)], ada, Some(100));
        assert_eq!(only.own, CompetingTasks::default());
        assert_eq!(with_load(acme.clone(), &loads, None, None).others.len(), 3);

        let many: Vec<_> = (1..=20).map(|user| load(user, 1, 10)).collect();
        let lumped = with_load(acme, &many, None, None).others;
        let rest = CompetingTasks { turns: 12, tasks: 120 };
        assert_eq!((lumped.len(), lumped[MAX_COUNTED_USERS]), (9, rest));
    }
}
