//! User accounts, invitations, sessions and API tokens.

use crate::{TokenId, UserId, state::string_enum};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

string_enum!(
    /// Permissions of a user account.
    Role {
        /// May launch jobs and see their own.
        User = "user",
        /// May also manage user accounts.
        Admin = "admin",
    }
);

/// A person with an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Id of the user.
    pub id: UserId,
    /// Email address, with which the user signs in.
    pub email: String,
    /// Permissions of the account.
    pub role: Role,
    /// Whether an admin has disabled the account.
    pub disabled: bool,
    /// Time of creation.
    #[serde(with = "crate::timestamp")]
    pub created_at: i64,
    /// Time of the last request, to the minute; `None` before the first.
    #[serde(default, with = "crate::timestamp::optional")]
    pub seen_at: Option<i64>,
}

/// An unused one-time link with which a person creates their account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// Id of the invitation.
    pub id: Uuid,
    /// Email address of the invited person.
    pub email: String,
    /// Permissions of the future account.
    pub role: Role,
    /// Time of creation.
    #[serde(with = "crate::timestamp")]
    pub created_at: i64,
    /// Time after which the link is invalid.
    #[serde(with = "crate::timestamp")]
    pub expires_at: i64,
}

/// A browser or program in which the user is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Time of the sign-in.
    #[serde(with = "crate::timestamp")]
    pub created_at: i64,
    /// Time of the last request, to the minute.
    #[serde(with = "crate::timestamp")]
    pub seen_at: i64,
    /// Whether the request was made in this session.
    pub is_current: bool,
}

/// Body of a sign-in.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// Email address of the account.
    pub email: String,
    /// Password of the account.
    pub password: String,
}

string_enum!(
    /// What an API token permits. Each scope includes those before it.
    TokenScope {
        /// Read the user's jobs, items and notifications, and the channels.
        Read = "read",
        /// Also launch, control and resolve.
        Launch = "launch",
        /// Also change channels for everybody, and see everybody's load, if the user is an admin.
        Admin = "admin",
    }
);

impl TokenScope {
    /// Whether a token of this scope may do what requires another one.
    pub fn includes(self, required: Self) -> bool {
        self >= required
    }
}

/// Number of days after which a token expires if its creator doesn't say.
pub const DEFAULT_TOKEN_DAYS: u16 = 90;
/// Maximum number of days after which a token expires, if it does.
pub const MAX_TOKEN_DAYS: u16 = 3650;

/// A program's right to act as its user, until it expires or is revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Token {
    /// Id of the token.
    pub id: TokenId,
    /// Purpose of the token, in the user's words.
    pub name: String,
    /// What it permits.
    pub scope: TokenScope,
    /// Time of creation.
    #[serde(with = "crate::timestamp")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::timestamp::Rfc3339"))]
    pub created_at: i64,
    /// Time of the last use, to the minute; `null` before the first.
    #[serde(default, with = "crate::timestamp::optional")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::timestamp::Rfc3339>"))]
    pub last_used_at: Option<i64>,
    /// Time after which it is rejected; `null` for a token that doesn't expire.
    #[serde(default, with = "crate::timestamp::optional")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::timestamp::Rfc3339>"))]
    pub expires_at: Option<i64>,
}

/// Request to create an API token.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// Purpose of the token, 1 to 80 characters.
    pub name: String,
    /// Password of the user who creates it.
    pub password: String,
    /// What it permits; `launch` by default.
    #[serde(default = "launch")]
    pub scope: TokenScope,
    /// Number of days after which it expires, 1 to 3650; `null` for never, and 90 by default.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = MAX_TOKEN_DAYS)))]
    #[serde(default = "default_token_days")]
    pub expires_in_days: Option<u16>,
}

fn launch() -> TokenScope {
    TokenScope::Launch
}

#[allow(clippy::unnecessary_wraps)]
fn default_token_days() -> Option<u16> {
    Some(DEFAULT_TOKEN_DAYS)
}

/// A new token with its secret, which is shown only once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CreatedToken {
    /// The token.
    #[serde(flatten)]
    pub token: Token,
    /// Secret for `Authorization: Bearer …`.
    pub secret: String,
}
