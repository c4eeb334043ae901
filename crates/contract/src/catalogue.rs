//! Every event with its producer, its consumers and the events that it may cause.
//! `docs/EVENTS.md` is generated from this list and from the types' schemas.

use crate::{
    command::{AlarmCreate, Command, Ec2Launch, Ec2Start, Ec2Stop, NoopRun, ProductUpload},
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
        MACHINE_EVENTS,
    ),
    command_event::<AlarmCreate>(
        "Create the alarm of one machine.",
        "`ec2.start` and `ec2.launch`",
        OUTCOME_EVENTS,
    ),
    command_event::<NoopRun>(
        "Do nothing, to measure the whole system; only where `MEANWHILE_NOOPS` is set.",
        "launch of no-ops",
        &["task.requeued", "task.succeeded", "task.failed", "task.cancelled", "job.finished"],
    ),
    command_event::<Ec2Stop>(
        "Stop one EC2 machine and see it stopped.",
        "launch of EC2 stops",
        OUTCOME_EVENTS,
    ),
    command_event::<Ec2Launch>(
        "Launch one EC2 machine from a launch template and see it running.",
        "launch of EC2 machines",
        MACHINE_EVENTS,
    ),
];

/// Events of a command whose machine gets an alarm.
const MACHINE_EVENTS: &[&str] = &[
    AlarmCreate::KIND,
    "task.created",
    "task.requeued",
    "task.succeeded",
    "task.failed",
    "task.cancelled",
    "task.needs_review",
    "job.finished",
];

const OUTCOME_EVENTS: &[&str] = &[
    "task.requeued",
    "task.succeeded",
    "task.failed",
    "task.rejected",
    "task.cancelled",
    "task.needs_review",
    "job.finished",
];

/// Returns the catalogue entry of a kind of fact.
pub const fn fact_event(kind: FactKind) -> Event {
    use FactKind as F;
    let (description, producer, causes): (_, _, &'static [&'static str]) = match kind {
        F::JobAccepted => ("A job was accepted with all its tasks.", "launch", &[]),
        F::JobPaused => ("Running attempts finish; nothing new is started.", "pause", &[]),
        F::JobResumed => ("Queued tasks are started again.", "resume", &[]),
        F::JobCancelling => (
            "A cancel was requested. Queued tasks that can't have had an effect are cancelled \
             (`count`); running attempts finish and report their real outcome, and a task whose \
             outcome is unknown is reconciled first.",
            "cancel",
            &["job.finished"],
        ),
        F::JobReopened => ("Tasks that had ended (`count`) were queued again.", "retry", &[]),
        F::JobFinished => {
            let producer = "finish of an attempt, reaper, claim, cancel, resolve";
            ("The job has no open task. Carries the notification.", producer, &[])
        }
        F::TaskCreated => ("A task caused this one.", "finish of an attempt", &[]),
        F::TaskRequeued => (
            "The task is back in the queue; `waiting_for` says why and until when, unless a person \
             chose to retry it, or a superseded task was found not to be done.",
            "finish of an attempt, reaper, resolve",
            &[],
        ),
        F::TaskSucceeded => {
            ("The task succeeded.", "finish of an attempt, resolve", &["job.finished"])
        }
        F::TaskFailed => (
            "The task failed for good; it can be retried.",
            "finish of an attempt, reaper",
            &["job.finished"],
        ),
        F::TaskRejected => (
            "The service refuses the content of the task: it has to be corrected.",
            "finish of an attempt",
            &["job.finished"],
        ),
        F::TaskCancelled => (
            "One task was cancelled: a newer one about the same thing has succeeded, or its \
             attempt ended after a cancel without an effect. Queued tasks that a cancel ends are in \
             the `count` of `job.cancelling`.",
            "claim, finish of an attempt",
            &["job.finished"],
        ),
        F::TaskNeedsReview => (
            "It is unknown whether the effect happened: a person decides.",
            "finish of an attempt",
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
