//! Executes the steps: users, relay, broker, workers and reaper around one store.

mod deliveries;
mod pruner;
mod relay;
mod user_actions;
mod workers;

use super::{
    invariants::{self, StepSource},
    snapshot::{self, Snapshot, Task},
    step::{AttemptEnd, LARGE_WINDOW, Step, WINDOW},
};
use crate::fixture::StoreFixture;
use contract::{
    JobId, UserId,
    api::Role,
    envelope::CommandMessage,
    state::{JobState, TaskState},
};
use engine::store::{ClaimedTask, JobControl, MAX_LEASE_LOSSES, RETRY_BACKOFF_MS};
use relay::RelayRound;
use sea_orm::DatabaseConnection;
use std::collections::{BTreeMap, HashMap, HashSet};
use uuid::Uuid;

const QUEUES: [&str; 3] = [
    "meanwhile.q.product.upload.acme.v1",
    "meanwhile.q.ec2.start.v1",
    "meanwhile.q.alarm.create.v1",
];
/// Longer than a lease, a back-off and the time after which a task is published again.
const LONGEST_WAIT_MS: i64 = 700_000;
/// Maximum number of rounds until everything has finished.
const MAX_DRAIN_ROUNDS: usize = 200;

pub struct Harness {
    fixture: StoreFixture,
    db: DatabaseConnection,
    users: [UserId; 2],
    /// Messages in the broker.
    messages: Vec<CommandMessage>,
    /// Rounds of the relay that it has published and not marked yet.
    unmarked: Vec<RelayRound>,
    /// Messages that the broker has lost, and the reaper has not found missing yet.
    lost_messages: HashSet<(Uuid, i64)>,
    /// Claims that workers have, or believe to have.
    claims: Vec<ClaimedTask>,
    /// Claims whose outcome was reported.
    ended_claims: Vec<ClaimedTask>,
    idempotency_keys: HashMap<(UserId, u8), FirstRequest>,
    snapshot: Snapshot,
}

/// The first request with an idempotency key.
struct FirstRequest {
    job: JobId,
    /// Hash of the request.
    hash: String,
    at: i64,
}

/// Makes the task's message stale, so that the relay publishes another one.
fn unpublish(task: &mut Task) {
    task.published_at = None;
    task.fence += 1;
}

fn pick_index<T>(from: &[T], choice: u8) -> Option<usize> {
    (!from.is_empty()).then(|| usize::from(choice) % from.len())
}

impl Harness {
    pub async fn new(fixture: StoreFixture) -> Self {
        let bob = fixture.add_user("bob@example.com", Role::User).await;
        let db = fixture.raw_connection().await;
        let snapshot = Snapshot::read(&db).await;
        Self {
            users: [fixture.user, bob],
            fixture,
            db,
            messages: Vec::new(),
            unmarked: Vec::new(),
            lost_messages: HashSet::new(),
            claims: Vec::new(),
            ended_claims: Vec::new(),
            idempotency_keys: HashMap::new(),
            snapshot,
        }
    }

    /// Executes `step` and checks all invariants.
    pub async fn step(&mut self, step: Step) {
        let before = self.snapshot.clone();
        let source = match &step {
            Step::Retry { .. } => StepSource::Retry,
            Step::Resolve { .. } => StepSource::Resolve,
            Step::Prune { .. } => StepSource::Pruner,
            _ => StepSource::System,
        };
        match step {
            Step::Accept { user, machines, keys, idempotency } => {
                self.accept(self.users[usize::from(user)], machines, &keys, idempotency).await;
            }
            Step::Publish { mark } => self.publish(WINDOW, mark).await,
            Step::Mark => self.mark().await,
            Step::PublishAndClaimAll { window } => {
                self.publish(window, true).await;
                self.refresh_snapshot().await;
                self.deliver_all().await;
            }
            Step::Deliver { message, again } => self.deliver(message, again).await,
            Step::Defer { message } => self.defer(message).await,
            Step::Renew { claim } => self.renew(claim).await,
            Step::Finish { claim, ends } => self.finish(claim, &ends).await,
            Step::FinishAll { ends } => self.finish_all(&ends).await,
            Step::FinishStale { claim, end } => self.finish_stale(claim, end).await,
            Step::Reap => self.reap().await,
            Step::LoseWorkers { times } => {
                for _ in 0..times {
                    for step in [
                        Step::PublishAndClaimAll { window: LARGE_WINDOW },
                        Step::Advance { ms: LONGEST_WAIT_MS },
                        Step::Reap,
                    ] {
                        Box::pin(self.step(step)).await;
                    }
                }
                return;
            }
            Step::Unpublish => self.unpublish().await,
            Step::LoseMessages => {
                let lost = self.messages.drain(..).map(|message| (message.task.0, message.fence));
                self.lost_messages.extend(lost);
            }
            Step::LoseQueue { queue } => self.lose_queue(queue).await,
            Step::Restart => self.restart().await,
            Step::Control { job, control } => self.control(job, control).await,
            Step::Retry { job, which } => self.retry(job, which).await,
            Step::Resolve { task, succeeded } => self.resolve(task, succeeded).await,
            Step::MarkRead { user } => {
                let user = self.users[usize::from(user)];
                let head = self.fixture.store.journal.journal_head(user).await.unwrap();
                self.fixture.store.journal.mark_notifications_read(user, head).await.unwrap();
            }
            Step::Advance { ms } => return self.fixture.clock.advance(ms),
            Step::Prune { days } => self.prune(days).await,
        }
        self.refresh_snapshot().await;
        self.check_step(&before, source).await;
    }

    /// Runs without further faults until everything has finished.
    pub async fn run_to_completion(&mut self) {
        for _ in 0..MAX_DRAIN_ROUNDS {
            if self.snapshot.jobs.values().all(|job| job.state != JobState::Running) {
                let open = |task: &Task| !task.state.is_terminal();
                assert!(
                    !self.snapshot.tasks.values().any(open),
                    "accepted - terminal is not empty"
                );
                return;
            }
            let paused: Vec<_> = self.snapshot.jobs.values().map(|job| job.paused).collect();
            for (index, paused) in paused.into_iter().enumerate() {
                if paused {
                    let index = u8::try_from(index).unwrap();
                    self.control(index, JobControl::Resume).await;
                    self.refresh_snapshot().await;
                }
            }
            self.fixture.clock.advance(LONGEST_WAIT_MS);
            self.reap().await;
            self.refresh_snapshot().await;
            self.unpublish().await;
            self.refresh_snapshot().await;
            self.publish(LARGE_WINDOW, true).await;
            self.refresh_snapshot().await;
            if self.messages.len() > WINDOW * QUEUES.len() {
                self.deliver_all().await;
            }
            while !self.messages.is_empty() {
                self.refresh_snapshot().await;
                self.deliver(0, false).await;
            }
            self.refresh_snapshot().await;
            self.finish_all(&[AttemptEnd::Succeed { effect: None }]).await;
            self.refresh_snapshot().await;
            invariants::check_state(&self.snapshot);
        }
        panic!("did not finish: {:#?}", self.snapshot);
    }

    async fn refresh_snapshot(&mut self) {
        self.snapshot = Snapshot::read(&self.db).await;
    }

    async fn check_step(&self, before: &Snapshot, source: StepSource) {
        let mut facts_by_user = BTreeMap::new();
        for user in self.users {
            let old = before.heads[&user.0];
            facts_by_user.insert(user.0, snapshot::journal(&self.db, user, old).await);
        }
        invariants::check_state(&self.snapshot);
        invariants::check_transition(before, &self.snapshot, source);
        invariants::check_facts(
            before,
            &self.snapshot,
            &facts_by_user,
            self.fixture.store.database.now_ms(),
        );
        for (id, task) in &self.snapshot.tasks {
            let has_message =
                self.messages.iter().any(|m| (m.task.0, m.fence) == (*id, task.fence))
                    || self.lost_messages.contains(&(*id, task.fence));
            let waits = task.state == TaskState::Queued && task.published_at.is_some();
            assert!(
                !waits || self.snapshot.jobs[&task.job].paused || has_message,
                "no message for {task:?}"
            );
        }
    }

    /// Asserts that nothing was written.
    async fn assert_unchanged(&self) {
        assert_eq!(Snapshot::read(&self.db).await, self.snapshot);
    }

    /// Asserts that the tasks are what `change` makes of those before the step. It is
    /// given every task, and leaves alone what the step must not change.
    async fn assert_tasks_changed(&self, change: impl Fn(Uuid, &mut Task)) {
        let mut expected = self.snapshot.tasks.clone();
        for (id, task) in &mut expected {
            change(*id, task);
        }
        let actual = Snapshot::read(&self.db).await.tasks;
        for (id, task) in &expected {
            assert_eq!(actual.get(id), Some(task), "it was {:?}", self.snapshot.tasks[id]);
        }
        assert_eq!(actual.len(), expected.len());
    }

    async fn reap(&self) {
        let now = self.fixture.store.database.now_ms();
        let is_expired =
            |(_, task): &(&Uuid, &Task)| task.lease_until.is_some_and(|until| until <= now);
        let expired: Vec<_> = self.snapshot.tasks.iter().filter(is_expired).collect();
        assert_eq!(
            self.fixture.store.tasks.reap_expired_leases(false).await.unwrap().len(),
            expired.len()
        );
        let after = Snapshot::read(&self.db).await;
        for (id, old) in expired {
            let new = &after.tasks[id];
            let state = match old {
                _ if old.lease_losses + 1 == MAX_LEASE_LOSSES => TaskState::Failed,
                // It is reconciled, also if the job is being cancelled.
                _ => TaskState::Queued,
            };
            let actual =
                (new.state, new.lease_losses, new.attempt, new.outcome_unknown, new.attempt_count);
            assert_eq!(
                actual,
                (state, old.lease_losses + 1, old.attempt - 1, true, old.attempt_count + 1)
            );
            // The first loss is retried at once.
            let waits = usize::try_from(old.lease_losses).unwrap().checked_sub(1);
            let longest = waits.map_or(0, |step| RETRY_BACKOFF_MS[step]);
            assert!((0..=longest).contains(&(new.run_after - now)), "{new:?}");
        }
    }

    async fn restart(&mut self) {
        self.messages.clear();
        self.unmarked.clear();
        self.fixture.store.tasks.reap_expired_leases(true).await.unwrap();
        for queue in QUEUES {
            self.fixture.store.tasks.unpublish_tasks(queue, i64::MAX).await.unwrap();
        }
        let after = Snapshot::read(&self.db).await;
        for task in after.tasks.values() {
            assert!(task.state != TaskState::Running && task.published_at.is_none(), "{task:?}");
        }
    }
}
