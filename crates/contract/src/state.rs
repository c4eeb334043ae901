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
    /// State of a task. The usual way is
    /// `queued → running → succeeded | failed | rejected | cancelled | needs_review`. A task that
    /// waits for another attempt is queued again.
    TaskState {
        /// Waits for a worker.
        Queued = "queued",
        /// Claimed by a worker.
        Running = "running",
        /// Finished successfully.
        Succeeded = "succeeded",
        /// Failed for good, or all attempts are used; a person can retry it.
        Failed = "failed",
        /// The service refuses the content; another attempt would end in the same way. It
        /// can be corrected and uploaded again.
        Rejected = "rejected",
        /// Cancelled, or superseded by a newer task about the same thing, before it had any
        /// effect.
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
    /// What a successful upload changed at the service.
    Effect {
        /// The service did not have it, and has it now.
        Created = "created",
        /// The service had it, and has the new content now.
        Updated = "updated",
        /// The service had it with the same content; nothing was changed.
        Unchanged = "unchanged",
    }
);

string_enum!(
    /// State of a job: `running → succeeded | partly_failed | failed | cancelled`.
    JobState {
        /// Some tasks are open.
        Running = "running",
        /// No task failed or was rejected, and none needs review.
        Succeeded = "succeeded",
        /// Some tasks succeeded, others failed, were rejected or need review.
        PartlyFailed = "partly_failed",
        /// No task succeeded, and some failed, were rejected or need review.
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
        /// Stops of EC2 machines.
        Ec2Stops = "ec2_stops",
        /// Launches of EC2 machines from a launch template.
        Ec2Launches = "ec2_launches",
        /// Tasks that do nothing, to measure the whole system.
        Noops = "noops",
    }
);

/// A job's counters. `total = open + succeeded + failed + rejected + cancelled +
/// needs_review` always holds; `open` counts queued and running tasks. `created`,
/// `updated` and `unchanged` are parts of `succeeded`; their sum is smaller where the
/// effect of a success is not known.
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
    /// Tasks whose content the service refused.
    #[serde(default)]
    pub rejected: u32,
    /// Tasks that were cancelled or superseded.
    pub cancelled: u32,
    /// Tasks whose outcome a person has to decide.
    pub needs_review: u32,
    /// Tasks whose success created something at the service.
    #[serde(default)]
    pub created: u32,
    /// Tasks whose success changed something at the service.
    #[serde(default)]
    pub updated: u32,
    /// Tasks whose success found the same content at the service.
    #[serde(default)]
    pub unchanged: u32,
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

    /// Counts the effect of `count` tasks that have succeeded.
    pub const fn add_effect(&mut self, effect: Effect, count: u32) {
        *self.effect_mut(effect) += count;
    }

    /// Uncounts the effect of `count` tasks that are deleted.
    pub const fn remove_effect(&mut self, effect: Effect, count: u32) {
        let counter = self.effect_mut(effect);
        *counter = counter.saturating_sub(count);
    }

    const fn effect_mut(&mut self, effect: Effect) -> &mut u32 {
        match effect {
            Effect::Created => &mut self.created,
            Effect::Updated => &mut self.updated,
            Effect::Unchanged => &mut self.unchanged,
        }
    }

    const fn counter_mut(&mut self, state: TaskState) -> &mut u32 {
        match state {
            TaskState::Queued | TaskState::Running => &mut self.open,
            TaskState::Succeeded => &mut self.succeeded,
            TaskState::Failed => &mut self.failed,
            TaskState::Rejected => &mut self.rejected,
            TaskState::Cancelled => &mut self.cancelled,
            TaskState::NeedsReview => &mut self.needs_review,
        }
    }

    /// Returns the final state of a job whose `open` is 0: cancel requested and
    /// any task cancelled → `cancelled`; nothing failed → `succeeded`; nothing
    /// succeeded → `failed`; otherwise `partly_failed`. A rejected task counts as failed,
    /// and so does one that needs review until a person resolves it.
    pub const fn final_state(&self, cancel_requested: bool) -> JobState {
        let unsuccessful = self.failed + self.rejected + self.needs_review;
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
            ..Counts::default()
        }
    }

    fn rejected(rejected: u32, others: Counts) -> Counts {
        Counts { rejected, total: others.total + rejected, ..others }
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
            (rejected(1, counts(2, 0, 0, 0)), false, JobState::PartlyFailed),
            (rejected(3, counts(0, 0, 0, 0)), false, JobState::Failed),
            (rejected(1, counts(0, 0, 1, 0)), true, JobState::Cancelled),
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
    fn a_rejected_task_has_a_counter_of_its_own() {
        let mut moved = Counts::default();
        moved.shift(None, Some(TaskState::Queued), 3);
        moved.shift(Some(TaskState::Running), Some(TaskState::Rejected), 2);
        assert_eq!(moved, Counts { open: 1, total: 3, rejected: 2, ..Counts::default() });
    }

    #[test]
    fn effects_are_parts_of_the_successes() {
        let mut moved = Counts::default();
        moved.shift(None, Some(TaskState::Queued), 6);
        moved.shift(Some(TaskState::Running), Some(TaskState::Succeeded), 6);
        moved.add_effect(Effect::Created, 3);
        moved.add_effect(Effect::Updated, 2);
        moved.add_effect(Effect::Unchanged, 1);
        let effects = Counts { created: 3, updated: 2, unchanged: 1, ..counts(6, 0, 0, 0) };
        assert_eq!(moved, effects);
        moved.shift(Some(TaskState::Succeeded), None, 2);
        moved.remove_effect(Effect::Created, 1);
        moved.remove_effect(Effect::Unchanged, 1);
        assert_eq!(moved, Counts { created: 2, updated: 2, ..counts(4, 0, 0, 0) });
    }

    #[test]
    fn counters_of_an_older_version_are_read() {
        let old = r#"{"total":2,"open":0,"succeeded":2,"failed":0,"cancelled":0,"needs_review":0}"#;
        assert_eq!(serde_json::from_str::<Counts>(old).ok(), Some(counts(2, 0, 0, 0)));
    }

    #[test]
    fn state_names_round_trip() {
        for &state in TaskState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        assert_eq!("absent".parse::<JobState>(), Err(UnknownVariant("absent".into())));
    }
}
