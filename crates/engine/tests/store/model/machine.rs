//! Does the steps: people, relay, broker, workers and reaper around one store.

mod people;
mod workers;

use super::{
    invariants::{self, By},
    snapshot::{self, Snapshot, Task},
    step::{End, Step},
};
use crate::world::World;
use contract::{
    JobId, TaskId, UserId,
    api::{Role, WaitReason, WaitingFor},
    envelope::Dispatch,
    fact::FactKind,
    state::{JobState, TaskState},
};
use engine::store::{
    BACK_OFF_MS, Claim, Claimed, Control, Due, Exhausted, LEASE_MS, MAX_LOST, Turns,
};
use sea_orm::DatabaseConnection;
use std::collections::{BTreeMap, HashMap, HashSet};
use uuid::Uuid;

const QUEUES: [&str; 3] = [
    "meanwhile.q.product.upload.acme.v1",
    "meanwhile.q.ec2.start.v1",
    "meanwhile.q.alarm.create.v1",
];
const WINDOW: usize = 4;
/// As the reaper has it.
const LOST_MS: i64 = 120_000;
const LOCKED_MS: i64 = 2_000;
/// Rounds within which everything has come to its end.
const DRAIN: usize = 200;

pub struct Machine {
    world: World,
    db: DatabaseConnection,
    users: [UserId; 2],
    /// What lies in the broker.
    messages: Vec<Dispatch>,
    /// Published and not marked yet.
    unmarked: Vec<(TaskId, i64)>,
    /// Jobs without due tasks, as the relay found them and has not said yet.
    exhausted: Vec<Exhausted>,
    /// What the broker has lost and the reaper has not seen yet.
    lost: HashSet<(Uuid, i64)>,
    /// What workers hold, or believe to hold.
    claims: Vec<Claimed>,
    /// Claims whose end was told.
    ended: Vec<Claimed>,
    /// The job and the hash of what each key was used for first.
    keys: HashMap<(UserId, u8), (JobId, String)>,
    now: Snapshot,
}

fn pick<T>(from: &[T], choice: u8) -> Option<usize> {
    (!from.is_empty()).then(|| usize::from(choice) % from.len())
}

impl Machine {
    pub async fn new(world: World) -> Self {
        let bob = world.join("bob@example.com", Role::User).await;
        let db = world.raw().await;
        let now = Snapshot::read(&db).await;
        Self {
            users: [world.user, bob],
            world,
            db,
            messages: Vec::new(),
            unmarked: Vec::new(),
            exhausted: Vec::new(),
            lost: HashSet::new(),
            claims: Vec::new(),
            ended: Vec::new(),
            keys: HashMap::new(),
            now,
        }
    }

    /// Does `step` and checks everything.
    pub async fn step(&mut self, step: Step) {
        let before = self.now.clone();
        let by = match &step {
            Step::Retry { .. } => By::Retry,
            Step::Resolve { .. } => By::Resolve,
            _ => By::System,
        };
        match step {
            Step::Accept { user, machines, keys, idempotency } => {
                self.accept(self.users[usize::from(user)], machines, &keys, idempotency).await;
            }
            Step::Publish { marks } => self.publish(marks).await,
            Step::Mark => self.mark().await,
            Step::Flow => {
                self.publish(true).await;
                self.look().await;
                self.deliver_all().await;
            }
            Step::Deliver { message, again } => self.deliver(message, again).await,
            Step::PutOff { message } => self.put_off(message).await,
            Step::Renew { claim } => self.renew(claim).await,
            Step::Finish { claim, ends } => self.finish(claim, &ends).await,
            Step::FinishStale { claim, end } => self.finish_stale(claim, end).await,
            Step::Reap => self.reap().await,
            Step::Unpublish => self.unpublish().await,
            Step::LoseMessages => {
                let lost = self.messages.drain(..).map(|message| (message.task.0, message.fence));
                self.lost.extend(lost);
            }
            Step::Restart => self.restart().await,
            Step::Control { job, control } => self.control(job, control).await,
            Step::Retry { job, which } => self.retry(job, which).await,
            Step::Resolve { task, done } => self.resolve(task, done).await,
            Step::MarkRead { user } => {
                let user = self.users[usize::from(user)];
                let head = self.world.store.head(user).await.unwrap();
                self.world.store.mark_read(user, head).await.unwrap();
            }
            Step::Advance { ms } => return self.world.clock.advance(ms),
        }
        self.look().await;
        self.check(&before, by).await;
    }

    /// Without any more trouble everything comes to its end.
    pub async fn drain(&mut self) {
        for _ in 0..DRAIN {
            if self.now.jobs.values().all(|job| job.state != JobState::Running) {
                let open = |task: &Task| !task.state.is_end();
                assert!(!self.now.tasks.values().any(open), "accepted - terminal is not empty");
                return;
            }
            for (place, paused) in self.now.jobs.values().map(|job| job.paused).enumerate() {
                if paused {
                    let place = u8::try_from(place).unwrap();
                    self.control(place, Control::Resume).await;
                }
            }
            self.world.clock.advance(700_000);
            self.reap().await;
            self.look().await;
            self.unpublish().await;
            self.look().await;
            self.publish(true).await;
            while !self.messages.is_empty() {
                self.look().await;
                self.deliver(0, false).await;
            }
            self.look().await;
            while !self.claims.is_empty() {
                self.finish(0, &[End::Succeed; 3]).await;
            }
            self.look().await;
            invariants::of_state(&self.now);
        }
        panic!("does not come to its end: {:#?}", self.now);
    }

    async fn look(&mut self) {
        self.now = Snapshot::read(&self.db).await;
    }

    async fn check(&self, before: &Snapshot, by: By) {
        let mut told = BTreeMap::new();
        for user in self.users {
            let old = before.heads[&user.0];
            told.insert(user.0, snapshot::journal(&self.db, user, old).await);
        }
        invariants::of_state(&self.now);
        invariants::of_change(before, &self.now, by);
        invariants::of_facts(before, &self.now, &told, self.world.store.now_ms());
        for (id, task) in &self.now.tasks {
            let rings = self.messages.iter().any(|m| (m.task.0, m.fence) == (*id, task.fence))
                || self.lost.contains(&(*id, task.fence));
            let waits = task.state == TaskState::Queued && task.published_at.is_some();
            assert!(
                !waits || self.now.jobs[&task.job].paused || rings,
                "nobody comes for {task:?}"
            );
        }
    }

    /// Nothing at all was written.
    async fn assert_unchanged(&self) {
        assert_eq!(Snapshot::read(&self.db).await, self.now);
    }

    async fn publish(&mut self, marks: bool) {
        for queue in QUEUES {
            let Due { tasks: due, exhausted, .. } =
                self.world.store.due(queue, WINDOW, &Turns::default()).await.unwrap();
            self.exhausted.extend(exhausted);
            let unclaimed = self.now.tasks.values().filter(|task| {
                task.queue == queue
                    && task.state == TaskState::Queued
                    && task.published_at.is_some()
            });
            assert!(due.is_empty() || due.len() + unclaimed.count() <= WINDOW);
            for dispatch in due {
                let task = &self.now.tasks[&dispatch.task.0];
                let job = &self.now.jobs[&task.job];
                assert!(!job.paused && !job.cancel_requested);
                assert!(task.published_at.is_none() && dispatch.fence == task.fence);
                assert!(task.run_after <= self.world.store.now_ms());
                self.unmarked.push((dispatch.task, dispatch.fence));
                self.messages.push(dispatch);
            }
        }
        if marks {
            self.mark().await;
        }
    }

    async fn mark(&mut self) {
        let published = std::mem::take(&mut self.unmarked);
        let exhausted = std::mem::take(&mut self.exhausted);
        self.world.store.mark_published(&published, &exhausted, None).await.unwrap();
    }

    async fn deliver(&mut self, message: u8, again: bool) {
        let Some(place) = pick(&self.messages, message) else { return };
        let Dispatch { task: id, fence, .. } = self.messages[place];
        if !again {
            self.messages.remove(place);
        }
        let now = self.world.store.now_ms();
        let task = self.now.tasks[&id.0].clone();
        let job = &self.now.jobs[&task.job];
        let alike = |other: &&Task| (&other.kind, &other.key) == (&task.kind, &task.key);
        let mut alike = self.now.tasks.values().filter(alike);
        let is_newer = |other: &Task| {
            other.state == TaskState::Succeeded && other.created_at > task.created_at
        };
        let current = task.state == TaskState::Queued && task.fence == fence;
        let superseded = current && alike.clone().any(is_newer);
        let held_back = job.paused || job.cancel_requested || task.run_after > now;
        let rival = alike.any(|other| other.state == TaskState::Running);

        let claim = self.world.store.claim(id, fence, "w1").await.unwrap();
        match claim {
            Claim::Superseded(news) => {
                assert!(superseded, "nothing newer has succeeded");
                assert_eq!(news.facts[0].kind, FactKind::TaskCancelled);
            }
            Claim::Nothing => {
                assert!(!superseded && (!current || held_back), "refused without a reason");
                self.assert_unchanged().await;
            }
            Claim::Locked => {
                assert!(current && !superseded && !held_back && rival);
                let row = &Snapshot::read(&self.db).await.tasks[&id.0];
                assert_eq!((row.run_after, row.published_at), (now + LOCKED_MS, None));
            }
            Claim::Claimed(claimed) => {
                assert!(current && !superseded && !held_back && !rival, "{task:?}");
                let told = (claimed.fence, i64::from(claimed.attempt), claimed.unsure);
                assert_eq!(told, (task.fence + 1, task.attempt + 1, task.unsure));
                let row = &Snapshot::read(&self.db).await.tasks[&id.0];
                assert_eq!((row.fence, row.lease_until), (claimed.fence, Some(now + LEASE_MS)));
                self.claims.push(*claimed);
            }
        }
    }

    /// A worker claims all that lies there at once.
    async fn deliver_all(&mut self) {
        let messages = std::mem::take(&mut self.messages);
        let batch: Vec<_> = messages.iter().map(|m| (m.task, m.fence)).collect();
        let now = self.world.store.now_ms();
        let claims = self.world.store.claim_all(&batch, "w1").await;
        assert_eq!(claims.len(), batch.len());
        let after = Snapshot::read(&self.db).await;
        let told: HashSet<_> = claims
            .iter()
            .filter_map(|claim| match claim {
                Ok(Claim::Claimed(claimed)) => Some(claimed.task.0),
                _ => None,
            })
            .collect();
        for (id, row) in &after.tasks {
            let began = row.state == TaskState::Running && row.fence != self.now.tasks[id].fence;
            assert_eq!(began, told.contains(id), "claimed for nobody: {row:?}");
        }
        for (n, ((id, fence), claim)) in batch.iter().zip(claims).enumerate() {
            let task = &self.now.tasks[&id.0];
            let job = &self.now.jobs[&task.job];
            let current = task.state == TaskState::Queued && task.fence == *fence;
            let held_back = job.paused || job.cancel_requested || task.run_after > now;
            let alike =
                |(_, other): &(&Uuid, &Task)| (&other.kind, &other.key) == (&task.kind, &task.key);
            let mut others = self.now.tasks.iter().filter(alike);
            // The twin may be in the same batch, and be claimed first.
            let alone = others.clone().all(|(other, row)| {
                *other == id.0
                    || (row.state != TaskState::Running
                        && !batch.iter().any(|(task, _)| task.0 == *other))
            });
            let newer = others.any(|(_, other)| {
                other.state == TaskState::Succeeded && other.created_at > task.created_at
            });
            let again = batch[..n].contains(&batch[n]);
            match claim.unwrap() {
                Claim::Superseded(_) => assert!(current && newer),
                Claim::Nothing => {
                    let refused = !current || again || (held_back && !newer);
                    assert!(refused, "refused without a reason: {task:?}");
                }
                Claim::Locked => assert!(current && !newer && !held_back && !alone),
                Claim::Claimed(claimed) => {
                    assert!(current && !newer && !held_back && !again, "{task:?}");
                    let told = (claimed.fence, i64::from(claimed.attempt), claimed.unsure);
                    assert_eq!(told, (task.fence + 1, task.attempt + 1, task.unsure));
                    let row = &after.tasks[&id.0];
                    assert_eq!(row.state, TaskState::Running);
                    assert_eq!((row.fence, row.lease_until), (claimed.fence, Some(now + LEASE_MS)));
                    self.claims.push(*claimed);
                }
            }
        }
    }

    async fn put_off(&mut self, message: u8) {
        let Some(place) = pick(&self.messages, message) else { return };
        let Dispatch { task, fence, .. } = self.messages.remove(place);
        let until = self.world.store.now_ms() + 15_000;
        let waiting = WaitingFor { reason: WaitReason::Pace, until: Some(until), detail: None };
        self.world.store.put_off(task, fence, until, waiting).await.unwrap();
    }

    async fn reap(&self) {
        let now = self.world.store.now_ms();
        let out = |(_, task): &(&Uuid, &Task)| task.lease_until.is_some_and(|until| until <= now);
        let lost: Vec<_> = self.now.tasks.iter().filter(out).collect();
        assert_eq!(self.world.store.reap(false).await.unwrap().len(), lost.len());
        let after = Snapshot::read(&self.db).await;
        for (id, old) in lost {
            let new = &after.tasks[id];
            let state = match self.now.jobs[&old.job].cancel_requested {
                _ if old.lost + 1 == MAX_LOST => TaskState::Failed,
                true => TaskState::Cancelled,
                false => TaskState::Queued,
            };
            let told = (new.state, new.lost, new.attempt, new.unsure, new.tried);
            assert_eq!(told, (state, old.lost + 1, old.attempt - 1, true, old.tried + 1));
            // The first loss is made good at once.
            let waits = usize::try_from(old.lost).unwrap().checked_sub(1);
            let longest = waits.map_or(0, |step| BACK_OFF_MS[step]);
            assert!((0..=longest).contains(&(new.run_after - now)), "{new:?}");
        }
    }

    async fn unpublish(&self) {
        let before = self.world.store.now_ms() - LOST_MS;
        for queue in QUEUES {
            if !self.messages.iter().any(|message| message.queue == queue) {
                self.world.store.unpublish(queue, before).await.unwrap();
            }
        }
    }

    async fn restart(&mut self) {
        self.messages.clear();
        self.unmarked.clear();
        self.exhausted.clear();
        self.world.store.reap(true).await.unwrap();
        for queue in QUEUES {
            self.world.store.unpublish(queue, i64::MAX).await.unwrap();
        }
        let after = Snapshot::read(&self.db).await;
        for task in after.tasks.values() {
            assert!(task.state != TaskState::Running && task.published_at.is_none(), "{task:?}");
        }
    }
}
