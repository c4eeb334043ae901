//! States of tasks and jobs, and the counters that a job carries.

use serde::{Deserialize, Serialize};

/// A text that names no variant of the enum that it was parsed as.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unknown value {0:?}")]
pub struct UnknownVariant(pub String);

macro_rules! string_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $word)] $variant),+ }

        impl $name {
            /// All variants, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the name of the variant in JSON and in the database.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.as_str()) }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::state::UnknownVariant;
            fn from_str(s: &str) -> Result<Self, $crate::state::UnknownVariant> {
                match s { $($word => Ok(Self::$variant),)+ _ => Err($crate::state::UnknownVariant(s.into())) }
            }
        }
    };
}
pub(crate) use string_enum;

string_enum!(
    /// State of a task:
    /// `queued → running → succeeded | failed | cancelled | needs_review`;
    /// `running → queued` for a retry.
    TaskState {
        /// Waits for a worker.
        Queued = "queued",
        /// Claimed by a worker.
        Running = "running",
        /// Finished successfully.
        Succeeded = "succeeded",
        /// Failed for good; a person can retry it.
        Failed = "failed",
        /// Cancelled, or superseded by a newer task about the same thing.
        Cancelled = "cancelled",
        /// It is unknown whether the effect happened: a person decides.
        NeedsReview = "needs_review",
    }
);

impl TaskState {
    /// Whether nothing more happens without a person. `needs_review` is terminal.
    pub const fn is_terminal(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

string_enum!(
    /// State of a job: `running → succeeded | partly_failed | failed | cancelled`.
    JobState {
        /// Some tasks are open.
        Running = "running",
        /// No task failed, and none needs review.
        Succeeded = "succeeded",
        /// Some tasks succeeded, others failed or need review.
        PartlyFailed = "partly_failed",
        /// No task succeeded, and some failed or need review.
        Failed = "failed",
        /// A cancel was requested, and some tasks were cancelled.
        Cancelled = "cancelled",
    }
);

string_enum!(
    /// Kind of work that a user launched.
    JobKind {
        /// Uploads of products to sales channels.
        ProductUploads = "product_uploads",
        /// Starts of EC2 machines.
        Ec2Starts = "ec2_starts",
        /// Tasks that do nothing, to measure the whole system.
        Noops = "noops",
    }
);

/// A job's counters. `total = open + succeeded + failed + cancelled +
/// needs_review` always holds; `open` counts queued and running tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Counts {
    /// All tasks of the job.
    pub total: u32,
    /// Queued and running tasks.
    pub open: u32,
    /// Tasks that succeeded.
    pub succeeded: u32,
    /// Tasks that failed for good.
    pub failed: u32,
    /// Tasks that were cancelled or superseded.
    pub cancelled: u32,
    /// Tasks whose outcome a person has to decide.
    pub needs_review: u32,
}

impl Counts {
    /// Returns the number of tasks in a terminal state.
    pub const fn finished(&self) -> u32 {
        self.total - self.open
    }

    /// Moves `count` tasks from one state to another. `None` stands for tasks that
    /// don't exist yet, or that are deleted.
    pub const fn shift(&mut self, from: Option<TaskState>, to: Option<TaskState>, count: u32) {
        match from {
            Some(state) => {
                let counter = self.counter_mut(state);
                *counter = counter.saturating_sub(count);
            }
            None => self.total += count,
        }
        match to {
            Some(state) => *self.counter_mut(state) += count,
            None => self.total = self.total.saturating_sub(count),
        }
    }

    const fn counter_mut(&mut self, state: TaskState) -> &mut u32 {
        match state {
            TaskState::Queued | TaskState::Running => &mut self.open,
            TaskState::Succeeded => &mut self.succeeded,
            TaskState::Failed => &mut self.failed,
            TaskState::Cancelled => &mut self.cancelled,
            TaskState::NeedsReview => &mut self.needs_review,
        }
    }

    /// Returns the final state of a job whose `open` is 0: cancel requested and
    /// any task cancelled → `cancelled`; nothing failed → `succeeded`; nothing
    /// succeeded → `failed`; otherwise `partly_failed`. A task that needs
    /// review counts as failed until a person resolves it.
    pub const fn final_state(&self, cancel_requested: bool) -> JobState {
        let unsuccessful = self.failed + self.needs_review;
        if cancel_requested && self.cancelled > 0 {
            JobState::Cancelled
        } else if unsuccessful == 0 {
            JobState::Succeeded
        } else if self.succeeded == 0 {
            JobState::Failed
        } else {
            JobState::PartlyFailed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(succeeded: u32, failed: u32, cancelled: u32, needs_review: u32) -> Counts {
        Counts {
            total: succeeded + failed + cancelled + needs_review,
            open: 0,
            succeeded,
            failed,
            cancelled,
            needs_review,
        }
    }

    #[test]
    fn final_state_follows_the_counters() {
        for (counts, cancel, expected) in [
            (counts(3, 0, 0, 0), false, JobState::Succeeded),
            (counts(3, 0, 0, 0), true, JobState::Succeeded),
            (counts(2, 1, 0, 0), false, JobState::PartlyFailed),
            (counts(0, 3, 0, 0), false, JobState::Failed),
            (counts(2, 0, 1, 0), true, JobState::Cancelled),
            (counts(0, 0, 3, 0), true, JobState::Cancelled),
            // Superseded tasks are cancelled although nobody requested a cancel.
            (counts(2, 0, 1, 0), false, JobState::Succeeded),
            (counts(2, 0, 0, 1), false, JobState::PartlyFailed),
        ] {
            assert_eq!(counts.final_state(cancel), expected, "{counts:?} {cancel}");
        }
    }

    #[test]
    fn a_shift_keeps_the_total_unless_tasks_appear_or_go() {
        let mut moved = Counts::default();
        moved.shift(None, Some(TaskState::Queued), 5);
        moved.shift(Some(TaskState::Queued), Some(TaskState::Running), 4);
        assert_eq!(moved, Counts { total: 5, open: 5, ..Counts::default() });
        moved.shift(Some(TaskState::Running), Some(TaskState::Succeeded), 1);
        moved.shift(Some(TaskState::Running), Some(TaskState::Failed), 2);
        moved.shift(Some(TaskState::Running), Some(TaskState::NeedsReview), 1);
        moved.shift(Some(TaskState::Queued), Some(TaskState::Cancelled), 1);
        assert_eq!(moved, counts(1, 2, 1, 1));
        moved.shift(Some(TaskState::Failed), Some(TaskState::Queued), 2);
        assert_eq!(moved, Counts { open: 2, total: 5, ..counts(1, 0, 1, 1) });
        moved.shift(Some(TaskState::Succeeded), None, 1);
        assert_eq!(moved, Counts { open: 2, total: 4, ..counts(0, 0, 1, 1) });
    }

    #[test]
    fn state_names_round_trip() {
        for &state in TaskState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        assert_eq!("absent".parse::<JobState>(), Err(UnknownVariant("absent".into())));
    }
}
