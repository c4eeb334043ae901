//! The one source of truth for what is shown: what the page was made from,
//! overlaid by the facts that came since.

mod machine;
#[cfg(feature = "hydrate")]
mod socket;
mod unread;

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
use unread::Unread;

/// Facts that a page keeps for its timeline.
const KEPT: usize = 500;

/// How the page hears of news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Not opened yet, or closed by a network's fault and tried again.
    Reconnecting,
    Live,
    /// The browser has no network.
    Offline,
    /// The session ended.
    Ended,
    /// The server asked not to come back, such as for too many open tabs.
    Refused,
}

impl Link {
    pub const fn words(self) -> &'static str {
        match self {
            Self::Reconnecting => "reconnecting",
            Self::Live => "live",
            Self::Offline => "offline",
            Self::Ended => "signed out",
            Self::Refused => "not connected",
        }
    }

    /// What it means for whoever looks, and what to do.
    pub const fn hint(self) -> &'static str {
        match self {
            Self::Reconnecting => "News may be late. Connecting again by itself.",
            Self::Live => "What you see is up to date.",
            Self::Offline => "This device has no network. What you see may be old.",
            Self::Ended => "Sign in again to see news.",
            Self::Refused => "Too many tabs may be open. Close some and reload this page.",
        }
    }

    #[cfg(feature = "hydrate")]
    const fn is_final(self) -> bool {
        matches!(self, Self::Ended | Self::Refused)
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
    /// Facts since the page was made, oldest first, at most [`KEPT`].
    facts: RwSignal<Vec<Fact>>,
    unread: RwSignal<Unread>,
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
        facts: RwSignal::default(),
        unread: RwSignal::default(),
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
    match use_context::<Live>().map_or(0, Live::unread) {
        0 => text,
        unread => format!("({unread}) {text}"),
    }
}

impl Live {
    /// A page was made from the store as of `since`.
    pub fn begin(self, since: &Since) {
        self.unread.update(|unread| unread.page(since.seq, since.unread));
        if self.since.with_untracked(Option::is_none) {
            self.since.set(Some(since.clone()));
        }
    }

    pub fn unread(self) -> usize {
        self.unread.with(Unread::count)
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

    /// Jobs that were launched since the page was made, newest first.
    pub fn new_jobs(self, newest: Option<JobId>) -> Vec<Job> {
        self.jobs.with(|jobs| {
            let mut new: Vec<_> = jobs
                .values()
                .filter(|(_, job)| newest.is_none_or(|newest| job.id > newest))
                .map(|(_, job)| job.clone())
                .collect();
            new.sort_by_key(|job| std::cmp::Reverse(job.id));
            new
        })
    }

    /// What happened to `job` behind `since`, oldest first.
    pub fn news(self, job: JobId, since: i64) -> Vec<Fact> {
        self.facts.with(|facts| {
            facts.iter().filter(|f| f.job == Some(job) && f.seq > since).cloned().collect()
        })
    }

    /// Changes whenever something happens to `task`.
    pub fn version(self, task: TaskId) -> (i64, Option<u32>) {
        let seq = self.tasks.with(|tasks| tasks.get(&task).map_or(0, |(seq, _)| *seq));
        (seq, self.running.with(|running| running.get(&task).copied()))
    }

    fn seq(self) -> i64 {
        self.since.with_untracked(|since| since.as_ref().map_or(0, |since| since.seq))
    }

    /// Nothing that was heard holds any more.
    fn forget(self) {
        self.jobs.set(HashMap::new());
        self.tasks.set(HashMap::new());
        self.facts.set(Vec::new());
        self.unread.update(Unread::forget);
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
                    self.forget();
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
        let seq = fact.seq;
        self.advance(seq);
        if fact.job.is_some() {
            self.facts.update(|facts| {
                if facts.len() == KEPT {
                    facts.remove(0);
                }
                facts.push(fact.clone());
            });
        }
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
            self.unread.update(|unread| unread.told(seq));
            self.toast.set(Some(notification));
        }
        let mut ask = false;
        if let Some(up_to) = fact.data.read_up_to {
            self.unread.update(|unread| ask = !unread.read(up_to));
        }
        // One fact for many tasks: the page knows which by asking.
        if ask || matches!(fact.kind, FactKind::JobCancelling | FactKind::JobReopened) {
            self.resync.update(|count| *count += 1);
        }
    }
}
