//! Deliveries to workers, which claim or defer the tasks.

use super::{Harness, pick_index};
use crate::model::snapshot::{Job, Snapshot, Task};
use contract::{
    api::{WaitReason, WaitingFor},
    envelope::CommandMessage,
    fact::FactKind,
    state::TaskState,
};
use engine::store::{Claim, DEFAULT_LEASE_MS};
use std::collections::HashSet;
use uuid::Uuid;

/// The store's value.
const LOCKED_RETRY_DELAY_MS: i64 = 2_000;

/// Whether the task can't be claimed now, because of its job or its time.
fn is_blocked(job: &Job, task: &Task, now: i64) -> bool {
    let is_cancelled = job.cancel_requested && !task.may_have_effect();
    job.paused || is_cancelled || task.run_after > now
}

impl Harness {
    pub(super) async fn deliver(&mut self, message: u8, again: bool) {
        let Some(index) = pick_index(&self.messages, message) else { return };
        let CommandMessage { task: id, fence, .. } = self.messages[index];
        if !again {
            self.messages.remove(index);
        }
        let now = self.fixture.store.database.now_ms();
        let Some(task) = self.snapshot.tasks.get(&id.0).cloned() else {
            let claim = self.fixture.store.tasks.claim(id, fence, "w1").await.unwrap();
            assert!(matches!(claim, Claim::NotClaimable), "{id} was deleted: {claim:?}");
            return self.assert_unchanged().await;
        };
        let job = &self.snapshot.jobs[&task.job];
        let alike = |other: &&Task| (&other.kind, &other.key) == (&task.kind, &task.key);
        let mut alike = self.snapshot.tasks.values().filter(alike);
        let is_newer = |other: &Task| {
            other.state == TaskState::Succeeded && other.created_at > task.created_at
        };
        let current = task.state == TaskState::Queued && task.fence == fence;
        let is_any_newer = alike.clone().any(is_newer);
        let superseded = current && is_any_newer && !task.may_have_effect();
        let is_blocked = is_blocked(job, &task, now);
        let has_rival = alike.any(|other| other.state == TaskState::Running);

        let claim = self.fixture.store.tasks.claim(id, fence, "w1").await.unwrap();
        match claim {
            Claim::Superseded(facts) => {
                assert!(superseded, "nothing newer has succeeded");
                assert_eq!(facts.facts[0].kind, FactKind::TaskCancelled);
            }
            Claim::NotClaimable => {
                assert!(!superseded && (!current || is_blocked), "refused without a reason");
                self.assert_unchanged().await;
            }
            Claim::KeyInUse => {
                assert!(current && !superseded && !is_blocked && has_rival);
                let row = &Snapshot::read(&self.db).await.tasks[&id.0];
                assert_eq!((row.run_after, row.published_at), (now + LOCKED_RETRY_DELAY_MS, None));
            }
            Claim::Claimed(claimed) => {
                assert!(current && !superseded && !is_blocked && !has_rival, "{task:?}");
                assert_eq!(claimed.only_reconcile, job.cancel_requested || is_any_newer);
                let actual = (claimed.fence, i64::from(claimed.attempt), claimed.outcome_unknown());
                assert_eq!(actual, (task.fence + 1, task.attempt + 1, task.outcome_unknown));
                let row = &Snapshot::read(&self.db).await.tasks[&id.0];
                assert_eq!(
                    (row.fence, row.lease_until),
                    (claimed.fence, Some(now + DEFAULT_LEASE_MS))
                );
                self.claims.push(*claimed);
            }
        }
    }

    /// Lets one worker claim all messages at once.
    pub(super) async fn deliver_all(&mut self) {
        let messages = std::mem::take(&mut self.messages);
        let batch: Vec<_> = messages.iter().map(|m| (m.task, m.fence)).collect();
        let now = self.fixture.store.database.now_ms();
        let claims = self.fixture.store.tasks.claim_batch(&batch, "w1").await;
        assert_eq!(claims.len(), batch.len());
        let after = Snapshot::read(&self.db).await;
        let claimed_ids: HashSet<_> = claims
            .iter()
            .filter_map(|claim| match claim {
                Ok(Claim::Claimed(claimed)) => Some(claimed.id.0),
                _ => None,
            })
            .collect();
        for (id, row) in &after.tasks {
            let began =
                row.state == TaskState::Running && row.fence != self.snapshot.tasks[id].fence;
            assert_eq!(began, claimed_ids.contains(id), "claimed by no worker: {row:?}");
        }
        for (n, ((id, fence), claim)) in batch.iter().zip(claims).enumerate() {
            let claim = claim.unwrap();
            let Some(task) = self.snapshot.tasks.get(&id.0) else {
                assert!(matches!(claim, Claim::NotClaimable), "{id} was deleted: {claim:?}");
                continue;
            };
            let job = &self.snapshot.jobs[&task.job];
            let current = task.state == TaskState::Queued && task.fence == *fence;
            let is_blocked = is_blocked(job, task, now);
            let alike =
                |(_, other): &(&Uuid, &Task)| (&other.kind, &other.key) == (&task.kind, &task.key);
            let mut others = self.snapshot.tasks.iter().filter(alike);
            // The other task of the key may be in the same batch, and be claimed
            // first.
            let has_no_rival = others.clone().all(|(other, row)| {
                *other == id.0
                    || (row.state != TaskState::Running
                        && !batch.iter().any(|(task, _)| task.0 == *other))
            });
            let is_any_newer = others.any(|(_, other)| {
                other.state == TaskState::Succeeded && other.created_at > task.created_at
            });
            let newer = is_any_newer && !task.may_have_effect();
            let again = batch[..n].contains(&batch[n]);
            match claim {
                Claim::Superseded(_) => assert!(current && newer),
                Claim::NotClaimable => {
                    let refused = !current || again || (is_blocked && !newer);
                    assert!(refused, "refused without a reason: {task:?}");
                }
                Claim::KeyInUse => assert!(current && !newer && !is_blocked && !has_no_rival),
                Claim::Claimed(claimed) => {
                    assert!(current && !newer && !is_blocked && !again, "{task:?}");
                    assert_eq!(claimed.only_reconcile, job.cancel_requested || is_any_newer);
                    let actual =
                        (claimed.fence, i64::from(claimed.attempt), claimed.outcome_unknown());
                    assert_eq!(actual, (task.fence + 1, task.attempt + 1, task.outcome_unknown));
                    let row = &after.tasks[&id.0];
                    assert_eq!(row.state, TaskState::Running);
                    assert_eq!(
                        (row.fence, row.lease_until),
                        (claimed.fence, Some(now + DEFAULT_LEASE_MS))
                    );
                    self.claims.push(*claimed);
                }
            }
        }
    }

    pub(super) async fn defer(&mut self, message: u8) {
        let Some(index) = pick_index(&self.messages, message) else { return };
        let CommandMessage { task, fence, .. } = self.messages.remove(index);
        let until = self.fixture.store.database.now_ms() + 15_000;
        let waiting =
            WaitingFor { reason: WaitReason::RateLimit, until: Some(until), detail: None };
        self.fixture.store.tasks.defer_task(task, fence, until, waiting).await.unwrap();
    }
}
