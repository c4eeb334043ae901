//! Single source of truth for what is shown: the data that the page was rendered from,
//! overlaid by the facts received since.

#[cfg(feature = "hydrate")]
pub mod browser_notifications;
mod machine_tasks;
#[cfg(feature = "hydrate")]
mod socket;
pub mod toasts;
pub(crate) mod unread;

use crate::page_context::PageContext;
use contract::{
    JobId, TaskId,
    api::{Channel, Job, Task},
    fact::{Fact, FactKind},
    state::TaskState,
    websocket::{JobProgress, ServerFrame, TaskStarted},
};
use leptos::prelude::*;
use std::{collections::HashMap, time::Duration};
use toasts::ToastState;
use unread::Unread;

/// Maximum number of facts that a page keeps for its timeline.
const MAX_KEPT_FACTS: usize = 500;
/// Frames received within this time are applied together: a thousand facts a
/// second cause some twenty updates of the page.
const BATCH_INTERVAL: Duration = Duration::from_millis(40);

/// Status of the connection that live updates arrive on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionStatus {
    /// Not opened yet, or broken by the network and being reopened.
    Reconnecting,
    Connected,
    /// The browser has no network.
    Offline,
    /// The session ended.
    SignedOut,
    /// The server refused further connections, for example because of too many open tabs.
    Refused,
}

impl ConnectionStatus {
    pub const fn label(self) -> &'static str {
        match self {
            Self::Reconnecting => "reconnecting",
            Self::Connected => "live",
            Self::Offline => "offline",
            Self::SignedOut => "signed out",
            Self::Refused => "not connected",
        }
    }

    /// Returns what the status means for the user, and what to do.
    pub const fn hint(self) -> &'static str {
        match self {
            Self::Reconnecting => "Updates may be late. The page reconnects automatically.",
            Self::Connected => "What you see is up to date.",
            Self::Offline => "This device has no network. This page may be out of date.",
            Self::SignedOut => "Sign in again to get updates.",
            Self::Refused => {
                "Updates can't reach this page. If many tabs are open, close some, then reload it."
            }
        }
    }

    #[cfg(feature = "hydrate")]
    const fn is_final(self) -> bool {
        matches!(self, Self::SignedOut | Self::Refused)
    }
}

/// State received since the page was rendered. Cheap to copy.
#[derive(Clone, Copy)]
pub struct LiveState {
    pub connection: RwSignal<ConnectionStatus>,
    /// Received frames that are not applied yet.
    pending_frames: StoredValue<Vec<ServerFrame>>,
    jobs: RwSignal<HashMap<JobId, (i64, Job)>>,
    progress: RwSignal<HashMap<JobId, JobProgress>>,
    channels: RwSignal<HashMap<String, Channel>>,
    tasks: RwSignal<HashMap<TaskId, (i64, Task)>>,
    /// Tasks that started running since their last fact, with the attempt.
    running_attempts: RwSignal<HashMap<TaskId, u32>>,
    /// Follow-up tasks.
    follow_ups: RwSignal<Vec<Task>>,
    /// Facts since the page was rendered, oldest first, at most [`MAX_KEPT_FACTS`].
    facts: RwSignal<Vec<Fact>>,
    unread: RwSignal<Unread>,
    pub toasts: ToastState,
    /// Incremented when pages have to load their data again.
    pub resync_count: RwSignal<u32>,
    context: RwSignal<Option<PageContext>>,
}

/// Provides the [`LiveState`] to every page. In the browser it also opens the socket.
pub fn provide_live_state() -> LiveState {
    let live = LiveState {
        connection: RwSignal::new(ConnectionStatus::Reconnecting),
        pending_frames: StoredValue::default(),
        jobs: RwSignal::default(),
        progress: RwSignal::default(),
        channels: RwSignal::default(),
        tasks: RwSignal::default(),
        running_attempts: RwSignal::default(),
        follow_ups: RwSignal::default(),
        facts: RwSignal::default(),
        unread: RwSignal::default(),
        toasts: ToastState::default(),
        resync_count: RwSignal::new(0),
        context: RwSignal::new(None),
    };
    provide_context(live);
    #[cfg(feature = "hydrate")]
    {
        socket::connect_when_ready(live);
        browser_notifications::start(live);
    }
    live
}

impl LiveState {
    /// Sets the journal position that a page was rendered at.
    pub fn start_from_page(self, since: &PageContext) {
        self.unread.update(|unread| unread.set_page_count(since.seq, since.unread_count));
        if self.context.with_untracked(Option::is_none) {
            self.context.set(Some(since.clone()));
        }
    }

    /// Returns the unread signal, which outlives the reactive owner that it was
    /// created under.
    pub(crate) fn unread_signal(self) -> ArcRwSignal<Unread> {
        self.unread.into()
    }

    pub fn unread_count(self) -> usize {
        self.unread.with(Unread::count)
    }

    /// Returns the newest known state of a job, from the page or a later fact.
    pub fn current_job(self, page: &Job, since: i64) -> Job {
        self.jobs.with(|jobs| match jobs.get(&page.id) {
            Some((seq, job)) if *seq > since => job.clone(),
            _ => page.clone(),
        })
    }

    /// Returns the newest known state of a task, from the page or a later fact.
    pub fn current_task(self, page: &Task, since: i64) -> Task {
        let mut task = self.tasks.with(|tasks| match tasks.get(&page.id) {
            Some((seq, task)) if *seq > since => task.clone(),
            _ => page.clone(),
        });
        let attempt = self.running_attempts.with(|running| running.get(&page.id).copied());
        if let (Some(attempt), TaskState::Queued) = (attempt, task.state) {
            task.state = TaskState::Running;
            task.attempt = attempt;
            task.waiting_for = None;
        }
        task
    }

    /// Returns the follow-up task of that kind in `row` of `job`, in the state in which it
    /// was first received.
    pub fn follow_up_task(self, job: JobId, row: u32, kind: &str) -> Option<Task> {
        self.follow_ups.with(|caused| {
            caused.iter().find(|t| t.job == job && t.row == row && t.kind == kind).cloned()
        })
    }

    /// Takes tasks that were read from the store at `seq`. They replace anything received
    /// up to that `seq`.
    pub fn apply_snapshot<'t>(self, seq: i64, tasks: impl Iterator<Item = &'t Task>) {
        let mut caused = Vec::new();
        self.tasks.update(|known| {
            for task in tasks {
                if known.get(&task.id).is_none_or(|(known_seq, _)| *known_seq <= seq) {
                    known.insert(task.id, (seq, task.clone()));
                }
                if task.cause.is_some() {
                    caused.push(task.clone());
                }
            }
        });
        for task in caused {
            self.add_follow_up(task);
        }
    }

    fn add_follow_up(self, task: Task) {
        if self.follow_ups.with_untracked(|caused| caused.iter().all(|known| known.id != task.id)) {
            self.follow_ups.update(|caused| caused.push(task));
        }
    }

    /// Returns the last received progress of `job`.
    pub fn job_progress(self, job: JobId) -> Option<JobProgress> {
        self.progress.with(|progress| progress.get(&job).cloned())
    }

    /// Returns the last received state of the channel, or the state in the page.
    pub fn current_channel(self, page: &Channel) -> Channel {
        self.channels.with(|channels| channels.get(&page.id).unwrap_or(page).clone())
    }

    /// Returns a `seq` that changes with each fact of `job`.
    pub fn job_seq(self, job: JobId) -> i64 {
        self.jobs.with(|jobs| jobs.get(&job).map_or(0, |(seq, _)| *seq))
    }

    /// Returns the jobs that were launched since the page was rendered, newest first.
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

    /// Returns the facts of `job` after that `seq`, newest first, at most `limit`.
    pub fn facts_after(self, job: JobId, since: i64, limit: usize) -> Vec<Fact> {
        self.facts.with(|facts| {
            let own = facts.iter().rev().filter(|f| f.job == Some(job) && f.seq > since);
            own.take(limit).cloned().collect()
        })
    }

    /// Returns a version that changes whenever the task changes.
    pub fn task_version(self, task: TaskId) -> (i64, Option<u32>) {
        let seq = self.tasks.with(|tasks| tasks.get(&task).map_or(0, |(seq, _)| *seq));
        (seq, self.running_attempts.with(|running| running.get(&task).copied()))
    }

    fn last_seq(self) -> i64 {
        self.context.with_untracked(|since| since.as_ref().map_or(0, |since| since.seq))
    }

    /// Discards everything received, because the stream could not be resumed.
    fn reset(self) {
        self.jobs.set(HashMap::new());
        self.progress.set(HashMap::new());
        self.tasks.set(HashMap::new());
        self.follow_ups.set(Vec::new());
        self.facts.set(Vec::new());
        self.unread.update(Unread::reset_history);
    }

    fn advance_seq(self, seq: i64) {
        self.context.update_untracked(|since| {
            if let Some(since) = since {
                since.seq = seq;
            }
        });
    }

    /// Queues a frame, so that it is applied together with those received soon after it.
    pub fn enqueue_frame(self, frame: ServerFrame) {
        // This is not delayed: the socket may close before the queued frames are applied.
        if let ServerFrame::Welcome { .. } = frame {
            self.connection.set(ConnectionStatus::Connected);
        }
        let first = self.pending_frames.try_update_value(|frames| {
            frames.push(frame);
            frames.len() == 1
        });
        if first == Some(true) {
            set_timeout(move || self.apply_pending_frames(), BATCH_INTERVAL);
        }
    }

    /// Applies the queued frames, then notifies subscribers once.
    fn apply_pending_frames(self) {
        for frame in self.pending_frames.try_update_value(std::mem::take).unwrap_or_default() {
            self.apply_frame(frame);
        }
        self.jobs.notify();
        self.progress.notify();
        self.tasks.notify();
        self.running_attempts.notify();
        self.facts.notify();
    }

    fn apply_frame(self, frame: ServerFrame) {
        match frame {
            ServerFrame::Welcome { epoch, seq, recovered, running, .. } => {
                // Which attempt it is, the next fact about the task says.
                self.running_attempts.set(running.into_iter().map(|task| (task, 1)).collect());
                if !recovered {
                    self.reset();
                    self.context.update_untracked(|since| {
                        if let Some(since) = since {
                            since.epoch = epoch;
                            since.seq = seq;
                        }
                    });
                    self.resync_count.update(|count| *count += 1);
                }
            }
            ServerFrame::Fact(fact) if fact.seq == self.last_seq() + 1 => self.apply_fact(fact),
            // Already known; applying it again would be harmless.
            ServerFrame::Fact(fact) if fact.seq <= self.last_seq() => {}
            ServerFrame::Fact(fact) => {
                self.advance_seq(fact.seq);
                self.resync_count.update(|count| *count += 1);
            }
            ServerFrame::Started(started) if self.has_ended(&started) => {}
            ServerFrame::Started(started) => {
                self.running_attempts.update_untracked(|running| {
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

    /// Whether a fact says already that the attempt has ended. The start of an attempt and facts
    /// come by different ways.
    fn has_ended(self, started: &TaskStarted) -> bool {
        self.tasks.with_untracked(|tasks| {
            tasks.get(&started.task).is_some_and(|(_, task)| {
                task.state == TaskState::Queued && started.attempt <= task.attempt
            })
        })
    }

    fn apply_fact(self, fact: Fact) {
        let seq = fact.seq;
        self.advance_seq(seq);
        if fact.job.is_some() {
            self.facts.update_untracked(|facts| {
                if facts.len() == MAX_KEPT_FACTS {
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
                self.add_follow_up(task.clone());
            }
            self.running_attempts.update_untracked(|running| {
                running.remove(&task.id);
            });
            self.tasks.update_untracked(|tasks| {
                tasks.insert(task.id, (seq, task));
            });
        }
        if let Some(notification) = fact.data.notification {
            self.unread.update(|unread| unread.add(seq));
            #[cfg(feature = "hydrate")]
            browser_notifications::show_notification(self, &notification);
            self.toasts.push(notification);
        }
        let mut needs_resync = false;
        if let Some(up_to) = fact.data.read_up_to {
            self.unread.update(|unread| needs_resync = !unread.mark_read(up_to));
            #[cfg(feature = "hydrate")]
            browser_notifications::close_read_notifications(self, up_to);
            self.toasts.mark_read(up_to);
        }
        // These facts cover many tasks, so the page loads their states again.
        if needs_resync || matches!(fact.kind, FactKind::JobCancelling | FactKind::JobReopened) {
            self.resync_count.update(|count| *count += 1);
        }
    }
}
