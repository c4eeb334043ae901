//! The one source of truth for what is shown: what the page was made from,
//! overlaid by the facts that came since.

#[cfg(feature = "hydrate")]
pub mod browser;
mod machine;
#[cfg(feature = "hydrate")]
mod socket;
pub mod told;
pub(crate) mod unread;

use crate::data::Since;
use contract::{
    JobId, TaskId,
    api::{Channel, Job, Task},
    fact::{Fact, FactKind},
    live::{Progress, ServerFrame},
    state::TaskState,
};
use leptos::prelude::*;
use std::{collections::HashMap, time::Duration};
use told::Told;
use unread::Unread;

/// Facts that a page keeps for its timeline.
const KEPT: usize = 500;
/// Frames that come within this time are applied together: a thousand facts a
/// second are some twenty changes of what is shown.
const TOGETHER: Duration = Duration::from_millis(40);

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
            Self::Reconnecting => "News may be late. The page connects again by itself.",
            Self::Live => "What you see is up to date.",
            Self::Offline => "This device has no network. What you see may be old.",
            Self::Ended => "Sign in again to see news.",
            Self::Refused => {
                "News can't reach this page. Close some tabs if many are open, then reload it."
            }
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
    /// Frames that came and are not applied yet.
    heard: StoredValue<Vec<ServerFrame>>,
    jobs: RwSignal<HashMap<JobId, (i64, Job)>>,
    progress: RwSignal<HashMap<JobId, Progress>>,
    channels: RwSignal<HashMap<String, Channel>>,
    tasks: RwSignal<HashMap<TaskId, (i64, Task)>>,
    /// Tasks whose calls began since their last fact, with the attempt.
    running: RwSignal<HashMap<TaskId, u32>>,
    /// Tasks that others caused.
    caused: RwSignal<Vec<Task>>,
    /// Facts since the page was made, oldest first, at most [`KEPT`].
    facts: RwSignal<Vec<Fact>>,
    unread: RwSignal<Unread>,
    pub told: Told,
    /// Counts up when pages have to be fetched anew.
    pub resync: RwSignal<u32>,
    since: RwSignal<Option<Since>>,
}

/// Gives every page its [`Live`]; the browser opens the socket.
pub fn provide() -> Live {
    let live = Live {
        link: RwSignal::new(Link::Reconnecting),
        heard: StoredValue::default(),
        jobs: RwSignal::default(),
        progress: RwSignal::default(),
        channels: RwSignal::default(),
        tasks: RwSignal::default(),
        running: RwSignal::default(),
        caused: RwSignal::default(),
        facts: RwSignal::default(),
        unread: RwSignal::default(),
        told: Told::default(),
        resync: RwSignal::new(0),
        since: RwSignal::new(None),
    };
    provide_context(live);
    #[cfg(feature = "hydrate")]
    {
        socket::open_when_known(live);
        browser::start(live);
    }
    live
}

impl Live {
    /// A page was made from the store as of `since`.
    pub fn begin(self, since: &Since) {
        self.unread.update(|unread| unread.page(since.seq, since.unread));
        if self.since.with_untracked(Option::is_none) {
            self.since.set(Some(since.clone()));
        }
    }

    /// The signal of what is unread, which outlives the reactive owner that it
    /// was created under.
    pub(crate) fn unread_signal(self) -> ArcRwSignal<Unread> {
        self.unread.into()
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

    /// The task of `job` in `row` that another one caused, of that kind, as
    /// it was when it was first heard of.
    pub fn caused(self, job: JobId, row: u32, kind: &str) -> Option<Task> {
        self.caused.with(|caused| {
            caused.iter().find(|t| t.job == job && t.row == row && t.kind == kind).cloned()
        })
    }

    /// Tasks were read from the store as of `seq`: what was heard before that
    /// is older.
    pub fn read<'t>(self, seq: i64, tasks: impl Iterator<Item = &'t Task>) {
        let mut caused = Vec::new();
        self.tasks.update(|known| {
            for task in tasks {
                if known.get(&task.id).is_none_or(|(heard, _)| *heard <= seq) {
                    known.insert(task.id, (seq, task.clone()));
                }
                if task.cause.is_some() {
                    caused.push(task.clone());
                }
            }
        });
        for task in caused {
            self.cause(task);
        }
    }

    fn cause(self, task: Task) {
        if self.caused.with_untracked(|caused| caused.iter().all(|known| known.id != task.id)) {
            self.caused.update(|caused| caused.push(task));
        }
    }

    /// What was last heard of the pace of `job`.
    pub fn progress(self, job: JobId) -> Option<Progress> {
        self.progress.with(|progress| progress.get(&job).cloned())
    }

    /// The channel as it is now, or as the page has it.
    pub fn channel(self, page: &Channel) -> Channel {
        self.channels.with(|channels| channels.get(&page.id).unwrap_or(page).clone())
    }

    /// Changes with each fact of `job`.
    pub fn pulse(self, job: JobId) -> i64 {
        self.jobs.with(|jobs| jobs.get(&job).map_or(0, |(seq, _)| *seq))
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

    /// What happened to `job` behind `since`, newest first, at most `limit`.
    pub fn news(self, job: JobId, since: i64, limit: usize) -> Vec<Fact> {
        self.facts.with(|facts| {
            let own = facts.iter().rev().filter(|f| f.job == Some(job) && f.seq > since);
            own.take(limit).cloned().collect()
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
        self.progress.set(HashMap::new());
        self.tasks.set(HashMap::new());
        self.caused.set(Vec::new());
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

    /// Applies a frame of the stream, together with those that come soon
    /// after it.
    pub fn apply(self, frame: ServerFrame) {
        // At once: the socket may close before what came is taken in.
        if let ServerFrame::Welcome { .. } = frame {
            self.link.set(Link::Live);
        }
        let first = self.heard.try_update_value(|heard| {
            heard.push(frame);
            heard.len() == 1
        });
        if first == Some(true) {
            set_timeout(move || self.settle(), TOGETHER);
        }
    }

    /// Takes in what was heard, then tells whoever shows it, once.
    fn settle(self) {
        for frame in self.heard.try_update_value(std::mem::take).unwrap_or_default() {
            self.take_in(frame);
        }
        self.jobs.notify();
        self.progress.notify();
        self.tasks.notify();
        self.running.notify();
        self.facts.notify();
    }

    fn take_in(self, frame: ServerFrame) {
        match frame {
            ServerFrame::Welcome { epoch, seq, recovered, running, .. } => {
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
                self.running.update_untracked(|running| {
                    running.insert(started.task, started.attempt);
                });
            }
            ServerFrame::Progress(progress) => {
                self.progress.update_untracked(|all| {
                    all.insert(progress.job, progress);
                });
            }
            ServerFrame::Channel(channel) => self.channels.update(|channels| {
                channels.insert(channel.id.clone(), channel);
            }),
            ServerFrame::Ping { .. } => {}
        }
    }

    fn fact(self, fact: Fact) {
        let seq = fact.seq;
        self.advance(seq);
        if fact.job.is_some() {
            self.facts.update_untracked(|facts| {
                if facts.len() == KEPT {
                    facts.remove(0);
                }
                facts.push(fact.clone());
            });
        }
        if let Some(job) = fact.data.job {
            self.jobs.update_untracked(|jobs| {
                jobs.insert(job.id, (seq, job));
            });
        }
        if let Some(task) = fact.data.task {
            if fact.kind == FactKind::TaskCreated {
                self.cause(task.clone());
            }
            self.running.update_untracked(|running| {
                running.remove(&task.id);
            });
            self.tasks.update_untracked(|tasks| {
                tasks.insert(task.id, (seq, task));
            });
        }
        if let Some(notification) = fact.data.notification {
            self.unread.update(|unread| unread.told(seq));
            #[cfg(feature = "hydrate")]
            browser::told(self, &notification);
            self.told.hear(notification);
        }
        let mut ask = false;
        if let Some(up_to) = fact.data.read_up_to {
            self.unread.update(|unread| ask = !unread.read(up_to));
            #[cfg(feature = "hydrate")]
            browser::read(self, up_to);
            self.told.read(up_to);
        }
        // One fact for many tasks: the page knows which by asking.
        if ask || matches!(fact.kind, FactKind::JobCancelling | FactKind::JobReopened) {
            self.resync.update(|count| *count += 1);
        }
    }
}
