//! Ids are UUIDv7: they sort by the time they were made, which keeps the
//! indexes of the database dense and lets lists be paged by id.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[cfg_attr(feature = "schema", schemars(with = "String"))]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

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
    /// What a user launched.
    JobId
);
id!(
    /// One unit of work of a job.
    TaskId
);
id!(
    /// A person with an account.
    UserId
);
id!(
    /// A program's right to act as its user.
    TokenId
);

impl TaskId {
    /// The id of the task that `self` causes: UUIDv5 of cause, kind and key,
    /// so that a follow-up that is emitted twice is the same row.
    pub fn follow_up(self, kind: &str, key: &str) -> Self {
        Self(Uuid::new_v5(&self.0, format!("{kind}\n{key}").as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_follow_up_has_one_id_however_often_it_is_emitted() {
        let cause = TaskId(Uuid::from_u128(7));
        let first = cause.follow_up("alarm.create", "i-1");
        assert_eq!(first, cause.follow_up("alarm.create", "i-1"));
        assert_ne!(first, cause.follow_up("alarm.create", "i-2"));
        assert_ne!(first, cause.follow_up("ec2.start", "i-1"));
        assert_ne!(first, TaskId(Uuid::from_u128(8)).follow_up("alarm.create", "i-1"));
    }
}
