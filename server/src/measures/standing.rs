//! What stands at a time: read when it is asked for, and kept for a moment,
//! so that many readers cost what one does.

use crate::hub::Hub;
use engine::{broker::Broker, gate::Gates, store::Store};
use metrics::gauge;
use std::{
    fmt::Debug,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

/// What was read is told again for so long.
const FRESH: Duration = Duration::from_secs(5);
/// Whoever does not answer within this time is away.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where it is read from.
pub struct Sources {
    pub store: Store,
    pub broker: Arc<dyn Broker>,
    pub gates: Gates,
    /// Names of the queues.
    pub queues: Vec<String>,
    pub hub: Hub,
}

pub(super) struct Standing {
    sources: Sources,
    last: Mutex<Option<Instant>>,
}

impl Standing {
    pub fn new(sources: Sources) -> Self {
        gauge!("meanwhile_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        gauge!("process_start_time_seconds").set(now.as_secs_f64());
        Self { sources, last: Mutex::default() }
    }

    /// Figures of a part that is away stay as they were; `meanwhile_up` says so.
    pub async fn refresh(&self) {
        let mut last = self.last.lock().await;
        if last.is_some_and(|at| at.elapsed() < FRESH) {
            return;
        }
        tokio::join!(
            up("database", self.backlog()),
            up("broker", self.queues()),
            up("gates", self.accounts()),
        );
        #[allow(clippy::cast_precision_loss)]
        gauge!("meanwhile_sockets").set(self.sources.hub.sockets() as f64);
        process();
        *last = Some(Instant::now());
    }

    async fn backlog(&self) -> Result<(), engine::store::Error> {
        let store = &self.sources.store;
        let backlog = store.backlog().await?;
        gauge!("meanwhile_jobs").set(f64::from(backlog.jobs));
        for name in &self.sources.queues {
            // A queue that nothing is in is told of too.
            let queue = backlog.queues.get(name).cloned().unwrap_or_default();
            for (state, count) in [
                ("queued", queue.queued),
                ("published", queue.published),
                ("running", queue.running),
            ] {
                gauge!("meanwhile_tasks", "queue" => name.clone(), "state" => state)
                    .set(f64::from(count));
            }
            let age = queue.due_since.map_or(0, |since| (store.now_ms() - since).max(0));
            #[allow(clippy::cast_precision_loss)]
            gauge!("meanwhile_oldest_due_seconds", "queue" => name.clone())
                .set(age as f64 / 1000.0);
        }
        Ok(())
    }

    async fn queues(&self) -> Result<(), engine::broker::Error> {
        for name in &self.sources.queues {
            let depth = self.sources.broker.depth(name).await?;
            #[allow(clippy::cast_precision_loss)]
            for (measure, count) in [
                ("meanwhile_queue_messages", depth.ready as f64),
                ("meanwhile_queue_consumers", depth.consumers as f64),
            ] {
                gauge!(measure, "queue" => name.clone()).set(count);
            }
        }
        Ok(())
    }

    async fn accounts(&self) -> Result<(), engine::gate::Refused> {
        let gates = &self.sources.gates;
        for (account, _) in gates.limits() {
            let condition = gates.condition(&account).await?;
            for (measure, value) in [
                (
                    "meanwhile_account_closed_seconds",
                    condition.closed_for.unwrap_or_default().as_secs_f64(),
                ),
                ("meanwhile_account_pace", condition.pace),
                ("meanwhile_account_calls", f64::from(condition.in_flight)),
            ] {
                gauge!(measure, "account" => account.clone()).set(value);
            }
        }
        Ok(())
    }
}

/// Whether `part` could be read.
async fn up<E: Debug>(part: &'static str, read: impl Future<Output = Result<(), E>>) {
    let answer = timeout(PATIENCE, read).await;
    let up = matches!(answer, Ok(Ok(())));
    if !up {
        tracing::debug!(part, ?answer, "its measures are old");
    }
    gauge!("meanwhile_up", "part" => part).set(f64::from(u8::from(up)));
}

/// What the kernel says of this process, where it says anything.
#[allow(clippy::cast_precision_loss)]
fn process() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = resident.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    if let Some(kib) = kib {
        gauge!("process_resident_memory_bytes").set((kib * 1024) as f64);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        gauge!("process_open_fds").set(open.count() as f64);
    }
}
