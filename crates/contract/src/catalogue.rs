//! Every event with its producer, its consumers and the events that it may cause.
//! `docs/EVENTS.md` is generated from this list and from the types' schemas.

use crate::{
    command::{AlarmCreate, Command, Ec2Launch, Ec2Start, Ec2Stop, NoopRun, ProductUpload},
    fact::FactKind,
    signal::SignalKind,
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
    /// How often it is tried, and what makes up for one that is lost.
    pub retry: &'static str,
    /// What limits how much of it is worked on at once; empty for what calls no service.
    pub limiter: &'static str,
    /// Kinds of events that it may cause.
    pub may_cause: &'static [&'static str],
}

const fn command_event<C: Command>(
    description: &'static str,
    producer: &'static str,
    limiter: &'static str,
    may_cause: &'static [&'static str],
) -> Event {
    Event {
        kind: C::KIND,
        version: C::VERSION,
        description,
        producer,
        consumers: "worker",
        retry: COMMAND_RETRY,
        limiter,
        may_cause,
    }
}

const COMMAND_RETRY: &str = "up to 6 attempts with growing delays, then `task.failed`; waiting for \
                             a permit or the end of a cooldown costs none";
const FACT_RETRY: &str = "sent once; a hub that misses it reads the journal";
const EC2_LIMITER: &str = "account, region and action: rate and concurrency";

/// Commands, in the order in which they were added.
pub const COMMANDS: &[Event] = &[
    command_event::<ProductUpload>(
        "Upload one product to one sales channel.",
        "launch of product uploads",
        "sales channel: rate and concurrency",
        OUTCOME_EVENTS,
    ),
    command_event::<Ec2Start>(
        "Start one EC2 machine and see it running.",
        "launch of EC2 starts",
        EC2_LIMITER,
        MACHINE_EVENTS,
    ),
    command_event::<AlarmCreate>(
        "Create the alarm of one machine.",
        "`ec2.start` and `ec2.launch`",
        EC2_LIMITER,
        OUTCOME_EVENTS,
    ),
    command_event::<NoopRun>(
        "Do nothing, to measure the whole system; only where `MEANWHILE_NOOPS` is set.",
        "launch of no-ops",
        "",
        &["task.requeued", "task.succeeded", "task.failed", "task.cancelled", "job.finished"],
    ),
    command_event::<Ec2Stop>(
        "Stop one EC2 machine and see it stopped.",
        "launch of EC2 stops",
        EC2_LIMITER,
        OUTCOME_EVENTS,
    ),
    command_event::<Ec2Launch>(
        "Launch one EC2 machine from a launch template and see it running.",
        "launch of EC2 machines",
        EC2_LIMITER,
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
        F::JobReopened => {
            ("Tasks that had ended (`count`) were queued again.", "retry, replay by an admin", &[])
        }
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
        retry: FACT_RETRY,
        limiter: "",
        may_cause: causes,
    }
}

/// Returns the catalogue entry of a kind of signal.
pub const fn signal_event(kind: SignalKind) -> Event {
    let (description, producer, retry) = match kind {
        SignalKind::TaskStarted => (
            "A worker has started an attempt at a task.",
            "claim",
            "sent once; the next fact of the task says more",
        ),
        SignalKind::SessionEnded => (
            "A user was signed out: their WebSockets are closed.",
            "sign-out, password change, removal of an account",
            "sent once; sockets check their session too",
        ),
    };
    Event {
        kind: kind.as_str(),
        version: 1,
        description,
        producer,
        consumers: "hub",
        retry,
        limiter: "",
        may_cause: &[],
    }
}
