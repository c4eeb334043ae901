//! What AWS's answers mean for the caller, and the words for people.
//!
//! The codes are those of [EC2's errors][ec2] and of the [common errors][common] of the Query
//! protocol.
//!
//! [ec2]: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
//! [common]: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CommonErrors.html

mod response;

pub(crate) use response::{ErrorContext, error_for_response};

/// Reason why a call has no result. Each message is a sentence for people, without secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// AWS asks to call this action less often. It never says for how long: back off.
    #[error("{message}")]
    Throttled {
        /// AWS's code.
        code: String,
        /// What happened.
        message: String,
    },
    /// The call may succeed later. Look at the state before the call is repeated.
    #[error("{message}")]
    Temporary {
        /// AWS's code, or one of this crate where AWS sent none.
        code: String,
        /// What happened.
        message: String,
        /// Whether the call may have had its effect.
        outcome_unknown: bool,
    },
    /// AWS doesn't know what the call is about. Said about something that was created just now,
    /// it means nothing yet: EC2 is [eventually consistent][consistency].
    ///
    /// [consistency]: https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
    #[error("{message}")]
    NotFound {
        /// AWS's code.
        code: String,
        /// What happened.
        message: String,
    },
    /// The account can't be used until a person acts, because AWS does not accept the
    /// credentials, or there are none. No call of the account can succeed.
    #[error("{message}")]
    Credentials {
        /// AWS's code, or one of this crate where AWS was not asked.
        code: String,
        /// What to do.
        message: String,
    },
    /// The endpoint's certificate is refused. Nothing was sent, and no call can succeed until a
    /// person acts.
    #[error("{message}")]
    Certificate {
        /// Code of this crate.
        code: String,
        /// What to do.
        message: String,
    },
    /// The credentials are accepted, but do not allow the action.
    #[error("{message}")]
    PermissionMissing {
        /// AWS's code.
        code: String,
        /// IAM action that has to be allowed, such as `ec2:StartInstances`.
        action: String,
        /// What to do.
        message: String,
    },
    /// A quota of the account is used up.
    #[error("{message}")]
    QuotaReached {
        /// AWS's code.
        code: String,
        /// What to do.
        message: String,
    },
    /// AWS refuses the request itself; it would always do so.
    #[error("{message}")]
    Rejected {
        /// AWS's code.
        code: String,
        /// What happened.
        message: String,
    },
}

impl Error {
    /// Returns AWS's code, or one of this crate where AWS sent none.
    pub fn code(&self) -> &str {
        match self {
            Self::Throttled { code, .. }
            | Self::Temporary { code, .. }
            | Self::NotFound { code, .. }
            | Self::Credentials { code, .. }
            | Self::Certificate { code, .. }
            | Self::PermissionMissing { code, .. }
            | Self::QuotaReached { code, .. }
            | Self::Rejected { code, .. } => code,
        }
    }

    pub(crate) fn temporary(code: &str, message: String, outcome_unknown: bool) -> Self {
        Self::Temporary { code: code.into(), message, outcome_unknown }
    }
}
