//! Finish: the end of a claim, told by its worker or by its lease.

use super::{
    Error, MAX_ATTEMPTS, MAX_LOST, NewTask, News, Store, all,
    apply::{self, Change, Held},
    commit, persist,
};
use contract::{
    TaskId,
    api::{Outcome, WaitReason, WaitingFor},
    state::TaskState,
};
use serde_json::Value as Json;
use std::collections::HashMap;

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    Succeeded {
        outcome: Outcome,
        follow_ups: Vec<NewTask>,
    },
    /// For good: another try would end the same.
    Failed {
        outcome: Outcome,
    },
    /// Worth another try, until the attempts are spent. `unsure`: the call
    /// may have had its effect.
    Retry {
        outcome: Outcome,
        unsure: bool,
    },
    /// Nobody's fault and no attempt: the account is closed, a machine
    /// starts. `quiet`: not worth an entry among the attempts.
    Wait {
        outcome: Outcome,
        waiting_for: WaitingFor,
        until: i64,
        memo: Option<Json>,
        quiet: bool,
    },
    /// It can't be told whether the effect happened.
    NeedsPerson {
        outcome: Outcome,
    },
}

impl Ending {
    /// Makes texts of outside services fit to be kept.
    fn clean(self) -> Self {
        match self {
            Self::Succeeded { outcome, follow_ups } => {
                Self::Succeeded { outcome: outcome.clean(), follow_ups }
            }
            Self::Failed { outcome } => Self::Failed { outcome: outcome.clean() },
            Self::Retry { outcome, unsure } => Self::Retry { outcome: outcome.clean(), unsure },
            Self::Wait { outcome, waiting_for, until, memo, quiet } => Self::Wait {
                outcome: outcome.clean(),
                waiting_for: waiting_for.clean(),
                until,
                memo,
                quiet,
            },
            Self::NeedsPerson { outcome } => Self::NeedsPerson { outcome: outcome.clean() },
        }
    }
}

/// The end of one claim.
#[derive(Clone, Debug, PartialEq)]
pub struct Finish {
    pub task: TaskId,
    pub fence: i64,
    pub worker: String,
    pub ending: Ending,
}

/// What became of a [`Finish`].
pub type Finished = Result<Option<News>, Error>;

/// A claim that ends, and why.
#[derive(Clone)]
struct End {
    task: TaskId,
    fence: i64,
    worker: String,
    cause: Cause,
}

#[derive(Clone)]
enum Cause {
    Told(Ending),
    /// The worker is gone: its lease ran out at this time (UTC ms) or before.
    Lost(i64),
}

impl From<Finish> for End {
    fn from(finish: Finish) -> Self {
        let Finish { task, fence, worker, ending } = finish;
        Self { task, fence, worker, cause: Cause::Told(ending.clean()) }
    }
}

/// Leases that one commit takes back.
const REAPED: usize = 100;

impl Store {
    /// Ends claims, all in one commit; each is its user's news, in order.
    /// `None`: the claim's fence has moved on, so its worker is stale and
    /// what it says is discarded.
    ///
    /// # Errors
    /// Each for itself: an end that can't be kept takes no other down.
    pub async fn finish(&self, batch: Vec<Finish>) -> Vec<Finished> {
        self.end(batch.into_iter().map(End::from).collect()).await
    }

    async fn end(&self, batch: Vec<End>) -> Vec<Finished> {
        match persist!(self.end_together(&batch)) {
            Ok(ended) => ended.into_iter().map(Ok).collect(),
            // Nobody's end would fare better alone.
            Err(error) if batch.len() == 1 || error.is_unreachable() => {
                batch.iter().map(|_| Err(error.clone())).collect()
            }
            Err(error) => {
                tracing::debug!(%error, "a batch of ends is kept one by one");
                let mut ended = Vec::with_capacity(batch.len());
                for end in &batch {
                    let alone = persist!(self.end_together(std::slice::from_ref(end)));
                    ended.push(alone.map(|mut news| news.pop().flatten()));
                }
                ended
            }
        }
    }

    async fn end_together(&self, batch: &[End]) -> Result<Vec<Option<News>>, Error> {
        let tx = self.begin().await?;
        let now = self.now_ms();
        let claims: Vec<_> = batch.iter().map(|end| (end.task, end.fence)).collect();
        let held = apply::hold(self, &tx, TaskState::Running, &claims).await?;
        let mut held: HashMap<_, _> =
            held.into_iter().map(|held| ((held.task, held.fence), held)).collect();
        let mut ended = vec![None; batch.len()];
        let mut places = Vec::with_capacity(batch.len());
        let mut changes = Vec::with_capacity(batch.len());
        for (place, end) in batch.iter().enumerate() {
            let Some(found) = held.remove(&(end.task, end.fence)) else {
                tracing::warn!(task = %end.task, "the end of a stale claim is discarded");
                continue;
            };
            if let Some(change) = self.change(end, &found, now) {
                places.push(place);
                changes.push((found, change));
            }
        }
        for (place, news) in places.into_iter().zip(apply::apply(self, &tx, changes, now).await?) {
            ended[place] = Some(news);
        }
        commit(tx).await?;
        Ok(ended)
    }

    /// `None`: the claim goes on.
    fn change(&self, end: &End, held: &Held, now: i64) -> Option<Change> {
        let worker = end.worker.clone();
        let mut change = match &end.cause {
            Cause::Told(ending) => self.told(ending.clone(), held.attempt, now, worker),
            // It was renewed since it was looked at.
            Cause::Lost(by) if held.lease_until.is_none_or(|until| until > *by) => return None,
            Cause::Lost(_) => self.lost(held.lost + 1, now, worker),
        };
        // A wait told nothing about an earlier call without an answer.
        change.unsure |= change.free && held.unsure;
        Some(change)
    }

    fn told(&self, ending: Ending, attempt: i64, now: i64, worker: String) -> Change {
        let tried_by = Some(worker);
        match ending {
            Ending::Succeeded { outcome, follow_ups } => Change {
                outcome: Some(outcome),
                follow_ups,
                tried_by,
                ..Change::to(TaskState::Succeeded)
            },
            Ending::Failed { outcome } => {
                Change { outcome: Some(outcome), tried_by, ..Change::to(TaskState::Failed) }
            }
            Ending::NeedsPerson { outcome } => Change {
                outcome: Some(outcome),
                unsure: true,
                tried_by,
                ..Change::to(TaskState::NeedsPerson)
            },
            Ending::Retry { outcome, unsure } if attempt >= MAX_ATTEMPTS => Change {
                outcome: Some(outcome),
                unsure,
                tried_by,
                ..Change::to(if unsure { TaskState::NeedsPerson } else { TaskState::Failed })
            },
            Ending::Retry { outcome, unsure } => {
                let until = now + self.back_off(attempt);
                let reason = if unsure { WaitReason::Checking } else { WaitReason::Retry };
                Change {
                    waiting_for: Some(WaitingFor {
                        reason,
                        until: Some(until),
                        detail: Some(outcome.message.clone()),
                    }),
                    outcome: Some(outcome),
                    run_after: until,
                    unsure,
                    tried_by,
                    ..Change::to(TaskState::Queued)
                }
            }
            Ending::Wait { outcome, waiting_for, until, memo, quiet } => Change {
                outcome: Some(outcome),
                waiting_for: Some(waiting_for),
                run_after: until,
                memo,
                free: true,
                tried_by: tried_by.filter(|_| !quiet),
                ..Change::to(TaskState::Queued)
            },
        }
    }

    /// What kills its process takes down all that run beside it. The first
    /// loss is made good at once; from the second on they wait, longer and
    /// longer and each for itself, so that they do not meet a third time.
    fn lost(&self, lost: i64, now: i64, worker: String) -> Change {
        let tried_by = Some(worker);
        if lost >= MAX_LOST {
            let message = format!("{lost} workers in a row were lost while they ran this.");
            return Change {
                outcome: Some(outcome("poison", message)),
                unsure: true,
                free: true,
                lost,
                run_after: now,
                tried_by,
                ..Change::to(TaskState::Failed)
            };
        }
        let until = (lost > 1).then(|| now + self.back_off(lost - 1));
        Change {
            waiting_for: Some(WaitingFor {
                reason: WaitReason::Checking,
                until,
                detail: Some("The worker was lost; the service is asked first.".into()),
            }),
            outcome: Some(outcome("worker_lost", "The worker stopped in the middle of the call.")),
            unsure: true,
            free: true,
            lost,
            run_after: until.unwrap_or(now),
            tried_by,
            ..Change::to(TaskState::Queued)
        }
    }

    /// Takes back what lost workers held: leases that ran out, or with
    /// `everything` every running task (an embedded process that starts
    /// knows that nobody else runs). Costs no attempt; five in a row are
    /// poison.
    ///
    /// # Errors
    /// The database can't be reached.
    pub async fn reap(&self, everything: bool) -> Result<Vec<News>, Error> {
        let by = if everything { i64::MAX } else { self.now_ms() };
        let lost = all(
            &self.writer,
            "SELECT id, fence, lease_owner FROM tasks \
             WHERE state = 'running' AND lease_until <= $1 ORDER BY lease_until",
            [by.into()],
        )
        .await?
        .iter()
        .map(|found| {
            Ok(End {
                task: TaskId(found.try_get("", "id")?),
                fence: found.try_get("", "fence")?,
                worker: found.try_get::<Option<_>>("", "lease_owner")?.unwrap_or_default(),
                cause: Cause::Lost(by),
            })
        })
        .collect::<Result<Vec<_>, Error>>()?;
        let mut news = Vec::with_capacity(lost.len());
        for batch in lost.chunks(REAPED) {
            for (end, ended) in batch.iter().zip(self.end(batch.to_vec()).await) {
                match ended {
                    Ok(ended) => news.extend(ended),
                    Err(error) if error.is_unreachable() => return Err(error),
                    // Its neighbours are taken back all the same.
                    Err(error) => {
                        tracing::error!(task = %end.task, %error, "can't take back a lost task");
                    }
                }
            }
        }
        Ok(news)
    }
}

fn outcome(code: &str, message: impl Into<String>) -> Outcome {
    Outcome { code: code.into(), message: message.into(), reference: None }
}
