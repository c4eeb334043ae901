//! Ids of jobs, tasks, users and tokens. They are UUIDv7, but for those of follow-up
//! tasks: they sort by creation time, which keeps the database's indexes dense and
//! allows paging by id.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[cfg_attr(feature = "schema", schemars(with = "String", extend("format" = "uuid")))]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(s).map(Self)
            }
        }
    };
}

id!(
    /// Id of a job: the work that a user launches at once.
    JobId
);
id!(
    /// Id of a task: one unit of work of a job.
    TaskId
);
id!(
    /// Id of a user: a person with an account.
    UserId
);
id!(
    /// Id of an API token: a program's right to act as its user.
    TokenId
);

impl TaskId {
    /// Returns the id of the task that `self` causes: the UUIDv5 of cause, kind
    /// and key, so that a follow-up that is emitted twice is the same row.
    pub fn follow_up(self, kind: &str, key: &str) -> Self {
        Self(Uuid::new_v5(&self.0, format!("{kind}\n{key}").as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follow_up_id_is_deterministic() {
        let cause = TaskId(Uuid::from_u128(7));
        let first = cause.follow_up("alarm.create", "i-1");
        assert_eq!(first, cause.follow_up("alarm.create", "i-1"));
        assert_ne!(first, cause.follow_up("alarm.create", "i-2"));
        assert_ne!(first, cause.follow_up("ec2.start", "i-1"));
        assert_ne!(first, TaskId(Uuid::from_u128(8)).follow_up("alarm.create", "i-1"));
    }
}
