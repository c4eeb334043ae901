//! Claims and ends of calls in few commits: what comes while one is under way
//! goes into the next.

use async_trait::async_trait;
use contract::{TaskId, UserId, fact::Fact};
use engine::{
    broker::{Broker, News},
    store::{self, Claim, Error, Finish, Finished, Store},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};
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

/// Ends claims, and tells the hubs.
pub(crate) struct Ends {
    pub store: Store,
    pub broker: Arc<dyn Broker>,
}

#[async_trait]
impl Work for Ends {
    type One = Finish;
    type Done = Result<(), Error>;

    async fn all(&self, batch: Vec<Self::One>) -> Vec<Self::Done> {
        let mut told: BTreeMap<UserId, Vec<Fact>> = BTreeMap::new();
        let tell = |finished: Finished| {
            if let Some(news) = finished? {
                told.entry(news.user).or_default().extend(news.facts);
            }
            Ok(())
        };
        let done = self.store.finish(batch).await.into_iter().map(tell).collect();
        for (user, facts) in told {
            self.broker.announce(News::Facts(store::News { user, facts }));
        }
        done
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
        JobId,
        api::Outcome,
        command::Ec2Start,
        fact::FactKind,
        state::{JobKind, JobState},
    };
    use engine::{
        broker::embedded::Embedded,
        clock::System,
        store::{Accept, Claimed, Ending, NewTask, Turns},
    };

    const QUEUE: &str = "meanwhile.q.ec2.start.v1";
    /// More than one commit takes.
    const TASKS: u32 = 150;

    fn machine(row: u32) -> NewTask {
        let command = Ec2Start { instance_id: format!("i-{row}"), name: String::new() };
        NewTask::new(&command, None, command.instance_id.clone(), String::new(), row).unwrap()
    }

    async fn claimed(store: &Store) -> Vec<Finish> {
        let due = store.due(QUEUE, TASKS as usize, &Turns::default()).await.unwrap().tasks;
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

    /// A store with one job of [`TASKS`] tasks.
    async fn launched() -> (tempfile::TempDir, Store, (UserId, JobId)) {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("store.sqlite").display());
        let store = Store::open(&url, Arc::new(System), 1.0).await.unwrap();
        let user = store.add_first_account("ada@example.com", "hash").await.unwrap().user;
        let launch = Accept {
            actor: user.into(),
            kind: JobKind::Ec2Starts,
            title: "machines".into(),
            channels: Vec::new(),
            tasks: (0..TASKS).map(machine).collect(),
            idempotency: None,
        };
        let job = store.accept(launch).await.unwrap().job.id;
        (folder, store, (user, job))
    }

    #[tokio::test]
    async fn ends_that_come_at_once_share_commits_and_each_is_told_once() {
        let (_folder, store, (user, job)) = launched().await;
        let ends = claimed(&store).await;
        let broker = Arc::new(Embedded::default());
        let mut news = broker.news();
        let together = Together::new(Ends { store: store.clone(), broker });
        let stale = Finish { fence: 77, ..ends[0].clone() };
        // One that gives up while its end is under way keeps nobody waiting.
        let given_up = futures_util::FutureExt::now_or_never(together.one(ends[1].clone()));
        assert!(given_up.is_none());
        let all = ends.iter().cloned().chain([stale]).map(|end| together.one(end));
        for done in futures_util::future::join_all(all).await {
            done.unwrap();
        }

        let mut facts = Vec::new();
        let mut messages = 0;
        while let Ok(told) = news.try_recv() {
            let News::Facts(told) = &*told else { continue };
            facts.extend(told.facts.iter().cloned());
            messages += 1;
        }
        assert!(messages <= 4, "{messages} commits or more");
        // What was kept is told once, whoever waited for it.
        assert!(facts.iter().map(|fact| fact.seq).eq(2..=i64::from(TASKS) + 2));
        let ended = facts.iter().filter(|fact| fact.kind == FactKind::JobFinished).count();
        assert_eq!(ended, 1);
        assert_eq!(store.job(user, job).await.unwrap().state, JobState::Succeeded);
    }

    #[tokio::test]
    async fn claims_that_come_at_once_are_told_apart() {
        let (_folder, store, _) = launched().await;
        let due = store.due(QUEUE, TASKS as usize, &Turns::default()).await.unwrap().tasks;
        let together = Together::new(Claims { store: store.clone(), worker: "w".into() });
        let twice = due.iter().chain(&due[..3]).map(|due| together.one((due.task, due.fence)));
        let claims = futures_util::future::join_all(twice).await;
        let mut claimed = Vec::new();
        for (due, claim) in due.iter().chain(&due[..3]).zip(claims) {
            match claim.unwrap() {
                Claim::Claimed(task) => {
                    assert_eq!((task.task, task.fence), (due.task, due.fence + 1));
                    claimed.push(task.task);
                }
                Claim::Nothing => {}
                other => panic!("{other:?}"),
            }
        }
        claimed.sort_unstable();
        claimed.dedup();
        assert_eq!(claimed.len(), TASKS as usize, "each was claimed once");
    }
}
