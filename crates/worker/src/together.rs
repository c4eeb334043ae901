//! Claims and ends of calls in few commits: what comes while one is under way
//! goes into the next.

use async_trait::async_trait;
use contract::TaskId;
use engine::store::{Claim, Error, Finish, Finished, Store};
use std::sync::{Mutex, PoisonError};
use tokio::sync::oneshot::{self, error::TryRecvError};

/// What one commit takes.
const BATCH: usize = 64;

/// What can be done for many at once.
#[async_trait]
pub(crate) trait Work: Send + Sync {
    type One: Clone + Send;
    type Done: Send;

    /// What became of each, in order.
    async fn all(&self, batch: Vec<Self::One>) -> Vec<Self::Done>;
}

/// Claims tasks by their fences, for one worker.
pub(crate) struct Claims {
    pub store: Store,
    pub worker: String,
}

#[async_trait]
impl Work for Claims {
    type One = (TaskId, i64);
    type Done = Result<Claim, Error>;

    async fn all(&self, batch: Vec<Self::One>) -> Vec<Self::Done> {
        self.store.claim_all(&batch, &self.worker).await
    }
}

/// Ends claims.
pub(crate) struct Ends(pub Store);

#[async_trait]
impl Work for Ends {
    type One = Finish;
    type Done = Finished;

    async fn all(&self, batch: Vec<Self::One>) -> Vec<Self::Done> {
        self.0.finish(batch).await
    }
}

/// Does `W` for all who ask, many at a time.
pub(crate) struct Together<W: Work> {
    work: W,
    waiting: Mutex<Vec<Waiting<W>>>,
    /// Whoever has it works for all that wait.
    turn: tokio::sync::Mutex<()>,
}

struct Waiting<W: Work> {
    one: W::One,
    told: oneshot::Sender<W::Done>,
}

impl<W: Work> Together<W> {
    pub fn new(work: W) -> Self {
        Self { work, waiting: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }

    /// As [`Work::all`], for one.
    pub async fn one(&self, one: W::One) -> W::Done {
        loop {
            let (told, mut answer) = oneshot::channel();
            self.waiting().push(Waiting { one: one.clone(), told });
            let _turn = self.turn.lock().await;
            loop {
                match answer.try_recv() {
                    Ok(done) => return done,
                    Err(TryRecvError::Empty) => self.commit().await,
                    // Whoever worked for this one was dropped on the way.
                    Err(TryRecvError::Closed) => break,
                }
            }
        }
    }

    async fn commit(&self) {
        let batch: Vec<_> = {
            let mut waiting = self.waiting();
            let count = waiting.len().min(BATCH);
            waiting.drain(..count).collect()
        };
        let (batch, told): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|waiting| (waiting.one, waiting.told)).unzip();
        for (told, done) in told.into_iter().zip(self.work.all(batch).await) {
            // An error says that nobody waits for it any more.
            let _ = told.send(done);
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Waiting<W>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use contract::{
        api::Outcome,
        command::Ec2Start,
        fact::FactKind,
        state::{JobKind, JobState},
    };
    use engine::{
        clock::System,
        store::{Accept, Claim, Claimed, Ending, NewTask},
    };
    use std::sync::Arc;

    /// More than one commit takes.
    const TASKS: u32 = 150;

    fn machine(row: u32) -> NewTask {
        let command = Ec2Start { instance_id: format!("i-{row}"), name: String::new() };
        NewTask::new(&command, None, command.instance_id.clone(), String::new(), row).unwrap()
    }

    async fn claimed(store: &Store) -> Vec<Finish> {
        let due = store.due("meanwhile.q.ec2.start.v1", TASKS as usize, None).await.unwrap();
        let mut ends = Vec::new();
        for due in due {
            let Claim::Claimed(claimed) = store.claim(due.task, due.fence, "w").await.unwrap()
            else {
                panic!("not claimed")
            };
            let outcome = Outcome { code: "done".into(), message: String::new(), reference: None };
            let ending = Ending::Succeeded { outcome, follow_ups: Vec::new() };
            let Claimed { task, fence, .. } = *claimed;
            ends.push(Finish { task, fence, worker: "w".into(), ending });
        }
        ends
    }

    #[tokio::test]
    async fn ends_that_come_at_once_share_commits_and_each_hears_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("store.sqlite").display());
        let store = Store::open(&url, Arc::new(System), 1.0).await.unwrap();
        let user = store.add_first_account("ada@example.com", "hash").await.unwrap().user;
        let launch = Accept {
            user,
            kind: JobKind::Ec2Starts,
            title: "machines".into(),
            channels: Vec::new(),
            tasks: (0..TASKS).map(machine).collect(),
            idempotency: None,
        };
        let job = store.accept(launch).await.unwrap().job.id;
        let ends = claimed(&store).await;
        let ends_together = Together::new(Ends(store.clone()));
        let stale = Finish { fence: 77, ..ends[0].clone() };
        // One that gives up while its end is under way keeps nobody waiting.
        let given_up = futures_util::FutureExt::now_or_never(ends_together.one(ends[1].clone()));
        assert!(given_up.is_none());
        let all = ends.iter().cloned().chain([stale]).map(|end| ends_together.one(end));
        let mut finished = futures_util::future::join_all(all).await;

        assert_eq!(finished.pop().unwrap().unwrap(), None, "a stale end is discarded");
        let mut facts = Vec::new();
        for (place, (end, finished)) in ends.iter().zip(finished).enumerate() {
            let Some(news) = finished.unwrap() else {
                assert_eq!(place, 1, "kept by the one that gave up");
                continue;
            };
            assert_eq!(news.facts[0].task, Some(end.task));
            facts.extend(news.facts);
        }
        let ended = facts.iter().filter(|fact| fact.kind == FactKind::JobFinished).count();
        assert_eq!(ended, 1);
        let times: std::collections::HashSet<_> = facts.iter().map(|fact| fact.at).collect();
        assert!(times.len() <= 4, "{} commits or more", times.len());
        assert_eq!(store.job(user, job).await.unwrap().state, JobState::Succeeded);
    }
}
