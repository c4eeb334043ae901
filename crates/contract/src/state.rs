//! States of tasks and jobs, and the counters that a job carries.

use serde::{Deserialize, Serialize};

/// A word that is not a state of ours.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unknown state {0:?}")]
pub struct UnknownState(pub String);

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $word)] $variant),+ }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word on the wire and in the database.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.as_str()) }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::state::UnknownState;
            fn from_str(s: &str) -> Result<Self, $crate::state::UnknownState> {
                match s { $($word => Ok(Self::$variant),)+ _ => Err($crate::state::UnknownState(s.into())) }
            }
        }
    };
}
pub(crate) use words;

words!(
    /// `queued → running → succeeded | failed | cancelled | needs_person`;
    /// `running → queued` for a retry.
    TaskState {
        Queued = "queued",
        Running = "running",
        Succeeded = "succeeded",
        Failed = "failed",
        Cancelled = "cancelled",
        /// It can't be told whether the effect happened: a person decides.
        NeedsPerson = "needs_person",
    }
);

impl TaskState {
    /// Nothing more happens by itself. `needs_person` counts as an end.
    pub const fn is_end(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

words!(
    /// `running → succeeded | partly_failed | failed | cancelled`.
    JobState {
        Running = "running",
        Succeeded = "succeeded",
        PartlyFailed = "partly_failed",
        Failed = "failed",
        Cancelled = "cancelled",
    }
);

words!(
    /// What kind of work a user launched.
    JobKind {
        ProductUploads = "product_uploads",
        Ec2Starts = "ec2_starts",
        /// Work that does nothing, to measure the whole.
        Noops = "noops",
    }
);

/// A job's counters. `total = open + succeeded + failed + cancelled +
/// needs_person` always holds; `open` counts queued and running tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Counts {
    pub total: u32,
    pub open: u32,
    pub succeeded: u32,
    pub failed: u32,
    pub cancelled: u32,
    pub needs_person: u32,
}

impl Counts {
    /// Tasks that came to an end.
    pub const fn done(&self) -> u32 {
        self.total - self.open
    }

    /// The final state of a job whose `open` is 0: cancel requested and any
    /// cancelled → `cancelled`; nothing failed → `succeeded`; nothing
    /// succeeded → `failed`; else `partly_failed`. A task that waits for a
    /// person is not a success: the job is told as partly failed until it
    /// is resolved.
    pub const fn verdict(&self, cancel_requested: bool) -> JobState {
        let bad = self.failed + self.needs_person;
        if cancel_requested && self.cancelled > 0 {
            JobState::Cancelled
        } else if bad == 0 {
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

    fn counts(succeeded: u32, failed: u32, cancelled: u32, needs_person: u32) -> Counts {
        Counts {
            total: succeeded + failed + cancelled + needs_person,
            open: 0,
            succeeded,
            failed,
            cancelled,
            needs_person,
        }
    }

    #[test]
    fn verdict_follows_the_table() {
        for (counts, cancel, expected) in [
            (counts(3, 0, 0, 0), false, JobState::Succeeded),
            (counts(3, 0, 0, 0), true, JobState::Succeeded),
            (counts(2, 1, 0, 0), false, JobState::PartlyFailed),
            (counts(0, 3, 0, 0), false, JobState::Failed),
            (counts(2, 0, 1, 0), true, JobState::Cancelled),
            (counts(0, 0, 3, 0), true, JobState::Cancelled),
            // Superseded tasks are cancelled without anyone asking.
            (counts(2, 0, 1, 0), false, JobState::Succeeded),
            (counts(2, 0, 0, 1), false, JobState::PartlyFailed),
        ] {
            assert_eq!(counts.verdict(cancel), expected, "{counts:?} {cancel}");
        }
    }

    #[test]
    fn words_read_back() {
        for &state in TaskState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        assert_eq!("gone".parse::<JobState>(), Err(UnknownState("gone".into())));
    }
}
