//! Whether the parts that this process depends on answer.

use super::Engine;
use crate::{
    limiter::{self, AcquireError},
    task_queue::{self, QueueDepth, TaskQueue},
};
use futures_util::{StreamExt, stream};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};

/// Time after which a part that does not answer counts as down.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Number of queues that are asked at once. Each takes a channel of RabbitMQ.
const QUEUES_AT_ONCE: usize = 16;

/// The parts beside the store, which [`Engine::parts`] asks.
#[derive(Clone)]
pub struct Parts {
    /// The queues.
    pub task_queue: Arc<dyn TaskQueue>,
    /// Names of the queues.
    pub queues: Vec<String>,
    /// Name of the broker that has the queues, such as `RabbitMQ`.
    pub broker: &'static str,
    /// Name of what has the state of the rate limiters, such as `Redis`.
    pub limiter: &'static str,
}

/// Whether a part answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartStatus {
    /// What the part is for, such as `Database`.
    pub role: &'static str,
    /// Its name, such as `PostgreSQL`.
    pub name: &'static str,
    /// Time until it answered, or why it did not.
    pub answer: Result<Duration, String>,
}

impl Engine {
    /// Sets the parts that operators see.
    #[must_use]
    pub fn with_parts(self, parts: Parts) -> Self {
        Self { parts: Some(parts), ..self }
    }

    /// Asks the parts, at most two seconds long, and returns whether they answer, with how full
    /// each queue is.
    pub async fn parts(&self) -> (Vec<PartStatus>, HashMap<String, QueueDepth>) {
        let database =
            if self.store.database.is_single_process() { "SQLite" } else { "PostgreSQL" };
        let Some(parts) = &self.parts else { return Default::default() };
        let (database_answer, broker_answer, limiter_answer) = tokio::join!(
            measure(self.store.database.ping()),
            measure(queue_depths(parts)),
            measure(self.ask_limiter()),
        );
        let (broker_answer, depths) = match broker_answer {
            Ok((took, depths)) => (Ok(took), depths),
            Err(why) => (Err(why), HashMap::new()),
        };
        let status = |role, name, answer| PartStatus { role, name, answer };
        let statuses = vec![
            status("Database", database, database_answer.map(|(took, ())| took)),
            status("Queues", parts.broker, broker_answer),
            status("Rate limiter", parts.limiter, limiter_answer.map(|(took, ())| took)),
        ];
        (statuses, depths)
    }

    async fn ask_limiter(&self) -> Result<(), limiter::Error> {
        let upstreams = self.limiters.upstream_limits();
        let Some((upstream, _)) = upstreams.first() else { return Ok(()) };
        match self.limiters.state(upstream).await {
            Err(AcquireError::Limiter(error)) => Err(error),
            _ => Ok(()),
        }
    }
}

async fn queue_depths(parts: &Parts) -> Result<HashMap<String, QueueDepth>, task_queue::Error> {
    let mut asked = stream::iter(parts.queues.clone())
        .map(|queue| async move {
            let answer = parts.task_queue.queue_depth(&queue).await;
            (queue, answer)
        })
        .buffer_unordered(QUEUES_AT_ONCE);
    let mut depths = HashMap::with_capacity(parts.queues.len());
    while let Some((queue, answer)) = asked.next().await {
        match answer {
            Ok(depth) => {
                depths.insert(queue, depth);
            }
            // Its consumer declares it again.
            Err(task_queue::Error::QueueNotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(depths)
}

/// Returns how long `question` took, with its answer, or why there is none.
async fn measure<T, E: std::fmt::Display>(
    question: impl Future<Output = Result<T, E>>,
) -> Result<(Duration, T), String> {
    let started = Instant::now();
    match timeout(ANSWER_TIMEOUT, question).await {
        Ok(Ok(answer)) => Ok((started.elapsed(), answer)),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer in two seconds".into()),
    }
}
