//! Gauges, read at a scrape and cached for a moment, so that many scrapers cost
//! as much as one.

use crate::hub::Hub;
use contract::metric;
use engine::{
    limiter::Limiters,
    store::Store,
    task_queue::{self, TaskQueue},
};
use metrics::gauge;
use metrics_process::Collector;
use std::{fmt::Debug, sync::Arc, time::Duration};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

/// Maximum age of cached gauges.
const MAX_AGE: Duration = Duration::from_secs(5);
/// Time after which a component that does not answer counts as down.
const READ_TIMEOUT: Duration = Duration::from_secs(2);

/// Components that the gauges are read from.
pub struct GaugeSources {
    pub store: Store,
    pub task_queue: Arc<dyn TaskQueue>,
    pub limiters: Limiters,
    /// Names of the queues.
    pub queues: Vec<String>,
    pub hub: Hub,
}

pub(super) struct Gauges {
    sources: GaugeSources,
    process: Collector,
    last_refresh: Mutex<Option<Instant>>,
}

impl Gauges {
    /// Also sets the gauge that never changes, the version.
    pub fn new(sources: GaugeSources) -> Self {
        gauge!(metric::BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        Self { sources, process: Collector::default(), last_refresh: Mutex::default() }
    }

    /// Refreshes the gauges unless they are fresh. Gauges of a component that is
    /// down keep their last values, and its `meanwhile_up` is 0.
    pub async fn refresh(&self) {
        let mut last = self.last_refresh.lock().await;
        if last.is_some_and(|at| at.elapsed() < MAX_AGE) {
            return;
        }
        tokio::join!(
            record_up("database", self.refresh_backlog()),
            record_up("broker", self.refresh_queues()),
            record_up("limiter", self.refresh_upstreams()),
        );
        #[allow(clippy::cast_precision_loss)]
        gauge!(metric::WEBSOCKETS_OPEN).set(self.sources.hub.socket_count() as f64);
        self.process.collect();
        *last = Some(Instant::now());
    }

    async fn refresh_backlog(&self) -> Result<(), engine::store::Error> {
        let store = &self.sources.store;
        let backlog = store.jobs.backlog().await?;
        gauge!(metric::JOBS_RUNNING).set(f64::from(backlog.jobs));
        for name in &self.sources.queues {
            // An empty queue has gauges, too.
            let queue = backlog.queues.get(name).cloned().unwrap_or_default();
            for (state, count) in [
                ("queued", queue.queued),
                ("published", queue.published),
                ("running", queue.running),
            ] {
                gauge!(metric::TASKS, "queue" => name.clone(), "state" => state)
                    .set(f64::from(count));
            }
            let age = queue.due_since.map_or(0, |since| (store.database.now_ms() - since).max(0));
            #[allow(clippy::cast_precision_loss)]
            gauge!(metric::OLDEST_DUE_TASK_AGE_SECONDS, "queue" => name.clone())
                .set(age as f64 / 1000.0);
        }
        Ok(())
    }

    async fn refresh_queues(&self) -> Result<(), task_queue::Error> {
        for queue in &self.sources.queues {
            let depth = self.sources.task_queue.queue_depth(queue).await?;
            #[allow(clippy::cast_precision_loss)]
            for (name, count) in [
                (metric::QUEUE_MESSAGES, depth.ready as f64),
                (metric::QUEUE_CONSUMERS, depth.consumers as f64),
            ] {
                gauge!(name, "queue" => queue.clone()).set(count);
            }
        }
        Ok(())
    }

    async fn refresh_upstreams(&self) -> Result<(), engine::limiter::AcquireError> {
        let limiters = &self.sources.limiters;
        for (upstream, _) in limiters.upstream_limits() {
            let state = limiters.state(&upstream).await?;
            for (name, value) in [
                (
                    metric::UPSTREAM_COOLDOWN_SECONDS,
                    state.cooldown_remaining.unwrap_or_default().as_secs_f64(),
                ),
                (metric::UPSTREAM_RATE_LIMIT, state.current_rate),
                (metric::UPSTREAM_ATTEMPTS_IN_FLIGHT, f64::from(state.in_flight)),
            ] {
                gauge!(name, "upstream" => upstream.clone()).set(value);
            }
        }
        Ok(())
    }
}

/// Sets `meanwhile_up` of `component`: 1 if `read` succeeds in time.
async fn record_up<E: Debug>(component: &'static str, read: impl Future<Output = Result<(), E>>) {
    let answer = timeout(READ_TIMEOUT, read).await;
    let up = matches!(answer, Ok(Ok(())));
    if !up {
        tracing::debug!(component, result = ?answer, "the gauges of a component could not be refreshed");
    }
    gauge!(metric::UP, "component" => component).set(f64::from(u8::from(up)));
}
