//! Accounts, and the ways in to them.

use crate::{TokenId, UserId, state::words};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

words!(
    /// What an account may do.
    Role {
        User = "user",
        Admin = "admin",
    }
);

/// A person with an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub id: UserId,
    pub email: String,
    pub role: Role,
    pub disabled: bool,
    pub created_at: i64,
    /// The last request, to the minute; `None` before the first.
    pub seen_at: Option<i64>,
}

/// A one-time link to an account of one's own, which nobody has used yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    pub id: Uuid,
    pub email: String,
    pub role: Role,
    pub created_at: i64,
    pub expires_at: i64,
}

/// A browser or program in which someone is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub created_at: i64,
    /// The last request, to the minute.
    pub seen_at: i64,
    /// The one that asks.
    pub own: bool,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct SignIn {
    pub email: String,
    pub password: String,
}

/// A program's right to act as its user, until it is revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    pub id: TokenId,
    pub name: String,
    pub created_at: i64,
    /// To the minute; `null`: never.
    #[serde(default)]
    pub last_used_at: Option<i64>,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct NewToken {
    /// What it is for, 1 to 80 characters.
    pub name: String,
    /// The password of whoever asks.
    pub password: String,
}

/// A token with its secret, which is told this once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeToken {
    #[serde(flatten)]
    pub token: Token,
    /// For `Authorization: Bearer …`.
    pub secret: String,
}
