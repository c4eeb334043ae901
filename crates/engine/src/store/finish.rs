//! Finishing: a claim ends when its worker reports its result or when its lease
//! expires.

use super::{
    AttemptError, AttemptResult, Error, MAX_ATTEMPTS, MAX_LEASE_LOSSES, Success, Tasks, UserFacts,
    attempt_result, commit, query_all, retry_on_contention,
    transition::{self, LockedTask, Transition},
};
use crate::clock::whole_millis;
use contract::{
    TaskId,
    api::{Outcome, WaitReason, WaitingFor},
    state::TaskState,
};
use std::{collections::HashMap, time::Duration};

/// A worker's report that an attempt has ended, which also ends the claim.
#[derive(Clone, Debug, PartialEq)]
pub struct FinishAttempt {
    /// The task.
    pub task: TaskId,
    /// Fence of the claim.
    pub fence: i64,
    /// Name of the worker.
    pub worker: String,
    /// `traceparent` of the attempt, which is the cause of the facts and of the follow-ups.
    pub traceparent: Option<String>,
    /// Result that the handler reported.
    pub result: AttemptResult,
}

/// Result of a [`FinishAttempt`]: the user's facts, or `None` where the claim was
/// stale.
pub type FinishResult = Result<Option<UserFacts>, Error>;

/// A claim that ends, with the reason.
#[derive(Clone)]
struct EndedClaim {
    task: TaskId,
    fence: i64,
    worker: String,
    traceparent: Option<String>,
    reason: EndReason,
}

#[derive(Clone)]
enum EndReason {
    Reported(AttemptResult),
    /// The worker is lost: its lease expired at this time (UTC ms) or before.
    LeaseExpired(i64),
}

impl From<FinishAttempt> for EndedClaim {
    fn from(finish: FinishAttempt) -> Self {
        let FinishAttempt { task, fence, worker, traceparent, result } = finish;
        let reason = EndReason::Reported(attempt_result::clean(result));
        Self { task, fence, worker, traceparent, reason }
    }
}

/// Number of expired leases that one commit takes back.
const REAP_BATCH_SIZE: usize = 100;

impl Tasks {
    /// Ends claims, all in one commit, and returns the facts of each, in order.
    /// `None`: the claim's fence has moved on, so its worker is stale and its
    /// result is discarded.
    ///
    /// # Errors
    /// Each claim has its own result: one that can't be finished does not affect
    /// the others.
    pub async fn finish(&self, batch: Vec<FinishAttempt>) -> Vec<FinishResult> {
        self.end_claims(batch.into_iter().map(EndedClaim::from).collect()).await
    }

    async fn end_claims(&self, batch: Vec<EndedClaim>) -> Vec<FinishResult> {
        match retry_on_contention!(self.try_end_claims(&batch)) {
            Ok(ended) => ended.into_iter().map(Ok).collect(),
            // Separate commits would fail in the same way.
            Err(error) if batch.len() == 1 || error.is_unreachable() => {
                batch.iter().map(|_| Err(error.clone())).collect()
            }
            Err(error) => {
                tracing::debug!(%error, "a batch of claims could not be finished, finishing them one by one");
                let mut ended = Vec::with_capacity(batch.len());
                for end in &batch {
                    let result =
                        retry_on_contention!(self.try_end_claims(std::slice::from_ref(end)));
                    ended.push(result.map(|mut facts| facts.pop().flatten()));
                }
                ended
            }
        }
    }

    async fn try_end_claims(&self, batch: &[EndedClaim]) -> Result<Vec<Option<UserFacts>>, Error> {
        let tx = self.db.begin().await?;
        let now = self.db.now_ms();
        let claims: Vec<_> = batch.iter().map(|end| (end.task, end.fence)).collect();
        let locked = transition::lock_tasks(&self.db, &tx, TaskState::Running, &claims).await?;
        let mut locked: HashMap<_, _> =
            locked.into_iter().map(|task| ((task.task, task.fence), task)).collect();
        let mut ended = vec![None; batch.len()];
        let mut positions = Vec::with_capacity(batch.len());
        let mut transitions = Vec::with_capacity(batch.len());
        for (index, end) in batch.iter().enumerate() {
            let Some(found) = locked.remove(&(end.task, end.fence)) else {
                tracing::warn!(task = %end.task, "discarded the result of a stale claim");
                continue;
            };
            if let Some(transition) = self.transition(end, &found, now) {
                positions.push(index);
                transitions.push((found, transition));
            }
        }
        for (index, facts) in positions
            .into_iter()
            .zip(transition::apply_transitions(&self.db, &tx, transitions, now).await?)
        {
            ended[index] = Some(facts);
        }
        commit(tx).await?;
        Ok(ended)
    }

    /// Returns the transition, or `None` if the claim continues.
    fn transition(&self, end: &EndedClaim, locked: &LockedTask, now: i64) -> Option<Transition> {
        let worker = end.worker.clone();
        let mut transition = match &end.reason {
            EndReason::Reported(result) => {
                self.transition_for_result(result.clone(), locked.attempt, now, worker)
            }
            // It was renewed after the reaper had read it.
            EndReason::LeaseExpired(expired_before)
                if locked.lease_until.is_none_or(|until| until > *expired_before) =>
            {
                return None;
            }
            EndReason::LeaseExpired(_) => {
                self.transition_for_lost_lease(locked.lease_losses + 1, now, worker)
            }
        };
        // A wait says nothing about an earlier call whose outcome is unknown.
        if transition.refund_attempt {
            transition.unknown_since = transition.unknown_since.or(locked.unknown_since);
        }
        transition.traceparent.clone_from(&end.traceparent);
        Some(transition)
    }

    fn transition_for_result(
        &self,
        result: AttemptResult,
        attempt: i64,
        now: i64,
        worker: String,
    ) -> Transition {
        let recorded_worker = Some(worker);
        let end_of = |wait: Duration| now.saturating_add(whole_millis(wait));
        let requeued_without_cost = |until| Transition {
            run_after: until,
            refund_attempt: true,
            ..Transition::to(TaskState::Queued)
        };
        match result {
            Ok(Success { outcome, effect, follow_ups }) => Transition {
                outcome: Some(outcome),
                effect,
                follow_ups,
                recorded_worker,
                ..Transition::to(TaskState::Succeeded)
            },
            Err(AttemptError::Failed(outcome)) => Transition {
                outcome: Some(outcome),
                recorded_worker,
                ..Transition::to(TaskState::Failed)
            },
            Err(AttemptError::Rejected(outcome)) => Transition {
                outcome: Some(outcome),
                recorded_worker,
                ..Transition::to(TaskState::Rejected)
            },
            // Where the job is being cancelled, this becomes `cancelled`.
            Err(AttemptError::NotDone(outcome)) => Transition {
                outcome: Some(outcome),
                starts_over: true,
                run_after: now,
                recorded_worker,
                ..Transition::to(TaskState::Queued)
            },
            Err(AttemptError::NeedsReview(outcome)) => Transition {
                outcome: Some(outcome),
                unknown_since: Some(now),
                recorded_worker,
                ..Transition::to(TaskState::NeedsReview)
            },
            Err(AttemptError::Retry { outcome, outcome_unknown }) if attempt >= MAX_ATTEMPTS => {
                Transition {
                    outcome: Some(outcome),
                    unknown_since: outcome_unknown.then_some(now),
                    recorded_worker,
                    ..Transition::to(if outcome_unknown {
                        TaskState::NeedsReview
                    } else {
                        TaskState::Failed
                    })
                }
            }
            Err(AttemptError::Retry { outcome, outcome_unknown }) => {
                let until = now + self.db.retry_backoff(attempt);
                let reason = if outcome_unknown { WaitReason::Checking } else { WaitReason::Retry };
                Transition {
                    waiting_for: Some(WaitingFor {
                        reason,
                        until: Some(until),
                        detail: Some(outcome.message.clone()),
                    }),
                    outcome: Some(outcome),
                    run_after: until,
                    unknown_since: outcome_unknown.then_some(now),
                    recorded_worker,
                    ..Transition::to(TaskState::Queued)
                }
            }
            Err(AttemptError::Cooldown { outcome, wait, outcome_unknown, .. }) => {
                let until = end_of(wait);
                Transition {
                    waiting_for: Some(WaitingFor {
                        reason: WaitReason::Cooldown,
                        until: Some(until),
                        detail: Some(outcome.message.clone()),
                    }),
                    outcome: Some(outcome),
                    unknown_since: outcome_unknown.then_some(now),
                    recorded_worker,
                    ..requeued_without_cost(until)
                }
            }
            Err(AttemptError::NoRatePermit { reason, detail, wait, outcome_unknown }) => {
                let until = end_of(wait);
                Transition {
                    waiting_for: Some(WaitingFor { reason, until: Some(until), detail }),
                    unknown_since: outcome_unknown.then_some(now),
                    outcome: Some(new_outcome(
                        "no_rate_permit",
                        "Waiting for the next rate permit.",
                    )),
                    ..requeued_without_cost(until)
                }
            }
            Err(AttemptError::Wait { outcome, reason, wait, checkpoint, record_attempt }) => {
                Transition {
                    waiting_for: Some(WaitingFor {
                        reason,
                        until: None,
                        detail: Some(outcome.message.clone()),
                    }),
                    outcome: Some(outcome),
                    checkpoint: checkpoint.map(|checkpoint| *checkpoint),
                    recorded_worker: recorded_worker.filter(|_| record_attempt),
                    ..requeued_without_cost(end_of(wait))
                }
            }
        }
    }

    /// Returns the transition after a lost lease. A task that kills its process also
    /// ends all tasks that run beside it. After the first loss a task is retried at
    /// once. From the second loss on it waits for a random delay of its own, whose
    /// maximum grows with each loss, so that the same tasks don't run beside each other
    /// again.
    fn transition_for_lost_lease(&self, lease_losses: i64, now: i64, worker: String) -> Transition {
        let recorded_worker = Some(worker);
        if lease_losses >= MAX_LEASE_LOSSES {
            let message = format!("{lease_losses} workers in a row were lost while they ran this.");
            return Transition {
                outcome: Some(new_outcome("poison", message)),
                unknown_since: Some(now),
                refund_attempt: true,
                lease_losses,
                run_after: now,
                recorded_worker,
                ..Transition::to(TaskState::Failed)
            };
        }
        let until = (lease_losses > 1).then(|| now + self.db.retry_backoff(lease_losses - 1));
        Transition {
            waiting_for: Some(WaitingFor {
                reason: WaitReason::Checking,
                until,
                detail: Some("The worker was lost; the service is asked first.".into()),
            }),
            outcome: Some(new_outcome(
                "worker_lost",
                "The worker stopped in the middle of the call.",
            )),
            unknown_since: Some(now),
            refund_attempt: true,
            lease_losses,
            run_after: until.unwrap_or(now),
            recorded_worker,
            ..Transition::to(TaskState::Queued)
        }
    }

    /// Takes back the tasks of lost workers: those whose lease has expired, or with
    /// `everything` every running task (an embedded process that starts knows that
    /// no other one is running). It costs no attempt; a task that loses five
    /// workers in a row fails as poison.
    ///
    /// # Errors
    /// [`Error::Database`] where the database can't be reached.
    pub async fn reap_expired_leases(&self, everything: bool) -> Result<Vec<UserFacts>, Error> {
        let expired_before = if everything { i64::MAX } else { self.db.now_ms() };
        let expired = query_all(
            &self.db.writer,
            "SELECT id, fence, lease_owner FROM tasks \
             WHERE state = 'running' AND lease_until <= $1 ORDER BY lease_until",
            [expired_before.into()],
        )
        .await?
        .iter()
        .map(|found| {
            Ok(EndedClaim {
                task: found.get("id")?,
                fence: found.get("fence")?,
                worker: found.get::<Option<_>>("lease_owner")?.unwrap_or_default(),
                traceparent: None,
                reason: EndReason::LeaseExpired(expired_before),
            })
        })
        .collect::<Result<Vec<_>, Error>>()?;
        let mut facts = Vec::with_capacity(expired.len());
        for batch in expired.chunks(REAP_BATCH_SIZE) {
            for (end, ended) in batch.iter().zip(self.end_claims(batch.to_vec()).await) {
                match ended {
                    Ok(ended) => facts.extend(ended),
                    Err(error) if error.is_unreachable() => return Err(error),
                    // The others of the batch are still taken back.
                    Err(error) => {
                        tracing::error!(task = %end.task, %error, "could not take back the task of a lost worker");
                    }
                }
            }
        }
        Ok(facts)
    }
}

fn new_outcome(code: &str, message: impl Into<String>) -> Outcome {
    Outcome { code: code.into(), message: message.into(), reference: None }
}
