//! Reasons for which the current state does not allow a change.

use super::MAX_TOKENS;

/// Reason for which the current state does not allow a change. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// The job has ended.
    JobEnded,
    /// The job is being cancelled.
    JobBeingCancelled,
    /// None of the selected tasks can be queued again.
    NothingToRetry,
    /// The task that an admin edits or replays runs again already.
    RunsAgain,
    /// The task that an admin edits or replays has not failed.
    NotFailed,
    /// Nobody knows whether the task had its effect, so its command can't be edited.
    EffectUnknown,
    /// The task has done a part of its work, so its command can't be edited.
    EffectBegun,
    /// Somebody else has edited the command since it was read.
    EditedMeanwhile {
        /// Address of that person.
        by: String,
    },
    /// The owner of the tasks that an admin replays has too many open ones.
    OwnerAtLimit,
    /// The task does not need review.
    NoReviewNeeded,
    /// The address that an admin invites has an account.
    InvitedAddressHasAccount {
        /// The address.
        email: String,
    },
    /// The account whose password an admin resets is disabled.
    AccountDisabled,
    /// The invitation was used or revoked.
    InvitationGone,
    /// The one-time link was used.
    LinkUsed,
    /// The lifetime of the one-time link is over.
    LinkExpired,
    /// The address of the invitation that is redeemed has an account by now.
    AccountExists {
        /// The address.
        email: String,
    },
    /// The account whose password is set with a link is disabled.
    OwnAccountDisabled,
    /// The first user exists already.
    FirstUserExists,
    /// Admins can't demote themselves.
    OwnRole,
    /// Admins can't disable their own account.
    OwnAccount,
    /// No admin would be left.
    LastAdmin,
    /// The user has [`MAX_TOKENS`] API tokens.
    TooManyTokens,
}

impl Conflict {
    /// Returns what happened and what to do, for people.
    pub fn public_message(&self) -> String {
        let sentence = match self {
            Self::JobEnded => "This job has ended already.",
            Self::JobBeingCancelled => "This job is being cancelled.",
            Self::NothingToRetry => {
                "Nothing to retry: none of these items failed or was cancelled."
            }
            Self::RunsAgain => {
                "This item runs again already. Somebody has replayed it meanwhile: wait for its end."
            }
            Self::NotFailed => {
                "This item has not failed, or no longer: look at its state. Nothing was changed."
            }
            Self::EffectUnknown => {
                "Nobody knows whether the last call had its effect, so its data must not change \
                 now. Replay the item as it is: the service is asked first."
            }
            Self::EffectBegun => {
                "This item has done a part of its work, such as a machine that was launched, so \
                 its data must not change now. Replay the item as it is: it does the rest."
            }
            Self::EditedMeanwhile { by } => {
                return format!(
                    "{by} has edited this command since you opened it. Nothing was saved or \
                     replayed: look at what is stored now, and decide again."
                );
            }
            Self::OwnerAtLimit => {
                "The owner of these items has too many open ones. Wait until some end."
            }
            Self::NoReviewNeeded => "This item does not wait for a decision.",
            Self::InvitedAddressHasAccount { email } => {
                return format!(
                    "{email} has an account already. To help someone who can't sign in, reset the \
                     password."
                );
            }
            Self::AccountDisabled => "This account is disabled. Enable it first.",
            Self::InvitationGone => {
                "This invitation was used or revoked meanwhile. Look at the accounts."
            }
            Self::LinkUsed => {
                "This link was used already. Sign in with the password that was chosen then, or \
                 ask an admin for a new link."
            }
            Self::LinkExpired => "This link is too old. Ask an admin for a new one.",
            Self::AccountExists { email } => {
                return format!("{email} has an account already. Sign in with it.");
            }
            Self::OwnAccountDisabled => "This account is disabled. Ask an admin.",
            Self::FirstUserExists => "There is an account already: sign in.",
            Self::OwnRole => "You can't take the admin's role from yourself. Ask another admin.",
            Self::OwnAccount => "You can't disable your own account. Ask another admin.",
            Self::LastAdmin => "This is the last admin. Make somebody else an admin first.",
            Self::TooManyTokens => {
                return format!("You have {MAX_TOKENS} tokens. Revoke one that is no longer used.");
            }
        };
        sentence.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_says_what_happened_and_what_to_do() {
        let email = "bob@example.com".to_owned();
        for (conflict, parts) in [
            (Conflict::LinkUsed, ["used already", "ask an admin"]),
            (Conflict::LinkExpired, ["too old", "Ask an admin"]),
            (Conflict::AccountExists { email: email.clone() }, [&email, "Sign in"]),
            (
                Conflict::InvitedAddressHasAccount { email: email.clone() },
                [&email, "reset the password"],
            ),
            (Conflict::TooManyTokens, ["50 tokens", "Revoke one"]),
        ] {
            let message = conflict.public_message();
            assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        }
    }
}
