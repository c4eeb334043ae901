//! Accounts and who is signed in. Session tokens are kept as hashes.

use super::{Error, Store, execute, one, row};
use contract::{UserId, api::Role};
use uuid::Uuid;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub user: UserId,
    pub email: String,
    pub role: Role,
}

/// An account with what is needed to check a password.
#[derive(Clone, Debug)]
pub struct Account {
    pub identity: Identity,
    pub password_hash: Option<String>,
    pub disabled: bool,
}

impl Store {
    /// Whether any account exists; before, the first visitor makes one.
    pub async fn has_accounts(&self) -> Result<bool, Error> {
        Ok(one(&self.reader, "SELECT 1 AS one FROM users LIMIT 1", []).await?.is_some())
    }

    /// Makes the first account, an admin's.
    ///
    /// # Errors
    /// [`Error::Conflict`] where there is an account already.
    pub async fn add_first_account(&self, email: &str, hash: &str) -> Result<Identity, Error> {
        let id = Uuid::now_v7();
        // One statement, so that of two first visitors one wins.
        let made = execute(
            &self.writer,
            "INSERT INTO users (id, email, role, password_hash, created_at) \
             SELECT $1, $2, 'admin', $3, $4 WHERE NOT EXISTS (SELECT 1 FROM users)",
            [id.into(), email.into(), hash.into(), self.now_ms().into()],
        )
        .await?;
        if made == 0 {
            return Err(Error::Conflict("There is an account already: sign in.".into()));
        }
        Ok(Identity { user: UserId(id), email: email.into(), role: Role::Admin })
    }

    /// The account of an address.
    pub async fn account(&self, email: &str) -> Result<Option<Account>, Error> {
        let found = one(
            &self.reader,
            "SELECT id, email, role, password_hash, disabled FROM users WHERE email = $1",
            [email.into()],
        )
        .await?;
        found
            .map(|found| {
                Ok(Account {
                    identity: identity(&found)?,
                    password_hash: found.try_get("", "password_hash")?,
                    disabled: row::flag(&found, "disabled")?,
                })
            })
            .transpose()
    }

    /// Keeps a session until `expires_at` (UTC ms). `token_hash` is a hash of
    /// the secret that the browser holds.
    pub async fn add_session(
        &self,
        token_hash: &str,
        user: UserId,
        expires_at: i64,
    ) -> Result<(), Error> {
        execute(
            &self.writer,
            "INSERT INTO sessions (token_hash, user_id, created_at, expires_at) \
             VALUES ($1, $2, $3, $4)",
            [token_hash.into(), user.0.into(), self.now_ms().into(), expires_at.into()],
        )
        .await
        .map(|_| ())
    }

    /// Whose session it is, while it lasts and the account is enabled.
    pub async fn session(&self, token_hash: &str) -> Result<Option<Identity>, Error> {
        let found = one(
            &self.reader,
            "SELECT u.id, u.email, u.role FROM sessions s JOIN users u ON u.id = s.user_id \
             WHERE s.token_hash = $1 AND s.expires_at > $2 AND u.disabled = 0",
            [token_hash.into(), self.now_ms().into()],
        )
        .await?;
        found.map(|found| identity(&found)).transpose()
    }

    pub async fn end_session(&self, token_hash: &str) -> Result<(), Error> {
        execute(&self.writer, "DELETE FROM sessions WHERE token_hash = $1", [token_hash.into()])
            .await
            .map(|_| ())
    }
}

pub(super) fn identity(found: &sea_orm::QueryResult) -> Result<Identity, Error> {
    Ok(Identity {
        user: UserId(found.try_get("", "id")?),
        email: found.try_get("", "email")?,
        role: row::word(found, "role")?,
    })
}
