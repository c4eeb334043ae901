//! All possible steps. Numbers select among what exists, modulo its size, so that
//! every sequence of steps is valid and shrinks well.

use contract::state::Effect;
use engine::store::JobControl;
use proptest::prelude::*;

/// Window of a relay whose messages are claimed one by one.
pub const WINDOW: usize = 4;
/// Window that a whole job fits into.
pub const LARGE_WINDOW: usize = 128;
/// Numbers of tasks of a large job: more than one statement of the store takes.
const LARGE_JOB_SIZES: std::ops::Range<u8> = 33..60;
/// Key of a large job's first task. Large jobs have all their keys in common.
const FIRST_KEY_OF_LARGE_JOBS: u8 = 100;

#[derive(Clone, Debug)]
pub enum Step {
    /// A new job with tasks of these keys, which jobs and users share.
    Accept {
        user: u8,
        machines: bool,
        keys: Vec<u8>,
        idempotency: Option<u8>,
    },
    /// The relay publishes; without `mark`, [`Step::Mark`] comes later or never.
    Publish {
        mark: bool,
    },
    Mark,
    /// The relay publishes and marks, and a worker claims all messages at once.
    PublishAndClaimAll {
        window: usize,
    },
    /// A worker receives a message; `again`: it will be delivered once more.
    Deliver {
        message: u8,
        again: bool,
    },
    /// The next rate permit is too late, and the worker defers the task.
    Defer {
        message: u8,
    },
    Renew {
        claim: u8,
    },
    /// Outcomes of up to three claims, in one batch.
    Finish {
        claim: u8,
        ends: Vec<AttemptEnd>,
    },
    /// Outcomes of all claims, in one batch: `ends`, repeated as often as needed.
    FinishAll {
        ends: Vec<AttemptEnd>,
    },
    /// A worker that has lost its claim reports an outcome.
    FinishStale {
        claim: u8,
        end: AttemptEnd,
    },
    Reap,
    /// As often in a row, a worker claims everything and is lost, and the reaper takes
    /// everything back: the fifth loss is a task's last.
    LoseWorkers {
        times: u8,
    },
    /// The reaper finds messages that are in no queue any more.
    Unpublish,
    /// The broker loses all messages, which nobody notices at once.
    LoseMessages,
    /// The broker loses a queue, which is found at once.
    LoseQueue {
        queue: u8,
    },
    /// The only process is killed and starts again.
    Restart,
    Control {
        job: u8,
        control: JobControl,
    },
    Retry {
        job: u8,
        which: u8,
    },
    Resolve {
        task: u8,
        succeeded: bool,
    },
    MarkRead {
        user: u8,
    },
    Advance {
        ms: i64,
    },
    /// The pruner runs after this many more days.
    Prune {
        days: i64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    Succeed {
        effect: Option<Effect>,
    },
    /// Succeeds with follow-ups, one of them twice.
    Chain,
    Fail,
    Reject,
    /// The effect has not happened.
    NotDone,
    Retry {
        outcome_unknown: bool,
    },
    Wait {
        record_attempt: bool,
    },
    /// Waits for something that it has started, and saves a checkpoint.
    Checkpoint,
    NeedsReview,
}

fn end() -> impl Strategy<Value = AttemptEnd> {
    prop_oneof![
        2 => effect().prop_map(|effect| AttemptEnd::Succeed { effect }),
        3 => Just(AttemptEnd::Chain),
        1 => Just(AttemptEnd::Fail),
        2 => Just(AttemptEnd::Reject),
        2 => Just(AttemptEnd::NotDone),
        2 => any::<bool>().prop_map(|outcome_unknown| AttemptEnd::Retry { outcome_unknown }),
        1 => any::<bool>().prop_map(|record_attempt| AttemptEnd::Wait { record_attempt }),
        1 => Just(AttemptEnd::Checkpoint),
        3 => Just(AttemptEnd::NeedsReview),
    ]
}

fn effect() -> impl Strategy<Value = Option<Effect>> {
    prop::option::of(prop::sample::select(Effect::ALL))
}

fn publish_and_claim_all() -> impl Strategy<Value = Step> {
    prop::sample::select(vec![WINDOW, LARGE_WINDOW])
        .prop_map(|window| Step::PublishAndClaimAll { window })
}

fn control() -> impl Strategy<Value = JobControl> {
    prop_oneof![Just(JobControl::Cancel), Just(JobControl::Pause), Just(JobControl::Resume)]
}

fn accept() -> impl Strategy<Value = Step> {
    let keys = prop::collection::vec(0..5_u8, 1..5);
    (0..2_u8, prop::bool::weighted(0.3), keys, prop::option::weighted(0.3, 0..3_u8)).prop_map(
        |(user, machines, keys, idempotency)| Step::Accept { user, machines, keys, idempotency },
    )
}

/// Returns a new job with so many tasks that what concerns all of them takes several
/// statements.
fn accept_large() -> impl Strategy<Value = Step> {
    (0..2_u8, any::<bool>(), LARGE_JOB_SIZES).prop_map(|(user, machines, size)| {
        let keys = (FIRST_KEY_OF_LARGE_JOBS..).take(usize::from(size)).collect();
        Step::Accept { user, machines, keys, idempotency: None }
    })
}

/// Returns every kind of step with its weight in an average case.
fn weighted_steps() -> Vec<(u32, BoxedStrategy<Step>)> {
    let times = prop::sample::select(vec![1, 1_999, 2_000, 20_000, 60_000, 120_001, 600_000]);
    vec![
        (1, accept().boxed()),
        (3, any::<bool>().prop_map(|mark| Step::Publish { mark }).boxed()),
        (2, Just(Step::Mark).boxed()),
        (5, publish_and_claim_all().boxed()),
        (
            6,
            (any::<u8>(), prop::bool::weighted(0.3))
                .prop_map(|(message, again)| Step::Deliver { message, again })
                .boxed(),
        ),
        (1, any::<u8>().prop_map(|message| Step::Defer { message }).boxed()),
        (1, any::<u8>().prop_map(|claim| Step::Renew { claim }).boxed()),
        (
            10,
            (any::<u8>(), prop::collection::vec(end(), 1..4))
                .prop_map(|(claim, ends)| Step::Finish { claim, ends })
                .boxed(),
        ),
        (2, prop::collection::vec(end(), 1..6).prop_map(|ends| Step::FinishAll { ends }).boxed()),
        (1, (any::<u8>(), end()).prop_map(|(claim, end)| Step::FinishStale { claim, end }).boxed()),
        (2, Just(Step::Reap).boxed()),
        (1, (1..7_u8).prop_map(|times| Step::LoseWorkers { times }).boxed()),
        (1, Just(Step::Unpublish).boxed()),
        (1, Just(Step::LoseMessages).boxed()),
        (1, any::<u8>().prop_map(|queue| Step::LoseQueue { queue }).boxed()),
        (1, Just(Step::Restart).boxed()),
        (
            6,
            (any::<u8>(), control())
                .prop_map(|(job, control)| Step::Control { job, control })
                .boxed(),
        ),
        (3, (any::<u8>(), 0..4_u8).prop_map(|(job, which)| Step::Retry { job, which }).boxed()),
        (
            4,
            (any::<u8>(), any::<bool>())
                .prop_map(|(task, succeeded)| Step::Resolve { task, succeeded })
                .boxed(),
        ),
        (1, (0..2_u8).prop_map(|user| Step::MarkRead { user }).boxed()),
        (4, times.prop_map(|ms| Step::Advance { ms }).boxed()),
        (1, (0..3_i64).prop_map(|days| Step::Prune { days }).boxed()),
    ]
}

/// Generates one case: few jobs, of which some are large, and many steps. Each case has its own weights
/// (some kinds of steps never occur, others all the time), which finds more than
/// the same mixture every time: swarm testing, Groce et al. 2012.
pub fn step_sequence() -> impl Strategy<Value = Vec<Step>> {
    let new_job = prop_oneof![4 => accept(), 1 => accept_large()];
    let new_jobs = prop::collection::vec(new_job, 1..4);
    let factors = prop::sample::select(vec![0_u32, 1, 1, 2, 6]);
    let steps = prop::collection::vec(factors, weighted_steps().len()).prop_flat_map(|factors| {
        let mut kinds: Vec<_> = weighted_steps()
            .into_iter()
            .zip(factors)
            .map(|((weight, kind), factor)| (weight * factor, kind))
            .filter(|(weight, _)| *weight > 0)
            .collect();
        kinds.push((5, publish_and_claim_all().boxed()));
        prop::collection::vec(proptest::strategy::Union::new_weighted(kinds), 10..80)
    });
    (new_jobs, steps).prop_map(|(mut steps, more)| {
        steps.extend(more);
        steps
    })
}
