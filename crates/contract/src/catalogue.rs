//! Every event with its producer, its consumers and the events that it may cause.
//! `docs/EVENTS.md` is generated from this list and from the types' schemas.

use crate::{
    command::{AlarmCreate, Command, Ec2Start, NoopRun, ProductUpload},
    fact::FactKind,
};

/// One entry of the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// Name of the event, such as `task.succeeded`.
    pub kind: &'static str,
    /// Version of its body.
    pub version: u16,
    /// What a command does, or what a fact says happened.
    pub description: &'static str,
    /// Operation that emits it.
    pub producer: &'static str,
    /// Parts of the system that consume it.
    pub consumers: &'static str,
    /// Kinds of events that it may cause.
    pub may_cause: &'static [&'static str],
}

const fn command_event<C: Command>(
    description: &'static str,
    producer: &'static str,
    may_cause: &'static [&'static str],
) -> Event {
    Event {
        kind: C::KIND,
        version: C::VERSION,
        description,
        producer,
        consumers: "worker",
        may_cause,
    }
}

/// Commands, in the order in which they were added.
pub const COMMANDS: &[Event] = &[
    command_event::<ProductUpload>(
        "Upload one product to one sales channel.",
        "launch of product uploads",
        OUTCOME_EVENTS,
    ),
    command_event::<Ec2Start>(
        "Start one EC2 machine and see it running.",
        "launch of EC2 starts",
        &[AlarmCreate::KIND, "task.created", "task.requeued", "task.succeeded", "task.failed"],
    ),
    command_event::<AlarmCreate>(
        "Create the status alarm of one machine.",
        Ec2Start::KIND,
        OUTCOME_EVENTS,
    ),
    command_event::<NoopRun>(
        "Do nothing, to measure the whole system; only where `MEANWHILE_NOOPS` is set.",
        "launch of no-ops",
        &["task.succeeded", "job.finished"],
    ),
];

const OUTCOME_EVENTS: &[&str] =
    &["task.requeued", "task.succeeded", "task.failed", "task.needs_review", "job.finished"];

/// Returns the catalogue entry of a kind of fact.
pub const fn fact_event(kind: FactKind) -> Event {
    use FactKind as F;
    let (description, producer, causes): (_, _, &'static [&'static str]) = match kind {
        F::JobAccepted => ("A job was accepted with all its tasks.", "launch", &[]),
        F::JobPaused => ("Running calls finish; nothing new is started.", "pause", &[]),
        F::JobResumed => ("Queued tasks are started again.", "resume", &[]),
        F::JobCancelling => (
            "A cancel was requested. All queued tasks are cancelled (`count`); running calls \
             finish and report their real outcome.",
            "cancel",
            &["job.finished"],
        ),
        F::JobReopened => ("Failed tasks (`count`) were queued again.", "retry", &[]),
        F::JobFinished => {
            ("The job has no open task. Carries the notification.", "finish of a task", &[])
        }
        F::TaskCreated => ("A task caused this one.", "finish of a task", &[]),
        F::TaskRequeued => (
            "The task is back in the queue; `waiting_for` says why and until when.",
            "finish of a task, reaper, resolve",
            &[],
        ),
        F::TaskSucceeded => ("The task succeeded.", "finish of a task, resolve", &["job.finished"]),
        F::TaskFailed => {
            ("The task failed for good; it can be retried.", "finish of a task", &["job.finished"])
        }
        F::TaskCancelled => (
            "One task was cancelled: a newer one about the same thing has succeeded, or its \
             attempt ended after a cancel. Queued tasks that a cancel ends are in the `count` of \
             `job.cancelling`.",
            "claim, finish of a task",
            &["job.finished"],
        ),
        F::TaskNeedsReview => (
            "It is unknown whether the effect happened: a person decides.",
            "finish of a task",
            &["job.finished"],
        ),
        F::NotificationsRead => {
            ("All notifications up to `read_up_to` are read.", "marking as read", &[])
        }
    };
    Event {
        kind: kind.as_str(),
        version: 1,
        description,
        producer,
        consumers: "hub",
        may_cause: causes,
    }
}
