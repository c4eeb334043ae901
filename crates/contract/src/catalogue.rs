//! Every event with its producer, its consumers and what it may cause.
//! `docs/EVENTS.md` is made from this list and from the types' schemas.

use crate::{
    command::{AlarmCreate, Command, Ec2Start, NoopRun, ProductUpload},
    fact::FactKind,
};

/// One line of the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    pub kind: &'static str,
    pub version: u16,
    pub what: &'static str,
    pub producer: &'static str,
    pub consumers: &'static str,
    /// Kinds of events that it may cause.
    pub causes: &'static [&'static str],
}

const fn command<C: Command>(
    what: &'static str,
    producer: &'static str,
    causes: &'static [&'static str],
) -> Event {
    Event { kind: C::KIND, version: C::VERSION, what, producer, consumers: "worker", causes }
}

/// Commands, in the order in which they were added.
pub const COMMANDS: &[Event] = &[
    command::<ProductUpload>(
        "Upload one product to one sales channel.",
        "launch of product uploads",
        ENDS,
    ),
    command::<Ec2Start>(
        "Start one EC2 machine and see it running.",
        "launch of EC2 starts",
        &["alarm.create", "task.created", "task.requeued", "task.succeeded", "task.failed"],
    ),
    command::<AlarmCreate>("Make the status alarm of one machine.", "ec2.start", ENDS),
    command::<NoopRun>(
        "Do nothing, to measure the whole; only where `MEANWHILE_NOOPS` is set.",
        "launch of no-ops",
        &["task.succeeded", "job.finished"],
    ),
];

const ENDS: &[&str] =
    &["task.requeued", "task.succeeded", "task.failed", "task.needs_person", "job.finished"];

/// What each kind of fact says.
pub const fn fact(kind: FactKind) -> Event {
    use FactKind as F;
    let (what, producer, causes): (_, _, &'static [&'static str]) = match kind {
        F::JobAccepted => ("A job was accepted with all its tasks.", "launch", &[]),
        F::JobPaused => ("Running calls finish; nothing new is started.", "pause", &[]),
        F::JobResumed => ("Queued tasks are started again.", "resume", &[]),
        F::JobCancelling => (
            "A cancel was asked for. All queued tasks are cancelled (`count`); running calls \
             finish and are told truthfully.",
            "cancel",
            &["job.finished"],
        ),
        F::JobReopened => ("Failed tasks (`count`) were queued again.", "retry, resolve", &[]),
        F::JobFinished => {
            ("No task is open any more. Carries the notification.", "finish of a task", &[])
        }
        F::TaskCreated => ("A task caused this one.", "finish of a task", &[]),
        F::TaskRequeued => (
            "The task is back in the queue; `waiting_for` says why and until when.",
            "finish of a task, reaper, resolve",
            &[],
        ),
        F::TaskSucceeded => ("The task is done.", "finish of a task, resolve", &["job.finished"]),
        F::TaskFailed => {
            ("The task failed for good; it can be retried.", "finish of a task", &["job.finished"])
        }
        F::TaskCancelled => (
            "The task was cancelled one by one: superseded by a newer one about the same thing, \
             or its call ended after a cancel.",
            "claim, finish of a task",
            &["job.finished"],
        ),
        F::TaskNeedsPerson => (
            "It can't be told whether the effect happened: a person decides.",
            "finish of a task",
            &["job.finished"],
        ),
        F::NotificationsRead => {
            ("All notifications up to `read_up_to` are read.", "the inbox of any tab", &[])
        }
    };
    Event { kind: kind.as_str(), version: 1, what, producer, consumers: "hub", causes }
}
