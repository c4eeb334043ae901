//! The relay, and the broker's losses of what it has published.

use super::{Harness, QUEUES, unpublish};
use contract::{TaskId, state::TaskState};
use engine::store::{DueTasks, ExhaustedJob, QueueGeneration, RoundRobin};

/// The reaper's value.
const UNPUBLISH_AFTER_MS: i64 = 120_000;

/// What the relay has published from one queue.
pub(super) struct RelayRound {
    queue: &'static str,
    tasks: Vec<(TaskId, i64)>,
    exhausted: Vec<ExhaustedJob>,
    generation: Option<QueueGeneration>,
    /// Whether messages of the queue were found to be lost since.
    is_lost: bool,
}

impl Harness {
    pub(super) async fn publish(&mut self, window: usize, mark: bool) {
        for queue in QUEUES {
            let DueTasks { tasks: due, exhausted_jobs: exhausted, generation } = self
                .fixture
                .store
                .tasks
                .due_tasks(queue, window, &RoundRobin::default())
                .await
                .unwrap();
            let unclaimed = self.snapshot.tasks.values().filter(|task| {
                task.queue == queue
                    && task.state == TaskState::Queued
                    && task.published_at.is_some()
            });
            assert!(due.is_empty() || due.len() + unclaimed.count() <= window);
            let tasks = due.iter().map(|dispatch| (dispatch.task, dispatch.fence)).collect();
            self.unmarked.push(RelayRound { queue, tasks, exhausted, generation, is_lost: false });
            for dispatch in due {
                let task = &self.snapshot.tasks[&dispatch.task.0];
                let job = &self.snapshot.jobs[&task.job];
                assert!(!job.paused && (!job.cancel_requested || task.may_have_effect()));
                assert!(task.published_at.is_none() && dispatch.fence == task.fence);
                assert!(task.run_after <= self.fixture.store.database.now_ms());
                self.messages.push(dispatch);
            }
        }
        if mark {
            self.mark().await;
        }
    }

    pub(super) async fn mark(&mut self) {
        let rounds = std::mem::take(&mut self.unmarked);
        for RelayRound { tasks, exhausted, generation, .. } in &rounds {
            let marked =
                self.fixture.store.tasks.mark_published(tasks, exhausted, generation.as_ref());
            marked.await.unwrap();
        }
        let now = self.fixture.store.database.now_ms();
        self.assert_tasks_changed(|id, task| {
            let claim = (TaskId(id), task.fence);
            let is_marked = rounds.iter().any(|r| !r.is_lost && r.tasks.contains(&claim));
            if is_marked && task.state == TaskState::Queued {
                task.published_at = Some(now);
            }
        })
        .await;
    }

    pub(super) async fn unpublish(&mut self) {
        let before = self.fixture.store.database.now_ms() - UNPUBLISH_AFTER_MS;
        let is_empty = |queue: &str| !self.messages.iter().any(|message| message.queue == queue);
        for queue in QUEUES.into_iter().filter(|queue| is_empty(queue)) {
            let lost = self.fixture.store.tasks.unpublish_tasks(queue, before).await.unwrap();
            let rounds = self.unmarked.iter_mut().filter(|round| round.queue == queue);
            rounds.for_each(|round| round.is_lost |= lost > 0);
        }
        self.assert_tasks_changed(|_, task| {
            let is_missing = task.published_at.is_some_and(|at| at < before);
            if is_missing && task.state == TaskState::Queued && is_empty(&task.queue) {
                unpublish(task);
            }
        })
        .await;
    }

    pub(super) async fn lose_queue(&mut self, queue: u8) {
        let queue = QUEUES[usize::from(queue) % QUEUES.len()];
        self.messages.retain(|message| message.queue != queue);
        let rounds = self.unmarked.iter_mut().filter(|round| round.queue == queue);
        rounds.for_each(|round| round.is_lost = true);
        self.fixture.store.tasks.unpublish_lost_queue(queue).await.unwrap();
        self.assert_tasks_changed(|_, task| {
            let is_lost = task.queue == queue && task.published_at.is_some();
            if is_lost && task.state == TaskState::Queued {
                unpublish(task);
            }
        })
        .await;
    }
}
