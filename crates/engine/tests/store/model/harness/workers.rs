//! Workers: renewals and outcomes of their claims, late ones too.

use super::{Harness, pick_index};
use crate::{
    fixture::{finish, outcome},
    model::{snapshot::Snapshot, step::AttemptEnd},
};
use contract::{
    api::{CooldownReason, WaitReason},
    command::{AlarmCreate, Command},
    state::TaskState,
};
use engine::store::{
    AttemptError, AttemptResult, ClaimedTask, MAX_ATTEMPTS, NewTask, RETRY_BACKOFF_MS, Success,
};
use std::time::Duration;

/// Wait of a task that is deferred.
const WAIT: Duration = Duration::from_secs(5);

impl Harness {
    /// Whether the worker still has the claim.
    fn owns_lease(&self, claimed: &ClaimedTask) -> bool {
        let row = self.snapshot.tasks.get(&claimed.id.0);
        row.is_some_and(|row| row.state == TaskState::Running && row.fence == claimed.fence)
    }

    pub(super) async fn renew(&self, claim: u8) {
        let Some(index) = pick_index(&self.claims, claim) else { return };
        let claimed = &self.claims[index];
        let renewed =
            self.fixture.store.tasks.renew_lease(claimed.id, claimed.fence).await.unwrap();
        assert_eq!(renewed, self.owns_lease(claimed));
    }

    pub(super) async fn finish(&mut self, claim: u8, ends: &[AttemptEnd]) {
        let Some(index) = pick_index(&self.claims, claim) else { return };
        let count = ends.len().min(self.claims.len() - index);
        let claims: Vec<_> = self.claims.drain(index..index + count).collect();
        let batch = claims.iter().zip(ends).map(|(c, end)| finish(c, attempt_result(*end, c)));
        let ended = self.fixture.store.tasks.finish(batch.collect()).await;
        let after = Snapshot::read(&self.db).await;
        for ((claimed, end), ended) in claims.into_iter().zip(ends).zip(ended) {
            let facts = ended.unwrap();
            assert_eq!(facts.is_some(), self.owns_lease(&claimed), "{claimed:?}");
            if facts.is_some() {
                self.assert_ended(&claimed, *end, &after);
            }
            self.ended_claims.push(claimed);
        }
    }

    /// Reports an outcome of every claim, in one batch.
    pub(super) async fn finish_all(&mut self, ends: &[AttemptEnd]) {
        let ends: Vec<_> = ends.iter().copied().cycle().take(self.claims.len()).collect();
        self.finish(0, &ends).await;
    }

    fn assert_ended(&self, claimed: &ClaimedTask, end: AttemptEnd, after: &Snapshot) {
        let now = self.fixture.store.database.now_ms();
        let (old, new) = (&self.snapshot.tasks[&claimed.id.0], &after.tasks[&claimed.id.0]);
        let cancelled = self.snapshot.jobs[&old.job].cancel_requested;
        let (cancelled_or_queued, unless_started) = match cancelled {
            false => (TaskState::Queued, TaskState::Queued),
            true if old.may_have_effect() => (TaskState::Cancelled, TaskState::Queued),
            true => (TaskState::Cancelled, TaskState::Cancelled),
        };
        let state = match end {
            AttemptEnd::Succeed { .. } | AttemptEnd::Chain => TaskState::Succeeded,
            AttemptEnd::Fail => TaskState::Failed,
            AttemptEnd::Reject => TaskState::Rejected,
            AttemptEnd::NotDone => cancelled_or_queued,
            AttemptEnd::NeedsReview => TaskState::NeedsReview,
            AttemptEnd::Retry { outcome_unknown: false } if old.attempt >= MAX_ATTEMPTS => {
                TaskState::Failed
            }
            AttemptEnd::Retry { outcome_unknown: true } if old.attempt >= MAX_ATTEMPTS => {
                TaskState::NeedsReview
            }
            // It says nothing about what the checkpoint stands for.
            AttemptEnd::Retry { outcome_unknown: false } if old.has_checkpoint => TaskState::Queued,
            AttemptEnd::Retry { outcome_unknown: false } => cancelled_or_queued,
            AttemptEnd::Retry { outcome_unknown: true } | AttemptEnd::Checkpoint => {
                TaskState::Queued
            }
            AttemptEnd::Wait { .. } => unless_started,
        };
        assert_eq!(new.state, state, "{end:?} of {old:?}");
        let recorded = end != AttemptEnd::Wait { record_attempt: false };
        assert_eq!(new.attempt_count - old.attempt_count, i64::from(recorded));
        assert_eq!((new.lease_losses, new.published_at), (0, None));
        match end {
            AttemptEnd::Succeed { effect } => assert_eq!(new.effect, effect),
            AttemptEnd::NotDone => {
                let actual = (new.attempt, new.outcome_unknown, new.has_checkpoint, new.run_after);
                assert_eq!(actual, (0, false, false, now));
            }
            AttemptEnd::Wait { .. } | AttemptEnd::Checkpoint => {
                assert_eq!(
                    (new.attempt, new.outcome_unknown),
                    (old.attempt - 1, old.outcome_unknown)
                );
            }
            AttemptEnd::Retry { outcome_unknown } => {
                assert_eq!((new.attempt, new.outcome_unknown), (old.attempt, outcome_unknown));
                if new.state == TaskState::Queued {
                    let step = usize::try_from(old.attempt - 1).unwrap();
                    assert!((0..=RETRY_BACKOFF_MS[step]).contains(&(new.run_after - now)));
                }
            }
            AttemptEnd::Chain => {
                let follow_up = claimed.id.follow_up(AlarmCreate::KIND, &alarm(claimed).key());
                let inserted = &after.tasks[&follow_up.0];
                assert_eq!(
                    (inserted.state, inserted.cause),
                    (cancelled_or_queued, Some(claimed.id.0))
                );
            }
            _ => {}
        }
    }

    pub(super) async fn finish_stale(&self, claim: u8, end: AttemptEnd) {
        let Some(index) = pick_index(&self.ended_claims, claim) else { return };
        let claimed = &self.ended_claims[index];
        let outcome = attempt_result(end, claimed);
        let ended = self.fixture.store.tasks.finish(vec![finish(claimed, outcome)]).await.remove(0);
        assert_eq!(ended.unwrap(), None, "a stale outcome was stored");
        self.assert_unchanged().await;
    }
}

fn alarm(claimed: &ClaimedTask) -> AlarmCreate {
    AlarmCreate { instance_id: claimed.key.clone(), ..AlarmCreate::default() }
}

fn attempt_result(end: AttemptEnd, claimed: &ClaimedTask) -> AttemptResult {
    match end {
        AttemptEnd::Succeed { effect } => {
            Ok(Success { effect, ..Success::new(outcome("created")) })
        }
        AttemptEnd::Chain => {
            let follow_up = NewTask::new(
                &alarm(claimed),
                None,
                claimed.sku.clone(),
                String::new(),
                claimed.row,
            )
            .unwrap();
            let follow_ups = vec![follow_up.clone(), follow_up];
            Ok(Success { follow_ups, ..Success::new(outcome("running")) })
        }
        AttemptEnd::Fail => Err(AttemptError::Failed(outcome("http_404"))),
        AttemptEnd::Reject => Err(AttemptError::Rejected(outcome("rejected"))),
        AttemptEnd::NotDone => Err(AttemptError::not_done("It is not there.")),
        AttemptEnd::Checkpoint => Err(AttemptError::Wait {
            outcome: outcome("starting"),
            reason: WaitReason::Machine,
            wait: WAIT,
            checkpoint: Some(Box::new(serde_json::json!({ "started": true }))),
            record_attempt: true,
        }),
        AttemptEnd::Retry { outcome_unknown } => {
            Err(AttemptError::Retry { outcome: outcome("http_500"), outcome_unknown })
        }
        AttemptEnd::Wait { record_attempt: true } => {
            let (outcome, reason) = (outcome("http_429"), CooldownReason::TooManyRequests);
            Err(AttemptError::cooldown(outcome, reason, WAIT))
        }
        AttemptEnd::Wait { record_attempt: false } => Err(AttemptError::NoRatePermit {
            reason: WaitReason::RateLimit,
            detail: None,
            wait: WAIT,
            outcome_unknown: false,
        }),
        AttemptEnd::NeedsReview => Err(AttemptError::NeedsReview(outcome("outcome_unknown"))),
    }
}
