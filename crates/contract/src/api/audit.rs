//! The audit log: what people changed for everybody.

use crate::{UserId, state::string_enum};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

string_enum!(
    /// What a person did.
    // A new action takes a line here, and one in `app::page::audit`.
    AuditAction {
        /// Paused an upstream for everybody. `subject` is the upstream, `after` the end.
        UpstreamPaused = "upstream.paused",
        /// Ended the pause of an upstream.
        UpstreamResumed = "upstream.resumed",
        /// Changed the pace of an upstream. `subject` is the limit, `before` and `after` are
        /// requests per second, or `null` for what the configuration says.
        UpstreamPaceChanged = "upstream.pace_changed",
        /// Checked whether an upstream can be used. `after` says what it answered.
        UpstreamChecked = "upstream.checked",
        /// Launched a job. `subject` is the job, `after` has its kind, title and number of items;
        /// the same applies to what is done with a job later.
        JobLaunched = "job.launched",
        /// Cancelled a job.
        JobCancelled = "job.cancelled",
        /// Paused a job.
        JobPaused = "job.paused",
        /// Resumed a job.
        JobResumed = "job.resumed",
        /// Retried items of a job.
        JobRetried = "job.retried",
        /// Edited the command of a failed item. `subject` is the task; `before` and `after` have
        /// the start of each changed value, by its JSON pointer. Commands carry no secrets.
        CommandEdited = "command.edited",
        /// Had failed items of a job run again for their owner. `subject` is the task, or the job
        /// if there are several; `after` has the job's title and the number of items.
        CommandReplayed = "command.replayed",
        /// Decided what happened to an item. `subject` is the task, `after` the decision.
        TaskResolved = "task.resolved",
        /// Invited somebody. `subject` is the address, `after` the role.
        UserInvited = "user.invited",
        /// Revoked an invitation. `subject` is the address.
        InvitationRevoked = "invitation.revoked",
        /// Created a link that sets a new password. `subject` is the address of the account, as in
        /// all entries about accounts.
        PasswordResetCreated = "password_reset.created",
        /// Changed the role of an account; `before` and `after` are roles.
        RoleChanged = "role.changed",
        /// Disabled an account.
        UserDisabled = "user.disabled",
        /// Enabled an account again.
        UserEnabled = "user.enabled",
        /// Changed the own password.
        PasswordChanged = "password.changed",
        /// Created an API token. `subject` is its name.
        TokenCreated = "token.created",
        /// Revoked an API token. `subject` is its name.
        TokenRevoked = "token.revoked",
    }
);

/// One line of the audit log. It is written with the change, and never changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditEntry {
    /// Id of the entry; entries sort by it, in the order of time.
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("format" = "uuid")))]
    pub id: Uuid,
    /// Time of the change.
    #[serde(with = "crate::timestamp")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::timestamp::Rfc3339"))]
    pub at: i64,
    /// The person.
    pub actor: UserId,
    /// Email address of the person at that time.
    pub actor_email: String,
    /// What the person did.
    pub action: AuditAction,
    /// Id of what it was done to.
    pub subject: String,
    /// Value before the change, if there was one.
    #[serde(default)]
    pub before: Option<Value>,
    /// Value after the change, if there is one.
    #[serde(default)]
    pub after: Option<Value>,
    /// Reason that the person gave; empty without one.
    #[serde(default)]
    pub note: String,
}
