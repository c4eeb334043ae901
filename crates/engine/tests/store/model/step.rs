//! What can happen. Numbers choose among what there is, modulo its size, so
//! that every sequence of steps makes sense and shrinks well.

use engine::store::Control;
use proptest::prelude::*;

#[derive(Clone, Debug)]
pub enum Step {
    /// A launch of tasks about these keys, which jobs and users share.
    Accept {
        user: u8,
        machines: bool,
        keys: Vec<u8>,
        idempotency: Option<u8>,
    },
    /// The relay publishes; where it does not mark at once, [`Step::Mark`]
    /// comes later, or never.
    Publish {
        marks: bool,
    },
    Mark,
    /// The relay publishes and marks, and workers take all that lies there.
    Flow,
    /// A worker takes a message; `again`: it will be delivered once more.
    Deliver {
        message: u8,
        again: bool,
    },
    /// The gate is too far ahead.
    PutOff {
        message: u8,
    },
    Renew {
        claim: u8,
    },
    /// The ends of up to three claims, in one batch.
    Finish {
        claim: u8,
        ends: Vec<End>,
    },
    /// A worker that has lost its claim says how it ended.
    FinishStale {
        claim: u8,
        end: End,
    },
    Reap,
    /// The reaper looks for messages that are in no queue any more.
    Unpublish,
    /// The broker loses everything.
    LoseMessages,
    /// The one process is killed and starts again.
    Restart,
    Control {
        job: u8,
        control: Control,
    },
    Retry {
        job: u8,
        which: u8,
    },
    Resolve {
        task: u8,
        done: bool,
    },
    MarkRead {
        user: u8,
    },
    Advance {
        ms: i64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Succeed,
    /// With follow-ups, one of them twice.
    Chain,
    Fail,
    Retry {
        unsure: bool,
    },
    Wait {
        quiet: bool,
    },
    NeedsPerson,
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        2 => Just(End::Succeed),
        3 => Just(End::Chain),
        2 => Just(End::Fail),
        2 => any::<bool>().prop_map(|unsure| End::Retry { unsure }),
        1 => any::<bool>().prop_map(|quiet| End::Wait { quiet }),
        3 => Just(End::NeedsPerson),
    ]
}

fn control() -> impl Strategy<Value = Control> {
    prop_oneof![Just(Control::Cancel), Just(Control::Pause), Just(Control::Resume)]
}

fn accept() -> impl Strategy<Value = Step> {
    let keys = prop::collection::vec(0..5_u8, 1..5);
    (0..2_u8, prop::bool::weighted(0.3), keys, prop::option::weighted(0.3, 0..3_u8)).prop_map(
        |(user, machines, keys, idempotency)| Step::Accept { user, machines, keys, idempotency },
    )
}

fn one() -> impl Strategy<Value = Step> {
    let times = prop::sample::select(vec![1, 1_999, 2_000, 20_000, 60_000, 120_001, 600_000]);
    prop_oneof![
        1 => accept(),
        3 => any::<bool>().prop_map(|marks| Step::Publish { marks }),
        2 => Just(Step::Mark),
        5 => Just(Step::Flow),
        6 => (any::<u8>(), prop::bool::weighted(0.3))
            .prop_map(|(message, again)| Step::Deliver { message, again }),
        1 => any::<u8>().prop_map(|message| Step::PutOff { message }),
        1 => any::<u8>().prop_map(|claim| Step::Renew { claim }),
        10 => (any::<u8>(), prop::collection::vec(end(), 1..4))
            .prop_map(|(claim, ends)| Step::Finish { claim, ends }),
        1 => (any::<u8>(), end()).prop_map(|(claim, end)| Step::FinishStale { claim, end }),
        2 => Just(Step::Reap),
        1 => Just(Step::Unpublish),
        1 => Just(Step::LoseMessages),
        1 => Just(Step::Restart),
        6 => (any::<u8>(), control()).prop_map(|(job, control)| Step::Control { job, control }),
        3 => (any::<u8>(), 0..3_u8).prop_map(|(job, which)| Step::Retry { job, which }),
        4 => (any::<u8>(), any::<bool>()).prop_map(|(task, done)| Step::Resolve { task, done }),
        1 => (0..2_u8).prop_map(|user| Step::MarkRead { user }),
        4 => times.prop_map(|ms| Step::Advance { ms }),
    ]
}

/// One case: few jobs and much that happens to them.
pub fn case() -> impl Strategy<Value = Vec<Step>> {
    let launches = prop::collection::vec(accept(), 1..4);
    (launches, prop::collection::vec(one(), 10..80)).prop_map(|(mut steps, more)| {
        steps.extend(more);
        steps
    })
}
