//! The one source of truth for what is shown: what the page was made from,
//! overlaid by the facts that came since.

#[cfg(feature = "hydrate")]
mod socket;

use crate::data::Since;
use contract::{
    JobId, TaskId,
    api::{Job, Notification, Task},
    fact::{Fact, FactKind},
    live::ServerFrame,
    state::TaskState,
};
use leptos::prelude::*;
use std::collections::HashMap;

/// How the page hears of news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Not opened yet, or closed by a network's fault and tried again.
    Reconnecting,
    Live,
    /// The browser has no network.
    Offline,
    /// The server asked not to come back: the session ended.
    Ended,
}

impl Link {
    pub const fn words(self) -> &'static str {
        match self {
            Self::Reconnecting => "reconnecting",
            Self::Live => "live",
            Self::Offline => "offline",
            Self::Ended => "signed out",
        }
    }
}

/// What happened since the page was made; cheap to copy.
#[derive(Clone, Copy)]
pub struct Live {
    pub link: RwSignal<Link>,
    jobs: RwSignal<HashMap<JobId, (i64, Job)>>,
    tasks: RwSignal<HashMap<TaskId, (i64, Task)>>,
    /// Tasks whose calls began since their last fact, with the attempt.
    running: RwSignal<HashMap<TaskId, u32>>,
    pub unread: RwSignal<u32>,
    pub toast: RwSignal<Option<Notification>>,
    /// Counts up when pages have to be fetched anew.
    pub resync: RwSignal<u32>,
    since: RwSignal<Option<Since>>,
}

/// Gives every page its [`Live`]; the browser opens the socket.
pub fn provide() {
    let live = Live {
        link: RwSignal::new(Link::Reconnecting),
        jobs: RwSignal::default(),
        tasks: RwSignal::default(),
        running: RwSignal::default(),
        unread: RwSignal::new(0),
        toast: RwSignal::new(None),
        resync: RwSignal::new(0),
        since: RwSignal::new(None),
    };
    provide_context(live);
    #[cfg(feature = "hydrate")]
    socket::open_when_known(live);
}

/// The tab's title tells how much is unread.
pub fn title(text: String) -> String {
    match use_context::<Live>().map_or(0, |live| live.unread.get()) {
        0 => text,
        unread => format!("({unread}) {text}"),
    }
}

impl Live {
    /// A page was made from the store as of `since`.
    pub fn begin(self, since: &Since) {
        let known = self.since.with_untracked(|known| known.as_ref().map(|known| known.seq));
        if known.is_none_or(|seq| since.seq > seq) {
            self.unread.set(since.unread);
        }
        if known.is_none() {
            self.since.set(Some(since.clone()));
        }
    }

    /// The job as of the newest of page and facts.
    pub fn job(self, page: &Job, since: i64) -> Job {
        self.jobs.with(|jobs| match jobs.get(&page.id) {
            Some((seq, job)) if *seq > since => job.clone(),
            _ => page.clone(),
        })
    }

    /// The task as of the newest of page and facts.
    pub fn task(self, page: &Task, since: i64) -> Task {
        let mut task = self.tasks.with(|tasks| match tasks.get(&page.id) {
            Some((seq, task)) if *seq > since => task.clone(),
            _ => page.clone(),
        });
        let attempt = self.running.with(|running| running.get(&page.id).copied());
        if let (Some(attempt), TaskState::Queued) = (attempt, task.state) {
            task.state = TaskState::Running;
            task.attempt = attempt;
            task.waiting_for = None;
        }
        task
    }

    /// Tasks of `job` that appeared since the page was made.
    pub fn new_tasks(self, job: JobId, known: &[Task]) -> Vec<Task> {
        self.tasks.with(|tasks| {
            let mut new: Vec<_> = tasks
                .values()
                .filter(|(_, task)| task.job == job && task.cause.is_some())
                .map(|(_, task)| task.clone())
                .filter(|task| known.iter().all(|known| known.id != task.id))
                .collect();
            new.sort_by_key(|task| (task.row, task.id));
            new
        })
    }

    fn seq(self) -> i64 {
        self.since.with_untracked(|since| since.as_ref().map_or(0, |since| since.seq))
    }

    fn advance(self, seq: i64) {
        self.since.update_untracked(|since| {
            if let Some(since) = since {
                since.seq = seq;
            }
        });
    }

    /// Applies one frame of the stream.
    pub fn apply(self, frame: ServerFrame) {
        match frame {
            ServerFrame::Welcome { epoch, seq, recovered, running, .. } => {
                self.link.set(Link::Live);
                self.running.set(running.into_iter().map(|task| (task, 1)).collect());
                if !recovered {
                    self.since.update_untracked(|since| {
                        if let Some(since) = since {
                            since.epoch = epoch;
                            since.seq = seq;
                        }
                    });
                    self.resync.update(|count| *count += 1);
                }
            }
            ServerFrame::Fact(fact) if fact.seq == self.seq() + 1 => self.fact(fact),
            // Known already: applying it again would do no harm either.
            ServerFrame::Fact(fact) if fact.seq <= self.seq() => {}
            ServerFrame::Fact(fact) => {
                self.advance(fact.seq);
                self.resync.update(|count| *count += 1);
            }
            ServerFrame::Started(started) => {
                self.running.update(|running| {
                    running.insert(started.task, started.attempt);
                });
            }
            ServerFrame::Progress(progress) => {
                let seq = self.seq();
                self.jobs.update(|jobs| {
                    jobs.insert(progress.job, (seq, progress.status));
                });
            }
            ServerFrame::Channel(_) | ServerFrame::Ping { .. } => {}
        }
    }

    fn fact(self, fact: Fact) {
        self.advance(fact.seq);
        let seq = fact.seq;
        if let Some(job) = fact.data.job {
            self.jobs.update(|jobs| {
                jobs.insert(job.id, (seq, job));
            });
        }
        if let Some(task) = fact.data.task {
            self.running.update(|running| {
                running.remove(&task.id);
            });
            self.tasks.update(|tasks| {
                tasks.insert(task.id, (seq, task));
            });
        }
        if let Some(notification) = fact.data.notification {
            self.unread.update(|unread| *unread += 1);
            self.toast.set(Some(notification));
        }
        if fact.data.read_up_to.is_some() {
            self.unread.set(0);
        }
        // One fact for many tasks: the page knows which by asking.
        if matches!(fact.kind, FactKind::JobCancelling | FactKind::JobReopened) {
            self.resync.update(|count| *count += 1);
        }
    }
}
